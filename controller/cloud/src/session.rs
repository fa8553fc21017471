//! Tokens for one application of one tenant: asked for by the client credentials flow, kept until 80 % of their life, one
//! request at a time.
//!
//! The numbers that Entra ID puts into its refusals (`AADSTS…`) become a reason and a next step.
//! Source: "Microsoft identity platform and the client credentials flow", "AADSTS error codes".

use std::{collections::BTreeSet, sync::PoisonError, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use plumbline_engine::{port::Failure, reason::Reason};
use reqwest::Client;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    assertion::{self, AssertionError},
    credentials::{Auth, Credentials, Endpoints},
    http::{self, HttpError},
};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// A new federated credential is refused with 70021 for some minutes; longer waits are the next cycle's.
const PATIENCE: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("asking the token endpoint for tenant {tenant}")]
    Http {
        tenant: String,
        #[source]
        source: HttpError,
    },
    #[error("the token endpoint refused client {client} of tenant {tenant}: AADSTS{number}{}", hint_of(*number).map(|hint| format!(" ({hint})")).unwrap_or_default())]
    Refused {
        tenant: String,
        client: String,
        number: u32,
    },
    #[error("the token endpoint answered {status} for tenant {tenant}")]
    Failing { tenant: String, status: u16 },
    #[error("the token endpoint's answer for tenant {tenant} cannot be read")]
    Malformed {
        tenant: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("signing in with the certificate of client {client}")]
    Assertion {
        client: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("getting the federated token of client {client}")]
    Provider {
        client: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Failure for SessionError {
    fn reason(&self) -> Reason {
        match self {
            Self::Http { source, .. } => source.reason(),
            Self::Refused {
                number: 90002 | 900_023,
                ..
            } => Reason::TenantNotFound,
            Self::Refused { .. } | Self::Assertion { .. } | Self::Provider { .. } => {
                Reason::TokenRejected
            }
            Self::Failing { .. } | Self::Malformed { .. } => Reason::TargetUnreachable,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { number, .. } => hint_of(*number).map(str::to_owned),
            _ => None,
        }
    }
}

/// The next step for the refusals that people meet.
fn hint_of(number: u32) -> Option<&'static str> {
    Some(match number {
        7_000_215 => "the client secret is wrong; take the secret's value, not its id",
        7_000_222 => "the client secret has expired; make a new one and put it into the Secret",
        700_016 => {
            "the application is not in this tenant; check the client id and the admin consent"
        }
        700_027 => {
            "the certificate is not registered on the application, or the key is not its own"
        }
        700_024 => "the assertion is outside its time range; check the clock",
        70_021 | 700_213 | 700_211 | 700_212 => {
            "no federated credential matches; issuer, subject and audience must be equal to the letter"
        }
        70_011 | 500_011 => {
            "the scope is unknown in this cloud; check `cloud` or `endpoints.graph`"
        }
        53_003 => "conditional access blocks the application",
        90_002 | 900_023 => "the tenant is unknown in this cloud; check `tenantId` and `cloud`",
        _ => return None,
    })
}

#[derive(Deserialize)]
struct Granted {
    #[serde(deserialize_with = "secret")]
    access_token: SecretString,
    expires_in: u64,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    error_codes: Vec<u32>,
}

/// The `roles` claim of an access token. Graph's own tokens are JWTs, which nobody promises: one that cannot be read tells nothing.
fn roles(token: &str) -> Option<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Claims {
        #[serde(default)]
        roles: BTreeSet<String>,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Some(claims.roles)
}

#[derive(Clone)]
struct Token {
    value: SecretString,
    /// Counts the tokens, so that only a token that is still the current one is thrown away.
    number: u64,
    renew_at: Instant,
}

/// The sign-in of one application; shared by everything that talks to its tenant.
#[derive(Debug)]
pub struct Session {
    credentials: Credentials,
    endpoints: Endpoints,
    http: Client,
    token: Mutex<State>,
    /// The application permissions in the last token, where it can be read.
    roles: std::sync::Mutex<Option<BTreeSet<String>>>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    count: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session with a CA (PEM bundle) beside the system's. Nothing is sent yet.
    pub fn new(
        credentials: Credentials,
        endpoints: Endpoints,
        ca_pem: Option<&str>,
    ) -> Result<Self, SessionError> {
        let http = http::client(ca_pem).map_err(|source| SessionError::Http {
            tenant: credentials.tenant_id.clone(),
            source,
        })?;
        Ok(Self {
            credentials,
            endpoints,
            http,
            token: Mutex::default(),
            roles: std::sync::Mutex::default(),
        })
    }

