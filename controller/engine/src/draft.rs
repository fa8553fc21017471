//! One plan, from what may have to be done to sorted operations: refusals, leavers, guard, references, guard.
//!
//! References come after the first guard, for whose leaving is held keeps his groups too. Costs what there is to do, not what there is.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    drift::{Drift, Look},
    fault::{Fault, planted},
    guard::{Hold, Managed, hold},
    leaving::{Leaver, Sources, farewell, unproven},
    matching::name,
    metaverse::{Metaverse, Stage, Standing, World},
    operation::{Change, Member, Operation},
    plan::{Plan, operation_digest, sort},
    quarantine::{Quarantined, refusal_key, settle},
    target::{TargetId, Value},
    target_view::{State, same},
};

/// A plan and what goes with it.
#[derive(Debug, Default)]
pub(crate) struct Drafted {
    pub(crate) plan: Plan,
    pub(crate) wake: Option<Timestamp>,
}

/// Makes the plan of a metaverse that is up to date.
pub(crate) fn plan(world: &mut World<'_>, metaverse: &Metaverse, now: Timestamp) -> Drafted {
    let mut drafted = Drafted::default();
    let plan = &mut drafted.plan;
    let faults = metaverse.decided.iter().flatten();
    plan.faults = faults.flat_map(|decided| decided.faults.clone()).collect();
    plan.faults
        .sort_by(|a, b| (&a.scope, &a.message).cmp(&(&b.scope, &b.message)));
    plan.unsupported = metaverse.unsupported;
    plan.counts = metaverse.counts;
    let mut draft = Draft {
        world,
        metaverse,
        now,
        quarantine: Vec::new(),
        drift: Drift::default(),
        planned: BTreeSet::new(),
        blocked: HashSet::new(),
        left: BTreeMap::new(),
        uncertain: HashSet::new(),
        wake: None,
    };
    draft.set_aside();
    if !draft.world.view.complete() {
        let mut found = draft.quarantine;
        found.sort();
        let found = found.into_iter().map(|(_, quarantined)| quarantined);
        plan.quarantine = settle(found.collect(), world.memory);
        return drafted;
    }
    let mut operations = draft.objects();
    let leavers = draft.leavers();
    let mut managed = draft.managed();
    operations.extend(leavers);
    let guard = &draft.world.configuration.guard;
    let owner = &draft.world.configuration.owner;
    let mut holds = hold(&mut operations, guard, &managed, owner);
    draft.be_certain(&operations, &holds);
    let mut references = draft.references(&mut managed);
    holds.extend(hold(&mut references, guard, &managed, owner));
    operations.append(&mut references);
    sort(&mut operations);
    if planted(Fault::UnsortedPlan) {
        operations.reverse();
    }
    plan.names = draft.called(&operations, &holds);
    let Draft {
        mut quarantine,
        planned,
        wake,
        drift,
        ..
    } = draft;
    let (spaces, view) = (&*world.spaces, &*world.view);
    let judged = |anchor: &Anchor| match metaverse.identity_of(spaces, anchor) {
        Some(slot) if metaverse.found(slot).0 != Standing::None => metaverse.settled(spaces, slot),
        _ => view.by_mark(anchor).is_empty(),
    };
    plan.drift = drift.end(world.memory, judged);
    quarantine.sort();
    let found = quarantine.into_iter().map(|(_, quarantined)| quarantined);
    plan.quarantine = settle(found.collect(), world.memory);
    world.memory.refusals.retain(|key, _| planned.contains(key));
    plan.operations = operations;
    plan.holds = holds;
    drafted.wake = wake.filter(|_| !planted(Fault::WakeMissed));
    drafted
}

/// Which step set an object aside: of several reasons the first is the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Known(Stage),
    Object,
    Leaver,
    Reference,
    Absence,
}

