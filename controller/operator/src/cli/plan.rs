//! `plumbline plan`: one cycle in Plan mode over a folder of manifests, and over what there is now or what was recorded.

use std::process::ExitCode;

use clap::Args;

use super::{
    FolderArgs, OutputArgs, load,
    look::{LookArgs, Results, look},
};
use crate::{
    directory_sync::report::Phase,
    output::{Form, markdown, plan},
    telemetry::logs::{self, Format},
};

/// The exit code for a plan that would write or holds something.
const CHANGES: u8 = 2;

/// The flags of `plumbline plan`.
#[derive(Clone, Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: PlanArgs) -> anyhow::Result<ExitCode> {
    let PlanArgs {
        folder,
        look: from,
        output,
    } = args;
    logs::start(Format::Text, "error")?;
    let manifests = load(&folder)?;
    anyhow::ensure!(
        !manifests.world.syncs.is_empty(),
        "`{}` holds no DirectorySync; there is nothing to plan",
        folder.folder.display()
    );
    show(look(manifests, from, None)?, output.output)
}

/// Prints plans, and gives the exit code.
fn show(results: Results, form: Form) -> anyhow::Result<ExitCode> {
    let (mut changes, mut failed, mut values) = (false, false, Vec::new());
    for (key, result) in results {
        let report = match result {
            Ok(report) => report,
            Err(problem) => {
                failed = true;
                eprintln!(
                    "error: DirectorySync {key}: {}: {}",
                    problem.reason, problem.message
                );
                continue;
            }
        };
        if report.phase == Phase::Suspended {
            eprintln!("note: DirectorySync {key} is suspended; it is not planned");
            continue;
        }
        let Some(found) = report.plan else { continue };
        changes |= !found.operations.is_empty() || !found.holds.is_empty();
        match form {
            Form::Table => print!("{}", plan::text(&key, &found)),
            Form::Markdown => print!("{}", markdown::plan(&key, &found)),
            Form::Json => values.push(plan::json(&key, &found)),
        }
    }
    if form == Form::Json {
        println!("{}", serde_json::to_string_pretty(&values)?);
    }
    Ok(match (failed, changes) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(CHANGES),
        (false, false) => ExitCode::SUCCESS,
    })
}
