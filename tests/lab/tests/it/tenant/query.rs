//! Listings: pages, `$select`, `$filter`, and what is not served (fact sheet §2).

use plumbline_lab::tenant::{Config, Faults};
use serde_json::{Value, json};

use super::{Lab, person, with};

fn named(count: usize) -> Vec<Value> {
    (0..count).map(|number| json!({"userPrincipalName": format!("u{number:04}@corp.example.com"), "displayName": "u"})).collect()
}

#[tokio::test]
async fn pages_hold_a_hundred_unless_asked_and_never_more_than_the_cap() {
    let lab = Lab::with(Config {
        users: named(1_005),
        ..Config::default()
    })
    .await;
    let size = async |path: &str| {
        lab.get(path).await.body["value"]
            .as_array()
            .expect("values")
            .len()
    };
    assert_eq!(
        [
            size("/users").await,
            size("/users?$top=5").await,
            size("/users?$top=999").await
        ],
        [100, 5, 999]
    );
    for bad in ["0", "1000", "x"] {
        assert_eq!(
            lab.get(&format!("/users?$top={bad}")).await.status,
            400,
            "{bad}"
        );
    }
    let all = lab.all("/users?$select=userPrincipalName&$top=400").await;
    let mut names: Vec<&str> = all
        .iter()
        .filter_map(|user| user["userPrincipalName"].as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 1_005);
    lab.tenant.set_page_size_cap(10);
    assert_eq!(size("/users?$top=999").await, 10);
    lab.assert_no_violation();
}

#[tokio::test]
async fn a_page_may_be_empty_and_still_go_on() {
    let faults = Faults {
        empty_page: 1.0,
        ..Faults::default()
    };
    let lab = Lab::with(Config {
        users: named(20),
        faults,
        ..Config::default()
    })
    .await;
    let first = lab.get("/users?$top=10").await;
    assert_eq!(first.body["value"], json!([]));
    assert!(first.body["@odata.nextLink"].is_string());
    assert_eq!(lab.all("/users?$top=10").await.len(), 20);
}

#[tokio::test]
async fn a_next_link_is_followed_verbatim_or_fails_the_run() {
    let lab = Lab::with(Config {
        users: named(20),
        ..Config::default()
    })
    .await;
    let next = lab.get("/users?$select=id&$top=10").await.body["@odata.nextLink"]
        .as_str()
        .expect("a link")
        .to_owned();
    assert_eq!(lab.get(&next).await.status, 200);
    let token = next.split("$skiptoken=").nth(1).expect("a token");
    let rebuilt = lab.get(&format!("/users?$top=10&$skiptoken={token}")).await;
    assert_eq!(
        (rebuilt.status, rebuilt.code()),
        (400, "Directory_ExpiredPageToken")
    );
    assert_eq!(lab.tenant.violations().len(), 1);
}

#[tokio::test]
async fn filters_find_by_anchor_name_mail_and_mark() {
    let lab = Lab::new().await;
    let path = format!(
        "/applications/{}/extensionProperties",
        application(&lab).await
    );
    let body =
        json!({"name": "plumblineOwner", "dataType": "String", "targetObjects": ["User", "Group"]});
    let mark = lab.post(&path, body).await.body["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    assert_eq!(
        mark,
        format!(
            "extension_{}_plumblineOwner",
            lab.tenant.client_id().replace('-', "")
        )
    );
    assert_eq!(lab.all(&path).await[0]["name"], mark.as_str());
    for (alias, anchor) in [("ada", "q1+/w=="), ("o'brien", "BBBB")] {
        let more = json!({"onPremisesImmutableId": anchor, "mail": format!("{alias}@x.example"), mark.as_str(): format!("corp:{alias}")});
        assert_eq!(
            lab.post("/users", with(person(alias), &more)).await.status,
            201
        );
    }
    for (filter, found) in [
        ("onPremisesImmutableId eq 'q1%2B%2Fw%3D%3D'".to_owned(), 1),
        ("onPremisesImmutableId eq 'q1+/w=='".to_owned(), 0),
        ("onPremisesImmutableId eq 'bbbb'".to_owned(), 0),
        ("userPrincipalName eq 'ADA@corp.example.com'".to_owned(), 1),
        (
            "userPrincipalName eq 'o''brien@corp.example.com'".to_owned(),
            1,
        ),
        (
            "mail eq 'ada@x.example' or mail eq 'o''brien@x.example'".to_owned(),
            2,
        ),
        (
            "startsWith(displayName,'AD') and accountEnabled eq true".to_owned(),
            1,
        ),
        (
            "proxyAddresses/any(p:p eq 'smtp:ada@x.example')".to_owned(),
            1,
        ),
        (
            "userPrincipalName in ('ada@corp.example.com','x@corp.example.com')".to_owned(),
            1,
        ),
        (format!("startsWith({mark},'corp:')"), 2),
        (format!("{mark} eq 'corp:ada'"), 1),
        ("(userType eq 'Guest')".to_owned(), 0),
    ] {
        assert_eq!(
            lab.all(&format!("/users?$filter={filter}")).await.len(),
            found,
            "{filter}"
        );
    }
    let marked = lab
        .all(&format!(
            "/users?$select=id,{mark}&$filter={mark} eq 'corp:ada'"
        ))
        .await;
    assert_eq!(marked[0][&mark], "corp:ada");
    assert!(
        lab.all("/users").await[0].get(&mark).is_none(),
        "extension values come with $select only"
    );
    lab.assert_no_violation();
}

