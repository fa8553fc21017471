//! Whatever happens to the source or to the resources, nobody is deleted and nobody disabled; the status says why. Who is not ours
//! at the tenant, 200 users with an immutable ID and another owner's, is never touched.

use plumbline_e2e::OpenLdap;
use plumbline_lab::company::{Company, Dialect, ObjectId};
use plumbline_lab::directory::{Change, write_changes};
use plumbline_lab::tenant::LabTenant;
use serde_json::{Value, json};

use crate::cluster::{openldap, openldap_example};
use crate::scenario::{Scenario, calm};

#[test]
fn nobody_is_lost_by_what_happens_to_the_source_or_the_resources() {
    let company = Company::generate(51, 80, Dialect::OpenLdap);
    let directory = openldap(&company, &[]);
    let scenario = Scenario::start("nobody-is-lost", calm(51), &[]);
    let people: Vec<_> = company
        .people()
        .values()
        .filter_map(|person| person.mail.clone())
        .collect();
    let foreign = foreign(&scenario.tenant, &people[20]);
    let mut manifests = openldap_example(&scenario, &directory);
    let connector = of_kind(&mut manifests, "DirectoryConnector");
    connector["spec"]["changes"] = json!({"interval": "1s", "confirmAbsence": "1s"});
    let connector = connector.clone();
    let scope = of_kind(&mut manifests, "SyncScope").clone();
    scenario.apply(&manifests);
    scenario.wait("dsync/people", "condition=Ready", 120);
    let quarantine = scenario.get("dsync", "people")["status"]["quarantine"].clone();
    assert!(
        quarantine.to_string().contains("WouldAdopt"),
        "{quarantine}"
    );
    let calm = Calm {
        scenario: &scenario,
        snapshot: scenario.tenant.snapshot(),
        begin: scenario.tenant.log().len(),
    };

    scenario
        .kubectl(&["delete", "syncscope", "people"])
        .unwrap();
    calm.stays("a deleted scope", "dsync", "DependencyNotReady");
    calm.heals(&scope);

    let mut nowhere = connector.clone();
    nowhere["spec"]["baseDN"] = json!(format!("ou=Nowhere,{}", company.base_dn()));
    scenario.kubectl(&["delete", "dirconn", "people"]).unwrap();
    scenario.apply(&[nowhere]);
    calm.stays("a base at nothing", "dirconn", "BaseNotFound");
    calm.stays("a base at nothing", "dsync", "DependencyNotReady");
    scenario.kubectl(&["delete", "dirconn", "people"]).unwrap();
    calm.heals(&connector);

    let staff = format!("ou=Staff,{}", company.base_dn());
    let rule = format!(
        "{{0}}to dn.subtree=\"{staff}\" by dn.exact=\"{}\" none by * break",
        directory.reader().unwrap().dn
    );
    configure(&directory, &format!("add: olcAccess\nolcAccess: {rule}"));
    calm.stays("a hidden unit", "dsync", "ScopeUnresolved");
    configure(&directory, "delete: olcAccess\nolcAccess: {0}");
    calm.heals(&scope);

    let limit = |size: &str| {
        let accounts = format!("ou=services,{}", company.base_dn());
        let limits = format!("dn.onelevel=\"{accounts}\" size={size} size.prtotal=hard");
        configure(
            &directory,
            &format!("replace: olcLimits\nolcLimits: {limits}"),
        );
    };
    limit("50");
    calm.stays("a size limit", "dirconn", "ReadIncomplete");
    limit("unlimited");
    calm.heals(&scope);

    let gone = company.people().keys().chain(company.groups().keys());
    let gone: Vec<_> = gone
        .filter_map(|id: &ObjectId| company.dn(*id))
        .map(|dn| Change::Delete { dn })
        .collect();
    directory
        .administrator()
        .unwrap()
        .modify(&write_changes(&gone))
        .unwrap();
    calm.stays("an emptied source", "dsync", "Held");
    let holds = scenario.get("dsync", "people")["status"]["holds"].clone();
    assert!(
        holds.as_array().is_some_and(|holds| holds.len() >= 2),
        "users and groups are held: {holds}"
    );

    // Nobody else was touched, from the first write on.
    let log = scenario.tenant.log();
    for request in log.iter().filter(|request| request.write) {
        assert!(
            !foreign.iter().any(|id| request.path.contains(id)),
            "{} {}",
            request.method,
            request.path
        );
    }
    let violations = scenario.tenant.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

/// Users that another sync or a person made: 200 with an immutable ID, 20 with another owner's mark. One has
/// the name that someone of ours would get. Gives their ids.
fn foreign(tenant: &LabTenant, taken: &str) -> Vec<String> {
    let mark = format!(
        "extension_{}_plumblineOwner",
        tenant.client_id().replace('-', "")
    );
    let user = |number: usize| {
        let mut user = json!({
            "userPrincipalName": format!("foreign{number}@corp.example.com"),
            "displayName": format!("Foreign {number}"),
            "mailNickname": format!("foreign{number}"),
            "onPremisesImmutableId": format!("AAAAAAAAAAAAAAAAAAAA{number:04}"),
        });
        if number == 0 {
            user["userPrincipalName"] = json!(taken);
        }
        if number >= 200 {
            user[&mark] = json!(format!("another.sync:{number:032x}"));
        }
        tenant.insert_user(user).unwrap()
    };
    (0..220).map(user).collect()
}

fn of_kind<'a>(manifests: &'a mut [Value], kind: &str) -> &'a mut Value {
    manifests
        .iter_mut()
        .find(|manifest| manifest["kind"] == kind)
        .unwrap()
}

/// Changes the database's settings while slapd runs.
fn configure(directory: &OpenLdap, change: &str) {
    let config = directory.config().unwrap();
    let filter = format!("(olcSuffix={})", directory.suffix().unwrap());
    let found = config
        .search("cn=config", "sub", &filter, &["1.1"])
        .unwrap();
    let database = found
        .lines()
        .find_map(|line| line.strip_prefix("dn: "))
        .unwrap();
    config
        .modify(&format!("dn: {database}\nchangetype: modify\n{change}\n"))
        .unwrap();
}

/// The tenant as it was when all was well.
struct Calm<'a> {
    scenario: &'a Scenario,
    snapshot: Value,
    begin: usize,
}

impl Calm<'_> {
    /// The reason shows, and nothing was written.
    fn stays(&self, what: &str, kind: &str, reason: &str) {
        self.scenario.eventually(60, what, || {
            let condition = self.scenario.condition(kind, "people", "Ready");
            if condition == ("False".into(), reason.into()) {
                Ok(())
            } else {
                Err(format!("{condition:?}"))
            }
        });
        self.nothing_written(what);
    }

    /// With this applied it is well again, and nothing was written on the way.
    fn heals(&self, manifest: &Value) {
        self.scenario.apply(std::slice::from_ref(manifest));
        self.scenario.eventually(60, "healing", || {
            let condition = self.scenario.condition("dsync", "people", "Ready");
            if condition.0 == "True" {
                Ok(())
            } else {
                Err(format!("{condition:?}"))
            }
        });
        self.nothing_written("healing");
    }

    fn nothing_written(&self, what: &str) {
        let writes: Vec<_> = self.scenario.tenant.log()[self.begin..]
            .iter()
            .filter(|request| request.write)
            .map(|request| format!("{} {} {:?}", request.method, request.path, request.body))
            .collect();
        assert!(writes.is_empty(), "{what}: {}", writes.join("\n"));
        assert!(
            self.scenario.tenant.snapshot() == self.snapshot,
            "{what}: the tenant has changed"
        );
    }
}
