//! What the messages of a synchronisation amount to: which entries changed, which went, and whether the refresh named everything that
//! is there.
//!
//! Within a refresh "changed" wins over "deleted" for the same entry, in whatever order they come: OpenLDAP names a changed entry as
//! deleted first where the account may not search on `entryUUID`. In the persist phase the last message wins.

use std::collections::{BTreeSet, HashMap};

use crate::{
    decode::RawEntry,
    feed::content_sync::message::{Message, State, SyncUuid},
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    /// Position in `changed` by entry.
    index: HashMap<SyncUuid, usize>,
    /// In the order in which they came; `None` once it was deleted after all.
    changed: Vec<Option<(SyncUuid, RawEntry)>>,
    pub(crate) gone: BTreeSet<SyncUuid>,
    /// Named as being there.
    pub(crate) present: BTreeSet<SyncUuid>,
    /// The refresh was a present phase: what it did not name is absent.
    pub(crate) names_all: bool,
    /// As they came.
    pub(crate) cookies: Vec<Vec<u8>>,
    /// How many entries the delete sets of the refresh named.
    pub(crate) in_delete_sets: usize,
    /// Entries came after the refresh.
    pub(crate) persisted: bool,
}

impl Delta {
    /// Takes messages in their order. `refreshing` tells, before and after, whether the refresh is still under way.
    pub(crate) fn take(&mut self, messages: Vec<Message>, refreshing: &mut bool) {
        for message in messages {
            match message {
                Message::Entry {
                    state,
                    uuid,
                    cookie,
                    entry,
                } => {
                    self.cookies.extend(cookie);
                    self.persisted |= !*refreshing;
                    match (state, entry) {
                        (State::Present, _) => {
                            self.present.insert(uuid);
                        }
                        (State::Changed, Some(entry)) => self.change(uuid, entry),
                        // A referral object is no entry of ours.
                        (State::Changed, None) => {}
                        (State::Deleted, _) => self.delete(uuid, *refreshing),
                    }
                }
                Message::NewCookie(cookie) => self.cookies.push(cookie),
                Message::Set {
                    deleted,
                    uuids,
                    cookie,
                } => {
                    self.cookies.extend(cookie);
                    if deleted {
                        self.in_delete_sets += uuids.len();
                        for uuid in uuids {
                            self.delete(uuid, *refreshing);
                        }
                    } else {
                        self.names_all = true;
                        self.present.extend(uuids);
                    }
                }
                Message::PhaseEnd {
                    present,
                    refreshed,
                    cookie,
                } => {
                    self.cookies.extend(cookie);
                    self.names_all |= present;
                    *refreshing &= !refreshed;
                }
                Message::Other => {}
            }
        }
    }

    fn change(&mut self, uuid: SyncUuid, entry: RawEntry) {
        self.gone.remove(&uuid);
        let new = Some((uuid, entry));
        let at = *self.index.entry(uuid).or_insert(self.changed.len());
        if let Some(old) = self.changed.get_mut(at) {
            *old = new;
        } else {
            self.changed.push(new);
        }
    }

    fn delete(&mut self, uuid: SyncUuid, refreshing: bool) {
        if refreshing && self.index.contains_key(&uuid) {
            return;
        }
        let at = self.index.remove(&uuid);
        if let Some(entry) = at.and_then(|at| self.changed.get_mut(at)) {
            *entry = None;
        }
        self.gone.insert(uuid);
    }

    /// Nothing was said of any entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.index.is_empty() && self.gone.is_empty() && !self.names_all
    }

    /// The changed entries, in the order in which they first came.
    pub(crate) fn into_changed(self) -> impl Iterator<Item = (SyncUuid, RawEntry)> {
        self.changed.into_iter().flatten()
    }

    pub(crate) fn has_changed(&self) -> bool {
        !self.index.is_empty()
    }

    /// Every entry of which something was said.
    pub(crate) fn touched(&self) -> BTreeSet<SyncUuid> {
        self.index.keys().chain(&self.gone).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SyncUuid = [0xa; 16];
    const B: SyncUuid = [0xb; 16];

    fn entry(state: State, uuid: SyncUuid, dn: &str) -> Message {
        let entry = Some(RawEntry {
            dn: dn.as_bytes().to_vec(),
            attributes: Vec::new(),
        });
        Message::Entry {
            state,
            uuid,
            cookie: None,
            entry,
        }
    }

    fn set(deleted: bool, uuids: &[SyncUuid]) -> Message {
        Message::Set {
            deleted,
            uuids: uuids.to_vec(),
            cookie: None,
        }
    }

    fn end(present: bool) -> Message {
        Message::PhaseEnd {
            present,
            refreshed: true,
            cookie: Some(b"c".to_vec()),
        }
    }

    fn taken(messages: Vec<Message>) -> Delta {
        let (mut delta, mut refreshing) = (Delta::default(), true);
        delta.take(messages, &mut refreshing);
        delta
    }

    fn names(delta: Delta) -> Vec<String> {
        (delta.into_changed())
            .map(|(_, entry)| String::from_utf8(entry.dn).unwrap())
            .collect()
    }

    #[test]
    fn in_a_refresh_a_changed_entry_wins_over_a_deleted_one() {
        for messages in [
            vec![
                set(true, &[A, B]),
                entry(State::Changed, A, "a"),
                end(false),
            ],
            vec![
                entry(State::Changed, A, "a"),
                set(true, &[A, B]),
                end(false),
            ],
        ] {
            let delta = taken(messages);
            assert_eq!(delta.gone, BTreeSet::from([B]));
            assert_eq!(delta.in_delete_sets, 2);
            assert!(!delta.names_all && !delta.persisted);
            assert_eq!(names(delta), ["a"]);
        }
    }

    #[test]
    fn after_the_refresh_the_last_message_wins_and_each_entry_comes_once() {
        let delta = taken(vec![
            entry(State::Changed, A, "a"),
            end(false),
            entry(State::Changed, B, "b"),
            entry(State::Changed, A, "a2"),
            entry(State::Deleted, B, "b"),
        ]);
        assert!(delta.persisted);
        assert_eq!(delta.gone, BTreeSet::from([B]));
        assert_eq!(delta.touched(), BTreeSet::from([A, B]));
        assert_eq!(names(delta), ["a2"]);
        let back = taken(vec![
            end(false),
            entry(State::Deleted, A, "a"),
            entry(State::Changed, A, "a3"),
        ]);
        assert!(back.gone.is_empty());
        assert_eq!(names(back), ["a3"]);
    }

    #[test]
    fn a_present_phase_names_all_even_when_nothing_is_left() {
        let delta = taken(vec![
            set(false, &[A]),
            entry(State::Changed, B, "b"),
            end(true),
        ]);
        assert!(delta.names_all && delta.present == BTreeSet::from([A]));
        let empty = taken(vec![end(true)]);
        assert!(empty.names_all && !empty.is_empty());
        assert!(taken(vec![end(false), Message::NewCookie(b"d".to_vec())]).is_empty());
    }
}
