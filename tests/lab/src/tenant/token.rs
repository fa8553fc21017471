//! The token endpoint: client credentials by secret, certificate or federated assertion (fact sheet §1).
//!
//! Errors carry the AADSTS numbers of the sheet; those it does not name (700021, 700023, 7000218, 70003) are the
//! service's well-known ones. Access tokens are opaque to clients; a token carries the permissions granted when it was issued.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::query::Query;
use super::state::State;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Clock skew allowed to an assertion.
const SKEW: i64 = 300;

/// How the application may prove itself, and the tokens it holds.
pub(super) struct Credentials {
    pub(super) secret: String,
    pub(super) secret_expired: bool,
    certificates: Vec<(String, DecodingKey)>,
    issuers: Vec<TrustedIssuer>,
    tokens: HashMap<String, Grant>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Credentials")
            .finish_non_exhaustive()
    }
}

struct TrustedIssuer {
    issuer: String,
    subject: String,
    audience: String,
    keys: JwkSet,
}

struct Grant {
    roles: Arc<Vec<String>>,
    expires: Instant,
}

impl Credentials {
    pub(super) fn new(secret: String) -> Self {
        Self {
            secret,
            secret_expired: false,
            certificates: Vec::new(),
            issuers: Vec::new(),
            tokens: HashMap::new(),
        }
    }

    pub(super) fn register(&mut self, thumbprint: String, key: DecodingKey) {
        self.certificates.push((thumbprint, key));
    }

    pub(super) fn trust(&mut self, issuer: &str, keys: JwkSet, subject: &str, audience: &str) {
        let (issuer, subject, audience) =
            (issuer.to_owned(), subject.to_owned(), audience.to_owned());
        self.issuers
            .retain(|known| (&known.issuer, &known.subject) != (&issuer, &subject));
        self.issuers.push(TrustedIssuer {
            issuer,
            subject,
            audience,
            keys,
        });
    }

    /// The permissions of a bearer token that is known and has not run out.
    pub(super) fn roles(&self, token: &str) -> Result<Arc<Vec<String>>, Answer> {
        let grant = self
            .tokens
            .get(token)
            .ok_or_else(|| Answer::unauthenticated("Access token validation failure."))?;
        if grant.expires <= Instant::now() {
            return Err(Answer::unauthenticated(
                "Access token has expired or is not yet valid.",
            ));
        }
        Ok(Arc::clone(&grant.roles))
    }

    pub(super) fn expire_all(&mut self) {
        let now = Instant::now();
        self.tokens
            .values_mut()
            .for_each(|grant| grant.expires = now);
    }
}

struct Denial {
    status: u16,
    error: &'static str,
    number: u32,
    text: String,
}

fn deny(status: u16, error: &'static str, number: u32, text: impl Into<String>) -> Denial {
    Denial {
        status,
        error,
        number,
        text: text.into(),
    }
}

impl Denial {
    fn answer(self, trace: &str, correlation: &str) -> Answer {
        let body = json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation}", self.number, self.text),
            "error_codes": [self.number],
            "timestamp": Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.number),
        });
        Answer {
            status: self.status,
            headers: Vec::new(),
            body: Some(body),
        }
    }
}

/// Answers a token request; `authorization` is its header, `form` its body.
pub(super) fn endpoint(
    state: &mut State,
    tenant: &str,
    authorization: Option<&str>,
    form: &str,
) -> Outcome {
    let (trace, correlation) = (state.guid(), state.guid());
    grant(state, tenant, authorization, form).map_err(|denial| denial.answer(&trace, &correlation))
}

fn grant(
    state: &mut State,
    tenant: &str,
    authorization: Option<&str>,
    form: &str,
) -> Result<Answer, Denial> {
    let form = Query::parse(form).ok_or_else(|| {
        deny(
            400,
            "invalid_request",
            900_144,
            "The request body cannot be read.",
        )
    })?;
    let known = tenant.eq_ignore_ascii_case(&state.tenant_id)
        || state
            .config
            .domains
            .iter()
            .any(|domain| domain.verified && domain.name.eq_ignore_ascii_case(tenant));
    if !known {
        return Err(deny(
            400,
            "invalid_request",
            90_002,
            format!("Tenant '{tenant}' not found."),
        ));
    }
    if form.get("grant_type") != Some("client_credentials") {
        return Err(deny(
            400,
            "unsupported_grant_type",
            70_003,
            "The app requested an unsupported grant type.",
        ));
    }
    let basic = authorization.and_then(basic);
    let client = basic
        .as_ref()
        .map(|(client, _)| client.as_str())
        .or(form.get("client_id"))
        .unwrap_or_default();
    if !client.eq_ignore_ascii_case(&state.client_id) {
        let text =
            format!("Application with identifier '{client}' was not found in the directory.");
        return Err(deny(400, "unauthorized_client", 700_016, text));
    }
    let scope = form.get("scope").unwrap_or_default();
    let Some(resource) = scope.strip_suffix("/.default") else {
        let text = format!(
            "The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."
        );
        return Err(deny(400, "invalid_scope", 70_011, text));
    };
    if resource != state.root {
        let text = format!("The resource principal named {resource} was not found in the tenant.");
        return Err(deny(400, "invalid_resource", 500_011, text));
    }
    if let Some(assertion) = form.get("client_assertion") {
        if form.get("client_assertion_type") != Some(ASSERTION_TYPE) {
            return Err(deny(
                401,
                "invalid_client",
                7_000_218,
                "The client_assertion_type is not supported.",
            ));
        }
        prove_by_assertion(state, tenant, assertion)?;
    } else if let Some(secret) = basic
        .as_ref()
        .map(|(_, secret)| secret.as_str())
        .or(form.get("client_secret"))
    {
        prove_by_secret(state, secret)?;
    } else {
        let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        return Err(deny(401, "invalid_client", 7_000_218, text));
    }
    Ok(issue(state))
}

