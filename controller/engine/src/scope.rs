//! Scope: who takes part. OUs and groups are followed by GUID, so that a renamed OU stays in scope, also after a restart.
//!
//! A rule that cannot be settled is a fault of its scope: nobody leaves because of it, and while an exclusion is unsettled nobody
//! enters. Exclusions win over inclusions; the default exclusions always apply.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    configuration::{Include, Scope},
    dn::{Dn, Written},
    entry::{Class, Entry, EntryKind},
    exclusion::default_exclusion,
    fault::{Fault, planted},
    memory::{Resolution, canonical},
    plan::ScopeFault,
    reason::Reason,
    space::Spaces,
};

/// Attributes in which groups name their members by DN: Active Directory and RFC 4519 `groupOfNames`, `groupOfUniqueNames`.
pub(crate) const MEMBERS: [&str; 2] = ["member", "uniquemember"];

/// The rules of a scope, looked up in what its connector has read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decided {
    include: Vec<Option<Rule>>,
    exclude: Vec<Option<Rule>>,
    pub(crate) faults: Vec<ScopeFault>,
    /// An exclusion is unsettled: only objects that exist already take part.
    pub(crate) closed: bool,
    /// What was written → what it is.
    pub(crate) resolved: BTreeMap<String, Resolution>,
}

/// `Option` in the lists above: a rule that cannot be settled.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Within(Dn),
    Members(Arc<Membership>),
    Everything,
}

/// Who is in a group, by way of other groups too.
#[derive(Debug, PartialEq, Eq)]
struct Membership {
    group: u32,
    /// It and the groups in it.
    groups: HashSet<u32>,
    members: HashSet<u32>,
}

/// What a scope says of an entry. Positions are those in the lists of the scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// By this inclusion.
    Taken(usize),
    OtherClass,
    NotIncluded,
    Excluded(usize),
    ExcludedByDefault(&'static str),
    Filtered,
    WhenFalse,
    WhenFailed(String),
}

/// One of the two lists of rules of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleList {
    Include,
    Exclude,
}

/// Entries whose part in a scope may be another one than before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Concerned {
    Some(BTreeSet<u32>),
    /// All of the connector.
    All,
}

impl Rule {
    fn holds(&self, slot: u32, dn: &Dn) -> bool {
        match self {
            Self::Within(above) => dn.is_within(above),
            Self::Members(membership) => membership.members.contains(&slot),
            Self::Everything => true,
        }
    }
}

/// What the rules of a scope are looked up in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read<'a> {
    pub(crate) spaces: &'a Spaces,
    pub(crate) connector: u16,
}

impl Decided {
    /// Looks the rules up. `known` is what they were resolved to before; `before` what this function gave, with the entries that changed
    /// since.
    pub(crate) fn new(
        scope: &Scope,
        read: Read<'_>,
        known: Option<&BTreeMap<String, Resolution>>,
        before: Option<(&Self, &BTreeSet<u32>)>,
    ) -> Self {
        let mut decided = Self::default();
        let memberships = before.map_or(Vec::new(), |(before, changed)| before.unchanged(changed));
        for rule in &scope.include {
            let rule = decided.rule(scope, rule, read, known, &memberships);
            decided.include.push(rule);
        }
        for rule in &scope.exclude {
            let rule = decided.rule(scope, rule, read, known, &memberships);
            decided.closed |= rule.is_none();
            decided.exclude.push(rule);
        }
        decided
    }

    /// What the rules are, in short: with the same entries, two that differ differ in this.
    pub(crate) fn summary(&self) -> String {
        let rules = |rules: &[Option<Rule>]| {
            let rules = rules.iter().map(|rule| match rule {
                None => "?".to_owned(),
                Some(Rule::Everything) => "*".to_owned(),
                Some(Rule::Within(dn)) => dn.to_string(),
                Some(Rule::Members(membership)) => {
                    format!("{}+{}", membership.group, membership.members.len())
                }
            });
            rules.collect::<Vec<_>>().join(";")
        };
        let (include, exclude) = (rules(&self.include), rules(&self.exclude));
        format!("{include}|{exclude}|{}", self.closed)
    }

