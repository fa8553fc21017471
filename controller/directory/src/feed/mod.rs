//! Change feeds: how a connector sees what changed since it last read, chosen by what the server offers and the account may do.
//!
//! A feed is a hint, a complete read the truth. So each feed answers either with what changed after its position, or with the reason
//! why everything must be read again; it never guesses. A position leaves this module only inside a [`cursor`], which binds it
//! to what it was made for.

use std::{fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use plumbline_engine::{
    entry::ServerType,
    port::{Cause, Import, ReadRequest},
};
use rustls::ClientConfig;

use crate::{
    anchor::AnchorRule, connection::Connection, error::DirectoryError, server::RootDse,
    settings::Settings,
};

pub(crate) mod active_directory;
mod ber;
mod content_sync;
pub(crate) mod cursor;
pub(crate) mod timestamps;

use active_directory::{DirSync, Seen, UsnChanged};
use content_sync::ContentSync;
use timestamps::Timestamps;

/// The kinds of change feed; the words of `changes.detect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedKind {
    /// MS-ADTS 3.1.1.3.4.1.3: a domain controller tells what changed, value by value of links.
    DirSync,
    /// Changed entries are found by `uSNChanged` of one domain controller, deletions by tombstones.
    UsnChanged,
    /// RFC 4533: the server tells what changes, as it happens.
    ContentSync,
    /// Changed entries are found by `modifyTimestamp`; deletions by complete reads in between.
    ModifyTimestamp,
    /// Every read is a complete one.
    FullRead,
}

impl FeedKind {
    /// The word of `changes.detect`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DirSync => "DirSync",
            Self::UsnChanged => "UsnChanged",
            Self::ContentSync => "ContentSync",
            Self::ModifyTimestamp => "ModifyTimestamp",
            Self::FullRead => "FullRead",
        }
    }
}

impl fmt::Display for FeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How changes are to be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detect {
    /// The best feed that the server offers and the account may use.
    #[default]
    Auto,
    /// This one or none.
    Only(FeedKind),
}

/// The feed in use, and what decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedFacts {
    pub kind: FeedKind,
    /// One sentence for a person.
    pub why: String,
}

/// One read on one connection: what a feed needs of its surroundings.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) server: &'a RootDse,
    pub(crate) settings: &'a Settings,
    pub(crate) tls: &'a Arc<ClientConfig>,
    pub(crate) rule: &'a AnchorRule,
    pub(crate) request: &'a ReadRequest,
}

/// What came of asking a feed for changes.
#[derive(Debug)]
pub(crate) enum Step {
    /// They were brought, `Begin` included and `End` not; the feed now stands here.
    To(Vec<u8>),
    /// Nothing was brought: everything must be read, because of this.
    Complete(Cause),
}

/// What a complete read tells of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    /// The newest `modifyTimestamp` that it brought.
    pub(crate) newest: Option<Timestamp>,
    pub(crate) took: Duration,
}

/// A feed with what it holds open.
#[derive(Debug)]
pub(crate) enum Feed {
    DirSync(DirSync),
    UsnChanged(UsnChanged),
    ContentSync(Box<ContentSync>),
    Timestamps(Timestamps),
    FullRead,
}

impl Feed {
    pub(crate) fn new(kind: FeedKind) -> Self {
        match kind {
            FeedKind::DirSync => Self::DirSync(DirSync::default()),
            FeedKind::UsnChanged => Self::UsnChanged(UsnChanged::default()),
            FeedKind::ContentSync => Self::ContentSync(Box::default()),
            FeedKind::ModifyTimestamp => Self::Timestamps(Timestamps),
            FeedKind::FullRead => Self::FullRead,
        }
    }

    pub(crate) fn kind(&self) -> FeedKind {
        match self {
            Self::DirSync(_) => FeedKind::DirSync,
            Self::UsnChanged(_) => FeedKind::UsnChanged,
            Self::ContentSync(_) => FeedKind::ContentSync,
            Self::Timestamps(_) => FeedKind::ModifyTimestamp,
            Self::FullRead => FeedKind::FullRead,
        }
    }

    /// What a position must not outlive, beside what every cursor is bound to: the server, where positions are its own.
    pub(crate) fn server(&self, visit: &Visit<'_>) -> String {
        match self {
            // Clocks and replication delays differ from server to server.
            Self::Timestamps(_) => visit.connection.server().to_owned(),
            // Its positions say themselves where they hold.
            Self::DirSync(_) | Self::UsnChanged(_) | Self::ContentSync(_) | Self::FullRead => {
                String::new()
            }
        }
    }

