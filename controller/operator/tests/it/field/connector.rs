//! DirectoryConnector: which directory, and how it is reached.

use plumbline_crds::Mode;
use plumbline_lab::directory::{Account, Config, Directory, Entry, Profile};
use serde_json::json;

use super::{BASE, Lab, READER, merge, person, ready, scope, sync};

#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_a_connector_decides_whether_the_directory_is_reached() {
    let lab = Lab::start(vec![person(1, "Staff")]).await;
    let mut config = Config::new(Profile::Ad, BASE);
    config.entries = vec![Entry::new(format!("CN=Users,{BASE}")).with("objectClass", "container")];
    config.accounts = vec![Account::reader(READER, "secret")];
    let domain = Directory::start(config).await.unwrap();
    lab.secret("domain-ca", &[("ca.crt", domain.ca_pem())]);
    lab.secret("wrong-bind", &[("username", READER), ("password", "wrong")]);
    lab.secret("other-key", &[("bundle.pem", lab.directory.ca_pem())]);
    let of_domain =
        json!({"servers": [domain.ldaps_url()], "tls": {"caRef": {"name": "domain-ca"}}});
    let ours = |changes| (json!({}), changes);
    let theirs = |changes| (of_domain.clone(), changes);
    let dead = "ldaps://127.0.0.1:9";
    let ca = |changes| ours(json!({"tls": {"caRef": changes}}));
    let cases = [
        (ours(json!({"type": "Auto"})), "Succeeded", "OpenLDAP"),
        (ours(json!({"type": "OpenLDAP"})), "Succeeded", "OpenLDAP"),
        (ours(json!({"type": "Generic"})), "ServerTypeMismatch", ""),
        (
            ours(json!({"type": "ActiveDirectory"})),
            "ServerTypeMismatch",
            "",
        ),
        (
            theirs(json!({"type": "Auto"})),
            "Succeeded",
            "ActiveDirectory",
        ),
        (
            theirs(json!({"type": "ActiveDirectory"})),
            "Succeeded",
            "ActiveDirectory",
        ),
        (
            theirs(json!({"type": "OpenLDAP"})),
            "ServerTypeMismatch",
            "",
        ),
        (ours(json!({"servers": [dead]})), "ServerUnreachable", ""),
        (
            ours(json!({"servers": [dead, lab.directory.ldaps_url()]})),
            "Succeeded",
            "OpenLDAP",
        ),
        (
            ours(json!({"baseDN": format!("ou=Nowhere,{BASE}")})),
            "BaseNotFound",
            "",
        ),
        (
            ours(json!({"bind": {"simple": {"secretRef": {"name": "wrong-bind"}}}})),
            "BindFailed",
            "",
        ),
        (
            ours(json!({"bind": {"simple": {"secretRef": {"name": "nothing"}}}})),
            "SecretNotFound",
            "",
        ),
        (
            ca(json!({"kind": "ConfigMap", "name": "bundle"})),
            "Succeeded",
            "OpenLDAP",
        ),
        (
            ca(json!({"kind": "Secret", "name": "bundle"})),
            "SecretNotFound",
            "",
        ),
        (ca(json!({"name": "tenant-ca"})), "TLSFailed", ""),
        (
            ca(json!({"name": "other-key", "key": "bundle.pem"})),
            "Succeeded",
            "OpenLDAP",
        ),
        (ca(json!({"name": "other-key"})), "SecretNotFound", ""),
        (ours(json!({"suspend": true})), "Suspended", ""),
    ];
    let bundle = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bundle"}, "data": {"ca.crt": lab.directory.ca_pem()}});
    let mut resources = vec![bundle];
    for (at, ((base, changes), ..)) in cases.iter().enumerate() {
        let changes = merge(base.clone(), changes.clone());
        resources.push(lab.connector(&format!("c{at}"), changes));
    }
    let seen = lab.run(&resources, None).await;
    for (at, ((_, changes), reason, server_type)) in cases.iter().enumerate() {
        let name = format!("directoryconnector/c{at}");
        assert_eq!(
            seen.reason(&name),
            *reason,
            "{changes}: {}",
            seen.message(&name)
        );
        if !server_type.is_empty() {
            assert_eq!(
                seen.statuses[&name]["serverType"], *server_type,
                "{changes}"
            );
        }
        let second = &seen.statuses[&name]["conditions"][1];
        let expected = match *reason {
            "Succeeded" | "Suspended" => json!(null),
            "ServerTypeMismatch" => json!(["Stalled", "ServerTypeMismatch"]),
            _ => json!(["Reconciling", "ProgressingWithRetry"]),
        };
        let told = if second.is_null() {
            json!(null)
        } else {
            json!([second["type"], second["reason"]])
        };
        assert_eq!(told, expected, "{changes}");
    }
    assert_eq!(
        seen.statuses["directoryconnector/c0"]["deletedObjects"],
        "NotOffered"
    );
    assert_eq!(
        seen.statuses["directoryconnector/c4"]["deletedObjects"],
        "NotReadable"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_and_the_anchor_decide_what_is_read_and_by_which_name() {
    let lab = Lab::start(vec![person(1, "Staff"), person(2, "Partners")]).await;
    let of = |name: &str| json!({"connectorRef": {"name": name}});
    let resources = [
        lab.tenant("lab", json!({})),
        lab.connector("corp", json!({})),
        scope("all", json!({})),
        sync("all", json!({})),
        lab.connector("partners", json!({"baseDN": format!("ou=Partners,{BASE}")})),
        scope("partners", of("partners")),
        sync("partners", json!({})),
        lab.connector(
            "numbers",
            json!({"anchor": {"attribute": "employeeNumber"}}),
        ),
        scope("numbers", of("numbers")),
        sync("numbers", json!({})),
    ];
    let seen = lab.run(&resources, Some(Mode::Plan)).await;
    assert_eq!(seen.created("all"), "p1 p2");
    assert_eq!(seen.created("partners"), "p2");
    let anchors = |sync: &str| {
        let operations = seen.plan(sync).operations.iter();
        operations
            .map(|operation| operation.anchor.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(anchors("numbers"), ["n1", "n2"]);
    assert!(anchors("all").iter().all(|anchor| anchor.len() >= 32));
    let status = &seen.statuses["directoryconnector/corp"];
    assert_eq!(status["counts"]["users"], 2);
    assert_eq!(status["server"], lab.directory.ldaps_url());
    assert!(status["lastReadTime"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn until_a_server_has_answered_its_connector_is_progressing() {
    let lab = Lab::start(vec![]).await;
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ldaps://{}", silent.local_addr().unwrap());
    let resources = [lab.connector("silent", json!({"servers": [url]}))];
    let (run, stop) = lab.begin(&resources, None);
    let mut statuses = run.host.statuses();
    let said = statuses
        .wait_for(|statuses| !statuses.is_empty())
        .await
        .unwrap()
        .clone();
    assert_eq!(
        said.values().map(ready).collect::<Vec<_>>(),
        ["Progressing"]
    );
    stop.cancel();
    run.finish().await;
}
