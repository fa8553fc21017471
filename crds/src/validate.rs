//! Says offline what the API server would say about a manifest: schema first, then, when that is clean, the CEL rules.
//!
//! The schema walk follows the API server's own order and wording (apiextensions-apiserver 1.36), so that a sentence seen in a pull request
//! is the one seen at apply time; the test data in `tests/data/invalid.yaml` is run against both. Not checked here: whatever needs another
//! object, and what the operator alone can tell (expressions, filters, attribute names).

mod structure;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube::core::cel::{CompiledSchema, ValidationErrors, Validator, compile_schema};
use regex::Regex;
use serde_json::Value;

use self::structure::structure;
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
        Self {
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
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

/// The manifest as `kubectl` sends it: without the members that are null. Read a manifest into the Rust types after this.
pub fn without_nulls(manifest: Value) -> Value {
    match manifest {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| (name, without_nulls(member)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        scalar => scalar,
    }
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
    let text = |field: &str| {
        manifest
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let api_version = format!("{GROUP}/{VERSION}");
    if text("apiVersion") != api_version {
        return vec![Violation::new(
            "apiVersion",
            format!("must be '{api_version}'"),
        )];
    }
    let Some(kind) = KINDS.get(text("kind")) else {
        let known = KINDS
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("', '");
        return vec![Violation::new("kind", format!("must be one of '{known}'"))];
    };
    let mut violations = metadata(manifest);
    let body = spec_only(manifest);
    structure(&kind.schema, &body, "", &mut violations);
    if violations.is_empty() {
        let rules =
            Validator::new().validate_compiled(&kind.rules, &body, stored.map(spec_only).as_ref());
        let broken = rules
            .err()
            .map(ValidationErrors::into_vec)
            .unwrap_or_default();
        violations.extend(broken.into_iter().map(|broken| Violation {
            path: broken.field_path,
            message: broken.message,
        }));
    }
    violations
}

/// The manifest without what the schema does not describe, so that an unknown field at the top is found too.
fn spec_only(manifest: &Value) -> Value {
    let mut body = without_nulls(manifest.clone());
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !matches!(name.as_str(), "apiVersion" | "kind" | "status"));
    }
    body
}

fn metadata(manifest: &Value) -> Vec<Violation> {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$").ok()
    });
    let Some(name) = manifest.pointer("/metadata/name").and_then(Value::as_str) else {
        return vec![Violation::new(
            "metadata.name",
            "Required value: name or generateName is required",
        )];
    };
    if NAME.as_ref().is_some_and(|pattern| pattern.is_match(name)) {
        return Vec::new();
    }
    let rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
    vec![Violation::new(
        "metadata.name",
        format!("Invalid value: \"{name}\": {rule}"),
    )]
}
