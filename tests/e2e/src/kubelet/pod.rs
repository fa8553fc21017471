//! The life of one Pod on the small kubelet: volumes, process, probes, restarts, end.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::container::{Image, Mount};
use super::probe::{self, Probe};
use super::status::{State, Status};
use super::volume::Volumes;
use super::{Shared, spec};

/// Between attempts to get a Pod started: a Secret that is missing may come.
const RETRY: Duration = Duration::from_secs(1);
/// Longest time between two starts of a process that ends again and again; a node takes five minutes.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(10);
/// A process that ran for so long is started again at once.
const GOOD_RUN: Duration = Duration::from_secs(60);
/// Holds the number of the process while it runs.
const PROCESS_FILE: &str = "process.pid";

/// One Pod that is bound to this node.
struct Run {
    shared: Arc<Shared>,
    client: Client,
    pod: Pod,
    container: Container,
    pods: Api<Pod>,
    namespace: String,
    folder: PathBuf,
    status: Status,
}

/// Why there is no process any more.
enum End {
    /// It ended, or did not answer and was ended; another is to follow.
    Process,
    /// The Pod is to end.
    Pod,
}

/// Runs a Pod until it is deleted. `ending` gives the seconds that its process has then.
pub(super) async fn run(
    shared: Arc<Shared>,
    client: Client,
    pod: Pod,
    mut ending: watch::Receiver<Option<u64>>,
) {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let Some(container) = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.containers.first())
        .cloned()
    else {
        return;
    };
    let mut run = Run {
        pods: Api::namespaced(client.clone(), &namespace),
        folder: shared.folder.join(format!(
            "{namespace}_{name}_{}",
            pod.uid().unwrap_or_default()
        )),
        status: Status::new(&pod, name),
        shared,
        client,
        container,
        namespace,
        pod,
    };
    loop {
        let answer = tokio::select! {
            answer = run.prepare() => answer,
            _ = deleted(&mut ending) => break,
        };
        match answer {
            Ok(image) => {
                run.keep_running(&image, &mut ending).await;
                break;
            }
            Err(error) => run.wait("CreateContainerConfigError", &error, RETRY).await,
        }
    }
    if let Err(error) = run.remove().await {
        eprintln!("{}: {error:#}", run.status.name);
    }
}

/// Waits until the Pod is to end, and gives the seconds that its process has.
async fn deleted(ending: &mut watch::Receiver<Option<u64>>) -> u64 {
    match ending.wait_for(Option::is_some).await {
        Ok(seconds) => seconds.unwrap_or_default(),
        // The Pod is gone from the API server without notice.
        Err(_) => 0,
    }
}

