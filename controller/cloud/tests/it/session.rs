//! Signing in three ways, and what a refusal says.

use std::sync::Arc;

use futures::future::BoxFuture;
use plumbline_cloud::{Auth, Credentials, GraphTarget, Session, Settings, TokenProvider};
use plumbline_engine::{port::Failure as _, reason::Reason};
use plumbline_lab::{
    tenant::{Config, LabTenant},
    tls::Identity,
};
use secrecy::SecretString;

use crate::fixture::{World, create_user, endpoints, session};

async fn reason(session: Session) -> (Reason, String) {
    let target = GraphTarget::new(Arc::new(session), Settings::default());
    let error = target.probe().await.unwrap_err();
    (error.reason(), error.to_string())
}

#[tokio::test]
async fn a_certificate_signs_in() {
    let tenant = LabTenant::start(Config::default()).await.unwrap();
    let identity = Identity::self_signed_rsa("plumbline").unwrap();
    let auth = || Auth::Certificate {
        certificate_pem: identity.certificate_pem.clone(),
        key_pem: identity.key_pem.clone().into(),
    };
    let (refused, text) = reason(session(&tenant, auth())).await;
    assert_eq!(refused, Reason::TokenRejected);
    assert!(
        text.contains("700027") && text.contains("not registered"),
        "{text}"
    );
    tenant.register_certificate(&identity).unwrap();
    let target = GraphTarget::new(Arc::new(session(&tenant, auth())), Settings::default());
    target.probe().await.unwrap();
}

#[tokio::test]
async fn refusals_name_the_field_and_the_next_step() {
    let tenant = LabTenant::start(Config::default()).await.unwrap();
    let (wrong, text) = reason(session(
        &tenant,
        Auth::ClientSecret("wrong-secret-value".into()),
    ))
    .await;
    assert_eq!(wrong, Reason::TokenRejected);
    assert!(
        text.contains("7000215") && !text.contains("wrong-secret-value"),
        "{text}"
    );
    tenant.expire_client_secret();
    let secret = || Auth::ClientSecret(tenant.client_secret().into());
    let (_, text) = reason(session(&tenant, secret())).await;
    assert!(text.contains("expired"), "{text}");
    let credentials = Credentials {
        tenant_id: "00000000-0000-0000-0000-00000000dead".to_owned(),
        client_id: tenant.client_id(),
        auth: secret(),
    };
    let session = Session::new(credentials, endpoints(&tenant), Some(tenant.ca_pem())).unwrap();
    assert_eq!(reason(session).await.0, Reason::TenantNotFound);
}

#[tokio::test]
async fn an_unknown_ca_is_a_tls_failure_and_a_closed_port_is_unreachable() {
    let tenant = LabTenant::start(Config::default()).await.unwrap();
    let credentials = || Credentials {
        tenant_id: tenant.tenant_id(),
        client_id: tenant.client_id(),
        auth: Auth::ClientSecret(tenant.client_secret().into()),
    };
    let stranger = Session::new(credentials(), endpoints(&tenant), None).unwrap();
    assert_eq!(reason(stranger).await.0, Reason::TLSFailed);
    let mut nowhere = endpoints(&tenant);
    nowhere.authority = "https://127.0.0.1:1".to_owned();
    let nowhere = Session::new(credentials(), nowhere, Some(tenant.ca_pem())).unwrap();
    assert_eq!(reason(nowhere).await.0, Reason::TargetUnreachable);
}

#[tokio::test]
async fn an_ended_token_is_renewed_once_and_the_work_goes_on() {
    let mut world = World::start(Config::default()).await;
    world.read().await;
    world.tenant.expire_tokens();
    let outcomes = world.export(vec![create_user("ada")]).await;
    assert!(crate::fixture::is_done(&outcomes[0]), "{outcomes:?}");
    world.tenant.expire_tokens();
    world.read().await;
}

#[tokio::test]
async fn no_secret_is_in_debug_output() {
    let world = World::start(Config::default()).await;
    let secret = world.tenant.client_secret();
    assert!(!format!("{:?}", world.target).contains(&secret));
}

struct Provider;

impl TokenProvider for Provider {
    fn token(
        &self,
    ) -> BoxFuture<'_, Result<SecretString, Box<dyn std::error::Error + Send + Sync>>> {
        Box::pin(async { Ok("not-a-token-of-a-trusted-issuer".to_owned().into()) })
    }
}

#[tokio::test]
async fn a_federated_token_is_asked_for_and_passed_on() {
    let tenant = LabTenant::start(Config::default()).await.unwrap();
    let (refused, text) = reason(session(&tenant, Auth::Federated(Arc::new(Provider)))).await;
    assert_eq!(refused, Reason::TokenRejected);
    assert!(
        text.contains("AADSTS") && !text.contains("not-a-token"),
        "{text}"
    );
}
