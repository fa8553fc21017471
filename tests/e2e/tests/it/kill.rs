//! The operator is killed in the middle of its first export; the next one converges, with nobody twice and nobody missing.

use std::time::Duration;

use plumbline_lab::company::{Company, Dialect};
use plumbline_lab::directory::{Attribute, Entry, write_entries};
use serde_json::json;

use crate::cluster::{openldap, openldap_example};
use crate::expected::{Units, compare, of_company, of_tenant};
use crate::scenario::{POD, Scenario, calm, poll};

#[test]
fn an_operator_killed_in_its_first_export_of_two_thousand_people_converges_without_a_duplicate() {
    let company = Company::generate(21, 2_500, Dialect::OpenLdap);
    let directory = openldap(&company, &[]);
    let members = company
        .people()
        .keys()
        .filter_map(|person| company.dn(*person));
    let mut everybody = Entry::new(format!("cn=Everybody,ou=Groups,{}", company.base_dn()))
        .with("objectClass", "groupOfNames")
        .with("cn", "Everybody")
        .with("description", "all");
    everybody.attributes.push(Attribute::new("member", members));
    directory
        .administrator()
        .unwrap()
        .modify(&write_entries(&[everybody]))
        .unwrap();

    let scenario = Scenario::start("kill", calm(21), &[]);
    scenario.apply(&openldap_example(&scenario, &directory));
    let created = |count: usize| {
        let users = scenario.tenant.users().len();
        if users >= count {
            Ok(())
        } else {
            Err(format!("{users} users"))
        }
    };
    for count in [300, 900] {
        poll(Duration::from_secs(90), || created(count)).unwrap();
        scenario
            .kubelet
            .signal(scenario.namespace, POD, "KILL")
            .unwrap();
    }
    assert!(scenario.tenant.users().len() < 2_000, "killed too late");

    let mut expected = of_company(&company, &Units::of(&company), Dialect::OpenLdap);
    let all: Vec<_> = expected.users.keys().cloned().collect();
    assert!(all.len() > 2_300);
    let group = json!({
        "displayName": "Everybody", "description": "all", "members": all,
        "securityEnabled": true, "mailEnabled": false,
    });
    expected
        .groups
        .insert("Everybody".into(), group.as_object().unwrap().clone());
    scenario.eventually(300, "everybody at the tenant", || {
        compare(&expected, &of_tenant(&scenario.tenant))
    });
    scenario.wait("dsync/people", "condition=Ready", 60);
    assert!(scenario.tenant.deleted().is_empty());
    let violations = scenario.tenant.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}
