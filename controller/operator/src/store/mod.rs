//! What outlives a restart: of each sync its engine's records (what was read of directories and tenant, with the places where the next
//! reads go on) and its memory, in one database in the state folder. It is a cache: lost, damaged, of another version or older than the
//! world, the next cycle is a complete one that writes only what differs.
//!
//! A failure never stops a sync: what cannot be kept stays in memory, is told as `StateNotKept`, and is tried again soon.
//! What a written OU or group resolved to also lives in `SyncScope.status.resolved`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use plumbline_crds::SyncScope;
use plumbline_engine::{
    anchor::Anchor, configuration::Configuration, dn::Written, engine::Engine, memory::Memory,
    reason::Reason, record::Resumed,
};
use tracing::{info, warn};

use crate::{
    directory_connector::worker::{SharedEngine, lock},
    directory_sync::dereference::Dereferenced,
    problem::{Problem, chain},
    world::Key,
};

mod chunk;
mod database;

use database::{Database, StoreError};

/// After a failure the next attempt waits this long.
const RETRY: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Store {
    /// Without one everything is forgotten at exit.
    folder: Option<PathBuf>,
    /// Another process writes; what it remembers is of use here.
    read_only: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// None before it is needed and after a failure.
    database: Option<Database>,
    /// Syncs whose engines go on from what is in the database.
    attached: BTreeSet<Key>,
    failed: Option<(Instant, Problem)>,
}

/// What an engine is made of, beside what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub key: &'a Key,
    pub parts: &'a Dereferenced,
}

impl Origin<'_> {
    /// The tenant, the application and the owner: what is kept of another is of no use.
    fn identity(&self) -> String {
        let entra = self.parts.tenant.spec.entra.as_ref();
        let ids = entra.map(|entra| format!("{} {}", entra.tenant_id, entra.client_id));
        format!("{} {}", ids.unwrap_or_default(), self.parts.sync.owner())
    }
}

impl Store {
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            read_only: false,
            inner: Mutex::default(),
        }
    }

    /// For a plan in one shot: what a sync remembers that runs elsewhere, and nothing is kept.
    pub fn read_only(folder: Option<PathBuf>) -> Self {
        Self {
            read_only: true,
            ..Self::new(folder)
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine of a sync, going on from what is kept of it if that is of use.
    pub fn resume(&self, origin: &Origin<'_>, configuration: Configuration) -> Engine {
        if self.read_only {
            return Engine::new(configuration, self.memory(origin.key, &origin.parts.scopes));
        }
        let mut inner = self.inner();
        inner.attached.remove(origin.key);
        let mut memory = None;
        let loaded = self
            .open(&mut inner)
            .and_then(|database| match database {
                Some(database) => load(database, origin, &mut memory),
                None => Ok(None),
            })
            .unwrap_or_else(|error| {
                inner.fail(&error, origin.key);
                None
            });
        let memory = resolved(memory.unwrap_or_default(), &origin.parts.scopes);
        match loaded {
            Some(resumed) => {
                inner.attached.insert(origin.key.clone());
                resumed.engine(configuration, memory)
            }
            None => Engine::new(configuration, memory),
        }
    }

    /// What is remembered of a sync; empty when there is nothing that can be read. Another process may be writing.
    pub fn memory(&self, key: &Key, scopes: &BTreeMap<String, Arc<SyncScope>>) -> Memory {
        let folder = self.folder.as_deref();
        let found = folder.map(|folder| {
            let Some(database) = Database::look(folder)? else {
                return Ok(None);
            };
            let place = database.find(key, None)?;
            place.map_or(Ok(None), |place| database.memory(place))
        });
        let found = found.unwrap_or(Ok(None)).unwrap_or_else(|error: StoreError| {
            warn!(sync = %key, error = chain(&error), "no state of this sync; planning without");
            None
        });
        let memory = found.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        resolved(memory.unwrap_or_default(), scopes)
    }

    /// Keeps what the engine remembers and, unless a read is in progress, what changed of it: all or nothing. The error is why not; a later
    /// call that comes too soon to try again gives it too.
    pub fn save(&self, origin: &Origin<'_>, engine: &SharedEngine) -> Result<(), Problem> {
        if self.read_only {
            return Ok(());
        }
        let mut inner = self.inner();
        if let Some((at, problem)) = &inner.failed
            && at.elapsed() < RETRY
        {
            return Err(problem.clone());
        }
        match self.try_save(&mut inner, origin, engine) {
            Ok(()) => {
                if inner.failed.take().is_some() {
                    info!("state is kept again");
                }
                Ok(())
            }
            Err(error) => Err(inner.fail(&error, origin.key)),
        }
    }

    fn try_save(
        &self,
        inner: &mut Inner,
        origin: &Origin<'_>,
        engine: &SharedEngine,
    ) -> Result<(), StoreError> {
        let (key, identity) = (origin.key, &origin.identity());
        let attached = inner.attached.contains(key);
        let Some(database) = self.open(inner)? else {
            return Ok(());
        };
        // A file that was taken away is begun anew when it is next opened.
        let attached = attached && database.find(key, Some(identity))?.is_some();
        let mut engine = lock(engine);
        let memory = serde_json::to_vec(engine.memory()).map_err(|_| StoreError::Damaged)?;
        if !attached {
            // Nothing that is there is of this engine.
            engine.keep_all();
        }
        let given = database.write(key, identity, &memory, !attached, &mut |put| {
            engine.keep(put)
        })?;
        if given {
            engine.kept();
            inner.attached.insert(key.clone());
        }
        Ok(())
    }

    /// Forgets all other syncs.
    pub fn retain(&self, keys: &BTreeSet<Key>) {
        let mut inner = self.inner();
        if self.read_only {
            return;
        }
        inner.attached.retain(|key| keys.contains(key));
        let retained = self
            .open(&mut inner)
            .and_then(|database| database.map_or(Ok(()), |database| database.retain(keys)));
        if let Err(error) = retained {
            warn!(
                error = chain(&error),
                "what is kept of syncs that are no more stays until the next start"
            );
        }
    }

    fn open<'a>(&self, inner: &'a mut Inner) -> Result<Option<&'a mut Database>, StoreError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        if inner.database.is_none() {
            inner.database = Some(Database::open(folder)?);
        }
        Ok(inner.database.as_mut())
    }
}

