//! Values that must be unique, and sign-in names whose domain is verified: checked before any write, so that nobody gets another
//! person's name because of the order of two writes.

use std::collections::BTreeMap;

use crate::{
    anchor::Anchor,
    configuration::Configuration,
    entry::Class,
    identity::Identity,
    matching::{Found, Matches, Obstacle, ViewIndex, name, texts},
    reason::Reason,
    target::{TargetId, TargetObject, Value},
    target_view::{TargetView, our_anchor},
};

/// What is known of an anchor that one of our objects bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// An entry has it.
    Present,
    /// No entry has it, and a tombstone or the memory of this engine tells what became of it.
    Explained,
    /// No entry has it, and nothing tells whether one ever had.
    Unexplained,
}

type Identities<'a> = BTreeMap<Anchor, Identity<'a>>;

/// Sets aside every identity whose sign-in name has a domain that is not verified.
pub(crate) fn check_domains(
    identities: &Identities<'_>,
    matches: &mut Matches<'_>,
    view: &TargetView,
    configuration: &Configuration,
) {
    let Some(domains) = view.domains() else {
        return;
    };
    for (anchor, identity) in identities {
        let Some(Some(Value::Text(sign_in_name))) = identity
            .desired
            .get(configuration.capabilities.sign_in_name)
        else {
            continue;
        };
        let domain = (sign_in_name.rsplit_once('@')).map_or("", |(_, domain)| domain);
        if identity.class == Class::User
            && !domains.contains(&domain.to_lowercase())
            && !matches.obstacles.contains_key(anchor)
        {
            let message = format!(
                "`{domain}` is not a verified domain of the tenant: verify it, or map a sign-in name with one that is"
            );
            matches.stop(anchor, Reason::DomainNotVerified, message);
        }
    }
}

/// Sets aside identities that want a value somebody else has, or wants as well and has not got either. Whoever holds a value
/// keeps it. Repeated until nothing changes, for who is set aside gives nothing up.
pub(crate) fn check(
    identities: &Identities<'_>,
    matches: &mut Matches<'_>,
    index: &ViewIndex<'_>,
    configuration: &Configuration,
    absence: &dyn Fn(&Anchor) -> Absence,
) {
    loop {
        let conflicts = conflicts(identities, matches, index, configuration, absence);
        if conflicts.is_empty() {
            return;
        }
        for (anchor, (obstacle, kept)) in conflicts {
            matches.kept.extend(kept);
            matches.stop(&anchor, obstacle.reason, obstacle.message);
        }
    }
}

type Conflicts = BTreeMap<Anchor, (Obstacle, Option<Anchor>)>;

fn conflicts(
    identities: &Identities<'_>,
    matches: &Matches<'_>,
    index: &ViewIndex<'_>,
    configuration: &Configuration,
    absence: &dyn Fn(&Anchor) -> Absence,
) -> Conflicts {
    let rules = (configuration.capabilities.attributes.iter()).filter(|rule| rule.unique);
    let owners: BTreeMap<&TargetId, &Anchor> = matches
        .found
        .iter()
        .filter_map(|(anchor, found)| Some((&found.object()?.id, anchor)))
        .collect();
    let mut conflicts = Conflicts::new();
    for rule in rules {
        let mut wanted: BTreeMap<String, Vec<&Anchor>> = BTreeMap::new();
        for (anchor, found) in &matches.found {
            let Some(identity) = identities.get(anchor).filter(|own| own.class == rule.class)
            else {
                continue;
            };
            for text in wants(identity, rule.name) {
                let text = text.to_lowercase();
                if !holds(found.object(), rule.name, &text) || found.object().is_none() {
                    wanted.entry(text).or_default().push(anchor);
                }
            }
        }
        for (text, anchors) in wanted {
            let holder = index
                .holders(rule.class, rule.name, &text)
                .iter()
                .find_map(|object| {
                    let owner = owners.get(&object.id).copied();
                    let stays = owner
                        .and_then(|owner| identities.get(owner))
                        .and_then(|owner| owner.desired.get(rule.name))
                        .is_none_or(|want| {
                            let texts = want.as_ref().map_or(&[][..], texts);
                            texts.iter().any(|other| other.to_lowercase() == text)
                        });
                    stays.then_some((*object, owner))
                });
            for anchor in &anchors {
                let rival = anchors.iter().find(|other| *other != anchor);
                let conflict = match (holder, rival) {
                    (Some((object, owner)), _) => {
                        let owner = owner.and_then(|owner| identities.get(owner));
                        taken(
                            (anchor, identities),
                            rule.name,
                            object,
                            owner,
                            configuration,
                            absence,
                        )
                    }
                    (None, Some(rival)) => {
                        let dn = identities
                            .get(*rival)
                            .map_or("", |rival| &rival.slot.entry.dn);
                        (duplicate(rule.name, &format!("`{dn}` wants it too")), None)
                    }
                    (None, None) => continue,
                };
                conflicts.entry((*anchor).clone()).or_insert(conflict);
            }
        }
    }
    conflicts
}

