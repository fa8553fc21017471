//! A directory that does wrong: the cycle fails with its reason, nobody is lost by it, and the next one recovers.

use std::time::Duration;

use plumbline::folder_run::FolderRun;
use plumbline_lab::directory::{Account, Change, Config, Directory, Entry, Fault, Profile};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{BASE, Lab, READER, scope, sync};

const LIMIT: Duration = Duration::from_secs(60);
/// More than a page, and more members than a range.
const PEOPLE: usize = 1_600;

fn dn(number: usize) -> String {
    format!("CN=p{number},CN=Users,{BASE}")
}

fn account(number: usize) -> Entry {
    Entry::new(dn(number))
        .with("objectClass", "user")
        .with("sAMAccountName", format!("p{number}"))
        .with("userAccountControl", "512")
        .with("userPrincipalName", format!("p{number}@corp.example.com"))
}

/// How many reads ended with this result, by the metric.
fn reads(run: &FolderRun, result: &str) -> u64 {
    counted(run, "reads", &format!("result=\"{result}\""))
}

fn counted(run: &FolderRun, what: &str, label: &str) -> u64 {
    let text = run.metrics.encode().unwrap();
    let name = format!("plumbline_directory_{what}_total");
    let lines = text
        .lines()
        .filter(|line| line.starts_with(&name) && line.contains(label));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Waits until it is so; it is looked at after each pass of the runtime.
async fn until(run: &FolderRun, what: &str, so: impl Fn() -> bool) {
    let mut passes = run.reports();
    let wait = async {
        while !so() {
            passes.changed().await.unwrap();
        }
    };
    let arrived = tokio::time::timeout(LIMIT, wait).await.is_ok();
    assert!(arrived, "{what}: {:#?}", run.host.statuses().borrow());
}

fn members(lab: &Lab) -> usize {
    let groups = lab.tenant.groups();
    let crew = groups.iter().find(|group| group["displayName"] == "crew");
    crew.and_then(|crew| crew["members"].as_array())
        .map_or(0, Vec::len)
}

fn enabled(lab: &Lab) -> usize {
    let users = lab.tenant.users();
    users
        .iter()
        .filter(|user| user["accountEnabled"] == true)
        .count()
}

/// How many of the sync are in quarantine because nothing proves that they are gone.
fn unproven(run: &FolderRun) -> u64 {
    let statuses = run.host.statuses();
    let statuses = statuses.borrow();
    let mut syncs = statuses
        .iter()
        .filter(|(subject, _)| subject.kind.as_str() == "DirectorySync");
    let quarantine = &syncs.next().unwrap().1["quarantine"];
    let sample = quarantine["sample"].as_array().into_iter().flatten();
    assert!(
        sample.clone().all(|one| one["reason"] == "AbsenceUnproven"),
        "{quarantine}"
    );
    quarantine["count"].as_u64().unwrap_or_default()
}

/// A domain of 19 people, whose deletions can be seen.
async fn domain() -> Directory {
    let mut config = Config::new(Profile::Ad, BASE);
    config.entries = vec![Entry::new(format!("CN=Users,{BASE}")).with("objectClass", "container")];
    config.entries.extend((0..20).map(account));
    config.accounts = vec![
        Account::reader(READER, "secret")
            .replicating()
            .seeing_deleted(),
    ];
    let domain = Directory::start(config).await.unwrap();
    domain.apply(&Change::Delete { dn: dn(19) }).unwrap();
    domain
}

/// Follows domain controllers in this order; leavers would be deleted.
async fn follow(controllers: &[&Directory]) -> (Lab, FolderRun, CancellationToken) {
    let lab = Lab::start(vec![]).await;
    let authorities: String = controllers.iter().map(|one| one.ca_pem()).collect();
    lab.secret("domain-ca", &[("ca.crt", &authorities)]);
    let servers: Vec<String> = controllers.iter().map(|one| one.ldaps_url()).collect();
    let connector = json!({"servers": servers, "tls": {"caRef": {"name": "domain-ca"}}});
    let resources = [
        lab.tenant("lab", json!({})),
        lab.connector("corp", connector),
        scope("staff", json!({})),
        sync(
            "staff",
            json!({"mode": "Apply", "deprovision": {"user": "Delete"}}),
        ),
    ];
    let (run, stop) = lab.begin(&resources, None);
    until(&run, "the first people", || enabled(&lab) == 19).await;
    (lab, run, stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_unknown_to_a_controller_that_lags_keeps_his_account() {
    let first = domain().await;
    let second = first.replica().await.unwrap();
    let (lab, run, stop) = follow(&[&first, &second]).await;
    first.apply(&Change::Add(account(20))).unwrap();
    until(&run, "who is hired", || enabled(&lab) == 20).await;
    let listed = || counted(&run, "listings", "cause=\"otherServer\"");
    let unknown = || {
        // Until a read is hit, and not the question whether there is anything to read.
        if listed() == 0 {
            first.inject(Fault::Reset);
        }
        listed() == 1 && unproven(&run) == 1
    };
    until(&run, "the second does not know him", unknown).await;
    assert_eq!(enabled(&lab), 20);
    second.catch_up(&first).unwrap();
    until(&run, "by now it does", || unproven(&run) == 0).await;
    assert_eq!((enabled(&lab), listed()), (20, 1));
    stop.cancel();
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_unknown_to_a_controller_that_was_restored_keeps_his_account() {
    let domain = domain().await;
    let backup = domain.snapshot();
    let (lab, run, stop) = follow(&[&domain]).await;
    domain.apply(&Change::Add(account(20))).unwrap();
    until(&run, "who is hired", || enabled(&lab) == 20).await;
    domain.restore(&backup).unwrap();
    let listed = || counted(&run, "listings", "cause=\"wentBack\"");
    let unknown = || listed() == 1 && unproven(&run) == 1;
    until(&run, "it has forgotten him", unknown).await;
    domain.apply(&Change::Add(account(21))).unwrap();
    until(&run, "who is hired next", || enabled(&lab) == 21).await;
    assert_eq!(listed(), 1, "one complete read");
    stop.cancel();
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_disturbance_fails_a_cycle_with_its_reason_and_loses_nobody() {
    let mut config = Config::new(Profile::Ad, BASE);
    config.entries = vec![Entry::new(format!("CN=Users,{BASE}")).with("objectClass", "container")];
    config.entries.extend((0..PEOPLE).map(account));
    let mut crew = Entry::new(format!("CN=crew,CN=Users,{BASE}"))
        .with("objectClass", "group")
        .with("groupType", "-2147483646")
        .with("sAMAccountName", "crew");
    for number in 0..PEOPLE {
        crew.push("member", dn(number));
    }
    config.entries.push(crew);
    config.accounts = vec![Account::reader(READER, "secret").replicating()];
    let domain = Directory::start(config).await.unwrap();
    let lab = Lab::start(vec![]).await;
    lab.secret("domain-ca", &[("ca.crt", domain.ca_pem())]);
    let connector = json!({
        "servers": [domain.ldaps_url()],
        "tls": {"caRef": {"name": "domain-ca"}},
        "changes": {"detect": "FullRead"},
    });
    let resources = [
        lab.tenant("lab", json!({})),
        lab.connector("corp", connector),
        scope("staff", json!({})),
        sync("staff", json!({"mode": "Apply"})),
    ];
    let (run, stop) = lab.begin(&resources, None);
    let mut people = PEOPLE;
    until(&run, "the first people", || {
        lab.tenant.users().len() == PEOPLE && members(&lab) == PEOPLE
    })
    .await;
    let cases = [
        (Fault::CutAfterEntries(700), Some("ReadIncomplete")),
        (Fault::Garbage, Some("ReadIncomplete")),
        (Fault::GarbledControl, Some("ReadIncomplete")),
        (Fault::FewerValues, Some("ReadIncomplete")),
        (Fault::Busy(1), Some("ReadIncomplete")),
        (Fault::Reset, Some("ReadIncomplete")),
        // A page that comes twice is no harm; one that comes again and again is refused by the adapter's tests.
        (Fault::RepeatedCookie, None),
        // What only looks right: the search for whom was missed finds them.
        (Fault::MissingEntries(30), None),
        (Fault::FalseCount(7), None),
    ];
    for (fault, reason) in cases {
        let before = reason.map(|reason| reads(&run, reason));
        let succeeded = reads(&run, "success");
        domain.inject(fault);
        if let (Some(reason), Some(before)) = (reason, before) {
            let what = format!("{fault:?} is {reason}");
            until(&run, &what, || reads(&run, reason) > before).await;
        }
        // The read that was under way is over, and another one is.
        let what = format!("reads go on after {fault:?}");
        until(&run, &what, || reads(&run, "success") > succeeded + 1).await;
        domain.apply(&Change::Add(account(people))).unwrap();
        people += 1;
        let what = format!("who comes after {fault:?}");
        until(&run, &what, || lab.tenant.users().len() == people).await;
        let locked = lab.tenant.users();
        let mut locked = locked.iter().filter(|user| user["accountEnabled"] == false);
        assert_eq!(locked.next(), None, "{fault:?}");
        assert_eq!(members(&lab), PEOPLE, "{fault:?}");
    }
    stop.cancel();
    run.finish().await;
}
