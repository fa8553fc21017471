//! Backups that come back, and domain controllers that lag behind: what no test can make a real server do on time.
//!
//! Replication is one-way and on order: a replica becomes what its source is, numbers each write anew and keeps its origin
//! (MS-ADTS §3.1.1.1.9), so that a DirSync cookie of the one means the right thing at the other.

use std::collections::BTreeMap;

use super::active_directory::{service_name, service_objects};
use super::fault::Faults;
use super::modify::random_uuid;
use super::refusal::Refusal;
use super::replication::Stamp;
use super::store::Store;
use super::{Directory, Inner, Profile, StartError};

/// The content of a directory at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot(Store);

impl Directory {
    /// Keeps the content as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.world.lock().store.clone())
    }

    /// Brings back an earlier content, as a restore from a backup does: everything written since is gone, numbers go on
    /// from where they were, an AD server has a new invocationId, and all connections end.
    pub fn restore(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        let mut store = snapshot.0.clone();
        store.changes.restart();
        if store.profile == Profile::Ad {
            store.up_to_date.insert(store.invocation, store.usn);
            store.invocation = random_uuid();
            let settings = store.existing(&store.parse(&service_name(&store))?)?;
            if let Some(mut stored) = store.entries.get(&settings).cloned() {
                stored.set("invocationId", store.invocation.to_vec());
                store.stamp_changed(&mut stored);
                store.entries.insert(settings, stored);
            }
        }
        self.world.lock().store = store;
        self.disconnect_all();
        Ok(())
    }

    /// Starts another domain controller of the same domain, DC2, with what this one has now and the same accounts.
    ///
    /// It learns of later changes by `catch_up` only.
    pub async fn replica(&self) -> Result<Self, StartError> {
        let inner = {
            let inner = self.world.lock();
            let mut store = copy(&inner.store, None);
            store.server = "DC2";
            store.invocation = random_uuid();
            settle(&mut store).map_err(StartError::Load)?;
            Inner {
                store,
                accounts: inner.accounts.clone(),
                faults: Faults::default(),
                require_tls: inner.require_tls,
                dirsync_page: inner.dirsync_page,
            }
        };
        Self::serve(inner, (0, 0)).await
    }

    /// Replicates everything from another domain controller; what was written here alone is lost.
    pub fn catch_up(&self, source: &Self) -> Result<(), Refusal> {
        let newer = source.world.lock().store.clone();
        let mut inner = self.world.lock();
        let mut store = copy(&newer, Some(&inner.store));
        store.server = inner.store.server;
        store.invocation = inner.store.invocation;
        store.up_to_date.remove(&store.invocation);
        settle(&mut store)?;
        inner.store = store;
        Ok(())
    }
}

/// A domain controller's own objects.
fn settle(store: &mut Store) -> Result<(), Refusal> {
    for entry in service_objects(store) {
        if store.find(&store.parse(&entry.dn)?).is_none() {
            let id = store.add(&entry)?;
            store.settle_references(id, false)?;
        }
    }
    Ok(())
}

/// The content of `source` under the numbers of another server: those that it gave already stay.
fn copy(source: &Store, own: Option<&Store>) -> Store {
    let mut store = source.clone();
    let mut known: BTreeMap<(u64, [u8; 16], u64), u64> = BTreeMap::new();
    for (&id, stored) in own.iter().flat_map(|own| &own.entries) {
        for stamp in stored.metadata.clone().stamps_mut() {
            known.insert((id, stamp.origin, stamp.origin_usn), stamp.usn);
        }
    }
    let mut usn = own.map_or(1, |own| own.usn);
    let mut order: Vec<(u64, u64, &mut Stamp)> = Vec::new();
    for (&id, stored) in &mut store.entries {
        let stamps = stored.metadata.stamps_mut();
        order.extend(stamps.map(|stamp| (stamp.usn, id, stamp)));
    }
    order.sort_by_key(|(usn, id, _)| (*usn, *id));
    for (_, id, stamp) in order {
        stamp.usn = *known
            .entry((id, stamp.origin, stamp.origin_usn))
            .or_insert_with(|| {
                usn += 1;
                usn
            });
    }
    for stored in store.entries.values_mut().filter(|each| each.raw.is_none()) {
        let last = stored.metadata.last();
        stored.set("uSNChanged", last.to_string());
    }
    store.up_to_date.insert(source.invocation, source.usn);
    store.usn = usn;
    store
}
