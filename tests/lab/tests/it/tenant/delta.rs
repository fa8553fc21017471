//! Delta query as the service documents it (fact sheet §6), row by row.

use std::collections::BTreeMap;
use std::time::Duration;

use plumbline_lab::tenant::{Config, DeltaReset, Faults};
use serde_json::{Value, json};

use super::{Lab, person, with};

const USERS: &str = "/users/delta?$select=displayName,city,jobTitle,manager";
const GROUPS: &str = "/groups/delta?$select=displayName,members";

/// The items of one round with the link of the next.
async fn round(lab: &Lab, path: &str) -> (Vec<Value>, String) {
    let mut items = Vec::new();
    let mut next = path.to_owned();
    loop {
        let reply = lab.get(&next).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        items.extend(
            reply.body["value"]
                .as_array()
                .expect("a collection")
                .clone(),
        );
        let link = |name: &str| reply.body[name].as_str().map(str::to_owned);
        let (next_link, delta_link) = (link("@odata.nextLink"), link("@odata.deltaLink"));
        assert!(
            next_link.is_some() != delta_link.is_some(),
            "a page has one of both links: {}",
            reply.body
        );
        if let Some(link) = delta_link {
            return (items, link);
        }
        next = next_link.unwrap_or_default();
        assert!(next.contains("$skiptoken="));
    }
}

fn by_id(items: &[Value]) -> BTreeMap<String, Value> {
    let named = items
        .iter()
        .map(|item| (item["id"].as_str().expect("an id").to_owned(), item.clone()));
    named.collect()
}

#[tokio::test]
async fn a_first_round_pages_through_everything_and_the_next_is_empty_until_something_changes() {
    let lab = Lab::with(Config {
        page_size_cap: 2,
        faults: Faults {
            empty_page: 0.5,
            ..Faults::default()
        },
        ..Config::default()
    })
    .await;
    for alias in ["ada", "bob", "eve", "kim", "zoe"] {
        lab.user(alias).await;
    }
    let (items, link) = round(&lab, USERS).await;
    assert_eq!(by_id(&items).len(), 5);
    // What never had a value is missing.
    assert!(
        items
            .iter()
            .all(|item| item.get("city").is_none() && item["displayName"].is_string())
    );
    let (items, link) = round(&lab, &link).await;
    assert!(items.is_empty());
    let kim = lab.user("kim2").await;
    let (items, _) = round(&lab, &link).await;
    assert_eq!(by_id(&items).into_keys().collect::<Vec<_>>(), [kim]);
    lab.assert_no_violation();
}

#[tokio::test]
async fn the_latest_token_gives_a_link_and_nothing_else() {
    let lab = Lab::new().await;
    lab.user("ada").await;
    let (items, link) = round(&lab, "/users/delta?$deltatoken=latest&$select=displayName").await;
    assert!(items.is_empty());
    let bob = lab.user("bob").await;
    let (items, _) = round(&lab, &link).await;
    assert_eq!(
        (items.len(), items[0]["id"].as_str()),
        (1, Some(bob.as_str()))
    );
    assert_eq!(
        items[0]["displayName"], "bob",
        "the token carries the selection"
    );
}

#[tokio::test]
async fn a_change_comes_with_all_that_was_ever_set_or_alone_when_asked_for_the_minimum() {
    let lab = Lab::new().await;
    let ada = lab
        .post(
            "/users",
            with(person("ada"), &json!({"city": "Bonn", "jobTitle": "Dr."})),
        )
        .await
        .id();
    let (_, link) = round(&lab, USERS).await;
    lab.patch(&format!("/users/{ada}"), json!({"city": null}))
        .await;
    let whole = lab.get(&link).await.body["value"][0].clone();
    assert_eq!(
        whole,
        json!({"id": ada, "displayName": "ada", "jobTitle": "Dr.", "city": null})
    );
    let minimal = lab
        .send("GET", &link, None, Some("return=minimal"))
        .await
        .expect("an answer");
    assert_eq!(minimal.body["value"][0], json!({"id": ada, "city": null}));
    // What is not selected is no change.
    let (_, link) = round(&lab, &link).await;
    lab.patch(&format!("/users/{ada}"), json!({"department": "R&D"}))
        .await;
    assert!(round(&lab, &link).await.0.is_empty());
    lab.assert_no_violation();
}

