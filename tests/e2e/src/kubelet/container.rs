//! A container of the small kubelet: the root file system that the image would have, the Pod's mounts in it, and the process.

use std::fmt::Write;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::process::{Child, Command};

use super::volume::field;

/// User and group of the image.
const NONROOT: i64 = 65532;

/// What the image's base has in its environment.
const IMAGE_ENVIRONMENT: [(&str, &str); 2] = [
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
];

/// What is needed to start the process of a container, any number of times.
#[derive(Debug)]
pub(super) struct Image {
    root: PathBuf,
    mounts: PathBuf,
    read_only: bool,
    user: i64,
    group: i64,
    groups: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// A volume at its place.
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) source: PathBuf,
    pub(super) target: String,
    pub(super) writable: bool,
}

impl Image {
    /// Lays out the root file system below `folder`.
    pub(super) fn prepare(
        pod: &Pod,
        container: &Container,
        folder: &Path,
        binary: &Path,
        api_server: &(String, String),
        mounts: &[Mount],
    ) -> Result<Self> {
        let root = folder.join("root");
        base(&root, &pod.metadata.name.clone().unwrap_or_default())?;
        let program = Mount {
            source: binary.to_path_buf(),
            target: "/plumbline".to_owned(),
            writable: false,
        };
        fs::write(root.join("plumbline"), "")?;
        let mut lines = String::new();
        for mount in mounts.iter().chain([&program]) {
            if mount.source.is_dir() {
                fs::create_dir_all(root.join(mount.target.trim_start_matches('/')))?;
            }
            let mode = if mount.writable { "rw" } else { "ro" };
            writeln!(lines, "{}|{}|{mode}", mount.source.display(), mount.target)?;
        }
        fs::write(folder.join("mounts"), lines)?;
        let context = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.security_context.as_ref());
        let user = context
            .and_then(|context| context.run_as_user)
            .unwrap_or(NONROOT);
        ensure!(user != 0, "runAsNonRoot is true and runAsUser is 0");
        Ok(Image {
            read_only: container
                .security_context
                .as_ref()
                .and_then(|own| own.read_only_root_filesystem)
                == Some(true),
            user,
            group: context
                .and_then(|context| context.run_as_group)
                .unwrap_or(NONROOT),
            groups: context
                .and_then(|context| context.fs_group)
                .map(|group| group.to_string())
                .unwrap_or_default(),
            arguments: container.args.clone().unwrap_or_default(),
            environment: environment(pod, container, api_server)?,
            mounts: folder.join("mounts"),
            root,
        })
    }

    /// Starts the process; its output is appended to these files.
    pub(super) fn start(&self, stdout: &Path, stderr: &Path) -> Result<Child> {
        Command::new("unshare")
            .args(["--mount", "sh", "-c", include_str!("enter.sh"), "enter"])
            .args([&self.root, &self.mounts])
            .args([
                self.read_only.to_string(),
                self.user.to_string(),
                self.group.to_string(),
                self.groups.clone(),
            ])
            .arg("/plumbline")
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(appended(stdout)?)
            .stderr(appended(stderr)?)
            // Ctrl-C goes to the test's process group; it is the kubelet that ends this one.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the container's process")
    }
}

/// What `distroless/static` provides, beside what a container runtime adds to every container.
fn base(root: &Path, host: &str) -> Result<()> {
    for folder in ["dev", "etc/ssl/certs", "proc", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    for device in ["null", "zero", "full", "random", "urandom"] {
        fs::write(root.join("dev").join(device), "")?;
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n")?;
    fs::write(
        root.join("etc/hosts"),
        format!("127.0.0.1 localhost {host}\n"),
    )?;
    fs::write(root.join("etc/nsswitch.conf"), "hosts: files dns\n")?;
    fs::write(root.join("etc/resolv.conf"), "nameserver 127.0.0.1\n")?;
    let certificates = "etc/ssl/certs/ca-certificates.crt";
    let from = Path::new("/").join(certificates);
    fs::copy(&from, root.join(certificates))
        .with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn environment(
    pod: &Pod,
    container: &Container,
    (host, port): &(String, String),
) -> Result<Vec<(String, String)>> {
    let mut environment: Vec<(String, String)> = IMAGE_ENVIRONMENT
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    environment.push((
        "HOSTNAME".to_owned(),
        pod.metadata.name.clone().unwrap_or_default(),
    ));
    environment.push(("KUBERNETES_SERVICE_HOST".to_owned(), host.clone()));
    environment.push(("KUBERNETES_SERVICE_PORT".to_owned(), port.clone()));
    for variable in container.env.iter().flatten() {
        let from = variable
            .value_from
            .as_ref()
            .and_then(|source| source.field_ref.as_ref());
        let value = match from {
            Some(from) => field(pod, from)?,
            None => variable.value.clone().unwrap_or_default(),
        };
        // Kubernetes expands these; nothing here does.
        ensure!(
            !value.contains("$("),
            "the variable {} refers to another, which is not known here",
            variable.name
        );
        environment.push((variable.name.clone(), value));
    }
    Ok(environment)
}

fn appended(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}
