//! From entries to identities: who takes part, and what each should look like at the target. One bad entry is set aside with its
//! reason; its object at the target is kept as it is.
//!
//! Several entries are one identity where joins say so: `crate::metaverse::joining`. Entries of a connector that was never read completely take no part yet.

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    configuration::{Configuration, Scope},
    dn::Dn,
    entry::{Class, Entry, EntryKind},
    reason::Reason,
    scope::Decided,
    target::Changes,
};

/// One person or group that takes part.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) slot: u32,
    pub(crate) class: Class,
    pub(crate) anchor: Anchor,
    pub(crate) alternate: Option<Anchor>,
    /// Anchors and alternates of the other entries that are joined to it.
    pub(crate) joined: Vec<Anchor>,
    /// Those of entries that were joined to it and left, or are out of scope by now: its object may still bear one of them.
    pub(crate) former: Vec<Anchor>,
    /// As the directory writes it.
    pub(crate) dn: String,
    /// May not be created, restored or adopted for now.
    pub(crate) closed: bool,
    pub(crate) desired: Changes,
}

impl Identity {
    pub(crate) fn names(&self) -> impl Iterator<Item = &Anchor> {
        let own = [&self.anchor].into_iter().chain(&self.alternate);
        own.chain(&self.joined).chain(&self.former)
    }
}

/// How many entries a scope takes, by class; unsupported ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeCounts {
    pub users: usize,
    pub groups: usize,
    pub contacts: usize,
}

/// What the target cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Contact,
    DistributionGroup,
}

/// Why an entry or identity is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// What part an entry takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    #[default]
    None,
    Aside(Aside),
    Unsupported(Kind),
    /// The scope by whose mapping, by its position in the configuration.
    Takes(usize),
}

/// A scope, its position in the configuration, and what its rules are.
pub(crate) type Ruled<'a> = (usize, &'a Scope, &'a Decided);

pub(crate) fn class_of(kind: EntryKind) -> Option<Class> {
    match kind {
        EntryKind::User => Some(Class::User),
        EntryKind::SecurityGroup | EntryKind::DistributionGroup => Some(Class::Group),
        EntryKind::Contact => Some(Class::Contact),
        EntryKind::Container => None,
    }
}

/// The part of an entry as of a time, and the scopes that take it. `scopes` are those of its connector, by name.
pub(crate) fn part(
    slot: u32,
    entry: &Entry,
    scopes: &[Ruled<'_>],
    configuration: &Configuration,
    now: Timestamp,
) -> (Part, Vec<u16>) {
    let mut taken = Vec::new();
    let Some(class) = class_of(entry.kind).filter(|_| !scopes.is_empty()) else {
        return (Part::None, taken);
    };
    let aside = |reason, message| Part::Aside(Aside { reason, message });
    let Ok(dn) = Dn::parse(&entry.dn) else {
        let message = "the DN cannot be parsed: rename the entry".to_owned();
        return (aside(Reason::InvalidDN, message), taken);
    };
    let mut taker = None;
    for (at, scope, decided) in scopes {
        match decided.takes(scope, slot, &dn, entry, class, now) {
            Ok(false) => {}
            Ok(true) => {
                taken.extend(u16::try_from(*at));
                taker = taker.or(Some(*at));
            }
            Err(message) => {
                let message = format!(
                    "`when` of scope `{}` failed: {message}; correct the expression or the value",
                    scope.name
                );
                return (aside(Reason::ExpressionFailed, message), taken);
            }
        }
    }
    let Some(taker) = taker else {
        return (Part::None, taken);
    };
    let part = match entry.kind {
        EntryKind::DistributionGroup => Part::Unsupported(Kind::DistributionGroup),
        EntryKind::Contact if !configuration.capabilities.classes.contains(&Class::Contact) => {
            Part::Unsupported(Kind::Contact)
        }
        _ if entry.anchor.is_none() => {
            let message = "the entry has no usable source anchor".to_owned();
            aside(Reason::AnchorMissing, message)
        }
        _ => Part::Takes(taker),
    };
    (part, taken)
}

/// When scopes or mappings may say something else of the same entry, because a time in it comes.
pub(crate) fn changes_at(entry: &Entry, scopes: &[Ruled<'_>], now: Timestamp) -> Option<Timestamp> {
    let class = class_of(entry.kind)?;
    let of_scope = |scope: &Scope| {
        let when = scope
            .when
            .get(&class)
            .and_then(|when| when.changes_at(entry, now));
        let mapping = scope
            .mapping
            .get(&class)
            .and_then(|mapping| mapping.changes_at(entry, now));
        when.into_iter().chain(mapping).min()
    };
    scopes
        .iter()
        .filter_map(|(_, scope, _)| of_scope(scope))
        .min()
}
