//! An explanation for people: first the verdict in one sentence, then why, what would be done, what stands in the way and the next step,
//! and last every attribute with where it comes from.

use plumbline_engine::{
    anchor::Anchor,
    configuration::Include,
    entry::Class,
    explain::{
        Attribute, AttributeState, Desired, Explanation, Leaving, Participation, Peer, Rule,
        Source, Verdict,
    },
    mapping::{Mapped, Origin},
    operation::{Change, Operation},
    target::{TargetObject, Value},
};

use super::{
    page::{Page, hex, plain},
    table::table,
};
use crate::world::Key;

/// The widest label, and two blanks.
const COLUMN: usize = 12;
/// How many values of one source attribute are shown.
const VALUES: usize = 5;
/// How many operations of others are shown.
const MENTIONS: usize = 20;

/// The whole explanation.
pub fn text(sync: &Key, explanation: &Explanation) -> String {
    let mut page = Page::default();
    page.line(
        0,
        &format!("DirectorySync {sync}: {}", headline(explanation)),
    );
    identity(&mut page, explanation);
    scopes(&mut page, explanation);
    work(&mut page, explanation);
    obstacles(&mut page, explanation);
    links(&mut page, explanation);
    attributes(&mut page, explanation);
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

fn scopes(page: &mut Page, explanation: &Explanation) {
    if explanation.scopes.is_empty() && explanation.faults.is_empty() {
        return;
    }
    page.heading("SCOPES");
    for ruling in &explanation.scopes {
        let (word, why, sources) = verdict(explanation.class, &ruling.verdict);
        page.line(2, &format!("{}: {word}, {why}", ruling.scope));
        sources
            .iter()
            .for_each(|source| page.line(6, &values(source)));
    }
    for fault in &explanation.faults {
        page.line(
            2,
            &format!(
                "{}: {}: {}",
                fault.scope,
                fault.reason,
                plain(&fault.message)
            ),
        );
    }
}

fn verdict(class: Option<Class>, verdict: &Verdict) -> (&'static str, String, Vec<Source>) {
    let out = |why: String| ("out", why, Vec::new());
    match verdict {
        Verdict::Taken { by } => ("in", rule(by), Vec::new()),
        Verdict::OtherClass { classes } => {
            let classes: Vec<&str> = classes.iter().map(|class| class.as_str()).collect();
            let class = class.map_or("entry", Class::as_str);
            out(format!(
                "it is a {class} and `spec.classes` has only {}",
                classes.join(", ")
            ))
        }
        Verdict::NotIncluded { rules } => {
            let rules: Vec<String> = rules.iter().map(not_in).collect();
            out(format!(
                "no rule of `spec.include` holds: {}",
                rules.join("; ")
            ))
        }
        Verdict::Excluded { by } => out(format!("`spec.exclude` keeps it out: {}", rule(by))),
        Verdict::ExcludedByDefault { rule } => out(format!(
            "it is {rule}, and such entries are never synchronised (docs/reference/mappings.md)"
        )),
        Verdict::Filtered { filter, sources } => (
            "out",
            format!("`spec.filter` does not hold: {}", plain(filter)),
            sources.clone(),
        ),
        Verdict::WhenFalse {
            expression,
            sources,
        } => (
            "out",
            format!("`spec.when` is false: {}", plain(expression)),
            sources.clone(),
        ),
        Verdict::WhenFailed {
            expression,
            message,
            sources,
        } => (
            "undecided",
            format!("`spec.when` failed: {message}: {}", plain(expression)),
            sources.clone(),
        ),
        Verdict::NotRead => (
            "undecided",
            "its connector was not read to its end".to_owned(),
            Vec::new(),
        ),
    }
}

/// What a rule that holds says.
fn rule(rule: &Rule) -> String {
    let other = |dn: &&String| rule.dn.as_ref() != Some(dn);
    let via: Vec<String> = rule
        .via
        .iter()
        .filter(other)
        .map(|dn| format!("`{}`", plain(dn)))
        .collect();
    let via = if via.is_empty() {
        String::new()
    } else {
        format!(", by way of {}", via.join(" and "))
    };
    match &rule.include {
        Include::Everything => "everything is included".to_owned(),
        Include::OrganizationalUnit(_) => format!("it lies below {}", place(rule)),
        Include::Group(_) => format!("it is a member of {}{via}", place(rule)),
    }
}

fn not_in(rule: &Rule) -> String {
    let unsettled = if rule.settled {
        ""
    } else {
        " (which was not found)"
    };
    match &rule.include {
        Include::Everything => "everything".to_owned(),
        Include::OrganizationalUnit(_) => format!("it is not below {}{unsettled}", place(rule)),
        Include::Group(_) => format!("it is no member of {}{unsettled}", place(rule)),
    }
}

fn place(rule: &Rule) -> String {
    let written = match &rule.include {
        Include::Everything => String::new(),
        Include::OrganizationalUnit(written) | Include::Group(written) => written.to_string(),
    };
    format!("`{}`", plain(rule.dn.as_ref().unwrap_or(&written)))
}

fn values(source: &Source) -> String {
    if source.values.is_empty() {
        return format!("with {} absent", source.attribute);
    }
    let shown: Vec<String> = (source.values.iter().take(VALUES))
        .map(|value| bytes(value))
        .collect();
    let more = source.values.len().saturating_sub(VALUES);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("with {} = {}{more}", source.attribute, shown.join(", "))
}

fn bytes(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => format!("'{}'", plain(text)),
        Err(_) => format!("hex {}", hex(value)),
    }
}

