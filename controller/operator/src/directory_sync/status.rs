//! The status of a DirectorySync, from its report. Bounded: samples and counts, never whole plans.

use std::collections::BTreeMap;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use plumbline_crds::{
    ConnectorSummary, DirectorySync, DirectorySyncStatus, Drift, DriftPolicy, DriftedObject,
    HoldSummary, Mode, PlanCounts, PlanSummary, Quarantine, QuarantinedObject, SyncCounts,
    Unsupported,
};
use plumbline_engine::{operation::ChangeKind, plan::Plan, reason::Reason};

use super::report::{Phase, Report};
use crate::{
    directory_connector,
    problem::Problem,
    standing::{Standing, observed},
};

const SAMPLE: usize = 10;

/// The whole status, and where the sync stands.
pub fn status(
    sync: &DirectorySync,
    report: &Report,
    connectors: &BTreeMap<String, directory_connector::State>,
) -> (DirectorySyncStatus, Standing) {
    let previous = sync.status.clone().unwrap_or_default();
    let standing = standing(sync, report);
    let generation = sync.metadata.generation;
    let plan = report.plan.as_deref();
    let status = DirectorySyncStatus {
        observed_generation: observed(&standing, generation, previous.observed_generation),
        conditions: standing.conditions(&previous.conditions, generation, Timestamp::now()),
        counts: plan.map(counts).or(previous.counts),
        plan: plan.map(summary).or(previous.plan),
        holds: plan.map_or_else(
            || previous.holds.clone(),
            |plan| holds(plan, &previous.holds),
        ),
        quarantine: plan.map(quarantine).or(previous.quarantine),
        drift: match sync.spec.drift_policy {
            DriftPolicy::Correct => None,
            DriftPolicy::Report => plan.map(drift).or(previous.drift),
        },
        unsupported: plan
            .map(|plan| Unsupported {
                contacts: count(plan.unsupported.contacts),
                distribution_groups: count(plan.unsupported.distribution_groups),
            })
            .or(previous.unsupported),
        connectors: connectors
            .iter()
            .map(|(name, state)| connector(name, state))
            .collect(),
        last_sync_time: report.last_sync.map(Time).or(previous.last_sync_time),
        last_change_time: report.last_change.map(Time).or(previous.last_change_time),
        last_handled_reconcile_at: report
            .handled_request
            .clone()
            .or(previous.last_handled_reconcile_at),
    };
    (status, standing)
}

fn standing(sync: &DirectorySync, report: &Report) -> Standing {
    if report.generation != sync.metadata.generation {
        return Standing::Progressing("the change of the spec is taken up".into());
    }
    let plan = report.plan.as_deref();
    match &report.phase {
        Phase::Starting => Standing::Progressing("reading the directory and the tenant".into()),
        Phase::Suspended => Standing::Suspended,
        Phase::Failed(problem) => Standing::Failing(problem.clone()),
        Phase::Exporting => {
            let (done, total) = report.progress;
            Standing::Progressing(format!("{done} of {total} operations are done"))
        }
        Phase::Concluded => plan.map_or_else(
            || Standing::Progressing("reading the directory and the tenant".into()),
            |plan| concluded(sync.spec.mode, report, plan),
        ),
    }
}

fn concluded(mode: Mode, report: &Report, plan: &Plan) -> Standing {
    if let Some(fault) = plan.faults.first() {
        return Standing::Failing(Problem::new(
            fault.reason,
            format!("SyncScope `{}`: {}", fault.scope, fault.message),
        ));
    }
    if let Some(hold) = plan.holds.first() {
        let held: usize = plan.holds.iter().map(|hold| hold.count).sum();
        let message = format!(
            "{held} operations are held, everything else flows: {}",
            hold.limit
        );
        return Standing::Waiting(Reason::Held, message);
    }
    let quarantined = match plan.quarantine.len() {
        0 => String::new(),
        n => format!("; {n} objects are in quarantine"),
    };
    if mode == Mode::Plan {
        let n = plan.operations.len();
        return ready(
            report,
            Reason::Planned,
            format!("{n} operations are planned and none is sent in mode Plan{quarantined}"),
        );
    }
    if report.pending > 0 {
        let message = format!(
            "{} operations could not be finished yet and come again with the next cycle{quarantined}",
            report.pending
        );
        return Standing::Failing(Problem::new(Reason::ProgressingWithRetry, message));
    }
    ready(
        report,
        Reason::Succeeded,
        format!("the tenant is as desired{quarantined}"),
    )
}

