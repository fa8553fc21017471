//! The attributes of users and groups that an application may write, with their limits, and their shape on the wire.
//!
//! Flat for the engine, nested on the wire: `extensionAttribute1` is in `onPremisesExtensionAttributes`, `costCenter` in
//! `employeeOrgData`. Source: Microsoft Graph v1.0 reference of user and group.

use std::collections::BTreeSet;

use plumbline_engine::{
    entry::Class,
    format::Format,
    target::{AttributeRule, Capabilities, Changes, Shape, Value, Values},
};
use serde_json::{Map, Value as Json, json};

const fn text(class: Class, name: &'static str, max_length: Option<u32>) -> AttributeRule {
    AttributeRule {
        class,
        name,
        shape: Shape::Text,
        max_length,
        max_values: None,
        clearable: true,
        required: false,
        unique: false,
        together: None,
        format: None,
    }
}

const fn formatted(format: Format, rule: AttributeRule) -> AttributeRule {
    AttributeRule {
        format: Some(format),
        ..rule
    }
}

const fn user(name: &'static str, max_length: u32) -> AttributeRule {
    text(Class::User, name, Some(max_length))
}

const fn list(name: &'static str, max_values: u32, max_length: u32) -> AttributeRule {
    AttributeRule {
        shape: Shape::List,
        max_values: Some(max_values),
        ..user(name, max_length)
    }
}

const fn required(rule: AttributeRule) -> AttributeRule {
    AttributeRule {
        required: true,
        clearable: false,
        ..rule
    }
}

const fn unique(rule: AttributeRule) -> AttributeRule {
    AttributeRule {
        unique: true,
        ..rule
    }
}

const fn kept(rule: AttributeRule) -> AttributeRule {
    AttributeRule {
        clearable: false,
        ..rule
    }
}

const fn together(word: &'static str, rule: AttributeRule) -> AttributeRule {
    AttributeRule {
        together: Some(word),
        ..rule
    }
}

const ORGANIZATION: &str = "employeeOrgData";
const EXTENSION: &str = "onPremisesExtensionAttributes";

const RULES: &[AttributeRule] = &[
    AttributeRule {
        shape: Shape::Flag,
        ..required(text(Class::User, "accountEnabled", None))
    },
    formatted(
        Format::UserPrincipalName,
        unique(required(user("userPrincipalName", 113))),
    ),
    required(user("displayName", 256)),
    formatted(Format::MailNickname, required(user("mailNickname", 64))),
    user("givenName", 64),
    user("surname", 64),
    user("jobTitle", 128),
    user("department", 64),
    user("companyName", 64),
    user("officeLocation", 128),
    user("streetAddress", 1024),
    user("city", 128),
    user("state", 128),
    user("postalCode", 40),
    user("country", 128),
    user("mobilePhone", 64),
    list("businessPhones", 1, 64),
    user("faxNumber", 64),
    formatted(Format::Mail, unique(kept(user("mail", 113)))),
    formatted(Format::Mail, list("otherMails", 250, 250)),
    user("employeeId", 16),
    user("employeeType", 128),
    formatted(Format::Language, user("preferredLanguage", 64)),
    formatted(Format::CountryCode, kept(user("usageLocation", 2))),
    together(ORGANIZATION, user("division", 64)),
    together(ORGANIZATION, user("costCenter", 64)),
    user("extensionAttribute1", 1024),
    user("extensionAttribute2", 1024),
    user("extensionAttribute3", 1024),
    user("extensionAttribute4", 1024),
    user("extensionAttribute5", 1024),
    user("extensionAttribute6", 1024),
    user("extensionAttribute7", 1024),
    user("extensionAttribute8", 1024),
    user("extensionAttribute9", 1024),
    user("extensionAttribute10", 1024),
    user("extensionAttribute11", 1024),
    user("extensionAttribute12", 1024),
    user("extensionAttribute13", 1024),
    user("extensionAttribute14", 1024),
    user("extensionAttribute15", 1024),
    required(text(Class::Group, "displayName", Some(256))),
    text(Class::Group, "description", Some(1024)),
    formatted(
        Format::MailNickname,
        required(text(Class::Group, "mailNickname", Some(64))),
    ),
];

/// What Graph can do.
pub(crate) const CAPABILITIES: Capabilities = Capabilities {
    classes: &[Class::User, Class::Group],
    attributes: RULES,
    enabled: "accountEnabled",
    sign_in_name: "userPrincipalName",
};

