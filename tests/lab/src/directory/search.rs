//! Searches (RFC 4511 §4.5): base, scope, filter, visibility, limits, order and pages.
//!
//! slapd answers in the order in which entries were added; AD's subtree searches follow its index of ancestors, so
//! there a move between two pages can carry an entry from what is still to come into what has been sent.

use ldap3_proto::proto::{
    LdapResultCode, LdapSearchRequest, LdapSearchResultEntry, LdapSearchScope,
};

use super::Profile;
use super::access::Account;
use super::active_directory::in_deleted_objects;
use super::dn::{Dn, is_within};
use super::entry::Attribute;
use super::filter::{Filter, Subject};
use super::refusal::Refusal;
use super::root_dse::{Synthetic, root_dse, subschema};
use super::schema;
use super::selection::Selection;
use super::store::Store;
use super::view::View;

/// MaxPageSize of Windows AD.
pub const MAX_PAGE_SIZE: usize = 1000;

/// Where a paged search stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The place in the order of the last entry sent.
    after: Vec<u64>,
    /// Entries sent on all pages so far.
    served: usize,
}

/// A search with what its controls say.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pub(crate) request: &'a LdapSearchRequest,
    pub(crate) filter: &'a Filter,
    pub(crate) show_deleted: bool,
    pub(crate) domain_scope: bool,
    /// The page size and where to go on.
    pub(crate) page: Option<(usize, Position)>,
}

/// An answer: entries and references first, then the result.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) entries: Vec<LdapSearchResultEntry>,
    pub(crate) references: Vec<String>,
    pub(crate) refusal: Option<Refusal>,
    /// Set when another page follows.
    pub(crate) next: Option<Position>,
}

/// Answers a search for an account; none is an anonymous client, which sees the root DSE and the subschema only.
pub(crate) fn search(store: &mut Store, account: Option<&Account>, query: &Query<'_>) -> Found {
    found(store, account, query).unwrap_or_else(|refusal| Found {
        refusal: Some(refusal),
        ..Found::default()
    })
}

fn found(
    store: &mut Store,
    account: Option<&Account>,
    query: &Query<'_>,
) -> Result<Found, Refusal> {
    let request = query.request;
    let base = store.parse(&request.base)?;
    let selection = Selection::new(store.profile, &request.attrs, request.typesonly);
    if request.scope == LdapSearchScope::Base {
        if base.0.is_empty() {
            return Ok(synthetic("", root_dse(store), &selection, query));
        }
        let aggregate = format!("cn=aggregate,cn=schema,cn=configuration,{}", store.base_key);
        if base.key() == "cn=subschema" || (store.profile == Profile::Ad && base.key() == aggregate)
        {
            return Ok(synthetic(
                &request.base,
                subschema(store),
                &selection,
                query,
            ));
        }
    }
    let account = account.ok_or_else(|| anonymous(store.profile))?;
    let show_deleted = query.show_deleted && account.sees_deleted;
    let visible = |key: &str, deleted: bool, raw_container: bool| {
        account.sees(key) && (show_deleted || !(deleted || raw_container))
    };
    let base_id = store.existing(&base)?;
    let base_key = base.key();
    if !visible(&base_key, false, in_deleted_objects(store, &base_key)) {
        return Err(Refusal::absent(store.profile, store.closest(&base)));
    }
    let links = store.links();
    let store = &*store;
    let in_configuration = store.in_configuration(&base_key);
    let mut hits: Vec<(Vec<u64>, u64)> = Vec::new();
    for (&id, stored) in &store.entries {
        let key = &stored.key;
        let in_scope = match request.scope {
            LdapSearchScope::Base => id == base_id,
            LdapSearchScope::OneLevel => stored.parent == Some(base_id),
            LdapSearchScope::Subtree => is_within(key, &base_key),
            LdapSearchScope::Children => id != base_id && is_within(key, &base_key),
        };
        if !in_scope
            || store.in_configuration(key) != in_configuration
            || !visible(key, stored.is_deleted(), in_deleted_objects(store, key))
        {
            continue;
        }
        let view = View {
            store,
            links: &links,
            id,
            stored,
        };
        if query.filter.decide(store.profile, &view) == Some(true) {
            hits.push((place(store, id), id));
        }
    }
    hits.sort();
    if account.admin_limit.is_some_and(|limit| hits.len() > limit) {
        return Err(Refusal::new(LdapResultCode::AdminLimitExceeded, ""));
    }
    let (page, position) = match &query.page {
        Some((size, position)) => (Some(*size), position.clone()),
        None => (None, Position::default()),
    };
    hits.retain(|(place, _)| *place > position.after);
    let mut out = Found::default();
    let server_page = (store.profile == Profile::Ad).then_some(MAX_PAGE_SIZE);
    let page = page.map(|size| server_page.map_or(size, |most| size.min(most)));
    let asked = usize::try_from(request.sizelimit)
        .ok()
        .filter(|limit| *limit > 0);
    let total = [asked, account.size_limit].into_iter().flatten().min();
    let left = total.map(|limit| limit.saturating_sub(position.served));
    let unpaged = server_page.filter(|_| page.is_none());
    let most = [left, page, unpaged]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(usize::MAX);
    let more = hits.len() > most;
    hits.truncate(most);
    let last = hits.last().map(|(place, _)| place.clone());
    for (_, id) in &hits {
        if let Some(stored) = store.entries.get(id) {
            let view = View {
                store,
                links: &links,
                id: *id,
                stored,
            };
            let attributes = selection.pick(view.attributes());
            out.entries.push(LdapSearchResultEntry {
                dn: store.written(stored),
                attributes,
            });
        }
    }
    if more {
        let by_limit = left.is_some_and(|left| left <= most) || page.is_none();
        if by_limit {
            let message = match store.profile {
                Profile::OpenLdap => "",
                Profile::Ad => "000020D8: SvcErr: DSID-03140DA5, problem 5012 (DIR_ERROR), data 0",
            };
            out.refusal = Some(Refusal::new(LdapResultCode::SizeLimitExceeded, message));
        } else if let Some(after) = last {
            out.next = Some(Position {
                after,
                served: position.served + hits.len(),
            });
        }
    }
    let from_head = store.profile == Profile::Ad && base_id_is_head(store, base_id);
    if from_head
        && request.scope == LdapSearchScope::Subtree
        && !query.domain_scope
        && out.next.is_none()
    {
        out.references = subordinate(store);
    }
    Ok(out)
}

