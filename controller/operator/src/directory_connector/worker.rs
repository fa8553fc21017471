//! The connector worker: probes its directory, reads it every `changes.interval` and hands what it reads to the engine of
//! every sync that uses it. One read serves all of them.
//!
//! # Guarantees
//! A read that fails or is cancelled leaves no `End` in any engine, so it proves nobody's absence. A sync that subscribed before an
//! attempt started gets the whole of that attempt.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use plumbline_crds::{DirectoryConnector, DirectoryCounts};
use plumbline_directory::{DirectorySource, ServerFacts};
use plumbline_engine::{
    engine::Engine,
    entry::EntryKind,
    port::{Cause, Import, ReadRequest, Source as _, Start},
    reason::Reason,
};
use tokio::sync::{Notify, watch};
use tracing::{Instrument as _, info, info_span, warn};

use super::dereference::dereference;
use crate::{context::Context, fingerprint::Fingerprint, problem::Problem, world::Key};

/// An engine that workers share. It is locked for the length of one event, never across an await.
pub type SharedEngine = Arc<Mutex<Engine>>;

/// Locks an engine. A panic elsewhere while it was locked does not stop the others: each plan is checked against the target anyway.
pub fn lock(engine: &SharedEngine) -> std::sync::MutexGuard<'_, Engine> {
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a connector now.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Attempts begun and ended since the worker started.
    pub started: u64,
    pub finished: u64,
    pub facts: Option<ServerFacts>,
    pub counts: Option<DirectoryCounts>,
    pub last_read: Option<Timestamp>,
    /// Why the last attempt failed.
    pub problem: Option<Problem>,
}

/// A running connector worker, as others see it.
#[derive(Clone, Debug)]
pub struct Connector {
    pub state: watch::Receiver<State>,
    engines: Arc<Mutex<BTreeMap<Key, SharedEngine>>>,
    kick: Arc<Notify>,
}

impl Connector {
    /// From the next attempt on, this engine gets what is read.
    pub fn subscribe(&self, sync: &Key, engine: &SharedEngine) {
        self.engines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(sync.clone(), engine.clone());
    }

    pub fn unsubscribe(&self, sync: &Key) {
        self.engines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(sync);
    }

    /// Asks for an attempt now.
    pub fn kick(&self) {
        self.kick.notify_one();
    }

    /// Starts a worker; it ends when `specification` is closed.
    pub fn start(
        context: Arc<Context>,
        key: Key,
        specification: watch::Receiver<Arc<DirectoryConnector>>,
    ) -> Self {
        let (sender, state) = watch::channel(State::default());
        let connector = Self {
            state,
            engines: Arc::default(),
            kick: Arc::default(),
        };
        let worker = Worker {
            context,
            key: key.clone(),
            state: sender,
            engines: connector.engines.clone(),
            kick: connector.kick.clone(),
            source: None,
        };
        tokio::spawn(worker.run(specification).instrument(info_span!(
            "connector",
            namespace = key.namespace,
            name = key.name
        )));
        connector
    }
}

struct Worker {
    context: Arc<Context>,
    key: Key,
    state: watch::Sender<State>,
    engines: Arc<Mutex<BTreeMap<Key, SharedEngine>>>,
    kick: Arc<Notify>,
    /// The connection in use, and what it was made with.
    source: Option<(Fingerprint, DirectorySource)>,
}

impl Worker {
    async fn run(mut self, mut specification: watch::Receiver<Arc<DirectoryConnector>>) {
        loop {
            let connector = specification.borrow_and_update().clone();
            let interval: Duration = connector.spec.changes.interval.into();
            if connector.spec.suspend {
                self.source = None;
                self.state.send_modify(|state| {
                    state.problem = Some(Problem::new(
                        Reason::Suspended,
                        "the connector is suspended; nothing is read",
                    ));
                });
                if specification.changed().await.is_err() {
                    return;
                }
                continue;
            }
            self.state.send_modify(|state| state.started += 1);
            let result = tokio::select! {
                result = self.attempt(&connector) => result,
                changed = specification.changed() => {
                    self.source = None;
                    if changed.is_err() { return; }
                    self.state.send_modify(|state| state.finished = state.started);
                    continue;
                }
            };
            let failed = result.is_err();
            self.context.metrics.read(&self.key, result.as_ref().err());
            self.report(result);
            // A failing directory is asked again soon, however long the interval.
            let pause = if failed {
                interval.min(Duration::from_secs(10))
            } else {
                interval
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.kick.notified() => {}
                changed = specification.changed() => if changed.is_err() { return; }
            }
        }
    }

