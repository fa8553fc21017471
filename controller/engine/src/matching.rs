//! Matching: which object at the target belongs to which identity. Ours are found by the mark; what is not marked is only ever taken
//! over as `matching` says, and never where that could do harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use crate::{
    anchor::Anchor,
    configuration::{Adopt, Configuration},
    entry::Class,
    identity::Identity,
    reason::Reason,
    target::TargetId,
    target_view::{Object, TargetView, our_anchor, texts},
};

/// An object of the target and its number in the view.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) handle: u32,
    pub(crate) object: Object,
}

/// The object of an identity.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Ours(Rc<Held>),
    Restore(Rc<Held>),
    Adopt(Rc<Held>),
    Create,
}

impl Found {
    pub(crate) fn object(&self) -> Option<&Held> {
        match self {
            Self::Ours(held) | Self::Restore(held) | Self::Adopt(held) => Some(held),
            Self::Create => None,
        }
    }
}

/// Why an identity is set aside, and which objects it concerns.
#[derive(Debug)]
pub(crate) struct Obstacle {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    pub(crate) found: BTreeMap<Anchor, Found>,
    pub(crate) obstacles: BTreeMap<Anchor, Obstacle>,
    /// Objects without our mark that may turn out to be somebody's: they stay in their groups.
    pub(crate) claimed: BTreeMap<Anchor, BTreeSet<u32>>,
    /// Anchors of our objects whose entry has another anchor now.
    pub(crate) kept: BTreeMap<Anchor, BTreeSet<Anchor>>,
}

/// What the identities that are matched together are matched against.
#[derive(Clone, Copy)]
pub(crate) struct Against<'a> {
    pub(crate) view: &'a TargetView,
    pub(crate) configuration: &'a Configuration,
    /// Whether an anchor is an identity's own.
    pub(crate) taken: &'a dyn Fn(&Anchor) -> bool,
    /// Leads from an entry's anchor to the one that its object was made with.
    pub(crate) changed: &'a dyn Fn(&Anchor) -> Option<Anchor>,
}

impl Against<'_> {
    fn held(&self, handles: Vec<u32>) -> Vec<Rc<Held>> {
        let objects = handles.into_iter().filter_map(|handle| {
            let object = self.view.object(handle)?;
            Some(Rc::new(Held { handle, object }))
        });
        objects.collect()
    }
}

/// Finds the object of one identity.
pub(crate) fn find(matches: &mut Matches, identity: &Identity, against: Against<'_>) {
    let (view, anchor) = (against.view, &identity.anchor);
    let ours = |anchor: &Anchor| Some(view.by_mark(anchor)).filter(|found| !found.is_empty());
    let changed = |name: &Anchor| (against.changed)(name).filter(|old| ours(old).is_some());
    let own = [anchor].into_iter().chain(&identity.joined);
    if let Some(old) = own.into_iter().find_map(changed) {
        let message = format!(
            "the source anchor was {old} and is {anchor} now: put the old value back; the object at the target is left alone"
        );
        matches.set_aside(anchor, Reason::AnchorChanged, message);
        matches.keep(anchor, old);
        return;
    }
    // A name that is another identity's own anchor is that one's.
    let free = |name: &&Anchor| *name == anchor || !(against.taken)(name);
    let bearing = |name: &Anchor| ours(name).filter(|_| free(&name));
    let several = several(identity, &bearing);
    let own = several.or_else(|| identity.names().find_map(bearing));
    match own.map(|own| by_id(against.held(own))).as_deref() {
        Some([held]) if held.object.class == identity.class => {
            let found = Found::Ours(held.clone());
            matches.found.insert(anchor.clone(), found);
        }
        Some(objects) => {
            let joined = if identity.joined.is_empty() {
                ""
            } else {
                " or an entry that is joined to it"
            };
            let message = format!(
                "{} bear our mark for {anchor}{joined}: leave only one {} that does",
                list(objects),
                identity.class.as_str()
            );
            matches.set_aside(anchor, Reason::AmbiguousMatch, message);
        }
        // What does not exist yet waits for the scope's exclusions.
        None if identity.closed => {}
        None => {
            let deleted = identity.names().find_map(|name| {
                let mut objects = against.held(view.deleted_by_mark(name)).into_iter();
                objects.find(|held| held.object.class == identity.class)
            });
            match deleted {
                Some(held) => {
                    matches.found.insert(anchor.clone(), Found::Restore(held));
                }
                None => matches.unmarked(identity, against),
            }
        }
    }
}

