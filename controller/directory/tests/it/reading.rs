//! A read as tests see it: what it brought, and what every read must hold.

use plumbline_directory::{DirectoryError, DirectorySource};
use plumbline_engine::{
    anchor::Anchor,
    entry::Entry,
    port::{Cause, Failure as _, Import, ReadRequest, Sighting, Source as _, Start},
    reason::Reason,
};

/// What a read brought, in order.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Whether tombstones were announced.
    pub(crate) tombstones_readable: bool,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tombstones: Vec<Anchor>,
    pub(crate) ended: bool,
}

impl Seen {
    pub(crate) fn entry(&self, rdn: &str) -> &Entry {
        self.entries
            .iter()
            .find(|entry| entry.dn.starts_with(&format!("{rdn},")))
            .unwrap_or_else(|| panic!("{rdn} was not read"))
    }
}

/// Reads everything, and holds what every read must: `End` comes last and only on success.
pub(crate) async fn read(
    source: &mut DirectorySource,
    attributes: &[&str],
) -> (Result<(), DirectoryError>, Seen) {
    let request = ReadRequest {
        attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut seen = Seen::default();
    let mut began = false;
    let outcome = source
        .read(&request, Start::Complete(Cause::First), &mut |event| {
            assert!(!seen.ended, "nothing follows the end");
            match event {
                Import::Batch(entries) => seen.entries.extend(entries),
                Import::Tombstones(anchors) => seen.tombstones.extend(anchors),
                Import::End { .. } => seen.ended = true,
                Import::Begin { tombstones, .. } => {
                    assert!(!began, "a read begins once");
                    began = true;
                    seen.tombstones_readable = tombstones;
                }
                Import::Evidence { .. } => panic!("a read gives no evidence"),
                Import::Values(_) | Import::Unchanged(_) | Import::Missing(_) => {
                    panic!("a complete read brings whole entries")
                }
            }
        })
        .await;
    assert_eq!(outcome.is_ok(), seen.ended);
    (outcome, seen)
}

/// An error with its sources and hint, as a condition would show it.
pub(crate) fn told(error: &DirectoryError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    match error.hint() {
        Some(hint) => format!("{text}; hint: {hint}"),
        None => text,
    }
}

/// Holds that the error has the reason and that its words contain a piece.
#[track_caller]
pub(crate) fn assert_told(error: &DirectoryError, reason: Reason, piece: &str) {
    let text = told(error);
    assert_eq!(error.reason(), reason, "{text}");
    assert!(text.contains(piece), "`{piece}` is missing in: {text}");
    assert!(!text.contains("Pa55word"), "a password is shown: {text}");
}

/// Searches anchors, and gives whether each was found.
pub(crate) async fn find(
    source: &mut DirectorySource,
    anchors: &[Anchor],
) -> Result<Vec<Sighting>, DirectoryError> {
    let mut sightings = Vec::new();
    source
        .find(&ReadRequest::default(), anchors, &mut |event| match event {
            Import::Evidence { sighting, .. } => sightings.push(sighting),
            Import::Batch(_) => {}
            other => panic!("a search gives evidence only: {other:?}"),
        })
        .await?;
    Ok(sightings)
}
