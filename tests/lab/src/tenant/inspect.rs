//! The tenant as tests reach it without HTTP: seeding, foreign changes, roles, the log and comparable snapshots.
//!
//! Nothing here is delayed, charged or logged.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::LabTenant;
use super::log::{Request, Seen, Violation};
use super::state::{RoleAssignment, State, timestamp};
use super::store::{Kind, Object, Presence, Version};
use super::user;

/// Why a test's own change was not taken.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    #[error("inserting a {kind}: a JSON object is needed")]
    NotAnObject { kind: &'static str },
    #[error("inserting a {kind}: another object has the same {property}")]
    Conflict {
        kind: &'static str,
        property: &'static str,
    },
    #[error("changing {id} in the lab tenant: there is no such object")]
    Unknown { id: String },
}

impl LabTenant {
    /// Adds a user from a user resource and returns its id. `id` is taken if given; read-only properties such as
    /// `onPremisesSyncEnabled` and `extension_…` values are taken as they are.
    pub fn insert_user(&self, user: Value) -> Result<String, InsertError> {
        self.insert(Kind::User, user)
    }

    /// Adds a group from a group resource and returns its id; `members` and `owners` may be lists of ids.
    pub fn insert_group(&self, group: Value) -> Result<String, InsertError> {
        self.insert(Kind::Group, group)
    }

    fn insert(&self, kind: Kind, resource: Value) -> Result<String, InsertError> {
        let name = kind.resource();
        let Value::Object(mut fields) = resource else {
            return Err(InsertError::NotAnObject { kind: name });
        };
        let mut state = self.state();
        let mut take = |name: &str| fields.remove(name);
        let list = |value: Option<Value>| {
            let ids = value
                .and_then(|value| value.as_array().cloned())
                .unwrap_or_default();
            ids.iter()
                .filter_map(|id| id.as_str().map(str::to_owned))
                .collect()
        };
        let id = take("id")
            .and_then(|id| id.as_str().map(str::to_owned))
            .unwrap_or_else(|| state.guid());
        let mut version = Version::new(Map::new());
        version.members = list(take("members"));
        version.owners = list(take("owners"));
        version.manager = take("manager").and_then(|id| id.as_str().map(str::to_owned));
        let defaults = match kind {
            Kind::User => {
                json!({"userType": "Member", "accountEnabled": true, "createdDateTime": timestamp()})
            }
            Kind::Group => {
                json!({"securityEnabled": true, "mailEnabled": false, "groupTypes": [], "createdDateTime": timestamp()})
            }
        };
        version
            .properties
            .extend(defaults.as_object().cloned().unwrap_or_default());
        user::apply(&mut version, fields);
        if let Some(clash) = state.store.conflict(&id, kind, &version) {
            return Err(InsertError::Conflict {
                kind: name,
                property: clash.property,
            });
        }
        state
            .store
            .create(id.clone(), kind, version, Duration::ZERO);
        Ok(id)
    }

    /// Changes properties of a user or group as someone else would; `null` clears.
    pub fn edit(&self, id: &str, changes: Value) -> Result<(), InsertError> {
        let Value::Object(fields) = changes else {
            return Err(InsertError::NotAnObject { kind: "change" });
        };
        self.change(id, |version| user::apply(version, fields))
    }

    /// Adds a member as someone else would.
    pub fn add_member(&self, group: &str, member: &str) -> Result<(), InsertError> {
        self.change(group, |version| {
            version.members.insert(member.to_owned());
        })
    }

    /// Removes a member as someone else would.
    pub fn remove_member(&self, group: &str, member: &str) -> Result<(), InsertError> {
        self.change(group, |version| {
            version.members.remove(member);
        })
    }

