//! `changes` of a DirectoryConnector: how it is followed.

use std::{collections::BTreeSet, time::Duration};

use plumbline::folder_run::FolderRun;
use plumbline_crds::Mode;
use plumbline_engine::operation::Change as Write;
use plumbline_lab::directory::{Account, Change, Config, Directory, Entry, Profile};
use serde_json::{Value, json};

use super::{BASE, Lab, READER, person, scope, sync};

const LIMIT: Duration = Duration::from_secs(60);

fn of(name: &str) -> Value {
    json!({"connectorRef": {"name": name}})
}

/// Waits until the last plan of each of these syncs makes so many accounts.
async fn planned(run: &FolderRun, names: &[&str], creates: usize) {
    let mut reports = run.reports();
    let all = reports.wait_for(|reports| {
        let enough: BTreeSet<_> = reports
            .iter()
            .filter(|(_, report)| {
                let operations = report.plan.iter().flat_map(|plan| &plan.operations);
                let made = operations.filter(|each| matches!(each.change, Write::Create { .. }));
                made.count() == creates
            })
            .map(|(key, _)| key.name.as_str())
            .collect();
        names.iter().all(|name| enough.contains(name))
    });
    let arrived = tokio::time::timeout(LIMIT, all).await.is_ok();
    assert!(arrived, "{names:?}: {creates} accounts");
}

/// A domain with these people in `CN=Users`.
async fn domain(people: &[usize]) -> Directory {
    let mut config = Config::new(Profile::Ad, BASE);
    config.entries = vec![Entry::new(format!("CN=Users,{BASE}")).with("objectClass", "container")];
    config
        .entries
        .extend(people.iter().map(|number| account(*number)));
    config.accounts = vec![Account::reader(READER, "secret").replicating()];
    Directory::start(config).await.unwrap()
}

fn account(number: usize) -> Entry {
    Entry::new(format!("CN=p{number},CN=Users,{BASE}"))
        .with("objectClass", "user")
        .with("sAMAccountName", format!("p{number}"))
        .with("userAccountControl", "512")
        .with("userPrincipalName", format!("p{number}@corp.example.com"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_detect_changes_brings_them_and_is_shown() {
    let lab = Lab::start(vec![person(1, "Staff")]).await;
    let domain = domain(&[1]).await;
    lab.secret("domain-ca", &[("ca.crt", domain.ca_pem())]);
    let cases = [
        (false, "Auto", "ContentSync"),
        (false, "ContentSync", "ContentSync"),
        (false, "ModifyTimestamp", "ModifyTimestamp"),
        (false, "FullRead", "FullRead"),
        (true, "Auto", "DirSync"),
        (true, "DirSync", "DirSync"),
        (true, "UsnChanged", "UsnChanged"),
    ];
    let mut resources = vec![lab.tenant("lab", json!({}))];
    let mut names = Vec::new();
    for (at, (theirs, detect, _)) in cases.iter().enumerate() {
        let name = format!("c{at}");
        let mut changes = json!({"changes": {"detect": detect}});
        if *theirs {
            changes["servers"] = json!([domain.ldaps_url()]);
            changes["tls"] = json!({"caRef": {"name": "domain-ca"}});
        }
        resources.push(lab.connector(&name, changes));
        resources.push(scope(&name, of(&name)));
        resources.push(sync(&name, json!({})));
        names.push(name);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (run, stop) = lab.begin(&resources, Some(Mode::Plan));
    planned(&run, &names, 1).await;
    lab.directory
        .apply(&Change::Add(person(2, "Staff")))
        .unwrap();
    domain.apply(&Change::Add(account(2))).unwrap();
    planned(&run, &names, 2).await;
    let statuses = run.host.statuses().borrow().clone();
    for (at, (_, detect, kind)) in cases.iter().enumerate() {
        let (_, status) = statuses
            .iter()
            .find(|(subject, _)| {
                subject.kind.as_str() == "DirectoryConnector"
                    && subject.key.name == format!("c{at}")
            })
            .unwrap();
        assert_eq!(status["feed"]["kind"], *kind, "{detect}");
        let why = status["feed"]["why"].as_str().unwrap();
        assert!(why.len() > 10, "{detect}: {why}");
    }
    stop.cancel();
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_finds_in_time_what_the_feed_has_missed() {
    let lab = Lab::start(vec![person(1, "Staff")]).await;
    let connector = |name: &str, verify: &str| {
        let changes = json!({"changes": {"verify": verify}});
        lab.connector(name, changes)
    };
    let resources = [
        lab.tenant("lab", json!({})),
        connector("soon", "1s"),
        connector("late", "24h"),
        scope("soon", of("soon")),
        sync("soon", json!({})),
        scope("late", of("late")),
        sync("late", json!({})),
    ];
    let (run, stop) = lab.begin(&resources, Some(Mode::Plan));
    planned(&run, &["soon", "late"], 1).await;
    let mut unseen = person(2, "Staff");
    unseen.push("entryUUID", "11111111-2222-3333-4444-555555555555");
    lab.directory
        .with_store(|store| store.insert_raw(&unseen))
        .unwrap();
    planned(&run, &["soon"], 2).await;
    lab.directory
        .apply(&Change::Add(person(3, "Staff")))
        .unwrap();
    planned(&run, &["soon"], 3).await;
    planned(&run, &["late"], 2).await;
    stop.cancel();
    run.finish().await;
}
