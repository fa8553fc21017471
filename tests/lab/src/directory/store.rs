//! The content of the embedded directory: entries by number, name and parent.
//!
//! Numbers grow with each add and never change, so a renamed or moved entry stays the same entry. Writes go through
//! `apply` (the rules of the profile hold) or `insert_raw` (nothing is checked); a failed write changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ldap3_proto::proto::LdapResultCode;

use super::Profile;
use super::change_log::ChangeLog;
use super::dn::{self, Ava, Dn, Escaping, Rdn};
use super::entry::{self, Attribute, Change, Entry};
use super::modify::random_uuid;
use super::refusal::Refusal;
use super::replication::Metadata;
use super::schema;
use super::{active_directory, ldif, links::Links};

/// One entry as kept: its stored attributes, operational ones among them.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) parent: Option<u64>,
    pub(crate) dn: Dn,
    /// The key of `dn`, kept because each search looks at all of them.
    pub(crate) key: String,
    pub(crate) attributes: Vec<Attribute>,
    /// AD: when each attribute and linked value was written.
    pub(crate) metadata: Metadata,
    /// Inserted without checks: given out as it is, nothing computed is added.
    pub(crate) raw: Option<String>,
}

/// Everything in the directory.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) profile: Profile,
    pub(crate) base: Dn,
    pub(crate) base_key: String,
    /// Keys of the AD containers that searches treat apart.
    configuration_key: String,
    pub(crate) deleted_objects_key: String,
    pub(crate) entries: BTreeMap<u64, Stored>,
    pub(crate) index: HashMap<String, u64>,
    pub(crate) children: HashMap<u64, BTreeSet<u64>>,
    pub(crate) next: u64,
    /// AD: highestCommittedUSN.
    pub(crate) usn: u64,
    /// AD: the name of this domain controller.
    pub(crate) server: &'static str,
    /// AD: this incarnation of the database, and what it has of others.
    pub(crate) invocation: [u8; 16],
    pub(crate) up_to_date: BTreeMap<[u8; 16], u64>,
    pub(crate) next_rid: u32,
    /// slapd: what changed, and whether a cookie that the session log does not cover is refused (`syncprov-reloadhint`).
    pub(crate) changes: ChangeLog,
    pub(crate) reload_hint: bool,
    links: Option<std::sync::Arc<Links>>,
}

impl Stored {
    pub(crate) fn new(parent: Option<u64>, dn: Dn, attributes: Vec<Attribute>) -> Self {
        Self {
            parent,
            key: dn.key(),
            dn,
            attributes,
            metadata: Metadata::default(),
            raw: None,
        }
    }