    /// Moves an object to the bin as someone else would.
    pub fn delete(&self, id: &str) -> Result<(), InsertError> {
        self.change(id, |version| {
            version.presence = Presence::Deleted;
            version
                .properties
                .insert("deletedDateTime".to_owned(), Value::from(timestamp()));
        })
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Version)) -> Result<(), InsertError> {
        let mut state = self.state();
        if !state.store.objects.contains_key(id) {
            return Err(InsertError::Unknown { id: id.to_owned() });
        }
        state.store.write(id, Duration::ZERO, change);
        Ok(())
    }

    /// Gives a directory role, by display name, to a user or a role-assignable group.
    pub fn assign_role(&self, principal: &str, role: &str) {
        let mut state = self.state();
        let id = state.guid();
        state.role_assignments.push(RoleAssignment {
            id,
            role: role.to_owned(),
            principal: principal.to_owned(),
        });
    }

    /// Every live user with all properties, `id`, and `manager` as an id; the first password under `passwordProfile`.
    pub fn users(&self) -> Vec<Value> {
        self.all(Kind::User, Presence::Live)
    }

    /// Every live group with all properties, `id`, and `members` and `owners` as ids (those in the bin included).
    pub fn groups(&self) -> Vec<Value> {
        self.all(Kind::Group, Presence::Live)
    }

    /// Users and groups in the bin.
    pub fn deleted(&self) -> Vec<Value> {
        let mut items = self.all(Kind::User, Presence::Deleted);
        items.extend(self.all(Kind::Group, Presence::Deleted));
        items
    }

    fn all(&self, kind: Kind, presence: Presence) -> Vec<Value> {
        let state = self.state();
        let wanted = |object: &&Object| object.kind == kind && object.truth.presence == presence;
        state
            .store
            .objects
            .values()
            .filter(wanted)
            .map(whole)
            .collect()
    }

    /// Ids of the users whose sessions were revoked, in order.
    pub fn revoked_sessions(&self) -> Vec<String> {
        self.state().revoked.clone()
    }

    /// Users, groups and the bin as sorted JSON with names in place of ids, `extension_<name>` without the application's
    /// id, and without passing times and passwords: equal for tenants that are in the same state.
    pub fn snapshot(&self) -> Value {
        let state = self.state();
        json!({
            "users": named(&state, Kind::User, Presence::Live),
            "groups": named(&state, Kind::Group, Presence::Live),
            "deletedUsers": named(&state, Kind::User, Presence::Deleted),
            "deletedGroups": named(&state, Kind::Group, Presence::Deleted),
        })
    }

    /// Every request so far, in the order of their answers; a batch stands before its parts.
    pub fn log(&self) -> Vec<Request> {
        self.state().log.requests.clone()
    }

    /// Forgets requests and counters, keeps violations.
    pub fn clear_log(&self) {
        let mut state = self.state();
        state.log.requests.clear();
        state.log.refused_twice.clear();
        state.log.seen = Seen::default();
    }

    /// What must fail the run; a scenario asserts that this is empty.
    pub fn violations(&self) -> Vec<Violation> {
        self.state().log.violations.clone()
    }

    pub fn seen(&self) -> Seen {
        self.state().log.seen
    }

    /// Writes that were refused for quota more than once before they were let through.
    pub fn refused_twice(&self) -> Vec<String> {
        self.state().log.refused_twice.clone()
    }
}

fn whole(object: &Object) -> Value {
    let mut body = object.truth.properties.clone();
    body.insert("id".to_owned(), Value::from(object.id.as_str()));
    match object.kind {
        Kind::User => {
            body.insert(
                "manager".to_owned(),
                Value::from(object.truth.manager.clone()),
            );
        }
        Kind::Group => {
            body.insert(
                "members".to_owned(),
                object.truth.members.iter().cloned().collect(),
            );
            body.insert(
                "owners".to_owned(),
                object.truth.owners.iter().cloned().collect(),
            );
        }
    }
    Value::Object(body)
}

/// What people call an object.
fn name(state: &State, id: &str) -> String {
    let object = state.store.objects.get(id);
    let text = object.and_then(|object| match object.kind {
        Kind::User => object.truth.text("userPrincipalName"),
        Kind::Group => object.truth.text("displayName"),
    });
    text.unwrap_or(id).to_owned()
}

/// What differs between two runs that did the same.
const PASSING: [&str; 5] = [
    "createdDateTime",
    "deletedDateTime",
    "lastPasswordChangeDateTime",
    "passwordProfile",
    "signInSessionsValidFromDateTime",
];

fn named(state: &State, kind: Kind, presence: Presence) -> Value {
    let mut sorted: BTreeMap<(String, String), Value> = BTreeMap::new();
    let wanted = |object: &&Object| object.kind == kind && object.truth.presence == presence;
    let prefix = format!("extension_{}_", state.client_id.replace('-', ""));
    for object in state.store.objects.values().filter(wanted) {
        let kept = object
            .truth
            .properties
            .iter()
            .filter(|(name, _)| !PASSING.contains(&name.as_str()));
        let mut body: Map<String, Value> = kept
            .map(|(name, value)| (name.replace(&prefix, "extension_"), value.clone()))
            .collect();
        let names = |ids: &std::collections::BTreeSet<String>| {
            let mut names: Vec<String> = ids.iter().map(|id| name(state, id)).collect();
            names.sort();
            Value::from(names)
        };
        if let Some(manager) = &object.truth.manager {
            body.insert("manager".to_owned(), Value::from(name(state, manager)));
        }
        if kind == Kind::Group {
            body.insert("members".to_owned(), names(&object.truth.members));
            body.insert("owners".to_owned(), names(&object.truth.owners));
        }
        let body = Value::Object(body);
        // Groups may share a name; their contents then order them.
        sorted.insert(
            (name(state, &object.id), format!("{body} {}", object.id)),
            body,
        );
    }
    sorted.into_values().collect()
}
