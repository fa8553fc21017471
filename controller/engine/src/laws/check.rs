//! Runs cycles and checks each law against what is true in the world, by means of its own.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Event, OWNER,
    explained::misexplained,
    source::{Directory, anchor, group_anchor},
    target::{CAPABILITIES, Model},
};
use crate::{
    anchor::Anchor,
    configuration::{
        Adopt, Configuration, ConnectorSettings, Deprovision, Guard, Include, Limit, Matching,
        Scope,
    },
    dn::Written,
    engine::Engine,
    entry::{Class, ServerType},
    guard::HoldClass,
    mapping::{Mapping, Override},
    memory::Memory,
    operation::{Change, Member, Operation},
    plan::{Digest, Plan},
    port::Import,
    target::{TargetObject, Value},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Law {
    Idempotent,
    Planned,
    Evidence,
    Guard,
    Quarantine,
    /// What is explained is what is planned.
    Explained,
}

const CONFIRM: SignedDuration = SignedDuration::from_mins(15);

pub(super) struct Runner {
    directory: Directory,
    model: Model,
    engine: Engine,
    now: Timestamp,
    delete: bool,
    tight: bool,
    scoped: bool,
    approved: BTreeSet<Digest>,
    /// Of each person: the first and last complete read without him, since he was last read.
    silence: BTreeMap<u8, (Timestamp, Timestamp)>,
    /// The read of this cycle was cut.
    cut: bool,
    /// This process has read everything once.
    read: bool,
    /// Every object is explained after every plan.
    pub(super) explains: bool,
    pub(super) broken: Vec<(Law, String)>,
}

impl Drop for Runner {
    fn drop(&mut self) {
        let none = configuration(false, false, false, &BTreeSet::new());
        put_back(self.engine.exchange(none));
    }
}

impl Runner {
    pub(super) fn new(tombstones: bool, delete: bool, tight: bool) -> Self {
        let approved = BTreeSet::new();
        let engine = Engine::new(
            configuration(true, delete, tight, &approved),
            Memory::default(),
        );
        Self {
            directory: Directory::new(tombstones),
            model: Model::new(),
            engine,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            delete,
            tight,
            scoped: true,
            approved,
            silence: BTreeMap::new(),
            cut: false,
            read: false,
            explains: false,
            broken: Vec::new(),
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        let mut cut = None;
        let person = |id: &u8| usize::from(*id);
        let people = &mut self.directory.people;
        match event {
            Event::Rename(p) => people[person(p)].name += 1,
            Event::Mail(p, mail) => people[person(p)].mail = *mail,
            Event::Department(p, to) => people[person(p)].department = *to,
            Event::Lock(p, locked) => people[person(p)].locked = *locked,
            Event::Break(p, broken) => people[person(p)].broken = *broken,
            Event::Hide(p, hidden) => people[person(p)].hidden = *hidden,
            Event::HideUnit(at, hidden) => self.directory.hidden_units[*at] = *hidden,
            Event::RenameUnit(at) => self.directory.unit_names[*at] += 1,
            Event::Move(p, unit) => people[person(p)].unit = *unit,
            Event::Delete(p) => people[person(p)].deleted = true,
            Event::ChangeAnchor(p, to) => people[person(p)].anchor_changed = *to,
            Event::Manager(p, manager) => people[person(p)].manager = *manager,
            Event::Member(group, member, is) => {
                let members = &mut self.directory.groups[*group];
                if *is {
                    members.insert(*member);
                } else {
                    members.remove(member);
                }
            }
            Event::Halve(group) => {
                let members = &mut self.directory.groups[*group];
                *members = members.iter().skip(2).copied().collect();
            }
            Event::Cut(after) => cut = Some(*after),
            Event::Drift(at) => self.model.drift(*at),
            Event::RevokeFails => self.model.revoke_fails = true,
            Event::Wait => self.pass(SignedDuration::from_mins(30)),
            Event::Restart(volume) => self.restart(*volume),
            Event::Scope(is) => {
                self.scoped = *is;
                self.configure();
            }
            Event::Approve => {
                let (plan, _) = self.engine.plan(self.now);
                self.approved
                    .extend(plan.holds.into_iter().map(|hold| hold.digest).take(1));
                self.configure();
            }
        }
        self.cycle(cut);
    }

    fn configure(&mut self) {
        let configuration = configuration(self.scoped, self.delete, self.tight, &self.approved);
        put_back(self.engine.exchange(configuration));
    }

    fn restart(&mut self, volume: bool) {
        let mut memory = Memory::default();
        if volume {
            let text = serde_json::to_string(self.engine.memory()).unwrap();
            memory = serde_json::from_str(&text).unwrap();
        } else {
            for resolved in self.engine.resolved("staff") {
                let written = Written::parse(&resolved.written).unwrap();
                memory.resolve("staff", &written, resolved.guid, &resolved.dn);
            }
            self.silence.clear();
            self.model.sessions.clear();
        }
        self.read = false;
        let configuration = configuration(self.scoped, self.delete, self.tight, &self.approved);
        let before = std::mem::replace(&mut self.engine, Engine::new(configuration, memory));
        put_back(before.dissolve());
    }

    fn pass(&mut self, time: SignedDuration) {
        self.now = self.now.checked_add(time).unwrap();
    }

    /// Reads both sides, plans, checks, writes; after a complete read once more, which must write nothing.
    pub(super) fn cycle(&mut self, cut: Option<usize>) {
        let plan = self.once(cut);
        self.settled(&plan);
        if cut.is_none() {
            let mut again = self.once(None);
            // What was in somebody's way may have gone with the first plan; nothing else may follow from it.
            let waited = |operation: &Operation| {
                let mut listed = plan.quarantine.iter();
                listed.any(|one| one.anchor.as_ref() == Some(&operation.anchor))
            };
            if again.operations.iter().all(waited) {
                again = self.once(None);
            }
            if !again.is_empty() {
                let first = &plan.operations;
                let text = format!("written again: {:?} after {first:?}", again.operations);
                self.broken.push((Law::Idempotent, text));
            }
        }
    }

    fn once(&mut self, cut: Option<usize>) -> Plan {
        self.pass(SignedDuration::from_secs(1));
        for event in self.directory.read(self.now, cut) {
            self.engine.import("ldap", event);
        }
        self.cut = cut.is_some();
        if cut.is_none() {
            self.read = true;
            for person in &self.directory.people {
                if self.directory.visible(person) {
                    self.silence.remove(&person.id);
                } else {
                    let silence = self
                        .silence
                        .entry(person.id)
                        .or_insert((self.now, self.now));
                    silence.1 = self.now;
                }
            }
        }
        for doubt in self.engine.doubts("ldap", self.now) {
            let (sighting, at) = (self.directory.find(doubt), self.now);
            self.engine
                .import("ldap", Import::Evidence { sighting, at });
        }
        for event in self.model.read() {
            self.engine.observe(event, self.now);
        }
        let (plan, _) = self.engine.plan(self.now);
        self.check(&plan);
        self.engine.sending(&plan.operations);
        for operation in &plan.operations {
            let outcome = self.model.apply(operation);
            self.engine.record(operation, &outcome, self.now);
        }
        self.engine.sent();
        let trespasses = self.model.trespasses.drain(..);
        self.broken
            .extend(trespasses.map(|text| (Law::Planned, text)));
        plan
    }

    fn check(&mut self, plan: &Plan) {
        let mut broken = Vec::new();
        if self.explains {
            let text = misexplained(&self.engine, plan);
            broken.extend(text.map(|text| (Law::Explained, text)));
        }
        if !plan
            .operations
            .is_sorted_by_key(|operation| operation.change.lane())
        {
            broken.push((Law::Planned, "not in the order of lanes".to_owned()));
        }
        for operation in plan
            .operations
            .iter()
            .chain(plan.holds.iter().flat_map(|hold| &hold.operations))
        {
            if let Some(text) = self.unjustified(operation) {
                broken.push((Law::Evidence, text));
            }
        }
        for class in [
            HoldClass::Deletions,
            HoldClass::Disables,
            HoldClass::MembershipRemovals,
        ] {
            for object in [Class::User, Class::Group] {
                let text = self.misjudged(plan, class, object);
                broken.extend(text.map(|text| (Law::Guard, text)));
            }
        }
        for bad in self.directory.people.iter().filter(|person| person.broken) {
            let names = [anchor(bad.id, bad.anchor_changed)];
            let listed = plan
                .quarantine
                .iter()
                .any(|one| one.anchor.as_ref().is_some_and(|own| names.contains(own)));
            if self.taking_part(bad.id) && self.read && !listed {
                broken.push((Law::Quarantine, format!("{} is bad and not listed", bad.id)));
            }
            let touched = plan.operations.iter().find(|operation| {
                operation.class == Class::User && names.contains(&operation.anchor)
            });
            if let (true, true, Some(operation)) = (self.taking_part(bad.id), self.read, touched) {
                broken.push((Law::Quarantine, format!("bad and touched: {operation:?}")));
            }
        }
        self.broken.extend(broken);
    }

    fn taking_part(&self, id: u8) -> bool {
        let person = &self.directory.people[usize::from(id)];
        self.scoped && person.unit == 0 && self.directory.visible(person)
    }

    /// Why an operation that takes an account away has no ground.
    fn unjustified(&self, operation: &Operation) -> Option<String> {
        if let Change::RemoveMember {
            member: Member::Ours(member),
        } = &operation.change
        {
            return self.unjustified_removal(operation, member);
        }
        let leaves = matches!(operation.change, Change::Disable | Change::Delete);
        if !leaves || operation.class != Class::User {
            let emptied = leaves && self.scoped;
            return emptied.then(|| format!("groups never leave in these worlds: {operation:?}"));
        }
        let person = (self.directory.people.iter()).find(|person| {
            [false, true]
                .iter()
                .any(|changed| anchor(person.id, *changed) == operation.anchor)
        })?;
        let unread = !self.read;
        let text = |why: &str| Some(format!("{why}: {operation:?} {person:?}"));
        if unread {
            return text("nothing was read yet");
        }
        if self.directory.visible(person) {
            let locked = person.locked && operation.change == Change::Disable;
            let out = person.unit != 0 || !self.scoped;
            return if anchor(person.id, person.anchor_changed) != operation.anchor {
                text("the anchor changed")
            } else if !locked && !out {
                text("he is in scope")
            } else {
                None
            };
        }
        if self.directory.hidden_units[0] {
            return text("the scope's OU is unsettled");
        }
        if self.directory.tombstones {
            return if person.deleted {
                None
            } else {
                text("hidden, and no tombstone")
            };
        }
        let Some((first, last)) = self.silence.get(&person.id) else {
            return text("no complete read without him");
        };
        (last.duration_since(*first) < CONFIRM)
            .then(|| text("two reads are not far enough apart"))?
    }

    /// Why a member may not be taken out of a group: only who is in order, and read beside a group that does not name him, or who has
    /// left by the same evidence as for his account.
    fn unjustified_removal(&self, operation: &Operation, member: &Anchor) -> Option<String> {
        let person = (self.directory.people.iter()).find(|person| {
            [false, true]
                .iter()
                .any(|changed| anchor(person.id, *changed) == *member)
        })?;
        let text = |why: &str| Some(format!("{why}: {operation:?} {person:?}"));
        if !self.read || self.cut {
            return text("the read is not complete");
        }
        if self.directory.hidden_units[0] {
            return text("the scope's OU is unsettled");
        }
        if !self.taking_part(person.id) {
            let account = Operation {
                class: Class::User,
                anchor: member.clone(),
                target: None,
                change: Change::Delete,
            };
            return self.unjustified(&account);
        }
        let groups = self.directory.groups.iter().enumerate();
        let named = groups
            .filter(|(at, _)| group_anchor(*at) == operation.anchor)
            .any(|(_, members)| members.contains(&person.id));
        if named {
            return text("the group names him");
        }
        if person.broken || anchor(person.id, person.anchor_changed) != *member {
            return text("he is set aside");
        }
        None
    }

    /// What flows in a class and should be held, or is held and should flow: the hold is what exceeds the limit by the arithmetic
    /// below, to the operation, unless exactly that was approved.
    fn misjudged(&self, plan: &Plan, class: HoldClass, object: Class) -> Option<String> {
        let of = |operation: &&Operation| {
            operation.class == object
                && match class {
                    HoldClass::Deletions => operation.change == Change::Delete,
                    // Who is blocked already loses no more than his sessions.
                    HoldClass::Disables => {
                        let blocked = |one: &TargetObject| !enabled(one);
                        operation.change == Change::Disable
                            && !self.model.ours(&operation.anchor).is_some_and(blocked)
                    }
                    HoldClass::MembershipRemovals => {
                        matches!(operation.change, Change::RemoveMember { .. })
                    }
                }
        };
        let mut holds = plan.holds.iter();
        let own = holds.find(|hold| hold.class == class && hold.object == object);
        let held: Vec<&Operation> = own.iter().flat_map(|hold| &hold.operations).collect();
        if let Some(safe) = held.iter().find(|operation| !of(operation)) {
            return Some(format!("{safe:?} is held as one of {class:?}"));
        }
        let flowing = plan.operations.iter().filter(of);
        let risky: Vec<&Operation> = flowing.chain(held.iter().copied()).collect();
        let mut expected = self.exceeding(&risky, class, object);
        if self.approved.contains(&digest(&expected)) {
            expected.clear();
        }
        let lines = |operations: &[&Operation]| operations.iter().map(|one| line(one)).collect();
        let (expected, held): (BTreeSet<_>, BTreeSet<_>) = (lines(&expected), lines(&held));
        (expected != held).then(|| {
            format!(
                "{class:?} of {object:?}s: of {risky:?}, {expected:?} is to be held and {held:?} is"
            )
        })
    }

    /// What of the risky operations of a class exceeds the limit.
    fn exceeding<'a>(
        &self,
        risky: &[&'a Operation],
        class: HoldClass,
        object: Class,
    ) -> Vec<&'a Operation> {
        let limit = limit(self.tight);
        let (floor, max) = (limit.floor as usize, limit.max as usize);
        let over =
            |n: usize, of: usize| n > floor && (n > max || 100 * n > limit.percent as usize * of);
        let all = |n: usize, of: usize| n > 1 && n >= of;
        let ours = self.model.live.values().filter(|one| {
            one.class == object && one.mark.as_ref().is_some_and(|mark| *mark.owner == *OWNER)
        });
        let n = risky.len();
        if class == HoldClass::MembershipRemovals {
            let members = |one: &TargetObject| one.members.as_ref().map_or(0, Vec::len);
            let everything = all(n, ours.map(members).sum()) || n > floor && n > max;
            let exceeds = |operation: &&&Operation| {
                let group = |other: &&&Operation| other.anchor == operation.anchor;
                let of = self.model.ours(&operation.anchor).map_or(0, members);
                everything || over(risky.iter().filter(group).count(), of)
            };
            return risky.iter().filter(exceeds).copied().collect();
        }
        let enabled =
            |one: &&TargetObject| one.attributes.get("accountEnabled") != Some(&Value::Flag(false));
        let managed = match class {
            HoldClass::Disables => ours.filter(enabled).count(),
            _ => ours.count(),
        };
        if all(n, managed) || over(n, managed) {
            return risky.to_vec();
        }
        Vec::new()
    }

    /// Once the plan is written, everybody who takes part and is in order is as he should be, or is listed with a reason.
    fn settled(&mut self, plan: &Plan) {
        if !self.read || !self.scoped || self.directory.hidden_units[0] {
            return;
        }
        let listed = |anchor: &Anchor| {
            plan.quarantine
                .iter()
                .any(|one| one.anchor.as_ref() == Some(anchor))
        };
        let held = |anchor: &Anchor| {
            let held = plan.holds.iter().flat_map(|hold| &hold.operations);
            held.into_iter()
                .any(|operation| operation.anchor == *anchor)
        };
        // Refused in this very plan: it is listed from the next one on.
        let fresh = |anchor: &Anchor| {
            let disable = |operation: &Operation| operation.change == Change::Disable;
            (plan.operations.iter()).any(|one| disable(one) && one.anchor == *anchor)
        };
        let mut broken = Vec::new();
        let complete = self.silence.values().all(|(_, last)| *last >= self.now);
        for person in &self.directory.people {
            let own = anchor(person.id, person.anchor_changed);
            if !complete
                || !self.taking_part(person.id)
                || person.broken
                || listed(&own)
                || held(&own)
            {
                continue;
            }
            let name = Value::Text(format!("Person {} named {}", person.id, person.name));
            let alive = |object: &&TargetObject| self.model.sessions.contains(&object.id);
            if person.locked && !fresh(&own) && self.model.ours(&own).as_ref().is_some_and(alive) {
                broken.push((Law::Quarantine, format!("sessions live on: {person:?}")));
            }
            let Some(object) = self.model.ours(&own) else {
                broken.push((Law::Quarantine, format!("lost: {person:?}")));
                continue;
            };
            if object.attributes.get("displayName") != Some(&name)
                || object.attributes.get("accountEnabled") != Some(&Value::Flag(!person.locked))
            {
                broken.push((
                    Law::Quarantine,
                    format!("not as desired: {person:?} {object:?}"),
                ));
            }
        }
        for at in 0..self.directory.groups.len() {
            if complete && self.model.ours(&group_anchor(at)).is_none() {
                broken.push((Law::Quarantine, format!("group {at} is lost")));
            }
        }
        self.broken.extend(broken);
    }
}

fn limit(tight: bool) -> Limit {
    if tight {
        Limit {
            max: 3,
            percent: 25,
            floor: 1,
        }
    } else {
        Limit {
            max: 500,
            percent: 100,
            floor: 5,
        }
    }
}

thread_local! {
    /// Mappings that are not in use.
    static COMPILED: RefCell<Vec<BTreeMap<Class, Mapping>>> = const { RefCell::new(Vec::new()) };
}

/// One that was compiled before, if there is one: compiling takes longer than a case.
fn mapping() -> BTreeMap<Class, Mapping> {
    if let Some(known) = COMPILED.with_borrow_mut(Vec::pop) {
        return known;
    }
    let unmapped = Override {
        set: BTreeMap::new(),
        omit: ["companyName", "jobTitle"].map(str::to_owned).into(),
    };
    let map = |class, overrides: &[&Override]| {
        Mapping::compile(ServerType::Generic, class, CAPABILITIES, overrides).unwrap()
    };
    [
        (Class::User, map(Class::User, &[&unmapped])),
        (Class::Group, map(Class::Group, &[])),
    ]
    .into()
}

pub(super) fn put_back(configuration: Configuration) {
    let mappings = configuration.scopes.into_iter().map(|scope| scope.mapping);
    COMPILED.with_borrow_mut(|all| all.extend(mappings));
}

pub(super) fn configuration(
    scoped: bool,
    delete: bool,
    tight: bool,
    approved: &BTreeSet<Digest>,
) -> Configuration {
    let unit = |text| Include::OrganizationalUnit(Written::parse(text).unwrap());
    let scope = || Scope {
        name: "staff".to_owned(),
        connector: "ldap".to_owned(),
        classes: [Class::User, Class::Group].into(),
        include: vec![unit("ou=staff0, dc=X")],
        exclude: vec![unit("OU=Service0,OU=Staff0,DC=x")],
        filter: None,
        when: BTreeMap::new(),
        mapping: mapping(),
    };
    let limit = limit(tight);
    Configuration {
        drift: crate::drift::DriftPolicy::Correct,
        joins: None,
        owner: OWNER.to_owned(),
        connectors: vec![ConnectorSettings {
            name: "ldap".to_owned(),
            confirm_absence: Duration::from_secs(15 * 60),
        }],
        scopes: if scoped { vec![scope()] } else { Vec::new() },
        capabilities: CAPABILITIES,
        matching: Matching {
            soft: vec!["userPrincipalName".to_owned()],
            adopt: Adopt::Report,
        },
        deprovision_user: if delete {
            Deprovision::Delete
        } else {
            Deprovision::Disable
        },
        guard: Guard {
            deletions: limit,
            disables: limit,
            membership_removals: limit,
            approved: approved.clone(),
        },
    }
}

/// What a hold's digest is taken of, for one operation.
fn line(operation: &Operation) -> String {
    let member = match &operation.change {
        Change::RemoveMember {
            member: Member::Ours(anchor),
        } => format!("\t{anchor}"),
        Change::RemoveMember {
            member: Member::Foreign(id),
        } => format!("\tforeign {id}"),
        _ => String::new(),
    };
    let (class, kind) = (operation.class.as_str(), operation.change.kind().as_str());
    format!("{class}\t{kind}\t{OWNER}\t{}{member}", operation.anchor)
}

fn digest(operations: &[&Operation]) -> Digest {
    let lines: BTreeSet<String> = operations.iter().map(|one| line(one)).collect();
    let lines: Vec<String> = lines.into_iter().collect();
    Digest::of(lines.join("\n").as_bytes())
}

fn enabled(object: &TargetObject) -> bool {
    object.attributes.get("accountEnabled") != Some(&Value::Flag(false))
}
