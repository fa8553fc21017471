//! `$batch`: what makes it malformed, and how its parts stand for themselves (fact sheet §7).

use std::time::Duration;

use plumbline_lab::tenant::{Config, Quota};
use serde_json::{Value, json};

use super::{Lab, person, security};

fn read(id: &str) -> Value {
    json!({"id": id, "method": "GET", "url": "/users?$select=id"})
}

fn write(id: &str, url: &str, body: &Value) -> Value {
    json!({"id": id, "method": "POST", "url": url, "headers": {"Content-Type": "application/json"}, "body": body})
}

fn part<'a>(body: &'a Value, id: &str) -> &'a Value {
    body["responses"]
        .as_array()
        .expect("responses")
        .iter()
        .find(|part| part["id"] == id)
        .expect("the part")
}

#[tokio::test]
async fn a_malformed_batch_performs_nothing() {
    let lab = Lab::new().await;
    let many: Vec<Value> = (0..21)
        .map(|number| {
            write(
                &number.to_string(),
                "/users",
                &person(&format!("u{number}")),
            )
        })
        .collect();
    let after = |id: &str, on: &[&str]| super::with(read(id), &json!({"dependsOn": on}));
    for requests in [
        json!(many),
        json!([]),
        json!([read("1"), read("1")]),
        json!([write("1", "https://127.0.0.1/v1.0/users", &person("a"))]),
        json!([write("1", "/v1.0/users", &person("a"))]),
        json!([write("1", "/$batch", &json!({"requests": []}))]),
        json!([{"method": "GET", "url": "/users"}]),
        json!([read("1"), after("2", &["3"])]),
        json!([read("1"), read("2"), after("3", &["1", "2"])]),
        json!([read("1"), read("2"), after("3", &["1"])]),
    ] {
        let reply = lab.post("/$batch", json!({"requests": requests})).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "BadRequest"),
            "{requests}"
        );
    }
    assert!(lab.tenant.users().is_empty());
    let twenty = lab.post("/$batch", json!({"requests": many[..20]})).await;
    assert_eq!((twenty.status, lab.tenant.users().len()), (200, 20));
    lab.assert_no_violation();
}

#[tokio::test]
async fn parts_succeed_and_fail_on_their_own() {
    let lab = Lab::new().await;
    let no_type = json!({"id": "4", "method": "POST", "url": "/users", "body": person("x")});
    let upsert = json!({"id": "5", "method": "PATCH", "url": "/groups(uniqueName='u')", "body": security("u"),
        "headers": {"content-type": "application/json", "prefer": "create-if-missing"}});
    let requests = json!([
        write("1", "/users", &person("ada")),
        write("2", "/users", &person("ada")),
        {"id": "3", "method": "GET", "url": "/users/nobody@corp.example.com"},
        no_type,
        upsert,
    ]);
    let reply = lab.post("/$batch", json!({"requests": requests})).await;
    assert_eq!(reply.status, 200);
    let status = |id: &str| part(&reply.body, id)["status"].as_u64().expect("a status");
    assert_eq!(
        [
            status("1"),
            status("2"),
            status("3"),
            status("4"),
            status("5")
        ],
        [201, 400, 404, 400, 201]
    );
    assert_eq!(
        part(&reply.body, "1")["body"]["userPrincipalName"],
        "ada@corp.example.com"
    );
    assert_eq!(
        part(&reply.body, "2")["body"]["error"]["details"][0]["target"],
        "userPrincipalName"
    );
    let parts: Vec<_> = lab
        .tenant
        .log()
        .into_iter()
        .filter(|request| request.batch.is_some())
        .collect();
    assert_eq!(parts.len(), 4, "the part without content type is no call");
    assert!(parts.iter().all(|request| {
        request
            .batch
            .as_ref()
            .is_some_and(|(number, _)| *number == 1)
    }));
    assert_eq!(lab.tenant.seen().batches, 1);
}

#[tokio::test]
async fn a_failed_dependency_fails_its_dependents() {
    let lab = Lab::new().await;
    let after = |id: &str, on: &str| {
        super::with(
            write(id, "/users", &person(id)),
            &json!({"dependsOn": [on]}),
        )
    };
    let serial =
        json!({"requests": [write("a", "/users", &json!({})), after("b", "a"), after("c", "b")]});
    let reply = lab.post("/$batch", serial).await;
    assert_eq!(part(&reply.body, "a")["status"], 400);
    assert_eq!(
        (
            &part(&reply.body, "b")["status"],
            &part(&reply.body, "c")["status"]
        ),
        (&json!(424), &json!(424))
    );
    let star =
        json!({"requests": [write("a", "/users", &person("a")), after("b", "a"), after("c", "a")]});
    assert_eq!(lab.post("/$batch", star).await.status, 200);
    assert_eq!(lab.tenant.users().len(), 3);
}

#[tokio::test]
async fn answers_come_in_another_order_than_requests() {
    let lab = Lab::new().await;
    let requests: Vec<Value> = (0..20).map(|number| read(&number.to_string())).collect();
    let reply = lab.post("/$batch", json!({"requests": requests})).await;
    let ids: Vec<&str> = reply.body["responses"]
        .as_array()
        .expect("responses")
        .iter()
        .filter_map(|part| part["id"].as_str())
        .collect();
    let sent: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    assert_ne!(ids, sent);
    assert_eq!(ids.len(), 20);
}

#[tokio::test]
async fn parts_are_charged_and_refused_apart() {
    let write_quota = Quota {
        count: 5,
        window: Duration::from_secs(10),
    };
    let lab = Lab::with(Config {
        write_quota,
        ..Config::default()
    })
    .await;
    let requests: Vec<Value> = (0..8)
        .map(|number| {
            write(
                &number.to_string(),
                "/users",
                &person(&format!("u{number}")),
            )
        })
        .collect();
    let reply = lab.post("/$batch", json!({"requests": requests})).await;
    assert_eq!(reply.status, 200);
    let refused: Vec<&Value> = reply.body["responses"]
        .as_array()
        .expect("responses")
        .iter()
        .filter(|part| part["status"] == 429)
        .collect();
    assert_eq!(refused.len(), 3);
    let mut waits: Vec<u64> = refused
        .iter()
        .map(|part| {
            part["headers"]["Retry-After"]
                .as_str()
                .expect("a wait")
                .parse()
                .expect("seconds")
        })
        .collect();
    waits.sort_unstable();
    assert_eq!(waits, [2, 4, 6], "each later write waits for its own place");
    assert_eq!(refused[0]["body"]["error"]["code"], "TooManyRequests");
    assert_eq!(lab.tenant.seen().throttled_in_batch, 3);
}
