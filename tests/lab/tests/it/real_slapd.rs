//! The embedded directory against a real slapd (`tests/openldap`) with the same data, both asked by the same `ldapsearch`.
//!
//! What differs may be order, and operational attributes that no two servers share. A missing `slapd` or `ldapsearch`
//! fails the test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use plumbline_lab::company::{Company, Dialect};
use plumbline_lab::directory::{Account, Config, Directory, Profile, write_changes};

use crate::command_line::{Answer, Content, Target, a_year, assert_same, assert_same_steps};
use crate::sync::Consumer;
use crate::sync_transcript::Transcript;

const PASSWORD: &str = "Adm1n-Pa55word!";
const ADDRESS: &str = "127.0.0.41";

/// A slapd of its own, gone when dropped.
struct Slapd {
    script: PathBuf,
    place: tempfile::TempDir,
    target: Target,
}

impl Slapd {
    fn start(company: &Company) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openldap");
        let place = tempfile::tempdir().unwrap();
        let port = || {
            std::net::TcpListener::bind((ADDRESS, 0))
                .unwrap()
                .local_addr()
                .unwrap()
                .port()
                .to_string()
        };
        let base = company.base_dn();
        let (plain, secure) = (port(), port());
        let output = Command::new(&script)
            .arg("up")
            .arg(place.path().join("server"))
            .envs([
                ("OL_IP", ADDRESS),
                ("OL_PORT", &plain),
                ("OL_TLS_PORT", &secure),
            ])
            .envs([
                ("OL_SUFFIX", base.as_str()),
                ("OL_EMPTY", "yes"),
                ("OL_PASSWORD", PASSWORD),
            ])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let target = Target {
            url: format!("ldap://{ADDRESS}:{plain}"),
            name: format!("cn=admin,{base}"),
            password: PASSWORD.to_owned(),
        };
        let slapd = Self {
            script,
            place,
            target,
        };
        // Not by slapadd -q, which leaves the spelling of names in values as it is.
        let added = slapd.target.modify(&write_changes(&company.founding()));
        assert_eq!(added.code, 0, "{}", added.output);
        slapd
    }
}

impl Slapd {
    fn restart(&self) {
        for command in ["down", "up"] {
            let output = Command::new(&self.script)
                .arg(command)
                .arg(self.place.path().join("server"))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
        }
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        // Failing to clean up must not hide the test's own failure.
        let _ = Command::new(&self.script)
            .arg("wipe")
            .arg(self.place.path().join("server"))
            .output();
    }
}

async fn embedded(company: &Company) -> (Directory, Target) {
    let base = company.base_dn();
    let mut config = Config {
        entries: company.entries(),
        ..Config::new(Profile::OpenLdap, &base)
    };
    let name = format!("cn=admin,{base}");
    config
        .accounts
        .push(Account::reader(&name, PASSWORD).writing());
    let directory = Directory::start(config).await.unwrap();
    let url = directory.ldap_url();
    (
        directory,
        Target {
            url,
            name,
            password: PASSWORD.to_owned(),
        },
    )
}

/// Attributes whose values no two servers share, or which slapd keeps for its replication.
const OWN: [&str; 7] = [
    "entryUUID",
    "entryCSN",
    "contextCSN",
    "createTimestamp",
    "modifyTimestamp",
    "creatorsName",
    "modifiersName",
];

