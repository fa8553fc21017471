//! The SQLite database in the state folder: records of all syncs in one table, each with a checksum, long ones in pieces.
//!
//! Guarantees: a transaction is in it whole or not at all; what was cut short, damaged or made by another version is never taken for
//! good; the files can be read by their owner alone. `docs/decisions/0009-state-is-kept-in-sqlite.md` says why it is SQLite.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::{File, OpenOptions, TryLockError},
    hash::{DefaultHasher, Hasher},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use plumbline_engine::record::{self, Key as RecordKey, Table};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Transaction};

use super::chunk::{WHOLE, pieces};
use crate::world::Key;

/// Says that a file is ours ("Plmb").
const APPLICATION: i32 = 0x506c_6d62;
/// The form of this file: ours in the upper half, that of the records in the lower.
const FORM: u32 = 1 << 16 | record::FORM;
/// More than this is written in several transactions, and is of no use until the last.
const AT_ONCE: usize = 32 << 20;
/// So many syncs fit.
const SYNCS: i64 = 1 << 11;

/// Why something is not kept, or cannot be had again.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("`{}` cannot be opened", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another process keeps its state in `{}`; give each its own folder", path.display())]
    Taken { path: PathBuf },
    #[error("{doing} the state in SQLite")]
    Sqlite {
        doing: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the state that was found is damaged")]
    Damaged,
    #[error("the state that was found cannot be used")]
    Record(#[from] record::RecordError),
    #[error("the state holds as many syncs as it can: {SYNCS}; begin with an empty folder")]
    Full,
}

impl StoreError {
    pub(super) fn is_no_room(&self) -> bool {
        match self {
            Self::Sqlite { source, .. } => source.sqlite_error_code() == Some(ErrorCode::DiskFull),
            Self::Open { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => false,
        }
    }

    /// The file itself is no good: only another one helps.
    pub(super) fn is_damage(&self) -> bool {
        let broken = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
        match self {
            Self::Damaged => true,
            Self::Sqlite { source, .. } => {
                (source.sqlite_error_code()).is_some_and(|code| broken.contains(&code))
            }
            _ => false,
        }
    }
}

fn sqlite(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Sqlite { doing, source }
}

/// Takes what is read.
type Take<'a, K> = &'a mut dyn FnMut(K, &[u8]) -> Result<(), StoreError>;
/// Gives what is to be written, unless it is none that goes together.
type Give<'a> = &'a mut dyn FnMut(record::Put<'_>) -> bool;

/// See the module.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    /// Held as long as we write.
    _lock: Option<File>,
}

/// The number of a sync in the table, and whether its records are all there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    number: i64,
    pub(super) whole: bool,
}

impl Database {
    /// Opens the database of a folder for writing, and begins a new one where there is none that is ours.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        match Self::try_open(folder) {
            Ok(Some(connection)) => Ok(connection),
            Ok(None) => Self::anew(folder),
            Err(error) if error.is_damage() => {
                tracing::warn!(folder = %folder.display(), error = crate::problem::chain(&error), "the state is begun anew");
                Self::anew(folder)
            }
            Err(error) => Err(error),
        }
        .map(|connection| Self {
            connection,
            _lock: Some(lock),
        })
    }

    /// Opens it beside a process that writes; `None` where there is none that is ours.
    pub(super) fn look(folder: &Path) -> Result<Option<Self>, StoreError> {
        let file = file(folder);
        if !file.exists() {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags).map_err(sqlite("opening"))?;
        let ours = is_ours(&connection).map_err(sqlite("reading"))?;
        Ok(ours.then_some(Self {
            connection,
            _lock: None,
        }))
    }

    fn anew(folder: &Path) -> Result<Connection, StoreError> {
        remove(folder)?;
        Self::try_open(folder)?.ok_or(StoreError::Damaged)
    }

    fn try_open(folder: &Path) -> Result<Option<Connection>, StoreError> {
        let path = file(folder);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let empty = opened
            .and_then(|file| file.metadata())
            .map_err(|source| StoreError::Open { path, source })?
            .len()
            == 0;
        let connection = Connection::open(file(folder)).map_err(sqlite("opening"))?;
        // A commit is on the disk when it returns; a checkpoint leaves a short log behind.
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 4194304; \
                 PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 5000;",
            )
            .map_err(sqlite("opening"))?;
        if empty {
            let seed = record::seed();
            connection
                .execute_batch(&format!(
                    "BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORM}; \
                     CREATE TABLE seed (bytes BLOB NOT NULL); \
                     CREATE TABLE sync (number INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, identity TEXT NOT NULL, \
                     whole INTEGER NOT NULL, UNIQUE (namespace, name)); \
                     CREATE TABLE record (id INTEGER PRIMARY KEY, value BLOB NOT NULL); COMMIT;"
                ))
                .and_then(|()| connection.execute("INSERT INTO seed VALUES (?1)", [&seed[..]]))
                .map_err(sqlite("creating"))?;
            return Ok(Some(connection));
        }
        if !is_ours(&connection).map_err(sqlite("reading"))? {
            return Ok(None);
        }
        let seed: Vec<u8> = connection
            .query_row("SELECT bytes FROM seed", [], |row| row.get(0))
            .map_err(sqlite("reading"))?;
        // What is kept is of use only with the hashes that it was made with.
        let adopted = seed.try_into().is_ok_and(record::adopt_seed);
        Ok(adopted.then_some(connection))
    }

    /// Where the records of a sync are, if they are about what `identity` names.
    pub(super) fn find(
        &self,
        key: &Key,
        identity: Option<&str>,
    ) -> Result<Option<Place>, StoreError> {
        self.connection
            .query_row(
                "SELECT number, whole, identity FROM sync WHERE namespace = ?1 AND name = ?2",
                [&key.namespace, &key.name],
                |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)),
            )
            .optional()
            .map_err(sqlite("reading"))
            .map(|found| {
                let (number, whole, of) = found?;
                let fits = identity.is_none_or(|identity| of == identity);
                fits.then_some(Place { number, whole })
            })
    }

    /// Gives all records of a sync, in their order.
    pub(super) fn read(&self, place: Place, take: Take<'_, RecordKey>) -> Result<(), StoreError> {
        let next = Place {
            number: place.number + 1,
            ..place
        };
        let tables = id(place, 0, 0, 0)..id(next, 0, 0, 0);
        let mut pieces: Option<(i64, Pieces)> = None;
        self.each(tables, &mut |id, value| {
            let of = id >> 16 << 16;
            if of == memory_id(place) {
                return Ok(());
            }
            if let Some((record, long)) = &mut pieces
                && *record == of
            {
                long.have.insert(id & 0xffff, value.to_vec());
                return Ok(());
            }
            if let Some((record, long)) = pieces.take() {
                take(key_of(record)?, &long.join()?)?;
            }
            match Row::read(value)? {
                Row::Whole(bytes) => take(key_of(of)?, bytes),
                Row::Long(long) => {
                    pieces = Some((of, long));
                    Ok(())
                }
            }
        })?;
        match pieces.take() {
            Some((record, long)) => take(key_of(record)?, &long.join()?),
            None => Ok(()),
        }
    }

    fn each(&self, ids: std::ops::Range<i64>, each: Take<'_, i64>) -> Result<(), StoreError> {
        let reading = sqlite("reading");
        let mut statement = self
            .connection
            .prepare("SELECT id, value FROM record WHERE id >= ?1 AND id < ?2 ORDER BY id")
            .map_err(&reading)?;
        let mut rows = statement.query([ids.start, ids.end]).map_err(&reading)?;
        while let Some(row) = rows.next().map_err(&reading)? {
            let id: i64 = row.get(0).map_err(&reading)?;
            let value = row.get_ref(1).map_err(&reading)?;
            let value = value.as_blob().map_err(|_| StoreError::Damaged)?;
            each(id, checked(id, value)?)?;
        }
        Ok(())
    }

    /// The memory of a sync.
    pub(super) fn memory(&self, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        let first = memory_id(place);
        let (mut found, mut long) = (None, None::<Pieces>);
        self.each(first..first + 0x1_0000, &mut |id, value| {
            if let Some(long) = &mut long {
                long.have.insert(id & 0xffff, value.to_vec());
                return Ok(());
            }
            match Row::read(value)? {
                Row::Whole(bytes) => found = Some(bytes.to_vec()),
                Row::Long(pieces) => long = Some(pieces),
            }
            Ok(())
        })?;
        match long {
            Some(long) => long.join().map(Some),
            None => Ok(found),
        }
    }

    /// Writes what changed of a sync. `anew`: what there was of it is of no use.
    pub(super) fn write(
        &mut self,
        key: &Key,
        identity: &str,
        memory: &[u8],
        anew: bool,
        give: Give<'_>,
    ) -> Result<bool, StoreError> {
        let place = match self.find(key, None)? {
            Some(place) => place,
            None => self.found(key, identity)?,
        };
        if anew {
            self.clear(place, identity)?;
        }
        let mut writing = Writing {
            connection: &self.connection,
            place,
            transaction: None,
            bytes: 0,
            anew,
            failed: None,
        };
        writing.put(memory_id(place), Some(memory));
        let given = give(&mut |key, value| {
            writing.put(id(place, key.table as i64, key.number, 0), value);
        });
        writing.finish(given)?;
        Ok(given)
    }

    fn found(&self, key: &Key, identity: &str) -> Result<Place, StoreError> {
        let writing = sqlite("writing");
        self.connection
            .execute(
                "INSERT INTO sync (namespace, name, identity, whole) VALUES (?1, ?2, ?3, 0)",
                [&key.namespace, &key.name, identity],
            )
            .map_err(writing)?;
        let number = self.connection.last_insert_rowid();
        let whole = false;
        (number < SYNCS)
            .then_some(Place { number, whole })
            .ok_or(StoreError::Full)
    }

    /// Brings all that was written into the file itself.
    #[cfg(test)]
    pub(super) fn flush(&self) {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let done = self
            .connection
            .query_row(checkpoint, [], |row| row.get::<_, i64>(0));
        assert_eq!(done.unwrap(), 0);
    }

    /// Forgets all other syncs.
    pub(super) fn retain(&self, keys: &BTreeSet<Key>) -> Result<(), StoreError> {
        let reading = sqlite("reading");
        let mut statement = self
            .connection
            .prepare("SELECT number, namespace, name FROM sync")
            .map_err(&reading)?;
        let known = statement
            .query_map([], |row| {
                let (namespace, name) = (row.get(1)?, row.get(2)?);
                Ok((row.get::<_, i64>(0)?, Key { namespace, name }))
            })
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(&reading)?;
        for (number, _) in known.into_iter().filter(|(_, key)| !keys.contains(key)) {
            let whole = false;
            self.clear(Place { number, whole }, "")?;
            self.connection
                .execute("DELETE FROM sync WHERE number = ?1", [number])
                .map_err(sqlite("writing"))?;
        }
        Ok(())
    }

    /// Some at a time, so that the log stays short.
    fn clear(&self, place: Place, identity: &str) -> Result<(), StoreError> {
        let writing = sqlite("writing");
        self.connection
            .execute(
                "UPDATE sync SET whole = 0, identity = ?2 WHERE number = ?1",
                rusqlite::params![place.number, identity],
            )
            .map_err(&writing)?;
        let next = Place {
            number: place.number + 1,
            ..place
        };
        let range = [id(place, 0, 0, 0), id(next, 0, 0, 0) - 1];
        let some = "DELETE FROM record WHERE id IN (SELECT id FROM record WHERE id BETWEEN ?1 AND ?2 LIMIT 50000)";
        while self.connection.execute(some, range).map_err(&writing)? > 0 {}
        Ok(())
    }
}

