//! [`DirectorySource`]: one connector's directory, with fail-over between its servers.
//!
//! A connection is made when it is needed and kept while it works. Servers are tried in order, beginning with the one that
//! worked last; when a connection is lost, the operation fails and the next one begins with the next server. A read is
//! never pieced together from two servers.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use ldap3::Scope;
use plumbline_engine::{
    anchor::Anchor,
    entry::ServerType,
    port::{Cause, Extent, Import, ReadRequest, Source, Start},
};
use rustls::ClientConfig;

use crate::{
    anchor::AnchorRule,
    connection::{Connection, Search},
    deleted,
    error::DirectoryError,
    feed::{
        self, Feed, FeedFacts, Passed, Step, Visit,
        active_directory::{Seen, back_link},
        cursor::Binding,
    },
    find::{self, Place},
    read,
    server::{DeletedObjects, RootDse, ServerFacts},
    settings::Settings,
    tls,
};

/// How often a domain controller is asked whether there is something new.
const LOOK: Duration = Duration::from_secs(1);

/// An LDAP directory that can be read.
#[derive(Debug)]
pub struct DirectorySource {
    settings: Settings,
    tls: Arc<ClientConfig>,
    session: Option<Session>,
    /// Index of the server to try first.
    preferred: usize,
    /// Shown by the first server; the others must be of the same.
    server_type: Option<ServerType>,
    /// What the last server held; the others must hold the same.
    identity: Option<Identity>,
    subordinate: BTreeSet<String>,
    /// What a feed holds open outlives sessions.
    feed: Option<Feed>,
}

/// Which directory a server holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    server: String,
    /// What the directory itself calls its domain (Active Directory) or the base (others).
    name: Anchor,
}

/// A connection and what its server is.
#[derive(Debug)]
struct Session {
    connection: Connection,
    server: RootDse,
    index: usize,
    /// Once it was chosen.
    feed: Option<FeedFacts>,
}

impl DirectorySource {
    /// Takes the settings without contacting a server.
    ///
    /// # Errors
    /// A URL, the CA or a credential that cannot be used, with the field that holds it.
    pub fn new(settings: Settings) -> Result<Self, DirectoryError> {
        settings.check()?;
        let tls = tls::client_config(settings.ca_pem.as_deref())?;
        let server_type = settings.server_type;
        Ok(Self {
            settings,
            tls,
            session: None,
            preferred: 0,
            server_type,
            identity: None,
            subordinate: BTreeSet::new(),
            feed: None,
        })
    }

    /// Connects, and finds out what the directory is and whether the account may read what a read needs.
    ///
    /// # Errors
    /// What a read would fail with, and rights on the anchor attribute that are missing.
    pub async fn probe(&mut self) -> Result<ServerFacts, DirectoryError> {
        let mut session = self.session().await?;
        let outcome = self.facts(&mut session).await;
        self.keep(session, &outcome);
        outcome
    }

    async fn facts(&mut self, session: &mut Session) -> Result<ServerFacts, DirectoryError> {
        read::check_base(&mut session.connection, &self.settings.base_dn).await?;
        let place = self.place(session)?;
        find::check_rights(&mut session.connection, &place).await?;
        let deleted_objects = self.deleted_objects(session).await?;
        // Continuation references come with any search of the tree; this one matches nothing else.
        let attributes = ["1.1".to_owned()];
        let referrals = Search {
            base: &self.settings.base_dn,
            scope: Scope::Subtree,
            filter: "(objectClass=referral)",
            attributes: &attributes,
            controls: Vec::new(),
            size_limit: 0,
            doing: "looking for referrals",
        };
        let answer = session.connection.search(&referrals).await?;
        self.subordinate = answer
            .references
            .into_iter()
            .filter(|url| session.server.is_subordinate(url))
            .collect();
        let request = ReadRequest::default();
        let rule = self.rule(session);
        let mut feed = self.chosen(session, &rule, &request).await?;
        if let Some(remark) = self.feed.as_ref().and_then(Feed::remark) {
            remark.clone_into(&mut feed.why);
        }
        Ok(ServerFacts {
            server_type: session.server.server_type,
            vendor: session.server.vendor.clone(),
            server: session.connection.server().to_owned(),
            naming_contexts: session.server.naming_contexts.clone(),
            deleted_objects,
            subordinate_contexts: self.subordinate.iter().cloned().collect(),
            feed,
        })
    }

