//! What someone changes at the tenant is found within one interval, by delta query, and put back or only told.

use plumbline::{
    directory_sync::Report, folder_run::FolderRun, manifest, store::Store, world::Kind,
};
use plumbline_lab::company::{Company, Dialect, ObjectId};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::folder::Lab;

/// The loop over the lab's folder, in this process.
struct Run {
    lab: Lab,
    folder: FolderRun,
    stop: CancellationToken,
}

impl Run {
    /// Runs until the tenant is as desired.
    async fn start(settings: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let lab = Lab::start(settings).await;
        assert!(lab.plumbline(&["tenant", "init"]).await.status.success());
        let (manifests, faults) = manifest::load(&lab.path("manifests"), "default");
        assert!(faults.is_empty());
        let stop = CancellationToken::new();
        let secrets = Some(lab.path("secrets"));
        let folder = FolderRun::start(
            manifests,
            secrets,
            Store::new(None),
            None,
            None,
            stop.clone(),
        );
        let run = Self { lab, folder, stop };
        let in_step = |report: &Report| {
            let plan = report.plan.as_ref();
            report.cycles > 1 && plan.is_some_and(|plan| plan.is_empty())
        };
        run.until(in_step).await;
        run.lab.tenant.clear_log();
        run
    }

    async fn until(&self, settled: impl Fn(&Report) -> bool) -> Report {
        let mut reports = self.folder.reports();
        let wait = reports.wait_for(|reports| reports.values().any(&settled));
        let minute = std::time::Duration::from_secs(60);
        let reports = tokio::time::timeout(minute, wait).await;
        let reports = reports.unwrap().unwrap();
        reports.values().next().unwrap().clone()
    }

    /// Waits for the cycle that may be under way, and for one more.
    async fn one_interval(&self) -> Report {
        let cycles = self
            .folder
            .reports()
            .borrow()
            .values()
            .map(|report| report.cycles)
            .max();
        let cycles = cycles.unwrap_or_default();
        self.until(|report| report.cycles >= cycles + 2).await
    }

    /// `status.drift` of the sync, once it is what is expected.
    async fn drift(&self, count: u64) -> Value {
        let mut statuses = self.folder.host.statuses();
        let of_sync = |statuses: &plumbline::host::folder::Statuses| {
            let sync = statuses
                .iter()
                .find(|(subject, _)| subject.kind == Kind::DirectorySync);
            sync.map(|(_, status)| status["drift"].clone())
                .unwrap_or_default()
        };
        let wait = statuses.wait_for(|statuses| of_sync(statuses)["count"] == count);
        let minute = std::time::Duration::from_secs(60);
        let statuses = tokio::time::timeout(minute, wait).await;
        of_sync(&statuses.unwrap().unwrap())
    }

    fn user(&self, id: &str) -> Value {
        let mut users = self.lab.tenant.users().into_iter();
        users.find(|user| user["id"] == id).unwrap()
    }

    async fn finish(self) {
        assert!(
            self.lab.tenant.violations().is_empty(),
            "{:?}",
            self.lab.tenant.violations()
        );
        // Nothing was listed: what was found was found by delta query.
        let listed = |path: &str| path.starts_with("/users?") || path.starts_with("/groups?");
        assert!(
            self.lab
                .tenant
                .log()
                .iter()
                .all(|request| !listed(&request.path))
        );
        self.stop.cancel();
        self.folder.finish().await;
    }
}

/// The company of the lab and someone in it who is at the tenant, with the id there.
fn someone(run: &Run) -> (Company, ObjectId, String) {
    let company = Company::generate(7, 40, Dialect::OpenLdap);
    let users = run.lab.tenant.users();
    let found = company.people().iter().find_map(|(id, person)| {
        let user = users
            .iter()
            .find(|user| user["displayName"] == person.display_name.as_str())?;
        Some((*id, user["id"].as_str()?.to_owned()))
    });
    let (person, id) = found.unwrap();
    (company, person, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_change_is_found_within_one_interval_and_corrected() {
    let run = Run::start("Apply, driftPolicy: Correct").await;
    let (_, _, id) = someone(&run);
    let before = run.user(&id);
    let group = run
        .lab
        .tenant
        .groups()
        .into_iter()
        .find(|group| !group["members"].as_array().unwrap().is_empty());
    let group = group.unwrap();
    let (group, member) = (
        group["id"].as_str().unwrap(),
        group["members"][0].as_str().unwrap(),
    );
    run.lab
        .tenant
        .edit(&id, json!({"surname": "Foreign"}))
        .unwrap();
    run.lab.tenant.remove_member(group, member).unwrap();
    run.one_interval().await;
    assert_eq!(run.user(&id)["surname"], before["surname"]);
    let groups = run.lab.tenant.groups();
    let members = &groups.iter().find(|it| it["id"] == group).unwrap()["members"];
    assert!(members.as_array().unwrap().contains(&json!(member)));
    // And a change back to what was there before our correction is no stale answer.
    run.lab
        .tenant
        .edit(&id, json!({"surname": "Foreign"}))
        .unwrap();
    run.one_interval().await;
    run.one_interval().await;
    assert_eq!(run.user(&id)["surname"], before["surname"]);
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_change_is_only_told_where_drift_is_reported_and_the_source_still_flows() {
    let run = Run::start("Apply, driftPolicy: Report").await;
    let (mut company, person, id) = someone(&run);
    assert_eq!(run.drift(0).await["count"], 0);
    run.lab
        .tenant
        .edit(&id, json!({"surname": "Foreign", "department": "Secret"}))
        .unwrap();
    let report = run.one_interval().await;
    assert_eq!(
        report.plan.unwrap().drift.len(),
        1,
        "found within one interval"
    );
    let drift = run.drift(1).await;
    assert_eq!(
        drift["sample"][0]["attributes"],
        json!(["department", "surname"])
    );
    let user = run.user(&id);
    let mut named = user.as_object().unwrap().iter();
    let mark = named.find(|(name, _)| name.ends_with("_plumblineOwner"));
    let mark = mark.unwrap().1.as_str().unwrap();
    let anchor = drift["sample"][0]["anchor"].as_str().unwrap();
    assert_eq!(mark.rsplit(':').next(), Some(anchor));
    assert!(drift["sample"][0]["since"].is_string());
    assert_eq!(
        drift["sample"][0]["anchor"].as_str().map(str::len),
        Some(32)
    );
    assert!(!drift.to_string().contains("Foreign") && !drift.to_string().contains("Secret"));
    run.one_interval().await;
    assert_eq!(run.lab.writes(), 0);

    let changes = company.rename(person, "Lovelace").unwrap();
    run.lab.directory.apply_all(&changes).unwrap();
    run.until(|report| {
        report.last_change.is_some() && report.plan.as_ref().is_some_and(|plan| plan.is_empty())
    })
    .await;
    while run.user(&id)["surname"] != "Lovelace" {
        run.one_interval().await;
    }
    assert_eq!(run.user(&id)["department"], "Secret");
    let drift = run.drift(1).await;
    while run.drift(1).await["sample"][0]["attributes"] != json!(["department"]) {
        run.one_interval().await;
    }
    assert_eq!(drift["count"], 1);
    run.finish().await;
}
