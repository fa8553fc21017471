//! Users: required fields, default properties, mail, manager, the bin, and objects that others own.

use plumbline_lab::tenant::{Config, Domain};
use serde_json::{Value, json};

use super::{Lab, person, with};

#[tokio::test]
async fn a_created_user_shows_default_properties_only_and_the_rest_on_select() {
    let lab = Lab::new().await;
    let body = with(
        person("ada"),
        &json!({"department": "R&D", "employeeId": "10042", "onPremisesImmutableId": "q1+/w=="}),
    );
    let created = lab.post("/users", body).await;
    assert_eq!(created.status, 201);
    assert!(
        created.body.get("department").is_none() && created.body.get("accountEnabled").is_none()
    );
    assert!(created.header("request-id").is_some());
    let id = created.id();
    assert!(
        lab.get(&format!("/users/{id}"))
            .await
            .body
            .get("employeeId")
            .is_none()
    );
    let selected = lab.get("/users/ada@corp.example.com?$select=id,department,onPremisesImmutableId,employeeOrgData").await;
    assert_eq!(selected.body["department"], "R&D");
    assert_eq!(selected.body["id"], id.as_str());
    assert_eq!(selected.body["employeeOrgData"], Value::Null);
    assert!(selected.body.get("displayName").is_none());
    assert_eq!(
        lab.get(&format!("/users/{id}?$select=passwordProfile"))
            .await
            .body["passwordProfile"],
        Value::Null
    );
    lab.assert_no_violation();
}

#[tokio::test]
async fn each_required_field_of_a_create_is_missed() {
    let lab = Lab::new().await;
    for field in [
        "accountEnabled",
        "displayName",
        "mailNickname",
        "userPrincipalName",
        "passwordProfile",
    ] {
        let mut body = person("ada");
        body.as_object_mut().expect("an object").remove(field);
        let reply = lab.post("/users", body).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "Request_BadRequest"),
            "{field}"
        );
        assert!(reply.message().contains(field));
    }
    assert!(lab.tenant.users().is_empty());
}

#[tokio::test]
async fn unique_values_conflict_with_details() {
    let lab = Lab::new().await;
    let first = with(
        person("ada"),
        &json!({"mail": "ada@corp.example.com", "onPremisesImmutableId": "AAAA"}),
    );
    assert_eq!(lab.post("/users", first).await.status, 201);
    for (body, property) in [
        (
            json!({"userPrincipalName": "ADA@corp.example.com"}),
            "userPrincipalName",
        ),
        (json!({"mail": "Ada@corp.example.com"}), "proxyAddresses"),
        (
            json!({"onPremisesImmutableId": "AAAA"}),
            "onPremisesImmutableId",
        ),
    ] {
        let reply = lab.post("/users", with(person("bob"), &body)).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "Request_BadRequest"),
            "{property}"
        );
        let details = &reply.body["error"]["details"];
        assert_eq!(
            (&details[0]["code"], &details[0]["target"]),
            (&json!("ObjectConflict"), &json!(property))
        );
        assert_eq!(details[1]["code"], "ConflictingObjects");
        assert!(reply.message().contains(&format!(
            "same value for property {property} already exists"
        )));
        assert!(reply.body["error"]["innerError"]["request-id"].is_string());
    }
    let bob = lab.user("bob").await;
    let reply = lab
        .patch(
            &format!("/users/{bob}"),
            json!({"userPrincipalName": "ada@corp.example.com"}),
        )
        .await;
    assert_eq!(
        reply.body["error"]["details"][0]["target"],
        "userPrincipalName"
    );
    // Anchors differ by case: they are base64.
    assert_eq!(
        lab.post(
            "/users",
            with(person("eve"), &json!({"onPremisesImmutableId": "aAAA"}))
        )
        .await
        .status,
        201
    );
}

#[tokio::test]
async fn a_changed_mail_becomes_the_primary_address() {
    let lab = Lab::new().await;
    let id = lab
        .post(
            "/users",
            with(person("ada"), &json!({"mail": "ada@corp.example.com"})),
        )
        .await
        .id();
    let reply = lab
        .patch(
            &format!("/users/{id}"),
            json!({"mail": "lovelace@corp.example.com"}),
        )
        .await;
    assert_eq!(reply.status, 204);
    let shown = lab
        .get(&format!("/users/{id}?$select=mail,proxyAddresses"))
        .await
        .body;
    assert_eq!(
        shown["proxyAddresses"],
        json!(["SMTP:lovelace@corp.example.com"])
    );
}

