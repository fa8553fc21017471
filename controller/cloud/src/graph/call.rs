//! The calls that Plumbline makes on Graph. This is the only place that builds a path.
//!
//! Fields are private, so that nothing else can make a call: above all no `DELETE …/members/{id}` without `/$ref`, which
//! would delete the member itself. Every id and key is percent-encoded. Source: Microsoft Graph v1.0 reference.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// One request, on its own or as a part of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: &'static str,
    /// Path and query after the version.
    url: String,
    /// The path without values, for metrics.
    template: &'static str,
    body: Option<Value>,
    create_if_missing: bool,
}

/// Encodes everything that is not unreserved (RFC 3986 §2.3).
pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// A text as an OData literal: quotes doubled, then encoded.
fn literal(text: &str) -> String {
    encode(&format!("'{}'", text.replace('\'', "''")))
}

impl Call {
    fn new(method: &'static str, template: &'static str, url: String, body: Option<Value>) -> Self {
        Self {
            method,
            url,
            template,
            body,
            create_if_missing: false,
        }
    }

    pub(crate) fn method(&self) -> &'static str {
        self.method
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn template(&self) -> &'static str {
        self.template
    }

    /// Counts against the write quota.
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }

    pub(crate) fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    /// As a part of a `$batch`, named by its position.
    pub(crate) fn part(&self, position: usize) -> Value {
        let mut part = json!({"id": position.to_string(), "method": self.method, "url": self.url});
        let mut headers = serde_json::Map::new();
        if let Some(body) = &self.body {
            headers.insert("Content-Type".to_owned(), json!("application/json"));
            part["body"] = body.clone();
        }
        if self.create_if_missing {
            headers.insert("Prefer".to_owned(), json!("create-if-missing"));
        }
        if !headers.is_empty() {
            part["headers"] = Value::Object(headers);
        }
        part
    }

    /// A listing, or the next page of one; `url` is relative to the version and taken as it is.
    pub(crate) fn list(template: &'static str, url: String) -> Self {
        Self::new("GET", template, url, None)
    }

    pub(crate) fn members(group: &str) -> Self {
        let url = format!("/groups/{}/members?$select=id&$top=999", encode(group));
        Self::list("/groups/{id}/members", url)
    }

    pub(crate) fn owners(group: &str) -> Self {
        let url = format!("/groups/{}/owners?$select=id&$top=999", encode(group));
        Self::list("/groups/{id}/owners", url)
    }

    pub(crate) fn create_user(body: Value) -> Self {
        Self::new("POST", "/users", "/users".to_owned(), Some(body))
    }

    pub(crate) fn patch_user(id: &str, body: Value) -> Self {
        let url = format!("/users/{}", encode(id));
        Self::new("PATCH", "/users/{id}", url, Some(body))
    }

    pub(crate) fn get_user(id: &str) -> Self {
        let url = format!("/users/{}?$select=id", encode(id));
        Self::list("/users/{id}", url)
    }

    pub(crate) fn delete_user(id: &str) -> Self {
        let url = format!("/users/{}", encode(id));
        Self::new("DELETE", "/users/{id}", url, None)
    }

    pub(crate) fn revoke_sessions(id: &str) -> Self {
        let url = format!("/users/{}/revokeSignInSessions", encode(id));
        Self::new("POST", "/users/{id}/revokeSignInSessions", url, None)
    }

    pub(crate) fn set_manager(id: &str, manager_url: &str) -> Self {
        let url = format!("/users/{}/manager/$ref", encode(id));
        let body = json!({ "@odata.id": manager_url });
        Self::new("PUT", "/users/{id}/manager/$ref", url, Some(body))
    }

    pub(crate) fn clear_manager(id: &str) -> Self {
        let url = format!("/users/{}/manager/$ref", encode(id));
        Self::new("DELETE", "/users/{id}/manager/$ref", url, None)
    }

    /// Live users with this immutable id or one of these names; `select` is added to `id`.
    pub(crate) fn find_users(
        immutable_id: &str,
        user_principal_name: Option<&str>,
        mail: Option<&str>,
        select: &str,
    ) -> Self {
        let mut filter = format!("onPremisesImmutableId%20eq%20{}", literal(immutable_id));
        if let Some(name) = user_principal_name {
            let _ = write!(filter, "%20or%20userPrincipalName%20eq%20{}", literal(name));
        }
        if let Some(mail) = mail {
            let _ = write!(filter, "%20or%20mail%20eq%20{}", literal(mail));
        }
        let url = format!("/users?$filter={filter}&$select=id,userPrincipalName,{select}");
        Self::list("/users", url)
    }

    /// Deleted users with this immutable id.
    pub(crate) fn find_deleted_users(immutable_id: &str) -> Self {
        let url = format!(
            "/directory/deletedItems/microsoft.graph.user?$filter=onPremisesImmutableId%20eq%20{}&$select=id",
            literal(immutable_id)
        );
        Self::list("/directory/deletedItems/microsoft.graph.user", url)
    }

    fn unique_name(name: &str) -> String {
        format!("/groups(uniqueName={})", literal(name))
    }

    /// Makes the group with this unique name, or updates it.
    pub(crate) fn upsert_group(name: &str, body: Value) -> Self {
        Self {
            create_if_missing: true,
            ..Self::new(
                "PATCH",
                "/groups(uniqueName='{name}')",
                Self::unique_name(name),
                Some(body),
            )
        }
    }

    pub(crate) fn find_group(name: &str, select: &str) -> Self {
        let url = format!(
            "{}?$select=id,displayName,{select}",
            Self::unique_name(name)
        );
        Self::list("/groups(uniqueName='{name}')", url)
    }

    pub(crate) fn patch_group(id: &str, body: Value) -> Self {
        let url = format!("/groups/{}", encode(id));
        Self::new("PATCH", "/groups/{id}", url, Some(body))
    }

    pub(crate) fn get_group(id: &str) -> Self {
        let url = format!("/groups/{}?$select=id", encode(id));
        Self::list("/groups/{id}", url)
    }

    pub(crate) fn delete_group(id: &str) -> Self {
        let url = format!("/groups/{}", encode(id));
        Self::new("DELETE", "/groups/{id}", url, None)
    }

    /// Adds at most 20 members; `urls` name directory objects.
    pub(crate) fn add_members(group: &str, urls: &[String]) -> Self {
        Self::patch_group(group, json!({ "members@odata.bind": urls }))
    }

    /// Removes the link, never the member: the path ends in `/$ref`.
    pub(crate) fn remove_member(group: &str, member: &str) -> Self {
        let url = format!("/groups/{}/members/{}/$ref", encode(group), encode(member));
        Self::new("DELETE", "/groups/{id}/members/{id}/$ref", url, None)
    }

    pub(crate) fn restore(id: &str) -> Self {
        let url = format!("/directory/deletedItems/{}/restore", encode(id));
        Self::new("POST", "/directory/deletedItems/{id}/restore", url, None)
    }

    fn extensions(app_id: &str) -> String {
        format!(
            "/applications(appId={})/extensionProperties",
            literal(app_id)
        )
    }

    pub(crate) fn list_extensions(app_id: &str) -> Self {
        Self::list(
            "/applications(appId='{id}')/extensionProperties",
            Self::extensions(app_id),
        )
    }

    pub(crate) fn define_extension(app_id: &str, name: &str) -> Self {
        let body = json!({"name": name, "dataType": "String", "targetObjects": ["User", "Group"]});
        Self::new(
            "POST",
            "/applications(appId='{id}')/extensionProperties",
            Self::extensions(app_id),
            Some(body),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_member_is_always_named_by_its_link() {
        let call = Call::remove_member("g/1", "m 2");
        assert_eq!(call.method(), "DELETE");
        assert_eq!(call.url(), "/groups/g%2F1/members/m%202/$ref");
    }

    #[test]
    fn keys_and_filter_values_are_quoted_and_encoded() {
        let call = Call::upsert_group("plumbline-o'neil-ff", json!({}));
        assert_eq!(
            call.url(),
            "/groups(uniqueName=%27plumbline-o%27%27neil-ff%27)"
        );
        assert_eq!(call.part(3)["headers"]["Prefer"], "create-if-missing");
        let call = Call::find_users("a+/=", None, None, "x");
        assert!(call.url().contains("%27a%2B%2F%3D%27"), "{}", call.url());
    }
}
