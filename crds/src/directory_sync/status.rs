//! What a DirectorySync reports: counts, the plan's digest, holds, quarantine. Bounded, never in proportion to the directory.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator last did, and what waits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorySyncStatus {
    /// The `metadata.generation` that this status is about; -1 until the operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,
    /// `Ready`: the tenant is as planned (`Planned` in mode Plan). `Reconciling`: a cycle is under way or will be retried. `Stalled`: a change of the spec
    /// is needed. The reasons are in docs/reference/reasons.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// How many objects this sync manages, holds back and has set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<SyncCounts>,
    /// The last plan: its digest and how many operations of each sort. The whole plan: `plumbline plan -f DIR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanSummary>,
    /// Operations that the guard holds. To let one through, add its `digest` to `spec.guard.approved`. At most 16 are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["digest".into()]))]
    pub holds: Vec<HoldSummary>,
    /// Objects set aside, each with its reason; they are retried while all others flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// Objects that someone else changed at the tenant and that are left so, with `driftPolicy: Report`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Objects in scope that the channel cannot write; they are never converted into something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<Unsupported>,
    /// The connectors that feed this sync.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub connectors: Vec<ConnectorSummary>,
    /// When a cycle last ended well, whether or not there was something to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// When something was last written to the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change_time: Option<Time>,
    /// The value of the annotation `reconcile.plumbline.dev/requestedAt` that was handled last, cut to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
}

/// How many objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncCounts {
    /// Users at the tenant that carry our mark.
    #[schemars(range(min = 0))]
    pub users: i64,
    /// Groups at the tenant that carry our mark.
    #[schemars(range(min = 0))]
    pub groups: i64,
    /// Objects set aside in quarantine.
    #[schemars(range(min = 0))]
    pub quarantined: i64,
    /// Operations that the guard holds.
    #[schemars(range(min = 0))]
    pub held: i64,
}

/// The last plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanSummary {
    /// Digest of the plan, `sha256:` and 64 hexadecimal digits; the same world gives the same digest.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// How many operations of each sort, held ones included.
    pub counts: PlanCounts,
}

/// How many operations of each sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanCounts {
    /// Objects to create.
    #[schemars(range(min = 0))]
    pub create: i64,
    /// Objects to change.
    #[schemars(range(min = 0))]
    pub update: i64,
    /// Users to disable.
    #[schemars(range(min = 0))]
    pub disable: i64,
    /// Objects to delete.
    #[schemars(range(min = 0))]
    pub delete: i64,
    /// Existing objects to take over.
    #[schemars(range(min = 0))]
    pub adopt: i64,
    /// Deleted objects to restore.
    #[schemars(range(min = 0))]
    pub restore: i64,
    /// Members to add to groups.
    #[schemars(range(min = 0))]
    pub add_members: i64,
    /// Members to remove from groups.
    #[schemars(range(min = 0))]
    pub remove_members: i64,
}

/// Operations of one class that the guard holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldSummary {
    /// The class of operation, as named in `spec.guard`: `deletions`, `disables` or `membershipRemovals`.
    #[schemars(length(max = 64))]
    pub class: String,
    /// What an approval names: `sha256:` and 64 hexadecimal digits over the held operations.
    #[schemars(length(min = 1, max = 71))]
    pub digest: String,
    /// How many operations are held.
    #[schemars(range(min = 0))]
    pub count: i64,
    /// Their share of the managed objects of the class (or of the group's members), in whole percent.
    #[schemars(range(min = 0, max = 100))]
    pub share: i32,
    /// Since when.
    pub since: Time,
    /// Some of the objects concerned, by name. At most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 1024)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub sample: Vec<String>,
}

/// Objects set aside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quarantine {
    /// How many objects are set aside.
    #[schemars(range(min = 0))]
    pub count: i64,
    /// Some of them, with what to do. At most 10; all of them: `plumbline plan -f DIR`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub sample: Vec<QuarantinedObject>,
}

/// One object set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuarantinedObject {
    /// Its source anchor; empty when it has none.
    #[schemars(length(max = 256))]
    pub anchor: String,
    /// Its DN in the directory when last read.
    #[schemars(length(max = 1024))]
    pub dn: String,
    /// Why, in one word. The reasons are in docs/reference/reasons.md.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Why, in one sentence with the next step.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Since when.
    pub since: Time,
}

/// Objects that someone else changed at the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// How many objects differ.
    #[schemars(range(min = 0))]
    pub count: i64,
    /// Some of them. At most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub sample: Vec<DriftedObject>,
}

/// One object that someone else changed at the tenant. Values are not shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftedObject {
    /// Its source anchor.
    #[schemars(length(max = 256))]
    pub anchor: String,
    /// The tenant's attributes that differ, with `manager` and `members` for links. Empty when the object itself was deleted. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub attributes: Vec<String>,
    /// Since when the first of the differences is known.
    pub since: Time,
}

/// Objects in scope that the channel cannot write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unsupported {
    /// Contacts.
    #[schemars(range(min = 0))]
    pub contacts: i64,
    /// Distribution groups.
    #[schemars(range(min = 0))]
    pub distribution_groups: i64,
}

/// A connector that feeds the sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorSummary {
    /// Name of the DirectoryConnector.
    #[schemars(length(max = 63))]
    pub name: String,
    /// When it last read the directory completely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_read_time: Option<Time>,
    /// The reason of its condition Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
}
