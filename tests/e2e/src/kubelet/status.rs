//! The status of a Pod, as a kubelet reports it.

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// What is known of a Pod and its container.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) name: String,
    pub(super) container: String,
    pub(super) image: String,
    pub(super) generation: Option<i64>,
    pub(super) restarts: u32,
    pub(super) state: State,
    pub(super) ready: bool,
    /// How the process before the present one ended.
    pub(super) last: Option<Value>,
    since: Timestamp,
}

/// What the container does.
#[derive(Debug)]
pub(super) enum State {
    Waiting {
        reason: &'static str,
        message: String,
    },
    Running {
        since: Timestamp,
    },
}

impl Status {
    pub(super) fn new(pod: &Pod, name: String) -> Self {
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
        Status {
            name,
            container: container
                .map(|container| container.name.clone())
                .unwrap_or_default(),
            image: container
                .and_then(|container| container.image.clone())
                .unwrap_or_default(),
            generation: pod.metadata.generation,
            restarts: 0,
            state: State::Waiting {
                reason: "ContainerCreating",
                message: String::new(),
            },
            ready: false,
            last: None,
            since: Timestamp::now(),
        }
    }

    /// Writes it to the API server; a Pod that is gone needs none.
    pub(super) async fn report(&self, pods: &Api<Pod>) -> Result<()> {
        let patch = Patch::Strategic(json!({"status": self.value()}));
        match pods
            .patch_status(&self.name, &PatchParams::default(), &patch)
            .await
        {
            Err(kube::Error::Api(answer)) if answer.is_not_found() => Ok(()),
            answer => Ok(answer.map(drop)?),
        }
    }

    fn value(&self) -> Value {
        let now = Timestamp::now().to_string();
        let condition = |kind: &str, holds: bool| {
            let status = if holds { "True" } else { "False" };
            json!({"type": kind, "status": status, "lastTransitionTime": now, "observedGeneration": self.generation})
        };
        let (running, state) = match &self.state {
            State::Waiting { reason, message } => (
                false,
                json!({"waiting": {"reason": reason, "message": message}}),
            ),
            State::Running { since } => {
                (true, json!({"running": {"startedAt": since.to_string()}}))
            }
        };
        let ready = running && self.ready;
        // A strategic merge: members of `state` that no longer hold are set to null.
        let gone = |member: &str| {
            if state.get(member).is_none() {
                Value::Null
            } else {
                state[member].clone()
            }
        };
        json!({
            "observedGeneration": self.generation,
            "phase": if running || self.restarts > 0 { "Running" } else { "Pending" },
            "startTime": self.since.to_string(),
            "hostIP": "127.0.0.1",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "conditions": [
                condition("PodReadyToStartContainers", true),
                condition("Initialized", true),
                condition("ContainersReady", ready),
                condition("Ready", ready),
            ],
            "containerStatuses": [{
                "name": self.container, "image": self.image, "imageID": "", "started": running, "ready": ready,
                "restartCount": self.restarts,
                "state": {"waiting": gone("waiting"), "running": gone("running")},
                "lastState": self.last.clone().unwrap_or_else(|| json!({})),
            }],
        })
    }
}
