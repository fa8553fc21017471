//! `plumbline plan`: one cycle in Plan mode over a folder of manifests, and over what there is now or what was recorded.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{FolderArgs, OutputArgs, block_on, load};
use crate::{
    directory_sync::{Report, recorded, report::Phase},
    folder_run::FolderRun,
    manifest::Manifests,
    output::{Form, markdown, plan},
    problem::Problem,
    store::Store,
    telemetry::logs::{self, Format},
    world::Key,
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
    /// World that `plumbline sync --record` kept: plan over it, without any network and without secrets
    #[arg(long, value_name = "FILE", env = "PLUMBLINE_WORLD")]
    world: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: PlanArgs) -> anyhow::Result<ExitCode> {
    let PlanArgs {
        folder,
        state,
        world,
        output,
    } = args;
    logs::start(Format::Text, "error")?;
    let manifests = load(&folder)?;
    anyhow::ensure!(
        !manifests.world.syncs.is_empty(),
        "`{}` holds no DirectorySync; there is nothing to plan",
        folder.folder.display()
    );
    let results = match world {
        Some(file) => offline(&manifests, state, &file)?,
        None => block_on(online(manifests, folder.secrets, state))?,
    };
    show(results, output.output)
}

type Results = BTreeMap<Key, Result<Report, Problem>>;

/// Reads what there is now.
async fn online(
    manifests: Manifests,
    secrets: Option<PathBuf>,
    state: Option<PathBuf>,
) -> anyhow::Result<Results> {
    let stop = CancellationToken::new();
    let mode = Some(plumbline_crds::Mode::Plan);
    let run = FolderRun::start(
        manifests,
        secrets,
        Store::read_only(state),
        mode,
        None,
        stop.clone(),
    );
    let results = run.first_cycle().await;
    stop.cancel();
    run.finish().await;
    Ok(results)
}

/// Plans over what was read elsewhere.
fn offline(manifests: &Manifests, state: Option<PathBuf>, file: &Path) -> anyhow::Result<Results> {
    let store = Store::read_only(state);
    let syncs = &manifests.world.syncs;
    let mut results = BTreeMap::new();
    for (key, sync) in syncs {
        let planned = recorded::plan(&manifests.world, key, sync, &store, file)?;
        results.insert(key.clone(), planned);
    }
    Ok(results)
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
