//! Everything a lab tenant knows, behind one lock: the store, tokens, quota, log and the dice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value};

use super::answer::Answer;
use super::config::{Config, Domain};
use super::delta;
use super::log::Log;
use super::openapi::Specification;
use super::page::Page;
use super::query::Query;
use super::store::{Kind, Object, Presence, Store, Version};
use super::throttle::Throttle;
use super::token::Credentials;

/// A directory extension defined by the application.
#[derive(Debug, Clone)]
pub(super) struct Extension {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) data_type: String,
    pub(super) targets: Vec<String>,
    /// Values are refused until then.
    pub(super) available: Instant,
}

/// A directory role held by a user or a role-assignable group.
#[derive(Debug, Clone)]
pub(super) struct RoleAssignment {
    pub(super) id: String,
    pub(super) role: String,
    pub(super) principal: String,
}

/// One call on Graph: a request of its own, or a part of a batch.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    /// The path's template in the description.
    pub(super) template: String,
    pub(super) parameters: Vec<String>,
    /// Path and query after the version, as sent.
    pub(super) target: String,
    pub(super) query: Query,
    pub(super) prefer: String,
    pub(super) body: Option<Value>,
    /// Application permissions in the caller's token.
    pub(super) roles: Arc<Vec<String>>,
}

impl Call {
    pub(super) fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map_or("", String::as_str)
    }

    pub(super) fn may(&self, permissions: &[&str]) -> bool {
        self.roles
            .iter()
            .any(|role| permissions.contains(&role.as_str()))
    }

    pub(super) fn fields(&self) -> Map<String, Value> {
        self.body
            .as_ref()
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) config: Config,
    pub(super) tenant_id: String,
    pub(super) client_id: String,
    pub(super) application_id: String,
    pub(super) service_principal: String,
    /// `https://127.0.0.1:port`
    pub(super) root: String,
    pub(super) started: Instant,
    pub(super) store: Store,
    pub(super) credentials: Credentials,
    pub(super) throttle: Throttle,
    pub(super) log: Log,
    pub(super) pages: HashMap<String, Page>,
    pub(super) deltas: HashMap<String, delta::Token>,
    pub(super) extensions: Vec<Extension>,
    pub(super) role_assignments: Vec<RoleAssignment>,
    /// Users whose sessions were revoked, in order.
    pub(super) revoked: Vec<String>,
    pub(super) specification: Arc<Specification>,
    pub(super) assertions: HashSet<String>,
    /// Nothing is answered any more, also on connections that are still open.
    pub(super) stopped: bool,
    dice: StdRng,
}

impl State {
    pub(super) fn new(config: Config, root: String, specification: Arc<Specification>) -> Self {
        let mut dice = StdRng::seed_from_u64(config.seed);
        let secret = (0..40)
            .map(|_| char::from(dice.sample(rand::distr::Alphanumeric)))
            .collect();
        let throttle = Throttle::new(config.write_quota, config.resource_units);
        Self {
            tenant_id: guid(&mut dice),
            client_id: guid(&mut dice),
            application_id: guid(&mut dice),
            service_principal: guid(&mut dice),
            root,
            started: Instant::now(),
            store: Store::default(),
            credentials: Credentials::new(secret),
            throttle,
            log: Log::default(),
            pages: HashMap::new(),
            deltas: HashMap::new(),
            extensions: Vec::new(),
            role_assignments: Vec::new(),
            revoked: Vec::new(),
            specification,
            assertions: HashSet::new(),
            stopped: false,
            config,
            dice,
        }
    }

    pub(super) fn guid(&mut self) -> String {
        guid(&mut self.dice)
    }

