//! Groups: names, the upsert, links and what they refuse (fact sheet §4).

use plumbline_lab::tenant::{Config, DEFAULT_PERMISSIONS};
use serde_json::{Value, json};

use super::{Lab, security, with};

const ALREADY: &str = "One or more added object references already exist for the following modified properties: 'members'.";

#[tokio::test]
async fn a_repeated_create_makes_a_second_group_and_a_repeated_upsert_does_not() {
    let lab = Lab::new().await;
    assert_ne!(lab.group("g").await, lab.group("g").await);
    let first = lab.upsert("plumbline-a-01", security("u")).await;
    assert_eq!(
        (first.status, &first.body["uniqueName"]),
        (201, &json!("plumbline-a-01"))
    );
    let second = lab
        .upsert(
            "plumbline-a-01",
            with(security("u"), &json!({"description": "d"})),
        )
        .await;
    // What a create must state cannot all be changed later; the upsert as documented restates only what may.
    assert_eq!(second.status, 400);
    assert_eq!(
        lab.upsert(
            "plumbline-a-01",
            json!({"displayName": "u", "description": "d"})
        )
        .await
        .status,
        204
    );
    let shown = lab.get("/groups(uniqueName='plumbline-a-01')").await;
    assert_eq!(
        (&shown.body["id"], &shown.body["description"]),
        (&first.body["id"], &json!("d"))
    );
    assert_eq!(lab.tenant.groups().len(), 3);
    lab.assert_no_violation();
}

#[tokio::test]
async fn an_upsert_without_the_preference_creates_nothing() {
    let lab = Lab::new().await;
    let reply = lab.patch("/groups(uniqueName='x')", security("g")).await;
    assert_eq!(
        (reply.status, reply.code()),
        (404, "Request_ResourceNotFound")
    );
    assert_eq!(
        lab.upsert("x", with(security("g"), &json!({"uniqueName": "y"})))
            .await
            .status,
        400
    );
    assert!(lab.tenant.groups().is_empty());
}

#[tokio::test]
async fn nicknames_are_unique_among_microsoft_365_groups_only() {
    let lab = Lab::new().await;
    lab.group("g").await;
    let unified = json!({"groupTypes": ["Unified"], "mailEnabled": true, "securityEnabled": false});
    let first = lab.post("/groups", with(security("u"), &unified)).await;
    assert_eq!(
        (first.status, &first.body["mail"]),
        (201, &json!("nick@corp.example.com"))
    );
    assert_eq!(first.body["visibility"], "Public");
    let second = lab.post("/groups", with(security("v"), &unified)).await;
    assert_eq!(second.body["error"]["details"][0]["target"], "mailNickname");
    lab.group("h").await;
}

#[tokio::test]
async fn members_are_added_twenty_at_a_time_all_or_nothing() {
    let lab = Lab::new().await;
    let group = lab.group("g").await;
    let mut users = Vec::new();
    for number in 0..21 {
        users.push(lab.user(&format!("u{number}")).await);
    }
    let path = format!("/groups/{group}");
    let bind = |ids: &[String]| json!({"members@odata.bind": ids.iter().map(|id| lab.link(id)).collect::<Vec<_>>()});
    let reply = lab.patch(&path, bind(&users)).await;
    assert_eq!(
        (reply.status, reply.message()),
        (400, "A resource cannot contain more than 20 link changes")
    );
    assert_eq!(lab.patch(&path, bind(&users[..20])).await.status, 204);
    assert_eq!(
        lab.all(&format!("{path}/members?$select=id")).await.len(),
        20
    );

    let reply = lab.patch(&path, bind(&users[19..])).await;
    assert_eq!(
        (reply.status, reply.code(), reply.message()),
        (400, "Request_BadRequest", ALREADY)
    );
    assert_eq!(
        lab.all(&format!("{path}/members")).await.len(),
        20,
        "nothing of a refused write is kept"
    );

    let absent = "6a46cf97-0000-0000-0000-000000000000".to_owned();
    let reply = lab
        .patch(&path, bind(&[users[20].clone(), absent.clone()]))
        .await;
    assert_eq!(
        (reply.status, reply.code()),
        (404, "Request_ResourceNotFound")
    );
    assert!(
        reply
            .message()
            .starts_with(&format!("Resource '{absent}' does not exist"))
    );
    assert_eq!(lab.all(&format!("{path}/members")).await.len(), 20);
    lab.assert_no_violation();
}

