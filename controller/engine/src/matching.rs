//! Matching: which object at the target belongs to which identity. Ours are found by the mark; what is not marked is only ever taken
//! over as `matching` says, and never where that could do harm.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    anchor::Anchor,
    configuration::{Adopt, Configuration},
    entry::Class,
    identity::Identity,
    reason::Reason,
    target::{TargetId, TargetObject, Value},
    target_view::{TargetView, our_anchor},
};

/// The object of an identity.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'v> {
    Ours(&'v TargetObject),
    Restore(&'v TargetObject),
    Adopt(&'v TargetObject),
    Create,
}

impl<'v> Found<'v> {
    pub(crate) fn object(self) -> Option<&'v TargetObject> {
        match self {
            Self::Ours(object) | Self::Restore(object) | Self::Adopt(object) => Some(object),
            Self::Create => None,
        }
    }
}

/// The target view by what matching looks for.
#[derive(Debug, Default)]
pub(crate) struct ViewIndex<'v> {
    pub(crate) ours: BTreeMap<&'v Anchor, Vec<&'v TargetObject>>,
    deleted: BTreeMap<&'v Anchor, Vec<&'v TargetObject>>,
    immutable: BTreeMap<&'v str, Vec<&'v TargetObject>>,
    values: BTreeMap<(Class, &'v str, String), Vec<&'v TargetObject>>,
}

/// Why an identity is set aside, and which objects it concerns.
#[derive(Debug)]
pub(crate) struct Obstacle {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Matches<'v> {
    pub(crate) found: BTreeMap<Anchor, Found<'v>>,
    pub(crate) obstacles: BTreeMap<Anchor, Obstacle>,
    /// Objects without our mark that may turn out to be somebody's: they stay in their groups.
    pub(crate) claimed: BTreeSet<TargetId>,
    /// Anchors of our objects whose entry has another anchor now.
    pub(crate) kept: BTreeSet<Anchor>,
}

impl<'v> ViewIndex<'v> {
    pub(crate) fn new(view: &'v TargetView, configuration: &Configuration) -> Self {
        let mut index = Self::default();
        let rules = configuration.capabilities.attributes;
        let unique: BTreeSet<&str> = (rules.iter().filter(|rule| rule.unique))
            .map(|rule| rule.name)
            .chain(configuration.matching.soft.iter().map(String::as_str))
            .collect();
        for object in view.live() {
            if let Some(anchor) = our_anchor(object, &configuration.owner) {
                index.ours.entry(anchor).or_default().push(object);
            }
            if let Some(id) = &object.immutable_id {
                index.immutable.entry(id).or_default().push(object);
            }
            for (name, value) in &object.attributes {
                if unique.contains(name.as_str()) {
                    for text in texts(value) {
                        let key = (object.class, name.as_str(), text.to_lowercase());
                        index.values.entry(key).or_default().push(object);
                    }
                }
            }
        }
        for object in view.deleted() {
            if let Some(anchor) = our_anchor(object, &configuration.owner) {
                index.deleted.entry(anchor).or_default().push(object);
            }
        }
        index
    }

    /// Who holds a value, without regard to case.
    pub(crate) fn holders(
        &self,
        class: Class,
        attribute: &'v str,
        text: &str,
    ) -> &[&'v TargetObject] {
        self.values
            .get(&(class, attribute, text.to_lowercase()))
            .map_or(&[], Vec::as_slice)
    }
}

/// The texts in a value.
pub(crate) fn texts(value: &Value) -> &[String] {
    match value {
        Value::Text(text) => std::slice::from_ref(text),
        Value::List(list) => list,
        Value::Flag(_) => &[],
    }
}

/// Finds the object of every identity. `changed` leads from an entry's anchor to the one that its object was made with.
pub(crate) fn find<'v>(
    identities: &BTreeMap<Anchor, Identity<'_>>,
    index: &ViewIndex<'v>,
    view: &TargetView,
    configuration: &'v Configuration,
    changed: &dyn Fn(&Anchor) -> Option<Anchor>,
) -> Matches<'v> {
    let mut matches = Matches::default();
    for (anchor, identity) in identities {
        if let Some(old) = changed(anchor).filter(|old| index.ours.contains_key(old)) {
            let message = format!(
                "the source anchor was {old} and is {anchor} now: put the old value back; the object at the target is left alone"
            );
            matches.set_aside(anchor, Reason::AnchorChanged, message);
            matches.kept.insert(old);
            continue;
        }
        let own = identity.names().enumerate().find_map(|(at, name)| {
            // A name that is another identity's own anchor is that one's.
            let free = at == 0 || !identities.contains_key(name);
            index.ours.get(name).filter(|_| free)
        });
        match own.map(Vec::as_slice) {
            Some([object]) if object.class == identity.class => {
                matches.found.insert(anchor.clone(), Found::Ours(object));
            }
            Some(objects) => {
                let message = format!(
                    "{} bear our mark for {anchor}: leave only one {} that does",
                    list(objects),
                    identity.class.as_str()
                );
                matches.set_aside(anchor, Reason::AmbiguousMatch, message);
            }
            // What does not exist yet waits for the scope's exclusions.
            None if identity.closed => {}
            None => {
                let deleted = identity.names().find_map(|name| {
                    let objects = index.deleted.get(name)?;
                    objects.iter().find(|object| object.class == identity.class)
                });
                match deleted {
                    Some(object) => {
                        matches.found.insert(anchor.clone(), Found::Restore(object));
                    }
                    None => matches.unmarked(anchor, identity, index, view, configuration),
                }
            }
        }
    }
    matches.one_adopter_each();
    matches
}

