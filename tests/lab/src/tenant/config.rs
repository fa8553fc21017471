//! What a lab tenant is made of before its first request, and the knobs that scenarios turn while it runs.
//!
//! Defaults are a small, calm tenant: one verified managed domain, the published quota, no faults, no delay, the
//! permissions a user and group sync needs (fact sheet §8 and §18).

use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

/// A domain of the tenant, as `GET /domains` shows it.
#[derive(Debug, Clone)]
pub struct Domain {
    pub name: String,
    pub verified: bool,
    /// Federated: creating its users needs `onPremisesImmutableId`.
    pub federated: bool,
}

impl Domain {
    /// A verified domain whose users sign in at the tenant.
    pub fn managed(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            verified: true,
            federated: false,
        }
    }

    /// A verified domain whose users sign in elsewhere.
    pub fn federated(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            verified: true,
            federated: true,
        }
    }

    /// A domain someone added and never proved: user names in it are refused.
    pub fn unverified(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            verified: false,
            federated: false,
        }
    }
}

/// A token bucket: `count` units, refilled evenly over `window`.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    pub count: u32,
    pub window: Duration,
}

/// What goes wrong by chance; each is a probability between 0 and 1, drawn per request or batch part.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Answered 503 and not performed.
    pub unavailable: f64,
    /// Performed, then the connection is closed without an answer (never a token request).
    pub lost_answer: f64,
    /// A write answered 409 (now and then 503) `Directory_ConcurrencyViolation` and not performed.
    pub concurrency_error: f64,
    /// A page without values that has a next link.
    pub empty_page: f64,
    /// A round of delta query that also repeats what the round before gave.
    pub delta_replay: f64,
}

/// How a delta token is refused, after which everything must be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaReset {
    /// 400 `syncStateNotFound`: the token is too old.
    SyncStateNotFound,
    /// 410 `resyncRequired`, with a `Location` to begin at.
    ResyncRequired,
}

/// The tenant at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The first verified domain is the default one.
    pub domains: Vec<Domain>,
    /// User resources as [`crate::tenant::LabTenant::insert_user`] takes them.
    pub users: Vec<Value>,
    /// Group resources as [`crate::tenant::LabTenant::insert_group`] takes them.
    pub groups: Vec<Value>,
    /// Application permissions granted at the start, as in the token's `roles`.
    pub permissions: Vec<String>,
    /// Directory roles that the application's service principal holds, by display name.
    pub application_roles: Vec<String>,
    /// Whether the application is its own owner, which `Application.ReadWrite.OwnedBy` needs to define extensions.
    pub owns_itself: bool,
    /// Each write becomes visible to readers after a delay drawn from this range.
    pub replication_delay: Range<Duration>,
    pub write_quota: Quota,
    /// Resource units; `None` takes the published figure for the tenant's size.
    pub resource_units: Option<Quota>,
    pub faults: Faults,
    /// Seed of everything drawn by chance.
    pub seed: u64,
    /// Most objects in a page, whatever `$top` asks for.
    pub page_size_cap: usize,
    pub token_lifetime: Duration,
    pub delta_token_life: Duration,
    /// `onPremisesSyncEnabled` of the organization: whether Microsoft's own sync feeds this tenant.
    pub on_premises_sync: bool,
}

/// The least permissions to read and write users and groups, to delete and restore users and to define the mark.
pub const DEFAULT_PERMISSIONS: [&str; 9] = [
    "User.Read.All",
    "User.ReadWrite.All",
    "User.DeleteRestore.All",
    "User.RevokeSessions.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    "Organization.Read.All",
    "Domain.Read.All",
    "Application.ReadWrite.OwnedBy",
];

impl Default for Config {
    fn default() -> Self {
        Self {
            domains: vec![Domain::managed("corp.example.com")],
            users: Vec::new(),
            groups: Vec::new(),
            permissions: DEFAULT_PERMISSIONS.map(str::to_owned).to_vec(),
            application_roles: Vec::new(),
            owns_itself: true,
            replication_delay: Duration::ZERO..Duration::ZERO,
            write_quota: Quota {
                count: 3_000,
                window: Duration::from_secs(150),
            },
            resource_units: None,
            faults: Faults::default(),
            seed: 1,
            page_size_cap: 999,
            token_lifetime: Duration::from_secs(3_599),
            delta_token_life: Duration::from_secs(7 * 86_400),
            on_premises_sync: false,
        }
    }
}