/// The memory stands beside the parts, with which it changes, under a number that no part has.
fn memory_id(place: Place) -> i64 {
    id(place, Table::Part as i64, u32::MAX, 0)
}

fn id(place: Place, table: i64, number: u32, piece: i64) -> i64 {
    place.number << 52 | table << 48 | i64::from(number) << 16 | piece
}

fn key_of(id: i64) -> Result<RecordKey, StoreError> {
    let mut tables = Table::ALL.into_iter();
    let table = tables.find(|table| *table as i64 == id >> 48 & 15);
    let number = u32::try_from(id >> 16 & 0xffff_ffff);
    match (table, number) {
        (Some(table), Ok(number)) => Ok(RecordKey { table, number }),
        _ => Err(StoreError::Damaged),
    }
}

fn checksum(id: i64, bytes: &[u8]) -> [u8; 4] {
    let mut hasher = DefaultHasher::new();
    hasher.write_i64(id);
    hasher.write(bytes);
    let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
    [a, b, c, d]
}

fn checked(id: i64, value: &[u8]) -> Result<&[u8], StoreError> {
    let (sum, bytes) = value.split_first_chunk::<4>().ok_or(StoreError::Damaged)?;
    let good = *sum == checksum(id, bytes);
    good.then_some(bytes).ok_or(StoreError::Damaged)
}