    fn report(&mut self, result: Result<Option<DirectoryCounts>, Problem>) {
        match &result {
            Ok(Some(counts)) => info!(
                users = counts.users,
                groups = counts.groups,
                "directory read"
            ),
            Ok(None) => {}
            Err(problem) => {
                warn!(reason = %problem.reason, message = problem.message, "directory not read")
            }
        }
        self.state.send_modify(|state| {
            state.finished = state.started;
            match result {
                Ok(counts) => {
                    if counts.is_some() {
                        state.last_read = Some(Timestamp::now());
                        state.counts = counts;
                    }
                    state.problem = None;
                }
                Err(problem) => state.problem = Some(problem),
            }
        });
    }

    /// Probes, and reads if a sync wants it.
    async fn attempt(
        &mut self,
        connector: &DirectoryConnector,
    ) -> Result<Option<DirectoryCounts>, Problem> {
        let (settings, fingerprint) = dereference(&*self.context.host, connector).await?;
        let mut source = match self.source.take() {
            Some((used, source)) if used == fingerprint => source,
            _ => DirectorySource::new(settings).map_err(|error| Problem::of(&error))?,
        };
        let facts = source.probe().await.map_err(|error| Problem::of(&error))?;
        self.state.send_if_modified(|state| {
            let changed = state.facts.as_ref() != Some(&facts);
            state.facts = Some(facts);
            changed
        });
        let engines: Vec<_> = self
            .engines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        let counts = if engines.is_empty() {
            None
        } else {
            Some(self.read(&mut source, &engines).await?)
        };
        self.source = Some((fingerprint, source));
        Ok(counts)
    }

    async fn read(
        &self,
        source: &mut DirectorySource,
        engines: &[SharedEngine],
    ) -> Result<DirectoryCounts, Problem> {
        let name = &self.key.name;
        let mut request = ReadRequest::default();
        for engine in engines {
            request
                .attributes
                .extend(lock(engine).read_request(name).attributes);
        }
        let record = self.context.record.as_ref();
        if let Some(record) = record {
            record.request(&self.key, &request);
        }
        let mut counts = DirectoryCounts::default();
        let mut deliver = |event: Import| {
            if let Import::Batch(entries) = &event {
                for entry in entries {
                    let count = match entry.kind {
                        EntryKind::User => &mut counts.users,
                        EntryKind::SecurityGroup => &mut counts.groups,
                        EntryKind::DistributionGroup => &mut counts.distribution_groups,
                        EntryKind::Contact => &mut counts.contacts,
                        EntryKind::Container => &mut counts.containers,
                    };
                    *count += 1;
                }
            }
            if let Some(record) = record {
                record.import(&self.key, &event);
            }
            for engine in engines {
                lock(engine).import(name, event.clone());
            }
        };
        source
            .read(&request, Start::Complete(Cause::NoFeed), &mut deliver)
            .await
            .map_err(|error| Problem::of(&error))?;
        self.settle(source, &request, engines).await?;
        Ok(counts)
    }

    /// Searches those who were not read, so that absence has its evidence.
    async fn settle(
        &self,
        source: &mut DirectorySource,
        request: &ReadRequest,
        engines: &[SharedEngine],
    ) -> Result<(), Problem> {
        let name = &self.key.name;
        for engine in engines {
            let doubts = lock(engine).doubts(name, Timestamp::now());
            if doubts.is_empty() {
                continue;
            }
            let mut deliver = |event: Import| {
                if let Some(record) = &self.context.record {
                    record.import(&self.key, &event);
                }
                lock(engine).import(name, event);
            };
            source
                .find(request, &doubts, &mut deliver)
                .await
                .map_err(|error| Problem::of(&error))?;
        }
        Ok(())
    }
}
