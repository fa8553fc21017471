//! Content synchronisation (RFC 4533) with OpenLDAP and 389-ds: changes arrive by themselves over a persistent search.
//!
//! Neither server keeps what the RFC promises; what each does instead was measured (OpenLDAP 2.5, 389-ds 2.3) and decides here:
//! a complete read is a paged search, with the cookie taken before it; a cookie is sent only while base, server start and changelog are as
//! they were; 389-ds is only asked which entries to look at, for its answers to a cookie carry attributes that nobody asked for.
//!
//! # Guarantees
//! What was taken from the server and not handed on to the end is asked for again from the last position that was.

use std::{collections::BTreeSet, ops::ControlFlow, time::Duration};

use jiff::Timestamp;
use ldap3::{Scope, controls::Control};
use plumbline_engine::{
    anchor::Anchor,
    entry::{Entry, ServerType},
    port::{Cause, Extent, Import},
};

use crate::{
    connection::Search,
    decode::{DecodeError, Item},
    error::DirectoryError,
    feed::{Step, Visit},
    kind,
    read::Plan,
};

pub(crate) mod ber;
mod cookie;
mod delta;
mod message;
mod offer;
mod persist;
mod position;

use cookie::{Cookie, Csns, Number};
use delta::Delta;
use message::{Message, Mode, SyncUuid};
pub(crate) use offer::offer;
use persist::{End, Persist, Subject, WAITING};
use position::Position;

const DOING: &str = "following changes";
/// 389-ds drops every 51st entry of its delete sets (2.3.1; upstream main of 2026 too).
const TRUSTED_DELETIONS: usize = 50;
/// A change that was committed arrives within milliseconds.
const ARRIVAL: Duration = Duration::from_secs(2);
const REFRESH_REQUIRED: u32 = 4096;
const UNWILLING: u32 = 53;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ContentSync {
    persist: Option<Persist>,
    /// The server takes no more persistent searches, so it is asked at every read.
    polls: bool,
}

/// How asking for a difference ended.
enum Refresh {
    Delta(Box<Delta>),
    Refused(Cause),
}

impl ContentSync {
    /// Whether changes are asked for rather than told.
    pub(crate) fn polls(&self) -> bool {
        self.polls
    }

