//! The tenant worker: holds the session (client, token, write budget) of one tenant and looks at its facts from time to time.
//! A rotated secret makes a new session without a restart.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use plumbline_cloud::{Credentials, Session, TenantFacts};
use plumbline_crds::CloudTenant;
use tokio::sync::{Notify, watch};
use tracing::{Instrument as _, info_span, warn};

use super::dereference::dereference;
use crate::{context::Context, permit::Tenure, problem::Problem, world::Key};

/// How often a tenant that answers is looked at.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often one that does not is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// What is known of a tenant now.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Attempts ended since the worker started.
    pub finished: u64,
    pub session: Option<Arc<Session>>,
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
    pub fn start(context: Arc<Context>, key: Key, specification: watch::Receiver<Arc<CloudTenant>>) -> Self {
        let (sender, state) = watch::channel(State::default());
        let tenant = Self { state, tenure: context.host.tenure(&key), kick: Arc::default() };
        let span = info_span!("tenant", namespace = key.namespace, name = key.name);
        tokio::spawn(run(context, key, specification, sender, tenant.kick.clone()).instrument(span));
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
    let mut used: Option<(Credentials, Arc<Session>)> = None;
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
                Ok((session, facts)) => {
                    *state = State {
                        finished: state.finished,
                        session: Some(session),
                        facts: Some(facts),
                        last_contact: Some(Timestamp::now()),
                        problem: None,
                    };
                }
                Err(problem) => {
                    warn!(reason = %problem.reason, message = problem.message, "tenant not ready");
                    state.session = None;
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
    used: &mut Option<(Credentials, Arc<Session>)>,
) -> Result<(Arc<Session>, TenantFacts), Problem> {
    let credentials = dereference(&context.host, tenant).await?;
    let session = match used {
        Some((same, session)) if *same == credentials => session.clone(),
        _ => {
            let session = Session::new(credentials.clone(), context.observer.clone()).map_err(|error| Problem::of(&error))?;
            let session = Arc::new(session);
            *used = Some((credentials, session.clone()));
            session
        }
    };
    let facts = session.probe().await.map_err(|error| Problem::of(&error))?;
    Ok((session, facts))
}
