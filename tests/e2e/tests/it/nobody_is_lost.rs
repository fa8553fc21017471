//! Whatever happens to the source or to the resources, nobody is deleted and nobody disabled; the status says why. Who is not ours
//! at the tenant, 200 users with an immutable ID and another owner's, is never touched.

use plumbline_e2e::OpenLdap;
use plumbline_lab::company::{Company, Dialect, ObjectId};
use plumbline_lab::directory::{Change, Dn, Entry, write_changes};
use plumbline_lab::tenant::LabTenant;
use serde_json::{Value, json};

use crate::cluster::{openldap_example, openldap_of};
use crate::scenario::{Scenario, calm, planted};

#[test]
fn nobody_is_lost_by_what_happens_to_the_source_or_the_resources() {
    let company = Company::generate(51, 80, Dialect::OpenLdap);
    let directory = openldap_of(&company, &behind_an_archive(&company, 500));
    let scenario = Scenario::start("nobody-is-lost", calm(51), &[]);
    let people: Vec<_> = company
        .people()
        .values()
        .filter_map(|person| person.mail.clone())
        .collect();
    let foreign = foreign(&scenario.tenant, &people[20], &people[21]);
    let mut manifests = openldap_example(&scenario, &directory);
    let connector = of_kind(&mut manifests, "DirectoryConnector");
    // No server tells its feed of a lost right: what it does to a read is the question here.
    connector["spec"]["changes"] =
        json!({"interval": "1s", "confirmAbsence": "1s", "detect": "FullRead"});
    let connector = connector.clone();
    let scope = of_kind(&mut manifests, "SyncScope").clone();
    scenario.apply(&manifests);
    scenario.wait("dsync/people", "condition=Ready", 120);
    set_aside(&scenario, "WouldAdopt", &company, &people[20]);
    set_aside(&scenario, "OwnedByOther", &company, &people[21]);
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
    // The archive comes first: whoever takes what a cut read brought has lost everybody.
    limit("500");
    calm.stays("a size limit", "dirconn", "ReadIncomplete");
    limit("unlimited");
    calm.heals(&scope);
    let read = scenario.get("dirconn", "people")["status"]["counts"]["users"].as_u64();
    assert!(read > Some(500), "the limit cut nothing: {read:?}");

    scenario.loses_its_volume(|| {});
    calm.heals(&scope);
    set_aside(&scenario, "OwnedByOther", &company, &people[21]);

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
    scenario.loses_its_volume(|| {});
    scenario.reconcile_now("people", 60);
    calm.stays("an emptied source and a lost store", "dsync", "Held");

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
    scenario.ends_well();
}

/// The company's entries, behind so many people out of scope, whom slapd therefore sends first.
fn behind_an_archive(company: &Company, people: usize) -> Vec<Entry> {
    let mut entries = planted(company, "carLicense");
    let unit = format!("ou=Archive,{}", company.base_dn());
    let archived = |number| {
        let name = format!("archived{number}");
        Entry::new(format!("uid={name},{unit}"))
            .with("objectClass", "inetOrgPerson")
            .with("uid", &*name)
            .with("cn", &*name)
            .with("sn", &*name)
            .with("mail", format!("{name}@corp.example.com"))
    };
    let mut archive = vec![
        Entry::new(unit.clone())
            .with("objectClass", "organizationalUnit")
            .with("ou", "Archive"),
    ];
    archive.extend((0..people).map(archived));
    // The naming context itself stays in front.
    entries.splice(1..1, archive);
    entries
}

/// The person of this address is in quarantine for this reason, as the status shows.
fn set_aside(scenario: &Scenario, reason: &str, company: &Company, mail: &str) {
    let quarantine = scenario.get("dsync", "people")["status"]["quarantine"].clone();
    let mut sample = quarantine["sample"].as_array().unwrap().iter();
    let mut people = company.people().iter();
    let person = people.find(|(_, person)| person.mail.as_deref() == Some(mail));
    let dn = company.dn(*person.unwrap().0).unwrap();
    // slapd escapes as it likes.
    let key = |dn: &str| Dn::parse(dn).unwrap().key();
    assert!(
        sample
            .any(|each| each["reason"] == reason && key(each["dn"].as_str().unwrap()) == key(&dn)),
        "{dn} is not {reason}: {quarantine}"
    );
}

/// Users that another sync or a person made: 200 with an immutable ID, 20 with another owner's mark. One of each has the name that
/// someone of ours would get. Gives their ids.
fn foreign(tenant: &LabTenant, taken: &str, taken_by_owner: &str) -> Vec<String> {
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
        if number == 200 {
            user["userPrincipalName"] = json!(taken_by_owner);
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
