//! Every limit of users (fact sheet §3.3) and groups (§4.3): the last value that is taken and the first that is not.

use plumbline_lab::tenant::{Config, Domain};
use serde_json::{Value, json};

use super::{Lab, person, security, with};

fn long(length: usize) -> String {
    "x".repeat(length)
}

/// Sets `taken`, then tries `refused`, and finds the first still there.
async fn check(lab: &Lab, path: &str, property: &str, taken: Value, refused: Value) {
    let reply = lab.patch(path, json!({property: taken})).await;
    assert_eq!(reply.status, 204, "{property} {taken}: {}", reply.body);
    let before = lab.get(&format!("{path}?$select={property}")).await.body[property].clone();
    let reply = lab.patch(path, json!({property: refused})).await;
    assert_eq!(
        (reply.status, reply.code()),
        (400, "Request_BadRequest"),
        "{property} {refused}"
    );
    let after = lab.get(&format!("{path}?$select={property}")).await.body[property].clone();
    assert_eq!(before, after, "{property}");
}

#[tokio::test]
async fn texts_of_users_have_lengths() {
    let lab = Lab::new().await;
    let path = format!("/users/{}", lab.user("ada").await);
    for (property, limit) in [
        ("displayName", 256),
        ("mailNickname", 64),
        ("givenName", 64),
        ("surname", 64),
        ("department", 64),
        ("companyName", 64),
        ("jobTitle", 128),
        ("city", 128),
        ("state", 128),
        ("country", 128),
        ("postalCode", 40),
        ("streetAddress", 1_024),
        ("mobilePhone", 64),
        ("employeeId", 16),
    ] {
        check(
            &lab,
            &path,
            property,
            json!(long(limit)),
            json!(long(limit + 1)),
        )
        .await;
    }
    // Characters count, not bytes.
    assert_eq!(
        lab.patch(&path, json!({"employeeId": "é".repeat(16)}))
            .await
            .status,
        204
    );
    lab.assert_no_violation();
}

#[tokio::test]
async fn values_of_users_have_forms() {
    let lab = Lab::new().await;
    let path = format!("/users/{}", lab.user("ada").await);
    let mail = |length: usize| format!("{}@x.example", long(length - 10));
    let mails = |count: usize| {
        (0..count)
            .map(|number| format!("m{number}@x.example"))
            .collect::<Vec<_>>()
    };
    for (property, taken, refused) in [
        ("displayName", json!("Ada"), json!(null)),
        ("displayName", json!("Ada"), json!("")),
        (
            "businessPhones",
            json!(["+49 1"]),
            json!(["+49 1", "+49 2"]),
        ),
        ("otherMails", json!(mails(250)), json!(mails(251))),
        ("otherMails", json!([mail(250)]), json!([mail(251)])),
        ("otherMails", json!(["a@x.example"]), json!(["é@x.example"])),
        ("mail", json!("ada@x.example"), json!("ädä@x.example")),
        ("mail", json!("ada@x.example"), json!(null)),
        ("mail", json!("ada@x.example"), json!("ada")),
        ("usageLocation", json!("DE"), json!("XX")),
        ("usageLocation", json!("DE"), json!("Germany")),
        ("usageLocation", json!("DE"), json!(null)),
        (
            "preferredLanguage",
            json!("en-US"),
            json!("English (United States)"),
        ),
        (
            "onPremisesImmutableId",
            json!("q1B2c3D4e5F6g7H8i9J0kQ=="),
            json!("a$b"),
        ),
        (
            "onPremisesImmutableId",
            json!("q1B2c3D4e5F6g7H8i9J0kQ=="),
            json!("a_b"),
        ),
        (
            "passwordPolicies",
            json!("DisablePasswordExpiration, DisableStrongPassword"),
            json!("Never"),
        ),
        ("userType", json!("Guest"), json!("Contractor")),
        ("accountEnabled", json!(false), json!(null)),
        ("accountEnabled", json!(false), json!("yes")),
    ] {
        check(&lab, &path, property, taken, refused).await;
    }
    let attribute = |length: usize| json!({"extensionAttribute15": long(length)});
    check(
        &lab,
        &path,
        "onPremisesExtensionAttributes",
        attribute(1_024),
        attribute(1_025),
    )
    .await;
    let unknown = json!({"onPremisesExtensionAttributes": {"extensionAttribute16": "x"}});
    assert_eq!(lab.patch(&path, unknown).await.status, 400);
    // Cleared by null unless noted.
    for property in [
        "department",
        "mobilePhone",
        "employeeId",
        "preferredLanguage",
        "onPremisesImmutableId",
    ] {
        assert_eq!(
            lab.patch(&path, json!({property: null})).await.status,
            204,
            "{property}"
        );
    }
    lab.assert_no_violation();
}

