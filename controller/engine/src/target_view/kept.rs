//! What the view keeps of a value: a digest, where nobody needs more than to know whether another value is the same.
//!
//! The digest is 48 bits of SHA-256, of each attribute by itself, because a delta names attributes one by one. That two values have
//! one digest, and a change between just these two is not seen, happens once in 2^48 changes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    entry::Class,
    target::{Capabilities, Mark, Standing, TargetId, TargetObject, Value},
};

/// The bytes of a digest.
pub(crate) const DIGEST: usize = 6;

/// See the module. Two are equal if their values are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Kept {
    Value(Value),
    Digest([u8; DIGEST]),
}

/// What is kept of the attributes of an object, by name.
pub(crate) type AllKept = BTreeMap<String, Kept>;

impl Kept {
    pub(crate) fn digest(&self) -> [u8; DIGEST] {
        let value = match self {
            Self::Digest(digest) => return *digest,
            Self::Value(value) => value,
        };
        let mut hasher = Sha256::new();
        match value {
            Value::Flag(flag) => hasher.update([u8::from(*flag)]),
            Value::Text(text) => {
                hasher.update([2]);
                hasher.update(text);
            }
            Value::List(list) => {
                hasher.update([3]);
                for text in list {
                    hasher.update((text.len() as u64).to_le_bytes());
                    hasher.update(text);
                }
            }
        }
        let mut digest = [0; DIGEST];
        let bytes = hasher.finalize();
        digest
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = from);
        digest
    }

    /// The value, unless only its digest is kept.
    pub(crate) fn value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Digest(_) => None,
        }
    }

    pub(crate) fn is(&self, value: &Value) -> bool {
        match self {
            Self::Value(held) => held == value,
            Self::Digest(digest) => *digest == Self::Value(value.clone()).digest(),
        }
    }

    /// The texts in the value.
    pub(crate) fn texts(&self) -> &[String] {
        self.value().map_or(&[], super::texts)
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(value), other) | (other, Self::Value(value)) => other.is(value),
            (Self::Digest(own), Self::Digest(other)) => own == other,
        }
    }
}

impl Eq for Kept {}

/// What is held is what is wanted; no value is a value too.
pub(crate) fn same(want: Option<&Value>, held: Option<&Kept>) -> bool {
    match (want, held) {
        (Some(want), Some(held)) => held.is(want),
        (None, None) => true,
        _ => false,
    }
}

/// One object of the target as the view keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) id: TargetId,
    pub(crate) class: Class,
    pub(crate) mark: Option<Mark>,
    pub(crate) immutable_id: Option<String>,
    pub(crate) attributes: AllKept,
    pub(crate) manager: Option<TargetId>,
    pub(crate) members: Option<Vec<TargetId>>,
    pub(crate) standing: Standing,
}

impl Object {
    /// An object of which nothing else is known.
    pub(super) fn blank(class: Class, id: TargetId) -> Self {
        Self {
            id,
            class,
            mark: None,
            immutable_id: None,
            attributes: AllKept::new(),
            manager: None,
            members: None,
            standing: Standing::default(),
        }
    }
}

impl From<TargetObject> for Object {
    fn from(object: TargetObject) -> Self {
        let attributes = object.attributes.into_iter();
        Self {
            id: object.id,
            class: object.class,
            mark: object.mark,
            immutable_id: object.immutable_id,
            attributes: attributes
                .map(|(name, value)| (name, Kept::Value(value)))
                .collect(),
            manager: object.manager,
            members: object.members,
            standing: object.standing,
        }
    }
}

/// Of which attributes the values themselves are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keeping {
    /// Those that matching looks for, that go along with another one, and by which people know an object.
    named: BTreeSet<(Class, String)>,
    /// All, for someone who looks at what the target holds.
    pub(super) all: bool,
}

impl Keeping {
    pub(super) fn new(capabilities: &Capabilities, keys: &BTreeSet<String>, all: bool) -> Self {
        let mut named = BTreeSet::new();
        for rule in capabilities.attributes {
            let shown = match capabilities.rule(rule.class, capabilities.sign_in_name) {
                Some(_) => capabilities.sign_in_name,
                None => "displayName",
            };
            if rule.together.is_some() || rule.name == shown || keys.contains(rule.name) {
                named.insert((rule.class, rule.name.to_owned()));
            }
        }
        Self { named, all }
    }

    /// Whoever needs the values of which the other one says so finds them.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.all || self.named.is_superset(&other.named)
    }

    /// Only the digest of a value is to be kept. A short one takes no more room than that.
    pub(super) fn hides(&self, class: Class, name: &str, kept: &Kept) -> bool {
        let long = match kept {
            Kept::Digest(_) => return true,
            Kept::Value(Value::Text(text)) => text.len() >= DIGEST,
            Kept::Value(Value::List(_)) => true,
            Kept::Value(Value::Flag(_)) => false,
        };
        let named = |known: &(Class, String)| known.0 == class && known.1 == name;
        long && !self.all && !self.named.iter().any(named)
    }
}
