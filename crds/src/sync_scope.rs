//! SyncScope: which users, groups and contacts of one connector take part.
//!
//! The doc comments are product text: `kubectl explain scope.spec` and `docs/reference` print them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LocalRef, rule};

/// Who takes part. The operator never writes here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "plumbline.dev",
    version = "v1alpha1",
    kind = "SyncScope",
    namespaced,
    status = "SyncScopeStatus",
    shortname = "scope",
    category = "plumbline",
    derive = "PartialEq",
    doc = "SyncScope says which users and groups of one DirectoryConnector take part. An object takes part when it is of a chosen class, an entry of `include` holds it, none of `exclude` does, and `filter` and `when` agree. What leaves a scope counts as leaving, under the guard of each DirectorySync that uses it; deleting a SyncScope holds those and deletes nothing. Next step: name it in `dsync.spec.scopes`.",
    printcolumn(name = "Connector", type_ = "string", json_path = ".spec.connectorRef.name"),
    printcolumn(name = "Users", type_ = "integer", json_path = ".status.counts.users"),
    printcolumn(name = "Groups", type_ = "integer", json_path = ".status.counts.groups"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    selectable = ".spec.connectorRef.name",
    validation = rule::short_name()
)]
#[serde(rename_all = "camelCase")]
pub struct SyncScopeSpec {
    /// The DirectoryConnector whose objects are meant. Immutable: to read from another directory, create another SyncScope.
    #[x_kube(validation = rule::immutable("connectorRef"))]
    pub connector_ref: LocalRef,
    /// Classes that take part: `User`, `Group`, `Contact`. Default: `[User, Group]`. Contacts are counted in `dsync.status.unsupported` and not
    /// sent: the channel `Graph` cannot create them.
    #[serde(default = "SyncScopeSpec::default_classes")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub classes: Vec<ObjectClass>,
    /// Where objects come from; one of these is enough. Between 1 and 256. Example: `[{organizationalUnit: "OU=Staff,DC=corp,DC=example,DC=com"}]`.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub include: Vec<Include>,
    /// What stays out even when included. At most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub exclude: Vec<Exclude>,
    /// An LDAP filter (RFC 4515) that every object must match, decided by Plumbline on the values read: and, or, not, equality, presence,
    /// substring, `>=`, `<=` and the bit rules 803 and 804. At most 4096 characters. Example: `(employeeType=*)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 4096))]
    pub filter: Option<String>,
    /// CEL conditions, one a class; an object takes part when it is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

impl SyncScopeSpec {
    fn default_classes() -> Vec<ObjectClass> {
        vec![ObjectClass::User, ObjectClass::Group]
    }
}

/// A class of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ObjectClass {
    User,
    Group,
    Contact,
}

/// One place where objects come from: exactly one member is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::exactly_one(&["organizationalUnit", "group", "everything"]))]
pub struct Include {
    /// Everything below this organizational unit or container: its DN, or `<GUID=...>` with its object GUID. It is followed when it is renamed or
    /// moved (`status.resolved`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 1024))]
    #[x_kube(validation = rule::distinguished_name_or_guid())]
    pub organizational_unit: Option<String>,
    /// The group itself and its members, nested ones included: its DN, or `<GUID=...>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 1024))]
    #[x_kube(validation = rule::distinguished_name_or_guid())]
    pub group: Option<String>,
    /// All that the connector reads, written `everything: {}`. Built-in and system objects stay out all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub everything: Option<Everything>,
}

/// The empty object of `everything: {}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Everything {}

/// One place whose objects stay out: exactly one member is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::exactly_one(&["organizationalUnit", "group"]))]
pub struct Exclude {
    /// Everything below this organizational unit or container stays out: its DN, or `<GUID=...>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 1024))]
    #[x_kube(validation = rule::distinguished_name_or_guid())]
    pub organizational_unit: Option<String>,
    /// The group itself and its members, nested ones included, stay out: its DN, or `<GUID=...>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 1024))]
    #[x_kube(validation = rule::distinguished_name_or_guid())]
    pub group: Option<String>,
}

/// CEL conditions, one a class.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct When {
    /// A user takes part when this CEL expression is true. At most 2048 characters. Example: `!user.extensionAttribute10.startsWith('nosync')`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub user: Option<String>,
    /// A group takes part when this CEL expression is true. At most 2048 characters. Example: `group.cn.startsWith('cloud-')`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub group: Option<String>,
}

/// What the operator made of this scope.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncScopeStatus {
    /// The `metadata.generation` that this status is about; -1 until the operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,
    /// `Ready`: the scope was decided on what the connector read. `Reconciling`: work is under way or will be retried. `Stalled`: a change of the spec
    /// is needed. The reasons are in docs/reference/reasons.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// What each written unit or group turned out to be. This is the memory by which a renamed or moved unit stays in scope, also when it
    /// was renamed while Plumbline was stopped; do not edit it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["written".into()]))]
    pub resolved: Vec<Resolved>,
    /// How many objects take part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<ScopeCounts>,
}

/// A unit or group as written, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// As written in the spec; a DN in its canonical spelling.
    #[schemars(length(min = 3, max = 1024))]
    pub written: String,
    /// Its GUID as the directory stores it, in 32 hexadecimal digits; what it is followed by.
    #[schemars(length(max = 64))]
    pub guid: String,
    /// Its DN when last read.
    #[schemars(length(max = 1024))]
    pub dn: String,
}

/// How many objects take part, by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScopeCounts {
    /// Users in scope.
    #[schemars(range(min = 0))]
    pub users: i64,
    /// Groups in scope.
    #[schemars(range(min = 0))]
    pub groups: i64,
}
