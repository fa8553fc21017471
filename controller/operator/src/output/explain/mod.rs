//! An explanation for people: first the verdict in one sentence, then why, what would be done, what stands in the way and the next step,
//! and last every attribute with where it comes from.

use plumbline_engine::{
    anchor::Anchor,
    explain::{Explanation, Leaving, Participation, Peer},
    target::{TargetObject, Value},
};

use super::{
    page::{Page, plain},
    table::table,
};
use crate::world::Key;

mod attribute;
mod prospect;
mod rules;

/// The widest label, and two blanks.
const COLUMN: usize = 12;
/// How many values of one source attribute are shown.
const VALUES: usize = 5;
/// The whole explanation.
pub fn text(sync: &Key, explanation: &Explanation) -> String {
    let mut page = Page::default();
    page.line(
        0,
        &format!("DirectorySync {sync}: {}", headline(explanation)),
    );
    identity(&mut page, explanation);
    rules::scopes(&mut page, explanation);
    prospect::work(&mut page, explanation);
    prospect::obstacles(&mut page, explanation);
    links(&mut page, explanation);
    attribute::attributes(&mut page, explanation);
    page.finish()
}

/// What is said where nothing fits the question.
pub fn nothing(sync: &Key, object: &str) -> String {
    let mut page = Page::default();
    let object = plain(object);
    page.line(
        0,
        &format!("DirectorySync {sync}: nothing is known of `{object}`"),
    );
    page.line(
        2,
        "It was looked for among the entries of the connectors that this sync reads (by DN, anchor, mail and userPrincipalName) and among \
         the objects at the tenant that bear its mark, deleted ones included.",
    );
    page.line(
        2,
        "Next: check the spelling; look whether the entry lies below the connector's `baseDN` and whether the bind account may read it; \
         an entry that is gone from the directory is found by its anchor (`onPremisesImmutableId` at the tenant) or sign-in name.",
    );
    page.finish()
}

/// What is said where several objects fit the question.
pub fn several(sync: &Key, object: &str, all: &[Explanation]) -> String {
    let mut page = Page::default();
    let object = plain(object);
    page.line(
        0,
        &format!("DirectorySync {sync}: {} objects fit `{object}`", all.len()),
    );
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            let anchor = one.anchor.as_ref().map(ToString::to_string);
            let entry = one.entry.as_ref();
            let target = one.target.as_ref();
            vec![
                entry.map_or_else(|| "tenant only".to_owned(), |entry| entry.connector.clone()),
                anchor.unwrap_or_default(),
                match (entry, target) {
                    (Some(entry), _) => plain(&entry.dn),
                    (None, Some(held)) => name(&held.object),
                    (None, None) => String::new(),
                },
            ]
        })
        .collect();
    let mut text = page.finish();
    text.push_str(&table(&["CONNECTOR", "ANCHOR", "OBJECT"], &rows));
    text.push_str("Next: ask for one of them by its DN; the same DN in two connectors, by `directoryconnector/NAME`\n");
    text
}

fn headline(explanation: &Explanation) -> String {
    let planned = match explanation.operations.as_slice() {
        [] if !explanation.holds.is_empty() => "what would be done is held".to_owned(),
        [] if explanation.quarantine.is_some() => "it waits in quarantine".to_owned(),
        [] if explanation.target.is_none() => "it is not made for now, see below".to_owned(),
        [] => "nothing is to be done".to_owned(),
        operations => {
            let mut words: Vec<&str> = operations
                .iter()
                .map(|one| one.change.kind().as_str())
                .collect();
            words.dedup();
            format!("the plan has: {}", words.join(", "))
        }
    };
    match &explanation.participation {
        Participation::In { scope } => format!("in, by SyncScope `{scope}`; {planned}"),
        Participation::Aside {
            scope: Some(scope),
            reason,
            ..
        } => format!("in, by SyncScope `{scope}`, and set aside: {reason}"),
        Participation::Aside { reason, .. } => format!("set aside: {reason}"),
        Participation::Unsupported => {
            "in scope, but the tenant cannot hold such an object by this channel; it is only counted".to_owned()
        }
        Participation::Out => match &explanation.leaving {
            None => "out: no scope takes it, and the tenant has no object of ours for it".to_owned(),
            Some(Leaving::Leaves) => format!("out: no scope takes it, so it leaves; {planned}"),
            Some(Leaving::Done) => "out: no scope takes it, and it has left already".to_owned(),
            Some(_) => "out: no scope takes it; for now its object stays as it is".to_owned(),
        },
        Participation::Container => {
            "out: it only holds other entries, and such ones are never synchronised".to_owned()
        }
        Participation::NotRead => {
            "not known yet: its connector was not read to its end".to_owned()
        }
        Participation::Absent => match &explanation.leaving {
            Some(Leaving::Leaves) => format!("gone: no connector has it; {planned}"),
            Some(Leaving::Done) => "gone: no connector has it, and it has left already".to_owned(),
            Some(_) => "no connector has it, and nothing proves yet that it is gone; its object stays as it is".to_owned(),
            None => "no connector has it; its object is among the deleted items".to_owned(),
        },
    }
}

