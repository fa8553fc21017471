//! Law 4 over deltas: what is proof that an entry is gone, and what is none; each with the fault that would take it for one.

use jiff::{SignedDuration, Timestamp};

use super::{configured::scopes, feed::Directory, target::Model};
use crate::{
    engine::Engine,
    fault::{Fault, with},
    memory::Memory,
    operation::{Lane, Outcome},
    port::{Cause, Import},
    reason::Reason,
};

/// A directory that was read once, and its people at the target.
struct World {
    directory: Directory,
    model: Model,
    engine: Engine,
    now: Timestamp,
}

impl World {
    fn new(tombstones: bool) -> Self {
        let mut world = Self {
            directory: Directory::new(false, tombstones, 0),
            model: Model::new(),
            engine: Engine::new(scopes(0), Memory::default()),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
        };
        world.import(world.directory.complete(world.now));
        assert_eq!(world.deleted(), 0);
        world
    }

    fn import(&mut self, events: Vec<Import>) {
        for event in events {
            self.engine.import("ldap", event);
        }
    }

    fn delta(&self) -> Vec<Import> {
        self.directory.delta(self.now, 0)
    }

    /// Searches for whom the engine asks; how many that were.
    fn answer(&mut self) -> usize {
        let doubts = self.engine.doubts("ldap", self.now);
        let count = doubts.len();
        for doubt in doubts {
            let (entries, sighting) = self.directory.find(doubt);
            let at = self.now;
            self.import(vec![
                Import::Batch(entries),
                Import::Evidence { sighting, at },
            ]);
        }
        count
    }

    /// Plans and carries out; how many were deleted.
    fn deleted(&mut self) -> usize {
        self.now = self.now.checked_add(SignedDuration::from_secs(1)).unwrap();
        for event in self.model.read() {
            self.engine.observe(event, self.now);
        }
        let (plan, _) = self.engine.plan(self.now);
        for operation in &plan.operations {
            let outcome = self.model.apply(operation);
            self.engine.record(operation, &outcome, self.now);
        }
        let lanes = plan.operations.iter().map(|one| one.change.lane());
        lanes.filter(|lane| *lane == Lane::Delete).count()
    }
}

#[test]
fn named_as_gone_and_not_found_is_gone_unless_tombstones_must_tell() {
    for tombstones in [false, true] {
        let mut world = World::new(tombstones);
        world.directory.person(0, |person| person.hidden = true);
        world.import(world.delta());
        assert_eq!(world.deleted(), 0, "a doubt is no proof");
        world.directory.person(0, |person| person.deleted = true);
        assert_eq!(world.answer(), 1);
        assert_eq!(world.deleted(), usize::from(!tombstones));
    }
}

#[test]
fn named_as_gone_and_found_stays() {
    let mut world = World::new(false);
    world.directory.person(0, |person| person.hidden = true);
    world.import(world.delta());
    world.directory.person(0, |person| person.hidden = false);
    assert_eq!((world.answer(), world.deleted()), (1, 0));
    assert_eq!(world.answer(), 0, "the doubt is settled");
}

#[test]
fn a_tombstone_is_proof() {
    let mut world = World::new(true);
    world.directory.person(0, |person| person.deleted = true);
    world.import(world.delta());
    assert_eq!(world.deleted(), 1);
}

#[test]
fn a_listing_that_does_not_bring_someone_is_no_proof() {
    for fault in [None, Some(Fault::DoubtIsGone)] {
        let mut world = World::new(false);
        world.directory.person(0, |person| person.deleted = true);
        let listing = world
            .directory
            .list(world.now, "OU=Staff0,DC=x", Cause::Container);
        world.import(listing);
        let deleted = with(fault, || {
            assert_eq!(world.answer(), 1);
            world.deleted()
        });
        assert_eq!(deleted, usize::from(fault.is_some()), "{fault:?}");
    }
}

#[test]
fn a_delta_without_its_end_keeps_what_it_brought_and_lets_nobody_leave() {
    for fault in [None, Some(Fault::CutCountsAsWhole)] {
        let mut world = World::new(false);
        world.directory.person(0, |person| person.unit = 2);
        let mut events = world.delta();
        events.pop();
        world.import(events);
        let deleted = with(fault, || world.deleted());
        assert_eq!(deleted, usize::from(fault.is_some()), "{fault:?}");
        if fault.is_none() {
            let again = world.delta();
            world.import(again);
            assert_eq!(
                world.deleted(),
                1,
                "he is out of scope once the delta is whole"
            );
        }
    }
}

#[test]
fn a_refused_write_wakes_the_engine() {
    for fault in [None, Some(Fault::WakeMissed)] {
        let mut world = World::new(false);
        world.directory.edit(0, |person| person.mail = 5);
        world.directory.edit(5, |person| person.mail = 0);
        world.directory.person(0, |person| person.name = 9);
        world.import(world.delta());
        let (plan, _) = world.engine.plan(world.now);
        assert!(!plan.is_empty());
        for operation in &plan.operations {
            let refused = Outcome::Refused {
                reason: Reason::RefusedByTarget,
                message: "no".to_owned(),
            };
            world.engine.record(operation, &refused, world.now);
        }
        let (_, wake) = with(fault, || world.engine.plan(world.now));
        assert_eq!(wake.is_some(), fault.is_none());
    }
}
