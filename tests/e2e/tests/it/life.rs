//! What happens in a company while it is kept in step: people and units change, and after each change the tenant is again
//! exactly what the model says. Who has left stays at the tenant, disabled.

use std::collections::BTreeMap;
use std::time::Duration;

use plumbline_e2e::Login;
use plumbline_lab::company::{Company, CompanyError, Dialect, ObjectId};
use plumbline_lab::directory::{Attribute, Change, Modification, Operation, write_changes};
use plumbline_lab::tenant::Quota;
use serde_json::{Map, Value, json};

use crate::expected::{Content, Units, compare, of_company, of_tenant};
use crate::scenario::Scenario;

/// The names in an example, and what kind of server it is for.
pub(crate) struct Example {
    connector: &'static str,
    sync: &'static str,
    dialect: Dialect,
}

pub(crate) const OPENLDAP: Example = Example {
    connector: "people",
    sync: "people",
    dialect: Dialect::OpenLdap,
};

pub(crate) const SAMBA: Example = Example {
    connector: "corp",
    sync: "contoso",
    dialect: Dialect::Samba,
};

pub(crate) struct Life<'a> {
    scenario: &'a Scenario,
    example: Example,
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
        example: Example,
        administrator: Login,
        company: Company,
        units: Units,
    ) -> Self {
        Self {
            scenario,
            example,
            administrator,
            company,
            units,
            left: BTreeMap::new(),
        }
    }

    /// Everything, one after the other.
    pub(crate) fn goes_on(mut self) {
        let changes = json!({"changes": {"interval": "2s", "confirmAbsence": "2s"}});
        self.scenario
            .patch("dirconn", self.example.connector, &changes);
        let engineering = self.company.unit_named("Engineering").unwrap();
        let [renamed, moved, joins, leaves, returns, comes_back] =
            [20, 30, 40, 50, 60, 70].map(|at| self.person(at));

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
        if self.example.dialect == Dialect::Samba {
            self.comes_back_after_deletion(comes_back);
        }

        let staff = self.company.unit_named("Staff").unwrap();
        self.change("a new name for the unit in scope", |company| {
            company.rename_unit(staff, "People")
        });
        self.unit_is_renamed_while_nobody_looks();
        // Links follow what is hardly there; whether a replica was asked that did not know it yet is chance.
        for round in 1..=6 {
            let seen = self.scenario.tenant.seen();
            if seen.not_found_after_create > 0 && seen.link_on_fresh_object > 0 {
                break;
            }
            let project = format!("Project \"Fresh Start\" {round}");
            self.change("a project of people who start together", |company| {
                start_together(company, engineering, &project)
            });
        }
        // Another application spends the tenant's quota meanwhile: these creates are refused for it, however slow the machine.
        self.scenario.tenant.set_quota(Quota {
            count: 4,
            window: Duration::from_secs(3),
        });
        self.change("a project while there is no quota", |company| {
            start_together(company, engineering, "Project \"Patience\"")
        });
    }

    /// A new account for someone whose old one was deleted, with the old one's GUID as its source anchor: at the tenant it is the
    /// same person again.
    fn comes_back_after_deletion(&mut self, person: ObjectId) {
        let (before, dn) = (self.company.clone(), self.company.dn(person).unwrap());
        let name = self.name(person);
        let user = self.user(&name);
        let guid = self
            .administrator
            .search(&dn, "base", "(objectClass=user)", &["objectGUID"])
            .unwrap();
        let guid = guid
            .lines()
            .find_map(|line| line.strip_prefix("objectGUID:: "))
            .unwrap();
        self.leaves("a deletion", person, |company| company.leave(person));
        assert_eq!(self.user(&name), user, "disabled, not deleted");

        self.company = before;
        self.left.remove(&person);
        let mut entries = self.company.entries().into_iter();
        let mut account = entries.find(|entry| entry.dn == dn).unwrap();
        let manager = Attribute::new("manager", account.values("manager").to_vec());
        account.attributes.retain(|each| each.name != "manager");
        let refer = |dn: String, attribute| Change::Modify {
            dn,
            modifications: vec![Modification {
                operation: Operation::Add,
                attribute,
            }],
        };
        let groups = self.company.groups().iter();
        let groups = groups.filter(|(_, group)| group.members.contains(&person));
        let groups = groups.filter_map(|(group, _)| self.company.dn(*group));
        let mut references: Vec<_> = groups
            .map(|group| refer(group, Attribute::new("member", [&*dn])))
            .collect();
        assert!(!references.is_empty() && !manager.values.is_empty());
        references.push(refer(dn, manager));
        let account = write_changes(&[Change::Add(account)]);
        let account = format!("{}\nmS-DS-ConsistencyGuid:: {guid}\n\n", account.trim_end());
        self.administrator
            .modify(&(account + &write_changes(&references)))
            .unwrap();
        self.arrives("a return after a deletion");
        assert_eq!(self.user(&name), user, "the same account");
    }

    /// The id of the only user of this name at the tenant.
    fn user(&self, name: &str) -> String {
        let users = self.scenario.tenant.users();
        let named = users
            .iter()
            .filter(|user| user["userPrincipalName"] == name);
        let ids: Vec<_> = named.map(|user| user["id"].as_str()).collect();
        let [Some(id)] = ids[..] else {
            panic!("{name} is {ids:?}")
        };
        id.to_owned()
    }

    /// The operator is stopped and its volume lost; meanwhile the other unit in scope gets a new name.
    fn unit_is_renamed_while_nobody_looks(&mut self) {
        let groups = self.company.unit_named("Groups").unwrap();
        let changes = self.company.rename_unit(groups, "Teams").unwrap();
        self.scenario
            .loses_its_volume(|| self.administrator.modify(&write_changes(&changes)).unwrap());
        let sync = self.example.sync;
        self.scenario.reconcile_now(sync, 60);
        self.scenario
            .wait(&format!("dsync/{sync}"), "condition=Ready", 60);
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
        let name = self.name(person);
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
        let mut content = of_company(&self.company, &self.units, self.example.dialect);
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
                    .and_then(|group| group["members"].as_array_mut());
                // A distribution list of AD is not at the tenant.
                if let Some(members) = members {
                    members.push(name.clone());
                    members.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
                }
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

    /// An enabled person in scope with one address, which is also the name at sign-in.
    fn person(&self, at: usize) -> ObjectId {
        let people = self.company.people().iter();
        let mut plain = people.filter(|(_, person)| {
            let one_name = person.mail.is_some() && person.mail == person.principal_name;
            one_name && person.aliases.is_empty() && person.enabled
        });
        *plain.nth(at).unwrap().0
    }

    fn name(&self, person: ObjectId) -> String {
        self.company.people()[&person].mail.clone().unwrap()
    }
}

/// Five people start at once, in a group of their own: links follow what is hardly there.
fn start_together(company: &mut Company, unit: ObjectId, project: &str) -> Changed {
    let (mut people, mut changes) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let (person, hired) = company.hire(unit)?;
        people.push(person);
        changes.extend(hired);
    }
    let groups = company.unit_named("Teams").unwrap();
    let (_, founded) = company.found_group(project, groups, people)?;
    changes.extend(founded);
    Ok(changes)
}
