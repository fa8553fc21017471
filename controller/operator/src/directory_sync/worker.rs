//! The sync worker: holds the engine of one DirectorySync and runs its cycles: wait for the directories, read the target, plan,
//! apply, report.
//!
//! # Guarantees
//! A new input withdraws the permit of the old one first: an export under way stops before its next request, and its outcomes are
//! still recorded. Nothing is planned before every connector was read completely with what the present configuration needs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use plumbline_cloud::GraphTarget;
use plumbline_crds::Mode;
use plumbline_engine::{
    configuration::Configuration,
    engine::Engine,
    entry::ServerType,
    operation::Outcome,
    plan::Plan,
    port::{Observation, Target as _},
    reason::Reason,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};

use super::{
    dereference::Dereferenced,
    report::{Phase, Report, ScopeReport},
    validate::validate,
};
use crate::{
    cloud_tenant::Tenant,
    context::Context,
    directory_connector::{
        Connector,
        worker::{SharedEngine, lock},
    },
    permit::RunPermit,
    problem::Problem,
    store::Origin,
    world::Key,
};

/// How long deltas are trusted before the target is read completely again.
const VERIFY: SignedDuration = SignedDuration::from_hours(24);
/// How long to wait after a failure before trying again.
const RETRY: Duration = Duration::from_secs(5);

/// What a sync is to do, as of now.
#[derive(Clone, Debug)]
pub struct Input {
    pub generation: Option<i64>,
    /// What it refers to, with the workers of the connectors and of the tenant.
    pub parts: Result<Arc<Parts>, Problem>,
    pub mode: Mode,
    pub suspend: bool,
    /// The reconcile-now token.
    pub requested: Option<String>,
    /// Cancelled when this input is no longer the current one.
    pub cancel: Arc<CancellationToken>,
}

/// The resources that a sync refers to, and their workers.
#[derive(Clone, Debug)]
pub struct Parts {
    pub specs: Dereferenced,
    pub connectors: BTreeMap<String, Connector>,
    pub tenant: Tenant,
}

/// A running sync worker, as others see it.
#[derive(Debug)]
pub struct Sync {
    pub input: watch::Sender<Input>,
    pub report: watch::Receiver<Report>,
    pub task: tokio::task::JoinHandle<()>,
}

impl Sync {
    /// Starts a worker; it ends when its input was cancelled and `input` is dropped.
    pub fn start(context: Arc<Context>, key: Key, input: Input) -> Self {
        let (input, inputs) = watch::channel(input);
        let (sender, report) = watch::channel(Report::default());
        let span = info_span!("sync", namespace = key.namespace, name = key.name);
        let worker = Worker {
            context,
            key,
            report: sender,
            engine: None,
            target: None,
        };
        Self {
            input,
            report,
            task: tokio::spawn(worker.run(inputs).instrument(span)),
        }
    }
}

struct Worker {
    context: Arc<Context>,
    key: Key,
    report: watch::Sender<Report>,
    engine: Option<SharedEngine>,
    /// Our view of the tenant, and the connection it was made over.
    target: Option<(Arc<GraphTarget>, GraphTarget)>,
}

