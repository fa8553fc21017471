//! Ports are roles: what an adapter must be able to do to take part. LDAP is a [`Source`], Microsoft Graph a [`Target`].

use std::{collections::BTreeSet, error::Error, future::Future, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    anchor::Anchor,
    entry::{Class, Entry, ServerType},
    operation::{Operation, Outcome},
    reason::Reason,
    target::{Capabilities, Changes, Mark, TargetId, TargetObject},
};

/// What every adapter's error can tell.
pub trait Failure: Error + Send + Sync + 'static {
    /// The word for conditions, events and metrics.
    fn reason(&self) -> Reason;
    /// The next step for a person, where there is one beyond the message.
    fn hint(&self) -> Option<String> {
        None
    }
    /// The other side's wish when to come back.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// What is to be read of a directory. Everything needed is asked for by name; attribute names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRequest {
    pub attributes: BTreeSet<String>,
}

/// Where a change feed stands: opaque to all but the adapter that made it, which binds it to server, base, filter, attributes and
/// account. Kept with the data that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor(pub Vec<u8>);

/// From where a read is to go on.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Everything is to be read, because of this.
    Complete(Cause),
    /// What changed since. An adapter that cannot go on from there reads everything and says why in its `Begin`.
    After(&'a Cursor),
}

/// Why entries are listed that may not have changed. Listings are counted by cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// Nothing was known yet, or what is to be read has changed.
    First,
    /// The directory offers no feed, or the account may not use it.
    NoFeed,
    /// The server refused the cursor, or it is not of this server.
    CursorRefused,
    /// The server's data are older than the cursor: restored from a backup, or its clock was set back.
    WentBack,
    /// Another server answers, to which the cursor says nothing.
    OtherServer,
    /// The server could only name everything that is there (RFC 4533 §3.3.2, present phase).
    PresentPhase,
    /// The feed named more deletions than it can be trusted with.
    ManyDeletions,
    /// The connection was lost in a way that may have lost changes.
    FeedInterrupted,
    /// A container came, was renamed, moved or went: servers say nothing of what is below it.
    Container,
    /// The complete comparison of `changes.verify`.
    Verify,
}

/// What the events of a read speak for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extent {
    /// Everything below the base: what is not brought is absent.
    Complete(Cause),
    /// What changed since the cursor: what is not brought is as it was.
    Changes,
    /// Everything below this DN, itself included: what was there and is not brought is in doubt.
    Subtree { dn: String, cause: Cause },
}

/// Values that came to or went from one attribute of an entry that is known: links of large groups change value by value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueChange {
    /// Anchor or alternate.
    pub anchor: Anchor,
    /// In lower case.
    pub attribute: String,
    #[serde(with = "crate::entry::values")]
    pub added: Vec<Vec<u8>>,
    #[serde(with = "crate::entry::values")]
    pub removed: Vec<Vec<u8>>,
}

/// One event of a read: `Begin`, any number of others, `End`. A read that fails ends without `End`, and what it brought is then
/// no evidence of absence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Import {
    Begin {
        at: Timestamp,
        server_type: ServerType,
        /// The account can read tombstones, so absence alone is no evidence.
        tombstones: bool,
        extent: Extent,
    },
    /// Entries with all their requested attributes.
    Batch(Vec<Entry>),
    /// Of an entry that is not known, it is a doubt.
    Values(Vec<ValueChange>),
    /// They are there and did not change. One that is not known is a doubt.
    Unchanged(Vec<Anchor>),
    /// Anchors (and alternates) that the server names as deleted, by a tombstone.
    Tombstones(Vec<Anchor>),
    /// The feed names them as gone or out of its sight, without a tombstone: each is a doubt until a search has told.
    Missing(Vec<Anchor>),
    /// All that the extent promised was brought; where the feed stands now.
    End { cursor: Option<Cursor> },
    /// The answer to a doubt ([`crate::engine::Engine::doubts`]). An entry that was found below the base came before it, as `Batch`.
    Evidence { sighting: Sighting, at: Timestamp },
}

/// Whether a search by anchor over the whole naming context found an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    pub anchor: Anchor,
    pub found: bool,
}

/// A directory that can be read.
pub trait Source: Send {
    type Error: Failure;