impl Inner {
    /// Notes a failure. What is there is of no further use if it is damaged, and is opened anew in any case.
    fn fail(&mut self, error: &StoreError, key: &Key) -> Problem {
        let mut message = chain(error);
        if error.is_no_room() {
            message = format!("the volume has no room for the state ({message})");
        }
        warn!(sync = %key, error = message, "state not kept; work goes on in memory");
        if error.is_damage() {
            self.attached.clear();
        }
        if !error.is_no_room() {
            self.database = None;
        }
        let problem = Problem::new(Reason::StateNotKept, message);
        self.failed = Some((Instant::now(), problem.clone()));
        problem
    }
}

/// What is kept of a sync: its memory, and its records if they are whole.
fn load(
    database: &Database,
    origin: &Origin<'_>,
    memory: &mut Option<Memory>,
) -> Result<Option<Resumed>, StoreError> {
    let Some(place) = database.find(origin.key, Some(&origin.identity()))? else {
        return Ok(None);
    };
    *memory = database
        .memory(place)?
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if !place.whole || memory.is_none() {
        return Ok(None);
    }
    let began = Instant::now();
    let mut resumed = Resumed::default();
    database.read(place, &mut |key, bytes| Ok(resumed.take(key, bytes)?))?;
    info!(sync = %origin.key, milliseconds = began.elapsed().as_millis(), "state found");
    Ok(Some(resumed))
}

/// With what the scopes' statuses say.
fn resolved(mut memory: Memory, scopes: &BTreeMap<String, Arc<SyncScope>>) -> Memory {
    for (name, scope) in scopes {
        for resolved in scope.status.iter().flat_map(|status| &status.resolved) {
            // A text that no longer parses is no longer written in the spec either.
            if let Ok(written) = Written::parse(&resolved.written) {
                let guid = Anchor::from_text(&resolved.guid);
                memory.resolve(name, &written, guid, &resolved.dn);
            }
        }
    }
    memory
}

#[cfg(test)]
mod tests;
