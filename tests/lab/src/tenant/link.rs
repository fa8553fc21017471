//! Links of groups: members and owners (fact sheet §4.4).
//!
//! At most 20 links in one write, all or nothing; an existing link fails the whole write with the text that clients take
//! for success of a single add.

use std::time::Instant;

use serde_json::{Map, Value};

use super::answer::{Answer, Outcome};
use super::page;
use super::privilege;
use super::state::{Call, State};
use super::store::{Kind, Presence, Version};
use super::view;

const LINKS_PER_WRITE: usize = 20;
const OWNERS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Members,
    Owners,
}

impl Relation {
    fn name(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Owners => "owners",
        }
    }

    fn of(self, version: &Version) -> &std::collections::BTreeSet<String> {
        match self {
            Self::Members => &version.members,
            Self::Owners => &version.owners,
        }
    }

    fn of_mut(self, version: &mut Version) -> &mut std::collections::BTreeSet<String> {
        match self {
            Self::Members => &mut version.members,
            Self::Owners => &mut version.owners,
        }
    }
}

/// Takes the `…@odata.bind` entries out of a body and resolves them.
pub(super) fn take_bound(
    state: &mut State,
    fields: &mut Map<String, Value>,
) -> Result<Vec<(Relation, String, Option<Kind>)>, Answer> {
    let mut urls = Vec::new();
    for relation in [Relation::Owners, Relation::Members] {
        if let Some(value) = fields.remove(&format!("{}@odata.bind", relation.name())) {
            let list = value.as_array().cloned();
            let list = list
                .ok_or_else(|| Answer::bad_request("A list of URLs is needed in @odata.bind."))?;
            urls.extend(list.into_iter().map(|url| (relation, url)));
        }
    }
    if urls.len() > LINKS_PER_WRITE {
        return Err(Answer::bad_request(
            "A resource cannot contain more than 20 link changes",
        ));
    }
    urls.into_iter()
        .map(|(relation, url)| {
            state
                .referenced(&url)
                .map(|(id, kind)| (relation, id, kind))
        })
        .collect()
}

/// Adds links to a group's version, or says why not; nothing is added then.
pub(super) fn add(
    state: &State,
    group: &mut Version,
    links: Vec<(Relation, String, Option<Kind>)>,
) -> Result<(), Answer> {
    let mut changed = group.clone();
    for (relation, id, kind) in links {
        if relation == Relation::Members {
            check_member(state, group, &id, kind)?;
        }
        if !relation.of_mut(&mut changed).insert(id) {
            return Err(Answer::already_linked(relation.name()));
        }
    }
    if changed.owners.len() > OWNERS {
        return Err(Answer::bad_request(
            "The number of owners of the group exceeds the limit of 100.",
        ));
    }
    *group = changed;
    Ok(())
}

fn check_member(
    state: &State,
    group: &Version,
    id: &str,
    kind: Option<Kind>,
) -> Result<(), Answer> {
    check_membership_writable(group)?;
    let member = state.store.objects.get(id);
    let unified =
        member.is_some_and(|member| member.kind == Kind::Group && member.truth.is_unified());
    if unified || (group.is_unified() && kind != Some(Kind::User)) {
        return Err(Answer::bad_request(
            "The member's type is not supported for this kind of group.",
        ));
    }
    Ok(())
}

/// Mail-enabled security and distribution groups are read-only here; dynamic groups follow their rule.
fn check_membership_writable(group: &Version) -> Result<(), Answer> {
    if group.flag("onPremisesSyncEnabled") {
        return Err(Answer::on_premises_mastered());
    }
    let foreign = group.flag("mailEnabled") && !group.is_unified();
    if foreign || group.has_group_type("DynamicMembership") {
        Err(Answer::denied())
    } else {
        Ok(())
    }
}

