//! A plan for people and for programs: what would be written, what is held, who is set aside. No values of attributes are shown,
//! only their names; a plan may end in a pull request.

use std::collections::BTreeMap;

use plumbline_engine::{
    anchor::Anchor,
    operation::{Change, ChangeKind, Operation},
    plan::Plan,
};
use serde_json::{Value, json};

use super::table::{shorten, table};
use crate::world::Key;

/// How many operations of one kind a table shows.
const SHOWN: usize = 20;

/// The plan as JSON, whole.
pub fn json(sync: &Key, plan: &Plan) -> Value {
    let operation = |operation: &Operation| {
        let mut value = json!({
            "operation": operation.change.kind().as_str(),
            "class": operation.class.as_str(),
            "anchor": operation.anchor.to_string(),
            "name": plan.name(&operation.anchor),
            "target": operation.target.as_ref().map(ToString::to_string),
        });
        let details = details(operation);
        if !details.attributes.is_empty() {
            value["attributes"] = json!(details.attributes);
        }
        if let Some(peer) = details.peer {
            value["peer"] = json!(peer);
        }
        value
    };
    json!({
        "sync": sync.to_string(),
        "digest": plan.digest().to_string(),
        "counts": plan.changes().into_iter().map(|(kind, count)| (kind.as_str().to_owned(), count)).collect::<BTreeMap<_, _>>(),
        "operations": plan.operations.iter().map(operation).collect::<Vec<_>>(),
        "holds": plan.holds.iter().map(|hold| json!({
            "class": hold.class.as_str(),
            "digest": hold.digest.to_string(),
            "count": hold.count,
            "share": hold.share,
            "message": hold.limit,
            "operations": hold.operations.iter().map(operation).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "quarantine": plan.quarantine.iter().map(|object| json!({
            "class": object.class.as_str(),
            "anchor": object.anchor.as_ref().map(ToString::to_string),
            "dn": object.dn,
            "reason": object.reason.as_str(),
            "message": object.message,
            "since": object.since.to_string(),
        })).collect::<Vec<_>>(),
        "faults": plan.faults.iter().map(|fault| json!({
            "scope": fault.scope, "reason": fault.reason.as_str(), "message": fault.message,
        })).collect::<Vec<_>>(),
        "unsupported": {"contacts": plan.unsupported.contacts, "distributionGroups": plan.unsupported.distribution_groups},
    })
}

/// The plan as text for a terminal of 120 columns.
pub fn text(sync: &Key, plan: &Plan) -> String {
    let mut text = format!("{}\n", headline(sync, plan));
    for kind in ChangeKind::ALL {
        let all: Vec<_> = plan
            .operations
            .iter()
            .filter(|operation| operation.change.kind() == kind)
            .collect();
        if all.is_empty() {
            continue;
        }
        let rows: Vec<_> = all
            .iter()
            .take(SHOWN)
            .map(|operation| row(plan, operation))
            .collect();
        text.push('\n');
        text.push_str(&table(&["OPERATION", "CLASS", "NAME", "WHAT"], &rows));
        if all.len() > SHOWN {
            text.push_str(&format!(
                "… and {} more of this kind; `--output json` has all\n",
                all.len() - SHOWN
            ));
        }
    }
    for hold in &plan.holds {
        text.push_str(&format!("\nheld: {}\n", hold.limit));
    }
    for fault in &plan.faults {
        text.push_str(&format!(
            "\n{}: SyncScope `{}`: {}\n",
            fault.reason, fault.scope, fault.message
        ));
    }
    if !plan.quarantine.is_empty() {
        let rows: Vec<_> = plan
            .quarantine
            .iter()
            .take(SHOWN)
            .map(|object| {
                vec![
                    object.reason.to_string(),
                    shorten(&object.dn, 40),
                    shorten(&object.message, 56),
                ]
            })
            .collect();
        text.push('\n');
        text.push_str(&table(&["QUARANTINED", "ENTRY", "WHY"], &rows));
        if plan.quarantine.len() > SHOWN {
            text.push_str(&format!(
                "… and {} more; `--output json` has all\n",
                plan.quarantine.len() - SHOWN
            ));
        }
    }
    text
}

/// One line: what the plan comes to.
pub fn headline(sync: &Key, plan: &Plan) -> String {
    let mut parts: Vec<String> = plan
        .changes()
        .iter()
        .map(|(kind, count)| format!("{count} {}", kind.as_str()))
        .collect();
    if parts.is_empty() {
        parts.push("nothing to do".into());
    }
    let held: usize = plan.holds.iter().map(|hold| hold.count).sum();
    if held > 0 {
        parts.push(format!("{held} held"));
    }
    if !plan.quarantine.is_empty() {
        parts.push(format!("{} quarantined", plan.quarantine.len()));
    }
    format!(
        "DirectorySync {sync}: {} ({})",
        parts.join(", "),
        plan.digest()
    )
}

pub(super) fn row(plan: &Plan, operation: &Operation) -> Vec<String> {
    let details = details(operation);
    let peer = details.peer.map(|peer| {
        plan.name(&Anchor::from_text(&peer))
            .map_or(peer, str::to_owned)
    });
    let what = peer.unwrap_or_else(|| details.attributes.join(", "));
    let anchor = operation.anchor.to_string();
    let name = plan.name(&operation.anchor).unwrap_or(&anchor);
    vec![
        operation.change.kind().as_str().into(),
        operation.class.as_str().into(),
        shorten(name, 36),
        shorten(&what, 56),
    ]
}

struct Details {
    attributes: Vec<String>,
    peer: Option<String>,
}

fn details(operation: &Operation) -> Details {
    let (attributes, peer) = match &operation.change {
        Change::Create { values, .. } => (values.keys().cloned().collect(), None),
        Change::Restore { changes, .. }
        | Change::Adopt { changes, .. }
        | Change::Update { changes } => (changes.keys().cloned().collect(), None),
        Change::SetManager { manager } => (
            vec![],
            Some(
                manager
                    .as_ref()
                    .map_or_else(|| "none".into(), ToString::to_string),
            ),
        ),
        Change::AddMember { member } => (vec![], Some(member.to_string())),
        Change::RemoveMember { member } => (vec![], Some(member.to_string())),
        Change::Disable | Change::Delete => (vec![], None),
    };
    Details { attributes, peer }
}
