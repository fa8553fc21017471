//! F2, F4 and F5 of the design, and proof 3: what one changed user costs among so many, how much memory they take, and how long it takes
//! to go on from their records.
//!
//! `cargo bench -p plumbline-engine --bench delta -- USERS…` (default: 10000 and 1000000, each in a process of its own, so that memory is
//! that of one). Users have 12 attributes; for ten of them there is a group, with 20 members on average, and one has everybody up to
//! 100,000. The directory is fed from a generator; the target view is in step. Prints what was measured, and a row for each figure as
//! `just bench` wants them. Exits with 1 if a figure is missed, with 3 if a million was not run.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use plumbline_engine::{
    anchor::Anchor,
    configuration::{
        Adopt, Configuration, ConnectorSettings, Deprovision, Guard, Include, Limit, Matching,
        Scope,
    },
    drift::DriftPolicy,
    engine::Engine,
    entry::{Attributes, Class, Entry, EntryKind, ServerType},
    mapping::Mapping,
    memory::Memory,
    operation::Change,
    port::{Cause, Cursor, Extent, Import, Observation},
    record::{Key, Resumed},
    target::{
        AttributeRule, Capabilities, Mark, Shape, Standing, TargetId, TargetObject, Value, Values,
    },
};

const fn rule(class: Class, name: &'static str, unique: bool, required: bool) -> AttributeRule {
    AttributeRule {
        class,
        name,
        shape: Shape::Text,
        max_length: None,
        max_values: None,
        clearable: !required,
        required,
        unique,
        together: None,
        format: None,
    }
}

const CAPABILITIES: &Capabilities = &Capabilities {
    classes: &[Class::User, Class::Group],
    attributes: &[
        AttributeRule {
            shape: Shape::Flag,
            ..rule(Class::User, "accountEnabled", false, true)
        },
        rule(Class::User, "city", false, false),
        rule(Class::User, "companyName", false, false),
        rule(Class::User, "department", false, false),
        rule(Class::User, "displayName", false, true),
        rule(Class::User, "employeeId", false, false),
        rule(Class::User, "givenName", false, false),
        rule(Class::User, "jobTitle", false, false),
        rule(Class::User, "mail", true, false),
        rule(Class::User, "mailNickname", false, true),
        rule(Class::User, "surname", false, false),
        rule(Class::User, "userPrincipalName", true, true),
        rule(Class::Group, "displayName", false, true),
        rule(Class::Group, "mailNickname", false, true),
    ],
    enabled: "accountEnabled",
    sign_in_name: "userPrincipalName",
};

/// Users, groups and who is in them, by number.
struct World {
    users: u32,
}

fn guid(kind: u8, at: u32) -> [u8; 16] {
    let mut bytes = [kind; 16];
    let number = u64::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..12].copy_from_slice(&at.to_le_bytes());
    bytes
}

fn id(kind: u8, at: u32) -> TargetId {
    let hex: Vec<String> = guid(kind, at)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let part = |range: std::ops::Range<usize>| hex[range].concat();
    let parts = [
        part(0..4),
        part(4..6),
        part(6..8),
        part(8..10),
        part(10..16),
    ];
    TargetId(parts.join("-").into())
}

fn user_dn(at: u32) -> String {
    format!(
        "uid=user{at:07},ou=unit{:03},ou=people,dc=corp,dc=example",
        at % 200
    )
}

impl World {
    fn groups(&self) -> u32 {
        self.users / 10
    }

    /// Group 0 has everybody up to 100,000, the others 20 on average.
    fn members(&self, group: u32) -> Vec<u32> {
        if group == 0 {
            return (0..self.users.min(100_010) - 10).collect();
        }
        let count = 10 + group % 21;
        let members = (0..count).map(|at| (group * 31 + at * 7919) % (self.users - 10));
        // One who is nobody's manager is in three groups, and in no other.
        let last = (group < 4).then(|| self.users - 9);
        members.chain(last).collect()
    }

    fn group(&self, at: u32, renamed: &BTreeMap<u32, String>) -> Entry {
        let members = self.members(at).into_iter();
        let members =
            members.map(|user| renamed.get(&user).cloned().unwrap_or_else(|| user_dn(user)));
        let attributes: Attributes = [
            ("cn", vec![format!("group{at}").into_bytes()]),
            ("member", members.map(String::into_bytes).collect()),
        ]
        .into_iter()
        .collect();
        Entry {
            dn: format!("cn=group{at},ou=groups,dc=corp,dc=example"),
            kind: EntryKind::SecurityGroup,
            anchor: Some(Anchor::Uuid(guid(2, at))),
            alternate: None,
            attributes,
        }
    }

