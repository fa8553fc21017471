//! What a Pod may ask of the small kubelet: every field of a Pod's spec is in this table or the Pod is refused with the field's path.

use anyhow::{Result, bail, ensure};
use serde_json::Value;

/// How a field is met.
enum Rule {
    /// It is honoured.
    Any,
    /// Only this value is known (as JSON).
    Only(&'static str),
    /// It says something that means nothing here: to the scheduler, the image's registry, or about limits.
    NoMeaning,
}
use Rule::{Any, NoMeaning, Only};

/// Paths of leaves; `[]` is any element of a list. A rule at an inner path covers what is below.
const FIELDS: &[(&str, Rule)] = &[
    ("automountServiceAccountToken", Any), // the API server has added the volume
    ("dnsPolicy", Only("\"ClusterFirst\"")),
    ("enableServiceLinks", Only("false")),
    ("hostname", Any),
    ("imagePullSecrets", NoMeaning),
    ("nodeName", Any),
    ("nodeSelector", NoMeaning),
    ("affinity", NoMeaning),
    ("preemptionPolicy", NoMeaning),
    ("priority", NoMeaning),
    ("restartPolicy", Only("\"Always\"")),
    ("schedulerName", NoMeaning),
    ("securityContext.fsGroup", Any),
    ("securityContext.fsGroupChangePolicy", NoMeaning),
    ("securityContext.runAsGroup", Any),
    ("securityContext.runAsNonRoot", Only("true")),
    ("securityContext.runAsUser", Any),
    (
        "securityContext.seccompProfile.type",
        Only("\"RuntimeDefault\""),
    ), // not applied
    ("serviceAccount", Any),
    ("serviceAccountName", Any),
    ("subdomain", NoMeaning),
    ("terminationGracePeriodSeconds", Any),
    ("tolerations", NoMeaning),
    ("containers[].args[]", Any),
    ("containers[].env[].name", Any),
    ("containers[].env[].value", Any),
    (
        "containers[].env[].valueFrom.fieldRef.apiVersion",
        Only("\"v1\""),
    ),
    ("containers[].env[].valueFrom.fieldRef.fieldPath", Any),
    ("containers[].image", Any),
    ("containers[].imagePullPolicy", NoMeaning),
    ("containers[].livenessProbe", Any), // see `probe`
    ("containers[].name", Any),
    ("containers[].ports[].containerPort", Any),
    ("containers[].ports[].name", Any),
    ("containers[].ports[].protocol", Only("\"TCP\"")),
    ("containers[].readinessProbe", Any),
    ("containers[].resources", NoMeaning),
    (
        "containers[].securityContext.allowPrivilegeEscalation",
        Only("false"),
    ),
    (
        "containers[].securityContext.capabilities.drop[]",
        Only("\"ALL\""),
    ),
    ("containers[].securityContext.readOnlyRootFilesystem", Any),
    ("containers[].terminationMessagePath", NoMeaning),
    ("containers[].terminationMessagePolicy", NoMeaning),
    ("containers[].volumeMounts[].mountPath", Any),
    ("containers[].volumeMounts[].name", Any),
    ("containers[].volumeMounts[].readOnly", Any),
    ("volumes[].configMap.defaultMode", Any),
    ("volumes[].configMap.name", Any),
    ("volumes[].emptyDir", Only("{}")),
    ("volumes[].name", Any),
    ("volumes[].persistentVolumeClaim.claimName", Any),
    ("volumes[].projected.defaultMode", Any),
    ("volumes[].projected.sources[].configMap.items[].key", Any),
    ("volumes[].projected.sources[].configMap.items[].path", Any),
    ("volumes[].projected.sources[].configMap.name", Any),
    (
        "volumes[].projected.sources[].downwardAPI.items[].fieldRef.apiVersion",
        Only("\"v1\""),
    ),
    (
        "volumes[].projected.sources[].downwardAPI.items[].fieldRef.fieldPath",
        Any,
    ),
    (
        "volumes[].projected.sources[].downwardAPI.items[].path",
        Any,
    ),
    (
        "volumes[].projected.sources[].serviceAccountToken.expirationSeconds",
        Any,
    ),
    (
        "volumes[].projected.sources[].serviceAccountToken.path",
        Any,
    ),
    ("volumes[].secret.defaultMode", Any),
    ("volumes[].secret.secretName", Any),
];

/// Refuses a Pod's spec that has a field which is not in the table, or a value that is not known.
pub(super) fn check(spec: &Value) -> Result<()> {
    if spec
        .get("containers")
        .and_then(Value::as_array)
        .is_none_or(|containers| containers.len() != 1)
    {
        bail!("a Pod must have exactly one container here");
    }
    check_below(spec, "")
}

fn check_below(value: &Value, path: &str) -> Result<()> {
    match FIELDS.iter().find(|(known, _)| *known == path) {
        Some((_, Any | NoMeaning)) => return Ok(()),
        Some((_, Only(known))) => {
            ensure!(
                *value == serde_json::from_str::<Value>(known)?,
                "{path} is {value}, and only {known} is known here"
            );
            return Ok(());
        }
        None => {}
    }
    match value {
        Value::Object(members)
            if path.is_empty() || FIELDS.iter().any(|(known, _)| is_above(path, known)) =>
        {
            members.iter().try_for_each(|(name, member)| {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                check_below(member, &below)
            })
        }
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check_below(item, &format!("{path}[]"))),
        _ => bail!("{path} is not known here"),
    }
}

