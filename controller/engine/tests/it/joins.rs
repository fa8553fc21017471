//! Two forests to one tenant: one person in both, whose values count, who stays when one of them goes, members across.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use plumbline_engine::{
    anchor::Anchor,
    configuration::{Adopt, Configuration, ConnectorSettings, Include, JoinRule, Joins, Scope},
    dn::Written,
    engine::Engine,
    entry::{Class, Entry, EntryKind, ServerType},
    explain::Question,
    memory::Memory,
    operation::{Change, Member, Operation},
    plan::Plan,
    port::{Cause, Extent, Import, Observation},
    reason::Reason,
    target::{Mark, TargetId, TargetObject, Value},
};

use crate::world::{OWNER, anchor, configuration, entry, ours, reasons};

const OU: &str = "ou=Staff,dc=x";

/// Forests `a` and `b`, joined by mail; a's values count, but for `city`.
struct Forests {
    a: Vec<Entry>,
    b: Vec<Entry>,
    /// Tombstones can be read: of these.
    buried: Vec<Anchor>,
    target: Vec<TargetObject>,
    engine: Engine,
    minutes: i64,
}

fn joins() -> Joins {
    Joins {
        precedence: vec!["a".to_owned(), "b".to_owned()],
        first: BTreeMap::from([("city".to_owned(), vec!["b".to_owned()])]),
        rules: vec![
            JoinRule {
                attributes: ["a", "b"]
                    .map(|name| (name.to_owned(), "mail".to_owned()))
                    .into(),
            },
            JoinRule {
                attributes: [("a", "objectsid"), ("b", "msexchmasteraccountsid")]
                    .map(|(name, attribute)| (name.to_owned(), attribute.to_owned()))
                    .into(),
            },
        ],
    }
}

fn forests(joins: Option<Joins>) -> Configuration {
    let mut all = configuration(Adopt::Report);
    let scope = |name: &str| {
        let one = configuration(Adopt::Report).scopes.remove(0);
        Scope {
            name: name.to_owned(),
            connector: name.to_owned(),
            include: vec![Include::OrganizationalUnit(Written::parse(OU).unwrap())],
            ..one
        }
    };
    all.scopes = vec![scope("a"), scope("b")];
    all.connectors = ["a", "b"]
        .map(|name| ConnectorSettings {
            name: name.to_owned(),
            confirm_absence: std::time::Duration::from_secs(60),
        })
        .into();
    all.joins = joins;
    all
}

fn unit() -> Entry {
    entry(OU, EntryKind::Container, 200, &[])
}

fn person(id: u8, mail: &str, values: &[(&str, &str)]) -> Entry {
    let mut person = entry(
        &format!("cn=p{id},{OU}"),
        EntryKind::User,
        id,
        &[("mail", mail), ("uid", "p")],
    );
    for (name, value) in values {
        person.attributes.add(name, vec![value.as_bytes().to_vec()]);
    }
    person
}

/// `S-1-5-21-…-id`.
fn sid(id: u8) -> Vec<u8> {
    let mut sid = vec![1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0];
    sid.extend([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, id, 0, 0, 0]);
    sid
}

/// A foreign security principal's DN.
fn foreign(id: u8) -> String {
    format!("CN=S-1-5-21-1-2-3-{id},CN=ForeignSecurityPrincipals,dc=x")
}

fn group(id: u8, members: &[&str]) -> Entry {
    let mut group = entry(
        &format!("cn=g{id},{OU}"),
        EntryKind::SecurityGroup,
        id,
        &[("cn", "Group")],
    );
    let members = members.iter().map(|dn| dn.as_bytes().to_vec());
    group.attributes.add("member", members.collect());
    group
}

impl Forests {
    fn new(a: Vec<Entry>, b: Vec<Entry>) -> Self {
        Self {
            a,
            b,
            buried: Vec::new(),
            target: Vec::new(),
            engine: Engine::new(forests(Some(joins())), Memory::default()),
            minutes: 0,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + self.minutes * 60).unwrap()
    }

    /// A complete read, cut before its end if it is not `whole`.
    fn read(&mut self, connector: &str, whole: bool) {
        let at = self.now();
        let entries = if connector == "a" { &self.a } else { &self.b };
        let mut events = vec![
            Import::Begin {
                at,
                server_type: ServerType::ActiveDirectory,
                tombstones: true,
                extent: Extent::Complete(Cause::First),
            },
            Import::Batch(entries.iter().cloned().chain([unit()]).collect()),
        ];
        if whole {
            events.push(Import::Tombstones(self.buried.clone()));
            events.push(Import::End { cursor: None });
        }
        for event in events {
            self.engine.import(connector, event);
        }
    }