    fn group_object(&self, at: u32) -> TargetObject {
        let name = |attribute: &str| (attribute.to_owned(), Value::Text(format!("group{at}")));
        let attributes = Values::from([name("displayName"), name("mailNickname")]);
        let members: BTreeSet<u32> = self.members(at).into_iter().collect();
        TargetObject {
            members: Some(members.into_iter().map(|user| id(1, user)).collect()),
            ..blank(
                Class::Group,
                id(2, at),
                Anchor::Uuid(guid(2, at)),
                attributes,
            )
        }
    }
}

fn user(at: u32, revision: u32) -> Entry {
    let texts = [
        ("cn", format!("User Number {at}")),
        ("displayName", format!("User Number {at}")),
        ("employeeNumber", format!("{at:08}")),
        ("givenName", format!("Given{}", at % 5000)),
        (
            "l",
            ["Bonn", "Lyon", "Porto", "Gdansk"][at as usize % 4].to_owned(),
        ),
        ("mail", format!("user{at:07}@corp.example")),
        ("manager", user_dn(at / 50)),
        ("o", "Example Corporation".to_owned()),
        ("ou", format!("Department {}", at % 300)),
        ("sn", format!("Surname{}", at % 20000)),
        ("title", format!("Title {} {revision}", at % 100)),
        ("uid", format!("user{at:07}")),
    ];
    let texts = texts
        .iter()
        .map(|(name, text)| (*name, vec![text.as_bytes().to_vec()]));
    Entry {
        dn: user_dn(at),
        kind: EntryKind::User,
        anchor: Some(Anchor::Uuid(guid(1, at))),
        alternate: None,
        attributes: texts.collect::<Attributes>(),
    }
}

fn object(at: u32) -> TargetObject {
    let text = |text: String| Value::Text(text);
    let attributes = Values::from([
        ("accountEnabled".to_owned(), Value::Flag(true)),
        (
            "city".to_owned(),
            text(["Bonn", "Lyon", "Porto", "Gdansk"][at as usize % 4].to_owned()),
        ),
        (
            "companyName".to_owned(),
            text("Example Corporation".to_owned()),
        ),
        (
            "department".to_owned(),
            text(format!("Department {}", at % 300)),
        ),
        ("displayName".to_owned(), text(format!("User Number {at}"))),
        ("employeeId".to_owned(), text(format!("{at:08}"))),
        ("givenName".to_owned(), text(format!("Given{}", at % 5000))),
        ("jobTitle".to_owned(), text(format!("Title {} 0", at % 100))),
        ("mail".to_owned(), text(format!("user{at:07}@corp.example"))),
        ("mailNickname".to_owned(), text(format!("user{at:07}"))),
        ("surname".to_owned(), text(format!("Surname{}", at % 20000))),
        (
            "userPrincipalName".to_owned(),
            text(format!("user{at:07}@corp.example")),
        ),
    ]);
    TargetObject {
        manager: Some(id(1, at / 50)),
        immutable_id: Some(Anchor::Uuid(guid(1, at)).immutable_id()),
        ..blank(
            Class::User,
            id(1, at),
            Anchor::Uuid(guid(1, at)),
            attributes,
        )
    }
}

fn blank(class: Class, id: TargetId, anchor: Anchor, attributes: Values) -> TargetObject {
    let owner = "corp.bench".into();
    TargetObject {
        id,
        class,
        mark: Some(Mark { owner, anchor }),
        immutable_id: None,
        attributes,
        manager: None,
        members: None,
        standing: Standing::default(),
    }
}

fn configuration() -> Result<Configuration, Box<dyn Error>> {
    let map = |class| Mapping::compile(ServerType::OpenLdap, class, CAPABILITIES, &[]);
    let limit = Limit {
        max: 500,
        percent: 10,
        floor: 5,
    };
    Ok(Configuration {
        owner: "corp.bench".to_owned(),
        connectors: vec![ConnectorSettings {
            name: "corp".to_owned(),
            confirm_absence: Duration::from_secs(900),
        }],
        scopes: vec![Scope {
            name: "all".to_owned(),
            connector: "corp".to_owned(),
            classes: [Class::User, Class::Group].into(),
            include: vec![Include::Everything],
            exclude: Vec::new(),
            filter: None,
            when: BTreeMap::new(),
            mapping: [
                (Class::User, map(Class::User)?),
                (Class::Group, map(Class::Group)?),
            ]
            .into(),
        }],
        capabilities: CAPABILITIES,
        matching: Matching {
            soft: vec!["userPrincipalName".to_owned()],
            adopt: Adopt::Report,
        },
        deprovision_user: Deprovision::Disable,
        guard: Guard {
            deletions: limit,
            disables: limit,
            membership_removals: limit,
            approved: BTreeSet::new(),
        },
        drift: DriftPolicy::Correct,
        joins: None,
    })
}