#[tokio::test]
async fn links_come_as_differences() {
    let lab = Lab::new().await;
    let (ada, bob, staff) = (
        lab.user("ada").await,
        lab.user("bob").await,
        lab.group("staff").await,
    );
    let members = format!("/groups/{staff}/members/$ref");
    lab.post(&members, json!({"@odata.id": lab.link(&ada)}))
        .await;
    let (items, link) = round(&lab, GROUPS).await;
    let user = |id: &str| json!({"@odata.type": "#microsoft.graph.user", "id": id});
    let gone = |id: &str| with(user(id), &json!({"@removed": {"reason": "deleted"}}));
    assert_eq!(items[0]["members@delta"], json!([user(&ada)]));
    lab.post(&members, json!({"@odata.id": lab.link(&bob)}))
        .await;
    lab.delete(&format!("/groups/{staff}/members/{ada}/$ref"))
        .await;
    let (items, link) = round(&lab, &link).await;
    let mut links = items[0]["members@delta"].as_array().expect("links").clone();
    links.sort_by_key(|link| link["id"] == bob.as_str());
    assert_eq!(links, [gone(&ada), user(&bob)]);
    // A deleted member stays linked until it is purged.
    lab.delete(&format!("/users/{bob}")).await;
    let (items, link) = round(&lab, &link).await;
    assert!(items.is_empty());
    lab.delete(&format!("/directory/deletedItems/{bob}")).await;
    let (items, _) = round(&lab, &link).await;
    assert_eq!(items[0]["members@delta"], json!([gone(&bob)]));

    let (_, link) = round(&lab, USERS).await;
    let kim = lab.user("kim").await;
    let manager = format!("/users/{kim}/manager/$ref");
    lab.put(
        &manager,
        json!({"@odata.id": format!("{}/v1.0/users/{ada}", lab.tenant.graph())}),
    )
    .await;
    let (items, link) = round(&lab, &link).await;
    assert_eq!(by_id(&items)[&kim]["manager@delta"], json!([user(&ada)]));
    lab.delete(&manager).await;
    let (items, _) = round(&lab, &link).await;
    assert_eq!(by_id(&items)[&kim]["manager@delta"], json!([gone(&ada)]));
    lab.assert_no_violation();
}

#[tokio::test]
async fn members_of_a_large_group_come_in_several_items() {
    let lab = Lab::with(Config {
        page_size_cap: 2,
        ..Config::default()
    })
    .await;
    let mut members = Vec::new();
    for n in 0..5 {
        members.push(lab.user(&format!("u{n}")).await);
    }
    lab.tenant
        .insert_group(json!({"displayName": "all", "mailNickname": "all", "members": members}))
        .expect("a group");
    let (items, _) = round(&lab, GROUPS).await;
    assert_eq!(by_id(&items).len(), 1);
    let mut linked: Vec<&str> = items
        .iter()
        .flat_map(|item| item["members@delta"].as_array().expect("links"))
        .filter_map(|link| link["id"].as_str())
        .collect();
    linked.sort_unstable();
    members.sort();
    assert_eq!(
        (items.len(), linked),
        (3, members.iter().map(String::as_str).collect())
    );
}

