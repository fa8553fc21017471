//! What `plumbline plan` and `plumbline explain` look at: the directories and tenants as they are now, or a recorded world.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use plumbline_engine::explain::Question;
use tokio_util::sync::CancellationToken;

use super::{SecretsArgs, block_on};
use crate::{
    directory_sync::{Report, recorded},
    folder_run::FolderRun,
    manifest::Manifests,
    problem::Problem,
    store::Store,
    world::Key,
};

/// What is looked at.
#[derive(Clone, Debug, Args)]
pub(super) struct LookArgs {
    #[command(flatten)]
    secrets: SecretsArgs,
    /// State folder of the sync that runs elsewhere, only read: for absences, refusals and times that it knows already
    #[arg(long, value_name = "DIR", env = "PLUMBLINE_STATE")]
    state: Option<PathBuf>,
    /// World that `plumbline sync --record` kept: look at it, without any network and without secrets
    #[arg(long, value_name = "FILE", env = "PLUMBLINE_WORLD")]
    world: Option<PathBuf>,
}

/// One cycle of every sync.
pub(super) type Results = BTreeMap<Key, Result<Report, Problem>>;

/// Plans every sync once, and asks the plans the question. Nothing is written anywhere.
pub(super) fn look(
    manifests: Manifests,
    from: LookArgs,
    question: Option<Question>,
) -> anyhow::Result<Results> {
    let LookArgs {
        secrets,
        state,
        world,
    } = from;
    match world {
        Some(file) => offline(&manifests, state, &file, question.as_ref()),
        None => block_on(online(manifests, secrets.secrets, state, question)),
    }
}

/// Reads what there is now.
async fn online(
    manifests: Manifests,
    secrets: Option<PathBuf>,
    state: Option<PathBuf>,
    question: Option<Question>,
) -> anyhow::Result<Results> {
    let stop = CancellationToken::new();
    let run = FolderRun::look(manifests, secrets, state, question, stop.clone());
    let results = run.first_cycle().await;
    stop.cancel();
    run.finish().await;
    Ok(results)
}

/// Plans over what was read elsewhere.
fn offline(
    manifests: &Manifests,
    state: Option<PathBuf>,
    file: &Path,
    question: Option<&Question>,
) -> anyhow::Result<Results> {
    let state = Store::read_only(state);
    let syncs = &manifests.world.syncs;
    let mut results = BTreeMap::new();
    for (key, sync) in syncs {
        let planned = recorded::plan(&manifests.world, key, sync, &state, file, question)?;
        results.insert(key.clone(), planned);
    }
    Ok(results)
}
