//! An embedded LDAP directory for tests and the quickstart: `slapd` or Active Directory as a client sees them.
//!
//! Runs in the process on loopback, with ldap:// (StartTLS) and ldaps://. Beside the protocol there is direct access
//! to the content, and what a real server cannot be made to do: hidden subtrees, limits per account, cut connections,
//! changes between two pages, broken entries. Password hashes, referrals to other servers and schema writes are absent.

mod access;
mod active_directory;
mod ber;
mod change_log;
mod content_sync;
mod dirsync;
mod dn;
mod entry;
mod fault;
mod feed;
mod filter;
mod ldif;
mod links;
mod modify;
mod range;
mod refusal;
mod rename;
mod replica;
mod replication;
mod root_dse;
mod schema;
mod search;
mod selection;
mod session;
mod store;
mod tombstone;
mod view;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use access::Account;
pub use active_directory::{parse_guid, print_guid};
pub use dn::{Ava, Dn, DnError, Escaping, Rdn};
pub use entry::{Attribute, Change, Entry, Modification, Operation};
pub use fault::Fault;
pub use ldif::{LdifError, read_changes, read_entries, write_changes, write_entries};
pub use range::MAX_VALUE_RANGE;
pub use refusal::Refusal;
pub use replica::Snapshot;
pub use search::MAX_PAGE_SIZE;
pub use store::Store;

use crate::tls::{TestCa, TlsError};
use fault::Faults;
use session::{End, Session};

/// Which server the directory behaves like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// slapd 2.5 with core, cosine and inetorgperson schema.
    OpenLdap,
    /// A Windows domain controller, where it differs from Samba too: MaxPageSize, MaxValRange, referrals.
    Ad,
}

/// What to start.
#[derive(Debug)]
pub struct Config {
    pub profile: Profile,
    pub base_dn: String,
    /// Loaded before the first connection; references may point forward, given anchors are kept.
    pub entries: Vec<Entry>,
    pub accounts: Vec<Account>,
    /// Refuse simple binds without TLS.
    pub require_tls: bool,
    /// Ports of ldap:// and ldaps://; 0 takes a free one.
    pub ports: (u16, u16),
}

impl Config {
    /// A directory of this kind without entries or accounts, on free ports, that takes binds without TLS.
    pub fn new(profile: Profile, base_dn: &str) -> Self {
        let base_dn = base_dn.to_owned();
        Self {
            profile,
            base_dn,
            entries: Vec::new(),
            accounts: Vec::new(),
            require_tls: false,
            ports: (0, 0),
        }
    }
}

/// The directory could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("the base DN `{base_dn}` cannot be read")]
    BaseDn {
        base_dn: String,
        #[source]
        source: DnError,
    },
    #[error("loading the entries failed")]
    Load(#[source] Refusal),
    #[error("making the server's certificate failed")]
    Certificate(#[from] TlsError),
    #[error("listening on 127.0.0.1 failed")]
    Listen(#[source] std::io::Error),
}

/// A running directory; it stops when dropped.
#[derive(Debug)]
pub struct Directory {
    world: Arc<World>,
    ca_pem: String,
    ldap: SocketAddr,
    ldaps: SocketAddr,
    /// Sessions end when this is dropped, or when its value changes.
    connections: watch::Sender<u64>,
    listeners: Vec<tokio::task::JoinHandle<()>>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) profile: Profile,
    inner: Mutex<Inner>,
    /// Moves with each change of the content.
    pub(crate) changed: watch::Sender<u64>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) accounts: Vec<Account>,
    pub(crate) faults: Faults,
    pub(crate) require_tls: bool,
    /// The most objects on a page of DirSync.
    pub(crate) dirsync_page: usize,
}

impl World {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the persistent searches.
    pub(crate) fn notify(&self) {
        self.changed.send_modify(|change| *change += 1);
    }
}

