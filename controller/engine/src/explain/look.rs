//! Finds what a question means, and puts together what is known of it.

use std::collections::BTreeSet;

use super::{
    Evidence, Explanation, Held, Holding, Joined, Leaving, Participation, Question, Refused,
    Source, SourceEntry,
};
use crate::{
    anchor::Anchor,
    configuration::Configuration,
    entry::{Class, Entry},
    leaving::{Leaver, Sources},
    memory::Memory,
    metaverse::{Metaverse, Standing},
    operation::{Change, Member, Operation},
    plan::Plan,
    quarantine::Quarantined,
    space::Spaces,
    target::TargetObject,
    target_view::{State, TargetView, our_anchor},
};

/// Attributes of the source that a sign-in name or mail address is looked for in.
const NAMES: [&str; 2] = ["mail", "userprincipalname"];

/// What an explanation is made from: an engine that has just planned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) spaces: &'a Spaces,
    pub(crate) view: &'a TargetView,
    pub(crate) memory: &'a Memory,
    pub(crate) metaverse: &'a Metaverse,
    pub(crate) plan: &'a Plan,
}

/// An entry, as rules see it and whole: with the texts of links.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'a> {
    pub(super) mapped: &'a Entry,
    pub(super) whole: &'a Entry,
}

/// What an entry has of these attributes, each once.
pub(super) fn read<'n>(whole: &Entry, attributes: impl Iterator<Item = &'n str>) -> Vec<Source> {
    let names: BTreeSet<String> = attributes.map(str::to_ascii_lowercase).collect();
    let source = |attribute: String| Source {
        values: whole.attributes.get(&attribute).to_vec(),
        attribute,
    };
    names.into_iter().map(source).collect()
}

