//! What tests against real servers share: OpenLDAP's command-line clients, and a year in the life of a company.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use plumbline_lab::company::Company;
use plumbline_lab::directory::{Attribute, Change, Entry, read_entries};

/// Entries by DN, their attributes by name, values as sets of text.
pub(crate) type Content = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A server as a command-line client reaches it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) password: String,
}

/// What a command-line client printed, and its exit code, which is the LDAP result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) output: String,
}

impl Target {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args([
            "-x",
            "-H",
            &self.url,
            "-D",
            &self.name,
            "-w",
            &self.password,
        ]);
        command
    }

    pub(crate) fn search(&self, arguments: &[&str]) -> Answer {
        let output = self
            .command("ldapsearch")
            .args(["-LLL", "-o", "ldif-wrap=no"])
            .args(arguments)
            .output()
            .unwrap();
        Answer {
            code: output.status.code().unwrap(),
            output: String::from_utf8(output.stdout).unwrap(),
        }
    }

    /// Entries by DN, values as sets.
    pub(crate) fn entries(&self, arguments: &[&str]) -> Content {
        let Answer { code, output } = self.search(arguments);
        assert_eq!(code, 0, "{} {arguments:?}", self.url);
        let values = |entry: &Entry| {
            let pair = |each: &Attribute| {
                (
                    each.name.clone(),
                    each.values
                        .iter()
                        .map(|value| String::from_utf8_lossy(value).into_owned())
                        .collect(),
                )
            };
            entry.attributes.iter().map(pair).collect()
        };
        read_entries(&output)
            .unwrap()
            .iter()
            .map(|entry| (entry.dn.clone(), values(entry)))
            .collect()
    }

    pub(crate) fn modify(&self, ldif: &str) -> Answer {
        let mut child = self
            .command("ldapmodify")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(ldif.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        Answer {
            code: output.status.code().unwrap(),
            output: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Equal contents, or the entries that differ.
pub(crate) fn assert_same(ours: &Content, theirs: &Content) {
    let mut differing = Vec::new();
    for dn in ours
        .keys()
        .chain(theirs.keys().filter(|dn| !ours.contains_key(*dn)))
    {
        if ours.get(dn) != theirs.get(dn) {
            differing.push((dn, ours.get(dn), theirs.get(dn)));
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

/// Equal steps, or those that differ.
pub(crate) fn assert_same_steps(ours: &[(String, Vec<String>)], theirs: &[(String, Vec<String>)]) {
    assert_eq!(ours.len(), theirs.len());
    let differing: Vec<_> = ours
        .iter()
        .zip(theirs)
        .filter(|(ours, theirs)| ours != theirs)
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
}

/// Hires, leavers, renames, moves, groups and a renamed unit.
pub(crate) fn a_year(company: &mut Company) -> Vec<Change> {
    let mut changes = Vec::new();
    let sales = company.unit_named("Sales").unwrap();
    let platform = company.unit_named("Platform").unwrap();
    let group = company.group_named("#general").unwrap();
    for _ in 0..5 {
        let (hired, added) = company.hire(sales).unwrap();
        changes.extend(added);
        changes.extend(company.join(group, hired).unwrap());
        changes.extend(company.move_to(hired, platform).unwrap());
    }
    let people: Vec<_> = company.people().keys().copied().collect();
    for &id in people.iter().skip(3).step_by(9) {
        changes.extend(
            company
                .rename(id, "O'Neil, <Jr> + \"X\"; A=B \\ C")
                .unwrap(),
        );
    }
    for &id in people.iter().step_by(11) {
        changes.extend(company.leave(id).unwrap());
    }
    changes.extend(
        company
            .rename_unit(sales, "Sales, \"Global\" + <EMEA>")
            .unwrap(),
    );
    let staff = company.unit_named("Staff").unwrap();
    changes.extend(company.rename_unit(staff, "#Crew; (all) = *").unwrap());
    changes
}