fn identity(page: &mut Page, explanation: &Explanation) {
    page.heading(&match explanation.class {
        Some(class) => class.as_str().to_uppercase(),
        None => "ENTRY".to_owned(),
    });
    if let Some(entry) = &explanation.entry {
        page.field(2, "entry", COLUMN, &plain(&entry.dn));
        page.field(2, "connector", COLUMN, &entry.connector);
    }
    if let Some(anchor) = &explanation.anchor {
        page.field(2, "anchor", COLUMN, &spelled(anchor));
    }
    let alternate = explanation
        .entry
        .as_ref()
        .and_then(|entry| entry.alternate.as_ref());
    if let Some(alternate) = alternate {
        page.field(2, "alternate", COLUMN, &spelled(alternate));
    }
    for other in &explanation.joined {
        let part = if other.takes_part {
            ""
        } else {
            ", which is in no scope"
        };
        let dn = plain(&other.entry.dn);
        let text = format!("{dn} of connector `{}`{part}", other.entry.connector);
        page.field(2, "joined to", COLUMN, &text);
    }
    match &explanation.target {
        None => page.field(2, "tenant", COLUMN, "has no object for it"),
        Some(held) => {
            let place = match (held.live, held.ours) {
                (false, _) => "among the deleted items",
                (true, true) => "bears our mark",
                (true, false) => "does not bear our mark yet",
            };
            page.field(
                2,
                "tenant",
                COLUMN,
                &format!("{}, {place}", name(&held.object)),
            );
        }
    }
    for object in &explanation.candidates {
        page.field(2, "may be", COLUMN, &name(object));
    }
}

fn spelled(anchor: &Anchor) -> String {
    let (text, immutable) = (anchor.to_string(), anchor.immutable_id());
    if text == immutable {
        return plain(&text);
    }
    format!("{text}, as onPremisesImmutableId {immutable}")
}

/// What people call an object, and its id.
fn name(object: &TargetObject) -> String {
    let names = ["userPrincipalName", "displayName"];
    let called = names
        .iter()
        .find_map(|name| match object.attributes.get(*name) {
            Some(Value::Text(text)) => Some(plain(text)),
            _ => None,
        });
    match called {
        Some(called) => format!("{called} (id {})", object.id),
        None => format!("id {}", object.id),
    }
}

fn links(page: &mut Page, explanation: &Explanation) {
    if let Some(manager) = explanation
        .manager
        .as_ref()
        .filter(|manager| !manager.named.is_empty() || manager.held.is_some())
    {
        page.heading("MANAGER");
        page.line(2, &format!("from {}", manager.attributes.join(" and ")));
        manager
            .named
            .iter()
            .for_each(|one| page.line(4, &peer(one)));
        let held = manager.held.as_deref().unwrap_or("none");
        page.field(2, "tenant", COLUMN, held);
    }
    let Some(members) = &explanation.members else {
        return;
    };
    page.heading("MEMBERS");
    let held = members
        .held
        .map_or_else(|| "not known".to_owned(), |held| held.to_string());
    page.line(
        2,
        &format!(
            "{} named by {}, {} of them take no part; {held} at the tenant",
            members.named,
            members.attributes.join(" and "),
            members.left_out_count
        ),
    );
    members
        .left_out
        .iter()
        .for_each(|one| page.line(4, &peer(one)));
    if members.left_out_count > members.left_out.len() {
        page.line(
            4,
            &format!(
                "… and {} more",
                members.left_out_count - members.left_out.len()
            ),
        );
    }
}

fn peer(peer: &Peer) -> String {
    let part = if peer.takes_part {
        "takes part"
    } else {
        "takes no part; ask about it"
    };
    format!("{} ({part})", plain(&peer.dn))
}
