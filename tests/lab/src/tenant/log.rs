//! What the lab tenant saw: every request, what scenarios must have met, and what a client did that no client may.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

/// One request, or one part of a batch. The batch itself is an entry of its own, before its parts.
#[derive(Debug, Clone)]
pub struct Request {
    pub at: Timestamp,
    /// Time since the tenant started, for pace measurements.
    pub elapsed: Duration,
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    pub body: Option<Value>,
    pub status: u16,
    /// Number of the batch and id of the part in it.
    pub batch: Option<(u64, String)>,
    /// A method that changes the tenant; false for `$batch` itself and for token requests.
    pub write: bool,
    /// Refused for quota.
    pub throttled: bool,
    /// Performed, but its answer never left.
    pub lost: bool,
    pub client_request_id: Option<String>,
    /// `error.code` of the answer.
    pub error: Option<String>,
}

/// Something that must fail the run.
#[derive(Debug, Clone)]
pub struct Violation {
    pub at: Timestamp,
    pub method: String,
    pub path: String,
    pub reason: String,
}

/// How often the answers occurred that a scenario under stress must have met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// 404 for an object that exists but has not replicated.
    pub not_found_after_create: u64,
    /// 400 for a link of an object that has not replicated.
    pub link_on_fresh_object: u64,
    pub throttled_in_batch: u64,
    pub throttled: u64,
    pub concurrency_errors: u64,
    pub unavailable: u64,
    pub lost_answers: u64,
    pub batches: u64,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) requests: Vec<Request>,
    pub(super) violations: Vec<Violation>,
    pub(super) seen: Seen,
    /// Writes refused for quota and not yet let through, with how often.
    refusals: HashMap<String, u32>,
    pub(super) refused_twice: Vec<String>,
}

impl Log {
    /// Follows one write through its refusals: the same write refused again is what pacing must avoid.
    pub(super) fn quota(&mut self, method: &str, path: &str, body: Option<&Value>, refused: bool) {
        let mut body = body.cloned().unwrap_or(Value::Null);
        if let Some(fields) = body.as_object_mut() {
            // A repeated create may carry another random password and is the same write all the same.
            fields.remove("passwordProfile");
        }
        let key = format!("{method} {path} {body}");
        if !refused {
            self.refusals.remove(&key);
            return;
        }
        let count = self.refusals.entry(key.clone()).or_default();
        *count += 1;
        if *count == 2 {
            self.refused_twice.push(key);
        }
    }

    pub(super) fn violation(&mut self, method: &str, path: &str, reason: impl Into<String>) {
        let violation = Violation {
            at: Timestamp::now(),
            method: method.to_owned(),
            path: path.to_owned(),
            reason: reason.into(),
        };
        tracing::warn!(
            method,
            path,
            reason = violation.reason,
            "the client broke the contract of the lab tenant"
        );
        self.violations.push(violation);
    }
}
