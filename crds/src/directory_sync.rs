//! DirectorySync: what goes where and how, under which guard.
//!
//! The doc comments are product text: `kubectl explain dsync.spec` and `docs/reference` print them. The guard, the joins and the
//! status are in modules of their own.

mod guard;
mod joins;
mod status;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use guard::*;
pub use joins::*;
pub use status::*;

use crate::{LocalRef, rule};

/// What goes where and how. The operator never writes here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "plumbline.dev",
    version = "v1alpha1",
    kind = "DirectorySync",
    namespaced,
    status = "DirectorySyncStatus",
    shortname = "dsync",
    category = "plumbline",
    derive = "PartialEq",
    doc = "DirectorySync keeps one CloudTenant true to the objects of its SyncScopes. It starts in mode `Plan`, which computes and reports and writes nothing. Deleting it never writes to the tenant: what it made stays. Next step: read `status.plan`, then set `mode: Apply`.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Users", type_ = "integer", json_path = ".status.counts.users"),
    printcolumn(name = "Groups", type_ = "integer", json_path = ".status.counts.groups"),
    printcolumn(name = "Held", type_ = "integer", json_path = ".status.counts.held"),
    printcolumn(name = "Quarantined", type_ = "integer", json_path = ".status.counts.quarantined"),
    printcolumn(name = "Changed", type_ = "date", json_path = ".status.lastChangeTime"),
    printcolumn(name = "Synced", type_ = "date", json_path = ".status.lastSyncTime", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    selectable = ".spec.tenantRef.name",
    validation = rule::short_name()
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::immutable_optional("owner").field_path(".owner"))]
pub struct DirectorySyncSpec {
    /// The CloudTenant to write to. Immutable: to write to another tenant, create another DirectorySync.
    #[x_kube(validation = rule::immutable("tenantRef"))]
    pub tenant_ref: LocalRef,
    /// How objects are written: `Graph` (default, the only one so far) makes cloud-managed users and security groups through Microsoft
    /// Graph. Immutable.
    #[serde(default)]
    #[x_kube(validation = rule::immutable("channel"))]
    pub channel: Channel,
    /// Our name in the mark that each of our objects carries at the tenant. Default: `<namespace>.<name>`. Set it to keep the objects when the resource is
    /// renamed or moved. At most 120 characters. Immutable, and may not be added or removed later. Example: `identity.contoso`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 120))]
    #[x_kube(validation = rule::owner_name())]
    pub owner: Option<String>,
    /// `Plan` (default) computes, reports and writes nothing; `Apply` writes. Both make the same plan.
    #[serde(default)]
    pub mode: Mode,
    /// `true` stops within 5 seconds, also in the middle of an export; the next cycle goes on where it stopped. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
    /// The SyncScopes whose objects go to the tenant; their order means nothing. Between 1 and 64. Example: `[{name: staff}, {name: partners}]`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub scopes: Vec<ScopeRef>,
    /// Changes to the default mapping, for all scopes. The effective mappings: `plumbline mappings -f DIR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
    /// Which users of several directories are one person, and whose values count. Without it each entry is somebody of his own. Members of a
    /// group who are accounts of another forest (`foreignSecurityPrincipal`) are found with and without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joins: Option<Joins>,
    /// What to do with an object at the tenant that is not ours and yet looks like one of ours.
    #[serde(default)]
    pub matching: Matching,
    /// What happens at the tenant to those who left the directory or the scope.
    #[serde(default)]
    pub deprovision: Deprovision,
    /// What to do about a difference that someone else made at the tenant: `Correct` (default) puts back what the directory says; `Report` sends
    /// nothing against it and shows it in `status.drift`, while changes that come from the directory still flow, also to those objects. Only what
    /// was changed while the operator ran is known as such: after a restart, older differences count as the directory's changes.
    #[serde(default)]
    pub drift_policy: DriftPolicy,
    /// Limits on risky operations, class by class. A class is held when a cycle plans more of it than its `floor` and also more than its `max` or
    /// more than `percent` of what we manage, or when it would hit all of more than one. What is held is shown in `status.holds` and waits
    /// for an approval; all else keeps flowing.
    #[serde(default)]
    pub guard: Guard,
}

