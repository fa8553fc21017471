//! The engine: a value driven by events. What a directory holds comes in by `import`, what the target holds by `observe`, what
//! became of writes by `record`; `plan` says what is to be written.
//!
//! A plan costs what has changed since the last one, not what there is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

mod keep;

pub use crate::space::Findings;
use crate::{
    anchor::Anchor,
    configuration::{Configuration, Include},
    draft, drift,
    entry::{Class, EntryKind},
    exclusion::EXCLUSION_ATTRIBUTES,
    explain::{self, Explanation, Question},
    expression::Expression,
    fault::{Fault, planted},
    filter::Filter,
    gone,
    identity::ScopeCounts,
    mapping::Mapping,
    memory::{Memory, Rewritten},
    metaverse::{Metaverse, World},
    operation::{Change, Member, Operation, Outcome},
    plan::Plan,
    port::{Cause, Cursor, Import, Observation, ReadRequest, TargetRead},
    quarantine::{refusal_key, refuse},
    reason::Reason,
    scope::{Decided, MEMBERS, Read},
    space::{ConnectorSpace, Doubt, Journal, OBJECT_SID, Spaces, Swept, Taken},
    target::{Known, TargetId, Values},
    target_view::{Kept, TargetView, normal},
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
    spaces: Spaces,
    view: TargetView,
    memory: Memory,
    metaverse: Metaverse,
    /// When the target wishes to be asked again.
    retry: Option<Timestamp>,
    /// The last process ended while it was sending, and the target was not read since.
    interrupted: bool,
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
        let interrupted = memory.sending;
        let mut engine = Self {
            interrupted,
            configuration,
            spaces: Spaces::default(),
            view: TargetView::default(),
            memory,
            metaverse: Metaverse::new(0),
            retry: None,
        };
        engine.prepare();
        engine
    }

    /// Takes over a changed configuration. What a scope that is no longer in it had counts as leaving.
    pub fn configure(&mut self, configuration: Configuration) {
        self.configuration = configuration;
        self.prepare();
    }

    /// What follows from the configuration alone; all else is computed anew with the next plan.
    fn prepare(&mut self) {
        let configuration = &self.configuration;
        self.view.configure(
            &configuration.owner,
            sought(configuration),
            configuration.capabilities,
        );
        self.prepare_spaces();
        self.metaverse.everything = true;
    }

    fn prepare_spaces(&mut self) {
        let configuration = &self.configuration;
        let connectors = configuration.scopes.iter().map(|scope| &scope.connector);
        let settings = configuration.connectors.iter().map(|known| &known.name);
        let connectors: BTreeSet<&String> = connectors.chain(settings).collect();
        self.spaces.look_abroad(looks_abroad(configuration));
        for connector in connectors {
            let (links, spelled) = links(configuration, connector);
            self.spaces.configure(connector, links, spelled);
        }
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
        if looks_abroad(&self.configuration) {
            attributes.insert(OBJECT_SID.to_owned());
        }
        let joins = self.configuration.joins.iter();
        let joined = joins.flat_map(|joins| joins.attributes(connector));
        attributes.extend(joined.map(str::to_owned));
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
        let number = self.spaces.number(connector);
        if self.metaverse.everything {
            self.spaces.journal = Journal::default();
        }
        if let Import::Begin { at, .. } = event {
            self.know_who_is_joined(at);
        }
        match event {
            Import::Begin {
                at,
                server_type,
                tombstones,
                extent,
            } => self
                .spaces
                .begin(number, at, server_type, tombstones, extent),
            Import::Batch(entries) => {
                for entry in entries {
                    let names = [entry.anchor.clone(), entry.alternate.clone()];
                    let Taken { swept, changed } = self.spaces.add(number, entry);
                    self.left(connector, swept, None);
                    self.memory.anchor_changes.extend(changed);
                    for name in names.iter().flatten() {
                        self.seen(connector, name);
                    }
                }
            }
            Import::Values(changes) => {
                for change in &changes {
                    self.spaces.change_values(number, change);
                }
            }
            Import::Unchanged(anchors) => {
                self.spaces.unchanged(number, &anchors);
                for name in &anchors {
                    self.seen(connector, name);
                }
            }
            Import::Tombstones(anchors) => {
                let swept = self.spaces.bury(number, anchors);
                self.left(connector, swept, None);
            }
            Import::Missing(anchors) => self.spaces.miss(number, anchors),
            Import::End { cursor } => {
                let ended = self.spaces.end(number, cursor);
                self.left(connector, ended.swept, None);
                if let Some(began) = ended.complete
                    && !self.faulted(number)
                {
                    gone::read_ended(&mut self.memory, connector, began);
                    self.remember_absent(connector);
                }
            }
            Import::Evidence { sighting, at } => {
                if let Some((doubt, swept)) = self.spaces.answer(number, &sighting) {
                    let searched = (!sighting.found).then_some((doubt, at));
                    self.left(connector, swept, searched);
                }
                gone::searched(&mut self.memory, connector, &sighting, at);
                self.metaverse.remembered.insert(sighting.anchor);
            }
        }
    }

    /// Who is joined to whom must be known before the first of them leaves.
    fn know_who_is_joined(&mut self, now: Timestamp) {
        let joins = self.configuration.joins.is_some();
        if joins && self.metaverse.everything && self.spaces.slots().next().is_some() {
            self.metaverse.update(&mut World {
                configuration: &self.configuration,
                spaces: &mut self.spaces,
                view: &mut self.view,
                memory: &mut self.memory,
                now,
            });
        }
    }

    /// An entry with this name is there: who was held because it was missed is decided anew.
    fn seen(&mut self, connector: &str, name: &Anchor) {
        let held = self.memory.partings.stayed(name).cloned();
        self.metaverse.released.extend(held);
        gone::seen(&mut self.memory, connector, name);
    }

    /// Entries left a connector: keeps what is known of their absence, and with whom they were one identity.
    fn left(&mut self, connector: &str, swept: Vec<Swept>, searched: Option<(Doubt, Timestamp)>) {
        for swept in &swept {
            let stay = self.metaverse.joined_to(&self.spaces, swept.slot);
            self.memory.partings.part(swept, &stay);
        }
        gone::left(&mut self.memory, connector, swept, searched);
    }

    /// A scope of the connector is unsettled by what was just read.
    fn faulted(&self, connector: u16) -> bool {
        let name = self.spaces.connector(connector).map(|space| &space.name);
        let scopes = self.configuration.scopes.iter();
        let read = Read {
            spaces: &self.spaces,
            connector,
        };
        scopes
            .filter(|scope| Some(&scope.connector) == name)
            .any(|scope| {
                let known = self.memory.resolved.get(&scope.name);
                !Decided::new(scope, read, known, None).faults.is_empty()
            })
    }

    /// More is known of whoever is absent.
    fn remember_absent(&mut self, connector: &str) {
        let absences = self.memory.absences.get(connector);
        let anchors = absences.into_iter().flat_map(|absences| absences.keys());
        self.metaverse.remembered.extend(anchors.cloned());
    }

    /// Where a connector's change feed stands; `None` before its first read came to its end, or where it has none.
    pub fn cursor(&self, connector: &str) -> Option<&Cursor> {
        self.space(connector)?.cursor.as_ref()
    }

    /// How many entries of each kind a connector has.
    pub fn entries(&self, connector: &str) -> BTreeMap<EntryKind, usize> {
        self.space(connector)
            .map_or(BTreeMap::new(), |space| space.entries.clone())
    }

    /// DNs below which everything should be listed, because a container came, was renamed, moved or went.
    pub fn listings(&self, connector: &str) -> Vec<(String, Cause)> {
        let space = self.space(connector);
        space.map_or(Vec::new(), ConnectorSpace::listings)
    }

    /// What the last comparison ([`Cause::Verify`]) found that the change feed had missed, or that changed since it was last asked.
    pub fn findings(&self, connector: &str) -> Findings {
        let space = self.space(connector);
        space.map_or(Findings::default(), ConnectorSpace::findings)
    }

    /// How many entries and identities plans have looked at again since the start.
    pub fn recomputed(&self) -> u64 {
        self.metaverse.recomputed
    }

    fn space(&self, connector: &str) -> Option<&ConnectorSpace> {
        self.spaces.connector(self.spaces.find(connector)?)
    }

    /// Anchors whose absence from a connector a search should confirm or refute: answer with [`Import::Evidence`].
    pub fn doubts(&self, connector: &str, now: Timestamp) -> Vec<Anchor> {
        let Some(space) = self.space(connector) else {
            return Vec::new();
        };
        let mut doubts: BTreeSet<Anchor> = space.missing().cloned().collect();
        let settings = (self.configuration.connectors.iter()).find(|known| known.name == connector);
        let absences = self.memory.absences.get(connector);
        if let (Some(settings), Some(absences)) = (settings, absences) {
            let doubtful = absences
                .iter()
                .filter(|(_, absence)| gone::doubtful(absence, space, settings, now));
            doubts.extend(doubtful.map(|(anchor, _)| anchor.clone()));
        }
        doubts.into_iter().collect()
    }

    /// Takes an event of the target's read.
    pub fn observe(&mut self, event: Observation, now: Timestamp) {
        let ends = matches!(event, Observation::End { .. });
        self.view.observe(event, now);
        let touched = self.view.touched();
        if self.interrupted {
            self.interrupted = !ends;
            return;
        }
        drift::note(&mut self.memory, touched, &self.configuration, now);
    }

    /// Of most of what the target holds only digests are kept. From now on the values themselves are, for someone who wants to see them;
    /// if some were not, everything is to be read once more.
    pub fn keep_target_values(&mut self) {
        self.view.keep_values();
    }

    /// From where the next read of the target can go on; `None` when everything is to be read.
    pub fn target_cursor(&self) -> Option<&Cursor> {
        self.view.cursor()
    }

    /// Live objects at the target that are ours or privileged, for an adapter that was not there when they were read.
    pub fn known(&self) -> impl Iterator<Item = Known> {
        self.view.known()
    }

    /// When the target was last read completely.
    pub fn target_read_at(&self) -> Option<Timestamp> {
        self.view.read_at()
    }

    /// When the last complete read of a connector began.
    pub fn read_at(&self, connector: &str) -> Option<Timestamp> {
        self.space(connector)?.complete()
    }

    /// What is to be written now, and when to plan again if nothing happens before.
    pub fn plan(&mut self, now: Timestamp) -> (Plan, Option<Timestamp>) {
        let mut world = World {
            configuration: &self.configuration,
            spaces: &mut self.spaces,
            view: &mut self.view,
            memory: &mut self.memory,
            now,
        };
        self.metaverse.update(&mut world);
        let drafted = draft::plan(&mut world, &self.metaverse, now);
        let wake = drafted.wake.into_iter().chain(self.retry);
        let wake = wake.chain(self.metaverse.next_moment());
        (drafted.plan, wake.filter(|at| *at > now).min())
    }

    /// Everything that is known of one object and why the plan has what it has of it; `plan` is the last one that [`Self::plan`] gave.
    /// One explanation for each entry, or object of ours without one, that the question fits; none changes anything.
    pub fn explain(&self, question: &Question, plan: &Plan) -> Vec<Explanation> {
        let look = explain::Look {
            configuration: &self.configuration,
            spaces: &self.spaces,
            view: &self.view,
            memory: &self.memory,
            metaverse: &self.metaverse,
            plan,
        };
        look.answer(question)
    }

    /// These operations are about to be sent. A disable has two halves (block sign-in, revoke the sessions): one that is interrupted
    /// between them is planned again until [`Self::record`] hears that it is done. Keep [`Self::memory`] after this, before sending; say [`Self::sent`] when
    /// it is over.
    pub fn sending(&mut self, operations: &[Operation]) {
        self.memory.sending = true;
        if planted(Fault::HalfADisableIsEnough) {
            return;
        }
        let disables = operations
            .iter()
            .filter(|one| one.change == Change::Disable);
        for operation in disables {
            let anchor = operation.anchor.clone();
            self.memory.disabling.insert(anchor.clone());
            self.metaverse.remembered.insert(anchor);
        }
    }

    /// Nothing is under way any more, and all outcomes that are known are recorded.
    pub fn sent(&mut self) {
        self.memory.sending = false;
    }

    /// Takes what became of an operation.
    ///
    /// A success is laid over the target view for ten minutes. A refusal sets the operation aside: it is tried again after 1 min,
    /// doubling to 1 h, or at once when it would be another one.
    pub fn record(&mut self, operation: &Operation, outcome: &Outcome, now: Timestamp) {
        self.metaverse.remembered.insert(operation.anchor.clone());
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
        let known = || self.id(&operation.anchor);
        let Some(id) = operation.target.as_ref().or(id).cloned().or_else(known) else {
            return;
        };
        let peer = match &operation.change {
            Change::AddMember { member: peer }
            | Change::RemoveMember {
                member: Member::Ours(peer),
            }
            | Change::SetManager {
                manager: Some(peer),
            } => self.id(peer),
            _ => None,
        };
        let enabled = self.configuration.capabilities.enabled;
        self.view.confirm(operation, id, peer, held, enabled, now);
    }

    /// Where the object of an anchor is, for references in what is recorded.
    fn id(&self, anchor: &Anchor) -> Option<TargetId> {
        self.metaverse.id(&self.spaces, &self.view, anchor)
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
                let record = Rewritten::new(sent.as_ref(), held.map(Kept::Value).as_ref());
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

    /// What every identity should look like.
    #[cfg(test)]
    pub(crate) fn desired(&self) -> Vec<(Class, Anchor, crate::target::Changes)> {
        let identity = |slot| {
            let identity = self.metaverse.identity(
                &self.configuration,
                &self.spaces,
                &self.memory.partings,
                slot,
            )?;
            Some((identity.class, identity.anchor, identity.desired))
        };
        let mut all: Vec<_> = self.spaces.slots().filter_map(identity).collect();
        all.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        all
    }

    /// The configuration, to be used again: compiling one takes longer than a plan of few.
    #[cfg(test)]
    pub(crate) fn dissolve(self) -> Configuration {
        self.configuration
    }

    /// [`Self::configure`] that gives back what it replaces.
    #[cfg(test)]
    pub(crate) fn exchange(&mut self, configuration: Configuration) -> Configuration {
        let before = std::mem::replace(&mut self.configuration, configuration);
        self.prepare();
        before
    }

    /// Puts another memory in the place of this one.
    #[cfg(test)]
    pub(crate) fn recall(&mut self, memory: Memory) {
        self.memory = memory;
        self.metaverse.everything = true;
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
        let mut scopes = self.configuration.scopes.iter();
        let at = scopes.position(|known| known.name == scope);
        at.map_or(ScopeCounts::default(), |at| self.metaverse.scope_counts(at))
    }
}

