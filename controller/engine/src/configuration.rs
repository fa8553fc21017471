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