/// The first row of a record.
enum Row<'a> {
    Whole(&'a [u8]),
    Long(Pieces),
}

/// A record in pieces: their numbers and hashes, in the order in which they make up the value.
#[derive(Debug, Default)]
struct Pieces {
    order: Vec<(u16, u64)>,
    /// What follows them, in the first row itself.
    tail: Vec<u8>,
    have: BTreeMap<i64, Vec<u8>>,
}

/// The result of an entry is at its end and changes more often than the entry.
const TAIL: usize = 64;

impl<'a> Row<'a> {
    fn read(value: &'a [u8]) -> Result<Self, StoreError> {
        let (kind, bytes) = value.split_first().ok_or(StoreError::Damaged)?;
        if *kind == 0 {
            return Ok(Self::Whole(bytes));
        }
        let (length, bytes) = bytes.split_first().ok_or(StoreError::Damaged)?;
        let split = bytes.split_at_checked(usize::from(*length));
        let (tail, bytes) = split.ok_or(StoreError::Damaged)?;
        let (pairs, rest) = bytes.as_chunks::<10>();
        if !rest.is_empty() {
            return Err(StoreError::Damaged);
        }
        let pair = |pair: &[u8; 10]| {
            let [a, b, hash @ ..] = *pair;
            (u16::from_le_bytes([a, b]), u64::from_le_bytes(hash))
        };
        Ok(Self::Long(Pieces {
            order: pairs.iter().map(pair).collect(),
            tail: tail.to_vec(),
            have: BTreeMap::new(),
        }))
    }
}

