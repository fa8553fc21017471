//! One plan, from what was read to sorted operations: join, match, check, compare, leavers, guard, references, guard.
//!
//! References come after the first guard, for whose leaving is held keeps his groups too.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    configuration::Configuration,
    connector_space::ConnectorSpace,
    difference::{difference, first_values},
    entry::Class,
    fault::{Fault, planted},
    guard::{Hold, Managed, hold},
    identity::{Identity, Joined, Reading, ScopeCounts, join},
    leaving::{Leaving, Sources, leaving},
    matching::{Found, Matches, ViewIndex, find, name},
    memory::Memory,
    operation::{Change, Member, Operation},
    plan::{Counts, Plan, operation_digest, sort},
    quarantine::{Quarantined, refusal_key, settle},
    reason::Reason,
    reference::Peers,
    target::{Mark, TargetId, TargetObject, Value, Values},
    target_view::{TargetView, our_anchor},
    unique::{self, Absence},
};

/// A plan and what goes with it.
#[derive(Debug, Default)]
pub(crate) struct Drafted {
    pub(crate) plan: Plan,
    pub(crate) wake: Option<Timestamp>,
    pub(crate) scopes: BTreeMap<String, ScopeCounts>,
    pub(crate) ids: BTreeMap<Anchor, TargetId>,
}

/// What people call the objects that operations and holds name.
fn called(
    operations: &[Operation],
    holds: &[Hold],
    joined: &Joined<'_>,
    view: &TargetView,
    configuration: &Configuration,
) -> BTreeMap<Anchor, String> {
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
    let attributes = [configuration.capabilities.sign_in_name, "displayName"];
    let mut called = BTreeMap::new();
    for object in view.live() {
        if let Some(anchor) = our_anchor(object, &configuration.owner)
            && wanted.contains(anchor)
        {
            let held =
                attributes
                    .iter()
                    .find_map(|attribute| match object.attributes.get(*attribute) {
                        Some(Value::Text(text)) => Some(text.clone()),
                        _ => None,
                    });
            called.insert(anchor.clone(), held.unwrap_or_else(|| name(object)));
        }
    }
    for anchor in wanted {
        let Some(identity) = joined.identities.get(anchor) else {
            continue;
        };
        let found =
            attributes
                .iter()
                .find_map(|attribute| match identity.desired.get(*attribute) {
                    Some(Some(Value::Text(text))) => Some(text.clone()),
                    _ => None,
                });
        if let Some(text) = found {
            called.insert(anchor.clone(), text);
        }
    }
    called
}

