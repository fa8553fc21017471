//! What a target holds and what it can do, in words that fit every target.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{anchor::Anchor, entry::Class, format::Format};

/// The target's own identifier of an object (Graph: its `id`). Opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetId(pub Box<str>);

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value at the target that says an object is ours, and for which anchor: `<owner>:<anchor>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    pub owner: Box<str>,
    pub anchor: Anchor,
}

impl Mark {
    /// Reads `<owner>:<anchor>`. An owner has no colon. `None` when there is no colon.
    pub fn parse(text: &str) -> Option<Self> {
        let (owner, anchor) = text.split_once(':')?;
        Some(Self {
            owner: owner.into(),
            anchor: Anchor::from_text(anchor),
        })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.owner, self.anchor)
    }
}

/// A value of a target attribute. Absent and cleared are the same: no value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Flag(bool),
    Text(String),
    /// Order means nothing; kept sorted and without duplicates.
    List(Vec<String>),
}

/// Attributes of a target object by the target's name for them, flat: `extensionAttribute1`, `costCenter`. What the
/// target nests (`onPremisesExtensionAttributes`, `employeeOrgData`) is its adapter's matter.
pub type Values = BTreeMap<String, Value>;

/// Changes of attributes; `None` clears.
pub type Changes = BTreeMap<String, Option<Value>>;

/// Why an object may not be adopted or written, as far as the target tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Mastered by another synchronisation (`onPremisesSyncEnabled`).
    pub synced: bool,
    pub guest: bool,
    /// Holds a directory role, or is a member or owner of a role-assignable group, or is such a group.
    pub privileged: bool,
}

/// What an adapter must know of an object when it was not there itself as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub id: TargetId,
    pub class: Class,
    /// In our mark.
    pub anchor: Option<Anchor>,
    pub privileged: bool,
    /// Its members are known.
    pub listed: bool,
    /// When it was made, if that was by us and in the last ten minutes.
    pub made: Option<Timestamp>,
}

/// One object at the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetObject {
    pub id: TargetId,
    pub class: Class,
    pub mark: Option<Mark>,
    /// `onPremisesImmutableId` of a user: a key for matching, no proof of ownership.
    pub immutable_id: Option<String>,
    /// The attributes that the read asked for and that have a value.
    pub attributes: Values,
    pub manager: Option<TargetId>,
    /// Direct members of a group that was asked for; `None` when they were not read.
    pub members: Option<Vec<TargetId>>,
    pub standing: Standing,
}

/// The shape of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Flag,
    Text,
    List,
}

/// What a target says of one writable attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeRule {
    pub class: Class,
    pub name: &'static str,
    pub shape: Shape,
    /// Most characters (Unicode scalar values) in one value.
    pub max_length: Option<u32>,
    /// The form of one value, beyond its length.
    pub format: Option<Format>,
    /// Most values of a list.
    pub max_values: Option<u32>,
    /// May be cleared. Where not, a desired "no value" leaves the target's value alone.
    pub clearable: bool,
    /// Must have a value when an object is created.
    pub required: bool,
    /// Compared without regard to case, so that a difference in case alone is still written but never matters for matching.
    pub unique: bool,
    /// Attributes with the same word here are sent together, for the target forgets what is left out.
    pub together: Option<&'static str>,
}

/// What a target can do.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Classes that can be created. Others are counted as unsupported.
    pub classes: &'static [Class],
    pub attributes: &'static [AttributeRule],
    /// The attribute whose `false` means that a person cannot sign in.
    pub enabled: &'static str,
    /// The attribute that holds the sign-in name; its domain must be verified.
    pub sign_in_name: &'static str,
}

impl Capabilities {
    /// The rule of an attribute; `None` when the target cannot write it.
    pub fn rule(&self, class: Class, name: &str) -> Option<&'static AttributeRule> {
        self.attributes
            .iter()
            .find(|rule| rule.class == class && rule.name == name)
    }
}
