//! What the flags of the command line change: those of looks at a folder, of the loop over one, and of the operator, which meets an
//! API server that has nothing but lists.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

fn plumbline(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plumbline"));
    command.args(arguments).arg("--folder").arg(folder);
    command
}

fn said(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let all = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(all).unwrap())
}

/// A sync of namespace `team`, and what it refers to without a namespace; nothing of it can be reached.
fn manifests(folder: &Path) {
    let resource = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "plumbline.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let secret = |name: &str| json!({"secretRef": {"name": name}});
    let connector = json!({
        "servers": ["ldaps://127.0.0.1:9"], "baseDN": "dc=x", "bind": {"simple": secret("bind")},
    });
    let entra = json!({
        "tenantId": "6f1c0000-0000-4000-8000-000000000000", "clientId": "0d3e0000-0000-4000-8000-000000000000",
        "auth": {"clientSecret": secret("app")}, "cloud": "Custom",
        "endpoints": {"authority": "https://127.0.0.1:9", "graph": "https://127.0.0.1:9"},
    });
    let scope = json!({"connectorRef": {"name": "corp"}, "include": [{"everything": {}}]});
    let sync = json!({"tenantRef": {"name": "cloud"}, "scopes": [{"name": "all"}]});
    let mut sync = resource("DirectorySync", "all", sync);
    sync["metadata"]["namespace"] = json!("team");
    let all = [
        resource("DirectoryConnector", "corp", connector),
        resource("CloudTenant", "cloud", json!({"entra": entra})),
        resource("SyncScope", "all", scope),
        sync,
    ];
    for (at, resource) in all.iter().enumerate() {
        fs::write(folder.join(format!("{at}.yaml")), resource.to_string()).unwrap();
    }
}

/// Secrets that nobody takes.
fn secrets() -> tempfile::TempDir {
    let secrets = tempfile::tempdir().unwrap();
    for (file, value) in [
        ("bind/username", "cn=x"),
        ("bind/password", "x"),
        ("app/clientSecret", "x"),
    ] {
        let file = secrets.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, value).unwrap();
    }
    secrets
}

