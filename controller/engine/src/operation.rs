//! Operations on a target and what became of them. Operations name objects and peers by anchor; the target resolves them.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    anchor::Anchor,
    entry::Class,
    reason::Reason,
    target::{Changes, Mark, TargetId, Values},
};

/// One write at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub class: Class,
    pub anchor: Anchor,
    /// The object's id at the target; `None` when it does not exist there yet.
    pub target: Option<TargetId>,
    pub change: Change,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes the object, with its mark. `immutable_id` is set on users.
    Create {
        mark: Mark,
        values: Values,
    },
    /// Takes the object with this id out of the deleted items, then applies the changes and the mark.
    Restore {
        mark: Mark,
        changes: Changes,
    },
    /// Puts our mark (and immutable id) on an object that exists, and applies the changes.
    Adopt {
        mark: Mark,
        changes: Changes,
    },
    /// Changes attributes.
    Update {
        changes: Changes,
    },
    /// Sets or clears the manager.
    SetManager {
        manager: Option<Anchor>,
    },
    /// Blocks sign-in and revokes the sessions.
    Disable,
    Delete,
    AddMember {
        member: Anchor,
    },
    RemoveMember {
        member: Member,
    },
}

/// Who is to leave a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    Ours(Anchor),
    /// Someone without our mark, whom another hand added.
    Foreign(TargetId),
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(anchor) => anchor.fmt(f),
            Self::Foreign(id) => id.fmt(f),
        }
    }
}

/// The order in which operations go out, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    Disable,
    Create,
    Update,
    Membership,
    Delete,
}

impl Change {
    pub fn lane(&self) -> Lane {
        match self {
            Self::Disable => Lane::Disable,
            Self::Create { .. } | Self::Restore { .. } | Self::Adopt { .. } => Lane::Create,
            Self::Update { .. } | Self::SetManager { .. } => Lane::Update,
            Self::AddMember { .. } | Self::RemoveMember { .. } => Lane::Membership,
            Self::Delete => Lane::Delete,
        }
    }

    /// The word for plans, digests and metrics.
    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::Create { .. } => ChangeKind::Create,
            Self::Restore { .. } => ChangeKind::Restore,
            Self::Adopt { .. } => ChangeKind::Adopt,
            Self::Update { .. } => ChangeKind::Update,
            Self::SetManager { .. } => ChangeKind::SetManager,
            Self::Disable => ChangeKind::Disable,
            Self::Delete => ChangeKind::Delete,
            Self::AddMember { .. } => ChangeKind::AddMember,
            Self::RemoveMember { .. } => ChangeKind::RemoveMember,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    Create,
    Restore,
    Adopt,
    Update,
    SetManager,
    Disable,
    Delete,
    AddMember,
    RemoveMember,
}

impl ChangeKind {
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::Restore,
        Self::Adopt,
        Self::Update,
        Self::SetManager,
        Self::Disable,
        Self::Delete,
        Self::AddMember,
        Self::RemoveMember,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Restore => "restore",
            Self::Adopt => "adopt",
            Self::Update => "update",
            Self::SetManager => "setManager",
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::AddMember => "addMember",
            Self::RemoveMember => "removeMember",
        }
    }
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; the id of the object, for a create.
    Done { id: Option<TargetId> },
    /// The target was so already.
    AlreadySo,
    /// The target took it and holds other values than those sent (they are given); not sent again until source or target change.
    Rewritten { values: Values },
    /// Not possible yet (replication, a peer that is not there); the next cycle plans it again.
    NotYet { retry_after: Option<Duration> },
    /// A value that must be unique is taken.
    Conflict {
        attribute: Option<String>,
        holder: Option<String>,
    },
    /// The target refuses this object; it goes into quarantine.
    Refused { reason: Reason, message: String },
    /// The object is no longer there.
    Gone,
    /// Sent, the answer was lost, and looking did not tell.
    Unknown,
    /// Not sent: the permit was withdrawn (suspended, edited, Lease lost, shutting down).
    NotSent,
}

impl Outcome {
    /// The word in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::AlreadySo => "alreadySo",
            Self::Rewritten { .. } => "rewritten",
            Self::NotYet { .. } => "notYet",
            Self::Conflict { .. } => "conflict",
            Self::Refused { .. } => "refused",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
            Self::NotSent => "notSent",
        }
    }
}
