//! DirectoryConnector: one LDAP naming context, how it is reached and how changes are seen.
//!
//! The doc comments are product text: `kubectl explain dirconn.spec` and `docs/reference` print them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, LocalRef, SecretAuth, ServerTrust, rule};

/// What to read, and how. The operator never writes here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "plumbline.dev",
    version = "v1alpha1",
    kind = "DirectoryConnector",
    namespaced,
    status = "DirectoryConnectorStatus",
    shortname = "dirconn",
    category = "plumbline",
    derive = "PartialEq",
    doc = "DirectoryConnector declares one LDAP naming context, for instance one Active Directory domain: its servers, how to bind, whom to trust and how often to look for changes. It only reads; what takes part is said by a SyncScope. Next step: `kubectl wait --for=condition=Ready dirconn/NAME`.",
    printcolumn(name = "Type", type_ = "string", json_path = ".status.serverType"),
    printcolumn(name = "Server", type_ = "string", json_path = ".status.server", priority = 1),
    printcolumn(name = "Users", type_ = "integer", json_path = ".status.counts.users"),
    printcolumn(name = "Groups", type_ = "integer", json_path = ".status.counts.groups"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Read", type_ = "date", json_path = ".status.lastReadTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    validation = rule::short_name()
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::immutable_optional("anchor").field_path(".anchor"))]
pub struct DirectoryConnectorSpec {
    /// What kind of server this is: `Auto` (default) asks the root DSE; `ActiveDirectory` includes Samba AD; `OpenLDAP`;
    /// `DirectoryServer389` is 389 Directory Server; `FreeIPA`; `Generic` is any other LDAPv3 server with `entryUUID`. A claim that the server contradicts is `Stalled/ServerTypeMismatch`.
    #[serde(default)]
    pub r#type: ServerType,
    /// The servers, tried in this order until one answers; all must serve the same naming context. `ldaps://` speaks TLS from the
    /// start (port 636); `ldap://` (port 389) requires StartTLS before the bind, there is no plain text. The name must be in the server's
    /// certificate. Between 1 and 16. Example: `[ldaps://dc1.corp.example.com, ldaps://dc2.corp.example.com]`.
    #[schemars(length(min = 1, max = 16), inner(length(min = 8, max = 300)))]
    #[x_kube(merge_strategy = ListMerge::Atomic, validation = rule::ldap_servers())]
    pub servers: Vec<String>,
    /// The entry below which everything is read, normally the root of the domain. Immutable: to read another base, create another
    /// DirectoryConnector. Example: `DC=corp,DC=example,DC=com`.
    #[serde(rename = "baseDN")]
    #[schemars(length(min = 3, max = 1024))]
    #[x_kube(validation = rule::distinguished_name(), validation = rule::immutable("baseDN"))]
    pub base_dn: String,
    /// The attribute that names an object for life, if not the usual one: `mS-DS-ConsistencyGuid`, else `objectGUID` for users of Active
    /// Directory, `objectGUID` for its groups; `nsUniqueId` of 389 Directory Server; `ipaUniqueID` of FreeIPA; `entryUUID` elsewhere. Immutable, and may not be added or removed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// How to authenticate. Exactly one member must be set; `simple` is the only one so far.
    pub bind: Bind,
    /// Whom to trust beside the certificate authorities of the system. Needed where the directory's certificates come from an own CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ServerTrust>,
    /// How changes are seen, and how long absence must last before it counts.
    #[serde(default)]
    pub changes: Changes,
    /// `true` stops reading from this directory within 5 seconds; what was read stays as it is and nothing counts as gone. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

/// The kinds of LDAP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ServerType {
    #[default]
    Auto,
    ActiveDirectory,
    #[serde(rename = "OpenLDAP")]
    OpenLdap,
    DirectoryServer389,
    #[serde(rename = "FreeIPA")]
    FreeIpa,
    Generic,
}

/// The chosen source anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Anchor {
    /// Name of an attribute that has exactly one value on every object in scope and never changes. Objects without it, or with a value
    /// that another object has too, are set aside in quarantine. Example: `employeeNumber`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = rule::attribute_name())]
    pub attribute: String,
}

/// How to authenticate to the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::exactly_one(&["simple"]))]
pub struct Bind {
    /// Simple bind with the keys `username` (a DN, or for Active Directory also a user principal name or `DOMAIN\name`) and `password`
    /// of a Secret. The account needs to read, and in Active Directory to list deleted objects; nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simple: Option<SecretAuth>,
}

impl Bind {
    /// A simple bind with the named Secret.
    pub fn simple(secret: impl Into<String>) -> Self {
        Self {
            simple: Some(SecretAuth {
                secret_ref: LocalRef::new(secret),
            }),
        }
    }
}

