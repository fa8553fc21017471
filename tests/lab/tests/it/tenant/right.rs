//! Permissions of the application, and directory roles over privileged people (fact sheet §3.4, §18).

use plumbline_lab::tenant::Config;
use serde_json::{Value, json};

use super::{Lab, person, security};

async fn holding(permissions: &[&str]) -> Lab {
    let permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
    Lab::with(Config {
        permissions,
        ..Config::default()
    })
    .await
}

fn someone(lab: &Lab, name: &str) -> String {
    lab.tenant
        .insert_user(
            json!({"userPrincipalName": format!("{name}@corp.example.com"), "displayName": name}),
        )
        .expect("inserted")
}

#[tokio::test]
async fn each_operation_needs_its_permission() {
    let bind = json!({"members@odata.bind": []});
    for (method, path, body, permission) in [
        ("GET", "/users", Value::Null, "User.Read.All"),
        (
            "GET",
            "/users?$select=id,displayName",
            Value::Null,
            "User.ReadBasic.All",
        ),
        ("POST", "/users", person("new"), "User.Create"),
        (
            "PATCH",
            "/users/U",
            json!({"department": "x"}),
            "User.ReadUpdate.All",
        ),
        (
            "PATCH",
            "/users/U",
            json!({"mobilePhone": "1"}),
            "User-Phone.ReadWrite.All",
        ),
        (
            "PATCH",
            "/users/U",
            json!({"otherMails": []}),
            "User-Mail.ReadWrite.All",
        ),
        ("DELETE", "/users/U", Value::Null, "User.DeleteRestore.All"),
        (
            "POST",
            "/users/U/revokeSignInSessions",
            Value::Null,
            "User.RevokeSessions.All",
        ),
        (
            "GET",
            "/directory/deletedItems/microsoft.graph.user",
            Value::Null,
            "User.Read.All",
        ),
        ("GET", "/groups", Value::Null, "Group.Read.All"),
        (
            "GET",
            "/directory/deletedItems/microsoft.graph.group",
            Value::Null,
            "Group.ReadWrite.All",
        ),
        ("POST", "/groups", security("new"), "Group.Create"),
        (
            "PATCH",
            "/groups/G",
            json!({"description": "x"}),
            "Group.ReadWrite.All",
        ),
        ("PATCH", "/groups/G", bind, "GroupMember.ReadWrite.All"),
        (
            "GET",
            "/groups/G/members",
            Value::Null,
            "GroupMember.Read.All",
        ),
        ("DELETE", "/groups/G", Value::Null, "Group.ReadWrite.All"),
        ("GET", "/domains", Value::Null, "Domain.Read.All"),
        ("GET", "/organization", Value::Null, "Organization.Read.All"),
        (
            "GET",
            "/directoryRoles",
            Value::Null,
            "RoleManagement.Read.Directory",
        ),
        (
            "GET",
            "/roleManagement/directory/roleAssignments",
            Value::Null,
            "RoleManagement.Read.Directory",
        ),
        (
            "GET",
            "/applications",
            Value::Null,
            "Application.ReadWrite.OwnedBy",
        ),
    ] {
        let mut lab = holding(&[]).await;
        let user = someone(&lab, "ada");
        let group = lab
            .tenant
            .insert_group(json!({"displayName": "g"}))
            .expect("inserted");
        let path = path
            .replace("/U", &format!("/{user}"))
            .replace("/G", &format!("/{group}"));
        let body = (!body.is_null()).then_some(body);
        let before = lab.tenant.snapshot();
        let refused = lab
            .send(method, &path, body.clone(), None)
            .await
            .expect("an answer");
        assert_eq!(
            (refused.status, refused.code()),
            (403, "Authorization_RequestDenied"),
            "{method} {path}"
        );
        assert_eq!(
            refused.message(),
            "Insufficient privileges to complete the operation."
        );
        assert_eq!(before, lab.tenant.snapshot());
        lab.tenant.grant(&[permission]);
        let old = lab
            .send(method, &path, body.clone(), None)
            .await
            .expect("an answer");
        assert_eq!(old.status, 403, "consent needs a new token");
        lab.renew().await;
        let granted = lab
            .send(method, &path, body, None)
            .await
            .expect("an answer");
        assert!(
            (200..300).contains(&granted.status),
            "{method} {path} {permission}: {}",
            granted.body
        );
        lab.assert_no_violation();
    }
}

