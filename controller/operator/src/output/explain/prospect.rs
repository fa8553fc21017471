//! What would be done, what withholds it, and why an object stays although nobody who takes part has it.

use plumbline_engine::{
    explain::{Explanation, Leaving, Participation},
    operation::{Change, Operation},
};

use super::{COLUMN, VALUES};
use crate::output::page::{Page, plain};

/// How many operations of others are shown.
const MENTIONS: usize = 20;

pub(super) fn work(page: &mut Page, explanation: &Explanation) {
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

pub(super) fn obstacles(page: &mut Page, explanation: &Explanation) {
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
