//! The schema half of the offline check: types, unknown and required fields, values, bounds and duplicates.
//!
//! Order and wording are those of apiextensions-apiserver 1.36, quirks included: it counts characters and calls them bytes, and it
//! names the format of an integer only when it finds a fraction.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

use super::Violation;

/// Types, unknown and required fields, enums, bounds and duplicates of `value` and all below it.
pub(super) fn structure(
    schema: &JSONSchemaProps,
    value: &Value,
    path: &str,
    violations: &mut Vec<Violation>,
) {
    let type_ = schema.type_.as_deref().unwrap_or("object");
    if !has_type(value, type_) {
        let (type_, found) = wrong_type(schema, type_, value);
        violations.push(Violation::new(
            path,
            format!(
                "Invalid value: \"{found}\": {path} in body must be of type {type_}: \"{found}\""
            ),
        ));
        return;
    }
    if let Some(allowed) = &schema.enum_
        && !allowed.iter().any(|one| one.0 == *value)
    {
        let supported = allowed
            .iter()
            .map(|one| one.0.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        violations.push(Violation::new(
            path,
            format!("Unsupported value: {value}: supported values: {supported}"),
        ));
    }
    match value {
        Value::Object(members) => object(schema, members, path, violations),
        Value::Array(items) => array(schema, items, path, violations),
        Value::String(text) => string(schema, text, path, violations),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            if let Some(least) = schema.minimum.filter(|least| number < *least) {
                violations.push(Violation::new(path, format!("Invalid value: {value}: {path} in body should be greater than or equal to {least}")));
            }
            if let Some(most) = schema.maximum.filter(|most| number > *most) {
                violations.push(Violation::new(path, format!("Invalid value: {value}: {path} in body should be less than or equal to {most}")));
            }
        }
        Value::Bool(_) | Value::Null => {}
    }
}

fn object(
    schema: &JSONSchemaProps,
    members: &serde_json::Map<String, Value>,
    path: &str,
    violations: &mut Vec<Violation>,
) {
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    for required in schema
        .required
        .iter()
        .flatten()
        .filter(|required| !members.contains_key(*required))
    {
        violations.push(Violation::new(&below(required), "Required value"));
    }
    if let Some(most) = schema
        .max_properties
        .filter(|most| exceeds(members.len(), *most))
    {
        violations.push(Violation::new(
            path,
            format!(
                "Too many: {}: must have at most {most} items",
                members.len()
            ),
        ));
    }
    for (name, member) in members {
        match (
            schema
                .properties
                .as_ref()
                .and_then(|properties| properties.get(name)),
            &schema.additional_properties,
        ) {
            (Some(property), _) => structure(property, member, &below(name), violations),
            (None, Some(JSONSchemaPropsOrBool::Schema(values))) => {
                structure(values, member, &below(name), violations);
            }
            (None, _) if below(name) == "metadata" => {}
            (None, _) => violations.push(Violation::new(
                "",
                format!("unknown field \"{}\"", below(name)),
            )),
        }
    }
}

fn array(schema: &JSONSchemaProps, items: &[Value], path: &str, violations: &mut Vec<Violation>) {
    if let Some(least) = schema
        .min_items
        .filter(|least| !exceeds(items.len(), least - 1))
    {
        violations.push(Violation::new(
            path,
            format!(
                "Invalid value: {}: {path} in body should have at least {least} items",
                items.len()
            ),
        ));
    }
    if let Some(most) = schema.max_items.filter(|most| exceeds(items.len(), *most)) {
        violations.push(Violation::new(
            path,
            format!("Too many: {}: must have at most {most} items", items.len()),
        ));
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
        for (index, value) in items.iter().enumerate() {
            structure(item, value, &format!("{path}[{index}]"), violations);
        }
    }
    let key = |item: &Value| match (
        schema.x_kubernetes_list_type.as_deref(),
        &schema.x_kubernetes_list_map_keys,
    ) {
        (Some("set"), _) => Some(item.clone()),
        (Some("map"), Some(keys)) => Some(
            keys.iter()
                .map(|key| (key.clone(), item.get(key).cloned().unwrap_or_default()))
                .collect(),
        ),
        _ => None,
    };
    for (index, item) in items.iter().enumerate() {
        if let Some(this) = key(item)
            && items
                .iter()
                .take(index)
                .any(|earlier| key(earlier).as_ref() == Some(&this))
        {
            violations.push(Violation::new(
                &format!("{path}[{index}]"),
                format!("Duplicate value: {this}"),
            ));
        }
    }
}

fn string(schema: &JSONSchemaProps, text: &str, path: &str, violations: &mut Vec<Violation>) {
    let length = text.chars().count();
    if let Some(least) = schema
        .min_length
        .filter(|least| !exceeds(length, least - 1))
    {
        violations.push(Violation::new(
            path,
            format!(
                "Invalid value: \"{text}\": {path} in body should be at least {least} chars long"
            ),
        ));
    }
    if let Some(most) = schema.max_length.filter(|most| exceeds(length, *most)) {
        violations.push(Violation::new(
            path,
            format!("Too long: may not be more than {most} bytes"),
        ));
    }
}

fn exceeds(count: usize, most: i64) -> bool {
    i64::try_from(count).is_ok_and(|count| count > most)
}

fn has_type(value: &Value, type_: &str) -> bool {
    match type_ {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => value.is_number(),
    }
}

/// What was wanted and what was found, in the API server's words: it names the format of an integer only before a fraction.
fn wrong_type<'a>(
    schema: &'a JSONSchemaProps,
    type_: &'a str,
    value: &Value,
) -> (&'a str, &'static str) {
    match &schema.format {
        Some(format) if value.is_f64() => (format, "float64"),
        _ => (type_, type_name(value)),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Null => "null",
    }
}
