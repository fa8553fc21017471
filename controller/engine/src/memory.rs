//! What the engine remembers beyond one process: small facts about few objects, never a directory.
//!
//! A lost memory costs time (absences are proven anew) and repeats (a rewritten value is sent once more), never an object.
//! What a written OU or group resolved to must be put back from `SyncScope.status` with [`Memory::resolve`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    anchor::Anchor,
    drift::Touch,
    parting::Partings,
    reason::Reason,
    target::Value,
    target_view::{DIGEST, Kept},
    {dn::Written, plan::Digest},
};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// By scope and by what was written, in its canonical form.
    pub(crate) resolved: BTreeMap<String, BTreeMap<String, Resolution>>,
    /// By connector: anchors of our objects at the target that it no longer has.
    pub(crate) absences: BTreeMap<String, BTreeMap<Anchor, Absence>>,
    /// Entries that were joined to others and are no longer read.
    pub(crate) partings: Partings,
    /// New anchor of an entry → the anchor that its object was made with.
    pub(crate) anchor_changes: BTreeMap<Anchor, Anchor>,
    /// Whose disable was sent and not reported done: sign-in may be blocked already and the sessions still live.
    pub(crate) disabling: BTreeSet<Anchor>,
    /// Operations are under way. Found so at a start, what the target then tells may be our own doing.
    pub(crate) sending: bool,
    /// By anchor and attribute.
    pub(crate) rewritten: BTreeMap<Anchor, BTreeMap<String, Rewritten>>,
    /// Since when an object is in quarantine, by [`crate::quarantine::Quarantined::key`].
    pub(crate) since: BTreeMap<String, Since>,
    /// What others changed at the target, by the anchor in our mark; kept only where drift is reported.
    pub(crate) touches: BTreeMap<Anchor, Vec<Touch>>,
    /// Writes that the target refused, by operation.
    pub(crate) refusals: BTreeMap<String, Refusal>,
}

/// What a written OU or group is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resolution {
    pub(crate) guid: Anchor,
    pub(crate) dn: String,
}

/// The evidence against one anchor in one connector. Times are those at which the reads began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Absence {
    pub(crate) alternate: Option<Anchor>,
    /// It was seen in this connector before.
    pub(crate) home: bool,
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    /// When a search by anchor over the whole naming context last found nothing.
    pub(crate) searched: Option<Timestamp>,
    /// The change feed itself named it as gone, and then nothing was found.
    #[serde(default)]
    pub(crate) named: bool,
}

/// A value that the target took and changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rewritten {
    sent: Digest,
    held: Digest,
}

impl Rewritten {
    pub(crate) fn new(sent: Option<&Value>, held: Option<&Kept>) -> Self {
        Self {
            sent: Digest::of_value(sent),
            held: Digest::of(&held.map_or([0; DIGEST], Kept::digest)),
        }
    }
}

/// Since when a reason stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Since {
    pub(crate) reason: Reason,
    pub(crate) at: Timestamp,
}

/// A write that the target refused, and when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// Digest of the refused operation: another one is tried at once.
    pub(crate) operation: Digest,
    pub(crate) failures: u32,
    pub(crate) until: Timestamp,
}

impl Memory {
    /// Puts back what an OU or group of a scope resolved to, as kept in `SyncScope.status.resolved`.
    pub fn resolve(&mut self, scope: &str, written: &Written, guid: Anchor, dn: &str) {
        self.resolved.entry(scope.to_owned()).or_default().insert(
            canonical(written),
            Resolution {
                guid,
                dn: dn.to_owned(),
            },
        );
    }
}

/// One text for all spellings of what was written.
pub(crate) fn canonical(written: &Written) -> String {
    written.to_string()
}
