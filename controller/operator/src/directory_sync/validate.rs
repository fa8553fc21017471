//! Compiles a DirectorySync and its scopes into the engine's configuration. After this step nothing reaches into a spec.

use std::collections::BTreeMap;

use plumbline_crds::{AttributeMapping, SoftMatch, UserDeprovision};
use plumbline_engine::{
    configuration::{Adopt, Configuration, ConnectorSettings, Deprovision, Guard, Limit, Matching},
    drift::DriftPolicy,
    entry::{Class, ServerType},
    mapping::{Mapping, Override},
    plan::Digest,
    reason::Reason,
    target::Capabilities,
};

use super::dereference::Dereferenced;
use crate::{
    problem::{Problem, chain},
    sync_scope,
};

/// The configuration of the engine, given what kind of server each connector turned out to be.
pub fn validate(
    parts: &Dereferenced,
    servers: &BTreeMap<String, ServerType>,
    capabilities: &'static Capabilities,
) -> Result<Configuration, Problem> {
    let spec = &parts.sync.spec;
    let mut scopes = Vec::with_capacity(spec.scopes.len());
    for (at, reference) in spec.scopes.iter().enumerate() {
        let Some(resource) = parts.scopes.get(&reference.name) else {
            continue;
        };
        let mut scope =
            sync_scope::validate::validate(&reference.name, resource).map_err(|problem| {
                Problem::new(
                    Reason::DependencyNotReady,
                    format!("SyncScope `{}`: {}", reference.name, problem.message),
                )
            })?;
        let server = servers
            .get(&scope.connector)
            .copied()
            .unwrap_or(ServerType::Generic);
        for class in [Class::User, Class::Group] {
            let general = spec
                .mapping
                .as_ref()
                .map(|mapping| override_of(mapping, class))
                .unwrap_or_default();
            let own = reference
                .mapping
                .as_ref()
                .map(|mapping| override_of(mapping, class))
                .unwrap_or_default();
            let mapping = Mapping::compile(server, class, capabilities, &[&general, &own])
                .map_err(|error| {
                    Problem::new(
                        Reason::InvalidCELExpression,
                        format!(
                            "`spec.mapping.{0}` or `spec.scopes[{at}].mapping.{0}`: {1}",
                            class.as_str(),
                            chain(&error)
                        ),
                    )
                })?;
            scope.mapping.insert(class, mapping);
        }
        scopes.push(scope);
    }
    let connectors = parts
        .connectors
        .iter()
        .map(|(name, connector)| ConnectorSettings {
            name: name.clone(),
            confirm_absence: connector.spec.changes.confirm_absence.into(),
        })
        .collect();
    let joins = match &spec.joins {
        Some(joins) => Some(super::joins::validate(joins, &scopes, capabilities)?),
        None => None,
    };
    Ok(Configuration {
        joins,
        owner: parts.sync.owner(),
        connectors,
        scopes,
        capabilities,
        matching: Matching {
            soft: spec.matching.soft.iter().copied().map(soft).collect(),
            adopt: match spec.matching.adopt {
                plumbline_crds::Adopt::Never => Adopt::Never,
                plumbline_crds::Adopt::Report => Adopt::Report,
                plumbline_crds::Adopt::Adopt => Adopt::Adopt,
            },
        },
        deprovision_user: match spec.deprovision.user {
            UserDeprovision::Disable => Deprovision::Disable,
            UserDeprovision::Delete => Deprovision::Delete,
        },
        drift: match spec.drift_policy {
            plumbline_crds::DriftPolicy::Correct => DriftPolicy::Correct,
            plumbline_crds::DriftPolicy::Report => DriftPolicy::Report,
        },
        guard: Guard {
            deletions: limit(
                spec.guard.deletions.max,
                spec.guard.deletions.percent,
                spec.guard.deletions.floor,
            ),
            disables: limit(
                spec.guard.disables.max,
                spec.guard.disables.percent,
                spec.guard.disables.floor,
            ),
            membership_removals: {
                let removals = spec.guard.membership_removals;
                limit(removals.max, removals.percent, removals.floor)
            },
            approved: spec
                .guard
                .approved
                .iter()
                .filter_map(|text| Digest::parse(text))
                .collect(),
        },
    })
}

fn override_of(mapping: &plumbline_crds::Mapping, class: Class) -> Override {
    let of = |mapping: &Option<AttributeMapping>| {
        mapping
            .as_ref()
            .map(|mapping| Override {
                set: mapping.set.clone(),
                omit: mapping.omit.iter().cloned().collect(),
            })
            .unwrap_or_default()
    };
    match class {
        Class::User => of(&mapping.user),
        Class::Group => of(&mapping.group),
        Class::Contact => Override::default(),
    }
}

fn soft(attribute: SoftMatch) -> String {
    match attribute {
        SoftMatch::UserPrincipalName => "userPrincipalName",
        SoftMatch::Mail => "mail",
        SoftMatch::DisplayName => "displayName",
    }
    .into()
}

/// The schema keeps the numbers from 0 up.
fn limit(max: i32, percent: i32, floor: i32) -> Limit {
    Limit {
        max: max.unsigned_abs(),
        percent: percent.unsigned_abs(),
        floor: floor.unsigned_abs(),
    }
}
