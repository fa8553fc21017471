//! Law 2: delta equals full. A directory that tells what changed, and an engine that is told, against one that reads everything.
//!
//! After every delta that came to its end, the desired objects, the plan and its digest are those of a new engine with the same
//! memory that read the same directory and target once, completely. What differs is only since when an absence is known.
//!
//! The same with two directories whose people are joined by their addresses or by a number.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};

use super::{
    configured::{CONNECTORS, JOINED, compiled, put_back},
    explained::misexplained,
    feed::{Directory, FOREIGN, GROUPS, PEOPLE, SECOND, START, UNITS},
    target::Model,
};
use crate::{
    configuration::Configuration,
    engine::Engine,
    entry::Class,
    fault::{Fault, with},
    memory::Memory,
    operation::Outcome,
    plan::Plan,
    port::Import,
    reason::Reason,
    record::{Key, Resumed},
};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    Rename(u8),
    Mail(u8, u8),
    Department(u8, Option<u8>),
    Lock(u8, bool),
    Expire(u8, Option<u8>),
    Break(u8, bool),
    Move(u8, usize),
    /// Out of the base, or back.
    Hide(u8, bool),
    Delete(u8),
    Revive(u8),
    ChangeAnchor(u8, bool),
    Manager(u8, Option<u8>),
    Member(usize, u8, bool),
    RenameGroup(usize),
    RenameUnit(usize),
    MoveUnit(usize, Option<usize>),
    /// Two units take each other's names.
    SwapUnits(usize, usize),
    Drift(usize),
    Foreign(u8),
    Configure(u8),
    /// Somebody of the other forest is a member, or is no more.
    Foreigner(usize, u8, bool),
    Wait,
}

/// How a cycle reads: everything, or what changed; cut after so many events; with listings; and whether its plan is carried out.
#[derive(Clone, Debug)]
struct Read {
    complete: bool,
    cut: Option<usize>,
    order: u64,
    list: bool,
    apply: bool,
    refuse: bool,
    restart: Option<Restart>,
}

/// A new process goes on before the cycle, from what was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    /// After the last export.
    Latest,
    /// Before it, with the memory of then or of now.
    Earlier { memory: bool },
}

/// Everything is read, and the plan is carried out.
const FIRST: Read = Read {
    complete: true,
    cut: None,
    order: 0,
    list: false,
    apply: true,
    refuse: false,
    restart: None,
};

fn event() -> impl Strategy<Value = Event> {
    let person = || 0..PEOPLE;
    let unit = || 0..UNITS.len();
    let group = || 0..usize::from(GROUPS);
    prop_oneof![
        3 => person().prop_map(Event::Rename),
        4 => (person(), person()).prop_map(|(p, mail)| Event::Mail(p, mail)),
        3 => (person(), proptest::option::of(0..4_u8)).prop_map(|(p, to)| Event::Department(p, to)),
        1 => (person(), any::<bool>()).prop_map(|(p, locked)| Event::Lock(p, locked)),
        2 => (person(), proptest::option::of(0..6_u8)).prop_map(|(p, at)| Event::Expire(p, at)),
        2 => (person(), any::<bool>()).prop_map(|(p, broken)| Event::Break(p, broken)),
        4 => (person(), unit()).prop_map(|(p, unit)| Event::Move(p, unit)),
        2 => (person(), any::<bool>()).prop_map(|(p, hidden)| Event::Hide(p, hidden)),
        3 => person().prop_map(Event::Delete),
        2 => person().prop_map(Event::Revive),
        2 => (person(), any::<bool>()).prop_map(|(p, to)| Event::ChangeAnchor(p, to)),
        3 => (person(), proptest::option::of(person())).prop_map(|(p, to)| Event::Manager(p, to)),
        5 => (group(), 0..PEOPLE + GROUPS, any::<bool>()).prop_map(|(g, m, is)| Event::Member(g, m, is)),
        1 => group().prop_map(Event::RenameGroup),
        3 => unit().prop_map(Event::RenameUnit),
        3 => (unit(), proptest::option::of(unit())).prop_map(|(u, to)| Event::MoveUnit(u, to)),
        1 => (unit(), unit()).prop_map(|(a, b)| Event::SwapUnits(a, b)),
        1 => (0..14_usize).prop_map(Event::Drift),
        1 => person().prop_map(Event::Foreign),
        2 => (0..4_u8).prop_map(Event::Configure),
        1 => Just(Event::Wait),
    ]
}

