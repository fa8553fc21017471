//! Faults that the tests of the laws plant, to prove that a law can turn red. Outside tests nothing is ever planted.

/// A mistake that the engine could have made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    GuardOff,
    MissingReadIsEmpty,
    KeyedByDn,
    UnsortedPlan,
    TombstonesNotRequired,
    OwnerIgnored,
    QuarantinedLeave,
    RewrittenIsResent,
    AnyApprovalFits,
    FloorIgnored,
    TrippedGuardStopsAll,
    TrippedGroupHoldsAll,
    UnmappedIsCompared,
    UnresolvedScopeLeaves,
    UncertainMembersLeave,
    HalfADisableIsEnough,
    ChildrenStay,
    NestedGroupStale,
    ArrivalUnnoticed,
    UniqueStale,
    ConditionStale,
    TimeStandsStill,
    WakeMissed,
    DoubtIsGone,
    CutCountsAsWhole,
    JoinedUnnoticed,
    JoinsDoNotWait,
    ForeignUnnoticed,
    NameNotKept,
    ResultNotKept,
}

#[cfg(not(test))]
#[inline]
pub(crate) const fn planted(_: Fault) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
pub(crate) fn planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Runs `test` with the fault in this thread.
#[cfg(test)]
pub(crate) fn with<T>(fault: Option<Fault>, test: impl FnOnce() -> T) -> T {
    PLANTED.set(fault);
    let result = test();
    PLANTED.set(None);
    result
}
