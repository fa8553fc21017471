//! A recorded world: what directories and tenants held, as their reads told it, so that a plan can be made without any network and
//! without anybody's password (`plumbline sync --record FILE`, `plumbline plan --world FILE`).
//!
//! One JSON object a line: first the format's version, then the events of every read in the order in which engines took them. Who replays
//! them comes to the same world. The file holds people's data, of attributes that were asked for and no others; it is readable by its
//! owner alone. It is written anew when it has doubled: what was read before the last complete read of each part is dropped.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use plumbline_engine::port::{Extent, Import, Observation, ReadRequest};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::world::Key;

const VERSION: u32 = 1;
/// A file is written anew when it exceeds twice what it was after the last time, and this.
const SLACK: u64 = 64 << 20;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Version(u32),
    /// What the next read of a connector asks for.
    Request {
        connector: Key,
        request: ReadRequest,
    },
    Import {
        connector: Key,
        event: Import,
    },
    Observe {
        sync: Key,
        at: Timestamp,
        event: Observation,
    },
}

impl Line {
    /// What the line is a part of, and whether a complete read of it begins or ends here.
    fn part(&self) -> Option<(Part, Bound)> {
        Some(match self {
            Self::Version(_) => return None,
            Self::Request { connector, .. } => (Part::Connector(connector.clone()), Bound::Request),
            Self::Import { connector, event } => {
                let bound = match event {
                    Import::Begin {
                        extent: Extent::Complete(_),
                        ..
                    } => Bound::Begin,
                    Import::Begin { .. } => Bound::Other,
                    Import::End { .. } => Bound::End,
                    _ => Bound::Inside,
                };
                (Part::Connector(connector.clone()), bound)
            }
            Self::Observe { sync, event, .. } => {
                let bound = match event {
                    Observation::Begin { complete: true } => Bound::Begin,
                    Observation::Begin { .. } => Bound::Other,
                    Observation::End { .. } => Bound::End,
                    _ => Bound::Inside,
                };
                (Part::Sync(sync.clone()), bound)
            }
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Connector(Key),
    Sync(Key),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Request,
    /// A complete read begins.
    Begin,
    /// Another read begins.
    Other,
    End,
    Inside,
}

/// Why a world could not be kept or read.
#[derive(Debug, Error)]
pub enum WorldError {
    #[error("`{}` cannot be {doing}", file.display())]
    File {
        file: PathBuf,
        doing: &'static str,
        source: std::io::Error,
    },
    #[error(
        "line {line} of `{}` is no event of a recorded world; record it again with `plumbline sync --record`",
        file.display()
    )]
    Line {
        file: PathBuf,
        line: usize,
        source: serde_json::Error,
    },
    #[error(
        "`{}` was recorded by another version of plumbline (format {found}, this one reads {VERSION}); record it again",
        file.display()
    )]
    Version { file: PathBuf, found: u32 },
}

/// Writes a world while it is read.
#[derive(Debug)]
pub struct Recorder {
    file: PathBuf,
    /// `None` once writing has failed: a world with a hole is worth nothing.
    state: Mutex<Option<Written>>,
}

#[derive(Debug)]
struct Written {
    out: BufWriter<File>,
    size: u64,
    compacted: u64,
}

impl Recorder {
    /// Begins a new file.
    pub fn create(file: &Path) -> Result<Self, WorldError> {
        let mut written = open(file).map_err(|source| failed(file, "created", source))?;
        append(&mut written, &Line::Version(VERSION))
            .map_err(|source| failed(file, "written", source))?;
        Ok(Self {
            file: file.to_owned(),
            state: Mutex::new(Some(written)),
        })
    }

    pub(crate) fn request(&self, connector: &Key, request: &ReadRequest) {
        let (connector, request) = (connector.clone(), request.clone());
        self.line(&Line::Request { connector, request });
    }

    pub(crate) fn import(&self, connector: &Key, event: &Import) {
        let (connector, event) = (connector.clone(), event.clone());
        self.line(&Line::Import { connector, event });
    }

