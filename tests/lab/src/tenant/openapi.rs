//! Microsoft's description of the served part of Graph v1.0, as the judge over requests and our own answers.
//!
//! In: `data/graph-openapi.yaml` (provenance in its header). Answers which operation a URL names, which query options and
//! body properties it takes, which permissions reach it, and what a success must look like.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::answer::Answer;

const DESCRIPTION: &str = include_str!("../../data/graph-openapi.yaml");

/// The description that is compiled in cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SpecificationError {
    #[error("reading the Graph description that is compiled into the lab")]
    Yaml(#[from] serde_yaml::Error),
    #[error("the Graph description has no {0}; cut it again")]
    Missing(&'static str),
}

/// One method on one path template.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: String,
    pub(super) template: String,
    pub(super) options: BTreeSet<String>,
    pub(super) permissions: Vec<String>,
    success: Vec<u16>,
    request: Option<String>,
    response: Option<Shape>,
}

#[derive(Debug)]
enum Shape {
    One(String),
    Many(String),
}

/// The properties of a type with their JSON types (`string`, `boolean`, `integer`, `array`, `object`).
type Schema = BTreeMap<String, String>;

#[derive(Debug)]
pub(super) struct Specification {
    pub(super) operations: Vec<Operation>,
    schemas: BTreeMap<String, Schema>,
}

impl Specification {
    /// The description, read once in a process.
    pub(super) fn shared() -> Result<Arc<Self>, SpecificationError> {
        static READ: OnceLock<Arc<Specification>> = OnceLock::new();
        if let Some(read) = READ.get() {
            return Ok(Arc::clone(read));
        }
        let read = Arc::new(Self::load()?);
        Ok(Arc::clone(READ.get_or_init(|| read)))
    }