/// Groups may have members of another connector.
fn looks_abroad(configuration: &Configuration) -> bool {
    let connectors = configuration.scopes.iter().map(|scope| &scope.connector);
    connectors.collect::<BTreeSet<_>>().len() > 1
}

/// Attributes of the target whose values matching looks for.
pub(crate) fn sought(configuration: &Configuration) -> BTreeSet<String> {
    let rules = configuration.capabilities.attributes;
    let unique = rules.iter().filter(|rule| rule.unique);
    let unique = unique.map(|rule| rule.name.to_owned());
    let soft = configuration.matching.soft.iter().cloned();
    unique.chain(soft).collect()
}

/// The attributes of a connector's entries that lead to others, and those of them at whose text somebody looks.
fn links(configuration: &Configuration, connector: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let own = (configuration.scopes.iter()).filter(|scope| scope.connector == connector);
    let mut links: BTreeSet<String> = MEMBERS.map(str::to_owned).into();
    let mut looked_at: BTreeSet<String> = BTreeSet::new();
    for scope in own {
        let managers = scope.mapping.values().filter_map(Mapping::manager);
        links.extend(managers.map(str::to_ascii_lowercase));
        let filter = scope.filter.iter().flat_map(Filter::attributes);
        let when = scope.when.values().flat_map(Expression::attributes);
        let mapped = scope.mapping.values().flat_map(Mapping::values);
        let all = filter.chain(when).chain(mapped);
        looked_at.extend(all.map(str::to_ascii_lowercase));
    }
    let spelled = links.intersection(&looked_at).cloned().collect();
    (links, spelled)
}