    pub(crate) fn observe(&self, sync: &Key, event: &Observation, at: Timestamp) {
        let (sync, event) = (sync.clone(), event.clone());
        self.line(&Line::Observe { sync, at, event });
    }

    fn line(&self, line: &Line) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(written) = &mut *state else { return };
        let ends = matches!(line.part(), Some((_, Bound::End)));
        let result = append(written, line).and_then(|()| {
            if ends {
                written.out.flush()?;
            }
            Ok(ends && written.size > 2 * written.compacted + SLACK)
        });
        let result = match result {
            Ok(true) => compact(&self.file).map(|compacted| *written = compacted),
            Ok(false) => Ok(()),
            Err(source) => Err(failed(&self.file, "written", source)),
        };
        if let Err(error) = result {
            tracing::error!(
                error = crate::problem::chain(&error),
                "the world is no longer recorded and its file is removed; make room and start again"
            );
            *state = None;
            if let Err(error) = std::fs::remove_file(&self.file) {
                tracing::error!(file = %self.file.display(), %error, "it cannot be removed: do not use it");
            }
        }
    }
}

fn failed(file: &Path, doing: &'static str, source: std::io::Error) -> WorldError {
    let file = file.to_owned();
    WorldError::File {
        file,
        doing,
        source,
    }
}

fn open(file: &Path) -> std::io::Result<Written> {
    let mut options = OpenOptions::new();
    let handle = options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(file)?;
    Ok(Written {
        out: BufWriter::new(handle),
        size: 0,
        compacted: 0,
    })
}

fn append(written: &mut Written, line: &Line) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    written.size += text.len() as u64;
    written.out.write_all(&text)
}

/// Writes the file anew without what the last complete read of each part made void.
fn compact(file: &Path) -> Result<Written, WorldError> {
    let mut open_reads: BTreeMap<Part, usize> = BTreeMap::new();
    let mut keep: BTreeMap<Part, usize> = BTreeMap::new();
    let mut requests: BTreeMap<Part, usize> = BTreeMap::new();
    lines(file, |at, line| {
        if let Some((part, bound)) = line.part() {
            match bound {
                Bound::Request => drop(requests.insert(part, at)),
                Bound::Begin => {
                    let from = requests.remove(&part).unwrap_or(at);
                    open_reads.insert(part, from);
                }
                Bound::Other => drop(open_reads.remove(&part)),
                Bound::End => {
                    if let Some(from) = open_reads.remove(&part) {
                        keep.insert(part, from);
                    }
                }
                Bound::Inside => {}
            }
        }
        Ok(())
    })?;
    let partial = file.with_extension("partial");
    let mut written = open(&partial).map_err(|source| failed(&partial, "created", source))?;
    lines(file, |at, line| {
        let void =
            (line.part()).is_some_and(|(part, _)| keep.get(&part).is_some_and(|from| at < *from));
        if !void {
            append(&mut written, &line).map_err(|source| failed(&partial, "written", source))?;
        }
        Ok(())
    })?;
    written
        .out
        .flush()
        .and_then(|()| std::fs::rename(&partial, file))
        .map_err(|source| failed(file, "replaced", source))?;
    written.compacted = written.size;
    Ok(written)
}

/// Every line, by its number from 0.
fn lines(
    file: &Path,
    mut each: impl FnMut(usize, Line) -> Result<(), WorldError>,
) -> Result<(), WorldError> {
    let handle = File::open(file).map_err(|source| failed(file, "opened", source))?;
    for (at, text) in BufReader::new(handle).lines().enumerate() {
        let text = text.map_err(|source| failed(file, "read", source))?;
        let line = serde_json::from_str(&text).map_err(|source| WorldError::Line {
            file: file.to_owned(),
            line: at + 1,
            source,
        })?;
        match (at, &line) {
            (0, Line::Version(VERSION)) => {}
            (_, Line::Version(found)) => {
                return Err(WorldError::Version {
                    file: file.to_owned(),
                    found: *found,
                });
            }
            _ => each(at, line)?,
        }
    }
    Ok(())
}

