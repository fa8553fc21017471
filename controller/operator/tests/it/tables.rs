//! Nothing exists before it works: for each field of the four kinds (and each value of an enumeration), each reason, each value of the
//! chart, each flag of the command line and each metric, `tests/data/tables.yaml` names the test that shows what changes with it.
//!
//! What there is comes from the schemas, the table of reasons, the chart, the parser and the registry of metrics themselves, so a row too few or too many fails, and so
//! does a test that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use plumbline_engine::reason::Reason;
use serde_json::Value;

/// A name, and its test as `part::module::function`.
type Table = BTreeMap<String, String>;

/// The folders of the parts, and below them those of sources.
const PARTS: [(&str, &str); 6] = [
    ("engine", "controller/engine"),
    ("directory", "controller/directory"),
    ("cloud", "controller/cloud"),
    ("operator", "controller/operator"),
    ("crds", "crds"),
    ("e2e", "tests/e2e"),
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
}

/// Leaves of a schema as paths; each value of an enumeration is one. Conditions are those of Kubernetes.
fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(values) = schema["enum"].as_array() {
        found.extend(
            values
                .iter()
                .map(|value| format!("{path}={}", value.as_str().unwrap())),
        );
    } else if schema["items"].is_object() {
        leaves(&schema["items"], &format!("{path}[]"), found);
    } else if let Some(fields) = schema["properties"].as_object() {
        for (name, field) in fields.iter().filter(|(name, _)| *name != "conditions") {
            leaves(field, &format!("{path}.{name}"), found);
        }
    } else {
        found.insert(path.to_owned());
    }
}

/// The arguments of a command and of those below it, as in `plan --world` and `explain OBJECT`.
fn flags(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
    for argument in command.get_arguments() {
        let name = match argument.get_long() {
            Some("help" | "version") => continue,
            Some(long) => format!("--{long}"),
            None => argument.get_value_names().unwrap()[0].to_string(),
        };
        found.insert(format!("{path}{name}"));
    }
    for below in command.get_subcommands() {
        flags(below, &format!("{path}{} ", below.get_name()), found);
    }
}

/// Everything that must have a test.
fn existing() -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut existing: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for definition in plumbline_crds::all() {
        let kind = &definition.spec.names.kind;
        let schema = definition.spec.versions[0].schema.as_ref().unwrap();
        let schema = serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap();
        for part in ["spec", "status"] {
            let found = existing.entry(part).or_default();
            leaves(
                &schema["properties"][part],
                &format!("{kind}.{part}"),
                found,
            );
        }
    }
    let reasons = Reason::ALL.iter().map(ToString::to_string);
    existing.insert("reasons", reasons.collect());
    // A test of the chart holds these rows against its schema and its defaults.
    let readme = fs::read_to_string(repository().join("charts/plumbline/README.md")).unwrap();
    let values = readme.lines().filter_map(|line| {
        line.strip_prefix("| `")?
            .split('`')
            .next()
            .map(str::to_owned)
    });
    existing.insert("values", values.collect());
    let command = <plumbline::cli::Cli as clap::CommandFactory>::command();
    flags(&command, "", existing.entry("flags").or_default());
    let metrics = plumbline::telemetry::metrics::Metrics::default();
    let metrics = metrics.described().iter();
    existing.insert(
        "metrics",
        metrics.map(|metric| metric.name.to_owned()).collect(),
    );
    existing
}