#[tokio::test]
async fn an_omitted_half_of_the_organization_data_becomes_null() {
    let lab = Lab::new().await;
    let id = lab
        .post(
            "/users",
            with(
                person("ada"),
                &json!({"employeeOrgData": {"division": "A", "costCenter": "1"}}),
            ),
        )
        .await
        .id();
    lab.patch(
        &format!("/users/{id}"),
        json!({"employeeOrgData": {"costCenter": "2"}}),
    )
    .await;
    let shown = lab
        .get(&format!("/users/{id}?$select=employeeOrgData"))
        .await
        .body;
    assert_eq!(
        shown["employeeOrgData"],
        json!({"division": null, "costCenter": "2"})
    );
}

#[tokio::test]
async fn extension_attributes_merge_and_clear_one_by_one() {
    let lab = Lab::new().await;
    let body = json!({"onPremisesExtensionAttributes": {"extensionAttribute1": "x", "extensionAttribute15": "y"}});
    let id = lab.post("/users", with(person("ada"), &body)).await.id();
    let change = json!({"onPremisesExtensionAttributes": {"extensionAttribute1": null, "extensionAttribute2": "z"}});
    assert_eq!(lab.patch(&format!("/users/{id}"), change).await.status, 204);
    let shown = lab
        .get(&format!(
            "/users/{id}?$select=onPremisesExtensionAttributes"
        ))
        .await
        .body;
    let held = &shown["onPremisesExtensionAttributes"];
    assert_eq!(held.as_object().expect("an object").len(), 15);
    assert_eq!(
        (&held["extensionAttribute1"], &held["extensionAttribute2"]),
        (&Value::Null, &json!("z"))
    );
    assert_eq!(held["extensionAttribute15"], "y");
}

#[tokio::test]
async fn a_federated_user_needs_its_source_anchor() {
    let domains = vec![
        Domain::managed("corp.example.com"),
        Domain::federated("fed.example.com"),
    ];
    let lab = Lab::with(Config {
        domains,
        ..Config::default()
    })
    .await;
    let federated = with(
        person("ada"),
        &json!({"userPrincipalName": "ada@fed.example.com"}),
    );
    let reply = lab.post("/users", federated.clone()).await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.message(),
        "SourceAnchor is a required property for creation of a federated user."
    );
    let id = lab
        .post(
            "/users",
            with(federated, &json!({"onPremisesImmutableId": "AAAA"})),
        )
        .await
        .id();
    assert_eq!(
        lab.patch(
            &format!("/users/{id}"),
            json!({"onPremisesImmutableId": null})
        )
        .await
        .status,
        400
    );
    let managed = lab
        .post(
            "/users",
            with(person("bob"), &json!({"onPremisesImmutableId": "BBBB"})),
        )
        .await
        .id();
    assert_eq!(
        lab.patch(
            &format!("/users/{managed}"),
            json!({"onPremisesImmutableId": null})
        )
        .await
        .status,
        204
    );
}

#[tokio::test]
async fn the_manager_is_set_read_expanded_and_removed() {
    let lab = Lab::new().await;
    let (ada, bob) = (lab.user("ada").await, lab.user("bob").await);
    let path = format!("/users/{ada}/manager");
    assert_eq!(lab.get(&path).await.status, 404);
    let url = Value::from(format!("{}/v1.0/users/{bob}", lab.tenant.graph()));
    assert_eq!(
        lab.put(&format!("{path}/$ref"), json!({"@odata.id": url}))
            .await
            .status,
        204
    );
    assert_eq!(
        lab.get(&path).await.body["userPrincipalName"],
        "bob@corp.example.com"
    );
    let listed = lab
        .all("/users?$select=id&$expand=manager($select=id)")
        .await;
    let of = |id: &str| {
        listed
            .iter()
            .find(|user| user["id"] == id)
            .expect("listed")
            .clone()
    };
    assert_eq!(of(&ada)["manager"]["id"], bob.as_str());
    assert!(of(&bob).get("manager").is_none());
    let absent = json!({"@odata.id": format!("{}/v1.0/users/{}", lab.tenant.graph(), "6a46cf97-0000-0000-0000-000000000000")});
    let reply = lab.put(&format!("{path}/$ref"), absent).await;
    assert_eq!(
        (reply.status, reply.code()),
        (404, "Request_ResourceNotFound")
    );
    assert_eq!(lab.delete(&format!("{path}/$ref")).await.status, 204);
    assert_eq!(lab.delete(&format!("{path}/$ref")).await.status, 404);
    lab.assert_no_violation();
}