pub(super) fn list(state: &mut State, call: &Call, relation: Relation) -> Outcome {
    let select = view::selection(state, &call.query, &call.target, &[Kind::User, Kind::Group])?;
    let now = Instant::now();
    let group = state.find(Kind::Group, call.parameter(0))?;
    let linked: Vec<String> = relation.of(group.seen(now)).iter().cloned().collect();
    // Links of deleted users are kept but not shown.
    let shown = |id: &String| {
        *id == state.service_principal
            || state
                .store
                .objects
                .get(id)
                .is_some_and(|object| object.is_live(now))
    };
    let ids = linked.into_iter().filter(shown).collect::<Vec<_>>();
    page::answer(state, call, ids, |state, id| {
        render(state, id, select.as_deref())
    })
}

/// A linked object with its type, as in collections of directory objects.
pub(super) fn render(state: &State, id: &str, select: Option<&[String]>) -> Value {
    let now = Instant::now();
    let Some(object) = state.store.objects.get(id) else {
        return serde_json::json!({"@odata.type": "#microsoft.graph.servicePrincipal", "id": id});
    };
    let mut body = view::render(object.kind, id, object.seen(now), select);
    body.retain(|name, _| {
        state
            .specification
            .has_property(&object.kind.resource().to_lowercase(), name)
    });
    body.insert(
        "@odata.type".to_owned(),
        Value::from(object.kind.odata_type()),
    );
    Value::Object(body)
}

pub(super) fn add_one(state: &mut State, call: &Call, relation: Relation) -> Outcome {
    let group = linkable(state, call.parameter(0))?;
    privilege::check_role_assignable(state, call, &group)?;
    let url = call.fields().get("@odata.id").cloned().unwrap_or_default();
    let (id, kind) = state.referenced(&url)?;
    let Some(object) = state.store.objects.get(&group) else {
        return Err(Answer::not_found(&group));
    };
    let mut version = object.truth.clone();
    add(state, &mut version, vec![(relation, id, kind)])?;
    let delay = state.delay();
    state.store.write(&group, delay, |truth| *truth = version);
    Ok(Answer::no_content())
}

/// The group as the source of a link: fresh is 400 here, where a plain read would be 404.
pub(super) fn linkable(state: &mut State, id: &str) -> Result<String, Answer> {
    let now = Instant::now();
    let object = state
        .store
        .objects
        .get(id)
        .filter(|object| object.kind == Kind::Group);
    if object.is_some_and(|object| object.is_fresh(now) && object.truth.presence == Presence::Live)
    {
        state.log.seen.link_on_fresh_object += 1;
        return Err(Answer::link_not_replicated());
    }
    state.find(Kind::Group, id).map(|object| object.id.clone())
}

pub(super) fn remove(state: &mut State, call: &Call, relation: Relation) -> Outcome {
    let group = linkable(state, call.parameter(0))?;
    privilege::check_role_assignable(state, call, &group)?;
    let id = call.parameter(1).to_owned();
    let Some(object) = state.store.objects.get(&group) else {
        return Err(Answer::not_found(&group));
    };
    if relation == Relation::Members {
        check_membership_writable(&object.truth)?;
    }
    let linked = relation.of(&object.truth);
    if !linked.contains(&id) {
        return Err(Answer::not_found(&id));
    }
    let is_user = |id: &String| state.store.user(id).is_some();
    if relation == Relation::Owners
        && is_user(&id)
        && linked.iter().filter(|id| is_user(id)).count() == 1
    {
        return Err(Answer::bad_request(
            "The group must have at least one owner, hence this owner cannot be removed.",
        ));
    }
    let delay = state.delay();
    state.store.write(&group, delay, |version| {
        relation.of_mut(version).remove(&id);
    });
    Ok(Answer::no_content())
}

/// `DELETE …/members/{id}` without `/$ref` deletes the member itself, as Graph does; no client may ever send it.
pub(super) fn delete_member_object(state: &mut State, call: &Call) -> Outcome {
    state.log.violation(
        &call.method,
        &call.target,
        "a member was deleted instead of its link: /$ref is missing",
    );
    let id = call.parameter(1).to_owned();
    let Some(object) = state.store.objects.get(&id) else {
        return Err(Answer::not_found(&id));
    };
    let kind = object.kind;
    privilege::check_delete_or_restore(state, call, &id, kind)?;
    state
        .store
        .write(&id, std::time::Duration::ZERO, |version| {
            version.presence = Presence::Deleted;
        });
    Ok(Answer::no_content())
}
