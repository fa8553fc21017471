//! Leavers: our objects at the target that no identity has. Leaving needs certainty: the entry was read and is in no scope, or it is
//! proven gone. Everything else is left alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    configuration::{Configuration, Deprovision},
    connector_space::ConnectorSpace,
    entry::Class,
    fault::{Fault, planted},
    gone::{Verdict, judge, note},
    identity::Reading,
    memory::Memory,
    operation::{Change, Operation},
    quarantine::Quarantined,
    reason::Reason,
    target::{TargetId, TargetObject, Value},
};

/// What leaves.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    pub(crate) operations: Vec<Operation>,
    /// Leavers, those with nothing left to do included.
    pub(crate) objects: BTreeSet<TargetId>,
    pub(crate) quarantine: Vec<Quarantined>,
    /// When more may be known about an absence.
    pub(crate) wake: Option<Timestamp>,
}

/// What leaving is decided by.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) spaces: &'a BTreeMap<String, ConnectorSpace>,
    pub(crate) readings: &'a BTreeMap<&'a str, Reading<'a>>,
}

impl Sources<'_> {
    /// No connector has an entry of this name.
    pub(crate) fn absent(&self, name: &Anchor) -> bool {
        self.readings
            .values()
            .all(|reading| reading.index.by_name(name).is_empty())
    }

    /// Every connector of the sync has been read completely, and no scope is unsettled.
    fn tells_absence(&self) -> bool {
        if planted(Fault::MissingReadIsEmpty) {
            return true;
        }
        let read = |name: &String| {
            self.readings
                .get(name.as_str())
                .is_some_and(|reading| reading.space.complete().is_some())
        };
        (self.configuration.connectors.iter()).all(|settings| read(&settings.name))
            && self.scopes_settled()
    }

    fn scopes_settled(&self) -> bool {
        planted(Fault::UnresolvedScopeLeaves) || !self.readings.values().any(Reading::faulted)
    }
}

/// Judges our objects that no identity has and nothing keeps.
pub(crate) fn leaving<'v>(
    objects: impl Iterator<Item = (&'v Anchor, &'v TargetObject)>,
    sources: &Sources<'_>,
    memory: &mut Memory,
    now: Timestamp,
) -> Leaving {
    let mut leaving = Leaving::default();
    for (anchor, object) in objects {
        let unfinished = memory.disabling.contains(anchor);
        let change = farewell(object, unfinished, sources.configuration);
        let homes: Vec<&Reading<'_>> = sources
            .readings
            .values()
            .filter(|reading| !reading.index.by_name(anchor).is_empty())
            .collect();
        let gone = if homes.is_empty() {
            if !sources.tells_absence() {
                continue;
            }
            match absence(anchor, sources, memory) {
                Verdict::Gone => true,
                Verdict::Unproven { wake, missing } => {
                    leaving.wake = leaving.wake.into_iter().chain(wake).min();
                    if change.is_some() {
                        leaving
                            .quarantine
                            .push(unproven(anchor, object, &missing, now));
                    }
                    false
                }
            }
        } else {
            // Still read, and in no scope.
            homes.iter().all(|home| home.space.settled())
                && (homes.iter().all(|home| !home.faulted())
                    || planted(Fault::UnresolvedScopeLeaves))
        };
        if !gone {
            continue;
        }
        leaving.objects.insert(object.id.clone());
        leaving.operations.extend(change.map(|change| Operation {
            class: object.class,
            anchor: anchor.clone(),
            target: Some(object.id.clone()),
            change,
        }));
    }
    leaving
}

/// What is done to an object whose entry left; `None` when it is as it should be already. `unfinished`: sessions may still live.
fn farewell(
    object: &TargetObject,
    unfinished: bool,
    configuration: &Configuration,
) -> Option<Change> {
    let enabled = configuration.capabilities.enabled;
    match (object.class, configuration.deprovision_user) {
        (Class::User, Deprovision::Disable) => {
            let disabled = object.attributes.get(enabled) == Some(&Value::Flag(false));
            (!disabled || unfinished).then_some(Change::Disable)
        }
        _ => Some(Change::Delete),
    }
}

fn absence(anchor: &Anchor, sources: &Sources<'_>, memory: &mut Memory) -> Verdict {
    for settings in &sources.configuration.connectors {
        // A read that counts: complete, with every scope of the sync settled.
        let began = sources
            .spaces
            .get(&settings.name)
            .and_then(ConnectorSpace::complete);
        note(memory, &settings.name, anchor, began);
    }
    judge(
        memory,
        sources.spaces,
        &sources.configuration.connectors,
        anchor,
    )
}

fn unproven(anchor: &Anchor, object: &TargetObject, missing: &str, now: Timestamp) -> Quarantined {
    Quarantined {
        class: object.class,
        anchor: Some(anchor.clone()),
        dn: String::new(),
        reason: Reason::AbsenceUnproven,
        message: format!(
            "no connector has the entry of {} {}, and its absence is not proven: {missing}",
            object.class.as_str(),
            object.id
        ),
        since: now,
    }
}
