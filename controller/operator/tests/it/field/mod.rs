//! What each field of the four kinds changes: folders of manifests that differ in one field, over one embedded directory and one lab
//! tenant, run by the folder host in this process. Many resources with one difference each share a run.

mod changes;
mod connector;
mod disturbance;
mod joins;
mod scope;
mod sync;
mod tenant;
mod time;

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use plumbline::{
    cloud_tenant::define_mark,
    directory_sync::Report,
    folder_run::FolderRun,
    host::{Host, folder::Folder},
    manifest::{self, Manifests},
    problem::Problem,
    store::Store,
};
use plumbline_crds::Mode;
use plumbline_engine::{operation::Operation, plan::Plan};
use plumbline_lab::{
    directory::{Account, Attribute, Change, Config, Directory, Entry, Modification, Profile},
    tenant::{Config as TenantConfig, LabTenant},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) const BASE: &str = "dc=corp,dc=example,dc=com";
pub(crate) const READER: &str = "cn=reader,dc=corp,dc=example,dc=com";

/// A directory, a tenant with the mark defined, and the folder of secrets for both.
pub(crate) struct Lab {
    pub(crate) directory: Directory,
    pub(crate) tenant: LabTenant,
    pub(crate) folder: tempfile::TempDir,
}

/// What a run came to.
struct Seen {
    reports: BTreeMap<String, Result<Report, Problem>>,
    /// By kind in lower case and name, as in `directorysync/staff`.
    statuses: BTreeMap<String, Value>,
}

impl Lab {
    /// Units `Staff`, `Partners` and `Groups` with these entries in them.
    pub(crate) async fn start(entries: Vec<Entry>) -> Self {
        let mut config = Config::new(Profile::OpenLdap, BASE);
        let root = Entry::new(BASE)
            .with("objectClass", "organization")
            .with("objectClass", "dcObject");
        config
            .entries
            .push(root.with("o", "Corp").with("dc", "corp"));
        for unit in ["Staff", "Partners", "Groups"] {
            let unit_entry = Entry::new(format!("ou={unit},{BASE}")).with("ou", unit);
            config
                .entries
                .push(unit_entry.with("objectClass", "organizationalUnit"));
        }
        config.entries.extend(entries);
        config.accounts = vec![Account::reader(READER, "secret")];
        let mut tenant_config = TenantConfig::default();
        tenant_config
            .permissions
            .push("RoleManagement.Read.Directory".into());
        let lab = Self {
            directory: Directory::start(config).await.unwrap(),
            tenant: LabTenant::start(tenant_config).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        lab.secret("bind", &[("username", READER), ("password", "secret")]);
        lab.secret("ca", &[("ca.crt", lab.directory.ca_pem())]);
        lab.secret("tenant-ca", &[("ca.crt", lab.tenant.ca_pem())]);
        lab.secret("app", &[("clientSecret", &lab.tenant.client_secret())]);
        let manifests = Self::manifests(&[lab.tenant("lab", json!({}))]);
        let tenant = manifests.world.tenants.values().next().unwrap().clone();
        let host: Arc<dyn Host> = Arc::new(Folder::new(manifests, Some(lab.secrets())));
        define_mark(&host, &tenant).await.unwrap();
        lab
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.folder.path().join("secrets")
    }

    pub(crate) fn secret(&self, name: &str, keys: &[(&str, &str)]) {
        let folder = self.secrets().join(name);
        fs::create_dir_all(&folder).unwrap();
        for (key, value) in keys {
            fs::write(folder.join(key), value).unwrap();
        }
    }

    pub(crate) fn connector(&self, name: &str, changes: Value) -> Value {
        let spec = json!({
            "servers": [self.directory.ldaps_url()],
            "baseDN": BASE,
            "bind": {"simple": {"secretRef": {"name": "bind"}}},
            "tls": {"caRef": {"kind": "Secret", "name": "ca"}},
            "changes": {"interval": "1s", "confirmAbsence": "0s"},
        });
        resource("DirectoryConnector", name, merge(spec, changes))
    }

    pub(crate) fn tenant(&self, name: &str, changes: Value) -> Value {
        let spec = json!({
            "tenantId": self.tenant.tenant_id(),
            "clientId": self.tenant.client_id(),
            "auth": {"clientSecret": {"secretRef": {"name": "app"}}},
            "cloud": "Custom",
            "endpoints": {"authority": self.tenant.authority(), "graph": self.tenant.graph()},
            "tls": {"caRef": {"kind": "Secret", "name": "tenant-ca"}},
        });
        resource("CloudTenant", name, json!({"entra": merge(spec, changes)}))
    }

    /// The manifests as the folder host reads them; all must be valid.
    pub(crate) fn manifests(resources: &[Value]) -> Manifests {
        let folder = tempfile::tempdir().unwrap();
        for (at, resource) in resources.iter().enumerate() {
            fs::write(
                folder.path().join(format!("{at}.yaml")),
                resource.to_string(),
            )
            .unwrap();
        }
        let (manifests, faults) = manifest::load(folder.path(), "default");
        assert_eq!(faults, [], "{resources:#?}");
        manifests
    }

    pub(crate) fn begin(
        &self,
        resources: &[Value],
        mode: Option<Mode>,
    ) -> (FolderRun, CancellationToken) {
        let stop = CancellationToken::new();
        let manifests = Self::manifests(resources);
        let run = FolderRun::start(
            manifests,
            Some(self.secrets()),
            Store::new(None),
            mode,
            None,
            stop.clone(),
        );
        (run, stop)
    }

    /// Runs until every sync has concluded a cycle or failed to, and every resource says where it stands.
    async fn run(&self, resources: &[Value], mode: Option<Mode>) -> Seen {
        let (run, stop) = self.begin(resources, mode);
        let reports = run.first_cycle().await;
        // Reports are sent once a pass: after the third from here everything known now is published.
        let mut passes = run.reports();
        for _ in 0..3 {
            passes.changed().await.unwrap();
        }
        let mut statuses = run.host.statuses();
        let wanted = resources
            .iter()
            .filter(|resource| resource["apiVersion"] != "v1")
            .count();
        let concluded = |status: &Value| !["", "Progressing"].contains(&ready(status).as_str());
        let all = statuses
            .wait_for(|statuses| statuses.len() == wanted && statuses.values().all(concluded));
        let limit = std::time::Duration::from_secs(60);
        let statuses = tokio::time::timeout(limit, all).await;
        let statuses = statuses.map(|statuses| statuses.unwrap().clone());
        let statuses = statuses.unwrap_or_else(|_| run.host.statuses().borrow().clone());
        assert!(statuses.values().all(concluded), "{statuses:#?}");
        stop.cancel();
        run.finish().await;
        Seen {
            reports: reports
                .into_iter()
                .map(|(key, report)| (key.name, report))
                .collect(),
            statuses: statuses
                .into_iter()
                .map(|(subject, status)| {
                    let kind = subject.kind.as_str().to_lowercase();
                    (format!("{kind}/{}", subject.key.name), status)
                })
                .collect(),
        }
    }

    /// Replaces an attribute of an entry.
    pub(crate) fn change(&self, dn: &str, attribute: Attribute) {
        let modification = Modification {
            operation: plumbline_lab::directory::Operation::Replace,
            attribute,
        };
        let change = Change::Modify {
            dn: dn.into(),
            modifications: vec![modification],
        };
        self.directory.apply(&change).unwrap();
    }
}

impl Seen {
    fn plan(&self, sync: &str) -> &Plan {
        let report = self.reports[sync].as_ref().unwrap();
        report.plan.as_deref().unwrap()
    }

