//! What happens in a company, and what happens to its directory: everything arrives, and nobody is lost. A real slapd, the chart on a
//! real API server, a calm tenant.

use plumbline_e2e::{Login, OpenLdap};
use plumbline_lab::company::{Company, Dialect, ObjectId};
use plumbline_lab::directory::{Change, write_changes};
use serde_json::{Value, json};

use crate::cluster::openldap;
use crate::expected::{Units, compare, of_company, of_tenant};
use crate::scenario::{Scenario, calm};

const PEOPLE: usize = 60;

struct Life {
    scenario: Scenario,
    directory: OpenLdap,
    administrator: Login,
    company: Company,
    units: Units,
    manifests: Vec<Value>,
}

impl Life {
    fn start(namespace: &'static str) -> Self {
        let company = Company::generate(21, PEOPLE, Dialect::OpenLdap);
        let directory = openldap(&company, &[]);
        let scenario = Scenario::start(namespace, calm(21), &[]);
        let reader = directory.reader().unwrap();
        scenario.bind_secret("people-bind", &reader);
        scenario.authority("people-ca", &reader.ca().unwrap());
        scenario.secret(
            "application",
            &[("clientSecret", &scenario.tenant.client_secret())],
        );
        let mut manifests = scenario.example("openldap-to-entra", &[directory.ldap_url().unwrap()]);
        for document in &mut manifests {
            match document["kind"].as_str() {
                Some("DirectoryConnector") => {
                    document["spec"]["changes"] = json!({"interval": "1s", "confirmAbsence": "1s"});
                }
                Some("CloudTenant") => {
                    document["spec"]["entra"]["auth"] =
                        json!({"clientSecret": {"secretRef": {"name": "application"}}});
                }
                _ => {}
            }
        }
        scenario.apply(&manifests);
        scenario.wait("dsync/people", "condition=Ready", 120);
        let units = Units::of(&company);
        let administrator = directory.administrator().unwrap();
        let life = Self {
            scenario,
            directory,
            administrator,
            company,
            units,
            manifests,
        };
        life.arrives("the company");
        life
    }

    fn apply(&self, changes: &[Change]) {
        self.administrator.modify(&write_changes(changes)).unwrap();
    }

    /// The tenant comes to hold what the company's model says.
    fn arrives(&self, what: &str) {
        let expected = of_company(&self.company, &self.units, Dialect::OpenLdap);
        self.scenario.eventually(60, what, || {
            let mut held = of_tenant(&self.scenario.tenant);
            // Leavers stay, disabled; the model no longer has them.
            held.users.retain(|name, user| {
                expected.users.contains_key(name) || user["accountEnabled"] != json!(false)
            });
            compare(&expected, &held)
        });
    }

    /// Someone in scope who can sign in.
    fn person(&self, at: usize) -> ObjectId {
        let people = self.company.people().iter().filter(|(id, person)| {
            let dn = self.company.dn(**id).unwrap().to_lowercase();
            person.enabled
                && person.mail.is_some()
                && dn.contains("ou=staff")
                && !dn.contains("service accounts")
        });
        people.map(|(id, _)| *id).nth(at).unwrap()
    }

    fn enabled(&self) -> usize {
        self.scenario
            .tenant
            .users()
            .iter()
            .filter(|user| user["accountEnabled"] == json!(true))
            .count()
    }

    /// Requests since this many that took something away.
    fn harm_since(&self, before: usize) -> Vec<String> {
        let log = self.scenario.tenant.log();
        let harmful = log[before..].iter().filter(|request| {
            let disables = request
                .body
                .as_ref()
                .is_some_and(|body| body["accountEnabled"] == json!(false));
            request.method == "DELETE" || disables || request.path.contains("revokeSignInSessions")
        });
        harmful
            .map(|request| format!("{} {} {:?}", request.method, request.path, request.body))
            .collect()
    }

    fn unit(&self, name: &str) -> ObjectId {
        self.company.unit_named(name).unwrap()
    }

