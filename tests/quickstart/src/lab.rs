//! The lab of the quickstart: directory, tenant, and a private copy of `examples/quickstart` with their addresses in it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, anyhow};
use plumbline::{
    cloud_tenant::define_mark,
    host::{Host, folder::Folder},
    manifest::{self, Manifests},
};
use plumbline_lab::{
    company::{Company, Dialect, ObjectId},
    directory::{Account, Change, Config, Directory, Profile},
    tenant::{self, Domain, LabTenant},
};
use serde_json::Value;

const DOMAIN: &str = "corp.example.com";
const READER: &str = "cn=reader,dc=corp,dc=example,dc=com";
const READER_PASSWORD: &str = "only-for-the-lab";
const MANIFESTS: [(&str, &str); 3] = [
    (
        "directory.yaml",
        include_str!("../../../examples/quickstart/directory.yaml"),
    ),
    (
        "tenant.yaml",
        include_str!("../../../examples/quickstart/tenant.yaml"),
    ),
    (
        "sync.yaml",
        include_str!("../../../examples/quickstart/sync.yaml"),
    ),
];

/// Everything that runs beside Plumbline.
pub(crate) struct Lab {
    pub(crate) directory: Directory,
    pub(crate) tenant: LabTenant,
    pub(crate) company: Company,
    folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) async fn start(people: usize) -> Result<Self> {
        let company = Company::in_domain(1, people, Dialect::OpenLdap, DOMAIN);
        let mut config = Config::new(Profile::OpenLdap, &company.base_dn());
        config.entries = company.entries();
        config.accounts = vec![Account::reader(READER, READER_PASSWORD)];
        config.require_tls = true;
        let directory = Directory::start(config).await?;
        let tenant = LabTenant::start(tenant::Config {
            domains: vec![Domain::managed(DOMAIN)],
            ..tenant::Config::default()
        })
        .await?;
        let lab = Self {
            directory,
            tenant,
            company,
            folder: tempfile::tempdir()?,
        };
        lab.write_manifests()?;
        Ok(lab)
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.folder.path().join("secrets")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn write_manifests(&self) -> Result<()> {
        fs::create_dir_all(self.manifests())?;
        fs::create_dir_all(self.state())?;
        let graph = self.tenant.graph();
        for (name, text) in MANIFESTS {
            let text = text
                .replace("ldaps://localhost:1636", &self.directory.ldaps_url())
                .replace("https://localhost:8443/login", self.tenant.authority())
                .replace("https://localhost:8443/graph", graph)
                .replace(
                    "00000000-0000-0000-0000-000000000001",
                    &self.tenant.tenant_id(),
                )
                .replace(
                    "00000000-0000-0000-0000-000000000002",
                    &self.tenant.client_id(),
                );
            fs::write(self.manifests().join(name), text)?;
        }
        for (name, pem) in [
            ("lab-ca", self.directory.ca_pem()),
            ("lab-tenant-ca", self.tenant.ca_pem()),
        ] {
            let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"ca.crt": pem}});
            fs::write(
                self.manifests().join(format!("{name}.yaml")),
                serde_json::to_string_pretty(&map)?,
            )?;
        }
        secret(
            &self.secrets().join("lab-bind"),
            &[("username", READER), ("password", READER_PASSWORD)],
        )?;
        secret(
            &self.secrets().join("lab-application"),
            &[("clientSecret", &self.tenant.client_secret())],
        )
    }

    pub(crate) fn load(&self) -> Result<Manifests> {
        let (manifests, faults) = manifest::load(&self.manifests(), "default");
        match faults.first() {
            None => Ok(manifests),
            Some(fault) => Err(anyhow!("{fault}")),
        }
    }

    /// What `plumbline tenant init` does.
    pub(crate) async fn define_mark(&self) -> Result<()> {
        let manifests = self.load()?;
        let tenant = manifests
            .world
            .tenants
            .values()
            .next()
            .context("the examples have a CloudTenant")?
            .clone();
        let host: Arc<dyn Host> = Arc::new(Folder::new(manifests, Some(self.secrets())));
        define_mark(&host, &tenant)
            .await
            .map_err(|problem| anyhow!("{}", problem.message))?;
        Ok(())
    }

    /// Someone starts; gives the address.
    pub(crate) fn hire(&mut self) -> Result<String> {
        let unit = self.person(3)?.unit;
        let (person, changes) = self.company.hire(unit)?;
        self.apply(&changes)?;
        self.address(person)
    }

    /// Someone takes another family name.
    pub(crate) fn rename(&mut self) -> Result<(String, String)> {
        let person = self.nth(5)?;
        let changes = self.company.rename(person, "Lovelace")?;
        self.apply(&changes)?;
        let name = self
            .company
            .people()
            .get(&person)
            .map(|person| person.display_name.clone())
            .unwrap_or_default();
        Ok((self.address(person)?, name))
    }

    /// Someone leaves.
    pub(crate) fn leave(&mut self) -> Result<String> {
        let person = self.nth(8)?;
        let name = self.address(person)?;
        let changes = self.company.leave(person)?;
        self.apply(&changes)?;
        Ok(name)
    }

    /// Someone joins a group; gives the names of both.
    pub(crate) fn join(&mut self) -> Result<(String, String)> {
        let member = self.nth(11)?;
        let (group, name) = self
            .company
            .groups()
            .iter()
            .filter(|(_, group)| group.security)
            .find(|(_, group)| !group.members.contains(&member))
            .map(|(id, group)| (*id, group.name.clone()))
            .context("the company has a group without this person")?;
        let changes = self.company.join(group, member)?;
        self.apply(&changes)?;
        Ok((name, self.address(member)?))
    }

    /// The user at the tenant who has this address, as sign-in name or beside it.
    pub(crate) fn user(&self, address: &str) -> Option<Value> {
        let has = |value: &Value| {
            value
                .as_str()
                .is_some_and(|text| text.eq_ignore_ascii_case(address))
        };
        self.tenant.users().into_iter().find(|user| {
            has(&user["userPrincipalName"])
                || user["otherMails"]
                    .as_array()
                    .is_some_and(|mails| mails.iter().any(has))
        })
    }

    pub(crate) fn is_member(&self, group: &str, address: &str) -> bool {
        let Some(user) = self.user(address) else {
            return false;
        };
        let groups = self.tenant.groups();
        let members = groups
            .iter()
            .filter(|found| found["displayName"] == group)
            .flat_map(|found| found["members"].as_array().into_iter().flatten());
        members
            .into_iter()
            .any(|member| *member == user["id"] || member["id"] == user["id"])
    }

    /// People in scope who are enabled and have a name at the tenant, in the order of the company.
    fn nth(&self, at: usize) -> Result<ObjectId> {
        let staff = self.company.people().iter().filter(|(id, person)| {
            let dn = self
                .company
                .dn(**id)
                .unwrap_or_default()
                .to_ascii_lowercase();
            person.enabled
                && person.mail.is_some()
                && dn.contains("ou=staff")
                && !dn.contains("service accounts")
        });
        staff
            .map(|(id, _)| *id)
            .nth(at)
            .context("the company is large enough")
    }

    fn person(&self, at: usize) -> Result<&plumbline_lab::company::Person> {
        self.company
            .people()
            .get(&self.nth(at)?)
            .context("the person exists")
    }

    fn address(&self, person: ObjectId) -> Result<String> {
        self.company
            .people()
            .get(&person)
            .and_then(|person| person.mail.clone())
            .context("the person has a mail address")
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        Ok(self.directory.apply_all(changes)?)
    }
}

fn secret(folder: &Path, keys: &[(&str, &str)]) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (key, value) in keys {
        fs::write(folder.join(key), value)?;
    }
    Ok(())
}
