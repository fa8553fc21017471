//! Reading from a cursor: what changed and nothing else, and everything once the cursor is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use plumbline_engine::{
    entry::Class,
    operation::Change,
    port::{News, ObjectChange},
    target::{Changes, TargetId, TargetObject, Value},
};
use plumbline_lab::tenant::{Config, DeltaReset, Faults};
use serde_json::json;

use crate::fixture::{
    Read, World, add, create_group, create_user, id_of, is_done, mark, operation,
};

/// Objects as somebody holds them who applies what reads bring.
#[derive(Debug, Default, PartialEq)]
struct Model(BTreeMap<TargetId, TargetObject>);

impl Model {
    fn apply(&mut self, read: Read) {
        if read.complete {
            self.0.clear();
        }
        let objects = read.objects.into_iter();
        self.0
            .extend(objects.map(|object| (object.id.clone(), object)));
        read.changes
            .into_iter()
            .for_each(|change| self.change(change));
        for removal in read.removals {
            self.0.remove(&removal.id);
        }
    }

    fn change(&mut self, change: ObjectChange) {
        if !self.0.contains_key(&change.id) && change.attributes.is_empty() {
            return;
        }
        let object = self
            .0
            .entry(change.id.clone())
            .or_insert_with(|| TargetObject {
                id: change.id,
                class: change.class,
                mark: None,
                immutable_id: None,
                attributes: BTreeMap::new(),
                manager: None,
                members: None,
                standing: plumbline_engine::target::Standing::default(),
            });
        set(&mut object.mark, change.mark);
        set(&mut object.immutable_id, change.immutable_id);
        set(&mut object.manager, change.manager);
        set(&mut object.standing.synced, change.synced);
        set(&mut object.standing.guest, change.guest);
        set(&mut object.standing.privileged, change.privileged);
        for (name, value) in change.attributes {
            match value {
                Some(value) => object.attributes.insert(name, value),
                None => object.attributes.remove(&name),
            };
        }
        if let News::Now(members) = change.members {
            object.members = Some(members);
        }
        if let Some(members) = &mut object.members {
            members.extend(change.joined);
            members.retain(|id| !change.left.contains(id));
            members.sort();
            members.dedup();
        }
    }

    /// Links of deleted users stay in the service's feed and are not in its lists.
    fn comparable(mut self) -> Self {
        let live: BTreeSet<TargetId> = self.0.keys().cloned().collect();
        for object in self.0.values_mut() {
            object.manager = object.manager.take().filter(|id| live.contains(id));
            if let Some(members) = &mut object.members {
                members.retain(|id| live.contains(id));
                members.sort();
            }
        }
        self
    }
}

fn set<T>(held: &mut T, news: News<T>) {
    if let News::Now(now) = news {
        *held = now;
    }
}

