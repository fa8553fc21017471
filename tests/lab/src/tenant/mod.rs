//! The lab tenant: a stand-in for Entra ID's token endpoint and the part of Microsoft Graph that a directory sync uses.
//!
//! It validates, conflicts, pages, batches, throttles, replicates late and loses answers as Microsoft's documentation says
//! the service does. What it does not know it answers 501 and notes as a [`Violation`]: a test that ends should find
//! none. It is written from the vendor's specification and knows nothing of the client under test.
//!
//! Sources: Microsoft Graph v1.0 reference, "Microsoft Graph throttling limits", "JSON batching", "Designing for eventual
//! consistency", and the OpenAPI description in `data/`.

mod answer;
mod application;
mod batch;
mod config;
mod deleted;
mod delta;
mod graph;
mod group;
mod inspect;
mod link;
mod log;
mod openapi;
mod organization;
mod page;
mod privilege;
mod query;
mod rules;
mod server;
mod state;
mod store;
mod throttle;
mod token;
mod user;
mod view;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use config::{Config, DEFAULT_PERMISSIONS, DeltaReset, Domain, Faults, Quota};
pub use inspect::InsertError;
pub use log::{Request, Seen, Violation};
pub use openapi::SpecificationError;

use crate::tls::{Identity, TestCa, TlsError};
use openapi::Specification;
use state::State;

