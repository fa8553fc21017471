//! The embedded directory, asked by the `ldap3` client as the operator asks: each test holds one trait of slapd or of AD.

use std::collections::BTreeMap;
use std::sync::Arc;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::controls::RawControl;
use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, ResultEntry, Scope, SearchEntry,
};
use plumbline_lab::company::{Company, Dialect};
use plumbline_lab::directory::{Account, Config, Directory, Entry, Profile};
use rustls::pki_types::pem::PemObject as _;

mod active_directory;
mod binding;
mod content_sync;
mod dirsync;
mod fault;
mod limit;
mod search;
mod write;

const PASSWORD: &str = "Read-Pa55word!";
const READER: &str = "cn=reader,ou=services";
const WRITER: &str = "cn=writer,ou=services";

/// A directory filled with a company, and the company.
struct World {
    directory: Directory,
    company: Company,
}

impl World {
    async fn start(profile: Profile, people: usize) -> Self {
        Self::with(profile, people, |_| {}).await
    }

    async fn with(profile: Profile, people: usize, change: impl FnOnce(&mut Config)) -> Self {
        let dialect = match profile {
            Profile::OpenLdap => Dialect::OpenLdap,
            Profile::Ad => Dialect::ActiveDirectory,
        };
        let company = Company::generate(11, people, dialect);
        let base = company.base_dn();
        let mut config = Config {
            entries: company.entries(),
            ..Config::new(profile, &base)
        };
        let reader = Account::reader(&format!("{READER},{base}"), PASSWORD);
        config.accounts = vec![
            reader
                .also_named("reader@corp.example.com")
                .also_named("CORP\\reader"),
            Account::reader(&format!("{WRITER},{base}"), PASSWORD)
                .writing()
                .seeing_deleted(),
        ];
        change(&mut config);
        Self {
            directory: Directory::start(config).await.unwrap(),
            company,
        }
    }

    fn base(&self) -> String {
        self.company.base_dn()
    }

    fn reader(&self) -> String {
        format!("{READER},{}", self.base())
    }

    async fn read(&self) -> Ldap {
        self.bound(READER).await
    }

    async fn write(&self) -> Ldap {
        self.bound(WRITER).await
    }

    async fn bound(&self, account: &str) -> Ldap {
        let mut ldap = connect(&self.directory.ldap_url(), false, None)
            .await
            .unwrap();
        let name = format!("{account},{}", self.base());
        ldap.simple_bind(&name, PASSWORD)
            .await
            .unwrap()
            .success()
            .unwrap();
        ldap
    }
}

async fn connect(url: &str, starttls: bool, ca: Option<&str>) -> Result<Ldap, LdapError> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(ca) = ca {
        roots
            .add(rustls::pki_types::CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
            .unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let settings = LdapConnSettings::new()
        .set_starttls(starttls)
        .set_config(Arc::new(config));
    let (connection, ldap) = LdapConnAsync::with_settings(settings, url).await?;
    tokio::spawn(connection.drive());
    Ok(ldap)
}

/// DNs, entries by DN, and the result of one search.
struct Read {
    entries: BTreeMap<String, BTreeMap<String, Vec<Vec<u8>>>>,
    names: Vec<String>,
    result: LdapResult,
}

impl Read {
    fn new(found: Vec<ResultEntry>, result: LdapResult) -> Self {
        let (mut entries, mut names) = (BTreeMap::new(), Vec::new());
        for each in found {
            if each.is_ref() || each.is_intermediate() {
                continue;
            }
            let SearchEntry {
                dn,
                attrs,
                bin_attrs,
            } = SearchEntry::construct(each);
            let bytes = |values: Vec<String>| values.into_iter().map(String::into_bytes).collect();
            let text = attrs
                .into_iter()
                .map(|(name, values)| (name, bytes(values)));
            entries.insert(dn.clone(), text.chain(bin_attrs).collect());
            names.push(dn);
        }
        Self {
            entries,
            names,
            result,
        }
    }

    fn texts(&self, dn: &str, attribute: &str) -> Vec<String> {
        let values = self.entries.get(dn).and_then(|entry| entry.get(attribute));
        values
            .into_iter()
            .flatten()
            .map(|value| String::from_utf8(value.clone()).unwrap())
            .collect()
    }
}

async fn search(
    ldap: &mut Ldap,
    base: &str,
    scope: Scope,
    filter: &str,
    attributes: &[&str],
) -> Read {
    let ldap3::SearchResult(found, result) =
        ldap.search(base, scope, filter, attributes).await.unwrap();
    Read::new(found, result)
}

/// A subtree search in pages; an error when the connection broke.
async fn paged(ldap: &mut Ldap, base: &str, filter: &str, size: i32) -> Result<Read, LdapError> {
    let adapters: Vec<Box<dyn Adapter<_, _>>> = vec![
        Box::new(EntriesOnly::new()),
        Box::new(PagedResults::new(size)),
    ];
    let mut stream = ldap
        .streaming_search_with(adapters, base, Scope::Subtree, filter, vec!["*"])
        .await?;
    let mut found = Vec::new();
    while let Some(entry) = stream.next().await? {
        found.push(entry);
    }
    let result = stream.finish().await;
    Ok(Read::new(found, result))
}

fn show_deleted() -> RawControl {
    RawControl {
        ctype: "1.2.840.113556.1.4.417".into(),
        crit: true,
        val: None,
    }
}

fn people_filter(profile: Profile) -> &'static str {
    match profile {
        Profile::OpenLdap => "(objectClass=inetOrgPerson)",
        Profile::Ad => {
            "(&(objectClass=user)(!(objectClass=computer))(!(isCriticalSystemObject=TRUE)))"
        }
    }
}

/// People and, on slapd where they are of the same class, contacts.
fn people_count(world: &World, profile: Profile) -> usize {
    let contacts = if profile == Profile::OpenLdap {
        world.company.contacts().len()
    } else {
        0
    };
    world.company.people().len() + contacts
}

fn raw_person(dn: &str) -> Entry {
    Entry::new(dn)
        .with("objectClass", "inetOrgPerson")
        .with("cn", "x")
        .with("sn", "x")
}
