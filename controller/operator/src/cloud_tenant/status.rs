//! The status of a CloudTenant, from what its worker knows.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use plumbline_crds::{CloudTenant, CloudTenantStatus};
use plumbline_engine::reason::Reason;

use super::State;
use crate::{
    runtime::requested,
    standing::{Standing, observed},
};

/// The whole status, and where the tenant stands.
pub fn status(tenant: &CloudTenant, state: &State) -> (CloudTenantStatus, Standing) {
    let previous = tenant.status.clone().unwrap_or_default();
    let standing = match (&state.problem, &state.facts) {
        (Some(problem), _) => Standing::Failing(problem.clone()),
        (None, Some(facts)) => Standing::Ready(
            Reason::Succeeded,
            format!(
                "the tenant accepts the credentials; {} verified domains",
                facts.verified_domains.len()
            ),
        ),
        (None, None) => Standing::Progressing("asking for a token".into()),
    };
    let generation = tenant.metadata.generation;
    let facts = state.facts.as_ref();
    let status = CloudTenantStatus {
        observed_generation: observed(&standing, generation, previous.observed_generation),
        conditions: standing.conditions(&previous.conditions, generation, Timestamp::now()),
        verified_domains: facts
            .map(|facts| facts.verified_domains.iter().take(100).cloned().collect())
            .unwrap_or_default(),
        mark_attribute: facts.and_then(|facts| facts.mark_attribute.clone()),
        last_contact_time: state.last_contact.map(Time),
        last_handled_reconcile_at: if state.finished > 0 {
            requested(tenant)
        } else {
            previous.last_handled_reconcile_at
        },
    };
    (status, standing)
}
