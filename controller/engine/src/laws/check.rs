//! Runs cycles and checks each law against what is true in the world, by means of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Event, OWNER,
    source::{Directory, anchor, group_anchor},
    target::{CAPABILITIES, Model},
};
use crate::{
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
    operation::{Change, Operation},
    plan::{Digest, Plan},
    port::Import,
    target::Value,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Law {
    Idempotent,
    Planned,
    Evidence,
    Guard,
    Quarantine,
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
    /// This process has read everything once.
    read: bool,
    pub(super) broken: Vec<(Law, String)>,
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
            read: false,
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
            Event::Cut(after) => cut = Some(*after),
            Event::Drift(at) => self.model.drift(*at),
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
        self.engine.configure(configuration);
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
        }
        self.read = false;
        let configuration = configuration(self.scoped, self.delete, self.tight, &self.approved);
        self.engine = Engine::new(configuration, memory);
    }

    fn pass(&mut self, time: SignedDuration) {
        self.now = self.now.checked_add(time).unwrap();
    }

    /// Reads both sides, plans, checks, writes; after a complete read once more, which must write nothing.
    pub(super) fn cycle(&mut self, cut: Option<usize>) {
        let plan = self.once(cut);
        self.settled(&plan);
        if cut.is_none() {
            let again = self.once(None);
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
        for operation in &plan.operations {
            let outcome = self.model.apply(operation);
            self.engine.record(operation, &outcome, self.now);
        }
        let trespasses = self.model.trespasses.drain(..);
        self.broken
            .extend(trespasses.map(|text| (Law::Planned, text)));
        plan
    }

    fn check(&mut self, plan: &Plan) {
        let mut broken = Vec::new();
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
            broken.extend(self.over_limit(plan, class).map(|text| (Law::Guard, text)));
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

    /// What flows in a class although the limit is exceeded and its digest is not approved.
    fn over_limit(&self, plan: &Plan, class: HoldClass) -> Option<String> {
        let limit = limit(self.tight);
        let of = |object: Class, group: Option<&Operation>| {
            let mut flowing = plan.operations.iter().filter(move |operation| {
                operation.class == object
                    && group.is_none_or(|group| group.anchor == operation.anchor)
                    && match class {
                        HoldClass::Deletions => operation.change == Change::Delete,
                        HoldClass::Disables => operation.change == Change::Disable,
                        HoldClass::MembershipRemovals => {
                            matches!(operation.change, Change::RemoveMember { .. })
                        }
                    }
            });
            let mut anchors: Vec<_> = flowing
                .by_ref()
                .map(|operation| format!("{operation:?}"))
                .collect();
            anchors.sort();
            anchors
        };
        let over = |n: usize, managed: usize| {
            n > limit.floor as usize
                && (n > limit.max as usize || 100 * n > limit.percent as usize * managed)
        };
        let exceeded = |n: usize, managed: usize| (n > 1 && n >= managed) || over(n, managed);
        let approved = !self.approved.is_empty();
        for object in [Class::User, Class::Group] {
            let ours = self.model.live.values().filter(|one| {
                one.class == object && one.mark.as_ref().is_some_and(|mark| *mark.owner == *OWNER)
            });
            let enabled = |one: &&crate::target::TargetObject| {
                one.attributes.get("accountEnabled") != Some(&Value::Flag(false))
            };
            let managed = match class {
                HoldClass::Disables => ours.filter(enabled).count(),
                _ => ours.count(),
            };
            let flowing = of(object, None);
            let over = match class {
                HoldClass::MembershipRemovals => plan.operations.iter().any(|operation| {
                    let members = self
                        .model
                        .ours(&operation.anchor)
                        .and_then(|group| group.members.as_ref());
                    over(
                        of(object, Some(operation)).len(),
                        members.map_or(usize::MAX / 200, Vec::len),
                    ) && matches!(operation.change, Change::RemoveMember { .. })
                }),
                _ => exceeded(flowing.len(), managed),
            };
            // An approval is of one hold: what flows because of it is counted by its digest, below.
            if over && !(approved && self.approves(plan, class, object)) {
                return Some(format!(
                    "{class:?} of {managed} {object:?}s flow: {flowing:?}"
                ));
            }
        }
        None
    }

    /// The flowing operations of a class have a digest that was approved, computed here.
    fn approves(&self, plan: &Plan, class: HoldClass, object: Class) -> bool {
        let flowing = plan
            .operations
            .iter()
            .filter(|operation| operation.class == object);
        let mut lines: Vec<String> = flowing
            .filter_map(|operation| {
                let (own, word, member) = match &operation.change {
                    Change::Delete => (HoldClass::Deletions, "delete", None),
                    Change::Disable => (HoldClass::Disables, "disable", None),
                    Change::RemoveMember { member } => (
                        HoldClass::MembershipRemovals,
                        "removeMember",
                        Some(member.to_string()),
                    ),
                    _ => return None,
                };
                let member = member
                    .map(|member| format!("\t{member}"))
                    .unwrap_or_default();
                let line = format!(
                    "{}\t{word}\t{OWNER}\t{}{member}",
                    object.as_str(),
                    operation.anchor
                );
                (own == class).then_some(line)
            })
            .collect();
        lines.sort();
        // Removals flow beside an approved hold where their own group is within its limit: any subset may be the hold.
        class == HoldClass::MembershipRemovals
            || self
                .approved
                .contains(&Digest::of(lines.join("\n").as_bytes()))
    }

    /// Once the plan is written, everybody who takes part and is in order is as he should be, or is listed with a reason.
    fn settled(&mut self, plan: &Plan) {
        if !self.read || !self.scoped || self.directory.hidden_units[0] {
            return;
        }
        let listed = |anchor: &crate::anchor::Anchor| {
            plan.quarantine
                .iter()
                .any(|one| one.anchor.as_ref() == Some(anchor))
        };
        let held = |anchor: &crate::anchor::Anchor| {
            let held = plan.holds.iter().flat_map(|hold| &hold.operations);
            held.into_iter()
                .any(|operation| operation.anchor == *anchor)
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
            let name = Value::Text(format!("P{} n{}", person.id, person.name));
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

fn configuration(
    scoped: bool,
    delete: bool,
    tight: bool,
    approved: &BTreeSet<Digest>,
) -> Configuration {
    let unmapped = Override {
        set: BTreeMap::new(),
        omit: ["companyName", "jobTitle"].map(str::to_owned).into(),
    };
    let map = |class, overrides: &[&Override]| {
        Mapping::compile(ServerType::Generic, class, CAPABILITIES, overrides).unwrap()
    };
    let unit = |text| Include::OrganizationalUnit(Written::parse(text).unwrap());
    let scope = Scope {
        name: "staff".to_owned(),
        connector: "ldap".to_owned(),
        classes: [Class::User, Class::Group].into(),
        include: vec![unit("ou=staff0, dc=X")],
        exclude: vec![unit("OU=Service0,OU=Staff0,DC=x")],
        filter: None,
        when: BTreeMap::new(),
        mapping: [
            (Class::User, map(Class::User, &[&unmapped])),
            (Class::Group, map(Class::Group, &[])),
        ]
        .into(),
    };
    let limit = limit(tight);
    Configuration {
        drift: crate::drift::DriftPolicy::Correct,
        owner: OWNER.to_owned(),
        connectors: vec![ConnectorSettings {
            name: "ldap".to_owned(),
            confirm_absence: Duration::from_secs(15 * 60),
        }],
        scopes: if scoped { vec![scope] } else { Vec::new() },
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
