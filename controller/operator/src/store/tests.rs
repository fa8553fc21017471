use jiff::Timestamp;
use plumbline_cloud::GraphTarget;
use plumbline_engine::{
    configuration::{
        Adopt, ConnectorSettings, Deprovision, Guard, Include, Limit, Matching, Scope,
    },
    drift::DriftPolicy,
    entry::{Attributes, Class, Entry, EntryKind, ServerType},
    mapping::Mapping,
    operation::Outcome,
    port::{Cause, Cursor, Extent, Import, Observation, ValueChange},
    target::TargetId,
};

use super::*;

const MEMBERS: u32 = 100_000;
const PEOPLE: u32 = 50;

fn configuration() -> Configuration {
    let map = |class| {
        let compiled =
            Mapping::compile(ServerType::OpenLdap, class, GraphTarget::CAPABILITIES, &[]);
        (class, compiled.unwrap())
    };
    let limit = Limit {
        max: 500,
        percent: 100,
        floor: 500,
    };
    Configuration {
        joins: None,
        owner: "corp.test".to_owned(),
        connectors: vec![ConnectorSettings {
            name: "corp".to_owned(),
            confirm_absence: Duration::ZERO,
        }],
        scopes: vec![Scope {
            name: "all".to_owned(),
            connector: "corp".to_owned(),
            classes: [Class::User, Class::Group].into(),
            include: vec![Include::Everything],
            exclude: Vec::new(),
            filter: None,
            when: BTreeMap::new(),
            mapping: [map(Class::User), map(Class::Group)].into(),
        }],
        capabilities: GraphTarget::CAPABILITIES,
        matching: Matching {
            soft: Vec::new(),
            adopt: Adopt::Never,
        },
        deprovision_user: Deprovision::Disable,
        guard: Guard {
            deletions: limit,
            disables: limit,
            membership_removals: limit,
            approved: BTreeSet::new(),
        },
        drift: DriftPolicy::Correct,
    }
}

fn anchor(kind: u8, at: u32) -> Anchor {
    let mut bytes = [kind; 16];
    bytes[..4].copy_from_slice(&at.wrapping_mul(0x9e37_79b9).to_le_bytes());
    bytes[4..8].copy_from_slice(&at.to_le_bytes());
    Anchor::Uuid(bytes)
}

fn dn(at: u32) -> String {
    format!("uid=u{at},ou=people,dc=x")
}

fn person(at: u32, title: &str) -> Entry {
    let texts = [
        ("uid", format!("u{at}")),
        ("cn", format!("Person {at}")),
        ("sn", format!("Number{at}")),
        ("displayname", format!("Person {at}")),
        ("mail", format!("u{at}@corp.example")),
        ("title", title.to_owned()),
    ];
    let attributes: Attributes = texts
        .iter()
        .map(|(name, text)| (*name, vec![text.as_bytes().to_vec()]))
        .collect();
    Entry {
        dn: dn(at),
        kind: EntryKind::User,
        anchor: Some(anchor(1, at)),
        alternate: None,
        attributes,
    }
}

fn begin(extent: Extent) -> Import {
    Import::Begin {
        at: Timestamp::UNIX_EPOCH,
        server_type: ServerType::OpenLdap,
        tombstones: false,
        extent,
    }
}

/// A delta of one event.
fn tell(engine: &mut Engine, event: Import, cursor: u8) {
    engine.import("corp", begin(Extent::Changes));
    engine.import("corp", event);
    let cursor = Some(Cursor(vec![cursor; 400]));
    engine.import("corp", Import::End { cursor });
}

/// An engine with people who are all in step, and a group of 100,000 of whom most are nobody's concern.
fn engine() -> Engine {
    let now = Timestamp::UNIX_EPOCH;
    let mut engine = Engine::new(configuration(), Memory::default());
    engine.import("corp", begin(Extent::Complete(Cause::First)));
    for at in 0..PEOPLE {
        engine.import("corp", Import::Batch(vec![person(at, "Engineer")]));
    }
    let members = (0..MEMBERS).map(|at| dn(at).into_bytes()).collect();
    let attributes = [("cn", vec![b"all".to_vec()]), ("member", members)];
    let group = Entry {
        dn: "cn=all,dc=x".to_owned(),
        kind: EntryKind::SecurityGroup,
        anchor: Some(anchor(2, 0)),
        alternate: None,
        attributes: attributes.into_iter().collect(),
    };
    engine.import("corp", Import::Batch(vec![group]));
    engine.import("corp", Import::End { cursor: None });
    let events = [
        Observation::Begin { complete: true },
        Observation::Domains(["corp.example".to_owned()].into()),
        Observation::End { cursor: None },
    ];
    events
        .into_iter()
        .for_each(|event| engine.observe(event, now));
    // What we make is what there is.
    for round in 0..3 {
        let (plan, _) = engine.plan(now);
        engine.sending(&plan.operations);
        for (at, operation) in plan.operations.iter().enumerate() {
            let id = TargetId(format!("id-{round}-{at}").into());
            let outcome = Outcome::Done { id: Some(id) };
            engine.record(operation, &outcome, now);
        }
    }
    engine
}

