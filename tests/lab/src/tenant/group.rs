//! Groups: list, read, create, upsert by `uniqueName`, update, delete (fact sheet §4).
//!
//! Only security and Microsoft 365 groups can be made here. Names of security groups are not unique, so a repeated
//! POST makes a second group; the upsert does not.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::answer::{Answer, Outcome};
use super::state::{Call, State, timestamp};
use super::store::{Kind, Presence, Version};
use super::{application, link, page, privilege, rules, user, view};

const ROLE_ASSIGNABLE_GROUPS: usize = 500;

pub(super) fn list(state: &mut State, call: &Call) -> Outcome {
    let select = view::selection(state, &call.query, &call.target, &[Kind::Group])?;
    let ids = user::matching(state, call, Kind::Group, Presence::Live)?;
    page::answer(state, call, ids, |state, id| {
        show(state, id, select.as_deref())
    })
}

fn show(state: &State, id: &str, select: Option<&[String]>) -> Value {
    let now = Instant::now();
    let object = state.store.objects.get(id);
    object.map_or(Value::Null, |object| {
        Value::Object(view::render(Kind::Group, id, object.seen(now), select))
    })
}

pub(super) fn get(state: &mut State, call: &Call) -> Outcome {
    let id = state.find(Kind::Group, call.parameter(0))?.id.clone();
    show_one(state, call, &id)
}

pub(super) fn get_by_unique_name(state: &mut State, call: &Call) -> Outcome {
    let name = call.parameter(0);
    let id = state
        .store
        .by_unique_name(name)
        .map(|object| object.id.clone());
    let id = id.ok_or_else(|| Answer::not_found(name))?;
    let id = state.find(Kind::Group, &id)?.id.clone();
    show_one(state, call, &id)
}

fn show_one(state: &mut State, call: &Call, id: &str) -> Outcome {
    let select = view::selection(state, &call.query, &call.target, &[Kind::Group])?;
    let mut body = show(state, id, select.as_deref());
    body["@odata.context"] = Value::from(page::context(state, call) + "/$entity");
    Ok(Answer::ok(body))
}

pub(super) fn create(state: &mut State, call: &Call) -> Outcome {
    let fields = call.fields();
    if fields.contains_key("uniqueName") {
        return Err(Answer::read_only("uniqueName"));
    }
    create_with(state, call, fields, None)
}

/// Creates or updates the group with this alternate key; only with `Prefer: create-if-missing` does it create.
pub(super) fn upsert(state: &mut State, call: &Call) -> Outcome {
    let name = call.parameter(0).to_owned();
    let mut fields = call.fields();
    if fields
        .remove("uniqueName")
        .is_some_and(|stated| stated != name.as_str())
    {
        return Err(Answer::read_only("uniqueName"));
    }
    // The alternate key is resolved where writes are judged, so a repeated upsert meets its own group.
    match state
        .store
        .by_unique_name(&name)
        .map(|object| object.id.clone())
    {
        Some(id) => update_with(state, call, &id, fields),
        None if call.prefer.contains("create-if-missing") => {
            create_with(state, call, fields, Some(name))
        }
        None => Err(Answer::not_found(&name)),
    }
}

fn create_with(
    state: &mut State,
    call: &Call,
    mut fields: Map<String, Value>,
    unique_name: Option<String>,
) -> Outcome {
    let links = link::take_bound(state, &mut fields)?;
    check_values(state, &fields, None)?;
    for property in [
        "displayName",
        "mailEnabled",
        "mailNickname",
        "securityEnabled",
    ] {
        if fields.get(property).is_none_or(Value::is_null) {
            return Err(Answer::required(property, "Group"));
        }
    }
    if let Some(later) = rules::GROUP_LATER
        .iter()
        .find(|name| fields.contains_key(**name))
    {
        return Err(Answer::bad_request(format!(
            "The property '{later}' cannot be set when a group is created."
        )));
    }
    let mut version = Version::new(fields);
    check_type(state, call, &version)?;
    let nickname = version.text("mailNickname").unwrap_or_default().to_owned();
    if version.is_unified() {
        let mail = format!("{nickname}@{}", state.default_domain());
        version
            .properties
            .insert("proxyAddresses".to_owned(), json!([format!("SMTP:{mail}")]));
        version
            .properties
            .insert("mail".to_owned(), Value::from(mail));
    }
    let open = version.is_unified() && !version.flag("isAssignableToRole");
    let visibility = if open { "Public" } else { "Private" };
    version
        .properties
        .entry("visibility")
        .or_insert_with(|| Value::from(visibility));
    version
        .properties
        .insert("createdDateTime".to_owned(), Value::from(timestamp()));
    if let Some(name) = unique_name {
        version
            .properties
            .insert("uniqueName".to_owned(), Value::from(name));
    }
    version.properties.retain(|_, value| !value.is_null());
    let id = state.guid();
    if let Some(clash) = state.store.conflict(&id, Kind::Group, &version) {
        return Err(Answer::conflict(clash));
    }
    link::add(state, &mut version, links)?;
    let mut body = view::render(Kind::Group, &id, &version, None);
    body.insert(
        "@odata.context".to_owned(),
        Value::from(page::context(state, call) + "/$entity"),
    );
    let delay = state.delay();
    state.store.create(id, Kind::Group, version, delay);
    Ok(Answer::created(Value::Object(body)))
}