impl DirectorySync {
    /// Our name in the mark: `spec.owner`, or `<namespace>.<name>` without one. A manifest that names no namespace is in `default`.
    pub fn owner(&self) -> String {
        let namespace = self.metadata.namespace.as_deref().unwrap_or("default");
        let name = self.metadata.name.as_deref().unwrap_or_default();
        self.spec
            .owner
            .clone()
            .unwrap_or_else(|| format!("{namespace}.{name}"))
    }
}

/// How objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Channel {
    #[default]
    Graph,
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    #[default]
    Plan,
    Apply,
}

/// What to do about a difference that someone else made at the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    #[default]
    Correct,
    Report,
}

/// A SyncScope, and what is mapped differently for its objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScopeRef {
    /// Name of the SyncScope, in the same namespace.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rule::object_name())]
    pub name: String,
    /// Changes to the mapping for the objects of this scope; they win over `spec.mapping`, attribute by attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
}

/// Changes to the default mapping, by class.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mapping {
    /// For users: what to set in another way, what never to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<AttributeMapping>,
    /// For groups: what to set in another way, what never to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<AttributeMapping>,
}

/// Changes to the mapping of one class.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.set) || !has(self.omit) || self.omit.all(a, !(a in self.set))")
        .message("an attribute may not be in both `set` and `omit`")
)]
pub struct AttributeMapping {
    /// Attribute of the tenant, and the CEL expression that gives its value; replaces the default for that attribute. `''`, null or `[]`
    /// clears, `keep()` leaves alone. An error in an expression sets that object aside and changes nothing. At most 128 attributes, 2048
    /// characters each. Example: `{usageLocation: "user.c.upperAscii()"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "expressions")]
    pub set: BTreeMap<String, String>,
    /// Attributes of the tenant that are never sent, whatever the default says. At most 128. Example: `[mobilePhone]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub omit: Vec<String>,
}

fn expressions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 128,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 2048},
    })
}

/// How objects that exist at the tenant without our mark are found and treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Matching {
    /// Attributes by which an existing object is recognised as the same when the anchor finds none: `userPrincipalName` and `mail` for users,
    /// `displayName` for groups. Default: `[userPrincipalName, mail]`. `[]` recognises by anchor alone.
    #[serde(default = "Matching::default_soft")]
    #[schemars(length(max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub soft: Vec<SoftMatch>,
    /// What to do with a recognised object: `Report` (default) quarantines as `WouldAdopt` and creates nothing; `Adopt` takes it over, except
    /// privileged, guest and on-premises-managed objects and those of another owner; `Never` treats it as a conflict.
    #[serde(default)]
    pub adopt: Adopt,
}

impl Matching {
    fn default_soft() -> Vec<SoftMatch> {
        vec![SoftMatch::UserPrincipalName, SoftMatch::Mail]
    }
}

impl Default for Matching {
    fn default() -> Self {
        Self {
            soft: Self::default_soft(),
            adopt: Adopt::default(),
        }
    }
}

/// An attribute by which an existing object is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SoftMatch {
    UserPrincipalName,
    Mail,
    DisplayName,
}

/// What to do with a recognised object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Adopt {
    Never,
    #[default]
    Report,
    Adopt,
}

/// What happens to leavers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deprovision {
    /// `Disable` (default) blocks sign-in and revokes sessions; `Delete` deletes the user, whom Entra ID keeps restorable for 30 days. Groups that
    /// left are deleted in either case. Both are under the guard.
    #[serde(default)]
    pub user: UserDeprovision,
}

/// What happens to a user who left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum UserDeprovision {
    #[default]
    Disable,
    Delete,
}
