//! The DirSync control as a Windows domain controller answers it (MS-ADTS §3.1.1.3.4.1.3).
//!
//! What a real server does not say is not said here either, as measured on Samba 4.17: a renamed container tells nothing
//! of what lies below it, a deleted member nothing of its groups, the RDN attribute never comes, a tombstone comes only
//! to those who ask for what changed on it. Paging, errors and the sight of tombstones are those of Windows.

use std::collections::BTreeSet;

use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapPartialAttribute, LdapResultCode, LdapSearchRequest, LdapSearchResultEntry, LdapSearchScope,
};

use super::access::Account;
use super::active_directory::in_deleted_objects;
use super::ber;
use super::dn::{Dn, Rdn};
use super::filter::{Filter, Subject as _};
use super::links::LINKED;
use super::refusal::Refusal;
use super::replication::Stamp;
use super::root_dse::DIRSYNC;
use super::schema;
use super::search::anonymous;
use super::selection::Selection;
use super::store::{Store, Stored};
use super::view::View;

const OBJECT_SECURITY: i64 = 0x1;
const ANCESTORS_FIRST_ORDER: i64 = 0x800;
const INCREMENTAL_VALUES: i64 = 0x8000_0000;

/// The control's value in a request. PUBLIC_DATA_ONLY (0x2000) has no effect and other bits are ignored.
#[derive(Debug)]
pub(crate) struct Ask {
    flags: i64,
    /// At most so many bytes of objects on a page; 0 leaves it to the server.
    most_bytes: usize,
    pub(crate) cookie: Vec<u8>,
}

/// How far a client has come: the number at one server, and for each origin what it has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cookie {
    /// The last object sent: usnHighObjUpdate of MS-DRSR §5.208.
    objects: u64,
    /// What all objects have been told up to: usnHighPropUpdate. It stands still until the last page.
    properties: u64,
    invocation: [u8; 16],
    up_to_date: Vec<([u8; 16], u64)>,
}

/// One page of changed objects.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) entries: Vec<LdapSearchResultEntry>,
    pub(crate) more: bool,
    pub(crate) cookie: Vec<u8>,
}

/// Reads the control's value.
pub(crate) fn read(value: &[u8]) -> Option<Ask> {
    let parts = ber::read_sequence(value)?;
    let [flags, bytes, cookie] = parts.as_slice() else {
        return None;
    };
    Some(Ask {
        // A signed 32-bit number, though some clients send it unsigned.
        flags: ber::read_integer(flags)? & 0xffff_ffff,
        most_bytes: usize::try_from(ber::read_integer(bytes)?).ok()?,
        cookie: ber::read_octets(cookie)?.to_vec(),
    })
}

/// The control of an answer.
pub(crate) fn control(more: bool, cookie: &[u8]) -> LdapControl {
    let parts = vec![
        ber::integer(i64::from(more)),
        ber::integer(0),
        ber::octets(cookie),
    ];
    LdapControl::Unknown {
        oid: DIRSYNC.to_owned(),
        criticality: false,
        value: Some(ber::encode(ber::sequence(parts))),
    }
}

