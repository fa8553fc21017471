//! Why one object is in or out, what each of its attributes is made from, and what the plan has of it.
//!
//! Nothing here decides anything: what is told comes from the functions that the plan itself uses ([`crate::scope`],
//! [`crate::mapping`], [`crate::leaving`]) and from the plan. Values are told as they are; who asks must be allowed to see them.

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    configuration::Include,
    drift::Drifted,
    entry::{Class, EntryKind},
    guard::HoldClass,
    mapping::{Mapped, MappingFault, Origin},
    operation::{ChangeKind, Operation},
    plan::{Digest, ScopeFault},
    quarantine::Quarantined,
    reason::Reason,
    target::{TargetObject, Value},
};

mod attribute;
mod look;
mod participation;
mod question;

pub(crate) use look::Look;
pub use question::Question;

/// Everything that is known of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub class: Option<Class>,
    /// The entry's, else that in the mark of the object; `None` for an entry without a usable one.
    pub anchor: Option<Anchor>,
    /// `None` when no connector has it.
    pub entry: Option<SourceEntry>,
    /// The entries that are one identity with it.
    pub joined: Vec<Joined>,
    pub participation: Participation,
    /// What each scope of the entry's connector says, by name; the first that takes it maps it.
    pub scopes: Vec<Ruling>,
    /// By name; empty for an entry that no scope takes.
    pub attributes: Vec<Attribute>,
    /// Of a person that takes part and whose manager is mapped.
    pub manager: Option<Manager>,
    /// Of a group that takes part and whose members are mapped.
    pub members: Option<Members>,
    /// The object that is its own at the target, live or among the deleted items.
    pub target: Option<Held>,
    /// Objects at the target that may turn out to be its own: see `quarantine`.
    pub candidates: Vec<TargetObject>,
    /// What the plan does to it.
    pub operations: Vec<Operation>,
    /// What the plan does to others because of it: groups that get or lose it, people who get it for a manager.
    pub mentions: Vec<Operation>,
    pub holds: Vec<Holding>,
    pub quarantine: Option<Quarantined>,
    pub refusals: Vec<Refused>,
    /// A disable was sent, and nobody reported that sign-in is blocked and the sessions are revoked.
    pub disabling: bool,
    pub drift: Option<Drifted>,
    /// For an object of ours that nobody who takes part has.
    pub leaving: Option<Leaving>,
    /// What is known of its absence, by connector.
    pub absences: Vec<Evidence>,
    /// Scopes of its connector, or of any when no connector has it, that are unsettled: nobody leaves because of them.
    pub faults: Vec<ScopeFault>,
}

/// An entry as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceEntry {
    pub connector: String,
    pub dn: String,
    pub kind: EntryKind,
    pub anchor: Option<Anchor>,
    pub alternate: Option<Anchor>,
}

/// Another entry of the same identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub entry: SourceEntry,
    /// A scope takes it, so it gives values.
    pub takes_part: bool,
}

/// Whether it takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Participation {
    /// By the mapping of this scope.
    In { scope: String },
    /// A scope takes it, and it is set aside: see [`Explanation::quarantine`].
    Aside {
        /// `None` when what set it aside kept any scope from taking it.
        scope: Option<String>,
        reason: Reason,
        message: String,
    },
    /// A scope takes it, and the target cannot hold its kind.
    Unsupported,
    /// No scope takes it.
    Out,
    /// It only holds others.
    Container,
    /// Its connector was not read completely yet.
    NotRead,
    /// No connector has it.
    Absent,
}

/// What one scope says of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    pub scope: String,
    pub verdict: Verdict,
}

/// What decided, of one scope: the first thing that keeps the entry out, or the rule that takes it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Taken {
        by: Rule,
    },
    OtherClass {
        classes: Vec<Class>,
    },
    NotIncluded {
        rules: Vec<Rule>,
    },
    Excluded {
        by: Rule,
    },
    /// See [`crate::exclusion`].
    ExcludedByDefault {
        rule: &'static str,
    },
    Filtered {
        filter: String,
        sources: Vec<Source>,
    },
    WhenFalse {
        expression: String,
        sources: Vec<Source>,
    },
    WhenFailed {
        expression: String,
        message: String,
        sources: Vec<Source>,
    },
    /// Its connector was not read completely yet.
    NotRead,
}

