//! What a change feed loses with a success code, the complete comparison finds, and counts by cause.

use std::time::Duration;

use plumbline::{folder_run::FolderRun, world::Kind};
use plumbline_crds::Mode;
use plumbline_lab::{
    company::{Company, Dialect},
    directory::{
        Account, Attribute, Change, Config, Directory, Fault, Modification, Operation, Profile,
    },
};
use serde_json::{Value, json};

use crate::{
    field::{Lab, READER, scope, sync},
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
    match tokio::time::timeout(LIMIT, wait).await {
        Ok(statuses) => of(&statuses.unwrap()),
        Err(_) => panic!(
            "{}",
            run.host
                .statuses()
                .borrow()
                .values()
                .map(|status| format!("{status:#}"))
                .collect::<String>()
        ),
    }
}

/// The value of a metric with this label.
fn metric(run: &FolderRun, name: &str, label: &str) -> f64 {
    let text = run.metrics.encode().unwrap();
    value(&text, name, &[label]).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_feed_loses_is_found_by_the_complete_comparison_and_counted_by_cause() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut company = Company::generate(5, 12, Dialect::ActiveDirectory);
    let mut config = Config::new(Profile::Ad, &company.base_dn());
    config.entries = company.entries();
    config.accounts = vec![
        Account::reader(READER, "secret")
            .seeing_deleted()
            .replicating(),
    ];
    let domain = Directory::start(config).await.unwrap();
    let lab = Lab::start(vec![]).await;
    lab.secret("domain-ca", &[("ca.crt", domain.ca_pem())]);
    let changes = json!({
        "servers": [domain.ldaps_url()],
        "tls": {"caRef": {"name": "domain-ca"}},
        "changes": {"detect": "DirSync", "verify": "1s"},
    });
    let resources = [
        lab.connector("corp", changes),
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
    let first = verified(&run, |value| value.is_object()).await;
    assert_eq!(total(&first), Some(0), "{first}");
    assert!(first["time"].is_string());

    let person = *company.people().keys().next().unwrap();
    let (unit, _) = company.units().iter().last().unwrap();
    let unit = *unit;
    let told = Change::Modify {
        dn: company.dn(person).unwrap(),
        modifications: vec![Modification {
            operation: Operation::Replace,
            attribute: Attribute::new("department", ["Unheard of"]),
        }],
    };
    let cases = [
        ("changed", vec![told]),
        ("arrived", company.hire(unit).unwrap().1),
        ("renamed", company.rename_unit(unit, "Elsewhere").unwrap()),
        ("left", company.leave(person).unwrap()),
    ];
    for (cause, changes) in cases {
        let before = metric(&run, "directory_findings_total", cause);
        domain.inject(Fault::MissingEntries(1000));
        domain.apply_all(&changes).unwrap();
        let found = verified(&run, |value| value[cause].as_i64() > Some(0)).await;
        if cause == "changed" {
            assert_eq!(total(&found), Some(1), "{found}");
        }
        let now = metric(&run, "directory_findings_total", cause);
        assert!(now > before, "{cause}: {now}");
    }
    // What the feed tells is no finding.
    let quiet = |value: &Value| total(value) == Some(0);
    verified(&run, quiet).await;
    let compared = metric(&run, "directory_listings_total", "verify");
    domain.apply_all(&company.hire(unit).unwrap().1).unwrap();
    let mut statuses = run.host.statuses();
    while metric(&run, "directory_listings_total", "verify") < compared + 2.0 {
        statuses.changed().await.unwrap();
        let found = verified(&run, Value::is_object).await;
        assert_eq!(total(&found), Some(0), "{found}");
    }
    let first = metric(&run, "directory_listings_total", "first");
    assert!((first - 1.0).abs() < f64::EPSILON, "{first}");
    stop.cancel();
    run.finish().await;
}