/// The CPU time of this process so far, in nanoseconds ([proc_pid_schedstat(5)](https://docs.kernel.org/scheduler/sched-stats.html)).
fn cpu() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let first = text.split_whitespace().next().ok_or("no figure")?;
    Ok(first.parse()?)
}

/// A line of `/proc/self/status`, in MiB.
fn memory(line: &str) -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text
        .lines()
        .find(|text| text.starts_with(line))
        .ok_or("no such line")?;
    let kib: u64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kib / 1024)
}

fn begin(at: Timestamp, extent: Extent) -> Import {
    Import::Begin {
        at,
        server_type: ServerType::OpenLdap,
        tombstones: false,
        extent,
    }
}

fn end() -> Import {
    let cursor = Some(Cursor(vec![0; 60]));
    Import::End { cursor }
}

/// Measures one size and prints the facts, with blanks between them.
fn run(users: u32) -> Result<(), Box<dyn Error>> {
    let world = World { users };
    let now = Timestamp::from_second(1_800_000_000)?;
    let mut engine = Engine::new(configuration()?, Memory::default());
    let start = cpu()?;
    engine.import("corp", begin(now, Extent::Complete(Cause::First)));
    for at in 0..users {
        engine.import("corp", Import::Batch(vec![user(at, 0)]));
    }
    for at in 0..world.groups() {
        engine.import(
            "corp",
            Import::Batch(vec![world.group(at, &BTreeMap::new())]),
        );
    }
    engine.import("corp", end());
    let read = memory("VmRSS")?;
    engine.observe(Observation::Begin { complete: true }, now);
    engine.observe(
        Observation::Domains(["corp.example".to_owned()].into()),
        now,
    );
    for at in 0..users {
        engine.observe(Observation::Batch(vec![object(at)]), now);
    }
    for at in 0..world.groups() {
        engine.observe(Observation::Batch(vec![world.group_object(at)]), now);
    }
    engine.observe(Observation::End { cursor: None }, now);
    let (plan, _) = engine.plan(now);
    let full = cpu()? - start;
    if !plan.operations.is_empty() || plan.counts.users != users as usize {
        return Err(format!(
            "the world is not in step: {:?} {:?}",
            plan.changes(),
            plan.counts
        )
        .into());
    }
    let (resident, peak) = (memory("VmRSS")?, memory("VmHWM")?);

    // Each user is changed and put back, so that what is to be done stays one operation. A change takes less than a turn of the scheduler:
    // the median of the times by the clock is that of the CPU.
    let mut changes = Vec::new();
    for round in 0..500_u32 {
        let at = (round * 7919 + 100_000) % users;
        for revision in [round + 1, 0] {
            let changed = vec![user(at, revision)];
            let began = Instant::now();
            engine.import("corp", begin(now, Extent::Changes));
            engine.import("corp", Import::Batch(changed));
            engine.import("corp", end());
            let (plan, _) = engine.plan(now);
            changes.push(began.elapsed());
            let updates = plan.operations.iter();
            let updates = updates.filter(|one| matches!(one.change, Change::Update { .. }));
            if updates.count() != usize::from(revision > 0) {
                return Err("a change is not one operation".into());
            }
        }
    }
    changes.sort();
    let change = changes
        .get(changes.len() / 2)
        .map_or(0, Duration::as_micros);

    // A rename that three groups are told of.
    let groups = [1, 2, 3];
    let at = world.users - 9;
    let mut changed = user(at, 0);
    changed.dn = changed.dn.replace("uid=user", "uid=other");
    let renamed = BTreeMap::from([(at, changed.dn.clone())]);
    let before = engine.recomputed();
    engine.import("corp", begin(now, Extent::Changes));
    engine.import("corp", Import::Batch(vec![changed]));
    for group in &groups {
        engine.import("corp", Import::Batch(vec![world.group(*group, &renamed)]));
    }
    engine.import("corp", end());
    engine.plan(now);
    let recomputed = engine.recomputed() - before;
    let restart = restart(engine, user(at, 0))?;
    println!(
        "{users} {} {} {change} {read} {resident} {peak} {recomputed} {restart}",
        world.groups(),
        full / 1_000_000,
    );
    Ok(())
}

/// F5 without its network and its disk: from the records of an engine to the first plan of a delta, in milliseconds. The operator's store
/// reads the records in less than a second.
fn restart(mut engine: Engine, changed: Entry) -> Result<u128, Box<dyn Error>> {
    let now = Timestamp::from_second(1_800_000_000)?;
    let mut records: Vec<(Key, Box<[u8]>)> = Vec::new();
    engine.keep(&mut |key, bytes| records.extend(bytes.map(|bytes| (key, bytes.into()))));
    records.sort_by_key(|record| record.0);
    let memory = engine.memory().clone();
    drop(engine);
    let began = Instant::now();
    let mut resumed = Resumed::default();
    for (key, bytes) in &records {
        resumed.take(*key, bytes)?;
    }
    let mut engine = resumed.engine(configuration()?, memory);
    engine.import("corp", begin(now, Extent::Changes));
    engine.import("corp", Import::Batch(vec![changed]));
    engine.import("corp", end());
    engine.observe(Observation::Begin { complete: false }, now);
    engine.observe(Observation::End { cursor: None }, now);
    engine.plan(now);
    if engine.recomputed() > 1000 {
        return Err(format!("a restart recomputes {}", engine.recomputed()).into());
    }
    Ok(began.elapsed().as_millis())
}