/// Answers a search with the control; `most` objects fit on a page.
pub(crate) fn answer(
    store: &mut Store,
    account: Option<&Account>,
    request: &LdapSearchRequest,
    filter: &Filter,
    ask: &Ask,
    most: usize,
) -> Result<Page, Refusal> {
    let account = account.ok_or_else(|| anonymous(store.profile))?;
    let object_security = ask.flags & OBJECT_SECURITY != 0;
    if !object_security && !account.replicates {
        let message =
            "00002105: SecErr: DSID-0C090A8D, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0";
        return Err(Refusal::new(
            LdapResultCode::InsufficentAccessRights,
            message,
        ));
    }
    let base = store.parse(&request.base)?.key();
    let in_configuration = base == format!("cn=configuration,{}", store.base_key);
    if request.scope != LdapSearchScope::Subtree || !(in_configuration || base == store.base_key) {
        return Err(unwilling("000020AF"));
    }
    let from = if ask.cookie.is_empty() {
        Cookie::default()
    } else {
        Cookie::read(&ask.cookie).ok_or_else(|| unwilling("00002098"))?
    };
    let links = store.links();
    let store = &*store;
    let sees_deleted = account.sees_deleted || !object_security;
    let change = Change {
        store,
        since: store.since(&from),
        selection: Selection::new(store.profile, &request.attrs, request.typesonly),
        incremental: ask.flags & INCREMENTAL_VALUES != 0,
        initial: ask.cookie.is_empty(),
    };
    let visible = |stored: &Stored| {
        store.in_configuration(&stored.key) == in_configuration
            && (sees_deleted || !(stored.is_deleted() || in_deleted_objects(store, &stored.key)))
            && (!object_security || account.sees(&stored.key))
    };
    let mut order: Vec<(u64, u64)> = store
        .entries
        .iter()
        .filter(|(_, stored)| visible(stored))
        .map(|(&id, stored)| (stored.metadata.last(), id))
        .filter(|(last, _)| *last > change.since.objects)
        .collect();
    order.sort_unstable();

    let mut page = Page {
        entries: Vec::new(),
        more: false,
        cookie: Vec::new(),
    };
    let (mut sent, mut bytes, mut reached) = (BTreeSet::new(), 0, change.since.objects);
    let most_bytes = if ask.most_bytes == 0 {
        usize::MAX
    } else {
        ask.most_bytes
    };
    for (last, id) in order {
        let mut wanted = vec![id];
        if ask.flags & ANCESTORS_FIRST_ORDER != 0 {
            // Changed containers that come later in the order come now; they may come again.
            wanted.extend(store.ancestors(id));
            wanted.reverse();
        }
        let mut group = Vec::new();
        for id in wanted.into_iter().filter(|id| !sent.contains(id)) {
            let Some(stored) = store.entries.get(&id).filter(|stored| visible(stored)) else {
                continue;
            };
            let view = View {
                store,
                links: &links,
                id,
                stored,
            };
            if filter.decide(store.profile, &view) == Some(true)
                && let Some(entry) = change.of(&view)
            {
                group.push((id, entry));
            }
        }
        let more_bytes: usize = group.iter().map(|(_, entry)| size(entry)).sum();
        let full = page.entries.len() + group.len() > most || bytes + more_bytes > most_bytes;
        if full && !group.is_empty() && !page.entries.is_empty() {
            page.more = true;
            break;
        }
        bytes += more_bytes;
        for (id, entry) in group {
            sent.insert(id);
            page.entries.push(entry);
        }
        reached = last;
    }
    page.cookie = if page.more {
        Cookie {
            objects: reached,
            properties: change.since.properties,
            invocation: store.invocation,
            ..from
        }
    } else {
        store.here()
    }
    .write();
    Ok(page)
}

fn unwilling(code: &str) -> Refusal {
    let message = format!("{code}: SvcErr: DSID-0C090F93, problem 5003 (WILL_NOT_PERFORM), data 0");
    Refusal::new(LdapResultCode::UnwillingToPerform, message)
}

fn size(entry: &LdapSearchResultEntry) -> usize {
    let attribute = |each: &LdapPartialAttribute| {
        each.atype.len() + each.vals.iter().map(Vec::len).sum::<usize>()
    };
    entry.dn.len() + entry.attributes.iter().map(attribute).sum::<usize>()
}

/// What a cookie leaves to be told by this server.
struct Since {
    objects: u64,
    properties: u64,
    up_to_date: Vec<([u8; 16], u64)>,
}

impl Since {
    fn is_new(&self, stamp: &Stamp) -> bool {
        let known = self
            .up_to_date
            .iter()
            .any(|(origin, usn)| *origin == stamp.origin && *usn >= stamp.origin_usn);
        stamp.usn > self.properties && !known
    }
}

struct Change<'a> {
    store: &'a Store,
    since: Since,
    selection: Selection,
    incremental: bool,
    initial: bool,
}

impl Change<'_> {
    /// What is said of an object; none when nothing changed that was asked for.
    fn of(&self, view: &View<'_>) -> Option<LdapSearchResultEntry> {
        let stored = view.stored;
        let mut attributes = Vec::new();
        let mut push = |atype: String, vals: Vec<Vec<u8>>| {
            attributes.push(LdapPartialAttribute { atype, vals });
        };
        let rdn = stored.dn.0.first().and_then(|rdn| rdn.0.first());
        let rdn = rdn.map_or("", |ava| schema::canonical(&ava.attribute));
        let changed = stored.metadata.attributes.iter().filter(|(name, stamp)| {
            self.since.is_new(stamp) && self.selection.includes(name) && *name != rdn
        });
        let mut renamed = false;
        for (name, _) in changed {
            renamed |= name == "name";
            let values = if name == "name" {
                view.values(name)
            } else {
                stored.values(name).to_vec()
            };
            if name != "instanceType" && !(self.initial && values.is_empty()) {
                push(name.clone(), values);
            }
        }
        for (attribute, _) in LINKED {
            if self.selection.includes(attribute) {
                self.links(view, attribute, &mut push);
            }
        }
        if attributes.is_empty() {
            return None;
        }
        if renamed {
            attributes.push(LdapPartialAttribute {
                atype: "parentGUID".to_owned(),
                vals: view.values("parentGUID"),
            });
        }
        for name in ["objectGUID", "instanceType"] {
            attributes.push(LdapPartialAttribute {
                atype: name.to_owned(),
                vals: stored.values(name).to_vec(),
            });
        }
        Some(LdapSearchResultEntry {
            dn: self.store.written(stored),
            attributes,
        })
    }

    fn links(
        &self,
        view: &View<'_>,
        attribute: &'static str,
        push: &mut impl FnMut(String, Vec<Vec<u8>>),
    ) {
        let values = &view.stored.metadata.values;
        let changed = values.range((attribute, 0)..=(attribute, u64::MAX));
        let changed: Vec<(u64, bool)> = changed
            .filter(|(_, value)| self.since.is_new(&value.stamp))
            .map(|((_, target), value)| (*target, value.present))
            .collect();
        if changed.is_empty() {
            return;
        }
        if !self.incremental {
            return push(attribute.to_owned(), view.stored.values(attribute).to_vec());
        }
        for (present, option) in [(true, "range=1-1"), (false, "range=0-0")] {
            let names: Vec<Vec<u8>> = changed
                .iter()
                .filter(|(_, each)| *each == present)
                .filter_map(|(target, _)| self.store.entries.get(target))
                .map(|target| self.store.written_before_delete(target).into_bytes())
                .collect();
            if !names.is_empty() {
                push(format!("{attribute};{option}"), names);
            }
        }
    }
}

