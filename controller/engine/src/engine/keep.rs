//! The engine in records, and back.

use jiff::Timestamp;

use super::Engine;
use crate::{
    configuration::Configuration,
    memory::Memory,
    metaverse::{Metaverse, World},
    record::{self, Key, Put, Table},
    space::{Spaces, Writer},
    target_view::TargetView,
};

impl Engine {
    /// What [`crate::record::Resumed`] was put together from. `same`: results were computed with this configuration.
    pub(crate) fn resumed(
        configuration: Configuration,
        memory: Memory,
        spaces: Spaces,
        view: TargetView,
        metaverse: Metaverse,
        same: bool,
    ) -> Self {
        let interrupted = memory.sending;
        let mut engine = Self {
            interrupted,
            configuration,
            spaces,
            view,
            memory,
            metaverse,
            retry: None,
        };
        engine.prepare_spaces();
        let mut world = World {
            configuration: &engine.configuration,
            spaces: &mut engine.spaces,
            view: &mut engine.view,
            memory: &mut engine.memory,
            now: Timestamp::MIN,
        };
        if !same || !engine.metaverse.resume(&mut world) {
            engine.prepare();
        }
        engine
    }

    /// Gives the records that changed since [`Self::kept`] was last called, as they are at one point in time; `false` and none while a
    /// read is in progress, for what it has brought belongs to no cursor yet.
    ///
    /// Store them with [`Self::memory`], all or none, then say [`Self::kept`]; else they are given again.
    pub fn keep(&mut self, put: Put<'_>) -> bool {
        if self.spaces.is_reading() || self.view.is_reading() || !self.view.complete() {
            return false;
        }
        let mut world = World {
            configuration: &self.configuration,
            spaces: &mut self.spaces,
            view: &mut self.view,
            memory: &mut self.memory,
            now: self.metaverse.as_of(),
        };
        self.metaverse.update(&mut world);
        let number = record::part::ENGINE;
        let part = record::engine_part(&self.configuration, &self.metaverse);
        let table = Table::Part;
        put(Key { table, number }, Some(&part));
        let mut entries = self.spaces.keep(put);
        entries.extend(self.metaverse.keep());
        entries.sort_unstable();
        entries.dedup();
        for number in entries {
            let table = Table::Entry;
            let mut writer = Writer::default();
            let exists = self.spaces.write_entry(number, &mut writer);
            self.metaverse.write_state(number, &mut writer);
            put(Key { table, number }, exists.then_some(&writer.0));
        }
        self.view.keep(put);
        true
    }

    /// Nothing of this engine is stored: [`Self::keep`] gives everything.
    pub fn keep_all(&mut self) {
        self.spaces.keep_all();
        self.view.keep_all();
    }

    /// All that [`Self::keep`] gave is stored.
    pub fn kept(&mut self) {
        self.spaces.kept();
        self.metaverse.kept();
        self.view.kept();
    }
}
