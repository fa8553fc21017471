//! The Kubernetes host: resources by watch, Secrets by `get` when they are used, status by server-side apply, Events, tokens
//! by TokenRequest, and one Lease per CloudTenant.
//!
//! Every call has a time limit of its own, for the client's retries alone could take minutes.

use std::{future::Future, time::Duration};

use futures::future::BoxFuture;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, ObjectReference, Secret, ServiceAccount},
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use plumbline_crds::{CloudTenant, DirectoryConnector, DirectorySync, SyncScope};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tracing::debug;

use crate::{
    host::{Data, Host, HostError, Notice, Store},
    permit::Tenure,
    world::{Key, Kind, Subject},
};

mod lease;
mod watch;

pub use watch::watch;

/// The field manager of our status writes. Never to be changed: fields in stored objects would be orphaned.
const FIELD_MANAGER: &str = "plumbline.dev";
/// How long one call to the API server may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// The API server's limit on an event's note is 1 KiB.
const NOTE_LIMIT: usize = 1000;

/// The API server as a host.
#[expect(missing_debug_implementations, reason = "the recorder has none")]
pub struct Kubernetes {
    client: Client,
    recorder: Recorder,
    identity: String,
}

impl Kubernetes {
    /// `identity` names this process among replicas: the pod's name.
    pub fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter {
            controller: "plumbline".into(),
            instance: Some(identity.into()),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            identity: identity.into(),
        }
    }

    async fn patch_status<K>(&self, key: &Key, status: &serde_json::Value) -> Result<(), HostError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &key.namespace);
        let what = format!("the status of {} {key}", K::kind(&()));
        let patch = serde_json::json!({ "apiVersion": K::api_version(&()), "kind": K::kind(&()), "status": status });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        match call(
            &what,
            api.patch_status(&key.name, &parameters, &Patch::Apply(&patch)),
        )
        .await
        {
            // Deleted meanwhile: there is nobody to tell.
            Err(HostError::Api { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.is_not_found()) => {
                Ok(())
            }
            other => other.map(drop),
        }
    }
}

/// One call with its time limit.
async fn call<T>(
    what: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, HostError> {
    match tokio::time::timeout(CALL_LIMIT, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(HostError::Api {
            what: what.into(),
            source: Box::new(source),
        }),
        Err(_) => Err(HostError::Timeout {
            what: what.into(),
            seconds: CALL_LIMIT.as_secs(),
        }),
    }
}

impl Host for Kubernetes {
    fn data<'a>(
        &'a self,
        store: Store,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Data, HostError>> {
        Box::pin(async move {
            let what = format!("{} `{name}` in namespace `{namespace}`", store.as_str());
            let missing = || HostError::Missing {
                store,
                namespace: namespace.into(),
                name: name.into(),
            };
            match store {
                Store::Secret => {
                    let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
                    let secret = call(&what, api.get_opt(name)).await?.ok_or_else(missing)?;
                    Ok(secret
                        .data
                        .unwrap_or_default()
                        .into_iter()
                        .map(|(key, value)| (key, value.0.into()))
                        .collect())
                }
                Store::ConfigMap => {
                    let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
                    let map = call(&what, api.get_opt(name)).await?.ok_or_else(missing)?;
                    let text = map
                        .data
                        .unwrap_or_default()
                        .into_iter()
                        .map(|(key, value)| (key, value.into_bytes().into()));
                    let binary = map
                        .binary_data
                        .unwrap_or_default()
                        .into_iter()
                        .map(|(key, value)| (key, value.0.into()));
                    Ok(text.chain(binary).collect())
                }
            }
        })
    }

    fn service_account_token<'a>(
        &'a self,
        account: &'a Key,
        audience: &'a str,
    ) -> BoxFuture<'a, Result<SecretString, HostError>> {
        Box::pin(async move {
            let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &account.namespace);
            let request = TokenRequest {
                spec: TokenRequestSpec {
                    audiences: vec![audience.into()],
                    expiration_seconds: Some(600),
                    bound_object_ref: None,
                },
                ..TokenRequest::default()
            };
            let what = format!("a token of ServiceAccount {account}");
            let answer = call(
                &what,
                api.create_token_request(&account.name, &PostParams::default(), &request),
            )
            .await?;
            Ok(answer
                .status
                .map(|status| status.token)
                .unwrap_or_default()
                .into())
        })
    }

    fn write_status<'a>(
        &'a self,
        subject: &'a Subject,
        status: serde_json::Value,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(async move {
            match subject.kind {
                Kind::DirectoryConnector => {
                    self.patch_status::<DirectoryConnector>(&subject.key, &status)
                        .await
                }
                Kind::CloudTenant => {
                    self.patch_status::<CloudTenant>(&subject.key, &status)
                        .await
                }
                Kind::SyncScope => self.patch_status::<SyncScope>(&subject.key, &status).await,
                Kind::DirectorySync => {
                    self.patch_status::<DirectorySync>(&subject.key, &status)
                        .await
                }
            }
        })
    }

    fn notify(&self, notice: Notice) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let reference = ObjectReference {
                api_version: Some(DirectorySync::api_version(&()).into()),
                kind: Some(notice.subject.kind.as_str().into()),
                namespace: Some(notice.subject.key.namespace.clone()),
                name: Some(notice.subject.key.name.clone()),
                uid: notice.uid,
                ..ObjectReference::default()
            };
            let mut note = notice.note;
            note.truncate(note.floor_char_boundary(NOTE_LIMIT));
            let event = Event {
                type_: if notice.warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: notice.reason.as_str().into(),
                note: Some(note),
                action: "Synchronise".into(),
                secondary: None,
            };
            if let Ok(Err(error)) =
                tokio::time::timeout(CALL_LIMIT, self.recorder.publish(&event, &reference)).await
            {
                debug!(%error, subject = %notice.subject, "event not published");
            }
        })
    }

    fn tenure(&self, tenant: &Key) -> Tenure {
        lease::contend(self.client.clone(), tenant, &self.identity)
    }
}
