//! The `Samba` dialect on a real Samba domain controller (`tests/samba-ad`, root only): it takes the company and its changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use plumbline_lab::company::{Company, Dialect};
use plumbline_lab::directory::{Attribute, Dn, Entry, write_changes};

use crate::command_line::{Answer, Content, Target, a_year, assert_same};

/// Samba's ports are fixed, so its address must be its own.
const ADDRESS: &str = "127.0.0.42";

struct Samba {
    script: PathBuf,
    place: tempfile::TempDir,
    target: Target,
}

impl Samba {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samba-ad");
        let place = tempfile::tempdir().unwrap();
        let server = place.path().join("server");
        let output = Command::new(&script)
            .arg("up")
            .arg(&server)
            .env("AD_IP", ADDRESS)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let facts = String::from_utf8(output.stdout).unwrap();
        let fact = |name: &str| {
            let line = facts.lines().find_map(|line| {
                line.strip_prefix(name)
                    .and_then(|rest| rest.strip_prefix('='))
            });
            line.unwrap().trim_matches('\'').to_owned()
        };
        let target = Target {
            url: fact("AD_LDAP_URL"),
            name: fact("AD_BIND_DN"),
            password: fact("AD_BIND_PASSWORD"),
        };
        Self {
            script,
            place,
            target,
        }
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        // Failing to clean up must not hide the test's own failure.
        let _ = Command::new(&self.script)
            .arg("wipe")
            .arg(self.place.path().join("server"))
            .output();
    }
}

/// What the company says of each entry, names by key.
fn expected(company: &Company) -> Content {
    let reduce = |entry: &Entry| {
        let pair = |each: &Attribute| {
            let texts = each
                .values
                .iter()
                .map(|value| String::from_utf8(value.clone()).unwrap());
            (each.name.clone(), by_key(&each.name, texts.collect()))
        };
        entry.attributes.iter().map(pair).collect()
    };
    company
        .entries()
        .iter()
        .map(|entry| (Dn::parse(&entry.dn).unwrap().key(), reduce(entry)))
        .collect()
}

fn by_key(name: &str, values: BTreeSet<String>) -> BTreeSet<String> {
    if matches!(name, "member" | "manager") {
        return values
            .iter()
            .map(|value| Dn::parse(value).unwrap().key())
            .collect();
    }
    values
}

/// What Samba holds below the company's units, without attributes that the company says nothing of.
fn held(target: &Target, company: &Company) -> Content {
    let known = expected(company);
    let mut all = BTreeMap::new();
    for unit in company
        .units()
        .iter()
        .filter(|(_, unit)| unit.parent.is_none())
        .map(|(id, _)| *id)
    {
        let base = company.dn(unit).unwrap();
        for (dn, attributes) in target.entries(&["-b", &base, "-E", "pr=200/noprompt"]) {
            let key = Dn::parse(&dn).unwrap().key();
            let said = known.get(&key);
            let kept = attributes
                .into_iter()
                .filter(|(name, _)| said.is_some_and(|said| said.contains_key(name)));
            all.insert(
                key,
                kept.map(|(name, values)| (name.clone(), by_key(&name, values)))
                    .collect(),
            );
        }
    }
    all
}

#[test]
fn samba_takes_the_company_and_a_year_of_changes() {
    let samba = Samba::start();
    let mut company = Company::generate(31, 80, Dialect::Samba);
    let founded = samba.target.modify(&write_changes(&company.founding()));
    assert_eq!(
        founded,
        Answer {
            code: 0,
            output: String::new()
        }
    );
    assert_same(&held(&samba.target, &company), &expected(&company));
    let changes = a_year(&mut company);
    assert_eq!(
        samba.target.modify(&write_changes(&changes)),
        Answer {
            code: 0,
            output: String::new()
        }
    );
    assert_same(&held(&samba.target, &company), &expected(&company));
}