impl Run {
    /// Checks the Pod and provides what its container needs.
    async fn prepare(&self) -> Result<Image> {
        let all_fields = ApiResource::erase::<Pod>(&());
        let pods = Api::<DynamicObject>::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &all_fields,
        );
        let pod = pods
            .get(&self.status.name)
            .await
            .context("cannot read the Pod")?;
        spec::check(pod.data.get("spec").unwrap_or(&Value::Null))?;
        let claims = self.shared.folder.join("claims");
        let volumes = Volumes {
            client: &self.client,
            pod: &self.pod,
            namespace: &self.namespace,
            folder: &self.folder,
            claims: &claims,
            group: group(&self.pod),
        };
        let mut sources = Vec::new();
        for volume in self
            .pod
            .spec
            .iter()
            .flat_map(|spec| spec.volumes.iter().flatten())
        {
            sources.push((volume.name.clone(), volumes.provide(volume).await?));
        }
        let mut mounts = Vec::new();
        for mount in self.container.volume_mounts.iter().flatten() {
            let source = sources.iter().find(|(name, _)| *name == mount.name);
            let (_, (source, writable)) =
                source.with_context(|| format!("no volume is named {}", mount.name))?;
            let writable = *writable && mount.read_only != Some(true);
            mounts.push(Mount {
                source: source.clone(),
                target: mount.mount_path.clone(),
                writable,
            });
        }
        let Shared {
            binary, api_server, ..
        } = &*self.shared;
        Image::prepare(
            &self.pod,
            &self.container,
            &self.folder,
            binary,
            api_server,
            &mounts,
        )
    }

    async fn keep_running(&mut self, image: &Image, ending: &mut watch::Receiver<Option<u64>>) {
        let mut back_off = Duration::ZERO;
        loop {
            let started = Instant::now();
            let answer = self.process(image, ending).await;
            self.shared.processes().remove(&self.key());
            drop(fs::remove_file(self.folder.join(PROCESS_FILE)));
            let error = match answer {
                Ok(End::Pod) => return,
                Ok(End::Process) => anyhow::anyhow!("the process has ended"),
                Err(error) => error,
            };
            back_off = if started.elapsed() > GOOD_RUN {
                Duration::ZERO
            } else {
                back_off
            };
            self.status.restarts += 1;
            self.status.ready = false;
            tokio::select! {
                () = self.wait("CrashLoopBackOff", &error, back_off) => {}
                _ = deleted(ending) => return,
            }
            back_off = (back_off * 2).clamp(RETRY, LONGEST_BACK_OFF);
        }
    }

    /// Runs one process to its end.
    async fn process(
        &mut self,
        image: &Image,
        ending: &mut watch::Receiver<Option<u64>>,
    ) -> Result<End> {
        let (namespace, pod) = self.key();
        let log = |stream| self.shared.log(&namespace, &pod, stream);
        let mut process = image.start(&log("stdout"), &log("stderr"))?;
        let id = process.id().context("the process has no number")?;
        fs::write(self.folder.join(PROCESS_FILE), id.to_string())?;
        self.shared.processes().insert((namespace, pod), id);
        let start = |template| Probe::start(template, &self.container);
        let mut readiness = self
            .container
            .readiness_probe
            .as_ref()
            .map(start)
            .transpose()?;
        let mut liveness = self
            .container
            .liveness_probe
            .as_ref()
            .map(start)
            .transpose()?;
        let since = Timestamp::now();
        self.status.state = State::Running { since };
        self.status.ready = readiness.is_none();
        self.status.report(&self.pods).await?;
        loop {
            tokio::select! {
                exit = process.wait() => {
                    let exit = exit.context("cannot wait for the process")?;
                    let (code, now) = (exit.code().unwrap_or(-1), Timestamp::now().to_string());
                    let ended = json!({"exitCode": code, "reason": exit.to_string(), "startedAt": since.to_string(), "finishedAt": now});
                    self.status.last = Some(json!({"terminated": ended}));
                    return Ok(End::Process);
                }
                seconds = deleted(ending) => {
                    terminate(&mut process, id, seconds).await?;
                    return Ok(End::Pod);
                }
                found = probe::next(readiness.as_mut()) => {
                    if let Some(ready) = found && ready != self.status.ready {
                        self.status.ready = ready;
                        self.status.report(&self.pods).await?;
                    }
                }
                found = probe::next(liveness.as_mut()) => if found == Some(false) {
                    eprintln!("{}: the process does not answer its liveness probe and is ended", self.status.name);
                    let spec = self.pod.spec.as_ref();
                    let seconds = spec.and_then(|spec| u64::try_from(spec.termination_grace_period_seconds?).ok());
                    terminate(&mut process, id, seconds.unwrap_or(30)).await?;
                    return Ok(End::Process);
                },
            }
        }
    }

    /// Reports why the container waits, and lets it wait.
    async fn wait(&mut self, reason: &'static str, error: &anyhow::Error, time: Duration) {
        eprintln!("{}: {reason}: {error:#}", self.status.name);
        self.status.state = State::Waiting {
            reason,
            message: format!("{error:#}"),
        };
        if let Err(error) = self.status.report(&self.pods).await {
            eprintln!("{}: cannot report: {error:#}", self.status.name);
        }
        sleep(time).await;
    }

    /// Takes the Pod from the API server: only now may another of its name come.
    async fn remove(&self) -> Result<()> {
        let same = Preconditions {
            uid: self.pod.uid(),
            resource_version: None,
        };
        let parameters = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(same),
            ..DeleteParams::default()
        };
        match self.pods.delete(&self.status.name, &parameters).await {
            Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => {}
            answer => drop(answer.context("cannot delete the Pod")?),
        }
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot delete {}", self.folder.display()))
    }

    fn key(&self) -> (String, String) {
        (self.namespace.clone(), self.status.name.clone())
    }
}

fn group(pod: &Pod) -> Option<u32> {
    let group = pod.spec.as_ref()?.security_context.as_ref()?.fs_group?;
    u32::try_from(group).ok()
}

/// Asks a process to end, and ends it when it has not after `seconds`.
async fn terminate(process: &mut Child, id: u32, seconds: u64) -> Result<()> {
    if seconds > 0 {
        Command::new("kill")
            .args(["-s", "TERM", &id.to_string()])
            .status()
            .await
            .context("cannot run kill")?;
        if let Ok(exit) = timeout(Duration::from_secs(seconds), process.wait()).await {
            exit.context("cannot wait for the process")?;
            return Ok(());
        }
        eprintln!("process {id} has not ended {seconds} s after SIGTERM and is killed");
    }
    process.kill().await.context("cannot kill the process")
}
