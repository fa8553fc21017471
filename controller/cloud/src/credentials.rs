//! What an application signs in with, and where: credentials and the endpoints of each national cloud.
//!
//! In: values that the operator took from the resource and its Secrets. Secrets stay in `secrecy` types.
//! Source: "Microsoft identity platform and the client credentials flow", "National clouds".

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use secrecy::SecretString;

/// Gives tokens of an external issuer for workload identity federation; called anew for each token request.
pub trait TokenProvider: Send + Sync {
    /// A signed token whose audience is [`Endpoints::federation_audience`].
    fn token(
        &self,
    ) -> BoxFuture<'_, Result<SecretString, Box<dyn std::error::Error + Send + Sync>>>;
}

/// How the application proves who it is.
#[derive(Clone)]
pub enum Auth {
    ClientSecret(SecretString),
    /// Signs an assertion with PS256; both PEM, the key PKCS#8 or PKCS#1 RSA.
    Certificate {
        certificate_pem: String,
        key_pem: SecretString,
    },
    Federated(Arc<dyn TokenProvider>),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientSecret(_) => "ClientSecret",
            Self::Certificate { .. } => "Certificate",
            Self::Federated(_) => "Federated",
        })
    }
}

/// An application of a tenant.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The tenant's GUID or one of its verified domains.
    pub tenant_id: String,
    pub client_id: String,
    pub auth: Auth,
}

/// Where to ask for tokens and where Graph is. Never derived from each other: sovereign clouds differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Without the tenant: `https://login.microsoftonline.com`.
    pub authority: String,
    /// Without the version: `https://graph.microsoft.com`.
    pub graph: String,
    /// `<graph>/.default`.
    pub scope: String,
    /// The audience that a federated token must have.
    pub federation_audience: String,
}

impl Endpoints {
    /// Endpoints of a cloud that is not listed; the scope and audience are the usual ones.
    pub fn custom(authority: &str, graph: &str) -> Self {
        let trim = |url: &str| url.trim_end_matches('/').to_owned();
        Self {
            authority: trim(authority),
            scope: format!("{}/.default", trim(graph)),
            graph: trim(graph),
            federation_audience: "api://AzureADTokenExchange".to_owned(),
        }
    }
}

/// Microsoft's clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Worldwide, also the US government's GCC.
    Global,
    /// GCC High.
    USGovL4,
    /// DoD.
    USGovL5,
    /// Operated by 21Vianet.
    China,
}

impl Cloud {
    /// Where this cloud's token endpoint and Graph are.
    pub fn endpoints(self) -> Endpoints {
        let (authority, graph, audience) = match self {
            Self::Global => (
                "https://login.microsoftonline.com",
                "https://graph.microsoft.com",
                "api://AzureADTokenExchange",
            ),
            Self::USGovL4 => (
                "https://login.microsoftonline.us",
                "https://graph.microsoft.us",
                "api://AzureADTokenExchangeUSGov",
            ),
            Self::USGovL5 => (
                "https://login.microsoftonline.us",
                "https://dod-graph.microsoft.us",
                "api://AzureADTokenExchangeUSGov",
            ),
            Self::China => (
                "https://login.partner.microsoftonline.cn",
                "https://microsoftgraph.chinacloudapi.cn",
                "api://AzureADTokenExchangeChina",
            ),
        };
        Endpoints {
            federation_audience: audience.to_owned(),
            ..Endpoints::custom(authority, graph)
        }
    }
}
