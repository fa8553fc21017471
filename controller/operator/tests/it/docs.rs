//! The generated reference pages are what the code says. `UPDATE_DOCS=1 cargo test -p plumbline` writes them anew.

use std::{fmt::Write as _, fs, path::PathBuf};

use plumbline::telemetry::metrics::Metrics;
use plumbline_engine::reason::{Place, Reason};

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name)
}

fn compare(name: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page(name), text).unwrap();
    }
    let committed = fs::read_to_string(page(name)).unwrap_or_default();
    assert!(committed == text, "docs/reference/{name} is out of date; run `UPDATE_DOCS=1 cargo test -p plumbline` and commit it");
}

#[test]
fn the_page_of_reasons_lists_every_reason_with_its_next_step() {
    let mut text = String::from("# Reasons\n\nWords that conditions and quarantined objects carry. They are an API: alerts may match on them.\n");
    for (place, heading) in [(Place::Condition, "In conditions"), (Place::Quarantine, "Of objects in quarantine")] {
        let _ = write!(text, "\n## {heading}\n\n| reason | meaning | next step |\n|---|---|---|\n");
        for reason in Reason::ALL.iter().filter(|reason| reason.place() == place) {
            let _ = writeln!(text, "| `{reason}` | {} | {} |", reason.meaning(), reason.next_step());
        }
    }
    compare("reasons.md", &text);
}

#[test]
fn the_page_of_metrics_lists_what_a_scrape_describes() {
    let scrape = Metrics::default().encode().unwrap();
    let mut text = String::from("# Metrics\n\nServed as OpenMetrics text at `/metrics`. Counters carry the suffix `_total` in a scrape.\n\n| metric | type | meaning |\n|---|---|---|\n");
    let described = |keyword: &str| {
        let prefix = format!("# {keyword} ");
        scrape.lines().filter_map(move |line| line.strip_prefix(&prefix)?.split_once(' ')).map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect::<Vec<_>>()
    };
    let types = described("TYPE");
    for (name, help) in described("HELP") {
        let kind = types.iter().find(|(typed, _)| *typed == name).map(|(_, kind)| kind.as_str()).unwrap_or_default();
        let suffix = if kind == "counter" { "_total" } else { "" };
        let _ = writeln!(text, "| `{name}{suffix}` | {kind} | {help} |");
    }
    assert!(text.contains("plumbline_sync_held_operations"), "{text}");
    compare("metrics.md", &text);
}

#[test]
fn every_reason_is_written_in_one_word_and_has_a_sentence_and_a_next_step() {
    for reason in Reason::ALL {
        assert!(reason.as_str().chars().all(|c| c.is_ascii_alphanumeric()), "{reason}");
        assert!(reason.meaning().ends_with('.') && reason.next_step().ends_with('.'), "{reason}");
    }
}
