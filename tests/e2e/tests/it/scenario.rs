//! What a scenario stands on: the chart installed through the small kubelet, a lab tenant in the test's own process, and manifests
//! of `examples/` in which addresses, ids, authority and credentials are those of the lab and nothing else is changed.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use plumbline_e2e::{ControlPlane, Kubelet, Login, binary, repository};
use plumbline_lab::tenant::{Config, Domain, Faults, LabTenant, Quota};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub(crate) const POD: &str = "plumbline-0";
pub(crate) const RELEASE: &str = "plumbline";

/// One namespace with its release and its tenant.
pub(crate) struct Scenario {
    pub(crate) control_plane: &'static ControlPlane,
    pub(crate) kubelet: Kubelet,
    pub(crate) tenant: LabTenant,
    pub(crate) namespace: &'static str,
    port: u16,
    /// Serves the tenant; last, for the tenant goes first.
    runtime: Runtime,
}

/// A tenant of the company's domain as it is on a bad day: late, stingy, and losing one answer in fifty.
pub(crate) fn bad_day(seed: u64) -> Config {
    Config {
        replication_delay: Duration::ZERO..Duration::from_secs(3),
        write_quota: Quota {
            count: 300,
            window: Duration::from_secs(3),
        },
        faults: Faults {
            unavailable: 0.02,
            lost_answer: 0.02,
            concurrency_error: 0.01,
            empty_page: 0.01,
            delta_replay: 0.05,
        },
        ..calm(seed)
    }
}

/// A tenant of the company's domain that answers at once and always.
pub(crate) fn calm(seed: u64) -> Config {
    Config {
        domains: vec![Domain::managed("corp.example.com")],
        seed,
        ..Config::default()
    }
}

/// A tenant served on threads of its own.
pub(crate) fn tenant(config: Config) -> (LabTenant, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    (runtime.block_on(LabTenant::start(config)).unwrap(), runtime)
}

impl Scenario {
    /// Starts the tenant, defines the mark with `plumbline tenant init`, and installs the chart with `helm install --wait`.
    pub(crate) fn start(namespace: &'static str, config: Config, values: &[&str]) -> Self {
        let control_plane = ControlPlane::shared().unwrap();
        let (tenant, runtime) = tenant(config);
        define_mark(&tenant);
        control_plane.create_namespace(namespace).unwrap();
        let kubelet = Kubelet::start(control_plane, &[namespace], binary::path().unwrap()).unwrap();
        let scenario = Self {
            control_plane,
            kubelet,
            tenant,
            namespace,
            port: free_port(),
            runtime,
        };
        let chart = repository().join("charts/plumbline");
        let port = format!("metrics.port={}", scenario.port);
        let chart = chart.to_string_lossy();
        let mut arguments = vec!["install", RELEASE, &chart, "--namespace", namespace];
        arguments.extend([
            "--wait",
            "--timeout=90s",
            "--set",
            "crds.enabled=false",
            "--set",
            &port,
        ]);
        values
            .iter()
            .for_each(|value| arguments.extend(["--set", value]));
        if let Err(error) = control_plane.helm(&arguments) {
            panic!("{error:#}\n{}", scenario.log());
        }
        scenario
    }

