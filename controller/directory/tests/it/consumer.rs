//! A consumer of a source, as small as can be: it holds what the events say by the rules of the port, and nothing else.
//!
//! What is in doubt (named as missing, not brought by a complete extent, unchanged but unknown) is searched by anchor; below a
//! container that came, moved or went everything is listed. A read that fails changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use plumbline_directory::{DirectoryError, DirectorySource};
use plumbline_engine::{
    anchor::Anchor,
    entry::{Entry, EntryKind},
    port::{Cause, Cursor, Extent, Import, ReadRequest, Source as _, Start},
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
}

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
                Import::Begin { extent: began, .. } => {
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
                Import::Values(_) | Import::Tombstones(_) => panic!("not of these servers"),
            }
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
            (consumer.entries.iter())
                .map(|(anchor, entry)| {
                    let mut values: Vec<String> = (entry.attributes.iter())
                        .flat_map(|(name, values)| {
                            (values.iter()).map(move |value| {
                                format!("{name}={}", String::from_utf8_lossy(value))
                            })
                        })
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
