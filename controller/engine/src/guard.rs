//! The guard: limits on operations that take something away. What exceeds a limit is held, everything else flows.
//!
//! A hold has a digest over what it withholds; approving that digest releases exactly that hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::{
    anchor::Anchor,
    configuration::{Guard, Limit},
    entry::Class,
    fault::{Fault, planted},
    operation::{Change, ChangeKind, Member, Operation},
    plan::{Digest, sort},
};

/// The classes of risky operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldClass {
    Deletions,
    Disables,
    MembershipRemovals,
}

impl HoldClass {
    pub const ALL: [Self; 3] = [Self::Deletions, Self::Disables, Self::MembershipRemovals];

    /// The word in digests, status and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deletions => "deletions",
            Self::Disables => "disables",
            Self::MembershipRemovals => "membershipRemovals",
        }
    }

    fn of(change: &Change) -> Option<Self> {
        match change {
            Change::Delete => Some(Self::Deletions),
            Change::Disable => Some(Self::Disables),
            Change::RemoveMember { .. } => Some(Self::MembershipRemovals),
            _ => None,
        }
    }
}

/// Operations that are withheld together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub class: HoldClass,
    /// The class of the objects that would be deleted, disabled or emptied.
    pub object: Class,
    pub digest: Digest,
    pub count: usize,
    /// Our objects of that class (for disables: those not disabled; for removals: the members of the groups concerned).
    pub managed: usize,
    /// `count` of `managed` in percent, rounded up.
    pub share: usize,
    /// One sentence for people, with the numbers and the limit that was exceeded.
    pub limit: String,
    /// Sorted as in a plan.
    pub operations: Vec<Operation>,
    /// The first ten anchors concerned.
    pub sample: Vec<Anchor>,
}

/// What a limit is taken of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Managed {
    /// Ours at the target, by class.
    pub(crate) objects: BTreeMap<Class, usize>,
    /// Ours that are not disabled, by class.
    pub(crate) enabled: BTreeMap<Class, usize>,
    /// Whose sign-in is blocked already; only the rest of the disable is to be done.
    pub(crate) blocked: BTreeSet<Anchor>,
    /// Members of those of our groups that are to lose some.
    pub(crate) members: BTreeMap<Anchor, usize>,
    /// Members of all our groups together.
    pub(crate) memberships: usize,
}

impl Limit {
    fn exceeded(&self, n: usize, managed: usize) -> Option<String> {
        if n > 1 && n >= managed {
            return Some(format!("that is all {managed} of them"));
        }
        self.over(n, managed)
    }

    /// More than the floor, and more than the number or the share.
    fn over(&self, n: usize, managed: usize) -> Option<String> {
        if n <= self.floor as usize && !planted(Fault::FloorIgnored) {
            return None;
        }
        if n > self.max as usize {
            return Some(format!("the limit is {}", self.max));
        }
        (100 * n > self.percent as usize * managed)
            .then(|| format!("the limit is {} % of {managed}", self.percent))
    }
}

/// Takes out of `operations` what exceeds a limit and is not approved.
pub(crate) fn hold(
    operations: &mut Vec<Operation>,
    guard: &Guard,
    managed: &Managed,
    owner: &str,
) -> Vec<Hold> {
    if planted(Fault::GuardOff) {
        return Vec::new();
    }
    let mut risky: BTreeMap<(HoldClass, Class), Vec<Operation>> = BTreeMap::new();
    operations.retain(|operation| match HoldClass::of(&operation.change) {
        Some(HoldClass::Disables) if managed.blocked.contains(&operation.anchor) => true,
        Some(class) => {
            risky
                .entry((class, operation.class))
                .or_default()
                .push(operation.clone());
            false
        }
        None => true,
    });
    let mut holds = Vec::new();
    for ((class, object), risky) in risky {
        let (mut held, managed, limit) = match class {
            HoldClass::MembershipRemovals => removals(risky, guard, managed, operations),
            _ => objects(class, object, risky, guard, managed, operations),
        };
        if held.is_empty() {
            continue;
        }
        sort(&mut held);
        let digest = digest(owner, &held);
        let fits = guard.approved.contains(&digest)
            || (planted(Fault::AnyApprovalFits) && !guard.approved.is_empty());
        if fits {
            operations.append(&mut held);
            continue;
        }
        let mut sample: Vec<Anchor> = held.iter().map(|held| held.anchor.clone()).collect();
        sample.dedup();
        sample.truncate(10);
        let count = held.len();
        holds.push(Hold {
            class,
            object,
            limit: format!(
                "{limit}; approve {digest} in `guard.approved`, raise `guard.{}`, or mend the source",
                class.as_str()
            ),
            digest,
            count,
            managed,
            share: (100 * count).div_ceil(managed.max(1)),
            operations: held,
            sample,
        });
    }
    if planted(Fault::TrippedGuardStopsAll) && !holds.is_empty() {
        operations.clear();
    }
    holds
}