struct Draft<'a, 'w> {
    world: &'a mut World<'w>,
    metaverse: &'a Metaverse,
    now: Timestamp,
    quarantine: Vec<(Step, Quarantined)>,
    drift: Drift,
    /// Refused operations that are still wanted.
    planned: BTreeSet<String>,
    /// Identities whose object cannot be made for now.
    blocked: HashSet<u32>,
    /// Whether objects that were asked for left, as far as judged.
    left: BTreeMap<u32, bool>,
    /// Leavers of whom it is not certain that they go, or who take their memberships along.
    uncertain: HashSet<TargetId>,
    wake: Option<Timestamp>,
}

impl Draft<'_, '_> {
    fn set_aside(&mut self) {
        let complete = self.world.view.complete();
        for ((stage, slot), aside) in &self.metaverse.aside {
            if !complete && *stage > Stage::Join {
                continue;
            }
            let quarantined = Quarantined {
                class: self.metaverse.class(*slot),
                anchor: self.world.spaces.anchor(*slot),
                dn: self.world.spaces.dn_text(*slot),
                reason: aside.reason,
                message: aside.message.clone(),
                since: self.now,
            };
            self.quarantine.push((Step::Known(*stage), quarantined));
        }
    }

    /// The operations on the objects of identities.
    fn objects(&mut self) -> Vec<Operation> {
        let mut operations = Vec::new();
        for (slot, changes) in &self.metaverse.pending {
            let Some(anchor) = self.world.spaces.anchor(*slot) else {
                continue;
            };
            let dn = self.world.spaces.dn_text(*slot);
            let (_, object) = self.metaverse.found(*slot);
            for change in changes {
                let makes = !matches!(change, Change::Update { .. } | Change::Disable);
                let operation = Operation {
                    class: self.metaverse.class(*slot),
                    anchor: anchor.clone(),
                    target: object.and_then(|object| self.world.view.id(object)),
                    change: change.clone(),
                };
                let admitted = self.admit(operation, &dn, Step::Object);
                if admitted.is_none() && makes {
                    self.blocked.insert(*slot);
                }
                operations.extend(admitted);
            }
        }
        operations
    }

    /// The operations on the objects of those who left.
    fn leavers(&mut self) -> Vec<Operation> {
        let departing = self.metaverse.departing.iter();
        let mut leavers: Vec<(Anchor, TargetId, u32)> = departing
            .filter_map(|object| {
                let view = &self.world.view;
                Some((view.ours(*object)?, view.id(*object)?, *object))
            })
            .collect();
        leavers.sort();
        let mut operations = Vec::new();
        for (anchor, id, handle) in leavers {
            let Some(object) = self.world.view.object(handle) else {
                continue;
            };
            let judged = self.judge(&anchor);
            self.left.insert(handle, matches!(judged, Leaver::Left));
            match judged {
                Leaver::Stays => {}
                Leaver::Unproven { wake, missing } => {
                    self.wake = self.wake.into_iter().chain(wake).min();
                    let quarantined = unproven(&anchor, &object, &missing, self.now);
                    self.quarantine.push((Step::Absence, quarantined));
                }
                Leaver::Left => {
                    let unfinished = self.world.memory.disabling.contains(&anchor);
                    let Some(change) = farewell(&object, unfinished, self.world.configuration)
                    else {
                        continue;
                    };
                    let operation = Operation {
                        class: object.class,
                        anchor,
                        target: Some(id),
                        change,
                    };
                    operations.extend(self.admit(operation, "", Step::Leaver));
                }
            }
        }
        operations
    }

    fn managed(&self) -> Managed {
        let (objects, enabled) = self.world.view.managed();
        let attribute = self.world.configuration.capabilities.enabled;
        let blocked = |anchor: &&Anchor| {
            let objects = self.world.view.by_mark(anchor).into_iter();
            let mut objects = objects.filter_map(|handle| self.world.view.object(handle));
            objects.any(|object| same(Some(&Value::Flag(false)), object.attributes.get(attribute)))
        };
        Managed {
            objects: objects.clone(),
            enabled: enabled.clone(),
            blocked: (self.world.memory.disabling.iter())
                .filter(blocked)
                .cloned()
                .collect(),
            members: BTreeMap::new(),
            memberships: self.metaverse.memberships,
        }
    }

