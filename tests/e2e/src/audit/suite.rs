//! The rights of all releases of a run of tests, by the audit logs of all its API servers: Roles and bindings as they were written, and
//! what each bound ServiceAccount did. No release may do more than its Roles let it; together they must use every right.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::Value;

use super::{Access, Difference, compare, events, of_role, uses};

/// One account that a Role was bound to and that made requests: a release that ran.
#[derive(Debug)]
pub struct Account {
    /// Namespace and name.
    pub name: (String, String),
    pub grants: BTreeSet<Access>,
    pub uses: BTreeSet<Access>,
}

/// The accounts of one log. An account that never asked for anything did not run: its Roles were only tried.
pub fn accounts(log: &Path) -> Result<Vec<Account>> {
    let (mut roles, mut bound) = (BTreeMap::new(), BTreeMap::<_, BTreeSet<_>>::new());
    for event in events(log, |line| line.contains("rbac.authorization.k8s.io"))? {
        let Some(object) = event.response_object else {
            continue;
        };
        let of = |pointer: &str| {
            let text = object.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let namespace = of("/metadata/namespace");
        match of("/kind").as_str() {
            "Role" => {
                let granted = of_role(object.clone())?;
                let known: &mut BTreeSet<Access> =
                    roles.entry((namespace, of("/metadata/name"))).or_default();
                known.extend(granted);
            }
            "RoleBinding" => {
                let binding: RoleBinding =
                    serde_json::from_value(object.clone()).context("cannot read a RoleBinding")?;
                for subject in binding.subjects.into_iter().flatten() {
                    let account = (subject.namespace.unwrap_or_default(), subject.name);
                    let role = (namespace.clone(), binding.role_ref.name.clone());
                    bound.entry(account).or_default().insert(role);
                }
            }
            _ => {}
        }
    }
    let mut accounts = Vec::new();
    for (name, roles_of) in bound {
        let uses = uses(log, &name.0, &name.1)?;
        let grants = roles_of.iter().filter_map(|role| roles.get(role));
        let grants: BTreeSet<Access> = grants.flatten().cloned().collect();
        // The controllers of Kubernetes have accounts and Roles, too.
        if !uses.is_empty() && name.0 != "kube-system" {
            accounts.push(Account { name, grants, uses });
        }
    }
    Ok(accounts)
}

/// What is wrong over all accounts, in lines; empty when nobody did more than allowed and every right was used by somebody.
///
/// # Errors
/// Without any account there is nothing that could be right.
pub fn faults(accounts: &[Account]) -> Result<Vec<String>> {
    ensure!(!accounts.is_empty(), "no release made a request");
    let mut faults = Vec::new();
    let (mut granted, mut used) = (BTreeSet::new(), BTreeSet::new());
    for account in accounts {
        let (namespace, name) = &account.name;
        for access in compare(&account.grants, &account.uses).ungranted {
            faults.push(format!("{namespace}/{name} was not granted {access:?}"));
        }
        granted.extend(account.grants.iter().map(anywhere));
        used.extend(account.uses.iter().map(anywhere));
    }
    let Difference { unused, .. } = compare(&granted, &used);
    faults.extend(
        unused
            .iter()
            .map(|access| format!("nobody used {access:?}")),
    );
    Ok(faults)
}

/// The same in no particular namespace, as the chart renders its rules for each.
fn anywhere(access: &Access) -> Access {
    Access {
        namespace: String::new(),
        ..access.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{accounts, faults};

    /// A log in which the accounts of two namespaces got the rights to get and list Secrets, and did these things.
    fn told(done: &[(&str, &str, &str)]) -> Vec<String> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut lines = Vec::new();
        for namespace in ["one", "two"] {
            let role = r#"{"verb":"patch","user":{"username":"admin"},"responseObject":{"kind":"Role","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"r","namespace":"NS"},"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["get","list"]}]}}"#;
            let binding = r#"{"verb":"patch","user":{"username":"admin"},"responseObject":{"kind":"RoleBinding","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"r","namespace":"NS"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"a","namespace":"NS"}]}}"#;
            lines.extend([
                role.replace("NS", namespace),
                binding.replace("NS", namespace),
            ]);
        }
        for (account, verb, namespace) in done {
            lines.push(format!(r#"{{"verb":"{verb}","user":{{"username":"system:serviceaccount:{account}:a"}},"objectRef":{{"resource":"secrets","namespace":"{namespace}"}}}}"#));
        }
        std::fs::write(log.path(), lines.join("\n")).unwrap();
        faults(&accounts(log.path()).unwrap()).unwrap()
    }

    #[test]
    fn rights_are_used_by_any_release_and_exceeded_by_none() {
        assert_eq!(
            told(&[("one", "get", "one"), ("two", "list", "two")]),
            [""; 0]
        );
        let unused = told(&[("one", "get", "one"), ("two", "get", "two")]);
        assert!(
            unused.len() == 1 && unused[0].starts_with("nobody used Access { verb: \"list\""),
            "{unused:?}"
        );
        let beyond = told(&[
            ("one", "get", "two"),
            ("one", "list", "one"),
            ("one", "get", "one"),
        ]);
        assert!(
            beyond.len() == 1 && beyond[0].starts_with("one/a was not granted"),
            "{beyond:?}"
        );
    }
}