/// Each of several entries of one identity has brought an object of its own: all of them.
fn several(identity: &Identity, bearing: &dyn Fn(&Anchor) -> Option<Vec<u32>>) -> Option<Vec<u32>> {
    if identity.joined.is_empty() {
        return None;
    }
    let own = [&identity.anchor].into_iter().chain(&identity.alternate);
    let all = own.chain(&identity.joined).filter_map(bearing).flatten();
    let all: BTreeSet<u32> = all.collect();
    (all.len() > 1).then(|| all.into_iter().collect())
}

/// So that a message does not depend on the order of reads.
fn by_id(mut objects: Vec<Rc<Held>>) -> Vec<Rc<Held>> {
    objects.sort_by(|a, b| a.object.id.cmp(&b.object.id));
    objects
}

impl Matches {
    fn set_aside(&mut self, anchor: &Anchor, reason: Reason, message: String) {
        let obstacle = Obstacle { reason, message };
        self.obstacles.insert(anchor.clone(), obstacle);
    }

    pub(crate) fn keep(&mut self, anchor: &Anchor, kept: Anchor) {
        self.kept.entry(anchor.clone()).or_default().insert(kept);
    }

    pub(crate) fn claim(&mut self, anchor: &Anchor, held: &Held) {
        let claimed = self.claimed.entry(anchor.clone()).or_default();
        claimed.insert(held.handle);
    }

    /// Looks for an object without our mark.
    fn unmarked(&mut self, identity: &Identity, against: Against<'_>) {
        let (view, configuration) = (against.view, against.configuration);
        let (owner, anchor) = (&configuration.owner, &identity.anchor);
        let (candidates, by) = candidates(identity, against);
        let ours = |held: &&Rc<Held>| our_anchor(&held.object, owner).is_some();
        if let Some(held) = candidates.iter().find(ours)
            && by.is_none()
        {
            let message = format!(
                "{} bears our mark for another anchor and the immutable id of this one: put the entry's old anchor back",
                name(&held.object)
            );
            if let Some(old) = our_anchor(&held.object, owner) {
                self.keep(anchor, old.clone());
            }
            return self.set_aside(anchor, Reason::AnchorChanged, message);
        }
        let candidates: Vec<Rc<Held>> =
            candidates.into_iter().filter(|held| !ours(&held)).collect();
        candidates.iter().for_each(|held| self.claim(anchor, held));
        let how = by.map_or_else(
            || "by immutable id".to_owned(),
            |attribute| format!("by `{attribute}`"),
        );
        let (reason, message) = match candidates.as_slice() {
            [] => {
                self.found.insert(anchor.clone(), Found::Create);
                return;
            }
            objects if let Some(held) = objects.iter().find(|held| held.object.mark.is_some()) => {
                let message = format!(
                    "{} matches {how} and bears another owner's mark: decide which DirectorySync owns it",
                    name(&held.object)
                );
                (Reason::OwnedByOther, message)
            }
            [held] => match refusal(&held.object, view, configuration.matching.adopt) {
                None => {
                    let found = Found::Adopt(held.clone());
                    self.found.insert(anchor.clone(), found);
                    return;
                }
                Some((reason, why)) => {
                    let message = format!("{} matches {how}; {why}", name(&held.object));
                    (reason, message)
                }
            },
            objects => {
                let message = format!("{} match {how}: leave only one that does", list(objects));
                (Reason::AmbiguousMatch, message)
            }
        };
        self.set_aside(anchor, reason, message);
    }