/// What a recorded world tells of a part, in order.
#[derive(Debug)]
pub enum Recorded {
    Request(Key, ReadRequest),
    Import(Key, Import),
    Observe(Key, Observation, Timestamp),
}

/// Replays a world.
///
/// # Errors
/// A file that cannot be read, is of another version or was not recorded by plumbline.
pub fn replay(file: &Path, mut each: impl FnMut(Recorded)) -> Result<(), WorldError> {
    lines(file, |_, line| {
        match line {
            Line::Version(_) => {}
            Line::Request { connector, request } => each(Recorded::Request(connector, request)),
            Line::Import { connector, event } => each(Recorded::Import(connector, event)),
            Line::Observe { sync, at, event } => each(Recorded::Observe(sync, event, at)),
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use plumbline_engine::{
        entry::{Attributes, Entry, EntryKind, ServerType},
        port::Cause,
    };

    use super::*;

    fn key(name: &str) -> Key {
        Key {
            namespace: "default".to_owned(),
            name: name.to_owned(),
        }
    }

    fn entry(name: &str) -> Entry {
        let mut attributes = Attributes::default();
        attributes.add("cn", vec![name.as_bytes().to_vec(), vec![0xff, 0x00]]);
        Entry {
            dn: format!("cn={name},dc=x"),
            kind: EntryKind::User,
            anchor: None,
            alternate: None,
            attributes,
        }
    }

    fn read(recorder: &Recorder, connector: &str, extent: Extent, name: &str) {
        let begin = Import::Begin {
            at: Timestamp::UNIX_EPOCH,
            server_type: ServerType::OpenLdap,
            tombstones: false,
            extent,
        };
        recorder.request(&key(connector), &ReadRequest::default());
        for event in [
            begin,
            Import::Batch(vec![entry(name)]),
            Import::End { cursor: None },
        ] {
            recorder.import(&key(connector), &event);
        }
    }

    fn names(file: &Path) -> Vec<String> {
        let mut names = Vec::new();
        replay(file, |recorded| {
            if let Recorded::Import(connector, Import::Batch(entries)) = recorded {
                assert_eq!(entries[0].attributes.get("cn")[1], [0xff, 0x00]);
                names.push(format!("{}: {}", connector.name, entries[0].dn));
            }
        })
        .unwrap();
        names
    }

    #[test]
    fn what_is_read_anew_drops_what_it_made_void_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("world.jsonl");
        let recorder = Recorder::create(&file).unwrap();
        let complete = || Extent::Complete(Cause::First);
        read(&recorder, "one", complete(), "old");
        read(&recorder, "two", complete(), "other");
        read(&recorder, "one", Extent::Changes, "delta");
        read(&recorder, "one", complete(), "new");
        read(&recorder, "one", Extent::Changes, "later");
        // A read that was cut voids nothing.
        let begin = Import::Begin {
            at: Timestamp::UNIX_EPOCH,
            server_type: ServerType::OpenLdap,
            tombstones: false,
            extent: complete(),
        };
        recorder.import(&key("two"), &begin);
        drop(recorder);
        let all = [
            "one: cn=old,dc=x",
            "two: cn=other,dc=x",
            "one: cn=delta,dc=x",
            "one: cn=new,dc=x",
            "one: cn=later,dc=x",
        ];
        assert_eq!(names(&file), all);
        compact(&file).unwrap();
        assert_eq!(names(&file), [all[1], all[3], all[4]]);
    }

    #[test]
    fn a_file_of_another_version_or_kind_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("world.jsonl");
        std::fs::write(&file, "{\"version\":7}\n").unwrap();
        let error = replay(&file, |_| {}).unwrap_err();
        assert!(error.to_string().contains("format 7"), "{error}");
        std::fs::write(&file, "{\"version\":1}\nnonsense\n").unwrap();
        let error = replay(&file, |_| {}).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
