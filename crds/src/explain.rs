//! The reference pages in `docs/reference`, one a kind, from the same schemas as the CustomResourceDefinitions.
//!
//! A page has one table for each object of the schema: field, type, default, limits (bounds and the sentences of the CEL rules) and
//! meaning. Conditions are described once in words and not field by field.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::schema;

/// File name (`<kind in lower case>.md`) and text of each page, byte for byte as committed in `docs/reference`.
pub fn pages() -> Vec<(String, String)> {
    schema::all()
        .iter()
        .map(|definition| {
            (
                format!(
                    "{}.md",
                    definition
                        .spec
                        .names
                        .singular
                        .as_deref()
                        .unwrap_or_default()
                ),
                page(definition),
            )
        })
        .collect()
}

fn page(definition: &CustomResourceDefinition) -> String {
    let names = &definition.spec.names;
    let short = names
        .short_names
        .iter()
        .flatten()
        .next()
        .unwrap_or(&names.plural);
    let mut text = format!(
        "<!-- Generated from the Rust types in crds/src by `just crds`; do not edit. -->\n\n# {}\n\n",
        names.kind
    );
    for version in &definition.spec.versions {
        let Some(root) = version
            .schema
            .as_ref()
            .and_then(|schema| schema.open_api_v3_schema.as_ref())
        else {
            continue;
        };
        text += root.description.as_deref().unwrap_or_default();
        let columns = version.additional_printer_columns.iter().flatten();
        let columns = columns.filter(|column| column.priority.unwrap_or_default() == 0);
        let columns = columns
            .map(|column| column.name.to_uppercase())
            .collect::<Vec<_>>()
            .join(" ");
        let group = &definition.spec.group;
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n\n`apiVersion: {group}/{}`. `kubectl get {short}` shows NAME {columns}; `-o wide` adds the rest.\n",
            version.name
        );
        for rule in rules(root) {
            let _ = writeln!(text, "\n{}.", capital(&rule));
        }
        for (name, part) in root.properties.iter().flatten() {
            section(&mut text, 2, name, part);
        }
    }
    text
}

/// The table of one object, then those of the objects below it.
fn section(text: &mut String, depth: usize, path: &str, schema: &JSONSchemaProps) {
    let Some(properties) = &schema.properties else {
        return;
    };
    let _ = write!(text, "\n{} {path}\n\n", "#".repeat(depth.min(3)));
    if let Some(description) = schema.description.as_deref().filter(|_| depth == 2) {
        let _ = write!(text, "{description}\n\n");
    }
    for rule in rules(schema) {
        let _ = write!(text, "{}.\n\n", capital(&rule));
    }
    text.push_str(
        "| field | type | default | limits | meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for (name, property) in properties {
        let required = schema
            .required
            .iter()
            .flatten()
            .any(|required| required == name);
        let default = property
            .default
            .as_ref()
            .map(|default| format!("`{}`", default.0))
            .unwrap_or_default();
        let cells = [
            format!("`{name}`"),
            type_name(property),
            if required {
                "required".to_owned()
            } else {
                default
            },
            limits(property).join("; "),
            property.description.clone().unwrap_or_default(),
        ];
        let cells = cells.map(|cell| escaped(&cell));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    for (name, property) in properties
        .iter()
        .filter(|(name, _)| name.as_str() != "conditions")
    {
        let path = format!("{path}.{name}");
        section(text, depth + 1, &path, property);
        if let Some(item) = item(property) {
            section(text, depth + 1, &format!("{path}[]"), item);
        }
    }
}

fn item(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => Some(item),
        _ => None,
    }
}

fn type_name(schema: &JSONSchemaProps) -> String {
    let name = match schema.type_.as_deref() {
        Some("array") => {
            return format!(
                "{} of {}",
                list_name(schema),
                item(schema).map(type_name).unwrap_or_default()
            );
        }
        Some("object")
            if matches!(
                schema.additional_properties,
                Some(JSONSchemaPropsOrBool::Schema(_))
            ) =>
        {
            "map of string to string"
        }
        Some("string") if schema.format.as_deref() == Some("date-time") => "time",
        Some("string") if schema.enum_.is_some() => "one of",
        Some(name) => name,
        None => "object",
    };
    let values = schema
        .enum_
        .iter()
        .flatten()
        .filter_map(|value| value.0.as_str());
    let values = values
        .map(|value| format!("`{value}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if values.is_empty() {
        name.to_owned()
    } else {
        format!("{name} {values}")
    }
}

fn list_name(schema: &JSONSchemaProps) -> String {
    match (
        schema.x_kubernetes_list_type.as_deref(),
        &schema.x_kubernetes_list_map_keys,
    ) {
        (Some("set"), _) => "set".to_owned(),
        (Some("map"), Some(keys)) => format!("list, by `{}`,", keys.join("`, `")),
        _ => "list".to_owned(),
    }
}

/// The bounds of a field and the sentences of its rules.
fn limits(schema: &JSONSchemaProps) -> Vec<String> {
    let whole = |bound: Option<f64>| bound.map(|bound| bound.to_string());
    let count = |bound: Option<i64>| bound.map(|bound| bound.to_string());
    let mut limits: Vec<String> = [
        range(whole(schema.minimum), whole(schema.maximum), ""),
        range(
            count(schema.min_length),
            count(schema.max_length),
            " characters",
        ),
        range(count(schema.min_items), count(schema.max_items), " items"),
        range(
            count(schema.min_properties),
            count(schema.max_properties),
            " entries",
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    let values = match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => Some(&**values),
        _ => item(schema),
    };
    if let Some(values) = values.filter(|values| values.properties.is_none()) {
        limits.extend(
            self::limits(values)
                .into_iter()
                .map(|limit| format!("each {limit}")),
        );
    }
    if schema.properties.is_none() {
        limits.extend(rules(schema));
    }
    limits
}

fn range(least: Option<String>, most: Option<String>, unit: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (None, None) => None,
    }
}

fn rules(schema: &JSONSchemaProps) -> Vec<String> {
    schema
        .x_kubernetes_validations
        .iter()
        .flatten()
        .filter_map(|rule| rule.message.clone())
        .collect()
}

/// Text that may stand in a cell: no line breaks, no `|`, and no `<` outside of code.
fn escaped(cell: &str) -> String {
    let outside = |(index, part): (usize, &str)| {
        if index % 2 == 0 {
            part.replace('<', "\\<")
        } else {
            part.to_owned()
        }
    };
    let spans = cell.split('`').enumerate().map(outside).collect::<Vec<_>>();
    spans.join("`").replace('|', "\\|").replace("\n\n", "<br>")
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
