//! Pages: ordered by id, cut at `$top` and the cap, continued by an opaque `$skiptoken`.
//!
//! A next link must be followed verbatim; a rebuilt one is refused and fails the run. A page may be empty and still have
//! a next link.

use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::state::{Call, State};

/// Where a listing goes on.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// The first request's path and query.
    origin: String,
    after: String,
    was_empty: bool,
}

/// One page of the ids, given in order.
pub(super) fn answer(
    state: &mut State,
    call: &Call,
    ids: impl IntoIterator<Item = String>,
    render: impl Fn(&State, &str) -> Value,
) -> Outcome {
    let size = call
        .query
        .top()?
        .unwrap_or(100)
        .min(state.config.page_size_cap.max(1));
    let page = match call.query.get("$skiptoken") {
        None => Page {
            origin: call.target.clone(),
            after: String::new(),
            was_empty: false,
        },
        Some(token) => resume(state, call, token)?,
    };
    let mut rest = ids.into_iter().filter(|id| *id > page.after).peekable();
    let starts = rest.peek().is_some() && !page.was_empty;
    let mut ids: Vec<String> = rest.by_ref().take(size).collect();
    let mut more = rest.next().is_some();
    drop(rest);
    let empty = starts && state.chance(state.config.faults.empty_page);
    if empty {
        ids.clear();
        more = true;
    }
    let mut body = json!({"@odata.context": context(state, call)});
    if more {
        let after = ids.last().cloned().unwrap_or(page.after);
        let token = state.guid();
        let joint = if page.origin.contains('?') { '&' } else { '?' };
        body["@odata.nextLink"] = Value::from(format!(
            "{}/v1.0{}{joint}$skiptoken={token}",
            state.root, page.origin
        ));
        state.pages.insert(
            token,
            Page {
                origin: page.origin,
                after,
                was_empty: empty,
            },
        );
    }
    body["value"] = ids.iter().map(|id| render(state, id)).collect();
    Ok(Answer::ok(body))
}

fn resume(state: &mut State, call: &Call, token: &str) -> Result<Page, Answer> {
    let expired = || {
        Answer::error(
            400,
            "Directory_ExpiredPageToken",
            "The specified page token has expired.",
        )
    };
    let page = state.pages.get(token).cloned().ok_or_else(expired)?;
    let joint = if page.origin.contains('?') { '&' } else { '?' };
    if call.target == format!("{}{joint}$skiptoken={token}", page.origin) {
        return Ok(page);
    }
    state.log.violation(
        &call.method,
        &call.target,
        "a next link was not followed verbatim",
    );
    Err(expired())
}

/// The `@odata.context` of an answer to this call.
pub(super) fn context(state: &State, call: &Call) -> String {
    let set = call.template.split(['/', '(']).nth(1).unwrap_or_default();
    format!("{}/v1.0/$metadata#{set}", state.root)
}
