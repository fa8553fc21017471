//! Manifests are judged offline as the API server judges them; the scenarios run the same pairs against a real one.

use plumbline_crds::{
    CloudTenant, DirectoryConnector, DirectorySync, SyncScope, validate, validate_update,
    without_nulls,
};
use serde_json::{Value, json};

use crate::pairs::{Pair, pairs};

fn verdict(pair: &Pair, manifest: &Value) -> Vec<String> {
    let violations = match &pair.stored {
        Some(stored) => validate_update(manifest, stored),
        None => validate(manifest),
    };
    violations.iter().map(ToString::to_string).collect()
}

#[test]
fn each_invalid_manifest_is_refused_with_its_sentence_and_its_twin_accepted() {
    let pairs = pairs();
    assert!(pairs.len() >= 45, "only {} pairs", pairs.len());
    for pair in &pairs {
        if let Some(stored) = &pair.stored {
            assert_eq!(validate(stored), [], "{}: the stored one", pair.name);
        }
        let refusal = verdict(pair, &pair.invalid);
        assert!(
            refusal
                .iter()
                .any(|violation| violation.contains(&pair.sentence)),
            "{}: {refusal:#?}",
            pair.name
        );
        assert_eq!(
            verdict(pair, &pair.valid),
            [""; 0],
            "{}: the valid twin",
            pair.name
        );
    }
}

#[test]
fn each_valid_twin_survives_the_rust_types_without_loss() {
    fn through<K: serde::Serialize + serde::de::DeserializeOwned>(manifest: &Value) -> Value {
        let typed: K = serde_json::from_value(manifest.clone()).unwrap();
        serde_json::to_value(typed).unwrap()
    }
    fn assert_contains(whole: &Value, part: &Value, path: &str) {
        match (whole, part) {
            (Value::Object(whole), Value::Object(part)) => {
                for (name, value) in part {
                    // Lists, maps and optional objects that are empty mean the same as absent ones.
                    let empty = value == &json!([]) || value == &json!({});
                    match whole.get(name) {
                        Some(present) => assert_contains(present, value, &format!("{path}.{name}")),
                        None => assert!(empty, "{path}.{name} was lost"),
                    }
                }
            }
            (Value::Array(whole), Value::Array(part)) => {
                assert_eq!(whole.len(), part.len(), "{path}");
                whole
                    .iter()
                    .zip(part)
                    .for_each(|(whole, part)| assert_contains(whole, part, path));
            }
            _ => assert_eq!(whole, part, "{path}"),
        }
    }
    for pair in pairs() {
        let read = match pair.valid["kind"].as_str() {
            Some("DirectoryConnector") => through::<DirectoryConnector>(&pair.valid),
            Some("CloudTenant") => through::<CloudTenant>(&pair.valid),
            Some("SyncScope") => through::<SyncScope>(&pair.valid),
            _ => through::<DirectorySync>(&pair.valid),
        };
        assert_contains(&read, &pair.valid, &pair.name);
        assert_eq!(validate(&read), [], "{}: as written by us", pair.name);
    }
}

#[test]
fn a_minimal_sync_plans_and_writes_nothing_and_its_owner_is_namespace_and_name() {
    let manifest = json!({
        "apiVersion": "plumbline.dev/v1alpha1",
        "kind": "DirectorySync",
        "metadata": {"name": "contoso", "namespace": "identity"},
        "spec": {"tenantRef": {"name": "contoso"}, "scopes": [{"name": "staff"}]},
    });
    let sync: DirectorySync = serde_json::from_value(manifest).unwrap();
    assert_eq!(sync.owner(), "identity.contoso");
    // The defaults of the Rust types, which the folder host uses, are those that the API server takes from the schema.
    let spec = serde_json::to_value(&sync.spec).unwrap();
    let schema = serde_json::to_value(&plumbline_crds::all()[3]).unwrap();
    let properties = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        ["properties"];
    for (field, property) in properties.as_object().unwrap() {
        if let Some(default) = property.get("default") {
            assert_eq!(&spec[field], default, "{field}");
        }
    }
    assert_eq!(
        (&spec["mode"], &spec["channel"]),
        (&json!("Plan"), &json!("Graph"))
    );
}

#[test]
fn a_null_is_as_good_as_an_absent_field() {
    let mut manifest = pairs().remove(0).valid;
    manifest["spec"]["anchor"] = Value::Null;
    manifest["spec"]["changes"] = Value::Null;
    assert_eq!(validate(&manifest), []);
    let read: DirectoryConnector = serde_json::from_value(without_nulls(manifest.clone())).unwrap();
    assert_eq!(read.spec.changes.interval, "30s".parse().unwrap());
    manifest["spec"]["bind"] = Value::Null;
    let refusal = validate(&manifest);
    assert_eq!(refusal.len(), 1);
    assert_eq!(refusal[0].path, "spec.bind");
}

#[test]
fn what_is_no_manifest_of_ours_is_refused_by_name() {
    for (manifest, path) in [
        (json!(null), "apiVersion"),
        (json!([1]), "apiVersion"),
        (
            json!({"apiVersion": "plumbline.dev/v1", "kind": "SyncScope"}),
            "apiVersion",
        ),
        (
            json!({"apiVersion": "plumbline.dev/v1alpha1", "kind": "SyncScopes"}),
            "kind",
        ),
        (
            json!({"apiVersion": "plumbline.dev/v1alpha1", "kind": "SyncScope"}),
            "metadata.name",
        ),
        (
            json!({"apiVersion": "plumbline.dev/v1alpha1", "kind": "SyncScope", "metadata": {"name": "Staff"}}),
            "metadata.name",
        ),
    ] {
        let violations = validate(&manifest);
        assert_eq!(
            violations.first().map(|violation| violation.path.as_str()),
            Some(path),
            "{manifest}"
        );
    }
}
