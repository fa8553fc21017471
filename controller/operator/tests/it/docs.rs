//! The generated reference pages are what the code says. `UPDATE_DOCS=1 cargo test -p plumbline` writes them anew.

use std::{fmt::Write as _, fs, path::PathBuf};

use clap::{Command, CommandFactory as _};
use plumbline::{cli::Cli, telemetry::metrics::Metrics};
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

/// A command without others below it, with its arguments.
fn command(command: &Command, path: &str, text: &mut String) {
    let path = format!("{path} {}", command.get_name());
    if command.has_subcommands() {
        let below = command.get_subcommands();
        return below.for_each(|below| self::command(below, &path, text));
    }
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let _ = write!(text, "\n## `{}`\n\n{about}.\n", path.trim());
    if let Some(after) = command.get_after_help() {
        let _ = write!(text, "\n```\n{after}\n```\n");
    }
    let known = |id: &str| !["help", "version"].contains(&id);
    let arguments: Vec<_> = command
        .get_arguments()
        .filter(|it| known(it.get_id().as_str()))
        .collect();
    if arguments.is_empty() {
        return;
    }
    text.push_str("\n| argument | default | environment | meaning |\n|---|---|---|---|\n");
    for argument in arguments {
        let value = argument.get_value_names().map(|names| names[0].to_string());
        let value = value
            .filter(|_| argument.get_action().takes_values())
            .unwrap_or_default();
        let name = match (argument.get_long(), argument.get_short()) {
            (Some(long), Some(short)) => format!("-{short}, --{long} {value}"),
            (Some(long), None) => format!("--{long} {value}"),
            _ => value,
        };
        let default = argument.get_default_values().first();
        let default = default.map(|value| format!("`{}`", value.to_string_lossy()));
        let environment = argument
            .get_env()
            .map(|name| format!("`{}`", name.to_string_lossy()));
        let values: Vec<_> = argument
            .get_possible_values()
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        let mut help = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        if !values.is_empty() {
            let _ = write!(help, ": {}", values.join(", "));
        }
        let required = if argument.is_required_set() {
            "required"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {help} |",
            name.trim(),
            default.as_deref().unwrap_or(required),
            environment.unwrap_or_default()
        );
    }
}

#[test]
fn the_page_of_the_command_line_lists_every_command_and_flag() {
    let mut text = String::from(
        "# Command line\n\nOne program, `plumbline`. Every flag has an environment variable; secrets never come by flag. Data goes to standard \
         output, everything else to standard error.\n",
    );
    let mut all = Cli::command();
    all.build();
    all.get_subcommands()
        .for_each(|below| command(below, "plumbline", &mut text));
    compare("command-line.md", &text);
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
