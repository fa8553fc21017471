//! What a read brings, and when it fails.

use plumbline_cloud::GraphError;
use plumbline_engine::{
    port::{Failure as _, Target as _},
    reason::Reason,
    target::{TargetId, Value},
};
use plumbline_lab::tenant::{Config, Domain, Faults};
use serde_json::json;

use crate::fixture::{Read, World, add, create_group, create_user, id_of, mark, request};

#[tokio::test]
async fn a_read_pages_through_everything_and_writes_nothing() {
    let mut world = World::start(Config {
        domains: vec![
            Domain::managed("Corp.example.com"),
            Domain::unverified("new.example.com"),
        ],
        page_size_cap: 7,
        faults: Faults {
            empty_page: 0.2,
            ..Faults::default()
        },
        ..Config::default()
    })
    .await;
    for n in 0..40 {
        let name = format!("p{n}");
        world.tenant.insert_user(json!({"userPrincipalName": format!("{name}@corp.example.com"), "displayName": name, "mailNickname": name, "accountEnabled": true})).unwrap();
    }
    let mut operations: Vec<_> = (0..30).map(|n| create_user(&format!("u{n}"))).collect();
    operations.push(create_group("staff"));
    operations.extend((0..30).map(|n| add("staff", &format!("u{n}"))));
    let made = world.export(operations).await;
    world.tenant.clear_log();
    let read = world.read().await;
    assert_eq!(read.domains, ["corp.example.com".to_owned()].into());
    assert_eq!(read.objects.len(), 71);
    let mut members = read.object("staff").members.clone().unwrap();
    members.sort();
    let mut expected: Vec<TargetId> = made[..30].iter().map(id_of).collect();
    expected.sort();
    assert_eq!(members, expected);
    assert_eq!(read.object("u7").mark, Some(mark("u7")));
    assert!(read.object("p1").mark.is_none());
    let log = world.tenant.log();
    assert!(
        log.iter().all(|one| one.method == "GET"
            || one.path.ends_with("/$batch")
            || one.path.contains("/oauth2/")),
        "{log:?}"
    );
    world.assert_clean();
}

#[tokio::test]
async fn the_view_shows_values_managers_and_standing() {
    let mut world = World::start(Config::default()).await;
    world.tenant.grant(&["RoleManagement.Read.Directory"]);
    world.tenant.expire_tokens();
    let user = |name: &str| {
        json!({"userPrincipalName": format!("{name}@corp.example.com"), "displayName": name, "mailNickname": name, "accountEnabled": true,
        "businessPhones": ["+49 1"], "employeeOrgData": {"division": "North", "costCenter": null}, "onPremisesExtensionAttributes": {"extensionAttribute1": "one"}})
    };
    let admin = world.tenant.insert_user(user("admin")).unwrap();
    let member = world.tenant.insert_user(user("member")).unwrap();
    let mut guest = user("guest");
    guest["userType"] = json!("Guest");
    world.tenant.insert_user(guest).unwrap();
    let mut synced = user("synced");
    synced["onPremisesSyncEnabled"] = json!(true);
    world.tenant.insert_user(synced).unwrap();
    world.tenant.assign_role(&admin, "Global Administrator");
    let group = |name: &str, mail: bool, role: bool| json!({"displayName": name, "mailNickname": name, "mailEnabled": mail, "securityEnabled": true, "isAssignableToRole": role, "members": [member]});
    world
        .tenant
        .insert_group(group("roles", false, true))
        .unwrap();
    world
        .tenant
        .insert_group(group("mail", true, false))
        .unwrap();
    world
        .tenant
        .insert_group(group("plain", false, false))
        .unwrap();
    let read = world.read().await;
    assert_eq!(read.roles, Some(true));
    let standing = |name: &str| {
        let standing = read.object(name).standing;
        (standing.privileged, standing.guest, standing.synced)
    };
    assert_eq!(standing("admin"), (true, false, false));
    assert_eq!(standing("member"), (true, false, false));
    assert_eq!(standing("guest"), (false, true, false));
    assert_eq!(standing("synced"), (false, false, true));
    assert_eq!(standing("roles"), (true, false, false));
    assert_eq!(standing("plain"), (false, false, false));
    assert!(
        read.object("plain").members.is_none(),
        "members are read of our groups only"
    );
    assert!(read.objects.iter().all(
        |object| object.attributes.get("displayName") != Some(&Value::Text("mail".to_owned()))
    ));
    let attributes = &read.object("admin").attributes;
    assert_eq!(
        attributes["businessPhones"],
        Value::List(vec!["+49 1".to_owned()])
    );
    assert_eq!(attributes["division"], Value::Text("North".to_owned()));
    assert_eq!(
        attributes["extensionAttribute1"],
        Value::Text("one".to_owned())
    );
    assert!(!attributes.contains_key("costCenter"));
    world.assert_clean();
}

#[tokio::test]
async fn without_the_right_to_read_roles_the_read_says_so() {
    let mut world = World::start(Config::default()).await;
    assert_eq!(world.read().await.roles, Some(false));
}

#[tokio::test]
async fn a_refused_listing_is_an_error_without_end() {
    let mut world = World::start(Config::default()).await;
    world.tenant.revoke(&["Domain.Read.All"]);
    world.tenant.expire_tokens();
    let mut read = Read::default();
    let error = world
        .target
        .read(&request(), None, &mut |event| read.take(event))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::AccessDenied);
    assert!(!read.ended);
}

#[tokio::test]
async fn throttled_and_failing_reads_are_repeated() {
    let mut world = World::start(Config {
        page_size_cap: 4,
        seed: 5,
        ..Config::default()
    })
    .await;
    for n in 0..60 {
        world.tenant.insert_user(json!({"userPrincipalName": format!("p{n}@corp.example.com"), "displayName": "p", "mailNickname": "p", "accountEnabled": true})).unwrap();
    }
    world.tenant.set_faults(Faults {
        unavailable: 0.2,
        lost_answer: 0.1,
        ..Faults::default()
    });
    let read = world.read().await;
    assert_eq!(read.objects.len(), 60);
    assert!(world.tenant.seen().unavailable > 0);
}

#[tokio::test]
async fn an_undefined_mark_names_the_command_that_defines_it() {
    let tenant = plumbline_lab::tenant::LabTenant::start(Config::default())
        .await
        .unwrap();
    let auth = plumbline_cloud::Auth::ClientSecret(tenant.client_secret().into());
    let session = std::sync::Arc::new(crate::fixture::session(&tenant, auth));
    let mut target =
        plumbline_cloud::GraphTarget::new(session, plumbline_cloud::Settings::default());
    let error = target
        .read(&request(), None, &mut |_| {})
        .await
        .unwrap_err();
    assert!(matches!(error, GraphError::MarkNotDefined { .. }));
    assert_eq!(error.reason(), Reason::MarkNotDefined);
    assert_eq!(target.probe().await.unwrap().mark_attribute, None);
    assert_eq!(
        target.define_mark().await.unwrap(),
        plumbline_cloud::Defined::Created
    );
    assert_eq!(
        target.define_mark().await.unwrap(),
        plumbline_cloud::Defined::Existed
    );
    let facts = target.probe().await.unwrap();
    assert!(facts.mark_attribute.is_some());
    assert_eq!(
        facts
            .missing_permissions
            .iter()
            .map(|one| one.name)
            .collect::<Vec<_>>(),
        ["RoleManagement.Read.Directory"]
    );
    target.read(&request(), None, &mut |_| {}).await.unwrap();
}
