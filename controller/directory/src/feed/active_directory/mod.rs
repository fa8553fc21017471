//! Change feeds of Active Directory: DirSync (MS-ADTS 3.1.1.3.4.1.3) and polling by `uSNChanged`.
//!
//! Both count by update sequence numbers, which mean something at one domain controller and one incarnation of its database only. So a
//! position names both, and elsewhere everything is read again. What each feed leaves out (children of a renamed container, groups of a
//! deleted member, entries that left the base) is either told by another event or known to the engine.

use jiff::{SignedDuration, Timestamp};
use plumbline_engine::port::Cause;

use crate::{
    connection::Search,
    deleted,
    error::DirectoryError,
    feed::Visit,
    server::{DeletedObjects, RootDse},
};

pub(crate) mod back_link;
mod change;
mod control;
pub(crate) mod dir_sync;
mod position;
pub(crate) mod usn_changed;

pub(crate) use dir_sync::DirSync;
use position::Position;
pub(crate) use position::Standing;
pub(crate) use usn_changed::UsnChanged;

const DOING: &str = "following changes";
const NO_IDENTITY: &str =
    "the account may not read which domain controller answers (`dsServiceName` of the root DSE)";
const BLIND: &str =
    "the account sees no deleted objects, so deletions are found by complete reads only";

/// The domain controller that answers; `None` if the account may not read it.
async fn standing(visit: &mut Visit<'_>) -> Result<Option<Standing>, DirectoryError> {
    let RootDse {
        service: Some(service),
        change_number: Some(usn),
        ..
    } = visit.server
    else {
        return Ok(None);
    };
    let attributes = ["objectGUID", "invocationId"].map(str::to_owned);
    let answer = visit
        .connection
        .search(&Search {
            base: service,
            scope: ldap3::Scope::Base,
            filter: "(objectClass=*)",
            attributes: &attributes,
            controls: Vec::new(),
            size_limit: 0,
            doing: DOING,
        })
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(DirectoryError::BaseNotFound { .. } | DirectoryError::AccessDenied { .. }) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let values = |wanted: &str| {
        let mut all = answer.entries.iter().flat_map(|entry| &entry.attributes);
        let (_, values) = all.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        <[u8; 16]>::try_from(values.first()?.as_slice()).ok()
    };
    Ok(values("objectGUID")
        .zip(values("invocationId"))
        .map(|(server, invocation)| Standing {
            server,
            invocation,
            usn: *usn,
        }))
}

/// The position and the standing now, or why the position means nothing any more.
async fn resume(
    visit: &mut Visit<'_>,
    bytes: &[u8],
    sees_deletions: impl Fn(&Position, DeletedObjects) -> bool,
) -> Result<Result<(Position, Standing, DeletedObjects), Cause>, DirectoryError> {
    let Some(position) = Position::decode(bytes) else {
        return Ok(Err(Cause::CursorRefused));
    };
    let Some(now) = standing(visit).await? else {
        return Ok(Err(Cause::OtherServer));
    };
    if let Some(cause) = position.standing.outlived(&now) {
        return Ok(Err(cause));
    }
    let deleted = visibility(visit).await?;
    if !sees_deletions(&position, deleted) && position.is_due(visit.settings.full_reads) {
        return Ok(Err(Cause::NoFeed));
    }
    Ok(Ok((position, now, deleted)))
}

async fn visibility(visit: &mut Visit<'_>) -> Result<DeletedObjects, DirectoryError> {
    let context = visit.server.naming_context_of(&visit.settings.base_dn);
    deleted::visibility(visit.connection, visit.server.server_type, context).await
}

/// The head of the domain.
fn context(visit: &Visit<'_>) -> Result<String, DirectoryError> {
    let base_dn = &visit.settings.base_dn;
    let context = visit.server.naming_context_of(base_dn);
    context
        .map(str::to_owned)
        .ok_or_else(|| DirectoryError::NoNamingContext {
            server: visit.connection.server().to_owned(),
            base_dn: base_dn.clone(),
        })
}

/// Whether complete reads must come in between, which are all that shows deletions to an account that sees no tombstones.
fn is_due(full: Timestamp, every: std::time::Duration) -> bool {
    let now = Timestamp::now();
    let due = SignedDuration::try_from(every)
        .ok()
        .and_then(|every| full.checked_add(every).ok());
    // Also when our own clock was set back.
    due.is_none_or(|due| now >= due) || now < full
}

/// Where a feed was after its last read, by server: the number that says whether there is something new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) server: String,
    pub(crate) usn: u64,
}

impl Seen {
    fn new(visit: &Visit<'_>) -> Option<Self> {
        Some(Self {
            server: visit.connection.server().to_owned(),
            usn: visit.server.change_number?,
        })
    }
}