    /// Memberships that none of the changed entries could alter.
    fn unchanged(&self, changed: &BTreeSet<u32>) -> Vec<Arc<Membership>> {
        let rules = self.include.iter().chain(&self.exclude).flatten();
        rules
            .filter_map(|rule| match rule {
                Rule::Members(membership) => Some(membership),
                _ => None,
            })
            .filter(|membership| {
                if planted(Fault::NestedGroupStale) {
                    return !changed.contains(&membership.group);
                }
                !changed.iter().any(|slot| membership.groups.contains(slot))
            })
            .cloned()
            .collect()
    }

    fn rule(
        &mut self,
        scope: &Scope,
        rule: &Include,
        read: Read<'_>,
        known: Option<&BTreeMap<String, Resolution>>,
        memberships: &[Arc<Membership>],
    ) -> Option<Rule> {
        let (written, group) = match rule {
            Include::Everything => return Some(Rule::Everything),
            Include::OrganizationalUnit(written) => (written, false),
            Include::Group(written) => (written, true),
        };
        let text = canonical(written);
        let before = known.and_then(|known| known.get(&text));
        let slot = match find(written, read, before, group) {
            Ok(slot) => slot,
            Err((reason, message)) => {
                if let Some(before) = before {
                    self.resolved.insert(text, before.clone());
                }
                self.faults.push(ScopeFault {
                    scope: scope.name.clone(),
                    reason,
                    message,
                });
                return None;
            }
        };
        if let Some(guid) = guid(slot, read.spaces) {
            let dn = read.spaces.dn_text(slot);
            self.resolved.insert(text, Resolution { guid, dn });
        }
        if !group {
            return read.spaces.dn(slot).map(Rule::Within);
        }
        let known = memberships.iter().find(|known| known.group == slot);
        let membership = known.cloned();
        Some(Rule::Members(
            membership.unwrap_or_else(|| Arc::new(members(slot, read.spaces))),
        ))
    }

    /// Whose part may differ between two states of the rules.
    pub(crate) fn concerned(&self, before: &Self, read: Read<'_>) -> Concerned {
        let mut concerned = BTreeSet::new();
        if self.closed != before.closed {
            return Concerned::All;
        }
        let lists = [
            (&self.include, &before.include),
            (&self.exclude, &before.exclude),
        ];
        for (new, old) in lists {
            if new.len() != old.len() {
                return Concerned::All;
            }
            for pair in new.iter().zip(old) {
                match pair {
                    (new, old) if new == old => {}
                    (Some(Rule::Within(new)), Some(Rule::Within(old))) => {
                        concerned.extend(read.spaces.within(read.connector, new));
                        concerned.extend(read.spaces.within(read.connector, old));
                    }
                    (Some(Rule::Members(new)), Some(Rule::Members(old))) => {
                        concerned.extend(new.members.symmetric_difference(&old.members).copied());
                    }
                    _ => return Concerned::All,
                }
            }
        }
        Concerned::Some(concerned)
    }

    /// Whether the scope takes an entry of a class, as of a time.
    ///
    /// # Errors
    /// What the `when` expression failed with.
    pub(crate) fn takes(
        &self,
        scope: &Scope,
        slot: u32,
        dn: &Dn,
        entry: &Entry,
        class: Class,
        now: Timestamp,
    ) -> Result<bool, String> {
        match self.judge(scope, slot, dn, entry, class, now) {
            Verdict::Taken(_) => Ok(true),
            Verdict::WhenFailed(message) => Err(message),
            _ => Ok(false),
        }
    }

