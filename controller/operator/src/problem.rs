//! A problem as people see it: the reason word of a condition and one sentence. Every error of the operator becomes one of
//! these exactly once, at the resource whose field is at fault.

use std::error::Error;

use plumbline_engine::{port::Failure, reason::Reason};

/// Why a resource is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub reason: Reason,
    pub message: String,
}

impl Problem {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// The whole chain of causes of an adapter's error, with its next step.
    pub fn of<E: Failure>(error: &E) -> Self {
        let mut message = chain(error);
        if let Some(hint) = error.hint() {
            message.push_str("; ");
            message.push_str(&hint);
        }
        Self::new(error.reason(), message)
    }

    /// Only a change of the resource can help.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self.reason,
            Reason::InvalidCELExpression
                | Reason::InvalidLDAPFilter
                | Reason::InvalidSpec
                | Reason::ServerTypeMismatch
                | Reason::MarkNotDefined
        )
    }
}

/// An error with all its causes, in one line, each said once.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}