impl Look<'_> {
    pub(crate) fn answer(&self, question: &Question) -> Vec<Explanation> {
        let (mut slots, objects) = self.meant(question);
        // An object belongs to the entry that its mark names, also when that takes no part.
        let mut alone = BTreeSet::new();
        for object in objects {
            let owner = self.view.owner_of(object);
            let entries = self
                .marked(object)
                .map_or(Vec::new(), |anchor| self.spaces.by_name(&anchor));
            if owner.is_none() && entries.is_empty() {
                alone.insert(object);
            }
            slots.extend(owner.into_iter().chain(entries));
        }
        if let Some(connector) = &question.connector {
            let number = self.spaces.find(connector);
            slots.retain(|slot| number.is_some() && self.spaces.connector_of(*slot) == number);
        }
        // Who is found by several of his entries is explained by the one that his identity is kept with.
        let leads: BTreeSet<u32> = slots
            .iter()
            .map(|slot| match self.metaverse.lead(*slot) {
                Some(lead) if slots.contains(&lead) => lead,
                _ => *slot,
            })
            .collect();
        let mut all: Vec<Explanation> = leads
            .into_iter()
            .filter_map(|slot| self.entry(slot, question))
            .collect();
        all.sort_by(|a, b| {
            let key = |one: &Explanation| {
                let entry = one.entry.as_ref();
                entry.map(|entry| (entry.connector.clone(), entry.dn.clone()))
            };
            key(a).cmp(&key(b))
        });
        all.extend(alone.into_iter().map(|object| self.object(object)));
        all
    }

    /// The entries and the objects that a question names.
    fn meant(&self, question: &Question) -> (BTreeSet<u32>, Vec<u32>) {
        let (mut slots, mut objects) = (BTreeSet::new(), Vec::new());
        for anchor in &question.anchors {
            slots.extend(self.spaces.by_name(anchor));
            objects.extend(self.view.by_mark(anchor));
            objects.extend(self.view.deleted_by_mark(anchor));
        }
        if let Some(dn) = &question.dn {
            let connectors = self.spaces.connectors();
            slots.extend(
                connectors
                    .iter()
                    .filter_map(|(number, _)| self.spaces.by_dn(*number, dn)),
            );
        }
        if let Some(name) = &question.name {
            let attribute = self.configuration.capabilities.sign_in_name;
            let holders = self.view.holders(Class::User, attribute, name);
            objects.extend(holders.into_iter().filter(|object| {
                self.view.owner_of(*object).is_some() || self.view.ours(*object).is_some()
            }));
            let named = |slot: &u32| {
                let entry = self.spaces.entry(*slot);
                entry.is_some_and(|entry| {
                    let mut values = NAMES.iter().flat_map(|it| entry.attributes.get(it));
                    values.any(|value| {
                        str::from_utf8(value).is_ok_and(|text| text.to_lowercase() == *name)
                    })
                })
            };
            slots.extend(self.spaces.slots().filter(named));
        }
        (slots, objects)
    }

    /// The anchor in our mark, of a live or deleted object.
    fn marked(&self, object: u32) -> Option<Anchor> {
        let object = self.view.object(object)?;
        our_anchor(&object, &self.configuration.owner).cloned()
    }

    fn entry(&self, slot: u32, question: &Question) -> Option<Explanation> {
        let own = self.source(slot)?;
        let entry = self.spaces.entry(slot)?;
        let whole = self.spaces.spell_out(slot, &|_| true)?;
        let read = Read {
            mapped: &entry,
            whole: &whole,
        };
        let connector = own.connector.clone();
        let (participation, scopes) = self.participation(slot, read, &connector);
        let object = self.object_of(slot);
        let joined = self.metaverse.joined_with(slot);
        let names = [slot].into_iter().chain(joined.iter().copied());
        let names: Vec<Anchor> = names
            .flat_map(|one| self.spaces.names_of(one))
            .chain(object.and_then(|object| self.marked(object)))
            .collect();
        let mut explanation = self.about(&names, Some(&connector));
        explanation.class = crate::identity::class_of(own.kind);
        let leaves = object.filter(|object| self.view.owner_of(*object).is_none());
        explanation.leaving = leaves.and_then(|object| self.leaving(object));
        explanation.target = object.and_then(|object| self.held(object));
        explanation.candidates = self
            .metaverse
            .claims(self.metaverse.lead(slot).unwrap_or(slot))
            .iter()
            .filter_map(|object| self.known(*object))
            .collect();
        if let Participation::In { scope }
        | Participation::Aside {
            scope: Some(scope), ..
        } = &participation
        {
            self.mapped(slot, scope, &mut explanation);
        }
        explanation.quarantine = explanation.quarantine.or_else(|| {
            // Without an anchor, its DN names it.
            let of_entry = |one: &&Quarantined| one.dn == own.dn && one.anchor == own.anchor;
            self.plan.quarantine.iter().find(of_entry).cloned()
        });
        explanation.anchor.clone_from(&own.anchor);
        explanation.entry = Some(own);
        let joined = joined.into_iter().filter_map(|other| {
            Some(Joined {
                entry: self.source(other)?,
                takes_part: self.metaverse.takes_part(other),
            })
        });
        explanation.joined = joined.collect();
        explanation.participation = participation;
        explanation.scopes = scopes;
        if let Some(scope) = &question.scope {
            explanation.scopes.retain(|ruling| ruling.scope == *scope);
        }
        Some(explanation)
    }

    fn source(&self, slot: u32) -> Option<SourceEntry> {
        let (kind, anchor, alternate) = self.spaces.head(slot)?;
        let number = self.spaces.connector_of(slot)?;
        Some(SourceEntry {
            connector: self.spaces.connector(number)?.name.clone(),
            dn: self.spaces.dn_text(slot),
            kind,
            anchor,
            alternate,
        })
    }

    /// An object that no connector has an entry of.
    fn object(&self, object: u32) -> Explanation {
        let anchor = self.marked(object);
        let names: Vec<Anchor> = anchor.iter().cloned().collect();
        let mut explanation = self.about(&names, None);
        explanation.class = self.view.object(object).map(|object| object.class);
        explanation.anchor = anchor;
        explanation.leaving = self.leaving(object);
        explanation.target = self.held(object);
        explanation
    }

    /// The object of an entry; of one that takes no part, that with our mark for it.
    pub(super) fn object_of(&self, slot: u32) -> Option<u32> {
        let slot = self.metaverse.lead(slot).unwrap_or(slot);
        let (standing, object) = self.metaverse.found(slot);
        if standing != Standing::None {
            return object;
        }
        let names = self.spaces.names_of(slot);
        let live = names.iter().flat_map(|name| self.view.by_mark(name));
        let deleted = names
            .iter()
            .flat_map(|name| self.view.deleted_by_mark(name));
        live.chain(deleted).next()
    }

    fn held(&self, object: u32) -> Option<Held> {
        Some(Held {
            live: self.view.state(object) == State::Live,
            ours: self.marked(object).is_some(),
            object: self.known(object)?,
        })
    }

    /// An object with the values that are known.
    fn known(&self, object: u32) -> Option<TargetObject> {
        let kept = self.view.whole(object)?;
        let attributes = kept.attributes.iter();
        let attributes =
            attributes.filter_map(|(name, kept)| Some((name.clone(), kept.value()?.clone())));
        Some(TargetObject {
            attributes: attributes.collect(),
            id: kept.id,
            class: kept.class,
            mark: kept.mark,
            immutable_id: kept.immutable_id,
            manager: kept.manager,
            members: kept.members,
            standing: kept.standing,
        })
    }

    /// What plan and memory have of these names.
    fn about(&self, names: &[Anchor], connector: Option<&str>) -> Explanation {
        let own = |operation: &&Operation| names.contains(&operation.anchor);
        let mentions = |operation: &&Operation| mentions(operation, names);
        let all = |operations: &[Operation]| -> Vec<Operation> {
            let all = operations.iter();
            all.filter(|one| own(one) || mentions(one))
                .cloned()
                .collect()
        };
        let holds = self.plan.holds.iter().map(|hold| Holding {
            class: hold.class,
            digest: hold.digest.clone(),
            limit: hold.limit.clone(),
            operations: all(&hold.operations),
        });
        let operations = || self.plan.operations.iter();
        let quarantine = names.iter().find_map(|name| {
            let mut all = self.plan.quarantine.iter();
            all.find(|one| one.anchor.as_ref() == Some(name))
        });
        let mut drift = self.plan.drift.iter();
        let scopes = self.configuration.scopes.iter();
        let scopes: Vec<&str> = scopes
            .filter(|scope| connector.is_none_or(|connector| scope.connector == connector))
            .map(|scope| scope.name.as_str())
            .collect();
        let faults = self.plan.faults.iter();
        Explanation {
            class: None,
            anchor: None,
            entry: None,
            joined: Vec::new(),
            participation: Participation::Absent,
            scopes: Vec::new(),
            attributes: Vec::new(),
            manager: None,
            members: None,
            target: None,
            candidates: Vec::new(),
            operations: operations().filter(own).cloned().collect(),
            mentions: operations().filter(mentions).cloned().collect(),
            holds: holds.filter(|hold| !hold.operations.is_empty()).collect(),
            quarantine: quarantine.cloned(),
            refusals: self.refusals(names),
            disabling: names
                .iter()
                .any(|name| self.memory.disabling.contains(name)),
            drift: drift.find(|one| names.contains(&one.anchor)).cloned(),
            leaving: None,
            absences: self.absences(names),
            faults: faults
                .filter(|fault| scopes.contains(&fault.scope.as_str()))
                .cloned()
                .collect(),
        }
    }

    fn refusals(&self, names: &[Anchor]) -> Vec<Refused> {
        let mut refused = Vec::new();
        for (key, refusal) in &self.memory.refusals {
            let operation = names.iter().find_map(|name| {
                let classes = [Class::User, Class::Group, Class::Contact];
                classes
                    .iter()
                    .find_map(|class| key.strip_prefix(&format!("{} {name} ", class.as_str())))
            });
            refused.extend(operation.map(|operation| Refused {
                operation: operation.to_owned(),
                reason: refusal.reason,
                message: refusal.message.clone(),
                failures: refusal.failures,
                until: refusal.until,
            }));
        }
        refused
    }

    fn absences(&self, names: &[Anchor]) -> Vec<Evidence> {
        let mut all = Vec::new();
        for (connector, absences) in &self.memory.absences {
            let Some((name, absence)) = names
                .iter()
                .find_map(|name| Some((name, absences.get(name)?)))
            else {
                continue;
            };
            let number = self.spaces.find(connector);
            let space = number.and_then(|number| self.spaces.connector(number));
            let own = absence.alternate.as_ref().unwrap_or(name);
            all.push(Evidence {
                connector: connector.clone(),
                seen_before: absence.home,
                first_absent: absence.first,
                last_absent: absence.last,
                searched: absence.searched,
                tombstone: space.is_some_and(|space| space.tombstoned(own)),
                requires_tombstone: space.is_some_and(|space| space.requires_tombstones),
            });
        }
        all
    }

    /// What becomes of a live object of ours that nobody who takes part has.
    fn leaving(&self, object: u32) -> Option<Leaving> {
        let anchor = self.view.ours(object)?;
        if !self.metaverse.is_orphan(object) {
            return Some(Leaving::Kept);
        }
        let sources = Sources {
            configuration: self.configuration,
            spaces: self.spaces,
            metaverse: self.metaverse,
        };
        // To judge may begin a record of an absence; what is told here changes nothing.
        let mut memory = self.memory.clone();
        Some(match sources.judge(&anchor, &mut memory) {
            Leaver::Left if self.metaverse.departing.contains(&object) => Leaving::Leaves,
            Leaver::Left => Leaving::Done,
            Leaver::Stays => Leaving::Unsettled,
            Leaver::Unproven { wake, missing } => Leaving::Unproven { missing, wake },
        })
    }
}

/// Whether the operation is about another object and names one of these.
fn mentions(operation: &Operation, names: &[Anchor]) -> bool {
    let peer = match &operation.change {
        Change::AddMember { member }
        | Change::RemoveMember {
            member: Member::Ours(member),
        } => Some(member),
        Change::SetManager { manager } => manager.as_ref(),
        _ => None,
    };
    peer.is_some_and(|peer| names.contains(peer))
}
