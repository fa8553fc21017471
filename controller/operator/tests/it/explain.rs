//! `plumbline explain`: one recorded world, and for each cause the manifests in which it decides. The command itself is run, without
//! any network; its values are those of the plan.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
    time::Duration,
};

use jiff::SignedDuration;
use plumbline::{
    directory_sync::{Report, recorded},
    folder_run::FolderRun,
    output::{explain, explain_json},
    store::Store,
    world_file::Recorder,
};
use plumbline_engine::{
    explain::{Desired, Question},
    mapping::Mapped,
    operation::Change as Operation,
    quarantine::Quarantined,
    target::Changes,
};
use plumbline_lab::{
    company::{Company, Dialect},
    directory::{Change, Entry},
};
use serde_json::{Value, json};

use crate::field::{BASE, Lab, group, merge, person, resource, scope, staff};

/// A world that was recorded, with the folder that it lies in.
struct Recorded {
    lab: Lab,
}

/// What the command said.
struct Said {
    code: Option<i32>,
    /// The first explanation.
    json: Value,
    text: String,
}

const LIMIT: Duration = Duration::from_secs(60);

impl Recorded {
    /// Runs in Apply mode until the tenant is as desired, then `change`s the directory and runs until that was read.
    async fn of(
        entries: Vec<Entry>,
        scope_changes: Value,
        change: impl Fn(&Lab),
        told: impl Fn(&Report) -> bool,
    ) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let lab = Lab::start(entries).await;
        let recorded = Self { lab };
        let resources = recorded.resources(scope_changes, json!({"mode": "Apply"}));
        let stop = tokio_util::sync::CancellationToken::new();
        let state = recorded.path("state");
        fs::create_dir_all(&state).unwrap();
        let recorder = Recorder::create(&recorded.path("world.jsonl")).unwrap();
        let run = FolderRun::start(
            Lab::manifests(&resources),
            Some(recorded.lab.secrets()),
            Store::new(Some(state)),
            None,
            Some(recorder),
            stop.clone(),
        );
        let mut reports = run.reports();
        let in_step = |report: &Report| {
            report.cycles > 1 && report.plan.as_ref().is_some_and(|plan| plan.is_empty())
        };
        let mut until = async |settled: &dyn Fn(&Report) -> bool| {
            let wait = reports.wait_for(|all| all.values().any(settled));
            tokio::time::timeout(LIMIT, wait).await.unwrap().unwrap();
        };
        until(&in_step).await;
        change(&recorded.lab);
        until(&told).await;
        stop.cancel();
        run.finish().await;
        recorded
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.lab.folder.path().join(name)
    }

    fn resources(&self, of_scope: Value, of_sync: Value) -> Vec<Value> {
        // Everything is read that any case looks at.
        let all = json!({"filter": "(|(employeeType=*)(!(employeeType=*)))"});
        let changes = json!({"changes": {"detect": "FullRead", "confirmAbsence": "168h"}});
        vec![
            self.lab.connector("corp", changes),
            self.lab.tenant("lab", json!({})),
            scope("all", merge(all, of_scope)),
            resource(
                "DirectorySync",
                "all",
                merge(
                    json!({"tenantRef": {"name": "lab"}, "scopes": [{"name": "all"}]}),
                    of_sync,
                ),
            ),
        ]
    }

    fn write(&self, of_scope: Value, of_sync: Value) {
        let folder = self.path("manifests");
        fs::create_dir_all(&folder).unwrap();
        for (at, resource) in self.resources(of_scope, of_sync).iter().enumerate() {
            fs::write(folder.join(format!("{at}.yaml")), resource.to_string()).unwrap();
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plumbline"));
        command.args(arguments);
        command.arg("-f").arg(self.path("manifests"));
        command.arg("--world").arg(self.path("world.jsonl"));
        command.output().unwrap()
    }

    /// What the command would say with these changes of the scope, without a process of its own.
    fn told(&self, of_scope: Value, object: &str) -> Said {
        let manifests = Lab::manifests(&self.resources(of_scope, json!({})));
        let (key, sync) = manifests.world.syncs.first_key_value().unwrap();
        let (state, file) = (Store::new(None), self.path("world.jsonl"));
        let question = Question::new(object);
        let report = recorded::plan(&manifests.world, key, sync, &state, &file, Some(&question));
        let explanations = report.unwrap().unwrap().explanations;
        let [explanation] = explanations.as_slice() else {
            return Said {
                code: None,
                json: Value::Null,
                text: format!("{} explanations of {object}", explanations.len()),
            };
        };
        Said {
            code: Some(0),
            json: explain_json::json(key, explanation),
            text: explain::text(key, explanation),
        }
    }

    /// `KIND/NAME OBJECT` and more.
    fn explain(&self, resource: &str, object: &str, more: &[&str]) -> Said {
        let all = [&["explain", resource, object], more].concat();
        let text = self.run(&all);
        let json = self.run(&[&all[..], &["--output", "json"]].concat());
        assert_eq!(text.status.code(), json.status.code());
        let values: Value = serde_json::from_slice(&json.stdout).unwrap_or_default();
        let said = [&text.stdout[..], &text.stderr].concat();
        Said {
            code: text.status.code(),
            json: values[0].clone(),
            text: String::from_utf8(said).unwrap(),
        }
    }
}