/// The sources of each part by their place below `src` or `tests/it`, as in `field::scope`; `mod.rs` and `tests.rs` are their folder's.
fn sources() -> BTreeMap<String, String> {
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    for (part, folder) in PARTS {
        for below in ["src", "tests/it"] {
            let root = repository().join(folder).join(below);
            let mut files = Vec::new();
            if root.is_dir() {
                list(&root, &mut files);
            }
            for file in files {
                let place = file.strip_prefix(&root).unwrap().with_extension("");
                let place = place.iter().map(|part| part.to_str().unwrap());
                let place: Vec<_> = place
                    .filter(|part| !["mod", "tests"].contains(part))
                    .collect();
                *sources
                    .entry(format!("{part}::{}", place.join("::")))
                    .or_default() += &fs::read_to_string(&file).unwrap();
            }
        }
    }
    sources
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Whether a source has this test.
fn has_test(source: &str, function: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let heads = [format!("fn {function}("), format!("async fn {function}(")];
    let found = lines
        .iter()
        .position(|line| heads.iter().any(|head| line.starts_with(head)));
    let before = found.map(|at| lines.iter().take(at).rev());
    before.is_some_and(|mut before| {
        let attributes = before.by_ref().take_while(|line| line.starts_with("#["));
        attributes
            .into_iter()
            .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

/// What is wrong with the tables.
fn faults(
    existing: &BTreeMap<&'static str, BTreeSet<String>>,
    tables: &BTreeMap<String, Table>,
    sources: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (section, names) in existing {
        let table = tables.get(*section).cloned().unwrap_or_default();
        let missing = names.iter().filter(|name| !table.contains_key(*name));
        faults.extend(missing.map(|name| format!("{section}: no test for {name}")));
        for (name, test) in &table {
            let (module, function) = test.rsplit_once("::").unwrap_or_default();
            if !names.contains(name) {
                faults.push(format!("{section}: {name} does not exist"));
            } else if let Some(source) = sources
                .get(module)
                .filter(|source| has_test(source, function))
            {
                // It must at least be named there, or in the module around, which builds what the test starts from.
                let word = name.rsplit(['.', '=', ' ']).next().unwrap_or_default();
                let word = word.trim_end_matches("[]");
                let around = module
                    .rsplit_once("::")
                    .and_then(|(around, _)| sources.get(around));
                if !source.contains(word) && !around.is_some_and(|around| around.contains(word)) {
                    faults.push(format!("{section}: {module} does not speak of {name}"));
                }
            } else {
                faults.push(format!("{section}: {name}: there is no test {test}"));
            }
        }
    }
    faults
}

#[test]
fn each_field_reason_value_flag_and_metric_names_the_test_that_changes_with_it() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tables.yaml");
    let tables: BTreeMap<String, Table> =
        serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let existing = existing();
    assert!(
        tables
            .keys()
            .all(|section| existing.contains_key(section.as_str()))
    );
    let faults = faults(&existing, &tables, &sources());
    assert!(
        faults.is_empty(),
        "tests/data/tables.yaml:\n{}",
        faults.join("\n")
    );
}

#[test]
fn a_row_too_few_a_row_too_many_and_a_test_that_is_not_there_are_found() {
    let existing = BTreeMap::from([("spec", ["A.spec.x", "A.spec.y"].map(str::to_owned).into())]);
    let source = "#[test]\nfn x_counts() { x }\nfn helper() {}\n";
    let sources = BTreeMap::from([("crds::a".to_owned(), source.to_owned())]);
    let told = |rows: &[(&str, &str)]| {
        let rows = rows
            .iter()
            .map(|(name, test)| ((*name).to_owned(), (*test).to_owned()));
        let tables = BTreeMap::from([("spec".to_owned(), rows.collect())]);
        faults(&existing, &tables, &sources)
    };
    let x = ("A.spec.x", "crds::a::x_counts");
    assert_eq!(told(&[x]), ["spec: no test for A.spec.y"]);
    let rest = |row| told(&[x, row]);
    assert_eq!(
        rest(("A.spec.y", "crds::a::helper")),
        ["spec: A.spec.y: there is no test crds::a::helper"]
    );
    assert_eq!(
        rest(("A.spec.y", "crds::a::x_counts")),
        ["spec: crds::a does not speak of A.spec.y"]
    );
    let more = told(&[
        x,
        ("A.spec.z", "crds::a::x_counts"),
        ("A.spec.y", "crds::b::y"),
    ]);
    assert_eq!(
        more,
        [
            "spec: A.spec.y: there is no test crds::b::y",
            "spec: A.spec.z does not exist"
        ]
    );
}
