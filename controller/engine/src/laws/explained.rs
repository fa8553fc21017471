//! What an explanation tells of every object, held against the plan and the desired objects of the engine, to the byte.

use std::collections::BTreeMap;

use crate::{
    anchor::Anchor,
    engine::Engine,
    entry::Class,
    explain::{Attribute, Desired, Explanation, Participation, Question},
    mapping::Mapped,
    operation::{Change, Operation},
    plan::Plan,
    target::{Changes, Value},
    target_view::normal,
};

/// What is told otherwise than planned.
pub(super) fn misexplained(engine: &Engine, plan: &Plan) -> Option<String> {
    let held = plan.holds.iter().flat_map(|hold| &hold.operations);
    let mut objects: BTreeMap<(Class, Anchor), Option<Changes>> = BTreeMap::new();
    for operation in plan.operations.iter().chain(held) {
        objects.insert((operation.class, operation.anchor.clone()), None);
    }
    for (class, anchor, desired) in engine.desired() {
        objects.insert((class, anchor), Some(desired));
    }
    for ((class, anchor), desired) in objects {
        let mut all = engine.explain(&Question::new(&anchor.immutable_id()), plan);
        all.retain(|one| one.class == Some(class));
        let [explanation] = all.as_slice() else {
            return Some(format!("{} explanations of {anchor}", all.len()));
        };
        let wrong = operations(plan, explanation, &anchor)
            .or_else(|| values(explanation, desired))
            .or_else(|| standing(plan, explanation, &anchor));
        if let Some(wrong) = wrong {
            return Some(format!("{wrong}: {explanation:#?}"));
        }
    }
    None
}

fn operations(plan: &Plan, explanation: &Explanation, anchor: &Anchor) -> Option<String> {
    let own = |operations: &[Operation]| -> Vec<Operation> {
        let own = operations.iter();
        own.filter(|one| one.anchor == *anchor).cloned().collect()
    };
    let held: Vec<Operation> = plan
        .holds
        .iter()
        .flat_map(|hold| own(&hold.operations))
        .collect();
    let told = explanation.holds.iter();
    let told: Vec<Operation> = told.flat_map(|hold| own(&hold.operations)).collect();
    (explanation.operations != own(&plan.operations) || told != held)
        .then(|| format!("other operations: {:?}", own(&plan.operations)))
}

fn values(explanation: &Explanation, desired: Option<Changes>) -> Option<String> {
    let mut sent = Changes::new();
    for operation in &explanation.operations {
        match &operation.change {
            Change::Create { values, .. } => {
                let values = values.iter();
                sent.extend(values.map(|(name, value)| (name.clone(), Some(value.clone()))));
            }
            Change::Restore { changes, .. }
            | Change::Adopt { changes, .. }
            | Change::Update { changes } => sent.extend(changes.clone()),
            _ => {}
        }
    }
    let told = |value: fn(&Attribute) -> Option<Option<Value>>| -> Changes {
        let all = explanation.attributes.iter();
        all.filter_map(|one| Some((one.name.clone(), value(one)?)))
            .collect()
    };
    let mut planned = told(|one| one.planned.clone());
    // A disable has no values; that it blocks sign-in is told all the same.
    if !sent.contains_key("accountEnabled") {
        planned.remove("accountEnabled");
    }
    if planned != sent {
        return Some(format!("sends {sent:?}, told is {planned:?}"));
    }
    let wanted = told(|one| match &one.desired {
        Desired::Mapped(Mapped::Value(value)) => Some(Some(value.clone())),
        Desired::Mapped(Mapped::Nothing) => Some(None),
        _ => None,
    });
    let desired: Changes = desired?
        .into_iter()
        .map(|(name, value)| (name, normal(value)))
        .collect();
    (wanted != desired).then(|| format!("desired is {desired:?}, told is {wanted:?}"))
}

fn standing(plan: &Plan, explanation: &Explanation, anchor: &Anchor) -> Option<String> {
    let mut listed = plan.quarantine.iter();
    let listed = listed.find(|one| one.anchor.as_ref() == Some(anchor));
    if listed != explanation.quarantine.as_ref() {
        return Some(format!("quarantined: {listed:?}"));
    }
    let leaves = |operation: &Operation| {
        matches!(operation.change, Change::Disable | Change::Delete)
            && operation.anchor == *anchor
            && !matches!(explanation.participation, Participation::In { .. })
    };
    let gone = explanation.operations.iter().any(leaves);
    (gone && explanation.leaving.is_none()).then(|| "it leaves, and that is not told".to_owned())
}
