//! Content synchronisation (RFC 4533) as slapd 2.5 with syncprov answers it, its liberties included.
//!
//! A cookie within the session log gets a delete phase, another a present phase; a subtree that moved is one change of its
//! head; a cookie of another filter is taken; garbage for a cookie gets everything as if it had been asked for. What was
//! measured on slapd 2.5.13 decides where the RFC leaves room.

use std::collections::{BTreeMap, HashSet};

use ldap3_lber::structure::{PL, StructureTag};
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapDerefAliases, LdapIntermediateResponse, LdapMsg, LdapOp, LdapResultCode, LdapSearchRequest,
    LdapSearchResultEntry, LdapSearchScope,
};

use super::access::Account;
use super::ber;
use super::change_log::{Event, entry_uuid};
use super::dn::is_within;
use super::filter::Filter;
use super::links::Links;
use super::refusal::Refusal;
use super::search::anonymous;
use super::selection::Selection;
use super::store::{Store, Stored};
use super::view::View;

const SYNC_STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
const SYNC_DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
const SYNC_INFO: &str = "1.3.6.1.4.1.4203.1.9.1.4";
/// UUIDs in one syncIdSet of a present phase.
const SET_SIZE: usize = 256;

#[derive(Debug, Clone, Copy)]
enum State {
    Add = 1,
    Modify = 2,
    Delete = 3,
}

/// The Sync Request control's value.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) persist: bool,
    cookie: Vec<u8>,
    reload_hint: bool,
}

/// A search that goes on after its refresh.
#[derive(Debug)]
pub(crate) struct Persist {
    pub(crate) msgid: i32,
    request: LdapSearchRequest,
    filter: Filter,
    base: u64,
    base_key: String,
    base_moved: bool,
    /// The entries that the client has.
    content: HashSet<u64>,
    sequence: u64,
}

/// Where a cookie leaves its consumer.
enum Standing {
    /// Everything is sent; a flag of refreshDeletes, and a cookie that replaces the usual one.
    Whole(bool, Option<Vec<u8>>),
    Current,
    Behind(String),
}

/// Reads the control's value.
pub(crate) fn read(value: &[u8]) -> Option<Ask> {
    let parts = ber::read_sequence(value)?;
    let (mode, rest) = parts.split_first()?;
    let persist = match ber::read_integer(mode)? {
        1 => false,
        3 => true,
        _ => return None,
    };
    let (mut cookie, mut reload_hint) = (Vec::new(), false);
    for part in rest {
        match (ber::read_octets(part), ber::read_boolean(part)) {
            (Some(bytes), _) => cookie = bytes.to_vec(),
            (None, Some(hint)) => reload_hint = hint,
            (None, None) => return None,
        }
    }
    Some(Ask {
        persist,
        cookie,
        reload_hint,
    })
}

