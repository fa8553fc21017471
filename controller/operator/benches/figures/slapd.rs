//! A throw-away OpenLDAP (`tests/openldap`) with so many people and groups, and `ldapsearch` against it.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

pub(super) const SUFFIX: &str = "dc=example,dc=com";
pub(super) const READER: &str = "cn=reader,ou=services,dc=example,dc=com";
pub(super) const PASSWORD: &str = "Read-Pa55word!";
pub(super) const PAGE: u16 = 500;
const ADDRESS: &str = "127.0.0.77";

/// See the module. Gone when dropped.
#[derive(Debug)]
pub(super) struct Slapd {
    folder: PathBuf,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.run("wipe", None);
    }
}

impl Slapd {
    pub(super) fn start(users: u32, groups: u32) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("plumbline-bench-{}", std::process::id()));
        let slapd = Self { folder };
        slapd.run("up", None)?;
        let file = slapd.folder.with_extension("ldif");
        fs::write(&file, ldif(users, groups)?)?;
        let loaded = slapd.run("load", Some(&file));
        fs::remove_file(&file)?;
        loaded?;
        Ok(slapd)
    }

    fn run(&self, command: &str, file: Option<&Path>) -> Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/openldap");
        let output = Command::new(script)
            .arg(command)
            .arg(&self.folder)
            .args(file)
            .env("OL_IP", ADDRESS)
            .env("OL_REQUIRE_TLS", "yes")
            .env("OL_LOG_LEVEL", "none")
            .output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tests/openldap {command}: {error}");
        Ok(())
    }

    pub(super) fn url() -> String {
        format!("ldaps://{ADDRESS}:1636")
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.folder.join("tls/ca.pem")
    }

    /// How long `ldapsearch` takes for everything, paged, over TLS.
    pub(super) fn search(&self, attributes: &[String]) -> Result<Duration> {
        let began = Instant::now();
        let status = Command::new("ldapsearch")
            .args(["-x", "-H", &Self::url(), "-D", READER, "-w", PASSWORD])
            .args(["-LLL", "-o", "ldif-wrap=no", "-b", SUFFIX])
            .args(["-E", &format!("pr={PAGE}/noprompt"), "(objectClass=*)"])
            .args(attributes)
            .env("LDAPTLS_CACERT", self.ca_file())
            .stdout(Stdio::null())
            .status()
            .context("ldapsearch does not start: install ldap-utils")?;
        ensure!(status.success(), "ldapsearch: {status}");
        Ok(began.elapsed())
    }
}

/// People with a value for each of 25 mapped attributes, and groups of twenty.
fn ldif(users: u32, groups: u32) -> Result<String> {
    let mut text = String::new();
    for unit in ["people", "groups"] {
        write!(
            text,
            "dn: ou={unit},{SUFFIX}\nobjectClass: organizationalUnit\nou: {unit}\n\n"
        )?;
    }
    let dn = |at: u32| format!("uid=user{at:06},ou=people,{SUFFIX}");
    for at in 0..users {
        write!(
            text,
            "dn: {dn}\nobjectClass: inetOrgPerson\nobjectClass: extensibleObject\nuid: user{at:06}\ncn: User Number {at}\n\
             sn: Surname{sn}\ngivenName: Given{given}\ndisplayName: User Number {at}\nmail: user{at:06}@corp.example\n\
             mail: other{at:06}@corp.example\ntelephoneNumber: +49 228 {at}\nl: Bonn\no: Example Corporation\nc: DE\n\
             ou: Department {ou}\nemployeeNumber: {at:08}\nemployeeType: staff\nfacsimileTelephoneNumber: +49 229 {at}\n\
             title: Title {title}\nmobile: +49 170 {at}\nroomNumber: {room}\npostalCode: {postal:05}\npreferredLanguage: de\n\
             st: Rheinland\nstreet: Long Lane {room}\ncarLicense: BN-{at}\nmanager: {manager}\n\n",
            dn = dn(at),
            sn = at % 20_000,
            given = at % 5_000,
            ou = at % 300,
            title = at % 100,
            room = at % 999,
            postal = at % 99_999,
            manager = dn(at / 50),
        )?;
    }
    for at in 0..groups {
        write!(
            text,
            "dn: cn=group{at},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: group{at}\ndescription: Group number {at}\n"
        )?;
        let members: std::collections::BTreeSet<u32> = (0..20)
            .map(|member| (at * 31 + member * 7919) % users)
            .collect();
        for member in members {
            writeln!(text, "member: {}", dn(member))?;
        }
        text.push('\n');
    }
    Ok(text)
}