#[tokio::test]
async fn narrow_permissions_reach_no_further() {
    let lab = holding(&["User.ReadUpdate.All", "User.EnableDisableAccount.All"]).await;
    let user = format!("/users/{}", someone(&lab, "ada"));
    for body in [
        json!({"accountEnabled": false}),
        json!({"department": "x", "mobilePhone": "1"}),
        json!({"passwordProfile": {"password": "Correct-horse-8"}}),
        json!({"identities": []}),
        json!({"employeeHireDate": "2026-01-01T00:00:00Z"}),
        json!({"employeeLeaveDateTime": "2026-01-01T00:00:00Z"}),
    ] {
        assert_eq!(lab.patch(&user, body.clone()).await.status, 403, "{body}");
    }
    let mut lab = lab;
    lab.tenant.grant(&[
        "User.Read.All",
        "User-LifeCycleInfo.ReadWrite.All",
        "User.ManageIdentities.All",
    ]);
    lab.renew().await;
    assert_eq!(
        lab.patch(&user, json!({"accountEnabled": false}))
            .await
            .status,
        204
    );
    assert_eq!(
        lab.patch(
            &user,
            json!({"employeeLeaveDateTime": "2026-01-01T00:00:00Z"})
        )
        .await
        .status,
        204
    );
    assert_eq!(
        lab.patch(&user, json!({"identities": []})).await.status,
        400,
        "the user's own name must stay"
    );
    let own = json!({"signInType": "userPrincipalName", "issuer": "corp.example.com", "issuerAssignedId": "ada@corp.example.com"});
    assert_eq!(
        lab.patch(&user, json!({"identities": [own]})).await.status,
        204
    );
}

#[tokio::test]
async fn a_password_needs_its_permission_and_a_role() {
    let lab = holding(&["User.ReadWrite.All", "User-PasswordProfile.ReadWrite.All"]).await;
    let user = format!("/users/{}", someone(&lab, "ada"));
    let body = json!({"passwordProfile": {"password": "Correct-horse-8"}});
    assert_eq!(lab.patch(&user, body.clone()).await.status, 403);
    lab.tenant.set_application_roles(&["User Administrator"]);
    assert_eq!(lab.patch(&user, body).await.status, 204);
}

#[tokio::test]
async fn deleting_with_the_broad_permission_needs_a_role() {
    let lab = holding(&["User.ReadWrite.All"]).await;
    let user = format!("/users/{}", someone(&lab, "ada"));
    assert_eq!(lab.delete(&user).await.status, 403);
    lab.tenant.set_application_roles(&["User Administrator"]);
    assert_eq!(lab.delete(&user).await.status, 204);
}

#[tokio::test]
async fn privileged_people_are_out_of_reach_for_sensitive_actions() {
    let top = "Privileged Authentication Administrator";
    for (target, own, sensitive) in [
        (Some("Directory Readers"), None, 204),
        (Some("Authentication Administrator"), None, 403),
        (
            Some("Authentication Administrator"),
            Some("Authentication Administrator"),
            204,
        ),
        (
            Some("Helpdesk Administrator"),
            Some("Authentication Administrator"),
            403,
        ),
        (
            Some("Helpdesk Administrator"),
            Some("User Administrator"),
            204,
        ),
        (
            Some("Global Administrator"),
            Some("User Administrator"),
            403,
        ),
        (Some("Some Custom Role"), Some("User Administrator"), 403),
        (Some("Global Administrator"), Some(top), 204),
        (None, None, 403),
        (None, Some(top), 204),
    ] {
        let lab = Lab::new().await;
        let id = someone(&lab, "ada");
        match target {
            Some(role) => lab.tenant.assign_role(&id, role),
            // Without a role of its own: a member of a role-assignable group.
            None => drop(lab.tenant.insert_group(
                json!({"displayName": "r", "isAssignableToRole": true, "members": [id]}),
            )),
        }
        lab.tenant
            .set_application_roles(&own.into_iter().collect::<Vec<_>>());
        let user = format!("/users/{id}");
        for body in [
            json!({"accountEnabled": false}),
            json!({"businessPhones": ["1"]}),
            json!({"mobilePhone": "1"}),
            json!({"onPremisesImmutableId": "AAAA"}),
            json!({"otherMails": []}),
            json!({"userPrincipalName": "eve@corp.example.com"}),
        ] {
            assert_eq!(
                lab.patch(&user, body.clone()).await.status,
                sensitive,
                "{target:?} by {own:?}: {body}"
            );
        }
        assert_eq!(
            lab.patch(&user, json!({"department": "x"})).await.status,
            204
        );
        assert_eq!(lab.delete(&user).await.status, sensitive);
    }
}

