//! `plumbline sync`: the real loop over a folder of manifests, without a cluster.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::{FolderArgs, SecretsArgs, asked_to_stop, block_on, load};
use crate::{
    folder_run::FolderRun,
    host::Notice,
    output::{progress::Progress, resources::resources},
    store::Store,
    telemetry::logs::{self, Format},
    world_file::Recorder,
};

/// The flags of `plumbline sync`.
#[derive(Clone, Debug, Args)]
pub struct SyncArgs {
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    secrets: SecretsArgs,
    /// Folder for what outlives a restart; without one a restart costs one full comparison
    #[arg(long, value_name = "DIR", env = "PLUMBLINE_STATE")]
    state: Option<PathBuf>,
    /// File that keeps what is read, people's data included, for `plumbline plan --world`; begun anew at each start
    #[arg(long, value_name = "FILE", env = "PLUMBLINE_RECORD")]
    record: Option<PathBuf>,
    /// Form of log lines
    #[arg(long, value_enum, default_value_t = Format::Text, env = "PLUMBLINE_LOG_FORMAT")]
    log_format: Format,
    /// What is logged: error, warn, info, debug or trace, or a directive such as `plumbline=debug`
    #[arg(long, default_value = "warn", env = "PLUMBLINE_LOG_LEVEL")]
    log_level: String,
}

pub(super) fn run(args: SyncArgs) -> anyhow::Result<ExitCode> {
    let SyncArgs {
        folder,
        secrets,
        state,
        record,
        log_format,
        log_level,
    } = args;
    logs::start(log_format, &log_level)?;
    let manifests = load(&folder)?;
    if let Some(state) = &state {
        std::fs::create_dir_all(state)
            .with_context(|| format!("`--state {}` cannot be created", state.display()))?;
    }
    let record = record.as_deref().map(Recorder::create).transpose()?;
    block_on(async move {
        let stop = CancellationToken::new();
        let secrets = secrets.secrets;
        let state = Store::new(state);
        let run = FolderRun::start(manifests, secrets, state, None, record, stop.clone());
        let host = run.host.clone();
        let follow = async {
            host.follow(&folder.folder, &folder.namespace, |faults| {
                faults.iter().for_each(|fault| {
                    eprintln!("error: {fault}; the folder's last valid state stays in force")
                });
            })
            .await;
        };
        let watch = watch(&run, Timestamp::now());
        tokio::select! {
            result = asked_to_stop() => result?,
            () = follow => {}
            result = watch => result?,
        }
        stop.cancel();
        run.finish().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Prints what turns, and the progress of exports; the resources whenever one turned.
async fn watch(run: &FolderRun, since: Timestamp) -> anyhow::Result<()> {
    let (mut notices, mut reports) = (run.host.notices(), run.reports());
    let (worlds, statuses) = (run.host.worlds(), run.host.statuses());
    let mut progress = Progress::default();
    loop {
        tokio::select! {
            notice = notices.recv() => match notice {
                Ok(notice) => {
                    progress.say(&line(&notice));
                    print!("{}", resources(&worlds.borrow(), &statuses.borrow(), since)?);
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
            changed = reports.changed() => {
                changed?;
                progress.show(&reports.borrow_and_update());
            }
        }
    }
}

/// One notice as one line.
fn line(notice: &Notice) -> String {
    let mark = if notice.warning { "warning" } else { "note" };
    format!(
        "{mark}: {} {}: {}",
        notice.subject, notice.reason, notice.note
    )
}
