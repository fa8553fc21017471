//! The tenant worker: holds the session (client, token, write budget) of one tenant and looks at its facts from time to time.
//! A rotated secret makes a new session without a restart.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use plumbline_cloud::{GraphTarget, Settings, TenantFacts};
use plumbline_crds::CloudTenant;
use plumbline_engine::reason::Reason;
use tokio::sync::{Notify, watch};
use tracing::{Instrument as _, info_span, warn};

use super::dereference::dereference;
use crate::{
    context::Context, fingerprint::Fingerprint, permit::Tenure, problem::Problem, world::Key,
};

/// How often a tenant that answers is looked at.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often one that does not is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// What is known of a tenant now.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Attempts ended since the worker started.
    pub finished: u64,
    /// The connection to the tenant, with the write budget that all syncs share. `None` while it does not work.
    pub target: Option<Arc<GraphTarget>>,
    pub facts: Option<TenantFacts>,
    pub last_contact: Option<Timestamp>,
    pub problem: Option<Problem>,
}

/// A running tenant worker, as others see it.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub state: watch::Receiver<State>,
    pub tenure: Tenure,
    kick: Arc<Notify>,
}

impl Tenant {
    /// Asks for a look now: after a refused token, say.
    pub fn kick(&self) {
        self.kick.notify_one();
    }

    /// Starts a worker; it ends when `specification` is closed.
    pub fn start(
        context: Arc<Context>,
        key: Key,
        specification: watch::Receiver<Arc<CloudTenant>>,
    ) -> Self {
        let (sender, state) = watch::channel(State::default());
        let tenant = Self {
            state,
            tenure: context.host.tenure(&key),
            kick: Arc::default(),
        };
        let span = info_span!("tenant", namespace = key.namespace, name = key.name);
        tokio::spawn(
            run(context, key, specification, sender, tenant.kick.clone()).instrument(span),
        );
        tenant
    }
}

async fn run(
    context: Arc<Context>,
    key: Key,
    mut specification: watch::Receiver<Arc<CloudTenant>>,
    state: watch::Sender<State>,
    kick: Arc<Notify>,
) {
    let mut used: Option<(Fingerprint, Arc<GraphTarget>)> = None;
    loop {
        let tenant = specification.borrow_and_update().clone();
        let result = tokio::select! {
            result = attempt(&context, &tenant, &mut used) => result,
            changed = specification.changed() => {
                if changed.is_err() { return; }
                continue;
            }
        };
        context.metrics.tenant(&key, result.as_ref().err());
        let pause = if result.is_ok() { INTERVAL } else { RETRY };
        state.send_modify(|state| {
            state.finished += 1;
            match result {
                Ok((target, facts)) => {
                    *state = State {
                        finished: state.finished,
                        target: Some(target),
                        facts: Some(facts),
                        last_contact: Some(Timestamp::now()),
                        problem: None,
                    };
                }
                Err(problem) => {
                    warn!(reason = %problem.reason, message = problem.message, "tenant not ready");
                    state.target = None;
                    state.problem = Some(problem);
                }
            }
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = kick.notified() => {}
            changed = specification.changed() => if changed.is_err() { return; }
        }
    }
}

async fn attempt(
    context: &Context,
    tenant: &CloudTenant,
    used: &mut Option<(Fingerprint, Arc<GraphTarget>)>,
) -> Result<(Arc<GraphTarget>, TenantFacts), Problem> {
    let access = dereference(&context.host, tenant).await?;
    let target = match used {
        Some((same, target)) if *same == access.fingerprint => target.clone(),
        _ => {
            let fingerprint = access.fingerprint;
            let settings = Settings {
                observer: Some(context.observer.clone()),
                ..Settings::default()
            };
            let target = Arc::new(GraphTarget::new(Arc::new(access.session()?), settings));
            *used = Some((fingerprint, target.clone()));
            target
        }
    };
    let facts = target.probe().await.map_err(|error| Problem::of(&error))?;
    if facts.mark_attribute.is_none() {
        let message = "the directory extension `plumblineOwner` is not defined for the application; run `plumbline tenant init` once";
        return Err(Problem::new(Reason::MarkNotDefined, message));
    }
    Ok((target, facts))
}
