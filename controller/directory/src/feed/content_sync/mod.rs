//! Content synchronisation (RFC 4533) with OpenLDAP and 389-ds: changes arrive by themselves over a persistent search.
//!
//! Neither server keeps what the RFC promises; what each does instead was measured (OpenLDAP 2.5, 389-ds 2.3) and decides here:
//! a complete read is a paged search, with the cookie taken before it; a cookie is sent only while base, server start and changelog are as
//! they were; 389-ds is only asked which entries to look at, for its answers to a cookie carry attributes that nobody asked for.
//!
//! # Guarantees
//! What was taken from the server and not handed on to the end is asked for again from the last position that was.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use plumbline_engine::{
    anchor::Anchor,
    entry::{Entry, ServerType},
    port::{Cause, Extent, Import},
};

use crate::{
    error::DirectoryError,
    feed::{Step, Visit},
    read::Plan,
};

mod ask;
mod cookie;
mod delta;
mod message;
mod offer;
mod persist;
mod position;

use ask::{Refresh, now, refresh, refusal, subject};
use cookie::{Cookie, Csns, Number};
use delta::Delta;
use message::SyncUuid;
pub(crate) use offer::offer;
use persist::{End, Persist};
use position::Position;

const DOING: &str = "following changes";
/// 389-ds drops every 51st entry of its delete sets (2.3.1; upstream main of 2026 too).
const TRUSTED_DELETIONS: usize = 50;
/// A change that was committed arrives within milliseconds.
const ARRIVAL: Duration = Duration::from_secs(2);
/// 389-ds frees the place of a search that was closed after two seconds.
const ANEW: Duration = Duration::from_secs(5);
const REFRESH_REQUIRED: u32 = 4096;
const UNWILLING: u32 = 53;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ContentSync {
    persist: Option<Persist>,
    /// Since when the server takes no more persistent searches; until they are tried anew it is asked at every read.
    polling: Option<Instant>,
}

impl ContentSync {
    /// Whether changes are asked for rather than told.
    pub(crate) fn polls(&self) -> bool {
        self.polling.is_some()
    }

    /// The position before a complete read. The persistent search is begun here, so that no change falls between the two, whatever the
    /// server's log records.
    pub(crate) async fn mark(
        &mut self,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, DirectoryError> {
        (self.persist, self.polling) = (None, None);
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
        let bytes = position.encode();
        let persist = begin(visit, position);
        if persist.refreshed(visit.settings.timeouts.answer).await {
            self.persist = Some(persist);
        } else {
            self.polling = Some(Instant::now());
        }
        Ok(Some(bytes))
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
        self.polling = self.polling.filter(|since| since.elapsed() < ANEW);
        let (mut persist, delta) = if self.polls() {
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
        if visit.server.server_type == ServerType::OpenLdap && self.polls() && delta.names_all {
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
        if !self.polls() {
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
                            self.polling = Some(Instant::now());
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
