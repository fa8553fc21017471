//! The main job, whole: a real directory, the chart on a real API server, and a tenant on a bad day (answers come late, are refused
//! for quota and get lost). The examples are applied as they stand; the tenant must end exactly as the company's model says.

use plumbline_e2e::{Login, OpenLdap, Samba, audit};
use plumbline_lab::company::{Company, Dialect};
use plumbline_lab::directory::{
    Change, Entry, Modification, Operation, write_changes, write_entries,
};
use plumbline_lab::tls::Identity;
use serde_json::{Value, json};

use crate::expected::{Units, compare, of_company, of_tenant};
use crate::life::{Life, OPENLDAP, SAMBA};
use crate::scenario::{RELEASE, Scenario, bad_day, planted};

#[test]
fn the_openldap_example_brings_a_tenant_to_what_the_directory_holds_and_keeps_it_there() {
    // Enough that creating them all exceeds the tenant's quota.
    let company = Company::generate(11, 400, Dialect::OpenLdap);
    let directory = openldap(&company);
    let scenario = Scenario::start("openldap", bad_day(11), &[]);
    scenario.apply(&openldap_example(&scenario, &directory));

    scenario.wait("dsync/people", "condition=Ready", 240);
    let units = Units::of(&company);
    let expected = of_company(&company, &units, Dialect::OpenLdap);
    assert!(expected.users.len() > 300 && expected.groups.len() > 10);
    compare(&expected, &of_tenant(&scenario.tenant)).unwrap();
    writes_nothing(&scenario, "people");
    readable_in_120_columns(&scenario);

    let administrator = directory.administrator().unwrap();
    Life::new(&scenario, OPENLDAP, administrator, company, units).goes_on();
    the_day_was_bad(&scenario);
    scenario.ends_well();
}

#[test]
fn the_active_directory_example_brings_a_tenant_to_what_samba_holds_and_keeps_it_there() {
    // Few enough that links follow their objects before these have replicated.
    let company = Company::generate(12, 150, Dialect::Samba);
    let domain = Samba::start().unwrap();
    fill_samba(&domain.administrator().unwrap(), &company);
    let values = ["workloadIdentity.serviceAccounts={contoso-sync}"];
    let scenario = Scenario::start("active-directory", bad_day(12), &values);
    let reader = domain.reader().unwrap();
    scenario.bind_secret("corp-bind", &reader);
    scenario.authority("corp-ca", &reader.ca().unwrap());
    scenario
        .kubectl(&["create", "serviceaccount", "contoso-sync"])
        .unwrap();
    trust_cluster(&scenario, "contoso-sync");
    // The first controller does not answer.
    let servers = ["ldaps://127.0.0.1:9", &*reader.url];
    scenario.apply(&scenario.example("active-directory-to-entra", &servers));

    scenario.wait("dsync/contoso", "condition=Ready", 240);
    let units = Units::of(&company);
    let expected = of_company(&company, &units, Dialect::Samba);
    assert!(expected.users.len() > 100 && expected.groups.len() > 10);
    compare(&expected, &of_tenant(&scenario.tenant)).unwrap();
    writes_nothing(&scenario, "contoso");

    let administrator = domain.administrator().unwrap();
    Life::new(&scenario, SAMBA, administrator, company, units).goes_on();
    scenario.ends_well();

    // The same event a second time is a patch of the first.
    for (mode, reason) in [("Plan", "Planned"), ("Apply", "Succeeded")] {
        scenario.patch("dsync", "contoso", &json!({ "mode": mode }));
        let ready =
            format!(r#"jsonpath={{.status.conditions[?(@.type=="Ready")].reason}}={reason}"#);
        scenario.wait("dsync/contoso", &ready, 60);
    }
    exactly_the_rights_that_are_used(&scenario);
}

/// One run met everything that a client of the service must live with: a 404 for what it has just created, a 400 for a link of a fresh
/// group, a 429 inside a batch, a concurrency error, 503s, and answers that got lost. Chance is given a minute of cycles more.
fn the_day_was_bad(scenario: &Scenario) {
    scenario.eventually(60, "a bad day", || {
        let seen = scenario.tenant.seen();
        let met = [
            seen.not_found_after_create,
            seen.link_on_fresh_object,
            seen.throttled_in_batch,
            seen.concurrency_errors,
            seen.unavailable,
            seen.lost_answers,
        ];
        let all = met.iter().all(|count| *count > 0);
        all.then_some(()).ok_or_else(|| format!("{seen:?}"))
    });
}

/// The audit log of all that this release did against its Roles, both ways; and no right beyond the namespace.
fn exactly_the_rights_that_are_used(scenario: &Scenario) {
    // Something that turns twice within six minutes, for which the event is patched.
    for suspend in [true, false, true, false] {
        scenario.patch("dsync", "contoso", &serde_json::json!({"suspend": suspend}));
        let generation = scenario.get("dsync", "contoso")["metadata"]["generation"].to_string();
        let observed = format!("jsonpath={{.status.observedGeneration}}={generation}");
        scenario.wait("dsync/contoso", &observed, 90);
    }
    let account = format!(
        "--as=system:serviceaccount:{}:plumbline",
        scenario.namespace
    );
    let may = [
        "auth",
        "can-i",
        "get",
        "secrets",
        "--namespace",
        "default",
        &account,
    ];
    let answer = scenario.control_plane.kubectl(&may);
    assert!(
        answer.is_err(),
        "Secrets of another namespace can be read: {answer:?}"
    );
    let own = scenario.kubectl(&["auth", "can-i", "get", "secrets", &account]);
    assert_eq!(own.unwrap().trim(), "yes", "the account is the operator's");
    let difference =
        audit::of_release(scenario.control_plane, scenario.namespace, RELEASE).unwrap();
    assert_eq!(difference, audit::Difference::default());
}

/// Certificate, bind account and authority for the example, and its documents.
pub(crate) fn openldap_example(scenario: &Scenario, directory: &OpenLdap) -> Vec<Value> {
    let reader = directory.reader().unwrap();
    scenario.bind_secret("people-bind", &reader);
    scenario.authority("people-ca", &reader.ca().unwrap());
    let certificate = Identity::self_signed_rsa("contoso-application").unwrap();
    scenario.tenant.register_certificate(&certificate).unwrap();
    let keys = [
        ("tls.crt", &*certificate.certificate_pem),
        ("tls.key", &*certificate.key_pem),
    ];
    scenario.secret("contoso-application", &keys);
    scenario.example("openldap-to-entra", &[directory.ldap_url().unwrap()])
}

/// A slapd with the company in it, and what must not leave.
pub(crate) fn openldap(company: &Company) -> OpenLdap {
    openldap_of(company, &planted(company, "carLicense"))
}

/// A slapd with these entries of the company.
pub(crate) fn openldap_of(company: &Company, entries: &[Entry]) -> OpenLdap {
    let directory = OpenLdap::start_with(&[("OL_SUFFIX", &company.base_dn())]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), write_entries(entries)).unwrap();
    directory.load(file.path()).unwrap();
    directory
}

