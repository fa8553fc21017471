//! `ldapsearch` gets the same LDIF from the embedded directory as from slapd with the same data, and still does after a company's changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use plumbline_lab::{
    company::{Company, Dialect},
    directory::{Account, Change, Config, Directory, Dn, Profile, read_entries, write_changes},
};

const ADDRESS: &str = "127.0.0.22";
const URL: &str = "ldap://127.0.0.22:1389";
const READER: &str = "Read-Pa55word!";
const ADMINISTRATOR: &str = "Adm1n-Pa55word!";

/// A slapd that is gone when dropped.
struct Slapd {
    folder: tempfile::TempDir,
    suffix: String,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../openldap")
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

impl Slapd {
    fn start(company: &Company) -> Self {
        let slapd = Self {
            folder: tempfile::tempdir().unwrap(),
            suffix: company.base_dn(),
        };
        let run = |arguments: &[&str]| {
            let mut command = Command::new(script());
            command
                .arg(arguments[0])
                .arg(slapd.folder.path().join("slapd"))
                .args(&arguments[1..]);
            output(
                command
                    .env("OL_IP", ADDRESS)
                    .env("OL_SUFFIX", &slapd.suffix),
            )
        };
        run(&["up"]);
        let file = slapd.folder.path().join("company.ldif");
        std::fs::write(&file, company.to_ldif()).unwrap();
        run(&["load", &file.to_string_lossy()]);
        slapd
    }

    fn modify(&self, changes: &[Change]) {
        let file = self.folder.path().join("changes.ldif");
        std::fs::write(&file, write_changes(changes)).unwrap();
        let administrator = format!("cn=admin,{}", self.suffix);
        output(
            Command::new("ldapmodify")
                .args(["-x", "-H", URL, "-D", &administrator, "-w", ADMINISTRATOR])
                .arg("-f")
                .arg(file),
        );
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        // A failure to wipe a throw-away server changes no verdict.
        let _ = Command::new(script())
            .arg("wipe")
            .arg(self.folder.path().join("slapd"))
            .output();
    }
}

type Entries = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What `ldapsearch` finds, with names and DN values in their comparable forms. The suffix and the lab's service accounts are left out.
fn search(url: &str, reader: &str, suffix: &str, filter: &str) -> Entries {
    let ldif = output(Command::new("ldapsearch").args([
        "-x",
        "-LLL",
        "-o",
        "ldif-wrap=no",
        "-E",
        "pr=100/noprompt",
        "-H",
        url,
        "-D",
        reader,
        "-w",
        READER,
        "-b",
        suffix,
        filter,
    ]));
    let key = |dn: &str| Dn::parse(dn).unwrap().key();
    let own = [key(suffix), key(&format!("ou=services,{suffix}"))];
    let mut entries = Entries::new();
    for entry in read_entries(&ldif).unwrap() {
        let dn = key(&entry.dn);
        if dn == own[0] || dn.ends_with(&own[1]) {
            continue;
        }
        let attributes = entries.entry(dn).or_default();
        for attribute in entry.attributes {
            let name = attribute.name.to_lowercase();
            let refers = ["member", "manager"].contains(&&*name);
            let values = attribute.values.into_iter().map(|value| {
                let text = String::from_utf8_lossy(&value).into_owned();
                if refers { key(&text) } else { text }
            });
            attributes.entry(name).or_default().extend(values);
        }
    }
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn ldapsearch_gets_the_same_from_the_embedded_directory_as_from_slapd() {
    let mut company = Company::generate(3, 150, Dialect::OpenLdap);
    let slapd = Slapd::start(&company);
    let suffix = company.base_dn();
    let reader = format!("cn=reader,ou=services,{suffix}");
    let mut config = Config::new(Profile::OpenLdap, &suffix);
    config.entries = company.entries();
    config.accounts = vec![Account::reader(&reader, READER)];
    let embedded = Directory::start(config).await.unwrap();

    let compare = |what: &str| {
        for filter in [
            "(objectClass=*)",
            "(objectClass=inetOrgPerson)",
            "(&(objectClass=groupOfNames)(!(cn=All of*)))",
            "(|(sn=*ö*)(givenName=B*)(cn=*\\28*))",
            "(!(mail=*))",
            "(cn=\\23general)",
            "(title=*&*)",
            "(manager=*)",
        ] {
            let (real, ours) = (
                search(URL, &reader, &suffix, filter),
                search(&embedded.ldap_url(), &reader, &suffix, filter),
            );
            let all: BTreeSet<_> = real.keys().chain(ours.keys()).collect();
            for dn in all {
                assert_eq!(ours.get(dn), real.get(dn), "{what}, {filter}: {dn}");
            }
            assert!(
                !real.is_empty() || filter.contains('&') || filter.contains("23"),
                "{filter} finds nobody"
            );
        }
    };
    compare("as loaded");

    let person = *company.people().keys().nth(20).unwrap();
    let unit = company.people()[company.people().keys().nth(60).unwrap()].unit;
    let staff = company.unit_named("Staff").unwrap();
    let mut changes = company.rename(person, "O'Neil, \"Żółć\"").unwrap();
    changes.extend(company.move_to(person, unit).unwrap());
    changes.extend(company.hire(unit).unwrap().1);
    changes.extend(company.rename_unit(staff, "People + Culture").unwrap());
    slapd.modify(&changes);
    embedded.apply_all(&changes).unwrap();
    compare("after the company's changes");
}
