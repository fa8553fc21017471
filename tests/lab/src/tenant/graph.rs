//! One call on Graph from routing to answer: description, quota, faults, permissions, then the operation itself.
//!
//! What is unknown (a path, a query option, a property) is answered 501 and fails the run; our own answers are held
//! against the description as well.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::answer::{Answer, Outcome};
use super::link::Relation;
use super::log::Request;
use super::openapi::{Operation, Wrong};
use super::query::{self, Query};
use super::state::{Call, State};
use super::store::Kind;
use super::{application, deleted, delta, group, link, organization, privilege, throttle, user};

/// A request as it came, on its own or as a batch part.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    pub(super) method: &'a str,
    /// Path and query after `/v1.0`.
    pub(super) target: &'a str,
    pub(super) prefer: &'a str,
    pub(super) body: Option<Value>,
    pub(super) client_request_id: Option<String>,
    pub(super) batch: Option<(u64, String)>,
    pub(super) roles: Arc<Vec<String>>,
}

/// Answers and logs one call. The stamp of ids and dates is put on at the edge.
pub(super) fn answer(state: &mut State, incoming: Incoming<'_>) -> Answer {
    let (method, target, batch) = (incoming.method, incoming.target, incoming.batch.clone());
    let body = incoming.body.clone();
    let client_request_id = incoming.client_request_id.clone();
    let request_id = state.guid();
    let mut answer = route(state, incoming).unwrap_or_else(|error| error);
    let write = method != "GET";
    let throttled = answer.status == 429;
    if write {
        state.log.quota(method, target, body.as_ref(), throttled);
    }
    state.log.seen.throttled += u64::from(throttled);
    state.log.seen.throttled_in_batch += u64::from(throttled && batch.is_some());
    let correlation = client_request_id
        .clone()
        .unwrap_or_else(|| request_id.clone());
    answer.stamp(
        &request_id,
        &correlation,
        Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%S")
            .to_string()
            .as_str(),
    );
    answer.headers.push(("request-id", request_id));
    answer.headers.push(("client-request-id", correlation));
    let error = answer
        .body
        .as_ref()
        .and_then(|body| body.pointer("/error/code"))
        .and_then(Value::as_str);
    state.log.requests.push(Request {
        at: Timestamp::now(),
        elapsed: state.started.elapsed(),
        method: method.to_owned(),
        path: target.to_owned(),
        body,
        status: answer.status,
        batch,
        write,
        throttled,
        lost: false,
        client_request_id,
        error: error.map(str::to_owned),
    });
    answer
}

/// Answers 501 and fails the run.
pub(super) fn not_served(state: &mut State, method: &str, target: &str, reason: &str) -> Answer {
    state.log.violation(method, target, reason);
    Answer::error(
        501,
        "NotServed",
        format!("the lab tenant does not serve {method} {target}: {reason}"),
    )
}

