//! DirectorySync `joins`: two domains of Active Directory to one tenant. One person in both, by each rule; whose values count; a member across;
//! a conflict shown on both parties.

use std::{collections::BTreeMap, process::Command};

use plumbline::{
    directory_sync::{dereference::dereference, validate::validate},
    problem::Problem,
};
use plumbline_cloud::GraphTarget;
use plumbline_crds::Mode;
use plumbline_engine::reason::Reason;
use plumbline_lab::directory::{Account, Config, Directory, Entry, Profile};
use serde_json::{Value, json};

use super::{Lab, READER, merge, resource, scope, sync};

const CORP: &str = "DC=corp,DC=example,DC=com";
const EXCHANGE: &str = "DC=exchange,DC=example,DC=net";

/// Of an account of one of the two domains.
fn sid(domain: u8, account: u8) -> Vec<u8> {
    let mut sid = vec![1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0];
    sid.extend([7, 0, 0, 0, 7, 0, 0, 0, domain, 0, 0, 0, account, 4, 0, 0]);
    sid
}

fn principal(domain: u8, account: u8) -> String {
    let rid = 1024 + u32::from(account);
    format!("CN=S-1-5-21-7-7-{domain}-{rid},CN=ForeignSecurityPrincipals,{CORP}")
}

fn user(name: &str, base: &str, (domain, account): (u8, u8)) -> Entry {
    let disabled = (domain, account) == (2, 1);
    Entry::new(format!("CN={name},OU=Staff,{base}"))
        .with("objectClass", "user")
        .with("sAMAccountName", name)
        .with("displayName", format!("{name} {domain}"))
        .with(
            "userPrincipalName",
            format!("{name}{domain}@corp.example.com"),
        )
        .with("userAccountControl", if disabled { "514" } else { "512" })
        .with("objectSid", sid(domain, account))
}

fn unit(name: &str, base: &str) -> Entry {
    Entry::new(format!("OU={name},{base}")).with("objectClass", "organizationalUnit")
}

async fn domain(base: &str, entries: Vec<Entry>) -> Directory {
    let mut config = Config::new(Profile::Ad, base);
    config.entries = vec![unit("Staff", base)];
    config.entries.extend(entries);
    config.accounts = vec![Account::reader(READER, "secret").seeing_deleted()];
    Directory::start(config).await.unwrap()
}

/// The account forest: Anna, Bert by mail, Cleo by number, Dora; and a group of Anna and of three from abroad.
async fn corp() -> Directory {
    let mut crew = Entry::new(format!("CN=crew,OU=Staff,{CORP}"))
        .with("objectClass", "group")
        .with("groupType", "-2147483646")
        .with("sAMAccountName", "crew")
        .with("member", format!("CN=anna,OU=Staff,{CORP}"));
    let principals = [(2, 2), (2, 5)].map(|(domain, account)| principal(domain, account));
    let mut entries = vec![
        user("anna", CORP, (1, 1)).with("mobile", "+49 1"),
        user("bert", CORP, (1, 2))
            .with("mail", "bert@corp.example.com")
            .with("department", "Corp"),
        user("cleo", CORP, (1, 3)).with("employeeID", "n3"),
        user("dora", CORP, (1, 4)).with("mail", "dora@corp.example.com"),
        Entry::new(format!("CN=ForeignSecurityPrincipals,{CORP}")).with("objectClass", "container"),
    ];
    for principal in principals {
        crew.push("member", principal.as_str());
        entries.push(Entry::new(principal).with("objectClass", "foreignSecurityPrincipal"));
    }
    entries.push(crew);
    domain(CORP, entries).await
}

/// The resource forest: Anna's disabled mailbox, Bert and Cleo again, Dora twice, and Emil, who is nowhere else.
async fn exchange() -> Directory {
    domain(
        EXCHANGE,
        vec![
            user("anna", EXCHANGE, (2, 1))
                .with("msExchMasterAccountSid", sid(1, 1))
                .with("department", "Exchange")
                .with("mobile", "+49 2"),
            user("bert", EXCHANGE, (2, 2))
                .with("mail", "BERT@corp.example.com")
                .with("department", "Exchange"),
            user("cleo", EXCHANGE, (2, 3)).with("employeeNumber", "N3"),
            user("dora", EXCHANGE, (2, 4)).with("mail", "dora@corp.example.com"),
            user("dorothea", EXCHANGE, (2, 6)).with("mail", "dora@corp.example.com"),
            user("emil", EXCHANGE, (2, 5)),
        ],
    )
    .await
}