    /// Where the server referred to for parts below the base, as seen by the last probe or read.
    pub fn subordinate_contexts(&self) -> impl Iterator<Item = &str> {
        self.subordinate.iter().map(String::as_str)
    }

    /// A session that works: the kept one if it still answers, else a new one. It is taken out of `self`, so that one
    /// whose operation is cancelled half-way is never used again.
    async fn session(&mut self) -> Result<Session, DirectoryError> {
        if let Some(mut session) = self.session.take() {
            // Servers close idle connections. The root DSE also shows whether the server is still the same.
            match RootDse::read(&mut session.connection).await {
                Ok(server) => {
                    session.server = server;
                    self.check_type(&session)?;
                    return Ok(session);
                }
                Err(error) => tracing::debug!(
                    connector = self.settings.name,
                    server = session.connection.server(),
                    %error,
                    "the kept connection no longer works"
                ),
            }
        }
        let count = self.settings.servers.len();
        let mut attempts = Vec::new();
        for step in 0..count {
            let index = (self.preferred + step) % count;
            match self.open(index).await {
                Ok((session, identity)) => {
                    if identity.is_some() {
                        self.identity = identity;
                    }
                    self.preferred = index;
                    self.server_type = Some(session.server.server_type);
                    return Ok(session);
                }
                Err(error) if error.same_everywhere() => return Err(error),
                Err(error) => attempts.push(error),
            }
        }
        match attempts.pop() {
            Some(only) if attempts.is_empty() => Err(only),
            Some(last) => {
                attempts.push(last);
                Err(DirectoryError::NoServer { attempts })
            }
            None => Err(DirectoryError::NoServer { attempts }),
        }
    }

    async fn open(&self, index: usize) -> Result<(Session, Option<Identity>), DirectoryError> {
        let url = self.settings.servers.get(index).map_or("", String::as_str);
        let mut connection = Connection::open(url, &self.settings, &self.tls).await?;
        let server = RootDse::read(&mut connection).await?;
        let mut session = Session {
            connection,
            server,
            index,
            feed: None,
        };
        self.check_type(&session)?;
        let identity = self.identify(&mut session).await?;
        tracing::info!(
            connector = self.settings.name,
            server = url,
            server_type = session.server.server_type.as_str(),
            "connected"
        );
        Ok((session, identity))
    }

    /// Which directory the server holds, as far as the account may read it.
    ///
    /// # Errors
    /// Another one than the server before: its entries would pass for ours, and ours for gone.
    async fn identify(&self, session: &mut Session) -> Result<Option<Identity>, DirectoryError> {
        let server_type = session.server.server_type;
        let base = match (
            server_type,
            session.server.naming_context_of(&self.settings.base_dn),
        ) {
            (ServerType::ActiveDirectory, Some(domain)) => domain.to_owned(),
            _ => self.settings.base_dn.clone(),
        };
        let Some(name) = read::own_name(&mut session.connection, server_type, &base).await? else {
            return Ok(None);
        };
        let server = session.connection.server().to_owned();
        match &self.identity {
            // A base that was made anew on the same server is the directory's own matter.
            Some(known) if known.name != name && known.server != server => {
                Err(DirectoryError::OtherDirectory {
                    server,
                    base_dn: base,
                    known: known.server.clone(),
                })
            }
            _ => Ok(Some(Identity { server, name })),
        }
    }

    fn check_type(&self, session: &Session) -> Result<(), DirectoryError> {
        let found = session.server.server_type;
        match self.server_type {
            Some(claimed) if claimed != found => Err(DirectoryError::ServerTypeMismatch {
                server: session.connection.server().to_owned(),
                claimed,
                found,
            }),
            _ => Ok(()),
        }
    }

    /// Keeps the session for the next operation unless its connection is lost.
    fn keep<T>(&mut self, session: Session, outcome: &Result<T, DirectoryError>) {
        match outcome {
            Err(error) if error.spoils_connection() => {
                self.preferred = (session.index + 1) % self.settings.servers.len();
            }
            _ => self.session = Some(session),
        }
    }

