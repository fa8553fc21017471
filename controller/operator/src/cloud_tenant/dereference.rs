//! Fetches what a CloudTenant refers to (Secret, CA, ServiceAccount) and gives the cloud adapter its credentials.

use std::sync::Arc;

use futures::future::BoxFuture;
use plumbline_cloud::{Auth, Cloud, Credentials, Endpoints, Session, TokenProvider};
use plumbline_crds::{CloudTenant, EntraCloud, EntraTenant};
use plumbline_engine::reason::Reason;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    directory_connector::dereference::{ca, text},
    fingerprint::Fingerprint,
    host::{Host, Store},
    problem::Problem,
    world::Key,
};

/// What a session is made of, with the secrets as they are now.
#[derive(Debug)]
pub struct Access {
    credentials: Credentials,
    endpoints: Endpoints,
    ca_pem: Option<Vec<u8>>,
    /// Tells this access from another.
    pub fingerprint: Fingerprint,
}

impl Access {
    /// A session; nothing is sent yet.
    pub fn session(self) -> Result<Session, Problem> {
        let ca_pem = self
            .ca_pem
            .as_deref()
            .map(std::str::from_utf8)
            .transpose()
            .map_err(|_| {
                Problem::new(
                    Reason::TLSFailed,
                    "`spec.entra.tls.caRef`: the certificates are not PEM text",
                )
            })?;
        Session::new(self.credentials, self.endpoints, ca_pem).map_err(|error| Problem::of(&error))
    }
}

/// Fetches all of it.
pub async fn dereference(host: &Arc<dyn Host>, tenant: &CloudTenant) -> Result<Access, Problem> {
    let key = Key::of(tenant);
    let Some(entra) = &tenant.spec.entra else {
        return Err(Problem::new(
            Reason::InvalidSpec,
            "`spec.entra` must be given",
        ));
    };
    let endpoints = endpoints(entra)?;
    let ca_pem = match entra.tls.as_ref().map(|tls| &tls.ca_ref) {
        Some(reference) => {
            Some(ca(&**host, &key.namespace, reference, "spec.entra.tls.caRef").await?)
        }
        None => None,
    };
    let auth = auth(host, &key, entra, &endpoints).await?;
    let secret = match &auth {
        Auth::ClientSecret(secret) => secret.expose_secret().as_bytes(),
        Auth::Certificate { key_pem, .. } => key_pem.expose_secret().as_bytes(),
        Auth::Federated(_) => &[],
    };
    let certificate = if let Auth::Certificate {
        certificate_pem, ..
    } = &auth
    {
        certificate_pem.as_bytes()
    } else {
        &[]
    };
    let fingerprint = Fingerprint::of(&[
        format!("{entra:?}").as_bytes(),
        secret,
        certificate,
        ca_pem.as_deref().unwrap_or_default(),
    ]);
    let credentials = Credentials {
        tenant_id: entra.tenant_id.clone(),
        client_id: entra.client_id.clone(),
        auth,
    };
    Ok(Access {
        credentials,
        endpoints,
        ca_pem,
        fingerprint,
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
                Problem::new(
                    Reason::InvalidSpec,
                    "`spec.entra.endpoints` must be given when `cloud` is 'Custom'",
                )
            })?;
            return Ok(Endpoints::custom(&custom.authority, &custom.graph));
        }
    };
    Ok(cloud.endpoints())
}

async fn auth(
    host: &Arc<dyn Host>,
    key: &Key,
    entra: &EntraTenant,
    endpoints: &Endpoints,
) -> Result<Auth, Problem> {
    if let Some(reference) = &entra.auth.client_secret {
        let (name, field) = (
            &reference.secret_ref.name,
            "spec.entra.auth.clientSecret.secretRef",
        );
        let secret = host
            .data(Store::Secret, &key.namespace, name)
            .await
            .map_err(|error| error.problem(field))?;
        return Ok(Auth::ClientSecret(text(
            &secret,
            Store::Secret,
            name,
            "clientSecret",
            field,
        )?));
    }
    if let Some(reference) = &entra.auth.certificate {
        let (name, field) = (
            &reference.secret_ref.name,
            "spec.entra.auth.certificate.secretRef",
        );
        let secret = host
            .data(Store::Secret, &key.namespace, name)
            .await
            .map_err(|error| error.problem(field))?;
        let certificate = text(&secret, Store::Secret, name, "tls.crt", field)?;
        return Ok(Auth::Certificate {
            certificate_pem: certificate.expose_secret().to_owned(),
            key_pem: text(&secret, Store::Secret, name, "tls.key", field)?,
        });
    }
    let Some(reference) = &entra.auth.workload_identity else {
        return Err(Problem::new(
            Reason::InvalidSpec,
            "`spec.entra.auth`: exactly one way to authenticate must be given",
        ));
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
    fn token(
        &self,
    ) -> BoxFuture<'_, Result<SecretString, Box<dyn std::error::Error + Send + Sync>>> {
        Box::pin(async move {
            Ok(self
                .host
                .service_account_token(&self.account, &self.audience)
                .await?)
        })
    }
}

#[cfg(test)]
mod tests {
    use plumbline_crds::CloudTenant;
    use serde_json::json;

    use super::endpoints;

    #[test]
    fn each_cloud_has_its_endpoints() {
        // https://learn.microsoft.com/graph/deployments
        for (cloud, authority, graph) in [
            ("Global", "login.microsoftonline.com", "graph.microsoft.com"),
            ("USGovL4", "login.microsoftonline.us", "graph.microsoft.us"),
            (
                "USGovL5",
                "login.microsoftonline.us",
                "dod-graph.microsoft.us",
            ),
            (
                "China",
                "login.partner.microsoftonline.cn",
                "microsoftgraph.chinacloudapi.cn",
            ),
        ] {
            let entra = json!({"tenantId": "t", "clientId": "c", "auth": {}, "cloud": cloud});
            let tenant = json!({"metadata": {"name": "t"}, "spec": {"entra": entra}});
            let tenant: CloudTenant = serde_json::from_value(tenant).unwrap();
            let found = endpoints(tenant.spec.entra.as_ref().unwrap()).unwrap();
            let url = |host: &str| format!("https://{host}");
            assert_eq!(
                (found.authority, found.graph),
                (url(authority), url(graph)),
                "{cloud}"
            );
        }
    }
}
