//! Reads `tests/data/invalid.yaml`: invalid manifests, each with the sentence it must be refused with and a valid twin.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct Data {
    bases: BTreeMap<String, Value>,
    cases: Vec<Case>,
}

type Changes = BTreeMap<String, Value>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    kind: String,
    #[serde(default)]
    stored: Option<Changes>,
    invalid: Changes,
    sentence: String,
    valid: Changes,
}

/// One invalid manifest and its twin.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) name: String,
    /// What exists already; both others are then updates of it, else creations.
    pub(crate) stored: Option<Value>,
    pub(crate) invalid: Value,
    /// What the refusal of `invalid` must contain.
    pub(crate) sentence: String,
    pub(crate) valid: Value,
}

/// All pairs, in the order of the file.
pub(crate) fn pairs() -> Vec<Pair> {
    let data: Data = serde_yaml::from_str(include_str!("../data/invalid.yaml"))
        .expect("tests/data/invalid.yaml is well-formed");
    let pair = |case: Case| {
        let base = data.bases[&case.kind].clone();
        let stored = case
            .stored
            .as_ref()
            .map(|changes| changed(base.clone(), changes));
        let start = stored.clone().unwrap_or(base);
        Pair {
            name: case.name,
            invalid: changed(start.clone(), &case.invalid),
            valid: changed(start, &case.valid),
            sentence: case.sentence,
            stored,
        }
    };
    data.cases.into_iter().map(pair).collect()
}

fn changed(mut manifest: Value, changes: &Changes) -> Value {
    for (path, value) in changes {
        let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
        let parent = parents
            .split('.')
            .filter(|name| !name.is_empty())
            .fold(&mut manifest, |object, name| &mut object[name]);
        match value {
            Value::Null => drop(
                parent
                    .as_object_mut()
                    .expect("a path of objects")
                    .remove(last),
            ),
            value => parent[last] = value.clone(),
        }
    }
    manifest
}