    /// Draws whether something of this probability happens.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.dice.random_bool(probability.min(1.0))
    }

    /// A number below `bound`, for shuffling.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            0
        } else {
            self.dice.random_range(0..bound)
        }
    }

    /// The replication delay of one write.
    pub(super) fn delay(&mut self) -> Duration {
        let range = self.config.replication_delay.clone();
        if range.is_empty() {
            range.start
        } else {
            self.dice.random_range(range)
        }
    }

    pub(super) fn default_domain(&self) -> &str {
        self.config
            .domains
            .iter()
            .find(|domain| domain.verified)
            .map_or("", |domain| domain.name.as_str())
    }

    /// Whether the user of this name signs in elsewhere.
    pub(super) fn is_federated(&self, user_principal_name: &str) -> bool {
        let domain = user_principal_name
            .split_once('@')
            .map_or("", |(_, domain)| domain);
        let of_user = |known: &&Domain| known.name.eq_ignore_ascii_case(domain);
        self.config
            .domains
            .iter()
            .find(of_user)
            .is_some_and(|known| known.federated)
    }

    /// The live object a reader of this replica finds; a fresh one is 404 like an absent one, and counted.
    pub(super) fn find(&mut self, kind: Kind, key: &str) -> Result<&Object, Answer> {
        let now = Instant::now();
        let id = match kind {
            Kind::User => self.store.user(key).map(|object| object.id.clone()),
            Kind::Group => Some(key.to_owned()),
        };
        let object = id
            .and_then(|id| self.store.objects.get(&id))
            .filter(|object| object.kind == kind);
        match object {
            Some(object) if object.is_live(now) && object.truth.presence == Presence::Live => {
                Ok(object)
            }
            Some(object) if object.is_fresh(now) => {
                self.log.seen.not_found_after_create += 1;
                Err(Answer::not_found(key))
            }
            _ => Err(Answer::not_found(key)),
        }
    }

    /// The object behind a link's URL, as the target of a link: its id and, unless a service principal, its kind.
    pub(super) fn referenced(&mut self, url: &Value) -> Result<(String, Option<Kind>), Answer> {
        let malformed =
            || Answer::bad_request("Invalid URL format specified in @odata.bind or @odata.id.");
        let url = url.as_str().ok_or_else(malformed)?;
        let path = url
            .strip_prefix(&self.root)
            .and_then(|path| path.strip_prefix("/v1.0/"))
            .ok_or_else(malformed)?;
        let (set, key) = path.split_once('/').ok_or_else(malformed)?;
        if key == self.service_principal && matches!(set, "servicePrincipals" | "directoryObjects")
        {
            return Ok((key.to_owned(), None));
        }
        let now = Instant::now();
        let object = match set {
            "users" => self.store.user(key),
            "groups" => self
                .store
                .objects
                .get(key)
                .filter(|object| object.kind == Kind::Group),
            "directoryObjects" => self.store.objects.get(key),
            _ => return Err(malformed()),
        };
        match object {
            Some(object) if object.is_live(now) && object.truth.presence == Presence::Live => {
                Ok((object.id.clone(), Some(object.kind)))
            }
            Some(object) if object.is_fresh(now) => {
                self.log.seen.link_on_fresh_object += 1;
                Err(Answer::link_not_replicated())
            }
            _ => Err(Answer::not_found(key)),
        }
    }

    /// Whether the object holds a role, or gets one through a role-assignable group (as member or owner).
    pub(super) fn roles_of(&self, id: &str) -> (Vec<&str>, bool) {
        let held = self
            .role_assignments
            .iter()
            .filter(|held| held.principal == id);
        let in_group = self.store.live(Kind::Group).any(|group| {
            let version: &Version = &group.truth;
            version.flag("isAssignableToRole")
                && (version.members.contains(id) || version.owners.contains(id))
        });
        (held.map(|held| held.role.as_str()).collect(), in_group)
    }
}

fn guid(dice: &mut StdRng) -> String {
    let value: u128 = dice.random();
    // Version 4, variant 1.
    let value = (value & !(0xf000_u128 << 64) & !(0xc000_u128 << 48))
        | (0x4000_u128 << 64)
        | (0x8000_u128 << 48);
    let hex = format!("{value:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

/// Now, in the form the service writes times.
pub(super) fn timestamp() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
