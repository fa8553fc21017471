//! Users: list, read, create, update, delete, manager and sign-in sessions (fact sheet §3).
//!
//! In: a call that was routed, charged and found permitted in general. Rules on values are judged on the truth,
//! existence on what this replica holds.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::answer::{Answer, Outcome};
use super::graph::not_served;
use super::state::{Call, State, timestamp};
use super::store::{Kind, Presence, Version};
use super::{application, page, privilege, rules, view};

pub(super) fn list(state: &mut State, call: &Call) -> Outcome {
    let select = view::selection(state, &call.query, &call.target, &[Kind::User])?;
    let expand = expansion(state, call)?;
    let ids = matching(state, call, Kind::User, Presence::Live)?;
    page::answer(state, call, ids, |state, id| {
        let Some(object) = state.store.objects.get(id) else {
            return Value::Null;
        };
        let seen = object.seen(Instant::now());
        let mut body = view::render(Kind::User, id, seen, select.as_deref());
        if let Some(inner) = &expand {
            expand_manager(state, seen, inner, &mut body);
        }
        Value::Object(body)
    })
}

/// The ids of the objects that a listing with this filter shows, in order.
pub(super) fn matching(
    state: &State,
    call: &Call,
    kind: Kind,
    presence: Presence,
) -> Result<Vec<String>, Answer> {
    let filter = call.query.filter()?;
    if let Some(filter) = &filter {
        application::check_filter(state, filter)?;
        filter.check(kind)?;
    }
    let now = Instant::now();
    let shown = |version: &Version| {
        version.presence == presence && filter.as_ref().is_none_or(|filter| filter.matches(version))
    };
    let objects = state
        .store
        .objects
        .values()
        .filter(|object| object.kind == kind && shown(object.seen(now)));
    Ok(objects.map(|object| object.id.clone()).collect())
}

/// What to show of the manager, if it is asked for.
fn expansion(state: &mut State, call: &Call) -> Result<Option<Vec<String>>, Answer> {
    call.query
        .expand_manager()
        .map_err(|other| not_served(state, "GET", &call.target, &format!("$expand={other}")))
}

fn expand_manager(
    state: &State,
    version: &Version,
    inner: &[String],
    body: &mut Map<String, Value>,
) {
    let now = Instant::now();
    let manager = version
        .manager
        .as_ref()
        .and_then(|id| state.store.objects.get(id));
    if let Some(manager) = manager.filter(|manager| manager.is_live(now)) {
        let select = (!inner.is_empty()).then_some(inner);
        let mut shown = view::render(Kind::User, &manager.id, manager.seen(now), select);
        shown.insert(
            "@odata.type".to_owned(),
            Value::from(Kind::User.odata_type()),
        );
        body.insert("manager".to_owned(), Value::Object(shown));
    }
}

pub(super) fn get(state: &mut State, call: &Call) -> Outcome {
    let select = view::selection(state, &call.query, &call.target, &[Kind::User])?;
    let expand = expansion(state, call)?;
    let id = state.find(Kind::User, call.parameter(0))?.id.clone();
    let Some(object) = state.store.objects.get(&id) else {
        return Err(Answer::not_found(&id));
    };
    let seen = object.seen(Instant::now());
    let mut body = view::render(Kind::User, &id, seen, select.as_deref());
    if let Some(inner) = &expand {
        expand_manager(state, seen, inner, &mut body);
    }
    body.insert(
        "@odata.context".to_owned(),
        Value::from(page::context(state, call) + "/$entity"),
    );
    Ok(Answer::ok(Value::Object(body)))
}

pub(super) fn create(state: &mut State, call: &Call) -> Outcome {
    let mut fields = call.fields();
    privilege::check_user_create(call, &fields)?;
    let manager = match fields.remove("manager@odata.bind") {
        Some(url) => Some(user_reference(state, &url)?),
        None => None,
    };
    check_values(state, &fields, None)?;
    for property in [
        "accountEnabled",
        "displayName",
        "mailNickname",
        "userPrincipalName",
        "passwordProfile",
    ] {
        if fields.get(property).is_none_or(Value::is_null) {
            return Err(Answer::required(property, "User"));
        }
    }
    let domain = fields
        .get("userPrincipalName")
        .and_then(Value::as_str)
        .and_then(rules::user_principal_name);
    let federated = state
        .config
        .domains
        .iter()
        .any(|known| known.federated && Some(known.name.as_str()) == domain);
    if federated
        && fields
            .get("onPremisesImmutableId")
            .is_none_or(Value::is_null)
    {
        return Err(Answer::bad_request(
            "SourceAnchor is a required property for creation of a federated user.",
        ));
    }
    let mut version = Version::new(Map::new());
    let now = Value::from(timestamp());
    for (name, value) in [
        ("userType", Value::from("Member")),
        ("createdDateTime", now),
    ] {
        version.properties.insert(name.to_owned(), value);
    }
    version.manager = manager;
    apply(&mut version, fields);
    let id = state.guid();
    if let Some(clash) = state.store.conflict(&id, Kind::User, &version) {
        return Err(Answer::conflict(clash));
    }
    let mut body = view::render(Kind::User, &id, &version, None);
    body.insert(
        "@odata.context".to_owned(),
        Value::from(page::context(state, call) + "/$entity"),
    );
    let delay = state.delay();
    state.store.create(id, Kind::User, version, delay);
    Ok(Answer::created(Value::Object(body)))
}

