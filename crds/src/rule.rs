//! The CEL rules that several fields share, each with the sentence the API server answers when it is broken.
//!
//! Formats are CEL rules rather than `pattern`, because the API server answers a pattern with the bare regular expression.
//! The patterns are within what Go's `regexp`, Rust's `regex` and CEL read alike; none may contain a single quote.

use kube::core::Rule;

const HOST: &str = r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?";
const DN: &str = r"([A-Za-z][A-Za-z0-9-]*|[0-9]+([.][0-9]+)+) *=([^,\\]|\\.)+(, *([A-Za-z][A-Za-z0-9-]*|[0-9]+([.][0-9]+)+) *=([^,\\]|\\.)+)*";
const GUID: &str = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}";

fn matches(pattern: &str, sentence: &str) -> Rule {
    Rule::new(format!("self.matches(r'^{pattern}$')")).message(sentence)
}

/// The field keeps the value it was created with.
pub(crate) fn immutable(field: &str) -> Rule {
    Rule::new("self == oldSelf")
        .message(format!("`{field}` is immutable; create another resource to change it").as_str())
}

/// An optional field of the object keeps its value, its presence and its absence. Belongs on the parent: a rule on the field
/// itself does not run when the field comes or goes.
pub(crate) fn immutable_optional(field: &str) -> Rule {
    Rule::new(format!("has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})")).message(
        format!("`{field}` is immutable and may not be added or removed later; create another resource to change it").as_str(),
    )
}

/// Exactly one of the optional members is set.
pub(crate) fn exactly_one(members: &[&str]) -> Rule {
    let present = members
        .iter()
        .map(|member| format!("has(self.{member})"))
        .collect::<Vec<_>>()
        .join(", ");
    let names = members
        .iter()
        .map(|member| format!("`{member}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let sentence = if members.len() == 1 {
        format!("{names} must be set")
    } else {
        format!("exactly one of {names} must be set")
    };
    Rule::new(format!("[{present}].exists_one(x, x)")).message(sentence.as_str())
}

/// `metadata.name` fits into a label value.
pub(crate) fn short_name() -> Rule {
    Rule::new("self.metadata.name.size() <= 63")
        .message("`metadata.name` must be at most 63 characters")
}

pub(crate) fn distinguished_name() -> Rule {
    matches(
        DN,
        "must be a distinguished name such as 'OU=Staff,DC=corp,DC=example,DC=com'",
    )
}

pub(crate) fn distinguished_name_or_guid() -> Rule {
    matches(
        &format!("({DN}|<GUID={GUID}>)"),
        "must be a distinguished name such as 'OU=Staff,DC=corp,DC=example,DC=com', or '<GUID=6f1c2a4e-0d3e-4b7a-9c1f-2b3c4d5e6f70>'",
    )
}

pub(crate) fn guid() -> Rule {
    matches(
        GUID,
        "must be a GUID such as '6f1c2a4e-0d3e-4b7a-9c1f-2b3c4d5e6f70'",
    )
}

pub(crate) fn ldap_servers() -> Rule {
    Rule::new(format!("self.all(s, s.matches(r'^ldaps?://{HOST}$'))"))
        .message("each server must be 'ldaps://host' or 'ldap://host', with ':port' where it is not 636 or 389")
}

pub(crate) fn https_url() -> Rule {
    matches(
        &format!("https://{HOST}(/[^ ?#]*)?"),
        "must be an https URL without query, such as 'https://graph.example.com'",
    )
}

pub(crate) fn attribute_name() -> Rule {
    matches(
        "[A-Za-z][A-Za-z0-9-]*",
        "must be the name of an LDAP attribute such as 'employeeNumber'",
    )
}

pub(crate) fn owner_name() -> Rule {
    matches(
        "[a-z0-9]([a-z0-9.-]*[a-z0-9])?",
        "must be lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit, such as 'identity.contoso'",
    )
}

pub(crate) fn object_name() -> Rule {
    matches(
        "[a-z0-9]([a-z0-9.-]*[a-z0-9])?",
        "must be the name of a resource: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
    )
}

pub(crate) fn data_key() -> Rule {
    matches(
        "[A-Za-z0-9._-]+",
        "must be a key of a ConfigMap or Secret: letters, digits, '-', '_' and '.'",
    )
}

pub(crate) fn hold_digests() -> Rule {
    Rule::new("self.all(d, d.matches('^sha256:[0-9a-f]{64}$'))")
        .message("each approval must be the digest of a hold as shown in `status.holds`: 'sha256:' and 64 lower-case hexadecimal digits")
}

/// A Go duration from `least` to `most`, both included.
pub(crate) fn duration_between(least: &str, most: &str) -> Rule {
    Rule::new(format!(
        "self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')"
    ))
    .message(format!("must be a duration such as '30s', '15m' or '1h30m', from '{least}' to '{most}'").as_str())
}