impl Store {
    /// Where a client is that has everything of this server.
    fn here(&self) -> Cookie {
        let mut up_to_date = self.up_to_date.clone();
        up_to_date.insert(self.invocation, self.usn);
        Cookie {
            objects: self.usn,
            properties: self.usn,
            invocation: self.invocation,
            up_to_date: up_to_date.into_iter().collect(),
        }
    }

    fn since(&self, cookie: &Cookie) -> Since {
        // Numbers of another server, or of this one before it was restored, mean nothing here.
        let own = cookie.invocation == self.invocation;
        Since {
            objects: if own { cookie.objects } else { 0 },
            properties: if own { cookie.properties } else { 0 },
            up_to_date: cookie.up_to_date.clone(),
        }
    }

    /// The entries above one, nearest first.
    fn ancestors(&self, id: u64) -> Vec<u64> {
        let parent = |id: &u64| self.entries.get(id).and_then(|stored| stored.parent);
        std::iter::successors(parent(&id), parent).collect()
    }

    /// The name of an entry; of a tombstone the one that it had, which removed values go on naming.
    fn written_before_delete(&self, stored: &Stored) -> String {
        let old = stored.dn.0.first().and_then(|rdn| rdn.0.first());
        let parent = stored
            .text("lastKnownParent")
            .and_then(|text| Dn::parse(text).ok());
        match (old, parent) {
            (Some(ava), Some(parent)) if stored.is_deleted() => {
                let value = ava.value.split('\n').next().unwrap_or_default();
                self.render(&parent.child(Rdn::single(&ava.attribute, value)))
            }
            _ => self.written(stored),
        }
    }
}

impl Cookie {
    /// The layout of Windows and Samba: signature, version, time, high-water mark, invocationId, up-to-dateness vector.
    fn write(&self) -> Vec<u8> {
        let mut vector = Vec::new();
        let count = u32::try_from(self.up_to_date.len()).unwrap_or(u32::MAX);
        for number in [1, 0, count, 0] {
            vector.extend(u32::to_le_bytes(number));
        }
        for (origin, usn) in &self.up_to_date {
            vector.extend(origin);
            vector.extend(usn.to_le_bytes());
        }
        let mut out = b"MSDS".to_vec();
        out.extend(3_u32.to_le_bytes());
        // A time, then two numbers that are always zero; no client may read it.
        out.extend([0; 16]);
        out.extend(
            u32::try_from(vector.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        for number in [self.objects, 0, self.properties] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.invocation);
        out.extend(vector);
        out
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut take = |count: usize| {
            let (head, tail) = rest.split_at_checked(count)?;
            rest = tail;
            Some(head)
        };
        let number = |bytes: &[u8]| Some(u64::from_le_bytes(bytes.try_into().ok()?));
        if take(4)? != b"MSDS" || take(4)? != 3_u32.to_le_bytes() {
            return None;
        }
        take(20)?;
        let objects = number(take(8)?)?;
        take(8)?;
        let properties = number(take(8)?)?;
        let invocation = take(16)?.try_into().ok()?;
        take(8)?;
        let count = u32::from_le_bytes(take(4)?.try_into().ok()?);
        take(4)?;
        let mut up_to_date = Vec::new();
        for _ in 0..count {
            up_to_date.push((take(16)?.try_into().ok()?, number(take(8)?)?));
        }
        rest.is_empty().then_some(Self {
            objects,
            properties,
            invocation,
            up_to_date,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cookie_comes_back_and_no_other_bytes_pass(objects: u64, properties: u64, invocation: [u8; 16], known: u64, junk: Vec<u8>) {
            let cookie = Cookie { objects, properties, invocation, up_to_date: vec![(invocation, known)] };
            let written = cookie.write();
            prop_assert_eq!(written.len(), 108);
            for cut in 0..written.len() {
                prop_assert_eq!(Cookie::read(&written[..cut]), None);
            }
            prop_assert_eq!(Cookie::read(&written), Some(cookie));
            prop_assert_eq!(Cookie::read(&junk), None);
            let _ = read(&junk);
        }
    }
}