    /// Reads everything, or what changed since a cursor.
    ///
    /// # Guarantees
    /// `Ok` only if the server said that everything was sent; `End` is then the last event. A referral, a size limit, a cut connection
    /// or a range that could not be completed is an error, never a shorter list. A cursor that is lost, expired or refused leads to a
    /// complete read, never to a guess.
    fn read(
        &mut self,
        request: &ReadRequest,
        start: Start<'_>,
        events: &mut (dyn FnMut(Import) + Send),
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Reads everything below one DN, as an extent of its own.
    fn list(
        &mut self,
        request: &ReadRequest,
        dn: &str,
        cause: Cause,
        events: &mut (dyn FnMut(Import) + Send),
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Searches each anchor over the whole naming context: one `Evidence` each, and a `Batch` with those found below the base.
    fn find(
        &mut self,
        request: &ReadRequest,
        anchors: &[Anchor],
        events: &mut (dyn FnMut(Import) + Send),
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Resolves when there is something new for [`Self::read`] after the cursor; never, where nobody tells. May be dropped at any time.
    fn changed(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What is to be read of a target: the attributes that mappings write. Members are read of groups with our mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetRead {
    pub owner: String,
    pub user_attributes: BTreeSet<String>,
    pub group_attributes: BTreeSet<String>,
}

/// What a delta says of one property that is no attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum News<T> {
    /// Nothing: it is as it was.
    #[default]
    Nothing,
    /// It is this now.
    Now(T),
}

/// What changed of one object at the target. What is not named is as it was; of an object that was not known, it has no value, and
/// without any attribute it is no sign that the object is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChange {
    pub id: TargetId,
    pub class: Class,
    pub mark: News<Option<Mark>>,
    pub immutable_id: News<Option<String>>,
    pub attributes: Changes,
    pub manager: News<Option<TargetId>>,
    /// All direct members, of a group whose members were not known.
    pub members: News<Vec<TargetId>>,
    /// Links that came and went, where not all are given or after them.
    pub joined: Vec<TargetId>,
    pub left: Vec<TargetId>,
    pub synced: News<bool>,
    pub guest: News<bool>,
    pub privileged: News<bool>,
}

impl ObjectChange {
    /// That nothing changed.
    pub fn new(class: Class, id: TargetId) -> Self {
        Self {
            id,
            class,
            mark: News::Nothing,
            immutable_id: News::Nothing,
            attributes: Changes::new(),
            manager: News::Nothing,
            members: News::Nothing,
            joined: Vec::new(),
            left: Vec::new(),
            synced: News::Nothing,
            guest: News::Nothing,
            privileged: News::Nothing,
        }
    }
}

/// An object that is no longer live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    pub id: TargetId,
    /// It is among the deleted items; otherwise it is gone for good.
    pub restorable: bool,
}

/// One event of a target's read: `Begin`, any number of others, `End`. A read that fails ends without `End`, and what it brought
/// counts for nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Observation {
    /// What a complete read does not bring is not there; what another does not bring is as it was.
    Begin { complete: bool },
    /// Domains that sign-in names may use, in lower case.
    Domains(BTreeSet<String>),
    /// Objects with all that was asked for.
    Batch(Vec<TargetObject>),
    /// In a read that is not complete. Repetitions change nothing; of two about one object the later one counts.
    Changed(Vec<ObjectChange>),
    /// In a read that is not complete.
    Removed(Vec<Removal>),
    /// Deleted items that can be restored and bear our mark.
    Deleted(Vec<TargetObject>),
    /// Roles could be read; without that nothing is adopted.
    RolesReadable(bool),
    /// Where the target's changes stand now; `None` where it offers none.
    End { cursor: Option<Cursor> },
}

/// Leave to write, asked for immediately before each request, with nothing awaited in between.
pub trait Permit: Sync {
    /// `false` once the Lease is lost, the resource was suspended, edited or deleted, or the process is shutting down.
    fn granted(&self) -> bool;
    /// Resolves when the permit is withdrawn, so that waits (pace, `Retry-After`) end early.
    fn withdrawn(&self) -> futures::future::BoxFuture<'_, ()>;
}

/// A cloud directory that can be read and written.
pub trait Target: Send {
    type Error: Failure;

    fn capabilities(&self) -> &'static Capabilities;

    /// Reads everything, or what changed since a cursor; `Begin` says which it is.
    ///
    /// # Guarantees
    /// `Ok` only if everything that `Begin` promised was brought; `End` is then the last event. A cursor that is lost, expired, refused
    /// or not for this request leads to a complete read, never to a guess.
    fn read(
        &mut self,
        request: &TargetRead,
        after: Option<&Cursor>,
        events: &mut (dyn FnMut(Observation) + Send),
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Sends operations in the order of their lanes and reports one outcome for each, by its position.
    ///
    /// # Guarantees
    /// Nothing is sent that is not among `operations`; before each request the permit is asked. After `Unknown` an operation is only
    /// repeated once a search by its key has told what became of it.
    fn export(
        &mut self,
        operations: Vec<Operation>,
        permit: &dyn Permit,
        report: &mut (dyn FnMut(usize, Outcome) + Send),
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
