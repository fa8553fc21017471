//! Tokens: each way to prove an application, and the AADSTS number of each refusal (fact sheet §1).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use plumbline_lab::tenant::Config;
use plumbline_lab::tls::Identity;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Lab, with};

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

impl Lab {
    async fn ask(
        &self,
        tenant: &str,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> (u16, Value) {
        let url = format!("{}/{tenant}/oauth2/v2.0/token", self.tenant.authority());
        let mut request = self.http.post(url).form(form);
        if let Some((client, secret)) = basic {
            let header = format!("Basic {}", STANDARD.encode(format!("{client}:{secret}")));
            request = request.header("Authorization", header);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn assert(&self, assertion: &str) -> (u16, Value) {
        let (client, scope) = (
            self.tenant.client_id(),
            format!("{}/.default", self.tenant.graph()),
        );
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client.as_str()),
            ("scope", &scope),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion),
        ];
        self.ask(&self.tenant.tenant_id(), &form, None).await
    }

    fn token_url(&self) -> String {
        format!(
            "{}/{}/oauth2/v2.0/token",
            self.tenant.authority(),
            self.tenant.tenant_id()
        )
    }
}

fn number(answer: &(u16, Value)) -> u64 {
    let number = answer.1["error_codes"][0].as_u64().expect("a number");
    let text = answer.1["error_description"]
        .as_str()
        .expect("a description");
    assert!(text.starts_with(&format!("AADSTS{number}: ")), "{text}");
    assert!(
        answer.1["trace_id"].is_string()
            && answer.1["correlation_id"].is_string()
            && answer.1["timestamp"].is_string()
    );
    number
}

#[tokio::test]
async fn a_secret_works_in_the_form_and_as_basic_and_each_mistake_has_its_number() {
    let lab = Lab::new().await;
    let (tenant, client, secret) = (
        lab.tenant.tenant_id(),
        lab.tenant.client_id(),
        lab.tenant.client_secret(),
    );
    let scope = format!("{}/.default", lab.tenant.graph());
    let base = json!({"grant_type": "client_credentials", "client_id": client, "client_secret": secret, "scope": scope});
    let ask = async |tenant: &str, changes: Value| {
        let form = with(base.clone(), &changes);
        let form: Vec<(&str, &str)> = form
            .as_object()
            .expect("an object")
            .iter()
            .filter_map(|(name, value)| value.as_str().map(|value| (name.as_str(), value)))
            .collect();
        lab.ask(tenant, &form, None).await
    };
    let good = ask(&tenant, json!({})).await;
    assert_eq!(
        (good.0, &good.1["token_type"], &good.1["expires_in"]),
        (200, &json!("Bearer"), &json!(3_599))
    );
    assert_eq!(ask("corp.example.com", json!({})).await.0, 200);
    let by_basic = [
        ("grant_type", "client_credentials"),
        ("scope", scope.as_str()),
    ];
    assert_eq!(
        lab.ask(&tenant, &by_basic, Some((&client, &secret)))
            .await
            .0,
        200
    );
    assert_eq!(
        number(&lab.ask(&tenant, &by_basic, Some((&client, "wrong"))).await),
        7_000_215
    );

    for (tenant, changes, status, error, code) in [
        (
            tenant.as_str(),
            json!({"client_secret": "wrong"}),
            401,
            "invalid_client",
            7_000_215,
        ),
        (
            &tenant,
            json!({"client_secret": null}),
            401,
            "invalid_client",
            7_000_218,
        ),
        (
            &tenant,
            json!({"client_id": "0d3e"}),
            400,
            "unauthorized_client",
            700_016,
        ),
        (
            "other.example.com",
            json!({}),
            400,
            "invalid_request",
            90_002,
        ),
        (
            &tenant,
            json!({"scope": "User.Read.All"}),
            400,
            "invalid_scope",
            70_011,
        ),
        (
            &tenant,
            json!({"scope": "https://vault.example.com/.default"}),
            400,
            "invalid_resource",
            500_011,
        ),
        (
            &tenant,
            json!({"grant_type": "password"}),
            400,
            "unsupported_grant_type",
            70_003,
        ),
    ] {
        let answer = ask(tenant, changes).await;
        assert_eq!(
            (answer.0, answer.1["error"].as_str(), number(&answer)),
            (status, Some(error), code)
        );
    }
    lab.tenant.expire_client_secret();
    assert_eq!(number(&ask(&tenant, json!({})).await), 7_000_222);
    lab.tenant.rotate_client_secret("n+w/=");
    assert_eq!(number(&ask(&tenant, json!({})).await), 7_000_215);
    assert_eq!(ask(&tenant, json!({"client_secret": "n+w/="})).await.0, 200);
    lab.assert_no_violation();
}

