//! What each scope says of an entry, in words of the scope: by the functions that the plan decides with.

use super::{
    Participation, Rule, Ruling, Verdict,
    look::{Look, Read, read},
};
use crate::{
    configuration::{Include, Scope},
    dn::Dn,
    expression::Expression,
    filter::Filter,
    identity::{Aside, Part, class_of, part},
    memory::canonical,
    metaverse::{Stage, ruled},
    scope::{Decided, RuleList, Verdict as Judged},
    space::Spaces,
};

/// Groups by way of which somebody is a member; more of them say no more.
const MOST_VIA: usize = 10;

impl Look<'_> {
    /// Whether an entry takes part, and what each scope of its connector says.
    pub(super) fn participation(
        &self,
        slot: u32,
        entry: Read<'_>,
        connector: &str,
    ) -> (Participation, Vec<Ruling>) {
        let scopes = &self.configuration.scopes;
        let ruled = ruled(self.configuration, &self.metaverse.decided, connector);
        let mut rulings: Vec<Ruling> = ruled
            .iter()
            .filter_map(|(_, scope, decided)| self.ruling(slot, entry, scope, decided))
            .collect();
        let unread = scopes.iter().filter(|scope| scope.connector == connector);
        let unread = unread.filter(|scope| !ruled.iter().any(|(_, it, _)| it.name == scope.name));
        rulings.extend(unread.map(|scope| Ruling {
            scope: scope.name.clone(),
            verdict: Verdict::NotRead,
        }));
        rulings.sort_by(|a, b| a.scope.cmp(&b.scope));
        let (part, taken) = part(
            slot,
            entry.mapped,
            &ruled,
            self.configuration,
            self.metaverse.as_of(),
        );
        let name = |at: usize| scopes.get(at).map(|scope| scope.name.clone());
        let participation = match part {
            Part::None if class_of(entry.mapped.kind).is_none() => Participation::Container,
            Part::None if ruled.is_empty() => Participation::NotRead,
            Part::None => Participation::Out,
            Part::Aside(aside) => Participation::Aside {
                scope: taken.first().and_then(|at| name(usize::from(*at))),
                reason: aside.reason,
                message: aside.message,
            },
            Part::Unsupported(_) => Participation::Unsupported,
            Part::Takes(at) => match self.aside(slot) {
                Some(aside) => Participation::Aside {
                    scope: name(at),
                    reason: aside.reason,
                    message: aside.message.clone(),
                },
                None => Participation::In {
                    scope: name(at).unwrap_or_default(),
                },
            },
        };
        (participation, rulings)
    }

    /// Why an entry that a scope takes is set aside: the first reason is the root.
    fn aside(&self, slot: u32) -> Option<&Aside> {
        let stages = [Stage::Scope, Stage::Join, Stage::Match, Stage::Make];
        let mut all = stages
            .iter()
            .map(|stage| self.metaverse.aside.get(&(*stage, slot)));
        all.find_map(|aside| aside)
    }

    fn ruling(
        &self,
        slot: u32,
        entry: Read<'_>,
        scope: &Scope,
        decided: &Decided,
    ) -> Option<Ruling> {
        let class = class_of(entry.mapped.kind)?;
        let dn = Dn::parse(&entry.mapped.dn).ok()?;
        let rule = |list, at| rule(scope, decided, list, at, slot, self.spaces);
        let filter = scope.filter.as_ref();
        let when = scope.when.get(&class);
        let source = when.map_or("", Expression::source).to_owned();
        let looked_at = || {
            read(
                entry.whole,
                when.into_iter().flat_map(Expression::attributes),
            )
        };
        let verdict = match decided.judge(
            scope,
            slot,
            &dn,
            entry.mapped,
            class,
            self.metaverse.as_of(),
        ) {
            Judged::Taken(at) => Verdict::Taken {
                by: rule(RuleList::Include, at)?,
            },
            Judged::OtherClass => Verdict::OtherClass {
                classes: scope.classes.iter().copied().collect(),
            },
            Judged::NotIncluded => Verdict::NotIncluded {
                rules: (0..scope.include.len())
                    .filter_map(|at| rule(RuleList::Include, at))
                    .collect(),
            },
            Judged::Excluded(at) => Verdict::Excluded {
                by: rule(RuleList::Exclude, at)?,
            },
            Judged::ExcludedByDefault(rule) => Verdict::ExcludedByDefault { rule },
            Judged::Filtered => Verdict::Filtered {
                filter: filter.map(ToString::to_string).unwrap_or_default(),
                sources: read(entry.whole, filter.into_iter().flat_map(Filter::attributes)),
            },
            Judged::WhenFalse => Verdict::WhenFalse {
                expression: source,
                sources: looked_at(),
            },
            Judged::WhenFailed(message) => Verdict::WhenFailed {
                expression: source,
                message,
                sources: looked_at(),
            },
        };
        Some(Ruling {
            scope: scope.name.clone(),
            verdict,
        })
    }
}

fn rule(
    scope: &Scope,
    decided: &Decided,
    list: RuleList,
    at: usize,
    slot: u32,
    spaces: &Spaces,
) -> Option<Rule> {
    let include = match list {
        RuleList::Include => scope.include.get(at)?,
        RuleList::Exclude => scope.exclude.get(at)?,
    };
    let resolved = match include {
        Include::Everything => None,
        Include::OrganizationalUnit(written) | Include::Group(written) => {
            decided.resolved.get(&canonical(written))
        }
    };
    let via = decided.by_way_of(list, at, slot, spaces).into_iter();
    Some(Rule {
        include: include.clone(),
        dn: resolved.map(|resolution| resolution.dn.clone()),
        settled: decided.is_settled(list, at),
        via: via
            .take(MOST_VIA)
            .map(|group| spaces.dn_text(group))
            .collect(),
    })
}
