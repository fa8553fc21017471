//! The runtime: starts, updates and stops the workers so that they are what the world asks for, reads their reports and alone
//! writes status. Level-based: each pass compares the world with what runs, so a missed event never matters.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use kube::Resource as _;
use plumbline_crds::{CloudTenant, DirectoryConnector, DirectorySync};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    cloud_tenant::{self, Tenant},
    context::Context,
    directory_connector::{self, Connector},
    directory_sync::{self, Input, Parts, Report, Sync, dereference::dereference},
    publish::Publisher,
    sync_scope,
    world::{Key, Kind, Subject, World},
};

/// How often reports are looked at.
const PASS: Duration = Duration::from_millis(250);
/// How long workers get to stop at a safe point.
const STOP_LIMIT: Duration = Duration::from_secs(8);

/// All workers of a process.
#[expect(missing_debug_implementations, reason = "the context has none")]
pub struct Runtime {
    context: Arc<Context>,
    publisher: Publisher,
    connectors: BTreeMap<Key, Running<DirectoryConnector, Connector>>,
    tenants: BTreeMap<Key, Running<CloudTenant, Tenant>>,
    syncs: BTreeMap<Key, Sync>,
    /// The syncs of which state is kept.
    kept: Option<BTreeSet<Key>>,
    reports: watch::Sender<BTreeMap<Key, Report>>,
}

struct Running<K, W> {
    specification: watch::Sender<Arc<K>>,
    worker: W,
}

impl Runtime {
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            publisher: Publisher::new(context.clone()),
            context,
            connectors: BTreeMap::new(),
            tenants: BTreeMap::new(),
            syncs: BTreeMap::new(),
            kept: None,
            reports: watch::channel(BTreeMap::new()).0,
        }
    }

    /// The reports of all syncs, as they change; whole plans are to be had nowhere else.
    pub fn reports(&self) -> watch::Receiver<BTreeMap<Key, Report>> {
        self.reports.subscribe()
    }

    /// Runs until `stop`; then stops every worker at a safe point and publishes what they came to.
    pub async fn run(mut self, mut worlds: watch::Receiver<World>, stop: CancellationToken) {
        loop {
            let world = worlds.borrow_and_update().clone();
            self.reconcile(&world);
            self.publish(&world).await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(PASS) => {}
                changed = worlds.changed() => if changed.is_err() { break },
            }
        }
        for sync in self.syncs.values() {
            sync.input.borrow().cancel.cancel();
        }
        let tasks: Vec<_> = std::mem::take(&mut self.syncs)
            .into_values()
            .map(|sync| {
                drop(sync.input);
                sync.task
            })
            .collect();
        if tokio::time::timeout(STOP_LIMIT, futures::future::join_all(tasks))
            .await
            .is_err()
        {
            tracing::warn!(
                seconds = STOP_LIMIT.as_secs(),
                "a sync did not stop in time"
            );
        }
    }

    /// Makes the workers what the world asks for.
    fn reconcile(&mut self, world: &World) {
        let context = &self.context;
        keep(
            &mut self.connectors,
            &world.connectors,
            |key, specification| Connector::start(context.clone(), key.clone(), specification),
        );
        keep(&mut self.tenants, &world.tenants, |key, specification| {
            Tenant::start(context.clone(), key.clone(), specification)
        });
        let kept: BTreeSet<Key> = world.syncs.keys().cloned().collect();
        if self.kept.as_ref() != Some(&kept) {
            let (store, keys) = (self.context.store.clone(), kept.clone());
            tokio::task::spawn_blocking(move || store.retain(&keys));
            self.kept = Some(kept);
        }
        self.syncs.retain(|key, sync| {
            let keep = world.syncs.contains_key(key);
            if !keep {
                sync.input.borrow().cancel.cancel();
                self.connectors
                    .values()
                    .for_each(|running| running.worker.unsubscribe(key));
                self.context.metrics.forget(key);
            }
            keep
        });
        for (key, sync) in &world.syncs {
            let input = self.input(world, sync);
            match self.syncs.entry(key.clone()) {
                Entry::Vacant(slot) => {
                    slot.insert(Sync::start(self.context.clone(), key.clone(), input));
                }
                Entry::Occupied(mut running) => {
                    if running.get().task.is_finished() {
                        // A panic in a worker ends that worker alone.
                        tracing::error!(sync = %key, "sync worker ended unexpectedly; starting it again");
                        running.insert(Sync::start(self.context.clone(), key.clone(), input));
                    } else if !same(&running.get().input.borrow(), &input) {
                        running.get().input.borrow().cancel.cancel();
                        running.get().input.send_replace(input);
                    }
                }
            }
        }
    }

    fn input(&self, world: &World, sync: &Arc<DirectorySync>) -> Input {
        let parts = dereference(world, sync).and_then(|specs| {
            let key = Key::of(&**sync);
            let gone = |name: &str| directory_sync::worker::gone(name);
            let tenant_name = &sync.spec.tenant_ref.name;
            let tenant = self
                .tenants
                .get(&key.sibling(tenant_name))
                .ok_or_else(|| gone(tenant_name))?
                .worker
                .clone();
            let connectors = specs
                .connectors
                .keys()
                .map(|name| {
                    let running = self
                        .connectors
                        .get(&key.sibling(name))
                        .ok_or_else(|| gone(name))?;
                    Ok((name.clone(), running.worker.clone()))
                })
                .collect::<Result<_, _>>()?;
            Ok(Arc::new(Parts {
                specs,
                connectors,
                tenant,
            }))
        });
        Input {
            generation: sync.meta().generation,
            parts,
            mode: self.context.mode(sync),
            suspend: sync.spec.suspend,
            requested: requested(&**sync),
            cancel: Arc::new(CancellationToken::new()),
        }
    }

    async fn publish(&mut self, world: &World) {
        for (key, connector) in &world.connectors {
            let Some(running) = self.connectors.get(key) else {
                continue;
            };
            let status =
                directory_connector::status::status(connector, &running.worker.state.borrow());
            self.publisher
                .publish(subject(Kind::DirectoryConnector, key), &**connector, status)
                .await;
        }
        for (key, tenant) in &world.tenants {
            let Some(running) = self.tenants.get(key) else {
                continue;
            };
            let status = cloud_tenant::status::status(tenant, &running.worker.state.borrow());
            self.publisher
                .publish(subject(Kind::CloudTenant, key), &**tenant, status)
                .await;
        }
        for (key, scope) in &world.scopes {
            let connector = world
                .connectors
                .contains_key(&key.sibling(&scope.spec.connector_ref.name));
            let mut reports = self
                .syncs
                .iter()
                .filter(|(sync, _)| sync.namespace == key.namespace);
            let report =
                reports.find_map(|(_, sync)| sync.report.borrow().scopes.get(&key.name).cloned());
            let status = sync_scope::status::status(scope, connector, report.as_ref());
            self.publisher
                .publish(subject(Kind::SyncScope, key), &**scope, status)
                .await;
        }
        self.reports.send_replace(
            self.syncs
                .iter()
                .map(|(key, sync)| (key.clone(), sync.report.borrow().clone()))
                .collect(),
        );
        for (key, sync) in &world.syncs {
            let Some(running) = self.syncs.get(key) else {
                continue;
            };
            let report = running.report.borrow().clone();
            let connectors = self
                .connectors
                .iter()
                .filter(|(connector, _)| connector.namespace == key.namespace);
            let connectors = connectors
                .map(|(connector, running)| {
                    (
                        connector.name.clone(),
                        running.worker.state.borrow().clone(),
                    )
                })
                .collect();
            let status = directory_sync::status::status(sync, &report, &connectors);
            self.publisher
                .publish(subject(Kind::DirectorySync, key), &**sync, status)
                .await;
        }
        self.publisher.forget_others(world);
    }
}