#[tokio::test]
async fn a_create_carries_owners_and_members_together_up_to_twenty() {
    let lab = Lab::new().await;
    let mut links = Vec::new();
    for number in 0..20 {
        links.push(lab.link(&lab.user(&format!("u{number}")).await));
    }
    let owner = Value::from(format!(
        "{}/v1.0/servicePrincipals/{}",
        lab.tenant.graph(),
        lab.tenant.service_principal_id()
    ));
    let body = with(
        security("g"),
        &json!({"owners@odata.bind": [owner], "members@odata.bind": links}),
    );
    assert_eq!(lab.upsert("x", body.clone()).await.status, 400);
    let body = with(body, &json!({"members@odata.bind": links[..19]}));
    let created = lab.upsert("x", body).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let owners = lab.all(&format!("/groups/{}/owners", created.id())).await;
    assert_eq!(
        owners[0]["@odata.type"],
        "#microsoft.graph.servicePrincipal"
    );
    lab.assert_no_violation();
}

#[tokio::test]
async fn single_links_are_added_once_and_removed_once() {
    let lab = Lab::new().await;
    let (group, user) = (lab.group("g").await, lab.user("ada").await);
    let (add, body) = (
        format!("/groups/{group}/members/$ref"),
        json!({"@odata.id": lab.link(&user)}),
    );
    assert_eq!(lab.post(&add, body.clone()).await.status, 204);
    let again = lab.post(&add, body).await;
    assert_eq!((again.status, again.message()), (400, ALREADY));
    let remove = format!("/groups/{group}/members/{user}/$ref");
    assert_eq!(lab.delete(&remove).await.status, 204);
    let again = lab.delete(&remove).await;
    assert_eq!(
        (again.status, again.code()),
        (404, "Request_ResourceNotFound")
    );
    assert_eq!(lab.tenant.users().len(), 1);
}

#[tokio::test]
async fn groups_refuse_members_of_the_wrong_kind() {
    let lab = Lab::new().await;
    let unified = json!({"groupTypes": ["Unified"], "mailEnabled": true, "securityEnabled": true});
    let (group, nested, user) = (
        lab.group("g").await,
        lab.group("n").await,
        lab.user("ada").await,
    );
    let team = lab
        .post("/groups", with(security("t"), &unified))
        .await
        .id();
    let list = lab
        .tenant
        .insert_group(json!({"displayName": "dl", "mailEnabled": true, "securityEnabled": false}))
        .expect("inserted");
    let rule = json!({"groupTypes": ["DynamicMembership"], "membershipRule": "user.x eq 1"});
    let dynamic = lab.post("/groups", with(security("d"), &rule)).await.id();
    for (group, member, status) in [
        (&group, &nested, 204),
        (&group, &team, 400),
        (&team, &nested, 400),
        (&team, &user, 204),
        (&list, &user, 403),
        (&dynamic, &user, 403),
    ] {
        let reply = lab
            .post(
                &format!("/groups/{group}/members/$ref"),
                json!({"@odata.id": lab.link(member)}),
            )
            .await;
        assert_eq!(reply.status, status, "{}", reply.body);
    }
    assert_eq!(
        lab.patch(&format!("/groups/{list}"), json!({"description": "x"}))
            .await
            .status,
        400
    );
    let types: Vec<_> = lab.all(&format!("/groups/{group}/members")).await;
    assert_eq!(types[0]["@odata.type"], "#microsoft.graph.group");
    lab.assert_no_violation();
}

#[tokio::test]
async fn a_delete_without_ref_deletes_the_member_and_fails_the_run() {
    let lab = Lab::new().await;
    let (group, user) = (lab.group("g").await, lab.user("ada").await);
    lab.post(
        &format!("/groups/{group}/members/$ref"),
        json!({"@odata.id": lab.link(&user)}),
    )
    .await;
    assert_eq!(
        lab.delete(&format!("/groups/{group}/members/{user}"))
            .await
            .status,
        204
    );
    assert!(lab.tenant.users().is_empty());
    let violations = lab.tenant.violations();
    assert_eq!(violations.len(), 1);
    assert!(violations[0].reason.contains("/$ref is missing"));
}