/// Makes the plan.
pub(crate) fn plan<'a>(
    configuration: &'a Configuration,
    spaces: &'a BTreeMap<String, ConnectorSpace>,
    readings: &'a BTreeMap<&'a str, Reading<'a>>,
    view: &'a TargetView,
    memory: &mut Memory,
    now: Timestamp,
) -> Drafted {
    let mut joined = join(readings, configuration.capabilities, now);
    let mut drafted = Drafted {
        scopes: std::mem::take(&mut joined.scopes),
        ..Drafted::default()
    };
    let plan = &mut drafted.plan;
    let scopes = readings.values().flat_map(|reading| &reading.scopes);
    plan.faults = scopes.flat_map(|scope| scope.faults.clone()).collect();
    plan.faults
        .sort_by(|a, b| (&a.scope, &a.message).cmp(&(&b.scope, &b.message)));
    plan.unsupported = joined.unsupported;
    plan.counts = count(&joined);
    if !view.complete() {
        plan.quarantine = settle(joined.quarantine, memory);
        return drafted;
    }

    let index = ViewIndex::new(view, configuration);
    let sources = Sources {
        configuration,
        spaces,
        readings,
    };
    let matches = matched(&joined, &index, view, &sources, memory);
    let mut draft = Draft {
        configuration,
        memory,
        now,
        quarantine: std::mem::take(&mut joined.quarantine),
        planned: BTreeSet::new(),
        wake: None,
    };
    let (mut operations, existing) = draft.objects(&joined, &matches);
    let gone = leaving(
        leavers(&joined, &matches, &index, configuration),
        &sources,
        draft.memory,
        now,
    );
    for operation in gone.operations.iter().cloned() {
        operations.extend(draft.admit(operation, ""));
    }
    let mut managed = Managed::new(&index, configuration, draft.memory);
    let mut holds = hold(
        &mut operations,
        &configuration.guard,
        &managed,
        &configuration.owner,
    );

    let peers = Peers {
        matches: &matches,
        view,
        owner: &configuration.owner,
        existing: &existing,
        certain: &certain(&joined, &matches, &gone, &operations, &holds),
    };
    let mut references = Vec::new();
    for (anchor, identity) in joined
        .identities
        .iter()
        .filter(|(anchor, _)| existing.contains(anchor))
    {
        if let Some(Found::Ours(TargetObject {
            members: Some(members),
            ..
        })) = matches.found.get(anchor)
        {
            managed.members.insert(anchor.clone(), members.len());
        }
        for operation in peers.operations(anchor, identity) {
            references.extend(draft.admit(operation, &identity.slot.entry.dn));
        }
    }
    holds.extend(hold(
        &mut references,
        &configuration.guard,
        &managed,
        &configuration.owner,
    ));
    operations.append(&mut references);
    if !planted(Fault::UnsortedPlan) {
        sort(&mut operations);
    }

    draft.quarantine.extend(gone.quarantine);
    let Draft {
        quarantine,
        planned,
        wake,
        ..
    } = draft;
    let plan = &mut drafted.plan;
    plan.quarantine = settle(quarantine, memory);
    plan.names = called(&operations, &holds, &joined, view, configuration);
    plan.operations = operations;
    plan.holds = holds;
    drafted.wake = wake.into_iter().chain(gone.wake).min();
    drafted.ids = ids(&matches, &index);
    prune(memory, &planned, &index, &matches);
    drafted
}

fn count(joined: &Joined<'_>) -> Counts {
    let of = |class| {
        let identities = joined.identities.values();
        identities
            .filter(|identity| identity.class == class)
            .count()
    };
    Counts {
        users: of(Class::User),
        groups: of(Class::Group),
    }
}

fn matched<'v>(
    joined: &Joined<'_>,
    index: &ViewIndex<'v>,
    view: &TargetView,
    sources: &Sources<'v>,
    memory: &Memory,
) -> Matches<'v> {
    let configuration = sources.configuration;
    let changed = |anchor: &Anchor| {
        let mut readings = sources.readings.values();
        let now = readings.find_map(|reading| reading.index.changed.get(anchor));
        now.or_else(|| memory.anchor_changes.get(anchor)).cloned()
    };
    let mut matches = find(&joined.identities, index, view, configuration, &changed);
    unique::check_domains(&joined.identities, &mut matches, view, configuration);
    let absence = |anchor: &Anchor| {
        if !sources.absent(anchor) {
            return Absence::Present;
        }
        let absences = memory.absences.values();
        let seen = absences
            .filter_map(|absences| absences.get(anchor))
            .any(|absence| absence.home);
        let named = sources
            .spaces
            .values()
            .any(|space| space.tombstoned(anchor));
        if seen || named {
            Absence::Explained
        } else {
            Absence::Unexplained
        }
    };
    unique::check(
        &joined.identities,
        &mut matches,
        index,
        configuration,
        &absence,
    );
    matches
}

/// Our objects that no identity has and nothing keeps.
fn leavers<'v>(
    joined: &Joined<'_>,
    matches: &Matches<'_>,
    index: &ViewIndex<'v>,
    configuration: &Configuration,
) -> impl Iterator<Item = (&'v Anchor, &'v TargetObject)> {
    let mut kept: BTreeSet<&Anchor> = BTreeSet::new();
    let owned: BTreeSet<&TargetId> = (matches.found.values())
        .filter_map(|found| Some(&found.object()?.id))
        .collect();
    if !planted(Fault::QuarantinedLeave) {
        kept.extend(joined.kept.iter().chain(&matches.kept));
        kept.extend(joined.identities.values().flat_map(Identity::names));
    }
    let mut leavers: Vec<(&Anchor, &TargetObject)> = Vec::new();
    for (anchor, objects) in &index.ours {
        leavers.extend(objects.iter().map(|object| (*anchor, *object)).filter(
            |(anchor, object)| {
                configuration.capabilities.classes.contains(&object.class)
                    && !owned.contains(&object.id)
                    && !kept.contains(anchor)
            },
        ));
    }
    leavers.into_iter()
}

