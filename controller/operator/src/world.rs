//! All resources of the watched namespaces at one moment, as a host last saw them. Everything is derived from this value, so a
//! missed event never matters.

use std::{collections::BTreeMap, fmt, sync::Arc};

use kube::{Resource, ResourceExt as _};
use plumbline_crds::{CloudTenant, DirectoryConnector, DirectorySync, SyncScope};
use serde::{Deserialize, Serialize};

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn of<K: Resource>(resource: &K) -> Self {
        Self {
            namespace: resource.namespace().unwrap_or_default(),
            name: resource.name_any(),
        }
    }

    /// Another name in the same namespace; references never leave it.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        Self {
            namespace: self.namespace.clone(),
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The four kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    DirectoryConnector,
    CloudTenant,
    SyncScope,
    DirectorySync,
}

impl Kind {
    pub const ALL: [Self; 4] = [
        Self::DirectoryConnector,
        Self::CloudTenant,
        Self::SyncScope,
        Self::DirectorySync,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::DirectoryConnector => "DirectoryConnector",
            Self::CloudTenant => "CloudTenant",
            Self::SyncScope => "SyncScope",
            Self::DirectorySync => "DirectorySync",
        }
    }
}

/// One resource, named.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    pub kind: Kind,
    pub key: Key,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.key)
    }
}

/// The resources themselves.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub connectors: BTreeMap<Key, Arc<DirectoryConnector>>,
    pub tenants: BTreeMap<Key, Arc<CloudTenant>>,
    pub scopes: BTreeMap<Key, Arc<SyncScope>>,
    pub syncs: BTreeMap<Key, Arc<DirectorySync>>,
}
