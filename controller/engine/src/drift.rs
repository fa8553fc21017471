//! Drift: a difference that someone made at the target. Where the policy is to report it, nothing is sent that would put back what was
//! there before; what the source changes afterwards flows.
//!
//! Known are the changes that reads of this life brought: what others changed while nobody looked counts as the source's difference.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    anchor::Anchor,
    configuration::Configuration,
    entry::Class,
    memory::Memory,
    operation::{Change, Member, Operation},
    overlay::{Held, Slot},
    plan::Digest,
    target::{TargetId, Values},
    target_view::{Kept, State, TargetView, Touched, our_anchor, same, written},
};

/// What to do about a difference that someone made at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftPolicy {
    /// Put back what the source says.
    #[default]
    Correct,
    /// Tell, and leave it.
    Report,
}

/// One object that someone changed at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drifted {
    pub class: Class,
    pub anchor: Anchor,
    /// Sorted, with `manager` and `members` for links; empty when the object itself is gone or back.
    pub attributes: Vec<String>,
    pub since: Timestamp,
}

/// What was there before someone changed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Touch {
    slot: Slot,
    before: Digest,
    since: Timestamp,
}

fn digest(held: &Held) -> Digest {
    match held {
        Held::Value(Some(kept)) => Digest::of(&kept.digest()),
        held => Digest::of(format!("{held:?}").as_bytes()),
    }
}

/// Remembers what others changed of our objects.
pub(crate) fn note(
    memory: &mut Memory,
    touched: Vec<Touched>,
    configuration: &Configuration,
    now: Timestamp,
) {
    if configuration.drift == DriftPolicy::Correct {
        memory.touches.clear();
        return;
    }
    let ours = touched.into_iter().filter(|touched| {
        *touched.mark.owner == *configuration.owner
            && !matches!(touched.slot, Slot::Mark | Slot::ImmutableId)
    });
    for Touched {
        mark, slot, before, ..
    } in ours
    {
        let touches = memory.touches.entry(mark.anchor).or_default();
        if touches.iter().all(|known| known.slot != slot) {
            touches.push(Touch {
                before: digest(&before),
                since: now,
                slot,
            });
        }
    }
}

/// What drift is decided by.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) view: &'a TargetView,
    /// Where the object of an anchor is.
    pub(crate) id: &'a dyn Fn(&Anchor) -> Option<TargetId>,
}

/// Decides over the operations of one plan.
#[derive(Debug, Default)]
pub(crate) struct Drift {
    /// Class, earliest change and slots of what was spared.
    drifted: BTreeMap<Anchor, (Class, Timestamp, BTreeSet<Slot>)>,
}

impl Drift {
    /// What is left of an operation when that is taken out of it which would undo a drift; `None` when nothing is.
    pub(crate) fn spare(
        &mut self,
        mut operation: Operation,
        look: Look<'_>,
        memory: &mut Memory,
    ) -> Option<Operation> {
        if memory.touches.is_empty() {
            return Some(operation);
        }
        if let Change::Adopt { .. } = operation.change {
            return Some(operation);
        }
        let object = operation.target.as_ref().and_then(|id| {
            let live = look
                .view
                .find(id)
                .filter(|it| look.view.state(*it) == State::Live);
            look.view.object(live?)
        });
        let marked = object.as_ref();
        let marked = marked.and_then(|object| our_anchor(object, &look.configuration.owner));
        let anchor = marked.cloned();
        let anchor = anchor.unwrap_or_else(|| operation.anchor.clone());
        let Some(touches) = memory.touches.get_mut(&anchor) else {
            return Some(operation);
        };
        let mut spared = BTreeSet::new();
        for (slot, wanted) in effects(&operation, look) {
            let Some(at) = touches.iter().position(|touch| touch.slot == slot) else {
                continue;
            };
            let touch = &touches[at];
            if touch.before == digest(&wanted) {
                let entry = (operation.class, touch.since, BTreeSet::new());
                let (_, since, slots) = self.drifted.entry(anchor.clone()).or_insert(entry);
                *since = touch.since.min(*since);
                slots.insert(slot.clone());
                spared.insert(slot);
            } else {
                // The source wants something else now.
                touches.swap_remove(at);
            }
        }
        if spared.is_empty() {
            return Some(operation);
        }
        let Change::Update { changes } = &mut operation.change else {
            return None;
        };
        let held = |name: &String| {
            object
                .as_ref()
                .and_then(|object| object.attributes.get(name))
        };
        for slot in spared {
            if let Slot::Attribute(name) = slot {
                // What is sent together with others goes as it is held.
                let kept = held(&name).map(Kept::value);
                match kept {
                    Some(None) => changes.remove(&name),
                    kept => changes.insert(name, kept.flatten().cloned()),
                };
            }
        }
        let together = |name: &String| {
            let rule = look.configuration.capabilities.rule(operation.class, name);
            rule.and_then(|rule| rule.together)
        };
        let words: BTreeSet<&str> = (changes.iter())
            .filter(|(name, value)| !same(value.as_ref(), held(name)))
            .filter_map(|(name, _)| together(name))
            .collect();
        changes.retain(|name, value| {
            !same(value.as_ref(), held(name))
                || together(name).is_some_and(|word| words.contains(word))
        });
        (!changes.is_empty()).then_some(operation)
    }

    /// What is drifted, by class and anchor. Of objects that were looked at, what is no longer different is forgotten.
    pub(crate) fn end(self, memory: &mut Memory, judged: impl Fn(&Anchor) -> bool) -> Vec<Drifted> {
        memory.touches.retain(|anchor, touches| {
            let drifted = self.drifted.get(anchor);
            if judged(anchor) {
                touches.retain(|touch| {
                    drifted.is_some_and(|(_, _, slots)| slots.contains(&touch.slot))
                });
            }
            !touches.is_empty()
        });
        let mut all: Vec<Drifted> = self
            .drifted
            .into_iter()
            .map(|(anchor, (class, since, slots))| Drifted {
                class,
                anchor,
                attributes: names(slots),
                since,
            })
            .collect();
        all.sort_by(|a, b| (a.class, &a.anchor).cmp(&(b.class, &b.anchor)));
        all
    }
}

fn effects(operation: &Operation, look: Look<'_>) -> Vec<(Slot, Held)> {
    let peer = match &operation.change {
        Change::Create { .. } | Change::Restore { .. } => {
            return vec![(Slot::Live, Held::Flag(true))];
        }
        Change::AddMember { member }
        | Change::RemoveMember {
            member: Member::Ours(member),
        } => (look.id)(member),
        Change::SetManager { manager } => manager.as_ref().and_then(|it| (look.id)(it)),
        _ => None,
    };
    let enabled = look.configuration.capabilities.enabled;
    written(operation, peer, &Values::new(), enabled)
}

fn names(slots: BTreeSet<Slot>) -> Vec<String> {
    let names: BTreeSet<String> = slots
        .into_iter()
        .filter_map(|slot| match slot {
            Slot::Attribute(name) => Some(name),
            Slot::Manager => Some("manager".to_owned()),
            Slot::Member(_) => Some("members".to_owned()),
            Slot::Live | Slot::Mark | Slot::ImmutableId => None,
        })
        .collect();
    names.into_iter().collect()
}
