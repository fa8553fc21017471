//! How objects of the view are found: by mark, immutable id, and the values that matching looks for.

use std::collections::BTreeSet;

use super::{Kept, Object, State, TargetView, our_anchor, same, value_key};
use crate::{
    anchor::Anchor,
    entry::Class,
    index::{Index, NONE, hash, short},
    target::Value,
};

impl TargetView {
    /// Attributes whose values matching looks for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(String::as_str)
    }

    /// The keys of the values that matching looks for.
    pub(crate) fn value_keys_of(&self, object: &Object) -> Vec<u32> {
        let values = object.attributes.iter();
        values
            .filter(|(name, _)| self.keys.contains(*name))
            .flat_map(|(_, kept)| {
                let texts = kept.texts().iter();
                texts.map(move |text| value_key(object.class, text))
            })
            .collect()
    }

    pub(crate) fn value_keys(&self, handle: u32) -> Vec<u32> {
        let object = self.object(handle);
        object.map_or(Vec::new(), |object| self.value_keys_of(&object))
    }

    /// Live objects with a value of this key, and perhaps some of another one.
    pub(crate) fn with_value(&self, key: u32) -> Vec<u32> {
        self.by_value.get(key)
    }

    /// All live objects of ours.
    pub(crate) fn all_ours(&self) -> impl Iterator<Item = (u32, Anchor)> {
        (0..self.count()).filter_map(|handle| Some((handle, self.ours(handle)?)))
    }

    /// Live objects with our mark for an anchor, by id.
    pub(crate) fn by_mark(&self, anchor: &Anchor) -> Vec<u32> {
        let found = self.by_mark.get(short(hash(anchor)));
        self.sorted(found, |view, handle| {
            view.ours(handle).as_ref() == Some(anchor)
        })
    }

    /// Deleted objects with our mark for an anchor, by id.
    pub(crate) fn deleted_by_mark(&self, anchor: &Anchor) -> Vec<u32> {
        let found = self.by_mark.get(short(hash(anchor)));
        self.sorted(found, |view, handle| {
            let object = view.object(handle);
            view.state(handle) == State::Deleted
                && object.is_some_and(|object| our_anchor(&object, &view.owner) == Some(anchor))
        })
    }

    /// Live objects with an immutable id, by id.
    pub(crate) fn by_immutable(&self, text: &str) -> Vec<u32> {
        let mut found = self.by_immutable.get(short(hash(text)));
        for anchor in [Anchor::from_immutable_id(text), Anchor::Text(text.into())] {
            found.extend(self.by_mark(&anchor));
        }
        found.sort_unstable();
        found.dedup();
        self.sorted(found, |view, handle| {
            let object = view.object(handle);
            object.is_some_and(|object| object.immutable_id.as_deref() == Some(text))
        })
    }

    /// Live objects that hold a value, without regard to case, by id.
    pub(crate) fn holders(&self, class: Class, attribute: &str, text: &str) -> Vec<u32> {
        let found = self.by_value.get(value_key(class, text));
        let text = text.to_lowercase();
        self.sorted(found, |view, handle| {
            view.object(handle).is_some_and(|object| {
                let kept = object.attributes.get(attribute);
                let mut texts = kept.map_or(&[][..], Kept::texts).iter();
                object.class == class && texts.any(|held| held.to_lowercase() == text)
            })
        })
    }

    fn sorted(&self, mut found: Vec<u32>, fits: impl Fn(&Self, u32) -> bool) -> Vec<u32> {
        found.retain(|handle| fits(self, *handle));
        if found.len() > 1 {
            found.sort_by_cached_key(|handle| self.id(*handle));
        }
        found
    }

    /// Groups and people that refer to one of these, by a look at all references.
    pub(crate) fn referring_to(&self, handles: &BTreeSet<u32>) -> Vec<u32> {
        let groups = (self.members.iter())
            .filter(|(_, members)| members.iter().any(|member| handles.contains(member)))
            .map(|(group, _)| *group);
        let people = (0..)
            .zip(&self.objects)
            .filter(|(_, object)| object.manager != NONE && handles.contains(&object.manager))
            .map(|(handle, _)| handle);
        groups.chain(people).collect()
    }

    /// Puts an object into the indexes and counts, or takes it out.
    pub(super) fn index(&mut self, handle: u32, into: bool) {
        if let Some(object) = self.object(handle) {
            self.index_as(handle, &object, into);
        }
    }

    /// [`Self::index`] of an object of which at least the attributes are known that are looked for.
    pub(super) fn index_as(&mut self, handle: u32, object: &Object, into: bool) {
        let set = |index: &mut Index, key: u32| {
            if into {
                index.insert(key, handle);
            } else {
                index.remove(key, handle);
            }
        };
        let told = self.complete && !self.seen.everything;
        let mark = our_anchor(object, &self.owner).cloned();
        if let Some(anchor) = &mark {
            set(&mut self.by_mark, short(hash(anchor)));
            self.seen.anchors.extend(told.then(|| anchor.clone()));
        }
        if self.state(handle) != State::Live {
            return;
        }
        if mark.is_some() {
            let enabled = object.attributes.get(self.enabled_attribute);
            let blocked = same(Some(&Value::Flag(false)), enabled);
            let counts = [(true, &mut self.managed), (!blocked, &mut self.enabled)];
            for (_, counts) in counts.into_iter().filter(|(counts, _)| *counts) {
                let count = counts.entry(object.class).or_default();
                *count = if into {
                    *count + 1
                } else {
                    count.saturating_sub(1)
                };
            }
        }
        if let Some(id) = &object.immutable_id {
            // The usual one is found by the mark.
            if mark.is_none_or(|anchor| anchor.immutable_id() != *id) {
                set(&mut self.by_immutable, short(hash(id.as_str())));
            }
            let anchors = [Anchor::from_immutable_id(id), Anchor::from_text(id)];
            self.seen
                .anchors
                .extend(anchors.into_iter().filter(|_| told));
        }
        for (name, kept) in &object.attributes {
            if self.keys.contains(name) {
                for text in kept.texts() {
                    let key = value_key(object.class, text);
                    set(&mut self.by_value, key);
                    self.seen.values.extend(told.then_some(key));
                }
            }
        }
    }
}
