//! A small directory and a small target that tests put together by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use plumbline_engine::{
    anchor::Anchor,
    configuration::{
        Adopt, Configuration, ConnectorSettings, Deprovision, Guard, Include, Limit, Matching,
        Scope,
    },
    dn::Written,
    drift::DriftPolicy,
    engine::Engine,
    entry::{Attributes, Class, Entry, EntryKind, ServerType},
    mapping::Mapping,
    memory::Memory,
    operation::Change,
    plan::Plan,
    port::{Cause, Extent, Import, Observation},
    reason::Reason,
    target::{AttributeRule, Capabilities, Mark, Shape, Standing, TargetId, TargetObject, Value},
};

pub(crate) const OWNER: &str = "test";
const STAFF: &str = "ou=Staff,dc=x";

const fn rule(
    class: Class,
    name: &'static str,
    shape: Shape,
    required: bool,
    unique: bool,
) -> AttributeRule {
    AttributeRule {
        class,
        name,
        shape,
        max_length: None,
        max_values: None,
        clearable: !required,
        required,
        unique,
        together: None,
        format: None,
    }
}

pub(crate) const CAPABILITIES: &Capabilities = &Capabilities {
    classes: &[Class::User, Class::Group],
    attributes: &[
        rule(Class::User, "accountEnabled", Shape::Flag, true, false),
        rule(Class::User, "userPrincipalName", Shape::Text, true, true),
        rule(Class::User, "displayName", Shape::Text, true, false),
        rule(Class::User, "city", Shape::Text, false, false),
        rule(Class::Group, "displayName", Shape::Text, true, false),
    ],
    enabled: "accountEnabled",
    sign_in_name: "userPrincipalName",
};

pub(crate) struct World {
    pub(crate) entries: Vec<Entry>,
    pub(crate) objects: Vec<TargetObject>,
    pub(crate) deleted: Vec<TargetObject>,
    pub(crate) roles_readable: bool,
    pub(crate) engine: Engine,
}

fn scope() -> Scope {
    let mapping = |class| Mapping::compile(ServerType::OpenLdap, class, CAPABILITIES, &[]).unwrap();
    Scope {
        name: "staff".into(),
        connector: "corp".into(),
        classes: BTreeSet::from([Class::User, Class::Group]),
        include: vec![Include::OrganizationalUnit(Written::parse(STAFF).unwrap())],
        exclude: vec![],
        filter: None,
        when: BTreeMap::new(),
        mapping: BTreeMap::from([
            (Class::User, mapping(Class::User)),
            (Class::Group, mapping(Class::Group)),
        ]),
    }
}

pub(crate) fn configuration(adopt: Adopt) -> Configuration {
    let limit = Limit {
        max: 500,
        percent: 10,
        floor: 5,
    };
    Configuration {
        drift: DriftPolicy::Correct,
        joins: None,
        owner: OWNER.into(),
        connectors: vec![ConnectorSettings {
            name: "corp".into(),
            confirm_absence: Duration::from_secs(60),
        }],
        scopes: vec![scope()],
        capabilities: CAPABILITIES,
        matching: Matching {
            soft: vec!["userPrincipalName".into()],
            adopt,
        },
        deprovision_user: Deprovision::Disable,
        guard: Guard {
            deletions: limit,
            disables: limit,
            membership_removals: Limit {
                max: 5000,
                percent: 20,
                floor: 10,
            },
            approved: BTreeSet::new(),
        },
    }
}

impl World {
    pub(crate) fn new(adopt: Adopt) -> Self {
        let mut container = entry(STAFF, EntryKind::Container, 200, &[]);
        container.attributes.add("ou", vec![b"Staff".to_vec()]);
        Self {
            entries: vec![container],
            objects: vec![],
            deleted: vec![],
            roles_readable: true,
            engine: Engine::new(configuration(adopt), Memory::default()),
        }
    }

    /// Reads both sides and plans, so many minutes after the start.
    pub(crate) fn plan(&mut self, minutes: i64) -> Plan {
        let at = Timestamp::from_second(1_700_000_000 + minutes * 60).unwrap();
        self.engine.import(
            "corp",
            Import::Begin {
                at,
                server_type: ServerType::OpenLdap,
                tombstones: false,
                extent: Extent::Complete(Cause::First),
            },
        );
        self.engine
            .import("corp", Import::Batch(self.entries.clone()));
        self.engine.import("corp", Import::End { cursor: None });
        for event in [
            Observation::Begin { complete: true },
            Observation::Domains(BTreeSet::from(["x.test".to_owned()])),
            Observation::RolesReadable(self.roles_readable),
            Observation::Batch(self.objects.clone()),
            Observation::Deleted(self.deleted.clone()),
            Observation::End { cursor: None },
        ] {
            self.engine.observe(event, at);
        }
        self.engine.plan(at).0
    }

    pub(crate) fn person(&mut self, id: u8, mail: &str) -> &mut Entry {
        let attributes = [("mail", mail), ("cn", "Someone"), ("uid", "someone")];
        self.entries.push(entry(
            &format!("uid=u{id},{STAFF}"),
            EntryKind::User,
            id,
            &attributes,
        ));
        self.entries.last_mut().unwrap()
    }

    pub(crate) fn group(&mut self, id: u8, members: &[&str]) {
        let mut group = entry(
            &format!("cn=g{id},{STAFF}"),
            EntryKind::SecurityGroup,
            id,
            &[("cn", "Group")],
        );
        group.attributes.add(
            "member",
            members
                .iter()
                .map(|member| member.as_bytes().to_vec())
                .collect(),
        );
        self.entries.push(group);
    }
}

pub(crate) fn anchor(id: u8) -> Anchor {
    Anchor::Uuid([id; 16])
}

pub(crate) fn entry(dn: &str, kind: EntryKind, id: u8, attributes: &[(&str, &str)]) -> Entry {
    let attributes: Attributes = attributes
        .iter()
        .map(|(name, value)| (*name, vec![value.as_bytes().to_vec()]))
        .collect();
    Entry {
        dn: dn.into(),
        kind,
        anchor: Some(anchor(id)),
        alternate: None,
        attributes,
    }
}

/// A user at the target, as the mapping would have it.
pub(crate) fn user(id: &str, name: &str) -> TargetObject {
    TargetObject {
        id: TargetId(id.into()),
        class: Class::User,
        mark: None,
        immutable_id: None,
        attributes: [
            ("userPrincipalName".to_owned(), Value::Text(name.into())),
            ("displayName".to_owned(), Value::Text("Someone".into())),
            ("accountEnabled".to_owned(), Value::Flag(true)),
        ]
        .into(),
        manager: None,
        members: None,
        standing: Standing::default(),
    }
}

/// The same with our mark.
pub(crate) fn ours(id: u8, name: &str) -> TargetObject {
    let mark = Mark {
        owner: OWNER.into(),
        anchor: anchor(id),
    };
    TargetObject {
        mark: Some(mark),
        immutable_id: Some(anchor(id).immutable_id()),
        ..user(&format!("t{id}"), name)
    }
}

pub(crate) fn reasons(plan: &Plan) -> Vec<Reason> {
    plan.quarantine.iter().map(|object| object.reason).collect()
}

pub(crate) fn changes(plan: &Plan) -> Vec<&Change> {
    plan.operations
        .iter()
        .map(|operation| &operation.change)
        .collect()
}
