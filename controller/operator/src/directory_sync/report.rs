//! What a sync worker tells: everything that the status, the command line and the metrics are made from.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use plumbline_engine::{
    engine::Resolved,
    explain::Explanation,
    identity::ScopeCounts,
    operation::ChangeKind,
    plan::{Plan, ScopeFault},
};

use crate::problem::Problem;

/// Where a sync stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was concluded yet for this generation.
    #[default]
    Starting,
    Suspended,
    /// The last cycle ended early.
    Failed(Problem),
    /// Operations are being sent.
    Exporting,
    /// A cycle was concluded.
    Concluded,
}

/// What one scope came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScopeReport {
    pub resolved: Vec<Resolved>,
    pub counts: ScopeCounts,
    pub fault: Option<ScopeFault>,
}

/// The state of one sync, replaced as it changes.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The generation of the DirectorySync that this speaks of.
    pub generation: Option<i64>,
    pub phase: Phase,
    /// The last plan; in Apply mode the one that was (or is being) exported.
    pub plan: Option<Arc<Plan>>,
    /// Of the object that the process was asked about, as of that plan.
    pub explanations: Vec<Explanation>,
    /// Outcomes so far, and operations to send.
    pub progress: (usize, usize),
    /// What the last export did, by kind.
    pub applied: BTreeMap<ChangeKind, usize>,
    /// Operations that could not be finished and come again with the next cycle.
    pub pending: usize,
    pub scopes: BTreeMap<String, ScopeReport>,
    /// Why what was read is not kept for the next start.
    pub unkept: Option<Problem>,
    /// Concluded cycles since the worker started.
    pub cycles: u64,
    pub last_sync: Option<Timestamp>,
    pub last_change: Option<Timestamp>,
    /// The reconcile-now token that the last concluded cycle answered.
    pub handled_request: Option<String>,
}
