//! What is committed is what the types give.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

fn assert_committed(folder: &str, files: &[(String, String)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    for (name, text) in files {
        let committed = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            committed == *text,
            "{name} is not what the types in crds/src give; run `just crds` (cargo run -p plumbline-crds --example generate)"
        );
    }
}

#[test]
fn the_committed_yaml_is_what_the_types_give() {
    let files = plumbline_crds::yaml().unwrap();
    assert_committed(".", &files);
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "plumbline.dev_directoryconnectors.yaml",
            "plumbline.dev_cloudtenants.yaml",
            "plumbline.dev_syncscopes.yaml",
            "plumbline.dev_directorysyncs.yaml"
        ]
    );
}

#[test]
fn the_committed_reference_pages_are_what_the_types_give() {
    assert_committed("../docs/reference", &plumbline_crds::explain::pages());
}

#[test]
fn the_yaml_reads_back_as_the_definition_it_came_from() {
    for ((name, text), definition) in plumbline_crds::yaml()
        .unwrap()
        .into_iter()
        .zip(plumbline_crds::all())
    {
        let read: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        let read: CustomResourceDefinition = serde_json::from_value(read).unwrap();
        assert_eq!(read, definition, "{name}");
    }
}

#[test]
fn every_field_of_the_spec_has_a_row_on_its_page() {
    for ((name, page), definition) in plumbline_crds::explain::pages()
        .into_iter()
        .zip(plumbline_crds::all())
    {
        let definition = serde_json::to_value(definition).unwrap();
        let mut below = vec![(
            "spec".to_owned(),
            definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
                .clone(),
        )];
        while let Some((path, schema)) = below.pop() {
            let section = page
                .split(&format!("# {path}\n"))
                .nth(1)
                .and_then(|rest| rest.split("\n#").next())
                .unwrap_or_default();
            for (field, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(
                    section.contains(&format!("\n| `{field}` | ")),
                    "{name}: {path}.{field} has no row"
                );
                for (path, part) in [
                    (format!("{path}.{field}"), property),
                    (format!("{path}.{field}[]"), &property["items"]),
                ] {
                    if part["properties"].is_object() {
                        below.push((path, part.clone()));
                    }
                }
            }
        }
    }
}
