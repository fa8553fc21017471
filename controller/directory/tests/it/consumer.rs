//! A consumer of a source, as small as can be: it holds what the events say by the rules of the port, and nothing else.
//!
//! What is in doubt (named as missing, not brought by a complete extent, unchanged but unknown) is searched by anchor; below a
//! container that came, moved or went everything is listed. A read that fails changes nothing. On Active Directory links lead to
//! entries, so they go with an entry that is renamed.

use std::collections::{BTreeMap, BTreeSet};

use plumbline_directory::{DirectoryError, DirectorySource};
use plumbline_engine::{
    anchor::Anchor,
    entry::{Attributes, Entry, EntryKind, ServerType},
    port::{Cause, Cursor, Extent, Import, ReadRequest, Source as _, Start, ValueChange},
};

/// See the module.
pub(crate) struct Consumer {
    pub(crate) request: ReadRequest,
    pub(crate) entries: BTreeMap<Anchor, Entry>,
    pub(crate) cursor: Option<Cursor>,
    /// Complete reads and listings by their cause.
    pub(crate) listings: BTreeMap<Cause, usize>,
    /// What the last cycle brought: changed entries and names of missing ones.
    pub(crate) brought: usize,
    doubts: BTreeSet<Anchor>,
    subtrees: BTreeSet<String>,
    /// Links lead to entries.
    follows: bool,
}

const LINKS: [&str; 2] = ["member", "manager"];

impl Consumer {
    pub(crate) fn new(attributes: &[&str]) -> Self {
        let attributes = attributes.iter().map(|name| (*name).to_owned()).collect();
        Self {
            request: ReadRequest { attributes },
            entries: BTreeMap::new(),
            cursor: None,
            listings: BTreeMap::new(),
            brought: 0,
            doubts: BTreeSet::new(),
            subtrees: BTreeSet::new(),
            follows: false,
        }
    }

    /// One read, and the searches and listings that follow from it. All that was applied stays in step with the cursor only if the whole
    /// succeeds, so a failure puts back what was held before.
    pub(crate) async fn cycle(
        &mut self,
        source: &mut DirectorySource,
    ) -> Result<(), DirectoryError> {
        let before = (self.entries.clone(), self.cursor.clone());
        self.brought = 0;
        let outcome = self.run(source).await;
        if outcome.is_err() {
            (self.entries, self.cursor) = before;
            self.doubts.clear();
            self.subtrees.clear();
        }
        outcome
    }

    /// Cycles until one brings nothing.
    pub(crate) async fn catch_up(&mut self, source: &mut DirectorySource) {
        for _ in 0..20 {
            self.cycle(source).await.unwrap();
            if self.brought == 0 {
                return;
            }
        }
        panic!("every cycle brings something");
    }

    async fn run(&mut self, source: &mut DirectorySource) -> Result<(), DirectoryError> {
        let cursor = self.cursor.clone();
        let start = match &cursor {
            Some(cursor) => Start::After(cursor),
            None => Start::Complete(Cause::First),
        };
        let mut events = Vec::new();
        source
            .read(&self.request, start, &mut |event| events.push(event))
            .await?;
        self.apply(events);
        while !self.doubts.is_empty() || !self.subtrees.is_empty() {
            let mut events = Vec::new();
            if let Some(dn) = self.subtrees.pop_first() {
                source
                    .list(&self.request, &dn, Cause::Container, &mut |event| {
                        events.push(event)
                    })
                    .await?;
            } else {
                let doubts: Vec<Anchor> = std::mem::take(&mut self.doubts).into_iter().collect();
                source
                    .find(&self.request, &doubts, &mut |event| events.push(event))
                    .await?;
                // Found below the base, it comes as an entry; found elsewhere or not at all, it is none of ours.
                for anchor in &doubts {
                    self.remove(anchor);
                }
            }
            self.apply(events);
        }
        Ok(())
    }

