//! What `plumbline tenant init` does and shows: defines the mark, and tells what the tenant and the token offer.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::{
    GraphError, GraphTarget, MARK_NAME,
    answer::Verdict,
    call::Call,
    permission::{self, Permission},
};

/// Whether the mark had to be defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defined {
    Created,
    Existed,
}

/// What a tenant offers, as `plumbline tenant init` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantFacts {
    /// In lower case.
    pub verified_domains: BTreeSet<String>,
    /// The full name of the mark's extension, when it is defined.
    pub mark_attribute: Option<String>,
    /// Permissions that the token does not carry.
    pub missing_permissions: Vec<Permission>,
}

impl GraphTarget {
    /// Defines the mark for the application, once. Needs `Application.ReadWrite.OwnedBy` and an application that owns itself.
    pub async fn define_mark(&self) -> Result<Defined, GraphError> {
        if self.mark_is_defined().await? {
            return Ok(Defined::Existed);
        }
        let call = Call::define_extension(self.connection.session().client_id(), MARK_NAME);
        let sent = self.connection.call(&call, None).await;
        if let Ok(answer) = &sent
            && answer.judge().0 == Verdict::Success
        {
            return Ok(Defined::Created);
        }
        // The answer may be lost, or another was faster: what counts is whether the mark is there now.
        if self.mark_is_defined().await? {
            return Ok(Defined::Existed);
        }
        match sent {
            Ok(answer) => Err(GraphError::refused(&call, answer.status, &answer.judge().1)),
            Err(error) => Err(GraphError::unsent(&call, error)),
        }
    }

    async fn mark_is_defined(&self) -> Result<bool, GraphError> {
        let call = Call::list_extensions(self.connection.session().client_id());
        let page = self.connection.read(&call).await?;
        let defined = page.get("value").and_then(Value::as_array);
        let names = defined
            .into_iter()
            .flatten()
            .filter_map(|one| one.get("name"));
        Ok(names
            .filter_map(Value::as_str)
            .any(|name| name == self.mark))
    }

    /// Reads what the tenant and the token offer; writes nothing.
    pub async fn probe(&self) -> Result<TenantFacts, GraphError> {
        let (token, _) = self.connection.session().token().await?;
        let roles = roles(token.expose_secret());
        let holds = |permission: &&Permission| match &roles {
            Some(roles) => !roles.contains(permission.name),
            // An opaque token tells nothing; the service will.
            None => false,
        };
        let missing_permissions = permission::permissions()
            .iter()
            .filter(holds)
            .copied()
            .collect();
        Ok(TenantFacts {
            verified_domains: self.verified_domains().await?,
            mark_attribute: self.mark_is_usable().await?.then(|| self.mark.clone()),
            missing_permissions,
        })
    }
}

/// The `roles` claim of a token that is a JWT. Not verified: it is shown to people, nothing is decided by it.
fn roles(token: &str) -> Option<BTreeSet<String>> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let roles = claims.get("roles").and_then(Value::as_array);
    Some(
        roles
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    )
}
