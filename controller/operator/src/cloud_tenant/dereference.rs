//! Fetches what a CloudTenant refers to (Secret, CA, ServiceAccount) and gives the cloud adapter its credentials.

use std::sync::Arc;

use futures::future::BoxFuture;
use plumbline_cloud::{Auth, Cloud, Credentials, Endpoints, TokenProvider, TokenProviderError};
use plumbline_crds::{EntraCloud, CloudTenant, EntraTenant};
use plumbline_engine::reason::Reason;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    directory_connector::dereference::{ca, text},
    host::{Host, Store},
    problem::Problem,
    world::Key,
};

/// The adapter's credentials, with the secrets as they are now.
pub async fn dereference(host: &Arc<dyn Host>, tenant: &CloudTenant) -> Result<Credentials, Problem> {
    let key = Key::of(tenant);
    let Some(entra) = &tenant.spec.entra else {
        return Err(Problem::new(Reason::InvalidSpec, "`spec.entra` must be given"));
    };
    let endpoints = endpoints(entra)?;
    let ca_pem = match entra.tls.as_ref().map(|tls| &tls.ca_ref) {
        Some(reference) => Some(ca(&**host, &key.namespace, reference, "spec.entra.tls.caRef").await?),
        None => None,
    };
    Ok(Credentials {
        tenant_id: entra.tenant_id.clone(),
        client_id: entra.client_id.clone(),
        auth: auth(host, &key, entra, &endpoints).await?,
        endpoints,
        ca_pem,
    })
}

fn endpoints(entra: &EntraTenant) -> Result<Endpoints, Problem> {
    let cloud = match entra.cloud {
        EntraCloud::Global => Cloud::Global,
        EntraCloud::USGovL4 => Cloud::USGovL4,
        EntraCloud::USGovL5 => Cloud::USGovL5,
        EntraCloud::China => Cloud::China,
        EntraCloud::Custom => {
            let custom = entra.endpoints.as_ref().ok_or_else(|| {
                Problem::new(Reason::InvalidSpec, "`spec.entra.endpoints` must be given when `cloud` is 'Custom'")
            })?;
            return Ok(Endpoints::custom(&custom.authority, &custom.graph));
        }
    };
    Ok(cloud.endpoints())
}

async fn auth(host: &Arc<dyn Host>, key: &Key, entra: &EntraTenant, endpoints: &Endpoints) -> Result<Auth, Problem> {
    if let Some(reference) = &entra.auth.client_secret {
        let (name, field) = (&reference.secret_ref.name, "spec.entra.auth.clientSecret.secretRef");
        let secret = host.data(Store::Secret, &key.namespace, name).await.map_err(|error| error.problem(field))?;
        return Ok(Auth::ClientSecret(text(&secret, Store::Secret, name, "clientSecret", field)?));
    }
    if let Some(reference) = &entra.auth.certificate {
        let (name, field) = (&reference.secret_ref.name, "spec.entra.auth.certificate.secretRef");
        let secret = host.data(Store::Secret, &key.namespace, name).await.map_err(|error| error.problem(field))?;
        let certificate = text(&secret, Store::Secret, name, "tls.crt", field)?;
        return Ok(Auth::Certificate {
            certificate_pem: certificate.expose_secret().to_owned(),
            key_pem: text(&secret, Store::Secret, name, "tls.key", field)?,
        });
    }
    let Some(reference) = &entra.auth.workload_identity else {
        return Err(Problem::new(Reason::InvalidSpec, "`spec.entra.auth`: exactly one way to authenticate must be given"));
    };
    Ok(Auth::Federated(Arc::new(AccountToken {
        host: host.clone(),
        account: key.sibling(&reference.service_account_ref.name),
        audience: endpoints.federation_audience.clone(),
    })))
}

/// Tokens of a ServiceAccount of the resource's own namespace; the pod's own identity is never used for a resource.
#[derive(Clone)]
struct AccountToken {
    host: Arc<dyn Host>,
    account: Key,
    audience: String,
}

impl TokenProvider for AccountToken {
    fn token(&self) -> BoxFuture<'_, Result<SecretString, TokenProviderError>> {
        Box::pin(async move {
            self.host.service_account_token(&self.account, &self.audience).await.map_err(|error| TokenProviderError(Box::new(error)))
        })
    }

    fn name(&self) -> String {
        format!("ServiceAccount {}", self.account)
    }
}
