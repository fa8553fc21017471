//! Values that must be unique, and sign-in names whose domain is verified: checked before any write, so that nobody gets another
//! person's name because of the order of two writes.

use std::collections::BTreeMap;

use crate::{
    anchor::Anchor,
    entry::Class,
    identity::Identity,
    matching::{Against, Found, Held, Matches, Obstacle, name},
    reason::Reason,
    target::Value,
    target_view::{Object, our_anchor, texts},
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

type Identities = BTreeMap<Anchor, Identity>;

/// Sets aside every identity whose sign-in name has a domain that is not verified.
pub(crate) fn check_domains(identities: &Identities, matches: &mut Matches, against: Against<'_>) {
    let Some(domains) = against.view.domains() else {
        return;
    };
    for (anchor, identity) in identities {
        let Some(Some(Value::Text(sign_in_name))) = identity
            .desired
            .get(against.configuration.capabilities.sign_in_name)
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
    identities: &Identities,
    matches: &mut Matches,
    against: Against<'_>,
    absence: &dyn Fn(&Anchor) -> Absence,
) {
    loop {
        let conflicts = conflicts(identities, matches, against, absence);
        if conflicts.is_empty() {
            return;
        }
        for (anchor, (obstacle, kept)) in conflicts {
            if let Some(kept) = kept {
                matches.keep(&anchor, kept);
            }
            matches.stop(&anchor, obstacle.reason, obstacle.message);
        }
    }
}

type Conflicts = BTreeMap<Anchor, (Obstacle, Option<Anchor>)>;

fn conflicts(
    identities: &Identities,
    matches: &Matches,
    against: Against<'_>,
    absence: &dyn Fn(&Anchor) -> Absence,
) -> Conflicts {
    let rules = against.configuration.capabilities.attributes.iter();
    let rules = rules.filter(|rule| rule.unique);
    let owners: BTreeMap<u32, &Anchor> = matches
        .found
        .iter()
        .filter_map(|(anchor, found)| Some((found.object()?.handle, anchor)))
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
                if !holds(found.object(), rule.name, &text) {
                    wanted.entry(text).or_default().push(anchor);
                }
            }
        }
        for (text, anchors) in wanted {
            let holders = against.view.holders(rule.class, rule.name, &text);
            let holder = holders.into_iter().find_map(|handle| {
                let owner = owners.get(&handle).copied();
                let stays = owner
                    .and_then(|owner| identities.get(owner))
                    .and_then(|owner| owner.desired.get(rule.name))
                    .is_none_or(|want| {
                        let texts = want.as_ref().map_or(&[][..], texts);
                        texts.iter().any(|other| other.to_lowercase() == text)
                    });
                stays.then_some((handle, owner))
            });
            for anchor in &anchors {
                let rival = anchors.iter().find(|other| *other != anchor);
                let conflict = match (holder, rival) {
                    (Some((handle, owner)), _) => {
                        let owner = owner.and_then(|owner| identities.get(owner));
                        let Some(object) = against.view.object(handle) else {
                            continue;
                        };
                        let seeker = (*anchor, identities.get(*anchor));
                        taken(seeker, rule.name, &object, owner, against, absence)
                    }
                    (None, Some(rival)) => {
                        let dn = identities.get(*rival).map_or("", |rival| &rival.dn);
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
    (anchor, seeker): (&Anchor, Option<&Identity>),
    attribute: &str,
    object: &Object,
    owner: Option<&Identity>,
    against: Against<'_>,
    absence: &dyn Fn(&Anchor) -> Absence,
) -> (Obstacle, Option<Anchor>) {
    if let Some(owner) = owner {
        let holder = format!("`{}` has it", owner.dn);
        return (duplicate(attribute, &holder), None);
    }
    // Anchors that people assign can be changed, and after a loss of the memory nothing else tells. One beside which the server
    // has a name of its own (`mS-DS-ConsistencyGuid`) is such a one; there the server also tells who was deleted.
    let changed = |old: &Anchor| match (anchor, old) {
        (Anchor::Text(_), Anchor::Text(_)) => absence(old) != Absence::Present,
        (Anchor::Uuid(_), Anchor::Uuid(_)) => {
            seeker.is_some_and(|identity| identity.alternate.is_some())
                && absence(old) == Absence::Unexplained
        }
        _ => false,
    };
    match our_anchor(object, &against.configuration.owner) {
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

fn wants<'a>(identity: &'a Identity, attribute: &str) -> &'a [String] {
    match identity.desired.get(attribute) {
        Some(Some(value)) => texts(value),
        _ => &[],
    }
}

fn holds(held: Option<&Held>, attribute: &str, text: &str) -> bool {
    held.and_then(|held| held.object.attributes.get(attribute))
        .is_some_and(|kept| kept.texts().iter().any(|held| held.to_lowercase() == text))
}

impl Matches {
    /// Sets aside an identity whose object is known; it stays as it is.
    fn stop(&mut self, anchor: &Anchor, reason: Reason, message: String) {
        if let Some(Found::Adopt(held)) = self.found.remove(anchor) {
            self.claim(anchor, &held);
        }
        let obstacle = Obstacle { reason, message };
        self.obstacles.insert(anchor.clone(), obstacle);
    }
}