    /// What a plan does, as sorted `word name` lines: `create p1`, `removeMember crew`.
    fn operations(&self, sync: &str) -> Vec<String> {
        let plan = self.plan(sync);
        let mut lines: Vec<_> = plan
            .operations
            .iter()
            .map(|operation| {
                format!(
                    "{} {}",
                    operation.change.kind().as_str(),
                    called(plan, operation)
                )
            })
            .collect();
        lines.sort();
        lines
    }

    /// Whom a plan makes, sorted and with blanks between.
    fn created(&self, sync: &str) -> String {
        let operations = self.operations(sync);
        let created: Vec<_> = operations
            .iter()
            .filter_map(|line| line.strip_prefix("create "))
            .collect();
        created.join(" ")
    }

    /// The reason of Ready.
    fn reason(&self, resource: &str) -> String {
        ready(&self.statuses[resource])
    }

    /// The message of Ready.
    fn message(&self, resource: &str) -> String {
        condition(&self.statuses[resource], "message")
    }
}

/// The name in front of the `@`.
fn called(plan: &Plan, operation: &Operation) -> String {
    let name = plan.name(&operation.anchor).unwrap_or("nobody");
    name.split('@').next().unwrap_or_default().to_owned()
}

fn ready(status: &Value) -> String {
    condition(status, "reason")
}

fn condition(status: &Value, field: &str) -> String {
    let conditions = status["conditions"].as_array();
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "Ready");
    ready.map_or_else(String::new, |ready| {
        ready[field].as_str().unwrap_or_default().to_owned()
    })
}

pub(crate) fn person(number: usize, unit: &str) -> Entry {
    Entry::new(format!("uid=p{number},ou={unit},{BASE}"))
        .with("objectClass", "inetOrgPerson")
        .with("uid", format!("p{number}"))
        .with("cn", format!("Person {number}"))
        .with("sn", "Person")
        .with("givenName", "Given")
        .with("mail", format!("p{number}@corp.example.com"))
        .with("employeeNumber", format!("n{number}"))
}

/// A group of these people and groups, by DN.
pub(crate) fn group(name: &str, members: &[String]) -> Entry {
    let mut entry = Entry::new(format!("cn={name},ou=Groups,{BASE}"))
        .with("objectClass", "groupOfNames")
        .with("cn", name)
        .with("description", "written in the directory");
    for member in members {
        entry.push("member", member.as_str());
    }
    entry
}

pub(crate) fn staff(number: usize) -> String {
    format!("uid=p{number},ou=Staff,{BASE}")
}

pub(crate) fn resource(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "plumbline.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// Everything of the connector `corp`, but for the changes.
pub(crate) fn scope(name: &str, changes: Value) -> Value {
    let spec = json!({"connectorRef": {"name": "corp"}, "include": [{"everything": {}}]});
    resource("SyncScope", name, merge(spec, changes))
}

/// To the tenant `lab`, by default with the scope of the same name.
pub(crate) fn sync(name: &str, changes: Value) -> Value {
    let spec = json!({"tenantRef": {"name": "lab"}, "scopes": [{"name": name}]});
    resource("DirectorySync", name, merge(spec, changes))
}

/// JSON merge patch (RFC 7396).
pub(crate) fn merge(mut target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch;
    };
    if !target.is_object() {
        target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            if let Some(fields) = target.as_object_mut() {
                fields.remove(&key);
            }
        } else {
            let old = target[&key].take();
            target[&key] = merge(old, value);
        }
    }
    target
}
