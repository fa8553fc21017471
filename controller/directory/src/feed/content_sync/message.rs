//! The messages of content synchronisation (RFC 4533 §2): Sync Request, Sync State and Sync Done controls, Sync Info messages.
//!
//! All are decoded here without a panic: the client library's own decoders panic on what a server could send. Entries without a Sync
//! State control and a result without Sync Done are an error: a server that overlooks the request answers with an ordinary list.

use ldap3::controls::{Control, RawControl};

use crate::{
    decode::{DecodeError, Item, RawEntry},
    feed::ber::{self, Reader},
};

const REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";
const STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
const DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
const INFO: &str = "1.3.6.1.4.1.4203.1.9.1.4";

/// The server's name of an entry: `entryUUID` of OpenLDAP, `nsUniqueId` of 389-ds.
pub(crate) type SyncUuid = [u8; 16];

/// How long a search is to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    RefreshOnly,
    RefreshAndPersist,
}

/// What is said of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is there and did not change.
    Present,
    /// Added or modified: servers mix the two.
    Changed,
    Deleted,
}

/// One message before the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Entry {
        state: State,
        uuid: SyncUuid,
        cookie: Option<Vec<u8>>,
        /// `None` for a referral object.
        entry: Option<RawEntry>,
    },
    NewCookie(Vec<u8>),
    /// A phase of the refresh has ended.
    PhaseEnd {
        present: bool,
        /// And with it the refresh.
        refreshed: bool,
        cookie: Option<Vec<u8>>,
    },
    Set {
        deleted: bool,
        uuids: Vec<SyncUuid>,
        cookie: Option<Vec<u8>>,
    },
    /// An intermediate response that is no Sync Info.
    Other,
}

/// What comes with the result of a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) cookie: Option<Vec<u8>>,
    pub(crate) refresh_deletes: bool,
}

/// The control that asks for it. It is critical: a server that ignores it would send an ordinary list.
pub(crate) fn request(mode: Mode, cookie: Option<&[u8]>) -> RawControl {
    let mode = match mode {
        Mode::RefreshOnly => 1,
        Mode::RefreshAndPersist => 3,
    };
    let mut content = ber::element(ber::ENUMERATED, &[mode]);
    if let Some(cookie) = cookie {
        content.extend(ber::element(ber::OCTET_STRING, cookie));
    }
    RawControl {
        ctype: REQUEST.to_owned(),
        crit: true,
        val: Some(ber::element(ber::SEQUENCE, &content)),
    }
}

/// Reads one item of a synchronising search.
pub(crate) fn message(item: Item, controls: &[Control]) -> Result<Message, DecodeError> {
    let entry = match item {
        Item::Entry(entry) => Some(entry),
        Item::Reference(_) => None,
        Item::Intermediate { name, value } if name == INFO.as_bytes() => {
            return info(&value).ok_or(DecodeError {
                message: "Sync Info message",
                part: "content",
            });
        }
        Item::Intermediate { .. } => return Ok(Message::Other),
    };
    let (state, uuid, cookie) = value_of(controls, STATE)
        .and_then(state)
        .ok_or(DecodeError {
            message: "search entry",
            part: "Sync State control",
        })?;
    Ok(Message::Entry {
        state,
        uuid,
        cookie,
        entry,
    })
}

/// The Sync Done control of a result; without one the search was no synchronisation.
pub(crate) fn done(controls: &[Control]) -> Result<Done, DecodeError> {
    value_of(controls, DONE)
        .and_then(|value| {
            let mut parts = Reader::new(Reader::new(value).expect(ber::SEQUENCE)?);
            let cookie = parts.optional(ber::OCTET_STRING).map(<[u8]>::to_vec);
            let refresh_deletes = parts.boolean(false)?;
            parts.is_empty().then_some(Done {
                cookie,
                refresh_deletes,
            })
        })
        .ok_or(DecodeError {
            message: "search result",
            part: "Sync Done control",
        })
}

fn value_of<'a>(controls: &'a [Control], name: &str) -> Option<&'a [u8]> {
    controls
        .iter()
        .find(|control| control.1.ctype == name)
        .and_then(|control| control.1.val.as_deref())
}

fn state(value: &[u8]) -> Option<(State, SyncUuid, Option<Vec<u8>>)> {
    let mut parts = Reader::new(Reader::new(value).expect(ber::SEQUENCE)?);
    let state = match parts.expect(ber::ENUMERATED)? {
        [0] => State::Present,
        [1 | 2] => State::Changed,
        [3] => State::Deleted,
        _ => return None,
    };
    let uuid = parts.expect(ber::OCTET_STRING)?.try_into().ok()?;
    let cookie = parts.optional(ber::OCTET_STRING).map(<[u8]>::to_vec);
    parts.is_empty().then_some((state, uuid, cookie))
}

fn info(value: &[u8]) -> Option<Message> {
    const NEW_COOKIE: u8 = 0x80;
    const REFRESH_DELETE: u8 = 0xa1;
    const REFRESH_PRESENT: u8 = 0xa2;
    const ID_SET: u8 = 0xa3;
    let (tag, content) = Reader::new(value).next()?;
    let mut parts = Reader::new(content);
    if tag == NEW_COOKIE {
        return Some(Message::NewCookie(content.to_vec()));
    }
    let cookie = parts.optional(ber::OCTET_STRING).map(<[u8]>::to_vec);
    let message = match tag {
        REFRESH_DELETE | REFRESH_PRESENT => Message::PhaseEnd {
            present: tag == REFRESH_PRESENT,
            refreshed: parts.boolean(true)?,
            cookie,
        },
        ID_SET => {
            let deleted = parts.boolean(false)?;
            let mut set = Reader::new(parts.expect(ber::SET)?);
            let mut uuids = Vec::new();
            while !set.is_empty() {
                uuids.push(set.expect(ber::OCTET_STRING)?.try_into().ok()?);
            }
            Message::Set {
                deleted,
                uuids,
                cookie,
            }
        }
        _ => return None,
    };
    parts.is_empty().then_some(message)
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