#[tokio::test]
async fn a_deleted_user_keeps_its_memberships_and_its_anchor_until_it_is_restored() {
    let lab = Lab::new().await;
    let ada = lab
        .post(
            "/users",
            with(person("ada"), &json!({"onPremisesImmutableId": "AAAA"})),
        )
        .await
        .id();
    let group = lab.group("g").await;
    lab.post(
        &format!("/groups/{group}/members/$ref"),
        json!({"@odata.id": lab.link(&ada)}),
    )
    .await;
    assert_eq!(lab.delete(&format!("/users/{ada}")).await.status, 204);
    assert_eq!(lab.get(&format!("/users/{ada}")).await.status, 404);
    assert!(
        lab.all(&format!("/groups/{group}/members"))
            .await
            .is_empty()
    );

    let again = lab
        .post(
            "/users",
            with(person("ada"), &json!({"onPremisesImmutableId": "AAAA"})),
        )
        .await;
    assert_eq!((again.status, again.code()), (400, "Request_BadRequest"));
    assert!(
        again
            .message()
            .starts_with("A conflicting object with one or more of the specified property values"),
        "{}",
        again.message()
    );
    let found = lab.all("/directory/deletedItems/microsoft.graph.user?$filter=onPremisesImmutableId eq 'AAAA'&$select=id").await;
    assert_eq!(found, [json!({"id": ada})]);

    let restored = lab
        .post(&format!("/directory/deletedItems/{ada}/restore"), json!({}))
        .await;
    assert_eq!((restored.status, &restored.body["id"]), (200, &json!(ada)));
    assert_eq!(
        lab.all(&format!("/groups/{group}/members?$select=id"))
            .await[0]["id"],
        ada.as_str()
    );
    lab.assert_no_violation();
}

#[tokio::test]
async fn a_restore_fails_while_the_name_is_taken() {
    let lab = Lab::new().await;
    let ada = lab.user("ada").await;
    lab.delete(&format!("/users/{ada}")).await;
    let other = lab.user("ada").await;
    let reply = lab
        .post(&format!("/directory/deletedItems/{ada}/restore"), json!({}))
        .await;
    assert_eq!(
        reply.body["error"]["details"][0]["target"],
        "userPrincipalName"
    );
    lab.patch(
        &format!("/users/{other}"),
        json!({"userPrincipalName": "new@corp.example.com"}),
    )
    .await;
    assert_eq!(
        lab.post(&format!("/directory/deletedItems/{ada}/restore"), json!({}))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_purged_user_is_gone_with_its_links() {
    let lab = Lab::new().await;
    let (ada, group) = (lab.user("ada").await, lab.group("g").await);
    lab.post(
        &format!("/groups/{group}/members/$ref"),
        json!({"@odata.id": lab.link(&ada)}),
    )
    .await;
    lab.delete(&format!("/users/{ada}")).await;
    assert_eq!(
        lab.get(&format!("/directory/deletedItems/{ada}"))
            .await
            .body["@odata.type"],
        "#microsoft.graph.user"
    );
    assert_eq!(
        lab.delete(&format!("/directory/deletedItems/{ada}"))
            .await
            .status,
        204
    );
    assert_eq!(
        lab.get(&format!("/directory/deletedItems/{ada}"))
            .await
            .status,
        404
    );
    assert_eq!(lab.tenant.groups()[0]["members"], json!([]));
    lab.assert_no_violation();
}

#[tokio::test]
async fn sessions_are_revoked_and_counted() {
    let lab = Lab::new().await;
    let ada = lab.user("ada").await;
    let reply = lab
        .send(
            "POST",
            &format!("/users/{ada}/revokeSignInSessions"),
            None,
            None,
        )
        .await
        .expect("an answer");
    assert_eq!((reply.status, &reply.body["value"]), (200, &json!(true)));
    assert_eq!(lab.tenant.revoked_sessions(), [ada]);
}

#[tokio::test]
async fn what_another_sync_masters_refuses_writes() {
    let lab = Lab::new().await;
    let synced = json!({"userPrincipalName": "s@corp.example.com", "displayName": "s", "onPremisesSyncEnabled": true});
    let user = lab.tenant.insert_user(synced).expect("inserted");
    let group = lab
        .tenant
        .insert_group(json!({"displayName": "s", "onPremisesSyncEnabled": true}))
        .expect("inserted");
    let text = "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects \
                currently undergoing migration.";
    let member = json!({"@odata.id": lab.link(&user)});
    for reply in [
        lab.patch(&format!("/users/{user}"), json!({"department": "x"}))
            .await,
        lab.delete(&format!("/users/{user}")).await,
        lab.patch(&format!("/groups/{group}"), json!({"description": "x"}))
            .await,
        lab.post(&format!("/groups/{group}/members/$ref"), member)
            .await,
        lab.delete(&format!("/groups/{group}")).await,
    ] {
        assert_eq!((reply.status, reply.message()), (400, text));
    }
    let former = json!({"userPrincipalName": "f@corp.example.com", "displayName": "f", "onPremisesSyncEnabled": false});
    let former = lab.tenant.insert_user(former).expect("inserted");
    let change = json!({"onPremisesExtensionAttributes": {"extensionAttribute1": "x"}});
    let reply = lab.patch(&format!("/users/{former}"), change).await;
    assert!(
        reply
            .message()
            .contains("originated within an external service")
    );
    assert_eq!(
        lab.patch(&format!("/users/{former}"), json!({"department": "x"}))
            .await
            .status,
        204
    );
}