fn connectors(lab: &Lab, corp: &Directory, exchange: &Directory) -> Vec<Value> {
    lab.secret("corp-ca", &[("ca.crt", corp.ca_pem())]);
    lab.secret("exchange-ca", &[("ca.crt", exchange.ca_pem())]);
    let place = |directory: &Directory, base: &str, ca: &str| json!({"servers": [directory.ldaps_url()], "baseDN": base, "tls": {"caRef": {"name": ca}}});
    let of = |name: &str| json!({"connectorRef": {"name": name}, "include": [{"organizationalUnit": unit_of(name)}]});
    vec![
        lab.connector("corp", place(corp, CORP, "corp-ca")),
        lab.connector("exchange", place(exchange, EXCHANGE, "exchange-ca")),
        lab.tenant("lab", json!({})),
        scope("corp", of("corp")),
        scope("exchange", of("exchange")),
    ]
}

fn unit_of(connector: &str) -> String {
    let base = if connector == "corp" { CORP } else { EXCHANGE };
    format!("OU=Staff,{base}")
}

fn joined(name: &str, joins: Value) -> Value {
    let scopes = json!([{"name": "corp"}, {"name": "exchange"}]);
    sync(name, json!({"scopes": scopes, "joins": joins}))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_joins_and_each_order_decides_whose_values_count() {
    let (corp, exchange) = (corp().await, exchange().await);
    let lab = Lab::start(vec![]).await;
    let mut resources = connectors(&lab, &corp, &exchange);
    let order = |names: [&str; 2]| json!({"precedence": names});
    let linked = json!({"rules": [{"linkedAccount": {"account": "corp", "resource": "exchange"}}]});
    let corp_first = order(["corp", "exchange"]);
    let numbers = json!({"rules": [{"attributes": [
        {"connector": "corp", "attribute": "employeeID"},
        {"connector": "exchange", "attribute": "employeeNumber"},
    ]}]});
    let department = json!({"attributePrecedence": {"department": ["exchange"]}});
    let mail = json!({"rules": [{"attribute": "mail"}]});
    resources.extend([
        sync(
            "apart",
            json!({"scopes": [{"name": "corp"}, {"name": "exchange"}]}),
        ),
        joined("linked", merge(corp_first.clone(), linked.clone())),
        joined("turned", merge(order(["exchange", "corp"]), linked)),
        joined("numbers", merge(corp_first.clone(), numbers)),
        joined("mail", merge(corp_first.clone(), mail.clone())),
        joined("department", merge(merge(corp_first, mail), department)),
    ]);
    let seen = lab.run(&resources, Some(Mode::Plan)).await;
    // Without a join by their addresses, those who have one in common are set aside for that.
    let all = "anna1 anna2 cleo1 cleo2 crew emil2";
    let without = |one: &str| all.replace(&format!("{one} "), "");
    assert_eq!(seen.created("apart"), all);
    assert_eq!(seen.created("linked"), without("anna2"));
    assert_eq!(seen.created("turned"), without("anna1"));
    assert_eq!(seen.created("numbers"), without("cleo2"));
    let values = |sync: &str, name: &str| {
        let plan = seen.plan(sync);
        let made = plan
            .operations
            .iter()
            .find_map(|operation| match &operation.change {
                plumbline_engine::operation::Change::Create { values, .. }
                    if super::called(plan, operation) == name =>
                {
                    Some(values.clone())
                }
                _ => None,
            });
        serde_json::to_value(made.unwrap()).unwrap()
    };
    let anna = values("linked", "anna1");
    assert_eq!(
        anna["accountEnabled"], true,
        "the account's, not the mailbox's"
    );
    assert_eq!(anna["mobilePhone"], "+49 1");
    assert_eq!(anna["department"], "Exchange", "corp has none");
    assert_eq!(values("turned", "anna2")["accountEnabled"], false);
    assert_eq!(values("mail", "bert1")["department"], "Corp");
    assert_eq!(values("department", "bert1")["department"], "Exchange");
    // One address, two users of one directory: all three are set aside, and each names the others.
    let plan = seen.plan("mail");
    let told: BTreeMap<&str, &str> = (plan.quarantine.iter())
        .filter(|one| one.reason == Reason::JoinAmbiguous)
        .map(|one| (one.dn.as_str(), one.message.as_str()))
        .collect();
    let (dora, dorothea) = (
        format!("CN=dora,OU=Staff,{EXCHANGE}"),
        format!("CN=dorothea,OU=Staff,{EXCHANGE}"),
    );
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[dora.as_str()].contains(&dorothea), "{told:#?}");
    assert!(told[dorothea.as_str()].contains(&dora), "{told:#?}");
    let status = &seen.statuses["directorysync/mail"]["quarantine"];
    assert_eq!(status["count"], 3);

    // Whose value won is told, whoever of the two is asked about.
    let folder = tempfile::tempdir().unwrap();
    for (at, resource) in resources.iter().enumerate() {
        let file = folder.path().join(format!("{at}.yaml"));
        std::fs::write(file, resource.to_string()).unwrap();
    }
    for object in [
        "bert@corp.example.com",
        "CN=bert,OU=Staff,DC=exchange,DC=example,DC=net",
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_plumbline"))
            .args(["explain", "directorysync/department", object])
            .arg("-f")
            .arg(folder.path())
            .arg("--secrets")
            .arg(lab.secrets())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "joined to CN=bert,OU=Staff,DC=",
            "department 'Exchange' (to be sent: create) from user.department (default mapping of connector `exchange`)",
            "displayName 'bert 1' (to be sent: create) from has(user.displayName) ? user.displayName : user.cn (default mapping of connector `corp`)",
        ] {
            assert!(text.contains(part), "{object}: `{part}` is not in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_forests_bring_one_account_for_a_person_in_both_and_members_across() {
    let (corp, exchange) = (corp().await, exchange().await);
    let lab = Lab::start(vec![]).await;
    let mut resources = connectors(&lab, &corp, &exchange);
    resources.push(joined(
        "all",
        json!({"precedence": ["corp", "exchange"], "rules": [
            {"linkedAccount": {"account": "corp", "resource": "exchange"}},
            {"attribute": "mail"},
        ]}),
    ));
    lab.run(&resources, Some(Mode::Apply)).await;
    let name = |user: &Value| {
        let name = user["userPrincipalName"].as_str().unwrap_or_default();
        name.split('@').next().unwrap_or_default().to_owned()
    };
    let users = lab.tenant.users();
    let mut names: Vec<String> = users.iter().map(name).collect();
    names.sort();
    assert_eq!(names, ["anna1", "bert1", "cleo1", "cleo2", "emil2"]);
    let group = lab.tenant.groups().remove(0);
    let members = group["members"].as_array().unwrap().iter();
    let members = members.map(|id| {
        let member = users.iter().find(|user| user["id"] == *id);
        member.map(name).unwrap_or_default()
    });
    let mut members: Vec<String> = members.collect();
    members.sort();
    assert_eq!(
        members,
        ["anna1", "bert1", "emil2"],
        "bert by his entry of the other forest"
    );
    lab.tenant.clear_log();
    let again = lab.run(&resources, Some(Mode::Apply)).await;
    assert!(again.plan("all").is_empty());
    let writes = lab.tenant.log().into_iter().filter(|request| request.write);
    assert_eq!(writes.count(), 0, "a second cycle writes nothing");
}

#[test]
fn what_a_schema_cannot_see_of_joins_is_told_by_its_field() {
    let judged = |joins: Value| -> Result<(), Problem> {
        let connector = |name: &str| {
            let spec = json!({"servers": ["ldaps://dc1"], "baseDN": CORP, "bind": {"simple": {"secretRef": {"name": "bind"}}}});
            resource("DirectoryConnector", name, spec)
        };
        let auth = json!({"clientSecret": {"secretRef": {"name": "app"}}});
        let id = "6f1c2a4e-0d3e-4b7a-9c1f-2b3c4d5e6f70";
        let tenant = json!({"entra": {"tenantId": id, "clientId": id, "auth": auth}});
        let groups = json!({"connectorRef": {"name": "groups"}, "classes": ["Group"]});
        let resources = [
            connector("corp"),
            connector("exchange"),
            connector("groups"),
            resource("CloudTenant", "lab", tenant),
            scope("corp", json!({})),
            scope("exchange", json!({"connectorRef": {"name": "exchange"}})),
            scope("groups", groups),
            merge(
                joined("all", joins),
                json!({"spec": {"scopes": [{"name": "corp"}, {"name": "exchange"}, {"name": "groups"}]}}),
            ),
        ];
        let world = Lab::manifests(&resources).world;
        let sync = world.syncs.values().next().unwrap();
        let parts = dereference(&world, sync)?;
        validate(&parts, &BTreeMap::new(), GraphTarget::CAPABILITIES).map(|_| ())
    };
    let with = |changes: Value| {
        let joins = json!({"precedence": ["corp", "exchange"], "rules": [{"attribute": "mail"}]});
        judged(merge(joins, changes))
    };
    assert_eq!(with(json!({})), Ok(()));
    assert_eq!(
        with(json!({"attributePrecedence": {"manager": ["exchange"]}})),
        Ok(())
    );
    for (changes, field, word) in [
        (
            json!({"precedence": ["corp", "groups"]}),
            "spec.joins.precedence[1]",
            "`groups`",
        ),
        (
            json!({"precedence": ["corp", "nobody"]}),
            "spec.joins.precedence[1]",
            "`nobody`",
        ),
        (
            json!({"rules": [{"attribute": "Manager"}]}),
            "spec.joins.rules[0]",
            "`manager`",
        ),
        (
            json!({"attributePrecedence": {"shoeSize": ["corp"]}}),
            "spec.joins.attributePrecedence",
            "`shoeSize`",
        ),
    ] {
        let problem = with(changes).unwrap_err();
        assert_eq!(problem.reason, Reason::InvalidSpec);
        assert!(problem.message.contains(field), "{}", problem.message);
        assert!(problem.message.contains(word), "{}", problem.message);
    }
}
