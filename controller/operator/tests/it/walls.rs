//! The walls between the parts, over the graph that Cargo resolved (transitive, with dev and build dependencies), and the length of
//! files. Source: the table of parts in `docs/`, and `deny.toml` for the crates that nobody may bring.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// For each member, which members its code may reach, and which more its tests may.
const MEMBERS: [(&str, &[&str], &[&str]); 8] = [
    ("plumbline-engine", &[], &[]),
    ("plumbline-crds", &[], &[]),
    (
        "plumbline-directory",
        &["plumbline-engine"],
        &["plumbline-lab"],
    ),
    ("plumbline-cloud", &["plumbline-engine"], &["plumbline-lab"]),
    (
        "plumbline",
        &[
            "plumbline-engine",
            "plumbline-directory",
            "plumbline-cloud",
            "plumbline-crds",
        ],
        &["plumbline-lab"],
    ),
    // A misreading that lab and operator shared would hide a bug.
    ("plumbline-lab", &[], &[]),
    (
        "plumbline-quickstart",
        &[
            "plumbline-engine",
            "plumbline-directory",
            "plumbline-cloud",
            "plumbline-crds",
            "plumbline",
            "plumbline-lab",
        ],
        &[],
    ),
    ("plumbline-e2e", &[], &["plumbline-crds", "plumbline-lab"]),
];

/// Packages by the beginning of their names, and the members that may not reach them; with tests or without.
const FOREIGN: [(&str, &[&str], bool); 9] = [
    ("kube", BELOW_THE_OPERATOR, true),
    ("k8s-openapi", BELOW_THE_OPERATOR, true),
    ("tokio", &["plumbline-engine"], false),
    ("hyper", &["plumbline-engine"], false),
    ("reqwest", &["plumbline-engine"], false),
    ("ldap3", &["plumbline-engine"], false),
    // TLS and cryptography are those of rustls with aws-lc, everywhere.
    ("ring", EVERYBODY, true),
    ("openssl-sys", EVERYBODY, true),
    ("native-tls", EVERYBODY, true),
];

const BELOW_THE_OPERATOR: &[&str] = &["plumbline-engine", "plumbline-directory", "plumbline-cloud"];

const EVERYBODY: &[&str] = &[
    "plumbline-engine",
    "plumbline-crds",
    "plumbline-directory",
    "plumbline-cloud",
    "plumbline",
    "plumbline-lab",
    "plumbline-quickstart",
    "plumbline-e2e",
];

/// Lines of a file beyond which nobody reads it.
const LONGEST_FILE: usize = 700;

/// Direct dependencies by package: name and whether only its tests use it.
type Graph = BTreeMap<String, BTreeSet<(String, bool)>>;

