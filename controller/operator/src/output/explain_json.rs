//! An explanation for programs: everything, with the values as they are compared and sent.

use plumbline_engine::{
    configuration::Include,
    explain::{
        Attribute, AttributeState, Desired, Explanation, Leaving, Participation, Peer, Rule,
        Source, Verdict,
    },
    mapping::Mapped,
    operation::{Change, Operation},
    target::TargetObject,
};
use serde_json::{Value, json};

use super::page::hex;
use crate::world::Key;

/// The explanation as JSON.
pub fn json(sync: &Key, explanation: &Explanation) -> Value {
    let texts = |operations: &[Operation]| operations.iter().map(operation).collect::<Vec<_>>();
    json!({
        "sync": sync.to_string(),
        "class": explanation.class.map(plumbline_engine::entry::Class::as_str),
        "anchor": explanation.anchor.as_ref().map(ToString::to_string),
        "immutableId": explanation.anchor.as_ref().map(plumbline_engine::anchor::Anchor::immutable_id),
        "entry": explanation.entry.as_ref().map(|entry| json!({
            "connector": entry.connector,
            "dn": entry.dn,
            "alternate": entry.alternate.as_ref().map(ToString::to_string),
        })),
        "joined": explanation.joined.iter().map(|other| json!({
            "connector": other.entry.connector,
            "dn": other.entry.dn,
            "anchor": other.entry.anchor.as_ref().map(ToString::to_string),
            "takesPart": other.takes_part,
        })).collect::<Vec<_>>(),
        "participation": participation(&explanation.participation),
        "scopes": explanation.scopes.iter().map(|ruling| {
            let mut value = verdict(&ruling.verdict);
            value["scope"] = json!(ruling.scope);
            value
        }).collect::<Vec<_>>(),
        "attributes": explanation.attributes.iter().map(attribute).collect::<Vec<_>>(),
        "manager": explanation.manager.as_ref().map(|manager| json!({
            "attributes": manager.attributes,
            "named": manager.named.iter().map(peer).collect::<Vec<_>>(),
            "held": manager.held,
        })),
        "members": explanation.members.as_ref().map(|members| json!({
            "attributes": members.attributes,
            "named": members.named,
            "leftOut": members.left_out_count,
            "leftOutSample": members.left_out.iter().map(peer).collect::<Vec<_>>(),
            "held": members.held,
        })),
        "target": explanation.target.as_ref().map(|held| {
            let mut value = object(&held.object);
            value["live"] = json!(held.live);
            value["ours"] = json!(held.ours);
            value
        }),
        "candidates": explanation.candidates.iter().map(object).collect::<Vec<_>>(),
        "operations": texts(&explanation.operations),
        "mentions": texts(&explanation.mentions),
        "holds": explanation.holds.iter().map(|hold| json!({
            "class": hold.class.as_str(),
            "digest": hold.digest.to_string(),
            "message": hold.limit,
            "operations": texts(&hold.operations),
        })).collect::<Vec<_>>(),
        "quarantine": explanation.quarantine.as_ref().map(|quarantined| json!({
            "reason": quarantined.reason.as_str(),
            "message": quarantined.message,
            "since": quarantined.since.to_string(),
            "next": quarantined.reason.next_step(),
        })),
        "refusals": explanation.refusals.iter().map(|refused| json!({
            "operation": refused.operation,
            "reason": refused.reason.as_str(),
            "message": refused.message,
            "failures": refused.failures,
            "until": refused.until.to_string(),
        })).collect::<Vec<_>>(),
        "disabling": explanation.disabling,
        "drift": explanation.drift.as_ref().map(|drift| json!({
            "attributes": drift.attributes,
            "since": drift.since.to_string(),
        })),
        "leaving": explanation.leaving.as_ref().map(leaving),
        "absences": explanation.absences.iter().map(|absence| json!({
            "connector": absence.connector,
            "seenBefore": absence.seen_before,
            "firstAbsent": absence.first_absent.map(|at| at.to_string()),
            "lastAbsent": absence.last_absent.map(|at| at.to_string()),
            "searched": absence.searched.map(|at| at.to_string()),
            "tombstone": absence.tombstone,
            "requiresTombstone": absence.requires_tombstone,
        })).collect::<Vec<_>>(),
        "faults": explanation.faults.iter().map(|fault| json!({
            "scope": fault.scope, "reason": fault.reason.as_str(), "message": fault.message,
        })).collect::<Vec<_>>(),
    })
}

fn participation(participation: &Participation) -> Value {
    match participation {
        Participation::In { scope } => json!({"is": "in", "scope": scope}),
        Participation::Aside {
            scope,
            reason,
            message,
        } => json!({"is": "aside", "scope": scope, "reason": reason.as_str(), "message": message}),
        Participation::Unsupported => json!({"is": "unsupported"}),
        Participation::Out => json!({"is": "out"}),
        Participation::Container => json!({"is": "container"}),
        Participation::NotRead => json!({"is": "notRead"}),
        Participation::Absent => json!({"is": "absent"}),
    }
}

