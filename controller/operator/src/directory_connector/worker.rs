//! The connector worker: follows its directory and hands what it reads to the engine of every sync that uses it. One read serves all of
//! them: what changed since the engines' cursor, at once where the server tells of changes and else every `changes.interval`, and
//! everything where there is no cursor and every `changes.verify`.
//!
//! # Guarantees
//! A read that fails or is cancelled leaves no `End` in any engine, so it proves nobody's absence, and the next one begins at the same
//! cursor. A sync that subscribed before an attempt started gets the whole of that attempt.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use plumbline_crds::{DirectoryConnector, DirectoryCounts};
use plumbline_directory::{DirectorySource, ServerFacts};
use plumbline_engine::{
    anchor::Anchor,
    engine::{Engine, Findings},
    entry::EntryKind,
    port::{Cause, Cursor, Extent, Import, ReadRequest, Source as _, Start},
    reason::Reason,
};
use tokio::sync::{Notify, watch};
use tracing::{Instrument as _, debug, info, info_span, warn};

use super::dereference::dereference;
use crate::{context::Context, fingerprint::Fingerprint, problem::Problem, world::Key};

/// How long to wait before a directory is asked again that stopped telling of changes.
const FEED_LOST: Duration = Duration::from_secs(1);
/// How often listings and searches may follow from one another.
const ROUNDS: usize = 8;

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
    /// When everything was last compared, and what the feed had missed.
    pub verified: Option<(Timestamp, Findings)>,
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
            held: None,
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
    held: Option<Held>,
}

/// The connection in use.
struct Held {
    source: DirectorySource,
    /// What it was made with.
    fingerprint: Fingerprint,
    /// When secrets and rights were last looked at.
    checked: Instant,
}

impl Held {
    /// Resolves when the directory tells of a change, or may no longer be able to.
    async fn news(held: &mut Option<Self>) {
        let Some(held) = held else {
            return std::future::pending().await;
        };
        if let Err(error) = held.source.changed().await {
            debug!(%error, "the directory no longer tells of changes; it is asked again");
            tokio::time::sleep(FEED_LOST).await;
        }
    }
}

