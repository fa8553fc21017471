//! CloudTenant: one target, so far an Entra ID tenant, and the credentials to reach it.
//!
//! The doc comments are product text: `kubectl explain ctenant.spec` and `docs/reference` print them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LocalRef, SecretAuth, ServerTrust, rule};

/// Which tenant, and with which credentials. The operator never writes here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "plumbline.dev",
    version = "v1alpha1",
    kind = "CloudTenant",
    namespaced,
    status = "CloudTenantStatus",
    shortname = "ctenant",
    category = "plumbline",
    derive = "PartialEq",
    doc = "CloudTenant declares one target, an Entra ID tenant, and the credentials of the application that writes to it. It writes nothing by itself; a DirectorySync does. Before the first one run `plumbline tenant init`. Next step: `kubectl wait --for=condition=Ready ctenant/NAME`.",
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.entra.tenantId"),
    printcolumn(name = "Cloud", type_ = "string", json_path = ".spec.entra.cloud", priority = 1),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    validation = rule::short_name()
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::exactly_one(&["entra"]))]
pub struct CloudTenantSpec {
    /// An Entra ID tenant, reached through Microsoft Graph. Required: it is the only kind of target so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entra: Option<EntraTenant>,
}

/// An Entra ID tenant and the application that writes to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.cloud != 'Custom' || has(self.endpoints)")
        .message("`endpoints` must be set when `cloud` is 'Custom'"),
    validation = Rule::new("self.cloud == 'Custom' || !has(self.endpoints)")
        .message("`endpoints` may not be specified unless `cloud` is 'Custom'")
)]
pub struct EntraTenant {
    /// Directory (tenant) ID, a GUID. Immutable: what is marked as ours lives in that tenant.
    #[schemars(length(max = 36))]
    #[x_kube(validation = rule::guid(), validation = rule::immutable("tenantId"))]
    pub tenant_id: String,
    /// Application (client) ID of the app registration that holds the permissions, a GUID.
    #[schemars(length(max = 36))]
    #[x_kube(validation = rule::guid())]
    pub client_id: String,
    /// How the application proves itself: exactly one of `workloadIdentity` (nothing to rotate, to be preferred), `certificate` and
    /// `clientSecret`.
    pub auth: EntraAuth,
    /// Which Microsoft cloud: `Global` (default), `USGovL4`, `USGovL5`, `China`, or `Custom` with `endpoints`.
    #[serde(default)]
    pub cloud: EntraCloud,
    /// Where to find the services when `cloud` is `Custom`; not allowed otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<EntraEndpoints>,
    /// Whom to trust beside the certificate authorities of the system, for instance an inspecting proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ServerTrust>,
}

/// How the application proves itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::exactly_one(&["workloadIdentity", "certificate", "clientSecret"]))]
pub struct EntraAuth {
    /// A token of a ServiceAccount, exchanged by the federated credential of the application: issuer of the cluster, subject
    /// `system:serviceaccount:NAMESPACE:NAME`, audience `api://AzureADTokenExchange`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
    /// A certificate registered with the application: keys `tls.crt` and `tls.key` (RSA) of a Secret, as cert-manager writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<SecretAuth>,
    /// A client secret of the application: key `clientSecret` of a Secret. It expires; prefer one of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretAuth>,
}

/// A ServiceAccount whose tokens the application accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadIdentity {
    /// The ServiceAccount, in the same namespace. The operator asks for short-lived tokens for it and never uses its own.
    pub service_account_ref: LocalRef,
}

/// The Microsoft clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum EntraCloud {
    #[default]
    Global,
    USGovL4,
    USGovL5,
    China,
    Custom,
}

/// The services of a custom cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntraEndpoints {
    /// Base URL of the token service, https, without the tenant. Example: `https://login.example.com`.
    #[schemars(length(min = 9, max = 512))]
    #[x_kube(validation = rule::https_url())]
    pub authority: String,
    /// Base URL of Microsoft Graph, https, without the version. Example: `https://graph.example.com`.
    #[schemars(length(min = 9, max = 512))]
    #[x_kube(validation = rule::https_url())]
    pub graph: String,
}

/// What the operator last saw of this tenant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudTenantStatus {
    /// The `metadata.generation` that this status is about; -1 until the operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,
    /// `Ready`: the tenant accepted the credentials and knows the mark. `Reconciling`: work is under way or will be retried. `Stalled`: a change
    /// of the spec or of the tenant is needed. The reasons are in docs/reference/reasons.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Domains that the tenant has verified; a user principal name in any other is quarantined as `DomainNotVerified`. At most 100 are
    /// listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 255)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub verified_domains: Vec<String>,
    /// Name of the directory extension that carries our mark on users and groups, as `plumbline tenant init` defined it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub mark_attribute: Option<String>,
    /// When the tenant last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_contact_time: Option<Time>,
    /// The value of the annotation `reconcile.plumbline.dev/requestedAt` that was handled last, cut to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
}
