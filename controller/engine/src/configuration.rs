//! What people declared for one sync, as real types: the operator validates resources into it. Nothing below reaches into a spec.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    dn::Written, drift::DriftPolicy, entry::Class, expression::Expression, filter::Filter,
    mapping::Mapping, plan::Digest, target::Capabilities,
};

/// One DirectorySync with all that it refers to.
#[derive(Debug)]
pub struct Configuration {
    /// Our name in the mark; has no colon.
    pub owner: String,
    /// The connectors of the scopes. With none, nobody can be proven gone.
    pub connectors: Vec<ConnectorSettings>,
    /// Their order means nothing: an entry in two of them is mapped by the one whose name sorts first.
    pub scopes: Vec<Scope>,
    /// `None`: every entry is an identity of its own.
    pub joins: Option<Joins>,
    pub capabilities: &'static Capabilities,
    pub matching: Matching,
    /// What becomes of users who leave. Groups that leave are deleted.
    pub deprovision_user: Deprovision,
    pub guard: Guard,
    pub drift: DriftPolicy,
}

/// What the engine must know of a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorSettings {
    pub name: String,
    /// How far apart two complete reads must have begun for their silence to count.
    pub confirm_absence: Duration,
}

/// Who takes part, and how they are mapped.
#[derive(Debug)]
pub struct Scope {
    pub name: String,
    pub connector: String,
    pub classes: BTreeSet<Class>,
    /// An entry takes part if one of these holds it and none of `exclude` does.
    pub include: Vec<Include>,
    pub exclude: Vec<Include>,
    pub filter: Option<Filter>,
    pub when: BTreeMap<Class, Expression>,
    /// An entry of a class without a mapping takes no part.
    pub mapping: BTreeMap<Class, Mapping>,
}

/// One rule of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Include {
    /// Everything below this entry. Followed by its GUID once it was found.
    OrganizationalUnit(Written),
    /// The members of this group and of the groups in it, users and groups alike; the group itself takes no part by this rule.
    Group(Written),
    Everything,
}

/// By which rules users of several connectors become one identity, and whose values it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joins {
    /// Connectors whose users are joined. The first that has an entry names a new identity; for each attribute of the target the
    /// first that gives a value wins.
    pub precedence: Vec<String>,
    /// Attribute of the target → connectors that are asked before all others.
    pub first: BTreeMap<String, Vec<String>>,
    /// Two entries are one person when one rule gives both the same value.
    pub rules: Vec<JoinRule>,
}

/// The attributes whose values are compared, by connector and in lower case. Two connectors at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRule {
    pub attributes: BTreeMap<String, String>,
}

/// How objects that exist at the target without our mark are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// Attributes of the target by which a soft match is looked for, without regard to case.
    pub soft: Vec<String>,
    pub adopt: Adopt,
}

/// Whether objects are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopt {
    Never,
    /// Quarantine `WouldAdopt`.
    Report,
    Adopt,
}

/// What becomes of a user who leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deprovision {
    Disable,
    Delete,
}

/// The limits on risky operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    pub deletions: Limit,
    pub disables: Limit,
    /// `percent` and `floor` count within one group, `max` over all.
    pub membership_removals: Limit,
    /// Each releases the hold with exactly this digest.
    pub approved: BTreeSet<Digest>,
}

/// Held when n > `floor` and (n > `max` or 100·n > `percent`·managed), or when n is all of more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub max: u32,
    pub percent: u32,
    pub floor: u32,
}

impl Joins {
    /// Where a connector stands in the precedence; `None` for one whose users are not joined.
    pub(crate) fn rank(&self, connector: &str) -> Option<usize> {
        self.precedence.iter().position(|name| name == connector)
    }

    /// The place of a connector for one attribute of the target: the lowest is asked first.
    pub(crate) fn rank_for(&self, attribute: &str, connector: &str) -> (usize, usize) {
        let first = self.first.get(attribute);
        let first = first.and_then(|names| names.iter().position(|name| name == connector));
        let general = self.rank(connector).unwrap_or(usize::MAX);
        (first.unwrap_or(usize::MAX), general)
    }

    /// The attributes of a connector's users by which they are joined.
    pub(crate) fn attributes(&self, connector: &str) -> impl Iterator<Item = &str> {
        let rules = self.rules.iter();
        rules.filter_map(move |rule| rule.attributes.get(connector).map(String::as_str))
    }
}