    pub(crate) fn apply(&mut self, events: Vec<Import>) {
        let mut extent = None;
        let mut seen = BTreeSet::new();
        for event in events {
            match event {
                Import::Begin {
                    extent: began,
                    server_type,
                    ..
                } => {
                    self.follows = server_type == ServerType::ActiveDirectory;
                    match &began {
                        Extent::Complete(cause) | Extent::Subtree { cause, .. } => {
                            *self.listings.entry(*cause).or_default() += 1;
                        }
                        Extent::Changes => {}
                    }
                    extent = Some(began);
                }
                Import::Batch(entries) => {
                    let counted = extent.as_ref().is_some_and(|e| *e == Extent::Changes);
                    self.brought += if counted { entries.len() } else { 0 };
                    for entry in entries {
                        seen.extend(self.put(entry, extent.as_ref()));
                    }
                }
                Import::Unchanged(anchors) => {
                    for anchor in anchors {
                        match self.key(&anchor) {
                            Some(key) => _ = seen.insert(key),
                            None => _ = self.doubts.insert(anchor),
                        }
                    }
                }
                Import::Missing(anchors) => {
                    let known = anchors.into_iter().filter_map(|anchor| self.key(&anchor));
                    let known: Vec<Anchor> = known.collect();
                    self.brought += known.len();
                    self.doubts.extend(known);
                }
                Import::End { cursor } => {
                    let unseen = |dn: &str| match &extent {
                        Some(Extent::Complete(_)) => true,
                        Some(Extent::Subtree { dn: top, .. }) => is_below(dn, top),
                        _ => false,
                    };
                    let absent = self
                        .entries
                        .iter()
                        .filter(|(key, entry)| !seen.contains(*key) && unseen(&entry.dn));
                    let absent: Vec<Anchor> = absent.map(|(key, _)| key.clone()).collect();
                    self.doubts.extend(absent);
                    if !matches!(extent, Some(Extent::Subtree { .. })) {
                        self.cursor = cursor;
                    }
                }
                Import::Evidence { .. } => {}
                Import::Values(changes) => {
                    for change in changes {
                        self.change(change);
                    }
                }
                Import::Tombstones(anchors) => {
                    for anchor in anchors {
                        if let Some(key) = self.key(&anchor) {
                            self.brought += 1;
                            self.entries.remove(&key);
                        }
                    }
                }
            }
        }
    }

    fn change(&mut self, change: ValueChange) {
        let Some(key) = self.key(&change.anchor) else {
            self.doubts.insert(change.anchor);
            return;
        };
        let entry = self.entries.get_mut(&key).unwrap();
        let mut values = entry.attributes.get(&change.attribute).to_vec();
        let before = values.clone();
        values.retain(|value| !change.removed.contains(value));
        values.extend(
            change
                .added
                .into_iter()
                .filter(|value| !before.contains(value)),
        );
        self.brought += usize::from(values != before);
        let others = (entry.attributes.iter()).filter(|(name, _)| *name != change.attribute);
        let mut all: Attributes = others
            .map(|(name, values)| (name, values.to_vec()))
            .collect();
        all.add(&change.attribute, values);
        entry.attributes = all;
    }

    /// What is at or below a DN, and what leads there, goes with it.
    fn follow(&mut self, old: &str, new: &str) {
        let moved = |dn: &str| {
            let head = dn.len().checked_sub(old.len())?;
            let (head, tail) = dn.split_at_checked(head)?;
            let same = tail.eq_ignore_ascii_case(old) && (head.is_empty() || head.ends_with(','));
            same.then(|| format!("{head}{new}"))
        };
        for entry in self.entries.values_mut() {
            if let Some(dn) = moved(&entry.dn) {
                entry.dn = dn;
            }
            let attributes = entry.attributes.iter().map(|(name, values)| {
                let follow = |value: &Vec<u8>| match moved(&String::from_utf8_lossy(value)) {
                    Some(dn) if LINKS.contains(&name) => dn.into_bytes(),
                    _ => value.clone(),
                };
                (name, values.iter().map(follow).collect())
            });
            entry.attributes = attributes.collect();
        }
    }