/// Two users and a group of ours, the first a member of it.
async fn world(config: Config) -> World {
    let mut world = World::start(config).await;
    world.read().await;
    let operations = vec![
        create_user("ada"),
        create_user("bob"),
        create_group("staff"),
        add("staff", "ada"),
    ];
    assert!(world.export(operations).await.iter().all(is_done));
    world
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

#[tokio::test]
async fn from_a_cursor_only_what_others_changed_is_read() {
    let mut world = world(Config::default()).await;
    let read = world.read().await;
    let (ada, bob) = (read.object("ada").id.clone(), read.object("bob").id.clone());
    let staff = read.object("staff").id.clone();
    world.tenant.clear_log();
    let idle = world.read_after(read.cursor.as_ref()).await;
    assert!(!idle.complete && idle.changes.is_empty() && idle.removals.is_empty());
    assert!(idle.roles.is_some() && idle.domains.contains("corp.example.com"));
    assert_eq!(world.tenant.log().len(), 4, "domains, roles, groups, users");

    world.tenant.edit(&ada.0, json!({"city": "Bonn"})).unwrap();
    world
        .tenant
        .edit(&ada.0, json!({"manager": null, "businessPhones": ["1"]}))
        .unwrap();
    world.tenant.remove_member(&staff.0, &ada.0).unwrap();
    world.tenant.add_member(&staff.0, &bob.0).unwrap();
    world.tenant.delete(&bob.0).unwrap();
    let news = world.read_after(idle.cursor.as_ref()).await;
    let user = news.changes.iter().find(|change| change.id == ada).unwrap();
    assert_eq!(user.attributes.get("city"), Some(&Some(text("Bonn"))));
    assert_eq!(user.attributes.get("displayName"), Some(&Some(text("ada"))));
    let links: Vec<_> = news
        .changes
        .iter()
        .filter(|change| change.id == staff)
        .collect();
    assert!(links.iter().any(|change| change.joined.contains(&bob)));
    assert!(links.iter().any(|change| change.left.contains(&ada)));
    assert_eq!(news.removals.len(), 1);
    assert!(news.removals[0].id == bob && news.removals[0].restorable);
    let again = world.read_after(news.cursor.as_ref()).await;
    assert!(again.changes.is_empty() && again.removals.is_empty());
    // A cleared value is told; one that never was is not.
    world.tenant.edit(&ada.0, json!({"city": null})).unwrap();
    let news = world.read_after(again.cursor.as_ref()).await;
    assert_eq!(news.changes[0].attributes.get("city"), Some(&None));
    assert!(
        !news.changes[0]
            .attributes
            .contains_key("extensionAttribute1")
    );
    world.assert_clean();
}

#[tokio::test]
async fn a_refused_cursor_leads_to_a_complete_read() {
    let mut world = world(Config::default()).await;
    for reset in [DeltaReset::SyncStateNotFound, DeltaReset::ResyncRequired] {
        let read = world.read().await;
        world.tenant.reset_delta_tokens(reset);
        let again = world.read_after(read.cursor.as_ref()).await;
        assert!(again.complete && again.ended, "{reset:?}");
        assert_eq!(again.objects.len(), 3);
        let next = world.read_after(again.cursor.as_ref()).await;
        assert!(!next.complete);
    }
    world.tenant.set_delta_token_life(Duration::ZERO);
    let read = world.read().await;
    assert!(world.read_after(read.cursor.as_ref()).await.complete);
    // A target that has read nothing cannot go on, whatever it is given.
    world.tenant.set_delta_token_life(Duration::from_secs(60));
    let cursor = world.read().await.cursor;
    world.target = world.target.sibling();
    assert!(world.read_after(cursor.as_ref()).await.complete);
    world.assert_clean();
}

#[tokio::test]
async fn members_are_listed_of_a_group_that_became_ours_and_not_of_one_that_we_made() {
    let mut world = world(Config::default()).await;
    let old = world.tenant.insert_user(json!({"userPrincipalName": "old@corp.example.com", "displayName": "old", "mailNickname": "old"})).unwrap();
    let foreign = world
        .tenant
        .insert_group(
            json!({"displayName": "foreign", "mailNickname": "foreign", "members": [old]}),
        )
        .unwrap();
    let read = world.read().await;
    assert_eq!(read.object("foreign").members, None);
    assert!(is_done(&world.export(vec![create_group("made")]).await[0]));
    let adopt = plumbline_engine::operation::Operation {
        target: Some(TargetId(foreign.as_str().into())),
        ..operation(
            Class::Group,
            "foreign",
            Change::Adopt {
                mark: mark("foreign"),
                changes: Changes::new(),
            },
        )
    };
    assert!(is_done(&world.export(vec![adopt]).await[0]));
    world.tenant.clear_log();
    let news = world.read_after(read.cursor.as_ref()).await;
    let lists: Vec<_> = news
        .changes
        .iter()
        .filter(|change| change.members != News::Nothing)
        .collect();
    assert_eq!(lists.len(), 1);
    assert_eq!(lists[0].id.0.as_ref(), foreign);
    assert_eq!(
        lists[0].members,
        News::Now(vec![TargetId(old.as_str().into())])
    );
    world.assert_clean();
}

#[tokio::test]
async fn who_becomes_privileged_is_told() {
    let mut world = world(Config {
        permissions: with_roles(),
        ..Config::default()
    })
    .await;
    let read = world.read().await;
    let ada = read.object("ada").id.clone();
    assert!(!read.object("ada").standing.privileged);
    world.tenant.assign_role(&ada.0, "User Administrator");
    world
        .tenant
        .assign_role("0a0a0a0a-0000-4000-8000-000000000000", "User Administrator");
    let news = world.read_after(read.cursor.as_ref()).await;
    let told: Vec<_> = news
        .changes
        .iter()
        .filter(|change| change.privileged == News::Now(true))
        .collect();
    assert_eq!(told.len(), 2);
    assert!(told.iter().any(|change| change.id == ada));
    // Of a stranger no more than that, which is no sign of an object.
    assert!(told.iter().all(|change| change.attributes.is_empty()));
}

fn with_roles() -> Vec<String> {
    let mut permissions = plumbline_lab::tenant::DEFAULT_PERMISSIONS
        .map(str::to_owned)
        .to_vec();
    permissions.push("RoleManagement.Read.Directory".to_owned());
    permissions
}

#[tokio::test]
async fn deltas_come_to_the_same_as_a_complete_read_whatever_the_service_does() {
    for seed in 1..=4 {
        let config = Config {
            seed,
            page_size_cap: 3,
            permissions: with_roles(),
            faults: Faults {
                empty_page: 0.3,
                delta_replay: 0.4,
                unavailable: 0.02,
                ..Faults::default()
            },
            ..Config::default()
        };
        let mut world = World::start(config).await;
        world.read().await;
        let operations = (0..6).map(|n| create_user(&format!("u{n}")));
        let operations = operations.chain((0..3).map(|n| create_group(&format!("g{n}"))));
        let outcomes = world.export(operations.collect()).await;
        let ids: Vec<TargetId> = outcomes.iter().map(id_of).collect();
        // From here on, for the model does not know what the first listing may miss: the members of what we made are not told again.
        let lag = Duration::ZERO..Duration::from_millis(30);
        world.tenant.set_replication_delay(lag);
        let (users, groups) = ids.split_at(6);
        let mut model = Model::default();
        let mut cursor = None;
        for step in 0..40_usize {
            let n = (step * 7 + usize::try_from(seed).unwrap() * 5) % 6;
            let (user, group) = (&users[n].0, &groups[n % 3].0);
            match (step + n) % 7 {
                0 => drop(world.tenant.edit(user, json!({"city": format!("c{step}")}))),
                1 => drop(world.tenant.edit(
                    user,
                    json!({"city": null, "businessPhones": [format!("{step}")]}),
                )),
                2 => drop(world.tenant.add_member(group, user)),
                3 => drop(world.tenant.remove_member(group, user)),
                // Never one that we would add: a young object that is not seen is waited for.
                4 if step % 3 == 0 => drop(world.tenant.delete(&users[5].0)),
                4 => {
                    let name = format!("x{step}");
                    world.tenant.insert_user(json!({"userPrincipalName": format!("{name}@corp.example.com"), "displayName": name, "mailNickname": name})).unwrap();
                }
                5 => drop(
                    world
                        .export(vec![add(&format!("g{}", n % 3), &format!("u{}", n % 5))])
                        .await,
                ),
                _ => drop(
                    world
                        .tenant
                        .edit(group, json!({"description": format!("d{step}")})),
                ),
            }
            if step % 4 == 3 {
                let read = world.read_after(cursor.as_ref()).await;
                assert_eq!(read.complete, cursor.is_none());
                cursor.clone_from(&read.cursor);
                model.apply(read);
            }
        }
        // Until what was written last is visible.
        tokio::time::sleep(Duration::from_millis(60)).await;
        model.apply(world.read_after(cursor.as_ref()).await);
        let mut fresh = Model::default();
        fresh.apply(world.read().await);
        assert_eq!(model.comparable(), fresh.comparable(), "seed {seed}");
        world.assert_clean();
    }
}
