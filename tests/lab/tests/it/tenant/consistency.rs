//! Quota, replication and faults: what a client under load meets (fact sheet §8, §9).

use std::time::{Duration, Instant};

use plumbline_lab::tenant::{Config, Faults, Quota};
use serde_json::{Value, json};

use super::{Lab, Reply, person, with};

const LAG: Duration = Duration::from_millis(400);

fn lagging() -> Config {
    Config {
        replication_delay: LAG..LAG + Duration::from_millis(1),
        ..Config::default()
    }
}

/// Repeats a call until it is answered otherwise than `status`; the lag bounds it.
async fn until_not(status: u16, call: impl AsyncFn() -> Reply) -> Reply {
    let deadline = Instant::now() + 20 * LAG;
    loop {
        let reply = call().await;
        if reply.status != status || Instant::now() > deadline {
            return reply;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_fresh_object_is_unknown_to_readers_until_it_has_replicated() {
    let lab = Lab::with(lagging()).await;
    let begun = Instant::now();
    let ada = lab.user("ada").await;
    let path = format!("/users/{ada}");
    for reply in [
        lab.get(&path).await,
        lab.patch(&path, json!({"department": "x"})).await,
        lab.delete(&path).await,
    ] {
        assert_eq!(
            (reply.status, reply.code()),
            (404, "Request_ResourceNotFound")
        );
        assert!(reply.message().ends_with(
            "does not exist or one of its queried reference-property objects are not present."
        ));
    }
    assert!(
        lab.all("/users?$filter=userPrincipalName eq 'ada@corp.example.com'")
            .await
            .is_empty()
    );
    // Judged by the truth all the same.
    assert_eq!(lab.post("/users", person("ada")).await.status, 400);
    assert_eq!(
        until_not(404, async || lab.get(&path).await).await.status,
        200
    );
    assert!(begun.elapsed() >= LAG);
    assert_eq!(lab.all("/users").await.len(), 1);
    assert!(lab.tenant.seen().not_found_after_create >= 3);
    lab.assert_no_violation();
}

#[tokio::test]
async fn links_of_a_fresh_group_or_member_are_refused_with_400() {
    let lab = Lab::with(lagging()).await;
    let old = lab
        .tenant
        .insert_user(json!({"userPrincipalName": "old@corp.example.com"}))
        .expect("inserted");
    let (group, bind) = (
        lab.group("g").await,
        json!({"members@odata.bind": [lab.link(&old)]}),
    );
    let text = "The source resource object or one of the objects being referenced don't exist.";
    for reply in [
        lab.patch(&format!("/groups/{group}"), bind.clone()).await,
        lab.post(
            &format!("/groups/{group}/members/$ref"),
            json!({"@odata.id": lab.link(&old)}),
        )
        .await,
    ] {
        assert_eq!(
            (reply.status, reply.code(), reply.message()),
            (400, "Request_BadRequest", text)
        );
    }
    assert_eq!(
        until_not(400, async || lab
            .patch(&format!("/groups/{group}"), bind.clone())
            .await)
        .await
        .status,
        204
    );
    let fresh = lab.user("fresh").await;
    let reply = lab
        .post(
            &format!("/groups/{group}/members/$ref"),
            json!({"@odata.id": lab.link(&fresh)}),
        )
        .await;
    assert_eq!(reply.message(), text);
    let reply = lab
        .put(
            &format!("/users/{old}/manager/$ref"),
            json!({"@odata.id": lab.link(&fresh)}),
        )
        .await;
    assert_eq!(reply.status, 400);
    assert!(lab.tenant.seen().link_on_fresh_object >= 4);
}

#[tokio::test]
async fn readers_get_the_old_values_until_a_write_has_replicated() {
    let lab = Lab::with(lagging()).await;
    let ada = lab
        .tenant
        .insert_user(json!({"userPrincipalName": "ada@corp.example.com", "department": "old"}))
        .expect("inserted");
    let group = lab
        .tenant
        .insert_group(json!({"displayName": "g"}))
        .expect("inserted");
    let (user, members) = (
        format!("/users/{ada}?$select=department"),
        format!("/groups/{group}/members"),
    );
    assert_eq!(
        lab.patch(&format!("/users/{ada}"), json!({"department": "new"}))
            .await
            .status,
        204
    );
    assert_eq!(
        lab.post(
            &format!("{members}/$ref"),
            json!({"@odata.id": lab.link(&ada)})
        )
        .await
        .status,
        204
    );
    assert_eq!(lab.get(&user).await.body["department"], "old");
    assert!(lab.all(&members).await.is_empty());
    assert_eq!(lab.tenant.users()[0]["department"], "new");
    tokio::time::timeout(20 * LAG, async {
        while lab.get(&user).await.body["department"] != "new" || lab.all(&members).await.is_empty()
        {
        }
    })
    .await
    .expect("replicates");
}

#[tokio::test]
async fn a_fresh_extension_is_not_available() {
    let lab = Lab::with(lagging()).await;
    let path = format!(
        "/applications(appId='{}')/extensionProperties",
        lab.tenant.client_id()
    );
    let body =
        json!({"name": "plumblineOwner", "dataType": "String", "targetObjects": ["User", "Group"]});
    let name = lab.post(&path, body).await.body["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    let marked = with(person("ada"), &json!({name: "corp:01"}));
    let reply = lab.post("/users", marked.clone()).await;
    assert_eq!(reply.status, 400);
    assert!(
        reply
            .message()
            .starts_with("The following extension properties are not available")
    );
    assert_eq!(
        until_not(400, async || lab.post("/users", marked.clone()).await)
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_spent_quota_refuses_until_retry_after_and_refusals_cost() {
    let write_quota = Quota {
        count: 10,
        window: Duration::from_secs(2),
    };
    let lab = Lab::with(Config {
        write_quota,
        ..Config::default()
    })
    .await;
    let ada = lab
        .tenant
        .insert_user(json!({"userPrincipalName": "ada@corp.example.com"}))
        .expect("inserted");
    let write = async |value: usize| {
        lab.patch(
            &format!("/users/{ada}"),
            json!({"department": value.to_string()}),
        )
        .await
    };
    let mut warned = None;
    for number in 0..10 {
        let reply = write(number).await;
        assert_eq!(reply.status, 204);
        if let (None, Some(share)) = (warned, reply.header("x-ms-throttle-limit-percentage")) {
            assert!(share.parse::<f64>().expect("a share") >= 0.8);
            warned = Some(number);
        }
        assert_eq!(reply.header("x-ms-resource-unit"), Some("1"));
    }
    assert!(
        warned.is_some_and(|number| number >= 7),
        "the share is reported from eight tenths on: {warned:?}"
    );
    let first = write(10).await;
    assert_eq!((first.status, first.code()), (429, "TooManyRequests"));
    assert_eq!(
        first.header("x-ms-throttle-information"),
        Some("WriteLimitExceeded")
    );
    assert!(
        first
            .header("x-ms-throttle-scope")
            .is_some_and(|scope| scope.starts_with("Tenant_Application/Write/"))
    );
    let wait: u64 = first
        .header("Retry-After")
        .expect("a wait")
        .parse()
        .expect("seconds");
    let second = write(10).await;
    assert_eq!(second.status, 429);
    assert_eq!(
        lab.tenant.refused_twice().len(),
        1,
        "the same write was refused twice"
    );
    assert_eq!(
        lab.get("/users").await.status,
        200,
        "reads have a quota of their own"
    );
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(write(10).await.status, 204);
    assert_eq!(lab.tenant.seen().throttled, 2);
    assert_eq!(
        lab.tenant
            .log()
            .iter()
            .filter(|request| request.throttled)
            .count(),
        2
    );
}

#[tokio::test]
async fn reads_cost_resource_units_by_kind_and_options() {
    let lab = Lab::new().await;
    let (ada, group) = (lab.user("ada").await, lab.group("g").await);
    for (path, units) in [
        ("/users".to_owned(), "2"),
        ("/users?$select=id".to_owned(), "1"),
        ("/users?$expand=manager".to_owned(), "3"),
        ("/users?$top=5".to_owned(), "1"),
        (format!("/users/{ada}"), "2"),
        ("/groups".to_owned(), "1"),
        (format!("/groups/{group}/members"), "3"),
        (format!("/groups/{group}/members?$select=id"), "2"),
        ("/applications".to_owned(), "2"),
        ("/organization?$select=id".to_owned(), "1"),
    ] {
        assert_eq!(
            lab.get(&path).await.header("x-ms-resource-unit"),
            Some(units),
            "{path}"
        );
    }
    lab.tenant.set_resource_units(Quota {
        count: 2,
        window: Duration::from_secs(60),
    });
    assert_eq!(lab.get("/users").await.status, 200);
    let refused = lab.get("/users").await;
    assert_eq!(
        refused.header("x-ms-throttle-information"),
        Some("ResourceUnitLimitExceeded")
    );
}

#[tokio::test]
async fn faults_answer_without_performing() {
    let lab = Lab::new().await;
    lab.tenant.set_faults(Faults {
        unavailable: 1.0,
        ..Faults::default()
    });
    let reply = lab.post("/users", person("ada")).await;
    assert_eq!((reply.status, reply.code()), (503, "ServiceUnavailable"));
    assert_eq!(
        lab.post(
            "/$batch",
            json!({"requests": [{"id": "1", "method": "GET", "url": "/users"}]})
        )
        .await
        .status,
        503
    );
    lab.tenant.set_faults(Faults {
        concurrency_error: 1.0,
        ..Faults::default()
    });
    let mut status = Vec::new();
    for _ in 0..20 {
        let reply = lab.post("/users", person("ada")).await;
        assert_eq!(reply.code(), "Directory_ConcurrencyViolation");
        status.push(reply.status);
    }
    assert!(status.contains(&409) && status.contains(&503));
    assert_eq!(lab.get("/users").await.status, 200, "reads do not collide");
    assert!(lab.tenant.users().is_empty());
    let seen = lab.tenant.seen();
    assert_eq!((seen.unavailable, seen.concurrency_errors), (2, 20));
}

#[tokio::test]
async fn a_lost_answer_is_performed_and_never_arrives() {
    let lab = Lab::new().await;
    lab.tenant.set_faults(Faults {
        lost_answer: 1.0,
        ..Faults::default()
    });
    assert!(
        lab.send("POST", "/users", Some(person("ada")), None)
            .await
            .is_err()
    );
    let part = json!({"id": "1", "method": "POST", "url": "/users", "body": person("bob"), "headers": {"Content-Type": "application/json"}});
    assert!(
        lab.send("POST", "/$batch", Some(json!({"requests": [part]})), None)
            .await
            .is_err()
    );
    lab.tenant.set_faults(Faults::default());
    assert_eq!(lab.all("/users").await.len(), 2);
    let lost: Vec<String> = lab
        .tenant
        .log()
        .iter()
        .filter(|request| request.lost)
        .map(|request| request.path.clone())
        .collect();
    assert_eq!(lost, ["/users", "/$batch", "/users"]);
    assert_eq!(lab.tenant.seen().lost_answers, 2);
}

/// The next batch of a client that reads and links at once what it has just created.
fn hasty_batch(lab: &Lab, round: usize, created: &mut Vec<String>) -> Value {
    let json = json!({"Content-Type": "application/json"});
    let mut requests = Vec::new();
    for id in created.drain(..) {
        let number = requests.len();
        requests.push(
            json!({"id": format!("r{number}"), "method": "GET", "url": format!("/users/{id}")}),
        );
        requests.push(json!({"id": format!("l{number}"), "method": "PATCH", "url": format!("/groups/{id}"), "headers": json,
            "body": {"members@odata.bind": [lab.link(&id)]}}));
    }
    requests.truncate(10);
    for number in 0..5 {
        let name = format!("u{round}x{number}");
        requests.push(json!({"id": format!("u{number}"), "method": "POST", "url": "/users", "headers": json, "body": person(&name)}));
        requests.push(json!({"id": format!("g{number}"), "method": "POST", "url": "/groups", "headers": json, "body": super::security(&name)}));
    }
    json!({"requests": requests})
}

#[tokio::test]
async fn a_client_in_a_hurry_meets_everything_that_a_stressed_run_must_see() {
    let faults = Faults {
        unavailable: 0.02,
        lost_answer: 0.02,
        concurrency_error: 0.02,
        empty_page: 0.0,
        delta_replay: 0.0,
    };
    let write_quota = Quota {
        count: 30,
        window: Duration::from_millis(300),
    };
    let replication_delay = Duration::ZERO..Duration::from_secs(3);
    let lab = Lab::with(Config {
        faults,
        write_quota,
        replication_delay,
        ..Config::default()
    })
    .await;
    let mut created = Vec::new();
    for round in 0..2_000 {
        if let Ok(reply) = lab
            .send(
                "POST",
                "/$batch",
                Some(hasty_batch(&lab, round, &mut created)),
                None,
            )
            .await
        {
            let parts = reply.body["responses"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            created.extend(
                parts
                    .iter()
                    .filter(|part| part["status"] == 201)
                    .filter_map(|part| part["body"]["id"].as_str().map(str::to_owned)),
            );
        }
        let seen = lab.tenant.seen();
        let met = [
            seen.not_found_after_create,
            seen.link_on_fresh_object,
            seen.throttled_in_batch,
            seen.concurrency_errors,
            seen.unavailable,
            seen.lost_answers,
        ];
        if met.iter().all(|count| *count > 0) {
            assert_eq!(seen.batches, round as u64 + 1);
            return lab.assert_no_violation();
        }
    }
    assert_eq!(
        lab.tenant.seen(),
        plumbline_lab::tenant::Seen::default(),
        "not everything was met"
    );
}

#[tokio::test]
async fn a_stopped_tenant_answers_nobody() {
    let lab = Lab::new().await;
    assert_eq!(lab.get("/users").await.status, 200);
    let Lab {
        tenant,
        http,
        token,
    } = lab;
    let url = format!("{}/v1.0/users", tenant.graph());
    drop(tenant);
    assert!(
        http.get(&url).bearer_auth(&token).send().await.is_err(),
        "nor on an open connection"
    );
    tokio::time::timeout(Duration::from_secs(10), async {
        let address = url
            .trim_start_matches("https://")
            .split('/')
            .next()
            .expect("an address")
            .to_owned();
        while tokio::net::TcpStream::connect(&address).await.is_ok() {}
    })
    .await
    .expect("the port is closed");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_tenant_and_equal_states_equal_snapshots() {
    let fill = async |lab: &Lab, names: [&str; 2]| {
        for name in names {
            lab.user(name).await;
        }
        let group = lab.group("g").await;
        let ada = lab.get("/users/ada@corp.example.com?$select=id").await.id();
        lab.post(
            &format!("/groups/{group}/members/$ref"),
            json!({"@odata.id": lab.link(&ada)}),
        )
        .await;
    };
    let (first, second) = (
        Lab::new().await,
        Lab::with(Config {
            seed: 2,
            ..Config::default()
        })
        .await,
    );
    assert_eq!(
        first.tenant.client_id(),
        Lab::new().await.tenant.client_id()
    );
    assert_ne!(first.tenant.client_id(), second.tenant.client_id());
    fill(&first, ["ada", "bob"]).await;
    fill(&second, ["bob", "ada"]).await;
    let snapshot = first.tenant.snapshot();
    assert_eq!(snapshot, second.tenant.snapshot());
    assert_eq!(
        snapshot["groups"][0]["members"],
        json!(["ada@corp.example.com"])
    );
    let bob = second
        .get("/users/bob@corp.example.com?$select=id")
        .await
        .id();
    second
        .tenant
        .edit(&bob, json!({"department": "drift"}))
        .expect("edited");
    assert_ne!(snapshot, second.tenant.snapshot());
    assert_eq!(
        first.tenant.snapshot()["users"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(
        first.tenant.snapshot()["users"][0].get("passwordProfile"),
        None::<&Value>
    );
}
