//! The shapes that several kinds use to point at something else: a resource of ours, a Secret, a certificate authority.
//!
//! Every reference stays inside the namespace of the resource that holds it. A referent that is missing is a condition
//! (`DependencyNotReady`), never an error of the schema.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rule;

/// A resource in the same namespace, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Name of the resource, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rule::object_name())]
    pub name: String,
}

impl LocalRef {
    /// A reference by name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

/// Credentials that lie in a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretAuth {
    /// The Secret, in the same namespace. A changed Secret is used from the next connection on, without a restart.
    pub secret_ref: LocalRef,
}

/// Which certificates a server may present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerTrust {
    /// Certificate authorities that are trusted beside those of the system, as PEM in a ConfigMap or Secret. A changed bundle is
    /// used from the next connection on.
    pub ca_ref: CaRef,
}

/// A PEM bundle in a ConfigMap or Secret of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaRef {
    /// Where the bundle lies: `ConfigMap` (default) or `Secret`.
    #[serde(default)]
    pub kind: CaKind,
    /// Name of the ConfigMap or Secret, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rule::object_name())]
    pub name: String,
    /// Key that holds the certificates in PEM form. Default: `ca.crt`, as cert-manager writes it.
    #[serde(default = "CaRef::default_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rule::data_key())]
    pub key: String,
}

impl CaRef {
    fn default_key() -> String {
        "ca.crt".to_owned()
    }
}

/// The kind of object that holds a CA bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum CaKind {
    #[default]
    ConfigMap,
    Secret,
}
