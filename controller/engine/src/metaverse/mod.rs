//! The metaverse: what part every entry takes, which identity and which object are its own, and what is to be done about it; kept
//! from plan to plan and brought up to date from what changed.
//!
//! [`update`] says who is concerned by what changed and goes through the stages: scope, join, match, references, leavers. Each stage
//! names those whom the next one concerns. With everything forgotten and every entry named, the same code computes all anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    configuration::Configuration,
    entry::{Class, Entry},
    fault::{Fault, planted},
    identity::{Aside, Identity, Ruled, ScopeCounts},
    index::{Index, NONE},
    mapping::{Contribution, MappingFault, together},
    memory::Memory,
    operation::Change,
    parting::Partings,
    plan::{Counts, Unsupported},
    record::Unkept,
    scope::Decided,
    space::{ConnectorSpace, Spaces},
    target::{Changes, TargetId},
    target_view::TargetView,
};

mod component;
mod joining;
mod keep;
mod leaving;
mod matching;
mod referring;
mod ring;
mod scoping;
mod update;

/// What the metaverse is made from.
#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) spaces: &'a mut Spaces,
    pub(crate) view: &'a mut TargetView,
    pub(crate) memory: &'a mut Memory,
    pub(crate) now: Timestamp,
}

/// The step that set something aside; of several reasons the first is the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Scope,
    Join,
    Match,
    Make,
}

/// What kind of object an identity has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is set aside, or waits.
    #[default]
    None,
    Ours,
    /// It is to be restored or adopted.
    Other,
    Create,
}

/// What is known of one entry.
#[derive(Clone, Copy, Debug)]
struct State {
    /// The scope that takes it, by position; `u16::MAX` for none.
    scope: u16,
    /// Which scopes take it: a number of [`Metaverse::sets`].
    taken: u16,
    /// As which kind it is unsupported.
    unsupported: Option<crate::identity::Kind>,
    class: Class,
    identity: bool,
    standing: Standing,
    makeable: bool,
    object: u32,
    /// Of values that it wants or its object holds; more of them are in [`Metaverse::more_keys`].
    keys: [u32; 2],
    /// Members of its group at the target.
    members: u32,
}

impl Default for State {
    fn default() -> Self {
        Self {
            scope: u16::MAX,
            taken: 0,
            unsupported: None,
            class: Class::User,
            identity: false,
            standing: Standing::None,
            makeable: false,
            object: NONE,
            keys: [NONE; 2],
            members: 0,
        }
    }
}

/// What may have to be done about the references of an identity; the rest of the plan decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct References {
    /// Identities that are to be members.
    pub(crate) adds: Vec<u32>,
    /// Objects at the target that are members and are not named.
    pub(crate) removes: Vec<u32>,
    /// The manager is not as it should be.
    pub(crate) manager: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Metaverse {
    states: Vec<State>,
    rings: ring::Rings,
    /// Nobody whom the joins concern is decided for now.
    waiting: bool,
    sets: Vec<Vec<u16>>,
    /// By position of the scope in the configuration; `None` until its connector was read completely.
    pub(crate) decided: Vec<Option<Decided>>,
    pub(crate) aside: BTreeMap<(Stage, u32), Aside>,
    /// What is to be done about objects.
    pub(crate) pending: BTreeMap<u32, Vec<Change>>,
    pub(crate) references: BTreeMap<u32, References>,
    /// Our objects that no identity has and nothing keeps; those of them with whom something is to be done.
    orphans: BTreeSet<u32>,
    pub(crate) departing: BTreeSet<u32>,
    /// Objects that may turn out to be an identity's.
    claims: HashMap<u32, Vec<u32>>,
    claimed: HashMap<u32, u32>,
    /// Anchors of objects that stay because of an identity.
    keeps: HashMap<u32, Vec<Anchor>>,
    kept: BTreeMap<Anchor, u32>,
    /// Of values that an identity wants and its own object does not hold.
    keys: Index,
    more_keys: HashMap<u32, Vec<u32>>,
    pub(crate) counts: Counts,
    pub(crate) unsupported: Unsupported,
    scope_counts: Vec<ScopeCounts>,
    pub(crate) memberships: usize,
    /// Absence of an entry means something: every connector was read, no scope is unsettled.
    told: bool,
    /// All is to be computed anew.
    pub(crate) everything: bool,
    /// As of when everything is.
    pub(crate) now: Timestamp,
    /// When entries are to be looked at again because a time in them comes; each has one at most.
    moments: BTreeSet<(Timestamp, u32)>,
    moment_of: HashMap<u32, Timestamp>,
    /// Anchors of which the memory changed.
    pub(crate) remembered: BTreeSet<Anchor>,
    /// Names of entries that nothing holds any more because of somebody who had left them.
    pub(crate) released: BTreeSet<Anchor>,
    /// Desired objects that this update has computed already.
    cache: HashMap<u32, Identity>,
    /// How many identities were looked at again since the start.
    pub(crate) recomputed: u64,
    /// Entries whose states are to be kept.
    unkept: Unkept,
    /// Entries that are kept without a state.
    busy_kept: BTreeSet<u32>,
    /// What was kept of `keys`, until the engine is resumed.
    wanted: Vec<(u32, u32)>,
    /// What the rules were when states were kept.
    rules_kept: Vec<u8>,
}

