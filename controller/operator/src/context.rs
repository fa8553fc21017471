//! What every worker shares: the host, the state folder, the metrics. There are no globals.

use std::sync::Arc;

use plumbline_cloud::RequestObserver;
use plumbline_crds::{DirectorySync, Mode};
use plumbline_engine::explain::Question;

use crate::{host::Host, store::Store, telemetry::metrics::Metrics, world_file::Recorder};

/// Shared by all workers of a process.
#[expect(missing_debug_implementations, reason = "hosts have none")]
pub struct Context {
    pub host: Arc<dyn Host>,
    pub store: Arc<Store>,
    pub metrics: Arc<Metrics>,
    /// Counts requests to targets.
    pub observer: Arc<dyn RequestObserver>,
    /// Keeps what is read, for plans elsewhere.
    pub record: Option<Recorder>,
    /// The object that every plan is asked about.
    pub question: Option<Question>,
    /// Overrides the mode of every DirectorySync.
    mode: Option<Mode>,
}

impl Context {
    pub fn new(
        host: Arc<dyn Host>,
        store: Store,
        metrics: Arc<Metrics>,
        observer: Arc<dyn RequestObserver>,
        mode: Option<Mode>,
    ) -> Self {
        Self {
            host,
            store: Arc::new(store),
            metrics,
            observer,
            record: None,
            question: None,
            mode,
        }
    }

    /// Keeps what is read in a file.
    #[must_use]
    pub fn recorded(self, record: Option<Recorder>) -> Self {
        Self { record, ..self }
    }

    /// Has every plan asked about one object: see [`crate::directory_sync::Report::explanations`].
    #[must_use]
    pub fn asked(self, question: Option<Question>) -> Self {
        Self { question, ..self }
    }

    /// The mode in which a sync runs here.
    pub fn mode(&self, sync: &DirectorySync) -> Mode {
        self.mode.unwrap_or(sync.spec.mode)
    }
}