/// What happens, and in which of two directories.
fn event_in_two() -> impl Strategy<Value = (usize, Event)> {
    let foreigner = (0..usize::from(GROUPS), 0..PEOPLE, any::<bool>());
    let event = prop_oneof![
        12 => event(),
        2 => foreigner.prop_map(|(group, who, is)| Event::Foreigner(group, who, is)),
    ];
    (0..2_usize, event)
}

fn read() -> impl Strategy<Value = Read> {
    (
        proptest::bool::weighted(0.1),
        proptest::option::weighted(0.2, 0..6_usize),
        any::<u64>(),
        any::<bool>(),
        proptest::bool::weighted(0.7),
        proptest::bool::weighted(0.1),
        prop_oneof![
            4 => Just(None),
            2 => Just(Some(Restart::Latest)),
            1 => any::<bool>().prop_map(|memory| Some(Restart::Earlier { memory })),
        ],
    )
        .prop_map(
            |(complete, cut, order, list, apply, refuse, restart)| Read {
                complete,
                cut,
                order,
                list,
                apply,
                refuse,
                restart,
            },
        )
}

/// Links follow their entry; tombstones can be read; the configuration; cycles of events in one of the directories and a read each.
type Case = (bool, bool, u8, Vec<(Vec<(usize, Event)>, Read)>);

fn case() -> impl Strategy<Value = Case> {
    let cycle = (vec(event().prop_map(|event| (0, event)), 1..4), read());
    (any::<bool>(), any::<bool>(), 0..4_u8, vec(cycle, 1..5))
}

/// Two directories; configurations from [`JOINED`] on.
fn case_of_two() -> impl Strategy<Value = Case> {
    let cycle = (vec(event_in_two(), 1..5), read());
    let kind = JOINED..JOINED + 3;
    (any::<bool>(), any::<bool>(), kind, vec(cycle, 1..6))
}

/// Differences between the two engines.
#[derive(Debug, Default)]
struct Runner {
    /// One, or two whose people are joined.
    directories: Vec<Directory>,
    model: Model,
    engine: Option<Engine>,
    kind: u8,
    now: Timestamp,
    broken: Vec<String>,
    /// All records, and what they were before the last export.
    kept: Kept,
    earlier: Kept,
    /// The configuration is another one than when they were.
    configured: bool,
}

/// What is kept of an engine.
#[derive(Clone, Debug, Default)]
struct Kept {
    records: BTreeMap<Key, Vec<u8>>,
    memory: Memory,
    /// Nothing has come to the engine since.
    latest: bool,
}

impl Kept {
    fn keep(&mut self, engine: &mut Engine) {
        let records = &mut self.records;
        self.latest = engine.keep(&mut |key, bytes| {
            match bytes {
                Some(bytes) => records.insert(key, bytes.to_vec()),
                None => records.remove(&key),
            };
        });
        if self.latest {
            engine.kept();
            self.memory = engine.memory().clone();
        }
    }

    fn resume(&self, configuration: Configuration, memory: Memory) -> Engine {
        let mut resumed = Resumed::default();
        for (key, bytes) in &self.records {
            resumed.take(*key, bytes).unwrap();
        }
        resumed.engine(configuration, memory)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            put_back(self.kind, engine);
        }
    }
}

impl Runner {
    fn new(follows: bool, tombstones: bool, kind: u8) -> Self {
        let forests = if kind >= JOINED {
            &[0, SECOND][..]
        } else {
            &[0]
        };
        let directories = forests.iter();
        let mut runner = Self {
            directories: directories
                .map(|forest| Directory::new(follows, tombstones, *forest))
                .collect(),
            model: Model::new(),
            engine: Some(Engine::new(compiled(kind), Memory::default())),
            kind,
            now: START,
            broken: Vec::new(),
            kept: Kept::default(),
            earlier: Kept::default(),
            configured: false,
        };
        runner.cycle(&FIRST);
        runner
    }