fn work(page: &mut Page, explanation: &Explanation) {
    if !explanation.operations.is_empty() || !explanation.mentions.is_empty() {
        page.heading("WOULD BE DONE");
    }
    for operation in &explanation.operations {
        page.line(2, &done(operation));
    }
    for operation in explanation.mentions.iter().take(MENTIONS) {
        let anchor = &operation.anchor;
        page.line(
            2,
            &format!(
                "{} in {} {anchor}",
                operation.change.kind().as_str(),
                operation.class.as_str()
            ),
        );
    }
    let more = explanation.mentions.len().saturating_sub(MENTIONS);
    if more > 0 {
        page.line(2, &format!("… and {more} more; `--output json` has all"));
    }
}

fn done(operation: &Operation) -> String {
    let names: Vec<&str> = match &operation.change {
        Change::Create { values, .. } => values.keys().map(String::as_str).collect(),
        Change::Restore { changes, .. }
        | Change::Adopt { changes, .. }
        | Change::Update { changes } => changes.keys().map(String::as_str).collect(),
        Change::SetManager { manager } => {
            let manager = manager
                .as_ref()
                .map_or_else(|| "none".to_owned(), ToString::to_string);
            return format!("setManager {manager}");
        }
        Change::AddMember { member } => return format!("addMember {member}"),
        Change::RemoveMember { member } => return format!("removeMember {member}"),
        Change::Disable => return "disable: block sign-in and revoke the sessions".to_owned(),
        Change::Delete => return "delete".to_owned(),
    };
    format!("{} {}", operation.change.kind().as_str(), names.join(", "))
}

fn obstacles(page: &mut Page, explanation: &Explanation) {
    for hold in &explanation.holds {
        page.heading("HELD BY THE GUARD");
        let mut words: Vec<String> = hold.operations.iter().map(done).collect();
        words.dedup();
        words
            .iter()
            .take(VALUES)
            .for_each(|word| page.line(2, word));
        page.line(2, &plain(&hold.limit));
        page.field(2, "digest", COLUMN, &hold.digest.to_string());
        page.field(2, "next", COLUMN, "if the whole hold is meant, add the digest to `spec.guard.approved` of the DirectorySync; else mend the source");
    }
    if let Some(quarantined) = &explanation.quarantine {
        page.heading(&format!("IN QUARANTINE: {}", quarantined.reason));
        page.line(2, &plain(&quarantined.message));
        page.field(2, "since", COLUMN, &format!("{:.0}", quarantined.since));
        page.field(2, "next", COLUMN, quarantined.reason.next_step());
    } else if let Participation::Aside {
        reason, message, ..
    } = &explanation.participation
    {
        page.heading(&format!("IN QUARANTINE: {reason}"));
        page.line(2, &plain(message));
        page.field(2, "next", COLUMN, reason.next_step());
    }
    if !explanation.refusals.is_empty() || explanation.disabling {
        page.heading("LAST SENT");
    }
    for refusal in &explanation.refusals {
        page.line(
            2,
            &format!(
                "{}: refused {} times, {}: {}; again at {:.0}",
                refusal.operation,
                refusal.failures,
                refusal.reason,
                plain(&refusal.message),
                refusal.until
            ),
        );
    }
    if explanation.disabling {
        page.line(
            2,
            "disable: sent, and not reported done; it is sent again until it is",
        );
    }
    if let Some(drift) = &explanation.drift {
        page.heading("CHANGED AT THE TENANT");
        let what = match drift.attributes.as_slice() {
            [] => "the object itself".to_owned(),
            names => names.join(", "),
        };
        page.line(
            2,
            &format!(
                "{what}, since {:.0}; `driftPolicy: Report` leaves it",
                drift.since
            ),
        );
    }
    leaving(page, explanation);
}

