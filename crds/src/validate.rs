//! Says offline what the API server would say about a manifest: schema first, then, when that is clean, the CEL rules.
//!
//! The schema walk follows the API server's own order and wording (apiextensions-apiserver 1.36), so that a sentence seen in a pull request
//! is the one seen at apply time; the test data in `tests/data/invalid.yaml` is run against both. Not checked here: whatever needs another
//! object, and what the operator alone can tell (expressions, filters, attribute names).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::core::cel::{CompiledSchema, ValidationErrors, Validator, compile_schema};
use regex::Regex;
use serde_json::Value;

use crate::{GROUP, VERSION, schema};

/// One thing that is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field, as in `spec.include[0].group`; empty for the manifest as a whole.
    pub path: String,
    /// What is wrong and what is right, in the words of the API server.
    pub message: String,
}

impl Violation {
    fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

/// What is wrong with a manifest of one of our kinds that is to be created; empty when the API server would accept it.
///
/// `manifest` is the whole object, `apiVersion` and `kind` included. `status` is ignored, as the API server does on create.
pub fn validate(manifest: &Value) -> Vec<Violation> {
    check(manifest, None)
}

/// The same for a manifest that takes the place of `stored`: rules about immutable fields apply too.
pub fn validate_update(manifest: &Value, stored: &Value) -> Vec<Violation> {
    check(manifest, Some(stored))
}

struct Kind {
    schema: JSONSchemaProps,
    rules: CompiledSchema,
}

static KINDS: LazyLock<BTreeMap<String, Kind>> = LazyLock::new(|| {
    let definitions = schema::all().into_iter().filter_map(|definition| {
        let version = definition.spec.versions.into_iter().next()?;
        let mut schema = version.schema?.open_api_v3_schema?;
        if let Some(properties) = &mut schema.properties {
            properties.remove("status");
        }
        let rules = compile_schema(&serde_json::to_value(&schema).ok()?);
        Some((definition.spec.names.kind, Kind { schema, rules }))
    });
    definitions.collect()
});

fn check(manifest: &Value, stored: Option<&Value>) -> Vec<Violation> {
    let text = |field: &str| manifest.get(field).and_then(Value::as_str).unwrap_or_default();
    let api_version = format!("{GROUP}/{VERSION}");
    if text("apiVersion") != api_version {
        return vec![Violation::new("apiVersion", format!("must be '{api_version}'"))];
    }
    let Some(kind) = KINDS.get(text("kind")) else {
        let known = KINDS.keys().map(String::as_str).collect::<Vec<_>>().join("', '");
        return vec![Violation::new("kind", format!("must be one of '{known}'"))];
    };
    let mut violations = metadata(manifest);
    let body = spec_only(manifest);
    structure(&kind.schema, &body, "", &mut violations);
    if violations.is_empty() {
        let rules = Validator::new().validate_compiled(&kind.rules, &body, stored.map(spec_only).as_ref());
        let broken = rules.err().map(ValidationErrors::into_vec).unwrap_or_default();
        violations.extend(broken.into_iter().map(|broken| Violation { path: broken.field_path, message: broken.message }));
    }
    violations
}

/// The manifest without what the schema does not describe, so that an unknown field at the top is found too.
fn spec_only(manifest: &Value) -> Value {
    let mut body = manifest.clone();
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !matches!(name.as_str(), "apiVersion" | "kind" | "status"));
    }
    body
}

fn metadata(manifest: &Value) -> Vec<Violation> {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$").ok());
    let Some(name) = manifest.pointer("/metadata/name").and_then(Value::as_str) else {
        return vec![Violation::new("metadata.name", "Required value: name or generateName is required")];
    };
    if NAME.as_ref().is_some_and(|pattern| pattern.is_match(name)) {
        return Vec::new();
    }
    let rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
    vec![Violation::new("metadata.name", format!("Invalid value: \"{name}\": {rule}"))]
}

