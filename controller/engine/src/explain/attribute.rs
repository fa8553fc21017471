//! What each attribute of an object is made from, what the target holds, and what the plan does about it.

use std::collections::BTreeMap;

use super::{
    Attribute, AttributeState, Desired, Explanation, Manager, Members, Peer,
    look::{Look, Read},
};
use crate::{
    difference::difference,
    entry::Class,
    mapping::{Mapped, Mapping, Origin},
    memory::Rewritten,
    operation::{Change, ChangeKind, Operation},
    target::{Changes, Value},
    target_view::{AllKept, Kept, normal},
};

/// What the target holds. Of what is as wanted the view keeps a digest alone: then it is what is wanted.
fn held(kept: Option<&Kept>, wanted: Option<&Value>) -> Option<Value> {
    let kept = kept?;
    let known = kept.value();
    known.or(wanted.filter(|wanted| kept.is(wanted))).cloned()
}

/// How many of the members that take no part are named.
const LEFT_OUT: usize = 10;

impl Look<'_> {
    /// Adds attributes and links, by the mapping of a scope.
    pub(super) fn mapped(
        &self,
        slot: u32,
        entry: Read<'_>,
        scope: &str,
        explanation: &mut Explanation,
    ) {
        let mut scopes = self.configuration.scopes.iter();
        let scope = scopes.find(|known| known.name == scope);
        let class = explanation.class;
        let Some((class, mapping)) =
            class.and_then(|class| Some((class, scope?.mapping.get(&class)?)))
        else {
            return;
        };
        let kept = self
            .object_of(slot)
            .and_then(|object| self.view.whole(object));
        let kept = kept.map_or_else(AllKept::new, |object| object.attributes);
        explanation.attributes = self.attributes(entry, class, (mapping, &kept), explanation);
        if let Some(held) = &mut explanation.target {
            let known = explanation.attributes.iter();
            let known = known.filter_map(|one| Some((one.name.clone(), one.held.clone()?)));
            held.object.attributes.extend(known);
        }
        let (_, object) = self.metaverse.found(slot);
        if class == Class::Group {
            let attributes = mapping.members();
            let named = attributes
                .iter()
                .flat_map(|name| self.spaces.references(slot, name));
            let named: Vec<u32> = named.collect();
            let left_out = named.iter().filter(|one| !self.takes_part(**one));
            let left_out: Vec<u32> = left_out.copied().collect();
            explanation.members = (!attributes.is_empty()).then(|| Members {
                attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
                named: named.len(),
                left_out_count: left_out.len(),
                left_out: left_out
                    .into_iter()
                    .take(LEFT_OUT)
                    .map(|it| self.peer(it))
                    .collect(),
                held: object.and_then(|object| Some(self.view.members(object)?.len())),
            });
            return;
        }
        explanation.manager = mapping.manager().map(|attribute| {
            let named = self.spaces.references(slot, attribute).into_iter();
            let held = object.and_then(|object| self.view.manager(object));
            Manager {
                attribute: attribute.to_owned(),
                named: named.map(|one| self.peer(one)).collect(),
                held: held.and_then(|held| Some(self.view.id(held)?.to_string())),
            }
        });
    }

    fn takes_part(&self, entry: u32) -> bool {
        let peer = self.metaverse.peer(self.spaces, entry);
        peer.is_some_and(|peer| self.metaverse.may_exist(peer))
    }

    fn peer(&self, entry: u32) -> Peer {
        Peer {
            dn: self.spaces.dn_text(entry),
            anchor: self.spaces.anchor(entry),
            takes_part: self.takes_part(entry),
        }
    }

    fn attributes(
        &self,
        entry: Read<'_>,
        class: Class,
        (mapping, kept): (&Mapping, &AllKept),
        explanation: &Explanation,
    ) -> Vec<Attribute> {
        let anchor = entry.mapped.anchor.as_ref();
        let rewritten = anchor.and_then(|anchor| self.memory.rewritten.get(anchor));
        let mut all: Vec<Attribute> = Vec::new();
        let mut desired = Changes::new();
        for traced in mapping.trace(entry.mapped, self.metaverse.as_of()) {
            let mapped = match traced.mapped {
                Ok(Mapped::Value(value)) => {
                    let value = normal(Some(value));
                    desired.insert(traced.target.to_owned(), value.clone());
                    Desired::Mapped(value.map_or(Mapped::Nothing, Mapped::Value))
                }
                Ok(Mapped::Nothing) => {
                    desired.insert(traced.target.to_owned(), None);
                    Desired::Mapped(Mapped::Nothing)
                }
                Ok(mapped) => Desired::Mapped(mapped),
                Err(fault) => Desired::Fault(fault),
            };
            let wanted = desired.get(traced.target).and_then(Option::as_ref);
            all.push(Attribute {
                held: held(kept.get(traced.target), wanted),
                name: traced.target.to_owned(),
                expression: traced.expression.source().to_owned(),
                origin: traced.origin,
                sources: entry.sources(traced.expression.attributes()),
                desired: mapped,
                planned: None,
                state: AttributeState::LeftAlone,
            });
        }
        let plain = |name: &str, desired| Attribute {
            name: name.to_owned(),
            expression: String::new(),
            origin: Origin::Omitted,
            sources: Vec::new(),
            desired,
            held: held(kept.get(name), None),
            planned: None,
            state: AttributeState::LeftAlone,
        };
        let is_attribute =
            |name: &&str| self.configuration.capabilities.rule(class, name).is_some();
        let omitted = mapping.omitted().filter(is_attribute);
        all.extend(omitted.map(|name| plain(name, Desired::Omitted)));
        let planned = self.planned(&explanation.operations);
        for name in planned.keys() {
            if all.iter().all(|attribute| attribute.name != **name) {
                all.push(plain(name, Desired::Companion));
            }
        }
        let capabilities = self.configuration.capabilities;
        let differing = difference(class, &desired, kept, capabilities, rewritten);
        let holds = explanation.holds.iter().flat_map(|hold| &hold.operations);
        let mut holds = holds.map(|operation| &operation.change);
        let disable = holds.any(|change| *change == Change::Disable);
        let look = Stand {
            differing: &differing,
            rewritten,
            drifted: explanation
                .drift
                .as_ref()
                .map_or(&[], |drift| &drift.attributes),
            held: disable.then_some(capabilities.enabled),
        };
        for attribute in &mut all {
            if let Some((kind, value)) = planned.get(attribute.name.as_str()) {
                attribute.planned = Some(value.clone());
                attribute.state = AttributeState::Planned(*kind);
            } else {
                attribute.state = look.state(attribute);
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// What the plan sends of each attribute.
    fn planned<'o>(
        &self,
        operations: &'o [Operation],
    ) -> BTreeMap<&'o str, (ChangeKind, Option<Value>)> {
        let mut planned = BTreeMap::new();
        for operation in operations {
            let kind = operation.change.kind();
            match &operation.change {
                Change::Create { values, .. } => {
                    let values = values.iter();
                    planned.extend(
                        values.map(|(name, value)| (name.as_str(), (kind, Some(value.clone())))),
                    );
                }
                Change::Restore { changes, .. }
                | Change::Adopt { changes, .. }
                | Change::Update { changes } => {
                    let changes = changes.iter();
                    planned.extend(
                        changes.map(|(name, value)| (name.as_str(), (kind, value.clone()))),
                    );
                }
                Change::Disable => {
                    let value = (kind, Some(Value::Flag(false)));
                    planned.insert(self.configuration.capabilities.enabled, value);
                }
                _ => {}
            }
        }
        planned
    }
}

