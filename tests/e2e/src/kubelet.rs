//! A small kubelet: it runs the Pods of some namespaces as processes of this machine, as the image would run on a node.
//!
//! It takes the Pods that the controller manager makes, binds them to a node of its own, provides their volumes, starts the
//! static program in the container's place as its user in a mount namespace that holds the program, what the image's base
//! provides and the template's mounts, asks the probes, reports the status and ends the process as Kubernetes does. A Pod
//! that asks for anything else ([`spec`]) is refused, so that no part of a template goes untested.
//!
//! Differences from a node: there is no image, no network of the Pod's own (its address is 127.0.0.1), no seccomp, and no
//! limits on resources. Needs root.

mod container;
mod node;
mod pod;
mod probe;
mod spec;
mod status;
mod volume;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use tokio::sync::{oneshot, watch};

use crate::control_plane::ControlPlane;
use crate::script;

/// A node with its kubelet, on a thread of its own; its processes end with it.
#[derive(Debug)]
pub struct Kubelet {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What the tasks of one kubelet share.
#[derive(Debug)]
struct Shared {
    node: String,
    namespaces: Vec<String>,
    /// The program that runs in every container.
    binary: PathBuf,
    /// Volumes, logs and root file systems.
    folder: PathBuf,
    kubeconfig: PathBuf,
    api_server: (String, String),
    /// The processes that run now, by namespace and name of their Pods.
    processes: Mutex<BTreeMap<(String, String), u32>>,
}

impl Kubelet {
    /// Starts one for the Pods of these namespaces, which run `binary`.
    pub fn start(control_plane: &ControlPlane, namespaces: &[&str], binary: &Path) -> Result<Self> {
        let (host, port) = control_plane.address()?;
        let folder = script::folder("kubelet");
        fs::create_dir_all(folder.join("log"))?;
        // Whoever runs in a Pod must be able to reach what is mounted, and nothing here is secret.
        let shared = Arc::new(Shared {
            node: format!(
                "node-{}",
                namespaces.first().context("a kubelet needs a namespace")?
            ),
            namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
            binary: binary
                .canonicalize()
                .with_context(|| format!("no program at {}", binary.display()))?,
            kubeconfig: control_plane.kubeconfig()?.to_path_buf(),
            api_server: (host.to_owned(), port.to_owned()),
            processes: Mutex::default(),
            folder,
        });
        let end = r#"for pid in "$1"/*/*.pid; do kill -KILL "$(cat "$pid")"; done; rm -rf "$1""#;
        script::when_this_process_ends(&[
            Path::new("sh"),
            Path::new("-c"),
            Path::new(end),
            Path::new("kubelet"),
            &shared.folder,
        ])?;
        let (stop, stopped) = watch::channel(false);
        let (started, start) = oneshot::channel();
        let thread = thread::Builder::new().name(shared.node.clone()).spawn({
            let shared = Arc::clone(&shared);
            move || node::run(&shared, stopped, started)
        })?;
        start
            .blocking_recv()
            .context("the kubelet ended before it was ready")??;
        Ok(Kubelet {
            shared,
            stop,
            thread: Some(thread),
        })
    }

    /// The process of a Pod, while it runs.
    pub fn process(&self, namespace: &str, pod: &str) -> Option<u32> {
        self.shared
            .processes()
            .get(&(namespace.to_owned(), pod.to_owned()))
            .copied()
    }

    /// Sends a signal (`TERM`, `KILL`, `STOP`) to a Pod's process. A process that ends is started again, as in a node.
    pub fn signal(&self, namespace: &str, pod: &str, signal: &str) -> Result<()> {
        let Some(process) = self.process(namespace, pod) else {
            bail!("no process of {namespace}/{pod} runs")
        };
        script::output(
            Command::new("kill").args(["-s", signal, &process.to_string()]),
            None,
        )
        .map(drop)
    }

    /// What all processes of all Pods of this name have written to stdout.
    pub fn stdout(&self, namespace: &str, pod: &str) -> Result<String> {
        read(&self.shared.log(namespace, pod, "stdout"))
    }

    /// What all processes of all Pods of this name have written to stderr.
    pub fn stderr(&self, namespace: &str, pod: &str) -> Result<String> {
        read(&self.shared.log(namespace, pod, "stderr"))
    }

    /// The folder of all logs of this kubelet's Pods.
    pub fn logs(&self) -> PathBuf {
        self.shared.folder.join("log")
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the thread of {} panicked", self.shared.node);
        }
        if let Err(error) = fs::remove_dir_all(&self.shared.folder) {
            eprintln!("cannot delete {}: {error}", self.shared.folder.display());
        }
    }
}

impl Shared {
    fn processes(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), u32>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, namespace: &str, pod: &str, stream: &str) -> PathBuf {
        self.folder
            .join("log")
            .join(format!("{namespace}_{pod}.{stream}"))
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
