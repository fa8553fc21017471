//! The folder host on the embedded directory and the lab tenant: the command line as people use it.

use std::{
    fs,
    process::{Command, Output},
};

use plumbline_lab::{
    company::{Company, Dialect},
    directory::{Account, Config, Directory, Profile},
    tenant::{self, Domain, LabTenant},
};
use serde_json::Value;

pub(crate) const READER: &str = "cn=reader,dc=corp,dc=example,dc=com";

pub(crate) struct Lab {
    pub(crate) directory: Directory,
    pub(crate) tenant: LabTenant,
    folder: tempfile::TempDir,
}

impl Lab {
    /// `mode` of the DirectorySync, with what else is to be set in its spec: `Apply, suspend: true`.
    pub(crate) async fn start(mode: &str) -> Self {
        let company = Company::generate(7, 40, Dialect::OpenLdap);
        let mut config = Config::new(Profile::OpenLdap, &company.base_dn());
        config.entries = company.entries();
        config.accounts = vec![Account::reader(READER, "secret-of-the-reader")];
        let directory = Directory::start(config).await.unwrap();
        let config = tenant::Config {
            domains: vec![Domain::managed(company.domain())],
            ..tenant::Config::default()
        };
        let tenant = LabTenant::start(config).await.unwrap();
        let lab = Self {
            directory,
            tenant,
            folder: tempfile::tempdir().unwrap(),
        };
        lab.write(mode, &company.base_dn());
        lab
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, mode: &str, base: &str) {
        let manifests = self.path("manifests");
        fs::create_dir_all(&manifests).unwrap();
        let yaml = format!(
            "apiVersion: plumbline.dev/v1alpha1\nkind: DirectoryConnector\nmetadata: {{name: corp}}\nspec:\n  servers: ['{}']\n  baseDN: '{base}'\n  \
             bind: {{simple: {{secretRef: {{name: bind}}}}}}\n  tls: {{caRef: {{kind: Secret, name: ca}}}}\n  changes: {{interval: 1s, confirmAbsence: 0s}}\n---\n\
             apiVersion: plumbline.dev/v1alpha1\nkind: CloudTenant\nmetadata: {{name: lab}}\nspec:\n  entra:\n    tenantId: {}\n    clientId: {}\n    \
             auth: {{clientSecret: {{secretRef: {{name: app}}}}}}\n    cloud: Custom\n    endpoints: {{authority: '{}', graph: '{}'}}\n    \
             tls: {{caRef: {{kind: Secret, name: tenant-ca}}}}\n---\n\
             apiVersion: plumbline.dev/v1alpha1\nkind: SyncScope\nmetadata: {{name: all}}\nspec:\n  connectorRef: {{name: corp}}\n  include: [{{everything: {{}}}}]\n---\n\
             apiVersion: plumbline.dev/v1alpha1\nkind: DirectorySync\nmetadata: {{name: all}}\nspec: {{tenantRef: {{name: lab}}, mode: {mode}, scopes: [{{name: all}}]}}\n",
            self.directory.ldaps_url(),
            self.tenant.tenant_id(),
            self.tenant.client_id(),
            self.tenant.authority(),
            self.tenant.graph(),
        );
        fs::write(manifests.join("all.yaml"), yaml).unwrap();
        let keys = [
            ("bind/username", READER.to_owned()),
            ("bind/password", "secret-of-the-reader".to_owned()),
            ("ca/ca.crt", self.directory.ca_pem().to_owned()),
            ("tenant-ca/ca.crt", self.tenant.ca_pem().to_owned()),
            ("app/clientSecret", self.tenant.client_secret()),
        ];
        for (key, value) in keys {
            let file = self.path("secrets").join(key);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, value).unwrap();
        }
    }

    pub(crate) async fn plumbline(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plumbline"));
        command
            .args(arguments)
            .arg("-f")
            .arg(self.path("manifests"))
            .arg("--secrets")
            .arg(self.path("secrets"));
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// Requests that would change something at the tenant.
    pub(crate) fn writes(&self) -> usize {
        self.tenant
            .log()
            .iter()
            .filter(|request| request.write)
            .count()
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs `plumbline sync` until the tenant has what is wanted, then ends it with SIGTERM.
async fn sync_until(lab: &Lab, arguments: &[&str], arrived: impl Fn(&Lab) -> bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plumbline"));
    command
        .args(["sync", "-f"])
        .arg(lab.path("manifests"))
        .arg("--secrets")
        .arg(lab.path("secrets"))
        .args(arguments);
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !arrived(lab) {
        assert!(
            std::time::Instant::now() < deadline,
            "nothing arrived; {} writes",
            lab.writes()
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap())
        .await
        .unwrap();
    assert!(
        ended.success(),
        "SIGTERM ends the process in order: {ended}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_exits_with_2_for_changes_and_0_for_none_and_writes_nothing() {
    let lab = Lab::start("Apply").await;
    let unmarked = lab.plumbline(&["plan"]).await;
    assert_eq!(unmarked.status.code(), Some(1));
    assert!(
        text(&unmarked).contains("plumbline tenant init"),
        "{}",
        text(&unmarked)
    );

    let init = lab.plumbline(&["tenant", "init"]).await;
    assert!(init.status.success(), "{}", text(&init));
    lab.tenant.clear_log();

    let planned = lab.plumbline(&["plan", "--output", "json"]).await;
    assert_eq!(planned.status.code(), Some(2), "{}", text(&planned));
    let plans: Value = serde_json::from_slice(&planned.stdout).unwrap();
    let creates = plans[0]["counts"]["create"].as_u64().unwrap();
    assert!(creates > 40, "{creates}");
    assert_eq!(lab.writes(), 0, "planning sends reads only");
    let again: Value =
        serde_json::from_slice(&lab.plumbline(&["plan", "--output", "json"]).await.stdout).unwrap();
    assert_eq!(
        plans[0]["digest"], again[0]["digest"],
        "the same world gives the same digest"
    );

    let state = lab.path("state");
    let quiet = |lab: &Lab| {
        let objects = lab.tenant.users().len() + lab.tenant.groups().len();
        objects as u64 >= creates
            && lab
                .tenant
                .log()
                .iter()
                .rev()
                .take(12)
                .all(|request| !request.write)
    };
    sync_until(&lab, &["--state", state.to_str().unwrap()], quiet).await;
    lab.tenant.clear_log();
    let nothing = lab.plumbline(&["plan"]).await;
    assert_eq!(nothing.status.code(), Some(0), "{}", text(&nothing));
    assert!(
        text(&nothing).contains("nothing to do"),
        "{}",
        text(&nothing)
    );
    assert!(
        lab.tenant.violations().is_empty(),
        "{:?}",
        lab.tenant.violations()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_mode_sends_reads_only() {
    let lab = Lab::start("Plan").await;
    assert!(lab.plumbline(&["tenant", "init"]).await.status.success());
    lab.tenant.clear_log();
    sync_until(&lab, &[], three_cycles).await;
    assert_eq!(lab.writes(), 0);
}

fn three_cycles(lab: &Lab) -> bool {
    let log = lab.tenant.log();
    let read = log
        .iter()
        .filter(|request| request.path.contains("/domains"));
    read.count() > 2
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_world_gives_the_same_plan_without_network_and_secrets() {
    let lab = Lab::start("Plan").await;
    assert!(lab.plumbline(&["tenant", "init"]).await.status.success());
    let file = lab.path("world.jsonl");
    let file = file.to_str().unwrap();
    sync_until(&lab, &["--record", file], three_cycles).await;
    let live = lab.plumbline(&["plan", "--output", "json"]).await;
    let live: Value = serde_json::from_slice(&live.stdout).unwrap();
    assert!(live[0]["counts"]["create"].as_u64() > Some(40), "{live}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "people's data are its owner's alone");
    let recorded = fs::read_to_string(file).unwrap();
    for secret in ["secret-of-the-reader", &lab.tenant.client_secret()] {
        assert!(!recorded.contains(secret));
    }

    fs::remove_dir_all(lab.path("secrets")).unwrap();
    let requests = lab.tenant.log().len();
    let offline = lab
        .plumbline(&["plan", "--world", file, "--output", "json"])
        .await;
    assert_eq!(offline.status.code(), Some(2), "{}", text(&offline));
    let plans: Value = serde_json::from_slice(&offline.stdout).unwrap();
    assert_eq!(plans[0]["digest"], live[0]["digest"]);
    assert_eq!(plans[0]["operations"], live[0]["operations"]);
    assert_eq!(lab.tenant.log().len(), requests, "the tenant was asked");

    // A change of the manifests that needs what was not read.
    let manifest = lab.path("manifests/all.yaml");
    let yaml = fs::read_to_string(&manifest).unwrap();
    let mapping = "mode: Plan, mapping: {user: {set: {department: user.carLicense}}}";
    fs::write(&manifest, yaml.replace("mode: Plan", mapping)).unwrap();
    let lacking = lab.plumbline(&["plan", "--world", file]).await;
    assert_eq!(lacking.status.code(), Some(1), "{}", text(&lacking));
    assert!(
        text(&lacking).contains("`carlicense`") && text(&lacking).contains("--record"),
        "{}",
        text(&lacking)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_told_with_field_reason_and_next_step() {
    let lab = Lab::start("Apply").await;
    assert!(lab.plumbline(&["tenant", "init"]).await.status.success());
    let cases = [
        ("bind/password", "wrong", "BindFailed"),
        ("app/clientSecret", "wrong", "TokenRejected"),
        ("ca/ca.crt", lab.tenant.ca_pem(), "TLSFailed"),
    ];
    for (key, value, reason) in cases {
        let file = lab.path("secrets").join(key);
        let right = fs::read(&file).unwrap();
        fs::write(&file, value).unwrap();
        let output = lab.plumbline(&["plan"]).await;
        assert_eq!(output.status.code(), Some(1), "{key}: {}", text(&output));
        assert!(text(&output).contains(reason), "{key}: {}", text(&output));
        assert!(!text(&output).contains("secret-of-the-reader"), "{key}");
        fs::write(&file, right).unwrap();
    }
    fs::remove_dir_all(lab.path("secrets/bind")).unwrap();
    let output = lab.plumbline(&["plan"]).await;
    assert!(
        text(&output).contains("SecretNotFound")
            && text(&output).contains("spec.bind.simple.secretRef"),
        "{}",
        text(&output)
    );
}