/// How much was written since the last call: to the log, and from there each page once to the file. Source: "The Write-Ahead Log" in
/// SQLite's description of its file format.
fn written(database: &Database, folder: &std::path::Path) -> usize {
    let log = std::fs::read(folder.join("plumbline.db-wal")).unwrap();
    let frames = log.get(32..).unwrap_or_default();
    let pages: BTreeSet<&[u8]> = frames.chunks(24 + 4096).map(|frame| &frame[..4]).collect();
    database.flush();
    log.len() + 4096 * pages.len()
}

#[test]
fn a_changed_entry_writes_at_most_64_kib_also_in_a_group_of_100_000() {
    let folder = tempfile::tempdir().unwrap();
    let mut database = Database::open(folder.path()).unwrap();
    let key = Key {
        namespace: "n".to_owned(),
        name: "s".to_owned(),
    };
    let mut engine = engine();
    let mut keep = |engine: &mut Engine, measured: bool| {
        let memory = serde_json::to_vec(engine.memory()).unwrap();
        let mut give = |put: &mut dyn FnMut(_, Option<&[u8]>)| engine.keep(put);
        assert!(
            database
                .write(&key, "i", &memory, false, &mut give)
                .unwrap()
        );
        engine.kept();
        if measured {
            written(&database, folder.path())
        } else {
            0
        }
    };
    assert!(keep(&mut engine, true) > 1_000_000);
    assert_eq!(keep(&mut engine, true), 0, "nothing changed");
    // Our writes of the last minutes are laid over no more.
    let now = Timestamp::from_second(660).unwrap();
    engine.observe(Observation::Begin { complete: false }, now);
    engine.observe(Observation::End { cursor: None }, now);
    keep(&mut engine, true);
    let middle = dn(50_000).into_bytes();
    let changes = [
        Import::Batch(vec![person(7, "Director")]),
        Import::Values(vec![ValueChange {
            anchor: anchor(2, 0),
            attribute: "member".to_owned(),
            added: vec![b"uid=new,ou=people,dc=x".to_vec()],
            removed: vec![middle],
        }]),
        Import::Values(vec![ValueChange {
            anchor: anchor(2, 0),
            attribute: "member".to_owned(),
            added: Vec::new(),
            removed: vec![dn(9).into_bytes()],
        }]),
    ];
    for (cursor, change) in (1..).zip(changes) {
        tell(&mut engine, change, cursor);
        let (plan, _) = engine.plan(now);
        assert_eq!(plan.operations.len(), usize::from(cursor != 2));
        engine.sending(&plan.operations);
        keep(&mut engine, false);
        for operation in &plan.operations {
            engine.record(operation, &Outcome::AlreadySo, now);
        }
        let bytes = keep(&mut engine, true);
        eprintln!("change {cursor} writes {bytes} bytes");
        assert!((1..=64 << 10).contains(&bytes), "change {cursor}: {bytes}");
    }
    // And all of it comes back.
    drop(database);
    let mut again = Database::open(folder.path()).unwrap();
    let place = again.find(&key, Some("i")).unwrap().unwrap();
    let mut resumed = Resumed::default();
    let taken = again.read(place, &mut |key, bytes| Ok(resumed.take(key, bytes)?));
    taken.unwrap();
    let mut resumed = resumed.engine(configuration(), engine.memory().clone());
    assert_eq!(resumed.cursor("corp"), engine.cursor("corp"));
    assert_eq!(resumed.plan(now).0.digest(), engine.plan(now).0.digest());
    assert_eq!(resumed.entries("corp"), engine.entries("corp"));
    let nothing = again.write(&key, "i", b"{}", false, &mut |put| resumed.keep(put));
    assert!(nothing.unwrap());
}
