//! Leavers: our objects at the target that no identity has. Leaving needs certainty: the entry was read and is in no scope, or it is
//! proven gone. Everything else is left alone.

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    configuration::{Configuration, Deprovision},
    entry::Class,
    fault::{Fault, planted},
    gone::{Verdict, judge, note},
    memory::Memory,
    metaverse::Metaverse,
    operation::Change,
    quarantine::Quarantined,
    reason::Reason,
    space::{ConnectorSpace, Spaces},
    target::Value,
    target_view::{Object, same},
};

/// What leaving is decided by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) spaces: &'a Spaces,
    pub(crate) metaverse: &'a Metaverse,
}

/// What is known of one of our objects that no identity has and nothing keeps.
#[derive(Debug)]
pub(crate) enum Leaver {
    Left,
    /// Nothing can be said yet.
    Stays,
    /// What proof of the absence is missing, and when more may be known.
    Unproven {
        wake: Option<Timestamp>,
        missing: String,
    },
}

impl Sources<'_> {
    /// Every connector of the sync has been read completely, and no scope is unsettled.
    pub(crate) fn tells_absence(&self) -> bool {
        if planted(Fault::MissingReadIsEmpty) {
            return true;
        }
        let read = |name: &String| {
            let space = self.spaces.find(name);
            let space = space.and_then(|number| self.spaces.connector(number));
            space.is_some_and(|space| space.complete().is_some())
        };
        let mut connectors = self.configuration.connectors.iter();
        connectors.all(|settings| read(&settings.name)) && self.scopes_settled()
    }

    fn scopes_settled(&self) -> bool {
        let faulted = |space: &ConnectorSpace| self.faulted(&space.name);
        let spaces = self.spaces.connectors();
        planted(Fault::UnresolvedScopeLeaves) || !spaces.iter().any(|(_, space)| faulted(space))
    }

    fn faulted(&self, connector: &str) -> bool {
        self.metaverse.faulted(self.configuration, connector)
    }

    /// Judges an object of ours that no identity has and nothing keeps.
    pub(crate) fn judge(&self, anchor: &Anchor, memory: &mut Memory) -> Leaver {
        let homes: Vec<&ConnectorSpace> = (self.spaces.by_name(anchor).into_iter())
            .filter_map(|slot| self.spaces.connector(self.spaces.connector_of(slot)?))
            .collect();
        if !homes.is_empty() {
            // Still read, and in no scope.
            let left = homes.iter().all(|home| home.settled())
                && (homes.iter().all(|home| !self.faulted(&home.name))
                    || planted(Fault::UnresolvedScopeLeaves));
            return if left { Leaver::Left } else { Leaver::Stays };
        }
        if !self.tells_absence() {
            return Leaver::Stays;
        }
        note_absence(self.configuration, self.spaces, memory, anchor);
        // Whoever was joined to it must be gone too, or be read and in no scope.
        let partings = &memory.partings;
        let joined = partings.stayed(anchor).chain(partings.left(anchor));
        let unread = joined.filter(|name| self.spaces.by_name(name).is_empty());
        for name in [anchor].into_iter().chain(unread) {
            let verdict = judge(memory, self.spaces, &self.configuration.connectors, name);
            if let Verdict::Unproven { wake, missing } = verdict {
                return Leaver::Unproven { wake, missing };
            }
        }
        Leaver::Left
    }
}

/// What is done to an object whose entry left; `None` when it is as it should be already. `unfinished`: sessions may still live.
pub(crate) fn farewell(
    object: &Object,
    unfinished: bool,
    configuration: &Configuration,
) -> Option<Change> {
    let enabled = configuration.capabilities.enabled;
    match (object.class, configuration.deprovision_user) {
        (Class::User, Deprovision::Disable) => {
            let disabled = same(Some(&Value::Flag(false)), object.attributes.get(enabled));
            (!disabled || unfinished).then_some(Change::Disable)
        }
        _ => Some(Change::Delete),
    }
}

/// No connector has the anchor: starts the records of its absence.
pub(crate) fn note_absence(
    configuration: &Configuration,
    spaces: &Spaces,
    memory: &mut Memory,
    anchor: &Anchor,
) {
    for settings in &configuration.connectors {
        // A read that counts: complete, with every scope of the sync settled.
        let space = spaces.find(&settings.name);
        let space = space.and_then(|number| spaces.connector(number));
        let began = space.and_then(ConnectorSpace::complete);
        note(memory, &settings.name, anchor, began);
    }
}

pub(crate) fn unproven(
    anchor: &Anchor,
    object: &Object,
    missing: &str,
    now: Timestamp,
) -> Quarantined {
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