    /// `kubectl` in the namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let namespace = ["--namespace", self.namespace];
        self.control_plane
            .kubectl(&[&namespace, arguments].concat())
    }

    /// A resource as the API server has it.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        let text = self.kubectl(&["get", kind, name, "--output=json"]).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Status and reason of a condition.
    pub(crate) fn condition(&self, kind: &str, name: &str, condition: &str) -> (String, String) {
        let resource = self.get(kind, name);
        let conditions = resource["status"]["conditions"].as_array().cloned();
        let found = conditions
            .unwrap_or_default()
            .into_iter()
            .find(|each| each["type"] == condition);
        let text = |name: &str| {
            let value = found.as_ref().and_then(|found| found[name].as_str());
            value.unwrap_or_default().to_owned()
        };
        (text("status"), text("reason"))
    }

    /// `kubectl wait --for=…`; a failure tells how the resources stand and what the operator logged.
    pub(crate) fn wait(&self, resource: &str, condition: &str, seconds: u32) {
        let (condition, timeout) = (
            format!("--for={condition}"),
            format!("--timeout={seconds}s"),
        );
        if let Err(error) = self.kubectl(&["wait", resource, &condition, &timeout]) {
            panic!("{error:#}\n{}", self.tale());
        }
    }

    /// `kubectl patch` of the spec.
    pub(crate) fn patch(&self, kind: &str, name: &str, spec: &Value) {
        let patch = json!({ "spec": spec }).to_string();
        self.kubectl(&["patch", kind, name, "--type=merge", "--patch", &patch])
            .unwrap();
    }

    /// Asks for a cycle now, and waits until one that began later has ended.
    pub(crate) fn reconcile_now(&self, sync: &str, seconds: u32) {
        let token = jiff::Timestamp::now().to_string();
        let annotation = format!("reconcile.plumbline.dev/requestedAt={token}");
        self.kubectl(&["annotate", "--overwrite", "dsync", sync, &annotation])
            .unwrap();
        let handled = format!("jsonpath={{.status.lastHandledReconcileAt}}={token}");
        self.wait(&format!("dsync/{sync}"), &handled, seconds);
    }

    /// A Secret of these keys.
    pub(crate) fn secret(&self, name: &str, keys: &[(&str, &str)]) {
        let data: serde_json::Map<String, Value> = keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(value)))
            .collect();
        self.apply(&[json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})]);
    }

    /// A ConfigMap with an authority under `ca.crt`.
    pub(crate) fn authority(&self, name: &str, pem: &str) {
        self.apply(&[json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"ca.crt": pem}})]);
    }

    /// The credentials that a connector of an example names.
    pub(crate) fn bind_secret(&self, name: &str, login: &Login) {
        self.secret(
            name,
            &[("username", &login.dn), ("password", &login.password)],
        );
    }

    pub(crate) fn apply(&self, manifests: &[Value]) {
        let text: Vec<_> = manifests.iter().map(ToString::to_string).collect();
        self.control_plane
            .apply(self.namespace, &text.join("\n---\n"))
            .unwrap();
    }

    /// The documents of an example, with the lab's addresses, ids and authority in them.
    pub(crate) fn example(&self, name: &str, servers: &[&str]) -> Vec<Value> {
        self.authority("lab-tenant-ca", self.tenant.ca_pem());
        let file = repository()
            .join("examples")
            .join(name)
            .join("plumbline.yaml");
        addressed(
            &std::fs::read_to_string(file).unwrap(),
            servers,
            &self.tenant,
        )
    }

    /// What `/metrics` says.
    pub(crate) fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        self.runtime
            .block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() })
    }

    /// What the operator has logged.
    pub(crate) fn log(&self) -> String {
        let read = |text: anyhow::Result<String>| text.unwrap_or_else(|error| format!("{error:#}"));
        let (out, err) = (
            self.kubelet.stdout(self.namespace, POD),
            self.kubelet.stderr(self.namespace, POD),
        );
        read(out) + &read(err)
    }

    /// How everything stands, for a failure.
    pub(crate) fn tale(&self) -> String {
        let resources = self.kubectl(&["get", "plumbline"]).unwrap_or_default();
        let yaml = self
            .kubectl(&["get", "dsync", "--output=yaml"])
            .unwrap_or_default();
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let last = lines
            .get(lines.len().saturating_sub(40)..)
            .unwrap_or_default();
        format!("{resources}\n{yaml}\n{}", last.join("\n"))
    }

    /// Waits until something holds; a failure says what is still wrong and how everything stands.
    pub(crate) fn eventually(
        &self,
        seconds: u64,
        what: &str,
        holds: impl Fn() -> Result<(), String>,
    ) {
        if let Err(wrong) = poll(Duration::from_secs(seconds), holds) {
            panic!("{what}, after {seconds} s: {wrong}\n{}", self.tale());
        }
    }
}

/// Asks again until something holds or the time is over; then what was still wrong.
pub(crate) fn poll(limit: Duration, holds: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let end = Instant::now() + limit;
    loop {
        match holds() {
            Err(wrong) if Instant::now() < end => drop(wrong),
            result => return result,
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Manifests with the lab's addresses, ids and authority in them.
pub(crate) fn addressed(manifests: &str, servers: &[&str], tenant: &LabTenant) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(manifests).map(Value::deserialize);
    let mut documents: Vec<Value> = documents.collect::<Result<_, _>>().unwrap();
    for document in &mut documents {
        match document["kind"].as_str() {
            Some("DirectoryConnector") => document["spec"]["servers"] = json!(servers),
            Some("CloudTenant") => {
                let entra = &mut document["spec"]["entra"];
                entra["tenantId"] = json!(tenant.tenant_id());
                entra["clientId"] = json!(tenant.client_id());
                entra["cloud"] = json!("Custom");
                entra["endpoints"] =
                    json!({"authority": tenant.authority(), "graph": tenant.graph()});
                entra["tls"] = json!({"caRef": {"name": "lab-tenant-ca"}});
            }
            _ => {}
        }
    }
    documents
}

/// `plumbline tenant init` with a client secret, as whoever sets a tenant up would run it.
pub(crate) fn define_mark(tenant: &LabTenant) {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "
kind: CloudTenant
apiVersion: plumbline.dev/v1alpha1
metadata: {name: lab}
spec: {entra: {auth: {clientSecret: {secretRef: {name: application}}}}}
";
    write_folder(folder.path(), &addressed(manifest, &[], tenant), tenant);
    let output = plumbline(folder.path(), &["tenant", "init"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("the mark is defined now"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A folder as the folder host takes it: `manifests`, and `secrets` with the tenant's client secret under `application`.
pub(crate) fn write_folder(folder: &Path, manifests: &[Value], tenant: &LabTenant) {
    let place = folder.join("manifests");
    std::fs::create_dir_all(&place).unwrap();
    for (number, manifest) in manifests.iter().enumerate() {
        std::fs::write(place.join(format!("{number}.yaml")), manifest.to_string()).unwrap();
    }
    let authority = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lab-tenant-ca"}, "data": {"ca.crt": tenant.ca_pem()}});
    std::fs::write(place.join("authority.yaml"), authority.to_string()).unwrap();
    write_secret(
        folder,
        "application",
        &[("clientSecret", &tenant.client_secret())],
    );
}

/// A mounted Secret below `secrets`.
pub(crate) fn write_secret(folder: &Path, name: &str, keys: &[(&str, &str)]) {
    let secret = folder.join("secrets").join(name);
    std::fs::create_dir_all(&secret).unwrap();
    for (key, value) in keys {
        std::fs::write(secret.join(key), value).unwrap();
    }
}

/// The program over such a folder.
pub(crate) fn plumbline(folder: &Path, command: &[&str]) -> Command {
    let mut program = Command::new(binary::path().unwrap());
    program
        .args(command)
        .arg("--folder")
        .arg(folder.join("manifests"));
    program.arg("--secrets").arg(folder.join("secrets"));
    program
}

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
