//! Two forests side by side to one tenant, by the manifests of `examples/two-forests`: one person in both is one account, a member of the
//! other forest arrives by his SID, and a conflict is shown on both parties.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use plumbline_e2e::Samba;
use serde_json::{Value, json};

use crate::scenario::{
    addressed, calm, define_mark, plumbline, tenant, write_folder, write_secret,
};

const MANIFESTS: &str = include_str!("../../../../examples/two-forests/plumbline.yaml");
const NAMES: [&str; 2] = ["corp", "exchange"];

/// A user with an address, below a unit.
fn user(forest: &Samba, unit: &str, name: &str, mail: &str, title: &str) {
    let base = forest.base_dn().unwrap();
    let entry = format!(
        "dn: CN={name},OU={unit},{base}\nobjectClass: user\nsAMAccountName: {name}\nuserPrincipalName: {name}.{}@corp.example.com\n\
         mail: {mail}@corp.example.com\ndisplayName: {name}\ntitle: {title}\n",
        unit.to_lowercase()
    );
    forest.administrator().unwrap().modify(&entry).unwrap();
}

fn unit(forest: &Samba, name: &str) {
    let dn = format!("OU={name},{}", forest.base_dn().unwrap());
    let entry = format!("dn: {dn}\nobjectClass: organizationalUnit\n");
    forest.administrator().unwrap().modify(&entry).unwrap();
}

fn sid(forest: &Samba, name: &str) -> String {
    let shown = forest.tool(&["user", "show", name, "--attributes=objectSid"]);
    let shown = shown.unwrap();
    let sid = shown
        .lines()
        .find_map(|line| line.strip_prefix("objectSid: "));
    sid.unwrap().to_owned()
}

#[test]
fn two_samba_forests_bring_one_account_for_a_person_in_both_and_members_across() {
    let [corp, exchange] = thread::scope(|scope| {
        let realms = ["corp.example.com", "exchange.example.net"];
        let started =
            realms.map(|realm| scope.spawn(move || Samba::start_with(&[("AD_REALM", realm)])));
        started.map(|started| started.join().unwrap().unwrap())
    });
    for name in ["Staff", "Groups"] {
        // `seed` has made one of them.
        let _ = corp.tool(&["ou", "create", &format!("OU={name}")]);
    }
    unit(&exchange, "Mailboxes");
    user(&corp, "Staff", "anna", "anna", "Of corp");
    user(&corp, "Staff", "dora", "dora", "Of corp");
    user(&exchange, "Mailboxes", "anna", "ANNA", "Of exchange");
    user(&exchange, "Mailboxes", "dora", "dora", "Of exchange");
    user(&exchange, "Mailboxes", "dorothea", "dora", "Of exchange");
    user(&exchange, "Mailboxes", "emil", "emil", "Of exchange");
    corp.tool(&["group", "add", "crew", "--groupou=OU=Groups"])
        .unwrap();
    // Anna by her account of the other forest, and Emil, who is nowhere else.
    for name in ["anna", "emil"] {
        let sid = sid(&exchange, name);
        corp.tool(&["group", "addmembers", "crew", &sid]).unwrap();
    }

    let (tenant, _runtime) = tenant(calm(83));
    define_mark(&tenant);
    let folder = tempfile::tempdir().unwrap();
    let mut manifests = addressed(MANIFESTS, &[], &tenant);
    for manifest in &mut manifests {
        let forest = match manifest["metadata"]["name"].as_str() {
            Some("corp") => &corp,
            _ => &exchange,
        };
        match manifest["kind"].as_str() {
            Some("DirectoryConnector") => {
                manifest["spec"]["servers"] = json!([forest.reader().unwrap().url]);
            }
            Some("CloudTenant") => {
                manifest["spec"]["entra"]["auth"] =
                    json!({"clientSecret": {"secretRef": {"name": "application"}}});
            }
            Some("DirectorySync") => manifest["spec"]["mode"] = json!("Apply"),
            _ => {}
        }
    }
    for (name, forest) in NAMES.iter().zip([&corp, &exchange]) {
        let reader = forest.reader().unwrap();
        let keys = [
            ("username", reader.dn.as_str()),
            ("password", &reader.password),
        ];
        write_secret(folder.path(), &format!("{name}-bind"), &keys);
        let data = json!({"ca.crt": reader.ca().unwrap()});
        let name = format!("{name}-ca");
        manifests.push(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}),
        );
    }
    write_folder(folder.path(), &manifests, &tenant);

    let mut sync = plumbline(folder.path(), &["sync"]);
    let mut sync = sync.stdout(Stdio::null()).spawn().unwrap();
    let members = || -> Vec<Value> {
        let groups = tenant.groups();
        let crew = groups.iter().find(|group| group["displayName"] == "crew");
        let members = crew.and_then(|crew| crew["members"].as_array().cloned());
        members.unwrap_or_default()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while members().len() < 2 {
        assert!(
            Instant::now() < deadline,
            "{:#?} {:#?}",
            tenant.users(),
            tenant.groups()
        );
        thread::sleep(Duration::from_millis(100));
    }
    sync.kill().unwrap();
    sync.wait().unwrap();

    let users = tenant.users();
    let named = |name: &str| {
        let mut found = users.iter().filter(|user| user["displayName"] == name);
        let user = found.next().unwrap();
        assert!(found.next().is_none(), "{name} is one account");
        user
    };
    assert_eq!(users.len(), 2, "{users:#?}");
    let (anna, emil) = (named("anna"), named("emil"));
    assert_eq!(anna["jobTitle"], "Of corp");
    assert_eq!(anna["userPrincipalName"], "anna.staff@corp.example.com");
    assert_eq!(
        anna["mail"], "ANNA@corp.example.com",
        "`exchange` is asked first"
    );
    for user in [anna, emil] {
        assert!(members().contains(&user["id"]), "{user:#?}");
    }

    let output = plumbline(folder.path(), &["plan", "--output", "json"])
        .output()
        .unwrap();
    let plans: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{plans:#}");
    let set_aside = plans[0]["quarantine"].as_array().unwrap();
    let base = exchange.base_dn().unwrap();
    let rivals = ["dora", "dorothea"].map(|name| format!("CN={name},OU=Mailboxes,{base}"));
    for (own, other) in [(&rivals[0], &rivals[1]), (&rivals[1], &rivals[0])] {
        let told = set_aside
            .iter()
            .find(|one| one["dn"] == own.as_str())
            .unwrap();
        assert_eq!(told["reason"], "JoinAmbiguous");
        assert!(
            told["message"].as_str().unwrap().contains(other.as_str()),
            "{told}"
        );
    }
    assert_eq!(
        set_aside.len(),
        3,
        "and dora of `corp`, who belongs to one of them: {set_aside:#?}"
    );
    assert!(tenant.violations().is_empty(), "{:?}", tenant.violations());
}