/// `client:secret` of HTTP Basic; both parts are form-encoded before base64.
fn basic(header: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (client, secret) = text.split_once(':')?;
    Some((
        super::query::decode(client, true)?,
        super::query::decode(secret, true)?,
    ))
}

fn prove_by_secret(state: &State, secret: &str) -> Result<(), Denial> {
    if secret != state.credentials.secret {
        let text = "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                    value, not the client secret ID.";
        return Err(deny(401, "invalid_client", 7_000_215, text));
    }
    if state.credentials.secret_expired {
        return Err(deny(
            401,
            "invalid_client",
            7_000_222,
            "The provided client secret keys are expired.",
        ));
    }
    Ok(())
}

fn prove_by_assertion(state: &mut State, tenant: &str, assertion: &str) -> Result<(), Denial> {
    let unreadable = || {
        deny(
            401,
            "invalid_client",
            700_027,
            "Client assertion contains an invalid signature.",
        )
    };
    let header = jsonwebtoken::decode_header(assertion).map_err(|_| unreadable())?;
    let claims = unverified_claims(assertion).ok_or_else(unreadable)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("iss") == state.client_id || header.x5t_s256.is_some() {
        prove_by_certificate(state, tenant, assertion, &header, &claims)
    } else {
        prove_by_federation(state, assertion, &header, &claims)
    }
}

fn prove_by_certificate(
    state: &mut State,
    tenant: &str,
    assertion: &str,
    header: &Header,
    claims: &Value,
) -> Result<(), Denial> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let invalid = |text: &str| deny(401, "invalid_client", 700_027, text);
    let certificate = state
        .credentials
        .certificates
        .iter()
        .find(|(thumbprint, _)| header.x5t_s256.as_ref() == Some(thumbprint));
    let Some((_, key)) = certificate else {
        return Err(invalid(
            "The certificate with identifier used to sign the client assertion is not registered on application.",
        ));
    };
    if header.alg != Algorithm::PS256 || !is_signed(assertion, key, Algorithm::PS256) {
        return Err(invalid("Client assertion contains an invalid signature."));
    }
    if text("aud") != format!("{}/{tenant}/oauth2/v2.0/token", state.root) {
        return Err(deny(
            401,
            "invalid_client",
            700_023,
            "Client assertion audience claim does not match Realm issuer.",
        ));
    }
    if text("iss") != state.client_id || text("sub") != state.client_id {
        let text = "Client assertion application identifier doesn't match 'client_id' parameter.";
        return Err(deny(401, "invalid_client", 700_021, text));
    }
    check_time(claims)?;
    let jti = text("jti");
    if jti.is_empty() || !state.assertions.insert(jti.to_owned()) {
        return Err(invalid(
            "The client assertion has no jti, or its jti was used before.",
        ));
    }
    Ok(())
}

fn prove_by_federation(
    state: &State,
    assertion: &str,
    header: &Header,
    claims: &Value,
) -> Result<(), Denial> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let trusted = state.credentials.issuers.iter().find(|trusted| {
        trusted.issuer == text("iss")
            && trusted.subject == text("sub")
            && audiences.contains(&trusted.audience.as_str())
    });
    let Some(trusted) = trusted else {
        let text = format!(
            "No matching federated identity record found for presented assertion issuer '{}', subject '{}', audience '{}'.",
            text("iss"),
            text("sub"),
            audiences.join(" ")
        );
        return Err(deny(401, "invalid_client", 70_021, text));
    };
    let invalid = || {
        deny(
            401,
            "invalid_client",
            700_027,
            "Client assertion contains an invalid signature.",
        )
    };
    let jwk = header
        .kid
        .as_deref()
        .and_then(|kid| trusted.keys.find(kid))
        .ok_or_else(invalid)?;
    let key = DecodingKey::from_jwk(jwk).map_err(|_| invalid())?;
    if header.alg != Algorithm::RS256 || !is_signed(assertion, &key, Algorithm::RS256) {
        return Err(invalid());
    }
    check_time(claims)
}

fn check_time(claims: &Value) -> Result<(), Denial> {
    let now = Timestamp::now().as_second();
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let begun = time("nbf").is_none_or(|begin| begin <= now + SKEW);
    if begun && time("exp").is_some_and(|end| end > now - SKEW) {
        return Ok(());
    }
    Err(deny(
        401,
        "invalid_client",
        700_024,
        "Client assertion is not within its valid time range.",
    ))
}

fn unverified_claims(assertion: &str) -> Option<Value> {
    let payload = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn is_signed(assertion: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    let mut validation = Validation::new(algorithm);
    // Signature only: the claims are judged above, each with its own error number.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Value>(assertion, key, &validation).is_ok()
}

fn issue(state: &mut State) -> Answer {
    let lifetime = state.config.token_lifetime;
    let now = Timestamp::now().as_second();
    let expires = now + i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX / 2);
    let claims = json!({"aud": state.root, "tid": state.tenant_id, "appid": state.client_id, "jti": state.guid(),
        "roles": state.config.permissions, "iat": now, "exp": expires});
    // Shaped as the service's tokens are; it is looked up, never decoded, when it comes back.
    let key = EncodingKey::from_secret(state.guid().as_bytes());
    let token =
        jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap_or_else(|_| state.guid());
    let roles = Arc::new(state.config.permissions.clone());
    state.credentials.tokens.insert(
        token.clone(),
        Grant {
            roles,
            expires: Instant::now() + lifetime,
        },
    );
    let seconds = lifetime.max(Duration::from_secs(1)).as_secs();
    Answer::ok(
        json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}),
    )
}