    fn load() -> Result<Self, SpecificationError> {
        let document: Value = serde_yaml::from_str(DESCRIPTION)?;
        let types = document
            .pointer("/components/schemas")
            .and_then(Value::as_object);
        let types = types.ok_or(SpecificationError::Missing("schemas"))?;
        let schemas = types
            .iter()
            .map(|(name, schema)| (name.clone(), flatten(schema, types)))
            .collect();
        let paths = document
            .get("paths")
            .and_then(Value::as_object)
            .ok_or(SpecificationError::Missing("paths"))?;
        let mut operations = Vec::new();
        for (template, methods) in paths {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                if operation.is_object() {
                    operations.push(Operation::read(method, template, operation));
                }
            }
        }
        Ok(Self {
            operations,
            schemas,
        })
    }

    /// The operation that a method and the segments of a path name, with the path's parameters.
    pub(super) fn find(
        &self,
        method: &str,
        segments: &[String],
    ) -> Option<(&Operation, Vec<String>)> {
        let matching = self
            .operations
            .iter()
            .filter(|operation| operation.method == method);
        // Literal segments win over parameters: `deletedItems/microsoft.graph.user` is no item.
        let mut found: Vec<_> = matching
            .filter_map(|operation| {
                bind(&operation.template, segments).map(|bound| (operation, bound))
            })
            .collect();
        found.sort_by_key(|(_, bound)| bound.len());
        found.into_iter().next()
    }

    pub(super) fn has_property(&self, schema: &str, property: &str) -> bool {
        property.starts_with("extension_")
            || self
                .schemas
                .get(&format!("microsoft.graph.{schema}"))
                .is_some_and(|known| known.contains_key(property))
    }

    /// What is wrong with a request body: an unknown property, or a value of another type.
    pub(super) fn check_request(
        &self,
        operation: &Operation,
        body: Option<&Value>,
    ) -> Result<(), Wrong> {
        let Some(schema) = operation
            .request
            .as_ref()
            .and_then(|name| self.schemas.get(name))
        else {
            return Ok(());
        };
        let Some(body) = body.and_then(Value::as_object) else {
            return Err(Wrong::Malformed(
                "a JSON object is needed as body".to_owned(),
            ));
        };
        for (name, value) in body {
            let property = name.strip_suffix("@odata.bind").unwrap_or(name);
            if name == "@odata.type" || name.starts_with("extension_") {
                continue;
            }
            match schema.get(property) {
                None => {
                    return Err(Wrong::Unknown(format!(
                        "property {name} is not in the description"
                    )));
                }
                Some(_) if property != name => {}
                Some(wanted) if value.is_null() || wanted == json_type(value) => {}
                Some(wanted) => {
                    return Err(Wrong::Malformed(format!(
                        "property {name} must be of type {wanted}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// What is wrong with one of our own answers.
    pub(super) fn check_answer(
        &self,
        operation: &Operation,
        answer: &Answer,
    ) -> Result<(), String> {
        if !answer.is_success() {
            return Ok(());
        }
        if !operation.success.contains(&answer.status) {
            return Err(format!("status {} is not documented", answer.status));
        }
        match (&operation.response, &answer.body) {
            (Some(Shape::One(name)), Some(body)) => self.check_entity(name, body),
            (Some(Shape::Many(name)), Some(body)) => {
                let values = body
                    .get("value")
                    .and_then(Value::as_array)
                    .ok_or("a collection without value")?;
                values
                    .iter()
                    .try_for_each(|value| self.check_entity(name, value))
            }
            _ => Ok(()),
        }
    }

    fn check_entity(&self, declared: &str, value: &Value) -> Result<(), String> {
        let value = value.as_object().ok_or("an entity that is no object")?;
        let stated = value
            .get("@odata.type")
            .and_then(Value::as_str)
            .map(|name| name.trim_start_matches('#'));
        let Some(schema) = self.schemas.get(stated.unwrap_or(declared)) else {
            return Ok(());
        };
        let known = |name: &str| {
            let name = name.strip_suffix("@delta").unwrap_or(name);
            name.starts_with('@') || name.starts_with("extension_") || schema.contains_key(name)
        };
        match value.keys().find(|name| !known(name)) {
            Some(name) => Err(format!(
                "property {name} is not in the description of {declared}"
            )),
            None => Ok(()),
        }
    }
}

/// What is wrong with a request body.
#[derive(Debug)]
pub(super) enum Wrong {
    /// Not in the description: the run fails.
    Unknown(String),
    /// The service answers 400.
    Malformed(String),
}

impl Operation {
    fn read(method: &str, template: &str, operation: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let list = |value: Option<&Value>| -> Vec<String> {
            value
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(text)
                .collect()
        };
        let parameters = operation
            .get("parameters")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let success = operation
            .get("x-documented-success")
            .and_then(Value::as_str)
            .unwrap_or("200");
        let body = "/content/application~1json/schema";
        let request = operation.pointer(&format!("/requestBody{body}/$ref"));
        let one = operation.pointer(&format!("/responses/2XX{body}/$ref"));
        let many = operation.pointer(&format!("/responses/2XX{body}/x-collection-of"));
        Self {
            method: method.to_uppercase(),
            template: template.to_owned(),
            options: parameters
                .filter_map(|parameter| parameter.get("name").and_then(text))
                .collect(),
            permissions: list(operation.get("x-permissions")),
            success: success
                .split('|')
                .filter_map(|status| status.parse().ok())
                .collect(),
            request: request.and_then(reference),
            response: one
                .and_then(reference)
                .map(Shape::One)
                .or_else(|| many.and_then(reference).map(Shape::Many)),
        }
    }
}

fn reference(value: &Value) -> Option<String> {
    value
        .as_str()
        .and_then(|path| path.rsplit('/').next())
        .map(str::to_owned)
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn flatten(schema: &Value, types: &serde_json::Map<String, Value>) -> Schema {
    let mut flat = Schema::new();
    for part in schema
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        flat.extend(flatten(part, types));
    }
    if let Some(base) = schema
        .get("$ref")
        .and_then(reference)
        .and_then(|name| types.get(&name))
    {
        flat.extend(flatten(base, types));
    }
    for (name, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let kind = property
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("object");
        flat.insert(name.clone(), kind.to_owned());
    }
    flat
}

/// Binds the parameters of a template such as `/users/{user-id}` or `/groups(uniqueName='{uniqueName}')`.
fn bind(template: &str, segments: &[String]) -> Option<Vec<String>> {
    let parts: Vec<&str> = template.split('/').skip(1).collect();
    if parts.len() != segments.len() {
        return None;
    }
    let mut bound = Vec::new();
    for (part, segment) in parts.into_iter().zip(segments) {
        match part
            .split_once('{')
            .and_then(|(prefix, rest)| rest.split_once('}').map(|(_, suffix)| (prefix, suffix)))
        {
            None if part == segment => {}
            None => return None,
            Some((prefix, suffix)) => {
                let value = segment.strip_prefix(prefix)?.strip_suffix(suffix)?;
                bound.push(if prefix.ends_with('\'') {
                    value.replace("''", "'")
                } else {
                    value.to_owned()
                });
            }
        }
    }
    Some(bound)
}
