//! What outlives a restart: the memory of each engine (absences first seen, values that the target rewrote, what scopes resolved
//! to), as one small JSON file per sync. It is a cache: without it the next cycle costs more and writes only what differs.
//!
//! What a written OU or group resolved to also lives in `SyncScope.status.resolved`, which fills in when the file is lost.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use plumbline_crds::SyncScope;
use plumbline_engine::{anchor::Anchor, dn::Written, memory::Memory};
use tracing::{info, warn};

use crate::world::Key;

/// The folder that holds the files, or none: then everything is forgotten at exit.
#[derive(Debug, Default)]
pub struct StateFolder {
    folder: Option<PathBuf>,
    read_only: bool,
    written: Mutex<BTreeMap<Key, Vec<u8>>>,
}

impl StateFolder {
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            ..Self::default()
        }
    }

    /// The folder of a process that runs elsewhere: nothing is ever written into it.
    pub fn read_only(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            read_only: true,
            ..Self::default()
        }
    }

    fn file(&self, key: &Key) -> Option<PathBuf> {
        Some(
            self.folder
                .as_ref()?
                .join(format!("{}.{}.json", key.namespace, key.name)),
        )
    }

    /// What is remembered of a sync; empty when there is nothing that can be read.
    pub fn load(&self, key: &Key, scopes: &BTreeMap<String, Arc<SyncScope>>) -> Memory {
        let mut memory = Memory::default();
        if let Some(file) = self.file(key) {
            match std::fs::read(&file)
                .map_err(|error| error.to_string())
                .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
            {
                Ok(found) => memory = found,
                Err(error) => {
                    info!(file = %file.display(), error, "no state of this sync; starting without")
                }
            }
        }
        for (name, scope) in scopes {
            for resolved in scope.status.iter().flat_map(|status| &status.resolved) {
                // A text that no longer parses is no longer written in the spec either.
                if let Ok(written) = Written::parse(&resolved.written) {
                    memory.resolve(
                        name,
                        &written,
                        Anchor::from_text(&resolved.guid),
                        &resolved.dn,
                    );
                }
            }
        }
        memory
    }

    /// Keeps the memory of a sync, by writing a new file and renaming it. A full disk is reported and does not stop the sync.
    pub fn save(&self, key: &Key, memory: &Memory) {
        let Some(file) = self.file(key).filter(|_| !self.read_only) else {
            return;
        };
        let bytes = match serde_json::to_vec(memory) {
            Ok(bytes) => bytes,
            Err(error) => return warn!(%error, "state cannot be written as JSON"),
        };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.get(key) == Some(&bytes) {
            return;
        }
        let partial = file.with_extension("partial");
        let result = std::fs::File::create(&partial)
            .and_then(|mut handle| handle.write_all(&bytes).and_then(|()| handle.sync_all()))
            .and_then(|()| std::fs::rename(&partial, &file));
        match result {
            Ok(()) => drop(written.insert(key.clone(), bytes)),
            Err(error) => {
                warn!(file = %file.display(), %error, "state not kept; a restart will cost one full comparison")
            }
        }
    }
}
