//! The metrics, in the conventions of Prometheus. Labels come from small fixed sets and the names of our own resources; never from
//! people, groups or error texts. `docs/reference/metrics.md` is made from the same registration.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use plumbline_cloud::{RequestObserver, RequestRecord};
use plumbline_engine::{
    engine::Findings,
    guard::HoldClass,
    operation::{ChangeKind, Operation, Outcome},
    plan::Plan,
    port::Cause,
    reason::{Place, Reason},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use crate::{
    problem::Problem,
    standing::Standing,
    world::{Key, Subject},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// A resource, and one word about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    namespace: String,
    name: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Object {
    kind: &'static str,
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operations {
    namespace: String,
    name: String,
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcomes {
    namespace: String,
    name: String,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Classed {
    namespace: String,
    name: String,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reasoned {
    namespace: String,
    name: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Caused {
    namespace: String,
    name: String,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    path: &'static str,
    status: u16,
}

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    pub panics: Counter,
    ready: Family<Object, Gauge>,
    reads: Family<Attempt, Counter>,
    listings: Family<Caused, Counter>,
    findings: Family<Caused, Counter>,
    looks: Family<Attempt, Counter>,
    cycles: Family<Attempt, Counter>,
    last_success: Family<Named, Gauge>,
    objects: Family<Classed, Gauge>,
    planned: Family<Operations, Gauge>,
    held: Family<Classed, Gauge>,
    quarantined: Family<Reasoned, Gauge>,
    operations: Family<Outcomes, Counter>,
    requests: Family<Request, Counter>,
    request_seconds: Histogram,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("plumbline"),
            described: Vec::new(),
            panics: Counter::default(),
            ready: Family::default(),
            reads: Family::default(),
            listings: Family::default(),
            findings: Family::default(),
            looks: Family::default(),
            cycles: Family::default(),
            last_success: Family::default(),
            objects: Family::default(),
            planned: Family::default(),
            held: Family::default(),
            quarantined: Family::default(),
            operations: Family::default(),
            requests: Family::default(),
            request_seconds: Histogram::new([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]),
        };
        let build: Family<Build, Gauge> = Family::default();
        build
            .get_or_create(&Build {
                version: env!("CARGO_PKG_VERSION"),
            })
            .set(1);
        let m = &mut metrics;
        m.add(
            "build_info",
            "gauge",
            "Always 1; the label tells the version",
            build,
        );
        m.add(
            "panics",
            "counter",
            "Panics of tasks; each is a fault of Plumbline or of a library",
            m.panics.clone(),
        );
        m.add(
            "ready",
            "gauge",
            "1 when the condition Ready of a resource is True, else 0",
            m.ready.clone(),
        );
        m.add(
            "directory_reads",
            "counter",
            "Attempts to read a directory; `result` is `success` or a reason",
            m.reads.clone(),
        );
        let help =
            "Complete reads of a directory and listings below one of its containers, by cause";
        m.add("directory_listings", "counter", help, m.listings.clone());
        let help = "Entries of which a complete comparison found that the change feed had missed something, by cause: `arrived`, \
                    `changed`, `renamed`, `left`";
        m.add("directory_findings", "counter", help, m.findings.clone());
        m.add(
            "tenant_looks",
            "counter",
            "Looks at a tenant; `result` is `success` or a reason",
            m.looks.clone(),
        );
        m.add(
            "sync_cycles",
            "counter",
            "Cycles of a DirectorySync; `result` is `success` or a reason",
            m.cycles.clone(),
        );
        let help = "When a cycle of a DirectorySync last ended well, in seconds since 1970";
        m.add(
            "sync_last_success_timestamp_seconds",
            "gauge",
            help,
            m.last_success.clone(),
        );
        m.add(
            "sync_objects",
            "gauge",
            "Objects that take part in a DirectorySync, by class",
            m.objects.clone(),
        );
        m.add(
            "sync_planned_operations",
            "gauge",
            "Operations of the last plan, without held ones",
            m.planned.clone(),
        );
        m.add(
            "sync_held_operations",
            "gauge",
            "Operations that the guard holds, by class of guard",
            m.held.clone(),
        );
        m.add(
            "sync_quarantined_objects",
            "gauge",
            "Objects in quarantine, by reason",
            m.quarantined.clone(),
        );
        m.add(
            "sync_operations",
            "counter",
            "Operations sent, by what became of them",
            m.operations.clone(),
        );
        let help = "Requests to targets, parts of a batch counted each; `path` is a template, without values";
        m.add("target_requests", "counter", help, m.requests.clone());
        let help = "Time that requests to targets took, in seconds";
        m.add(
            "target_request_duration_seconds",
            "histogram",
            help,
            m.request_seconds.clone(),
        );
        metrics
    }
}

/// One metric, for the reference page.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Without the prefix `plumbline_`, and without the `_total` of counters.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    pub help: &'static str,
}

impl Metrics {
    fn add(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        metric: impl Metric,
    ) {
        self.registry.register(name, help, metric);
        self.described.push(Described { name, kind, help });
    }

    /// All metrics, in the order of the reference page.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// The text of a scrape.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub fn read(&self, connector: &Key, problem: Option<&Problem>) {
        self.reads.get_or_create(&result(connector, problem)).inc();
    }

    pub fn listing(&self, connector: &Key, cause: Cause) {
        let label = caused(connector, cause.as_str());
        self.listings.get_or_create(&label).inc();
    }

    /// Also what is nothing, so that its absence is told from there having been no comparison.
    pub fn findings(&self, connector: &Key, found: Findings) {
        for (cause, count) in found.by_cause() {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            self.findings
                .get_or_create(&caused(connector, cause))
                .inc_by(count);
        }
    }

    pub fn tenant(&self, tenant: &Key, problem: Option<&Problem>) {
        self.looks.get_or_create(&result(tenant, problem)).inc();
    }

    pub fn cycle(&self, sync: &Key, problem: Option<&Problem>) {
        self.cycles.get_or_create(&result(sync, problem)).inc();
        if problem.is_none() {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs());
            self.last_success
                .get_or_create(&named(sync))
                .set(i64::try_from(now).unwrap_or(i64::MAX));
        }
    }

    pub fn plan(&self, sync: &Key, plan: &Plan) {
        let (namespace, name) = (&sync.namespace, &sync.name);
        for (class, count) in [("user", plan.counts.users), ("group", plan.counts.groups)] {
            let label = Classed {
                namespace: namespace.clone(),
                name: name.clone(),
                class,
            };
            self.objects.get_or_create(&label).set(gauge(count));
        }
        let changes = plan.changes();
        for kind in ChangeKind::ALL {
            let label = Operations {
                namespace: namespace.clone(),
                name: name.clone(),
                operation: kind.as_str(),
            };
            self.planned
                .get_or_create(&label)
                .set(gauge(changes.get(&kind).copied().unwrap_or(0)));
        }
        for class in HoldClass::ALL {
            let label = Classed {
                namespace: namespace.clone(),
                name: name.clone(),
                class: class.as_str(),
            };
            let count = plan
                .holds
                .iter()
                .filter(|hold| hold.class == class)
                .map(|hold| hold.count)
                .sum();
            self.held.get_or_create(&label).set(gauge(count));
        }
        for reason in Reason::ALL
            .iter()
            .filter(|reason| reason.place() == Place::Quarantine)
        {
            let label = Reasoned {
                namespace: namespace.clone(),
                name: name.clone(),
                reason: reason.as_str(),
            };
            let count = plan
                .quarantine
                .iter()
                .filter(|object| object.reason == *reason)
                .count();
            self.quarantined.get_or_create(&label).set(gauge(count));
        }
    }

    pub fn outcome(&self, sync: &Key, operation: &Operation, outcome: &Outcome) {
        let label = Outcomes {
            namespace: sync.namespace.clone(),
            name: sync.name.clone(),
            operation: operation.change.kind().as_str(),
            outcome: outcome.as_str(),
        };
        self.operations.get_or_create(&label).inc();
    }

    pub fn standing(&self, subject: &Subject, standing: &Standing) {
        self.ready
            .get_or_create(&object(subject))
            .set(i64::from(matches!(standing, Standing::Ready(..))));
    }

    /// Removes the gauges of a resource that is gone.
    pub fn forget_subject(&self, subject: &Subject) {
        self.ready.remove(&object(subject));
    }

    /// Removes the gauges of a sync that is gone.
    pub fn forget(&self, sync: &Key) {
        let (namespace, name) = (&sync.namespace, &sync.name);
        self.last_success.remove(&named(sync));
        for class in ["user", "group"] {
            self.objects.remove(&Classed {
                namespace: namespace.clone(),
                name: name.clone(),
                class,
            });
        }
        for kind in ChangeKind::ALL {
            self.planned.remove(&Operations {
                namespace: namespace.clone(),
                name: name.clone(),
                operation: kind.as_str(),
            });
        }
        for class in HoldClass::ALL {
            self.held.remove(&Classed {
                namespace: namespace.clone(),
                name: name.clone(),
                class: class.as_str(),
            });
        }
        for reason in Reason::ALL {
            self.quarantined.remove(&Reasoned {
                namespace: namespace.clone(),
                name: name.clone(),
                reason: reason.as_str(),
            });
        }
    }
}

/// Requests to targets, as the cloud adapter tells of them.
#[derive(Debug)]
pub struct TargetRequests(pub Arc<Metrics>);

impl RequestObserver for TargetRequests {
    fn on_request(&self, request: &RequestRecord) {
        let label = Request {
            method: request.method,
            path: request.path,
            status: request.status,
        };
        self.0.requests.get_or_create(&label).inc();
        self.0
            .request_seconds
            .observe(request.duration.max(Duration::ZERO).as_secs_f64());
    }
}

fn result(key: &Key, problem: Option<&Problem>) -> Attempt {
    let result = problem.map_or("success", |problem| problem.reason.as_str());
    Attempt {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        result,
    }
}

fn caused(key: &Key, cause: &'static str) -> Caused {
    Caused {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        cause,
    }
}

fn named(key: &Key) -> Named {
    Named {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

fn object(subject: &Subject) -> Object {
    Object {
        kind: subject.kind.as_str(),
        namespace: subject.key.namespace.clone(),
        name: subject.key.name.clone(),
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
