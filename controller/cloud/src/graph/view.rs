//! What the export needs to know of the last read: which ids bear our mark, and which anchor stands for which id. What was
//! made since is laid over it, for a read may come from a replica that has not seen it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use plumbline_engine::{
    anchor::Anchor,
    entry::Class,
    target::{Known, TargetId},
};
use tokio::time::Instant;

/// Replicas usually agree in seconds; an object this young may still be missing on one.
const YOUNG: Duration = Duration::from_secs(120);
/// Confirmed writes outlive a read for this long.
const OVERLAY: Duration = Duration::from_secs(600);

#[derive(Clone, Debug)]
struct Birth {
    at: Instant,
    class: Class,
    anchor: Anchor,
}

#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) owner: String,
    peers: HashMap<(Class, Anchor), TargetId>,
    marked: HashMap<TargetId, (Class, Anchor)>,
    births: HashMap<TargetId, Birth>,
    /// Groups of ours whose members were told; of the others a delta tells only differences.
    pub(crate) listed: HashSet<TargetId>,
    /// Role-assignable groups, and all who hold a role by them or directly.
    pub(crate) assignable: BTreeSet<TargetId>,
    pub(crate) privileged: HashSet<TargetId>,
}

impl View {
    pub(crate) fn new(owner: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            ..Self::default()
        }
    }

    /// What an earlier process knew.
    pub(crate) fn recalled(
        owner: &str,
        known: impl Iterator<Item = Known>,
        now: jiff::Timestamp,
    ) -> Self {
        let (mut view, at) = (Self::new(owner), Instant::now());
        for known in known {
            if known.privileged {
                view.privileged.insert(known.id.clone());
            }
            let Some(anchor) = known.anchor else { continue };
            if known.listed {
                view.listed.insert(known.id.clone());
            }
            let age = known.made.map(|made| now.duration_since(made));
            let age = age.and_then(|age| Duration::try_from(age).ok());
            match age.and_then(|age| at.checked_sub(age)) {
                Some(made) => view.born(known.class, anchor, known.id, made),
                None => view.seen(known.class, anchor, known.id),
            }
        }
        view
    }

    /// An object with our mark was read.
    pub(crate) fn seen(&mut self, class: Class, anchor: Anchor, id: TargetId) {
        self.marked.insert(id.clone(), (class, anchor.clone()));
        self.peers.insert((class, anchor), id);
    }

    /// Everything was read for this owner.
    pub(crate) fn follows(&self, owner: &str) -> bool {
        self.owner == owner
    }

    /// The object is gone or bears our mark no longer. What we made in the last minutes stays, for this may be older.
    pub(crate) fn unmarked(&mut self, id: &TargetId) {
        if self.births.contains_key(id) {
            return;
        }
        if let Some((class, anchor)) = self.marked.remove(id) {
            self.peers.remove(&(class, anchor));
        }
        self.listed.remove(id);
    }

    /// Our create was answered: the group has no members but those that we add.
    pub(crate) fn made(&mut self, class: Class, anchor: Anchor, id: TargetId, now: Instant) {
        self.listed.insert(id.clone());
        self.born(class, anchor, id, now);
    }

    /// An object became ours by our own write.
    pub(crate) fn born(&mut self, class: Class, anchor: Anchor, id: TargetId, now: Instant) {
        let birth = Birth {
            at: now,
            class,
            anchor: anchor.clone(),
        };
        self.births.insert(id.clone(), birth);
        self.seen(class, anchor, id);
    }

    pub(crate) fn forget(&mut self, class: Class, anchor: &Anchor, id: &TargetId) {
        self.marked.remove(id);
        self.births.remove(id);
        self.listed.remove(id);
        self.peers.remove(&(class, anchor.clone()));
    }

    /// Forgets which writes are recent when they no longer are.
    pub(crate) fn age(&mut self, now: Instant) {
        (self.births).retain(|_, birth| now.saturating_duration_since(birth.at) < OVERLAY);
    }

    /// Lays over this new view what the old one knows from writes of the last minutes.
    pub(crate) fn lay_over(&mut self, old: &View, now: Instant) {
        if self.owner != old.owner {
            return;
        }
        for (id, birth) in &old.births {
            if now.saturating_duration_since(birth.at) < OVERLAY {
                let key = (birth.class, birth.anchor.clone());
                self.marked.insert(id.clone(), key.clone());
                if old.listed.contains(id) {
                    self.listed.insert(id.clone());
                }
                self.peers.entry(key).or_insert_with(|| id.clone());
                self.births.insert(id.clone(), birth.clone());
            }
        }
    }

    pub(crate) fn is_marked(&self, id: &TargetId) -> bool {
        self.marked.contains_key(id)
    }

    pub(crate) fn is_young(&self, id: &TargetId, now: Instant) -> bool {
        let birth = self.births.get(id);
        birth.is_some_and(|birth| now.saturating_duration_since(birth.at) < YOUNG)
    }

    pub(crate) fn id(&self, class: Class, anchor: &Anchor) -> Option<&TargetId> {
        self.peers.get(&(class, anchor.clone()))
    }

    /// A member: a user, else a group.
    pub(crate) fn member(&self, anchor: &Anchor) -> Option<&TargetId> {
        self.id(Class::User, anchor)
            .or_else(|| self.id(Class::Group, anchor))
    }
}
