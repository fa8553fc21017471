//! From the Rust types to the CustomResourceDefinitions as they are committed and installed.
//!
//! The derived schemas are put into the form that Kubernetes' own conventions ask for: no `nullable`, no `title`, the canonical schema of a
//! condition, `status` defaulting to `observedGeneration: -1` (else kstatus takes a resource that nobody has seen for finished),
//! labels. The output depends on the types alone: keys are sorted, whole numbers are printed as such.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::{CloudTenant, DirectoryConnector, DirectorySync, SyncScope};

const HEADER: &str = "# Generated from the Rust types in crds/src by `just crds`; do not edit.\n";

/// Why no YAML could be made; a fault of the types, not of any input.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The definition is no JSON.
    #[error("could not turn the definition of {kind} into JSON; please report this as a bug")]
    Json {
        /// The kind.
        kind: String,
        /// What serde_json says.
        #[source]
        source: serde_json::Error,
    },
    /// The definition is no YAML.
    #[error("could not turn the definition of {kind} into YAML; please report this as a bug")]
    Yaml {
        /// The kind.
        kind: String,
        /// What serde_yaml says.
        #[source]
        source: serde_yaml::Error,
    },
}

/// The definitions of all kinds, ready to be applied, in the order in which a reader meets them.
pub fn all() -> Vec<CustomResourceDefinition> {
    [
        DirectoryConnector::crd(),
        CloudTenant::crd(),
        SyncScope::crd(),
        DirectorySync::crd(),
    ]
    .map(finish)
    .into()
}

/// File name (`plumbline.dev_<plural>.yaml`) and text of each definition, byte for byte as committed in `crds/`.
pub fn yaml() -> Result<Vec<(String, String)>, GenerateError> {
    all()
        .into_iter()
        .map(|definition| {
            let kind = definition.spec.names.kind.clone();
            let name = format!(
                "{}_{}.yaml",
                definition.spec.group, definition.spec.names.plural
            );
            let value =
                serde_json::to_value(&definition).map_err(|source| GenerateError::Json {
                    kind: kind.clone(),
                    source,
                })?;
            let text = serde_yaml::to_string(&sorted(&value))
                .map_err(|source| GenerateError::Yaml { kind, source })?;
            Ok((name, format!("{HEADER}{text}")))
        })
        .collect()
}

fn finish(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let labels = definition.metadata.labels.get_or_insert_default();
    labels.insert("app.kubernetes.io/name".to_owned(), "plumbline".to_owned());
    labels.insert(
        "app.kubernetes.io/part-of".to_owned(),
        "plumbline".to_owned(),
    );
    labels.insert(
        "app.kubernetes.io/version".to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
    );
    for version in &mut definition.spec.versions {
        let Some(root) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        conventional(root);
        if let Some(status) = root
            .properties
            .as_mut()
            .and_then(|properties| properties.get_mut("status"))
        {
            status.default = Some(JSON(json!({"observedGeneration": -1})));
            if let Some(conditions) = status
                .properties
                .as_mut()
                .and_then(|properties| properties.get_mut("conditions"))
            {
                conditions.items = Some(JSONSchemaPropsOrArray::Schema(Box::new(condition())));
            }
        }
    }
    definition
}

/// Removes what structural schemas of Kubernetes should not carry, here and in all that lies below.
fn conventional(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.title = None;
    // An optional enum comes with null among its values.
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    if let Some(description) = &mut schema.description {
        *description = one_line_a_paragraph(description);
    }
    for property in schema.properties.iter_mut().flat_map(BTreeMap::values_mut) {
        conventional(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        conventional(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        conventional(values);
    }
}

/// Joins the lines of a doc comment, which break where the source breaks, and keeps its paragraphs.
fn one_line_a_paragraph(text: &str) -> String {
    text.split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// The schema of `metav1.Condition` as Kubernetes' own generator prints it; the one of k8s-openapi has no limits.
fn condition() -> JSONSchemaProps {
    let text = |description: &str| JSONSchemaProps {
        type_: Some("string".to_owned()),
        description: Some(description.to_owned()),
        ..JSONSchemaProps::default()
    };
    let properties = BTreeMap::from([
        (
            "lastTransitionTime".to_owned(),
            JSONSchemaProps { format: Some("date-time".to_owned()), ..text("When `status` last changed.") },
        ),
        (
            "message".to_owned(),
            JSONSchemaProps { max_length: Some(32768), ..text("One sentence for people, with the next step.") },
        ),
        (
            "observedGeneration".to_owned(),
            JSONSchemaProps {
                type_: Some("integer".to_owned()),
                format: Some("int64".to_owned()),
                minimum: Some(0.0),
                ..text("The `metadata.generation` that this condition is about.")
            },
        ),
        (
            "reason".to_owned(),
            JSONSchemaProps {
                min_length: Some(1),
                max_length: Some(1024),
                pattern: Some("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$".to_owned()),
                ..text("Why, in one word that alerts can match on.")
            },
        ),
        (
            "status".to_owned(),
            JSONSchemaProps {
                enum_: Some(["True", "False", "Unknown"].map(|value| JSON(json!(value))).into()),
                ..text("`True`, `False` or `Unknown`.")
            },
        ),
        (
            "type".to_owned(),
            JSONSchemaProps {
                max_length: Some(316),
                pattern: Some(
                    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
                        .to_owned(),
                ),
                ..text("`Ready`, `Reconciling` or `Stalled`.")
            },
        ),
    ]);
    JSONSchemaProps {
        type_: Some("object".to_owned()),
        required: Some(
            ["lastTransitionTime", "message", "reason", "status", "type"]
                .map(str::to_owned)
                .into(),
        ),
        properties: Some(properties),
        ..JSONSchemaProps::default()
    }
}

/// The same value with sorted keys, whatever the features of serde_json in this build, and whole numbers without a fraction.
fn sorted(value: &Value) -> serde_yaml::Value {
    match value {
        Value::Object(members) => {
            let ordered: BTreeMap<_, _> = members.iter().collect();
            ordered
                .into_iter()
                .map(|(key, member)| (serde_yaml::Value::from(key.as_str()), sorted(member)))
                .collect::<serde_yaml::Mapping>()
                .into()
        }
        Value::Array(items) => items.iter().map(sorted).collect::<Vec<_>>().into(),
        Value::String(text) => text.as_str().into(),
        Value::Bool(truth) => (*truth).into(),
        Value::Null => serde_yaml::Value::Null,
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the fraction is zero and the bounds are far below 2^53"
            )]
            (None, Some(float)) if float.fract() == 0.0 && float.abs() < 9e15 => {
                (float as i64).into()
            }
            (None, Some(float)) => float.into(),
            (None, None) => number.to_string().into(),
        },
    }
}
