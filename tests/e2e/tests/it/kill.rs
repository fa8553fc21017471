//! The operator is killed in the middle of its first export; the next one converges, with nobody twice and nobody missing, and with
//! everybody in a group of that size. Who leaves that group afterwards leaves it at the tenant.

use std::time::Duration;

use plumbline_lab::company::{Company, Dialect};
use plumbline_lab::directory::{
    Attribute, Change, Entry, Modification, Operation, write_changes, write_entries,
};
use serde_json::json;

use crate::cluster::{openldap, openldap_example};
use crate::expected::{Units, compare, of_company, of_tenant};
use crate::scenario::{POD, Scenario, calm, poll};

#[test]
fn an_operator_killed_in_its_first_export_of_two_thousand_people_converges_without_a_duplicate() {
    let company = Company::generate(21, 2_500, Dialect::OpenLdap);
    let directory = openldap(&company);
    let members = company
        .people()
        .keys()
        .filter_map(|person| company.dn(*person));
    let everybody = format!("cn=Everybody,ou=Groups,{}", company.base_dn());
    let mut group = Entry::new(everybody.clone())
        .with("objectClass", "groupOfNames")
        .with("cn", "Everybody")
        .with("description", "all");
    group.attributes.push(Attribute::new("member", members));
    directory
        .administrator()
        .unwrap()
        .modify(&write_entries(&[group]))
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

    let plain = company
        .people()
        .iter()
        .filter(|(_, person)| person.aliases.is_empty());
    let (mut dns, mut names) = (Vec::new(), Vec::new());
    for (id, person) in plain
        .step_by(250)
        .filter(|(_, person)| person.mail.is_some())
    {
        dns.extend(company.dn(*id));
        names.push(json!(person.mail));
    }
    assert!((3..10).contains(&dns.len()), "few enough for the guard");
    let members = expected.groups.get_mut("Everybody").unwrap()["members"]
        .as_array_mut()
        .unwrap();
    let before = members.len();
    members.retain(|member| !names.contains(member));
    assert_eq!(before - members.len(), names.len());
    let change = Change::Modify {
        dn: everybody,
        modifications: vec![Modification {
            operation: Operation::Delete,
            attribute: Attribute::new("member", dns),
        }],
    };
    directory
        .administrator()
        .unwrap()
        .modify(&write_changes(&[change]))
        .unwrap();
    scenario.reconcile_now("people", 90);
    compare(&expected, &of_tenant(&scenario.tenant)).unwrap();

    assert!(scenario.tenant.deleted().is_empty());
    scenario.ends_well();
}