#[tokio::test]
async fn deleted_objects_leave_a_tombstone_that_tells_whether_they_can_return() {
    let lab = Lab::new().await;
    let ada = lab
        .post("/users", with(person("ada"), &json!({"city": "Bonn"})))
        .await
        .id();
    let (_, link) = round(&lab, USERS).await;
    lab.delete(&format!("/users/{ada}")).await;
    let (items, link) = round(&lab, &link).await;
    assert_eq!(
        items,
        [json!({"id": ada, "@removed": {"reason": "changed"}})]
    );
    lab.post(
        &format!("/directory/deletedItems/{ada}/restore"),
        Value::Null,
    )
    .await;
    let (items, link) = round(&lab, &link).await;
    assert_eq!(
        items,
        [json!({"id": ada, "displayName": "ada", "city": "Bonn"})],
        "it returns as new"
    );
    lab.delete(&format!("/users/{ada}")).await;
    lab.delete(&format!("/directory/deletedItems/{ada}")).await;
    let (items, _) = round(&lab, &link).await;
    assert_eq!(
        items,
        [json!({"id": ada, "@removed": {"reason": "deleted"}})]
    );
    lab.assert_no_violation();
}

#[tokio::test]
async fn a_change_is_told_when_this_replica_has_it_and_not_before() {
    let lab = Lab::new().await;
    let ada = lab.user("ada").await;
    let (_, mut link) = round(&lab, USERS).await;
    let lag = Duration::from_millis(300);
    lab.tenant
        .set_replication_delay(lag..lag + Duration::from_millis(1));
    let written = std::time::Instant::now();
    lab.patch(&format!("/users/{ada}"), json!({"city": "Bonn"}))
        .await;
    loop {
        let items;
        (items, link) = round(&lab, &link).await;
        if let [item] = items.as_slice() {
            assert_eq!(item["city"], "Bonn");
            assert!(written.elapsed() >= lag);
            return;
        }
        assert!(items.is_empty() && written.elapsed() < 20 * lag);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_round_may_repeat_the_one_before() {
    let lab = Lab::new().await;
    let (_, link) = round(&lab, USERS).await;
    let ada = lab.user("ada").await;
    let (items, link) = round(&lab, &link).await;
    assert_eq!(items.len(), 1);
    lab.tenant.set_faults(Faults {
        delta_replay: 1.0,
        ..Faults::default()
    });
    let bob = lab.user("bob").await;
    let (items, _) = round(&lab, &link).await;
    let items = by_id(&items);
    assert!(items.contains_key(&ada) && items.contains_key(&bob));
}

#[tokio::test]
async fn an_old_or_reset_token_is_refused_and_the_location_begins_anew() {
    let lab = Lab::new().await;
    let ada = lab.user("ada").await;
    let (_, link) = round(&lab, USERS).await;
    lab.tenant.reset_delta_tokens(DeltaReset::SyncStateNotFound);
    let reply = lab.get(&link).await;
    assert_eq!((reply.status, reply.code()), (400, "syncStateNotFound"));
    let (_, link) = round(&lab, USERS).await;
    lab.tenant.reset_delta_tokens(DeltaReset::ResyncRequired);
    let reply = lab.get(&link).await;
    assert_eq!((reply.status, reply.code()), (410, "resyncRequired"));
    let begin = reply.header("location").expect("a location").to_owned();
    let (items, link) = round(&lab, &begin).await;
    assert!(by_id(&items).contains_key(&ada));
    lab.tenant.set_delta_token_life(Duration::ZERO);
    assert_eq!(lab.get(&link).await.code(), "syncStateNotFound");
    assert_eq!(
        lab.get("/groups/delta?$deltatoken=foreign").await.code(),
        "syncStateNotFound"
    );
    lab.assert_no_violation();
}

#[tokio::test]
async fn options_that_delta_query_does_not_take_fail_the_run() {
    for path in [
        "/users/delta?$top=5",
        "/users/delta?$expand=manager",
        "/groups/delta?$orderby=displayName",
        "/users/delta?$deltatoken=x&$select=id",
        "/users/delta?$select=shoeSize",
    ] {
        let lab = Lab::new().await;
        assert_eq!(lab.get(path).await.status, 501, "{path}");
        assert_eq!(lab.tenant.violations().len(), 1, "{path}");
    }
}