/// Types, unknown and required fields, enums, bounds and duplicates of `value` and all below it.
fn structure(schema: &JSONSchemaProps, value: &Value, path: &str, violations: &mut Vec<Violation>) {
    let type_ = schema.type_.as_deref().unwrap_or("object");
    if !has_type(value, type_) {
        let found = type_name(value);
        violations.push(Violation::new(path, format!("Invalid value: \"{found}\": {path} in body must be of type {type_}: \"{found}\"")));
        return;
    }
    if let Some(allowed) = &schema.enum_
        && !allowed.iter().any(|one| one.0 == *value)
    {
        let supported = allowed.iter().map(|one| one.0.to_string()).collect::<Vec<_>>().join(", ");
        violations.push(Violation::new(path, format!("Unsupported value: {value}: supported values: {supported}")));
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

fn object(schema: &JSONSchemaProps, members: &serde_json::Map<String, Value>, path: &str, violations: &mut Vec<Violation>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for required in schema.required.iter().flatten().filter(|required| !members.contains_key(*required)) {
        violations.push(Violation::new(&below(required), "Required value"));
    }
    if let Some(most) = schema.max_properties.filter(|most| exceeds(members.len(), *most)) {
        violations.push(Violation::new(path, format!("Too many: {}: must have at most {most} items", members.len())));
    }
    for (name, member) in members {
        match (schema.properties.as_ref().and_then(|properties| properties.get(name)), &schema.additional_properties) {
            // The API server drops a null where there is a default, and refuses it elsewhere.
            (Some(property), _) if member.is_null() && property.default.is_some() => {}
            (Some(property), _) => structure(property, member, &below(name), violations),
            (None, Some(JSONSchemaPropsOrBool::Schema(values))) => structure(values, member, &below(name), violations),
            (None, _) if below(name) == "metadata" => {}
            (None, _) => violations.push(Violation::new("", format!("unknown field \"{}\"", below(name)))),
        }
    }
}

fn array(schema: &JSONSchemaProps, items: &[Value], path: &str, violations: &mut Vec<Violation>) {
    if let Some(least) = schema.min_items.filter(|least| !exceeds(items.len(), least - 1)) {
        violations.push(Violation::new(path, format!("Invalid value: {}: {path} in body should have at least {least} items", items.len())));
    }
    if let Some(most) = schema.max_items.filter(|most| exceeds(items.len(), *most)) {
        violations.push(Violation::new(path, format!("Too many: {}: must have at most {most} items", items.len())));
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
        for (index, value) in items.iter().enumerate() {
            structure(item, value, &format!("{path}[{index}]"), violations);
        }
    }
    let key = |item: &Value| match (schema.x_kubernetes_list_type.as_deref(), &schema.x_kubernetes_list_map_keys) {
        (Some("set"), _) => Some(item.clone()),
        (Some("map"), Some(keys)) => Some(keys.iter().map(|key| (key.clone(), item.get(key).cloned().unwrap_or_default())).collect()),
        _ => None,
    };
    for (index, item) in items.iter().enumerate() {
        if let Some(this) = key(item)
            && items.iter().take(index).any(|earlier| key(earlier).as_ref() == Some(&this))
        {
            violations.push(Violation::new(&format!("{path}[{index}]"), format!("Duplicate value: {this}")));
        }
    }
}

fn string(schema: &JSONSchemaProps, text: &str, path: &str, violations: &mut Vec<Violation>) {
    let length = text.chars().count();
    if let Some(least) = schema.min_length.filter(|least| !exceeds(length, least - 1)) {
        violations.push(Violation::new(path, format!("Invalid value: \"{text}\": {path} in body should be at least {least} chars long")));
    }
    if let Some(most) = schema.max_length.filter(|most| exceeds(length, *most)) {
        violations.push(Violation::new(path, format!("Too long: may not be more than {most} bytes")));
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
