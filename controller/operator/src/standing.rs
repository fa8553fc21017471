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
                    .filter(|condition| condition.type_ == "Ready" && condition.status != "Unknown")
                    .cloned()
                    .collect::<Vec<_>>();
                if !kept.is_empty() {
                    return kept;
                }
                vec![(
                    "Ready",
                    "Unknown",
                    Reason::Suspended,
                    "suspended before a cycle was concluded; nothing is read or written",
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

#[cfg(test)]
mod tests {
    use plumbline_crds::conditions::{Verdict, check, verdict};

    use super::*;

    fn standings() -> Vec<(Standing, Verdict)> {
        let failing = |reason| Standing::Failing(Problem::new(reason, "why"));
        vec![
            (Standing::Progressing("reading".into()), Verdict::InProgress),
            (
                Standing::Ready(Reason::Succeeded, "well".into()),
                Verdict::Current,
            ),
            (
                Standing::Ready(Reason::Planned, "planned".into()),
                Verdict::Current,
            ),
            // A hold waits for people; kstatus knows no better word for it.
            (
                Standing::Waiting(Reason::Held, "held".into()),
                Verdict::InProgress,
            ),
            (failing(Reason::ServerUnreachable), Verdict::InProgress),
            (failing(Reason::InvalidCELExpression), Verdict::Failed),
        ]
    }

    #[test]
    fn after_every_turn_the_conditions_keep_the_invariants_and_kstatus_reads_them_right() {
        let now = Timestamp::now();
        for (first, _) in standings() {
            let before = first.conditions(&[], Some(1), Timestamp::UNIX_EPOCH);
            let seen = observed(&first, Some(1), Some(-1));
            for (second, expected) in standings() {
                let after = second.conditions(&before, Some(2), now);
                let observed = observed(&second, Some(2), seen);
                assert_eq!(
                    check(2, observed, &before, &after),
                    [],
                    "{first:?} → {second:?}"
                );
                assert_eq!(
                    verdict(2, observed, &after),
                    expected,
                    "{first:?} → {second:?}"
                );
            }
        }
    }

    #[test]
    fn suspension_keeps_what_ready_said_unless_nothing_was_concluded() {
        let now = Timestamp::now();
        let ready = Standing::Ready(Reason::Succeeded, "well".into()).conditions(&[], Some(1), now);
        assert_eq!(Standing::Suspended.conditions(&ready, Some(2), now), ready);
        let under_way = Standing::Progressing("reading".into()).conditions(&[], Some(1), now);
        let suspended = Standing::Suspended.conditions(&under_way, Some(2), now);
        let told: Vec<_> = suspended
            .iter()
            .map(|one| (&*one.type_, &*one.status, &*one.reason))
            .collect();
        assert_eq!(told, [("Ready", "Unknown", "Suspended")]);
    }

    #[test]
    fn the_time_of_a_transition_moves_only_when_the_status_does() {
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::now());
        let planned =
            Standing::Ready(Reason::Planned, "3 operations".into()).conditions(&[], Some(1), then);
        let applied =
            Standing::Ready(Reason::Succeeded, "well".into()).conditions(&planned, Some(2), now);
        assert_eq!(applied[0].last_transition_time.0, then);
        let held =
            Standing::Waiting(Reason::Held, "held".into()).conditions(&applied, Some(2), now);
        assert_eq!(held[0].last_transition_time.0, now);
    }
}