#[tokio::test]
async fn user_principal_names_have_characters_parts_and_verified_domains() {
    let domain = |length: usize| format!("{}.example", "d".repeat(length - 8));
    let (longest, longer) = (domain(48), domain(49));
    let domains = vec![
        Domain::managed("corp.example.com"),
        Domain::managed(&longest),
        Domain::managed(&longer),
        Domain::unverified("new.example.com"),
    ];
    let lab = Lab::with(Config {
        domains,
        ..Config::default()
    })
    .await;
    for taken in [
        "o'brien.a-b_c!d#e^f~g@corp.example.com".to_owned(),
        format!("{}@{longest}", long(64)),
        "UPPER@Corp.Example.COM".to_owned(),
    ] {
        let reply = lab
            .post(
                "/users",
                with(person("ada"), &json!({"userPrincipalName": taken})),
            )
            .await;
        assert_eq!(reply.status, 201, "{taken}: {}", reply.body);
    }
    for refused in [
        format!("{}@corp.example.com", long(65)),
        format!("a@{longer}"),
        "ädä@corp.example.com".to_owned(),
        "a b@corp.example.com".to_owned(),
        "a+b@corp.example.com".to_owned(),
        "ada.@corp.example.com".to_owned(),
        "@corp.example.com".to_owned(),
        "ada".to_owned(),
        "ada@new.example.com".to_owned(),
        "ada@foreign.example.com".to_owned(),
    ] {
        let reply = lab
            .post(
                "/users",
                with(person("ada"), &json!({"userPrincipalName": refused})),
            )
            .await;
        let text = "One or more properties contains invalid values.";
        assert_eq!((reply.status, reply.message()), (400, text), "{refused}");
    }
    assert_eq!(lab.tenant.users().len(), 3);
}

