//! The times of a DirectoryConnector.

use std::time::Duration;

use plumbline::directory_sync::Report;
use plumbline_crds::Mode;
use plumbline_engine::reason::Reason;
use plumbline_lab::directory::Change;
use serde_json::json;

use super::{BASE, Lab, person, scope, staff, sync};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_interval_decides_how_often_a_directory_is_read() {
    let lab = Lab::start(vec![person(1, "Staff")]).await;
    let of = |name: &str| json!({"connectorRef": {"name": name}});
    let resources = [
        lab.tenant("lab", json!({})),
        lab.connector("often", json!({"changes": {"interval": "1s"}})),
        lab.connector("rarely", json!({"changes": {"interval": "24h"}})),
        scope("often", of("often")),
        sync("often", json!({})),
        scope("rarely", of("rarely")),
        sync("rarely", json!({})),
    ];
    let (run, stop) = lab.begin(&resources, Some(Mode::Plan));
    run.first_cycle().await;
    let mut reports = run.reports();
    let cycles = |name: &str, reports: &std::collections::BTreeMap<_, Report>| {
        let of_sync = reports
            .iter()
            .find(|(key, _): &(&plumbline::world::Key, _)| key.name == name);
        of_sync.map_or(0, |(_, report)| report.cycles)
    };
    let before = cycles("rarely", &reports.borrow());
    let often = reports.wait_for(|reports| cycles("often", reports) >= 4);
    let often = tokio::time::timeout(LIMIT, often)
        .await
        .unwrap()
        .unwrap()
        .clone();
    assert_eq!(
        cycles("rarely", &often),
        before,
        "it is read again tomorrow"
    );
    stop.cancel();
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_to_confirm_an_absence_decides_when_somebody_unread_is_gone() {
    let people = [
        person(1, "Staff"),
        person(2, "Staff"),
        person(3, "Partners"),
        person(4, "Partners"),
    ];
    let lab = Lab::start(people.into()).await;
    let connector = |name: &str, unit: &str, confirm: &str| {
        let changes = json!({"baseDN": format!("ou={unit},{BASE}"), "changes": {"confirmAbsence": confirm, "detect": "FullRead"}});
        lab.connector(name, changes)
    };
    let of = |name: &str| json!({"connectorRef": {"name": name}});
    let resources = [
        lab.tenant("lab", json!({})),
        connector("soon", "Staff", "0s"),
        connector("late", "Partners", "168h"),
        scope("soon", of("soon")),
        sync("soon", json!({"mode": "Apply"})),
        scope("late", of("late")),
        sync("late", json!({"mode": "Apply"})),
    ];
    let (run, stop) = lab.begin(&resources, None);
    run.first_cycle().await;
    assert_eq!(lab.tenant.users().len(), 4);
    for dn in [staff(1), format!("uid=p3,ou=Partners,{BASE}")] {
        lab.directory.apply(&Change::Delete { dn }).unwrap();
    }
    let mut reports = run.reports();
    let unproven = reports.wait_for(|reports| {
        let late = reports.iter().find(|(key, _)| key.name == "late");
        let plan = late.and_then(|(_, report)| report.plan.clone());
        let disabled = lab
            .tenant
            .users()
            .iter()
            .any(|user| user["accountEnabled"] == false);
        disabled && plan.is_some_and(|plan| !plan.quarantine.is_empty())
    });
    let reports = tokio::time::timeout(LIMIT, unproven)
        .await
        .unwrap()
        .unwrap()
        .clone();
    let late = reports
        .iter()
        .find(|(key, _)| key.name == "late")
        .unwrap()
        .1;
    let quarantine = &late.plan.as_ref().unwrap().quarantine;
    assert_eq!(quarantine[0].reason, Reason::AbsenceUnproven);
    stop.cancel();
    run.finish().await;
    for user in lab.tenant.users() {
        let gone = user["userPrincipalName"] == "p1@corp.example.com";
        assert_eq!(user["accountEnabled"], !gone, "{user}");
    }
}