    /// The anchor under which an entry is held, by its anchor or alternate.
    fn key(&self, name: &Anchor) -> Option<Anchor> {
        if self.entries.contains_key(name) {
            return Some(name.clone());
        }
        let mut all = self.entries.iter();
        all.find(|(_, entry)| entry.alternate.as_ref() == Some(name))
            .map(|(key, _)| key.clone())
    }

    fn put(&mut self, entry: Entry, extent: Option<&Extent>) -> Option<Anchor> {
        let anchor = entry.anchor.clone()?;
        let before = self.entries.get(&anchor).map(|old| old.dn.clone());
        if let Some(old) = before.filter(|old| self.follows && *old != entry.dn) {
            self.follow(&old, &entry.dn);
            if let Some(held) = self.entries.get_mut(&anchor) {
                held.dn = old;
            }
        }
        let old = self.entries.insert(anchor.clone(), entry.clone());
        let complete =
            matches!(extent, Some(Extent::Complete(cause)) if *cause != Cause::PresentPhase);
        if entry.kind == EntryKind::Container && !complete {
            match old {
                Some(old) if old.dn == entry.dn => {}
                // What a listing of a subtree brings lies below what is being listed.
                None if matches!(extent, Some(Extent::Subtree { .. })) => {}
                old => {
                    self.subtrees.insert(entry.dn);
                    self.subtrees.extend(old.map(|old| old.dn));
                }
            }
        }
        Some(anchor)
    }

    fn remove(&mut self, anchor: &Anchor) {
        if let Some(old) = self.entries.remove(anchor)
            && old.kind == EntryKind::Container
        {
            self.subtrees.insert(old.dn);
        }
    }

    /// Holds that it has what a fresh complete read brings.
    #[track_caller]
    pub(crate) fn assert_holds(&self, fresh: &Self) {
        let plain = |consumer: &Self| -> BTreeMap<Anchor, (String, EntryKind, Vec<String>)> {
            let names: BTreeSet<String> = consumer
                .entries
                .values()
                .map(|entry| entry.dn.to_lowercase())
                .collect();
            // A link out of what is held leads nowhere, whatever it says.
            let counts = |name: &str, value: &str| {
                !consumer.follows || !LINKS.contains(&name) || names.contains(&value.to_lowercase())
            };
            (consumer.entries.iter())
                .map(|(anchor, entry)| {
                    let mut values: Vec<String> = (entry.attributes.iter())
                        .flat_map(|(name, values)| {
                            (values.iter()).map(move |value| (name, String::from_utf8_lossy(value)))
                        })
                        .filter(|(name, value)| counts(name, value))
                        .map(|(name, value)| format!("{name}={value}"))
                        .collect();
                    values.sort();
                    (
                        anchor.clone(),
                        (entry.dn.to_lowercase(), entry.kind, values),
                    )
                })
                .collect()
        };
        let (held, fresh) = (plain(self), plain(fresh));
        for (anchor, entry) in &fresh {
            assert_eq!(held.get(anchor), Some(entry), "{anchor}");
        }
        for (anchor, entry) in &held {
            assert!(fresh.contains_key(anchor), "a ghost: {entry:?}");
        }
    }

    /// As [`Self::assert_holds`], against what a new source reads now.
    pub(crate) async fn assert_current(&self, settings: plumbline_directory::Settings) {
        let mut fresh = Self::new(&[]);
        fresh.request = self.request.clone();
        let mut source = DirectorySource::new(settings).unwrap();
        fresh.cycle(&mut source).await.unwrap();
        self.assert_holds(&fresh);
    }

    /// How often something was listed, the first read and containers aside.
    pub(crate) fn relisted(&self) -> BTreeMap<Cause, usize> {
        let mut listings = self.listings.clone();
        listings.remove(&Cause::First);
        listings.remove(&Cause::Container);
        listings
    }
}

fn is_below(dn: &str, top: &str) -> bool {
    let (dn, top) = (dn.to_lowercase(), top.to_lowercase());
    dn == top || dn.ends_with(&format!(",{top}"))
}
