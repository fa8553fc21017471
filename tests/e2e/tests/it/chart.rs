//! The chart as it renders: what each value changes, what the schema refuses, and that the API server takes the result.

use std::fs;
use std::path::PathBuf;

use plumbline_e2e::{ControlPlane, repository};
use serde::Deserialize;
use serde_json::{Value, json};

fn chart() -> PathBuf {
    repository().join("charts/plumbline")
}

fn render(release: &str, values: &Value) -> anyhow::Result<Vec<Value>> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), values.to_string())?;
    let (chart, file) = (chart(), file.path().to_string_lossy().into_owned());
    let arguments = [
        "template",
        release,
        &chart.to_string_lossy(),
        "--namespace",
        "identity",
        "--values",
        &file,
    ];
    let manifests = ControlPlane::shared()?.helm(&arguments)?;
    let documents = serde_yaml::Deserializer::from_str(&manifests).map(Value::deserialize);
    let documents: Vec<Value> = documents.collect::<Result<_, _>>()?;
    Ok(documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect())
}

fn rendered(values: &Value) -> Vec<Value> {
    render("plumbline", values).unwrap()
}

fn all<'a>(manifests: &'a [Value], kind: &str) -> Vec<&'a Value> {
    manifests
        .iter()
        .filter(|manifest| manifest["kind"] == kind)
        .collect()
}

fn one<'a>(manifests: &'a [Value], kind: &str) -> &'a Value {
    let found = all(manifests, kind);
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