    /// The position before a complete read.
    pub(crate) async fn mark(
        &mut self,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, DirectoryError> {
        (self.persist, self.polls) = (None, false);
        let Some(cookie) = now(visit).await? else {
            return Ok(None);
        };
        let Some(base) = offer::base(visit).await? else {
            return Ok(None);
        };
        let position = Position {
            cookie,
            base,
            server: visit.connection.server().to_owned(),
            started: offer::started(visit).await?,
            doubtful: false,
        };
        Ok(Some(position.encode()))
    }

    /// After a complete read: what changes from its mark on is to arrive by itself.
    pub(crate) fn settle(&mut self, mark: Option<Vec<u8>>, visit: &Visit<'_>) -> Option<Vec<u8>> {
        let position = Position::decode(mark.as_deref()?)?;
        self.persist = Some(begin(visit, position));
        mark
    }

    pub(crate) async fn changes(
        &mut self,
        visit: &mut Visit<'_>,
        bytes: &[u8],
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<Step, DirectoryError> {
        let at = Timestamp::now();
        let kept = self.persist.take();
        let Some(known) = Position::decode(bytes) else {
            return Ok(Step::Complete(Cause::CursorRefused));
        };
        let mut position = known.clone();
        if let Some(cause) = outlived(visit, &mut position).await? {
            return Ok(Step::Complete(cause));
        }
        let kept = kept.filter(|persist| {
            persist.position == known && persist.server == visit.connection.server()
        });
        let (mut persist, delta) = if self.polls {
            match refresh(visit, &position).await? {
                Refresh::Delta(delta) => (None, *delta),
                Refresh::Refused(cause) => return Ok(Step::Complete(cause)),
            }
        } else {
            match self.arrived(visit, kept, &position).await? {
                Ok(arrived) => arrived,
                Err(cause) => return Ok(Step::Complete(cause)),
            }
        };
        let mut delta = delta;
        if let Some(running) = &persist
            && delta.is_empty()
        {
            advance(&mut position, &delta, visit, running);
            match missed(visit, &position, running).await? {
                Missed::Nothing => {}
                Missed::Came(came, alive) => {
                    delta = *came;
                    if !alive {
                        persist = None;
                    }
                }
                Missed::Refused(cause) => return Ok(Step::Complete(cause)),
            }
        }
        if visit.server.server_type == ServerType::OpenLdap && self.polls && delta.names_all {
            // Such a list may leave out entries that are written while it is made.
            return Ok(Step::Complete(Cause::PresentPhase));
        }
        if visit.server.server_type != ServerType::OpenLdap
            && delta.in_delete_sets >= TRUSTED_DELETIONS
        {
            return Ok(Step::Complete(Cause::ManyDeletions));
        }
        match &persist {
            Some(running) => advance(&mut position, &delta, visit, running),
            None => advance_polling(&mut position, &delta, visit),
        }
        bring(visit, at, delta, events).await?;
        if !self.polls {
            let mut running = persist.unwrap_or_else(|| begin(visit, position.clone()));
            running.position = position.clone();
            self.persist = Some(running);
        }
        Ok(Step::To(position.encode()))
    }

    /// What the persistent search has brought since the position: the kept one, or a new one where there is none or it has ended.
    async fn arrived(
        &mut self,
        visit: &mut Visit<'_>,
        mut kept: Option<Persist>,
        position: &Position,
    ) -> Result<Result<(Option<Persist>, Delta), Cause>, DirectoryError> {
        let patience = visit.settings.timeouts.answer;
        loop {
            let is_new = kept.is_none();
            if is_new && position.doubtful {
                return Ok(Err(match visit.server.server_type {
                    ServerType::OpenLdap => Cause::WentBack,
                    _ => Cause::FeedInterrupted,
                }));
            }
            let mut persist = kept
                .take()
                .unwrap_or_else(|| begin(visit, position.clone()));
            if !persist.refreshed(patience).await {
                return Err(DirectoryError::Timeout {
                    server: visit.connection.server().to_owned(),
                    doing: DOING,
                    seconds: patience.as_secs(),
                });
            }
            let (messages, end) = persist.take();
            match end {
                None => {
                    let mut delta = Delta::default();
                    delta.take(messages, &mut persist.refreshing);
                    return Ok(Ok((Some(persist), delta)));
                }
                Some(End::Overflow) => return Ok(Err(Cause::FeedInterrupted)),
                Some(End::Failed(error)) => {
                    let openldap = visit.server.server_type == ServerType::OpenLdap;
                    match refusal(&error) {
                        Some(REFRESH_REQUIRED) => return Ok(Err(Cause::CursorRefused)),
                        Some(UNWILLING) if openldap => return Ok(Err(Cause::WentBack)),
                        Some(UNWILLING) => {
                            self.polls = true;
                            return Ok(match refresh(visit, position).await? {
                                Refresh::Delta(delta) => Ok((None, *delta)),
                                Refresh::Refused(cause) => Err(cause),
                            });
                        }
                        _ if is_new => return Err(error),
                        // What it brought before it was lost comes once more.
                        _ => {}
                    }
                }
            }
        }
    }

    pub(crate) async fn changed(&mut self) {
        match &self.persist {
            Some(persist) => persist.news().await,
            None => std::future::pending().await,
        }
    }
}

fn begin(visit: &Visit<'_>, position: Position) -> Persist {
    Persist::begin(
        visit.settings,
        visit.tls,
        visit.connection.server(),
        subject(visit),
        position,
    )
}

/// OpenLDAP sends entries as they were asked for. 389-ds does not, so it is only asked for names.
fn subject(visit: &Visit<'_>) -> Subject {
    let server_type = visit.server.server_type;
    let attributes = if server_type == ServerType::OpenLdap {
        Plan::new(server_type, visit.rule, visit.request, visit.settings)
            .attributes()
            .to_vec()
    } else {
        vec!["1.1".to_owned()]
    };
    Subject {
        filter: kind::filter(server_type),
        attributes,
    }
}

fn refusal(error: &DirectoryError) -> Option<u32> {
    match error {
        DirectoryError::Refused { source, .. } => Some(source.code),
        _ => None,
    }
}

/// Why the position means nothing any more; otherwise it is put on the server that answers now.
async fn outlived(
    visit: &mut Visit<'_>,
    position: &mut Position,
) -> Result<Option<Cause>, DirectoryError> {
    if offer::base(visit).await? != Some(position.base) {
        return Ok(Some(Cause::CursorRefused));
    }
    let started = offer::started(visit).await?;
    let server = visit.connection.server();
    if position.server == server && position.started != started {
        return Ok(Some(Cause::FeedInterrupted));
    }
    server.clone_into(&mut position.server);
    position.started = started;
    Ok(match (&position.cookie, visit.server.server_type) {
        (Cookie::OpenLdap(_), ServerType::OpenLdap) => None,
        (Cookie::Ds389(cookie), ServerType::DirectoryServer389) => {
            match visit.server.change_numbers {
                Some((_, last)) if cookie.number > last => Some(Cause::WentBack),
                // Older records were trimmed, which the server does not notice.
                Some((first, _)) if first > cookie.number.saturating_add(1) => {
                    Some(Cause::CursorRefused)
                }
                Some(_) => None,
                None => Some(Cause::CursorRefused),
            }
        }
        _ => Some(Cause::CursorRefused),
    })
}

/// Moves the position to where the messages lead.
fn advance(position: &mut Position, delta: &Delta, visit: &Visit<'_>, persist: &Persist) {
    advance_polling(position, delta, visit);
    if let (Cookie::Ds389(begun), Some((_, last))) =
        (&persist.begun_at, visit.server.change_numbers)
        && delta.persisted
        && last <= begun.number
    {
        // The changelog does not record what the search brings (FreeIPA's holds DNS only).
        position.doubtful = true;
    }
}

fn advance_polling(position: &mut Position, delta: &Delta, visit: &Visit<'_>) {
    for bytes in &delta.cookies {
        match &mut position.cookie {
            Cookie::OpenLdap(held) => match Csns::parse(bytes) {
                Some(csns) => held.merge(csns),
                // The server's clock was set back: after a reconnect it would not tell of this change.
                None => position.doubtful = true,
            },
            Cookie::Ds389(held) => {
                if let (Some(number), Some((_, last))) =
                    (Number::parse(bytes), visit.server.change_numbers)
                {
                    held.merge(number, last);
                }
            }
        }
    }
}

enum Missed {
    Nothing,
    /// With whether the persistent search still lives.
    Came(Box<Delta>, bool),
    Refused(Cause),
}

/// A persistent search may be dead or withhold changes without a word. So while it is silent, the server is asked where it
/// stands, and what it has changed if that is further than what was heard.
async fn missed(
    visit: &mut Visit<'_>,
    position: &Position,
    persist: &Persist,
) -> Result<Missed, DirectoryError> {
    let ahead = match (now(visit).await?, &position.cookie) {
        (Some(Cookie::OpenLdap(now)), Cookie::OpenLdap(known)) => now.is_ahead_of(known),
        (Some(Cookie::Ds389(now)), Cookie::Ds389(known)) => {
            now.bound_to != known.bound_to || now.number > known.number
        }
        _ => true,
    };
    if !ahead {
        return Ok(Missed::Nothing);
    }
    let delta = match refresh(visit, position).await? {
        Refresh::Delta(delta) => delta,
        Refresh::Refused(cause) => return Ok(Missed::Refused(cause)),
    };
    if visit.server.server_type == ServerType::OpenLdap && delta.names_all {
        return Ok(Missed::Refused(Cause::PresentPhase));
    }
    // Deletions outside the filter are told by nothing else, so they prove nothing.
    let alive = !delta.has_changed() || persist.stirs(ARRIVAL).await;
    Ok(Missed::Came(delta, alive))
}

/// Where the server's content stands: a refresh of the base entry alone. `None` if its cookie says nothing.
async fn now(visit: &mut Visit<'_>) -> Result<Option<Cookie>, DirectoryError> {
    let Some((_, done)) = ask(visit, Scope::Base, None).await? else {
        return Ok(None);
    };
    let cookie = done.cookie.unwrap_or_default();
    Ok(match visit.server.server_type {
        ServerType::OpenLdap => Csns::parse(&cookie).map(Cookie::OpenLdap),
        _ => Number::parse(&cookie).map(Cookie::Ds389),
    })
}

/// What changed since the position, asked for once (RFC 4533 §3.3, refreshOnly).
async fn refresh(visit: &mut Visit<'_>, position: &Position) -> Result<Refresh, DirectoryError> {
    let cookie = position.cookie.to_string();
    let openldap = visit.server.server_type == ServerType::OpenLdap;
    match ask(visit, Scope::Subtree, Some(&cookie)).await {
        Ok(Some((messages, done))) => {
            let (mut delta, mut refreshing) = (Delta::default(), true);
            delta.take(messages, &mut refreshing);
            delta.cookies.extend(done.cookie);
            // 389-ds says so of every answer, although it sends differences only.
            delta.names_all |= openldap && !done.refresh_deletes;
            Ok(Refresh::Delta(Box::new(delta)))
        }
        Ok(None) => Ok(Refresh::Refused(Cause::FeedInterrupted)),
        Err(error) => match refusal(&error) {
            Some(REFRESH_REQUIRED) => Ok(Refresh::Refused(Cause::CursorRefused)),
            Some(UNWILLING) if openldap => Ok(Refresh::Refused(Cause::WentBack)),
            _ => Err(error),
        },
    }
}

/// A refresh on the connection of the read; `None` if more came than may wait.
async fn ask(
    visit: &mut Visit<'_>,
    scope: Scope,
    cookie: Option<&str>,
) -> Result<Option<(Vec<Message>, message::Done)>, DirectoryError> {
    let subject = subject(visit);
    let search = Search {
        base: &visit.settings.base_dn,
        scope,
        filter: subject.filter,
        attributes: &subject.attributes,
        controls: vec![message::request(
            Mode::RefreshOnly,
            cookie.map(str::as_bytes),
        )],
        size_limit: 0,
        doing: DOING,
    };
    let mut messages = Vec::new();
    let mut put = |item: Item, controls: &[Control]| -> Result<ControlFlow<()>, DecodeError> {
        if messages.len() >= WAITING {
            return Ok(ControlFlow::Break(()));
        }
        messages.push(message::message(item, controls)?);
        Ok(ControlFlow::Continue(()))
    };
    let patience = Some(visit.settings.timeouts.answer);
    let Some(result) = visit.connection.follow(&search, patience, &mut put).await? else {
        return Ok(None);
    };
    if result.rc != 0 {
        return Err(visit.connection.refusal(&search, &result));
    }
    let done = message::done(&result.ctrls).map_err(|source| DirectoryError::Undecodable {
        server: visit.connection.server().to_owned(),
        doing: DOING,
        source,
    })?;
    Ok(Some((messages, done)))
}

/// Hands on what changed.
async fn bring(
    visit: &mut Visit<'_>,
    at: Timestamp,
    delta: Delta,
    events: &mut (dyn FnMut(Import) + Send),
) -> Result<(), DirectoryError> {
    let server_type = visit.server.server_type;
    let openldap = server_type == ServerType::OpenLdap;
    let names_all = openldap && delta.names_all;
    events(Import::Begin {
        at,
        server_type,
        tombstones: false,
        extent: if names_all {
            Extent::Complete(Cause::PresentPhase)
        } else {
            Extent::Changes
        },
    });
    let plan = Plan::new(server_type, visit.rule, visit.request, visit.settings);
    let anchors = |uuids: BTreeSet<SyncUuid>| uuids.into_iter().map(Anchor::Uuid).collect();
    if !openldap {
        let touched: Vec<Anchor> = anchors(delta.touched());
        let mut found = BTreeSet::new();
        let mut note = |event: Import| {
            if let Import::Batch(entries) = &event {
                let names = entries
                    .iter()
                    .flat_map(|entry| [&entry.anchor, &entry.alternate])
                    .flatten();
                found.extend(names.cloned());
            }
            events(event);
        };
        plan.anchored(visit.connection, &touched, &mut note).await?;
        let missing: Vec<Anchor> = touched
            .into_iter()
            .filter(|anchor| !found.contains(anchor))
            .collect();
        if !missing.is_empty() {
            events(Import::Missing(missing));
        }
        return Ok(());
    }
    let (gone, mut unchanged) = (delta.gone.clone(), delta.present.clone());
    let mut batch: Vec<Entry> = Vec::new();
    for (uuid, raw) in delta.into_changed() {
        unchanged.remove(&uuid);
        batch.extend(plan.entry(visit.connection, raw).await?);
        if batch.len() >= usize::from(visit.settings.page_size) {
            events(Import::Batch(std::mem::take(&mut batch)));
        }
    }
    if !batch.is_empty() {
        events(Import::Batch(batch));
    }
    if names_all {
        events(Import::Unchanged(anchors(unchanged)));
    } else if !gone.is_empty() {
        events(Import::Missing(anchors(gone)));
    }
    Ok(())
}
