//! What slapd knows of its own past: a number for each change (CSN), and a log of the latest ones (slapo-syncprov(5)).
//!
//! The log that answers a consumer's cookie is as short as a test wants it and forgets everything at a restart, as the
//! session log in memory does; persistent searches follow all changes.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::Profile;
use super::store::{Store, Stored};

/// Changes that a persistent search can be late by.
const KEPT: usize = 100_000;

/// One change of an entry.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) sequence: u64,
    pub(crate) csn: String,
    pub(crate) id: u64,
    pub(crate) uuid: [u8; 16],
    /// The name after the change; of a deleted entry its last.
    pub(crate) dn: String,
    pub(crate) added: bool,
    /// The entry after the change; none when it was deleted.
    pub(crate) after: Option<Stored>,
}

/// The latest changes.
#[derive(Debug, Clone)]
pub(crate) struct ChangeLog {
    events: VecDeque<Event>,
    /// The number of the latest change, from 1.
    pub(crate) sequence: u64,
    /// `syncprov-sessionlog`: so many changes answer a cookie.
    limit: u64,
    /// The last change before the server started, and the CSN at that moment.
    started: u64,
    started_csn: String,
    last_microsecond: i64,
    /// The largest CSN: contextCSN.
    pub(crate) csn: String,
}

impl ChangeLog {
    pub(crate) fn new() -> Self {
        Self {
            events: VecDeque::new(),
            sequence: 0,
            limit: 10_000,
            started: 0,
            started_csn: String::new(),
            last_microsecond: 0,
            csn: String::new(),
        }
    }

    /// A CSN larger than all before; of server 0, in the form of draft-ietf-ldup-model.
    pub(crate) fn next_csn(&mut self) -> String {
        let now = Timestamp::now().as_microsecond();
        self.last_microsecond = now.max(self.last_microsecond + 1);
        let time = Timestamp::from_microsecond(self.last_microsecond).unwrap_or(Timestamp::MAX);
        self.csn = format!("{}#000000#000#000000", time.strftime("%Y%m%d%H%M%S%.6fZ"));
        self.csn.clone()
    }

    /// Forgets what a restart makes slapd forget.
    pub(crate) fn restart(&mut self) {
        self.started = self.sequence;
        self.started_csn.clone_from(&self.csn);
    }

    pub(crate) fn limit(&mut self, changes: u64) {
        self.limit = changes;
    }

    /// The changes after a CSN, oldest first; none when the session log does not reach back so far.
    pub(crate) fn since(&self, csn: &str) -> Option<Vec<&Event>> {
        let dropped = self.sequence.saturating_sub(self.limit);
        let reach = if dropped > self.started {
            let event = self.events.iter().find(|each| each.sequence == dropped)?;
            &event.csn
        } else {
            &self.started_csn
        };
        (csn >= reach.as_str()).then(|| {
            let newer = self.events.iter().filter(|each| each.csn.as_str() > csn);
            newer.collect()
        })
    }

    /// The changes after a number.
    pub(crate) fn after(&self, sequence: u64) -> impl Iterator<Item = &Event> {
        self.events
            .iter()
            .filter(move |each| each.sequence > sequence)
    }
}

impl Store {
    /// Notes what became of an entry.
    pub(crate) fn log_change(&mut self, id: u64, added: bool, before: Option<&Stored>) {
        if self.profile != Profile::OpenLdap {
            return;
        }
        let after = self.entries.get(&id).cloned();
        let Some(known) = after.as_ref().or(before) else {
            return;
        };
        let (Some(uuid), dn) = (entry_uuid(known), self.written(known)) else {
            return;
        };
        // A write has stamped its entry; a delete takes a number of its own.
        let csn = match &after {
            Some(stored) => stored.text("entryCSN").unwrap_or_default().to_owned(),
            None => self.changes.next_csn(),
        };
        self.changes.sequence += 1;
        self.changes.events.push_back(Event {
            sequence: self.changes.sequence,
            csn,
            id,
            uuid,
            dn,
            added,
            after,
        });
        if self.changes.events.len() > KEPT {
            self.changes.events.pop_front();
        }
    }
}

/// The entryUUID as bytes, in the order in which it is printed.
pub(crate) fn entry_uuid(stored: &Stored) -> Option<[u8; 16]> {
    let text = stored.text("entryUUID")?;
    let digits: String = text.chars().filter(|each| *each != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok();
    number.filter(|_| digits.len() == 32).map(u128::to_be_bytes)
}
