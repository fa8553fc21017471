//! F1: a complete cycle over a directory and a target that are in step: everything is read and compared, nothing is to be written.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use plumbline_cloud::GraphTarget;
use plumbline_directory::{Bind, Detect, DirectorySource, Settings, Timeouts};
use plumbline_engine::{
    anchor::Anchor,
    configuration::{
        Adopt, Configuration, ConnectorSettings, Deprovision, Guard, Include, Limit, Matching,
        Scope,
    },
    drift::DriftPolicy,
    engine::Engine,
    entry::{Class, ServerType},
    mapping::{Mapping, Override},
    memory::Memory,
    operation::Change,
    plan::Plan,
    port::{Cause, Import, Observation, Source as _, Start},
    target::{Standing, TargetId, TargetObject},
};

use crate::{
    Row, scaled,
    slapd::{PAGE, PASSWORD, READER, SUFFIX, Slapd},
};

const RUNS: usize = 5;

pub(super) async fn run(scale: f64) -> Result<Vec<Row>> {
    let (users, groups) = (scaled(100_000, scale), scaled(10_000, scale));
    let slapd = Slapd::start(users, groups)?;
    let mut source = DirectorySource::new(settings(&slapd)?)?;
    let mut engine = Engine::new(configuration()?, Memory::default());
    let attributes = engine.read_request("corp").attributes;
    let own = ["objectClass", "entryUUID"].map(str::to_owned);
    let attributes: Vec<String> = attributes.into_iter().chain(own).collect();
    in_step(&mut source, &mut engine).await?;

    // In turns, so that what else the machine does meets both.
    let (mut searches, mut cycles, mut anew) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        searches.push(slapd.search(&attributes)?);
        cycles.push(cycle(&mut source, &mut engine, users).await?);
    }
    for _ in 0..RUNS {
        engine.configure(configuration()?);
        anew.push(cycle(&mut source, &mut engine, users).await?);
    }
    let (search, cycle, anew) = (median(searches), median(cycles), median(anew));
    let sizes = format!("{users} users, {groups} groups");
    let row = |what: String, time: Duration, limit: Option<f64>| {
        let ratio = time.as_secs_f64() / search.as_secs_f64();
        Row {
            figure: "F1",
            what,
            value: format!("{ratio:.2} × ({time:.1?} : {search:.1?})"),
            to_reach: limit.map_or(String::new(), |limit| format!("≤ {limit} × ldapsearch")),
            reached: limit.map(|limit| ratio <= limit),
        }
    };
    Ok(vec![
        row(format!("full cycle, {sizes}"), cycle, Some(1.3)),
        row(
            "the same, all mapped anew (a new mapping)".to_owned(),
            anew,
            None,
        ),
    ])
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Reads everything and plans; there must be nothing to do.
async fn cycle(source: &mut DirectorySource, engine: &mut Engine, users: u32) -> Result<Duration> {
    let began = Instant::now();
    let plan = read(source, engine).await?;
    let time = began.elapsed();
    ensure!(
        plan.operations.is_empty() && plan.counts.users == users as usize,
        "not in step: {:?} {:?}",
        plan.changes(),
        plan.counts
    );
    Ok(time)
}

async fn read(source: &mut DirectorySource, engine: &mut Engine) -> Result<Plan> {
    let request = engine.read_request("corp");
    let mut take = |event: Import| engine.import("corp", event);
    source
        .read(&request, Start::Complete(Cause::Verify), &mut take)
        .await?;
    Ok(engine.plan(Timestamp::now()).0)
}

/// Reads the directory, and lets the target hold what is planned.
async fn in_step(source: &mut DirectorySource, engine: &mut Engine) -> Result<()> {
    observe(engine, &BTreeMap::new());
    let plan = read(source, engine).await?;
    let mut objects = BTreeMap::new();
    for operation in plan.operations {
        let Change::Create { mark, values } = operation.change else {
            continue;
        };
        let user = operation.class == Class::User;
        let object = TargetObject {
            id: TargetId(operation.anchor.to_string().into()),
            class: operation.class,
            mark: Some(mark),
            immutable_id: user.then(|| operation.anchor.immutable_id()),
            attributes: values,
            manager: None,
            members: (!user).then(Vec::new),
            standing: Standing::default(),
        };
        objects.insert(operation.anchor, object);
    }
    observe(engine, &objects);
    let (plan, _) = engine.plan(Timestamp::now());
    let id = |anchor: &Anchor| TargetId(anchor.to_string().into());
    for operation in plan.operations {
        let object = objects
            .get_mut(&operation.anchor)
            .context("a reference of nobody")?;
        match operation.change {
            Change::SetManager { manager } => object.manager = manager.as_ref().map(id),
            Change::AddMember { member } => {
                object.members.get_or_insert_default().push(id(&member));
            }
            other => anyhow::bail!("not in step: {other:?}"),
        }
    }
    observe(engine, &objects);
    Ok(())
}

fn observe(engine: &mut Engine, objects: &BTreeMap<Anchor, TargetObject>) {
    let now = Timestamp::now();
    engine.observe(Observation::Begin { complete: true }, now);
    let domains = ["corp.example".to_owned()].into();
    engine.observe(Observation::Domains(domains), now);
    for object in objects.values() {
        engine.observe(Observation::Batch(vec![object.clone()]), now);
    }
    engine.observe(Observation::End { cursor: None }, now);
}

fn settings(slapd: &Slapd) -> Result<Settings> {
    Ok(Settings {
        name: "corp".to_owned(),
        server_type: None,
        servers: vec![Slapd::url()],
        base_dn: SUFFIX.to_owned(),
        anchor: None,
        bind: Bind::Simple {
            username: READER.to_owned(),
            password: PASSWORD.to_owned().into(),
        },
        ca_pem: Some(std::fs::read(slapd.ca_file())?),
        timeouts: Timeouts::default(),
        page_size: PAGE,
        detect: Detect::default(),
        full_reads: Duration::from_secs(900),
    })
}

/// With 25 mapped attributes of a person: the 24 defaults and one more.
fn configuration() -> Result<Configuration> {
    let more = Override {
        set: [(
            "extensionAttribute1".to_owned(),
            "user.carLicense".to_owned(),
        )]
        .into(),
        omit: BTreeSet::new(),
    };
    let capabilities = GraphTarget::CAPABILITIES;
    let map = |class, overrides: &[&Override]| {
        Mapping::compile(ServerType::OpenLdap, class, capabilities, overrides)
    };
    let limit = Limit {
        max: 500,
        percent: 10,
        floor: 5,
    };
    Ok(Configuration {
        joins: None,
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
                (Class::User, map(Class::User, &[&more])?),
                (Class::Group, map(Class::Group, &[])?),
            ]
            .into(),
        }],
        capabilities,
        matching: Matching {
            soft: vec!["userPrincipalName".to_owned(), "mail".to_owned()],
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
    })
}
