//! One sequence of changes and what a consumer of content synchronisation is told of it, as lines that two servers can be compared by.

use std::collections::BTreeMap;

use ldap3::Ldap;
use plumbline_lab::directory::{Change, Entry, Modification, write_changes};

use crate::command_line::Target;
use crate::sync::{Consumer, Message};

pub(crate) const FILTER: &str =
    "(|(&(objectClass=inetOrgPerson)(!(title=out)))(objectClass=organizationalUnit))";

pub(crate) struct Transcript {
    target: Target,
    pub(crate) root: String,
    outside: String,
    names: BTreeMap<Vec<u8>, String>,
    /// One who missed the last changes before the restart.
    stale: Option<Consumer>,
    pub(crate) steps: Vec<(String, Vec<String>)>,
}

impl Transcript {
    /// Makes the base, and in it `ou=feed` with two units and a few people, a group that the filter leaves out, and a place outside.
    pub(crate) fn start(target: Target, base: &str) -> Self {
        let transcript = Self {
            target,
            root: format!("ou=feed,{base}"),
            outside: format!("ou=outside,{base}"),
            names: BTreeMap::new(),
            stale: None,
            steps: Vec::new(),
        };
        let (root, unit) = (&transcript.root, "organizationalUnit");
        let mut made: Vec<Change> = [
            base.to_owned(),
            root.clone(),
            transcript.outside.clone(),
            format!("ou=a,{root}"),
            format!("ou=b,{root}"),
        ]
        .into_iter()
        .map(|dn| Change::Add(Entry::new(dn).with("objectClass", unit)))
        .collect();
        made.extend(["u1", "u2", "u3"].map(|uid| transcript.person(uid, "a")));
        made.push(transcript.person("u6", "b"));
        let group = Entry::new(format!("cn=g,{root}"))
            .with("objectClass", "groupOfNames")
            .with("cn", "g")
            .with("member", transcript.dn("u1", "a"));
        made.push(Change::Add(group));
        transcript.write(&made);
        transcript
    }

    fn dn(&self, uid: &str, unit: &str) -> String {
        format!("uid={uid},ou={unit},{}", self.root)
    }

    fn person(&self, uid: &str, unit: &str) -> Change {
        let entry = Entry::new(self.dn(uid, unit)).with("objectClass", "inetOrgPerson");
        Change::Add(entry.with("uid", uid).with("cn", uid).with("sn", uid))
    }

    fn write(&self, changes: &[Change]) {
        let answer = self.target.modify(&write_changes(changes));
        assert_eq!(answer.code, 0, "{}: {}", self.target.url, answer.output);
    }

    /// What happens, each under its name.
    fn changes(&self) -> Vec<(&'static str, Vec<Change>)> {
        let set = |dn: String, name: &str, values: &[&str]| Change::Modify {
            dn,
            modifications: vec![Modification::replace(name, values.iter().copied())],
        };
        let rename = |dn: String, new_rdn: &str, new_superior: Option<&str>| Change::Rename {
            dn,
            new_rdn: new_rdn.to_owned(),
            delete_old_rdn: true,
            new_superior: new_superior.map(str::to_owned),
        };
        let group = format!("cn=g,{}", self.root);
        let unit = |name: &str| format!("ou={name},{}", self.root);
        vec![
            ("an add", vec![self.person("u4", "a")]),
            (
                "a modify",
                vec![set(self.dn("u1", "a"), "description", &["x"])],
            ),
            (
                "the same again",
                vec![set(self.dn("u1", "a"), "description", &["x"])],
            ),
            (
                "a leaf renamed",
                vec![rename(self.dn("u1", "a"), "uid=u1x", None)],
            ),
            (
                "a delete",
                vec![Change::Delete {
                    dn: self.dn("u2", "a"),
                }],
            ),
            (
                "added and deleted",
                vec![
                    self.person("u5", "a"),
                    Change::Delete {
                        dn: self.dn("u5", "a"),
                    },
                ],
            ),
            (
                "deleted and added again",
                vec![
                    Change::Delete {
                        dn: self.dn("u4", "a"),
                    },
                    self.person("u4", "a"),
                ],
            ),
            (
                "left the filter",
                vec![set(self.dn("u3", "a"), "title", &["out"])],
            ),
            (
                "still outside it",
                vec![set(self.dn("u3", "a"), "description", &["y"])],
            ),
            (
                "entered the filter",
                vec![set(self.dn("u3", "a"), "title", &[])],
            ),
            (
                "no match changed",
                vec![set(group.clone(), "description", &["z"])],
            ),
            ("no match deleted", vec![Change::Delete { dn: group }]),
            ("a unit renamed", vec![rename(unit("b"), "ou=b2", None)]),
            (
                "moved out",
                vec![rename(self.dn("u1x", "a"), "uid=u1x", Some(&self.outside))],
            ),
            (
                "moved in",
                vec![rename(
                    format!("uid=u1x,{}", self.outside),
                    "uid=u1x",
                    Some(&unit("a")),
                )],
            ),
            (
                "a unit moved out",
                vec![rename(unit("b2"), "ou=b2", Some(&self.outside))],
            ),
            (
                "a unit moved in",
                vec![rename(
                    format!("ou=b2,{}", self.outside),
                    "ou=b2",
                    Some(&self.root),
                )],
            ),
        ]
    }

