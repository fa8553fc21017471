//! The application and its directory extensions: the place of the mark (fact sheet §5.1).
//!
//! A definition takes a replication delay before values are accepted; values come back only with `$select`.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::answer::{Answer, Outcome};
use super::query::Filter;
use super::state::{Call, Extension, State};
use super::store::Version;

const VALUES_PER_OBJECT: usize = 100;
const TEXT_LENGTH: usize = 256;

fn show(state: &State, call: &Call) -> Value {
    let mut body = json!({"id": state.application_id, "appId": state.client_id, "displayName": "plumbline",
        "signInAudience": "AzureADMyOrg", "publisherDomain": state.default_domain()});
    if let (Some(names), Some(fields)) = (call.query.select(), body.as_object_mut()) {
        fields.retain(|name, _| names.contains(name));
    }
    body
}

pub(super) fn list(state: &State, call: &Call) -> Outcome {
    let wanted = match call.query.filter()? {
        None => true,
        Some(Filter::Equals(property, value)) if property == "appId" => {
            value == state.client_id.as_str()
        }
        Some(Filter::Equals(property, value)) if property == "id" => {
            value == state.application_id.as_str()
        }
        Some(_) => return Err(Answer::unsupported_query("Unsupported Query.")),
    };
    let values: Vec<Value> = wanted.then(|| show(state, call)).into_iter().collect();
    Ok(Answer::ok(
        json!({"@odata.context": super::page::context(state, call), "value": values}),
    ))
}

fn check_key(state: &State, call: &Call) -> Result<(), Answer> {
    let key = call.parameter(0);
    let wanted = if call.template.contains("(appId=") {
        &state.client_id
    } else {
        &state.application_id
    };
    if key.eq_ignore_ascii_case(wanted) {
        Ok(())
    } else {
        Err(Answer::not_found(key))
    }
}

pub(super) fn get(state: &State, call: &Call) -> Outcome {
    check_key(state, call)?;
    Ok(Answer::ok(show(state, call)))
}

fn definition(extension: &Extension) -> Value {
    json!({"id": extension.id, "name": extension.name, "dataType": extension.data_type, "appDisplayName": "plumbline",
        "isMultiValued": false, "isSyncedFromOnPremises": false, "targetObjects": extension.targets, "deletedDateTime": null})
}

pub(super) fn extensions(state: &State, call: &Call) -> Outcome {
    check_key(state, call)?;
    let values: Vec<Value> = state.extensions.iter().map(definition).collect();
    Ok(Answer::ok(
        json!({"@odata.context": super::page::context(state, call), "value": values}),
    ))
}

pub(super) fn define(state: &mut State, call: &Call) -> Outcome {
    check_key(state, call)?;
    let fields = call.fields();
    let text = |name: &str| {
        fields
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let name = text("name");
    if name.is_empty() || !name.chars().all(|char| char.is_ascii_alphanumeric()) {
        return Err(Answer::invalid_value("name", "ExtensionProperty"));
    }
    let data_type = text("dataType");
    if ![
        "Binary",
        "Boolean",
        "DateTime",
        "Integer",
        "LargeInteger",
        "String",
    ]
    .contains(&data_type.as_str())
    {
        return Err(Answer::invalid_value("dataType", "ExtensionProperty"));
    }
    let sent = fields
        .get("targetObjects")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let targets: Vec<String> = sent
        .filter_map(|target| target.as_str().map(str::to_owned))
        .collect();
    let known = [
        "User",
        "Group",
        "AdministrativeUnit",
        "Application",
        "Device",
        "Organization",
    ];
    if targets.is_empty()
        || !targets
            .iter()
            .all(|target| known.contains(&target.as_str()))
    {
        return Err(Answer::invalid_value("targetObjects", "ExtensionProperty"));
    }
    let name = format!("extension_{}_{name}", state.client_id.replace('-', ""));
    if state
        .extensions
        .iter()
        .any(|extension| extension.name == name)
    {
        return Err(Answer::bad_request(
            "An extension property exists with the name provided.",
        ));
    }
    let available = Instant::now() + state.delay();
    let extension = Extension {
        id: state.guid(),
        name,
        data_type,
        targets,
        available,
    };
    let body = definition(&extension);
    state.extensions.push(extension);
    Ok(Answer::created(body))
}

/// Judges the extension values of a write: defined, propagated, meant for this type, of the right type and length.
pub(super) fn check_extensions(
    state: &State,
    fields: &Map<String, Value>,
    existing: Option<&Version>,
    target: &str,
) -> Result<(), Answer> {
    let now = Instant::now();
    let sent: Vec<_> = fields
        .iter()
        .filter(|(name, _)| name.starts_with("extension_"))
        .collect();
    for (name, value) in &sent {
        let usable = |extension: &&Extension| {
            extension.name == **name
                && extension.available <= now
                && extension.targets.iter().any(|known| known == target)
        };
        let Some(extension) = state.extensions.iter().find(usable) else {
            return Err(Answer::bad_request(format!(
                "The following extension properties are not available: {name}."
            )));
        };
        let good = match extension.data_type.as_str() {
            "String" | "Binary" | "DateTime" => value
                .as_str()
                .is_some_and(|text| !text.is_empty() && text.chars().nth(TEXT_LENGTH).is_none()),
            "Boolean" => value.is_boolean(),
            _ => value.is_i64(),
        };
        if !good && !value.is_null() {
            return Err(Answer::invalid_value(name, target));
        }
    }
    let held = existing
        .into_iter()
        .flat_map(|version| version.properties.keys());
    let held = held
        .filter(|name| name.starts_with("extension_") && !fields.contains_key(*name))
        .count();
    let set = sent.iter().filter(|(_, value)| !value.is_null()).count();
    if held + set > VALUES_PER_OBJECT {
        return Err(Answer::bad_request(
            "The number of extension values on the object exceeds the limit of 100.",
        ));
    }
    Ok(())
}

/// A filter on an extension that nobody defined, or that is not there yet, is an error, not an empty answer.
pub(super) fn check_filter(state: &State, filter: &Filter) -> Result<(), Answer> {
    let now = Instant::now();
    let usable = |name: &str| {
        state
            .extensions
            .iter()
            .any(|known| known.name == name && known.available <= now)
    };
    let named = filter.uses().into_iter().map(|(property, _)| property);
    let undefined = named
        .filter(|property| property.starts_with("extension_"))
        .find(|property| !usable(property));
    match undefined {
        None => Ok(()),
        Some(property) => Err(Answer::bad_request(format!(
            "Property '{property}' does not exist as a declared property or extension property."
        ))),
    }
}
