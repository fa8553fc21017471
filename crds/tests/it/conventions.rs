//! Walks every schema for the shapes that the API server was seen to need (design section 2).

use serde_json::{Value, json};

fn definitions() -> Vec<Value> {
    plumbline_crds::all()
        .iter()
        .map(|definition| serde_json::to_value(definition).unwrap())
        .collect()
}

/// Every schema below the root of every kind, with its path.
fn schemas() -> Vec<(String, Value)> {
    fn walk(path: &str, schema: &Value, found: &mut Vec<(String, Value)>) {
        found.push((path.to_owned(), schema.clone()));
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property, found);
        }
        for (suffix, key) in [("[]", "items"), ("{}", "additionalProperties")] {
            if let Some(below) = schema.get(key) {
                walk(&format!("{path}{suffix}"), below, found);
            }
        }
    }
    let mut found = Vec::new();
    for definition in definitions() {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        walk(
            kind,
            &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
            &mut found,
        );
    }
    assert!(
        found.len() > 150,
        "the walk found only {} schemas",
        found.len()
    );
    found
}

/// The sentence that every failing schema breaks.
fn assert_every(sentence: &str, holds: impl Fn(&str, &Value) -> bool) {
    let broken: Vec<_> = schemas()
        .into_iter()
        .filter(|(path, schema)| !holds(path, schema))
        .map(|(path, _)| path)
        .collect();
    assert!(broken.is_empty(), "{sentence}; not so: {broken:#?}");
}

fn is(schema: &Value, type_: &str) -> bool {
    schema["type"] == type_
}

#[test]
fn every_string_list_map_and_integer_is_bounded() {
    assert_every("a string has maxLength, values or a format", |_, schema| {
        !is(schema, "string")
            || ["maxLength", "enum", "format"]
                .iter()
                .any(|bound| schema.get(bound).is_some())
            || schema["pattern"].is_string()
    });
    assert_every("a list has maxItems", |_, schema| {
        !is(schema, "array") || schema["maxItems"].is_u64()
    });
    assert_every("a map has maxProperties", |_, schema| {
        schema.get("additionalProperties").is_none() || schema["maxProperties"].is_u64()
    });
    assert_every(
        "an integer has a minimum, in spec also a maximum, and is signed",
        |path, schema| {
            let bounded = schema["minimum"].is_number()
                && (path.contains(".status") || schema["maximum"].is_number());
            !is(schema, "integer")
                || (bounded && matches!(schema["format"].as_str(), Some("int32" | "int64")))
        },
    );
    assert_every("no number has a fraction", |_, schema| {
        !is(schema, "number")
    });
}

#[test]
fn every_list_says_how_it_is_merged() {
    assert_every(
        "a list has a list-type, a list-map its keys, which are required",
        |_, schema| {
            !is(schema, "array")
                || match schema["x-kubernetes-list-type"].as_str() {
                    Some("atomic" | "set") => true,
                    Some("map") => {
                        let required = schema["items"]["required"]
                            .as_array()
                            .cloned()
                            .unwrap_or_default();
                        let keys = schema["x-kubernetes-list-map-keys"]
                            .as_array()
                            .cloned()
                            .unwrap_or_default();
                        !keys.is_empty() && keys.iter().all(|key| required.contains(key))
                    }
                    _ => false,
                }
        },
    );
}

#[test]
fn no_schema_uses_what_the_api_server_answers_unreadably() {
    assert_every(
        "no nullable, no alternatives, no free form, no title",
        |_, schema| {
            let unwanted = [
                "nullable",
                "oneOf",
                "anyOf",
                "allOf",
                "not",
                "x-kubernetes-preserve-unknown-fields",
                "title",
            ];
            unwanted.iter().all(|key| schema.get(key).is_none())
        },
    );
    assert_every("no null among the values", |_, schema| {
        schema["enum"]
            .as_array()
            .is_none_or(|values| values.iter().all(Value::is_string))
    });
}

#[test]
fn an_optional_object_with_defaults_inside_has_the_same_defaults_itself() {
    assert_every(
        "an optional object has a default that says what its members default to",
        |path, schema| {
            if !path.contains(".spec") {
                return true;
            }
            let required: Vec<_> = schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .all(|(name, property)| {
                    let members = property["properties"].as_object().into_iter().flatten();
                    let inside: serde_json::Map<_, _> = members
                        .filter_map(|(name, member)| {
                            Some((name.clone(), member.get("default")?.clone()))
                        })
                        .collect();
                    // Where a member is required, an object of defaults alone would be invalid.
                    let whole = property
                        .get("required")
                        .is_some_and(|required| !required.as_array().unwrap().is_empty());
                    required.contains(&name.as_str())
                        || inside.is_empty()
                        || whole
                        || property.get("default") == Some(&Value::Object(inside))
                })
        },
    );
}