fn everything(target: &Target, base: &str) -> Content {
    let mut entries = target.entries(&["-b", base, "(objectClass=*)", "*", "+"]);
    for entry in entries.values_mut() {
        for name in OWN {
            entry.remove(name);
        }
    }
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn ldapsearch_gets_the_same_ldif_from_the_embedded_directory_as_from_slapd() {
    let mut company = Company::generate(21, 120, Dialect::OpenLdap);
    let base = company.base_dn();
    let slapd = Slapd::start(&company);
    let (_directory, ours) = embedded(&company).await;
    assert_same(&everything(&ours, &base), &everything(&slapd.target, &base));
    assert!(everything(&ours, &base).len() > 150);

    let mut wrong = Vec::new();
    for filter in [
        "(cn=*o*)",
        "(cn=#*)",
        "(cn=\\23general)",
        "(cn=*\\2a*)",
        "(sn=müller*)",
        "(sn>=m)",
        "(employeeNumber<=E-10000300)",
        "(mail=*@CORP.example.com)",
        "(!(mail=*))",
        "(&(uid=*)(!(title=*)))",
        "(|(title=engineer)(l=東京))",
        "(xyz=1)",
        "(!(xyz=1))",
        "(telephoneNumber=+44-20-7946*)",
        "(description=*  *)",
        "(cn=rosa & diego lab <prototype>)",
        "(objectClass=PERSON)",
        "(objectClass=inetOrgPerson)",
        "(entryDN:=ou=staff,dc=corp,dc=example,dc=com)",
        "(cn:caseExactMatch:=#general)",
        "(cn:caseExactMatch:=#General)",
        "(cn:caseIgnoreMatch:=#General)",
        "(cn:fantasyMatch:=#general)",
        "(cn=rosa *)",
        "(cn=*  lab*)",
        "(objectClass=top)",
        "(hasSubordinates=TRUE)",
        "(createTimestamp>=20200101000000Z)",
        "(createTimestamp<=20200101000000Z)",
        "(structuralObjectClass=groupOfNames)",
        "(&)",
        "(|)",
    ] {
        for scope in ["base", "one", "sub"] {
            let staff = format!("ou=Staff,{base}");
            for base in [&base, &staff] {
                let arguments = ["-b", base, "-s", scope, filter, "1.1"];
                let names =
                    |target: &Target| target.entries(&arguments).into_keys().collect::<Vec<_>>();
                let (own, real) = (names(&ours), names(&slapd.target));
                if own != real {
                    wrong.push(format!(
                        "{filter} {scope} {base}: {own:?} instead of {real:?}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // References, by a name in the other escaping and another case.
    let member = company
        .people()
        .values()
        .find(|each| each.common_name.contains(','))
        .unwrap();
    let name = format!(
        "CN={},OU=staff,{}",
        member.common_name.replace('"', "\\22").replace(',', "\\2c"),
        base.to_uppercase()
    );
    let filter = format!("(manager={})", ldap3::ldap_escape(&*name));
    let found = slapd.target.entries(&["-b", &base, &filter]);
    assert!(!found.is_empty());
    assert_eq!(ours.entries(&["-b", &base, &filter]), found);

    for selection in [
        &["1.1"][..],
        &["CN", "description"],
        &["*"],
        &["cn;lang-de"],
        &["entryDN", "+"],
        &["-A"],
        &["-A", "sn", "nonsense"],
    ] {
        let arguments = [
            &["-b", &base, "-E", "pr=50/noprompt", "(sn=*)"][..],
            selection,
        ]
        .concat();
        let attributes = |target: &Target| {
            let entries = target.entries(&arguments);
            let strip = |each: BTreeMap<String, _>| {
                each.into_keys()
                    .filter(|name| !OWN.contains(&name.as_str()))
                    .collect::<Vec<_>>()
            };
            entries
                .into_iter()
                .map(|(dn, each)| (dn, strip(each)))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            attributes(&ours),
            attributes(&slapd.target),
            "{selection:?}"
        );
    }

    // The company lives on; both servers take the same changes from the same tool.
    let changes = a_year(&mut company);
    let ldif = write_changes(&changes);
    for target in [&ours, &slapd.target] {
        assert_eq!(
            target.modify(&ldif),
            Answer {
                code: 0,
                output: String::new()
            },
            "{}",
            target.url
        );
    }
    assert_same(&everything(&ours, &base), &everything(&slapd.target, &base));
    let (_fresh, expected) = embedded(&company).await;
    assert_same(&everything(&ours, &base), &everything(&expected, &base));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_refuse_the_same_requests_with_the_same_codes() {
    let company = Company::generate(22, 20, Dialect::OpenLdap);
    let base = company.base_dn();
    let slapd = Slapd::start(&company);
    let (_directory, ours) = embedded(&company).await;
    let group = format!("cn=\\#general,ou=Groups,{base}");
    let entry = "objectClass: inetOrgPerson\nuid: a\ncn: a\nsn: a\n";
    let mut wrong = Vec::new();
    for ldif in [
        format!("dn: {group}\nchangetype: modify\nadd: cn\ncn: #GENERAL\n"),
        format!("dn: {group}\nchangetype: modify\ndelete: cn\n"),
        format!("dn: {group}\nchangetype: modify\ndelete: seeAlso\n"),
        format!("dn: {group}\nchangetype: modify\ndelete: description\ndescription: other\n"),
        format!("dn: {group}\nchangetype: modify\nreplace: member\n"),
        format!("dn: {group}\nchangetype: modify\nadd: member\nmember: nobody\n"),
        format!("dn: {group}\nchangetype: modify\nadd: nonsense\nnonsense: x\n"),
        format!(
            "dn: {group}\nchangetype: modify\nreplace: entryUUID\nentryUUID: 11111111-2222-3333-4444-555555555555\n"
        ),
        format!(
            "dn: {group}\nchangetype: add\nobjectClass: groupOfNames\ncn: #general\nmember: {base}\n"
        ),
        format!("dn: uid=a,ou=nowhere,{base}\nchangetype: add\n{entry}"),
        format!(
            "dn: uid=a,ou=Staff,{base}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: a\ncn: a\n"
        ),
        format!(
            "dn: uid=a,ou=Staff,{base}\nchangetype: add\n{entry}displayName: x\ndisplayName: y\n"
        ),
        format!("dn: ou=Staff,{base}\nchangetype: delete\n"),
        format!("dn: ou=nowhere,{base}\nchangetype: delete\n"),
        format!("dn: ou=Staff,{base}\nchangetype: modrdn\nnewrdn: ou=Groups\ndeleteoldrdn: 1\n"),
        format!(
            "dn: ou=Staff,{base}\nchangetype: modrdn\nnewrdn: ou=x\ndeleteoldrdn: 1\nnewsuperior: ou=nowhere,{base}\n"
        ),
        "dn: cn=<,dc=x\nchangetype: delete\n".to_owned(),
    ] {
        let code = slapd.target.modify(&ldif).code;
        assert_ne!(code, 0, "{ldif}");
        let own = ours.modify(&ldif).code;
        if own != code {
            wrong.push(format!("{own} instead of {code}: {ldif}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for arguments in [
        vec!["-b", "ou=a,ou=nowhere,dc=corp,dc=example,dc=com"],
        vec!["-b", "dc=elsewhere"],
        vec!["-b", "cn=<"],
        vec!["-b", &base, "-z", "5", "(sn=*)", "1.1"],
        vec![
            "-b",
            &base,
            "-E",
            "pr=3/noprompt",
            "-z",
            "5",
            "(sn=*)",
            "1.1",
        ],
        vec!["-b", &base, "-e", "!1.2.3.4.5", "(sn=*)", "1.1"],
        vec!["-b", &base, "-D", "cn=nobody", "-s", "base"],
        vec!["-b", "", "-s", "base", "namingContexts"],
    ] {
        let (real, ours) = (slapd.target.search(&arguments), ours.search(&arguments));
        let count = |answer: &Answer| {
            answer
                .output
                .lines()
                .filter(|line| line.starts_with("dn:"))
                .count()
        };
        assert_eq!(
            (ours.code, count(&ours)),
            (real.code, count(&real)),
            "{arguments:?}"
        );
    }
    let wrong = |target: &Target, name: &str, password: &str| {
        let arguments = [
            "-x",
            "-H",
            &target.url,
            "-D",
            name,
            "-w",
            password,
            "-b",
            "",
            "-s",
            "base",
        ];
        Command::new("ldapsearch")
            .args(arguments)
            .output()
            .unwrap()
            .status
            .code()
    };
    for (name, password) in [
        (ours.name.as_str(), "wrong"),
        (&base, "x"),
        ("nonsense", "x"),
        ("", ""),
    ] {
        assert_eq!(
            wrong(&ours, name, password),
            wrong(&slapd.target, name, password),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ldapsearch_reaches_the_embedded_directory_by_starttls_and_ldaps() {
    let company = Company::generate(23, 5, Dialect::OpenLdap);
    let (directory, ours) = embedded(&company).await;
    let place = tempfile::tempdir().unwrap();
    let ca = place.path().join("ca.pem");
    std::fs::write(&ca, directory.ca_pem()).unwrap();
    for (url, starttls) in [(directory.ldap_url(), true), (directory.ldaps_url(), false)] {
        let run = |trusted: bool| {
            let mut command = Command::new("ldapsearch");
            command.args([
                "-x",
                "-H",
                &url,
                "-D",
                &ours.name,
                "-w",
                PASSWORD,
                "-b",
                &company.base_dn(),
                "-s",
                "base",
            ]);
            command.args(starttls.then_some("-ZZ"));
            command.env(
                "LDAPTLS_CACERT",
                if trusted {
                    ca.as_path()
                } else {
                    Path::new("/dev/null")
                },
            );
            command.output().unwrap().status.success()
        };
        assert!(run(true), "{url}");
        assert!(!run(false), "{url} without the CA");
    }
}

async fn bound(target: &Target) -> ldap3::Ldap {
    let (connection, mut ldap) = ldap3::LdapConnAsync::new(&target.url).await.unwrap();
    tokio::spawn(connection.drive());
    let bind = ldap.simple_bind(&target.name, &target.password).await;
    bind.unwrap().success().unwrap();
    ldap
}

#[tokio::test(flavor = "multi_thread")]
async fn content_synchronisation_tells_the_same_as_slapd_of_the_same_changes() {
    let company = Company::generate(24, 5, Dialect::OpenLdap);
    let base = company.base_dn();
    let slapd = Slapd::start(&company);
    let (directory, ours) = embedded(&company).await;
    let mut transcripts = Vec::new();
    for (target, own) in [(ours, true), (slapd.target.clone(), false)] {
        let ldap = bound(&target).await;
        let mut transcript = Transcript::start(target.clone(), &format!("ou=refresh,{base}"));
        let mut consumer = transcript.refreshes(&ldap).await;
        if own {
            directory.restart();
        } else {
            slapd.restart();
        }
        let ldap = bound(&target).await;
        transcript.after_restart(&ldap, &mut consumer).await;
        let mut followed = Transcript::start(target, &format!("ou=persist,{base}"));
        followed
            .persist(
                &ldap,
                &Consumer::new(&followed.root.clone(), crate::sync_transcript::FILTER),
            )
            .await;
        transcript.steps.extend(followed.steps);
        transcripts.push(transcript.steps);
    }
    assert_same_steps(&transcripts[0], &transcripts[1]);
}
