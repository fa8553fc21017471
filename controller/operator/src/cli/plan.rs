//! `plumbline plan`: one cycle in Plan mode over a folder of manifests.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{FolderArgs, OutputArgs, block_on, load};
use crate::{
    directory_sync::report::Phase,
    folder_run::FolderRun,
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
    /// State folder of the sync that runs elsewhere; read for absences that were seen already
    #[arg(long, value_name = "DIR", env = "PLUMBLINE_STATE")]
    state: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: PlanArgs) -> anyhow::Result<ExitCode> {
    let PlanArgs {
        folder,
        state,
        output,
    } = args;
    logs::start(Format::Text, "error")?;
    let manifests = load(&folder)?;
    anyhow::ensure!(
        !manifests.world.syncs.is_empty(),
        "`{}` holds no DirectorySync; there is nothing to plan",
        folder.folder.display()
    );
    block_on(async move {
        let stop = CancellationToken::new();
        let run = FolderRun::start(
            manifests,
            folder.secrets,
            state,
            Some(plumbline_crds::Mode::Plan),
            stop.clone(),
        );
        let results = run.first_cycle().await;
        stop.cancel();
        run.finish().await;
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
            match output.output {
                Form::Table => print!("{}", plan::text(&key, &found)),
                Form::Markdown => print!("{}", markdown::plan(&key, &found)),
                Form::Json => values.push(plan::json(&key, &found)),
            }
        }
        if output.output == Form::Json {
            println!("{}", serde_json::to_string_pretty(&values)?);
        }
        Ok(match (failed, changes) {
            (true, _) => ExitCode::FAILURE,
            (false, true) => ExitCode::from(CHANGES),
            (false, false) => ExitCode::SUCCESS,
        })
    })
}
