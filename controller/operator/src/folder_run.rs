//! A run over a folder of manifests: the same runtime as in a cluster, with the folder as its host. The command line and
//! `cargo quickstart` use it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use plumbline_crds::Mode;
use plumbline_engine::explain::Question;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    context::Context,
    directory_sync::{Report, report::Phase},
    host::folder::Folder,
    manifest::Manifests,
    problem::Problem,
    runtime::Runtime,
    store::Store,
    telemetry::metrics::{Metrics, TargetRequests},
    world::Key,
    world_file::Recorder,
};

/// A runtime over a folder, running.
#[derive(Debug)]
pub struct FolderRun {
    pub host: Arc<Folder>,
    pub metrics: Arc<Metrics>,
    reports: watch::Receiver<BTreeMap<Key, Report>>,
    task: JoinHandle<()>,
}

impl FolderRun {
    /// Starts the workers. `mode` overrides that of every DirectorySync; what is read goes into `record`.
    pub fn start(
        manifests: Manifests,
        secrets: Option<PathBuf>,
        store: Store,
        mode: Option<Mode>,
        record: Option<Recorder>,
        stop: CancellationToken,
    ) -> Self {
        Self::begin(manifests, secrets, store, mode, stop, |context| {
            context.recorded(record)
        })
    }

    /// Starts the workers for a look at what there is: every DirectorySync plans and writes nothing, and the state folder, which is
    /// another process's, is only read. Every plan is asked the question.
    pub fn look(
        manifests: Manifests,
        secrets: Option<PathBuf>,
        state: Option<PathBuf>,
        question: Option<Question>,
        stop: CancellationToken,
    ) -> Self {
        let (state, mode) = (Store::read_only(state), Some(Mode::Plan));
        Self::begin(manifests, secrets, state, mode, stop, |context| {
            context.asked(question)
        })
    }

    fn begin(
        manifests: Manifests,
        secrets: Option<PathBuf>,
        state: Store,
        mode: Option<Mode>,
        stop: CancellationToken,
        finish: impl FnOnce(Context) -> Context,
    ) -> Self {
        let host = Arc::new(Folder::new(manifests, secrets));
        let metrics = Arc::new(Metrics::default());
        let observer = Arc::new(TargetRequests(metrics.clone()));
        let context = Context::new(host.clone(), state, metrics.clone(), observer, mode);
        let runtime = Runtime::new(Arc::new(finish(context)));
        let reports = runtime.reports();
        let task = tokio::spawn(runtime.run(host.worlds(), stop));
        Self {
            host,
            metrics,
            reports,
            task,
        }
    }

    /// The reports of all syncs, as they change.
    pub fn reports(&self) -> watch::Receiver<BTreeMap<Key, Report>> {
        self.reports.clone()
    }

    /// Waits until every sync has concluded a cycle, or failed to.
    pub async fn first_cycle(&self) -> BTreeMap<Key, Result<Report, Problem>> {
        let expected: Vec<Key> = self.host.worlds().borrow().syncs.keys().cloned().collect();
        let settled = |report: &Report| {
            matches!(
                report.phase,
                Phase::Concluded | Phase::Failed(_) | Phase::Suspended
            )
        };
        let mut reports = self.reports.clone();
        let all = reports
            .wait_for(|reports| {
                expected
                    .iter()
                    .all(|key| reports.get(key).is_some_and(settled))
            })
            .await;
        let reports = all.map(|reports| reports.clone()).unwrap_or_default();
        reports
            .into_iter()
            .map(|(key, report)| match &report.phase {
                Phase::Failed(problem) => (key, Err(problem.clone())),
                _ => (key, Ok(report)),
            })
            .collect()
    }

    /// Waits for the workers to stop, after `stop` was cancelled.
    pub async fn finish(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the runtime ended unexpectedly");
        }
    }
}