    /// The kind comes to carry the reason, and stays so over two more attempts, without harm.
    fn is_held(&self, kind: &str, name: &str, reason: &str, what: &str) {
        let before = self.scenario.tenant.log().len();
        self.scenario.eventually(60, what, || {
            match self.scenario.condition(kind, name, "Ready") {
                (status, found) if status == "False" && found == reason => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        let harm = self.harm_since(before);
        assert!(harm.is_empty(), "{what}: {harm:#?}");
    }

    /// The resource as it was first applied.
    fn manifest(&self, kind: &str) -> Value {
        self.manifests
            .iter()
            .find(|document| document["kind"] == kind)
            .unwrap()
            .clone()
    }
}

#[test]
fn renames_moves_leavers_returners_and_renamed_units_arrive() {
    let mut life = Life::start("life");
    let renamed = life.person(2);
    let changes = life.company.rename(renamed, "O'Neil-Žižková").unwrap();
    life.apply(&changes);
    life.arrives("a renamed person");

    let other_unit = life.company.people()[&life.person(9)].unit;
    let moved = life.company.move_to(life.person(3), other_unit).unwrap();
    life.apply(&moved);
    life.arrives("a moved person");

    let (leaver, enabled) = (life.person(4), life.enabled());
    let left = life.company.leave(leaver).unwrap();
    life.apply(&left);
    life.scenario.eventually(60, "a leaver is disabled", || {
        (life.enabled() == enabled - 1)
            .then_some(())
            .ok_or_else(|| life.enabled().to_string())
    });
    assert!(
        !life.scenario.tenant.revoked_sessions().is_empty(),
        "his sessions end"
    );
    life.arrives("the others after someone left");

    let (returner, home) = (life.person(5), life.company.people()[&life.person(5)].unit);
    let out = life
        .company
        .move_to(returner, life.unit("Service Accounts"))
        .unwrap();
    life.apply(&out);
    life.scenario
        .eventually(60, "who leaves the scope is disabled", || {
            (life.enabled() == enabled - 2)
                .then_some(())
                .ok_or_else(|| life.enabled().to_string())
        });
    let back = life.company.move_to(returner, home).unwrap();
    life.apply(&back);
    life.arrives("a returner");
    assert_eq!(
        life.enabled(),
        enabled - 1,
        "the returner is enabled again, in the same account"
    );

    let before = life.scenario.tenant.log().len();
    let renamed = life
        .company
        .rename_unit(life.unit("Staff"), "Personnel & Staff")
        .unwrap();
    life.apply(&renamed);
    life.scenario.reconcile_now("people", 60);
    life.arrives("everybody in a renamed unit");
    assert_eq!(
        life.harm_since(before),
        Vec::<String>::new(),
        "a renamed unit in scope stays in scope"
    );

    // The same while the operator is stopped and its volume is lost: the memory is in `SyncScope.status.resolved`.
    let stop = ["scale", "statefulset", "plumbline", "--replicas=0"];
    life.scenario.kubectl(&stop).unwrap();
    life.scenario.wait("pod/plumbline-0", "delete", 60);
    life.scenario
        .kubectl(&["delete", "pvc", "--all", "--wait=false"])
        .unwrap();
    let renamed = life
        .company
        .rename_unit(life.unit("Personnel & Staff"), "People")
        .unwrap();
    life.apply(&renamed);
    let (_, hire) = life.company.hire(home).unwrap();
    life.apply(&hire);
    life.scenario
        .kubectl(&["scale", "statefulset", "plumbline", "--replicas=1"])
        .unwrap();
    life.arrives("a unit renamed while nobody looked");
    assert_eq!(
        life.harm_since(before),
        Vec::<String>::new(),
        "nobody left with the volume"
    );
    assert!(life.scenario.tenant.violations().is_empty());
}

#[test]
fn nobody_is_lost_when_the_directory_or_a_resource_is() {
    let life = Life::start("nobody-is-lost");
    let enabled = life.enabled();

    life.scenario
        .kubectl(&["delete", "syncscope", "people"])
        .unwrap();
    life.is_held(
        "dsync",
        "people",
        "DependencyNotReady",
        "a deleted SyncScope",
    );
    life.scenario.apply(&[life.manifest("SyncScope")]);
    life.scenario.wait("dsync/people", "condition=Ready", 60);

    let mut elsewhere = life.manifest("DirectoryConnector");
    elsewhere["spec"]["baseDN"] = json!("ou=nowhere,dc=corp,dc=example,dc=com");
    life.scenario
        .kubectl(&["delete", "dirconn", "people"])
        .unwrap();
    life.scenario.apply(&[elsewhere]);
    life.is_held(
        "dirconn",
        "people",
        "BaseNotFound",
        "a base that names nothing",
    );
    life.is_held(
        "dsync",
        "people",
        "DependencyNotReady",
        "a base that names nothing, at the sync",
    );
    life.scenario
        .kubectl(&["delete", "dirconn", "people"])
        .unwrap();
    life.scenario.apply(&[life.manifest("DirectoryConnector")]);
    life.scenario.wait("dsync/people", "condition=Ready", 60);

    life.scenario.secret(
        "people-bind",
        &[
            (
                "username",
                "cn=reader,ou=services,dc=corp,dc=example,dc=com",
            ),
            ("password", "planted-wrong-password"),
        ],
    );
    life.is_held("dirconn", "people", "BindFailed", "a wrong password");
    life.scenario
        .bind_secret("people-bind", &life.directory.reader().unwrap());
    life.scenario.wait("dsync/people", "condition=Ready", 60);

    let hide = "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nadd: olcAccess\nolcAccess: {0}to \
                dn.subtree=\"ou=Staff,dc=corp,dc=example,dc=com\" by dn.base=\"cn=admin,dc=corp,dc=example,dc=com\" write by * none\n";
    life.directory.config().unwrap().modify(hide).unwrap();
    life.is_held(
        "dsync",
        "people",
        "ScopeUnresolved",
        "a unit that an access rule hides",
    );
    life.is_held(
        "scope",
        "people",
        "ScopeUnresolved",
        "a unit that an access rule hides, at the scope",
    );
    let show =
        "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\ndelete: olcAccess\nolcAccess: {0}\n";
    life.directory.config().unwrap().modify(show).unwrap();
    life.scenario.wait("dsync/people", "condition=Ready", 60);

    let everybody: Vec<Change> = life
        .company
        .people()
        .keys()
        .map(|id| Change::Delete {
            dn: life.company.dn(*id).unwrap(),
        })
        .collect();
    life.apply(&everybody);
    life.is_held("dsync", "people", "Held", "a source that was emptied");
    let holds = life.scenario.get("dsync", "people")["status"]["holds"].clone();
    assert!(
        holds
            .as_array()
            .is_some_and(|holds| holds.iter().any(|hold| hold["class"] == "disables")),
        "{holds}"
    );

    assert_eq!(life.enabled(), enabled, "nobody was disabled");
    assert!(
        life.scenario.tenant.deleted().is_empty(),
        "nobody was deleted"
    );
    let log = life.scenario.log();
    assert!(
        !log.contains("planted-wrong-password")
            && !log.contains(&life.scenario.tenant.client_secret()),
        "a secret is in the log"
    );
}

#[test]
fn suspend_and_delete_act_within_five_seconds_in_the_middle_of_an_export() {
    let company = Company::generate(22, 400, Dialect::OpenLdap);
    let directory = openldap(&company, &[]);
    let mut config = calm(22);
    // Slow enough that the export takes half a minute.
    config.write_quota = plumbline_lab::tenant::Quota {
        count: 40,
        window: std::time::Duration::from_secs(2),
    };
    let scenario = Scenario::start("suspend", config, &[]);
    let reader = directory.reader().unwrap();
    scenario.bind_secret("people-bind", &reader);
    scenario.authority("people-ca", &reader.ca().unwrap());
    scenario.secret(
        "application",
        &[("clientSecret", &scenario.tenant.client_secret())],
    );
    let mut manifests = scenario.example("openldap-to-entra", &[directory.ldap_url().unwrap()]);
    for document in manifests
        .iter_mut()
        .filter(|document| document["kind"] == "CloudTenant")
    {
        document["spec"]["entra"]["auth"] =
            json!({"clientSecret": {"secretRef": {"name": "application"}}});
    }
    scenario.apply(&manifests);
    let users = |count: usize| {
        let found = scenario.tenant.users().len();
        (found >= count)
            .then_some(())
            .ok_or_else(|| format!("{found} users"))
    };
    scenario.eventually(60, "the export is under way", || users(40));
    scenario.patch("dsync", "people", &json!({"suspend": true}));
    still_after_five_seconds(&scenario);
    scenario.patch("dsync", "people", &json!({"suspend": false}));
    let before = scenario.tenant.users().len();
    scenario.eventually(30, "it goes on", || users(before + 20));
    scenario.kubectl(&["delete", "dsync", "people"]).unwrap();
    still_after_five_seconds(&scenario);
}

/// Five seconds from now on nothing is written any more.
fn still_after_five_seconds(scenario: &Scenario) {
    let writes = || {
        scenario
            .tenant
            .log()
            .iter()
            .filter(|request| request.write)
            .count()
    };
    std::thread::sleep(std::time::Duration::from_secs(5));
    let before = writes();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(writes(), before, "writes go on\n{}", scenario.tale());
}
