//! What the tenant is: its domains, the organization, directory roles and who holds them (fact sheet §10.1, §12.1).

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::answer::{Answer, Outcome};
use super::config::Domain;
use super::state::{Call, State};
use super::{link, page};

/// Keeps the selected properties, and the annotations.
fn select(call: &Call, mut body: Map<String, Value>) -> Value {
    if let Some(names) = call.query.select() {
        body.retain(|name, _| names.contains(name));
    }
    Value::Object(body)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn collection(state: &State, call: &Call, values: &[Value]) -> Answer {
    Answer::ok(json!({"@odata.context": page::context(state, call), "value": values}))
}

fn domain(state: &State, domain: &Domain) -> Map<String, Value> {
    let default = domain.verified && domain.name == state.default_domain();
    object(json!({
        "id": domain.name, "authenticationType": if domain.federated { "Federated" } else { "Managed" },
        "isVerified": domain.verified, "isDefault": default, "isInitial": false, "isRoot": true, "isAdminManaged": true,
        "supportedServices": if domain.verified { json!(["Email"]) } else { json!([]) },
        "passwordValidityPeriodInDays": 2_147_483_647_u32, "passwordNotificationWindowInDays": 14,
    }))
}

pub(super) fn domains(state: &State, call: &Call) -> Answer {
    let values: Vec<Value> = state
        .config
        .domains
        .iter()
        .map(|known| select(call, domain(state, known)))
        .collect();
    collection(state, call, &values)
}

pub(super) fn one_domain(state: &State, call: &Call) -> Outcome {
    let name = call.parameter(0);
    let found = state
        .config
        .domains
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(name));
    found
        .map(|known| Answer::ok(select(call, domain(state, known))))
        .ok_or_else(|| Answer::not_found(name))
}

pub(super) fn organization(state: &State, call: &Call) -> Answer {
    let verified = state.config.domains.iter().filter(|domain| domain.verified);
    let verified: Vec<Value> = verified
        .map(|domain| json!({"name": domain.name, "isDefault": domain.name == state.default_domain(), "isInitial": false,
            "type": if domain.federated { "Federated" } else { "Managed" }, "capabilities": "Email"}))
        .collect();
    let sync = if state.config.on_premises_sync {
        Value::Bool(true)
    } else {
        Value::Null
    };
    let body = object(json!({
        "id": state.tenant_id, "displayName": "Lab tenant", "tenantType": "AAD", "verifiedDomains": verified,
        "onPremisesSyncEnabled": sync, "onPremisesLastSyncDateTime": null, "defaultUsageLocation": null,
        "countryLetterCode": "DE", "preferredLanguage": "en",
    }));
    collection(state, call, &[select(call, body)])
}

/// The id that stands for a role in this tenant: drawn from its name, so that it is the same in every run.
fn role_id(role: &str) -> String {
    let digest = Sha256::digest(role.as_bytes());
    let hex = digest
        .iter()
        .take(16)
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

/// Roles are activated in a tenant when someone first holds them; only those are listed.
fn active_roles(state: &State) -> BTreeSet<String> {
    let held = state.role_assignments.iter().map(|held| held.role.clone());
    held.chain(state.config.application_roles.iter().cloned())
        .collect()
}

pub(super) fn roles(state: &State, call: &Call) -> Answer {
    let values = active_roles(state).into_iter().map(|role| {
        let id = role_id(&role);
        select(
            call,
            object(
                json!({"id": id, "roleTemplateId": id, "displayName": role, "description": null}),
            ),
        )
    });
    collection(state, call, &values.collect::<Vec<_>>())
}

pub(super) fn role_members(state: &mut State, call: &Call) -> Outcome {
    let id = call.parameter(0);
    let role = active_roles(state)
        .into_iter()
        .find(|role| role_id(role) == id);
    let role = role.ok_or_else(|| Answer::not_found(id))?;
    let now = Instant::now();
    let live = |id: &String| {
        state
            .store
            .objects
            .get(id)
            .is_some_and(|object| object.is_live(now))
    };
    let holders = state
        .role_assignments
        .iter()
        .filter(|held| held.role == role)
        .map(|held| held.principal.clone());
    let mut ids: BTreeSet<String> = holders.filter(live).collect();
    if state.config.application_roles.contains(&role) {
        ids.insert(state.service_principal.clone());
    }
    let names = call.query.select();
    page::answer(state, call, ids, |state, id| {
        link::render(state, id, names.as_deref())
    })
}

pub(super) fn role_assignments(state: &mut State, call: &Call) -> Outcome {
    let mut values: Vec<(String, Value)> = Vec::new();
    let mut add = |id: &str, principal: &str, role: &str| {
        let body = object(
            json!({"id": id, "principalId": principal, "roleDefinitionId": role_id(role), "directoryScopeId": "/"}),
        );
        values.push((id.to_owned(), select(call, body)));
    };
    for held in &state.role_assignments {
        add(&held.id, &held.principal, &held.role);
    }
    for role in &state.config.application_roles {
        add(
            &role_id(&format!("application {role}")),
            &state.service_principal,
            role,
        );
    }
    values.sort_by(|left, right| left.0.cmp(&right.0));
    let ids: Vec<String> = values.iter().map(|(id, _)| id.clone()).collect();
    page::answer(state, call, ids, |_, id| {
        values
            .iter()
            .find(|(known, _)| known == id)
            .map_or(Value::Null, |(_, body)| body.clone())
    })
}
