//! The engine: a value driven by events. What a directory holds comes in by `import`, what the target holds by `observe`, what
//! became of writes by `record`; `plan` says what is to be written.
//!
//! Full recomputation at each plan, for now; the surface is that of a delta engine.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    anchor::Anchor,
    configuration::{Configuration, Include},
    connector_space::{ConnectorSpace, names},
    draft,
    entry::Class,
    exclusion::EXCLUSION_ATTRIBUTES,
    expression::Expression,
    fault::{Fault, planted},
    filter::Filter,
    gone,
    identity::{Reading, ScopeCounts},
    memory::{Memory, Rewritten},
    operation::{Change, Member, Operation, Outcome},
    plan::Plan,
    port::{Import, Observation, ReadRequest, TargetRead},
    quarantine::{refusal_key, refuse},
    reason::Reason,
    scope::{Decided, MEMBERS},
    target::{TargetId, Values},
    target_view::{TargetView, normal},
};

/// See the module.
///
/// # Guarantees
/// * The same events give the same plan, to the byte.
/// * Nothing is planned before the target was read completely, nor for entries of a connector that never was.
/// * Only objects with our mark are changed; an object without a mark is at most adopted, where `matching` says so.
/// * Nobody leaves without certainty: see [`crate::gone`] and [`crate::leaving`].
/// * One bad entry is set aside with its reason; all others flow.
#[derive(Debug)]
pub struct Engine {
    configuration: Configuration,
    spaces: BTreeMap<String, ConnectorSpace>,
    view: TargetView,
    memory: Memory,
    /// Where the last plan found objects, for references in what is recorded.
    ids: BTreeMap<Anchor, TargetId>,
    scope_counts: BTreeMap<String, ScopeCounts>,
    /// When the target wishes to be asked again.
    retry: Option<Timestamp>,
}

/// What an OU or group in a scope was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// In canonical form: the DN folded, or `<GUID=…>` with the digits of the bytes.
    pub written: String,
    pub guid: Anchor,
    /// As the server writes it now.
    pub dn: String,
}

impl Engine {
    /// `memory` is what [`Self::memory`] gave in an earlier life, or empty.
    pub fn new(configuration: Configuration, memory: Memory) -> Self {
        Self {
            configuration,
            spaces: BTreeMap::new(),
            view: TargetView::default(),
            memory,
            ids: BTreeMap::new(),
            scope_counts: BTreeMap::new(),
            retry: None,
        }
    }

    /// Takes over a changed configuration. What a scope that is no longer in it had counts as leaving.
    pub fn configure(&mut self, configuration: Configuration) {
        self.configuration = configuration;
    }

    /// What a connector is to read: everything that mappings, filters, expressions and exclusions look at.
    pub fn read_request(&self, connector: &str) -> ReadRequest {
        let mut attributes: BTreeSet<String> = EXCLUSION_ATTRIBUTES
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
        for scope in &self.configuration.scopes {
            if scope.connector != connector {
                continue;
            }
            let filter = scope.filter.iter().flat_map(Filter::attributes);
            let when = scope.when.values().flat_map(Expression::attributes);
            attributes.extend(filter.chain(when).map(str::to_ascii_lowercase));
            for mapping in scope.mapping.values() {
                attributes.extend(mapping.attributes());
            }
            let rules = scope.include.iter().chain(&scope.exclude);
            if rules
                .into_iter()
                .any(|rule| matches!(rule, Include::Group(_)))
            {
                attributes.extend(MEMBERS.map(str::to_owned));
            }
        }
        ReadRequest { attributes }
    }

    /// What is to be read of the target: what it can write, so that companions of an attribute are known too.
    pub fn target_read(&self) -> TargetRead {
        let of = |class| {
            let rules = self.configuration.capabilities.attributes.iter();
            rules
                .filter(|rule| rule.class == class)
                .map(|rule| rule.name.to_owned())
                .collect()
        };
        TargetRead {
            owner: self.configuration.owner.clone(),
            user_attributes: of(Class::User),
            group_attributes: of(Class::Group),
        }
    }