/// The refresh: all messages of a refreshOnly, or those before the first change and what then follows them.
pub(crate) fn refresh(
    store: &mut Store,
    account: Option<&Account>,
    msgid: i32,
    request: &LdapSearchRequest,
    filter: &Filter,
    ask: &Ask,
    paged: Option<usize>,
) -> Result<(Vec<LdapMsg>, Option<Persist>), Refusal> {
    let account = account.ok_or_else(|| anonymous(store.profile))?;
    if matches!(
        request.aliases,
        LdapDerefAliases::InSearching | LdapDerefAliases::Always
    ) {
        let message = "shadow context; no update referral";
        return Err(Refusal::new(LdapResultCode::ProtocolError, message));
    }
    let base = store.parse(&request.base)?;
    let base_key = base.key();
    let base = store.existing(&base)?;
    if !account.sees(&base_key) {
        return Err(Refusal::absent(store.profile, String::new()));
    }
    let links = store.links();
    let store = &*store;
    let search = Search {
        store,
        links: &links,
        account,
        request,
        filter,
        base,
        base_key: &base_key,
    };
    let content: BTreeMap<u64, [u8; 16]> = search.content();
    let standing = store.standing(&ask.cookie)?;
    let events = match &standing {
        Standing::Behind(csn) => store.changes.since(csn),
        Standing::Current | Standing::Whole(..) => None,
    };
    if let (Standing::Behind(_), None, true, false) =
        (&standing, &events, store.reload_hint, ask.reload_hint)
    {
        return Err(Refusal::new(
            LdapResultCode::EsyncRefreshRequired,
            "sync cookie is stale",
        ));
    }
    let mut out = Messages {
        msgid,
        messages: Vec::new(),
    };
    let usual = store.cookie().into_bytes();
    let (sent, deletes, cookie): (Vec<u64>, bool, Option<Vec<u8>>) = match (standing, events) {
        (Standing::Current, _) => (Vec::new(), true, None),
        (Standing::Whole(deletes, instead), _) => {
            let cookie = instead.unwrap_or(usual);
            (content.keys().copied().collect(), deletes, Some(cookie))
        }
        (Standing::Behind(csn), Some(events)) => {
            let changed: BTreeMap<u64, &Event> =
                events.iter().map(|event| (event.id, *event)).collect();
            // Whatever was written and does not match is called deleted, were it never known; but not what was only added.
            let written: HashSet<u64> = events
                .iter()
                .filter(|event| !event.added)
                .map(|event| event.id)
                .collect();
            let gone = changed
                .iter()
                .filter(|(id, _)| !content.contains_key(id) && written.contains(id));
            for (_, event) in gone {
                let interim = format!("rid=000,csn={csn},delcsn={}", event.csn);
                out.id_set(Some(interim.into_bytes()), true, &[event.uuid]);
            }
            let sent = changed.into_keys().filter(|id| content.contains_key(id));
            (sent.collect(), true, Some(usual))
        }
        (Standing::Behind(csn), None) => {
            let all: Vec<[u8; 16]> = content.values().copied().collect();
            for set in all.chunks(SET_SIZE) {
                out.id_set(None, false, set);
            }
            let newer = content.keys().copied().filter(|id| {
                let stored = store.entries.get(id);
                stored.and_then(|stored| stored.text("entryCSN")) > Some(csn.as_str())
            });
            (newer.collect(), false, Some(usual))
        }
    };
    let asked = usize::try_from(request.sizelimit).unwrap_or_default();
    let limit = [Some(asked).filter(|most| *most > 0), account.size_limit];
    let most = limit.into_iter().flatten().min().unwrap_or(usize::MAX);
    let selection = search.selection();
    // Paging and synchronisation do not go together: one page, and no word that it was one.
    for id in sent.iter().take(most.min(paged.unwrap_or(usize::MAX))) {
        if let (Some(stored), Some(uuid)) = (store.entries.get(id), content.get(id)) {
            let entry = search.entry(&selection, *id, stored);
            out.entry(entry, State::Add, uuid, None);
        }
    }
    if sent.len() > most {
        // No control and no cookie: the refresh is not over.
        return Ok((out.done(LdapResultCode::SizeLimitExceeded, ""), None));
    }
    if !ask.persist {
        return Ok((out.finished(cookie, deletes), None));
    }
    out.refreshed(cookie, deletes);
    let persist = Persist {
        msgid,
        request: request.clone(),
        filter: filter.clone(),
        base,
        base_key,
        base_moved: false,
        content: content.into_keys().collect(),
        sequence: store.changes.sequence,
    };
    Ok((out.messages, Some(persist)))
}

