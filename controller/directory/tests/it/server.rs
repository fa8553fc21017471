//! Real servers for tests: OpenLDAP and Samba AD by the scripts in `tests/`, each on a loopback address of its own, gone when
//! the value is dropped.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use plumbline_directory::{Bind, DirectorySource, PAGE_SIZE, Settings, Timeouts};
use plumbline_engine::{
    anchor::Anchor,
    entry::Entry,
    port::{Import, ReadRequest, Source as _},
};
use tempfile::TempDir;

/// A running server.
pub(crate) struct Server {
    script: PathBuf,
    directory: TempDir,
    pub(crate) facts: BTreeMap<String, String>,
}

impl Server {
    /// OpenLDAP with five people and three groups.
    pub(crate) fn openldap(address: &str, options: &[(&str, &str)]) -> Self {
        let mut all = vec![("OL_IP", address), ("OL_REQUIRE_TLS", "yes")];
        all.extend_from_slice(options);
        let server = Self::start("openldap", &all);
        server.run(&["seed"]);
        server
    }

    /// A Samba domain controller with the account `svc-sync`.
    pub(crate) fn samba(address: &str, options: &[(&str, &str)]) -> Self {
        let mut all = vec![("AD_IP", address), ("AD_STRONG_AUTH", "yes")];
        all.extend_from_slice(options);
        let server = Self::start("samba-ad", &all);
        server.run(&["seed"]);
        server
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
        let name = if self.facts.contains_key("OL_CA_FILE") {
            "OL_CA_FILE"
        } else {
            "AD_CA_FILE"
        };
        std::fs::read(self.fact(name)).unwrap()
    }

    /// Settings for the account with least rights.
    pub(crate) fn settings(&self) -> Settings {
        let (url, base, username, password) = if self.facts.contains_key("OL_SUFFIX") {
            (
                "OL_LDAPS_URL",
                "OL_SUFFIX",
                self.fact("OL_READER_DN"),
                self.fact("OL_READER_PASSWORD"),
            )
        } else {
            let base = self.fact("AD_BASE_DN");
            (
                "AD_LDAPS_URL",
                "AD_BASE_DN",
                format!("CN=svc-sync,OU=Lab,{base}"),
                "Sync-Pa55word!".to_owned(),
            )
        };
        Settings {
            name: "test".to_owned(),
            server_type: None,
            servers: vec![self.fact(url)],
            base_dn: self.fact(base),
            anchor: None,
            bind: Bind::Simple {
                username,
                password: password.into(),
            },
            ca_pem: Some(self.ca()),
            timeouts: Timeouts::default(),
            page_size: PAGE_SIZE,
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

/// What a read brought, in order.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) begin: Option<Import>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tombstones: Vec<Anchor>,
    pub(crate) ended: bool,
}

impl Seen {
    pub(crate) fn entry(&self, rdn: &str) -> &Entry {
        self.entries
            .iter()
            .find(|entry| entry.dn.starts_with(&format!("{rdn},")))
            .unwrap_or_else(|| panic!("{rdn} was not read"))
    }
}

/// Reads everything, and holds what every read must: `End` comes last and only on success.
pub(crate) async fn read(
    source: &mut DirectorySource,
    attributes: &[&str],
) -> (Result<(), plumbline_directory::DirectoryError>, Seen) {
    let request = ReadRequest {
        attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut seen = Seen::default();
    let outcome = source
        .read(&request, &mut |event| {
            assert!(!seen.ended, "nothing follows the end");
            match event {
                Import::Batch(entries) => seen.entries.extend(entries),
                Import::Tombstones(anchors) => seen.tombstones.extend(anchors),
                Import::End => seen.ended = true,
                Import::Begin { .. } => {
                    assert!(seen.begin.is_none());
                    seen.begin = Some(event);
                }
                Import::Evidence { .. } => panic!("a read gives no evidence"),
            }
        })
        .await;
    assert_eq!(outcome.is_ok(), seen.ended);
    (outcome, seen)
}