    pub(crate) fn values(&self, name: &str) -> &[Vec<u8>] {
        entry::values(&self.attributes, name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values(name)
            .first()
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    pub(crate) fn set<V: Into<Vec<u8>>>(&mut self, name: &str, value: V) {
        let value = value.into();
        match entry::find_mut(&mut self.attributes, name) {
            Some(attribute) => attribute.values = vec![value],
            None => self.attributes.push(Attribute::new(name, [value])),
        }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.text("isDeleted") == Some("TRUE")
    }

    pub(crate) fn has_class(&self, class: &str) -> bool {
        self.values("objectClass")
            .iter()
            .any(|value| value.eq_ignore_ascii_case(class.as_bytes()))
    }
}

impl Store {
    /// A directory with the given entries; in the `Ad` profile also with what a new domain holds.
    ///
    /// References among the entries may point forward. Given `entryUUID`, `objectGUID` and `objectSid` are kept.
    pub(crate) fn new(profile: Profile, base: Dn, entries: &[Entry]) -> Result<Self, Refusal> {
        let mut store = Self {
            profile,
            configuration_key: format!("cn=configuration,{}", base.key()),
            deleted_objects_key: format!("cn=deleted objects,{}", base.key()),
            base_key: base.key(),
            base,
            entries: BTreeMap::new(),
            index: HashMap::new(),
            children: HashMap::new(),
            next: 1,
            usn: 0,
            server: "DC1",
            invocation: random_uuid(),
            up_to_date: BTreeMap::new(),
            next_rid: 1103,
            changes: ChangeLog::new(),
            reload_hint: false,
            links: None,
        };
        store.base = store.spell(&store.base);
        if profile == Profile::Ad {
            store.usn = 3500;
            active_directory::found(&mut store)?;
        }
        let mut parsed = Vec::with_capacity(entries.len());
        for entry in entries {
            parsed.push((store.parse(&entry.dn)?, entry));
        }
        parsed.sort_by_key(|(name, _)| name.0.len());
        let mut added = Vec::with_capacity(parsed.len());
        for (name, entry) in parsed {
            let known = store.index.get(&name.key()).copied();
            match known {
                // The domain head and the default containers of a new domain may be given again.
                Some(id) if profile == Profile::Ad => added.push(id),
                _ => added.push(store.add(entry)?),
            }
        }
        for id in added {
            store.settle_references(id, false)?;
        }
        store.changes.restart();
        Ok(store)
    }

    /// Applies one change under the rules of the profile.
    pub fn apply(&mut self, change: &Change) -> Result<(), Refusal> {
        let (id, added, gone) = self.make(change)?;
        self.log_change(id, added, gone.as_ref());
        Ok(())
    }

    /// Applies one change that content synchronisation says nothing of: what servers lose with a success code.
    pub fn apply_untold(&mut self, change: &Change) -> Result<(), Refusal> {
        self.make(change).map(drop)
    }

    /// Makes a change; tells the number of the entry, whether it is new, and what was deleted.
    fn make(&mut self, change: &Change) -> Result<(u64, bool, Option<Stored>), Refusal> {
        let named = match change {
            Change::Add(entry) => &entry.dn,
            Change::Modify { dn, .. } | Change::Rename { dn, .. } | Change::Delete { dn } => dn,
        };
        let known = self.parse(named).ok().and_then(|name| self.find(&name));
        let gone = match (change, known) {
            (Change::Delete { .. }, Some(id)) => self.entries.get(&id).cloned(),
            _ => None,
        };
        let added = self.next;
        let done = match change {
            Change::Add(entry) => self.add(entry).and_then(|id| {
                self.settle_references(id, true)
                    .inspect_err(|_| self.remove(id))
            }),
            Change::Modify { dn, modifications } => self.modify(dn, modifications),
            Change::Rename {
                dn,
                new_rdn,
                delete_old_rdn,
                new_superior,
            } => self.rename(dn, new_rdn, *delete_old_rdn, new_superior.as_deref()),
            Change::Delete { dn } => self.delete(dn),
        };
        self.links = None;
        done.map(|()| (known.unwrap_or(added), known.is_none(), gone))
    }

    /// Inserts an entry without any check or operational attribute: for broken UTF-8, missing or doubled anchors,
    /// names in another escaping. Its parent must exist; its name must be readable and new.
    pub fn insert_raw(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let name = self.parse(&entry.dn)?;
        let parent = self.parent_of(&name)?;
        let mut stored = Stored {
            raw: Some(entry.dn.clone()),
            ..Stored::new(parent, name, entry.attributes.clone())
        };
        if self.profile == Profile::Ad {
            self.usn += 1;
            self.note(&mut stored);
            self.note_name(&mut stored);
        }
        self.place(stored)?;
        self.links = None;
        Ok(())
    }

    /// All entries that are no tombstones, parents first, with every stored attribute.
    pub fn dump_ldif(&self) -> String {
        let mut ids: Vec<u64> = self.entries.keys().copied().collect();
        ids.sort_by_key(|id| self.entries.get(id).map_or(0, |each| each.dn.0.len()));
        let entries: Vec<Entry> = ids
            .iter()
            .filter_map(|id| self.entries.get(id))
            .filter(|each| !each.is_deleted())
            .map(|each| Entry {
                dn: self.written(each),
                attributes: each.attributes.clone(),
            })
            .collect();
        ldif::write_entries(&entries)
    }

    /// The number of entries that are no tombstones.
    pub fn len(&self) -> usize {
        self.entries
            .values()
            .filter(|each| !each.is_deleted())
            .count()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads a name as a client writes it, `<GUID=…>`, `<SID=…>` and `<WKGUID=…>` included in the `Ad` profile.
    pub(crate) fn parse(&self, text: &str) -> Result<Dn, Refusal> {
        if self.profile == Profile::Ad && text.starts_with('<') {
            return active_directory::resolve_extended(self, text);
        }
        Dn::parse(text).map_err(|error| Refusal::bad_name(self.profile, &error))
    }

    pub(crate) fn find(&self, name: &Dn) -> Option<u64> {
        self.index.get(&name.key()).copied()
    }

    /// The number of an existing entry, else noSuchObject with the closest ancestor.
    pub(crate) fn existing(&self, name: &Dn) -> Result<u64, Refusal> {
        self.find(name)
            .ok_or_else(|| Refusal::absent(self.profile, self.closest(name)))
    }

    pub(crate) fn closest(&self, name: &Dn) -> String {
        let mut up = name.parent();
        while let Some(ancestor) = up {
            if let Some(stored) = self.find(&ancestor).and_then(|id| self.entries.get(&id)) {
                return self.written(stored);
            }
            up = ancestor.parent();
        }
        String::new()
    }

    /// A name as this kind of server spells it.
    pub(crate) fn spell(&self, name: &Dn) -> Dn {
        let rdn = |rdn: &Rdn| {
            let spell = |ava: &Ava| {
                let canonical = schema::canonical(&ava.attribute);
                let attribute = match self.profile {
                    Profile::OpenLdap => canonical.to_owned(),
                    Profile::Ad => canonical.to_ascii_uppercase(),
                };
                Ava {
                    attribute,
                    value: ava.value.clone(),
                }
            };
            Rdn(rdn.0.iter().map(spell).collect())
        };
        Dn(name.0.iter().map(rdn).collect())
    }

    pub(crate) fn render(&self, name: &Dn) -> String {
        name.render(match self.profile {
            Profile::OpenLdap => Escaping::Hex,
            Profile::Ad => Escaping::Backslash,
        })
    }

    pub(crate) fn written(&self, stored: &Stored) -> String {
        stored
            .raw
            .clone()
            .unwrap_or_else(|| self.render(&stored.dn))
    }

    /// Whether an entry belongs to the configuration, a naming context of its own below the AD domain's head.
    pub(crate) fn in_configuration(&self, key: &str) -> bool {
        self.profile == Profile::Ad && dn::is_within(key, &self.configuration_key)
    }

    pub(crate) fn links(&mut self) -> std::sync::Arc<Links> {
        let links = self
            .links
            .take()
            .unwrap_or_else(|| std::sync::Arc::new(Links::of(self)));
        self.links = Some(std::sync::Arc::clone(&links));
        links
    }

    /// Where a new name goes; only naming contexts have no parent.
    pub(crate) fn parent_of(&self, name: &Dn) -> Result<Option<u64>, Refusal> {
        if name.key() == self.base_key {
            return Ok(None);
        }
        let parent = name.parent().and_then(|parent| self.find(&parent));
        parent
            .map(Some)
            .ok_or_else(|| Refusal::absent(self.profile, self.closest(name)))
    }

    pub(crate) fn place(&mut self, stored: Stored) -> Result<u64, Refusal> {
        let key = stored.key.clone();
        if self.index.contains_key(&key) {
            return Err(self.exists());
        }
        let id = self.next;
        self.next += 1;
        if let Some(parent) = stored.parent {
            self.children.entry(parent).or_default().insert(id);
        }
        self.index.insert(key, id);
        self.entries.insert(id, stored);
        Ok(id)
    }

    pub(crate) fn remove(&mut self, id: u64) {
        if let Some(stored) = self.entries.remove(&id) {
            self.index.remove(&stored.key);
            if let Some(siblings) = stored
                .parent
                .and_then(|parent| self.children.get_mut(&parent))
            {
                siblings.remove(&id);
            }
        }
    }

    pub(crate) fn has_children(&self, id: u64) -> bool {
        self.children
            .get(&id)
            .is_some_and(|children| !children.is_empty())
    }

    pub(crate) fn exists(&self) -> Refusal {
        let message = match self.profile {
            Profile::OpenLdap => "",
            Profile::Ad => "00002071: UpdErr: DSID-031A11EF, problem 6005 (ENTRY_EXISTS), data 0",
        };
        Refusal::new(LdapResultCode::EntryAlreadyExists, message)
    }
}