/// Why an object stays although nobody who takes part has it, and what is known of its absence.
fn leaving(page: &mut Page, explanation: &Explanation) {
    let stays = match &explanation.leaving {
        Some(Leaving::Unsettled) => {
            "a scope is unsettled, or a directory was not read to its end; nobody leaves while that is so"
        }
        Some(Leaving::Kept) => "an entry that is set aside, or whose anchor has changed, keeps it",
        _ => "",
    };
    if !stays.is_empty() {
        page.heading("WHY ITS OBJECT STAYS");
        page.line(2, stays);
    }
    if explanation.absences.is_empty() {
        return;
    }
    page.heading("EVIDENCE OF ABSENCE");
    for absence in &explanation.absences {
        let time = |at: Option<jiff::Timestamp>| {
            at.map_or_else(|| "never".to_owned(), |at| format!("{at:.0}"))
        };
        let known = if absence.seen_before {
            "was there before"
        } else {
            "never seen there"
        };
        let tombstone = match (absence.tombstone, absence.requires_tombstone) {
            (true, _) => "a tombstone names it",
            (false, true) => "no tombstone names it, and the account could read one",
            (false, false) => "no tombstones can be read",
        };
        page.line(
            2,
            &format!(
                "{}: {known}; absent from complete reads of {} and {}; searched by its anchor: {}; {tombstone}",
                absence.connector,
                time(absence.first_absent),
                time(absence.last_absent),
                time(absence.searched),
            ),
        );
    }
    if let Some(Leaving::Unproven { wake: Some(at), .. }) = &explanation.leaving {
        page.line(2, &format!("more may be known at {at:.0}"));
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

fn attributes(page: &mut Page, explanation: &Explanation) {
    let all = &explanation.attributes;
    let shown: Vec<&Attribute> = all.iter().filter(|one| says_something(one)).collect();
    if all.is_empty() {
        return;
    }
    page.heading("ATTRIBUTES");
    for attribute in &shown {
        one_attribute(page, attribute, explanation.target.is_some());
    }
    if all.len() > shown.len() {
        page.line(
            2,
            &format!(
                "{} more have no value on either side; `--output json` has all",
                all.len() - shown.len()
            ),
        );
    }
}

fn says_something(attribute: &Attribute) -> bool {
    let empty = matches!(
        attribute.desired,
        Desired::Mapped(Mapped::Nothing | Mapped::NotClearable)
    );
    !empty || attribute.held.is_some() || attribute.planned.is_some()
}

fn one_attribute(page: &mut Page, attribute: &Attribute, exists: bool) {
    let desired = match &attribute.desired {
        Desired::Mapped(Mapped::Value(one)) => value(one),
        Desired::Mapped(Mapped::Nothing) => "no value".to_owned(),
        Desired::Mapped(Mapped::Kept) => "left alone by keep()".to_owned(),
        Desired::Mapped(Mapped::NotClearable) => {
            "no value, which the target cannot take".to_owned()
        }
        Desired::Fault(fault) => format!("{}: {}", fault.reason, plain(&fault.message)),
        Desired::Omitted => "omitted".to_owned(),
        Desired::Companion => "sent along as it is".to_owned(),
    };
    let state = match attribute.state {
        AttributeState::InStep => "in step".to_owned(),
        AttributeState::Planned(kind) => format!("to be sent: {}", kind.as_str()),
        AttributeState::Held => "held by the guard".to_owned(),
        AttributeState::Rewritten => "was sent; the tenant made another value of it".to_owned(),
        AttributeState::Drifted => "changed at the tenant; left".to_owned(),
        AttributeState::LeftAlone => "never sent".to_owned(),
        AttributeState::Waits => "waits".to_owned(),
    };
    page.field(
        2,
        &format!("{}  ", attribute.name),
        28,
        &format!("{desired}  ({state})"),
    );
    if exists && attribute.state != AttributeState::InStep {
        let held = attribute
            .held
            .as_ref()
            .map_or_else(|| "no value".to_owned(), value);
        page.line(6, &format!("tenant has {held}"));
    }
    if !attribute.expression.is_empty() {
        let origin = match attribute.origin {
            Origin::Default => "default mapping",
            Origin::Sync => "`spec.mapping`",
            Origin::Scope => "`spec.scopes[].mapping`",
            Origin::Omitted => "omitted",
        };
        let of = attribute.connector.as_ref();
        let of = of.map_or_else(String::new, |connector| {
            format!(" of connector `{connector}`")
        });
        page.line(
            6,
            &format!("from {} ({origin}{of})", plain(&attribute.expression)),
        );
        attribute
            .sources
            .iter()
            .for_each(|source| page.line(6, &values(source)));
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Text(text) => format!("'{}'", plain(text)),
        Value::List(list) => {
            let all: Vec<String> = list
                .iter()
                .map(|text| format!("'{}'", plain(text)))
                .collect();
            format!("[{}]", all.join(", "))
        }
    }
}
