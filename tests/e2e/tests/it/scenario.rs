//! What a scenario stands on: the chart installed through the small kubelet, a lab tenant in the test's own process, and manifests
//! of `examples/` in which addresses, ids, authority and credentials are those of the lab and nothing else is changed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use plumbline_e2e::{ControlPlane, Kubelet, Login, binary, repository};
use plumbline_lab::company::Company;
use plumbline_lab::directory::Entry;
use plumbline_lab::tenant::{Config, Domain, Faults, LabTenant, Quota};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub(crate) const POD: &str = "plumbline-0";
pub(crate) const RELEASE: &str = "plumbline";
/// How the values begin that fifty people have in an attribute that nobody mapped.
pub(crate) const PLANTED: &str = "PLANTED-";

/// One namespace with its release and its tenant.
pub(crate) struct Scenario {
    pub(crate) control_plane: &'static ControlPlane,
    pub(crate) kubelet: Kubelet,
    pub(crate) tenant: LabTenant,
    pub(crate) namespace: &'static str,
    port: u16,
    /// What nobody may see: what the Secrets hold.
    secrets: RefCell<Vec<String>>,
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
    let runtime = runtime();
    (runtime.block_on(LabTenant::start(config)).unwrap(), runtime)
}

/// Threads of its own for something that the test serves.
pub(crate) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
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
            secrets: RefCell::default(),
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

    /// A Secret of these keys. All but names and certificates must never be seen; see [`Scenario::ends_well`].
    pub(crate) fn secret(&self, name: &str, keys: &[(&str, &str)]) {
        let hidden = keys
            .iter()
            .filter(|(key, _)| !["username", "tls.crt"].contains(key));
        // Of a key in PEM any line would give it away.
        let lines = hidden.flat_map(|(_, value)| value.lines());
        let lines = lines.filter(|line| !line.starts_with("-----") && line.len() > 8);
        self.secrets.borrow_mut().extend(lines.map(str::to_owned));
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
        let requests = self.tenant.log();
        let requests = requests.iter().rev().take(10).map(|request| {
            let (method, path) = (&request.method, &request.path);
            format!("{} {method} {path}: {}", request.at, request.status)
        });
        let requests: Vec<_> = requests.collect();
        format!(
            "{resources}\n{yaml}\n{}\nlast requests to the tenant, newest first:\n{}",
            last.join("\n"),
            requests.join("\n")
        )
    }

    /// Stops the operator and deletes its volume, does something meanwhile, and starts it again.
    pub(crate) fn loses_its_volume(&self, meanwhile: impl FnOnce()) {
        let kubectl = |arguments: &[&str]| self.kubectl(arguments).unwrap();
        let pod = format!("pod/{POD}");
        kubectl(&["scale", "statefulset/plumbline", "--replicas=0"]);
        kubectl(&["wait", "--for=delete", "--timeout=60s", &pod]);
        kubectl(&["delete", "pvc", "state-plumbline-0"]);
        meanwhile();
        kubectl(&["scale", "statefulset/plumbline", "--replicas=1"]);
        let ready = ["rollout", "status", "--timeout=60s"];
        kubectl(&[&ready[..], &["statefulset/plumbline"]].concat());
    }

    /// How every scenario ends: the operator did nothing at the tenant that no client may do, and no secret and no value that
    /// nobody mapped ([`PLANTED`]) is seen in its log, its events, a status, a metric or, passwords of new accounts apart, at the
    /// tenant.
    pub(crate) fn ends_well(&self) {
        let violations = self.tenant.violations();
        assert!(violations.is_empty(), "{violations:#?}");
        let users = self.tenant.users();
        let first_passwords = users
            .iter()
            .filter_map(|user| user["passwordProfile"]["password"].as_str());
        let first_passwords: Vec<_> = first_passwords.map(str::to_owned).collect();
        let mut secrets = self.secrets.borrow().clone();
        assert!(!secrets.is_empty(), "the scenario has no secret");
        // Tokens, ours and the lab's.
        secrets.extend([PLANTED, "PRIVATE KEY", "eyJhbGciOi", "eyJ0eXAiOi"].map(str::to_owned));
        let kubectl = |arguments: &[&str]| self.kubectl(arguments).unwrap();
        let requests = ("the tenant's log", format!("{:?}", self.tenant.log()));
        let seen = [
            ("the log", self.log()),
            (
                "events",
                kubectl(&["get", "events.events.k8s.io", "--output=yaml"]),
            ),
            ("a status", kubectl(&["get", "plumbline", "--output=yaml"])),
            ("a metric", self.metrics()),
        ];
        for (place, text) in seen.iter().chain([&requests]) {
            assert!(text.len() > 200, "{place} is empty: {text}");
            for secret in &secrets {
                assert!(!text.contains(secret), "{secret} is in {place}");
            }
        }
        for (place, text) in &seen {
            for password in &first_passwords {
                assert!(!text.contains(password), "a first password is in {place}");
            }
        }
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

/// The company's entries, fifty people of which have a value that must not leave; on AD the example's `when` reads it.
pub(crate) fn planted(company: &Company, attribute: &str) -> Vec<Entry> {
    let people: BTreeSet<_> = company
        .people()
        .keys()
        .filter_map(|person| company.dn(*person))
        .take(50)
        .collect();
    assert_eq!(people.len(), 50);
    let mut entries = company.entries();
    let of_people = entries
        .iter_mut()
        .filter(|entry| people.contains(&entry.dn));
    for (number, entry) in of_people.enumerate() {
        entry.push(attribute, format!("{PLANTED}{number}"));
    }
    entries
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
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let said = said.concat();
    assert!(
        output.status.success() && said.contains("the mark is defined now"),
        "{said}"
    );
    assert!(!said.contains(&tenant.client_secret()), "{said}");
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