#[tokio::test]
async fn passwords_are_complex() {
    let lab = Lab::new().await;
    let create = async |alias: &str, password: &str| {
        let profile = json!({"passwordProfile": {"password": password, "forceChangePasswordNextSignIn": false}});
        lab.post("/users", with(person(alias), &profile)).await
    };
    for (number, taken) in [
        "Abcdef1x",
        "abc-ef12",
        "ABC-ef()",
        &format!("Aa1{}", long(253)),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(
            create(&format!("u{number}"), taken).await.status,
            201,
            "{taken}"
        );
    }
    let too_long = format!("Aa1{}", long(254));
    for refused in [
        "Abcde1x",
        "abcdefgh1",
        "ABCDEFGH",
        "Äbcdefg1",
        "Password-1",
        &too_long,
    ] {
        let reply = create("ada", refused).await;
        assert_eq!(reply.status, 400, "{refused}");
        assert!(
            reply
                .message()
                .starts_with("The specified password does not comply"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn read_only_properties_are_refused() {
    let lab = Lab::new().await;
    let user = format!("/users/{}", lab.user("ada").await);
    for (property, value) in [
        ("proxyAddresses", json!(["SMTP:a@x.example"])),
        ("onPremisesSyncEnabled", json!(true)),
        ("onPremisesDistinguishedName", json!("CN=a")),
        ("onPremisesSamAccountName", json!("a")),
        ("onPremisesDomainName", json!("corp.example.com")),
        ("onPremisesSecurityIdentifier", json!("S-1-5-21")),
        ("onPremisesUserPrincipalName", json!("a@corp.example.com")),
        ("onPremisesLastSyncDateTime", json!("2026-01-01T00:00:00Z")),
        ("createdDateTime", json!("2026-01-01T00:00:00Z")),
        ("assignedLicenses", json!([])),
    ] {
        let reply = lab.patch(&user, json!({property: value})).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "Request_BadRequest"),
            "{property}"
        );
        assert!(reply.message().contains("read-only"), "{property}");
    }
    let group = format!("/groups/{}", lab.group("g").await);
    for (property, value) in [
        ("proxyAddresses", json!([])),
        ("mail", json!("g@corp.example.com")),
        ("onPremisesSyncEnabled", json!(true)),
        ("uniqueName", json!("x")),
        ("isAssignableToRole", json!(true)),
    ] {
        let reply = lab.patch(&group, json!({property: value})).await;
        assert_eq!(reply.status, 400, "{property}");
        assert!(reply.message().contains("read-only"), "{property}");
    }
    lab.assert_no_violation();
}

#[tokio::test]
async fn properties_outside_the_directory_are_not_implemented() {
    let lab = Lab::new().await;
    let user = format!("/users/{}", lab.user("ada").await);
    for (property, value) in [
        ("aboutMe", json!("x")),
        ("birthday", json!("2000-01-01T00:00:00Z")),
        ("interests", json!(["x"])),
        ("mySite", json!("https://x.example")),
        ("pastProjects", json!(["x"])),
        ("responsibilities", json!(["x"])),
        ("schools", json!(["x"])),
        ("skills", json!(["x"])),
    ] {
        let reply = lab.patch(&user, json!({property: value})).await;
        assert_eq!(
            (reply.status, reply.code()),
            (501, "NotImplemented"),
            "{property}"
        );
        assert_eq!(
            reply.message(),
            "This operation target is not yet supported."
        );
    }
    lab.assert_no_violation();
}

#[tokio::test]
async fn each_required_field_of_a_group_is_missed() {
    let lab = Lab::new().await;
    for field in [
        "displayName",
        "mailEnabled",
        "mailNickname",
        "securityEnabled",
    ] {
        let mut body = security("g");
        body.as_object_mut().expect("an object").remove(field);
        let reply = lab.post("/groups", body).await;
        assert_eq!(reply.status, 400, "{field}");
        assert!(reply.message().contains(field));
    }
}

#[tokio::test]
async fn names_of_groups_have_lengths_and_characters() {
    let lab = Lab::new().await;
    let path = format!("/groups/{}", lab.group("g").await);
    check(
        &lab,
        &path,
        "displayName",
        json!(long(256)),
        json!(long(257)),
    )
    .await;
    check(&lab, &path, "displayName", json!("g"), json!(null)).await;
    check(
        &lab,
        &path,
        "mailNickname",
        json!(long(64)),
        json!(long(65)),
    )
    .await;
    for bad in [
        "ä", "a@b", "a(b", "a)b", "a\\b", "a[b", "a]b", "a\"b", "a;b", "a:b", "a<b", "a>b", "a,b",
        "a b", "",
    ] {
        check(
            &lab,
            &path,
            "mailNickname",
            json!("a!#$%&'*+-/=?^_`{|}~.z"),
            json!(bad),
        )
        .await;
    }
}

#[tokio::test]
async fn only_security_and_microsoft_365_groups_are_created() {
    let lab = Lab::new().await;
    for (fields, status) in [
        (json!({}), 201),
        (
            json!({"groupTypes": ["Unified"], "mailEnabled": true, "securityEnabled": false}),
            201,
        ),
        (json!({"mailEnabled": true, "securityEnabled": true}), 400),
        (json!({"mailEnabled": true, "securityEnabled": false}), 400),
        (json!({"mailEnabled": false, "securityEnabled": false}), 400),
        (
            json!({"groupTypes": ["Unified"], "mailEnabled": false}),
            400,
        ),
        (json!({"groupTypes": ["DynamicMembership"]}), 400),
        (
            json!({"groupTypes": ["DynamicMembership"], "membershipRule": "user.x eq 1", "membershipRuleProcessingState": "On"}),
            201,
        ),
        (json!({"visibility": "HiddenMembership"}), 400),
        (json!({"uniqueName": "x"}), 400),
    ] {
        let reply = lab.post("/groups", with(security("g"), &fields)).await;
        assert_eq!(reply.status, status, "{fields}: {}", reply.body);
    }
    for later in [
        "allowExternalSenders",
        "autoSubscribeNewMembers",
        "hideFromAddressLists",
        "hideFromOutlookClients",
        "isSubscribedByMail",
    ] {
        assert_eq!(
            lab.post("/groups", with(security("g"), &json!({later: true})))
                .await
                .status,
            400,
            "{later}"
        );
    }
    assert_eq!(
        lab.post("/groups", with(security("g"), &json!({"unseenCount": 1})))
            .await
            .status,
        400
    );
    lab.assert_no_violation();
}
