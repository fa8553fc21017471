//! What changes because a time comes, and nothing else.

use jiff::Timestamp;
use plumbline_engine::{
    configuration::Adopt,
    engine::Engine,
    entry::{Class, ServerType},
    expression::Expression,
    mapping::{Mapping, Override},
    memory::Memory,
    operation::Change,
    reason::Reason,
};

use crate::world::{CAPABILITIES, World, anchor, changes, configuration, ours, reasons};

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minutes * 60).unwrap()
}

fn expires(world: &mut World, id: u8, moment: &str) {
    let mail = format!("p{id}@x.test");
    let person = world.person(id, &mail);
    let moment = vec![moment.as_bytes().to_vec()];
    person.attributes.add("krbPrincipalExpiration", moment);
    world.objects.push(ours(id, &mail));
}

#[test]
fn an_account_that_expires_is_disabled_at_its_time_without_a_read() {
    let mut world = World::new(Adopt::Report);
    let set = [(
        "accountEnabled".to_owned(),
        "!expired(user.krbPrincipalExpiration)".to_owned(),
    )];
    let expression = Override {
        set: set.into(),
        ..Override::default()
    };
    let mut configuration = configuration(Adopt::Report);
    let (server, class) = (ServerType::OpenLdap, Class::User);
    let mapping = Mapping::compile(server, class, CAPABILITIES, &[&expression]).unwrap();
    configuration.scopes[0].mapping.insert(class, mapping);
    world.engine = Engine::new(configuration, Memory::default());
    // 22:13:20 is minute 0.
    expires(&mut world, 1, "20231114231320Z");
    expires(&mut world, 2, "20231115000000Z");
    expires(&mut world, 3, "");
    expires(&mut world, 4, "soon");
    let plan = world.plan(0);
    assert!(plan.operations.is_empty(), "{:?}", plan.operations);
    assert_eq!(reasons(&plan), [Reason::ExpressionFailed]);
    assert_eq!(world.engine.plan(at(0)).1, Some(at(60)));
    assert_eq!(world.engine.plan(at(59)).0.operations, []);
    let (plan, wake) = world.engine.plan(at(60));
    assert_eq!(changes(&plan), [&Change::Disable]);
    assert_eq!(plan.operations[0].anchor, anchor(1));
    assert_eq!(wake, Some("2023-11-15T00:00:00Z".parse().unwrap()));
}

#[test]
fn a_condition_takes_somebody_out_when_the_time_comes() {
    let mut world = World::new(Adopt::Report);
    let mut configuration = configuration(Adopt::Report);
    let when = Expression::compile("!expired(user['krbPrincipalExpiration'])", Class::User);
    configuration.scopes[0]
        .when
        .insert(Class::User, when.unwrap());
    world.engine = Engine::new(configuration, Memory::default());
    expires(&mut world, 1, "20231114231320Z");
    expires(&mut world, 2, "");
    assert_eq!(world.plan(0).operations, []);
    assert_eq!(world.engine.scope_counts("staff").users, 2);
    let (plan, wake) = world.engine.plan(at(61));
    assert_eq!(changes(&plan), [&Change::Disable]);
    assert_eq!(world.engine.scope_counts("staff").users, 1);
    assert_eq!(wake, None);
}

#[test]
fn what_expires_must_be_an_attribute() {
    for source in [
        "expired('20231114231320Z')",
        "expired(has(user.mail) ? user.mail : '')",
        "expired(user)",
    ] {
        let error = Expression::compile(source, Class::User).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("expired(user.accountExpires)"), "{text}");
    }
}