/// Why a lab tenant did not start, or did not take a credential.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    #[error("listening on a loopback port for the lab tenant")]
    Listen(#[source] std::io::Error),
    #[error("making the lab tenant's certificate")]
    Tls(#[from] TlsError),
    #[error("loading the Graph description")]
    Specification(#[from] SpecificationError),
    #[error("filling the lab tenant before its start")]
    Insert(#[from] InsertError),
    #[error(
        "reading the public key of a certificate to register; an RSA certificate in PEM is needed"
    )]
    Certificate(#[source] jsonwebtoken::errors::Error),
    #[error("reading the key set of issuer {issuer}; a JWKS document is needed")]
    Keys {
        issuer: String,
        #[source]
        source: serde_json::Error,
    },
}

/// A running tenant; it stops when it is dropped. All methods may be called while requests are served.
#[derive(Debug)]
pub struct LabTenant {
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
    root: String,
    ca: String,
}

impl Drop for LabTenant {
    fn drop(&mut self) {
        self.state().stopped = true;
        self.server.abort();
    }
}

impl LabTenant {
    /// Starts on a free loopback port, inside the current tokio runtime.
    pub async fn start(config: Config) -> Result<Self, TenantError> {
        let ca = TestCa::new("Plumbline lab CA")?;
        let tls = ca.issue(&["127.0.0.1", "localhost"])?.server_config()?;
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(TenantError::Listen)?;
        let listener =
            server::Listener::new(listener, TlsAcceptor::from(tls)).map_err(TenantError::Listen)?;
        let address = axum::serve::Listener::local_addr(&listener).map_err(TenantError::Listen)?;
        let root = format!("https://{address}");
        let (users, groups) = (config.users.clone(), config.groups.clone());
        let state = Arc::new(Mutex::new(State::new(
            config,
            root.clone(),
            Specification::shared()?,
        )));
        let served = Arc::clone(&state);
        let server = tokio::spawn(async move {
            if let Err(error) = server::serve(listener, served).await {
                tracing::error!(%error, "the lab tenant stopped serving");
            }
        });
        let tenant = Self {
            state,
            server,
            root,
            ca: ca.pem().to_owned(),
        };
        for user in users {
            tenant.insert_user(user)?;
        }
        for group in groups {
            tenant.insert_group(group)?;
        }
        Ok(tenant)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        server::lock(&self.state)
    }

    /// The login endpoint, without the tenant: `https://127.0.0.1:port`.
    pub fn authority(&self) -> &str {
        &self.root
    }

    /// The Graph root, without the version: `https://127.0.0.1:port`.
    pub fn graph(&self) -> &str {
        &self.root
    }

    /// The CA of the tenant's server certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    pub fn tenant_id(&self) -> String {
        self.state().tenant_id.clone()
    }

    pub fn client_id(&self) -> String {
        self.state().client_id.clone()
    }

    pub fn client_secret(&self) -> String {
        self.state().credentials.secret.clone()
    }

    /// The object id of the application's service principal, as an owner of groups.
    pub fn service_principal_id(&self) -> String {
        self.state().service_principal.clone()
    }

    /// Replaces the client secret, as in a rotation; the old one is refused with AADSTS7000215.
    pub fn rotate_client_secret(&self, secret: &str) {
        let mut state = self.state();
        secret.clone_into(&mut state.credentials.secret);
        state.credentials.secret_expired = false;
    }

    /// From now on the client secret is refused with AADSTS7000222.
    pub fn expire_client_secret(&self) {
        self.state().credentials.secret_expired = true;
    }

    /// Registers a certificate for client assertions (PS256, `x5t#S256`).
    pub fn register_certificate(&self, identity: &Identity) -> Result<(), TenantError> {
        let key = DecodingKey::from_rsa_pem(identity.certificate_pem.as_bytes())
            .map_err(TenantError::Certificate)?;
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(identity.certificate_der()));
        self.state().credentials.register(thumbprint, key);
        Ok(())
    }

    /// Adds a federated credential: RS256 tokens of this issuer's keys for exactly this subject and audience.
    pub fn trust_issuer(
        &self,
        issuer: &str,
        jwks: Value,
        subject: &str,
        audience: &str,
    ) -> Result<(), TenantError> {
        let failed = |source| TenantError::Keys {
            issuer: issuer.to_owned(),
            source,
        };
        let keys = serde_json::from_value(jwks).map_err(failed)?;
        self.state()
            .credentials
            .trust(issuer, keys, subject, audience);
        Ok(())
    }

    /// Ends every token issued so far: the next call with one is answered 401.
    pub fn expire_tokens(&self) {
        self.state().credentials.expire_all();
    }

    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.state().config.token_lifetime = lifetime;
    }

    /// Grants application permissions; as at the service, only tokens issued from now on carry them.
    pub fn grant(&self, permissions: &[&str]) {
        let mut state = self.state();
        for permission in permissions {
            if !state
                .config
                .permissions
                .iter()
                .any(|held| held == permission)
            {
                state.config.permissions.push((*permission).to_owned());
            }
        }
    }

    /// Takes application permissions away from tokens issued from now on.
    pub fn revoke(&self, permissions: &[&str]) {
        self.state()
            .config
            .permissions
            .retain(|held| !permissions.contains(&held.as_str()));
    }

    /// The directory roles of the application's service principal, by display name; effective at once.
    pub fn set_application_roles(&self, roles: &[&str]) {
        self.state().config.application_roles =
            roles.iter().map(|role| (*role).to_owned()).collect();
    }

    pub fn set_faults(&self, faults: Faults) {
        self.state().config.faults = faults;
    }

    /// Replaces the write quota; its bucket is full at first.
    pub fn set_quota(&self, quota: Quota) {
        self.state().throttle.set_writes(quota);
    }

    /// Replaces the resource unit quota; its bucket is full at first.
    pub fn set_resource_units(&self, quota: Quota) {
        self.state().throttle.set_units(quota);
    }

    /// The range from which the delay of each later write is drawn.
    pub fn set_replication_delay(&self, range: std::ops::Range<Duration>) {
        self.state().config.replication_delay = range;
    }

    /// From now on every delta token issued so far is refused in this way.
    pub fn reset_delta_tokens(&self, reset: DeltaReset) {
        for token in self.state().deltas.values_mut() {
            token.reset = Some(reset);
        }
    }

    /// How long delta tokens live; seven days at first.
    pub fn set_delta_token_life(&self, life: Duration) {
        self.state().config.delta_token_life = life;
    }

    pub fn set_page_size_cap(&self, cap: usize) {
        self.state().config.page_size_cap = cap;
    }

    /// Replaces the tenant's domains, as when someone verifies one.
    pub fn set_domains(&self, domains: Vec<Domain>) {
        self.state().config.domains = domains;
    }
}