/// Adds the company to a domain: first everyone, then who refers to whom, for Samba takes no reference to what is not there yet.
fn fill_samba(administrator: &Login, company: &Company) {
    let (mut entries, mut references) = (planted(company, "info"), Vec::new());
    for Entry { dn, attributes } in &mut entries {
        let refers = |name: &str| ["manager", "member"].contains(&name);
        let of_entry = attributes
            .iter()
            .filter(|attribute| refers(&attribute.name))
            .cloned();
        let modifications: Vec<_> = of_entry
            .map(|attribute| Modification {
                operation: Operation::Add,
                attribute,
            })
            .collect();
        if !modifications.is_empty() {
            references.push(Change::Modify {
                dn: dn.clone(),
                modifications,
            });
        }
        attributes.retain(|attribute| !refers(&attribute.name));
    }
    administrator.modify(&write_entries(&entries)).unwrap();
    administrator.modify(&write_changes(&references)).unwrap();
}

/// Lets a ServiceAccount of the cluster in at the tenant, as an administrator of both would.
fn trust_cluster(scenario: &Scenario, account: &str) {
    let raw = |path: &str| -> Value {
        let text = scenario
            .control_plane
            .kubectl(&["get", "--raw", path])
            .unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let issuer = raw("/.well-known/openid-configuration")["issuer"].clone();
    let subject = format!("system:serviceaccount:{}:{account}", scenario.namespace);
    let trusted = scenario.tenant.trust_issuer(
        issuer.as_str().unwrap(),
        raw("/openid/v1/jwks"),
        &subject,
        "api://AzureADTokenExchange",
    );
    trusted.unwrap();
}

/// One more cycle over what is in step already.
pub(crate) fn writes_nothing(scenario: &Scenario, sync: &str) {
    let before = scenario.tenant.log().len();
    scenario.reconcile_now(sync, 60);
    let log = scenario.tenant.log();
    assert!(log.len() > before, "the cycle did not read the tenant");
    let writes: Vec<_> = log[before..]
        .iter()
        .filter(|request| request.write)
        .map(|request| format!("{} {} {:?}", request.method, request.path, request.body))
        .collect();
    assert!(
        writes.is_empty(),
        "a second cycle wrote: {}",
        writes.join("\n")
    );
}

fn readable_in_120_columns(scenario: &Scenario) {
    let table = scenario.kubectl(&["get", "plumbline"]).unwrap();
    for kind in [
        "directoryconnector",
        "cloudtenant",
        "syncscope",
        "directorysync",
    ] {
        assert!(table.contains(&format!("{kind}.plumbline.dev/")), "{table}");
    }
    let widest = table
        .lines()
        .map(|line| line.trim_end().chars().count())
        .max();
    assert!(widest <= Some(120), "{widest:?} columns:\n{table}");
}
