//! One Lease per CloudTenant, in its namespace: its holder alone writes at the tenant (coordination.k8s.io/v1, with the
//! safety properties of client-go's leader election).
//!
//! Expiry of another holder is judged by our own monotonic clock from when its record last changed; every write carries the
//! resource version just read; and a holder stops by itself before another may take over.

use std::time::{Duration, Instant};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ObjectMeta, PostParams},
};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::{permit::Tenure, world::Key};

/// How long a holder that stopped renewing keeps others waiting.
const DURATION: Duration = Duration::from_secs(15);
/// How long after its last renewal a holder goes on: requests time out before the Lease can change hands.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);
const CALL_LIMIT: Duration = Duration::from_secs(3);

/// Contends for the tenant's Lease in a task of its own, until the returned value and its clones are dropped; then lets go.
pub(super) fn contend(client: Client, tenant: &Key, identity: &str) -> Tenure {
    let (sender, receiver) = watch::channel(None);
    let contender = Contender {
        api: Api::namespaced(client, &tenant.namespace),
        name: format!("plumbline-tenant-{}", tenant.name),
        identity: identity.into(),
        observed: None,
    };
    tokio::spawn(contender.run(sender));
    Tenure::new(receiver)
}

struct Contender {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// The record of another holder, and when we first saw it.
    observed: Option<(String, Instant)>,
}

impl Contender {
    async fn run(mut self, tenure: watch::Sender<Option<Instant>>) {
        loop {
            // Taken before the request: the others count from when the server stored it, which is later.
            let asked = Instant::now();
            match tokio::time::timeout(CALL_LIMIT, self.attempt()).await {
                Ok(Ok(true)) => {
                    if tenure.send_replace(Some(asked + RENEW_DEADLINE)).is_none() {
                        info!(lease = %self.name, "tenant lease acquired");
                    }
                }
                Ok(Ok(false)) => {
                    if tenure.send_replace(None).is_some() {
                        warn!(lease = %self.name, "tenant lease lost");
                    }
                }
                Ok(Err(error)) => debug!(lease = %self.name, %error, "tenant lease not renewed"),
                Err(_) => debug!(lease = %self.name, "tenant lease not renewed in time"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = tenure.closed() => break,
            }
        }
        if tenure.borrow().is_some()
            && let Ok(Err(error)) = tokio::time::timeout(CALL_LIMIT, self.release()).await
        {
            debug!(lease = %self.name, %error, "tenant lease not released");
        }
    }

    /// One try to take or renew. `Ok(false)`: another holds it.
    async fn attempt(&mut self) -> kube::Result<bool> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.record(None)),
            };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let version = lease.resource_version().unwrap_or_default();
        let spec = lease.spec.take();
        let holder = spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.clone())
            .unwrap_or_default();
        if !holder.is_empty() && holder != self.identity {
            match &self.observed {
                Some((seen, since)) if *seen == version => {
                    if since.elapsed() < DURATION {
                        return Ok(false);
                    }
                }
                _ => {
                    self.observed = Some((version, Instant::now()));
                    return Ok(false);
                }
            }
        }
        lease.spec = Some(self.record(spec));
        won(self
            .api
            .replace(&self.name, &PostParams::default(), &lease)
            .await)
    }

    fn record(&self, previous: Option<LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let previous = previous.unwrap_or_default();
        let ours = previous.holder_identity.as_deref() == Some(&self.identity);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if ours {
                previous.acquire_time
            } else {
                Some(now.clone())
            },
            renew_time: Some(now),
            lease_transitions: Some(previous.lease_transitions.unwrap_or(0) + i32::from(!ours)),
            ..previous
        }
    }

    /// Lets the next contender have it at once. Called after all work under the Lease has stopped.
    async fn release(&self) -> kube::Result<()> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            return Ok(());
        };
        let Some(spec) = lease
            .spec
            .as_mut()
            .filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity))
        else {
            return Ok(());
        };
        spec.holder_identity = None;
        self.api
            .replace(&self.name, &PostParams::default(), &lease)
            .await
            .map(drop)
    }
}

fn won(answer: kube::Result<Lease>) -> kube::Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