fn taken(
    (anchor, identities): (&Anchor, &Identities<'_>),
    attribute: &str,
    object: &TargetObject,
    owner: Option<&Identity<'_>>,
    configuration: &Configuration,
    absence: &dyn Fn(&Anchor) -> Absence,
) -> (Obstacle, Option<Anchor>) {
    if let Some(owner) = owner {
        let holder = format!("`{}` has it", owner.slot.entry.dn);
        return (duplicate(attribute, &holder), None);
    }
    // Anchors that people assign can be changed, and after a loss of the memory nothing else tells. One beside which the server
    // has a name of its own (`mS-DS-ConsistencyGuid`) is such a one; there the server also tells who was deleted.
    let changed = |old: &Anchor| match (anchor, old) {
        (Anchor::Text(_), Anchor::Text(_)) => absence(old) != Absence::Present,
        (Anchor::Uuid(_), Anchor::Uuid(_)) => {
            let entry = identities.get(anchor).map(|identity| &identity.slot.entry);
            entry.is_some_and(|entry| entry.alternate.is_some())
                && absence(old) == Absence::Unexplained
        }
        _ => false,
    };
    match our_anchor(object, &configuration.owner) {
        Some(old) if changed(old) => {
            let message = format!(
                "{} has the same `{attribute}` and bears our mark for {old}, which no entry has any more: put the old anchor back, or remove that object",
                name(object)
            );
            let reason = Reason::AnchorChanged;
            (Obstacle { reason, message }, Some(old.clone()))
        }
        Some(old) => {
            let holder = format!("{} has it, which is ours for {old}", name(object));
            (duplicate(attribute, &holder), None)
        }
        None => {
            let holder = format!("{} has it, which is not ours", name(object));
            (duplicate(attribute, &holder), None)
        }
    }
}

fn duplicate(attribute: &str, holder: &str) -> Obstacle {
    Obstacle {
        reason: Reason::DuplicateValue,
        message: format!("`{attribute}` must be unique and {holder}: change one of the two"),
    }
}

fn wants<'a>(identity: &'a Identity<'_>, attribute: &str) -> &'a [String] {
    match identity.desired.get(attribute) {
        Some(Some(value)) => texts(value),
        _ => &[],
    }
}

fn holds(object: Option<&TargetObject>, attribute: &str, text: &str) -> bool {
    object
        .and_then(|object| object.attributes.get(attribute))
        .is_some_and(|value| texts(value).iter().any(|held| held.to_lowercase() == text))
}

impl Matches<'_> {
    /// Sets aside an identity whose object is known; it stays as it is.
    fn stop(&mut self, anchor: &Anchor, reason: Reason, message: String) {
        if let Some(Found::Adopt(object)) = self.found.remove(anchor) {
            self.claimed.insert(object.id.clone());
        }
        let obstacle = Obstacle { reason, message };
        self.obstacles.insert(anchor.clone(), obstacle);
    }
}