impl<'v> Matches<'v> {
    fn set_aside(&mut self, anchor: &Anchor, reason: Reason, message: String) {
        let obstacle = Obstacle { reason, message };
        self.obstacles.insert(anchor.clone(), obstacle);
    }

    /// Looks for an object without our mark.
    fn unmarked(
        &mut self,
        anchor: &Anchor,
        identity: &Identity<'_>,
        index: &ViewIndex<'v>,
        view: &TargetView,
        configuration: &'v Configuration,
    ) {
        let owner = &configuration.owner;
        let (candidates, by) = candidates(identity, index, configuration);
        if let Some(object) = candidates
            .iter()
            .find(|object| our_anchor(object, owner).is_some())
            && by.is_none()
        {
            let message = format!(
                "{} bears our mark for another anchor and the immutable id of this one: put the entry's old anchor back",
                name(object)
            );
            self.kept.extend(our_anchor(object, owner).cloned());
            return self.set_aside(anchor, Reason::AnchorChanged, message);
        }
        let candidates: Vec<&TargetObject> = candidates
            .into_iter()
            .filter(|object| our_anchor(object, owner).is_none())
            .collect();
        self.claimed
            .extend(candidates.iter().map(|object| object.id.clone()));
        let how = by.map_or_else(
            || "by immutable id".to_owned(),
            |attribute| format!("by `{attribute}`"),
        );
        let (reason, message) = match candidates.as_slice() {
            [] => {
                self.found.insert(anchor.clone(), Found::Create);
                return;
            }
            objects if let Some(object) = objects.iter().find(|object| object.mark.is_some()) => {
                let message = format!(
                    "{} matches {how} and bears another owner's mark: decide which DirectorySync owns it",
                    name(object)
                );
                (Reason::OwnedByOther, message)
            }
            [object] => match refusal(object, view, configuration.matching.adopt) {
                None => {
                    self.found.insert(anchor.clone(), Found::Adopt(object));
                    return;
                }
                Some((reason, why)) => (reason, format!("{} matches {how}; {why}", name(object))),
            },
            objects => {
                let message = format!("{} match {how}: leave only one that does", list(objects));
                (Reason::AmbiguousMatch, message)
            }
        };
        self.set_aside(anchor, reason, message);
    }

    /// An object that several identities would take over is nobody's.
    fn one_adopter_each(&mut self) {
        let mut adopters: BTreeMap<&TargetId, Vec<Anchor>> = BTreeMap::new();
        for (anchor, found) in &self.found {
            if let Found::Adopt(object) = found {
                adopters.entry(&object.id).or_default().push(anchor.clone());
            }
        }
        let contested: Vec<Anchor> = adopters
            .into_values()
            .filter(|adopters| adopters.len() > 1)
            .flatten()
            .collect();
        for anchor in contested {
            if let Some(Found::Adopt(object)) = self.found.remove(&anchor) {
                let message = format!(
                    "{} matches several entries: change the value by which they match in all but one",
                    name(object)
                );
                self.set_aside(&anchor, Reason::AmbiguousMatch, message);
            }
        }
    }
}

/// Objects that match: by immutable id (then no attribute is given), else by the first attribute by which any does.
fn candidates<'v, 'c: 'v>(
    identity: &Identity<'_>,
    index: &ViewIndex<'v>,
    configuration: &'c Configuration,
) -> (Vec<&'v TargetObject>, Option<&'c str>) {
    if identity.class == Class::User {
        let hard: Vec<&TargetObject> = identity
            .names()
            .filter_map(|name| index.immutable.get(name.immutable_id().as_str()))
            .flatten()
            .copied()
            .filter(|object| object.class == identity.class)
            .collect();
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
        let mut found: BTreeMap<&TargetId, &TargetObject> = BTreeMap::new();
        for text in texts(value) {
            let holders = index.holders(identity.class, attribute, text);
            found.extend(holders.iter().map(|object| (&object.id, *object)));
        }
        if !found.is_empty() {
            return (found.into_values().collect(), Some(attribute));
        }
    }
    (Vec::new(), None)
}

/// Why an object may not be taken over.
fn refusal(object: &TargetObject, view: &TargetView, adopt: Adopt) -> Option<(Reason, String)> {
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
pub(crate) fn name(object: &TargetObject) -> String {
    format!("{} {}", object.class.as_str(), object.id)
}

fn list(objects: &[&TargetObject]) -> String {
    let names: Vec<String> = objects.iter().take(3).map(|object| name(object)).collect();
    let more = objects.len().saturating_sub(3);
    if more == 0 {
        names.join(", ")
    } else {
        format!("{} and {more} more", names.join(", "))
    }
}
