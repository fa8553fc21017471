//! Conditions as kstatus, Flux and Argo CD read them: the three types every kind carries, how they change, and which
//! combinations are allowed.
//!
//! Types and status values are enums here, so that no other file spells them; reasons belong to those who decide them. The invariants are
//! those of Flux's condition checker; `check` is run over the end of every reconcile in tests.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The longest message kept, in bytes, so that it fits into the note of an Event too; a longer one is cut at a character.
pub const MESSAGE_MAX: usize = 1024;

/// The condition types of every kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// Normal-true, always present: the last observed generation is fully in effect.
    Ready,
    /// Abnormal-true, present only while true: work is under way or will be retried.
    Reconciling,
    /// Abnormal-true, present only while true: retrying without a change by the user cannot help.
    Stalled,
}

impl ConditionType {
    /// As written in `status.conditions[].type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }
}

/// The values of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    /// As written in `status.conditions[].status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// The condition of this type, if present.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions
        .iter()
        .find(|condition| condition.type_ == type_.as_str())
}

/// Whether the condition of this type is present and true.
pub fn is_true(conditions: &[Condition], type_: ConditionType) -> bool {
    find(conditions, type_)
        .is_some_and(|condition| condition.status == ConditionStatus::True.as_str())
}

/// Sets a condition. `lastTransitionTime` becomes `now` only when the status value differs from the present one.
///
/// `generation` is the `metadata.generation` that was looked at; a `message` above [`MESSAGE_MAX`] bytes is cut.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    type_: ConditionType,
    status: ConditionStatus,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    let last_transition_time = match find(conditions, type_) {
        Some(present) if present.status == status.as_str() => present.last_transition_time.clone(),
        _ => Time(now),
    };
    let condition = Condition {
        type_: type_.as_str().to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: cut(message).to_owned(),
        observed_generation: generation,
        last_transition_time,
    };
    match conditions
        .iter_mut()
        .find(|present| present.type_ == condition.type_)
    {
        Some(present) => *present = condition,
        None => conditions.push(condition),
    }
}

fn cut(message: &str) -> &str {
    let end = (0..=MESSAGE_MAX)
        .rev()
        .find(|end| message.is_char_boundary(*end))
        .unwrap_or_default();
    if message.len() <= MESSAGE_MAX {
        message
    } else {
        message.get(..end).unwrap_or_default()
    }
}

/// Removes a condition; an abnormal-true one that is not true is absent.
pub fn remove_condition(conditions: &mut Vec<Condition>, type_: ConditionType) {
    conditions.retain(|condition| condition.type_ != type_.as_str());
}

/// What kstatus makes of a resource; `flux`, `helm --wait` and Argo CD follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Current,
    InProgress,
    Failed,
}

/// kstatus over `metadata.generation`, `status.observedGeneration` and the conditions, in its order.
pub fn verdict(
    generation: i64,
    observed_generation: Option<i64>,
    conditions: &[Condition],
) -> Verdict {
    if observed_generation.is_some_and(|observed| observed != generation)
        || is_true(conditions, ConditionType::Reconciling)
    {
        return Verdict::InProgress;
    }
    if is_true(conditions, ConditionType::Stalled) {
        return Verdict::Failed;
    }
    match find(conditions, ConditionType::Ready) {
        Some(_) if !is_true(conditions, ConditionType::Ready) => Verdict::InProgress,
        // kstatus takes a resource without any known condition for finished: hence the default observedGeneration of -1.
        _ => Verdict::Current,
    }
}

/// An invariant that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Ready must always be present.
    #[error("condition Ready is missing")]
    ReadyMissing,
    /// Ready and Stalled may not both be true.
    #[error("Ready and Stalled are both true")]
    ReadyAndStalled,
    /// At rest, Reconciling means that Ready is not true.
    #[error("Ready is true while Reconciling is")]
    ReadyAndReconciling,
    /// Reconciling and Stalled may not both be present.
    #[error("Reconciling and Stalled are both present")]
    ReconcilingAndStalled,
    /// An abnormal-true condition that is not true must be absent.
    #[error("{} is present but not true", .0.as_str())]
    AbnormalNotTrue(ConditionType),
    /// A generation that does not exist yet cannot have been observed.
    #[error("observedGeneration is above metadata.generation")]
    ObservedAhead,
    /// Ready may not be true for a generation that was not observed.
    #[error("Ready is true while observedGeneration lags behind metadata.generation")]
    ReadyForOldGeneration,
    /// `lastTransitionTime` changes when and only when the status value does.
    #[error("lastTransitionTime of {} does not follow its status", .0.as_str())]
    TransitionTime(ConditionType),
}

/// The invariants that hold at the end of a reconcile; empty when all do. `before` are the conditions it started from.
pub fn check(
    generation: i64,
    observed_generation: Option<i64>,
    before: &[Condition],
    after: &[Condition],
) -> Vec<Broken> {
    use ConditionType::{Ready, Reconciling, Stalled};
    let ready = is_true(after, Ready);
    let observed = observed_generation.unwrap_or(-1);
    let mut broken = Vec::new();
    let mut require = |holds: bool, otherwise: Broken| {
        if !holds {
            broken.push(otherwise);
        }
    };
    require(find(after, Ready).is_some(), Broken::ReadyMissing);
    require(!(ready && is_true(after, Stalled)), Broken::ReadyAndStalled);
    require(
        !(ready && is_true(after, Reconciling)),
        Broken::ReadyAndReconciling,
    );
    require(
        find(after, Reconciling).is_none() || find(after, Stalled).is_none(),
        Broken::ReconcilingAndStalled,
    );
    for abnormal in [Reconciling, Stalled] {
        require(
            find(after, abnormal).is_none() || is_true(after, abnormal),
            Broken::AbnormalNotTrue(abnormal),
        );
    }
    require(observed <= generation, Broken::ObservedAhead);
    require(
        !ready || observed >= generation,
        Broken::ReadyForOldGeneration,
    );
    for type_ in [Ready, Reconciling, Stalled] {
        if let (Some(old), Some(new)) = (find(before, type_), find(after, type_)) {
            let moved = old.last_transition_time != new.last_transition_time;
            require(
                moved == (old.status != new.status),
                Broken::TransitionTime(type_),
            );
        }
    }
    broken
}

#[cfg(test)]
mod tests;
