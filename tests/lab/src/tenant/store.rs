//! The directory behind the lab tenant: users and groups, unique keys, soft deletion and replication.
//!
//! Writes go to the truth at once and are judged there. Readers see a replica: after a write they get the version before
//! it until that write's delay is over, which for a new object means that it does not exist yet (fact sheet §9).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Group,
}

impl Kind {
    pub(super) fn odata_type(self) -> &'static str {
        match self {
            Self::User => "#microsoft.graph.user",
            Self::Group => "#microsoft.graph.group",
        }
    }

    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Absent,
    Live,
    /// In the bin for 30 days, with its links.
    Deleted,
}

/// One state of an object. Links name peers by id.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) presence: Presence,
    pub(super) properties: Map<String, Value>,
    pub(super) manager: Option<String>,
    pub(super) members: BTreeSet<String>,
    pub(super) owners: BTreeSet<String>,
}

impl Version {
    pub(super) fn new(properties: Map<String, Value>) -> Self {
        Self {
            presence: Presence::Live,
            properties,
            manager: None,
            members: BTreeSet::new(),
            owners: BTreeSet::new(),
        }
    }

    fn absent() -> Self {
        Self {
            presence: Presence::Absent,
            ..Self::new(Map::new())
        }
    }

    pub(super) fn text(&self, property: &str) -> Option<&str> {
        self.properties.get(property).and_then(Value::as_str)
    }

    pub(super) fn flag(&self, property: &str) -> bool {
        self.properties
            .get(property)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// Whether it is a Microsoft 365 group.
    pub(super) fn is_unified(&self) -> bool {
        self.has_group_type("Unified")
    }

    pub(super) fn has_group_type(&self, name: &str) -> bool {
        let types = self.properties.get("groupTypes").and_then(Value::as_array);
        types.is_some_and(|types| types.iter().any(|value| value.as_str() == Some(name)))
    }
}

/// A value that must be unique and is not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clash {
    pub(super) property: &'static str,
    /// Whether its holder is live, or in the bin.
    pub(super) live: bool,
}

#[derive(Debug)]
pub(super) struct Object {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) truth: Version,
    /// What readers get until `settled`.
    before: Option<Version>,
    settled: Instant,
    /// Properties that had a value at some time.
    pub(super) ever: BTreeSet<String>,
    /// The manager before the present one.
    pub(super) last_manager: Option<String>,
}

/// Something that changed about an object, for delta query.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// It came, went to the bin, returned or was purged.
    Presence,
    Property(String),
    Manager,
    /// A member joined (`true`) or left.
    Member(String, bool),
}

impl Object {
    /// What a reader sees now.
    pub(super) fn seen(&self, now: Instant) -> &Version {
        self.before
            .as_ref()
            .filter(|_| now < self.settled)
            .unwrap_or(&self.truth)
    }

    pub(super) fn is_live(&self, now: Instant) -> bool {
        self.seen(now).presence == Presence::Live
    }

    /// Created, but not yet where this reader looks.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.seen(now).presence == Presence::Absent && self.truth.presence != Presence::Absent
    }
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<String, Object>,
    keys: HashMap<String, String>,
    /// By the time at which readers see it.
    journal: BTreeMap<(Instant, u64), Event>,
}

impl Store {
    /// What became visible after `since` and until `until`.
    pub(super) fn journal(&self, since: Instant, until: Instant) -> impl Iterator<Item = &Event> {
        let range = (since, u64::MAX)..=(until, u64::MAX);
        self.journal.range(range).map(|(_, event)| event)
    }

    fn note(&mut self, at: Instant, id: &str, kind: Kind, what: What) {
        let event = Event {
            id: id.to_owned(),
            kind,
            what,
        };
        let number = self.journal.len() as u64;
        self.journal.insert((at, number), event);
    }

    /// The first value of `version` that another object holds.
    pub(super) fn conflict(&self, id: &str, kind: Kind, version: &Version) -> Option<Clash> {
        keys_of(kind, version)
            .into_iter()
            .find_map(|(property, key)| {
                let holder = self.keys.get(&key).filter(|holder| *holder != id)?;
                let live = self
                    .objects
                    .get(holder)
                    .is_some_and(|object| object.truth.presence == Presence::Live);
                Some(Clash { property, live })
            })
    }

    /// Adds an object that no reader sees before `delay` is over. Conflicts are for the caller to check.
    pub(super) fn create(&mut self, id: String, kind: Kind, version: Version, delay: Duration) {
        for (_, key) in keys_of(kind, &version) {
            self.keys.insert(key, id.clone());
        }
        let before = (!delay.is_zero()).then(Version::absent);
        let settled = Instant::now() + delay;
        let object = Object {
            id: id.clone(),
            kind,
            ever: version.properties.keys().cloned().collect(),
            truth: version,
            before,
            settled,
            last_manager: None,
        };
        self.note(settled, &id, kind, What::Presence);
        self.objects.insert(id, object);
    }