impl Persist {
    /// The messages of all changes since the last call, and whether the search goes on.
    pub(crate) fn follow(
        &mut self,
        store: &mut Store,
        account: Option<&Account>,
    ) -> (Vec<LdapMsg>, bool) {
        let mut out = Messages {
            msgid: self.msgid,
            messages: Vec::new(),
        };
        let Some(account) = account else {
            return (out.messages, false);
        };
        let links = store.links();
        let store = &*store;
        let search = Search {
            store,
            links: &links,
            account,
            request: &self.request,
            filter: &self.filter,
            base: self.base,
            base_key: &self.base_key,
        };
        let selection = search.selection();
        for event in store.changes.after(self.sequence) {
            self.sequence = event.sequence;
            if self.base_moved {
                let message = "search base has changed";
                return (
                    out.done(LdapResultCode::EsyncRefreshRequired, message),
                    false,
                );
            }
            let cookie = format!("rid=000,csn={}", event.csn).into_bytes();
            let now = event
                .after
                .as_ref()
                .filter(|after| search.matches(event.id, after));
            if let (true, Some(after)) = (event.id == self.base, &event.after)
                && after.key != self.base_key
            {
                self.base_moved = true;
                out.new_cookie(cookie);
                continue;
            }
            let had = match now {
                Some(_) => !self.content.insert(event.id),
                None => self.content.remove(&event.id),
            };
            match (had, now) {
                (_, Some(after)) => {
                    let entry = search.entry(&selection, event.id, after);
                    let state = if had { State::Modify } else { State::Add };
                    out.entry(entry, state, &event.uuid, Some(cookie));
                }
                (true, None) => {
                    let entry = LdapSearchResultEntry {
                        dn: event.dn.clone(),
                        attributes: Vec::new(),
                    };
                    out.entry(entry, State::Delete, &event.uuid, Some(cookie));
                }
                (false, None) if event.after.is_some() => out.new_cookie(cookie),
                (false, None) => {}
            }
        }
        (out.messages, true)
    }
}

struct Search<'a> {
    store: &'a Store,
    links: &'a Links,
    account: &'a Account,
    request: &'a LdapSearchRequest,
    filter: &'a Filter,
    base: u64,
    base_key: &'a str,
}

impl Search<'_> {
    fn selection(&self) -> Selection {
        Selection::new(
            self.store.profile,
            &self.request.attrs,
            self.request.typesonly,
        )
    }

    fn view<'a>(&'a self, id: u64, stored: &'a Stored) -> View<'a> {
        View {
            store: self.store,
            links: self.links,
            id,
            stored,
        }
    }

    fn matches(&self, id: u64, stored: &Stored) -> bool {
        let below = is_within(&stored.key, self.base_key);
        let in_scope = match self.request.scope {
            LdapSearchScope::Base => id == self.base,
            LdapSearchScope::OneLevel => stored.parent == Some(self.base),
            LdapSearchScope::Subtree => below,
            LdapSearchScope::Children => below && id != self.base,
        };
        in_scope
            && self.account.sees(&stored.key)
            && self
                .filter
                .decide(self.store.profile, &self.view(id, stored))
                == Some(true)
    }

    fn content(&self) -> BTreeMap<u64, [u8; 16]> {
        let matching = self
            .store
            .entries
            .iter()
            .filter(|(id, stored)| self.matches(**id, stored));
        matching
            .filter_map(|(&id, stored)| Some((id, entry_uuid(stored)?)))
            .collect()
    }

    fn entry(&self, selection: &Selection, id: u64, stored: &Stored) -> LdapSearchResultEntry {
        LdapSearchResultEntry {
            dn: self.store.written(stored),
            attributes: selection.pick(self.view(id, stored).attributes()),
        }
    }
}

struct Messages {
    msgid: i32,
    messages: Vec<LdapMsg>,
}

impl Messages {
    fn entry(
        &mut self,
        entry: LdapSearchResultEntry,
        state: State,
        uuid: &[u8; 16],
        cookie: Option<Vec<u8>>,
    ) {
        let mut parts = vec![ber::enumerated(state as i64), ber::octets(*uuid)];
        parts.extend(cookie.map(ber::octets));
        let control = control(SYNC_STATE, parts);
        let op = LdapOp::SearchResultEntry(entry);
        let message = LdapMsg::new_with_ctrls(self.msgid, op, vec![control]);
        self.messages.push(message);
    }

    fn info(&mut self, value: StructureTag) {
        let op = LdapOp::IntermediateResponse(LdapIntermediateResponse::Raw {
            name: Some(SYNC_INFO.to_owned()),
            value: Some(ber::encode(value)),
        });
        self.messages.push(LdapMsg::new(self.msgid, op));
    }

