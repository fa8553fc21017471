//! What happens in a company while it is kept in step: people and units change, and after each change the tenant is again
//! exactly what the model says. Who has left stays at the tenant, disabled.

use std::collections::BTreeMap;

use plumbline_e2e::Login;
use plumbline_lab::company::{Company, CompanyError, Dialect, ObjectId};
use plumbline_lab::directory::{Change, write_changes};
use serde_json::{Map, Value, json};

use crate::expected::{Content, Units, compare, of_company, of_tenant};
use crate::scenario::{POD, Scenario};

pub(crate) struct Life<'a> {
    scenario: &'a Scenario,
    administrator: Login,
    company: Company,
    units: Units,
    /// Who is disabled now, as they last were.
    left: BTreeMap<ObjectId, Map<String, Value>>,
}

type Changed = Result<Vec<Change>, CompanyError>;

impl<'a> Life<'a> {
    pub(crate) fn new(
        scenario: &'a Scenario,
        administrator: Login,
        company: Company,
        units: Units,
    ) -> Self {
        Self {
            scenario,
            administrator,
            company,
            units,
            left: BTreeMap::new(),
        }
    }

    /// Everything, one after the other.
    pub(crate) fn goes_on(mut self) {
        let changes = json!({"changes": {"interval": "2s", "confirmAbsence": "2s"}});
        self.scenario.patch("dirconn", "people", &changes);
        let engineering = self.company.unit_named("Engineering").unwrap();
        let [renamed, moved, joins, leaves, returns] =
            [20, 30, 40, 50, 60].map(|at| self.person(at));

        self.change("a new family name", |company| {
            company.rename(renamed, "O'Brien-Łukasz & Søn")
        });
        self.change("a move", |company| company.move_to(moved, engineering));
        let group = self.company.group_named("#general").unwrap();
        let nested = self.company.group_named("Everyone").unwrap();
        self.change("a new member", |company| company.join(group, joins));
        self.change("a nested group", |company| company.join(group, nested));
        self.change("a unit's new name", |company| {
            company.rename_unit(engineering, "Engineering, R&D")
        });
        self.leaves("someone left", leaves, |company| company.leave(leaves));

        let (home, outside) = (
            self.company.people()[&returns].unit,
            self.company.unit_named("Contacts").unwrap(),
        );
        self.leaves("someone went out of scope", returns, |company| {
            company.move_to(returns, outside)
        });
        self.left.remove(&returns);
        self.change("a return", |company| company.move_to(returns, home));

        let staff = self.company.unit_named("Staff").unwrap();
        self.change("a new name for the unit in scope", |company| {
            company.rename_unit(staff, "People")
        });
        self.unit_is_renamed_while_nobody_looks();
        self.change("a hire afterwards", |company| {
            company.hire(engineering).map(|(_, changes)| changes)
        });
    }

    /// The operator is stopped and its volume lost; meanwhile the other unit in scope gets a new name.
    fn unit_is_renamed_while_nobody_looks(&mut self) {
        let kubectl = |arguments: &[&str]| self.scenario.kubectl(arguments).unwrap();
        kubectl(&["scale", "statefulset/plumbline", "--replicas=0"]);
        kubectl(&[
            "wait",
            "--for=delete",
            "--timeout=60s",
            &format!("pod/{POD}"),
        ]);
        kubectl(&["delete", "pvc", "state-plumbline-0"]);
        let groups = self.company.unit_named("Groups").unwrap();
        let changes = self.company.rename_unit(groups, "Teams").unwrap();
        self.administrator.modify(&write_changes(&changes)).unwrap();
        kubectl(&["scale", "statefulset/plumbline", "--replicas=1"]);
        kubectl(&[
            "rollout",
            "status",
            "--timeout=60s",
            "statefulset/plumbline",
        ]);
        self.scenario.reconcile_now("people", 60);
        self.scenario.wait("dsync/people", "condition=Ready", 60);
        self.arrives("a unit renamed while nobody looked");
    }

    fn change(&mut self, what: &str, change: impl FnOnce(&mut Company) -> Changed) {
        let changes = change(&mut self.company).unwrap();
        self.administrator.modify(&write_changes(&changes)).unwrap();
        self.arrives(what);
    }

    fn leaves(
        &mut self,
        what: &str,
        person: ObjectId,
        change: impl FnOnce(&mut Company) -> Changed,
    ) {
        let name = self.company.people()[&person].mail.clone().unwrap();
        let mut user = self.expected().users.remove(&name).unwrap();
        user.insert("accountEnabled".into(), json!(false));
        self.left.insert(person, user);
        let revoked = self.scenario.tenant.revoked_sessions().len();
        self.change(what, change);
        // The sessions end with a request of its own, right after.
        self.scenario.eventually(60, what, || {
            let ended = self.scenario.tenant.revoked_sessions().len() > revoked;
            ended
                .then_some(())
                .ok_or_else(|| format!("the sessions of {name} live on"))
        });
    }

    fn expected(&self) -> Content {
        let mut content = of_company(&self.company, &self.units, Dialect::OpenLdap);
        for (person, user) in &self.left {
            let name = &user["userPrincipalName"];
            content
                .users
                .insert(name.as_str().unwrap().to_owned(), user.clone());
            // Disabled and still in the directory, out of scope: its groups keep them.
            for group in self
                .company
                .groups()
                .values()
                .filter(|group| group.members.contains(person))
            {
                let members = content
                    .groups
                    .get_mut(&group.name)
                    .and_then(|group| group["members"].as_array_mut())
                    .unwrap();
                members.push(name.clone());
                members.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
            }
        }
        content
    }

    fn arrives(&self, what: &str) {
        let expected = self.expected();
        self.scenario.eventually(90, what, || {
            compare(&expected, &of_tenant(&self.scenario.tenant))
        });
    }

    /// Someone in scope with one address, which is then the name at sign-in.
    fn person(&self, at: usize) -> ObjectId {
        let people = self.company.people().iter();
        let mut plain =
            people.filter(|(_, person)| person.mail.is_some() && person.aliases.is_empty());
        *plain.nth(at).unwrap().0
    }
}