fn objects(
    class: HoldClass,
    object: Class,
    risky: Vec<Operation>,
    guard: &Guard,
    managed: &Managed,
    flowing: &mut Vec<Operation>,
) -> (Vec<Operation>, usize, String) {
    let (limit, of, verb) = match class {
        HoldClass::Deletions => (guard.deletions, &managed.objects, "deleting"),
        _ => (guard.disables, &managed.enabled, "disabling"),
    };
    let managed = of.get(&object).copied().unwrap_or_default();
    let n = risky.len();
    if let Some(why) = limit.exceeded(n, managed) {
        let limit = format!(
            "{verb} {n} of {managed} {}s is held: {why}",
            object.as_str()
        );
        return (risky, managed, limit);
    }
    flowing.extend(risky);
    (Vec::new(), managed, String::new())
}

fn removals(
    risky: Vec<Operation>,
    guard: &Guard,
    managed: &Managed,
    flowing: &mut Vec<Operation>,
) -> (Vec<Operation>, usize, String) {
    let limit = guard.membership_removals;
    let members = |group: &Anchor| managed.members.get(group).copied().unwrap_or_default();
    let mut groups: BTreeMap<Anchor, Vec<Operation>> = BTreeMap::new();
    let total = risky.len();
    for operation in risky {
        groups
            .entry(operation.anchor.clone())
            .or_default()
            .push(operation);
    }
    // Emptying one small group is no accident; emptying all groups is.
    let memberships = managed.memberships;
    let all = total > 1 && total >= memberships;
    let everything = all || total > limit.floor as usize && total > limit.max as usize;
    let everything = everything
        || planted(Fault::TrippedGroupHoldsAll)
            && (groups.iter()).any(|(group, own)| limit.over(own.len(), members(group)).is_some());
    let (mut held, mut of, mut tripped, mut why) = (Vec::new(), 0, 0_usize, String::new());
    for (group, removals) in groups {
        let inside = limit.over(removals.len(), members(&group));
        if !everything && inside.is_none() {
            flowing.extend(removals);
            continue;
        }
        of += members(&group);
        tripped += 1;
        if why.is_empty() {
            let (n, m) = (removals.len(), members(&group));
            why = inside.map_or_else(String::new, |why| {
                format!("; in group {group}, {n} of {m} would go and {why}")
            });
        }
        held.extend(removals);
    }
    if all {
        why = format!("; that is all {memberships} memberships");
    } else if everything {
        why = format!("; the limit over all groups is {}", limit.max);
    }
    let text = format!(
        "removing {} of {of} members from {tripped} groups is held{why}",
        held.len()
    );
    (held, of, text)
}

/// SHA-256 over the sorted lines `class, operation, owner, anchor[, member anchor]`.
fn digest(owner: &str, held: &[Operation]) -> Digest {
    let mut lines: Vec<String> = held
        .iter()
        .map(|operation| {
            let kind: ChangeKind = operation.change.kind();
            let mut line = format!(
                "{}\t{}\t{owner}\t{}",
                operation.class.as_str(),
                kind.as_str(),
                operation.anchor
            );
            if let Change::RemoveMember { member } = &operation.change {
                let _ = match member {
                    Member::Ours(anchor) => write!(line, "\t{anchor}"),
                    Member::Foreign(id) => write!(line, "\tforeign {id}"),
                };
            }
            line
        })
        .collect();
    lines.sort();
    Digest::of(lines.join("\n").as_bytes())
}