/// Refuses the kinds of groups that Graph cannot make, and role-assignable groups that break their rules.
fn check_type(state: &State, call: &Call, group: &Version) -> Result<(), Answer> {
    if group.flag("mailEnabled") != group.is_unified() {
        return Err(Answer::bad_request(
            "The service does not currently support writes of mail-enabled groups. Please ensure that the \
             mail-enablement property is unset and the security-enablement property is set.",
        ));
    }
    if !group.flag("mailEnabled") && !group.flag("securityEnabled") {
        return Err(Answer::invalid_value("securityEnabled", "Group"));
    }
    let dynamic = group.has_group_type("DynamicMembership");
    if dynamic == group.text("membershipRule").is_none() {
        return Err(Answer::invalid_value("membershipRule", "Group"));
    }
    if group.text("visibility") == Some("HiddenMembership") && !group.is_unified() {
        return Err(Answer::invalid_value("visibility", "Group"));
    }
    if group.flag("isAssignableToRole") {
        if !call.may(&["RoleManagement.ReadWrite.Directory"]) {
            return Err(Answer::denied());
        }
        if !group.flag("securityEnabled") || dynamic {
            return Err(Answer::invalid_value("isAssignableToRole", "Group"));
        }
        let existing = state
            .store
            .live(Kind::Group)
            .filter(|group| group.truth.flag("isAssignableToRole"));
        if existing.count() >= ROLE_ASSIGNABLE_GROUPS {
            return Err(Answer::bad_request(
                "The number of role-assignable groups exceeds the limit of 500.",
            ));
        }
    }
    Ok(())
}

pub(super) fn update(state: &mut State, call: &Call) -> Outcome {
    let fields = call.fields();
    let links = fields.keys().any(|name| name.ends_with("@odata.bind"));
    let id = if links {
        link::linkable(state, call.parameter(0))?
    } else {
        state.find(Kind::Group, call.parameter(0))?.id.clone()
    };
    update_with(state, call, &id, fields)
}

fn update_with(
    state: &mut State,
    call: &Call,
    id: &str,
    mut fields: Map<String, Value>,
) -> Outcome {
    privilege::check_role_assignable(state, call, id)?;
    let links = link::take_bound(state, &mut fields)?;
    let Some(object) = state.store.objects.get(id) else {
        return Err(Answer::not_found(id));
    };
    let mut version = object.truth.clone();
    if !fields.is_empty() {
        check_update(state, &version, &fields)?;
    }
    for (name, value) in fields {
        if value.is_null() {
            version.properties.remove(&name);
        } else {
            version.properties.insert(name, value);
        }
    }
    if let Some(clash) = state.store.conflict(id, Kind::Group, &version) {
        return Err(Answer::conflict(clash));
    }
    link::add(state, &mut version, links)?;
    let delay = state.delay();
    state.store.write(id, delay, |truth| *truth = version);
    Ok(Answer::no_content())
}

fn check_update(
    state: &State,
    version: &Version,
    fields: &Map<String, Value>,
) -> Result<(), Answer> {
    if version.flag("onPremisesSyncEnabled") {
        return Err(Answer::on_premises_mastered());
    }
    if version.flag("mailEnabled") && !version.is_unified() {
        return Err(Answer::bad_request(
            "The service does not currently support writes of mail-enabled groups. Please ensure that the \
             mail-enablement property is unset and the security-enablement property is set.",
        ));
    }
    for property in [
        "uniqueName",
        "isAssignableToRole",
        "groupTypes",
        "mailEnabled",
    ] {
        if fields.contains_key(property) {
            return Err(Answer::read_only(property));
        }
    }
    if fields.get("visibility").and_then(Value::as_str) == Some("HiddenMembership") {
        return Err(Answer::invalid_value("visibility", "Group"));
    }
    let later = fields
        .keys()
        .filter(|name| rules::GROUP_LATER.contains(&name.as_str()))
        .count();
    if later > 0 && (later != fields.len() || !version.is_unified()) {
        return Err(Answer::bad_request(
            "These properties are set alone, and only on Microsoft 365 groups.",
        ));
    }
    check_values(state, fields, Some(version))
}

fn check_values(
    state: &State,
    fields: &Map<String, Value>,
    existing: Option<&Version>,
) -> Result<(), Answer> {
    for (property, value) in fields {
        let name = property.as_str();
        if rules::GROUP_READ_ONLY.contains(&name) {
            return Err(Answer::read_only(name));
        }
        let text = value.as_str();
        let good = match name {
            "displayName" => text.is_some_and(|text| !text.is_empty()),
            "mailNickname" => text.is_some_and(rules::group_nickname),
            "securityEnabled" | "mailEnabled" => value.is_boolean(),
            "visibility" => {
                text.is_none_or(|text| matches!(text, "Public" | "Private" | "HiddenMembership"))
            }
            "groupTypes" => value.as_array().is_some_and(|types| {
                types
                    .iter()
                    .all(|name| matches!(name.as_str(), Some("Unified" | "DynamicMembership")))
            }),
            _ => true,
        };
        if !good {
            return Err(Answer::invalid_value(name, "Group"));
        }
    }
    application::check_extensions(state, fields, existing, "Group")?;
    rules::lengths(fields, &rules::GROUP_LENGTHS, "Group")
}

pub(super) fn delete(state: &mut State, call: &Call) -> Outcome {
    let id = state.find(Kind::Group, call.parameter(0))?.id.clone();
    privilege::check_delete_or_restore(state, call, &id, Kind::Group)?;
    let Some(object) = state.store.objects.get(&id) else {
        return Err(Answer::not_found(&id));
    };
    if object.truth.flag("onPremisesSyncEnabled") {
        return Err(Answer::on_premises_mastered());
    }
    if object.truth.flag("mailEnabled") && !object.truth.is_unified() {
        return Err(Answer::denied());
    }
    let delay = state.delay();
    state.store.write(&id, delay, |version| {
        version.presence = Presence::Deleted;
        version
            .properties
            .insert("deletedDateTime".to_owned(), Value::from(timestamp()));
    });
    Ok(Answer::no_content())
}
