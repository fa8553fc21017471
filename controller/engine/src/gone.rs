//! Gone needs evidence: a paged read is no snapshot, a lagging server and a lost right look like absence.
//!
//! An object is gone when (a) a tombstone names it, or the feed does and a search by its anchor finds nothing, or (b) it was absent from two complete reads that began at least
//! `confirm_absence` apart, and since the first of them a search by its anchor found nothing. Where tombstones can be read, (a) is
//! required. A read counts only if the scopes of its connector were settled. An object of which no memory says where it lived must
//! be proven absent from every connector of the sync.

use jiff::{SignedDuration, Timestamp};

use crate::{
    anchor::Anchor,
    configuration::ConnectorSettings,
    fault::{Fault, planted},
    memory::{Absence, Memory},
    port::Sighting,
    space::{ConnectorSpace, Doubt, Spaces, Swept},
};

/// What is known of an object that no connector has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Gone,
    /// The evidence is not complete; when more may be known, and what is missing.
    Unproven {
        wake: Option<Timestamp>,
        missing: String,
    },
}

/// Entries left a connector. With `named` the feed itself named them as gone, and a search at that time found nothing.
pub(crate) fn left(
    memory: &mut Memory,
    connector: &str,
    swept: Vec<Swept>,
    searched: Option<(Doubt, Timestamp)>,
) {
    let absences = memory.absences.entry(connector.to_owned()).or_default();
    for swept in swept {
        // The mark may bear either name.
        let names = [Some(swept.anchor), swept.alternate];
        for (at, name) in names.iter().enumerate() {
            let Some(name) = name else { continue };
            let absence = Absence {
                alternate: names[1 - at].clone(),
                home: true,
                first: None,
                last: None,
                searched: searched.map(|(_, at)| at),
                named: searched
                    .is_some_and(|(doubt, _)| doubt.named || planted(Fault::DoubtIsGone)),
            };
            absences.insert(name.clone(), absence);
        }
    }
}

/// A complete read with settled scopes came to its end: whoever is absent was absent from it.
pub(crate) fn read_ended(memory: &mut Memory, connector: &str, began: Timestamp) {
    let absences = memory.absences.get_mut(connector);
    for absence in absences
        .into_iter()
        .flat_map(|absences| absences.values_mut())
    {
        absence.first.get_or_insert(began);
        absence.last = Some(began);
    }
}

/// An entry with this anchor or alternate was read or found.
pub(crate) fn seen(memory: &mut Memory, connector: &str, name: &Anchor) {
    if let Some(absences) = memory.absences.get_mut(connector) {
        absences.remove(name);
    }
    memory.partings.forget(name);
    memory.anchor_changes.retain(|_, old| old != name);
}

/// The answer to a doubt. Found means that it only hides from the read: the evidence starts anew.
pub(crate) fn searched(memory: &mut Memory, connector: &str, sighting: &Sighting, at: Timestamp) {
    let absence = memory
        .absences
        .get_mut(connector)
        .and_then(|absences| absences.get_mut(&sighting.anchor));
    if let Some(absence) = absence {
        if sighting.found {
            (absence.first, absence.last, absence.searched) = (None, None, None);
            absence.named = false;
        } else {
            absence.searched = Some(at);
        }
    }
}

/// Our object at the target is in no connector: starts the record where there is none, for example after the memory was lost.
/// `began` is when the last read that counts began.
pub(crate) fn note(
    memory: &mut Memory,
    connector: &str,
    anchor: &Anchor,
    began: Option<Timestamp>,
) {
    let absences = memory.absences.entry(connector.to_owned()).or_default();
    absences.entry(anchor.clone()).or_insert(Absence {
        alternate: None,
        home: false,
        first: began,
        last: began,
        searched: None,
        named: false,
    });
}

/// Absence alone is no evidence, for the account can read tombstones.
fn requires_tombstones(space: &ConnectorSpace) -> bool {
    space.requires_tombstones && !planted(Fault::TombstonesNotRequired)
}

/// Whether a search by anchor would complete the evidence.
pub(crate) fn doubtful(
    absence: &Absence,
    space: &ConnectorSpace,
    settings: &ConnectorSettings,
    now: Timestamp,
) -> bool {
    let (Some(first), false) = (absence.first, requires_tombstones(space)) else {
        return false;
    };
    now >= later(first, settings) && absence.searched.is_none_or(|at| at < first)
}

fn space<'a>(spaces: &'a Spaces, settings: &ConnectorSettings) -> Option<&'a ConnectorSpace> {
    spaces.connector(spaces.find(&settings.name)?)
}

/// Judges an anchor that no connector has. All connectors have been read completely.
pub(crate) fn judge(
    memory: &Memory,
    spaces: &Spaces,
    connectors: &[ConnectorSettings],
    anchor: &Anchor,
) -> Verdict {
    let records: Vec<(&ConnectorSettings, Option<&Absence>)> = connectors
        .iter()
        .map(|settings| {
            let absences = memory.absences.get(&settings.name);
            (settings, absences.and_then(|absences| absences.get(anchor)))
        })
        .collect();
    let tombstoned = records.iter().any(|(settings, absence)| {
        // The tombstone of an earlier bearer of the anchor proves nothing of who came back with it.
        let own = absence.and_then(|absence| absence.alternate.as_ref());
        space(spaces, settings).is_some_and(|space| space.tombstoned(own.unwrap_or(anchor)))
    });
    if tombstoned || (planted(Fault::MissingReadIsEmpty) && !connectors.is_empty()) {
        return Verdict::Gone;
    }
    let known = records
        .iter()
        .any(|(_, absence)| absence.is_some_and(|absence| absence.home));
    let mut judged = 0;
    for (settings, absence) in records {
        if known && !absence.is_some_and(|absence| absence.home) {
            continue;
        }
        judged += 1;
        let requires = space(spaces, settings).is_none_or(requires_tombstones);
        if let Some(verdict) = unproven(settings, absence, requires) {
            return verdict;
        }
    }
    if judged == 0 {
        return Verdict::Unproven {
            wake: None,
            missing: "no connector is left that could tell".to_owned(),
        };
    }
    Verdict::Gone
}

fn unproven(
    settings: &ConnectorSettings,
    absence: Option<&Absence>,
    requires_tombstone: bool,
) -> Option<Verdict> {
    let name = &settings.name;
    let unproven = |wake, missing| Some(Verdict::Unproven { wake, missing });
    if requires_tombstone {
        return unproven(
            None,
            format!(
                "`{name}` can read tombstones and none names it: it was moved out of sight or hidden"
            ),
        );
    }
    if absence.is_some_and(|absence| absence.named && absence.searched.is_some()) {
        return None;
    }
    let Some((absence, first)) = absence.and_then(|absence| Some((absence, absence.first?))) else {
        return unproven(
            None,
            format!("no complete read of `{name}` with settled scopes says so yet"),
        );
    };
    let due = later(first, settings);
    if absence.last.is_none_or(|last| last < due) {
        return unproven(
            Some(due),
            format!(
                "absent from `{name}` since {first}; a complete read that begins at {due} or later must confirm it"
            ),
        );
    }
    if absence.searched.is_none_or(|at| at < first) {
        return unproven(
            None,
            format!("absent from `{name}` since {first}; a search by its anchor must confirm it"),
        );
    }
    None
}

fn later(first: Timestamp, settings: &ConnectorSettings) -> Timestamp {
    SignedDuration::try_from(settings.confirm_absence)
        .ok()
        .and_then(|delay| first.checked_add(delay).ok())
        .unwrap_or(Timestamp::MAX)
}