async fn application(lab: &Lab) -> String {
    let found = lab
        .all(&format!(
            "/applications?$filter=appId eq '{}'&$select=id,appId",
            lab.tenant.client_id()
        ))
        .await;
    found[0]["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn filters_that_need_the_advanced_index_are_refused() {
    let lab = Lab::new().await;
    for filter in [
        "startsWith(onPremisesImmutableId,'a')",
        "mail ne 'a@x.example'",
        "not(mail eq 'a@x.example')",
        "endsWith(mail,'x.example')",
        "mail eq null",
        "onPremisesSamAccountName eq 'a'",
        "companyName eq 'a'",
    ] {
        let reply = lab.get(&format!("/users?$filter={filter}")).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "Request_UnsupportedQuery"),
            "{filter}"
        );
    }
    for filter in ["mail eq", "mail eq 'a", "(mail eq 'a'", "mail gt 'a'"] {
        assert_eq!(
            lab.get(&format!("/users?$filter={filter}")).await.status,
            400,
            "{filter}"
        );
    }
    let undefined = lab.get("/users?$filter=extension_00_x eq 'a'").await;
    assert_eq!(
        (undefined.status, undefined.code()),
        (400, "Request_BadRequest")
    );
    lab.assert_no_violation();
}

#[tokio::test]
async fn what_is_unknown_is_501_and_fails_the_run() {
    let lab = Lab::new().await;
    let ada = lab.user("ada").await;
    let replies = [
        lab.get("/me").await,
        lab.get("/contacts/delta").await,
        lab.put("/users", json!({})).await,
        lab.get("/users?$count=true").await,
        lab.get("/users?$orderby=displayName").await,
        lab.get("/users?$skip=5").await,
        lab.get("/users?$expand=memberOf").await,
        lab.get("/users?$select=shoeSize").await,
        lab.patch(&format!("/users/{ada}"), json!({"shoeSize": 42}))
            .await,
        lab.get(&format!(
            "{}/common/v2.0/.well-known/openid-configuration",
            lab.tenant.authority()
        ))
        .await,
    ];
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(reply.status, 501, "{number}: {}", reply.body);
    }
    assert_eq!(lab.tenant.violations().len(), replies.len());
}

#[tokio::test]
async fn every_operation_of_the_description_is_served() {
    let lab = Lab::new().await;
    lab.tenant.grant(&["RoleManagement.Read.Directory"]);
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/data/graph-openapi.yaml"
    ))
    .expect("the description");
    let document: Value = serde_yaml::from_str(&text).expect("YAML");
    let mut tried = 0;
    for (template, methods) in document["paths"].as_object().expect("paths") {
        for method in methods
            .as_object()
            .expect("methods")
            .keys()
            .filter(|name| *name != "x-source")
        {
            let mut path = template.clone();
            while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
                path.replace_range(from..=to, "6a46cf97-0000-4000-8000-000000000000");
            }
            let body = (method != "get" && method != "delete").then(|| json!({}));
            let reply = lab
                .send(&method.to_uppercase(), &path, body, None)
                .await
                .expect("an answer");
            assert_ne!(reply.status, 501, "{method} {template}");
            tried += 1;
        }
    }
    assert!(tried > 35, "{tried}");
    lab.assert_no_violation();
}

#[tokio::test]
async fn domains_and_organization_say_what_the_tenant_is() {
    use plumbline_lab::tenant::Domain;
    let domains = vec![
        Domain::unverified("new.example.com"),
        Domain::managed("corp.example.com"),
        Domain::federated("fed.example.com"),
    ];
    let lab = Lab::with(Config {
        domains,
        on_premises_sync: true,
        ..Config::default()
    })
    .await;
    let listed = lab
        .all("/domains?$select=id,isVerified,isDefault,authenticationType")
        .await;
    assert_eq!(
        listed[0],
        json!({"id": "new.example.com", "isVerified": false, "isDefault": false, "authenticationType": "Managed"})
    );
    assert_eq!(
        (&listed[1]["isDefault"], &listed[2]["authenticationType"]),
        (&json!(true), &json!("Federated"))
    );
    assert_eq!(
        lab.get("/domains/fed.example.com").await.body["isVerified"],
        true
    );
    assert_eq!(lab.get("/domains/absent.example.com").await.status, 404);
    let organization = &lab
        .all("/organization?$select=id,onPremisesSyncEnabled,verifiedDomains")
        .await[0];
    assert_eq!(
        (&organization["id"], &organization["onPremisesSyncEnabled"]),
        (&json!(lab.tenant.tenant_id()), &json!(true))
    );
    assert_eq!(
        organization["verifiedDomains"].as_array().map(Vec::len),
        Some(2)
    );
    lab.assert_no_violation();
}