/// More than this many desired objects are computed twice rather than kept until the end of an update.
const CACHED: usize = 2_000;

impl Metaverse {
    pub(crate) fn new(recomputed: u64) -> Self {
        Self {
            states: Vec::new(),
            rings: ring::Rings::default(),
            waiting: false,
            sets: vec![Vec::new()],
            decided: Vec::new(),
            aside: BTreeMap::new(),
            pending: BTreeMap::new(),
            references: BTreeMap::new(),
            orphans: BTreeSet::new(),
            departing: BTreeSet::new(),
            claims: HashMap::new(),
            claimed: HashMap::new(),
            keeps: HashMap::new(),
            kept: BTreeMap::new(),
            keys: Index::default(),
            more_keys: HashMap::new(),
            counts: Counts::default(),
            unsupported: Unsupported::default(),
            scope_counts: Vec::new(),
            memberships: 0,
            told: false,
            everything: true,
            now: Timestamp::MIN,
            moments: BTreeSet::new(),
            moment_of: HashMap::new(),
            remembered: BTreeSet::new(),
            released: BTreeSet::new(),
            cache: HashMap::new(),
            recomputed,
            unkept: Unkept::default(),
            busy_kept: BTreeSet::new(),
            wanted: Vec::new(),
            rules_kept: Vec::new(),
        }
    }

    /// Nothing is known of any entry.
    fn forget_results(&mut self) {
        let fresh = Self::new(self.recomputed);
        let before = std::mem::replace(self, fresh);
        self.everything = false;
        self.unkept = before.unkept;
        self.busy_kept = before.busy_kept;
    }

    fn state(&self, slot: u32) -> State {
        self.states.get(slot as usize).copied().unwrap_or_default()
    }

    fn state_mut(&mut self, slot: u32) -> &mut State {
        let at = slot as usize;
        if self.states.len() <= at {
            self.states.resize(at + 1, State::default());
        }
        if !planted(Fault::ResultNotKept) {
            self.unkept.insert(slot);
        }
        &mut self.states[at]
    }

    pub(crate) fn is_identity(&self, slot: u32) -> bool {
        self.state(slot).identity
    }

    pub(crate) fn class(&self, slot: u32) -> Class {
        self.state(slot).class
    }

    /// The kind of object an identity has, and its number.
    pub(crate) fn found(&self, slot: u32) -> (Standing, Option<u32>) {
        let state = self.state(slot);
        (
            state.standing,
            (state.object != NONE).then_some(state.object),
        )
    }