/// What lost a conflict of replication.
fn conflict() -> String {
    format!("uid=p3\\0ACNF:5f3c,ou=Staff,{BASE}")
}

fn world_of_causes() -> Vec<Entry> {
    let mut entries: Vec<_> = (1..=6).map(|number| person(number, "Staff")).collect();
    entries.extend([person(7, "Partners"), person(8, "Partners")]);
    entries[1].push("employeeType", "temp");
    entries[2].dn = conflict();
    let foreign = Entry::new(staff(9))
        .with("objectClass", "inetOrgPerson")
        .with("uid", "p9");
    let foreign = foreign.with("cn", "Foreign").with("sn", "Person");
    entries.push(foreign.with("mail", "p9@elsewhere.example"));
    let crew = format!("cn=crew,ou=Groups,{BASE}");
    entries.push(group(
        "crew",
        &[staff(1), format!("uid=p7,ou=Partners,{BASE}")],
    ));
    entries.push(group("board", &[staff(2), crew]));
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cause_of_being_in_or_out_is_told() {
    let told = |report: &Report| {
        let plan = report.plan.as_ref();
        // A while ago, so that it can be told from the time of another look.
        let old = |one: &Quarantined| {
            let age = report.last_sync.map(|at| at.duration_since(one.since));
            age > Some(SignedDuration::from_millis(500))
        };
        plan.is_some_and(|plan| plan.quarantine.iter().filter(|one| old(one)).count() == 2)
    };
    let gone = |lab: &Lab| drop(lab.directory.apply(&Change::Delete { dn: staff(6) }));
    let recorded = Recorded::of(world_of_causes(), json!({}), gone, told).await;
    let partners = format!("ou=Partners,{BASE}");
    let (crew, board) = (
        format!("cn=crew,ou=Groups,{BASE}"),
        format!("cn=board,ou=Groups,{BASE}"),
    );
    let p7 = format!("uid=p7,{partners}");
    let people = json!({"classes": ["User"]});
    // What is changed of the scope, who is asked about, the verdict of the scope, and what the text has.
    let cases: &[(Value, &str, &str, &[&str])] = &[
        (
            json!({}),
            &staff(1),
            "taken",
            &[
                "in, by SyncScope `all`; nothing is to be done",
                "everything is included",
                "in step",
            ],
        ),
        (
            json!({"include": [{"organizationalUnit": partners}]}),
            &p7,
            "taken",
            &["it lies below `ou=Partners,"],
        ),
        (
            json!({"include": [{"organizationalUnit": partners}]}),
            &staff(1),
            "notIncluded",
            &[
                "out: no scope takes it, so it leaves",
                "it is not below `ou=Partners,",
            ],
        ),
        (
            json!({"exclude": [{"organizationalUnit": partners}]}),
            &p7,
            "excluded",
            &["`spec.exclude` keeps it out: it lies below `ou=Partners,"],
        ),
        (
            json!({"include": [{"group": crew}]}),
            &staff(2),
            "notIncluded",
            &["it is no member of `cn=crew,"],
        ),
        (
            json!({"include": [{"group": crew}]}),
            &staff(1),
            "taken",
            &["it is a member of `cn=crew,"],
        ),
        (
            json!({"include": [{"group": board}]}),
            &p7,
            "taken",
            &["it is a member of `cn=board,", "by way of `cn=crew,"],
        ),
        (
            json!({"exclude": [{"group": board}]}),
            &p7,
            "excluded",
            &["by way of `cn=crew,"],
        ),
        (
            json!({"filter": "(employeeType=temp)"}),
            &staff(1),
            "filtered",
            &[
                "`spec.filter` does not hold: (employeetype=temp)",
                "with employeetype absent",
            ],
        ),
        (
            json!({"filter": "(employeeType=temp)"}),
            &staff(2),
            "taken",
            &[],
        ),
        (
            json!({"when": {"user": "user.employeeType != 'temp'"}}),
            &staff(2),
            "whenFalse",
            &["user.employeeType != 'temp'", "with employeetype = 'temp'"],
        ),
        (
            json!({"when": {"user": "int(user.employeeType) > 1"}}),
            &staff(2),
            "whenFailed",
            &["set aside: ExpressionFailed", "next"],
        ),
        (
            json!({}),
            &conflict(),
            "excludedByDefault",
            &["lost a replication conflict", "never synchronised"],
        ),
        (
            people.clone(),
            &crew,
            "otherClass",
            &["it is a group and `spec.classes` has only user"],
        ),
        (
            json!({"include": [{"organizationalUnit": format!("ou=Nowhere,{BASE}")}]}),
            &staff(1),
            "notIncluded",
            &[
                "(which was not found)",
                "ScopeUnresolved",
                "for now its object stays as it is",
            ],
        ),
        (
            json!({}),
            &staff(9),
            "taken",
            &[
                "set aside: DomainNotVerified",
                "IN QUARANTINE: DomainNotVerified",
                "elsewhere.example",
                "Verify the domain",
            ],
        ),
        (json!({}), &partners, "", &["it only holds other entries"]),
    ];
    for (changes, object, verdict, parts) in cases {
        let said = recorded.told(changes.clone(), object);
        let told = &said.json["scopes"][0]["verdict"];
        assert_eq!(
            told.as_str().unwrap_or_default(),
            *verdict,
            "{changes} {object}: {}",
            said.text
        );
        for part in *parts {
            let flat = said.text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                flat.contains(part),
                "{changes} {object}: `{part}` is not in\n{}",
                said.text
            );
        }
        let longest = said.text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(100), "{}", said.text);
    }
    // The command says the same.
    let (changes, object, ..) = &cases[2];
    recorded.write(changes.clone(), json!({}));
    let said = recorded.explain("directorysync/all", object, &[]);
    let same = recorded.told(changes.clone(), object);
    assert_eq!(
        (said.code, said.text, said.json),
        (Some(0), same.text, same.json)
    );

    // Somebody who was deleted, and whose absence is not proven yet: by sign-in name, and by every spelling of the anchor.
    recorded.write(json!({}), json!({}));
    let gone = recorded.explain("dsync/all", "P6@corp.example.com", &[]);
    assert_eq!(gone.code, Some(0), "{}", gone.text);
    assert_eq!(gone.json["participation"]["is"], "absent");
    assert_eq!(gone.json["leaving"]["is"], "unproven");
    assert_eq!(gone.json["quarantine"]["reason"], "AbsenceUnproven");
    assert_eq!(gone.json["absences"][0]["seenBefore"], true);
    assert!(gone.json["absences"][0]["firstAbsent"].is_string());
    assert!(gone.text.contains("EVIDENCE OF ABSENCE"), "{}", gone.text);
    for spelling in ["anchor", "immutableId"] {
        let anchor = gone.json[spelling].as_str().unwrap();
        let same = recorded.explain("dsync/all", anchor, &[]);
        assert_eq!(same.json["target"], gone.json["target"], "{anchor}");
    }
    // The state of the sync that ran knows since when.
    let state = recorded.path("state");
    let kept = || fs::read(state.join("plumbline.db")).unwrap();
    let before = kept();
    let known = recorded.explain(
        "dsync/all",
        "p6@corp.example.com",
        &["--state", state.to_str().unwrap()],
    );
    let since = |said: &Said| {
        said.json["quarantine"]["since"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(
        since(&known) < since(&gone),
        "{} {}",
        since(&known),
        since(&gone)
    );
    assert_eq!(kept(), before, "the state of another process is only read");

    let quarantined = |more: &[&str]| {
        let output = recorded.run(&[&["plan", "--output", "json"], more].concat());
        let plans: Value = serde_json::from_slice(&output.stdout).unwrap();
        plans[0]["quarantine"].clone()
    };
    let with_state = quarantined(&["--state", state.to_str().unwrap()]);
    assert_ne!(with_state, quarantined(&[]), "since when is known there");
    let markdown = recorded.run(&["explain", "dsync/all", &staff(1), "--output", "markdown"]);
    assert!(markdown.stdout.starts_with(b"```text\n") && markdown.stdout.ends_with(b"```\n"));

    // A resource that a sync uses narrows the look; one that none uses, or that is not there, is an error.
    assert_eq!(
        recorded.explain("syncscope/all", &staff(1), &[]).code,
        Some(0)
    );
    assert_eq!(
        recorded
            .explain("directoryconnector/corp", &staff(1), &[])
            .code,
        Some(0)
    );
    for (resource, part) in [
        ("syncscope/none", "uses a SyncScope"),
        ("ctenant/lab", "cannot be asked"),
        ("all", "KIND/NAME"),
    ] {
        let said = recorded.explain(resource, &staff(1), &[]);
        assert_eq!(said.code, Some(1), "{}", said.text);
        assert!(said.text.contains(part), "{}", said.text);
    }
    let nobody = recorded.explain("dsync/all", "uid=nobody,ou=Staff,dc=x", &[]);
    assert_eq!(nobody.code, Some(3));
    assert!(
        nobody.text.contains("Next: check the spelling"),
        "{}",
        nobody.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_names_its_digest_and_two_of_one_name_are_told_apart() {
    let mut entries: Vec<_> = (1..=4).map(|number| person(number, "Staff")).collect();
    entries.push(
        Entry::new(format!("uid=twin,ou=Partners,{BASE}"))
            .with("objectClass", "inetOrgPerson")
            .with("uid", "twin")
            .with("cn", "Twin")
            .with("sn", "T")
            .with("mail", "p1@corp.example.com"),
    );
    let recorded = Recorded::of(
        entries,
        json!({"exclude": [{"organizationalUnit": format!("ou=Partners,{BASE}")}]}),
        |_| {},
        |_| true,
    )
    .await;
    recorded.write(
        json!({"include": [{"organizationalUnit": format!("ou=Groups,{BASE}")}]}),
        json!({}),
    );
    let held = recorded.explain("directorysync/all", &staff(2), &[]);
    assert_eq!(held.code, Some(0), "{}", held.text);
    let digest = held.json["holds"][0]["digest"].as_str().unwrap();
    assert!(
        digest.starts_with("sha256:") && held.text.contains(digest),
        "{}",
        held.text
    );
    assert!(held.text.contains("`spec.guard.approved`"), "{}", held.text);
    assert_eq!(
        held.json["holds"][0]["operations"][0]["operation"],
        "disable"
    );
    assert_eq!(held.json["operations"], json!([]));
    // Approved, the same operation is in the plan.
    recorded.write(
        json!({"include": [{"organizationalUnit": format!("ou=Groups,{BASE}")}]}),
        json!({"guard": {"approved": [digest]}}),
    );
    let approved = recorded.explain("directorysync/all", &staff(2), &[]);
    assert_eq!(
        approved.json["operations"],
        held.json["holds"][0]["operations"]
    );

    let both = recorded.explain("directorysync/all", "p1@corp.example.com", &[]);
    assert_eq!(both.code, Some(4), "{}", both.text);
    assert!(
        both.text.contains("2 objects fit") && both.text.contains("uid=twin,"),
        "{}",
        both.text
    );
}

/// What a plan sends of attributes, by name.
fn sent(change: &Operation) -> Changes {
    match change {
        Operation::Create { values, .. } => values
            .iter()
            .map(|(name, value)| (name.clone(), Some(value.clone())))
            .collect(),
        Operation::Restore { changes, .. }
        | Operation::Adopt { changes, .. }
        | Operation::Update { changes } => changes.clone(),
        _ => Changes::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn for_every_object_of_a_company_the_values_are_those_of_the_plan() {
    let company = Company::generate(7, 40, Dialect::OpenLdap);
    // The lab has the base and units of its own.
    let own = ["", "ou=Staff,", "ou=Partners,", "ou=Groups,"].map(|unit| format!("{unit}{BASE}"));
    let is_own = |entry: &Entry| own.iter().any(|dn| dn.eq_ignore_ascii_case(&entry.dn));
    let mut entries = company.entries();
    entries.retain(|entry| !is_own(entry));
    let recorded = Recorded::of(entries, json!({}), |_| {}, |_| true).await;
    let twice = "user.givenName + ' ' + user.givenName";
    let cases = [
        json!({}),
        json!({"owner": "another", "matching": {"adopt": "Adopt"}}),
        json!({"owner": "another", "matching": {"adopt": "Never", "soft": []}}),
        json!({"mapping": {"user": {"set": {"givenName": twice, "jobTitle": "keep()"}, "omit": ["department"]}, "group": {"set": {"description": "''"}}}}),
    ];
    let mut kinds = BTreeMap::new();
    for of_sync in cases {
        let manifests = Lab::manifests(&recorded.resources(json!({}), of_sync));
        let (key, sync) = manifests.world.syncs.first_key_value().unwrap();
        let state = Store::new(None);
        let replayed = recorded::replayed(
            &manifests.world,
            key,
            sync,
            &state,
            &recorded.path("world.jsonl"),
        );
        let (mut engine, at) = replayed.unwrap().unwrap();
        let (plan, _) = engine.plan(at);
        let mut explained = 0;
        for entry in company.entries() {
            let all = engine.explain(&Question::new(&entry.dn), &plan);
            let [explanation] = all.as_slice() else {
                continue;
            };
            let Some(anchor) = &explanation.anchor else {
                continue;
            };
            explained += 1;
            let own: Vec<_> = plan
                .operations
                .iter()
                .filter(|operation| operation.anchor == *anchor)
                .cloned()
                .collect();
            assert_eq!(explanation.operations, own, "{anchor}");
            let planned: Changes = own
                .iter()
                .flat_map(|operation| sent(&operation.change))
                .collect();
            let told = explanation.attributes.iter();
            let told = told.filter_map(|one| Some((one.name.clone(), one.planned.clone()?)));
            assert_eq!(told.collect::<Changes>(), planned, "{anchor}");
            for attribute in &explanation.attributes {
                if let (Some(planned), Desired::Mapped(mapped)) =
                    (&attribute.planned, &attribute.desired)
                {
                    let desired = match mapped {
                        Mapped::Value(value) => Some(value),
                        _ => None,
                    };
                    assert_eq!(desired, planned.as_ref(), "{}", attribute.name);
                }
            }
            for operation in &own {
                *kinds.entry(operation.change.kind().as_str()).or_insert(0) += 1;
            }
        }
        assert!(explained > 40, "{explained}");
    }
    assert!(
        ["create", "update"]
            .iter()
            .all(|kind| kinds.get(kind) > Some(&20)),
        "{kinds:?}"
    );
}