    /// Takes an event of a connector's read, or evidence that was asked for.
    pub fn import(&mut self, connector: &str, event: Import) {
        let space = self.spaces.entry(connector.to_owned()).or_default();
        match event {
            Import::Begin { at, tombstones, .. } => {
                space.begin(at, tombstones);
            }
            Import::Batch(entries) => {
                for entry in entries {
                    for name in names(&entry) {
                        gone::seen(&mut self.memory, connector, name);
                        self.memory.anchor_changes.retain(|_, old| old != name);
                    }
                    space.add(entry);
                }
            }
            Import::Tombstones(anchors) => space.add_tombstones(anchors),
            // What a delta says is taken over by the delta engine.
            Import::Values(_) | Import::Unchanged(_) | Import::Missing(_) => {}
            Import::End { .. } => {
                let (swept, changes) = space.end();
                self.memory.anchor_changes.extend(changes);
                if let Some(began) = self
                    .spaces
                    .get(connector)
                    .and_then(ConnectorSpace::complete)
                {
                    let readings = readings(&self.configuration, &self.spaces, &self.memory);
                    let settled =
                        (readings.get(connector)).is_some_and(|reading| !reading.faulted());
                    gone::read_ended(&mut self.memory, connector, swept, began, settled);
                }
            }
            Import::Evidence { sighting, at } => {
                gone::searched(&mut self.memory, connector, &sighting, at);
            }
        }
    }

    /// Anchors whose absence from a connector a search should confirm or refute: answer with [`Import::Evidence`].
    pub fn doubts(&self, connector: &str, now: Timestamp) -> Vec<Anchor> {
        let settings = (self.configuration.connectors.iter()).find(|known| known.name == connector);
        let (Some(settings), Some(space), Some(absences)) = (
            settings,
            self.spaces.get(connector),
            self.memory.absences.get(connector),
        ) else {
            return Vec::new();
        };
        absences
            .iter()
            .filter(|(_, absence)| gone::doubtful(absence, space, settings, now))
            .map(|(anchor, _)| anchor.clone())
            .collect()
    }

    /// Takes an event of the target's read.
    pub fn observe(&mut self, event: Observation, now: Timestamp) {
        self.view.observe(event, now);
    }

    /// What is to be written now, and when to plan again if nothing happens before.
    pub fn plan(&mut self, now: Timestamp) -> (Plan, Option<Timestamp>) {
        let readings = readings(&self.configuration, &self.spaces, &self.memory);
        for reading in readings.values().filter(|reading| reading.space.settled()) {
            for scope in &reading.scopes {
                let name = scope.scope.name.clone();
                self.memory.resolved.insert(name, scope.resolved.clone());
            }
        }
        let drafted = draft::plan(
            &self.configuration,
            &self.spaces,
            &readings,
            &self.view,
            &mut self.memory,
            now,
        );
        self.ids = drafted.ids;
        self.scope_counts = drafted.scopes;
        let wake = drafted.wake.into_iter().chain(self.retry);
        (drafted.plan, wake.filter(|at| *at > now).min())
    }

    /// These operations are about to be sent. A disable has two halves (block sign-in, revoke the sessions): one that is interrupted
    /// between them is planned again until [`Self::record`] hears that it is done. Keep [`Self::memory`] after this, before sending.
    pub fn sending(&mut self, operations: &[Operation]) {
        if planted(Fault::HalfADisableIsEnough) {
            return;
        }
        let disables = operations
            .iter()
            .filter(|one| one.change == Change::Disable);
        self.memory
            .disabling
            .extend(disables.map(|one| one.anchor.clone()));
    }

    /// Takes what became of an operation.
    ///
    /// A success is laid over the target view for ten minutes. A refusal sets the operation aside: it is tried again after 1 min,
    /// doubling to 1 h, or at once when it would be another one.
    pub fn record(&mut self, operation: &Operation, outcome: &Outcome, now: Timestamp) {
        if operation.change == Change::Disable
            && matches!(
                outcome,
                Outcome::Done { .. } | Outcome::AlreadySo | Outcome::Gone
            )
        {
            self.memory.disabling.remove(&operation.anchor);
        }
        let (reason, message) = match outcome {
            Outcome::Done { id } => {
                return self.confirm(operation, id.as_ref(), &Values::new(), now);
            }
            Outcome::AlreadySo => return self.confirm(operation, None, &Values::new(), now),
            Outcome::Rewritten { values } => {
                self.remember(operation, values);
                return self.confirm(operation, None, values, now);
            }
            Outcome::NotYet { retry_after } => {
                let delay = retry_after.and_then(|delay| SignedDuration::try_from(delay).ok());
                let at = delay.and_then(|delay| now.checked_add(delay).ok());
                self.retry = self
                    .retry
                    .filter(|at| *at > now)
                    .into_iter()
                    .chain(at)
                    .min();
                return;
            }
            Outcome::Gone => return self.forget(operation),
            Outcome::Unknown | Outcome::NotSent => return,
            Outcome::Conflict { attribute, holder } => {
                let what = attribute.as_deref().unwrap_or("a value");
                let holder = holder.as_deref().unwrap_or("another object");
                let message =
                    format!("`{what}` must be unique and {holder} has it: change one of the two");
                (Reason::DuplicateValue, message)
            }
            Outcome::Refused { reason, message } => (*reason, message.clone()),
        };
        refuse(&mut self.memory, operation, reason, message, now);
    }