    /// It has an object, or can be given one.
    pub(crate) fn may_exist(&self, slot: u32) -> bool {
        let state = self.state(slot);
        state.identity && state.standing != Standing::None && state.makeable
    }

    pub(crate) fn is_claimed(&self, object: u32) -> bool {
        self.claimed.contains_key(&object)
    }

    pub(crate) fn is_orphan(&self, object: u32) -> bool {
        self.orphans.contains(&object)
    }

    /// Objects that may turn out to be an identity's.
    pub(crate) fn claims(&self, slot: u32) -> &[u32] {
        self.claims.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// The identity with this anchor of its own.
    pub(crate) fn identity_of(&self, spaces: &Spaces, anchor: &Anchor) -> Option<u32> {
        let mut found = spaces.by_anchor(anchor).into_iter();
        found.find(|slot| self.is_identity(*slot))
    }

    /// Where the object of an anchor is.
    pub(crate) fn id(
        &self,
        spaces: &Spaces,
        view: &TargetView,
        anchor: &Anchor,
    ) -> Option<TargetId> {
        let identity = self.identity_of(spaces, anchor);
        let found = identity.and_then(|slot| self.found(slot).1);
        view.id(found.or_else(|| view.by_mark(anchor).first().copied())?)
    }

    pub(crate) fn scope_counts(&self, at: usize) -> ScopeCounts {
        self.scope_counts.get(at).copied().unwrap_or_default()
    }

    /// A scope of the connector is unsettled: nobody leaves.
    pub(crate) fn faulted(&self, configuration: &Configuration, connector: &str) -> bool {
        let scopes = configuration.scopes.iter().zip(&self.decided);
        let mut own = scopes.filter(|(scope, _)| scope.connector == connector);
        own.any(|(_, decided)| {
            let faults = decided.iter().flat_map(|decided| &decided.faults);
            faults.count() > 0
        })
    }

    /// As of when everything is.
    pub(crate) fn as_of(&self) -> Timestamp {
        self.now
    }

    /// When a time in an entry next comes.
    pub(crate) fn next_moment(&self) -> Option<Timestamp> {
        self.moments.first().map(|(moment, _)| *moment)
    }

    fn set_moment(&mut self, slot: u32, moment: Option<Timestamp>) {
        let old = match moment {
            Some(moment) => self.moment_of.insert(slot, moment),
            None => self.moment_of.remove(&slot),
        };
        if let Some(old) = old {
            self.moments.remove(&(old, slot));
        }
        self.moments.extend(moment.map(|moment| (moment, slot)));
    }

    /// Entries in which a time has come since they were last looked at.
    fn come(&mut self) -> BTreeSet<u32> {
        let later = self.moments.split_off(&(self.now, u32::MAX));
        let come = std::mem::replace(&mut self.moments, later);
        let come: BTreeSet<u32> = come.into_iter().map(|(_, slot)| slot).collect();
        for slot in &come {
            self.moment_of.remove(slot);
        }
        come
    }

    /// The entry's object at the target stays as it is, whatever else is so.
    fn is_aside(&self, slot: u32) -> bool {
        [Stage::Scope, Stage::Join]
            .iter()
            .any(|stage| self.aside.contains_key(&(*stage, slot)))
    }

    /// The identity with what its object should look like; the error is why there is none.
    fn compute(
        &self,
        configuration: &Configuration,
        spaces: &Spaces,
        partings: &Partings,
        slot: u32,
    ) -> Option<Result<Identity, Aside>> {
        let state = self.state(slot);
        let scope = configuration.scopes.get(usize::from(state.scope))?;
        let decided = self.decided.get(usize::from(state.scope))?.as_ref()?;
        let entry = spaces.entry(slot)?;
        let mut closed = decided.closed;
        let (mut joined, mut former) = (Vec::new(), Vec::new());
        let desired = if self.rings.is_tied(slot) {
            let contributors = self.contributors(configuration, spaces, slot);
            for member in self.rings.members(slot).into_iter().skip(1) {
                let names = spaces.names_of(member);
                if contributors.contains(&member) {
                    joined.extend(names);
                } else {
                    former.extend(names);
                }
            }
            let scopes = contributors.iter().map(|one| self.state(*one).scope);
            let mut decided = scopes.filter_map(|at| self.decided.get(usize::from(at))?.as_ref());
            closed = decided.any(|decided| decided.closed);
            self.desired_together(configuration, spaces, &contributors)?
        } else {
            let mapped = scope.mapping.get(&state.class)?.apply(&entry, self.now);
            mapped.map_err(aside)
        };
        let desired = match desired {
            Ok(desired) => desired,
            Err(aside) => return Some(Err(aside)),
        };
        let anchor = entry.anchor?;
        if !partings.is_empty() {
            let names = [&anchor].into_iter().chain(&entry.alternate).chain(&joined);
            let left = names.flat_map(|name| partings.left(name));
            former.extend(left.flat_map(|left| partings.names(left).iter().cloned()));
        }
        Some(Ok(Identity {
            slot,
            class: state.class,
            anchor,
            alternate: entry.alternate,
            joined,
            former,
            dn: entry.dn,
            closed,
            desired,
        }))
    }

    /// What several entries say together.
    fn desired_together(
        &self,
        configuration: &Configuration,
        spaces: &Spaces,
        contributors: &[u32],
    ) -> Option<Result<Changes, Aside>> {
        let joins = configuration.joins.as_ref()?;
        let entries: Vec<(u32, Entry)> = contributors
            .iter()
            .filter_map(|slot| Some((*slot, spaces.entry(*slot)?)))
            .collect();
        let contributions: Vec<Contribution<'_>> = entries
            .iter()
            .filter_map(|(slot, entry)| {
                let state = self.state(*slot);
                let scope = configuration.scopes.get(usize::from(state.scope))?;
                Some(Contribution {
                    mapping: scope.mapping.get(&state.class)?,
                    entry,
                    connector: &scope.connector,
                })
            })
            .collect();
        if contributions.is_empty() {
            return None;
        }
        let rank = |attribute: &str, connector: &str| joins.rank_for(attribute, connector);
        let desired = together(&contributions, self.now, rank);
        Some(desired.map_err(|(at, fault)| {
            let dn = contributions.get(at).map_or("", |one| &one.entry.dn);
            let Aside { reason, message } = aside(fault);
            let message = format!("`{dn}`: {message}");
            Aside { reason, message }
        }))
    }

    /// The connectors of all entries of an identity were read to the end.
    pub(crate) fn settled(&self, spaces: &Spaces, slot: u32) -> bool {
        let settled = |slot: u32| {
            let connector = spaces.connector_of(slot);
            let space = connector.and_then(|number| spaces.connector(number));
            space.is_some_and(ConnectorSpace::settled)
        };
        if !self.rings.is_tied(slot) {
            return settled(slot);
        }
        self.rings.members(slot).into_iter().all(settled)
    }

    /// An identity, with what its object should look like.
    pub(crate) fn identity(
        &self,
        configuration: &Configuration,
        spaces: &Spaces,
        partings: &Partings,
        slot: u32,
    ) -> Option<Identity> {
        if !self.is_identity(slot) {
            return None;
        }
        self.compute(configuration, spaces, partings, slot)?.ok()
    }
}

fn aside(fault: MappingFault) -> Aside {
    Aside {
        reason: fault.reason,
        message: fault.message,
    }
}

/// The scopes of a connector by name, with what their rules are.
pub(crate) fn ruled<'a>(
    configuration: &'a Configuration,
    decided: &'a [Option<Decided>],
    connector: &str,
) -> Vec<Ruled<'a>> {
    let mut own: Vec<Ruled<'a>> = configuration
        .scopes
        .iter()
        .zip(decided)
        .enumerate()
        .filter(|(_, (scope, _))| scope.connector == connector)
        .filter_map(|(at, (scope, decided))| Some((at, scope, decided.as_ref()?)))
        .collect();
    own.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    own
}
