//! A real Samba domain controller (`tests/samba-ad`, root only): it takes the company and its changes in the `Samba` dialect,
//! and tells by DirSync what the embedded directory tells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use plumbline_lab::company::{Company, Dialect};
use plumbline_lab::directory::{
    Account, Attribute, Change, Config, Directory, Dn, Entry, Modification, Profile, write_changes,
};

use crate::command_line::{Answer, Content, Target, a_year, assert_same, assert_same_steps};
use crate::dirsync::{Feed, INCREMENTAL_VALUES, OBJECT_SECURITY, readable};

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

#[tokio::test(flavor = "multi_thread")]
async fn samba_takes_the_company_and_a_year_of_changes_and_dirsync_tells_the_same() {
    let samba = Samba::start();
    dirsync_tells_the_same(&samba).await;
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

/// A domain of the embedded directory with the same base as Samba's.
async fn embedded(target: &Target) -> (Directory, Target) {
    let mut config = Config::new(Profile::Ad, "DC=corp,DC=example,DC=com");
    let account = Account::reader(&target.name, &target.password);
    config
        .accounts
        .push(account.writing().seeing_deleted().replicating());
    let directory = Directory::start(config).await.unwrap();
    let target = Target {
        url: directory.ldap_url(),
        name: target.name.clone(),
        password: target.password.clone(),
    };
    (directory, target)
}

async fn bound(target: &Target) -> ldap3::Ldap {
    let (connection, mut ldap) = ldap3::LdapConnAsync::new(&target.url).await.unwrap();
    tokio::spawn(connection.drive());
    let bind = ldap.simple_bind(&target.name, &target.password).await;
    bind.unwrap().success().unwrap();
    ldap
}

/// What each feed is told, step by step: objects and attributes in order of name, GUIDs and SIDs by the object they are of.
async fn told(target: &Target, base: &str) -> Vec<(String, Vec<String>)> {
    const WANTED: [&str; 13] = [
        "objectClass",
        "name",
        "parentGUID",
        "sAMAccountName",
        "mail",
        "title",
        "description",
        "member",
        "manager",
        "managedBy",
        "isDeleted",
        "isRecycled",
        "cn",
    ];
    let ldap = &mut bound(target).await;
    let mut feeds = [
        ("incremental", Feed::new(base, &WANTED, INCREMENTAL_VALUES)),
        ("whole", Feed::new(base, &["mail", "member", "manager"], 0)),
        ("names", Feed::new(base, &["name"], INCREMENTAL_VALUES)),
        (
            "parents",
            Feed::new(base, &["parentGUID", "cn", "memberOf"], 0),
        ),
        ("deletes", Feed::new(base, &["isDeleted"], OBJECT_SECURITY)),
    ];
    for (_, feed) in &mut feeds {
        feed.poll(ldap).await;
    }
    let mut guids: BTreeMap<String, String> = BTreeMap::new();
    let mut lines = Vec::new();
    for (step, changes) in steps(base) {
        let answer = target.modify(&write_changes(&changes));
        assert_eq!(answer.code, 0, "{}: {step}: {}", target.url, answer.output);
        for (name, feed) in &mut feeds {
            let found = feed.poll(ldap).await;
            let mut said = Vec::new();
            for (dn, attributes) in &found {
                let guid = readable(attributes)["objectGUID"].concat();
                // The first name is the label; what has no label yet gets one on an add only.
                let rdn = dn.split(',').next().unwrap_or_default();
                let label = rdn.split("\\0ADEL:").next().unwrap_or_default();
                guids.entry(guid).or_insert_with(|| label.to_owned());
            }
            for (dn, attributes) in &found {
                let mut text = readable(attributes);
                let guid = text.remove("objectGUID").unwrap().concat();
                if let Some(parent) = text.get_mut("parentGUID") {
                    *parent = vec![guids.get(&parent.concat()).cloned().unwrap_or_default()];
                }
                let cut = |text: &str| match text.split_once("DEL:") {
                    Some((head, tail)) => {
                        format!("{head}DEL:{}", tail.get(36..).unwrap_or_default())
                    }
                    None => text.to_owned(),
                };
                let values: BTreeMap<String, Vec<String>> = text
                    .into_iter()
                    .map(|(name, values)| {
                        let mut values: Vec<String> = values.iter().map(|each| cut(each)).collect();
                        if name != "objectClass" {
                            values.sort_unstable();
                        }
                        (name, values)
                    })
                    .collect();
                said.push(format!("{name}: {} {} {values:?}", guids[&guid], cut(dn)));
            }
            said.sort_unstable();
            lines.push((step.to_owned(), said));
        }
    }
    lines
}

fn steps(base: &str) -> Vec<(&'static str, Vec<Change>)> {
    let unit = format!("OU=Feed,{base}");
    let renamed = format!("OU=Fed,{base}");
    let dn = |name: &str| format!("CN={name},{unit}");
    let later = |name: &str| format!("CN={name},{renamed}");
    let user = |name: &str| {
        Entry::new(dn(name))
            .with("objectClass", "user")
            .with("sAMAccountName", name)
    };
    let modify = |dn: String, step: Modification| Change::Modify {
        dn,
        modifications: vec![step],
    };
    let rename = |dn: String, new_rdn: &str, superior: Option<String>| Change::Rename {
        dn,
        new_rdn: new_rdn.to_owned(),
        delete_old_rdn: true,
        new_superior: superior,
    };
    let delete = |dn: String| Change::Delete { dn };
    let group = Entry::new(dn("g"))
        .with("objectClass", "group")
        .with("sAMAccountName", "g")
        .with("member", dn("u1"))
        .with("managedBy", dn("u2"));
    let whole = Entry::new(unit.as_str()).with("objectClass", "organizationalUnit");
    vec![
        (
            "adds",
            vec![
                Change::Add(whole),
                Change::Add(user("u1").with("mail", "u1@x").with("title", "t")),
                Change::Add(user("u2").with("manager", dn("u1"))),
                Change::Add(group),
            ],
        ),
        (
            "an attribute changed, one removed",
            vec![
                modify(dn("u1"), Modification::replace("mail", ["u1@y"])),
                modify(dn("u1"), Modification::replace::<&str>("title", [])),
            ],
        ),
        (
            "the same value",
            vec![modify(dn("u1"), Modification::replace("mail", ["u1@y"]))],
        ),
        (
            "a member added",
            vec![modify(dn("g"), Modification::add("member", dn("u2")))],
        ),
        (
            "a member and a manager removed",
            vec![
                modify(dn("g"), Modification::delete("member", dn("u1"))),
                modify(dn("u2"), Modification::replace::<&str>("manager", [])),
            ],
        ),
        (
            "added and removed again",
            vec![
                modify(dn("g"), Modification::add("member", dn("u1"))),
                modify(dn("g"), Modification::delete("member", dn("u1"))),
            ],
        ),
        ("a leaf renamed", vec![rename(dn("u1"), "CN=u1x", None)]),
        ("a unit renamed", vec![rename(unit.clone(), "OU=Fed", None)]),
        (
            "moved",
            vec![rename(
                later("u1x"),
                "CN=u1x",
                Some(format!("CN=Users,{base}")),
            )],
        ),
        ("a member deleted", vec![delete(later("u2"))]),
        (
            "added and deleted",
            vec![
                Change::Add(
                    Entry::new(later("u9"))
                        .with("objectClass", "user")
                        .with("sAMAccountName", "u9")
                        .with("mail", "m"),
                ),
                delete(later("u9")),
            ],
        ),
        ("a group deleted", vec![delete(later("g"))]),
        ("a unit deleted", vec![delete(renamed.clone())]),
    ]
}

/// Windows differs in what is left out here: `lastKnownParent` (extended on Samba), descriptors and passwords, pages.
async fn dirsync_tells_the_same(samba: &Samba) {
    let base = "DC=corp,DC=example,DC=com";
    let (_directory, ours) = embedded(&samba.target).await;
    let (ours, theirs) = (told(&ours, base).await, told(&samba.target, base).await);
    assert_same_steps(&ours, &theirs);
    assert!(ours.iter().map(|(_, lines)| lines.len()).sum::<usize>() > 30);
}
