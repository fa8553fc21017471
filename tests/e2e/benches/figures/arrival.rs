//! F3: how long after a change in the directory its request reaches the target. The real program on the folder host follows a real
//! OpenLDAP, and then a real Samba AD; one title is changed at a time, each at another moment of the program's second.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use plumbline_e2e::{Login, OpenLdap, Samba, repository};
use plumbline_lab::tenant::{Config, Domain, LabTenant};

use crate::Row;

const PEOPLE: usize = 200;
const CHANGES: usize = 40;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run() -> Result<Vec<Row>> {
    let program = program()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let open_ldap = OpenLdap::start()?;
    let suffix = open_ldap.suffix()?;
    let place = Place {
        server_type: "OpenLDAP",
        domain: "example.com",
        parent: format!("ou=bench,{suffix}"),
        base: suffix.to_owned(),
        naming: "uid",
        class: "inetOrgPerson",
        writer: open_ldap.administrator()?,
        reader: open_ldap.reader()?,
    };
    let first = runtime.block_on(place.measure(&program))?;
    drop(open_ldap);
    let samba = Samba::start()?;
    let base = samba.base_dn()?;
    let place = Place {
        server_type: "ActiveDirectory",
        domain: "corp.example.com",
        parent: format!("OU=Bench,{base}"),
        base: base.to_owned(),
        naming: "cn",
        class: "user",
        writer: samba.administrator()?,
        reader: samba.reader()?,
    };
    let second = runtime.block_on(place.measure(&program))?;
    Ok(vec![
        row("OpenLDAP", first, Duration::from_millis(200)),
        row("Samba AD", second, Duration::from_millis(1500)),
    ])
}

fn row(server: &str, mut times: Vec<Duration>, limit: Duration) -> Row {
    times.sort();
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    let middle = at(50);
    [
        "F3".to_owned(),
        format!("{server} change to request, {CHANGES} changes"),
        format!(
            "p50 {:.2} s, p95 {:.2} s",
            middle.as_secs_f64(),
            at(95).as_secs_f64()
        ),
        format!("p50 ≤ {:.1} s", limit.as_secs_f64()),
        if middle <= limit { "reached" } else { "missed" }.to_owned(),
    ]
}

/// The program as it is released.
fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PLUMBLINE_BINARY") {
        return Ok(PathBuf::from(path));
    }
    let output = Command::new(env!("CARGO"))
        .current_dir(repository())
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            "plumbline",
            "--bin",
            "plumbline",
        ])
        .args(["--message-format", "json"])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "cargo build: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut path =
        messages.filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from));
    path.next_back().context("cargo built no program")
}

/// A directory with people, and who reads and changes it.
struct Place {
    server_type: &'static str,
    domain: &'static str,
    /// Where the people are.
    parent: String,
    base: String,
    naming: &'static str,
    class: &'static str,
    writer: Login,
    reader: Login,
}

/// Ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Place {
    fn dn(&self, at: usize) -> String {
        format!("{}=person{at},{}", self.naming, self.parent)
    }

    fn people(&self) -> String {
        let unit = self.parent.split(['=', ',']).nth(1).unwrap_or_default();
        let mut ldif = format!(
            "dn: {}\nobjectClass: organizationalUnit\nou: {unit}\n\n",
            self.parent
        );
        for at in 0..PEOPLE {
            let names = match self.server_type {
                "ActiveDirectory" => format!(
                    "sAMAccountName: person{at}\nuserPrincipalName: person{at}@{}\n",
                    self.domain
                ),
                _ => format!("uid: person{at}\n"),
            };
            ldif += &format!(
                "dn: {}\nobjectClass: {}\ncn: person{at}\nsn: Person\n{names}mail: person{at}@{}\ntitle: First\n\n",
                self.dn(at),
                self.class,
                self.domain
            );
        }
        ldif
    }

    async fn measure(&self, program: &Path) -> Result<Vec<Duration>> {
        self.writer.modify(&self.people())?;
        let config = Config {
            domains: vec![Domain::managed(self.domain)],
            ..Config::default()
        };
        let tenant = LabTenant::start(config).await?;
        let folder = tempfile::tempdir()?;
        self.write(folder.path(), &tenant)?;
        let plumbline = |arguments: &[&str]| {
            let mut command = Command::new(program);
            command
                .args(arguments)
                .arg("-f")
                .arg(folder.path().join("manifests"));
            command.arg("--secrets").arg(folder.path().join("secrets"));
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let mut init = plumbline(&["tenant", "init"]);
        let status = tokio::task::spawn_blocking(move || init.status()).await??;
        ensure!(status.success(), "plumbline tenant init: {status}");
        let _running = Running(plumbline(&["sync"]).spawn()?);
        let began = Instant::now();
        while tenant.users().len() < PEOPLE {
            ensure!(
                began.elapsed() < PATIENCE,
                "{} people arrived",
                tenant.users().len()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // The rest of the first cycles.
        tokio::time::sleep(Duration::from_secs(5)).await;

        // One connection for all changes, so that none waits for a handshake.
        let mut writer = self.writer.program("ldapmodify", &[]);
        writer.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut writer = Running(writer.spawn()?);
        let mut input = writer.0.stdin.take().context("ldapmodify takes no input")?;
        let mut times = Vec::new();
        for change in 0..CHANGES {
            tenant.clear_log();
            let title = format!("Title {change}");
            let ldif = format!(
                "dn: {}\nchangetype: modify\nreplace: title\ntitle: {title}\n\n",
                self.dn(change % PEOPLE)
            );
            let at = Timestamp::now();
            input.write_all(ldif.as_bytes())?;
            input.flush()?;
            times.push(arrived(&tenant, &title, at).await?);
            let pause = 300 + change as u64 * 137 % 1000;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(times)
    }

    fn write(&self, folder: &Path, tenant: &LabTenant) -> Result<()> {
        let manifests = serde_json::json!([
            {"kind": "DirectoryConnector", "metadata": {"name": "corp"}, "spec": {
                "type": self.server_type, "servers": [self.reader.url], "baseDN": self.base,
                "bind": {"simple": {"secretRef": {"name": "bind"}}},
                "tls": {"caRef": {"kind": "Secret", "name": "ca"}}}},
            {"kind": "CloudTenant", "metadata": {"name": "lab"}, "spec": {"entra": {
                "tenantId": tenant.tenant_id(), "clientId": tenant.client_id(),
                "auth": {"clientSecret": {"secretRef": {"name": "application"}}}, "cloud": "Custom",
                "endpoints": {"authority": tenant.authority(), "graph": tenant.graph()},
                "tls": {"caRef": {"kind": "Secret", "name": "tenant-ca"}}}}},
            {"kind": "SyncScope", "metadata": {"name": "people"}, "spec": {
                "connectorRef": {"name": "corp"}, "include": [{"organizationalUnit": self.parent}]}},
            {"kind": "DirectorySync", "metadata": {"name": "people"}, "spec": {
                "tenantRef": {"name": "lab"}, "mode": "Apply", "scopes": [{"name": "people"}]}},
        ]);
        let mut yaml = String::new();
        for manifest in manifests.as_array().into_iter().flatten() {
            let mut manifest = manifest.clone();
            manifest["apiVersion"] = "plumbline.dev/v1alpha1".into();
            yaml += &format!("---\n{}", serde_yaml::to_string(&manifest)?);
        }
        let files = [
            ("manifests/all.yaml", yaml),
            ("secrets/bind/username", self.reader.dn.clone()),
            ("secrets/bind/password", self.reader.password.clone()),
            ("secrets/ca/ca.crt", self.reader.ca()?),
            ("secrets/tenant-ca/ca.crt", tenant.ca_pem().to_owned()),
            ("secrets/application/clientSecret", tenant.client_secret()),
        ];
        for (name, text) in files {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap_or(folder))?;
            fs::write(file, text)?;
        }
        Ok(())
    }
}

/// Waits for the request that brings the title.
async fn arrived(tenant: &LabTenant, title: &str, since: Timestamp) -> Result<Duration> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let log = tenant.log();
        let brings = |request: &&plumbline_lab::tenant::Request| {
            let body = request.body.as_ref();
            request.write && body.is_some_and(|body| body["jobTitle"] == title)
        };
        if let Some(request) = log.iter().find(brings) {
            let time = request.at.duration_since(since);
            return Ok(Duration::try_from(time).unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    bail!("`{title}` never arrived")
}