fn container(manifests: &[Value]) -> &Value {
    &one(manifests, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn lint_is_strict_and_finds_nothing() {
    ControlPlane::shared()
        .unwrap()
        .helm(&["lint", "--strict", &chart().to_string_lossy()])
        .unwrap();
}

#[test]
fn the_api_server_takes_what_is_rendered_from_any_values() {
    let control_plane = ControlPlane::shared().unwrap();
    for namespace in ["identity", "chart-a", "chart-b"] {
        control_plane.create_namespace(namespace).unwrap();
    }
    // The level restricted is that of the most careful clusters; a Pod that breaks it is warned of.
    let enforce = [
        "label",
        "namespace",
        "identity",
        "pod-security.kubernetes.io/warn=restricted",
    ];
    control_plane.kubectl(&enforce).unwrap();
    let everything = json!({
        "image": {"digest": format!("sha256:{}", "a".repeat(64)), "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccount": {"name": "sync", "annotations": {"a": "b"}},
        "watchNamespaces": ["chart-a", "chart-b"],
        "workloadIdentity": {"serviceAccounts": ["contoso-sync"]},
        "metrics": {"port": 9090},
        "persistence": {"storageClassName": "fast", "size": "10Gi"},
        "networkPolicy": {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}], "egress": {"directory": [10389]}},
        "podLabels": {"team": "identity"}, "podAnnotations": {"a": "b"}, "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
    });
    let nothing = json!({
        "crds": {"enabled": false}, "persistence": {"enabled": false}, "networkPolicy": {"enabled": false},
        "serviceAccount": {"create": false, "name": "default"}, "resources": null,
    });
    for (release, values) in [
        ("plumbline", json!({})),
        ("everything", everything),
        (&"n".repeat(53), nothing),
    ] {
        let manifests = render(release, &values).unwrap();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests}).to_string();
        let mut apply = control_plane.program("kubectl").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), list).unwrap();
        apply
            .args(["apply", "--server-side", "--dry-run=server", "--filename"])
            .arg(file.path());
        let output = apply.output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn rights_are_roles_in_the_watched_namespaces_and_nothing_else() {
    let namespaces = |values: &Value| {
        let manifests = rendered(values);
        assert!(manifests.iter().all(|manifest| {
            !manifest["kind"]
                .as_str()
                .unwrap()
                .starts_with("ClusterRole")
        }));
        let of = |kind| {
            all(&manifests, kind)
                .iter()
                .map(|role| role["metadata"]["namespace"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("Role"), of("RoleBinding"));
        assert_eq!(
            all(&manifests, "RoleBinding")[0]["subjects"][0]["namespace"],
            "identity"
        );
        let watch = format!(
            "--watch-namespaces={}",
            of("Role")
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect::<Vec<_>>()
                .join(",")
        );
        assert!(
            container(&manifests)["args"]
                .as_array()
                .unwrap()
                .contains(&json!(watch)),
            "{watch}"
        );
        of("Role")
    };
    assert_eq!(namespaces(&json!({})), ["identity"]);
    assert_eq!(
        namespaces(&json!({"watchNamespaces": ["a", "b"]})),
        ["a", "b"]
    );
}

#[test]
fn tokens_may_be_requested_for_the_named_accounts_only() {
    let token = |values: &Value| {
        let manifests = rendered(values);
        let rules = one(&manifests, "Role")["rules"].as_array().unwrap().clone();
        rules
            .into_iter()
            .find(|rule| rule["resources"] == json!(["serviceaccounts/token"]))
    };
    assert_eq!(token(&json!({})), None);
    let rule =
        token(&json!({"workloadIdentity": {"serviceAccounts": ["contoso", "fabrikam"]}})).unwrap();
    assert_eq!(
        (&rule["resourceNames"], &rule["verbs"]),
        (&json!(["contoso", "fabrikam"]), &json!(["create"]))
    );
}

#[test]
fn each_value_changes_what_it_says() {
    let pod = "/spec/template/spec";
    for (values, kind, path, expected) in [
        (
            json!({"image": {"tag": "1.2"}}),
            "StatefulSet",
            "/spec/template/spec/containers/0/image",
            json!("ghcr.io/plumbline-dev/plumbline:1.2"),
        ),
        (
            json!({"image": {"tag": "1.2", "repository": "a/b", "digest": format!("sha256:{}", "0".repeat(64))}}),
            "StatefulSet",
            "/spec/template/spec/containers/0/image",
            json!(format!("a/b@sha256:{}", "0".repeat(64))),
        ),
        (
            json!({"image": {"pullPolicy": "Always"}}),
            "StatefulSet",
            "/spec/template/spec/containers/0/imagePullPolicy",
            json!("Always"),
        ),
        (
            json!({"resources": {"limits": {"memory": "3Gi"}}}),
            "StatefulSet",
            "/spec/template/spec/containers/0/resources/limits/memory",
            json!("3Gi"),
        ),
        (
            json!({"serviceAccount": {"annotations": {"a": "b"}}}),
            "ServiceAccount",
            "/metadata/annotations/a",
            json!("b"),
        ),
        (
            json!({"persistence": {"enabled": false}}),
            "StatefulSet",
            "/spec/template/spec/volumes",
            json!([{"name": "state", "emptyDir": {}}]),
        ),
        (
            json!({"persistence": {"size": "3Gi"}}),
            "StatefulSet",
            "/spec/volumeClaimTemplates/0/spec/resources/requests/storage",
            json!("3Gi"),
        ),
        (
            json!({"persistence": {"storageClassName": "fast"}}),
            "StatefulSet",
            "/spec/volumeClaimTemplates/0/spec/storageClassName",
            json!("fast"),
        ),
        (
            json!({}),
            "StatefulSet",
            "/spec/volumeClaimTemplates/0/spec/storageClassName",
            Value::Null,
        ),
        (
            json!({"metrics": {"port": 9090}}),
            "StatefulSet",
            "/spec/template/spec/containers/0/ports/0/containerPort",
            json!(9090),
        ),
        (
            json!({"metrics": {"port": 9090}}),
            "Service",
            "/spec/ports/0/port",
            json!(9090),
        ),
        (
            json!({"serviceAccount": {"name": "sync"}}),
            "ServiceAccount",
            "/metadata/name",
            json!("sync"),
        ),
        (
            json!({"serviceAccount": {"name": "sync"}}),
            "RoleBinding",
            "/subjects/0/name",
            json!("sync"),
        ),
        (
            json!({"networkPolicy": {"egress": {"directory": [389], "cloud": [443], "apiServer": [6443]}}}),
            "NetworkPolicy",
            "/spec/egress/1/ports",
            json!([{"protocol": "TCP", "port": 6443}, {"protocol": "TCP", "port": 389}, {"protocol": "TCP", "port": 443}]),
        ),
        (
            json!({"networkPolicy": {"egress": {"dns": [5353]}}}),
            "NetworkPolicy",
            "/spec/egress/0/ports",
            json!([{"protocol": "UDP", "port": 5353}, {"protocol": "TCP", "port": 5353}]),
        ),
        (
            json!({"networkPolicy": {"metricsFrom": [{"podSelector": {}}]}}),
            "NetworkPolicy",
            "/spec/ingress/0/from",
            json!([{"podSelector": {}}]),
        ),
        (
            json!({"fullnameOverride": "sync"}),
            "StatefulSet",
            "/metadata/name",
            json!("sync"),
        ),
        (
            json!({"nameOverride": "sync"}),
            "StatefulSet",
            "/metadata/name",
            json!("plumbline-sync"),
        ),
        (
            json!({"podLabels": {"a": "b"}}),
            "StatefulSet",
            "/spec/template/metadata/labels/a",
            json!("b"),
        ),
        (
            json!({"podAnnotations": {"a": "b"}}),
            "StatefulSet",
            "/spec/template/metadata/annotations/a",
            json!("b"),
        ),
    ] {
        let manifests = rendered(&values);
        let found = one(&manifests, kind)
            .pointer(path)
            .unwrap_or(&Value::Null)
            .clone();
        assert_eq!(found, expected, "{values} {path}");
    }
    for (values, argument) in [
        (json!({"metrics": {"port": 9090}}), "--listen=0.0.0.0:9090"),
        (json!({"log": {"level": "debug"}}), "--log-level=debug"),
        (json!({"log": {"format": "text"}}), "--log-format=text"),
    ] {
        assert!(
            container(&rendered(&values))["args"]
                .as_array()
                .unwrap()
                .contains(&json!(argument)),
            "{argument}"
        );
    }
    for (values, kind) in [
        (
            json!({"networkPolicy": {"enabled": false}}),
            "NetworkPolicy",
        ),
        (
            json!({"serviceAccount": {"create": false, "name": "own"}}),
            "ServiceAccount",
        ),
        (
            json!({"crds": {"enabled": false}}),
            "CustomResourceDefinition",
        ),
    ] {
        assert_eq!(all(&rendered(&values), kind).len(), 0, "{kind}");
    }
    for (value, field) in [
        (json!([{"name": "registry"}]), "imagePullSecrets"),
        (json!({"a": "b"}), "nodeSelector"),
        (json!([{"key": "a"}]), "tolerations"),
        (json!({"nodeAffinity": {}}), "affinity"),
    ] {
        let manifests = rendered(&json!({field: value}));
        assert_eq!(
            one(&manifests, "StatefulSet").pointer(&format!("{pod}/{field}")),
            Some(&value)
        );
    }
}

#[test]
fn the_schema_refuses_what_cannot_work_and_names_it() {
    for (values, refusal) in [
        (
            json!({"replicaCount": 2}),
            "at '/replicaCount': value must be 1",
        ),
        (
            json!({"replicas": 1}),
            "additional properties 'replicas' not allowed",
        ),
        (
            json!({"persistence": {"sise": "1Gi"}}),
            "at '/persistence': additional properties 'sise' not allowed",
        ),
        (
            json!({"persistence": {"size": "one"}}),
            "at '/persistence/size'",
        ),
        (
            json!({"metrics": {"port": "http"}}),
            "at '/metrics/port': got string, want integer",
        ),
        (
            json!({"metrics": {"port": 80}}),
            "at '/metrics/port': minimum: got 80, want 1,024",
        ),
        (
            json!({"watchNamespaces": "identity"}),
            "at '/watchNamespaces': got string, want array",
        ),
        (
            json!({"watchNamespaces": ["a", "a"]}),
            "at '/watchNamespaces': items at 0 and 1 are equal",
        ),
        (
            json!({"watchNamespaces": ["A b"]}),
            "at '/watchNamespaces/0'",
        ),
        (
            json!({"log": {"format": "xml"}}),
            "at '/log/format': value must be one of 'json', 'text'",
        ),
        (json!({"image": {"digest": "latest"}}), "at '/image/digest'"),
        (
            json!({"serviceAccount": {"create": false}}),
            "at '/serviceAccount/name'",
        ),
        (
            json!({"networkPolicy": {"egress": {"cloud": [0]}}}),
            "at '/networkPolicy/egress/cloud/0'",
        ),
        (
            json!({"imagePullSecrets": ["registry"]}),
            "at '/imagePullSecrets/0': got string, want object",
        ),
    ] {
        let answer = render("plumbline", &values).unwrap_err().to_string();
        assert!(answer.contains(refusal), "{values}: {answer}");
    }
}

#[test]
fn names_stay_short_enough_for_the_labels_that_controllers_make_of_them() {
    for release in [
        "plumbline",
        "p",
        &format!("{}-b", "a".repeat(51)),
        &"plumbline-".repeat(5)[..49],
    ] {
        let manifests = render(release, &json!({})).unwrap();
        let set = one(&manifests, "StatefulSet");
        let name = set["metadata"]["name"].as_str().unwrap();
        // A StatefulSet's `controller-revision-hash` label is its name with eleven characters more.
        assert!(name.len() + 11 <= 63, "{name}");
        assert!(
            name.ends_with(|last: char| last.is_ascii_alphanumeric()),
            "{name}"
        );
        for (label, value) in set["spec"]["template"]["metadata"]["labels"]
            .as_object()
            .unwrap()
        {
            assert!(value.as_str().unwrap().len() <= 63, "{label}");
        }
    }
}

#[test]
fn the_crds_are_those_of_the_repository_and_stay_when_the_release_goes() {
    let read = |folder: PathBuf| {
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let files = files.filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        });
        let mut files: Vec<_> = files
            .map(|path| {
                (
                    path.file_name().unwrap().to_owned(),
                    fs::read_to_string(&path).unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    };
    let repository = read(repository().join("crds"));
    assert!(!repository.is_empty());
    assert!(
        repository == read(chart().join("files/crds")),
        "copy crds/*.yaml to charts/plumbline/files/crds: just crds"
    );
    for (keep, policy) in [(true, json!("keep")), (false, Value::Null)] {
        let manifests = rendered(&json!({"crds": {"keep": keep}}));
        for crd in all(&manifests, "CustomResourceDefinition") {
            assert_eq!(
                crd["metadata"]["annotations"]["helm.sh/resource-policy"],
                policy
            );
        }
        let specs = |crds: Vec<Value>| {
            crds.iter()
                .map(|crd| (crd["metadata"]["name"].clone(), crd["spec"].clone()))
                .collect::<Vec<_>>()
        };
        let mut expected = specs(
            repository
                .iter()
                .map(|(_, text)| serde_yaml::from_str(text).unwrap())
                .collect(),
        );
        let mut found = specs(
            all(&manifests, "CustomResourceDefinition")
                .into_iter()
                .cloned()
                .collect(),
        );
        expected.sort_by_key(|(name, _)| name.to_string());
        found.sort_by_key(|(name, _)| name.to_string());
        assert!(
            found == expected,
            "the rendered CRDs are not those of the repository"
        );
    }
}

/// Paths of values: objects with members are walked, except those that are the user's own (their schema has no `properties`).
fn paths(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let (properties, members) = (schema["properties"].as_object(), value.as_object());
    if let (Some(properties), Some(members), false) = (properties, members, path == "resources") {
        for name in properties.keys().filter(|name| *name != "global") {
            assert!(
                members.contains_key(name),
                "values.yaml has no default for {path}.{name}"
            );
        }
        for (name, member) in members {
            let below = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            paths(&properties[name], member, &below, found);
        }
    } else {
        found.push(path.to_owned());
    }
}

#[test]
fn every_value_has_a_schema_a_default_and_a_line_in_the_readme() {
    let values = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json")).unwrap())
            .unwrap();
    let mut expected = Vec::new();
    paths(
        &schema,
        &serde_yaml::from_str(&values).unwrap(),
        "",
        &mut expected,
    );
    let readme = fs::read_to_string(chart().join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| {
        line.strip_prefix("| `")?
            .split('`')
            .next()
            .map(str::to_owned)
    });
    let mut documented: Vec<_> = rows.collect();
    documented.sort();
    expected.sort();
    assert_eq!(documented, expected);
}