    /// Called before a complete read: where the feed stands now, so that what changes during the read comes once more.
    pub(crate) async fn mark(
        &mut self,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, DirectoryError> {
        match self {
            Self::DirSync(feed) => feed.mark(visit).await,
            Self::UsnChanged(feed) => feed.mark(visit).await,
            Self::ContentSync(feed) => feed.mark(visit).await,
            Self::Timestamps(_) | Self::FullRead => Ok(None),
        }
    }

    /// Called after a complete read with what [`Self::mark`] gave: the position to go on from, where there is one.
    pub(crate) fn settle(&self, mark: Option<Vec<u8>>, passed: Passed) -> Option<Vec<u8>> {
        match self {
            Self::DirSync(_) | Self::UsnChanged(_) | Self::ContentSync(_) | Self::FullRead => mark,
            Self::Timestamps(_) => Timestamps::settle(passed),
        }
    }

    /// What is to be said of how it works at present.
    pub(crate) fn remark(&self) -> Option<&'static str> {
        match self {
            Self::ContentSync(feed) if feed.polls() => Some(
                "the server takes no more persistent searches, so it is asked at every interval",
            ),
            _ => None,
        }
    }

    /// Brings what changed after a position.
    pub(crate) async fn changes(
        &mut self,
        visit: &mut Visit<'_>,
        position: &[u8],
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<Step, DirectoryError> {
        match self {
            Self::DirSync(feed) => feed.changes(visit, position, events).await,
            Self::UsnChanged(feed) => feed.changes(visit, position, events).await,
            Self::ContentSync(feed) => feed.changes(visit, position, events).await,
            Self::Timestamps(_) => Timestamps::changes(visit, position, events).await,
            Self::FullRead => Ok(Step::Complete(Cause::NoFeed)),
        }
    }

    /// Of Active Directory: the number whose next move tells that there is something new.
    pub(crate) fn seen(&self) -> Option<&Seen> {
        match self {
            Self::DirSync(feed) => feed.seen.as_ref(),
            Self::UsnChanged(feed) => feed.seen.as_ref(),
            Self::ContentSync(_) | Self::Timestamps(_) | Self::FullRead => None,
        }
    }

    /// Resolves when something has come; never, where the server does not tell.
    pub(crate) async fn changed(&mut self) -> Result<(), DirectoryError> {
        match self {
            Self::ContentSync(feed) => feed.changed().await,
            Self::DirSync(_) | Self::UsnChanged(_) | Self::Timestamps(_) | Self::FullRead => {
                std::future::pending().await
            }
        }
        Ok(())
    }
}

/// Chooses the feed for a server and account.
///
/// # Errors
/// A feed that `changes.detect` names and that cannot be used here.
pub(crate) async fn choose(visit: &mut Visit<'_>) -> Result<FeedFacts, DirectoryError> {
    let wanted = match visit.settings.detect {
        Detect::Auto => None,
        Detect::Only(kind) => Some(kind),
    };
    let mut declined: Vec<String> = Vec::new();
    for kind in preferred(visit.server) {
        if wanted.is_some_and(|wanted| wanted != kind) {
            continue;
        }
        match offer(visit, kind).await? {
            Ok(why) => {
                declined.push(why);
                let why = declined.join("; ");
                return Ok(FeedFacts { kind, why });
            }
            Err(why) => declined.push(why),
        }
    }
    Err(DirectoryError::FeedNotOffered {
        server: visit.connection.server().to_owned(),
        feed: wanted.unwrap_or(FeedKind::FullRead),
        why: if declined.is_empty() {
            "this type of server has none".to_owned()
        } else {
            declined.join("; ")
        },
    })
}

/// The feeds that this type of server may offer, best first; the last one always works.
fn preferred(server: &RootDse) -> Vec<FeedKind> {
    match server.server_type {
        ServerType::ActiveDirectory => {
            vec![FeedKind::DirSync, FeedKind::UsnChanged, FeedKind::FullRead]
        }
        ServerType::OpenLdap | ServerType::DirectoryServer389 => vec![
            FeedKind::ContentSync,
            FeedKind::ModifyTimestamp,
            FeedKind::FullRead,
        ],
        // The changelog of FreeIPA records DNS alone, so no cookie of it is worth anything; other products were not measured.
        ServerType::FreeIpa | ServerType::Generic => {
            vec![FeedKind::ModifyTimestamp, FeedKind::FullRead]
        }
    }
}

/// Whether a feed can be used: why so, or why not.
async fn offer(
    visit: &mut Visit<'_>,
    kind: FeedKind,
) -> Result<Result<String, String>, DirectoryError> {
    match kind {
        FeedKind::DirSync => active_directory::dir_sync::offer(visit).await,
        FeedKind::UsnChanged => active_directory::usn_changed::offer(visit).await,
        FeedKind::ContentSync => content_sync::offer(visit).await,
        FeedKind::ModifyTimestamp => timestamps::offer(visit).await,
        FeedKind::FullRead => Ok(Ok("every read is a complete one".to_owned())),
    }
}