    /// An object that several identities would take over is nobody's.
    pub(crate) fn one_adopter_each(&mut self) {
        let mut adopters: BTreeMap<u32, Vec<Anchor>> = BTreeMap::new();
        for (anchor, found) in &self.found {
            if let Found::Adopt(held) = found {
                adopters
                    .entry(held.handle)
                    .or_default()
                    .push(anchor.clone());
            }
        }
        let contested: Vec<Anchor> = adopters
            .into_values()
            .filter(|adopters| adopters.len() > 1)
            .flatten()
            .collect();
        for anchor in contested {
            if let Some(Found::Adopt(held)) = self.found.remove(&anchor) {
                let message = format!(
                    "{} matches several entries: change the value by which they match in all but one",
                    name(&held.object)
                );
                self.set_aside(&anchor, Reason::AmbiguousMatch, message);
            }
        }
    }
}

/// Objects that match: by immutable id (then no attribute is given), else by the first attribute by which any does.
fn candidates<'c>(identity: &Identity, against: Against<'c>) -> (Vec<Rc<Held>>, Option<&'c str>) {
    let (view, configuration) = (against.view, against.configuration);
    if identity.class == Class::User {
        let hard: Vec<u32> = identity
            .names()
            .flat_map(|name| view.by_immutable(&name.immutable_id()))
            .collect();
        let mut hard = against.held(hard);
        hard.retain(|held| held.object.class == identity.class);
        if !hard.is_empty() {
            return (hard, None);
        }
    }
    for attribute in &configuration.matching.soft {
        let Some(Some(value)) = identity.desired.get(attribute) else {
            continue;
        };
        let unique = (configuration.capabilities)
            .rule(identity.class, attribute)
            .is_some_and(|rule| rule.unique);
        if configuration.matching.adopt == Adopt::Never && !unique {
            continue;
        }
        let mut found: BTreeMap<TargetId, Rc<Held>> = BTreeMap::new();
        for text in texts(value) {
            let holders = view.holders(identity.class, attribute, text);
            let held = against.held(holders).into_iter();
            found.extend(held.map(|held| (held.object.id.clone(), held)));
        }
        if !found.is_empty() {
            return (found.into_values().collect(), Some(attribute));
        }
    }
    (Vec::new(), None)
}

/// Why an object may not be taken over.
fn refusal(object: &Object, view: &TargetView, adopt: Adopt) -> Option<(Reason, String)> {
    let standing = object.standing;
    let kind = [
        (
            standing.privileged,
            "holds a directory role or is in a role-assignable group",
        ),
        (standing.guest, "is a guest"),
        (standing.synced, "is mastered by another synchronisation"),
    ];
    if let Some((_, why)) = kind.iter().find(|(is, _)| *is) {
        let why = format!(
            "it {why} and is never taken over: rename one of the two, or handle it by hand"
        );
        return Some((Reason::NotAdoptable, why));
    }
    match adopt {
        Adopt::Report => Some((
            Reason::WouldAdopt,
            "check it and set `matching.adopt: Adopt` to take it over, or remove it".to_owned(),
        )),
        Adopt::Never => Some((
            Reason::NotAdoptable,
            "`matching.adopt` is `Never`: rename one of the two, or remove it".to_owned(),
        )),
        Adopt::Adopt if !view.roles_readable() => Some((
            Reason::NotAdoptable,
            "directory roles cannot be read, so nothing is taken over: grant `RoleManagement.Read.Directory`"
                .to_owned(),
        )),
        Adopt::Adopt => None,
    }
}

/// How people find an object of the target.
pub(crate) fn name(object: &Object) -> String {
    format!("{} {}", object.class.as_str(), object.id)
}

fn list(objects: &[Rc<Held>]) -> String {
    let names = objects.iter().take(3);
    let names: Vec<String> = names.map(|held| name(&held.object)).collect();
    let more = objects.len().saturating_sub(3);
    if more == 0 {
        names.join(", ")
    } else {
        format!("{} and {more} more", names.join(", "))
    }
}