    fn event(&mut self, (at, event): &(usize, Event)) {
        let directory = &mut self.directories[*at];
        match event {
            Event::Rename(p) => directory.person(*p, |person| person.name += 1),
            Event::Mail(p, mail) => directory.edit(*p, |person| person.mail = *mail),
            Event::Department(p, to) => directory.edit(*p, |person| person.department = *to),
            Event::Lock(p, locked) => directory.edit(*p, |person| person.locked = *locked),
            Event::Expire(p, at) => directory.edit(*p, |person| person.expires = *at),
            Event::Break(p, broken) => directory.edit(*p, |person| person.broken = *broken),
            Event::Move(p, unit) => directory.person(*p, |person| person.unit = *unit),
            Event::Hide(p, hidden) => directory.person(*p, |person| person.hidden = *hidden),
            Event::Delete(p) => directory.person(*p, |person| person.deleted = true),
            Event::Revive(p) => directory.person(*p, |person| person.deleted = false),
            Event::ChangeAnchor(p, to) => {
                directory.edit(*p, |person| person.anchor_changed = *to);
            }
            Event::Manager(p, manager) => directory.edit(*p, |person| person.manager = *manager),
            Event::Member(group, member, is) => directory.member(*group, *member, *is),
            Event::RenameGroup(group) => directory.rename_group(*group),
            Event::RenameUnit(unit) => directory.unit(*unit, |unit| unit.name += 1),
            Event::MoveUnit(unit, to) => directory.move_unit(*unit, *to),
            Event::SwapUnits(a, b) => directory.swap_units(*a, *b),
            Event::Drift(at) => self.model.drift(*at),
            Event::Foreign(mail) => self.model.foreign(*mail),
            Event::Configure(kind) => {
                self.kind = match self.kind {
                    JOINED.. => JOINED + kind % 3,
                    _ => *kind,
                };
                self.configured = true;
                if let Some(engine) = &mut self.engine {
                    engine.configure(compiled(self.kind));
                }
            }
            Event::Foreigner(group, who, is) => directory.member(*group, FOREIGN + who, *is),
            Event::Wait => self.pass(SignedDuration::from_mins(20)),
        }
    }

    fn pass(&mut self, time: SignedDuration) {
        self.now = self.now.checked_add(time).unwrap();
    }

    fn cycle(&mut self, read: &Read) {
        // Our own writes no longer outweigh what is read: the new engine knows nothing of them.
        self.pass(SignedDuration::from_mins(11));
        let Some(mut engine) = self.engine.take() else {
            return;
        };
        if let Some(restart) = read.restart {
            engine = self.restart(engine, restart);
        }
        let mut whole_of = Vec::new();
        for (at, connector) in CONNECTORS.iter().enumerate().take(self.directories.len()) {
            let directory = &mut self.directories[at];
            let events = if read.complete {
                directory.complete(self.now)
            } else {
                directory.delta(self.now, read.order)
            };
            // Of two, the one or the other.
            let of_this = self.directories.len() == 1 || usize::try_from(read.order % 2) == Ok(at);
            let whole = events.len();
            let taken = read.cut.filter(|_| of_this).map(|cut| cut.min(whole - 1));
            for event in events.into_iter().take(taken.unwrap_or(whole)) {
                engine.import(connector, event);
            }
            if taken.is_none() {
                whole_of.push(at);
            }
        }
        self.answer(&mut engine);
        if whole_of.len() == self.directories.len() {
            self.compare(&mut engine);
            if read.list && self.list(&mut engine) {
                self.compare(&mut engine);
            }
        }
        let plan = self.plan(&mut engine);
        self.kept.keep(&mut engine);
        self.earlier = self.kept.clone();
        if read.apply {
            engine.sending(&plan.operations);
            for (at, operation) in plan.operations.iter().enumerate() {
                let refused = Outcome::Refused {
                    reason: Reason::RefusedByTarget,
                    message: "not now".to_owned(),
                };
                let refuse = read.refuse && at % 2 == 0;
                let outcome = if refuse {
                    refused
                } else {
                    self.model.apply(operation)
                };
                engine.record(operation, &outcome, self.now);
            }
            engine.sent();
        }
        self.kept.keep(&mut engine);
        self.engine = Some(engine);
        // While one read is cut, nothing is kept: of the others, a new process would go on from where they were.
        if self.kept.latest {
            whole_of.iter().for_each(|at| self.directories[*at].told());
        }
    }

    /// Lists what the engine asks for; whether it asked for anything.
    fn list(&mut self, engine: &mut Engine) -> bool {
        let mut listed = false;
        for (connector, directory) in CONNECTORS.iter().zip(&self.directories) {
            for (dn, cause) in engine.listings(connector) {
                listed = true;
                for event in directory.list(self.now, &dn, cause) {
                    engine.import(connector, event);
                }
            }
        }
        self.answer(engine);
        listed
    }

