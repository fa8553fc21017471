//! Answers of the lab tenant, and the error bodies of Microsoft Graph in the words of the fact sheet's §2 and §9.
//!
//! Clients must branch on `code` and `details`, yet several conflicts differ only in their text: the texts are the
//! service's own.

use serde_json::{Value, json};

use super::store::Clash;

/// One HTTP answer, of a request or of a batch part.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

pub(super) type Outcome = Result<Answer, Answer>;

impl Answer {
    pub(super) fn ok(body: Value) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: Some(body),
        }
    }

    pub(super) fn created(body: Value) -> Self {
        Self {
            status: 201,
            headers: Vec::new(),
            body: Some(body),
        }
    }

    pub(super) fn no_content() -> Self {
        Self {
            status: 204,
            headers: Vec::new(),
            body: None,
        }
    }

    pub(super) fn error(status: u16, code: &str, message: impl Into<String>) -> Self {
        let body = json!({"error": {"code": code, "message": message.into()}});
        Self {
            status,
            headers: Vec::new(),
            body: Some(body),
        }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::error(400, "Request_BadRequest", message)
    }

    pub(super) fn unsupported_query(message: &str) -> Self {
        Self::error(400, "Request_UnsupportedQuery", message)
    }

    pub(super) fn invalid_value(property: &str, resource: &str) -> Self {
        let text =
            format!("Invalid value specified for property '{property}' of resource '{resource}'.");
        Self::bad_request(text)
    }

    pub(super) fn required(property: &str, resource: &str) -> Self {
        let text =
            format!("A value is required for property '{property}' of resource '{resource}'.");
        Self::bad_request(text)
    }

    pub(super) fn read_only(property: &str) -> Self {
        Self::bad_request(format!(
            "Property '{property}' is read-only and cannot be set."
        ))
    }

    /// The text for a user name in a domain or with characters that the tenant does not take.
    pub(super) fn invalid_properties() -> Self {
        Self::bad_request("One or more properties contains invalid values.")
    }

    pub(super) fn not_found(id: &str) -> Self {
        let text = format!(
            "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
        );
        Self::error(404, "Request_ResourceNotFound", text)
    }

    /// A link to or from an object that this replica does not hold yet.
    pub(super) fn link_not_replicated() -> Self {
        Self::bad_request(
            "The source resource object or one of the objects being referenced don't exist.",
        )
    }

    /// Another object has this value. A live holder's property is named in the message and in `details`, as the service
    /// does; of one in the bin only the unnamed text tells.
    pub(super) fn conflict(clash: Clash) -> Self {
        let property = clash.property;
        if !clash.live {
            return Self::bad_request(
                "A conflicting object with one or more of the specified property values is present in the directory.",
            );
        }
        let text =
            format!("Another object with the same value for property {property} already exists.");
        let body = json!({"error": {"code": "Request_BadRequest", "message": text, "details": [
            {"code": "ObjectConflict", "message": text, "target": property},
            {"code": "ConflictingObjects", "message": text}]}});
        Self {
            status: 400,
            headers: Vec::new(),
            body: Some(body),
        }
    }

    pub(super) fn already_linked(property: &str) -> Self {
        Self::bad_request(format!(
            "One or more added object references already exist for the following modified properties: '{property}'."
        ))
    }

    pub(super) fn on_premises_mastered() -> Self {
        Self::bad_request(
            "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects \
             currently undergoing migration.",
        )
    }

    pub(super) fn denied() -> Self {
        let text = "Insufficient privileges to complete the operation.";
        Self::error(403, "Authorization_RequestDenied", text)
    }

    pub(super) fn unauthenticated(message: &str) -> Self {
        Self::error(401, "InvalidAuthenticationToken", message).with_header(
            "WWW-Authenticate",
            "Bearer realm=\"\", error=\"invalid_token\"",
        )
    }

    /// A property that the service keeps outside the directory.
    pub(super) fn outside_the_directory() -> Self {
        Self::error(
            501,
            "NotImplemented",
            "This operation target is not yet supported.",
        )
    }

    pub(super) fn unavailable() -> Self {
        Self::error(503, "ServiceUnavailable", "The service is unavailable.")
    }

    pub(super) fn concurrency(status: u16) -> Self {
        let text = "Error due to concurrent requests being made to the tenant. Please wait briefly and retry.";
        Self::error(status, "Directory_ConcurrencyViolation", text)
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Adds `innerError` to an error body, as the service does at its edge.
    pub(super) fn stamp(&mut self, request_id: &str, client_request_id: &str, date: &str) {
        if let Some(Value::Object(error)) =
            self.body.as_mut().and_then(|body| body.get_mut("error"))
        {
            let inner = json!({"date": date, "request-id": request_id, "client-request-id": client_request_id});
            error.insert("innerError".to_owned(), inner);
        }
    }
}
