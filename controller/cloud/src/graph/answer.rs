//! What an answer of Graph means, as one table: status, `error.code`, `error.details[].code` and, where only the text tells
//! them apart, a part of the message. The first row that fits decides.
//!
//! Microsoft asks not to branch on messages; the rows that do are those for which nothing else exists.
//! Source: Microsoft Graph error responses; behaviour seen at the service and in the lab tenant's specification.

use plumbline_engine::reason::Reason;
use serde_json::Value;

/// What to do about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Success,
    /// Refused for quota: again after the wait that the answer asks for.
    Throttled,
    /// The token is no longer good; again with a new one.
    Unauthorized,
    /// Not performed and worth repeating.
    Again,
    /// Perhaps performed; look before repeating.
    Doubtful,
    /// The object is gone, or not visible yet.
    Absent,
    /// Something named is too young to be seen by this replica.
    NotReplicated,
    /// The link exists.
    AlreadyLinked,
    /// A value that must be unique is taken.
    Conflict,
    Refused(Reason),
}

struct Row {
    status: u16,
    /// `error.code` or one of `error.details[].code`; `""` fits any.
    code: &'static str,
    /// A part of the message, in lower case; `""` fits any.
    text: &'static str,
    verdict: Verdict,
}

const fn row(status: u16, code: &'static str, text: &'static str, verdict: Verdict) -> Row {
    Row {
        status,
        code,
        text,
        verdict,
    }
}

const TABLE: &[Row] = &[
    row(400, "ObjectConflict", "", Verdict::Conflict),
    row(400, "ConflictingObjects", "", Verdict::Conflict),
    row(
        400,
        "",
        "another object with the same value",
        Verdict::Conflict,
    ),
    row(
        400,
        "",
        "a conflicting object with one or more",
        Verdict::Conflict,
    ),
    row(
        400,
        "",
        "source resource object or one of the objects being referenced",
        Verdict::NotReplicated,
    ),
    row(
        400,
        "",
        "extension properties are not available",
        Verdict::NotReplicated,
    ),
    row(
        400,
        "",
        "added object references already exist",
        Verdict::AlreadyLinked,
    ),
    row(
        400,
        "",
        "does not comply with password complexity",
        Verdict::Again,
    ),
    row(
        400,
        "",
        "on-premises mastered",
        Verdict::Refused(Reason::NotAdoptable),
    ),
    row(
        400,
        "",
        "originated within an external service",
        Verdict::Refused(Reason::NotAdoptable),
    ),
    row(
        400,
        "",
        "invalid value",
        Verdict::Refused(Reason::AttributeInvalid),
    ),
    row(
        400,
        "",
        "required property",
        Verdict::Refused(Reason::AttributeMissing),
    ),
    row(400, "", "", Verdict::Refused(Reason::RefusedByTarget)),
    row(401, "", "", Verdict::Unauthorized),
    row(
        403,
        "Directory_QuotaExceeded",
        "",
        Verdict::Refused(Reason::QuotaExceeded),
    ),
    row(
        403,
        "Authorization_RequestDenied",
        "",
        Verdict::Refused(Reason::Privileged),
    ),
    row(403, "", "", Verdict::Refused(Reason::RefusedByTarget)),
    row(404, "", "", Verdict::Absent),
    row(409, "Directory_ConcurrencyViolation", "", Verdict::Again),
    row(
        409,
        "Request_MultipleObjectsWithSameKeyValue",
        "",
        Verdict::Conflict,
    ),
    row(409, "", "", Verdict::Again),
    row(422, "", "", Verdict::Refused(Reason::AttributeInvalid)),
    row(424, "", "", Verdict::Again),
    row(429, "", "", Verdict::Throttled),
    row(501, "", "", Verdict::Refused(Reason::RefusedByTarget)),
    row(503, "", "", Verdict::Again),
];

/// An answer's error, its fields found without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorBody {
    pub(crate) code: String,
    pub(crate) message: String,
    details: Vec<String>,
    /// The property that a conflict is about.
    pub(crate) target: Option<String>,
    pub(crate) request_id: Option<String>,
}

fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = value.as_object()?;
    let found = fields
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

fn text(value: &Value, name: &str) -> Option<String> {
    field(value, name)?.as_str().map(str::to_owned)
}

impl ErrorBody {
    /// Reads what there is; a body that is no Graph error gives empty fields.
    pub(crate) fn read(body: &Value) -> Self {
        let Some(error) = field(body, "error") else {
            return Self::default();
        };
        let details = field(error, "details").and_then(Value::as_array);
        let details: Vec<&Value> = details.into_iter().flatten().collect();
        let named = details.iter().find_map(|detail| text(detail, "target"));
        let message = text(error, "message").unwrap_or_default();
        Self {
            target: named
                .or_else(|| text(error, "target"))
                .or_else(|| property_named_in(&message)),
            code: text(error, "code").unwrap_or_default(),
            details: details
                .iter()
                .filter_map(|detail| text(detail, "code"))
                .collect(),
            request_id: field(error, "innerError").and_then(|inner| text(inner, "request-id")),
            message,
        }
    }
}