    /// The process ends and another one goes on. By itself that changes nothing.
    fn restart(&mut self, mut engine: Engine, restart: Restart) -> Engine {
        let configured = self.configured;
        self.configured = false;
        let (kept, memory) = match restart {
            Restart::Latest => (&self.kept, self.kept.memory.clone()),
            Restart::Earlier { memory: true } => (&self.earlier, engine.memory().clone()),
            Restart::Earlier { memory: false } => (&self.earlier, self.earlier.memory.clone()),
        };
        if kept.records.is_empty() {
            return engine;
        }
        let (kept, latest) = (kept.clone(), kept.latest && restart == Restart::Latest);
        let before = (latest && !configured).then(|| {
            let plan = engine.plan(self.now).0;
            told(&engine, &plan)
        });
        put_back(self.kind, engine);
        let mut engine = kept.resume(compiled(self.kind), memory);
        if let Some(before) = before {
            let plan = engine.plan(self.now).0;
            let after = told(&engine, &plan);
            for (name, text) in &before {
                if after.get(name) != Some(text) {
                    let other = after.get(name).unwrap();
                    let text = format!("{name}:\n  before the restart {text}\n  after {other}");
                    self.broken.push(text);
                }
            }
        }
        // The records that were given since are those of another process.
        (self.kept, self.earlier) = (kept.clone(), kept);
        engine
    }

    /// Searches for whom the engine asks.
    fn answer(&mut self, engine: &mut Engine) {
        for (connector, directory) in CONNECTORS.iter().zip(&self.directories) {
            for doubt in engine.doubts(connector, self.now) {
                let (entries, sighting) = directory.find(doubt);
                engine.import(connector, Import::Batch(entries));
                let at = self.now;
                engine.import(connector, Import::Evidence { sighting, at });
            }
        }
    }

    fn plan(&self, engine: &mut Engine) -> Plan {
        for event in self.model.read() {
            engine.observe(event, self.now);
        }
        engine.plan(self.now).0
    }

    /// What is told of people of two directories otherwise than planned.
    fn misexplained(&mut self) -> Option<String> {
        let mut engine = self.engine.take().filter(|_| self.kind >= JOINED)?;
        let plan = self.plan(&mut engine);
        let wrong = misexplained(&engine, &plan);
        self.engine = Some(engine);
        wrong
    }

    /// The engine against a new one that reads everything.
    fn compare(&mut self, engine: &mut Engine) {
        let own = self.plan(engine);
        let memory = engine.memory().clone();
        let mut fresh = Engine::new(compiled(self.kind), memory.clone());
        for (connector, directory) in CONNECTORS.iter().zip(&self.directories) {
            for event in directory.complete(self.now) {
                fresh.import(connector, event);
            }
        }
        // What the complete read proves is not known to the other.
        fresh.recall(memory);
        let all = self.plan(&mut fresh);
        let same = engine.desired() == fresh.desired()
            && alike(&own) == alike(&all)
            && own.digest() == all.digest()
            && ["staff", "also"].iter().all(|scope| {
                engine.scope_counts(scope) == fresh.scope_counts(scope)
                    && engine.resolved(scope) == fresh.resolved(scope)
            });
        if same {
            return put_back(self.kind, fresh);
        }
        let (own, all) = (told(engine, &own), told(&fresh, &all));
        for (name, text) in &own {
            let other = all.get(name);
            if other != Some(text) {
                let text = format!("{name}:\n  delta {text}\n  full  {}", other.unwrap());
                self.broken.push(text);
            }
        }
    }
}

/// A plan without what is missing to prove an absence: the complete read is a further proof.
fn alike(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for one in &mut plan.quarantine {
        if one.reason == Reason::AbsenceUnproven {
            one.message.clear();
        }
    }
    plan
}

/// What is compared.
fn told(engine: &Engine, plan: &Plan) -> BTreeMap<&'static str, String> {
    let plan = &alike(plan);
    BTreeMap::from([
        ("desired", format!("{:?}", engine.desired())),
        ("operations", format!("{:#?}", plan.operations)),
        ("holds", format!("{:?}", plan.holds)),
        ("quarantine", format!("{:#?}", plan.quarantine)),
        ("faults", format!("{:?}", plan.faults)),
        (
            "counts",
            format!("{:?} {:?}", plan.counts, plan.unsupported),
        ),
        (
            "scope",
            format!(
                "{:?} {:?}",
                engine.scope_counts("staff"),
                engine.scope_counts("also")
            ),
        ),
        ("resolved", format!("{:?}", engine.resolved("staff"))),
        ("names", format!("{:?} {:?}", plan.names, plan.drift)),
        ("digest", plan.digest().to_string()),
    ])
}

