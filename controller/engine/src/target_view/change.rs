//! What deltas say: changes of objects, slot by slot, unless our own write is newer than what they were told from.

use std::collections::HashSet;

use super::{
    Kept, Object, State, TargetView,
    slot::{differing, normal},
};
use crate::{
    overlay::{Held, Slot},
    port::{News, ObjectChange, Removal},
    target::TargetId,
};

impl TargetView {
    pub(super) fn change(&mut self, change: ObjectChange) {
        let id = change.id;
        let handle = self.number(&id);
        if self.state(handle) != State::Live {
            // It says nothing of the object itself: no sign that it is there, nor that it is a user or group.
            if change.attributes.is_empty() {
                return;
            }
            if !self.overlay.is_news(&id, &Slot::Live, &Held::Flag(true)) {
                return;
            }
            if self.state(handle) == State::Deleted {
                self.put(&id, Slot::Live, Held::Flag(true));
            } else {
                let object = Object::blank(change.class, id.clone());
                let incoming = self.incoming_of(object, State::Live);
                self.replace(handle, incoming);
            }
        }
        // The mark first: what else changed is known by it.
        if let News::Now(mark) = change.mark {
            self.say(&id, Slot::Mark, Held::Mark(mark));
        }
        if let News::Now(text) = change.immutable_id {
            self.say(&id, Slot::ImmutableId, Held::Text(text));
        }
        for (name, value) in change.attributes {
            let value = Held::Value(normal(value).map(Kept::Value));
            self.say(&id, Slot::Attribute(name), value);
        }
        if let News::Now(manager) = change.manager {
            self.say(&id, Slot::Manager, Held::Link(manager));
        }
        if let News::Now(members) = change.members {
            let members: Vec<u32> = members.iter().map(|id| self.number(id)).collect();
            self.refer(&id, |incoming| incoming.members = Some(members));
            let own = |(known, slot, wrote): (&TargetId, &Slot, &Held)| {
                let ours = *known == id && matches!(slot, Slot::Member(_));
                ours.then(|| (slot.clone(), wrote.clone()))
            };
            let wrote: Vec<(Slot, Held)> = self.overlay.writes().filter_map(own).collect();
            for (slot, wrote) in wrote {
                self.set(&id, &slot, wrote);
            }
        }
        self.edit_live(&id, |object| {
            for (news, flag) in [
                (change.synced, &mut object.standing.synced),
                (change.guest, &mut object.standing.guest),
                (change.privileged, &mut object.standing.privileged),
            ] {
                if let News::Now(now) = news {
                    *flag = now;
                }
            }
        });
        self.links(&id, &change.joined, true);
        self.links(&id, &change.left, false);
    }

    pub(super) fn remove(&mut self, removal: &Removal) {
        let id = &removal.id;
        let handle = self.number(id);
        if self.state(handle) == State::Live {
            self.say(id, Slot::Live, Held::Flag(false));
        }
        if !removal.restorable && self.state(handle) == State::Deleted {
            self.remove_object(handle);
        }
    }

    /// Takes over what a delta says of one slot, unless it is stale.
    fn say(&mut self, id: &TargetId, slot: Slot, said: Held) {
        if self.overlay.is_news(id, &slot, &said) {
            self.put(id, slot, said);
        }
    }

    pub(super) fn put(&mut self, id: &TargetId, slot: Slot, held: Held) {
        let before = self.held(id, &slot);
        if before.as_ref() == Some(&held) {
            return;
        }
        let object = self.find(id).and_then(|handle| self.object(handle));
        let touched = object
            .zip(before)
            .and_then(|(object, before)| object.touched(slot.clone(), before));
        self.touched.extend(touched);
        self.set(id, &slot, held);
    }

    /// Links of a large group come many at a time.
    fn links(&mut self, id: &TargetId, peers: &[TargetId], joined: bool) {
        if peers.is_empty() {
            return;
        }
        let handle = self.number(id);
        let (State::Live, Some(members)) = (self.state(handle), self.members(handle)) else {
            return;
        };
        let mut held: HashSet<u32> = members.iter().copied().collect();
        let mut slots = Vec::new();
        for peer in peers {
            let slot = Slot::Member(peer.clone());
            let news = self.overlay.is_news(id, &slot, &Held::Flag(joined));
            let peer = self.number(peer);
            let differs = news
                && (if joined {
                    held.insert(peer)
                } else {
                    held.remove(&peer)
                });
            if differs {
                slots.push(slot);
            }
        }
        if slots.is_empty() {
            return;
        }
        let before = Held::Flag(!joined);
        if let Some(object) = self.object(handle) {
            let touched = slots
                .into_iter()
                .filter_map(|slot| object.touched(slot, before.clone()));
            self.touched.extend(touched);
        }
        let mut members: Vec<u32> = held.into_iter().collect();
        members.sort_unstable();
        self.refer(id, |incoming| incoming.members = Some(members));
    }

    /// Notes what differs of objects with a mark from what an earlier complete view held.
    pub(super) fn compare(&mut self, before: Vec<(u32, Object)>) {
        for (handle, old) in before {
            let slots = match self.whole(handle) {
                Some(new) if self.state(handle) == State::Live => differing(&old, &new),
                _ => vec![Slot::Live],
            };
            let touched = slots.into_iter().filter_map(|slot| {
                let held = of(&old, &slot)?;
                old.touched(slot, held)
            });
            let touched: Vec<_> = touched.collect();
            self.touched.extend(touched);
        }
    }
}

/// What a live object holds in a slot.
fn of(object: &Object, slot: &Slot) -> Option<Held> {
    Some(match slot {
        Slot::Live => Held::Flag(true),
        Slot::Mark => Held::Mark(object.mark.clone()),
        Slot::ImmutableId => Held::Text(object.immutable_id.clone()),
        Slot::Attribute(name) => Held::Value(object.attributes.get(name).cloned()),
        Slot::Manager => Held::Link(object.manager.clone()),
        Slot::Member(peer) => Held::Flag(object.members.as_ref()?.contains(peer)),
    })
}