    /// Changes the truth; readers see it when `delay` is over, or together with an earlier change on its way.
    pub(super) fn write(&mut self, id: &str, delay: Duration, change: impl FnOnce(&mut Version)) {
        let Some(object) = self.objects.get_mut(id) else {
            return;
        };
        let now = Instant::now();
        for (_, key) in keys_of(object.kind, &object.truth) {
            if self.keys.get(&key).is_some_and(|holder| holder == id) {
                self.keys.remove(&key);
            }
        }
        if now >= object.settled {
            object.before = (!delay.is_zero()).then(|| object.truth.clone());
            object.settled = now + delay;
        }
        let old = object.truth.clone();
        change(&mut object.truth);
        object.ever.extend(object.truth.properties.keys().cloned());
        if old.manager.is_some() {
            object.last_manager.clone_from(&old.manager);
        }
        let (visible, kind) = (object.settled.max(now), object.kind);
        let differences = differences(&old, &object.truth);
        for (_, key) in keys_of(object.kind, &object.truth) {
            self.keys.insert(key, id.to_owned());
        }
        for what in differences {
            self.note(visible, id, kind, what);
        }
    }

    /// Removes an object for good, with every link to it.
    pub(super) fn purge(&mut self, id: &str) {
        let now = Instant::now();
        if let Some(object) = self.objects.remove(id) {
            self.keys.retain(|_, holder| *holder != object.id);
            self.note(now, id, object.kind, What::Presence);
        }
        let mut unlinked = Vec::new();
        for object in self.objects.values_mut() {
            let mut unlink = |what| unlinked.push((object.id.clone(), object.kind, what));
            if object.truth.members.contains(id) {
                unlink(What::Member(id.to_owned(), false));
            }
            if object.truth.manager.as_deref() == Some(id) {
                unlink(What::Manager);
                object.last_manager = Some(id.to_owned());
            }
            for version in [Some(&mut object.truth), object.before.as_mut()]
                .into_iter()
                .flatten()
            {
                version.members.remove(id);
                version.owners.remove(id);
                version.manager = version.manager.take().filter(|manager| manager != id);
            }
        }
        for (holder, kind, what) in unlinked {
            self.note(now, &holder, kind, what);
        }
    }

    /// The holder of a key, judged by the truth: how alternate keys are resolved by a write.
    pub(super) fn by_unique_name(&self, name: &str) -> Option<&Object> {
        self.keys
            .get(&format!("uniqueName:{name}"))
            .and_then(|id| self.objects.get(id))
    }

    /// A user by id or user principal name, live or not, judged by the truth.
    pub(super) fn user(&self, key: &str) -> Option<&Object> {
        let named = || {
            self.keys
                .get(&format!("userPrincipalName:{}", key.to_lowercase()))
        };
        let object = self
            .objects
            .get(key)
            .or_else(|| named().and_then(|id| self.objects.get(id)));
        object.filter(|object| object.kind == Kind::User)
    }

    pub(super) fn live(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        let live =
            move |object: &&Object| object.kind == kind && object.truth.presence == Presence::Live;
        self.objects.values().filter(live)
    }
}

fn differences(old: &Version, new: &Version) -> Vec<What> {
    let names: BTreeSet<&String> = old.properties.keys().chain(new.properties.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| old.properties.get(*name) != new.properties.get(*name));
    let mut whats: Vec<What> = changed.map(|name| What::Property(name.clone())).collect();
    if old.presence != new.presence {
        whats.push(What::Presence);
    }
    if old.manager != new.manager {
        whats.push(What::Manager);
    }
    let joined = new.members.difference(&old.members);
    whats.extend(joined.map(|peer| What::Member(peer.clone(), true)));
    let left = old.members.difference(&new.members);
    whats.extend(left.map(|peer| What::Member(peer.clone(), false)));
    whats
}

/// The values of an object that no other may have. A deleted user keeps only its source anchor.
fn keys_of(kind: Kind, version: &Version) -> Vec<(&'static str, String)> {
    let mut keys = Vec::new();
    let mut take = |property: &'static str, value: Option<&str>| {
        if let Some(value) = value {
            keys.push((property, format!("{property}:{value}")));
        }
    };
    let lower = |property: &str| version.text(property).map(str::to_lowercase);
    let live = version.presence == Presence::Live;
    if live && kind == Kind::User {
        take("userPrincipalName", lower("userPrincipalName").as_deref());
    }
    if kind == Kind::User && version.presence != Presence::Absent {
        take(
            "onPremisesImmutableId",
            version.text("onPremisesImmutableId"),
        );
    }
    if live && kind == Kind::Group {
        take("uniqueName", version.text("uniqueName"));
        if version.is_unified() {
            take("mailNickname", lower("mailNickname").as_deref());
        }
    }
    if live {
        for address in version
            .properties
            .get("proxyAddresses")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            take(
                "proxyAddresses",
                address.as_str().map(str::to_lowercase).as_deref(),
            );
        }
    }
    keys
}
