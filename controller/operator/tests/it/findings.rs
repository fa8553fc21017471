//! What a change feed loses with a success code, the complete comparison finds, and counts by cause.

use std::time::Duration;

use plumbline::{folder_run::FolderRun, world::Kind};
use plumbline_crds::Mode;
use plumbline_lab::directory::{Attribute, Change, Modification, Operation};
use serde_json::{Value, json};

use crate::{
    field::{BASE, Lab, person, scope, staff, sync},
    metrics::value,
};

const LIMIT: Duration = Duration::from_secs(60);

/// `status.verified` of the connector, once it is what is expected.
async fn verified(run: &FolderRun, expected: impl Fn(&Value) -> bool) -> Value {
    let mut statuses = run.host.statuses();
    let of = |statuses: &plumbline::host::folder::Statuses| {
        let mut all = statuses.iter();
        let found = all.find(|(subject, _)| subject.kind == Kind::DirectoryConnector);
        found.map_or(Value::Null, |(_, status)| status["verified"].clone())
    };
    let wait = statuses.wait_for(|statuses| expected(&of(statuses)));
    let found = tokio::time::timeout(LIMIT, wait).await;
    let found = found.map(|statuses| of(&statuses.unwrap()));
    assert!(found.is_ok(), "{:#?}", run.host.statuses().borrow());
    found.unwrap()
}

/// What the next comparison finds.
async fn compared(run: &FolderRun) -> Value {
    let before = verified(run, Value::is_object).await["time"].clone();
    verified(run, |value| value["time"] != before).await
}

/// The value of a metric with this label.
fn metric(run: &FolderRun, name: &str, label: &str) -> f64 {
    let text = run.metrics.encode().unwrap();
    value(&text, name, &[label]).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_feed_loses_is_found_by_the_complete_comparison_and_counted_by_cause() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut entries: Vec<_> = (1..=3).map(|number| person(number, "Staff")).collect();
    entries.push(person(4, "Partners"));
    let lab = Lab::start(entries).await;
    let resources = [
        lab.connector("corp", json!({"changes": {"verify": "1s"}})),
        lab.tenant("lab", json!({})),
        scope("all", json!({})),
        sync("all", json!({})),
    ];
    let (run, stop) = lab.begin(&resources, Some(Mode::Plan));
    run.first_cycle().await;
    let total = |value: &Value| {
        let causes = ["arrived", "changed", "renamed", "left"].map(|cause| value[cause].as_i64());
        causes.into_iter().sum::<Option<i64>>()
    };
    let first = verified(&run, Value::is_object).await;
    assert_eq!(total(&first), Some(0), "{first}");
    assert!(first["time"].is_string());

    let told = Change::Modify {
        dn: staff(1),
        modifications: vec![Modification {
            operation: Operation::Replace,
            attribute: Attribute::new("title", ["Unheard of"]),
        }],
    };
    let moved = Change::Rename {
        dn: staff(2),
        new_rdn: "uid=p2".into(),
        delete_old_rdn: true,
        new_superior: Some(format!("ou=Partners,{BASE}")),
    };
    let cases = [
        ("changed", told),
        ("arrived", Change::Add(person(5, "Staff"))),
        ("renamed", moved),
        ("left", Change::Delete { dn: staff(3) }),
    ];
    for (cause, change) in cases {
        let before = metric(&run, "directory_findings_total", cause);
        lab.directory
            .with_store(|store| store.apply_untold(&change))
            .unwrap();
        let found = verified(&run, |value| value[cause].as_i64() > Some(0)).await;
        assert_eq!(total(&found), Some(1), "{cause}: {found}");
        let now = metric(&run, "directory_findings_total", cause);
        assert!((now - before - 1.0).abs() < f64::EPSILON, "{cause}: {now}");
    }
    // What the feed tells is no finding.
    compared(&run).await;
    lab.directory
        .apply(&Change::Add(person(6, "Staff")))
        .unwrap();
    for _ in 0..2 {
        let found = compared(&run).await;
        assert_eq!(total(&found), Some(0), "{found}");
    }
    let first = metric(&run, "directory_listings_total", "first");
    assert!((first - 1.0).abs() < f64::EPSILON, "{first}");
    stop.cancel();
    run.finish().await;
}
