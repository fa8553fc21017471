//! Scope: who takes part. OUs and groups are followed by GUID, so that a renamed OU stays in scope, also after a restart.
//!
//! A rule that cannot be settled is a fault of its scope: nobody leaves because of it, and while an exclusion is unsettled nobody
//! enters. Exclusions win over inclusions; the default exclusions always apply.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    anchor::Anchor,
    configuration::{Include, Scope},
    connector_space::{Index, Slot},
    dn::{Dn, Written},
    entry::{Class, EntryKind},
    exclusion::default_exclusion,
    memory::{Resolution, canonical},
    plan::ScopeFault,
    reason::Reason,
};

/// Attributes in which groups name their members by DN: Active Directory and RFC 4519 `groupOfNames`, `groupOfUniqueNames`.
pub(crate) const MEMBERS: [&str; 2] = ["member", "uniquemember"];

/// A scope whose rules have been looked up in what its connector has read.
#[derive(Debug)]
pub(crate) struct Decided<'a> {
    pub(crate) scope: &'a Scope,
    include: Vec<Rule>,
    exclude: Vec<Rule>,
    pub(crate) faults: Vec<ScopeFault>,
    /// An exclusion is unsettled: only objects that exist already take part.
    pub(crate) closed: bool,
    /// What was written → what it is.
    pub(crate) resolved: BTreeMap<String, Resolution>,
}

#[derive(Debug)]
enum Rule {
    Within(Dn),
    Members(BTreeSet<Dn>),
    Everything,
}

impl Rule {
    fn holds(&self, dn: &Dn) -> bool {
        match self {
            Self::Within(above) => dn.is_within(above),
            Self::Members(members) => members.contains(dn),
            Self::Everything => true,
        }
    }
}

impl<'a> Decided<'a> {
    /// Looks the rules up. `known` is what they were before.
    pub(crate) fn new(
        scope: &'a Scope,
        index: &Index<'_>,
        known: Option<&BTreeMap<String, Resolution>>,
    ) -> Self {
        let mut decided = Self {
            scope,
            include: Vec::new(),
            exclude: Vec::new(),
            faults: Vec::new(),
            closed: false,
            resolved: BTreeMap::new(),
        };
        for rule in &scope.include {
            let rule = decided.rule(rule, index, known);
            decided.include.extend(rule);
        }
        for rule in &scope.exclude {
            match decided.rule(rule, index, known) {
                Some(rule) => decided.exclude.push(rule),
                None => decided.closed = true,
            }
        }
        decided
    }

    fn rule(
        &mut self,
        rule: &Include,
        index: &Index<'_>,
        known: Option<&BTreeMap<String, Resolution>>,
    ) -> Option<Rule> {
        let (written, group) = match rule {
            Include::Everything => return Some(Rule::Everything),
            Include::OrganizationalUnit(written) => (written, false),
            Include::Group(written) => (written, true),
        };
        let text = canonical(written);
        let before = known.and_then(|known| known.get(&text));
        let slot = match find(written, index, before, group) {
            Ok(slot) => slot,
            Err((reason, message)) => {
                if let Some(before) = before {
                    self.resolved.insert(text, before.clone());
                }
                self.faults.push(ScopeFault {
                    scope: self.scope.name.clone(),
                    reason,
                    message,
                });
                return None;
            }
        };
        if let Some(guid) = guid(slot) {
            let (guid, dn) = (guid.clone(), slot.entry.dn.clone());
            self.resolved.insert(text, Resolution { guid, dn });
        }
        if group {
            Some(Rule::Members(members(slot, index)))
        } else {
            slot.dn.clone().map(Rule::Within)
        }
    }

    /// Whether the scope takes an entry of a class.
    ///
    /// # Errors
    /// What the `when` expression failed with.
    pub(crate) fn takes(&self, slot: &Slot, class: Class) -> Result<bool, String> {
        let Some(dn) = &slot.dn else {
            return Ok(false);
        };
        let in_rules = self.scope.classes.contains(&class)
            && self.include.iter().any(|rule| rule.holds(dn))
            && !self.exclude.iter().any(|rule| rule.holds(dn))
            && default_exclusion(&slot.entry).is_none()
            && (self.scope.filter.as_ref()).is_none_or(|filter| filter.matches(&slot.entry));
        match self.scope.when.get(&class) {
            Some(when) if in_rules => when.holds(&slot.entry).map_err(|error| error.to_string()),
            _ => Ok(in_rules),
        }
    }
}

/// The name by which an OU or group is followed.
fn guid(slot: &Slot) -> Option<&Anchor> {
    slot.entry.alternate.as_ref().or(slot.entry.anchor.as_ref())
}

fn find<'a>(
    written: &Written,
    index: &Index<'a>,
    before: Option<&Resolution>,
    group: bool,
) -> Result<&'a Slot, (Reason, String)> {
    let what = if group {
        "group"
    } else {
        "organizational unit"
    };
    let text = canonical(written);
    let unresolved = |next: &str| {
        let message = format!(
            "{what} `{text}` is not among what was read: {next}; nobody leaves this scope until then"
        );
        (Reason::ScopeUnresolved, message)
    };
    let slot = match written {
        Written::Guid(guid) => index.by_name(guid).first().copied().ok_or_else(|| {
            unresolved("correct the GUID, restore the entry or the right to read it")
        })?,
        Written::Dn(dn) => {
            let here = index.by_dn(dn).filter(|slot| slot.dn.as_ref() == Some(dn));
            let known = before.and_then(|before| index.by_name(&before.guid).first().copied());
            match (here, known) {
                (Some(here), Some(known)) if !std::ptr::eq(here, known) => {
                    let message = format!(
                        "`{text}` now names another {what} than before, which lives on as `{}`: write `<GUID=…>` of the one that is meant",
                        known.entry.dn
                    );
                    return Err((Reason::ScopeAmbiguous, message));
                }
                (Some(slot), _) | (None, Some(slot)) => slot,
                (None, None) => {
                    return Err(unresolved(
                        "correct the DN, restore the entry or the right to read it",
                    ));
                }
            }
        }
    };
    if group && !is_group(slot) {
        let message = format!("`{text}` is no group: name a group, or use `organizationalUnit`");
        return Err((Reason::ScopeUnresolved, message));
    }
    Ok(slot)
}

fn is_group(slot: &Slot) -> bool {
    matches!(
        slot.entry.kind,
        EntryKind::SecurityGroup | EntryKind::DistributionGroup
    )
}

/// The DNs of the group and of all members, nested ones included; groups that contain each other are followed once.
fn members(group: &Slot, index: &Index<'_>) -> BTreeSet<Dn> {
    let mut found: BTreeSet<Dn> = group.dn.iter().cloned().collect();
    let mut visited = found.clone();
    let mut queue = vec![&group.entry];
    while let Some(group) = queue.pop() {
        for member in MEMBERS
            .iter()
            .flat_map(|name| index.references(group, name))
        {
            let Some(dn) = &member.dn else { continue };
            found.insert(dn.clone());
            if is_group(member) && visited.insert(dn.clone()) {
                queue.push(&member.entry);
            }
        }
    }
    found
}