impl Directory {
    /// Loads the entries and listens on 127.0.0.1.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let Config {
            profile,
            base_dn,
            entries,
            accounts,
            require_tls,
            ports,
        } = config;
        let base = Dn::parse(&base_dn).map_err(|source| StartError::BaseDn { base_dn, source })?;
        let store = Store::new(profile, base, &entries).map_err(StartError::Load)?;
        let inner = Inner {
            store,
            accounts,
            faults: Faults::default(),
            require_tls,
            dirsync_page: MAX_PAGE_SIZE,
        };
        Self::serve(inner, ports).await
    }

    async fn serve(inner: Inner, ports: (u16, u16)) -> Result<Self, StartError> {
        let world = Arc::new(World {
            profile: inner.store.profile,
            inner: Mutex::new(inner),
            changed: watch::Sender::new(0),
        });
        let ca = TestCa::new("Plumbline lab directory CA")?;
        let acceptor = TlsAcceptor::from(ca.issue(&["localhost", "127.0.0.1"])?.server_config()?);
        let (connections, closed) = watch::channel(0);
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for (port, secure) in [(ports.0, false), (ports.1, true)] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .await
                .map_err(StartError::Listen)?;
            addresses.push(listener.local_addr().map_err(StartError::Listen)?);
            let (world, acceptor, closed) = (Arc::clone(&world), acceptor.clone(), closed.clone());
            listeners.push(tokio::spawn(accept(
                listener, secure, world, acceptor, closed,
            )));
        }
        let [ldap, ldaps] = addresses
            .try_into()
            .unwrap_or([SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 2]);
        Ok(Self {
            world,
            ca_pem: ca.pem().to_owned(),
            ldap,
            ldaps,
            connections,
            listeners,
        })
    }

    /// `ldap://127.0.0.1:<port>`; StartTLS is offered.
    pub fn ldap_url(&self) -> String {
        format!("ldap://{}", self.ldap)
    }

    /// `ldaps://127.0.0.1:<port>`.
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://{}", self.ldaps)
    }

    /// The CA certificate that clients trust; the server's names are `localhost` and `127.0.0.1`.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Applies one change as the server itself would; what a client may not write (`entryUUID`, …) may be given.
    pub fn apply(&self, change: &Change) -> Result<(), Refusal> {
        self.world.lock().store.apply(change)?;
        self.world.notify();
        Ok(())
    }

    /// Applies changes in order until one is refused.
    pub fn apply_all(&self, changes: &[Change]) -> Result<(), Refusal> {
        changes.iter().try_for_each(|change| self.apply(change))
    }

    /// Reads or changes the content directly.
    pub fn with_store<T>(&self, work: impl FnOnce(&mut Store) -> T) -> T {
        let done = work(&mut self.world.lock().store);
        self.world.notify();
        done
    }

    /// All entries with their stored attributes, parents first.
    pub fn dump_ldif(&self) -> String {
        self.world.lock().store.dump_ldif()
    }

    /// Hides a subtree from an account, as an access list without `disclose` does.
    pub fn hide(&self, subtree: &str, account: &str) -> Result<(), Refusal> {
        let key = {
            let inner = self.world.lock();
            inner.store.parse(subtree)?.key()
        };
        self.change_account(account, |account| account.hidden.push(key));
        Ok(())
    }

    /// Shows an account everything again.
    pub fn reveal(&self, account: &str) {
        self.change_account(account, |account| account.hidden.clear());
    }

    /// The most entries that an account gets from one search, all pages together; more is sizeLimitExceeded (4).
    pub fn limit_size(&self, account: &str, entries: Option<usize>) {
        self.change_account(account, |account| account.size_limit = entries);
    }

    /// Searches of an account that match more entries are refused whole with adminLimitExceeded (11).
    pub fn limit_matches(&self, account: &str, entries: Option<usize>) {
        self.change_account(account, |account| account.admin_limit = entries);
    }

    /// Grants or takes the right to list tombstones.
    pub fn show_deleted(&self, account: &str, visible: bool) {
        self.change_account(account, |account| account.sees_deleted = visible);
    }

    /// Grants or takes the right Replicating Directory Changes.
    pub fn grant_replication(&self, account: &str, granted: bool) {
        self.change_account(account, |account| account.replicates = granted);
    }

    /// The most objects on a page of DirSync, instead of 1,000.
    pub fn limit_dirsync_page(&self, objects: usize) {
        self.world.lock().dirsync_page = objects;
    }

    /// How many changes the session log of slapd keeps, instead of 10,000 (`syncprov-sessionlog`); 0 is none.
    pub fn limit_session_log(&self, changes: u64) {
        self.world.lock().store.changes.limit(changes);
    }

    /// Whether a cookie that the session log does not cover is refused with e-syncRefreshRequired (4096) unless the
    /// client hints that it can reload (`syncprov-reloadhint`).
    pub fn refuse_stale_cookies(&self, refuse: bool) {
        self.world.lock().store.reload_hint = refuse;
    }

    /// Restarts the server: connections end, and the session log of slapd is empty.
    pub fn restart(&self) {
        self.world.lock().store.changes.restart();
        self.disconnect_all();
    }

    fn change_account(&self, name: &str, change: impl FnOnce(&mut Account)) {
        let profile = self.world.profile;
        if let Some(account) = self
            .world
            .lock()
            .accounts
            .iter_mut()
            .find(|each| each.is_named(profile, name))
        {
            change(account);
        }
    }

    /// Orders a fault.
    pub fn inject(&self, fault: Fault) {
        self.world.lock().faults.order(fault);
    }

    /// Runs before each further page of a paged search, with the number of the page sent last (from 1), until it is
    /// replaced.
    pub fn between_pages(&self, work: impl FnMut(&mut Store, usize) + Send + 'static) {
        self.world.lock().faults.between_pages = Some(Box::new(work));
    }

    /// Ends all open connections; new ones are accepted.
    pub fn disconnect_all(&self) {
        self.connections.send_modify(|generation| *generation += 1);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

async fn accept(
    listener: TcpListener,
    secure: bool,
    world: Arc<World>,
    acceptor: TlsAcceptor,
    closed: watch::Receiver<u64>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (world, acceptor, mut closed) =
                    (Arc::clone(&world), acceptor.clone(), closed.clone());
                closed.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = closed.changed() => {}
                        ended = connection(stream, secure, world, acceptor) => {
                            if let Err(error) = ended {
                                tracing::debug!(%error, "connection lost");
                            }
                        }
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "accepting a connection failed"),
        }
    }
}

async fn connection(
    stream: TcpStream,
    secure: bool,
    world: Arc<World>,
    acceptor: TlsAcceptor,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut session = Session::new(world, secure);
    let plain = if secure {
        stream
    } else {
        match session.serve(stream).await? {
            End::Closed => return Ok(()),
            End::StartTls(stream) => stream,
        }
    };
    let stream = acceptor.accept(plain).await?;
    session.serve(stream).await?;
    Ok(())
}