fn route(state: &mut State, incoming: Incoming<'_>) -> Outcome {
    if state.chance(state.config.faults.unavailable) {
        state.log.seen.unavailable += 1;
        return Err(Answer::unavailable());
    }
    let (method, target) = (incoming.method, incoming.target);
    let (path, raw_query) = target.split_once('?').unwrap_or((target, ""));
    let query = Query::parse(raw_query)
        .ok_or_else(|| Answer::error(400, "BadRequest", "The query cannot be decoded."))?;
    let segments = segments(path)
        .ok_or_else(|| Answer::error(400, "BadRequest", "The path cannot be decoded."))?;
    let specification = Arc::clone(&state.specification);
    let mut call = Call {
        method: method.to_owned(),
        template: String::new(),
        parameters: Vec::new(),
        target: target.to_owned(),
        query,
        prefer: incoming.prefer.to_owned(),
        body: incoming.body,
        roles: incoming.roles,
    };
    if method == "DELETE"
        && let [groups, group, members, member] = segments.as_slice()
        && groups == "groups"
        && members == "members"
    {
        call.parameters = vec![group.clone(), member.clone()];
        return link::delete_member_object(state, &call);
    }
    let Some((operation, parameters)) = specification.find(method, &segments) else {
        return Err(not_served(state, method, target, "unknown path or method"));
    };
    operation.template.clone_into(&mut call.template);
    call.parameters = parameters;
    let pages = operation.options.contains("$top");
    let known = |name: &String| operation.options.contains(name) || (pages && name == "$skiptoken");
    if let Some(option) = call.query.options.keys().find(|name| !known(name)).cloned() {
        return Err(not_served(
            state,
            method,
            target,
            &format!("query option {option}"),
        ));
    }
    let used = charge(state, &call)?;
    let mut answer = admit(state, &call, operation).unwrap_or_else(|error| error);
    answer
        .headers
        .push(("x-ms-resource-unit", units(&call).to_string()));
    if used >= 0.8 {
        answer
            .headers
            .push(("x-ms-throttle-limit-percentage", format!("{used:.2}")));
    }
    Ok(answer)
}

/// A charged call: judged by the description and the permissions, then performed.
fn admit(state: &mut State, call: &Call, operation: &Operation) -> Outcome {
    let (method, target) = (call.method.as_str(), call.target.as_str());
    let specification = Arc::clone(&state.specification);
    match specification.check_request(operation, call.body.as_ref()) {
        Ok(()) => {}
        Err(Wrong::Unknown(reason)) => return Err(not_served(state, method, target, &reason)),
        Err(Wrong::Malformed(reason)) => return Err(Answer::bad_request(reason)),
    }
    privilege::check_operation(state, call, operation)?;
    if method != "GET" && state.chance(state.config.faults.concurrency_error) {
        state.log.seen.concurrency_errors += 1;
        let status = if state.chance(0.25) { 503 } else { 409 };
        return Err(Answer::concurrency(status));
    }
    let answer = perform(state, call)?;
    if let Err(reason) = specification.check_answer(operation, &answer) {
        state
            .log
            .violation(method, target, format!("the lab's own answer: {reason}"));
    }
    Ok(answer)
}

/// Charges the call, and refuses it when the quota is spent.
fn charge(state: &mut State, call: &Call) -> Result<f64, Answer> {
    let units = units(call);
    let users = state.store.live(Kind::User).take(501).count();
    let charge = state.throttle.charge(units, call.method != "GET", users);
    let Some((limit, seconds)) = charge.refused else {
        return Ok(charge.used);
    };
    let (information, scope) = limit.names();
    let scope = format!(
        "Tenant_Application/{scope}/{}/{}",
        state.client_id, state.tenant_id
    );
    Err(
        Answer::error(429, "TooManyRequests", "Please retry again later.")
            .with_header("Retry-After", seconds.max(1).to_string())
            .with_header("x-ms-throttle-scope", scope)
            .with_header("x-ms-throttle-information", information)
            .with_header(
                "x-ms-throttle-limit-percentage",
                format!("{:.2}", charge.used.max(1.0)),
            ),
    )
}

fn units(call: &Call) -> u32 {
    let has = |name: &str| call.query.get(name).is_some();
    let top = call.query.get("$top").and_then(|text| text.parse().ok());
    throttle::resource_units(
        &call.method,
        &call.template,
        has("$select"),
        has("$expand"),
        top,
    )
}

/// Splits and decodes a path; the key form `users('x')` becomes two segments.
fn segments(path: &str) -> Option<Vec<String>> {
    let mut segments = Vec::new();
    for segment in path.trim_start_matches('/').split('/') {
        let segment = query::decode(segment, false)?;
        let keyed = segment
            .split_once("('")
            .and_then(|(set, key)| key.strip_suffix("')").map(|key| (set, key)));
        match keyed {
            Some((set, key)) => segments.extend([set.to_owned(), key.replace("''", "'")]),
            None => segments.push(segment),
        }
    }
    Some(segments)
}