fn subject(kind: Kind, key: &Key) -> Subject {
    Subject {
        kind,
        key: key.clone(),
    }
}

/// The reconcile-now token of a resource: ours, or Flux's.
pub fn requested<K: kube::Resource>(resource: &K) -> Option<String> {
    let annotations = resource.meta().annotations.as_ref()?;
    let token = annotations
        .get(plumbline_crds::REQUESTED_AT)
        .or_else(|| annotations.get("reconcile.fluxcd.io/requestedAt"))?;
    Some(
        token
            .chars()
            .take(plumbline_crds::REQUESTED_AT_MAX)
            .collect(),
    )
}

/// The same specs, the same switches: the run goes on.
fn same(a: &Input, b: &Input) -> bool {
    let parts = match (&a.parts, &b.parts) {
        (Ok(a), Ok(b)) => a.specs.versions() == b.specs.versions(),
        (Err(a), Err(b)) => a == b,
        _ => false,
    };
    parts
        && a.generation == b.generation
        && a.mode == b.mode
        && a.suspend == b.suspend
        && a.requested == b.requested
}

/// Starts workers for new resources, passes changed ones on, stops those of removed ones.
fn keep<K, W>(
    running: &mut BTreeMap<Key, Running<K, W>>,
    wanted: &BTreeMap<Key, Arc<K>>,
    start: impl Fn(&Key, watch::Receiver<Arc<K>>) -> W,
) where
    K: kube::Resource + Clone,
{
    running.retain(|key, _| wanted.contains_key(key));
    for (key, object) in wanted {
        match running.entry(key.clone()) {
            Entry::Vacant(slot) => {
                let (specification, receiver) = watch::channel(object.clone());
                let worker = start(key, receiver);
                slot.insert(Running {
                    specification,
                    worker,
                });
            }
            Entry::Occupied(running) => {
                running.get().specification.send_if_modified(|before| {
                    let version = |object: &K| {
                        (
                            object.meta().uid.clone(),
                            object.meta().generation,
                            requested(object),
                        )
                    };
                    let changed = version(before) != version(object);
                    if changed {
                        before.clone_from(object);
                    }
                    changed
                });
            }
        }
    }
}
