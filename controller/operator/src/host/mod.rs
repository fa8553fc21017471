//! A host supplies resources and secrets and takes status and events. Two exist: the API server and a folder of manifests.
//! Everything below a host is the same code.

use std::{collections::BTreeMap, path::PathBuf};

use futures::future::BoxFuture;
use plumbline_engine::reason::Reason;
use secrecy::{SecretSlice, SecretString};

use crate::{
    permit::Tenure,
    problem::Problem,
    world::{Key, Subject},
};

pub mod folder;
pub mod kubernetes;

/// The data of a Secret, or of a ConfigMap, by key.
pub type Data = BTreeMap<String, SecretSlice<u8>>;

/// What a reference names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Secret,
    ConfigMap,
}

impl Store {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// Why a host could not supply something.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("{store} `{name}` does not exist in namespace `{namespace}`", store = .store.as_str())]
    Missing {
        store: Store,
        namespace: String,
        name: String,
    },
    #[error("the API server did not answer within {seconds} s when asked for {what}")]
    Timeout { what: String, seconds: u64 },
    #[error("the API server refused {what}")]
    Api {
        what: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("reading `{}`", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "{what} is not to be had outside a cluster; use `auth.clientSecret` or `auth.certificate` with the folder host"
    )]
    NotInFolder { what: String },
}

impl HostError {
    /// What to write on the resource whose field named the thing.
    pub fn problem(&self, field: &str) -> Problem {
        let reason = match self {
            Self::Missing { .. } | Self::File { .. } => Reason::SecretNotFound,
            Self::NotInFolder { .. } => Reason::InvalidSpec,
            Self::Api { .. } | Self::Timeout { .. } => Reason::DependencyNotReady,
        };
        Problem::new(
            reason,
            format!("`{field}`: {}", crate::problem::chain(self)),
        )
    }
}

/// A note for people about something that happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub subject: Subject,
    /// The object's uid, so that `kubectl describe` finds the event.
    pub uid: Option<String>,
    pub warning: bool,
    pub reason: Reason,
    /// At most 1 KiB reaches the API server.
    pub note: String,
}

/// What workers need of the world outside the directory and the tenant.
pub trait Host: Send + Sync + 'static {
    fn data<'a>(
        &'a self,
        store: Store,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Data, HostError>>;

    /// A token of a ServiceAccount of the resource's own namespace, for one audience.
    fn service_account_token<'a>(
        &'a self,
        account: &'a Key,
        audience: &'a str,
    ) -> BoxFuture<'a, Result<SecretString, HostError>>;

    /// Replaces the status of a resource.
    fn write_status<'a>(
        &'a self,
        subject: &'a Subject,
        status: serde_json::Value,
    ) -> BoxFuture<'a, Result<(), HostError>>;

    /// Tells people; failing to do so is logged, never returned.
    fn notify(&self, notice: Notice) -> BoxFuture<'_, ()>;

    /// Contends for the right to write at a tenant until the returned value and its clones are dropped.
    fn tenure(&self, tenant: &Key) -> Tenure;
}
