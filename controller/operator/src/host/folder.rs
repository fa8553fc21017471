//! The folder host: manifests from a directory that may change while we run (a git checkout), Secrets from a directory laid out
//! as mounted (`<name>/<key>`), status kept in memory for whoever asks. Nothing is written into the manifests.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use kube::Resource;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tracing::warn;

use crate::{
    host::{Data, Host, HostError, Notice, Store},
    manifest::{self, Fault, Manifests},
    permit::Tenure,
    world::{Key, Subject, World},
};

/// How often the folder is looked at. A change of a file is seen when its size or time of change differs.
const LOOK: Duration = Duration::from_millis(500);

/// Statuses by resource.
pub type Statuses = BTreeMap<Subject, Value>;

/// A folder of manifests as a host.
#[derive(Debug)]
pub struct Folder {
    manifests: watch::Sender<Arc<Manifests>>,
    worlds: watch::Sender<World>,
    secrets: Option<PathBuf>,
    statuses: watch::Sender<Statuses>,
    notices: broadcast::Sender<Notice>,
}

impl Folder {
    /// A host over manifests that were loaded without faults.
    pub fn new(manifests: Manifests, secrets: Option<PathBuf>) -> Self {
        Self {
            worlds: watch::channel(manifests.world.clone()).0,
            manifests: watch::channel(Arc::new(manifests)).0,
            secrets,
            statuses: watch::channel(Statuses::new()).0,
            notices: broadcast::channel(256).0,
        }
    }

    pub fn worlds(&self) -> watch::Receiver<World> {
        self.worlds.subscribe()
    }

    /// All statuses, as they change.
    pub fn statuses(&self) -> watch::Receiver<Statuses> {
        self.statuses.subscribe()
    }

    /// What people would see as Events.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Takes over changes of the folder until dropped. A state of the folder that has faults is reported and not taken.
    pub async fn follow(
        &self,
        folder: &Path,
        namespace: &str,
        mut report: impl FnMut(&[Fault]) + Send,
    ) {
        let mut seen = fingerprint(folder);
        loop {
            tokio::time::sleep(LOOK).await;
            let now = fingerprint(folder);
            if now == seen {
                continue;
            }
            seen = now;
            let (mut manifests, faults) = manifest::load(folder, namespace);
            if !faults.is_empty() {
                report(&faults);
                continue;
            }
            count_generations(&self.manifests.borrow().world, &mut manifests.world);
            self.worlds.send_replace(manifests.world.clone());
            self.manifests.send_replace(Arc::new(manifests));
        }
    }
}

fn fingerprint(folder: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let mut files = Vec::new();
    if let Err(error) = manifest::list(folder, &mut files) {
        warn!(folder = %folder.display(), %error, "folder of manifests cannot be read");
    }
    let look = |file: PathBuf| {
        let metadata = std::fs::metadata(&file).ok();
        let (time, size) = (
            metadata.as_ref().and_then(|m| m.modified().ok()),
            metadata.map_or(0, |m| m.len()),
        );
        (file, time, size)
    };
    files.into_iter().map(look).collect()
}

/// A changed spec gets the next generation, as the API server would give it.
fn count_generations(old: &World, new: &mut World) {
    fn count<K: Resource + Clone>(
        old: &BTreeMap<Key, Arc<K>>,
        new: &mut BTreeMap<Key, Arc<K>>,
        same: impl Fn(&K, &K) -> bool,
    ) {
        for (key, object) in new {
            if let Some(before) = old.get(key) {
                let generation =
                    before.meta().generation.unwrap_or(1) + i64::from(!same(before, object));
                Arc::make_mut(object).meta_mut().generation = Some(generation);
            }
        }
    }
    count(&old.connectors, &mut new.connectors, |a, b| {
        a.spec == b.spec
    });
    count(&old.tenants, &mut new.tenants, |a, b| a.spec == b.spec);
    count(&old.scopes, &mut new.scopes, |a, b| a.spec == b.spec);
    count(&old.syncs, &mut new.syncs, |a, b| a.spec == b.spec);
}

impl Host for Folder {
    fn data<'a>(
        &'a self,
        store: Store,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Data, HostError>> {
        Box::pin(async move {
            let key = Key {
                namespace: namespace.into(),
                name: name.into(),
            };
            if store == Store::ConfigMap
                && let Some(data) = self.manifests.borrow().config_maps.get(&key)
            {
                return Ok(data.clone());
            }
            let missing = || HostError::Missing {
                store,
                namespace: namespace.into(),
                name: name.into(),
            };
            let folder = self.secrets.as_ref().ok_or_else(missing)?.join(name);
            if !folder.is_dir() {
                return Err(missing());
            }
            mounted(&folder)
        })
    }

    fn service_account_token<'a>(
        &'a self,
        account: &'a Key,
        _audience: &'a str,
    ) -> BoxFuture<'a, Result<SecretString, HostError>> {
        Box::pin(async move {
            Err(HostError::NotInFolder {
                what: format!("a token of ServiceAccount {account}"),
            })
        })
    }

    fn write_status<'a>(
        &'a self,
        subject: &'a Subject,
        status: Value,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(async move {
            self.statuses
                .send_modify(|statuses| drop(statuses.insert(subject.clone(), status)));
            Ok(())
        })
    }

    fn notify(&self, notice: Notice) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Nobody listening is no fault.
            let _ = self.notices.send(notice);
        })
    }

    fn tenure(&self, _tenant: &Key) -> Tenure {
        Tenure::unlimited()
    }
}

/// The keys of a mounted Secret: its plain files; `..data` and the like are the kubelet's.
fn mounted(folder: &Path) -> Result<Data, HostError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| HostError::File { path, source }
    };
    let mut data = Data::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let Some(name) = path
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|name| !name.starts_with(".."))
        else {
            continue;
        };
        if path.is_file() {
            data.insert(
                name.into(),
                std::fs::read(&path).map_err(failed(&path))?.into(),
            );
        }
    }
    Ok(data)
}
