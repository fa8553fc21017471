//! Token buckets over resource units and writes (fact sheet §8).
//!
//! A refused request costs as well, so a client that hammers digs itself deeper; `Retry-After` is when the bucket will
//! have refilled far enough for this very request.

use std::time::{Duration, Instant};

use super::config::Quota;

/// The limit that refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Writes,
    ResourceUnits,
}

impl Limit {
    /// Values of `x-ms-throttle-information` and of the scope's middle part.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Writes => ("WriteLimitExceeded", "Write"),
            Self::ResourceUnits => ("ResourceUnitLimitExceeded", "ReadWrite"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    quota: Quota,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn new(quota: Quota) -> Self {
        Self {
            quota,
            tokens: f64::from(quota.count),
            at: Instant::now(),
        }
    }

    /// Takes `cost`, or says how long to wait for it. Debt is bounded by one window.
    fn take(&mut self, cost: f64, now: Instant) -> Result<(), Duration> {
        let capacity = f64::from(self.quota.count);
        let rate = capacity / self.quota.window.as_secs_f64().max(0.001);
        self.tokens = (self.tokens + rate * (now - self.at).as_secs_f64()).min(capacity);
        self.at = now;
        let enough = self.tokens >= cost;
        let wait = Duration::from_secs_f64((cost - self.tokens).max(0.0) / rate.max(0.001));
        self.tokens = (self.tokens - cost).max(-capacity);
        if enough { Ok(()) } else { Err(wait) }
    }

    /// Share of the quota in use; above 1 while in debt.
    fn used(&self) -> f64 {
        1.0 - self.tokens / f64::from(self.quota.count.max(1))
    }
}

#[derive(Debug)]
pub(super) struct Throttle {
    writes: Bucket,
    units: Bucket,
    /// Whether the units follow the tenant's size.
    published_units: bool,
}

/// A charged request: the usage to report, and the refusal if there was one.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) used: f64,
    pub(super) refused: Option<(Limit, u64)>,
}

impl Throttle {
    pub(super) fn new(writes: Quota, units: Option<Quota>) -> Self {
        let published_units = units.is_none();
        let units = units.unwrap_or_else(|| published(0));
        Self {
            writes: Bucket::new(writes),
            units: Bucket::new(units),
            published_units,
        }
    }

    pub(super) fn set_writes(&mut self, quota: Quota) {
        self.writes = Bucket::new(quota);
    }

    pub(super) fn set_units(&mut self, quota: Quota) {
        self.units = Bucket::new(quota);
        self.published_units = false;
    }

    /// Charges one request in a tenant of `users` users.
    pub(super) fn charge(&mut self, units: u32, write: bool, users: usize) -> Charge {
        if self.published_units {
            let quota = published(users);
            if quota.count != self.units.quota.count {
                self.units = Bucket::new(quota);
            }
        }
        let now = Instant::now();
        let mut refused = self
            .units
            .take(f64::from(units), now)
            .err()
            .map(|wait| (Limit::ResourceUnits, wait));
        if write && let Err(wait) = self.writes.take(1.0, now) {
            refused = refused
                .filter(|(_, other)| *other > wait)
                .or(Some((Limit::Writes, wait)));
        }
        let refused = refused
            .map(|(limit, wait)| (limit, wait.as_secs() + u64::from(wait.subsec_nanos() > 0)));
        Charge {
            used: self.units.used().max(self.writes.used()),
            refused,
        }
    }
}

/// Resource units per app and tenant by tenant size.
fn published(users: usize) -> Quota {
    let count = match users {
        0..50 => 3_500,
        50..=500 => 5_000,
        _ => 8_000,
    };
    Quota {
        count,
        window: Duration::from_secs(10),
    }
}

/// Resource units of a request by its template (fact sheet §8).
pub(super) fn resource_units(
    method: &str,
    template: &str,
    select: bool,
    expand: bool,
    top: Option<usize>,
) -> u32 {
    if method != "GET" {
        return 1;
    }
    let base: i32 = match template {
        "/groups/{group-id}/members" => 3,
        "/applications" | "/applications/{application-id}/extensionProperties" => 2,
        template if template == "/users" || template.starts_with("/users/{user-id}") => 2,
        _ => 1,
    };
    let cost =
        base - i32::from(select) + i32::from(expand) - i32::from(top.is_some_and(|top| top < 20));
    u32::try_from(cost.max(1)).unwrap_or(1)
}