/// All is well, but perhaps the next start will take longer.
fn ready(report: &Report, reason: Reason, message: String) -> Standing {
    match &report.unkept {
        None => Standing::Ready(reason, message),
        Some(problem) => Standing::Ready(
            problem.reason,
            format!(
                "{message}; a restart would read everything, because {}",
                problem.message
            ),
        ),
    }
}

fn counts(plan: &Plan) -> SyncCounts {
    SyncCounts {
        users: count(plan.counts.users),
        groups: count(plan.counts.groups),
        quarantined: count(plan.quarantine.len()),
        held: count(plan.holds.iter().map(|hold| hold.count).sum()),
    }
}

fn summary(plan: &Plan) -> PlanSummary {
    let of = |kinds: &[ChangeKind]| {
        let planned = plan
            .operations
            .iter()
            .chain(plan.holds.iter().flat_map(|hold| &hold.operations));
        count(
            planned
                .filter(|operation| kinds.contains(&operation.change.kind()))
                .count(),
        )
    };
    PlanSummary {
        digest: plan.digest().to_string(),
        counts: PlanCounts {
            create: of(&[ChangeKind::Create]),
            update: of(&[ChangeKind::Update, ChangeKind::SetManager]),
            disable: of(&[ChangeKind::Disable]),
            delete: of(&[ChangeKind::Delete]),
            adopt: of(&[ChangeKind::Adopt]),
            restore: of(&[ChangeKind::Restore]),
            add_members: of(&[ChangeKind::AddMember]),
            remove_members: of(&[ChangeKind::RemoveMember]),
        },
    }
}

fn holds(plan: &Plan, previous: &[HoldSummary]) -> Vec<HoldSummary> {
    let since = |digest: &str| {
        previous
            .iter()
            .find(|hold| hold.digest == digest)
            .map_or_else(|| Time(Timestamp::now()), |hold| hold.since.clone())
    };
    plan.holds
        .iter()
        .take(16)
        .map(|hold| HoldSummary {
            class: hold.class.as_str().into(),
            digest: hold.digest.to_string(),
            count: count(hold.count),
            share: i32::try_from(hold.share.min(100)).unwrap_or(100),
            since: since(&hold.digest.to_string()),
            sample: hold
                .sample
                .iter()
                .take(SAMPLE)
                .map(|anchor| cut(&anchor.to_string(), 1024))
                .collect(),
        })
        .collect()
}

fn quarantine(plan: &Plan) -> Quarantine {
    let sample = plan
        .quarantine
        .iter()
        .take(SAMPLE)
        .map(|object| QuarantinedObject {
            anchor: object
                .anchor
                .as_ref()
                .map(|anchor| cut(&anchor.to_string(), 256))
                .unwrap_or_default(),
            dn: cut(&object.dn, 1024),
            reason: object.reason.as_str().into(),
            message: cut(&object.message, 1024),
            since: Time(object.since),
        });
    Quarantine {
        count: count(plan.quarantine.len()),
        sample: sample.collect(),
    }
}

fn drift(plan: &Plan) -> Drift {
    let sample = plan.drift.iter().take(SAMPLE).map(|object| DriftedObject {
        anchor: cut(&object.anchor.to_string(), 256),
        attributes: object.attributes.iter().take(64).cloned().collect(),
        since: Time(object.since),
    });
    Drift {
        count: count(plan.drift.len()),
        sample: sample.collect(),
    }
}

fn connector(name: &str, state: &directory_connector::State) -> ConnectorSummary {
    let reason = match (&state.problem, state.finished) {
        (Some(problem), _) => Some(problem.reason),
        (None, 1..) => Some(Reason::Succeeded),
        (None, 0) => Some(Reason::Progressing),
    };
    ConnectorSummary {
        name: name.into(),
        last_read_time: state.last_read.map(Time),
        reason: reason.map(|reason| reason.as_str().into()),
    }
}

/// Schema limits count characters.
fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