    pub(crate) fn http(&self) -> &Client {
        &self.http
    }

    pub(crate) fn graph(&self) -> &str {
        &self.endpoints.graph
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.credentials.client_id
    }

    /// The current token and its number; asks for one when there is none or it is near its end. Callers at the same
    /// time share one request.
    pub(crate) async fn token(&self) -> Result<(SecretString, u64), SessionError> {
        let mut state = self.token.lock().await;
        if let Some(token) = &state.token
            && token.renew_at > Instant::now()
        {
            return Ok((token.value.clone(), token.number));
        }
        let granted = self.ask_patiently().await?;
        state.count += 1;
        let token = Token {
            value: granted.access_token,
            number: state.count,
            renew_at: Instant::now() + Duration::from_secs(granted.expires_in).mul_f64(0.8),
        };
        let roles = roles(token.value.expose_secret());
        *self.roles.lock().unwrap_or_else(PoisonError::into_inner) = roles;
        let answer = (token.value.clone(), token.number);
        state.token = Some(token);
        Ok(answer)
    }

    /// The first of these permissions, if the application has none of them; `None` where that cannot be told.
    pub(crate) fn lacking(&self, sufficient: &[&'static str]) -> Option<&'static str> {
        let roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        let held = roles.as_ref()?;
        let first = sufficient.first().copied()?;
        (!sufficient.iter().any(|name| held.contains(*name))).then_some(first)
    }

    /// Forgets the token with this number, because Graph refused it.
    pub(crate) async fn forget(&self, number: u64) {
        let mut state = self.token.lock().await;
        if state
            .token
            .as_ref()
            .is_some_and(|token| token.number == number)
        {
            state.token = None;
        }
    }

    async fn ask_patiently(&self) -> Result<Granted, SessionError> {
        for pause in PATIENCE {
            match self.ask().await {
                Err(
                    SessionError::Refused { number: 70_021, .. } | SessionError::Failing { .. },
                ) => tokio::time::sleep(pause).await,
                other => return other,
            }
        }
        self.ask().await
    }

    async fn ask(&self) -> Result<Granted, SessionError> {
        let Credentials {
            tenant_id: tenant,
            client_id: client,
            ..
        } = &self.credentials;
        let url = format!("{}/{tenant}/oauth2/v2.0/token", self.endpoints.authority);
        let (name, proof) = self.proof(&url).await?;
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", client.as_str()),
            ("scope", self.endpoints.scope.as_str()),
            (name, proof.expose_secret()),
        ];
        if name == "client_assertion" {
            form.push(("client_assertion_type", ASSERTION_TYPE));
        }
        let failed = |source| SessionError::Http {
            tenant: tenant.clone(),
            source,
        };
        let sent = self.http.post(&url).form(&form).send().await;
        let response = sent.map_err(|error| failed(HttpError::from_send(error)))?;
        let status = response.status();
        let body = http::body(response).await.map_err(failed)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|source| SessionError::Malformed {
                tenant: tenant.clone(),
                source,
            });
        }
        // A proxy's error page has no numbers; the status then says all there is.
        let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        Err(match refusal.error_codes.first() {
            Some(number) if status.is_client_error() => SessionError::Refused {
                tenant: tenant.clone(),
                client: client.clone(),
                number: *number,
            },
            _ => SessionError::Failing {
                tenant: tenant.clone(),
                status: status.as_u16(),
            },
        })
    }

    async fn proof(&self, url: &str) -> Result<(&'static str, SecretString), SessionError> {
        let client = &self.credentials.client_id;
        match &self.credentials.auth {
            Auth::ClientSecret(secret) => Ok(("client_secret", secret.clone())),
            Auth::Certificate {
                certificate_pem,
                key_pem,
            } => {
                let now = jiff::Timestamp::now().as_second();
                assertion::sign(certificate_pem, key_pem, client, url, now)
                    .map(|assertion| ("client_assertion", assertion))
                    .map_err(|source: AssertionError| SessionError::Assertion {
                        client: client.clone(),
                        source: source.into(),
                    })
            }
            Auth::Federated(provider) => provider
                .token()
                .await
                .map(|token| ("client_assertion", token))
                .map_err(|source| SessionError::Provider {
                    client: client.clone(),
                    source,
                }),
        }
    }
}