    /// What the scope says of an entry of a class: the first thing that keeps it out, or the rule that takes it in.
    pub(crate) fn judge(
        &self,
        scope: &Scope,
        slot: u32,
        dn: &Dn,
        entry: &Entry,
        class: Class,
        now: Timestamp,
    ) -> Verdict {
        let holding = |rules: &[Option<Rule>]| {
            let holds = |rule: &Option<Rule>| rule.as_ref().is_some_and(|it| it.holds(slot, dn));
            rules.iter().position(holds)
        };
        if !scope.classes.contains(&class) {
            return Verdict::OtherClass;
        }
        let Some(taken) = holding(&self.include) else {
            return Verdict::NotIncluded;
        };
        if let Some(at) = holding(&self.exclude) {
            return Verdict::Excluded(at);
        }
        if let Some(rule) = default_exclusion(entry) {
            return Verdict::ExcludedByDefault(rule);
        }
        if (scope.filter.as_ref()).is_some_and(|filter| !filter.matches(entry)) {
            return Verdict::Filtered;
        }
        match scope.when.get(&class).map(|when| when.holds(entry, now)) {
            None | Some(Ok(true)) => Verdict::Taken(taken),
            Some(Ok(false)) => Verdict::WhenFalse,
            Some(Err(error)) => Verdict::WhenFailed(error.to_string()),
        }
    }

    /// The groups by way of which an entry is a member by the rule at this position of a list.
    pub(crate) fn by_way_of(
        &self,
        list: RuleList,
        at: usize,
        slot: u32,
        spaces: &Spaces,
    ) -> Vec<u32> {
        let Some(Some(Rule::Members(membership))) = self.rules(list).get(at) else {
            return Vec::new();
        };
        let mut groups = spaces.referrers(slot);
        groups.retain(|group| membership.groups.contains(group));
        groups
    }

    /// Whether the rule at this position of a list could be looked up.
    pub(crate) fn is_settled(&self, list: RuleList, at: usize) -> bool {
        self.rules(list).get(at).is_some_and(Option::is_some)
    }

    fn rules(&self, list: RuleList) -> &[Option<Rule>] {
        match list {
            RuleList::Include => &self.include,
            RuleList::Exclude => &self.exclude,
        }
    }
}

/// The name by which an OU or group is followed.
fn guid(slot: u32, spaces: &Spaces) -> Option<Anchor> {
    let (_, anchor, alternate) = spaces.head(slot)?;
    alternate.or(anchor)
}

fn find(
    written: &Written,
    read: Read<'_>,
    before: Option<&Resolution>,
    group: bool,
) -> Result<u32, (Reason, String)> {
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
    let Read { spaces, connector } = read;
    let named = |guid: &Anchor| spaces.by_name_in(connector, guid).first().copied();
    let slot = match written {
        Written::Guid(guid) => named(guid).ok_or_else(|| {
            unresolved("correct the GUID, restore the entry or the right to read it")
        })?,
        Written::Dn(dn) => {
            let here = spaces.by_dn(connector, dn);
            let known = before.and_then(|before| named(&before.guid));
            match (here, known) {
                (Some(here), Some(known)) if here != known => {
                    let message = format!(
                        "`{text}` now names another {what} than before, which lives on as `{}`: write `<GUID=…>` of the one that is meant",
                        spaces.dn_text(known)
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
    if group && !is_group(slot, spaces) {
        let message = format!("`{text}` is no group: name a group, or use `organizationalUnit`");
        return Err((Reason::ScopeUnresolved, message));
    }
    Ok(slot)
}

fn is_group(slot: u32, spaces: &Spaces) -> bool {
    let kind = spaces.head(slot).map(|head| head.0);
    matches!(
        kind,
        Some(EntryKind::SecurityGroup | EntryKind::DistributionGroup)
    )
}

/// The group and all members, nested ones included; groups that contain each other are followed once.
fn members(group: u32, spaces: &Spaces) -> Membership {
    let mut members = HashSet::from([group]);
    let mut groups = members.clone();
    let mut queue = vec![group];
    while let Some(group) = queue.pop() {
        for member in MEMBERS
            .iter()
            .flat_map(|name| spaces.references(group, name))
        {
            members.insert(member);
            if is_group(member, spaces) && groups.insert(member) {
                queue.push(member);
            }
        }
    }
    Membership {
        group,
        groups,
        members,
    }
}
