use super::*;
use ConditionStatus::{False, True, Unknown};
use ConditionType::{Ready, Reconciling, Stalled};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn conditions(list: &[(ConditionType, ConditionStatus)]) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (type_, status) in list {
        set_condition(
            &mut conditions,
            *type_,
            *status,
            "Because",
            "message",
            Some(1),
            at(1),
        );
    }
    conditions
}

#[test]
fn the_transition_time_moves_with_the_status_and_not_with_reason_or_message() {
    let mut list = conditions(&[(Ready, False)]);
    set_condition(&mut list, Ready, False, "Other", "other", Some(2), at(2));
    let ready = find(&list, Ready).unwrap();
    assert_eq!(
        (
            ready.reason.as_str(),
            ready.observed_generation,
            &ready.last_transition_time
        ),
        ("Other", Some(2), &Time(at(1)))
    );
    set_condition(&mut list, Ready, True, "Other", "other", Some(2), at(3));
    assert_eq!(
        find(&list, Ready).unwrap().last_transition_time,
        Time(at(3))
    );
    assert_eq!(list.len(), 1);
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let mut list = Vec::new();
    set_condition(
        &mut list,
        Ready,
        True,
        "Succeeded",
        &"ü".repeat(MESSAGE_MAX),
        None,
        at(1),
    );
    set_condition(
        &mut list,
        Stalled,
        True,
        "Succeeded",
        &format!("x{}", "ü".repeat(MESSAGE_MAX)),
        None,
        at(1),
    );
    assert_eq!(list[0].message.len(), MESSAGE_MAX);
    assert_eq!(list[1].message.len(), MESSAGE_MAX - 1);
}

#[test]
fn kstatus_gives_these_verdicts() {
    for (name, observed, list, expected) in [
        (
            "nobody has looked: the schema's default",
            Some(-1),
            vec![],
            Verdict::InProgress,
        ),
        (
            "a status without conditions and generation",
            None,
            vec![],
            Verdict::Current,
        ),
        (
            "started",
            Some(1),
            vec![(Ready, Unknown), (Reconciling, True)],
            Verdict::InProgress,
        ),
        ("success", Some(1), vec![(Ready, True)], Verdict::Current),
        (
            "an old success",
            Some(0),
            vec![(Ready, True)],
            Verdict::InProgress,
        ),
        (
            "transient failure",
            Some(1),
            vec![(Ready, False), (Reconciling, True)],
            Verdict::InProgress,
        ),
        (
            "needs the user",
            Some(1),
            vec![(Ready, False), (Stalled, True)],
            Verdict::Failed,
        ),
        ("held", Some(1), vec![(Ready, False)], Verdict::InProgress),
    ] {
        assert_eq!(verdict(1, observed, &conditions(&list)), expected, "{name}");
    }
}

#[test]
fn the_allowed_ends_of_a_reconcile_pass() {
    for list in [
        vec![(Ready, True)],
        vec![(Ready, Unknown), (Reconciling, True)],
        vec![(Ready, False), (Reconciling, True)],
        vec![(Ready, False), (Stalled, True)],
        vec![(Ready, False)],
    ] {
        let list = conditions(&list);
        assert_eq!(check(1, Some(1), &list, &list), [], "{list:?}");
    }
    assert_eq!(
        check(
            2,
            Some(1),
            &[],
            &conditions(&[(Ready, False), (Reconciling, True)])
        ),
        [],
        "a failed attempt keeps the old generation"
    );
}

#[test]
fn each_broken_invariant_is_named() {
    for (observed, list, expected) in [
        (1, vec![], vec![Broken::ReadyMissing]),
        (
            1,
            vec![(Ready, True), (Stalled, True)],
            vec![Broken::ReadyAndStalled],
        ),
        (
            1,
            vec![(Ready, True), (Reconciling, True)],
            vec![Broken::ReadyAndReconciling],
        ),
        (
            1,
            vec![(Ready, False), (Reconciling, True), (Stalled, True)],
            vec![Broken::ReconcilingAndStalled],
        ),
        (
            1,
            vec![(Ready, False), (Reconciling, False)],
            vec![Broken::AbnormalNotTrue(Reconciling)],
        ),
        (
            1,
            vec![(Ready, False), (Stalled, Unknown)],
            vec![Broken::AbnormalNotTrue(Stalled)],
        ),
        (2, vec![(Ready, False)], vec![Broken::ObservedAhead]),
        (0, vec![(Ready, True)], vec![Broken::ReadyForOldGeneration]),
    ] {
        assert_eq!(
            check(1, Some(observed), &[], &conditions(&list)),
            expected,
            "{list:?}"
        );
    }
}

#[test]
fn a_transition_time_that_does_not_follow_its_status_is_found() {
    let before = conditions(&[(Ready, False)]);
    let mut moved = before.clone();
    moved[0].last_transition_time = Time(at(9));
    let mut kept = conditions(&[(Ready, True)]);
    kept[0].last_transition_time = Time(at(1));
    for after in [moved, kept] {
        assert_eq!(
            check(1, Some(1), &before, &after),
            [Broken::TransitionTime(Ready)]
        );
    }
}