/// An entry's place in the order of answers.
fn place(store: &Store, id: u64) -> Vec<u64> {
    let mut path = vec![id];
    if store.profile == Profile::Ad {
        let mut up = store.entries.get(&id).and_then(|stored| stored.parent);
        while let Some(parent) = up {
            path.push(parent);
            up = store.entries.get(&parent).and_then(|stored| stored.parent);
        }
        path.reverse();
    }
    path
}

fn base_id_is_head(store: &Store, id: u64) -> bool {
    store
        .entries
        .get(&id)
        .is_some_and(|stored| stored.parent.is_none())
}

/// The naming contexts below the domain head, as a domain controller refers to them.
fn subordinate(store: &Store) -> Vec<String> {
    let base = store.render(&store.base);
    let names: Vec<&str> = store
        .base
        .0
        .iter()
        .flat_map(|rdn| rdn.0.iter().map(|ava| ava.value.as_str()))
        .collect();
    let domain = names.join(".");
    vec![
        format!("ldap://ForestDnsZones.{domain}/DC=ForestDnsZones,{base}"),
        format!("ldap://DomainDnsZones.{domain}/DC=DomainDnsZones,{base}"),
        format!("ldap://{domain}/CN=Configuration,{base}"),
    ]
}

pub(crate) fn anonymous(profile: Profile) -> Refusal {
    match profile {
        // What an access list without `disclose` makes of it.
        Profile::OpenLdap => Refusal::new(LdapResultCode::NoSuchObject, ""),
        Profile::Ad => Refusal::new(
            LdapResultCode::OperationsError,
            "000004DC: LdapErr: DSID-0C0907E1, comment: In order to perform this operation a successful bind must be \
             completed on the connection., data 0, v4563",
        ),
    }
}

struct Made<'a>(&'a Synthetic);

impl Subject for Made<'_> {
    fn values(&self, attribute: &str) -> Vec<Vec<u8>> {
        let found = self
            .0
            .iter()
            .find(|(each, _)| each.name.eq_ignore_ascii_case(attribute));
        // The root DSE of AD has no objectClass and matches the presence test all the same.
        match found {
            Some((each, _)) => each.values.clone(),
            None if attribute.eq_ignore_ascii_case("objectClass") => vec![b"top".to_vec()],
            None => Vec::new(),
        }
    }

    fn reaches(&self, _attribute: &str, _target: &Dn) -> bool {
        false
    }
}

fn synthetic(dn: &str, made: Synthetic, selection: &Selection, query: &Query<'_>) -> Found {
    let profile = if made
        .iter()
        .any(|(each, _)| each.name == "defaultNamingContext")
    {
        Profile::Ad
    } else {
        Profile::OpenLdap
    };
    let mut out = Found::default();
    if query.filter.decide(profile, &Made(&made)) == Some(true) {
        let (operational, user): (Vec<_>, Vec<_>) =
            made.into_iter().partition(|(_, operational)| *operational);
        let strip = |part: Synthetic| -> Vec<Attribute> {
            part.into_iter().map(|(each, _)| each).collect()
        };
        let mut attributes = selection.pick_synthetic(strip(user), false);
        attributes.extend(selection.pick_synthetic(strip(operational), true));
        out.entries.push(LdapSearchResultEntry {
            dn: dn.to_owned(),
            attributes,
        });
    }
    out
}

/// Compares one assertion (RFC 4511 §4.10).
pub(crate) fn compare(
    store: &mut Store,
    account: Option<&Account>,
    dn: &str,
    attribute: &str,
    value: &[u8],
) -> Result<bool, Refusal> {
    let account = account.ok_or_else(|| anonymous(store.profile))?;
    let name = store.parse(dn)?;
    let id = store.existing(&name)?;
    if !account.sees(&name.key()) {
        return Err(Refusal::absent(store.profile, store.closest(&name)));
    }
    let links = store.links();
    let store = &*store;
    let Some(stored) = store.entries.get(&id) else {
        return Ok(false);
    };
    let view = View {
        store,
        links: &links,
        id,
        stored,
    };
    let absent = || Refusal::new(LdapResultCode::NoSuchAttribute, "");
    let known = schema::attribute_type(store.profile, attribute).ok_or_else(absent)?;
    if view.values(&known.name).is_empty() {
        return Err(absent());
    }
    Ok(
        Filter::Equal(known.name.clone(), value.to_vec()).decide(store.profile, &view)
            == Some(true),
    )
}
