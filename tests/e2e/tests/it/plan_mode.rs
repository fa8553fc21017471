//! Plan mode: what would be done is computed and reported, and the tenant is only read; the folder host comes to the same digest.

use plumbline_lab::company::{Company, Dialect};
use plumbline_lab::tls::Identity;
use serde_json::{Value, json};

use crate::cluster::openldap;
use crate::scenario::{Scenario, calm, plumbline, write_folder, write_secret};

#[test]
fn plan_mode_only_reads_and_both_hosts_come_to_the_same_digest() {
    let company = Company::generate(31, 80, Dialect::OpenLdap);
    let directory = openldap(&company);
    let scenario = Scenario::start("plan-mode", calm(31), &[]);
    let before = scenario.tenant.log().len();
    let reader = directory.reader().unwrap();
    let certificate = Identity::self_signed_rsa("contoso-application").unwrap();
    scenario.tenant.register_certificate(&certificate).unwrap();
    let keys = [
        ("tls.crt", &*certificate.certificate_pem),
        ("tls.key", &*certificate.key_pem),
    ];
    let bind = [("username", &*reader.dn), ("password", &*reader.password)];
    scenario.secret("contoso-application", &keys);
    scenario.secret("people-bind", &bind);
    scenario.authority("people-ca", &reader.ca().unwrap());
    let mut manifests = scenario.example("openldap-to-entra", &[directory.ldap_url().unwrap()]);
    let sync = manifests
        .iter_mut()
        .find(|manifest| manifest["kind"] == "DirectorySync")
        .unwrap();
    sync["spec"]["mode"] = json!("Plan");
    scenario.apply(&manifests);
    scenario.wait("dsync/people", "condition=Ready", 60);
    assert_eq!(
        scenario.condition("dsync", "people", "Ready"),
        ("True".into(), "Planned".into())
    );
    let status = scenario.get("dsync", "people")["status"]["plan"].clone();
    assert!(status["counts"]["create"].as_u64() > Some(80), "{status}");

    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path(), &manifests, &scenario.tenant);
    write_secret(folder.path(), "contoso-application", &keys);
    write_secret(folder.path(), "people-bind", &bind);
    let authority = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "people-ca"}, "data": {"ca.crt": reader.ca().unwrap()}});
    std::fs::write(
        folder.path().join("manifests/people-ca.yaml"),
        authority.to_string(),
    )
    .unwrap();
    let output = plumbline(folder.path(), &["plan"])
        .args(["--output", "json", "--namespace", scenario.namespace])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "there are changes: {said}");
    let plans: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plans[0]["digest"], status["digest"]);

    let writes: Vec<_> = scenario.tenant.log()[before..]
        .iter()
        .filter(|request| request.write)
        .map(|request| format!("{} {}", request.method, request.path))
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
    assert!(scenario.tenant.users().is_empty() && scenario.tenant.groups().is_empty());
    scenario.ends_well();
}