pub(super) fn update(state: &mut State, call: &Call) -> Outcome {
    let id = state.find(Kind::User, call.parameter(0))?.id.clone();
    let fields = call.fields();
    privilege::check_user_update(state, call, &id, &fields)?;
    let Some(object) = state.store.objects.get(&id) else {
        return Err(Answer::not_found(&id));
    };
    let version = object.truth.clone();
    if version.flag("onPremisesSyncEnabled") {
        return Err(Answer::on_premises_mastered());
    }
    let was_synced = version.properties.get("onPremisesSyncEnabled") == Some(&Value::Bool(false));
    if was_synced && fields.contains_key("onPremisesExtensionAttributes") {
        return Err(Answer::bad_request(
            "Unable to update the specified properties for objects that have originated within an external service.",
        ));
    }
    check_values(state, &fields, Some(&version))?;
    let mut changed = version;
    apply(&mut changed, fields);
    if let Some(clash) = state.store.conflict(&id, Kind::User, &changed) {
        return Err(Answer::conflict(clash));
    }
    let delay = state.delay();
    state.store.write(&id, delay, |version| *version = changed);
    Ok(Answer::no_content())
}

/// Judges the values of a create (`existing` is none) or an update.
fn check_values(
    state: &State,
    fields: &Map<String, Value>,
    existing: Option<&Version>,
) -> Result<(), Answer> {
    for (property, value) in fields {
        let name = property.as_str();
        if rules::OUTSIDE_THE_DIRECTORY.contains(&name) {
            return Err(Answer::outside_the_directory());
        }
        if rules::USER_READ_ONLY.contains(&name) {
            return Err(Answer::read_only(name));
        }
        if value.is_null() {
            if is_required(state, name, existing) {
                return Err(Answer::invalid_value(name, "User"));
            }
        } else if !rules::user_format(name, value) {
            return Err(Answer::invalid_value(name, "User"));
        }
    }
    application::check_extensions(state, fields, existing, "User")?;
    rules::lengths(fields, &rules::USER_LENGTHS, "User")?;
    if let Some(name) = fields.get("userPrincipalName").and_then(Value::as_str) {
        let domain = rules::user_principal_name(name).ok_or_else(Answer::invalid_properties)?;
        let known = state
            .config
            .domains
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(domain));
        if !known.is_some_and(|known| known.verified) {
            return Err(Answer::invalid_properties());
        }
    }
    if let Some(profile) = fields.get("passwordProfile") {
        check_password(profile, existing)?;
    }
    check_identities(fields, existing)
}

/// Properties that no write can clear; an anchor only where its user does not sign in elsewhere.
fn is_required(state: &State, property: &str, existing: Option<&Version>) -> bool {
    match property {
        "displayName" | "mailNickname" | "mail" | "usageLocation" | "accountEnabled"
        | "userPrincipalName" | "passwordProfile" | "businessPhones" | "otherMails" => {
            existing.is_some()
        }
        "onPremisesImmutableId" => existing
            .and_then(|version| version.text("userPrincipalName"))
            .is_some_and(|name| {
                let domain = name.split_once('@').map(|(_, domain)| domain);
                state
                    .config
                    .domains
                    .iter()
                    .any(|known| known.federated && Some(known.name.as_str()) == domain)
            }),
        _ => false,
    }
}

fn check_password(profile: &Value, existing: Option<&Version>) -> Result<(), Answer> {
    let known = [
        "password",
        "forceChangePasswordNextSignIn",
        "forceChangePasswordNextSignInWithMfa",
    ];
    let fields = profile
        .as_object()
        .ok_or_else(|| Answer::invalid_value("passwordProfile", "User"))?;
    if fields.keys().any(|name| !known.contains(&name.as_str())) {
        return Err(Answer::invalid_value("passwordProfile", "User"));
    }
    match fields.get("password").and_then(Value::as_str) {
        Some(text) if rules::password(text) => Ok(()),
        None if existing.is_some() => Ok(()),
        None => Err(Answer::required("passwordProfile", "User")),
        Some(_) => Err(Answer::bad_request(
            "The specified password does not comply with password complexity requirements. Please provide a different \
             password.",
        )),
    }
}

/// `identities` replaces all of them and must go on naming the user.
fn check_identities(fields: &Map<String, Value>, existing: Option<&Version>) -> Result<(), Answer> {
    let Some(identities) = fields.get("identities").and_then(Value::as_array) else {
        return Ok(());
    };
    let name = fields.get("userPrincipalName").and_then(Value::as_str);
    let name = name.or(existing.and_then(|version| version.text("userPrincipalName")));
    let names_user = identities.iter().any(|identity| {
        identity.get("signInType").and_then(Value::as_str) == Some("userPrincipalName")
            && identity.get("issuerAssignedId").and_then(Value::as_str) == name
    });
    if names_user {
        Ok(())
    } else {
        Err(Answer::invalid_value("identities", "User"))
    }
}