/// How changes are seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// How changes are found. `Auto` (default) takes the best that the server offers and the account may use, and says which in
    /// `status.feed`. `DirSync`: Active Directory tells changes, value by value of groups. `UsnChanged`: of Active Directory, entries that
    /// one domain controller has written since are read whole. For both, a complete read every 15 minutes finds deletions where the
    /// account sees no deleted objects. `ContentSync`: OpenLDAP and 389 Directory Server tell changes as they happen (RFC 4533).
    /// `ModifyTimestamp`: changed entries are searched at every interval, deletions are seen by a complete read every 15 minutes. `FullRead`: everything is read at
    /// every interval. One that cannot be used here is `Stalled/InvalidSpec`, with what is missing.
    #[serde(default)]
    pub detect: Detect,
    /// Time from one read of the directory to the next, as a Go duration. Default: `30s`; from `1s` to `24h`.
    #[serde(default = "Changes::default_interval")]
    #[x_kube(validation = rule::duration_between("1s", "24h"))]
    pub interval: Duration,
    /// Time from one complete comparison to the next, as a Go duration: everything is read, however changes are found, and what they had
    /// missed is counted by cause. Default: `24h`; from `1s` to `720h`.
    #[serde(default = "Changes::default_verify")]
    #[x_kube(validation = rule::duration_between("1s", "720h"))]
    pub verify: Duration,
    /// Least time between the two complete reads that must both miss an entry before it counts as gone, where no tombstone proves it.
    /// Longer is safer against lagging replicas. Default: `15m`; from `0s` to `168h`.
    #[serde(default = "Changes::default_confirm_absence")]
    #[x_kube(validation = rule::duration_between("0s", "168h"))]
    pub confirm_absence: Duration,
}

impl Changes {
    fn default_interval() -> Duration {
        Duration::from_secs(30)
    }

    fn default_verify() -> Duration {
        Duration::from_secs(24 * 60 * 60)
    }

    fn default_confirm_absence() -> Duration {
        Duration::from_secs(15 * 60)
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            detect: Detect::default(),
            interval: Self::default_interval(),
            verify: Self::default_verify(),
            confirm_absence: Self::default_confirm_absence(),
        }
    }
}

/// How changes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Detect {
    #[default]
    Auto,
    DirSync,
    UsnChanged,
    ContentSync,
    ModifyTimestamp,
    FullRead,
}

/// What the operator last saw of this directory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectoryConnectorStatus {
    /// The `metadata.generation` that this status is about; -1 until the operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,
    /// `Ready`: the directory was read with the present spec. `Reconciling`: work is under way or will be retried. `Stalled`: a change of the
    /// spec is needed. The reasons are in docs/reference/reasons.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// What the server turned out to be: `ActiveDirectory`, `OpenLDAP`, `DirectoryServer389`, `FreeIPA` or `Generic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub server_type: Option<String>,
    /// The URL of `spec.servers` in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub server: Option<String>,
    /// Whether deletions can be proven by tombstones: `Readable`; `NotReadable` (the server has them, the account may not list them: grant it
    /// the right to read deleted objects); `NotOffered` (only two complete reads and the guard protect).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_objects: Option<DeletedObjects>,
    /// How changes are found, and why so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<ChangeFeed>,
    /// Naming contexts below `baseDN` that the server refers elsewhere; they are not read. At most 32 are listed. To read one, create a
    /// DirectoryConnector for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub subordinate_contexts: Vec<String>,
    /// What the last complete read held, before any scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<DirectoryCounts>,
    /// The last complete comparison (`spec.changes.verify`), and how many entries it found of which the change feed had missed something; absent
    /// until there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Comparison>,
    /// When the last complete read ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_read_time: Option<Time>,
    /// The value of the annotation `reconcile.plumbline.dev/requestedAt` that was handled last, cut to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
}

/// Whether deletions can be proven by tombstones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletedObjects {
    Readable,
    NotReadable,
    NotOffered,
}

/// How changes are found, and why so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeFeed {
    /// `DirSync`, `UsnChanged`, `ContentSync`, `ModifyTimestamp` or `FullRead`; see `spec.changes.detect`.
    #[schemars(length(max = 64))]
    pub kind: String,
    /// What decided: the feed's promise, and what is missing for a better one.
    #[schemars(length(max = 1024))]
    pub why: String,
}

/// What a complete comparison found that the change feed had missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// When it ended.
    pub time: Time,
    /// Entries that were not known.
    #[schemars(range(min = 0))]
    pub arrived: i64,
    /// Entries with other values.
    #[schemars(range(min = 0))]
    pub changed: i64,
    /// Entries with another DN.
    #[schemars(range(min = 0))]
    pub renamed: i64,
    /// Entries that are not there any more, or that the account no longer sees.
    #[schemars(range(min = 0))]
    pub left: i64,
}

/// What a directory holds, by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectoryCounts {
    /// Users, without computers and trust accounts.
    #[schemars(range(min = 0))]
    pub users: i64,
    /// Security groups, mail-enabled ones included.
    #[schemars(range(min = 0))]
    pub groups: i64,
    /// Contacts.
    #[schemars(range(min = 0))]
    pub contacts: i64,
    /// Distribution groups: groups that grant no rights.
    #[schemars(range(min = 0))]
    pub distribution_groups: i64,
    /// Organizational units and other containers.
    #[schemars(range(min = 0))]
    pub containers: i64,
}
