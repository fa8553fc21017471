//! Prints resources as `kubectl get plumbline` would, from the printer columns of the CRDs themselves.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::table::{shorten, table};
use crate::{
    host::folder::Statuses,
    world::{Key, Kind, Subject, World},
};

/// One table a kind that has resources. `since` stands in for the time of creation, which a folder does not have.
pub fn resources(
    world: &World,
    statuses: &Statuses,
    since: Timestamp,
) -> serde_json::Result<String> {
    let mut objects: BTreeMap<Kind, Vec<(Key, Value)>> = BTreeMap::new();
    for (key, object) in &world.connectors {
        objects
            .entry(Kind::DirectoryConnector)
            .or_default()
            .push((key.clone(), serde_json::to_value(&**object)?));
    }
    for (key, object) in &world.tenants {
        objects
            .entry(Kind::CloudTenant)
            .or_default()
            .push((key.clone(), serde_json::to_value(&**object)?));
    }
    for (key, object) in &world.scopes {
        objects
            .entry(Kind::SyncScope)
            .or_default()
            .push((key.clone(), serde_json::to_value(&**object)?));
    }
    for (key, object) in &world.syncs {
        objects
            .entry(Kind::DirectorySync)
            .or_default()
            .push((key.clone(), serde_json::to_value(&**object)?));
    }
    let now = Timestamp::now();
    let mut tables = Vec::new();
    for (kind, objects) in objects {
        let definitions = plumbline_crds::all();
        let Some(definition) = definitions
            .into_iter()
            .find(|definition| definition.spec.names.kind == kind.as_str())
        else {
            continue;
        };
        let columns = definition
            .spec
            .versions
            .into_iter()
            .next()
            .and_then(|version| version.additional_printer_columns)
            .unwrap_or_default();
        let columns: Vec<_> = columns
            .into_iter()
            .filter(|column| column.priority.unwrap_or(0) == 0)
            .collect();
        let headings: Vec<String> = std::iter::once("NAME".to_owned())
            .chain(columns.iter().map(|column| column.name.to_uppercase()))
            .collect();
        let rows: Vec<Vec<String>> = objects
            .into_iter()
            .map(|(key, mut object)| {
                object["metadata"]["creationTimestamp"] = json!(since.to_string());
                if let Some(status) = statuses.get(&Subject {
                    kind,
                    key: key.clone(),
                }) {
                    object["status"] = status.clone();
                }
                let name = format!(
                    "{}.plumbline.dev/{}",
                    kind.as_str().to_lowercase(),
                    key.name
                );
                let cells = columns
                    .iter()
                    .map(|column| cell(&object, &column.json_path, &column.type_, now));
                std::iter::once(name).chain(cells).collect()
            })
            .collect();
        tables.push(table(
            &headings.iter().map(String::as_str).collect::<Vec<_>>(),
            &rows,
        ));
    }
    Ok(tables.join("\n"))
}

fn cell(object: &Value, path: &str, type_: &str, now: Timestamp) -> String {
    let Some(value) = look_up(object, path) else {
        return String::new();
    };
    match (type_, value) {
        ("date", Value::String(text)) => text
            .parse::<Timestamp>()
            .map_or_else(|_| "<unknown>".into(), |at| age(now, at)),
        (_, Value::String(text)) => shorten(text, 60),
        (_, other) => other.to_string(),
    }
}

/// The two forms of JSONPath that printer columns use: members, and the item of a list with a given `type`.
fn look_up<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = object;
    let mut rest = path.strip_prefix('.')?;
    while !rest.is_empty() {
        if let Some(condition) = rest.strip_prefix("[?(@.type==") {
            let (wanted, after) = condition.split_once(")]")?;
            let wanted = wanted.trim_matches(['\'', '"']);
            value = value
                .as_array()?
                .iter()
                .find(|item| item["type"] == wanted)?;
            rest = after.strip_prefix('.').unwrap_or(after);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            value = value.get(&rest[..end])?;
            rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
        }
    }
    Some(value)
}

/// `kubectl`'s form of an age, in its short forms.
fn age(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 > 0 => format!("{}m{}s", seconds / 60, seconds % 60),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printer_columns_are_looked_up_as_kubectl_does() {
        let object = json!({"status": {"counts": {"users": 3}, "conditions": [{"type": "Stalled"}, {"type": "Ready", "reason": "Planned"}]}});
        assert_eq!(look_up(&object, ".status.counts.users"), Some(&json!(3)));
        assert_eq!(
            look_up(&object, ".status.conditions[?(@.type=='Ready')].reason"),
            Some(&json!("Planned"))
        );
        assert_eq!(look_up(&object, ".status.missing.users"), None);
    }
}
