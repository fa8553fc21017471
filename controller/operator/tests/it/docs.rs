//! The generated reference pages are what the code says. `UPDATE_DOCS=1 cargo test -p plumbline` writes them anew.

use std::{fmt::Write as _, fs, path::PathBuf};

use plumbline::telemetry::metrics::Metrics;
use plumbline_engine::reason::{Place, Reason};

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/reference")
        .join(name)
}

fn compare(name: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page(name), text).unwrap();
    }
    let committed = fs::read_to_string(page(name)).unwrap_or_default();
    assert!(
        committed == text,
        "docs/reference/{name} is out of date; run `UPDATE_DOCS=1 cargo test -p plumbline` and commit it"
    );
}

#[test]
fn the_page_of_reasons_lists_every_reason_with_its_next_step() {
    let mut text = String::from(
        "# Reasons\n\nWords that conditions and quarantined objects carry. They are an API: alerts may match on them.\n",
    );
    for (place, heading) in [
        (Place::Condition, "In conditions"),
        (Place::Quarantine, "Of objects in quarantine"),
    ] {
        let _ = write!(
            text,
            "\n## {heading}\n\n| reason | meaning | next step |\n|---|---|---|\n"
        );
        for reason in Reason::ALL.iter().filter(|reason| reason.place() == place) {
            let _ = writeln!(
                text,
                "| `{reason}` | {} | {} |",
                reason.meaning(),
                reason.next_step()
            );
        }
    }
    compare("reasons.md", &text);
}

#[test]
fn the_page_of_metrics_lists_what_is_registered() {
    let mut text = String::from(
        "# Metrics\n\nServed as OpenMetrics text at `/metrics`.\n\n| metric | type | meaning |\n|---|---|---|\n",
    );
    for metric in Metrics::default().described() {
        let suffix = if metric.kind == "counter" {
            "_total"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "| `plumbline_{}{suffix}` | {} | {} |",
            metric.name, metric.kind, metric.help
        );
    }
    compare("metrics.md", &text);
}

#[test]
fn the_page_of_permissions_lists_what_the_application_needs() {
    let mut text = String::from(
        "# Permissions\n\nApplication permissions of Microsoft Graph, least first. Grant them with admin consent; consent changes need a new token, \
         which takes up to an hour.\n\n| permission | needed | for |\n|---|---|---|\n",
    );
    for permission in plumbline_cloud::permissions() {
        let needed = if permission.required {
            "always"
        } else {
            "for that only"
        };
        let _ = writeln!(
            text,
            "| `{}` | {needed} | {} |",
            permission.name, permission.why
        );
    }
    compare("permissions.md", &text);
}

#[test]
fn every_reason_is_written_in_one_word_and_has_a_sentence_and_a_next_step() {
    for reason in Reason::ALL {
        assert!(
            reason.as_str().chars().all(|c| c.is_ascii_alphanumeric()),
            "{reason}"
        );
        assert!(
            reason.meaning().ends_with('.') && reason.next_step().ends_with('.'),
            "{reason}"
        );
    }
}