    fn confirm(
        &mut self,
        operation: &Operation,
        id: Option<&TargetId>,
        held: &Values,
        now: Timestamp,
    ) {
        self.memory.refusals.remove(&refusal_key(operation));
        let known = || self.ids.get(&operation.anchor);
        let Some(id) = operation.target.as_ref().or(id).or_else(known).cloned() else {
            return;
        };
        if let Change::Create { .. } = operation.change {
            self.ids.insert(operation.anchor.clone(), id.clone());
        }
        let peer = match &operation.change {
            Change::AddMember { member: peer }
            | Change::RemoveMember {
                member: Member::Ours(peer),
            }
            | Change::SetManager {
                manager: Some(peer),
            } => self.ids.get(peer).cloned(),
            _ => None,
        };
        let enabled = self.configuration.capabilities.enabled;
        self.view.confirm(operation, id, peer, held, enabled, now);
    }

    /// Keeps what the target made of the values that were sent.
    fn remember(&mut self, operation: &Operation, held: &Values) {
        let rewritten = self
            .memory
            .rewritten
            .entry(operation.anchor.clone())
            .or_default();
        for (name, held) in held {
            let sent = match &operation.change {
                Change::Create { values, .. } => values.get(name).cloned().map(Some),
                Change::Restore { changes, .. }
                | Change::Adopt { changes, .. }
                | Change::Update { changes } => changes.get(name).cloned(),
                _ => None,
            };
            let (Some(sent), held) = (sent.map(normal), normal(Some(held.clone()))) else {
                continue;
            };
            if sent != held {
                let record = Rewritten::new(sent.as_ref(), held.as_ref());
                rewritten.insert(name.clone(), record);
            }
        }
    }

    /// The object is not there any more. For a membership it may be either side: the next read tells.
    fn forget(&mut self, operation: &Operation) {
        let membership = matches!(
            operation.change,
            Change::AddMember { .. } | Change::RemoveMember { .. } | Change::SetManager { .. }
        );
        if let (Some(id), false) = (&operation.target, membership) {
            self.view.forget(id);
        }
    }

    /// What must be kept for the next life.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What the OUs and groups of a scope are, for `SyncScope.status.resolved`.
    pub fn resolved(&self, scope: &str) -> Vec<Resolved> {
        let known = self.memory.resolved.get(scope).into_iter().flatten();
        known
            .map(|(written, resolution)| Resolved {
                written: written.clone(),
                guid: resolution.guid.clone(),
                dn: resolution.dn.clone(),
            })
            .collect()
    }

    /// How many entries the scope takes, as of the last plan.
    pub fn scope_counts(&self, scope: &str) -> ScopeCounts {
        self.scope_counts.get(scope).copied().unwrap_or_default()
    }
}

/// Every connector that has been heard of. One that was never read completely has no scopes yet: nothing can be said of it.
fn readings<'a>(
    configuration: &'a Configuration,
    spaces: &'a BTreeMap<String, ConnectorSpace>,
    memory: &Memory,
) -> BTreeMap<&'a str, Reading<'a>> {
    let mut readings = BTreeMap::new();
    for (name, space) in spaces {
        let index = space.index();
        let mut scopes = Vec::new();
        if space.complete().is_some() {
            let own = configuration
                .scopes
                .iter()
                .filter(|scope| scope.connector == *name);
            scopes.extend(
                own.map(|scope| Decided::new(scope, &index, memory.resolved.get(&scope.name))),
            );
            scopes.sort_by(|a, b| a.scope.name.cmp(&b.scope.name));
        }
        let reading = Reading {
            space,
            index,
            scopes,
        };
        readings.insert(name.as_str(), reading);
    }
    readings
}