#[tokio::test]
async fn a_certificate_assertion_is_checked_claim_by_claim() {
    let lab = Lab::new().await;
    let identity = Identity::self_signed_rsa("plumbline").expect("a certificate");
    let key = EncodingKey::from_rsa_pem(identity.key_pem.as_bytes()).expect("a key");
    let client = lab.tenant.client_id();
    let sign = |algorithm: Algorithm, thumbprint: &str, changes: Value| {
        let header = Header {
            alg: algorithm,
            x5t_s256: Some(thumbprint.to_owned()),
            ..Header::default()
        };
        let claims = json!({"aud": lab.token_url(), "iss": client, "sub": client, "jti": "a", "nbf": now(), "exp": now() + 600});
        jsonwebtoken::encode(&header, &with(claims, &changes), &key).expect("a token")
    };
    let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(identity.certificate_der()));
    let unknown = lab
        .assert(&sign(Algorithm::PS256, &thumbprint, json!({})))
        .await;
    assert_eq!(number(&unknown), 700_027);

    lab.tenant
        .register_certificate(&identity)
        .expect("registered");
    let good = sign(Algorithm::PS256, &thumbprint, json!({}));
    assert_eq!(lab.assert(&good).await.0, 200);
    assert_eq!(
        number(&lab.assert(&good).await),
        700_027,
        "a jti works once"
    );
    let second = json!({"jti": "b"});
    for (assertion, code) in [
        (sign(Algorithm::RS256, &thumbprint, second.clone()), 700_027),
        (sign(Algorithm::PS256, "AAAA", second.clone()), 700_027),
        (
            sign(
                Algorithm::PS256,
                &thumbprint,
                json!({"jti": "b", "aud": lab.tenant.authority()}),
            ),
            700_023,
        ),
        (
            sign(
                Algorithm::PS256,
                &thumbprint,
                json!({"jti": "b", "sub": "other"}),
            ),
            700_021,
        ),
        (
            sign(
                Algorithm::PS256,
                &thumbprint,
                json!({"jti": "b", "exp": now() - 600}),
            ),
            700_024,
        ),
        (
            sign(
                Algorithm::PS256,
                &thumbprint,
                json!({"jti": "b", "nbf": now() + 900}),
            ),
            700_024,
        ),
        (
            sign(Algorithm::PS256, &thumbprint, json!({"jti": null})),
            700_027,
        ),
    ] {
        assert_eq!(number(&lab.assert(&assertion).await), code);
    }
    let other = Identity::self_signed_rsa("other").expect("a certificate");
    let key = EncodingKey::from_rsa_pem(other.key_pem.as_bytes()).expect("a key");
    let header = Header {
        alg: Algorithm::PS256,
        x5t_s256: Some(thumbprint.clone()),
        ..Header::default()
    };
    let claims = json!({"aud": lab.token_url(), "iss": client, "sub": client, "jti": "c", "exp": now() + 600});
    let forged = jsonwebtoken::encode(&header, &claims, &key).expect("a token");
    assert_eq!(number(&lab.assert(&forged).await), 700_027);
    assert_eq!(
        lab.assert(&sign(Algorithm::PS256, &thumbprint, second))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn a_federated_assertion_is_checked_by_issuer_subject_audience_and_key() {
    let lab = Lab::new().await;
    let identity = Identity::self_signed_rsa("api-server").expect("a certificate");
    let key = EncodingKey::from_rsa_pem(identity.key_pem.as_bytes()).expect("a key");
    let (issuer, subject, audience) = (
        "https://kubernetes.default.svc",
        "system:serviceaccount:identity:contoso-sync",
        "api://AzureADTokenExchange",
    );
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).expect("a JWK");
    jwk.common.key_id = Some("k1".to_owned());
    let jwks = serde_json::to_value(JwkSet { keys: vec![jwk] }).expect("JSON");
    lab.tenant
        .trust_issuer(issuer, jwks, subject, audience)
        .expect("trusted");
    let sign = |algorithm: Algorithm, kid: &str, changes: Value| {
        let header = Header {
            alg: algorithm,
            kid: Some(kid.to_owned()),
            ..Header::default()
        };
        // The audience is a list, as in the API server's tokens.
        let claims = json!({"iss": issuer, "sub": subject, "aud": [audience], "iat": now(), "nbf": now(), "exp": now() + 600});
        jsonwebtoken::encode(&header, &with(claims, &changes), &key).expect("a token")
    };
    let good = sign(Algorithm::RS256, "k1", json!({}));
    assert_eq!(lab.assert(&good).await.0, 200);
    assert_eq!(
        lab.assert(&good).await.0,
        200,
        "a projected token is used until it is renewed"
    );
    for (assertion, code) in [
        (
            sign(
                Algorithm::RS256,
                "k1",
                json!({"iss": "https://kubernetes.default.svc/"}),
            ),
            70_021,
        ),
        (
            sign(
                Algorithm::RS256,
                "k1",
                json!({"sub": "system:serviceaccount:identity:other"}),
            ),
            70_021,
        ),
        (
            sign(
                Algorithm::RS256,
                "k1",
                json!({"aud": ["api://azureadtokenexchange"]}),
            ),
            70_021,
        ),
        (sign(Algorithm::RS256, "k2", json!({})), 700_027),
        (sign(Algorithm::PS256, "k1", json!({})), 700_027),
        (
            sign(Algorithm::RS256, "k1", json!({"exp": now() - 600})),
            700_024,
        ),
    ] {
        assert_eq!(number(&lab.assert(&assertion).await), code);
    }
}

#[tokio::test]
async fn a_token_that_ran_out_or_is_unknown_is_refused() {
    let mut lab = Lab::with(Config {
        token_lifetime: Duration::ZERO,
        ..Config::default()
    })
    .await;
    let expired = lab.get("/users").await;
    assert_eq!(
        (expired.status, expired.code()),
        (401, "InvalidAuthenticationToken")
    );
    assert_eq!(
        expired.message(),
        "Access token has expired or is not yet valid."
    );
    assert!(expired.header("WWW-Authenticate").is_some());
    lab.tenant.set_token_lifetime(Duration::from_secs(3_600));
    lab.renew().await;
    assert_eq!(lab.get("/users").await.status, 200);
    lab.tenant.expire_tokens();
    assert_eq!(lab.get("/users").await.status, 401);
    "made up".clone_into(&mut lab.token);
    assert_eq!(lab.get("/users").await.code(), "InvalidAuthenticationToken");
}