    fn new_cookie(&mut self, cookie: Vec<u8>) {
        self.info(ber::context(0, PL::P(cookie)));
    }

    /// The end of a persistent search's refresh; refreshDone is TRUE by default and left out.
    fn refreshed(&mut self, cookie: Option<Vec<u8>>, deletes: bool) {
        let parts = cookie.map(ber::octets).into_iter().collect();
        self.info(ber::context(if deletes { 1 } else { 2 }, PL::C(parts)));
    }

    fn id_set(&mut self, cookie: Option<Vec<u8>>, deletes: bool, uuids: &[[u8; 16]]) {
        let mut parts: Vec<StructureTag> = cookie.map(ber::octets).into_iter().collect();
        parts.extend(deletes.then(|| ber::boolean(true)));
        parts.push(ber::set(
            uuids.iter().map(|uuid| ber::octets(*uuid)).collect(),
        ));
        self.info(ber::context(3, PL::C(parts)));
    }

    fn finished(self, cookie: Option<Vec<u8>>, deletes: bool) -> Vec<LdapMsg> {
        let mut parts: Vec<StructureTag> = cookie.map(ber::octets).into_iter().collect();
        parts.extend(deletes.then(|| ber::boolean(true)));
        let mut messages = self.done(LdapResultCode::Success, "");
        if let Some(last) = messages.last_mut() {
            last.ctrl.push(control(SYNC_DONE, parts));
        }
        messages
    }

    fn done(mut self, code: LdapResultCode, message: &str) -> Vec<LdapMsg> {
        let result = Refusal::new(code, message).into_result();
        self.messages
            .push(LdapMsg::new(self.msgid, LdapOp::SearchResultDone(result)));
        self.messages
    }
}

fn control(oid: &str, parts: Vec<StructureTag>) -> LdapControl {
    LdapControl::Unknown {
        oid: oid.to_owned(),
        criticality: false,
        value: Some(ber::encode(ber::sequence(parts))),
    }
}

impl Store {
    fn cookie(&self) -> String {
        format!("rid=000,csn={}", self.changes.csn)
    }

    /// What a cookie is worth here.
    fn standing(&self, cookie: &[u8]) -> Result<Standing, Refusal> {
        if cookie.is_empty() {
            return Ok(Standing::Whole(true, None));
        }
        let text = std::str::from_utf8(cookie).unwrap_or_default();
        if !text.starts_with("rid=") {
            // Not understood, and not said so: the new cookie is as empty as the old one was meaningless.
            return Ok(Standing::Whole(true, Some(Vec::new())));
        }
        let given = text.split(',').find_map(|part| part.strip_prefix("csn="));
        let csns: Vec<&str> = given.map_or_else(Vec::new, |list| {
            list.split(';').filter(|csn| is_csn(csn)).collect()
        });
        if csns.is_empty() {
            return Ok(Standing::Whole(true, None));
        }
        let Some(own) = csns.iter().find(|csn| csn.split('#').nth(2) == Some("000")) else {
            return Ok(Standing::Whole(false, None));
        };
        if *own > self.changes.csn.as_str() {
            let message = "consumer state is newer than provider!";
            return Err(Refusal::new(LdapResultCode::UnwillingToPerform, message));
        }
        if *own == self.changes.csn {
            return Ok(Standing::Current);
        }
        // Older than all there is: slapd finds no entry to start from.
        let reachable = self
            .entries
            .values()
            .any(|stored| stored.text("entryCSN").is_some_and(|csn| csn <= *own));
        Ok(if reachable {
            Standing::Behind((*own).to_owned())
        } else {
            Standing::Whole(false, None)
        })
    }
}

/// `20261123053722.777323Z#000000#000#000000`
fn is_csn(text: &str) -> bool {
    let parts: Vec<&str> = text.split('#').collect();
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    match parts.as_slice() {
        [time, count, server, modification] => {
            time.len() == 22
                && time.ends_with('Z')
                && [(*count, 6), (*server, 3), (*modification, 6)]
                    .iter()
                    .all(|(part, length)| part.len() == *length && hex(part))
        }
        _ => false,
    }
}