impl Worker {
    async fn run(mut self, mut inputs: watch::Receiver<Input>) {
        loop {
            let input = inputs.borrow_and_update().clone();
            if let Err(problem) = self.drive(&input).await {
                self.fail(&input, problem);
                tokio::select! {
                    () = input.cancel.cancelled() => {}
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
            if input.cancel.is_cancelled() && inputs.changed().await.is_err() {
                return;
            }
        }
    }

    fn fail(&self, input: &Input, problem: Problem) {
        let news = self.report.borrow().phase != Phase::Failed(problem.clone());
        if news {
            warn!(reason = %problem.reason, message = problem.message, "cycle not concluded");
        }
        self.context.metrics.cycle(&self.key, Some(&problem));
        self.report.send_modify(|report| {
            report.generation = input.generation;
            report.phase = Phase::Failed(problem);
        });
    }

    /// Runs cycles until the input is no longer current or something is wrong.
    async fn drive(&mut self, input: &Input) -> Result<(), Problem> {
        if input.suspend {
            self.report.send_modify(|report| {
                report.generation = input.generation;
                report.phase = Phase::Suspended;
                report.handled_request.clone_from(&input.requested);
            });
            input.cancel.cancelled().await;
            return Ok(());
        }
        let parts = input.parts.clone()?;
        self.report.send_if_modified(|report| {
            let changed = report.generation != input.generation;
            if changed {
                report.generation = input.generation;
                report.phase = Phase::Starting;
            }
            changed
        });
        let prepared = tokio::select! {
            () = input.cancel.cancelled() => return Ok(()),
            prepared = self.prepare(&parts) => prepared?,
        };
        let (engine, mut seen) = prepared;
        let (mut wake, mut first) = (None, true);
        loop {
            tokio::select! {
                () = input.cancel.cancelled() => return Ok(()),
                result = directories_read(&parts, &mut seen, first) => result?,
                never = kick_at(wake, &parts) => match never {},
            }
            first = false;
            let plan;
            (plan, wake) = tokio::select! {
                () = input.cancel.cancelled() => return Ok(()),
                planned = self.plan(&parts, &engine) => planned?,
            };
            self.report_plan(&parts, &engine, &plan);
            let permit = RunPermit {
                tenure: parts.tenant.tenure.clone(),
                cancel: input.cancel.clone(),
            };
            if input.mode == Mode::Apply && !plan.operations.is_empty() {
                // Not dropped on cancellation: the permit ends it, and what was sent is recorded.
                lock(&engine).sending(&plan.operations);
                self.save(&parts, &engine).await;
                let applied = self.apply(&engine, &plan, &permit).await;
                lock(&engine).sent();
                applied?;
            }
            self.save(&parts, &engine).await;
            if input.cancel.is_cancelled() {
                return Ok(());
            }
            self.conclude(input, &plan);
        }
    }

    /// Waits for the Lease and for what the connectors are, and configures the engine.
    async fn prepare(
        &mut self,
        parts: &Parts,
    ) -> Result<(SharedEngine, BTreeMap<String, u64>), Problem> {
        parts.tenant.tenure.clone().won().await;
        let mut servers: BTreeMap<String, ServerType> = BTreeMap::new();
        for (name, connector) in &parts.connectors {
            let mut state = connector.state.clone();
            let state = state
                .wait_for(|state| state.facts.is_some() || state.problem.is_some())
                .await
                .map_err(|_| gone(name))?;
            match (&state.facts, &state.problem) {
                (Some(facts), None) => drop(servers.insert(name.clone(), facts.server_type)),
                (_, Some(problem)) => return Err(of_connector(name, problem)),
                (None, None) => return Err(gone(name)),
            }
        }
        let configuration = validate(&parts.specs, &servers, GraphTarget::CAPABILITIES)?;
        let engine = if let Some(engine) = &self.engine {
            lock(engine).configure(configuration);
            engine.clone()
        } else {
            let mut engine = self.resume(parts, configuration).await?;
            if self.context.question.is_some() {
                engine.keep_target_values();
            }
            Arc::new(Mutex::new(engine))
        };
        self.engine = Some(engine.clone());
        let mut seen = BTreeMap::new();
        for (name, connector) in &parts.connectors {
            // An attempt that started before we subscribed lacks something; the next one does not.
            connector.subscribe(&self.key, &engine);
            seen.insert(name.clone(), connector.state.borrow().started);
            // After the look at the count, or the attempt asked for here may pass for an earlier one.
            connector.kick();
        }
        Ok((engine, seen))
    }

    /// The engine, going on from what is kept; a recording begins with complete reads.
    async fn resume(&self, parts: &Parts, configuration: Configuration) -> Result<Engine, Problem> {
        if self.context.record.is_some() {
            let memory = self.context.store.memory(&self.key, &parts.specs.scopes);
            return Ok(Engine::new(configuration, memory));
        }
        let (store, key) = (self.context.store.clone(), self.key.clone());
        let specs = parts.specs.clone();
        let resumed = tokio::task::spawn_blocking(move || {
            let origin = Origin {
                key: &key,
                parts: &specs,
            };
            store.resume(&origin, configuration)
        });
        resumed
            .await
            .map_err(|error| Problem::new(Reason::StateNotKept, error.to_string()))
    }

    /// Keeps what there is to keep, and notes why if that was not possible.
    async fn save(&self, parts: &Parts, engine: &SharedEngine) {
        let (store, key, engine) = (self.context.store.clone(), self.key.clone(), engine.clone());
        let specs = parts.specs.clone();
        let saved = tokio::task::spawn_blocking(move || {
            let origin = Origin {
                key: &key,
                parts: &specs,
            };
            store.save(&origin, &engine)
        });
        let unkept = match saved.await {
            Ok(saved) => saved.err(),
            Err(error) => Some(Problem::new(Reason::StateNotKept, error.to_string())),
        };
        self.report.send_modify(|report| report.unkept = unkept);
    }

    /// Reads the target and computes the plan.
    async fn plan(
        &mut self,
        parts: &Parts,
        engine: &SharedEngine,
    ) -> Result<(Arc<Plan>, Option<Timestamp>), Problem> {
        let tenant_name = kube::ResourceExt::name_any(&*parts.specs.tenant);
        let of_tenant = |problem: &Problem| {
            Problem::new(
                Reason::DependencyNotReady,
                format!(
                    "CloudTenant `{tenant_name}`: {}: {}",
                    problem.reason, problem.message
                ),
            )
        };
        let mut state = parts.tenant.state.clone();
        let connection = {
            let state = state
                .wait_for(|state| state.finished > 0)
                .await
                .map_err(|_| gone(&tenant_name))?;
            match (&state.target, &state.problem) {
                (_, Some(problem)) => return Err(of_tenant(problem)),
                (Some(target), None) => target.clone(),
                (None, None) => return Err(gone(&tenant_name)),
            }
        };
        let target = match &mut self.target {
            Some((used, target)) if Arc::ptr_eq(used, &connection) => target,
            slot => {
                let mut sibling = connection.sibling();
                let engine = lock(engine);
                // Another connection begins with a complete read; another process need not.
                if slot.is_none() && engine.target_cursor().is_some() {
                    let owner = &engine.target_read().owner;
                    sibling.recall(owner, engine.known(), Timestamp::now());
                }
                &mut slot.insert((connection, sibling)).1
            }
        };
        let (request, cursor) = {
            let engine = lock(engine);
            let age = engine
                .target_read_at()
                .map(|at| Timestamp::now().duration_since(at));
            let due = age.is_none_or(|age| age >= VERIFY);
            let cursor = engine.target_cursor().filter(|_| !due).cloned();
            (engine.target_read(), cursor)
        };
        let mut whole = false;
        let result = target
            .read(&request, cursor.as_ref(), &mut |event| {
                if let Observation::Begin { complete } = event {
                    whole = complete;
                }
                let now = Timestamp::now();
                if let Some(record) = &self.context.record {
                    record.observe(&self.key, &event, now);
                }
                lock(engine).observe(event, now);
            })
            .await;
        if whole && result.is_ok() {
            info!(cursor = cursor.is_some(), "the tenant was read completely");
        }
        if let Err(error) = result {
            parts.tenant.kick();
            return Err(Problem::of(&error));
        }
        // In the middle of a read nobody may leave. Where the target takes longer to list than the interval, nobody ever would.
        for (name, connector) in &parts.connectors {
            let mut state = connector.state.clone();
            let at_rest = state.wait_for(|state| state.finished == state.started);
            at_rest.await.map_err(|_| gone(name))?;
        }
        let mut engine = lock(engine);
        let (plan, wake) = engine.plan(Timestamp::now());
        if let Some(question) = &self.context.question {
            let explanations = engine.explain(question, &plan);
            self.report
                .send_modify(|report| report.explanations = explanations);
        }
        Ok((Arc::new(plan), wake))
    }

    fn report_plan(&self, parts: &Parts, engine: &SharedEngine, plan: &Arc<Plan>) {
        let engine = lock(engine);
        let scopes = parts
            .specs
            .scopes
            .keys()
            .map(|name| {
                let report = ScopeReport {
                    resolved: engine.resolved(name),
                    counts: engine.scope_counts(name),
                    fault: plan
                        .faults
                        .iter()
                        .find(|fault| fault.scope == *name)
                        .cloned(),
                };
                (name.clone(), report)
            })
            .collect();
        info!(
            digest = %plan.digest(),
            operations = plan.operations.len(),
            held = plan.holds.iter().map(|hold| hold.operations.len()).sum::<usize>(),
            quarantined = plan.quarantine.len(),
            "planned"
        );
        self.context.metrics.plan(&self.key, plan);
        self.report.send_modify(|report| {
            report.plan = Some(plan.clone());
            report.scopes = scopes;
            report.progress = (0, plan.operations.len());
            report.applied.clear();
            report.pending = 0;
        });
    }

    /// Exports a plan and records what became of each operation.
    async fn apply(
        &mut self,
        engine: &SharedEngine,
        plan: &Plan,
        permit: &RunPermit,
    ) -> Result<(), Problem> {
        let Some((_, target)) = &mut self.target else {
            return Ok(());
        };
        self.report
            .send_modify(|report| report.phase = Phase::Exporting);
        let report = &self.report;
        let metrics = &self.context.metrics;
        let key = &self.key;
        let mut record = |at: usize, outcome: Outcome| {
            let Some(operation) = plan.operations.get(at) else {
                return;
            };
            lock(engine).record(operation, &outcome, Timestamp::now());
            metrics.outcome(key, operation, &outcome);
            report.send_modify(|report| {
                report.progress.0 += 1;
                match outcome {
                    Outcome::Done { .. } | Outcome::Rewritten { .. } => {
                        *report.applied.entry(operation.change.kind()).or_default() += 1;
                        report.last_change = Some(Timestamp::now());
                    }
                    Outcome::AlreadySo | Outcome::Refused { .. } | Outcome::Conflict { .. } => {}
                    Outcome::NotYet { .. }
                    | Outcome::Gone
                    | Outcome::Unknown
                    | Outcome::NotSent => report.pending += 1,
                }
            });
        };
        target
            .export(plan.operations.clone(), permit, &mut record)
            .await
            .map_err(|error| Problem::of(&error))
    }

    fn conclude(&self, input: &Input, plan: &Plan) {
        let pending = self.report.borrow().pending;
        info!(
            applied = self.report.borrow().applied.values().sum::<usize>(),
            pending,
            held = plan.holds.len(),
            "cycle concluded"
        );
        self.context.metrics.cycle(&self.key, None);
        self.report.send_modify(|report| {
            report.generation = input.generation;
            report.phase = Phase::Concluded;
            report.cycles += 1;
            report.last_sync = Some(Timestamp::now());
            report.handled_request.clone_from(&input.requested);
        });
    }
}

/// Waits until a connector has ended an attempt later than the one seen; `all`: until every one has. Any failure ends the cycle.
async fn directories_read(
    parts: &Parts,
    seen: &mut BTreeMap<String, u64>,
    all: bool,
) -> Result<(), Problem> {
    let news = parts.connectors.iter().map(|(name, connector)| {
        let wanted = seen.get(name).copied().unwrap_or(0);
        let mut state = connector.state.clone();
        async move {
            let news = state.wait_for(|state| {
                let failed = state.finished == state.started && state.problem.is_some();
                state.finished > wanted || failed
            });
            news.await.map(drop).map_err(|_| gone(name))
        }
        .boxed()
    });
    if all {
        futures::future::try_join_all(news).await?;
    } else {
        futures::future::select_all(news).await.0?;
    }
    for (name, connector) in &parts.connectors {
        if let Some(problem) = &connector.state.borrow().problem {
            return Err(of_connector(name, problem));
        }
    }
    // What was read until now goes into this cycle; the next one waits for anything later than what is finished.
    for (name, connector) in &parts.connectors {
        seen.insert(name.clone(), connector.state.borrow().finished);
    }
    Ok(())
}

/// Asks the connectors for a read when the engine wants one (an absence can be confirmed, say); never ends.
async fn kick_at(wake: Option<Timestamp>, parts: &Parts) -> std::convert::Infallible {
    if let Some(at) = wake {
        let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        tokio::time::sleep(wait).await;
        parts.connectors.values().for_each(Connector::kick);
    }
    std::future::pending().await
}

fn of_connector(name: &str, problem: &Problem) -> Problem {
    Problem::new(
        Reason::DependencyNotReady,
        format!(
            "DirectoryConnector `{name}`: {}: {}",
            problem.reason, problem.message
        ),
    )
}

pub(crate) fn gone(name: &str) -> Problem {
    Problem::new(
        Reason::DependencyNotReady,
        format!("the worker of `{name}` has ended; it is started again"),
    )
}
