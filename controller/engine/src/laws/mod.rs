//! The laws of the design as properties over random worlds, and the planted faults that each turn one red.
//!
//! A case is a directory, a target and a sequence of events; after each event a whole cycle runs, and every law is checked.

mod absence;
mod check;
mod configured;
mod delta;
mod explained;
mod feed;
mod source;
mod target;

use std::{collections::BTreeSet, sync::OnceLock};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRunner},
};

use self::{
    check::{Law, Runner},
    source::{GROUPS, PEOPLE},
};
use crate::fault::{Fault, with};

const OWNER: &str = "corp";

const ALL_LAWS: [Law; 5] = [
    Law::Idempotent,
    Law::Planned,
    Law::Evidence,
    Law::Guard,
    Law::Quarantine,
];

/// One event of a case.
#[derive(Clone, Debug)]
enum Event {
    Rename(u8),
    Mail(u8, u8),
    Department(u8, Option<u8>),
    Lock(u8, bool),
    Break(u8, bool),
    Hide(u8, bool),
    HideUnit(usize, bool),
    RenameUnit(usize),
    Move(u8, usize),
    Delete(u8),
    ChangeAnchor(u8, bool),
    Manager(u8, Option<u8>),
    Member(usize, u8, bool),
    /// Two leave a group at once; no random world has it.
    Halve(usize),
    /// A cycle whose read is cut after so many entries.
    Cut(usize),
    Drift(usize),
    /// The next time, sessions cannot be revoked.
    RevokeFails,
    /// Half an hour goes by.
    Wait,
    /// A new process; with or without its volume.
    Restart(bool),
    /// The scope is removed from the configuration, or put back.
    Scope(bool),
    /// The first hold is approved.
    Approve,
}

fn event() -> impl Strategy<Value = Event> {
    let person = 0..PEOPLE;
    let of = || 0..PEOPLE;
    prop_oneof![
        2 => person.prop_map(Event::Rename),
        2 => (of(), of()).prop_map(|(p, mail)| Event::Mail(p, mail)),
        2 => (of(), proptest::option::of(of())).prop_map(|(p, to)| Event::Department(p, to)),
        2 => (of(), any::<bool>()).prop_map(|(p, locked)| Event::Lock(p, locked)),
        2 => (of(), any::<bool>()).prop_map(|(p, broken)| Event::Break(p, broken)),
        2 => (of(), any::<bool>()).prop_map(|(p, hidden)| Event::Hide(p, hidden)),
        2 => (0..3_usize, any::<bool>()).prop_map(|(at, hidden)| Event::HideUnit(at, hidden)),
        1 => (0..3_usize).prop_map(Event::RenameUnit),
        3 => (of(), 0..3_usize).prop_map(|(p, unit)| Event::Move(p, unit)),
        3 => of().prop_map(Event::Delete),
        1 => (of(), any::<bool>()).prop_map(|(p, to)| Event::ChangeAnchor(p, to)),
        1 => (of(), proptest::option::of(of())).prop_map(|(p, to)| Event::Manager(p, to)),
        2 => (0..usize::from(GROUPS), 0..PEOPLE + GROUPS, any::<bool>())
            .prop_map(|(group, member, is)| Event::Member(group, member, is)),
        3 => (0..14_usize).prop_map(Event::Cut),
        1 => (0..14_usize).prop_map(Event::Drift),
        2 => Just(Event::RevokeFails),
        3 => Just(Event::Wait),
        2 => any::<bool>().prop_map(Event::Restart),
        1 => any::<bool>().prop_map(Event::Scope),
        1 => Just(Event::Approve),
    ]
}

/// Tombstones can be read; leavers are deleted; the guard is tight; events.
type Case = (bool, bool, bool, Vec<Event>);

fn case() -> impl Strategy<Value = Case> {
    (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        vec(event(), 1..7),
    )
}

/// Runs the cases until one breaks a law, and then so many more to find a simpler one.
fn search(laws: &[Law], cases: u32, shrink: u32) -> Result<(), TestError<Case>> {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: shrink,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(RngAlgorithm::default()),
    );
    runner.run(&case(), |(tombstones, delete, tight, events)| {
        let mut runner = Runner::new(tombstones, delete, tight);
        runner.explains = laws.contains(&Law::Explained);
        runner.cycle(None);
        for event in &events {
            runner.event(event);
        }
        let broken: Vec<_> = (runner.broken.iter())
            .filter(|(law, _)| laws.contains(law))
            .collect();
        prop_assert!(broken.is_empty(), "{broken:#?}");
        Ok(())
    })
}

