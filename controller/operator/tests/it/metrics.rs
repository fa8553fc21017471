//! What each metric counts, over one run that has something of everything.

use std::time::Duration;

use plumbline::{directory_sync::Report, telemetry::logs};
use serde_json::json;

use crate::field::{BASE, Lab, group, merge, person, scope, staff, sync};

const LIMIT: Duration = Duration::from_secs(60);

/// The value in the first line of this metric that has all these labels.
pub(crate) fn value(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let mut lines = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("plumbline_")?.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        Some((labels, value.parse().ok()?))
    });
    let found = lines.find(|(of, _)| {
        (of.is_empty() || of.starts_with('{')) && labels.iter().all(|label| of.contains(label))
    });
    found.map(|(_, value)| value)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_metric_counts_what_it_says() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut entries: Vec<_> = (1..=4).map(|number| person(number, "Staff")).collect();
    // One without a sign-in name.
    let mut nameless = person(5, "Staff");
    nameless
        .attributes
        .retain(|attribute| attribute.name != "mail");
    entries.extend([nameless, group("crew", &[staff(1), staff(2)])]);
    let lab = Lab::start(entries).await;
    lab.secret("wrong", &[("username", "cn=nobody"), ("password", "wrong")]);
    let wrong = json!({"bind": {"simple": {"secretRef": {"name": "wrong"}}}});
    let groups = json!({"include": [{"organizationalUnit": format!("ou=Groups,{BASE}")}]});
    let resources = [
        lab.connector("corp", json!({})),
        lab.connector("wrong", wrong),
        lab.tenant("lab", json!({})),
        scope("all", json!({})),
        sync("all", json!({"mode": "Apply"})),
        // The same objects, of which it would leave the groups alone: everybody is held.
        scope("groups", merge(json!({}), groups)),
        sync("groups", json!({"mode": "Plan", "owner": "default.all"})),
    ];
    let (run, stop) = lab.begin(&resources, None);
    let mut reports = run.reports();
    let plan = |report: &Report| report.plan.clone();
    let settled = reports.wait_for(|reports| {
        let of = |name: &str| {
            let mut all = reports.iter();
            all.find(|(key, _)| key.name == name)
                .map(|(_, report)| report)
        };
        let in_step = of("all").is_some_and(|report| {
            report.cycles > 1 && plan(report).is_some_and(|plan| plan.is_empty())
        });
        let held = of("groups").and_then(plan);
        in_step && held.is_some_and(|plan| !plan.holds.is_empty())
    });
    tokio::time::timeout(LIMIT, settled).await.unwrap().unwrap();
    // Every status says where its resource stands.
    let mut statuses = run.host.statuses();
    let written = statuses.wait_for(|statuses| statuses.len() == resources.len());
    tokio::time::timeout(LIMIT, written).await.unwrap().unwrap();
    let before = run.metrics.encode().unwrap();

    let (all, held) = (r#"name="all""#, r#"name="groups""#);
    let corp = r#"name="corp""#;
    for (name, labels, expected) in [
        ("build_info", &["version="][..], 1.0),
        ("ready", &[r#"kind="DirectoryConnector""#, corp], 1.0),
        (
            "ready",
            &[r#"kind="DirectoryConnector""#, r#"name="wrong""#],
            0.0,
        ),
        ("sync_objects", &[all, r#"class="user""#], 4.0),
        ("sync_objects", &[all, r#"class="group""#], 1.0),
        (
            "sync_planned_operations",
            &[all, r#"operation="create""#],
            0.0,
        ),
        ("sync_held_operations", &[held, r#"class="disables""#], 4.0),
        ("sync_held_operations", &[all, r#"class="disables""#], 0.0),
        (
            "sync_quarantined_objects",
            &[all, r#"reason="AttributeMissing""#],
            1.0,
        ),
        (
            "sync_operations_total",
            &[all, r#"operation="create""#, r#"outcome="done""#],
            5.0,
        ),
        (
            "sync_operations_total",
            &[all, r#"operation="addMember""#, r#"outcome="done""#],
            2.0,
        ),
        ("panics_total", &[], 0.0),
    ] {
        assert_eq!(
            value(&before, name, labels),
            Some(expected),
            "{name} {labels:?}\n{before}"
        );
    }
    for (name, labels) in [
        ("directory_reads_total", &[corp, r#"result="success""#][..]),
        (
            "directory_reads_total",
            &[r#"name="wrong""#, r#"result="BindFailed""#],
        ),
        ("directory_listings_total", &[corp, r#"cause="first""#]),
        ("tenant_looks_total", &[r#"result="success""#]),
        ("sync_cycles_total", &[all, r#"result="success""#]),
        ("sync_last_success_timestamp_seconds", &[all]),
        (
            "target_requests_total",
            &[r#"method="GET""#, r#"status="200""#],
        ),
        ("target_request_duration_seconds_count", &[]),
    ] {
        assert!(
            value(&before, name, labels) > Some(0.0),
            "{name} {labels:?}\n{before}"
        );
    }
    let hook = std::panic::take_hook();
    logs::watch_panics(run.metrics.clone());
    let panicked = tokio::spawn(async { panic!("on purpose") }).await;
    std::panic::set_hook(hook);
    assert!(panicked.is_err());
    let after = run.metrics.encode().unwrap();
    assert!(value(&after, "panics_total", &[]) > Some(0.0));
    stop.cancel();
    run.finish().await;
}
