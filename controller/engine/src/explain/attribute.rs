//! What each attribute of an object is made from, what the target holds, and what the plan does about it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Attribute, AttributeState, Desired, Explanation, Manager, Members, Peer,
    look::{Look, read},
};
use crate::{
    difference::difference,
    entry::{Class, Entry},
    mapping::{Contribution, Mapped, Mapping, Origin, trace},
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

/// An entry that gives an identity values.
#[derive(Debug)]
struct Contributor<'a> {
    mapping: &'a Mapping,
    connector: &'a str,
    mapped: Entry,
    /// With the texts of links.
    whole: Entry,
}

impl Look<'_> {
    /// Adds attributes and links, by the mappings of all entries that give values.
    pub(super) fn mapped(&self, slot: u32, scope: &str, explanation: &mut Explanation) {
        let Some(class) = explanation.class else {
            return;
        };
        let sources = self.sources(slot, scope, class);
        let Some(first) = sources.first() else {
            return;
        };
        let mapping = first.mapping;
        let slot = self.metaverse.lead(slot).unwrap_or(slot);
        let kept = self
            .object_of(slot)
            .and_then(|object| self.view.whole(object));
        let kept = kept.map_or_else(AllKept::new, |object| object.attributes);
        explanation.attributes = self.attributes(&sources, class, &kept, explanation);
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
        let mut attributes: Vec<&str> = sources
            .iter()
            .filter_map(|one| one.mapping.manager())
            .collect();
        attributes.dedup();
        if attributes.is_empty() {
            return;
        }
        let named = self
            .metaverse
            .named_managers(self.configuration, self.spaces, slot);
        let held = object.and_then(|object| self.view.manager(object));
        explanation.manager = Some(Manager {
            attributes: attributes.into_iter().map(str::to_owned).collect(),
            named: named.into_iter().map(|one| self.peer(one)).collect(),
            held: held.and_then(|held| Some(self.view.id(held)?.to_string())),
        });
    }

    /// The entries that give the identity of an entry its values; of one that is set aside, it alone by the mapping of a scope.
    fn sources(&self, slot: u32, scope: &str, class: Class) -> Vec<Contributor<'_>> {
        let (metaverse, configuration) = (self.metaverse, self.configuration);
        let Some(lead) = metaverse.lead(slot) else {
            let mut scopes = configuration.scopes.iter();
            let scope = scopes.find(|known| known.name == scope);
            let mapping = scope.and_then(|scope| scope.mapping.get(&class));
            return self.contributor(slot, mapping).into_iter().collect();
        };
        let slots = metaverse.contributors(configuration, self.spaces, lead);
        let all = slots.into_iter();
        all.filter_map(|slot| self.contributor(slot, metaverse.mapping(configuration, slot)))
            .collect()
    }

    fn contributor<'a>(
        &'a self,
        slot: u32,
        mapping: Option<&'a Mapping>,
    ) -> Option<Contributor<'a>> {
        let spaces = self.spaces;
        Some(Contributor {
            mapping: mapping?,
            connector: &spaces.connector(spaces.connector_of(slot)?)?.name,
            mapped: spaces.entry(slot)?,
            whole: spaces.spell_out(slot, &|_| true)?,
        })
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
        sources: &[Contributor<'_>],
        class: Class,
        kept: &AllKept,
        explanation: &Explanation,
    ) -> Vec<Attribute> {
        let mut anchors = sources.iter().filter_map(|one| one.mapped.anchor.as_ref());
        let rewritten = anchors.find_map(|anchor| self.memory.rewritten.get(anchor));
        let contributions: Vec<Contribution<'_>> = sources
            .iter()
            .map(|one| Contribution {
                mapping: one.mapping,
                entry: &one.mapped,
                connector: one.connector,
            })
            .collect();
        let joins = self.configuration.joins.as_ref();
        let rank = |attribute: &str, connector: &str| {
            joins.map(|joins| joins.rank_for(attribute, connector))
        };
        let mut all: Vec<Attribute> = Vec::new();
        let mut desired = Changes::new();
        for traced in trace(&contributions, self.metaverse.as_of(), rank) {
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
            let by = sources.get(traced.by);
            all.push(Attribute {
                connector: by
                    .filter(|_| sources.len() > 1)
                    .map(|by| by.connector.to_owned()),
                held: held(kept.get(traced.target), wanted),
                name: traced.target.to_owned(),
                expression: traced.expression.source().to_owned(),
                origin: traced.origin,
                sources: by.map_or_else(Vec::new, |by| {
                    read(&by.whole, traced.expression.attributes())
                }),
                desired: mapped,
                planned: None,
                state: AttributeState::LeftAlone,
            });
        }
        let plain = |name: &str, desired| Attribute {
            name: name.to_owned(),
            connector: None,
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
        let omitted = sources.iter().flat_map(|one| one.mapping.omitted());
        let omitted: BTreeSet<&str> = omitted.filter(is_attribute).collect();
        for name in omitted {
            if all.iter().all(|attribute| attribute.name != name) {
                all.push(plain(name, Desired::Omitted));
            }
        }
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