#[test]
fn every_rule_has_a_message_and_every_field_a_description() {
    assert_every(
        "a rule has a message that says what must be",
        |_, schema| {
            schema["x-kubernetes-validations"]
                .as_array()
                .into_iter()
                .flatten()
                .all(|rule| {
                    let message = rule["message"].as_str().unwrap_or_default();
                    ["must", "may not", "immutable"]
                        .iter()
                        .any(|word| message.contains(word))
                        && !message.ends_with('.')
                })
        },
    );
    assert_every(
        "a field has a description that ends as a sentence",
        |path, schema| {
            let inner = path.ends_with("[]") || path.ends_with("{}");
            inner
                || schema["description"]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.') && !text.contains('\n'))
        },
    );
}

#[test]
fn a_default_in_a_description_is_the_default_of_the_schema() {
    assert_every("a described default is the real one", |_, schema| {
        let (Some(text), Some(default)) = (schema["description"].as_str(), schema.get("default"))
        else {
            return true;
        };
        let default = default
            .as_str()
            .map_or_else(|| default.to_string(), str::to_owned);
        !default.starts_with(|first: char| first.is_alphanumeric())
            || text.contains(&format!("`{default}` (default"))
            || text.contains(&format!("Default: `{default}`"))
            || text.contains(&format!("Default: {default};"))
    });
}

#[test]
fn every_status_starts_as_never_observed_and_has_canonical_conditions() {
    for definition in definitions() {
        let version = &definition["spec"]["versions"][0];
        let status = &version["schema"]["openAPIV3Schema"]["properties"]["status"];
        assert_eq!(status["default"], json!({"observedGeneration": -1}));
        assert_eq!(
            status["properties"]["observedGeneration"]["minimum"],
            json!(-1.0)
        );
        let conditions = &status["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
        let item = &conditions["items"]["properties"];
        assert_eq!(item["status"]["enum"], json!(["True", "False", "Unknown"]));
        assert_eq!(item["message"]["maxLength"], json!(32768));
        assert_eq!(
            (&item["reason"]["minLength"], &item["reason"]["maxLength"]),
            (&json!(1), &json!(1024))
        );
        assert_eq!(item["type"]["maxLength"], json!(316));
        assert_eq!(version["subresources"], json!({"status": {}}));
    }
}

#[test]
fn the_names_and_columns_are_those_of_the_design() {
    let columns = |definition: &Value| {
        let columns = definition["spec"]["versions"][0]["additionalPrinterColumns"]
            .as_array()
            .unwrap()
            .clone();
        let shown = columns.iter().map(|column| {
            let mark = if column["priority"] == 1 { "*" } else { "" };
            format!("{}{mark}", column["name"].as_str().unwrap().to_uppercase())
        });
        shown.collect::<Vec<_>>().join(" ")
    };
    let described: Vec<_> = definitions()
        .iter()
        .map(|definition| {
            assert_eq!(
                definition["spec"]["names"]["categories"],
                json!(["plumbline"])
            );
            assert_eq!(
                (&definition["spec"]["group"], &definition["spec"]["scope"]),
                (&json!("plumbline.dev"), &json!("Namespaced"))
            );
            assert_eq!(
                definition["metadata"]["labels"]["app.kubernetes.io/part-of"],
                "plumbline"
            );
            let selectable = &definition["spec"]["versions"][0]["selectableFields"][0]["jsonPath"];
            format!(
                "{} {}: {} [{}]",
                definition["spec"]["names"]["kind"].as_str().unwrap(),
                definition["spec"]["names"]["shortNames"][0]
                    .as_str()
                    .unwrap(),
                columns(definition),
                selectable.as_str().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        described,
        [
            "DirectoryConnector dirconn: TYPE SERVER* USERS GROUPS READY REASON READ AGE MESSAGE* []",
            "CloudTenant ctenant: TENANT CLOUD* READY REASON AGE MESSAGE* []",
            "SyncScope scope: CONNECTOR USERS GROUPS READY REASON AGE MESSAGE* [.spec.connectorRef.name]",
            "DirectorySync dsync: READY REASON MODE USERS GROUPS HELD QUARANTINED CHANGED SYNCED* AGE* MESSAGE* [.spec.tenantRef.name]",
        ]
    );
}

#[test]
fn every_column_shows_a_field_that_exists() {
    let known: Vec<_> = schemas().into_iter().map(|(path, _)| path).collect();
    for definition in definitions() {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        for column in definition["spec"]["versions"][0]["additionalPrinterColumns"]
            .as_array()
            .unwrap()
        {
            let path = column["jsonPath"]
                .as_str()
                .unwrap()
                .replace("[?(@.type=='Ready')]", "[]");
            assert!(
                path.starts_with(".metadata.") || known.contains(&format!("{kind}{path}")),
                "{kind}{path} does not exist"
            );
        }
    }
}