fn search(
    case: impl Strategy<Value = Case>,
    cases: u32,
    shrink: u32,
) -> Result<(), TestError<Case>> {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: shrink,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::default());
    TestRunner::new_with_rng(config, rng).run(&case, |(follows, tombstones, kind, cycles)| {
        let mut runner = Runner::new(follows, tombstones, kind);
        for (events, read) in &cycles {
            events.iter().for_each(|event| runner.event(event));
            runner.cycle(read);
            prop_assert!(runner.broken.is_empty(), "{}", runner.broken.join("\n"));
        }
        let last = Read {
            complete: false,
            cut: None,
            order: 1,
            list: true,
            apply: false,
            refuse: false,
            restart: None,
        };
        runner.cycle(&last);
        let misexplained = runner.misexplained();
        runner.broken.extend(misexplained);
        prop_assert!(runner.broken.is_empty(), "{}", runner.broken.join("\n"));
        Ok(())
    })
}

#[test]
fn law_2_delta_equals_full() {
    if let Err(error) = search(case(), 2_000, 300) {
        panic!("{error}");
    }
}

#[test]
fn every_planted_fault_of_a_delta_turns_law_2_red() {
    let faults = [
        Fault::ChildrenStay,
        Fault::NestedGroupStale,
        Fault::ArrivalUnnoticed,
        Fault::UniqueStale,
        Fault::ConditionStale,
        Fault::TimeStandsStill,
        Fault::NameNotKept,
        Fault::ResultNotKept,
    ];
    for fault in faults {
        let found = with(Some(fault), || search(case(), 600, 0));
        assert!(found.is_err(), "{fault:?} leaves law 2 green");
    }
}

#[test]
fn law_2_delta_equals_full_with_people_of_two_directories_joined() {
    if let Err(error) = search(case_of_two(), 700, 300) {
        panic!("{error}");
    }
}

#[test]
fn every_planted_fault_of_joins_turns_law_2_red() {
    for fault in [Fault::JoinedUnnoticed, Fault::ArrivalUnnoticed] {
        let found = with(Some(fault), || search(case_of_two(), 300, 0));
        assert!(found.is_err(), "{fault:?} leaves law 2 green");
    }
}

#[test]
fn law_4_nobody_who_may_be_joined_is_decided_before_all_was_read() {
    for planted in [None, Some(Fault::JoinsDoNotWait)] {
        with(planted, || {
            let mut runner = Runner::new(true, true, JOINED);
            // The second directory has the word on departments.
            runner.event(&(1, Event::Department(0, Some(3))));
            runner.cycle(&FIRST);
            let mut engine = Engine::new(compiled(JOINED), Memory::default());
            for event in runner.directories[0].complete(runner.now) {
                engine.import(CONNECTORS[0], event);
            }
            let alone = runner.plan(&mut engine);
            let decided = |plan: &Plan| {
                let operations = plan.operations.iter();
                let mut all = operations.chain(plan.holds.iter().flat_map(|hold| &hold.operations));
                all.any(|operation| operation.class == Class::User)
            };
            assert_eq!(decided(&alone), planted.is_some(), "{alone:#?}");
            for event in runner.directories[1].complete(runner.now) {
                engine.import(CONNECTORS[1], event);
            }
            let plan = runner.plan(&mut engine);
            assert!(!decided(&plan), "all is as it was: {plan:#?}");
            runner.engine = None;
        });
    }
}

#[test]
fn a_member_across_whom_nobody_notices_turns_law_2_red() {
    let delta = Read {
        complete: false,
        ..FIRST
    };
    for planted in [None, Some(Fault::ForeignUnnoticed)] {
        with(planted, || {
            let mut runner = Runner::new(true, true, JOINED);
            // Named before he is there.
            for event in [(0, Event::Foreigner(0, 6, true)), (1, Event::Revive(6))] {
                runner.event(&event);
                runner.cycle(&delta);
            }
            let broken = &runner.broken;
            assert_eq!(broken.is_empty(), planted.is_none(), "{broken:#?}");
        });
    }
}

#[test]
fn who_moves_along_with_a_unit_stays_with_it_when_its_new_place_was_another_s() {
    let delta = Read {
        complete: false,
        apply: false,
        // Its new name is told before the names of those whose places are exchanged.
        order: 185_333_509_087_986_165,
        ..FIRST
    };
    let mut runner = Runner::new(false, false, 2);
    runner.event(&(0, Event::Move(0, 1)));
    runner.cycle(&delta);
    runner.event(&(0, Event::RenameUnit(1)));
    runner.event(&(0, Event::SwapUnits(0, 2)));
    runner.cycle(&delta);
    assert!(runner.broken.is_empty(), "{:#?}", runner.broken);
}