impl Pieces {
    fn join(&self) -> Result<Vec<u8>, StoreError> {
        let mut value = Vec::new();
        for (number, _) in &self.order {
            let piece = self.have.get(&i64::from(*number));
            value.extend_from_slice(piece.ok_or(StoreError::Damaged)?);
        }
        value.extend_from_slice(&self.tail);
        Ok(value)
    }

    fn row(&self) -> Vec<u8> {
        let mut row = vec![1, u8::try_from(self.tail.len()).unwrap_or_default()];
        row.extend_from_slice(&self.tail);
        for (number, hash) in &self.order {
            row.extend_from_slice(&number.to_le_bytes());
            row.extend_from_slice(&hash.to_le_bytes());
        }
        row
    }
}

/// A write under way. After an error nothing more is written, and the transaction is rolled back.
struct Writing<'a> {
    connection: &'a Connection,
    place: Place,
    transaction: Option<Transaction<'a>>,
    bytes: usize,
    anew: bool,
    failed: Option<StoreError>,
}

impl Writing<'_> {
    fn put(&mut self, id: i64, value: Option<&[u8]>) {
        if self.failed.is_none()
            && let Err(error) = self.try_put(id, value)
        {
            self.failed = Some(error);
        }
    }

    fn try_put(&mut self, id: i64, value: Option<&[u8]>) -> Result<(), StoreError> {
        self.begin()?;
        let before = if self.anew { None } else { self.get(id)? };
        let old = match before.as_deref().map(Row::read).transpose()? {
            Some(Row::Long(old)) => old,
            _ => Pieces::default(),
        };
        let mut new = Pieces::default();
        let row = match value {
            None => None,
            Some(value) if value.len() <= WHOLE => Some([&[0], value].concat()),
            Some(value) => {
                let (value, tail) = value.split_at(value.len() - TAIL);
                new.tail = tail.to_vec();
                self.put_pieces(id, value, &old, &mut new)?;
                Some(new.row())
            }
        };
        let kept: HashMap<u16, u64> = new.order.iter().copied().collect();
        for (number, _) in old
            .order
            .iter()
            .filter(|(number, _)| !kept.contains_key(number))
        {
            self.set(id | i64::from(*number), None)?;
        }
        if before != row {
            self.set(id, row.as_deref())?;
        }
        if self.bytes > AT_ONCE {
            self.commit(false)?;
        }
        Ok(())
    }

    /// Pieces that are there already stay where they are.
    fn put_pieces(
        &mut self,
        id: i64,
        value: &[u8],
        old: &Pieces,
        new: &mut Pieces,
    ) -> Result<(), StoreError> {
        let mut there: HashMap<u64, u16> =
            old.order.iter().map(|(at, hash)| (*hash, *at)).collect();
        let cut: Vec<(u64, &[u8])> = pieces(value)
            .into_iter()
            .filter_map(|piece| value.get(piece))
            .map(|piece| (hash(piece), piece))
            .collect();
        let wanted: HashSet<u64> = cut.iter().map(|(hash, _)| *hash).collect();
        let taken: HashSet<u16> = there
            .iter()
            .filter(|(hash, _)| wanted.contains(hash))
            .map(|(_, number)| *number)
            .collect();
        let mut free = (1..u16::MAX).filter(|number| !taken.contains(number));
        for (hash, piece) in cut {
            let known = there.get(&hash).copied();
            let number = known.or_else(|| free.next()).ok_or(StoreError::Damaged)?;
            if known.is_none() {
                self.set(id | i64::from(number), Some(piece))?;
                there.insert(hash, number);
            }
            new.order.push((number, hash));
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if self.transaction.is_none() {
            let begun = self.connection.unchecked_transaction();
            self.transaction = Some(begun.map_err(sqlite("writing"))?);
        }
        Ok(())
    }

    fn get(&self, id: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT value FROM record WHERE id = ?1")
            .map_err(sqlite("reading"))?;
        let found: Option<Vec<u8>> = statement
            .query_row([id], |row| row.get(0))
            .optional()
            .map_err(sqlite("reading"))?;
        found
            .map(|value| checked(id, &value).map(<[u8]>::to_vec))
            .transpose()
    }

    fn set(&mut self, id: i64, value: Option<&[u8]>) -> Result<(), StoreError> {
        let Some(value) = value else {
            let mut statement = self
                .connection
                .prepare_cached("DELETE FROM record WHERE id = ?1")
                .map_err(sqlite("writing"))?;
            statement.execute([id]).map_err(sqlite("writing"))?;
            return Ok(());
        };
        let mut statement = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO record VALUES (?1, ?2)")
            .map_err(sqlite("writing"))?;
        let value = [&checksum(id, value), value].concat();
        self.bytes += value.len();
        statement
            .execute(rusqlite::params![id, value])
            .map_err(sqlite("writing"))?;
        Ok(())
    }

    fn commit(&mut self, whole: bool) -> Result<(), StoreError> {
        if whole != self.place.whole {
            self.begin()?;
            self.connection
                .execute(
                    "UPDATE sync SET whole = ?2 WHERE number = ?1",
                    rusqlite::params![self.place.number, whole],
                )
                .map_err(sqlite("writing"))?;
            self.place.whole = whole;
        }
        self.bytes = 0;
        match self.transaction.take() {
            Some(transaction) => transaction.commit().map_err(sqlite("writing")),
            None => Ok(()),
        }
    }

    /// `given`: the records are those of one point in time. Otherwise the memory alone is kept.
    fn finish(mut self, given: bool) -> Result<(), StoreError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let whole = given || self.place.whole;
        self.commit(whole)
    }
}

fn hash(piece: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(piece);
    hasher.finish()
}

fn file(folder: &Path) -> PathBuf {
    folder.join("plumbline.db")
}

/// Takes away what is there.
pub(super) fn remove(folder: &Path) -> Result<(), StoreError> {
    for name in ["plumbline.db", "plumbline.db-wal", "plumbline.db-shm"] {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::Open { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("plumbline.lock");
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let file = match opened {
        Ok(file) => file,
        Err(source) => return Err(StoreError::Open { path, source }),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Taken {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(StoreError::Open { path, source }),
    }
}

fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok(number("application_id")? == i64::from(APPLICATION)
        && number("user_version")? == i64::from(FORM))
}
