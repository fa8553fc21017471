//! Active Directory as Windows serves it, which Samba does not: pages of 1,000 entries at most, members 1,500 at a time, and reads in the
//! order of its index, so that who moves between two pages is in none. A group larger than a page arrives whole, and nobody is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use plumbline_lab::company::{Company, Dialect, ObjectId};
use plumbline_lab::directory::{
    Account, Change, Config, Directory, Dn, Escaping, MAX_PAGE_SIZE, MAX_VALUE_RANGE, Profile,
};
use plumbline_lab::tenant::Quota;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::expected::{Units, compare, of_company, of_tenant};
use crate::scenario::{Scenario, calm, planted, runtime};

const MEMBERS: usize = 2_500;
const READER: &str = "CN=svc-reader,OU=Service Accounts,OU=Staff,DC=corp,DC=example,DC=com";
const PASSWORD: &str = "Read-a-large-d0main!";

#[test]
fn a_group_of_2500_arrives_whole_its_leavers_leave_and_who_moves_during_a_read_stays() {
    let mut company = Company::generate(71, 2_620, Dialect::ActiveDirectory);
    let lists = company.unit_named("Lists, Distribution").unwrap();
    let members = employees(&company, MEMBERS);
    let everybody = company.found_group("Everybody", lists, members.clone());
    let everybody = everybody.unwrap().0;
    let (directory, _runtime) = serve(&company);
    let mut config = calm(71);
    config.write_quota = Quota {
        count: 100_000,
        window: Duration::from_secs(10),
    };
    config.resource_units = Some(config.write_quota);
    let scenario = Scenario::start("large-domain", config, &[]);
    scenario.apply(&manifests(&scenario, &directory));

    let units = Units::named(&company, "Lists, Distribution");
    let in_step = |company: &Company| {
        let mut expected = of_company(company, &units, Dialect::ActiveDirectory);
        for user in expected.users.values_mut() {
            user.remove("manager");
        }
        compare(&expected, &of_tenant(&scenario.tenant))
    };
    const { assert!(MEMBERS > MAX_PAGE_SIZE && MEMBERS > MAX_VALUE_RANGE) }
    scenario.wait("dsync/contoso", "condition=Ready", 240);
    in_step(&company).unwrap();

    // Few enough for the guard.
    for member in members.iter().step_by(400) {
        let changes = company.quit(everybody, *member).unwrap();
        directory.apply_all(&changes).unwrap();
    }
    scenario.reconcile_now("contoso", 60);
    in_step(&company).unwrap();
    let groups = scenario.tenant.groups();
    let group = groups
        .iter()
        .find(|group| group["displayName"] == "Everybody")
        .unwrap();
    assert_eq!(group["members"].as_array().unwrap().len(), MEMBERS - 7);

    who_moves_during_a_read_stays(&scenario, &directory, &company);
    scenario.ends_well();
}

/// In read after read, longer apart than `confirmAbsence`, the same people are away while the pages with their place are sent.
fn who_moves_during_a_read_stays(scenario: &Scenario, directory: &Directory, company: &Company) {
    let count = || scenario.get("dirconn", "corp")["status"]["counts"]["users"].as_u64();
    // With the domain's own.
    let all = count().unwrap();
    assert!(all > company.people().len() as u64);
    let (snapshot, begin) = (scenario.tenant.snapshot(), scenario.tenant.log().len());
    // Of the six pages the second ends after Engineering, and the fifth after these people, whose unit is the last of Staff.
    let unit = |name: &str| company.dn(company.unit_named(name).unwrap()).unwrap();
    let (home, away) = (unit("東京支社"), unit("Engineering"));
    let people = employees(company, MEMBERS).into_iter();
    let dns = people.map(|person| company.dn(person).unwrap());
    let dns: Vec<_> = dns.filter(|dn| dn.ends_with(&home)).take(3).collect();
    assert_eq!(dns.len(), 3);
    // Away in the middle of a read they are not in its pages: only the search by anchor finds them.
    let away_reads = Arc::new(AtomicUsize::new(0));
    let counted = away_reads.clone();
    directory.between_pages(move |store, sent| {
        counted.fetch_add(usize::from(sent == 5), Ordering::Relaxed);
        for dn in &dns {
            match sent {
                2 => store.apply(&moved(dn, &away)).unwrap(),
                5 => store
                    .apply(&moved(&dn.replace(&home, &away), &home))
                    .unwrap(),
                _ => {}
            }
        }
    });
    for what in ["who has moved is found", "and found again"] {
        let before = away_reads.load(Ordering::Relaxed);
        scenario.reconcile_now("contoso", 60);
        assert!(away_reads.load(Ordering::Relaxed) > before, "{what}");
        // Progress is written every five seconds.
        scenario.eventually(30, what, || match count() {
            read if read == Some(all) => Ok(()),
            read => Err(format!("{read:?} users are known")),
        });
    }
    let log = scenario.tenant.log();
    let writes = log[begin..].iter().filter(|request| request.write);
    let writes: Vec<_> = writes.collect();
    assert!(writes.is_empty(), "{writes:#?}");
    assert!(scenario.tenant.snapshot() == snapshot);
}

fn moved(dn: &str, to: &str) -> Change {
    Change::Rename {
        dn: dn.to_owned(),
        new_rdn: Dn::parse(dn).unwrap().0[0].render(Escaping::Backslash),
        delete_old_rdn: true,
        new_superior: Some(to.to_owned()),
    }
}

/// So many people who get a user.
fn employees(company: &Company, count: usize) -> Vec<ObjectId> {
    let people = company.people().iter();
    let named = people.filter(|(_, person)| person.principal_name.is_some());
    let employees: Vec<_> = named.map(|(id, _)| *id).take(count).collect();
    assert_eq!(employees.len(), count);
    employees
}

/// A directory with the company, and an account that reads all but what was deleted.
fn serve(company: &Company) -> (Directory, Runtime) {
    let runtime = runtime();
    let mut config = Config::new(Profile::Ad, &company.base_dn());
    config.entries = planted(company, "info");
    config.accounts = vec![Account::reader(READER, PASSWORD)];
    config.require_tls = true;
    (runtime.block_on(Directory::start(config)).unwrap(), runtime)
}

/// The example for Active Directory with a client secret, without managers, so that a window's quota is enough, and with the groups of one
/// unit only.
fn manifests(scenario: &Scenario, directory: &Directory) -> Vec<Value> {
    scenario.secret("corp-bind", &[("username", READER), ("password", PASSWORD)]);
    scenario.authority("corp-ca", directory.ca_pem());
    let secret = scenario.tenant.client_secret();
    scenario.secret("application", &[("clientSecret", &secret)]);
    let mut manifests = scenario.example("active-directory-to-entra", &[&directory.ldaps_url()]);
    for manifest in &mut manifests {
        match manifest["kind"].as_str() {
            Some("DirectoryConnector") => {
                manifest["spec"]["changes"] =
                    json!({"interval": "10m", "confirmAbsence": "1s", "detect": "FullRead"});
            }
            Some("CloudTenant") => {
                manifest["spec"]["entra"]["auth"] =
                    json!({"clientSecret": {"secretRef": {"name": "application"}}});
            }
            Some("SyncScope") => {
                manifest["spec"]["include"][1]["organizationalUnit"] =
                    json!("OU=Lists\\, Distribution,OU=Groups,DC=corp,DC=example,DC=com");
            }
            _ => manifest["spec"]["mapping"]["user"]["omit"] = json!(["mobilePhone", "manager"]),
        }
    }
    manifests
}
