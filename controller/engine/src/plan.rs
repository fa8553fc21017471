//! The plan: the exact operations that take the target from its view to what is desired, and what is held, set aside or unsettled.
//!
//! A plan is sorted, so that the same world gives the same plan and the same digest, wherever it is made.

use std::{collections::BTreeMap, fmt, fmt::Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    anchor::Anchor,
    drift::Drifted,
    guard::Hold,
    operation::{Change, ChangeKind, Member, Operation},
    quarantine::Quarantined,
    reason::Reason,
    target::{Changes, Value, Values},
};

/// `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(Box<str>);

impl Digest {
    /// Of any bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut text = String::from("sha256:");
        for byte in Sha256::digest(bytes) {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text.into())
    }

    /// `None` unless it is `sha256:` with 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?;
        (digits.len() == 64
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
        .then(|| Self(text.into()))
    }

    pub(crate) fn of_value(value: Option<&Value>) -> Self {
        Self::of(format!("{value:?}").as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What may be exported now, sorted by lane, class, anchor, kind and member.
    pub operations: Vec<Operation>,
    /// What the guard withholds.
    pub holds: Vec<Hold>,
    /// Objects that are set aside, sorted by class, anchor and DN.
    pub quarantine: Vec<Quarantined>,
    /// Objects that someone changed at the target and that are left as they are.
    pub drift: Vec<Drifted>,
    /// Scopes whose OUs or groups are unsettled: nobody leaves because of them.
    pub faults: Vec<ScopeFault>,
    pub counts: Counts,
    pub unsupported: Unsupported,
    /// What people call the objects of the operations and holds; no part of the digest.
    pub(crate) names: BTreeMap<Anchor, String>,
}

/// A scope that cannot be decided for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeFault {
    pub scope: String,
    /// [`Reason::ScopeUnresolved`] or [`Reason::ScopeAmbiguous`].
    pub reason: Reason,
    pub message: String,
}

/// How many take part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub users: usize,
    pub groups: usize,
}

/// How many are in scope that the target cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsupported {
    pub contacts: usize,
    pub distribution_groups: usize,
}

impl Plan {
    /// Of the operations with their values.
    pub fn digest(&self) -> Digest {
        let mut text = String::new();
        for operation in &self.operations {
            write_operation(&mut text, operation);
        }
        Digest::of(text.as_bytes())
    }

    /// How many operations of each kind; kinds that do not occur are left out.
    pub fn changes(&self) -> BTreeMap<ChangeKind, usize> {
        let mut counts = BTreeMap::new();
        for operation in &self.operations {
            *counts.entry(operation.change.kind()).or_default() += 1;
        }
        counts
    }

    /// What people call an object that an operation or a hold names: its sign-in name, else its display name.
    pub fn name(&self, anchor: &Anchor) -> Option<&str> {
        self.names.get(anchor).map(String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

/// Of one operation with its values.
pub(crate) fn operation_digest(operation: &Operation) -> Digest {
    let mut text = String::new();
    write_operation(&mut text, operation);
    Digest::of(text.as_bytes())
}

/// Sorts by lane, class, anchor, kind and member.
pub(crate) fn sort(operations: &mut [Operation]) {
    operations.sort_by_cached_key(|operation| {
        let (peer, foreign) = match &operation.change {
            Change::AddMember { member }
            | Change::RemoveMember {
                member: Member::Ours(member),
            } => (Some(member.clone()), None),
            Change::RemoveMember {
                member: Member::Foreign(id),
            } => (None, Some(id.clone())),
            _ => (None, None),
        };
        (
            operation.change.lane(),
            operation.class,
            operation.anchor.clone(),
            operation.change.kind(),
            peer,
            foreign,
        )
    });
}

/// One line of canonical text: each piece in the quoted form of `Debug`, so that no value can imitate a separator.
fn write_operation(text: &mut String, operation: &Operation) {
    let Operation {
        class,
        anchor,
        target,
        change,
    } = operation;
    let _ = write!(
        text,
        "{} {} {:?} {:?}",
        change.kind().as_str(),
        class.as_str(),
        anchor.to_string(),
        target.as_ref().map(|id| &id.0),
    );
    match change {
        Change::Create { mark, values } => {
            let _ = write!(text, " {:?}", mark.to_string());
            write_values(text, values);
        }
        Change::Restore { mark, changes } | Change::Adopt { mark, changes } => {
            let _ = write!(text, " {:?}", mark.to_string());
            write_changes(text, changes);
        }
        Change::Update { changes } => write_changes(text, changes),
        Change::SetManager { manager } => {
            let _ = write!(text, " {:?}", manager.as_ref().map(ToString::to_string));
        }
        Change::AddMember { member } => {
            let _ = write!(text, " {:?}", member.to_string());
        }
        Change::RemoveMember { member } => {
            let _ = write!(text, " {member:?}");
        }
        Change::Disable | Change::Delete => {}
    }
    text.push('\n');
}

fn write_values(text: &mut String, values: &Values) {
    for (name, value) in values {
        let _ = write!(text, " {name:?}={value:?}");
    }
}

fn write_changes(text: &mut String, changes: &Changes) {
    for (name, value) in changes {
        let _ = write!(text, " {name:?}={value:?}");
    }
}
