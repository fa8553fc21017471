//! What a ServiceAccount did, by the API server's audit log, against what the chart's rules let it do.

pub mod suite;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role};
use serde::Deserialize;
use serde_json::Value;

use crate::control_plane::ControlPlane;

/// One thing that was done, or may be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    pub verb: String,
    pub group: String,
    /// With its subresource, as in `serviceaccounts/token`.
    pub resource: String,
    /// Empty for what is not namespaced, and for requests over all namespaces.
    pub namespace: String,
    /// The object's name: of a use always when there was one, of a rule when it is restricted to names.
    pub name: Option<String>,
}

/// The difference between rules and uses; both are empty when the rights are exactly those needed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Granted and never used.
    pub unused: BTreeSet<Access>,
    /// Used, or tried, and not granted.
    pub ungranted: BTreeSet<Access>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    response_object: Option<Value>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct ObjectRef {
    resource: String,
    namespace: String,
    name: Option<String>,
    api_group: String,
    subresource: Option<String>,
}

/// What an installed release of the chart may do against what its ServiceAccount did so far. Ask before it is uninstalled.
pub fn of_release(
    control_plane: &ControlPlane,
    namespace: &str,
    release: &str,
) -> Result<Difference> {
    let manifests = control_plane.helm(&["get", "manifest", release, "--namespace", namespace])?;
    let account = documents(&manifests)?
        .into_iter()
        .find_map(|manifest| {
            manifest
                .pointer("/subjects/0/name")?
                .as_str()
                .map(str::to_owned)
        })
        .context("the release has no RoleBinding")?;
    Ok(compare(
        &grants(&manifests)?,
        &uses(&control_plane.audit_log()?, namespace, &account)?,
    ))
}

/// Everything that a ServiceAccount has asked of the API server, refused or not. Discovery, health and version, which everybody may
/// read, are left out, and so is what a test asked with its token by `kubectl`.
pub fn uses(log: &Path, namespace: &str, account: &str) -> Result<BTreeSet<Access>> {
    let user = format!("system:serviceaccount:{namespace}:{account}");
    let of_user = events(log, |line| line.contains(&user))?.into_iter();
    let of_user = of_user.filter(|event| event.user.username == user);
    Ok(of_user.filter_map(Event::access).collect())
}

/// The events on those lines of a log that are wanted.
fn events(log: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<Event>> {
    let text = fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    let lines = text.lines().filter(|line| wanted(line));
    lines
        .map(|line| {
            serde_json::from_str(line)
                .with_context(|| format!("cannot read the audit event {line}"))
        })
        .collect()
}

impl Event {
    fn access(self) -> Option<Access> {
        let object = self.object_ref?;
        if self.user_agent.starts_with("kubectl/") {
            return None;
        }
        Some(Access {
            verb: self.verb,
            group: object.api_group,
            resource: match object.subresource {
                Some(subresource) => format!("{}/{subresource}", object.resource),
                None => object.resource,
            },
            namespace: object.namespace,
            name: object.name,
        })
    }
}

/// What the Roles among these manifests grant. A ClusterRole is an error: the chart has none.
pub fn grants(manifests: &str) -> Result<BTreeSet<Access>> {
    let mut grants = BTreeSet::new();
    for manifest in documents(manifests)? {
        let kind = manifest
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default();
        anyhow::ensure!(
            !kind.starts_with("ClusterRole"),
            "the chart renders a {kind}"
        );
        if kind == "Role" {
            grants.extend(of_role(manifest)?);
        }
    }
    Ok(grants)
}

fn of_role(manifest: Value) -> Result<Vec<Access>> {
    let role: Role = serde_json::from_value(manifest).context("cannot read a Role")?;
    let namespace = role.metadata.namespace.unwrap_or_default();
    let rules = role.rules.iter().flatten();
    Ok(rules.flat_map(|rule| of_rule(rule, &namespace)).collect())
}

fn documents(manifests: &str) -> Result<Vec<Value>> {
    let documents = serde_yaml::Deserializer::from_str(manifests).map(Value::deserialize);
    documents
        .collect::<Result<_, _>>()
        .context("cannot read the rendered chart")
}

fn of_rule(rule: &PolicyRule, namespace: &str) -> Vec<Access> {
    let names = match rule.resource_names.as_deref() {
        None | Some([]) => vec![None],
        Some(names) => names.iter().cloned().map(Some).collect(),
    };
    let mut grants = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for verb in &rule.verbs {
                for name in &names {
                    grants.push(Access {
                        verb: verb.clone(),
                        group: group.clone(),
                        resource: resource.clone(),
                        namespace: namespace.to_owned(),
                        name: name.clone(),
                    });
                }
            }
        }
    }
    grants
}

/// Compares both ways.
pub fn compare(grants: &BTreeSet<Access>, uses: &BTreeSet<Access>) -> Difference {
    let covers = |grant: &Access, used: &Access| {
        let named = Access {
            name: grant.name.as_ref().and(used.name.clone()),
            ..used.clone()
        };
        *grant == named
    };
    Difference {
        unused: grants
            .iter()
            .filter(|grant| !uses.iter().any(|used| covers(grant, used)))
            .cloned()
            .collect(),
        ungranted: uses
            .iter()
            .filter(|used| !grants.iter().any(|grant| covers(grant, used)))
            .cloned()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Difference, compare, grants, uses};
    use std::collections::BTreeSet;

    const ROLE: &str = r#"
kind: ServiceAccount
---
kind: Role
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: a, namespace: one}
rules:
- {apiGroups: [""], resources: [secrets, configmaps], verbs: [get]}
- {apiGroups: [""], resources: [serviceaccounts/token], resourceNames: [contoso], verbs: [create]}
"#;

    fn access(verb: &str, resource: &str, namespace: &str, name: Option<&str>) -> Access {
        Access {
            verb: verb.to_owned(),
            group: String::new(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn a_right_too_many_and_a_right_too_few_are_both_found() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let event = |user: &str, object: &str| {
            format!(r#"{{"verb":"get","user":{{"username":"{user}"}}{object}}}"#) + "\n"
        };
        let me = "system:serviceaccount:one:plumbline";
        let secret = |namespace| {
            format!(r#","objectRef":{{"resource":"secrets","namespace":"{namespace}","name":"s"}}"#)
        };
        let token = r#","objectRef":{"resource":"serviceaccounts","namespace":"one","name":"other","subresource":"token"}"#;
        let text = [
            event(me, &secret("one")),
            event(me, &secret("two")),
            event(me, ""),
            event("system:serviceaccount:one:plumbline-2", &secret("three")),
            event(me, token).replace("get", "create"),
        ];
        std::fs::write(log.path(), text.concat()).unwrap();
        let used = uses(log.path(), "one", "plumbline").unwrap();
        let expected = Difference {
            unused: BTreeSet::from([
                access("get", "configmaps", "one", None),
                access("create", "serviceaccounts/token", "one", Some("contoso")),
            ]),
            ungranted: BTreeSet::from([
                access("get", "secrets", "two", Some("s")),
                access("create", "serviceaccounts/token", "one", Some("other")),
            ]),
        };
        assert_eq!(compare(&grants(ROLE).unwrap(), &used), expected);
    }

    #[test]
    fn rights_for_the_whole_cluster_are_refused() {
        assert!(
            grants("kind: ClusterRoleBinding\n")
                .unwrap_err()
                .to_string()
                .contains("ClusterRoleBinding")
        );
    }
}