    /// A leaver whose leaving is held, or who is deleted, which takes memberships along, is none of whom anything is certain.
    fn be_certain(&mut self, flowing: &[Operation], holds: &[Hold]) {
        let deleted = flowing
            .iter()
            .filter(|operation| operation.change == Change::Delete);
        let held = holds.iter().flat_map(|hold| &hold.operations);
        let ids = deleted
            .chain(held)
            .filter_map(|operation| operation.target.clone());
        self.uncertain = ids.collect();
    }

    /// Ours of whom it is certain what the source thinks: they take part and their connector was read, or they left and that is neither
    /// held nor a deletion.
    fn is_certain(&mut self, object: u32) -> bool {
        if let Some(owner) = self.world.view.owner_of(object)
            && self.metaverse.found(owner).0 == Standing::Ours
        {
            return self.settled(owner);
        }
        let Some(id) = self.world.view.id(object) else {
            return false;
        };
        if !self.metaverse.is_orphan(object) || self.uncertain.contains(&id) {
            return false;
        }
        if let Some(left) = self.left.get(&object) {
            return *left;
        }
        let anchor = self.world.view.ours(object);
        let left = anchor.is_some_and(|anchor| matches!(self.judge(&anchor), Leaver::Left));
        self.left.insert(object, left);
        left
    }

    fn settled(&self, slot: u32) -> bool {
        self.metaverse.settled(self.world.spaces, slot)
    }

    /// It has an object at the target, or will have when this plan is through.
    fn exists(&self, slot: u32) -> bool {
        self.metaverse.may_exist(slot) && !self.blocked.contains(&slot)
    }

    fn references(&mut self, managed: &mut Managed) -> Vec<Operation> {
        let mut operations = Vec::new();
        for (slot, references) in &self.metaverse.references {
            if !self.exists(*slot) {
                continue;
            }
            let Some(anchor) = self.world.spaces.anchor(*slot) else {
                continue;
            };
            let dn = self.world.spaces.dn_text(*slot);
            let (_, object) = self.metaverse.found(*slot);
            let mut changes = Vec::new();
            for peer in &references.adds {
                if self.exists(*peer)
                    && let Some(member) = self.peer(*peer)
                {
                    changes.push(Change::AddMember { member });
                }
            }
            let settled = self.settled(*slot);
            for object in &references.removes {
                match self.world.view.ours(*object) {
                    Some(mark) => {
                        let certain =
                            self.is_certain(*object) || planted(Fault::UncertainMembersLeave);
                        if settled && certain {
                            let member = Member::Ours(mark);
                            changes.push(Change::RemoveMember { member });
                        }
                    }
                    None if self.metaverse.is_claimed(*object) => {}
                    None => {
                        if let Some(id) = self.world.view.id(*object) {
                            let member = Member::Foreign(id);
                            changes.push(Change::RemoveMember { member });
                        }
                    }
                }
            }
            if references.manager {
                changes.extend(self.manager(*slot, object));
            }
            if let Some(members) = object.and_then(|object| self.world.view.members(object)) {
                managed.members.insert(anchor.clone(), members.len());
            }
            for change in changes {
                let operation = Operation {
                    class: self.metaverse.class(*slot),
                    anchor: anchor.clone(),
                    target: object.and_then(|object| self.world.view.id(object)),
                    change,
                };
                operations.extend(self.admit(operation, &dn, Step::Reference));
            }
        }
        operations
    }

    fn manager(&mut self, slot: u32, object: Option<u32>) -> Option<Change> {
        let named =
            self.metaverse
                .named_managers(self.world.configuration, self.world.spaces, slot);
        let held = object.and_then(|object| self.world.view.manager(object));
        for peer in &named {
            if let Some(identity) = self.metaverse.peer(self.world.spaces, *peer)
                && self.exists(identity)
            {
                let (_, object) = self.metaverse.found(identity);
                let manager = self.peer(identity);
                let is_held = held.is_some() && held == object;
                return (!is_held).then_some(Change::SetManager { manager });
            }
        }
        let held = held?;
        let removed = match (self.world.view.state(held), self.world.view.ours(held)) {
            (State::Live, Some(mark)) => {
                let entries = self.world.spaces.by_name(&mark);
                let is_named = entries.iter().any(|entry| named.contains(entry));
                self.settled(slot) && !is_named && self.is_certain(held)
            }
            (State::Live, None) => !self.metaverse.is_claimed(held),
            _ => false,
        };
        removed.then_some(Change::SetManager { manager: None })
    }