fn verdict(verdict: &Verdict) -> Value {
    let all = |of: &[Source]| of.iter().map(source).collect::<Vec<_>>();
    match verdict {
        Verdict::Taken { by } => json!({"verdict": "taken", "by": rule(by)}),
        Verdict::OtherClass { classes } => {
            json!({"verdict": "otherClass", "classes": classes.iter().map(|class| class.as_str()).collect::<Vec<_>>()})
        }
        Verdict::NotIncluded { rules } => {
            json!({"verdict": "notIncluded", "rules": rules.iter().map(rule).collect::<Vec<_>>()})
        }
        Verdict::Excluded { by } => json!({"verdict": "excluded", "by": rule(by)}),
        Verdict::ExcludedByDefault { rule } => {
            json!({"verdict": "excludedByDefault", "rule": rule})
        }
        Verdict::Filtered { filter, sources } => {
            json!({"verdict": "filtered", "filter": filter, "sources": all(sources)})
        }
        Verdict::WhenFalse {
            expression,
            sources,
        } => json!({"verdict": "whenFalse", "expression": expression, "sources": all(sources)}),
        Verdict::WhenFailed {
            expression,
            message,
            sources,
        } => {
            json!({"verdict": "whenFailed", "expression": expression, "message": message, "sources": all(sources)})
        }
        Verdict::NotRead => json!({"verdict": "notRead"}),
    }
}

fn rule(rule: &Rule) -> Value {
    let (kind, written) = match &rule.include {
        Include::Everything => ("everything", None),
        Include::OrganizationalUnit(written) => ("organizationalUnit", Some(written.to_string())),
        Include::Group(written) => ("group", Some(written.to_string())),
    };
    json!({"kind": kind, "written": written, "dn": rule.dn, "settled": rule.settled, "via": rule.via})
}

fn source(source: &Source) -> Value {
    let value = |value: &Vec<u8>| match std::str::from_utf8(value) {
        Ok(text) => json!(text),
        Err(_) => json!({"hex": hex(value)}),
    };
    json!({"attribute": source.attribute, "values": source.values.iter().map(value).collect::<Vec<_>>()})
}

fn attribute(attribute: &Attribute) -> Value {
    let mut text = json!({
        "name": attribute.name,
        "connector": attribute.connector,
        "expression": attribute.expression,
        "origin": attribute.origin.as_str(),
        "sources": attribute.sources.iter().map(source).collect::<Vec<_>>(),
        "held": attribute.held,
        "state": state(attribute.state),
    });
    match &attribute.desired {
        Desired::Mapped(Mapped::Value(value)) => text["desired"] = json!(value),
        Desired::Mapped(Mapped::Nothing) => text["desired"] = Value::Null,
        Desired::Mapped(Mapped::Kept) => text["leftAlone"] = json!("kept"),
        Desired::Mapped(Mapped::NotClearable) => text["leftAlone"] = json!("notClearable"),
        Desired::Fault(fault) => {
            text["fault"] = json!({"reason": fault.reason.as_str(), "message": fault.message});
        }
        Desired::Omitted => text["leftAlone"] = json!("omitted"),
        Desired::Companion => text["leftAlone"] = json!("companion"),
    }
    if let Some(planned) = &attribute.planned {
        text["planned"] = json!(planned);
    }
    text
}

fn state(state: AttributeState) -> Value {
    match state {
        AttributeState::InStep => json!("inStep"),
        AttributeState::Planned(kind) => json!({"planned": kind.as_str()}),
        AttributeState::Held => json!("held"),
        AttributeState::Rewritten => json!("rewritten"),
        AttributeState::Drifted => json!("drifted"),
        AttributeState::LeftAlone => json!("leftAlone"),
        AttributeState::Waits => json!("waits"),
    }
}

fn peer(peer: &Peer) -> Value {
    json!({"dn": peer.dn, "anchor": peer.anchor.as_ref().map(ToString::to_string), "takesPart": peer.takes_part})
}

fn object(object: &TargetObject) -> Value {
    json!({
        "id": object.id.to_string(),
        "mark": object.mark.as_ref().map(ToString::to_string),
        "immutableId": object.immutable_id,
        "attributes": object.attributes,
    })
}

fn operation(operation: &Operation) -> Value {
    let mut value = json!({
        "operation": operation.change.kind().as_str(),
        "class": operation.class.as_str(),
        "anchor": operation.anchor.to_string(),
        "target": operation.target.as_ref().map(ToString::to_string),
    });
    match &operation.change {
        Change::Create { values, .. } => value["values"] = json!(values),
        Change::Restore { changes, .. }
        | Change::Adopt { changes, .. }
        | Change::Update { changes } => value["values"] = json!(changes),
        Change::SetManager { manager } => {
            value["peer"] = json!(manager.as_ref().map(ToString::to_string));
        }
        Change::AddMember { member } => value["peer"] = json!(member.to_string()),
        Change::RemoveMember { member } => value["peer"] = json!(member.to_string()),
        Change::Disable | Change::Delete => {}
    }
    value
}

fn leaving(leaving: &Leaving) -> Value {
    match leaving {
        Leaving::Leaves => json!({"is": "leaves"}),
        Leaving::Done => json!({"is": "done"}),
        Leaving::Unproven { missing, wake } => {
            json!({"is": "unproven", "missing": missing, "wake": wake.map(|at| at.to_string())})
        }
        Leaving::Unsettled => json!({"is": "unsettled"}),
        Leaving::Kept => json!({"is": "kept"}),
    }
}
