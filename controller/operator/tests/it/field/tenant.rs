//! CloudTenant: which tenant, and how the application proves itself.

use plumbline_lab::tls::Identity;
use serde_json::json;

use super::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_a_tenant_decides_whether_it_lets_us_in() {
    let lab = Lab::start(vec![]).await;
    let certificate = Identity::self_signed_rsa("application").unwrap();
    lab.tenant.register_certificate(&certificate).unwrap();
    let keys = [
        ("tls.crt", &*certificate.certificate_pem),
        ("tls.key", &*certificate.key_pem),
    ];
    lab.secret("certificate", &keys);
    lab.secret("wrong", &[("clientSecret", "wrong")]);
    lab.secret("other-key", &[("bundle.pem", lab.tenant.ca_pem())]);
    let other = "00000000-0000-0000-0000-0000000000ff";
    let dead = "https://127.0.0.1:9";
    let ca = |changes| json!({"tls": {"caRef": changes}});
    let auth = |name: &str, changes| json!({"auth": {"clientSecret": null, name: changes}});
    let cases = [
        (json!({}), "Succeeded"),
        (json!({"tenantId": other}), "TenantNotFound"),
        (json!({"clientId": other}), "TokenRejected"),
        (
            auth("clientSecret", json!({"secretRef": {"name": "wrong"}})),
            "TokenRejected",
        ),
        (
            auth("clientSecret", json!({"secretRef": {"name": "nothing"}})),
            "SecretNotFound",
        ),
        (
            auth("certificate", json!({"secretRef": {"name": "certificate"}})),
            "Succeeded",
        ),
        (
            auth("certificate", json!({"secretRef": {"name": "app"}})),
            "SecretNotFound",
        ),
        (
            json!({"endpoints": {"authority": dead}}),
            "TargetUnreachable",
        ),
        (json!({"endpoints": {"graph": dead}}), "TokenRejected"),
        (
            ca(json!({"kind": "ConfigMap", "name": "bundle"})),
            "Succeeded",
        ),
        (
            ca(json!({"kind": "Secret", "name": "bundle"})),
            "SecretNotFound",
        ),
        (ca(json!({"name": "ca"})), "TLSFailed"),
        (
            ca(json!({"name": "other-key", "key": "bundle.pem"})),
            "Succeeded",
        ),
        (ca(json!({"name": "other-key"})), "SecretNotFound"),
        (json!({"tls": null}), "TLSFailed"),
    ];
    let bundle = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bundle"}, "data": {"ca.crt": lab.tenant.ca_pem()}});
    let mut resources = vec![bundle];
    for (at, (changes, _)) in cases.iter().enumerate() {
        resources.push(lab.tenant(&format!("t{at}"), changes.clone()));
    }
    let seen = lab.run(&resources, None).await;
    for (at, (changes, reason)) in cases.iter().enumerate() {
        let name = format!("cloudtenant/t{at}");
        assert_eq!(
            seen.reason(&name),
            *reason,
            "{changes}: {}",
            seen.message(&name)
        );
    }
    let status = &seen.statuses["cloudtenant/t0"];
    assert_eq!(status["verifiedDomains"], json!(["corp.example.com"]));
    let mark = status["markAttribute"].as_str().unwrap();
    assert!(mark.ends_with("_plumblineOwner"), "{mark}");
    assert!(status["lastContactTime"].is_string());
}