#[tokio::test]
async fn the_last_user_among_owners_stays() {
    let lab = Lab::new().await;
    let (group, ada, bob) = (
        lab.group("g").await,
        lab.user("ada").await,
        lab.user("bob").await,
    );
    for user in [&ada, &bob] {
        assert_eq!(
            lab.post(
                &format!("/groups/{group}/owners/$ref"),
                json!({"@odata.id": lab.link(user)})
            )
            .await
            .status,
            204
        );
    }
    assert_eq!(
        lab.delete(&format!("/groups/{group}/owners/{ada}/$ref"))
            .await
            .status,
        204
    );
    assert_eq!(
        lab.delete(&format!("/groups/{group}/owners/{bob}/$ref"))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_group_takes_a_hundred_owners() {
    let lab = Lab::new().await;
    let owners: Vec<String> = (0..100)
        .map(|number| {
            lab.tenant
                .insert_user(json!({"userPrincipalName": format!("o{number}@corp.example.com")}))
                .expect("inserted")
        })
        .collect();
    let group = lab
        .tenant
        .insert_group(json!({"displayName": "g", "owners": owners}))
        .expect("inserted");
    let one_more = lab.user("ada").await;
    assert_eq!(
        lab.post(
            &format!("/groups/{group}/owners/$ref"),
            json!({"@odata.id": lab.link(&one_more)})
        )
        .await
        .status,
        400
    );
}

#[tokio::test]
async fn a_deleted_security_group_is_restored_with_its_members_and_cannot_be_purged() {
    let lab = Lab::new().await;
    let user = lab.user("ada").await;
    let group = lab
        .upsert(
            "x",
            with(
                security("g"),
                &json!({"members@odata.bind": [lab.link(&user)]}),
            ),
        )
        .await
        .id();
    assert_eq!(lab.delete(&format!("/groups/{group}")).await.status, 204);
    assert_eq!(lab.get(&format!("/groups/{group}")).await.status, 404);
    assert_eq!(
        lab.all("/directory/deletedItems/microsoft.graph.group?$select=id")
            .await,
        [json!({"id": group})]
    );
    let refused = lab
        .delete(&format!("/directory/deletedItems/{group}"))
        .await;
    assert_eq!(
        (refused.status, refused.code()),
        (403, "Authorization_RequestDenied")
    );
    let restored = lab
        .post(
            &format!("/directory/deletedItems/{group}/restore"),
            json!({}),
        )
        .await;
    assert_eq!(restored.status, 200);
    assert_eq!(lab.all(&format!("/groups/{group}/members")).await.len(), 1);
    lab.assert_no_violation();
}

#[tokio::test]
async fn role_assignable_groups_need_their_right_at_creation_and_for_members() {
    let mut permissions = DEFAULT_PERMISSIONS.map(str::to_owned).to_vec();
    let role = json!({"isAssignableToRole": true});
    let lab = Lab::with(Config {
        permissions: permissions.clone(),
        ..Config::default()
    })
    .await;
    assert_eq!(
        lab.post("/groups", with(security("g"), &role)).await.status,
        403
    );
    permissions.push("RoleManagement.ReadWrite.Directory".to_owned());
    let mut lab = Lab::with(Config {
        permissions,
        ..Config::default()
    })
    .await;
    let dynamic = json!({"isAssignableToRole": true, "groupTypes": ["DynamicMembership"], "membershipRule": "user.x eq 1"});
    assert_eq!(
        lab.post("/groups", with(security("g"), &dynamic))
            .await
            .status,
        400
    );
    let group = lab.post("/groups", with(security("g"), &role)).await.id();
    let user = lab.user("ada").await;
    lab.tenant.revoke(&["RoleManagement.ReadWrite.Directory"]);
    lab.renew().await;
    let reply = lab
        .post(
            &format!("/groups/{group}/members/$ref"),
            json!({"@odata.id": lab.link(&user)}),
        )
        .await;
    assert_eq!(
        (reply.status, reply.code()),
        (403, "Authorization_RequestDenied")
    );
}

#[tokio::test]
async fn a_tenant_has_five_hundred_role_assignable_groups() {
    let full = (0..500)
        .map(|number| json!({"displayName": format!("r{number}"), "isAssignableToRole": true}))
        .collect();
    let mut lab = Lab::with(Config {
        groups: full,
        ..Config::default()
    })
    .await;
    lab.tenant.grant(&["RoleManagement.ReadWrite.Directory"]);
    lab.renew().await;
    let role = json!({"isAssignableToRole": true});
    assert_eq!(
        lab.post("/groups", with(security("g"), &role)).await.status,
        400
    );
    let one = lab.tenant.groups()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(lab.delete(&format!("/groups/{one}")).await.status, 204);
    assert_eq!(
        lab.post("/groups", with(security("g"), &role)).await.status,
        201
    );
}

#[tokio::test]
async fn exchange_backed_properties_are_set_alone() {
    let lab = Lab::new().await;
    let unified = json!({"groupTypes": ["Unified"], "mailEnabled": true, "securityEnabled": false});
    let team = format!(
        "/groups/{}",
        lab.post("/groups", with(security("t"), &unified))
            .await
            .id()
    );
    assert_eq!(
        lab.patch(
            &team,
            json!({"allowExternalSenders": true, "description": "x"})
        )
        .await
        .status,
        400
    );
    assert_eq!(
        lab.patch(&team, json!({"allowExternalSenders": true}))
            .await
            .status,
        204
    );
}