/// What the state of an attribute that is not planned is told by.
struct Stand<'a> {
    differing: &'a Changes,
    rewritten: Option<&'a BTreeMap<String, Rewritten>>,
    drifted: &'a [String],
    /// The attribute that a held operation would change.
    held: Option<&'a str>,
}

impl Stand<'_> {
    fn state(&self, attribute: &Attribute) -> AttributeState {
        let name = &attribute.name;
        let wanted = match &attribute.desired {
            Desired::Mapped(Mapped::Value(value)) => Some(value),
            Desired::Mapped(Mapped::Nothing) => None,
            Desired::Fault(_) => return AttributeState::Waits,
            Desired::Mapped(Mapped::Kept | Mapped::NotClearable)
            | Desired::Omitted
            | Desired::Companion => return AttributeState::LeftAlone,
        };
        if wanted == attribute.held.as_ref() {
            return AttributeState::InStep;
        }
        if self.drifted.contains(name) {
            return AttributeState::Drifted;
        }
        if self.held == Some(name.as_str()) {
            return AttributeState::Held;
        }
        if self.differing.contains_key(name) {
            return AttributeState::Waits;
        }
        if self.rewritten.is_some_and(|known| known.contains_key(name)) {
            return AttributeState::Rewritten;
        }
        AttributeState::LeftAlone
    }
}