/// A rule of a scope, and what it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub include: Include,
    /// The DN of the OU or group as the server writes it now.
    pub dn: Option<String>,
    /// It could be looked up.
    pub settled: bool,
    /// DNs of the groups that name the entry, where it is in the rule's group by way of them.
    pub via: Vec<String>,
}

/// The values of an attribute of the source that an expression or a filter looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// In lower case.
    pub attribute: String,
    /// In the order of the server.
    pub values: Vec<Vec<u8>>,
}

/// One attribute at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    /// The connector whose entry decided, where several are joined.
    pub connector: Option<String>,
    /// Empty for one that is omitted or only sent along.
    pub expression: String,
    pub origin: Origin,
    pub sources: Vec<Source>,
    pub desired: Desired,
    /// What the target holds.
    pub held: Option<Value>,
    /// What the plan sends, as it is in the operation; the inner `None` clears.
    pub planned: Option<Option<Value>>,
    pub state: AttributeState,
}

/// What an attribute should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Desired {
    /// In the form in which it is compared and sent.
    Mapped(Mapped),
    Fault(MappingFault),
    Omitted,
    /// Not mapped, and sent as it is held together with one that changes.
    Companion,
}

/// How an attribute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeState {
    /// The target holds it.
    InStep,
    /// The plan sends it with this operation.
    Planned(ChangeKind),
    /// The guard holds the operation that would send it.
    Held,
    /// It was sent; the target made another value of it. It is not sent again until one of the two changes.
    Rewritten,
    /// Someone changed it at the target, and that is only reported.
    Drifted,
    /// Nothing is ever sent for it.
    LeftAlone,
    /// It differs and waits: the object is set aside, or the target refused it.
    Waits,
}

/// Someone named by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub dn: String,
    pub anchor: Option<Anchor>,
    /// It has an object at the target, or gets one.
    pub takes_part: bool,
}

/// A person's manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// Of the source.
    pub attributes: Vec<String>,
    /// The first that takes part is meant.
    pub named: Vec<Peer>,
    /// The manager at the target, by id there.
    pub held: Option<String>,
}

/// A group's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// Of the source.
    pub attributes: Vec<String>,
    /// Entries that are named.
    pub named: usize,
    /// The first ten of them that take no part.
    pub left_out: Vec<Peer>,
    pub left_out_count: usize,
    /// How many members the target holds, if they were read.
    pub held: Option<usize>,
}

/// An object at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub object: TargetObject,
    /// Else it is among the deleted items.
    pub live: bool,
    /// It bears our mark.
    pub ours: bool,
}

/// What a hold withholds of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    pub class: HoldClass,
    pub digest: Digest,
    /// The sentence of the hold.
    pub limit: String,
    pub operations: Vec<Operation>,
}

/// An operation that the target refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The word of its kind, and the peer if it is about one.
    pub operation: String,
    pub reason: Reason,
    pub message: String,
    pub failures: u32,
    /// When it is tried again.
    pub until: Timestamp,
}

/// What becomes of an object of ours that nobody who takes part has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It leaves: see operations and holds.
    Leaves,
    /// It left: there is nothing more to be done.
    Done,
    /// It stays until its absence is proven.
    Unproven {
        missing: String,
        wake: Option<Timestamp>,
    },
    /// It stays while a scope is unsettled or a connector was not read to its end.
    Unsettled,
    /// It stays because of an entry that is set aside or has another anchor now.
    Kept,
}

/// What is known of an absence from one connector. Times are those at which reads began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub connector: String,
    /// It was seen there before.
    pub seen_before: bool,
    pub first_absent: Option<Timestamp>,
    pub last_absent: Option<Timestamp>,
    /// When a search by its anchor last found nothing.
    pub searched: Option<Timestamp>,
    pub tombstone: bool,
    /// The account can read tombstones, and then only one proves a deletion.
    pub requires_tombstone: bool,
}
