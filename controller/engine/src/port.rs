//! Ports are roles: what an adapter must be able to do to take part. LDAP is a [`Source`], Microsoft Graph a [`Target`].

use std::{collections::BTreeSet, error::Error, future::Future, time::Duration};

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    entry::{Entry, ServerType},
    operation::{Operation, Outcome},
    reason::Reason,
    target::{Capabilities, TargetObject},
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadRequest {
    pub attributes: BTreeSet<String>,
}

/// One event of a read: `Begin`, any number of `Batch` and `Tombstones`, `End`. A read that fails ends without `End`, and
/// what it brought is then no evidence of absence.
#[derive(Clone, Debug)]
pub enum Import {
    Begin {
        at: Timestamp,
        server_type: ServerType,
        /// The account can read tombstones, so absence alone is no evidence.
        tombstones: bool,
    },
    Batch(Vec<Entry>),
    /// Anchors (and alternates) that the server names as deleted.
    Tombstones(Vec<Anchor>),
    /// Everything was read.
    End,
    /// The answer to a doubt ([`crate::engine::Engine::doubts`]).
    Evidence {
        sighting: Sighting,
        at: Timestamp,
    },
}

/// Whether a search by anchor over the whole naming context found an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub anchor: Anchor,
    pub found: bool,
}

/// A directory that can be read.
pub trait Source: Send {
    type Error: Failure;

    /// Reads everything.
    ///
    /// # Guarantees
    /// `Ok` only if the server said that everything was sent; `End` is then the last event. A referral, a size limit, a cut connection
    /// or a range that could not be completed is an error, never a shorter list.
    fn read(
        &mut self,
        request: &ReadRequest,
        events: &mut (dyn FnMut(Import) + Send),
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Searches each anchor over the whole naming context.
    fn find(
        &mut self,
        anchors: &[Anchor],
    ) -> impl Future<Output = Result<Vec<Sighting>, Self::Error>> + Send;
}

/// What is to be read of a target: the attributes that mappings write. Members are read of groups with our mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetRead {
    pub owner: String,
    pub user_attributes: BTreeSet<String>,
    pub group_attributes: BTreeSet<String>,
}

/// One event of a target's read: `Begin`, any number of others, `End`.
#[derive(Clone, Debug)]
pub enum Observation {
    Begin,
    /// Domains that sign-in names may use, in lower case.
    Domains(BTreeSet<String>),
    Batch(Vec<TargetObject>),
    /// Deleted items that can be restored and bear our mark.
    Deleted(Vec<TargetObject>),
    /// Roles could be read; without that nothing is adopted.
    RolesReadable(bool),
    End,
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

    /// Reads everything; `Ok` only if it was complete, with `End` as the last event.
    fn read(
        &mut self,
        request: &TargetRead,
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
