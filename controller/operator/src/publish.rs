//! Writes statuses through the host, and tells people when one turns. What has not changed is not written; a sync at rest, whose
//! times alone move on, is written at most once a minute, and progress every five seconds.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use plumbline_engine::reason::Reason;
use serde::Serialize;
use serde_json::Value;
use tracing::warn;

use crate::{
    context::Context,
    host::Notice,
    standing::Standing,
    world::{Key, Kind, Subject, World},
};

/// Least time between two writes of which the second brings new times only.
const AT_REST: Duration = Duration::from_secs(60);
/// Least time between two writes while something is under way.
const PROGRESS: Duration = Duration::from_secs(5);
/// How long to wait after a write that failed.
const RETRY: Duration = Duration::from_secs(2);
/// The fields that move on without anything having happened.
const TIMES: [&str; 4] = [
    "lastSyncTime",
    "lastReadTime",
    "lastContactTime",
    "lastRenewTime",
];

struct Written {
    status: Value,
    standing: Standing,
    at: Instant,
    failed: bool,
}

/// Remembers what was written last.
#[expect(missing_debug_implementations, reason = "the context has none")]
pub struct Publisher {
    context: Arc<Context>,
    written: BTreeMap<Subject, Written>,
}

impl Publisher {
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            written: BTreeMap::new(),
        }
    }

    /// Writes a status if it is due.
    pub async fn publish<K, S>(
        &mut self,
        subject: Subject,
        resource: &K,
        (status, standing): (S, Standing),
    ) where
        K: kube::Resource,
        S: Serialize,
    {
        let status = match serde_json::to_value(status) {
            Ok(status) => status,
            Err(error) => return warn!(%subject, %error, "status cannot be written as JSON"),
        };
        let status = self.with_transition_times(&subject, status);
        if !self.is_due(&subject, &status, &standing) {
            return;
        }
        let result = self
            .context
            .host
            .write_status(&subject, status.clone())
            .await;
        if let Err(error) = &result {
            warn!(%subject, error = crate::problem::chain(error), "status not written; tried again");
        }
        let before = self
            .written
            .get(&subject)
            .map(|written| written.standing.clone());
        if result.is_ok() {
            self.context.metrics.standing(&subject, &standing);
            if let Some(notice) = notice(&subject, resource, before.as_ref(), &standing) {
                self.context.host.notify(notice).await;
            }
        }
        let failed = result.is_err();
        let standing = if failed {
            before.unwrap_or(standing)
        } else {
            standing
        };
        self.written.insert(
            subject,
            Written {
                status,
                standing,
                at: Instant::now(),
                failed,
            },
        );
    }

    /// Drops what is remembered of resources that are gone.
    pub fn forget_others(&mut self, world: &World) {
        let known = |kind: Kind, key: &Key| match kind {
            Kind::DirectoryConnector => world.connectors.contains_key(key),
            Kind::CloudTenant => world.tenants.contains_key(key),
            Kind::SyncScope => world.scopes.contains_key(key),
            Kind::DirectorySync => world.syncs.contains_key(key),
        };
        let metrics = &self.context.metrics;
        self.written.retain(|subject, _| {
            let keep = known(subject.kind, &subject.key);
            if !keep {
                metrics.forget_subject(subject);
            }
            keep
        });
    }

    fn is_due(&self, subject: &Subject, status: &Value, standing: &Standing) -> bool {
        let Some(written) = self.written.get(subject) else {
            return true;
        };
        if written.failed {
            return written.at.elapsed() >= RETRY;
        }
        if written.status == *status {
            return false;
        }
        if matches!(
            (&written.standing, standing),
            (Standing::Progressing(_), Standing::Progressing(_))
        ) {
            return written.at.elapsed() >= PROGRESS;
        }
        without_times(&written.status) != without_times(status) || written.at.elapsed() >= AT_REST
    }

    /// The world may lag behind our own writes; a condition that did not turn keeps the time that we wrote.
    fn with_transition_times(&self, subject: &Subject, mut status: Value) -> Value {
        let Some(written) = self.written.get(subject) else {
            return status;
        };
        let before = written.status.get("conditions").and_then(Value::as_array);
        let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten() {
            let same = before.into_iter().flatten().find(|before| {
                before["type"] == condition["type"] && before["status"] == condition["status"]
            });
            if let Some(same) = same {
                condition["lastTransitionTime"] = same["lastTransitionTime"].clone();
            }
        }
        status
    }
}

fn without_times(status: &Value) -> Value {
    let mut status = status.clone();
    if let Some(fields) = status.as_object_mut() {
        TIMES.iter().for_each(|name| drop(fields.remove(*name)));
        if let Some(connectors) = fields.get_mut("connectors").and_then(Value::as_array_mut) {
            connectors
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(|connector| drop(connector.remove("lastReadTime")));
        }
    }
    status
}

/// What people are told when a resource turns: not progress, and not the first success of something that never failed.
fn notice<K: kube::Resource>(
    subject: &Subject,
    resource: &K,
    before: Option<&Standing>,
    now: &Standing,
) -> Option<Notice> {
    let (warning, reason, note) = match now {
        Standing::Ready(reason, message) => {
            (*reason == Reason::StateNotKept, *reason, message.clone())
        }
        Standing::Waiting(reason, message) => (true, *reason, message.clone()),
        Standing::Failing(problem) => (true, problem.reason, problem.message.clone()),
        Standing::Suspended => (
            false,
            Reason::Suspended,
            "suspended; nothing is read or written".into(),
        ),
        Standing::Progressing(_) => return None,
    };
    let said = match before {
        Some(Standing::Ready(reason, _) | Standing::Waiting(reason, _)) => Some(*reason),
        Some(Standing::Failing(problem)) => Some(problem.reason),
        Some(Standing::Suspended) => Some(Reason::Suspended),
        Some(Standing::Progressing(_)) | None => None,
    };
    (said != Some(reason)).then(|| Notice {
        subject: subject.clone(),
        uid: resource.meta().uid.clone(),
        warning,
        reason,
        note,
    })
}
