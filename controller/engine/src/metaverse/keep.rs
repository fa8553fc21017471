//! Results in records, and back. Of an entry about which nothing is to be done or said, what it came to; all others are decided anew
//! when the engine is resumed, as if they had just been read.

use std::collections::BTreeSet;

use super::{Metaverse, Standing, State, World};
use crate::{
    configuration::Configuration,
    entry::Class,
    identity::{Kind, ScopeCounts},
    index::{Index, NONE},
    scope::{Decided, Read},
    space::{Reader, Writer},
};

const CLASSES: [Class; 3] = [Class::User, Class::Group, Class::Contact];
const KINDS: [Option<Kind>; 3] = [None, Some(Kind::Contact), Some(Kind::DistributionGroup)];
const STANDINGS: [Standing; 4] = [
    Standing::None,
    Standing::Ours,
    Standing::Other,
    Standing::Create,
];

fn place<T: PartialEq>(all: &[T], one: &T) -> usize {
    all.iter()
        .position(|known| known == one)
        .unwrap_or_default()
}

impl Default for Metaverse {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Metaverse {
    /// Numbers of entries whose records are others than those that were given.
    pub(crate) fn keep(&mut self) -> Vec<u32> {
        let busy = self.busy();
        for slot in busy.symmetric_difference(&self.busy_kept) {
            self.unkept.insert(*slot);
        }
        self.busy_kept = busy;
        self.unkept.give()
    }

    pub(crate) fn kept(&mut self) {
        self.unkept.kept();
    }

    /// Entries of which more is known than their states.
    fn busy(&self) -> BTreeSet<u32> {
        let aside = self.aside.keys().map(|(_, slot)| *slot);
        aside
            .chain(self.pending.keys().copied())
            .chain(self.references.keys().copied())
            .chain(self.claims.keys().copied())
            .chain(self.keeps.keys().copied())
            .chain(self.moment_of.keys().copied())
            .collect()
    }

    /// What the rules were found to be, and the sets of scopes that states name by number.
    pub(crate) fn write_sets(&self, configuration: &Configuration, writer: &mut Writer) {
        writer.bytes(&self.rules(configuration));
        writer.number(self.sets.len());
        for set in &self.sets {
            writer.number(set.len());
            set.iter()
                .for_each(|scope| writer.number(usize::from(*scope)));
        }
        writer.number(usize::from(self.told));
    }

    pub(crate) fn take_sets(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.rules_kept = reader.bytes()?.to_vec();
        self.sets.clear();
        for _ in 0..reader.number()? {
            let mut set = Vec::new();
            for _ in 0..reader.number()? {
                set.push(u16::try_from(reader.number()?).ok()?);
            }
            self.sets.push(set);
        }
        self.told = reader.number()? == 1;
        Some(())
    }

    fn rules(&self, configuration: &Configuration) -> Vec<u8> {
        let mut writer = Writer::default();
        for (scope, decided) in configuration.scopes.iter().zip(&self.decided) {
            writer.bytes(scope.name.as_bytes());
            let decided = decided.as_ref().map(Decided::summary);
            writer.bytes(decided.unwrap_or_default().as_bytes());
        }
        writer.0
    }

    /// Writes what an entry came to; nothing if it is to be decided anew.
    pub(crate) fn write_state(&self, slot: u32, writer: &mut Writer) {
        let state = self.state(slot);
        writer.number(usize::from(!self.busy_kept.contains(&slot)));
        if self.busy_kept.contains(&slot) {
            return;
        }
        writer.number(usize::from(state.scope));
        writer.number(usize::from(state.taken));
        writer.number(place(&KINDS, &state.unsupported));
        writer.number(place(&CLASSES, &state.class));
        writer.number(usize::from(state.identity));
        writer.number(place(&STANDINGS, &state.standing));
        writer.number(usize::from(state.makeable));
        writer.word(state.object);
        writer.number(state.members as usize);
        let keys = self.keys_of(slot);
        writer.number(keys.len());
        for key in keys {
            writer.word(key);
            // What its own object holds is found by way of that.
            writer.number(usize::from(self.keys.has(key, slot)));
        }
    }

    pub(crate) fn take_state(&mut self, slot: u32, reader: &mut Reader<'_>) -> Option<()> {
        if reader.number()? == 0 {
            self.busy_kept.insert(slot);
            return Some(());
        }
        let mut state = State {
            scope: u16::try_from(reader.number()?).ok()?,
            taken: u16::try_from(reader.number()?).ok()?,
            unsupported: *KINDS.get(reader.number()?)?,
            class: *CLASSES.get(reader.number()?)?,
            identity: reader.number()? == 1,
            standing: *STANDINGS.get(reader.number()?)?,
            makeable: reader.number()? == 1,
            object: reader.word()?,
            members: u32::try_from(reader.number()?).ok()?,
            keys: [NONE; 2],
        };
        for at in 0..reader.number()? {
            let key = reader.word()?;
            if reader.number()? == 1 {
                self.wanted.push((key, slot));
            }
            match state.keys.get_mut(at) {
                Some(own) => *own = key,
                None => self.more_keys.entry(slot).or_default().push(key),
            }
        }
        let at = slot as usize;
        if self.states.len() <= at {
            self.states.resize(at + 1, State::default());
        }
        if let Some(own) = self.states.get_mut(at) {
            *own = state;
        }
        Some(())
    }

    /// Goes on from what was kept; `false` if all is to be computed anew, as it is where entries are joined: who is joined to whom is
    /// not kept.
    pub(crate) fn resume(&mut self, world: &mut World<'_>) -> bool {
        let configuration = world.configuration;
        if configuration.joins.is_some() {
            return false;
        }
        for scope in &configuration.scopes {
            let connector = world.spaces.find(&scope.connector);
            let decided = connector.and_then(|connector| {
                world.spaces.connector(connector)?.complete()?;
                let read = Read {
                    spaces: world.spaces,
                    connector,
                };
                let known = world.memory.resolved.get(&scope.name);
                Some(Decided::new(scope, read, known, None))
            });
            self.decided.push(decided);
        }
        if self.rules(configuration) != self.rules_kept {
            return false;
        }
        let scopes = configuration.scopes.len();
        self.scope_counts.resize(scopes, ScopeCounts::default());
        let mut all = std::mem::take(&mut self.states);
        for (slot, state) in (0..).zip(&mut all) {
            if !world.spaces.exists(slot) || self.busy_kept.contains(&slot) {
                *state = State::default();
                continue;
            }
            self.count(state.taken, state.class, state.unsupported, true);
            if state.identity {
                self.count_identity(state.class, true);
                self.memberships += state.members as usize;
                if state.object != NONE {
                    world.view.set_owner(state.object, Some(slot));
                }
            }
        }
        self.states = all;
        let wanted = std::mem::take(&mut self.wanted);
        let count = wanted.len();
        self.keys = Index::of(wanted.into_iter(), count);
        world.spaces.journal.slots.extend(&self.busy_kept);
        let unowned = world.view.all_ours().map(|(object, _)| object);
        let unowned: Vec<u32> = unowned
            .filter(|object| world.view.owner_of(*object).is_none())
            .collect();
        world.view.seen.objects.extend(unowned);
        self.everything = false;
        true
    }
}