/// "… same value for property userPrincipalName already exists."
fn property_named_in(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("same value for property ")?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// The verdict on an answer with this status and error.
pub(crate) fn judge(status: u16, error: &ErrorBody) -> Verdict {
    if (200..300).contains(&status) {
        return Verdict::Success;
    }
    let message = error.message.to_lowercase();
    let fits = |row: &&Row| {
        row.status == status
            && (row.code.is_empty()
                || row.code == error.code
                || error.details.iter().any(|code| code == row.code))
            && message.contains(row.text)
    };
    match TABLE.iter().find(fits) {
        Some(row) => row.verdict,
        None if status >= 500 => Verdict::Doubtful,
        None => Verdict::Refused(Reason::RefusedByTarget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(status: u16, code: &str, message: &str, detail: Option<&str>) -> Verdict {
        let details: Vec<Value> = detail.iter().map(|code| json!({ "code": code })).collect();
        let body = json!({"error": {"code": code, "message": message, "details": details}});
        judge(status, &ErrorBody::read(&body))
    }

    #[test]
    fn every_answer_of_the_catalogue_gets_its_verdict() {
        use Verdict::{
            Absent, Again, AlreadyLinked, Conflict, Doubtful, NotReplicated, Refused, Success,
            Throttled, Unauthorized,
        };
        let bad = "Request_BadRequest";
        #[rustfmt::skip]
        let cases: &[(u16, &str, &str, Option<&str>, Verdict)] = &[
            (201, "", "", None, Success),
            (204, "", "", None, Success),
            (400, bad, "Another object with the same value for property proxyAddresses already exists.", Some("ObjectConflict"), Conflict),
            (400, bad, "whatever", Some("ConflictingObjects"), Conflict),
            (400, bad, "Another object with the same value for property userPrincipalName already exists.", None, Conflict),
            (400, bad, "A conflicting object with one or more of the specified property values is present in the directory.", None, Conflict),
            (400, bad, "The source resource object or one of the objects being referenced don't exist.", None, NotReplicated),
            (400, bad, "The following extension properties are not available: extension_0_plumblineOwner.", None, NotReplicated),
            (400, bad, "One or more added object references already exist for the following modified properties: 'members'.", None, AlreadyLinked),
            (400, bad, "The specified password does not comply with password complexity requirements.", None, Again),
            (400, bad, "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration.", None, Refused(Reason::NotAdoptable)),
            (400, bad, "Unable to update the specified properties for objects that have originated within an external service.", None, Refused(Reason::NotAdoptable)),
            (400, bad, "One or more properties contains invalid values.", None, Refused(Reason::AttributeInvalid)),
            (400, bad, "SourceAnchor is a required property for creation of a federated user.", None, Refused(Reason::AttributeMissing)),
            (400, "Request_UnsupportedQuery", "Unsupported Query.", None, Refused(Reason::RefusedByTarget)),
            (400, bad, "A resource cannot contain more than 20 link changes", None, Refused(Reason::RefusedByTarget)),
            (401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.", None, Unauthorized),
            (403, "Directory_QuotaExceeded", "", None, Refused(Reason::QuotaExceeded)),
            (403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.", None, Refused(Reason::Privileged)),
            (403, "Other", "", None, Refused(Reason::RefusedByTarget)),
            (404, "Request_ResourceNotFound", "Resource 'x' does not exist or one of its queried reference-property objects are not present.", None, Absent),
            (409, "Directory_ConcurrencyViolation", "", None, Again),
            (409, "Request_MultipleObjectsWithSameKeyValue", "", None, Conflict),
            (409, "Other", "", None, Again),
            (422, "Request_UnprocessableEntity", "", Some("PropertyConflict"), Refused(Reason::AttributeInvalid)),
            (424, "FailedDependency", "", None, Again),
            (429, "TooManyRequests", "", None, Throttled),
            (500, "InternalServerError", "", None, Doubtful),
            (501, "NotImplemented", "", None, Refused(Reason::RefusedByTarget)),
            (503, "Directory_ConcurrencyViolation", "", None, Again),
            (503, "ServiceUnavailable", "", None, Again),
            (504, "UnknownError", "", None, Doubtful),
            (418, "", "", None, Refused(Reason::RefusedByTarget)),
        ];
        for (status, code, message, detail, expected) in cases {
            assert_eq!(
                verdict(*status, code, message, *detail),
                *expected,
                "{status} {code} {message}"
            );
        }
    }

    #[test]
    fn an_error_is_read_in_any_spelling() {
        let body = json!({"Error": {"Code": "Request_BadRequest", "Message": "m", "innererror": {"Request-Id": "r"},
            "details": [{"code": "ObjectConflict", "target": "userPrincipalName"}]}});
        let error = ErrorBody::read(&body);
        assert_eq!(error.target.as_deref(), Some("userPrincipalName"));
        assert_eq!(error.request_id.as_deref(), Some("r"));
        assert_eq!(judge(400, &error), Verdict::Conflict);
        assert_eq!(ErrorBody::read(&json!("<html>")), ErrorBody::default());
    }

    #[test]
    fn a_conflict_without_details_names_the_property_of_its_message() {
        let body = json!({"error": {"message": "Another object with the same value for property mailNickname already exists."}});
        assert_eq!(
            ErrorBody::read(&body).target.as_deref(),
            Some("mailNickname")
        );
    }
}
