//! Proof that a change costs what it touches: recomputed objects are counted. (The bench `delta` counts them among a million.)

use jiff::Timestamp;
use plumbline_engine::{
    anchor::Anchor,
    configuration::Adopt,
    engine::Engine,
    entry::{Entry, EntryKind, ServerType},
    memory::Memory,
    port::{Cause, Extent, Import, Observation},
};

use crate::world::{configuration, entry};

const USERS: u32 = 10_000;

fn dn(at: u32) -> String {
    format!("uid=u{at},ou=Staff,dc=x")
}

fn numbered(mut entry: Entry, kind: u8, at: u32) -> Entry {
    let mut bytes = [kind; 16];
    bytes[..4].copy_from_slice(&at.to_le_bytes());
    entry.anchor = Some(Anchor::Uuid(bytes));
    entry
}

fn user(at: u32, dn: &str) -> Entry {
    let (name, mail) = (format!("u{at}"), format!("u{at}@x.test"));
    let attributes = [("cn", &*name), ("uid", &*name), ("mail", &*mail)];
    numbered(entry(dn, EntryKind::User, 1, &attributes), 1, at)
}

fn group(at: u32, members: &[String]) -> Entry {
    let name = format!("g{at}");
    let dn = format!("cn={name},ou=Staff,dc=x");
    let mut group = entry(&dn, EntryKind::SecurityGroup, 2, &[("cn", &name)]);
    let members = members.iter().map(|dn| dn.clone().into_bytes());
    group.attributes.add("member", members.collect());
    numbered(group, 2, at)
}

fn read(engine: &mut Engine, extent: Extent, server_type: ServerType, entries: Vec<Entry>) -> u64 {
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    let before = engine.recomputed();
    let begin = Import::Begin {
        at,
        server_type,
        tombstones: false,
        extent,
    };
    engine.import("corp", begin);
    engine.import("corp", Import::Batch(entries));
    engine.import("corp", Import::End { cursor: None });
    engine.plan(at);
    engine.recomputed() - before
}

#[test]
fn a_rename_that_touches_three_groups_recomputes_at_most_five_of_ten_thousand() {
    for server in [ServerType::OpenLdap, ServerType::ActiveDirectory] {
        let mut engine = Engine::new(configuration(Adopt::Report), Memory::default());
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        for event in [
            Observation::Begin { complete: true },
            Observation::Domains(["x.test".to_owned()].into()),
            Observation::RolesReadable(true),
            Observation::End { cursor: None },
        ] {
            engine.observe(event, at);
        }
        let members = |group: u32, renamed: Option<&str>| -> Vec<String> {
            let others = (1..20).map(|user| dn(group * 100 + user));
            others
                .chain([renamed.map_or_else(|| dn(7), str::to_owned)])
                .collect()
        };
        let mut entries = vec![numbered(
            entry("ou=Staff,dc=x", EntryKind::Container, 3, &[]),
            3,
            0,
        )];
        entries.extend((0..USERS).map(|at| user(at, &dn(at))));
        entries.extend((0..3).map(|at| group(at, &members(at, None))));
        let all = read(&mut engine, Extent::Complete(Cause::First), server, entries);
        assert!(all > u64::from(USERS), "everything is computed once: {all}");

        let renamed = "uid=other,ou=Staff,dc=x";
        let mut changed = vec![user(7, renamed)];
        // Where links are DNs, the server rewrites them; in Active Directory nobody is told.
        if server == ServerType::OpenLdap {
            changed.extend((0..3).map(|at| group(at, &members(at, Some(renamed)))));
        }
        let recomputed = read(&mut engine, Extent::Changes, server, changed);
        assert!((1..=5).contains(&recomputed), "{server:?}: {recomputed}");
        assert_eq!(read(&mut engine, Extent::Changes, server, vec![]), 0);
    }
}
