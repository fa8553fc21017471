//! From what a worker reports to the conditions Ready, Reconciling and Stalled, as kstatus and Flux read them. The only file in
//! which condition types and statuses are spelled.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use plumbline_engine::reason::Reason;

use crate::problem::Problem;

/// Where a resource stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In effect.
    Ready(Reason, String),
    /// Under way for the first time in this generation.
    Progressing(String),
    /// Concluded, and people must decide: no retry helps, and nothing is broken.
    Waiting(Reason, String),
    /// Not working; tried again, unless only a change of the spec helps.
    Failing(Problem),
    /// Asked to rest: Ready keeps its last value.
    Suspended,
}

/// A message fits into an event as well.
const MESSAGE_LIMIT: usize = 1000;

impl Standing {
    /// Concluded for this generation: `observedGeneration` may say so.
    pub fn is_concluded(&self) -> bool {
        match self {
            Self::Ready(..) | Self::Waiting(..) | Self::Suspended => true,
            Self::Failing(problem) => problem.is_terminal(),
            Self::Progressing(_) => false,
        }
    }

    /// The conditions, with the times of those whose status stays.
    pub fn conditions(
        &self,
        previous: &[Condition],
        generation: Option<i64>,
        now: Timestamp,
    ) -> Vec<Condition> {
        let wanted: Vec<(&str, &str, Reason, &str)> = match self {
            Self::Ready(reason, message) => vec![("Ready", "True", *reason, message)],
            Self::Waiting(reason, message) => vec![("Ready", "False", *reason, message)],
            Self::Progressing(message) => {
                vec![
                    ("Ready", "Unknown", Reason::Progressing, message),
                    ("Reconciling", "True", Reason::Progressing, message),
                ]
            }
            Self::Failing(problem) => {
                let (second, reason) = if problem.is_terminal() {
                    ("Stalled", problem.reason)
                } else {
                    ("Reconciling", Reason::ProgressingWithRetry)
                };
                vec![
                    ("Ready", "False", problem.reason, &problem.message),
                    (second, "True", reason, &problem.message),
                ]
            }
            Self::Suspended => {
                let kept = previous
                    .iter()
                    .filter(|condition| condition.type_ == "Ready")
                    .cloned()
                    .collect::<Vec<_>>();
                if !kept.is_empty() {
                    return kept;
                }
                vec![(
                    "Ready",
                    "Unknown",
                    Reason::Suspended,
                    "suspended before the first cycle; nothing was read or written",
                )]
            }
        };
        wanted
            .into_iter()
            .map(|(type_, status, reason, message)| {
                let before = previous
                    .iter()
                    .find(|condition| condition.type_ == type_ && condition.status == status);
                Condition {
                    type_: type_.into(),
                    status: status.into(),
                    reason: reason.as_str().into(),
                    message: message[..message.floor_char_boundary(MESSAGE_LIMIT)].into(),
                    observed_generation: generation,
                    last_transition_time: before.map_or(Time(now), |condition| {
                        condition.last_transition_time.clone()
                    }),
                }
            })
            .collect()
    }
}

/// `observedGeneration`: this generation once concluded, else what was observed before.
pub fn observed(
    standing: &Standing,
    generation: Option<i64>,
    previous: Option<i64>,
) -> Option<i64> {
    if standing.is_concluded() {
        generation
    } else {
        previous
    }
}