    /// How the target knows a peer: by the anchor in its mark, where it has one.
    fn peer(&self, slot: u32) -> Option<Anchor> {
        let marked = match self.metaverse.found(slot) {
            (Standing::Ours, Some(object)) => self.world.view.ours(object),
            _ => None,
        };
        marked.or_else(|| self.world.spaces.anchor(slot))
    }

    /// `None` while a refusal of the same operation is not due to be tried again, and for what would undo a drift that is reported.
    fn admit(&mut self, operation: Operation, dn: &str, step: Step) -> Option<Operation> {
        let (metaverse, spaces, view) = (self.metaverse, &*self.world.spaces, &*self.world.view);
        let look = Look {
            configuration: self.world.configuration,
            view,
            id: &|anchor| metaverse.id(spaces, view, anchor),
        };
        let operation = self.drift.spare(operation, look, self.world.memory)?;
        if self.world.memory.refusals.is_empty() {
            return Some(operation);
        }
        let key = refusal_key(&operation);
        let Some(refusal) = self.world.memory.refusals.get(&key) else {
            return Some(operation);
        };
        if refusal.operation != operation_digest(&operation) {
            return Some(operation);
        }
        let quarantined = Quarantined {
            class: operation.class,
            anchor: Some(operation.anchor.clone()),
            dn: dn.to_owned(),
            reason: refusal.reason,
            message: format!(
                "{}; tried {} times, again at {}",
                refusal.message, refusal.failures, refusal.until
            ),
            since: self.now,
        };
        self.quarantine.push((step, quarantined));
        self.planned.insert(key);
        if refusal.until <= self.now {
            return Some(operation);
        }
        self.wake = self.wake.into_iter().chain([refusal.until]).min();
        None
    }

    /// What people call the objects that operations and holds name.
    fn called(&self, operations: &[Operation], holds: &[Hold]) -> BTreeMap<Anchor, String> {
        let held = holds.iter().flat_map(|hold| &hold.operations);
        let mut wanted: BTreeSet<&Anchor> = BTreeSet::new();
        for operation in operations.iter().chain(held) {
            wanted.insert(&operation.anchor);
            wanted.extend(match &operation.change {
                Change::AddMember { member }
                | Change::RemoveMember {
                    member: Member::Ours(member),
                } => Some(member),
                Change::SetManager { manager } => manager.as_ref(),
                _ => None,
            });
        }
        let world = &self.world;
        let attributes = [world.configuration.capabilities.sign_in_name, "displayName"];
        let text = |value: Option<&Value>| match value {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let mut called = BTreeMap::new();
        for anchor in wanted {
            let identity = (self.metaverse.identity_of(world.spaces, anchor)).and_then(|slot| {
                let (configuration, spaces) = (world.configuration, &*world.spaces);
                let partings = &world.memory.partings;
                self.metaverse
                    .identity(configuration, spaces, partings, slot)
            });
            let desired = identity.and_then(|identity| {
                let mut names = attributes.iter();
                names.find_map(|name| text(identity.desired.get(*name)?.as_ref()))
            });
            let called_there = || {
                let handle = world.view.by_mark(anchor).pop()?;
                let object = world.view.object(handle)?;
                let mut names = attributes.iter();
                let found = names.find_map(|name| text(object.attributes.get(*name)?.value()));
                Some(found.unwrap_or_else(|| name(&object)))
            };
            if let Some(text) = desired.or_else(called_there) {
                called.insert(anchor.clone(), text);
            }
        }
        called
    }

    fn judge(&mut self, anchor: &Anchor) -> Leaver {
        let sources = Sources {
            configuration: self.world.configuration,
            spaces: self.world.spaces,
            metaverse: self.metaverse,
        };
        sources.judge(anchor, self.world.memory)
    }
}