/// Ours of whom it is certain what the source thinks: they take part and their connector was read, or they left and that is neither
/// held nor a deletion, which takes memberships along.
fn certain(
    joined: &Joined<'_>,
    matches: &Matches<'_>,
    gone: &Leaving,
    flowing: &[Operation],
    holds: &[Hold],
) -> BTreeSet<TargetId> {
    let mut certain = gone.objects.clone();
    let deleted = flowing
        .iter()
        .filter(|operation| operation.change == Change::Delete);
    let held = holds.iter().flat_map(|hold| &hold.operations);
    for id in deleted
        .chain(held)
        .filter_map(|operation| operation.target.as_ref())
    {
        certain.remove(id);
    }
    for (anchor, found) in &matches.found {
        let identity = joined.identities.get(anchor);
        if let Found::Ours(object) = found
            && identity.is_some_and(|identity| identity.reading.space.settled())
        {
            certain.insert(object.id.clone());
        }
    }
    certain
}

fn ids(matches: &Matches<'_>, index: &ViewIndex<'_>) -> BTreeMap<Anchor, TargetId> {
    let marked = index.ours.iter().filter_map(|(anchor, objects)| {
        objects
            .first()
            .map(|object| ((*anchor).clone(), object.id.clone()))
    });
    let found = matches.found.iter().filter_map(|(anchor, found)| {
        found
            .object()
            .map(|object| (anchor.clone(), object.id.clone()))
    });
    marked.chain(found).collect()
}

/// Forgets what no longer concerns anybody.
fn prune(
    memory: &mut Memory,
    planned: &BTreeSet<String>,
    index: &ViewIndex<'_>,
    matches: &Matches<'_>,
) {
    let ours = |anchor: &Anchor| index.ours.contains_key(anchor);
    for absences in memory.absences.values_mut() {
        absences.retain(|anchor, _| ours(anchor));
    }
    memory.absences.retain(|_, absences| !absences.is_empty());
    memory.anchor_changes.retain(|_, old| ours(old));
    memory.disabling.retain(ours);
    memory
        .rewritten
        .retain(|anchor, _| ours(anchor) || matches.found.contains_key(anchor));
    memory.refusals.retain(|key, _| planned.contains(key));
}

impl Managed {
    fn new(index: &ViewIndex<'_>, configuration: &Configuration, memory: &Memory) -> Self {
        let mut managed = Self::default();
        for object in index.ours.values().flatten() {
            *managed.objects.entry(object.class).or_default() += 1;
            let enabled = object.attributes.get(configuration.capabilities.enabled);
            if enabled != Some(&Value::Flag(false)) {
                *managed.enabled.entry(object.class).or_default() += 1;
            } else if let Some(mark) = &object.mark
                && memory.disabling.contains(&mark.anchor)
            {
                managed.blocked.insert(mark.anchor.clone());
            }
        }
        managed
    }
}

struct Draft<'a> {
    configuration: &'a Configuration,
    memory: &'a mut Memory,
    now: Timestamp,
    quarantine: Vec<Quarantined>,
    /// Refused operations that are still wanted.
    planned: BTreeSet<String>,
    wake: Option<Timestamp>,
}

