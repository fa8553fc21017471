//! `$batch`: up to 20 calls in one request, each judged, throttled and answered on its own (fact sheet §7).
//!
//! The outer answer is 200 whatever became of the parts; 400 means that the batch itself is malformed and nothing was
//! performed. Answers come in arbitrary order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::graph::{self, Incoming};
use super::state::State;

const PARTS: usize = 20;

struct Part {
    id: String,
    method: String,
    url: String,
    headers: Map<String, Value>,
    body: Option<Value>,
    depends_on: Option<String>,
}

impl Part {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| value.as_str())
    }
}

/// Performs a batch; `number` names it in the log.
pub(super) fn answer(
    state: &mut State,
    body: Option<&Value>,
    number: u64,
    roles: &Arc<Vec<String>>,
) -> Answer {
    let parts = match read(body) {
        Ok(parts) => parts,
        Err(reason) => {
            return Answer::error(
                400,
                "BadRequest",
                format!("Invalid batch payload format. {reason}"),
            );
        }
    };
    let mut status: BTreeMap<String, u16> = BTreeMap::new();
    let mut responses = Vec::new();
    for part in parts {
        let failed = part
            .depends_on
            .as_ref()
            .is_some_and(|id| !status.get(id).is_some_and(|code| (200..300).contains(code)));
        let answer = if failed {
            Answer::error(
                424,
                "FailedDependency",
                "A request this one depends on failed.",
            )
        } else {
            perform(state, &part, number, roles)
        };
        status.insert(part.id.clone(), answer.status);
        responses.push(response(&part.id, answer));
    }
    for end in (1..responses.len()).rev() {
        let other = state.below(end + 1);
        responses.swap(end, other);
    }
    Answer::ok(json!({"responses": responses}))
}

fn perform(state: &mut State, part: &Part, number: u64, roles: &Arc<Vec<String>>) -> Answer {
    let json_body = part
        .header("Content-Type")
        .is_some_and(|kind| kind.starts_with("application/json"));
    if part.body.is_some() && !json_body {
        return Answer::error(
            400,
            "BadRequest",
            "Write requests (excluding DELETE) must contain the Content-Type header declaration.",
        );
    }
    let incoming = Incoming {
        method: &part.method,
        target: &part.url,
        prefer: part.header("Prefer").unwrap_or_default(),
        body: part.body.clone(),
        client_request_id: part.header("client-request-id").map(str::to_owned),
        batch: Some((number, part.id.clone())),
        roles: Arc::clone(roles),
    };
    graph::answer(state, incoming)
}

fn response(id: &str, answer: Answer) -> Value {
    let mut headers: Map<String, Value> = answer
        .headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    let mut response = json!({"id": id, "status": answer.status});
    if let Some(body) = answer.body {
        headers.insert("Content-Type".to_owned(), Value::from("application/json"));
        response["body"] = body;
    }
    response["headers"] = Value::Object(headers);
    response
}

/// Reads and judges the batch as a whole; dependencies come before their dependents.
fn read(body: Option<&Value>) -> Result<Vec<Part>, String> {
    let requests = body
        .and_then(|body| body.get("requests"))
        .and_then(Value::as_array)
        .ok_or("There are no requests.")?;
    if requests.is_empty() || requests.len() > PARTS {
        return Err(format!(
            "{} requests are in the batch; 1 to {PARTS} are allowed.",
            requests.len()
        ));
    }
    let mut ids = BTreeSet::new();
    let mut parts = Vec::new();
    for request in requests {
        let part = read_part(request)?;
        if !ids.insert(part.id.clone()) {
            return Err(format!("The id {} is used twice.", part.id));
        }
        if part.depends_on.as_ref().is_some_and(|id| !ids.contains(id)) {
            return Err(format!(
                "Request {} depends on one that does not come before it.",
                part.id
            ));
        }
        parts.push(part);
    }
    check_dependencies(&parts)?;
    Ok(parts)
}

fn read_part(request: &Value) -> Result<Part, String> {
    let text = |name: &str| request.get(name).and_then(Value::as_str).map(str::to_owned);
    let id = text("id")
        .filter(|id| !id.is_empty())
        .ok_or("A request has no id.")?;
    let method = text("method")
        .ok_or_else(|| format!("Request {id} has no method."))?
        .to_uppercase();
    let url = text("url").ok_or_else(|| format!("Request {id} has no url."))?;
    if !url.starts_with('/') || url.starts_with("//") {
        return Err(format!("The url of request {id} is not relative."));
    }
    if url.starts_with("/$batch") || url.starts_with("/v1.0") {
        return Err(format!(
            "The url of request {id} is a batch or carries the version."
        ));
    }
    let depends_on = match request
        .get("dependsOn")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        None | Some([]) => None,
        Some([one]) => one.as_str().map(str::to_owned),
        Some(_) => return Err(format!("Request {id} depends on more than one.")),
    };
    let headers = request
        .get("headers")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    Ok(Part {
        id,
        method,
        url,
        headers,
        body: request.get("body").cloned(),
        depends_on,
    })
}

/// Dependencies are none, one chain through all requests, or all on the same request.
fn check_dependencies(parts: &[Part]) -> Result<(), String> {
    let dependent = parts
        .iter()
        .filter(|part| part.depends_on.is_some())
        .count();
    if dependent == 0 {
        return Ok(());
    }
    let names: BTreeSet<&str> = parts
        .iter()
        .filter_map(|part| part.depends_on.as_deref())
        .collect();
    let chain = parts.windows(2).all(
        |pair| matches!(pair, [first, second] if second.depends_on.as_ref() == Some(&first.id)),
    );
    if dependent == parts.len() - 1 && (chain || names.len() == 1) {
        Ok(())
    } else {
        Err("Dependencies must be all in one row, all on the same request, or none.".to_owned())
    }
}
