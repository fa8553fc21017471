//! The node of the small kubelet: its thread, its heartbeat, and one task for each Pod.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::{Shared, pod};

/// The node is taken for dead after 50 s without a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Runs the node until told to stop.
pub(super) fn run(
    shared: &Arc<Shared>,
    stop: watch::Receiver<bool>,
    started: oneshot::Sender<Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return drop(started.send(Err(error.into()))),
    };
    runtime.block_on(async {
        match register(shared).await {
            Ok(client) => {
                if started.send(Ok(())).is_ok() {
                    serve(shared, &client, stop).await;
                }
                if let Err(error) = Api::<Node>::all(client)
                    .delete(&shared.node, &DeleteParams::default())
                    .await
                {
                    eprintln!("{}: cannot delete the node: {error}", shared.node);
                }
            }
            Err(error) => drop(started.send(Err(error))),
        }
    });
}

async fn register(shared: &Shared) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(&shared.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let node: Node = serde_json::from_value(json!({"metadata": {"name": shared.node}}))?;
    let nodes = Api::<Node>::all(client.clone());
    nodes
        .create(&PostParams::default(), &node)
        .await
        .with_context(|| format!("cannot make the node {}", shared.node))?;
    beat(&nodes, &shared.node).await?;
    Ok(client)
}

async fn beat(nodes: &Api<Node>, name: &str) -> Result<()> {
    let now = Timestamp::now().to_string();
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the small kubelet runs",
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    });
    let status = json!({"status": {"conditions": [ready]}});
    nodes
        .patch_status(name, &PatchParams::default(), &Patch::Strategic(status))
        .await?;
    Ok(())
}

async fn serve(shared: &Arc<Shared>, client: &Client, mut stop: watch::Receiver<bool>) {
    let nodes = Api::<Node>::all(client.clone());
    let watches = shared.namespaces.iter().map(|namespace| {
        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        watcher(pods, watcher::Config::default()).boxed()
    });
    let mut events = stream::select_all(watches);
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    // Told when its Pod is to end, with the seconds it has for that. Dropping the tasks kills their processes.
    let mut running: BTreeMap<String, watch::Sender<Option<u64>>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let answer = tokio::select! {
            _ = stop.changed() => break,
            _ = heartbeat.tick() => beat(&nodes, &shared.node).await,
            Some(_) = tasks.join_next() => Ok(()),
            event = events.try_next() => match event {
                Ok(Some(Event::Apply(pod) | Event::InitApply(pod))) => {
                    seen(shared, client, pod, &mut running, &mut tasks).await
                }
                Ok(Some(Event::Delete(pod))) => {
                    running.remove(&pod.uid().unwrap_or_default());
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error.into()),
            },
        };
        if let Err(error) = answer {
            eprintln!("{}: {error:#}", shared.node);
        }
    }
    // Ended here and not only dropped, so that each has killed its process.
    tasks.shutdown().await;
}

async fn seen(
    shared: &Arc<Shared>,
    client: &Client,
    pod: Pod,
    running: &mut BTreeMap<String, watch::Sender<Option<u64>>>,
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let ends_in = pod.metadata.deletion_timestamp.as_ref().map(|_| {
        pod.metadata
            .deletion_grace_period_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .unwrap_or_default()
    });
    match node {
        None if ends_in.is_none() => bind(client, &pod, &shared.node).await?,
        Some(node) if node == shared.node => {
            let uid = pod.uid().context("a Pod without a UID")?;
            let sender = running.entry(uid).or_insert_with(|| {
                let (sender, ending) = watch::channel(None);
                tasks.spawn(pod::run(Arc::clone(shared), client.clone(), pod, ending));
                sender
            });
            sender.send_if_modified(|known| std::mem::replace(known, ends_in) != ends_in);
        }
        _ => {}
    }
    Ok(())
}

/// Does what a scheduler would: gives the Pod to this node.
async fn bind(client: &Client, pod: &Pod, node: &str) -> Result<()> {
    let name = pod.name_any();
    let pods = Api::<Pod>::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let target = json!({"apiVersion": "v1", "kind": "Node", "name": node});
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target});
    match pods
        .create_subresource::<Value, Value>("binding", &name, &PostParams::default(), &binding)
        .await
    {
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot bind {name}")),
        Ok(_) => Ok(()),
    }
}