    fn plan(&mut self) -> Plan {
        let at = self.now();
        for event in [
            Observation::Begin { complete: true },
            Observation::Domains(BTreeSet::from(["x.test".to_owned()])),
            Observation::RolesReadable(true),
            Observation::Batch(self.target.clone()),
            Observation::End { cursor: None },
        ] {
            self.engine.observe(event, at);
        }
        self.engine.plan(at).0
    }

    /// Reads both, plans, and does what is planned.
    fn cycle(&mut self) -> Plan {
        self.minutes += 30;
        self.read("a", true);
        self.read("b", true);
        let plan = self.plan();
        for operation in &plan.operations {
            self.apply(operation);
        }
        plan
    }

    fn object(&mut self, operation: &Operation) -> &mut TargetObject {
        let found = self
            .target
            .iter_mut()
            .find(|object| match &operation.target {
                Some(id) => object.id == *id,
                None => object
                    .mark
                    .as_ref()
                    .is_some_and(|mark| mark.anchor == operation.anchor),
            });
        found.unwrap()
    }

    fn id(&self, anchor: &Anchor) -> TargetId {
        let mut objects = self.target.iter();
        let found = objects.find(|object| {
            let mark = object.mark.as_ref();
            mark.is_some_and(|mark| mark.anchor == *anchor)
        });
        found.unwrap().id.clone()
    }

    fn apply(&mut self, operation: &Operation) {
        match &operation.change {
            Change::Create { mark, values } => self.target.push(TargetObject {
                id: TargetId(format!("t{}", self.target.len()).into()),
                class: operation.class,
                mark: Some(mark.clone()),
                attributes: values.clone(),
                members: (operation.class == Class::Group).then(Vec::new),
                ..ours(0, "")
            }),
            Change::Adopt { changes, .. } | Change::Update { changes } => {
                let object = self.object(operation);
                for (name, value) in changes.clone() {
                    object.attributes.remove(&name);
                    object.attributes.extend(value.map(|value| (name, value)));
                }
                if let Change::Adopt { mark, .. } = &operation.change {
                    object.mark = Some(mark.clone());
                }
            }
            Change::AddMember { member } => {
                let member = self.id(member);
                self.object(operation)
                    .members
                    .as_mut()
                    .unwrap()
                    .push(member);
            }
            other => assert_eq!(format!("{other:?}"), "not expected here"),
        }
    }