#[tokio::test]
async fn role_holders_are_listed_with_the_right_to_read_roles() {
    let mut lab = Lab::new().await;
    let (ada, bob) = (someone(&lab, "ada"), someone(&lab, "bob"));
    lab.tenant.assign_role(&ada, "Global Administrator");
    lab.tenant.assign_role(&bob, "Helpdesk Administrator");
    lab.tenant.grant(&["RoleManagement.Read.Directory"]);
    lab.renew().await;
    let assignments = lab
        .all("/roleManagement/directory/roleAssignments?$select=principalId")
        .await;
    let mut holders: Vec<&str> = assignments
        .iter()
        .filter_map(|held| held["principalId"].as_str())
        .collect();
    holders.sort_unstable();
    let mut wanted = [ada.as_str(), bob.as_str()];
    wanted.sort_unstable();
    assert_eq!(holders, wanted);
    let roles = lab.all("/directoryRoles").await;
    let global = roles
        .iter()
        .find(|role| role["displayName"] == "Global Administrator")
        .expect("the role");
    let members = lab
        .all(&format!(
            "/directoryRoles/{}/members?$select=id",
            global["id"].as_str().expect("an id")
        ))
        .await;
    assert_eq!(
        members,
        [json!({"@odata.type": "#microsoft.graph.user", "id": ada})]
    );
    lab.assert_no_violation();
}

#[tokio::test]
async fn an_application_that_does_not_own_itself_defines_nothing() {
    let lab = Lab::with(Config {
        owns_itself: false,
        ..Config::default()
    })
    .await;
    let path = format!(
        "/applications(appId='{}')/extensionProperties",
        lab.tenant.client_id()
    );
    let body = json!({"name": "plumblineOwner", "dataType": "String", "targetObjects": ["User"]});
    assert_eq!(lab.post(&path, body).await.status, 403);
}

#[tokio::test]
async fn an_object_holds_a_hundred_extension_values() {
    let lab = Lab::new().await;
    let path = format!(
        "/applications(appId='{}')/extensionProperties",
        lab.tenant.client_id()
    );
    let mut values = json!({});
    let mut last = String::new();
    for number in 0..=100 {
        let body =
            json!({"name": format!("x{number}"), "dataType": "String", "targetObjects": ["User"]});
        lab.post(&path, body).await.body["name"]
            .as_str()
            .expect("a name")
            .clone_into(&mut last);
        values[&last] = json!("v");
    }
    let user = format!("/users/{}", someone(&lab, "ada"));
    assert_eq!(lab.patch(&user, values.clone()).await.status, 400);
    values.as_object_mut().expect("an object").remove(&last);
    assert_eq!(lab.patch(&user, values).await.status, 204);
    assert_eq!(
        lab.patch(&user, json!({last.as_str(): "v"})).await.status,
        400
    );
}

#[tokio::test]
async fn extension_values_are_of_their_type_length_and_target() {
    let lab = Lab::new().await;
    let path = format!(
        "/applications(appId='{}')/extensionProperties",
        lab.tenant.client_id()
    );
    let define = async |name: &str, kind: &str, target: &str| {
        let reply = lab
            .post(
                &path,
                json!({"name": name, "dataType": kind, "targetObjects": [target]}),
            )
            .await;
        reply.body["name"].as_str().map(str::to_owned)
    };
    let text = define("text", "String", "User").await.expect("defined");
    let number = define("number", "Integer", "User").await.expect("defined");
    let of_groups = define("group", "String", "Group").await.expect("defined");
    assert!(
        define("text", "String", "User").await.is_none()
            && define("x", "Text", "User").await.is_none()
    );
    assert!(
        define("x", "String", "Person").await.is_none()
            && define("x-y", "String", "User").await.is_none()
    );
    let user = format!("/users/{}", someone(&lab, "ada"));
    for (name, value, status) in [
        (&text, json!("x".repeat(256)), 204),
        (&text, json!("x".repeat(257)), 400),
        (&text, json!(1), 400),
        (&text, json!(null), 204),
        (&number, json!(7), 204),
        (&number, json!("7"), 400),
        (&of_groups, json!("x"), 400),
        (&"extension_00_undefined".to_owned(), json!("x"), 400),
    ] {
        assert_eq!(
            lab.patch(&user, json!({name.as_str(): value})).await.status,
            status,
            "{name} {value}"
        );
    }
    lab.assert_no_violation();
}