    /// refreshOnly: initial content, a delta after each step, cookies that are worth nothing, and after a restart.
    pub(crate) async fn refreshes(&mut self, ldap: &Ldap) -> Consumer {
        let mut consumer = Consumer::new(&self.root.clone(), FILTER);
        let told = consumer.refresh(ldap).await;
        self.say("initial", &told);
        let told = consumer.refresh(ldap).await;
        self.say("nothing", &told);
        for (name, changes) in self.changes() {
            self.write(&changes);
            if name == "moved in" {
                self.stale = Some(consumer.clone());
            }
            let told = consumer.refresh(ldap).await;
            self.say(name, &told);
        }
        for cookie in [
            "",
            "garbage",
            "rid=000",
            "rid=000,csn=nonsense",
            "rid=000,csn=19700101000000.000000Z#000000#000#000000",
            "rid=000,csn=20991231000000.000000Z#000000#000#000000",
        ] {
            let mut other = consumer.clone();
            other.cookie = Some(cookie.into());
            let told = other.refresh(ldap).await;
            self.say(&format!("cookie `{cookie}`"), &told);
        }
        let other_rid = String::from_utf8(consumer.cookie.clone().unwrap()).unwrap();
        consumer.cookie = Some(other_rid.replace("rid=000", "rid=123").into());
        let told = consumer.refresh(ldap).await;
        self.say("another rid", &told);
        consumer
    }

    /// A change after a restart with a cookie from before.
    pub(crate) async fn after_restart(&mut self, ldap: &Ldap, consumer: &mut Consumer) {
        let told = consumer.refresh(ldap).await;
        self.say("restarted, nothing", &told);
        self.write(&[
            self.person("u7", "a"),
            Change::Delete {
                dn: self.dn("u3", "a"),
            },
        ]);
        let mut other = consumer.clone();
        let told = consumer.refresh(ldap).await;
        self.say("restarted, current", &told);
        other.filter = "(uid=nobody)".into();
        let told = other.refresh(ldap).await;
        self.say("another filter", &told);
        let mut stale = self.stale.clone().unwrap();
        for persist in [false, true] {
            let told = if persist {
                self.stale.as_ref().unwrap().persist(ldap).await.0
            } else {
                stale.refresh(ldap).await
            };
            self.say("a cookie older than the restart", &told);
        }
    }

    /// refreshAndPersist: each step, up to the marker that follows it.
    pub(crate) async fn persist(&mut self, ldap: &Ldap, consumer: &Consumer) {
        let (told, mut following) = consumer.persist(ldap).await;
        self.say("refresh", &told);
        let marker = |number: usize| Change::Modify {
            dn: self.root.clone(),
            modifications: vec![Modification::replace("description", [number.to_string()])],
        };
        let steps: Vec<_> = self.changes().into_iter().enumerate().collect();
        let markers: Vec<Change> = steps.iter().map(|(number, _)| marker(*number)).collect();
        for ((_, (name, mut changes)), marker) in steps.into_iter().zip(markers) {
            changes.push(marker);
            self.write(&changes);
            let mut told = Vec::new();
            loop {
                let next = following.next().await;
                if matches!(&next, Message::Entry(_, dn, ..) if *dn == self.root) {
                    break;
                }
                assert!(!matches!(next, Message::Done(..)), "{next:?}");
                told.push(next);
            }
            self.say(name, &told);
        }
    }

    fn say(&mut self, step: &str, told: &[Message]) {
        for message in told {
            if let Message::Entry(_, dn, _, uuid, _) = message {
                let rdn = dn.split(',').next().unwrap_or_default().to_owned();
                self.names.entry(uuid.clone()).or_insert(rdn);
            }
        }
        let name = |uuid: &Vec<u8>| self.names.get(uuid).map_or("?", String::as_str);
        let cookie = |cookie: &Option<Vec<u8>>| match cookie.as_deref() {
            None => "none",
            Some([]) => "empty",
            Some(bytes) if String::from_utf8_lossy(bytes).contains("delcsn=") => "delcsn",
            Some(_) => "csn",
        };
        let mut lines: Vec<String> = told
            .iter()
            .map(|message| match message {
                Message::Entry(state, dn, filled, uuid, at) => {
                    format!("{state} {dn} {} {filled} {}", name(uuid), cookie(at))
                }
                Message::NewCookie(bytes) => format!("new cookie {}", cookie(&Some(bytes.clone()))),
                Message::Refreshed(deletes, at) => format!("refreshed {deletes} {}", cookie(at)),
                Message::IdSet(deletes, uuids, at) => {
                    let mut names: Vec<&str> = uuids.iter().map(name).collect();
                    names.sort_unstable();
                    format!("set {deletes} {names:?} {}", cookie(at))
                }
                Message::Done(code, None) => format!("done {code}"),
                Message::Done(code, Some((at, deletes))) => {
                    format!("done {code} {deletes} {}", cookie(at))
                }
            })
            .collect();
        // Sets, and then entries of a refresh, come in no order that is promised.
        if !matches!(told.first(), Some(Message::Entry(.., Some(_)))) {
            let sets = lines
                .iter()
                .take_while(|line| line.starts_with("set"))
                .count();
            let ends = lines.len().saturating_sub(1).max(sets);
            lines[..sets].sort_unstable();
            lines[sets..ends].sort_unstable();
        }
        self.steps.push((step.to_owned(), lines));
    }
}
