//! Law 2: delta equals full. A directory that tells what changed, and an engine that is told, against one that reads everything.
//!
//! After every delta that came to its end, the desired objects, the plan and its digest are those of a new engine with the same
//! memory that read the same directory and target once, completely. What differs is only since when an absence is known.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use jiff::{SignedDuration, Timestamp};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};

use super::{
    check::configuration,
    feed::{Directory, GROUPS, PEOPLE, UNITS},
    target::Model,
};
use crate::{
    configuration::{Configuration, Include, Scope},
    dn::Written,
    engine::Engine,
    entry::Class,
    expression::Expression,
    fault::{Fault, with},
    filter::Filter,
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

fn event() -> impl Strategy<Value = Event> {
    let person = || 0..PEOPLE;
    let unit = || 0..UNITS.len();
    let group = || 0..usize::from(GROUPS);
    prop_oneof![
        3 => person().prop_map(Event::Rename),
        4 => (person(), person()).prop_map(|(p, mail)| Event::Mail(p, mail)),
        3 => (person(), proptest::option::of(0..4_u8)).prop_map(|(p, to)| Event::Department(p, to)),
        1 => (person(), any::<bool>()).prop_map(|(p, locked)| Event::Lock(p, locked)),
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

/// Links follow their entry; tombstones can be read; cycles of events and a read each.
type Case = (bool, bool, u8, Vec<(Vec<Event>, Read)>);

fn case() -> impl Strategy<Value = Case> {
    let cycle = (vec(event(), 1..4), read());
    (any::<bool>(), any::<bool>(), 0..4_u8, vec(cycle, 1..5))
}

/// Differences between the two engines.
#[derive(Debug, Default)]
struct Runner {
    directory: Directory,
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

thread_local! {
    /// Configurations that are not in use, by kind.
    static COMPILED: RefCell<BTreeMap<u8, Vec<Configuration>>> = const { RefCell::new(BTreeMap::new()) };
}

/// One that was compiled before, if there is one.
fn compiled(kind: u8) -> Configuration {
    let known = COMPILED.with_borrow_mut(|all| all.get_mut(&kind)?.pop());
    known.unwrap_or_else(|| scopes(kind))
}

fn put_back(kind: u8, engine: Engine) {
    let configuration = engine.dissolve();
    COMPILED.with_borrow_mut(|all| all.entry(kind).or_default().push(configuration));
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            put_back(self.kind, engine);
        }
    }
}

pub(super) fn scopes(kind: u8) -> Configuration {
    let mut configuration = configuration(true, true, false, &BTreeSet::new());
    let group = |at: u8| {
        let guid = super::feed::group_anchor(usize::from(at)).to_string();
        Include::Group(Written::parse(&format!("<GUID={guid}>")).unwrap())
    };
    let Some(scope) = configuration.scopes.first_mut() else {
        return configuration;
    };
    match kind {
        0 => {}
        1 => {
            scope.include = vec![group(0)];
            let when = Expression::compile("user.employeeType != 'Type 1'", Class::User).unwrap();
            scope.when.insert(Class::User, when);
        }
        2 => {
            scope.include = vec![Include::Everything];
            scope.exclude = vec![group(1)];
            scope.filter = Some(Filter::parse("(!(departmentNumber=Department 2))").unwrap());
        }
        _ => {
            let mut second = Scope {
                name: "also".to_owned(),
                ..self::scopes(0).scopes.remove(0)
            };
            second.include = vec![group(2)];
            second.exclude = Vec::new();
            configuration.scopes.push(second);
        }
    }
    configuration
}

impl Runner {
    fn new(follows: bool, tombstones: bool, kind: u8) -> Self {
        let mut runner = Self {
            directory: Directory::new(follows, tombstones),
            model: Model::new(),
            engine: Some(Engine::new(compiled(kind), Memory::default())),
            kind,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            broken: Vec::new(),
            kept: Kept::default(),
            earlier: Kept::default(),
            configured: false,
        };
        let first = Read {
            complete: true,
            cut: None,
            order: 0,
            list: false,
            apply: true,
            refuse: false,
            restart: None,
        };
        runner.cycle(&first);
        runner
    }

    fn event(&mut self, event: &Event) {
        let directory = &mut self.directory;
        match event {
            Event::Rename(p) => directory.person(*p, |person| person.name += 1),
            Event::Mail(p, mail) => directory.edit(*p, |person| person.mail = *mail),
            Event::Department(p, to) => directory.edit(*p, |person| person.department = *to),
            Event::Lock(p, locked) => directory.edit(*p, |person| person.locked = *locked),
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
                self.kind = *kind;
                self.configured = true;
                if let Some(engine) = &mut self.engine {
                    engine.configure(compiled(*kind));
                }
            }
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
        let events = if read.complete {
            self.directory.complete(self.now)
        } else {
            self.directory.delta(self.now, read.order)
        };
        let whole = events.len();
        let cut = read.cut.map(|cut| cut.min(whole - 1));
        for event in events.into_iter().take(cut.unwrap_or(whole)) {
            engine.import("ldap", event);
        }
        self.answer(&mut engine);
        if cut.is_none() {
            self.directory.told();
            self.compare(&mut engine);
            if read.list {
                let listings = engine.listings("ldap");
                let listed = !listings.is_empty();
                for (dn, cause) in listings {
                    for event in self.directory.list(self.now, &dn, cause) {
                        engine.import("ldap", event);
                    }
                    self.answer(&mut engine);
                }
                if listed {
                    self.compare(&mut engine);
                }
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
        for doubt in engine.doubts("ldap", self.now) {
            let (entries, sighting) = self.directory.find(doubt);
            engine.import("ldap", Import::Batch(entries));
            let at = self.now;
            engine.import("ldap", Import::Evidence { sighting, at });
        }
    }

    fn plan(&self, engine: &mut Engine) -> Plan {
        for event in self.model.read() {
            engine.observe(event, self.now);
        }
        engine.plan(self.now).0
    }

    /// The engine against a new one that reads everything.
    fn compare(&mut self, engine: &mut Engine) {
        let own = self.plan(engine);
        let memory = engine.memory().clone();
        let mut fresh = Engine::new(compiled(self.kind), memory.clone());
        for event in self.directory.complete(self.now) {
            fresh.import("ldap", event);
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

fn search(cases: u32, shrink: u32) -> Result<(), TestError<Case>> {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: shrink,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::default());
    TestRunner::new_with_rng(config, rng).run(&case(), |(follows, tombstones, kind, cycles)| {
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
        prop_assert!(runner.broken.is_empty(), "{}", runner.broken.join("\n"));
        Ok(())
    })
}

#[test]
fn law_2_delta_equals_full() {
    if let Err(error) = search(2_000, 300) {
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
        Fault::NameNotKept,
        Fault::ResultNotKept,
    ];
    for fault in faults {
        let found = with(Some(fault), || search(600, 0));
        assert!(found.is_err(), "{fault:?} leaves law 2 green");
    }
}
