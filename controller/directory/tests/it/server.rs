//! Real servers for tests: OpenLDAP, 389-ds and Samba AD by the scripts in `tests/`, each on a loopback address of its own, gone when
//! the value is dropped.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

use plumbline_directory::{Bind, Detect, FULL_READS, PAGE_SIZE, Settings, Timeouts};
use tempfile::TempDir;

/// Where OpenLDAP listens; also a name in its certificate.
pub(crate) const OPENLDAP_ADDRESS: &str = "127.0.0.21";
/// Where 389-ds listens; also a name in its certificate.
const DS389_ADDRESS: &str = "127.0.0.23";
/// Samba's ports are fixed, so its address must be its own.
const SAMBA_ADDRESS: &str = "127.0.0.12";

fn free_port(address: &str) -> u16 {
    let listener = std::net::TcpListener::bind((address, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A running server.
pub(crate) struct Server {
    script: PathBuf,
    directory: TempDir,
    pub(crate) facts: BTreeMap<String, String>,
}

impl Server {
    /// OpenLDAP with five people and three groups, on ports of its own.
    pub(crate) fn openldap(options: &[(&str, &str)]) -> Self {
        let ports = [(); 2].map(|()| free_port(OPENLDAP_ADDRESS).to_string());
        let mut all = vec![
            ("OL_IP", OPENLDAP_ADDRESS),
            ("OL_PORT", &ports[0]),
            ("OL_TLS_PORT", &ports[1]),
            ("OL_REQUIRE_TLS", "yes"),
        ];
        all.extend_from_slice(options);
        let server = Self::start("openldap", &all);
        server.run(&["seed"]);
        server
    }

    /// OpenLDAP with exactly these options, and nobody in it.
    pub(crate) fn bare_openldap(options: &[(&str, &str)]) -> Self {
        let all = [&[("OL_IP", OPENLDAP_ADDRESS)], options].concat();
        Self::start("openldap", &all)
    }

    pub(crate) fn free_openldap_port() -> String {
        free_port(OPENLDAP_ADDRESS).to_string()
    }

    /// The OpenLDAP that tests share that keep to a base of their own and change nothing of the server.
    pub(crate) fn shared_openldap() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::openldap(&[("OL_REQUIRE_TLS", "no")]));
        *shared = Arc::downgrade(&server);
        server
    }

    /// Kills it without a word, and starts it again.
    pub(crate) fn crash(&self) {
        let pid = self.run(&["env"]);
        let pid = pid
            .lines()
            .find_map(|line| line.split_once("_PID="))
            .unwrap()
            .1;
        let killed_at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let killed = Command::new("kill")
            .args(["-KILL", pid.trim_matches('\'')])
            .status();
        assert!(killed.unwrap().success());
        while self.command(&["status"]).output().unwrap().status.success() {
            std::thread::yield_now();
        }
        // OpenLDAP tells its start in whole seconds.
        while SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
            == killed_at
        {
            std::thread::yield_now();
        }
        self.run(&["up"]);
    }

    /// 389-ds with the same people and groups, on ports of its own.
    pub(crate) fn ds389(options: &[(&str, &str)]) -> Self {
        let ports = [(); 2].map(|()| free_port(DS389_ADDRESS).to_string());
        let mut all = vec![
            ("DS_IP", DS389_ADDRESS),
            ("DS_PORT", &ports[0]),
            ("DS_TLS_PORT", &ports[1]),
        ];
        all.extend_from_slice(options);
        let server = Self::start("ds389", &all);
        server.run(&["seed"]);
        server
    }

    /// Host and port for TLS from the first byte.
    pub(crate) fn ldaps_address(&self) -> SocketAddr {
        let url = self.fact(&format!("{}_LDAPS_URL", self.prefix()));
        url.trim_start_matches("ldaps://").parse().unwrap()
    }

    /// Plain URL, DN and password of the account that may do everything.
    pub(crate) fn administrator(&self) -> (String, String, String) {
        let fact = |name: &str| self.fact(&format!("{}_{name}", self.prefix()));
        (fact("LDAP_URL"), fact("BIND_DN"), fact("BIND_PASSWORD"))
    }

    /// What the names of its facts begin with.
    fn prefix(&self) -> &'static str {
        ["OL", "DS", "AD"]
            .into_iter()
            .find(|prefix| self.facts.contains_key(&format!("{prefix}_CA_FILE")))
            .unwrap()
    }

    /// The Samba domain controller that all tests share: it takes half a minute to make. It has the account `svc-reader`.
    pub(crate) fn samba() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::samba_of(&[
            ("AD_IP", SAMBA_ADDRESS),
            ("AD_STRONG_AUTH", "yes"),
        ]));
        *shared = Arc::downgrade(&server);
        server
    }

    /// A domain controller of its own, with the account `svc-reader`.
    pub(crate) fn samba_of(options: &[(&str, &str)]) -> Self {
        let server = Self::start("samba-ad", options);
        if !options.iter().any(|(name, _)| *name == "AD_JOIN") {
            server.run(&["seed"]);
        }
        server
    }

    /// Adds people by the script's generator, as `slapadd` does.
    pub(crate) fn load_people(&self, count: usize) {
        let ldif = self.run(&["ldif", &count.to_string()]);
        let file = self.directory.path().join("people.ldif");
        std::fs::write(&file, ldif).unwrap();
        self.run(&["load", file.to_str().unwrap()]);
    }

    /// Stops it and starts it again with other options.
    pub(crate) fn restart(&self, options: &[(&str, &str)]) {
        self.run(&["down"]);
        let output = self
            .command(&["up"])
            .envs(options.iter().copied())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// An access rule of OpenLDAP that goes before all others.
    pub(crate) fn restart_with_access(&self, rule: &str) {
        let file = self.directory.path().join("access.conf");
        std::fs::write(&file, rule).unwrap();
        self.restart(&[("OL_ACL_FILE", file.to_str().unwrap())]);
    }

    fn start(script: &str, options: &[(&str, &str)]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests")
            .join(script);
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("server");
        let output = Command::new(&script)
            .arg("up")
            .arg(&inner)
            .envs(options.iter().copied())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{} up: {}",
            script.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        let facts = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
            .collect();
        Self {
            script,
            directory,
            facts,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("server")
    }

    pub(crate) fn fact(&self, name: &str) -> String {
        self.facts[name].clone()
    }

    /// Runs a command of the script and returns what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.script);
        let (first, rest) = arguments.split_first().unwrap();
        command.arg(first).arg(self.path()).args(rest);
        command
    }

    /// Runs a client of OpenLDAP with LDIF on its standard input.
    pub(crate) fn ldif(&self, tool: &str, ldif: &str) {
        let file = self.directory.path().join("change.ldif");
        std::fs::write(&file, ldif).unwrap();
        self.run(&["tool", tool, "-f", file.to_str().unwrap()]);
    }

    pub(crate) fn ca(&self) -> Vec<u8> {
        std::fs::read(self.fact(&format!("{}_CA_FILE", self.prefix()))).unwrap()
    }

    /// Settings for the account with least rights.
    pub(crate) fn settings(&self) -> Settings {
        let fact = |name: &str| self.fact(&format!("{}_{name}", self.prefix()));
        let (base, username, password) = if self.prefix() == "AD" {
            let base = fact("BASE_DN");
            let username = format!("CN=svc-reader,OU=Service Accounts,{base}");
            (base, username, "Read-Pa55word!".to_owned())
        } else {
            (fact("SUFFIX"), fact("READER_DN"), fact("READER_PASSWORD"))
        };
        Settings {
            name: "test".to_owned(),
            server_type: None,
            servers: vec![fact("LDAPS_URL")],
            base_dn: base,
            anchor: None,
            bind: Bind::Simple {
                username,
                password: password.into(),
            },
            ca_pem: Some(self.ca()),
            timeouts: Timeouts::default(),
            page_size: PAGE_SIZE,
            detect: Detect::Auto,
            full_reads: FULL_READS,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let wiped = self.command(&["wipe"]).output();
        if !wiped.is_ok_and(|output| output.status.success()) {
            eprintln!("{} could not be wiped", self.path().display());
        }
    }
}
