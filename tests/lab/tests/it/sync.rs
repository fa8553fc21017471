//! A plain consumer of content synchronisation (RFC 4533), for the embedded directory and for slapd alike.

use std::time::Duration;

use ldap3::controls::RawControl;
use ldap3::{Ldap, LdapError, ResultEntry, Scope, SearchEntry, SearchStream};
use ldap3_lber::Parser;
use ldap3_lber::common::TagClass;
use ldap3_lber::structure::{PL, StructureTag};

const SYNC: &str = "1.3.6.1.4.1.4203.1.9.1";
/// How long a message of a persistent search may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// One message, UUIDs in the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// State, name, whether there are attributes, UUID, cookie.
    Entry(u8, String, bool, Vec<u8>, Option<Vec<u8>>),
    NewCookie(Vec<u8>),
    /// The end of a persistent search's refresh: refreshDeletes and cookie.
    Refreshed(bool, Option<Vec<u8>>),
    /// refreshDeletes, UUIDs, cookie.
    IdSet(bool, Vec<Vec<u8>>, Option<Vec<u8>>),
    /// Result, and the Sync Done control: cookie and refreshDeletes.
    Done(u32, Option<(Option<Vec<u8>>, bool)>),
}

/// A search with the control.
#[derive(Debug, Clone)]
pub(crate) struct Consumer {
    pub(crate) base: String,
    pub(crate) filter: String,
    pub(crate) cookie: Option<Vec<u8>>,
    pub(crate) reload_hint: bool,
}

/// A persistent search, or what is still to come of a refresh.
pub(crate) struct Following(SearchStream<'static, String, Vec<String>>);

fn universal(id: u64, bytes: Vec<u8>) -> StructureTag {
    StructureTag {
        class: TagClass::Universal,
        id,
        payload: PL::P(bytes),
    }
}

impl Consumer {
    pub(crate) fn new(base: &str, filter: &str) -> Self {
        Self {
            base: base.to_owned(),
            filter: filter.to_owned(),
            cookie: None,
            reload_hint: false,
        }
    }

    pub(crate) fn control(&self, mode: u8) -> RawControl {
        let mut parts = vec![universal(10, vec![mode])];
        parts.extend(self.cookie.clone().map(|cookie| universal(4, cookie)));
        parts.extend(self.reload_hint.then(|| universal(1, vec![0xff])));
        let value = StructureTag {
            class: TagClass::Universal,
            id: 16,
            payload: PL::C(parts),
        };
        let mut bytes = bytes::BytesMut::new();
        ldap3_lber::write::encode_into(&mut bytes, value).unwrap();
        RawControl {
            ctype: format!("{SYNC}.1"),
            crit: true,
            val: Some(bytes.to_vec()),
        }
    }

    async fn start(&self, mut ldap: Ldap, mode: u8) -> Result<Following, LdapError> {
        let attributes = vec!["cn".to_owned()];
        let stream = ldap
            .with_controls(vec![self.control(mode)])
            .streaming_search(&self.base, Scope::Subtree, &self.filter, attributes)
            .await?;
        Ok(Following(stream))
    }

    /// refreshOnly: all messages; the cookie of a successful end is kept.
    pub(crate) async fn refresh(&mut self, ldap: &Ldap) -> Vec<Message> {
        let mut following = self.start(ldap.clone(), 1).await.unwrap();
        let mut messages = Vec::new();
        loop {
            messages.push(following.next().await);
            if let Some(Message::Done(_, done)) = messages.last() {
                if let Some((Some(cookie), _)) = done {
                    self.cookie = Some(cookie.clone());
                }
                return messages;
            }
        }
    }

    /// refreshAndPersist: the messages up to the end of the refresh, and what goes on.
    pub(crate) async fn persist(&self, ldap: &Ldap) -> (Vec<Message>, Following) {
        let mut following = self.start(ldap.clone(), 3).await.unwrap();
        let mut messages = Vec::new();
        loop {
            messages.push(following.next().await);
            if matches!(
                messages.last(),
                Some(Message::Refreshed(..) | Message::Done(..))
            ) {
                return (messages, following);
            }
        }
    }
}

impl Following {
    pub(crate) async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
        if let Some(found) = next.expect("a message in time").unwrap() {
            return message(found).expect("a message of RFC 4533");
        }
        let result = tokio::time::timeout(PATIENCE, self.0.finish())
            .await
            .unwrap();
        let control = result
            .ctrls
            .iter()
            .find(|each| each.1.ctype == format!("{SYNC}.3"));
        let done = control.map(|each| {
            let parts = parts(each.1.val.as_ref().unwrap());
            (octets(&parts), flag(&parts))
        });
        Message::Done(result.rc, done)
    }

    pub(crate) fn id(&mut self) -> i32 {
        self.0.ldap_handle().last_id()
    }
}

fn parts(bytes: &[u8]) -> Vec<StructureTag> {
    let (_, tag) = Parser::new(10).parse(bytes).unwrap();
    tag.expect_constructed().unwrap()
}

fn octets(parts: &[StructureTag]) -> Option<Vec<u8>> {
    let found = parts.iter().find(|part| part.id == 4).cloned();
    found.and_then(StructureTag::expect_primitive)
}

fn flag(parts: &[StructureTag]) -> bool {
    let found = parts.iter().find(|part| part.id == 1).cloned();
    found
        .and_then(StructureTag::expect_primitive)
        .is_some_and(|bytes| bytes != [0])
}

fn message(found: ResultEntry) -> Option<Message> {
    if !found.is_intermediate() {
        let control = found
            .1
            .iter()
            .find(|each| each.1.ctype == format!("{SYNC}.2"));
        let value = parts(control.unwrap().1.val.as_ref().unwrap());
        let bytes = |at: usize| {
            value
                .get(at)
                .cloned()
                .and_then(StructureTag::expect_primitive)
        };
        let (state, uuid, cookie) = (bytes(0).unwrap()[0], bytes(1).unwrap(), bytes(2));
        let SearchEntry {
            dn,
            attrs,
            bin_attrs,
        } = SearchEntry::construct(found);
        let filled = !(attrs.is_empty() && bin_attrs.is_empty());
        return Some(Message::Entry(state, dn, filled, uuid, cookie));
    }
    let fields = found.0.expect_constructed().unwrap();
    let value = fields.into_iter().find(|field| field.id == 1).unwrap();
    let (_, info) = Parser::new(10)
        .parse(&value.expect_primitive().unwrap())
        .map(|(rest, tag)| (rest.len(), tag))
        .unwrap();
    match (info.id, info.payload) {
        (0, PL::P(cookie)) => Some(Message::NewCookie(cookie)),
        (id @ (1 | 2), PL::C(parts)) => Some(Message::Refreshed(id == 1, octets(&parts))),
        (3, PL::C(parts)) => {
            let set = parts.iter().find(|part| part.id == 17).cloned().unwrap();
            let uuids = set.expect_constructed().unwrap().into_iter();
            let uuids = uuids.map(|each| each.expect_primitive().unwrap()).collect();
            Some(Message::IdSet(flag(&parts), uuids, octets(&parts)))
        }
        _ => None,
    }
}