fn is_above(path: &str, known: &str) -> bool {
    known
        .strip_prefix(path)
        .is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::check;
    use serde_json::{Value, json};

    fn with(path: &str, value: Value) -> Value {
        let mut spec = json!({
            "containers": [{"name": "a", "image": "b", "securityContext": {"capabilities": {"drop": ["ALL"]}}}],
            "volumes": [{"name": "state", "emptyDir": {}}],
        });
        *spec
            .pointer_mut(path.rsplit_once('/').unwrap().0)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .entry(path.rsplit_once('/').unwrap().1)
            .or_insert(Value::Null) = value;
        spec
    }

    #[test]
    fn a_pod_with_an_unknown_field_or_value_is_refused_with_its_path() {
        for (path, value, refusal) in [
            (
                "/hostNetwork",
                json!(true),
                Some("hostNetwork is not known here"),
            ),
            (
                "/restartPolicy",
                json!("Never"),
                Some("restartPolicy is \"Never\", and only \"Always\" is known here"),
            ),
            (
                "/initContainers",
                json!([{"name": "a"}]),
                Some("initContainers[] is not known here"),
            ),
            (
                "/containers/0/command",
                json!(["sh"]),
                Some("containers[].command[] is not known here"),
            ),
            (
                "/containers/0/securityContext/capabilities/drop",
                json!(["NET_RAW"]),
                Some(
                    "containers[].securityContext.capabilities.drop[] is \"NET_RAW\", and only \"ALL\" is known here",
                ),
            ),
            (
                "/volumes/0/emptyDir",
                json!({"medium": "Memory"}),
                Some("volumes[].emptyDir is {\"medium\":\"Memory\"}, and only {} is known here"),
            ),
            (
                "/volumes/0/hostPath",
                json!({"path": "/"}),
                Some("volumes[].hostPath is not known here"),
            ),
            (
                "/containers",
                json!([]),
                Some("a Pod must have exactly one container here"),
            ),
            ("/containers/0/args", json!(["operator"]), None),
            (
                "/containers/0/resources",
                json!({"limits": {"memory": "1Gi"}}),
                None,
            ),
        ] {
            let answer = check(&with(path, value)).map_err(|error| error.to_string());
            assert_eq!(answer.err().as_deref(), refusal, "{path}");
        }
    }
}
