//! People take the reins in the middle of an export: suspend, edit, delete and SIGTERM act within seconds. And nothing that is secret,
//! or that nobody mapped, is seen anywhere.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plumbline_lab::company::{Company, Dialect};
use plumbline_lab::tenant::{Config, Quota};
use serde_json::json;

use crate::cluster::{openldap, openldap_example};
use crate::scenario::{POD, Scenario, calm, poll};

/// A tenant that takes minutes for an export.
fn slow(seed: u64) -> Config {
    Config {
        write_quota: Quota {
            count: 60,
            window: Duration::from_secs(6),
        },
        ..calm(seed)
    }
}

#[test]
fn suspend_edit_delete_and_sigterm_act_in_the_middle_of_an_export_and_nothing_secret_is_seen() {
    let company = Company::generate(41, 600, Dialect::OpenLdap);
    let directory = openldap(&company);
    let scenario = Scenario::start("suspend", slow(41), &["log.level=debug"]);
    let manifests = openldap_example(&scenario, &directory);
    scenario.apply(&manifests);

    exports(&scenario);
    scenario.patch("dsync", "people", &json!({"suspend": true}));
    quiet(&scenario, "suspend");
    scenario.patch("dsync", "people", &json!({"suspend": false}));
    exports(&scenario);
    scenario.patch("dsync", "people", &json!({"mode": "Plan"}));
    quiet(&scenario, "an edit to Plan mode");
    scenario.patch("dsync", "people", &json!({"mode": "Apply"}));
    exports(&scenario);
    scenario.kubectl(&["delete", "dsync", "people"]).unwrap();
    quiet(&scenario, "delete");

    scenario.apply(&manifests);
    exports(&scenario);
    scenario.ends_well();
    let process = scenario.kubelet.process(scenario.namespace, POD).unwrap();
    let begin = Instant::now();
    scenario
        .kubelet
        .signal(scenario.namespace, POD, "TERM")
        .unwrap();
    let gone = || {
        let lives = PathBuf::from(format!("/proc/{process}")).exists();
        if lives {
            Err("the process lives".to_owned())
        } else {
            Ok(())
        }
    };
    poll(Duration::from_secs(10), gone).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(10));
}

/// Waits until an export is under way: writes that come after this call.
fn exports(scenario: &Scenario) {
    let before = writes(scenario).len();
    scenario.eventually(60, "an export under way", || match writes(scenario).len() {
        count if count > before + 5 => Ok(()),
        count => Err(format!("{} writes", count - before)),
    });
}

/// From five seconds after this call no write arrives, though there is much left to write.
fn quiet(scenario: &Scenario, what: &str) {
    let begin = Timestamp::now();
    // Twice the time: the second half must be silent.
    let silent = || Err::<(), _>(String::new());
    let _ = poll(Duration::from_secs(10), silent);
    let late: Vec<_> = writes(scenario)
        .into_iter()
        .filter(|at| at.duration_since(begin) > jiff::SignedDuration::from_secs(5))
        .collect();
    assert!(
        late.is_empty(),
        "{what}: {} writes later than 5 s\n{}",
        late.len(),
        scenario.tale()
    );
}

fn writes(scenario: &Scenario) -> Vec<Timestamp> {
    let log = scenario.tenant.log();
    log.iter()
        .filter(|request| request.write)
        .map(|request| request.at)
        .collect()
}