/// 1,000 cases. They are run once for all laws; those of a law that is broken once more, to show the simplest.
fn holds(law: Law) {
    static ALL: OnceLock<bool> = OnceLock::new();
    let all_hold = ALL.get_or_init(|| search(&ALL_LAWS, 1000, 0).is_ok());
    if !all_hold && let Err(error) = search(&[law], 1000, 200) {
        panic!("{error}");
    }
}

#[test]
fn law_1_a_second_cycle_over_an_unchanged_world_writes_nothing() {
    holds(Law::Idempotent);
}

#[test]
fn law_3_only_what_is_ours_and_mapped_is_written_in_the_order_of_the_lanes() {
    holds(Law::Planned);
}

#[test]
fn law_4_gone_needs_evidence() {
    holds(Law::Evidence);
}

#[test]
fn law_6_a_tripped_guard_holds_the_risky_operations_alone() {
    holds(Law::Guard);
}

#[test]
fn law_9_one_bad_object_neither_stops_the_others_nor_disappears() {
    holds(Law::Quarantine);
}

#[test]
fn an_explanation_has_the_plan_s_operations_and_the_desired_values_of_every_object() {
    if let Err(error) = search(&[Law::Explained], 80, 300) {
        panic!("{error}");
    }
}

#[test]
fn every_planted_fault_turns_a_law_red() {
    let faults = [
        (Fault::GuardOff, Law::Guard),
        (Fault::AnyApprovalFits, Law::Guard),
        (Fault::FloorIgnored, Law::Guard),
        (Fault::MissingReadIsEmpty, Law::Evidence),
        (Fault::TombstonesNotRequired, Law::Evidence),
        (Fault::UnresolvedScopeLeaves, Law::Evidence),
        (Fault::UnsortedPlan, Law::Planned),
        (Fault::OwnerIgnored, Law::Planned),
        (Fault::UnmappedIsCompared, Law::Planned),
        (Fault::RewrittenIsResent, Law::Idempotent),
        (Fault::QuarantinedLeave, Law::Quarantine),
        (Fault::KeyedByDn, Law::Quarantine),
        (Fault::HalfADisableIsEnough, Law::Quarantine),
    ];
    let mut named = BTreeSet::new();
    for (fault, law) in faults {
        let alone = with(Some(fault), || search(&[law], 400, 0));
        let any = || with(Some(fault), || search(&ALL_LAWS, 400, 0));
        assert!(
            alone.is_err(),
            "{fault:?} leaves {law:?} green; any law: {:?}",
            any().is_err()
        );
        named.insert(format!("{fault:?}"));
    }
    assert!(named.len() >= 10);
}

#[test]
fn rarer_faults_turn_a_law_red_in_worlds_of_their_own() {
    // Four are found locked at once: more than a quarter of eight.
    let mut locked = vec![Event::HideUnit(0, true)];
    locked.extend((0..4).map(|id| Event::Lock(id, true)));
    locked.extend([Event::HideUnit(0, false), Event::Rename(7)]);
    let removed = vec![Event::Halve(0), Event::Member(1, 3, false)];
    let unreadable = vec![Event::Break(1, true), Event::Member(0, 1, false)];
    let hidden = vec![Event::Hide(1, true), Event::Member(0, 1, false)];
    for (fault, law, events) in [
        (Fault::TrippedGroupHoldsAll, Law::Guard, removed),
        (Fault::TrippedGuardStopsAll, Law::Quarantine, locked),
        (Fault::UncertainMembersLeave, Law::Evidence, unreadable),
        (Fault::UncertainMembersLeave, Law::Evidence, hidden),
    ] {
        for planted in [None, Some(fault)] {
            let mut runner = Runner::new(true, false, true);
            with(planted, || {
                runner.cycle(None);
                events.iter().for_each(|event| runner.event(event));
            });
            let red = runner.broken.iter().any(|(broken, _)| *broken == law);
            assert_eq!(red, planted.is_some(), "{planted:?}: {:#?}", runner.broken);
        }
    }
}
