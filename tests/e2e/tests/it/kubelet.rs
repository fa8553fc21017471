//! The chart's life on a cluster: install, a killed process, upgrade, uninstall, and what its process may do.

use std::path::PathBuf;

use plumbline_e2e::{ControlPlane, Kubelet, binary, repository};

const RELEASE: &str = "plumbline";
const POD: &str = "plumbline-0";

struct Installed<'a> {
    control_plane: &'a ControlPlane,
    kubelet: Kubelet,
    namespace: &'static str,
}

impl Installed<'_> {
    fn helm(&self, command: &[&str], port: u16, values: &[&str]) -> anyhow::Result<String> {
        let chart = repository().join("charts/plumbline");
        let port = format!("metrics.port={port}");
        let mut arguments = command.to_vec();
        let chart = chart.to_string_lossy();
        arguments.extend([
            RELEASE,
            &chart,
            "--namespace",
            self.namespace,
            "--wait",
            "--set",
            &port,
        ]);
        for value in values {
            arguments.extend(["--set", value]);
        }
        self.control_plane.helm(&arguments)
    }

    fn pod(&self, path: &str) -> String {
        let output = format!("jsonpath={{{path}}}");
        self.control_plane
            .kubectl(&[
                "get",
                "pod",
                POD,
                "--namespace",
                self.namespace,
                "--output",
                &output,
            ])
            .unwrap()
    }

    /// Waits until something holds of the Pod, in the words of `kubectl wait --for`.
    fn wait(&self, condition: &str) {
        let condition = format!("--for={condition}");
        let wait = [
            "wait",
            "pod",
            POD,
            "--timeout=60s",
            "--namespace",
            self.namespace,
            &condition,
        ];
        self.control_plane.kubectl(&wait).unwrap();
    }

    /// The fields of `/proc/PID/status` of the Pod's process.
    fn process(&self, field: &str) -> String {
        let process = self.kubelet.process(self.namespace, POD).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What the Pod's process has for a file system.
    fn root(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/root",
            self.kubelet.process(self.namespace, POD).unwrap()
        ))
    }

    /// Mounts of the Pod's process: place and options.
    fn mounts(&self) -> Vec<(String, String)> {
        let process = self.kubelet.process(self.namespace, POD).unwrap();
        let mounts = std::fs::read_to_string(format!("/proc/{process}/mounts")).unwrap();
        let fields = |line: &str| {
            let mut fields = line.split(' ').skip(1);
            (
                fields.next().unwrap().to_owned(),
                fields.nth(1).unwrap().to_owned(),
            )
        };
        mounts.lines().map(fields).collect()
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn installed<'a>(
    control_plane: &'a ControlPlane,
    namespace: &'static str,
    port: u16,
    values: &[&str],
) -> Installed<'a> {
    control_plane.create_namespace(namespace).unwrap();
    let kubelet = Kubelet::start(control_plane, &[namespace], binary::path().unwrap()).unwrap();
    let installed = Installed {
        control_plane,
        kubelet,
        namespace,
    };
    if let Err(error) = installed.helm(&["install", "--timeout=90s"], port, values) {
        let log = installed.kubelet.stderr(namespace, POD).unwrap_or_default();
        panic!("{error:#}\n{log}");
    }
    installed
}