    fn text(&self, id: usize, attribute: &str) -> Option<&str> {
        match self.target[id].attributes.get(attribute) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn mark(&self, id: usize) -> Option<&Anchor> {
        self.target[id].mark.as_ref().map(|mark| &mark.anchor)
    }
}

#[test]
fn one_person_in_both_forests_is_one_account_and_each_value_comes_from_the_first_that_has_one() {
    let a = person(1, "ada@x.test", &[("cn", "Ada of A"), ("l", "Aachen")]);
    let b = person(2, "ADA@x.test", &[("cn", "Ada of B"), ("l", "Berlin")]);
    let mut forests = Forests::new(vec![a], vec![b]);
    let plan = forests.cycle();
    assert_eq!((plan.operations.len(), plan.counts.users), (1, 1));
    assert_eq!(forests.mark(0), Some(&anchor(1)));
    assert_eq!(forests.text(0, "displayName"), Some("Ada of A"));
    assert_eq!(forests.text(0, "city"), Some("Berlin"), "b is asked first");
    // What the first does not have, the next one gives; what nobody has is cleared.
    forests.b[0] = person(2, "ada@x.test", &[("cn", "Ada of B")]);
    forests.cycle();
    assert_eq!(forests.text(0, "city"), Some("Aachen"));
    forests.a[0] = person(1, "ada@x.test", &[("cn", "Ada of A")]);
    forests.cycle();
    assert_eq!(forests.text(0, "city"), None);
    assert!(forests.cycle().is_empty(), "a second cycle writes nothing");
}

#[test]
fn of_each_value_it_is_told_whose_it_is() {
    let a = person(1, "ada@x.test", &[("cn", "Ada of A")]);
    let b = person(2, "ada@x.test", &[("cn", "Ada of B"), ("l", "Berlin")]);
    let mut forests = Forests::new(vec![a], vec![b]);
    let plan = forests.cycle();
    // By the address that both have, by the entry that names the account, by the other one.
    let questions = ["ada@x.test".to_owned()]
        .into_iter()
        .chain([1, 2].map(|id| anchor(id).immutable_id()));
    for question in questions {
        let all = forests.engine.explain(&Question::new(&question), &plan);
        let [told] = all.as_slice() else {
            panic!("{question}: {all:#?}");
        };
        assert_eq!(told.operations, plan.operations, "{question}");
        let own = told.entry.as_ref().unwrap().connector.as_str();
        let [other] = told.joined.as_slice() else {
            panic!("{question}: {:?}", told.joined);
        };
        assert_ne!(other.entry.connector, own);
        assert!(other.takes_part);
        let from = |name: &str| {
            let one = told.attributes.iter().find(|one| one.name == name).unwrap();
            let values = one.sources.iter().flat_map(|source| &source.values);
            let values: Vec<&str> = values.map(|value| str::from_utf8(value).unwrap()).collect();
            (one.connector.clone().unwrap(), values.join(" "))
        };
        assert_eq!(from("displayName"), ("a".to_owned(), "Ada of A".to_owned()));
        assert_eq!(from("city"), ("b".to_owned(), "Berlin".to_owned()));
    }
}

#[test]
fn a_linked_mailbox_is_joined_by_the_sid_of_its_account_and_self_links_nobody() {
    let account = |id, mail: &str| {
        let mut account = person(id, mail, &[("cn", "Account")]);
        account.attributes.add("objectSid", vec![sid(id)]);
        account
    };
    let mailbox = |id, mail: &str, master: Vec<u8>| {
        let mut mailbox = person(id, mail, &[("cn", "Mailbox"), ("l", "Mainz")]);
        mailbox
            .attributes
            .add("msExchMasterAccountSid", vec![master]);
        mailbox
    };
    // NT AUTHORITY\SELF, as in a room's mailbox.
    let own = vec![1, 1, 0, 0, 0, 0, 0, 5, 10, 0, 0, 0];
    let mut forests = Forests::new(
        vec![account(1, "one@x.test")],
        vec![
            mailbox(11, "eleven@x.test", sid(1)),
            mailbox(12, "twelve@x.test", own.clone()),
            mailbox(13, "thirteen@x.test", own),
        ],
    );
    let plan = forests.cycle();
    assert_eq!((plan.counts.users, reasons(&plan)), (3, vec![]));
    let names: Vec<_> = (0..3)
        .map(|at| forests.text(at, "userPrincipalName"))
        .collect();
    assert!(names.contains(&Some("one@x.test")), "{names:?}");
    assert!(!names.contains(&Some("eleven@x.test")), "{names:?}");
}

#[test]
fn an_account_keeps_its_name_when_the_other_entry_comes_and_lives_on_when_its_own_goes() {
    let late = person(1, "ada@x.test", &[("cn", "Ada of A")]);
    let early = person(2, "ada@x.test", &[("cn", "Ada of B"), ("l", "Berlin")]);
    let mut forests = Forests::new(vec![], vec![early]);
    forests.cycle();
    assert_eq!(forests.mark(0), Some(&anchor(2)));
    forests.a.push(late);
    let plan = forests.cycle();
    assert_eq!((plan.operations.len(), forests.target.len()), (1, 1));
    assert_eq!(
        plan.operations[0].anchor,
        anchor(2),
        "it is named as before"
    );
    assert_eq!(forests.text(0, "displayName"), Some("Ada of A"));
    assert_eq!(forests.mark(0), Some(&anchor(2)));

    // Gone without proof: nothing of the person changes, and both the reason and the person are told.
    let gone = forests.b.remove(0);
    let plan = forests.cycle();
    assert!(plan.is_empty(), "{:?}", plan.operations);
    assert_eq!(reasons(&plan), [Reason::AbsenceUnproven]);
    // Back again.
    forests.b.push(gone);
    let plan = forests.cycle();
    assert_eq!((plan.is_empty(), reasons(&plan)), (true, vec![]));

    // Gone with proof: the account lives on under the name of who stayed.
    forests.b.clear();
    forests.buried = vec![anchor(2)];
    let plan = forests.cycle();
    assert!(matches!(plan.operations[0].change, Change::Adopt { .. }));
    assert_eq!(
        (forests.mark(0), forests.target.len()),
        (Some(&anchor(1)), 1)
    );
    assert_eq!(forests.text(0, "city"), None, "b's value went with it");
    let plan = forests.cycle();
    assert_eq!((plan.is_empty(), reasons(&plan)), (true, vec![]));

    // With nothing remembered it is still the same.
    forests.engine = Engine::new(self::forests(Some(joins())), Memory::default());
    let plan = forests.cycle();
    assert_eq!((plan.is_empty(), reasons(&plan)), (true, vec![]));
}

#[test]
fn who_leaves_the_scope_of_one_forest_stays_by_the_other() {
    let a = person(1, "ada@x.test", &[("cn", "Ada of A")]);
    let b = person(2, "ada@x.test", &[("cn", "Ada of B"), ("l", "Berlin")]);
    let mut forests = Forests::new(vec![], vec![b]);
    forests.cycle();
    forests.a.push(a);
    forests.cycle();
    forests.b[0].dn = "cn=p2,dc=x".into();
    forests.cycle();
    assert_eq!(
        (forests.mark(0), forests.target.len()),
        (Some(&anchor(1)), 1)
    );
    assert_eq!(forests.text(0, "city"), None);
    let plan = forests.cycle();
    assert_eq!((plan.is_empty(), reasons(&plan)), (true, vec![]));
}

#[test]
fn two_of_one_forest_that_join_the_same_identity_are_both_set_aside_with_it() {
    let a = person(1, "ada@x.test", &[("cn", "Ada")]);
    let b = person(2, "ada@x.test", &[("cn", "Ada"), ("l", "Berlin")]);
    let mut forests = Forests::new(vec![a], vec![b]);
    forests.cycle();
    let second = person(3, "ada@x.test", &[("cn", "Other"), ("l", "Bonn")]);
    forests.b.push(second);
    let plan = forests.cycle();
    assert!(plan.is_empty(), "{:?}", plan.operations);
    let told: Vec<_> = plan
        .quarantine
        .iter()
        .map(|one| (one.reason, one.anchor.clone(), one.message.clone()))
        .collect();
    for (id, other) in [(1, "cn=p2"), (1, "cn=p3"), (2, "cn=p3"), (3, "cn=p2")] {
        assert!(
            told.iter()
                .any(|(reason, of, message)| *reason == Reason::JoinAmbiguous
                    && *of == Some(anchor(id))
                    && message.contains(other)),
            "{id} names {other}: {told:#?}"
        );
    }
    forests.b[1] = person(3, "bob@x.test", &[("cn", "Bob")]);
    let plan = forests.cycle();
    assert_eq!((plan.operations.len(), reasons(&plan)), (1, vec![]));
}

#[test]
fn two_who_want_one_sign_in_name_are_both_set_aside_each_naming_the_other() {
    // Each in a forest of his own, and joined by nothing.
    let mut forests = Forests::new(
        vec![person(1, "ada@x.test", &[("cn", "Ada")])],
        vec![person(2, "ada@x.test", &[("cn", "Ada")])],
    );
    forests.engine = Engine::new(self::forests(None), Memory::default());
    let plan = forests.cycle();
    assert_eq!(reasons(&plan), [Reason::DuplicateValue; 2]);
    for (at, other) in ["cn=p2", "cn=p1"].iter().enumerate() {
        let message = &plan.quarantine[at].message;
        assert!(message.contains(other), "{message}");
    }
}

#[test]
fn two_accounts_of_one_person_are_left_alone_until_somebody_decides() {
    let mut forests = Forests::new(
        vec![person(1, "ada@x.test", &[("cn", "Ada")])],
        vec![person(2, "ada@x.test", &[("cn", "Ada")])],
    );
    // Made before the forests were joined.
    forests.target = vec![ours(1, "ada@x.test"), ours(2, "ada2@x.test")];
    let plan = forests.cycle();
    assert!(
        plan.is_empty() && plan.holds.is_empty(),
        "{:?}",
        plan.operations
    );
    assert_eq!(reasons(&plan), [Reason::AmbiguousMatch]);
    forests.target.remove(0);
    let plan = forests.cycle();
    assert_eq!((plan.operations.len(), reasons(&plan)), (1, vec![]));
    assert_eq!(forests.mark(0), Some(&anchor(2)));
}

#[test]
fn what_a_forest_may_contribute_is_waited_for_until_it_was_read() {
    let a = person(1, "ada@x.test", &[("cn", "Ada of A"), ("l", "Aachen")]);
    let b = person(2, "ada@x.test", &[("cn", "Ada of B"), ("l", "Berlin")]);
    let alone = person(5, "eve@x.test", &[("cn", "Eve")]);
    let mut forests = Forests::new(vec![a, alone, group(9, &["cn=p1,ou=Staff,dc=x"])], vec![b]);
    forests.cycle();
    assert_eq!(forests.text(0, "city"), Some("Berlin"));
    let members = |forests: &Forests| forests.target.last().unwrap().members.clone().unwrap();
    assert_eq!(members(&forests).len(), 1);

    // A new process, to which b does not answer, or only in part.
    forests.engine = Engine::new(self::forests(Some(joins())), Memory::default());
    forests.read("a", true);
    let plan = forests.plan();
    assert!(
        plan.is_empty() && plan.holds.is_empty(),
        "{:?}",
        plan.operations
    );
    forests.b.clear();
    forests.read("b", false);
    let plan = forests.plan();
    assert!(
        plan.is_empty() && plan.holds.is_empty(),
        "{:?}",
        plan.operations
    );

    // The unit of its scope is hidden.
    forests.engine.import(
        "b",
        Import::Begin {
            at: forests.now(),
            server_type: ServerType::ActiveDirectory,
            tombstones: true,
            extent: Extent::Complete(Cause::First),
        },
    );
    forests.engine.import("b", Import::End { cursor: None });
    let plan = forests.plan();
    assert!(
        plan.is_empty() && plan.holds.is_empty(),
        "{:?}",
        plan.operations
    );
    assert_eq!(plan.faults[0].reason, Reason::ScopeUnresolved);
}

#[test]
fn a_member_from_the_other_forest_is_found_by_the_sid_and_by_whom_he_is_joined_to() {
    let with_sid = |mut person: Entry, id: u8| {
        person.attributes.add("objectSid", vec![sid(id)]);
        person
    };
    let a = vec![
        person(1, "ada@x.test", &[("cn", "Ada")]),
        // Bob of b, Ada's entry of b, nobody, and somebody of every domain.
        group(
            9,
            &[
                &foreign(4),
                &foreign(2),
                &foreign(77),
                "CN=S-1-5-11,CN=ForeignSecurityPrincipals,dc=x",
            ],
        ),
    ];
    let b = vec![
        with_sid(person(2, "ada@x.test", &[("cn", "Ada of B")]), 2),
        with_sid(person(4, "bob@x.test", &[("cn", "Bob")]), 4),
    ];
    let mut forests = Forests::new(a, b);
    forests.cycle();
    let group = forests
        .target
        .iter()
        .position(|one| one.class == Class::Group);
    let members = |forests: &Forests| {
        let mut members = forests.target[group.unwrap()].members.clone().unwrap();
        members.sort();
        members
    };
    let mut both = vec![forests.id(&anchor(1)), forests.id(&anchor(4))];
    both.sort();
    assert_eq!(members(&forests), both);
    assert!(forests.cycle().is_empty());

    // Hidden, both of them: nobody leaves a group because of that.
    let hidden = std::mem::take(&mut forests.b);
    let plan = forests.cycle();
    assert!(
        plan.is_empty() && plan.holds.is_empty(),
        "{:?}",
        plan.operations
    );
    forests.b = hidden;
    forests.cycle();

    // The principal is taken out of the group.
    forests.a[1] = self::group(9, &[&foreign(2)]);
    forests.minutes += 30;
    forests.read("a", true);
    let plan = forests.plan();
    let removed = Change::RemoveMember {
        member: Member::Ours(anchor(4)),
    };
    assert_eq!(plan.operations.len(), 1, "{:?}", plan.operations);
    assert_eq!(plan.operations[0].change, removed);
}

#[test]
fn who_is_gone_from_both_forests_leaves_and_not_before() {
    let a = person(1, "ada@x.test", &[("cn", "Ada")]);
    let b = person(2, "ada@x.test", &[("cn", "Ada")]);
    let mut forests = Forests::new(vec![a], vec![b]);
    forests.cycle();
    forests.buried = vec![anchor(1)];
    forests.a.clear();
    forests.cycle();
    assert_eq!(forests.mark(0), Some(&anchor(2)));
    // Hidden, not deleted.
    forests.b.clear();
    let plan = forests.cycle();
    assert_eq!(
        (plan.is_empty(), reasons(&plan)),
        (true, vec![Reason::AbsenceUnproven])
    );
    forests.buried = vec![anchor(1), anchor(2)];
    forests.minutes += 30;
    forests.read("b", true);
    let plan = forests.plan();
    assert_eq!(plan.operations.len(), 1, "{:?}", plan.quarantine);
    assert_eq!(plan.operations[0].change, Change::Disable);
    let mark = Mark {
        owner: OWNER.into(),
        anchor: anchor(2),
    };
    assert_eq!(forests.target[0].mark, Some(mark));
}
