//! Joins: which users of several directories are one person, and whose values count.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::rule;

/// Which users of several directories are one person, and whose values count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.rules.all(r, (!has(r.linkedAccount) || (r.linkedAccount.account in self.precedence && r.linkedAccount.resource in self.precedence)) && (!has(r.attributes) || r.attributes.all(a, a.connector in self.precedence)))")
        .message("each connector that `rules` names must be in `precedence`"),
    validation = Rule::new("!has(self.attributePrecedence) || self.attributePrecedence.all(a, self.attributePrecedence[a].all(c, c in self.precedence))")
        .message("each connector that `attributePrecedence` names must be in `precedence`")
)]
pub struct Joins {
    /// The DirectoryConnectors whose users are joined, the most important first. Attribute by attribute of the tenant the first whose entry
    /// gives a value wins, `accountEnabled` included; an empty value asks the next, `keep()` leaves the attribute alone. The first that has an entry
    /// when the account is made names it for life. Between 2 and 16, each of them read by a scope of this DirectorySync. Example:
    /// `[corp, exchange]`.
    #[schemars(length(min = 2, max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = Rule::new("self.all(a, self.exists_one(b, a == b))").message("may not name a connector twice")
    )]
    pub precedence: Vec<String>,
    /// By what two entries are recognised as one person: any rule that gives both the same value, without regard to case. Users alone are
    /// joined. Two users of one directory with the same value are set aside as `JoinAmbiguous`, together with whom they are joined to. Between 1 and 8.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub rules: Vec<JoinRule>,
    /// For single attributes of the tenant another order: these connectors are asked first, then the others as in `precedence`. At most 128
    /// attributes, `manager` among them. Example: `{mail: [exchange]}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "orders")]
    pub attribute_precedence: BTreeMap<String, Vec<String>>,
}

fn orders(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 128,
        "additionalProperties": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 63},
            "minItems": 1,
            "maxItems": 16,
            "x-kubernetes-list-type": "atomic",
        },
    })
}

/// By what two entries are recognised as one person. Exactly one member must be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::exactly_one(&["attribute", "linkedAccount", "attributes"]))]
pub struct JoinRule {
    /// The same attribute in every directory of `precedence`. It should be unique in each. Example: `mail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = rule::attribute_name())]
    pub attribute: Option<String>,
    /// An account forest and a resource forest of Active Directory: the mailbox user's `msExchMasterAccountSid` is the account's
    /// `objectSid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_account: Option<LinkedAccount>,
    /// Another attribute in each directory; their values are compared. Between 2 and 16, one for each directory that takes part. Example:
    /// `[{connector: corp, attribute: employeeID}, {connector: hr, attribute: employeeNumber}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 2, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["connector".into()]))]
    pub attributes: Vec<JoinAttribute>,
}

/// An account forest and a resource forest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.account != self.resource")
        .message("`account` and `resource` must be two DirectoryConnectors")
)]
pub struct LinkedAccount {
    /// The DirectoryConnector of the forest in which people sign in.
    #[schemars(length(min = 1, max = 63))]
    pub account: String,
    /// The DirectoryConnector of the forest with their disabled mailbox users.
    #[schemars(length(min = 1, max = 63))]
    pub resource: String,
}

/// The attribute of one directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinAttribute {
    /// The DirectoryConnector.
    #[schemars(length(min = 1, max = 63))]
    pub connector: String,
    /// The attribute whose values are compared.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = rule::attribute_name())]
    pub attribute: String,
}
