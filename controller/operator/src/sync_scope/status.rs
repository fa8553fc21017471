//! The status of a SyncScope: whether its rule can be decided, and what it came to in the sync that uses it.

use k8s_openapi::jiff::Timestamp;
use plumbline_crds::{Resolved, ScopeCounts, SyncScope, SyncScopeStatus};
use plumbline_engine::reason::Reason;

use super::validate::validate;
use crate::{
    directory_sync::report::ScopeReport,
    problem::Problem,
    standing::{Standing, observed},
};

/// The whole status, and where the scope stands.
pub fn status(
    scope: &SyncScope,
    connector_exists: bool,
    report: Option<&ScopeReport>,
) -> (SyncScopeStatus, Standing) {
    let previous = scope.status.clone().unwrap_or_default();
    let standing = standing(scope, connector_exists, report);
    let generation = scope.metadata.generation;
    let resolved = report.map(|report| {
        let resolved = report.resolved.iter();
        resolved
            .map(|item| Resolved {
                written: item.written.clone(),
                guid: item.guid.to_string(),
                dn: item.dn.clone(),
            })
            .collect()
    });
    let counts = report.map(|report| ScopeCounts {
        users: count(report.counts.users),
        groups: count(report.counts.groups),
    });
    let status = SyncScopeStatus {
        observed_generation: observed(&standing, generation, previous.observed_generation),
        conditions: standing.conditions(&previous.conditions, generation, Timestamp::now()),
        // Not known yet after a restart: what the status said is the memory, and stays.
        resolved: resolved.unwrap_or(previous.resolved),
        counts: counts.or(previous.counts),
    };
    (status, standing)
}

fn standing(scope: &SyncScope, connector_exists: bool, report: Option<&ScopeReport>) -> Standing {
    let name = scope.metadata.name.as_deref().unwrap_or_default();
    if let Err(problem) = validate(name, scope) {
        return Standing::Failing(problem);
    }
    if !connector_exists {
        let connector = &scope.spec.connector_ref.name;
        let message = format!(
            "`spec.connectorRef`: DirectoryConnector `{connector}` does not exist in this namespace"
        );
        return Standing::Failing(Problem::new(Reason::DependencyNotReady, message));
    }
    match report {
        Some(ScopeReport {
            fault: Some(fault), ..
        }) => Standing::Failing(Problem::new(fault.reason, fault.message.clone())),
        Some(report) => Standing::Ready(
            Reason::Succeeded,
            format!(
                "{} users and {} groups are in scope",
                report.counts.users, report.counts.groups
            ),
        ),
        None => Standing::Ready(
            Reason::Succeeded,
            "the rule can be decided; no DirectorySync has used it yet".into(),
        ),
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
