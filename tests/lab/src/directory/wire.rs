//! LDAP messages on the wire: ldap3_proto's codec, with search filters read by `filter` so that their values are bytes.

use bytes::{Buf as _, BytesMut};
use ldap3_lber::Parser;
use ldap3_lber::common::TagClass;
use ldap3_lber::structure::{PL, StructureTag};
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::LdapMsg;
use thiserror::Error;
use tokio_util::codec::Encoder as _;

use super::ber;
use super::filter::Filter;
use super::root_dse::{DIRSYNC, PAGED_RESULTS, SYNC_REQUEST};

const MAX_MESSAGE: usize = 16 * 1024 * 1024;
const MAX_DEPTH: usize = 200;

/// Why a connection's bytes cannot be understood; the connection is then closed (RFC 4511 §5.3).
#[derive(Debug, Error)]
pub(crate) enum WireError {
    #[error("a request of more than 16 MiB was refused")]
    TooLarge,
    #[error("the bytes received are not BER")]
    NotBer,
    #[error("the message received is not an LDAP request")]
    NotLdap(#[source] ldap3_proto::error::LdapProtoError),
    #[error("the answer cannot be encoded")]
    Encode(#[source] std::io::Error),
}

/// A request; searches carry their filter beside the message.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) message: LdapMsg,
    pub(crate) filter: Option<Filter>,
    pub(crate) feeds: Vec<FeedControl>,
}

/// A DirSync or content synchronisation control of a request. Its value is read where it is used, since ldap3_proto
/// tells neither that a DirSync control is not critical nor a hint from a cookie.
#[derive(Debug)]
pub(crate) struct FeedControl {
    pub(crate) oid: &'static str,
    pub(crate) critical: bool,
    /// It stands behind a paged results control.
    pub(crate) after_paging: bool,
    pub(crate) value: Vec<u8>,
}

/// Takes one request off the buffer; none when more bytes are needed.
pub(crate) fn decode(buffer: &mut BytesMut) -> Result<Option<Request>, WireError> {
    if buffer.len() > MAX_MESSAGE {
        return Err(WireError::TooLarge);
    }
    let mut parser = Parser::new(MAX_DEPTH);
    let (used, mut tag) = match parser.parse(buffer) {
        Ok((rest, tag)) => (buffer.len() - rest.len(), tag),
        Err(ldap3_lber::Err::Incomplete(_)) => return Ok(None),
        Err(_) => return Err(WireError::NotBer),
    };
    buffer.advance(used);
    let filter = take_filter(&mut tag);
    let feeds = take_feeds(&mut tag);
    let message = LdapMsg::try_from(tag).map_err(WireError::NotLdap)?;
    Ok(Some(Request {
        message,
        filter,
        feeds,
    }))
}

/// Appends one answer.
pub(crate) fn encode(message: LdapMsg, buffer: &mut BytesMut) -> Result<(), WireError> {
    LdapCodec::new(Some(MAX_MESSAGE), None)
        .encode(message, buffer)
        .map_err(WireError::Encode)
}

/// Reads the filter of a search request and leaves a harmless one for ldap3_proto in its place.
fn take_filter(message: &mut StructureTag) -> Option<Filter> {
    let PL::C(parts) = &mut message.payload else {
        return None;
    };
    let operation = parts
        .get_mut(1)
        .filter(|each| each.class == TagClass::Application && each.id == 3)?;
    let PL::C(fields) = &mut operation.payload else {
        return None;
    };
    let tag = fields.get_mut(6)?;
    let filter = Filter::read(tag)?;
    *tag = StructureTag {
        class: TagClass::Context,
        id: 7,
        payload: PL::P(b"objectClass".to_vec()),
    };
    Some(filter)
}

/// Takes the controls of change feeds out of a message.
fn take_feeds(message: &mut StructureTag) -> Vec<FeedControl> {
    let PL::C(parts) = &mut message.payload else {
        return Vec::new();
    };
    let Some(StructureTag {
        class: TagClass::Context,
        id: 0,
        payload: PL::C(controls),
    }) = parts.get_mut(2)
    else {
        return Vec::new();
    };
    let mut feeds = Vec::new();
    let mut after_paging = false;
    controls.retain(|control| {
        let PL::C(fields) = &control.payload else {
            return true;
        };
        let oid = fields.first().and_then(ber::read_octets);
        after_paging |= oid == Some(PAGED_RESULTS.as_bytes());
        let known = [DIRSYNC, SYNC_REQUEST]
            .into_iter()
            .find(|known| oid == Some(known.as_bytes()));
        let Some(oid) = known else {
            return true;
        };
        let value = fields.iter().skip(1).find_map(ber::read_octets);
        feeds.push(FeedControl {
            oid,
            after_paging,
            critical: fields.get(1).and_then(ber::read_boolean) == Some(true),
            value: value.unwrap_or_default().to_vec(),
        });
        false
    });
    feeds
}