    /// Resolves when a domain controller's last write is another than was seen.
    async fn moved(&mut self, seen: &Seen) -> Result<(), DirectoryError> {
        loop {
            tokio::time::sleep(LOOK).await;
            let mut session = match self.session.take() {
                Some(session) => session,
                None => self.session().await?,
            };
            let outcome = RootDse::change_number(&mut session.connection).await;
            let same = session.connection.server() == seen.server;
            self.keep(session, &outcome);
            match outcome {
                Ok(usn) if same && usn == Some(seen.usn) => {}
                Ok(_) => return Ok(()),
                // A kept connection may have been idle for too long; a new one tells what is wrong.
                Err(error) if error.spoils_connection() => {
                    self.session = Some(self.session().await?)
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn rule(&self, session: &Session) -> AnchorRule {
        AnchorRule::new(session.server.server_type, self.settings.anchor.as_deref())
    }

    fn place(&self, session: &Session) -> Result<Place, DirectoryError> {
        let base_dn = &self.settings.base_dn;
        let naming_context = session.server.naming_context_of(base_dn).ok_or_else(|| {
            DirectoryError::NoNamingContext {
                server: session.connection.server().to_owned(),
                base_dn: base_dn.clone(),
            }
        })?;
        Ok(Place {
            rule: self.rule(session),
            server_type: session.server.server_type,
            base_dn: base_dn.clone(),
            naming_context: naming_context.to_owned(),
            page_size: self.settings.page_size,
        })
    }

    async fn deleted_objects(
        &self,
        session: &mut Session,
    ) -> Result<DeletedObjects, DirectoryError> {
        let server_type = session.server.server_type;
        let context = session.server.naming_context_of(&self.settings.base_dn);
        deleted::visibility(&mut session.connection, server_type, context).await
    }

    /// The feed for this session, chosen once.
    async fn chosen(
        &self,
        session: &mut Session,
        rule: &AnchorRule,
        request: &ReadRequest,
    ) -> Result<FeedFacts, DirectoryError> {
        if let Some(facts) = &session.feed {
            return Ok(facts.clone());
        }
        let facts = feed::choose(&mut self.visit(session, rule, request)).await?;
        session.feed = Some(facts.clone());
        Ok(facts)
    }

    fn visit<'a>(
        &'a self,
        session: &'a mut Session,
        rule: &'a AnchorRule,
        request: &'a ReadRequest,
    ) -> Visit<'a> {
        Visit {
            connection: &mut session.connection,
            server: &session.server,
            settings: &self.settings,
            tls: &self.tls,
            rule,
            request,
        }
    }

    async fn read_from(
        &mut self,
        session: &mut Session,
        request: &ReadRequest,
        start: Start<'_>,
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<(), DirectoryError> {
        read::check_base(&mut session.connection, &self.settings.base_dn).await?;
        let rule = self.rule(session);
        let kind = self.chosen(session, &rule, request).await?.kind;
        // Taken out, so that one whose read failed or was cancelled begins anew.
        let mut feed = match self.feed.take() {
            Some(feed) if feed.kind() == kind => feed,
            _ => Feed::new(kind),
        };
        let mut visit = self.visit(session, &rule, request);
        let binding = Binding::new(kind, feed.server(&visit), &visit);
        let cause = match start {
            Start::Complete(cause) => cause,
            Start::After(cursor) => match binding.open(cursor) {
                Err(cause) => cause,
                Ok(position) => match feed.changes(&mut visit, position, events).await? {
                    Step::Complete(cause) => cause,
                    Step::To(position) => {
                        let cursor = Some(binding.seal(&position));
                        self.feed = Some(feed);
                        events(Import::End { cursor });
                        return Ok(());
                    }
                },
            },
        };
        let began = Instant::now();
        let mark = feed.mark(&mut visit).await?;
        let newest = self
            .read_all(session, &rule, request, cause, events)
            .await?;
        let passed = Passed {
            newest,
            took: began.elapsed(),
        };
        let position = feed.settle(mark, passed);
        let cursor = position.map(|position| binding.seal(&position));
        self.feed = Some(feed);
        events(Import::End { cursor });
        Ok(())
    }

    /// Everything but the `End`; gives the newest `modifyTimestamp` that came.
    async fn read_all(
        &mut self,
        session: &mut Session,
        rule: &AnchorRule,
        request: &ReadRequest,
        cause: Cause,
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<Option<Timestamp>, DirectoryError> {
        let at = Timestamp::now();
        let deleted_objects = self.deleted_objects(session).await?;
        let server_type = session.server.server_type;
        let tombstones = deleted_objects == DeletedObjects::Readable;
        events(Import::Begin {
            at,
            server_type,
            tombstones,
            extent: Extent::Complete(cause),
        });
        let plan = read::Plan::new(server_type, rule, request, &self.settings);
        let base = &self.settings.base_dn;
        let references: HashSet<String> = plan.below(&mut session.connection, base, events).await?;
        self.subordinate = references
            .into_iter()
            .filter(|url| session.server.is_subordinate(url))
            .collect();
        let newest = plan.newest();
        if tombstones
            && let Some(context) = session.server.naming_context_of(&self.settings.base_dn)
        {
            deleted::read(
                &mut session.connection,
                rule,
                context,
                (deleted::ANY, self.settings.page_size),
                events,
            )
            .await?;
        }
        Ok(newest)
    }

    async fn read_below(
        &self,
        session: &mut Session,
        request: &ReadRequest,
        extent: (&str, Cause),
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<(), DirectoryError> {
        let (dn, cause) = (extent.0.to_owned(), extent.1);
        let server_type = session.server.server_type;
        let rule = self.rule(session);
        events(Import::Begin {
            at: Timestamp::now(),
            server_type,
            tombstones: self.deleted_objects(session).await? == DeletedObjects::Readable,
            extent: Extent::Subtree {
                dn: dn.clone(),
                cause,
            },
        });
        let plan = read::Plan::new(server_type, &rule, request, &self.settings);
        let mut listed = BTreeSet::new();
        let mut note = |event: Import| {
            back_link::note(&event, &mut listed);
            events(event);
        };
        // 389-ds answers a search below what was renamed away with success, no entries and no paging control.
        let outcome = match read::check_base(&mut session.connection, &dn).await {
            Ok(()) => {
                let below = plan.below(&mut session.connection, &dn, &mut note).await;
                below.map(drop)
            }
            Err(error) => Err(error),
        };
        match outcome {
            // There is nothing there any more.
            Ok(()) | Err(DirectoryError::BaseNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        if server_type == ServerType::ActiveDirectory
            && !session.server.is_context(&self.settings.base_dn)
        {
            // They may have come from outside.
            let listed: Vec<Anchor> = listed.into_iter().collect();
            let mut visit = self.visit(session, &rule, request);
            back_link::bring(&mut visit, &listed, events).await?;
        }
        events(Import::End { cursor: None });
        Ok(())
    }

    async fn search(
        &self,
        session: &mut Session,
        request: &ReadRequest,
        anchors: &[Anchor],
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<(), DirectoryError> {
        let place = self.place(session)?;
        let sightings = find::sightings(&mut session.connection, &place, anchors).await?;
        let found: Vec<Anchor> = (sightings.iter())
            .filter(|sighting| sighting.found)
            .map(|sighting| sighting.anchor.clone())
            .collect();
        let plan = read::Plan::new(place.server_type, &place.rule, request, &self.settings);
        plan.anchored(&mut session.connection, &found, events)
            .await?;
        let at = Timestamp::now();
        for sighting in sightings {
            events(Import::Evidence { sighting, at });
        }
        Ok(())
    }
}

impl Source for DirectorySource {
    type Error = DirectoryError;

    async fn read(
        &mut self,
        request: &ReadRequest,
        start: Start<'_>,
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<(), DirectoryError> {
        let mut session = self.session().await?;
        let outcome = self.read_from(&mut session, request, start, events).await;
        self.keep(session, &outcome);
        outcome
    }

    async fn list(
        &mut self,
        request: &ReadRequest,
        dn: &str,
        cause: Cause,
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<(), DirectoryError> {
        let mut session = self.session().await?;
        let outcome = self
            .read_below(&mut session, request, (dn, cause), events)
            .await;
        self.keep(session, &outcome);
        outcome
    }

    async fn find(
        &mut self,
        request: &ReadRequest,
        anchors: &[Anchor],
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<(), DirectoryError> {
        let mut session = self.session().await?;
        let outcome = self.search(&mut session, request, anchors, events).await;
        self.keep(session, &outcome);
        outcome
    }

    async fn changed(&mut self) -> Result<(), DirectoryError> {
        if let Some(seen) = self.feed.as_ref().and_then(Feed::seen).cloned() {
            return self.moved(&seen).await;
        }
        match &mut self.feed {
            Some(feed) => feed.changed().await,
            None => std::future::pending().await,
        }
    }
}