fn metadata() -> Value {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            &platform,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn graph(metadata: &Value) -> Graph {
    let packages = metadata["packages"].as_array().unwrap().iter();
    let packages: BTreeMap<_, _> = packages
        .map(|package| (package["id"].as_str().unwrap(), package))
        .collect();
    let name = |id: &Value| {
        packages[id.as_str().unwrap()]["name"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let mut graph = Graph::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        // Two versions of a package are one here: a wall holds for all of them.
        let dependencies = graph.entry(name(&node["id"])).or_default();
        let package = packages[node["id"].as_str().unwrap()];
        for dependency in node["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            let only_tests = kinds.iter().all(|kind| kind["kind"] == "dev");
            if is_built(package, &node["features"], &name(&dependency["pkg"])) {
                dependencies.insert((name(&dependency["pkg"]), only_tests));
            }
        }
    }
    graph
}

/// Cargo lists an optional dependency as resolved when a weak feature (`ring?/std`) names it; it is built only when an active feature
/// asks for it.
fn is_built(package: &Value, active: &Value, dependency: &str) -> bool {
    let declared = package["dependencies"].as_array().unwrap().iter();
    let declared: Vec<_> = declared
        .filter(|declared| declared["name"] == dependency)
        .collect();
    let asks = |key: &str| {
        active.as_array().unwrap().iter().any(|feature| {
            let enabled = package["features"][feature.as_str().unwrap()]
                .as_array()
                .into_iter()
                .flatten();
            let mut enabled = enabled.filter_map(Value::as_str);
            enabled.any(|part| part == format!("dep:{key}") || part.starts_with(&format!("{key}/")))
        })
    };
    declared.is_empty()
        || declared.iter().any(|declared| {
            declared["optional"] == false || asks(declared["rename"].as_str().unwrap_or(dependency))
        })
}

/// All packages that a member reaches, each with the one that brings it. Tests of what it depends on are not built.
fn reach(graph: &Graph, member: &str, with_tests: bool) -> BTreeMap<String, String> {
    let mut reached = BTreeMap::new();
    let mut open = vec![member.to_owned()];
    while let Some(package) = open.pop() {
        for (dependency, only_tests) in &graph[&package] {
            if (!only_tests || (with_tests && package == member))
                && !reached.contains_key(dependency)
            {
                reached.insert(dependency.clone(), package.clone());
                open.push(dependency.clone());
            }
        }
    }
    reached
}

fn breaches(graph: &Graph) -> Vec<String> {
    let mut breaches = Vec::new();
    for (member, code, tests) in MEMBERS {
        for (with_tests, allowed) in [(false, code.to_vec()), (true, [code, tests].concat())] {
            for (reached, by) in reach(graph, member, with_tests) {
                let ours = MEMBERS.iter().any(|(name, ..)| *name == reached);
                if ours && reached != member && !allowed.contains(&reached.as_str()) {
                    breaches.push(format!("{member} reaches {reached} by {by}"));
                }
            }
        }
    }
    for (foreign, members, with_tests) in FOREIGN {
        for member in members {
            for (reached, by) in reach(graph, member, with_tests) {
                if reached == foreign || reached.starts_with(&format!("{foreign}-")) {
                    breaches.push(format!("{member} reaches {reached} by {by}"));
                }
            }
        }
    }
    breaches.sort();
    breaches.dedup();
    breaches
}

#[test]
fn every_part_reaches_only_what_it_may() {
    let metadata = metadata();
    let graph = graph(&metadata);
    let members = metadata["workspace_members"].as_array().unwrap().len();
    assert_eq!(members, MEMBERS.len(), "a member is not in the table");
    assert_eq!(breaches(&graph), Vec::<String>::new());
}

#[test]
fn a_breach_of_each_wall_is_found() {
    let sound = graph(&metadata());
    for (member, dependency, only_tests, breach) in [
        (
            "plumbline-engine",
            "plumbline-crds",
            true,
            "plumbline-engine reaches plumbline-crds by plumbline-engine",
        ),
        (
            "plumbline-engine",
            "tokio",
            false,
            "plumbline-engine reaches tokio by plumbline-engine",
        ),
        (
            "plumbline-cloud",
            "plumbline-directory",
            true,
            "plumbline-cloud reaches plumbline-directory by plumbline-cloud",
        ),
        (
            "plumbline-cloud",
            "plumbline-lab",
            false,
            "plumbline-cloud reaches plumbline-lab by plumbline-cloud",
        ),
        (
            "plumbline-lab",
            "plumbline-engine",
            false,
            "plumbline-lab reaches plumbline-engine by plumbline-lab",
        ),
        (
            "ldap3",
            "kube",
            false,
            "plumbline-directory reaches kube by ldap3",
        ),
        (
            "ldap3",
            "ring",
            false,
            "plumbline-quickstart reaches ring by ldap3",
        ),
        (
            "plumbline-e2e",
            "plumbline",
            true,
            "plumbline-e2e reaches plumbline by plumbline-e2e",
        ),
        (
            "rustls",
            "native-tls",
            false,
            "plumbline reaches native-tls by rustls",
        ),
        (
            "serde",
            "openssl-sys",
            false,
            "plumbline-engine reaches openssl-sys by serde",
        ),
    ] {
        let mut planted = sound.clone();
        planted.entry(dependency.to_owned()).or_default();
        planted
            .get_mut(member)
            .unwrap()
            .insert((dependency.to_owned(), only_tests));
        let found = breaches(&planted);
        assert!(
            found.iter().any(|found| found == breach),
            "{breach}: {found:?}"
        );
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    let mut files = Vec::new();
    sources(root, &mut files);
    assert!(
        files.len() > 20,
        "only {} files below {}",
        files.len(),
        root.display()
    );
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{} has {lines} lines, more than {LONGEST_FILE}: split it",
            file.display()
        );
    }
}