#[test]
fn the_chart_lives_through_install_kill_upgrade_and_uninstall() {
    let namespace = "kubelet-life";
    let (first, second) = (free_port(), free_port());
    // One of its own: this release brings the CRDs, and a cluster takes them from one release only.
    let control_plane = ControlPlane::start().unwrap();
    let world = installed(&control_plane, namespace, first, &[]);
    assert_eq!(world.pod(".status.phase"), "Running");
    assert_eq!(world.pod(".status.containerStatuses[0].restartCount"), "0");
    let uid = world.pod(".metadata.uid");

    // Nobody's rights, a file system that only takes state, and nothing of the machine in it.
    for (field, expected) in [
        ("Uid", "65532 65532 65532 65532"),
        ("Gid", "65532 65532 65532 65532"),
        ("Groups", "65532"),
        ("NoNewPrivs", "1"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapInh", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
    ] {
        assert_eq!(world.process(field), expected, "{field}");
    }
    assert!(
        !world.root().join("usr").exists(),
        "the machine's files are in the container"
    );
    let token = world
        .root()
        .join("var/run/secrets/kubernetes.io/serviceaccount/token");
    assert!(token.metadata().unwrap().len() > 100, "there is no token");
    let writable =
        |(_, options): &&(String, String)| options.split(',').any(|option| option == "rw");
    let writable: Vec<_> = world
        .mounts()
        .iter()
        .filter(writable)
        .map(|(place, _)| place.clone())
        .collect();
    let state: Vec<_> = writable
        .iter()
        .filter(|place| !place.starts_with("/proc") && !place.starts_with("/dev"))
        .collect();
    assert_eq!(state, ["/var/lib/plumbline"]);

    // A killed process is started again in the same Pod.
    let killed = world.kubelet.process(namespace, POD).unwrap();
    world.kubelet.signal(namespace, POD, "KILL").unwrap();
    let restarted = "jsonpath={.status.containerStatuses[0].restartCount}=1";
    world.wait(restarted);
    world.wait("condition=Ready");
    assert_eq!(world.pod(".metadata.uid"), uid);
    assert_ne!(world.kubelet.process(namespace, POD).unwrap(), killed);

    // An upgrade that cannot work, and one that mends it: the Pod is replaced both times.
    let broken = world.helm(
        &["upgrade", "--timeout=10s"],
        second,
        &["log.level=not=a=level"],
    );
    assert!(
        broken.is_err(),
        "an upgrade to a log level that does not exist has become ready"
    );
    world
        .helm(&["upgrade", "--timeout=90s"], second, &["log.level=debug"])
        .unwrap();
    assert_ne!(world.pod(".metadata.uid"), uid);
    assert!(
        world
            .pod(".spec.containers[0].args")
            .contains("--log-level=debug")
    );
    assert!(
        std::net::TcpStream::connect(("127.0.0.1", first)).is_err(),
        "the old process still listens"
    );
    std::net::TcpStream::connect(("127.0.0.1", second)).unwrap();

    // Uninstalling takes everything but the claim and the CRDs.
    world
        .control_plane
        .helm(&["uninstall", RELEASE, "--namespace", namespace, "--wait"])
        .unwrap();
    let left = [
        "get",
        "statefulset,pod,service,serviceaccount,role,rolebinding,networkpolicy",
        "--namespace",
        namespace,
    ];
    let left = world.control_plane.kubectl(
        &[
            &left[..],
            &[
                "--output",
                "name",
                "--selector=app.kubernetes.io/instance=plumbline",
            ],
        ]
        .concat(),
    );
    assert_eq!(left.unwrap(), "");
    let claims = world
        .control_plane
        .kubectl(&["get", "pvc", "--namespace", namespace, "--output", "name"])
        .unwrap();
    assert_eq!(claims, "persistentvolumeclaim/state-plumbline-0\n");
    let kinds = world
        .control_plane
        .kubectl(&["get", "crd", "--output", "name"])
        .unwrap();
    assert!(kinds.contains("directorysyncs.plumbline.dev"), "{kinds}");
    assert_eq!(world.kubelet.process(namespace, POD), None);
}

#[test]
fn without_persistence_the_state_is_an_empty_folder_that_goes_with_the_pod() {
    let namespace = "kubelet-ephemeral";
    let values = ["persistence.enabled=false", "crds.enabled=false"];
    let world = installed(
        ControlPlane::shared().unwrap(),
        namespace,
        free_port(),
        &values,
    );
    let state = |(place, options): &(String, String)| {
        place == "/var/lib/plumbline" && options.starts_with("rw")
    };
    assert!(world.mounts().iter().any(state));
    let claims = world
        .control_plane
        .kubectl(&["get", "pvc", "--namespace", namespace, "--output", "name"])
        .unwrap();
    assert_eq!(claims, "");

    // A process that cannot end, as it is stopped, is killed when its time is over; then the next Pod comes.
    let planted = world.root().join("var/lib/plumbline/planted");
    std::fs::write(&planted, "").unwrap();
    let (uid, process) = (
        world.pod(".metadata.uid"),
        world.kubelet.process(namespace, POD).unwrap(),
    );
    world.kubelet.signal(namespace, POD, "STOP").unwrap();
    let begin = std::time::Instant::now();
    world
        .control_plane
        .kubectl(&[
            "delete",
            "pod",
            POD,
            "--namespace",
            namespace,
            "--grace-period=2",
        ])
        .unwrap();
    assert!(begin.elapsed().as_secs() >= 2);
    assert!(!PathBuf::from(format!("/proc/{process}")).exists());
    world.wait("create");
    world.wait("condition=Ready");
    assert_ne!(world.pod(".metadata.uid"), uid);
    assert!(!world.root().join("var/lib/plumbline/planted").exists());
}

#[test]
fn the_token_in_the_pod_is_good_for_the_watched_namespace_and_no_other() {
    let (namespace, other) = ("kubelet-token", "kubelet-token-other");
    let world = installed(
        ControlPlane::shared().unwrap(),
        namespace,
        free_port(),
        &["crds.enabled=false"],
    );
    world.control_plane.create_namespace(other).unwrap();
    let token = world
        .root()
        .join("var/run/secrets/kubernetes.io/serviceaccount/token");
    let token = std::fs::read_to_string(token).unwrap();
    let create = [
        "create",
        "secret",
        "generic",
        "bind",
        "--from-literal=a=b",
        "--namespace",
    ];
    for place in [namespace, other] {
        world
            .control_plane
            .kubectl(&[&create[..], &[place]].concat())
            .unwrap();
    }
    let read = |place| {
        world
            .control_plane
            .kubectl_as(&token, &["get", "secret", "bind", "--namespace", place])
    };
    read(namespace).unwrap();
    let account = format!("system:serviceaccount:{namespace}:plumbline");
    let refusal = read(other).unwrap_err().to_string();
    assert!(
        refusal.contains("Forbidden") && refusal.contains(&account),
        "{refusal}"
    );
    let list = world
        .control_plane
        .kubectl_as(&token, &["get", "secrets", "--namespace", namespace]);
    assert!(
        list.unwrap_err()
            .to_string()
            .contains("cannot list resource")
    );
}