#[test]
fn each_flag_of_a_look_without_network_changes_what_is_said() {
    let folder = tempfile::tempdir().unwrap();
    manifests(folder.path());
    let team = ["--namespace", "team"];
    let cases: [(&[&str], i32, &str); 8] = [
        (&["validate"], 1, "DependencyNotReady"),
        (&["validate", team[0], team[1]], 0, "4 resources are valid"),
        (
            &["validate", "--output", "json"],
            1,
            "\"resource\": \"DirectorySync all\"",
        ),
        (
            &["validate", "--output", "markdown"],
            1,
            "| file | resource | field | message |",
        ),
        (&["mappings"], 1, "CloudTenant `cloud` does not exist"),
        (&["mappings", team[0], team[1]], 0, "TARGET"),
        (
            &["mappings", team[0], team[1], "--output", "json"],
            0,
            "\"sync\": \"team/all\"",
        ),
        (
            &["mappings", team[0], team[1], "--output", "markdown"],
            0,
            "| target | expression | from |",
        ),
    ];
    for (arguments, code, part) in cases {
        let (exit, text) = said(plumbline(arguments, folder.path()));
        assert_eq!(exit, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    let empty = tempfile::tempdir().unwrap();
    let (exit, text) = said(plumbline(&["validate"], empty.path()));
    assert_eq!((exit, text.trim()), (Some(0), "0 resources are valid"));
    let secrets = secrets();
    let secrets = secrets.path().to_str().unwrap();
    let looks: [&[&str]; 3] = [
        &["plan"],
        &["explain", "dsync/all", "uid=ada,dc=x"],
        &["tenant", "init"],
    ];
    for arguments in looks {
        let of_tenant = arguments[0] == "tenant";
        let (missing, unreachable) = if of_tenant {
            ("SecretNotFound", "TargetUnreachable")
        } else {
            ("DependencyNotReady", "ServerUnreachable")
        };
        let cases: [(&[&str], &str); 3] = [
            (&[], missing),
            (&team, "SecretNotFound"),
            (&[team[0], team[1], "--secrets", secrets], unreachable),
        ];
        for (more, reason) in cases {
            let (exit, text) = said(plumbline(&[arguments, more].concat(), folder.path()));
            assert_eq!(exit, Some(1), "{arguments:?} {more:?}: {text}");
            assert!(text.contains(reason), "{arguments:?} {more:?}: {text}");
        }
    }
    // The NAME of a tenant.
    let mut named = plumbline(&["tenant", "init"], folder.path());
    named.arg("another");
    assert!(said(named).1.contains("holds no such CloudTenant"));
}

/// Ends the process with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first line on standard error that fits.
fn line(running: &mut Running, fits: impl Fn(&str) -> bool) -> String {
    let error = running.0.stderr.take().unwrap();
    let mut lines = BufReader::new(error).lines().map_while(Result::ok);
    let found = lines.find(|line| fits(line)).unwrap();
    // Nobody reads on; a full pipe would stop it.
    std::thread::spawn(move || lines.count());
    found
}

fn start(mut command: Command) -> Running {
    Running(
        command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    )
}

#[test]
fn each_flag_of_the_loop_over_a_folder_changes_what_it_does() {
    let folder = tempfile::tempdir().unwrap();
    manifests(folder.path());
    let secrets = secrets();
    let of_connector = |line: &str| line.contains("directory not read");
    let without = line(
        &mut start(plumbline(&["sync"], folder.path())),
        of_connector,
    );
    assert!(
        without.contains("SecretNotFound") && without.contains("WARN"),
        "{without}"
    );
    assert!(without.contains("default"), "{without}");
    let (state, record) = (
        folder.path().join("state"),
        folder.path().join("world.jsonl"),
    );
    let mut command = plumbline(&["sync", "--namespace", "team"], folder.path());
    command
        .arg("--secrets")
        .arg(secrets.path())
        .arg("--state")
        .arg(&state)
        .arg("--record")
        .arg(&record);
    command.args(["--log-format", "json", "--log-level", "info"]);
    let with = line(&mut start(command), of_connector);
    let with: Value = serde_json::from_str(&with).unwrap();
    assert_eq!(with["reason"], "ServerUnreachable", "{with}");
    assert_eq!(with["span"]["namespace"], "team", "{with}");
    assert!(state.is_dir() && record.is_file());
    // What is printed says that the warning was due, and with this level it is not logged.
    let mut command = plumbline(&["sync", "--log-level", "error"], folder.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut quiet = Running(command.spawn().unwrap());
    let told = BufReader::new(quiet.0.stdout.take().unwrap()).lines();
    let mut told = told.map_while(Result::ok);
    assert!(told.any(|line| line.contains("SecretNotFound")));
    quiet.0.kill().unwrap();
    let mut logged = String::new();
    let mut error = quiet.0.stderr.take().unwrap();
    error.read_to_string(&mut logged).unwrap();
    assert!(!logged.contains("directory not read"), "{logged}");
}

/// What an API server was asked: method, path, body.
type Asked = Arc<Mutex<Vec<(Method, String, Value)>>>;

async fn answer(State(asked): State<Asked>, method: Method, uri: Uri, body: Bytes) -> Response {
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = uri.path().to_owned();
    asked
        .lock()
        .unwrap()
        .push((method.clone(), path.clone(), value.clone()));
    let watches = uri
        .query()
        .is_some_and(|query| query.contains("watch=true"));
    if watches {
        std::future::pending::<()>().await;
    }
    if method != Method::GET {
        return (StatusCode::CREATED, axum::Json(value)).into_response();
    }
    if path.contains("/leases/") {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "none"});
        return (StatusCode::NOT_FOUND, axum::Json(status)).into_response();
    }
    let mut items = Vec::new();
    if path.ends_with("/north/cloudtenants") {
        // Whoever looks after a tenant holds its Lease.
        let spec = json!({"entra": {
            "tenantId": "6f1c0000-0000-4000-8000-000000000000", "clientId": "0d3e0000-0000-4000-8000-000000000000",
            "auth": {"clientSecret": {"secretRef": {"name": "app"}}}, "cloud": "Global",
        }});
        items.push(json!({
            "apiVersion": "plumbline.dev/v1alpha1", "kind": "CloudTenant", "spec": spec,
            "metadata": {"name": "cloud", "namespace": "north", "uid": "1", "resourceVersion": "1", "generation": 1},
        }));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items});
    axum::Json(list).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_flag_of_the_operator_changes_what_it_does() {
    let asked = Asked::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(asked.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": server}}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    });
    fs::write(&configuration, text.to_string()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let listen = format!("127.0.0.1:{port}");
    let state = folder.path().join("state");
    let mut command = Command::new(env!("CARGO_BIN_EXE_plumbline"));
    command.env("KUBECONFIG", &configuration);
    command.args([
        "operator",
        "--watch-namespaces",
        "north,south",
        "--listen",
        &listen,
        "--identity",
        "replica-7",
    ]);
    command
        .args([
            "--log-format",
            "text",
            "--log-level",
            "plumbline=info",
            "--state",
        ])
        .arg(&state);
    let mut running = start(command);
    let first = tokio::task::spawn_blocking(move || (line(&mut running, |_| true), running));
    let (first, running) = first.await.unwrap();
    assert!(
        first.contains("INFO") && first.contains("plumbline starts"),
        "{first}"
    );
    assert!(
        first.contains("north,south") && first.contains(state.to_str().unwrap()),
        "{first}"
    );
    let deadline = tokio::time::Instant::now() + LIMIT;
    let seen = |part: &str| {
        let asked = asked.lock().unwrap();
        asked
            .iter()
            .any(|(_, path, body)| path.contains(part) || body.to_string().contains(part))
    };
    for part in [
        "/namespaces/north/directorysyncs",
        "/namespaces/south/syncscopes",
        "replica-7",
    ] {
        while !seen(part) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{part}: {:?}",
                asked.lock().unwrap()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // It answers where it was told to listen.
    std::net::TcpStream::connect(&listen).unwrap();
    drop(running);
}