impl Draft<'_> {
    /// The operations on the objects themselves, and who exists at the target once they are done.
    fn objects<'i>(
        &mut self,
        joined: &'i Joined<'_>,
        matches: &Matches<'_>,
    ) -> (Vec<Operation>, BTreeSet<&'i Anchor>) {
        let mut operations = Vec::new();
        let mut existing = BTreeSet::new();
        for (anchor, identity) in &joined.identities {
            if let Some(obstacle) = matches.obstacles.get(anchor) {
                let message = obstacle.message.clone();
                let quarantined = identity.set_aside(obstacle.reason, message, self.now);
                self.quarantine.push(quarantined);
            }
            let Some(found) = matches.found.get(anchor) else {
                continue;
            };
            let Some(changes) = self.changes(anchor, identity, *found) else {
                continue;
            };
            let mut exists = true;
            for change in changes {
                let makes = !matches!(change, Change::Update { .. } | Change::Disable);
                let operation = Operation {
                    class: identity.class,
                    anchor: anchor.clone(),
                    target: found.object().map(|object| object.id.clone()),
                    change,
                };
                let admitted = self.admit(operation, &identity.slot.entry.dn);
                exists &= admitted.is_some() || !makes;
                operations.extend(admitted);
            }
            if exists {
                existing.insert(anchor);
            }
        }
        (operations, existing)
    }

    /// `None` when the object cannot be made.
    fn changes(
        &mut self,
        anchor: &Anchor,
        identity: &Identity<'_>,
        found: Found<'_>,
    ) -> Option<Vec<Change>> {
        let capabilities = self.configuration.capabilities;
        let mark = Mark {
            owner: self.configuration.owner.as_str().into(),
            anchor: anchor.clone(),
        };
        let rewritten = self.memory.rewritten.get(anchor);
        let against = |held: &Values| {
            difference(
                identity.class,
                &identity.desired,
                held,
                capabilities,
                rewritten,
            )
        };
        Some(match found {
            Found::Ours(object) => {
                let mut changes = against(&object.attributes);
                let mut all = Vec::new();
                let enabled = capabilities.enabled;
                if identity.class == Class::User {
                    let blocked = object.attributes.get(enabled) == Some(&Value::Flag(false));
                    let stays = blocked && !changes.contains_key(enabled);
                    if changes.get(enabled) == Some(&Some(Value::Flag(false))) {
                        changes.remove(enabled);
                        all.push(Change::Disable);
                    } else if !stays {
                        self.memory.disabling.remove(anchor);
                    } else if self.memory.disabling.contains(anchor) {
                        all.push(Change::Disable);
                    }
                }
                if !changes.is_empty() {
                    all.push(Change::Update { changes });
                }
                all
            }
            Found::Adopt(object) => {
                let mut changes = against(&object.attributes);
                // Once it is ours, the guard decides on that, and the sessions are revoked with it.
                if changes.get(capabilities.enabled) == Some(&Some(Value::Flag(false))) {
                    changes.remove(capabilities.enabled);
                }
                vec![Change::Adopt { mark, changes }]
            }
            Found::Restore(object) => vec![Change::Restore {
                mark,
                changes: against(&object.attributes),
            }],
            Found::Create => {
                let values = first_values(identity.class, &identity.desired, capabilities);
                let missing = capabilities.attributes.iter().find(|rule| {
                    rule.class == identity.class && rule.required && !values.contains_key(rule.name)
                });
                if let Some(rule) = missing {
                    let message = format!(
                        "the target needs `{}` to make the object: map it",
                        rule.name
                    );
                    self.quarantine.push(identity.set_aside(
                        Reason::AttributeMissing,
                        message,
                        self.now,
                    ));
                    return None;
                }
                vec![Change::Create { mark, values }]
            }
        })
    }

    /// `None` while a refusal of the same operation is not due to be tried again.
    fn admit(&mut self, operation: Operation, dn: &str) -> Option<Operation> {
        let key = refusal_key(&operation);
        let Some(refusal) = self.memory.refusals.get(&key) else {
            return Some(operation);
        };
        if refusal.operation != operation_digest(&operation) {
            return Some(operation);
        }
        self.quarantine.push(Quarantined {
            class: operation.class,
            anchor: Some(operation.anchor.clone()),
            dn: dn.to_owned(),
            reason: refusal.reason,
            message: format!(
                "{}; tried {} times, again at {}",
                refusal.message, refusal.failures, refusal.until
            ),
            since: self.now,
        });
        self.planned.insert(key);
        if refusal.until <= self.now {
            return Some(operation);
        }
        self.wake = self.wake.into_iter().chain([refusal.until]).min();
        None
    }
}
