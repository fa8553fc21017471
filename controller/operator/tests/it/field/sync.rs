//! DirectorySync: what goes where, how it is matched, and what the guard lets through.

use std::collections::BTreeMap;

use plumbline_crds::Mode;
use plumbline_engine::{
    operation::Change,
    target::{Value as TargetValue, Values},
};
use plumbline_lab::directory::Attribute;
use serde_json::{Value, json};

use super::{BASE, Lab, Seen, called, group, person, scope, staff, sync};

/// What a plan gives whom it creates.
fn values(seen: &Seen, sync: &str) -> BTreeMap<String, Values> {
    let plan = seen.plan(sync);
    let creates = plan
        .operations
        .iter()
        .filter_map(|operation| match &operation.change {
            Change::Create { values, .. } => Some((called(plan, operation), values.clone())),
            _ => None,
        });
    creates.collect()
}

fn text(values: &Values, attribute: &str) -> Option<String> {
    match values.get(attribute) {
        Some(TargetValue::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_sets_and_omits_for_all_scopes_or_for_one() {
    let people = [
        person(1, "Staff"),
        person(2, "Partners"),
        group("crew", &[staff(1)]),
    ];
    let lab = Lab::start(people.into()).await;
    let set = |text: &str| json!({"user": {"set": {"city": format!("'{text}'")}}, "group": {"set": {"description": format!("'{text}'")}}});
    let omit = json!({"user": {"omit": ["givenName"]}, "group": {"omit": ["description"]}});
    let unit =
        |name: &str| json!({"include": [{"organizationalUnit": format!("ou={name},{BASE}")}]});
    let partners = |mapping: &Value| json!([{"name": "staff"}, {"name": "groups"}, {"name": "partners", "mapping": mapping}]);
    let groups = |mapping: &Value| json!([{"name": "staff"}, {"name": "groups", "mapping": mapping}, {"name": "partners"}]);
    let none = json!({});
    let resources = [
        lab.connector("corp", json!({})),
        lab.tenant("lab", json!({})),
        scope("staff", unit("Staff")),
        scope("partners", unit("Partners")),
        scope("groups", unit("Groups")),
        sync("plain", json!({"scopes": partners(&none)})),
        sync(
            "set",
            json!({"scopes": partners(&none), "mapping": set("Ghent")}),
        ),
        sync("omit", json!({"scopes": partners(&none), "mapping": omit})),
        sync(
            "set-one",
            json!({"scopes": partners(&set("Bruges")), "mapping": set("Ghent")}),
        ),
        sync("omit-one", json!({"scopes": partners(&omit)})),
        sync(
            "set-groups",
            json!({"scopes": groups(&set("Bruges")), "mapping": set("Ghent")}),
        ),
        sync("omit-groups", json!({"scopes": groups(&omit)})),
    ];
    let seen = lab.run(&resources, Some(Mode::Plan)).await;
    let of = |sync: &str| {
        let values = values(&seen, sync);
        let each = [
            ("p1", "city"),
            ("p2", "city"),
            ("p1", "givenName"),
            ("p2", "givenName"),
            ("crew", "description"),
        ];
        each.map(|(who, attribute)| text(&values[who], attribute).unwrap_or_default())
    };
    let written = "written in the directory";
    assert_eq!(of("plain"), ["", "", "Given", "Given", written]);
    assert_eq!(of("set"), ["Ghent", "Ghent", "Given", "Given", "Ghent"]);
    assert_eq!(of("omit"), ["", "", "", "", ""]);
    assert_eq!(
        of("set-one"),
        ["Ghent", "Bruges", "Given", "Given", "Ghent"]
    );
    assert_eq!(of("omit-one"), ["", "", "Given", "", written]);
    assert_eq!(
        of("set-groups"),
        ["Ghent", "Ghent", "Given", "Given", "Bruges"]
    );
    assert_eq!(of("omit-groups"), ["", "", "Given", "Given", ""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sync_refers_to_must_exist_and_a_suspended_one_plans_nothing() {
    let lab = Lab::start(vec![person(1, "Staff")]).await;
    let scopes = json!([{"name": "all"}]);
    let asked = |mut resource: Value| {
        resource["metadata"]["annotations"] = json!({"reconcile.plumbline.dev/requestedAt": "now"});
        resource
    };
    let resources = [
        asked(lab.connector("corp", json!({}))),
        asked(lab.tenant("lab", json!({}))),
        scope("all", json!({})),
        asked(sync("well", json!({"scopes": scopes, "channel": "Graph"}))),
        sync(
            "no-tenant",
            json!({"scopes": scopes, "tenantRef": {"name": "nothing"}}),
        ),
        sync(
            "no-scope",
            json!({"scopes": [{"name": "all"}, {"name": "nothing"}]}),
        ),
        sync("asleep", json!({"scopes": scopes, "suspend": true})),
        scope("filter", json!({"filter": "(cn=ada"})),
        scope("when", json!({"when": {"user": "user.cn ="}})),
    ];
    let seen = lab.run(&resources, Some(Mode::Plan)).await;
    assert_eq!(seen.created("well"), "p1");
    assert_eq!(seen.reason("directorysync/well"), "Planned");
    for kind in [
        "directoryconnector/corp",
        "cloudtenant/lab",
        "directorysync/well",
    ] {
        assert_eq!(
            seen.statuses[kind]["lastHandledReconcileAt"], "now",
            "{kind}"
        );
        assert_eq!(seen.statuses[kind]["observedGeneration"], 1, "{kind}");
    }
    assert_eq!(seen.statuses["syncscope/all"]["observedGeneration"], 1);
    let status = &seen.statuses["directorysync/well"];
    let connector = &status["connectors"][0];
    assert_eq!(
        (&connector["name"], &connector["reason"]),
        (&json!("corp"), &json!("Succeeded"))
    );
    assert!(connector["lastReadTime"].is_string());
    assert_eq!(
        (&status["counts"]["users"], &status["counts"]["groups"]),
        (&json!(1), &json!(0))
    );
    for (sync, field) in [
        ("no-tenant", "spec.tenantRef"),
        ("no-scope", "spec.scopes[1]"),
    ] {
        let name = format!("directorysync/{sync}");
        assert_eq!(seen.reason(&name), "DependencyNotReady");
        assert!(
            seen.message(&name).contains(field),
            "{}",
            seen.message(&name)
        );
    }
    assert_eq!(seen.reason("directorysync/asleep"), "Suspended");
    assert!(seen.reports["asleep"].as_ref().unwrap().plan.is_none());
    assert_eq!(seen.reason("syncscope/filter"), "InvalidLDAPFilter");
    assert_eq!(seen.reason("syncscope/when"), "InvalidCELExpression");
}

#[tokio::test(flavor = "multi_thread")]
async fn matching_decides_by_what_an_object_is_recognised_and_whether_it_is_taken_over() {
    let people = [
        person(1, "Staff"),
        person(2, "Staff"),
        group("crew", &[staff(1)]),
    ];
    let lab = Lab::start(people.into()).await;
    let user = |name: &str, mail: &str| json!({"userPrincipalName": name, "mail": mail, "displayName": "Foreign", "mailNickname": "f"});
    lab.tenant
        .insert_user(user("p1@corp.example.com", "x@corp.example.com"))
        .unwrap();
    lab.tenant
        .insert_user(user("y@corp.example.com", "p2@corp.example.com"))
        .unwrap();
    lab.tenant
        .insert_group(json!({"displayName": "crew", "mailNickname": "crew"}))
        .unwrap();
    let soft = |by: &[&str]| json!({"soft": by, "adopt": "Report"});
    let all = ["userPrincipalName", "mail", "displayName"];
    // Whom the plan sets aside, by the reason; whom it takes over.
    let cases = [
        (
            soft(&["userPrincipalName"]),
            "DuplicateValue p2, WouldAdopt p1",
            "",
        ),
        (soft(&["mail"]), "DuplicateValue p1, WouldAdopt p2", ""),
        (
            soft(&["displayName"]),
            "DuplicateValue p1, DuplicateValue p2, WouldAdopt crew",
            "",
        ),
        (
            json!({"soft": all, "adopt": "Report"}),
            "WouldAdopt crew, WouldAdopt p1, WouldAdopt p2",
            "",
        ),
        (
            json!({"soft": all, "adopt": "Never"}),
            "NotAdoptable p1, NotAdoptable p2",
            "",
        ),
        (json!({"soft": all, "adopt": "Adopt"}), "", "crew p1 p2"),
    ];
    let mut resources = vec![
        lab.connector("corp", json!({})),
        lab.tenant("lab", json!({})),
        scope("all", json!({})),
    ];
    for (at, (matching, ..)) in cases.iter().enumerate() {
        let changes = json!({"scopes": [{"name": "all"}], "matching": matching});
        resources.push(sync(&format!("m{at}"), changes));
    }
    let seen = lab.run(&resources, Some(Mode::Plan)).await;
    for (at, (matching, aside, adopted)) in cases.iter().enumerate() {
        let name = format!("m{at}");
        let named = |dn: &str| dn.split([',', '=']).nth(1).unwrap().to_owned();
        let mut set_aside: Vec<_> = seen
            .plan(&name)
            .quarantine
            .iter()
            .map(|object| format!("{} {}", object.reason, named(&object.dn)))
            .collect();
        set_aside.sort();
        let operations = seen.operations(&name);
        let taken: Vec<_> = operations
            .iter()
            .filter_map(|line| line.strip_prefix("adopt "))
            .collect();
        assert_eq!(
            (set_aside.join(", ").as_str(), taken.join(" ").as_str()),
            (*aside, *adopted),
            "{matching}: {operations:?}"
        );
    }
    let status = &seen.statuses["directorysync/m5"];
    assert_eq!(status["plan"]["counts"]["adopt"], 3);
    let status = &seen.statuses["directorysync/m0"];
    assert_eq!(
        (
            &status["counts"]["quarantined"],
            &status["quarantine"]["count"]
        ),
        (&json!(2), &json!(2))
    );
    let sample = status["quarantine"]["sample"].as_array().unwrap();
    let first = sample
        .iter()
        .find(|object| object["reason"] == "WouldAdopt")
        .unwrap();
    assert_eq!(
        (first["dn"].as_str(), first["anchor"].as_str().map(str::len)),
        (Some(&*staff(1)), Some(32))
    );
    assert!(
        first["message"].as_str().unwrap().contains("adopt: Adopt") && first["since"].is_string()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_deprovision_and_guard_decide_what_becomes_of_leavers() {
    let mut entries: Vec<_> = (1..=24).map(|number| person(number, "Staff")).collect();
    let crew: Vec<_> = (7..=23).map(staff).collect();
    entries.push(group("crew", &crew));
    let lab = Lab::start(entries).await;
    let common = || {
        vec![
            lab.connector("corp", json!({})),
            lab.tenant("lab", json!({})),
            scope("all", json!({"filter": "(!(employeeType=left))"})),
        ]
    };
    let owned = |name: &str, changes: &Value| {
        let ours = json!({"scopes": [{"name": "all"}], "owner": "ours", "mode": "Apply"});
        sync(name, super::merge(ours, changes.clone()))
    };
    let mut resources = common();
    resources.push(owned("first", &json!({})));
    let seen = lab.run(&resources, None).await;
    assert_eq!(
        seen.reason("directorysync/first"),
        "Succeeded",
        "{}",
        seen.message("directorysync/first")
    );
    let status = seen.statuses["directorysync/first"].clone();
    assert_eq!(status["plan"]["counts"]["create"], 25);
    assert_eq!(status["plan"]["counts"]["addMembers"], 17);
    assert!(status["lastChangeTime"].is_string() && status["lastSyncTime"].is_string());
    let users = lab.tenant.users();
    let mark = |user: &Value| {
        let fields = user.as_object().unwrap();
        let mark = fields
            .iter()
            .find(|(name, _)| name.ends_with("plumblineOwner"));
        mark.unwrap().1.as_str().unwrap().to_owned()
    };
    assert!(users.len() == 24 && users.iter().all(|user| mark(user).starts_with("ours:")));

    for number in 1..=6 {
        lab.change(&staff(number), Attribute::new("employeeType", ["left"]));
    }
    lab.change(
        &format!("cn=crew,ou=Groups,{BASE}"),
        Attribute::new("member", (18..=23).map(staff)),
    );
    lab.change(&staff(20), Attribute::new("l", ["Ghent"]));
    let deleted = users
        .iter()
        .find(|user| user["userPrincipalName"] == "p24@corp.example.com")
        .unwrap();
    lab.tenant.delete(deleted["id"].as_str().unwrap()).unwrap();
    let delete =
        |limit: Value| json!({"deprovision": {"user": "Delete"}, "guard": {"deletions": limit}});
    let disable =
        |limit: Value| json!({"deprovision": {"user": "Disable"}, "guard": {"disables": limit}});
    let removal = |limit: Value| json!({"guard": {"membershipRemovals": limit}});
    // The class that the case is about, what is held of it and what flows.
    let cases = [
        (json!({}), "disable", 6, 0),
        (disable(json!({"floor": 6})), "disable", 0, 6),
        (disable(json!({"percent": 27})), "disable", 0, 6),
        (disable(json!({"percent": 26})), "disable", 6, 0),
        (disable(json!({"percent": 100, "max": 5})), "disable", 6, 0),
        (delete(json!({})), "delete", 6, 0),
        (delete(json!({"floor": 6})), "delete", 0, 6),
        (delete(json!({"percent": 27})), "delete", 0, 6),
        (delete(json!({"percent": 100, "max": 5})), "delete", 6, 0),
        (removal(json!({})), "removeMember", 11, 0),
        (removal(json!({"floor": 11})), "removeMember", 0, 11),
        (removal(json!({"percent": 65})), "removeMember", 0, 11),
        (
            removal(json!({"percent": 100, "max": 10})),
            "removeMember",
            11,
            0,
        ),
    ];
    let mut resources = common();
    for (at, (changes, ..)) in cases.iter().enumerate() {
        resources.push(owned(&format!("g{at}"), changes));
    }
    // Without an owner it is `default.another`, and what is ours is not its.
    resources.push(sync("another", json!({"scopes": [{"name": "all"}]})));
    let seen = lab.run(&resources, Some(Mode::Plan)).await;
    for (at, (changes, kind, held, flowing)) in cases.iter().enumerate() {
        let plan = seen.plan(&format!("g{at}"));
        let count = |operations: &[plumbline_engine::operation::Operation]| {
            let of_kind = operations
                .iter()
                .filter(|operation| operation.change.kind().as_str() == *kind);
            of_kind.count()
        };
        let withheld: usize = plan.holds.iter().map(|hold| count(&hold.operations)).sum();
        assert_eq!(
            (withheld, count(&plan.operations)),
            (*held, *flowing),
            "{changes}: {plan:#?}"
        );
    }
    let another = seen.plan("another");
    assert!(
        another
            .operations
            .iter()
            .all(|operation| operation.target.is_none())
    );
    let others = another.quarantine.iter();
    assert!(
        others
            .clone()
            .all(|object| object.reason.as_str() == "OwnedByOther")
    );
    assert_eq!(others.len(), 17);
    let status = &seen.statuses["directorysync/g0"];
    assert_eq!(seen.reason("directorysync/g0"), "Held");
    assert_eq!(status["counts"]["held"], 17);
    let holds = status["holds"].as_array().unwrap();
    let summary = |hold: &Value| {
        (
            hold["class"].as_str().unwrap().to_owned(),
            hold["count"].as_u64(),
            hold["share"].as_u64(),
        )
    };
    assert_eq!(
        holds.iter().map(summary).collect::<Vec<_>>(),
        [
            ("disables".to_owned(), Some(6), Some(27)),
            ("membershipRemovals".to_owned(), Some(11), Some(65))
        ]
    );
    assert_eq!(holds[0]["sample"].as_array().unwrap().len(), 6);
    assert!(holds[0]["since"].is_string());
    let counted = |sync: &str| {
        let plan = &seen.statuses[&format!("directorysync/{sync}")]["plan"];
        let counts = ["disable", "delete", "removeMembers", "update", "restore"];
        counts.map(|kind| plan["counts"][kind].as_u64().unwrap())
    };
    assert_eq!(counted("g0"), [6, 0, 11, 1, 1], "held ones included");
    assert_eq!(counted("g5"), [0, 6, 11, 1, 1]);
    assert_eq!(
        status["plan"]["digest"],
        seen.plan("g0").digest().to_string()
    );

    // Approved is exactly the one that is named.
    let mut resources = common();
    resources.push(owned(
        "approved",
        &json!({"guard": {"approved": [holds[0]["digest"]]}}),
    ));
    let seen = lab.run(&resources, Some(Mode::Plan)).await;
    let plan = seen.plan("approved");
    assert_eq!(
        plan.holds
            .iter()
            .map(|hold| hold.class.as_str())
            .collect::<Vec<_>>(),
        ["membershipRemovals"]
    );
    assert_eq!(seen.operations("approved").len(), 6 + 2);
}