/// Lays a body over a user: null clears, complex values follow their own rules, mail becomes the primary address.
pub(super) fn apply(version: &mut Version, fields: Map<String, Value>) {
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("onPremisesExtensionAttributes", Value::Object(sent)) => {
                let slot = version.properties.entry(name).or_insert_with(|| json!({}));
                if let Some(held) = slot.as_object_mut() {
                    held.extend(sent);
                    held.retain(|_, value| !value.is_null());
                }
            }
            // What is omitted becomes null.
            ("employeeOrgData", Value::Object(sent)) => {
                version.properties.insert(name, Value::Object(sent));
            }
            ("passwordProfile", value) => {
                version.properties.insert(
                    "lastPasswordChangeDateTime".to_owned(),
                    Value::from(timestamp()),
                );
                version.properties.insert(name, value);
            }
            (_, Value::Null) => {
                version.properties.remove(&name);
            }
            ("mail", value) => {
                if let Some(mail) = value.as_str() {
                    set_primary_address(version, mail);
                }
                version.properties.insert(name, value);
            }
            (_, value) => {
                version.properties.insert(name, value);
            }
        }
    }
}

/// The primary SMTP address follows `mail`; what other addresses there are stays.
fn set_primary_address(version: &mut Version, mail: &str) {
    let held = version
        .properties
        .get("proxyAddresses")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let other = |value: &Value| {
        value.as_str().is_some_and(|text| {
            !text.starts_with("SMTP:") && !text.eq_ignore_ascii_case(&format!("smtp:{mail}"))
        })
    };
    let mut addresses = vec![Value::from(format!("SMTP:{mail}"))];
    addresses.extend(held.into_iter().filter(other));
    version
        .properties
        .insert("proxyAddresses".to_owned(), Value::Array(addresses));
}

pub(super) fn delete(state: &mut State, call: &Call) -> Outcome {
    let id = state.find(Kind::User, call.parameter(0))?.id.clone();
    privilege::check_delete_or_restore(state, call, &id, Kind::User)?;
    if state
        .store
        .objects
        .get(&id)
        .is_some_and(|object| object.truth.flag("onPremisesSyncEnabled"))
    {
        return Err(Answer::on_premises_mastered());
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

pub(super) fn manager(state: &mut State, call: &Call) -> Outcome {
    let select = view::selection(state, &call.query, &call.target, &[Kind::User])?;
    let now = Instant::now();
    let manager = state
        .find(Kind::User, call.parameter(0))?
        .seen(now)
        .manager
        .clone();
    let object = manager
        .as_ref()
        .and_then(|id| state.store.objects.get(id))
        .filter(|object| object.is_live(now));
    // A user without manager is 404 as well: there is no such link.
    let Some(object) = object else {
        return Err(Answer::not_found("manager"));
    };
    let mut body = view::render(Kind::User, &object.id, object.seen(now), select.as_deref());
    body.insert(
        "@odata.type".to_owned(),
        Value::from(Kind::User.odata_type()),
    );
    Ok(Answer::ok(Value::Object(body)))
}

fn user_reference(state: &mut State, url: &Value) -> Result<String, Answer> {
    match state.referenced(url)? {
        (id, Some(Kind::User)) => Ok(id),
        _ => Err(Answer::bad_request(
            "The manager must be a user or an organizational contact.",
        )),
    }
}

pub(super) fn set_manager(state: &mut State, call: &Call) -> Outcome {
    let id = state.find(Kind::User, call.parameter(0))?.id.clone();
    let url = call.fields().get("@odata.id").cloned().unwrap_or_default();
    let manager = user_reference(state, &url)?;
    write_manager(state, &id, Some(manager))
}

pub(super) fn remove_manager(state: &mut State, call: &Call) -> Outcome {
    let id = state.find(Kind::User, call.parameter(0))?.id.clone();
    if state
        .store
        .objects
        .get(&id)
        .is_none_or(|object| object.truth.manager.is_none())
    {
        return Err(Answer::not_found("manager"));
    }
    write_manager(state, &id, None)
}

fn write_manager(state: &mut State, id: &str, manager: Option<String>) -> Outcome {
    if state
        .store
        .objects
        .get(id)
        .is_some_and(|object| object.truth.flag("onPremisesSyncEnabled"))
    {
        return Err(Answer::on_premises_mastered());
    }
    let delay = state.delay();
    state
        .store
        .write(id, delay, |version| version.manager = manager);
    Ok(Answer::no_content())
}

pub(super) fn revoke_sessions(state: &mut State, call: &Call) -> Outcome {
    let id = state.find(Kind::User, call.parameter(0))?.id.clone();
    state.revoked.push(id.clone());
    let delay = state.delay();
    let now = Value::from(timestamp());
    state.store.write(&id, delay, |version| {
        version
            .properties
            .insert("signInSessionsValidFromDateTime".to_owned(), now);
    });
    Ok(Answer::ok(
        json!({"@odata.context": format!("{}/v1.0/$metadata#Edm.Boolean", state.root), "value": true}),
    ))
}
