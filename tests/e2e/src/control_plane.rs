//! A real Kubernetes control plane: etcd, API server, controller manager, with `kubectl` and Helm, started by
//! `tests/control-plane`. One serves a whole test process; scenarios keep apart by namespace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::repository;
use crate::script::{Server, output};

/// A control plane and the programs that go with it.
#[derive(Debug)]
pub struct ControlPlane {
    server: Server,
}

impl ControlPlane {
    /// The one of this process, started by the first caller. It has the CRDs, so releases in it need `crds.enabled=false`.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| ControlPlane::with_crds().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow!("{error}"))
    }

    fn with_crds() -> Result<Self> {
        let control_plane = ControlPlane::start()?;
        let folder = repository().join("crds");
        let folder = folder.to_string_lossy();
        control_plane.kubectl(&["apply", "--server-side", "--filename", &folder])?;
        control_plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all"])?;
        Ok(control_plane)
    }

    /// One of its own and empty, for a scenario that stops the API server or brings the CRDs itself.
    pub fn start() -> Result<Self> {
        Ok(ControlPlane {
            server: Server::up("tests/control-plane/control-plane", &[])?,
        })
    }

    /// A client of the cluster's administrator. A client belongs to the runtime that made it.
    pub async fn client(&self) -> Result<Client> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()?)?;
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Client::try_from(config).context("cannot make a client of the API server")
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> Result<&Path> {
        self.server.fact("KUBECONFIG").map(Path::new)
    }

    /// Host and port of the API server.
    pub fn address(&self) -> Result<(&str, &str)> {
        let url = self.server.fact("KUBE_SERVER")?;
        let address = url
            .strip_prefix("https://")
            .and_then(|rest| rest.rsplit_once(':'));
        address.with_context(|| format!("{url} is no https URL with a port"))
    }

    /// The API server's audit log, one JSON object a line.
    pub fn audit_log(&self) -> Result<PathBuf> {
        self.server.fact("KUBE_AUDIT_LOG").map(PathBuf::from)
    }

    /// Makes a namespace.
    pub fn create_namespace(&self, name: &str) -> Result<()> {
        self.kubectl(&["create", "namespace", name]).map(drop)
    }

    /// Runs `kubectl` as administrator and gives what it prints; an error carries what the server said.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        output(self.program("kubectl")?.args(arguments), None)
    }

    /// Runs `kubectl` as whoever a token is of.
    pub fn kubectl_as(&self, token: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.program("kubectl")?;
        command
            .env("KUBECONFIG", "/dev/null")
            .args(["--server", self.server.fact("KUBE_SERVER")?]);
        command.args([
            "--certificate-authority",
            self.server.fact("KUBE_CA_FILE")?,
            "--token",
            token,
        ]);
        output(command.args(arguments), None)
    }

    /// `kubectl apply --server-side` of manifests in a namespace.
    pub fn apply(&self, namespace: &str, manifests: &str) -> Result<String> {
        let arguments = [
            "apply",
            "--server-side",
            "--namespace",
            namespace,
            "--filename",
            "-",
        ];
        output(self.program("kubectl")?.args(arguments), Some(manifests))
    }

    /// Runs `helm` as administrator and gives what it prints.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        output(self.program("helm")?.args(arguments), None)
    }

    /// `kubectl` or `helm` with the administrator's kubeconfig and no settings of the person who runs the tests.
    pub fn program(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(Path::new(self.server.fact("KUBE_BIN")?).join(name));
        let home = self.server.folder().join("home");
        command
            .env("KUBECONFIG", self.kubeconfig()?)
            .env("HOME", &home);
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(folder, home.join(folder));
        }
        Ok(command)
    }
}
