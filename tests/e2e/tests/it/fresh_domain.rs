//! `everything: {}` on a domain as Samba makes it: people arrive, what belongs to the domain itself does not.

use plumbline_e2e::Samba;
use plumbline_lab::tenant::Domain;
use serde_json::{Value, json};

use crate::scenario::{
    addressed, calm, define_mark, plumbline, tenant, write_folder, write_secret,
};

const MANIFESTS: &str = "
kind: DirectoryConnector
apiVersion: plumbline.dev/v1alpha1
metadata: {name: corp}
spec: {type: ActiveDirectory, servers: [], baseDN: '', bind: {simple: {secretRef: {name: bind}}}, tls: {caRef: {kind: Secret, name: ca}}}
---
kind: CloudTenant
apiVersion: plumbline.dev/v1alpha1
metadata: {name: lab}
spec: {entra: {auth: {clientSecret: {secretRef: {name: application}}}}}
---
kind: SyncScope
apiVersion: plumbline.dev/v1alpha1
metadata: {name: all}
spec: {connectorRef: {name: corp}, include: [{everything: {}}]}
---
kind: DirectorySync
apiVersion: plumbline.dev/v1alpha1
metadata: {name: all}
spec: {tenantRef: {name: lab}, scopes: [{name: all}]}
";

#[test]
fn everything_of_a_fresh_domain_brings_its_people_and_nothing_of_the_domain_itself() {
    let domain = Samba::start().unwrap();
    domain
        .tool(&[
            "user",
            "create",
            "kari",
            "User-Pa55word!",
            "--given-name=Kari",
            "--surname=Nord",
        ])
        .unwrap();
    domain.tool(&["group", "add", "writers"]).unwrap();
    domain.tool(&["computer", "create", "desk1"]).unwrap();
    let reader = domain.reader().unwrap();
    let mut config = calm(61);
    config.domains = vec![Domain::managed(
        &domain
            .base_dn()
            .unwrap()
            .to_lowercase()
            .replace("dc=", "")
            .replace(',', "."),
    )];
    let (tenant, _runtime) = tenant(config);
    define_mark(&tenant);

    let folder = tempfile::tempdir().unwrap();
    let mut manifests = addressed(MANIFESTS, &[&reader.url], &tenant);
    for manifest in manifests
        .iter_mut()
        .filter(|manifest| manifest["kind"] == "DirectoryConnector")
    {
        manifest["spec"]["baseDN"] = json!(domain.base_dn().unwrap());
    }
    write_folder(folder.path(), &manifests, &tenant);
    write_secret(
        folder.path(),
        "bind",
        &[("username", &reader.dn), ("password", &reader.password)],
    );
    write_secret(folder.path(), "ca", &[("ca.crt", &reader.ca().unwrap())]);
    let output = plumbline(folder.path(), &["plan", "--output", "json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");

    let plans: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |list: &str, field: &str| -> Vec<String> {
        let items = plans[0][list].as_array().unwrap().iter();
        items
            .filter_map(|item| item[field].as_str())
            .map(str::to_lowercase)
            .collect()
    };
    let (planned, set_aside) = (names("operations", "name"), names("quarantine", "dn"));
    assert!(
        planned.iter().any(|name| name.starts_with("kari@")),
        "{planned:?}"
    );
    assert!(planned.iter().any(|name| name == "writers"), "{planned:?}");
    for own in [
        "krbtgt",
        "administrator",
        "guest",
        "desk1",
        "dc1",
        "domain users",
        "domain admins",
        "enterprise admins",
    ] {
        assert!(
            !planned
                .iter()
                .any(|name| name == own || name.starts_with(&format!("{own}@"))),
            "{own} would arrive: {planned:?}"
        );
        assert!(
            !set_aside
                .iter()
                .any(|dn| dn.starts_with(&format!("cn={own},"))),
            "{own} takes part: {set_aside:?}"
        );
    }
    assert!(
        !set_aside.iter().any(|dn| dn.contains("cn=builtin")),
        "{set_aside:?}"
    );
}