/// The property that an attribute is nested in.
fn parent(name: &str) -> Option<&'static str> {
    match name {
        "division" | "costCenter" => Some(ORGANIZATION),
        name if name.starts_with("extensionAttribute") => Some(EXTENSION),
        _ => None,
    }
}

/// The properties to select for these attributes.
pub(crate) fn properties(attributes: &BTreeSet<String>) -> BTreeSet<&str> {
    attributes
        .iter()
        .map(|name| parent(name).unwrap_or(name))
        .collect()
}

/// The attributes that were asked for and have a value.
pub(crate) fn read(object: &Json, attributes: &BTreeSet<String>) -> Values {
    attributes
        .iter()
        .filter_map(|name| {
            let holder = match parent(name) {
                Some(parent) => object.get(parent)?,
                None => object,
            };
            value(holder.get(name)?).map(|value| (name.clone(), value))
        })
        .collect()
}

/// What a delta says of the attributes that were asked for; a property that it leaves out is left out.
pub(crate) fn changed(object: &Json, attributes: &BTreeSet<String>) -> Changes {
    attributes
        .iter()
        .filter_map(|name| {
            let held = object.get(parent(name).unwrap_or(name))?;
            let held = match parent(name) {
                Some(_) => held.get(name),
                None => Some(held),
            };
            Some((name.clone(), held.and_then(value)))
        })
        .collect()
}

fn value(json: &Json) -> Option<Value> {
    match json {
        Json::Bool(flag) => Some(Value::Flag(*flag)),
        Json::String(text) if !text.is_empty() => Some(Value::Text(text.clone())),
        Json::Array(items) => {
            let texts: BTreeSet<String> = items
                .iter()
                .filter_map(Json::as_str)
                .map(str::to_owned)
                .collect();
            (!texts.is_empty()).then(|| Value::List(texts.into_iter().collect()))
        }
        _ => None,
    }
}

/// Changes as the body of a PATCH. Values that are sent together must be in `changes` together.
pub(crate) fn write(class: Class, changes: &Changes) -> Map<String, Json> {
    let mut body = Map::new();
    for (name, change) in changes {
        let is_list = CAPABILITIES
            .rule(class, name)
            .is_some_and(|rule| rule.shape == Shape::List);
        let value = match change {
            Some(Value::Flag(flag)) => json!(flag),
            Some(Value::Text(text)) => json!(text),
            Some(Value::List(items)) => json!(items),
            None if is_list => json!([]),
            None => Json::Null,
        };
        match parent(name) {
            Some(parent) => {
                let holder = body.entry(parent).or_insert_with(|| json!({}));
                if let Some(holder) = holder.as_object_mut() {
                    holder.insert(name.clone(), value);
                }
            }
            None => {
                body.insert(name.clone(), value);
            }
        }
    }
    body
}

/// The values of a new object.
pub(crate) fn write_new(class: Class, values: &Values) -> Map<String, Json> {
    let changes = values
        .iter()
        .map(|(name, value)| (name.clone(), Some(value.clone())))
        .collect();
    write(class, &changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_properties_are_flat_for_the_engine() {
        let object = json!({"city": "Köln", "department": "", "jobTitle": null, "businessPhones": ["1"],
            "employeeOrgData": {"division": "North", "costCenter": null},
            "onPremisesExtensionAttributes": {"extensionAttribute3": "x"}, "accountEnabled": false});
        let names = [
            "city",
            "department",
            "jobTitle",
            "businessPhones",
            "division",
            "costCenter",
            "extensionAttribute3",
            "accountEnabled",
            "surname",
        ];
        let names: BTreeSet<String> = names.map(str::to_owned).into();
        let values = read(&object, &names);
        assert_eq!(
            values.keys().map(String::as_str).collect::<Vec<_>>(),
            [
                "accountEnabled",
                "businessPhones",
                "city",
                "division",
                "extensionAttribute3"
            ]
        );
        let body = write_new(Class::User, &values);
        assert_eq!(
            Json::Object(body),
            json!({"accountEnabled": false, "businessPhones": ["1"], "city": "Köln",
            "employeeOrgData": {"division": "North"}, "onPremisesExtensionAttributes": {"extensionAttribute3": "x"}})
        );
        assert!(properties(&names).contains("employeeOrgData"));
        assert!(!properties(&names).contains("division"));
    }

    #[test]
    fn a_cleared_list_is_empty_and_a_cleared_text_is_null() {
        let changes = [("otherMails".to_owned(), None), ("city".to_owned(), None)].into();
        let body = Json::Object(write(Class::User, &changes));
        assert_eq!(body, json!({"otherMails": [], "city": null}));
    }
}