/// What [`run`] printed.
#[derive(Clone, Copy)]
struct Facts {
    users: u64,
    groups: u64,
    /// Milliseconds of CPU.
    first_plan: u64,
    /// Microseconds.
    change: u64,
    /// MiB.
    read: u64,
    resident: u64,
    peak: u64,
    recomputed: u64,
    /// Milliseconds.
    restart: u64,
}

impl Facts {
    /// In a process of its own.
    fn measure(users: u32) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        let output = command.args(["alone", &users.to_string()]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let numbers = text.split_whitespace().map(str::parse);
        let numbers = numbers.collect::<Result<Vec<u64>, _>>()?;
        let [
            users,
            groups,
            first_plan,
            change,
            read,
            resident,
            peak,
            recomputed,
            restart,
        ] = numbers[..]
        else {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        };
        Ok(Self {
            users,
            groups,
            first_plan,
            change,
            read,
            resident,
            peak,
            recomputed,
            restart,
        })
    }

    fn print(&self) {
        let Self {
            users,
            groups,
            first_plan,
            change,
            read,
            resident,
            peak,
            recomputed,
            restart,
        } = self;
        println!(
            "{users} users, {groups} groups: {read} MiB once read, {resident} MiB with the target view, {peak} MiB at most; all of it takes \
             {first_plan} ms of CPU; a changed user {change} µs; a rename told to 3 groups recomputes {recomputed}; from records to the first \
             delta plan {restart} ms"
        );
    }
}

/// A row for the table of all figures.
fn row(figure: &str, what: &str, value: String, to_reach: &str, reached: bool) -> bool {
    let verdict = if reached { "reached" } else { "missed" };
    println!("row\t{figure}\t{what}\t{value}\t{to_reach}\t{verdict}");
    reached
}

#[expect(clippy::cast_precision_loss, reason = "a few seconds")]
fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = std::env::args().skip(1);
    let mut arguments = arguments.filter(|one| !one.starts_with("--")).peekable();
    let alone = arguments.next_if(|one| one == "alone").is_some();
    let sizes = arguments.map(|one| one.parse());
    let mut sizes = sizes.collect::<Result<Vec<u32>, _>>()?;
    if let (true, [users]) = (alone, sizes.as_slice()) {
        run(*users)?;
        return Ok(ExitCode::SUCCESS);
    }
    if sizes.is_empty() {
        sizes = vec![10_000, 1_000_000];
    }
    let mut all = Vec::new();
    for users in sizes {
        let facts = Facts::measure(users)?;
        facts.print();
        all.push(facts);
    }
    let (Some(small), Some(large)) = (all.first(), all.last()) else {
        return Ok(ExitCode::from(3));
    };
    let size = format!("{} users, {} groups", large.users, large.groups);
    let ratio = large.change as f64 / small.change.max(1) as f64;
    let reached = [
        row(
            "F2",
            &format!("one changed user among {}", large.users),
            format!("{:.2} ms", large.change as f64 / 1000.0),
            "≤ 20 ms",
            large.change <= 20_000,
        ),
        row(
            "F2",
            &format!("the same : among {}", small.users),
            format!("{ratio:.2} × ({} µs : {} µs)", large.change, small.change),
            "0.8 to 1.2 ×",
            (0.8..=1.2).contains(&ratio),
        ),
        row(
            "F2",
            "recomputed for a rename that 3 groups are told of",
            format!(
                "{}",
                all.iter().map(|one| one.recomputed).max().unwrap_or(0)
            ),
            "≤ 5 objects",
            all.iter().all(|one| one.recomputed <= 5),
        ),
        row(
            "F4",
            &size,
            format!("{} MiB ({} at most)", large.resident, large.peak),
            "≤ 700 MiB",
            large.resident <= 700,
        ),
        row(
            "F5",
            &format!("{size}, from records to a delta plan"),
            format!("{:.1} s", large.restart as f64 / 1000.0),
            "≤ 5 s",
            large.restart <= 5000,
        ),
    ];
    Ok(ExitCode::from(if reached.contains(&false) {
        1
    } else if large.users < 1_000_000 {
        println!("a million users were not run");
        3
    } else {
        0
    }))
}
