//! What an engine keeps beyond one process: records, small pieces of bytes by table and number. Whoever holds the engine stores
//! those that [`Engine::keep`](crate::engine::Engine::keep) gives and hands all of them to a [`Resumed`] at the next start.
//!
//! What can be told from the records is not kept: indexes, counts, and whatever was still to be done, which is decided anew. Numbers of
//! entries, names and objects stay what they were.

use sha2::{Digest as _, Sha256};

use crate::{
    configuration::Configuration,
    engine::Engine,
    memory::Memory,
    metaverse::Metaverse,
    numbers::Numbers,
    space::{Reader, Spaces, Writer},
    target_view::TargetView,
};

pub use crate::index::{Seed, adopt_seed, seed};

/// The form of all records. Records of another form are of no use.
pub const FORM: u32 = 1;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Of which there is one, or one for each connector.
    Part,
    /// The texts above the first RDN of DNs.
    Above,
    Name,
    Entry,
    Object,
    /// The members of an object at the target.
    Members,
}

impl Table {
    /// In the order in which a [`Resumed`] takes them.
    pub const ALL: [Self; 6] = [
        Self::Part,
        Self::Above,
        Self::Name,
        Self::Entry,
        Self::Object,
        Self::Members,
    ];
}

/// Which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub table: Table,
    pub number: u32,
}

/// Takes a record; `None` if there is none with this key any more.
pub type Put<'a> = &'a mut dyn FnMut(Key, Option<&[u8]>);

/// Why records are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record {number} of {table:?} cannot be read")]
pub struct RecordError {
    pub table: Table,
    pub number: u32,
}

impl Key {
    pub(crate) fn malformed(self) -> RecordError {
        RecordError {
            table: self.table,
            number: self.number,
        }
    }
}

/// The numbers of parts.
pub(crate) mod part {
    pub(crate) const ENGINE: u32 = 0;
    pub(crate) const WORDS: u32 = 1;
    pub(crate) const VIEW: u32 = 2;
    pub(crate) const VIEW_CURSOR: u32 = 3;
    pub(crate) const VIEW_WORDS: u32 = 4;
    pub(crate) const OVERLAY: u32 = 5;
    /// Two for each connector.
    pub(crate) const CONNECTORS: u32 = 16;
}

/// Numbers of what changed since it was kept.
#[derive(Debug, Default)]
pub(crate) struct Unkept {
    changed: Numbers,
    /// Given and not confirmed: given again.
    given: Numbers,
}

impl Unkept {
    pub(crate) fn insert(&mut self, number: u32) {
        self.changed.insert(number);
    }

    pub(crate) fn give(&mut self) -> Vec<u32> {
        let changed = std::mem::take(&mut self.changed);
        self.given.extend(changed.iter());
        self.given.iter().collect()
    }

    pub(crate) fn kept(&mut self) {
        self.given = Numbers::default();
    }

    /// All numbers below this one.
    pub(crate) fn insert_all(&mut self, end: usize) {
        self.changed
            .extend(0..u32::try_from(end).unwrap_or(u32::MAX));
    }
}

/// An engine that is being put together from its records.
#[derive(Debug, Default)]
pub struct Resumed {
    pub(crate) spaces: Spaces,
    pub(crate) view: TargetView,
    pub(crate) metaverse: Metaverse,
    /// What the results were computed with.
    computed_with: Option<Vec<u8>>,
}

impl Resumed {
    /// Takes one record. They come table by table, in the order of their numbers.
    pub fn take(&mut self, key: Key, bytes: &[u8]) -> Result<(), RecordError> {
        let mut reader = Reader(bytes);
        let taken = match key.table {
            Table::Part => match key.number {
                part::ENGINE => self.take_engine(&mut reader),
                part::VIEW | part::VIEW_CURSOR | part::VIEW_WORDS | part::OVERLAY => {
                    self.view.take_part(key.number, bytes)
                }
                number => self.spaces.take_part(number, &mut reader),
            },
            Table::Above => self.spaces.take_above(key.number, &mut reader),
            Table::Name => self.spaces.take_name(key.number, &mut reader),
            Table::Entry => self
                .spaces
                .take_entry(key.number, &mut reader)
                .and_then(|()| self.metaverse.take_state(key.number, &mut reader)),
            Table::Object => self.view.take_object(key.number, &mut reader),
            Table::Members => self.view.take_members(key.number, &mut reader),
        };
        taken.ok_or_else(|| key.malformed())
    }

    fn take_engine(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.computed_with = Some(reader.bytes()?.to_vec());
        self.metaverse.take_sets(reader)
    }

    /// The engine as it was when it was kept, with what is configured now.
    pub fn engine(self, configuration: Configuration, memory: Memory) -> Engine {
        let fingerprint = fingerprint(&configuration);
        let same = self.computed_with.as_ref() == Some(&fingerprint);
        let Self {
            mut spaces,
            mut view,
            metaverse,
            ..
        } = self;
        std::thread::scope(|scope| {
            scope.spawn(|| spaces.index_all());
            view.index_all(&configuration);
        });
        Engine::resumed(configuration, memory, spaces, view, metaverse, same)
    }
}

/// What results depend on, beside entries, objects and memory.
pub(crate) fn fingerprint(configuration: &Configuration) -> Vec<u8> {
    let text = format!("{} {configuration:?}", env!("CARGO_PKG_VERSION"));
    Sha256::digest(text.as_bytes()).to_vec()
}

/// The part of the engine itself.
pub(crate) fn engine_part(configuration: &Configuration, metaverse: &Metaverse) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.bytes(&fingerprint(configuration));
    metaverse.write_sets(configuration, &mut writer);
    writer.0
}