impl Worker {
    async fn run(mut self, mut specification: watch::Receiver<Arc<DirectoryConnector>>) {
        loop {
            let connector = specification.borrow_and_update().clone();
            let interval: Duration = connector.spec.changes.interval.into();
            if connector.spec.suspend {
                self.held = None;
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
                    self.held = None;
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
                () = Held::news(&mut self.held) => {}
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

    /// Looks at secrets and rights when it is time, and reads if a sync wants it.
    async fn attempt(
        &mut self,
        connector: &DirectoryConnector,
    ) -> Result<Option<DirectoryCounts>, Problem> {
        let interval: Duration = connector.spec.changes.interval.into();
        let mut held = match self.held.take() {
            Some(held) if held.checked.elapsed() < interval => held,
            held => self.check(connector, held).await?,
        };
        let engines: Vec<_> = self
            .engines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        let mut counts = None;
        if let Some(first) = engines.first() {
            self.read(connector, &mut held.source, &engines).await?;
            counts = Some(counted(&lock(first).entries(&self.key.name)));
        }
        self.held = Some(held);
        Ok(counts)
    }

    /// Makes a connection of what the resource says now, or keeps the one that was made of the same, and probes.
    async fn check(
        &self,
        connector: &DirectoryConnector,
        held: Option<Held>,
    ) -> Result<Held, Problem> {
        let (settings, fingerprint) = dereference(&*self.context.host, connector).await?;
        let mut source = match held {
            Some(held) if held.fingerprint == fingerprint => held.source,
            _ => DirectorySource::new(settings).map_err(|error| Problem::of(&error))?,
        };
        let facts = source.probe().await.map_err(|error| Problem::of(&error))?;
        self.state.send_if_modified(|state| {
            let changed = state.facts.as_ref() != Some(&facts);
            state.facts = Some(facts);
            changed
        });
        Ok(Held {
            source,
            fingerprint,
            checked: Instant::now(),
        })
    }

    async fn read(
        &mut self,
        connector: &DirectoryConnector,
        source: &mut DirectorySource,
        engines: &[SharedEngine],
    ) -> Result<(), Problem> {
        let name = &self.key.name;
        let mut request = ReadRequest::default();
        for engine in engines {
            let wanted = lock(engine).read_request(name).attributes;
            request.attributes.extend(wanted);
        }
        if let Some(record) = &self.context.record {
            record.request(&self.key, &request);
        }
        let verify: Duration = connector.spec.changes.verify.into();
        let places = places(engines, name);
        if let Some(places) = &places {
            // Who is told of a change again is none the worse, so that in the end all stand at the last place.
            let mut told = Vec::new();
            for (cursor, own) in places {
                told.extend(own.iter().cloned());
                let mut deliver = |event: Import| self.deliver(&told, event);
                let read = source.read(&request, Start::After(cursor), &mut deliver);
                read.await.map_err(|error| Problem::of(&error))?;
            }
        } else {
            let cause = oldest_read(engines, name).map_or(Cause::First, |_| Cause::NoFeed);
            let mut deliver = |event: Import| self.deliver(engines, event);
            let read = source.read(&request, Start::Complete(cause), &mut deliver);
            read.await.map_err(|error| Problem::of(&error))?;
        }
        self.settle(source, &request, engines).await?;
        let age = oldest_read(engines, name).map(|at| Timestamp::now().duration_since(at));
        let due = age.is_none_or(|age| Duration::try_from(age).is_ok_and(|age| age >= verify));
        // After what the feed tells: what it has not told by now it has missed.
        if places.is_some() && due {
            let mut deliver = |event: Import| self.deliver(engines, event);
            let read = source.read(&request, Start::Complete(Cause::Verify), &mut deliver);
            read.await.map_err(|error| Problem::of(&error))?;
            self.settle(source, &request, engines).await?;
            self.compared_all(engines);
        }
        Ok(())
    }

    /// Tells what a complete comparison found. Every engine has read the same, so one speaks for all.
    fn compared_all(&self, engines: &[SharedEngine]) {
        let Some(engine) = engines.first() else {
            return;
        };
        let found = lock(engine).findings(&self.key.name);
        if found != Findings::default() {
            warn!(?found, "the change feed had missed changes");
        }
        self.context.metrics.findings(&self.key, found);
        let verified = Some((Timestamp::now(), found));
        self.state.send_modify(|state| state.verified = verified);
    }

    fn deliver(&self, engines: &[SharedEngine], event: Import) {
        if let Some(record) = &self.context.record {
            record.import(&self.key, &event);
        }
        if let Import::Begin {
            extent: Extent::Complete(cause) | Extent::Subtree { cause, .. },
            ..
        } = &event
        {
            self.context.metrics.listing(&self.key, *cause);
        }
        if let Import::Begin {
            extent: Extent::Complete(cause),
            ..
        } = &event
        {
            info!(?cause, "everything is read");
        }
        for engine in engines {
            lock(engine).import(&self.key.name, event.clone());
        }
    }

    /// Lists below containers of which the feed says too little, and searches those of whom it is not certain that they are gone.
    async fn settle(
        &self,
        source: &mut DirectorySource,
        request: &ReadRequest,
        engines: &[SharedEngine],
    ) -> Result<(), Problem> {
        let name = &self.key.name;
        // A listing leads to doubts, and who is found to containers; what is left then waits for the next attempt.
        for _ in 0..ROUNDS {
            let (mut listings, mut doubts) = (BTreeMap::new(), BTreeSet::new());
            for engine in engines {
                let engine = lock(engine);
                listings.extend(engine.listings(name));
                doubts.extend(engine.doubts(name, Timestamp::now()));
            }
            if listings.is_empty() && doubts.is_empty() {
                return Ok(());
            }
            let mut deliver = |event: Import| self.deliver(engines, event);
            for (dn, cause) in listings {
                source
                    .list(request, &dn, cause, &mut deliver)
                    .await
                    .map_err(|error| Problem::of(&error))?;
            }
            let doubts: Vec<Anchor> = doubts.into_iter().collect();
            if !doubts.is_empty() {
                source
                    .find(request, &doubts, &mut deliver)
                    .await
                    .map_err(|error| Problem::of(&error))?;
            }
        }
        Ok(())
    }
}

/// When everything was last read, of the engine for which that is longest ago; `None` if one never has.
fn oldest_read(engines: &[SharedEngine], connector: &str) -> Option<Timestamp> {
    let read_at = engines.iter().map(|engine| lock(engine).read_at(connector));
    read_at.min().flatten()
}

/// Where the engines stand, and who stands there; after a restart that need not be one place. `None` if one has not read yet, or there is
/// no feed: then everybody reads everything.
fn places(engines: &[SharedEngine], connector: &str) -> Option<Vec<(Cursor, Vec<SharedEngine>)>> {
    let mut places: Vec<(Cursor, Vec<SharedEngine>)> = Vec::new();
    for engine in engines {
        let cursor = lock(engine).cursor(connector).cloned()?;
        match places.iter_mut().find(|(known, _)| *known == cursor) {
            Some((_, own)) => own.push(engine.clone()),
            None => places.push((cursor, vec![engine.clone()])),
        }
    }
    Some(places)
}

fn counted(entries: &BTreeMap<EntryKind, usize>) -> DirectoryCounts {
    let of = |kind| {
        let count = entries.get(&kind).copied().unwrap_or_default();
        i64::try_from(count).unwrap_or(i64::MAX)
    };
    DirectoryCounts {
        users: of(EntryKind::User),
        groups: of(EntryKind::SecurityGroup),
        contacts: of(EntryKind::Contact),
        distribution_groups: of(EntryKind::DistributionGroup),
        containers: of(EntryKind::Container),
    }
}
