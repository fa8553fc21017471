//! SyncScope: who takes part.

use plumbline_crds::Mode;
use plumbline_lab::{
    company::{Company, Dialect},
    directory::{Account, Change, Config, Directory, Entry, Profile},
};
use serde_json::json;

use super::{BASE, Lab, READER, group, person, scope, staff, sync};

#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_a_scope_decides_who_takes_part() {
    let mut entries: Vec<_> = (1..=3).map(|number| person(number, "Staff")).collect();
    entries.extend([person(4, "Partners"), person(5, "Partners")]);
    entries[2].push("employeeType", "temp");
    let crew = format!("cn=crew,ou=Groups,{BASE}");
    let partner = format!("uid=p4,ou=Partners,{BASE}");
    entries.push(group("crew", &[staff(1), partner]));
    entries.push(group("board", &[staff(2), crew.clone()]));
    let lab = Lab::start(entries).await;
    let partners = format!("ou=Partners,{BASE}");
    let cases = [
        (json!({}), "board crew p1 p2 p3 p4 p5"),
        (json!({"classes": ["User"]}), "p1 p2 p3 p4 p5"),
        (json!({"classes": ["Group"]}), "board crew"),
        (
            json!({"include": [{"organizationalUnit": partners}]}),
            "p4 p5",
        ),
        (json!({"include": [{"group": crew}]}), "crew p1 p4"),
        (
            json!({"include": [{"group": crew}, {"organizationalUnit": partners}]}),
            "crew p1 p4 p5",
        ),
        (
            json!({"include": [{"group": format!("cn=board,ou=Groups,{BASE}")}]}),
            "board crew p1 p2 p4",
        ),
        (
            json!({"exclude": [{"organizationalUnit": partners}]}),
            "board crew p1 p2 p3",
        ),
        (json!({"exclude": [{"group": crew}]}), "board p2 p3 p5"),
        (json!({"filter": "(employeeType=temp)"}), "p3"),
        (
            json!({"when": {"user": "user.employeeType == 'temp'"}}),
            "board crew p3",
        ),
        (
            json!({"when": {"group": "group.cn == 'crew'"}}),
            "crew p1 p2 p3 p4 p5",
        ),
    ];
    let mut resources = vec![
        lab.connector("corp", json!({})),
        lab.tenant("lab", json!({})),
    ];
    for (at, (changes, _)) in cases.iter().enumerate() {
        resources.push(scope(&format!("s{at}"), changes.clone()));
        resources.push(sync(&format!("s{at}"), json!({})));
    }
    // What a reference names, and what it does not.
    let lost = json!({"connectorRef": {"name": "nowhere"}});
    resources.extend([scope("lost", lost), sync("lost", json!({}))]);
    let seen = lab.run(&resources, Some(Mode::Plan)).await;
    for (at, (changes, expected)) in cases.iter().enumerate() {
        let name = format!("s{at}");
        assert_eq!(seen.created(&name), *expected, "{changes}");
        let counts = &seen.statuses[&format!("syncscope/{name}")]["counts"];
        let total = counts["users"].as_u64().unwrap() + counts["groups"].as_u64().unwrap();
        assert_eq!(
            total,
            expected.split(' ').count() as u64,
            "{changes}: {counts}"
        );
    }
    let resolved = &seen.statuses["syncscope/s3"]["resolved"][0];
    let written = resolved["written"].as_str().unwrap();
    assert!(written.eq_ignore_ascii_case(&partners), "{written}");
    assert_eq!(resolved["dn"], partners);
    assert_eq!(resolved["guid"].as_str().unwrap().len(), 32);
    assert_eq!(seen.reason("syncscope/lost"), "DependencyNotReady");
    assert!(seen.message("syncscope/lost").contains("spec.connectorRef"));
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_counted_where_the_scope_names_their_class() {
    let company = Company::generate(5, 5, Dialect::ActiveDirectory);
    let mut config = Config::new(Profile::Ad, &company.base_dn());
    config.entries = company.entries();
    config.accounts = vec![Account::reader(READER, "secret").seeing_deleted()];
    let domain = Directory::start(config).await.unwrap();
    // That deleted objects are readable shows where there is one.
    let leaver = format!("CN=Leaver,CN=Users,{}", company.base_dn());
    let added = Change::Add(Entry::new(leaver.clone()).with("objectClass", "container"));
    domain
        .apply_all(&[added, Change::Delete { dn: leaver }])
        .unwrap();
    let lab = Lab::start(vec![]).await;
    lab.secret("domain-ca", &[("ca.crt", domain.ca_pem())]);
    let changes = json!({"servers": [domain.ldaps_url()], "tls": {"caRef": {"name": "domain-ca"}}});
    let resources = [
        lab.connector("corp", changes),
        lab.tenant("lab", json!({})),
        scope("without", json!({"classes": ["User", "Group"]})),
        sync("without", json!({})),
        scope("with", json!({"classes": ["User", "Group", "Contact"]})),
        sync("with", json!({})),
    ];
    let seen = lab.run(&resources, Some(Mode::Plan)).await;
    let (with, without) = (
        seen.plan("with").unsupported,
        seen.plan("without").unsupported,
    );
    assert_eq!(
        (with.contacts, without.contacts),
        (company.contacts().len(), 0)
    );
    let lists = company.groups().values().filter(|group| !group.security);
    assert_eq!(with.distribution_groups, lists.count());
    assert_eq!(seen.created("with"), seen.created("without"));
    let unsupported = &seen.statuses["directorysync/with"]["unsupported"];
    assert_eq!(unsupported["contacts"], company.contacts().len());
    assert_eq!(unsupported["distributionGroups"], with.distribution_groups);
    let status = &seen.statuses["directoryconnector/corp"];
    let count = |class: &str| usize::try_from(status["counts"][class].as_u64().unwrap()).unwrap();
    assert_eq!(count("contacts"), company.contacts().len());
    assert_eq!(count("distributionGroups"), with.distribution_groups);
    // Those that come with any domain are read, too.
    assert!(count("groups") + count("distributionGroups") >= company.groups().len());
    assert!(count("containers") >= company.units().len());
    assert_eq!(status["deletedObjects"], "Readable");
}
