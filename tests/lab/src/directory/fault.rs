//! Faults that a test orders: each is spent once it has happened, so that the next attempt succeeds.
//!
//! Those that disturb an answer hit searches other than of the root DSE.

use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{LdapMsg, LdapOp};

use super::root_dse::PAGED_RESULTS;
use super::store::Store;

/// Something that goes wrong once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is dropped when this many more bytes of answers have been sent, over all connections.
    CutAfterBytes(usize),
    /// The connection is dropped when this many more entries have been sent: in the middle of a page.
    CutAfterEntries(usize),
    /// So many searches (other than of the root DSE) are answered busy (51).
    Busy(u32),
    /// The next search (other than of the root DSE) is answered by dropping the connection.
    Reset,
    /// The next answer breaks off before its result and goes on with bytes that are no BER.
    Garbage,
    /// The next result that carries a control carries one with a value that is no BER.
    GarbledControl,
    /// The next page that is not the last repeats the cookie that asked for it; that cookie gives the same page again.
    RepeatedCookie,
    /// The next answer with a range of values (`member;range=0-1499`) has one value fewer than the range says.
    FewerValues,
    /// The next answer with entries leaves its last so many out, with success.
    MissingEntries(usize),
    /// The next page of a paged search claims that so many entries match in all (RFC 2696 §2).
    FalseCount(i64),
}

/// What a test does between two pages; it gets the content and the number of the page that was sent last.
pub(crate) type BetweenPages = Box<dyn FnMut(&mut Store, usize) + Send>;

/// The orders that are open.
#[derive(Default)]
pub(crate) struct Faults {
    cut: Option<usize>,
    cut_entries: Option<usize>,
    busy: u32,
    reset: bool,
    garbage: bool,
    garbled: bool,
    repeated: bool,
    fewer_values: bool,
    missing: usize,
    false_count: Option<i64>,
    pub(crate) between_pages: Option<BetweenPages>,
}

/// An answer as it is sent in the end.
#[derive(Debug)]
pub(crate) struct Disturbed {
    pub(crate) messages: Vec<LdapMsg>,
    /// Then these bytes follow and the connection is dropped.
    pub(crate) end: Option<&'static [u8]>,
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Faults").finish_non_exhaustive()
    }
}

/// A length of four bytes that promises more than any message may have, and nothing behind it.
const NO_BER: &[u8] = &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x30];

impl Faults {
    pub(crate) fn order(&mut self, fault: Fault) {
        match fault {
            Fault::CutAfterBytes(bytes) => self.cut = Some(bytes),
            Fault::CutAfterEntries(entries) => self.cut_entries = Some(entries),
            Fault::Busy(times) => self.busy = times,
            Fault::Reset => self.reset = true,
            Fault::Garbage => self.garbage = true,
            Fault::GarbledControl => self.garbled = true,
            Fault::RepeatedCookie => self.repeated = true,
            Fault::FewerValues => self.fewer_values = true,
            Fault::MissingEntries(entries) => self.missing = entries,
            Fault::FalseCount(count) => self.false_count = Some(count),
        }
    }

    /// How many of the next bytes may be sent; fewer than asked means: then drop the connection.
    pub(crate) fn allow(&mut self, bytes: usize) -> usize {
        match self.cut {
            Some(left) if left < bytes => {
                self.cut = None;
                left
            }
            Some(left) => {
                self.cut = Some(left - bytes);
                bytes
            }
            None => bytes,
        }
    }

    pub(crate) fn take_busy(&mut self) -> bool {
        let busy = self.busy > 0;
        self.busy = self.busy.saturating_sub(1);
        busy
    }

    pub(crate) fn take_reset(&mut self) -> bool {
        std::mem::take(&mut self.reset)
    }

    pub(crate) fn take_repeated_cookie(&mut self) -> bool {
        std::mem::take(&mut self.repeated)
    }

    /// Does to the answer of a search what was ordered.
    pub(crate) fn disturb(&mut self, mut messages: Vec<LdapMsg>) -> Disturbed {
        let is_entry = |message: &LdapMsg| matches!(message.op, LdapOp::SearchResultEntry(_));
        let entries = messages.iter().filter(|each| is_entry(each)).count();
        if self.missing > 0 && entries > 0 {
            let (mut at, keep) = (0, entries.saturating_sub(std::mem::take(&mut self.missing)));
            messages.retain(|each| {
                at += usize::from(is_entry(each));
                !is_entry(each) || at <= keep
            });
        }
        if self.fewer_values && messages.iter_mut().any(shorten) {
            self.fewer_values = false;
        }
        if let Some(LdapMsg { ctrl, .. }) = messages.last_mut() {
            self.falsify(ctrl);
        }
        if std::mem::take(&mut self.garbage) {
            messages.pop();
            return Disturbed {
                messages,
                end: Some(NO_BER),
            };
        }
        match self.cut_entries {
            Some(left) if left < entries => {
                self.cut_entries = None;
                let mut at = 0;
                messages.retain(|each| {
                    at += usize::from(is_entry(each));
                    is_entry(each) && at <= left
                });
                return Disturbed {
                    messages,
                    end: Some(&[]),
                };
            }
            Some(left) => self.cut_entries = Some(left - entries),
            None => {}
        }
        Disturbed {
            messages,
            end: None,
        }
    }

    fn falsify(&mut self, controls: &mut [LdapControl]) {
        for control in controls {
            if let (LdapControl::SimplePagedResults { size, .. }, Some(count)) =
                (&mut *control, self.false_count)
            {
                *size = count;
                self.false_count = None;
            }
            let oid = match control {
                LdapControl::SimplePagedResults { .. } => PAGED_RESULTS.to_owned(),
                LdapControl::Unknown { oid, .. } => oid.clone(),
                _ => continue,
            };
            if std::mem::take(&mut self.garbled) {
                *control = LdapControl::Unknown {
                    oid,
                    criticality: false,
                    value: Some(NO_BER.to_vec()),
                };
            }
        }
    }
}

/// Takes a value from each range of an entry whose option says how many there are.
fn shorten(message: &mut LdapMsg) -> bool {
    let LdapOp::SearchResultEntry(entry) = &mut message.op else {
        return false;
    };
    let mut done = false;
    for attribute in &mut entry.attributes {
        let bounds = attribute
            .atype
            .split_once(";range=")
            .and_then(|(_, range)| range.split_once('-'));
        // DirSync says `1-1` and `0-0`, whatever the number of values.
        if bounds.is_some_and(|(low, high)| high != "*" && low != high) {
            done |= attribute.vals.pop().is_some();
        }
    }
    done
}