fn perform(state: &mut State, call: &Call) -> Outcome {
    match (call.method.as_str(), call.template.as_str()) {
        ("GET", "/users") => user::list(state, call),
        ("POST", "/users") => user::create(state, call),
        ("GET", "/users/delta") => delta::answer(state, call, Kind::User),
        ("GET", "/groups/delta") => delta::answer(state, call, Kind::Group),
        ("GET", "/users/{user-id}") => user::get(state, call),
        ("PATCH", "/users/{user-id}") => user::update(state, call),
        ("DELETE", "/users/{user-id}") => user::delete(state, call),
        ("GET", "/users/{user-id}/manager") => user::manager(state, call),
        ("PUT", "/users/{user-id}/manager/$ref") => user::set_manager(state, call),
        ("DELETE", "/users/{user-id}/manager/$ref") => user::remove_manager(state, call),
        ("POST", "/users/{user-id}/revokeSignInSessions") => user::revoke_sessions(state, call),
        ("GET", "/groups") => group::list(state, call),
        ("POST", "/groups") => group::create(state, call),
        ("GET", "/groups(uniqueName='{uniqueName}')") => group::get_by_unique_name(state, call),
        ("PATCH", "/groups(uniqueName='{uniqueName}')") => group::upsert(state, call),
        ("GET", "/groups/{group-id}") => group::get(state, call),
        ("PATCH", "/groups/{group-id}") => group::update(state, call),
        ("DELETE", "/groups/{group-id}") => group::delete(state, call),
        ("GET", "/groups/{group-id}/members") => link::list(state, call, Relation::Members),
        ("POST", "/groups/{group-id}/members/$ref") => {
            link::add_one(state, call, Relation::Members)
        }
        ("DELETE", "/groups/{group-id}/members/{directoryObject-id}/$ref") => {
            link::remove(state, call, Relation::Members)
        }
        ("GET", "/groups/{group-id}/owners") => link::list(state, call, Relation::Owners),
        ("POST", "/groups/{group-id}/owners/$ref") => link::add_one(state, call, Relation::Owners),
        ("DELETE", "/groups/{group-id}/owners/{directoryObject-id}/$ref") => {
            link::remove(state, call, Relation::Owners)
        }
        ("GET", "/directory/deletedItems/microsoft.graph.user") => {
            deleted::list(state, call, Kind::User)
        }
        ("GET", "/directory/deletedItems/microsoft.graph.group") => {
            deleted::list(state, call, Kind::Group)
        }
        ("GET", "/directory/deletedItems/{directoryObject-id}") => deleted::get(state, call),
        ("DELETE", "/directory/deletedItems/{directoryObject-id}") => deleted::purge(state, call),
        ("POST", "/directory/deletedItems/{directoryObject-id}/restore") => {
            deleted::restore(state, call)
        }
        ("GET", "/domains") => Ok(organization::domains(state, call)),
        ("GET", "/domains/{domain-id}") => organization::one_domain(state, call),
        ("GET", "/organization") => Ok(organization::organization(state, call)),
        ("GET", "/directoryRoles") => Ok(organization::roles(state, call)),
        ("GET", "/directoryRoles/{directoryRole-id}/members") => {
            organization::role_members(state, call)
        }
        ("GET", "/roleManagement/directory/roleAssignments") => {
            organization::role_assignments(state, call)
        }
        ("GET", "/applications") => application::list(state, call),
        ("GET", "/applications(appId='{appId}')") => application::get(state, call),
        ("GET", template) if template.ends_with("/extensionProperties") => {
            application::extensions(state, call)
        }
        ("POST", template) if template.ends_with("/extensionProperties") => {
            application::define(state, call)
        }
        (method, _) => Err(not_served(
            state,
            method,
            &call.target,
            "described, but not served",
        )),
    }
}
