//! Who refers to entries that came, were moved or came back.
//!
//! A link leads to an entry, not to a DN, so the referring entry does not change when its target leaves the base and returns, or is
//! undeleted: no feed tells of it. What was forgotten with the target is therefore told anew, by the target's back links.

use std::collections::{BTreeMap, BTreeSet};

use ldap3::Scope;
use plumbline_engine::{
    anchor::Anchor,
    port::{Import, ValueChange},
};

use crate::{
    anchor,
    connection::Search,
    error::DirectoryError,
    feed::{Visit, active_directory::DOING},
    find, kind,
    page::Pages,
    read::{self, Plan},
};

const MEMBER: &str = "member";
const MANAGER: &str = "manager";

/// Brings the memberships of the entries with these GUIDs value by value, and whole whom they manage.
pub(crate) async fn bring(
    visit: &mut Visit<'_>,
    guids: &[Anchor],
    events: &mut (dyn FnMut(Import) + Send),
) -> Result<(), DirectoryError> {
    let server_type = visit.server.server_type;
    let plan = Plan::new(server_type, visit.rule, visit.request, visit.settings);
    for guids in guids.chunks(find::BATCH) {
        let targets = look(visit, &read::any_guid(guids), "memberOf").await?;
        let mut groups: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for target in &targets {
            for group in &target.values {
                let group = String::from_utf8_lossy(group).to_lowercase();
                groups.entry(group).or_default().push(target.dn.clone());
            }
        }
        if visit.request.attributes.contains(MEMBER) {
            let names: Vec<String> = groups.keys().cloned().collect();
            let mut values = Vec::new();
            for names in names.chunks(find::BATCH) {
                for (dn, guid) in named(visit, names).await? {
                    if let Some(members) = groups.get(&dn) {
                        values.push(ValueChange {
                            anchor: guid,
                            attribute: MEMBER.to_owned(),
                            added: members.clone(),
                            removed: Vec::new(),
                        });
                    }
                }
            }
            if !values.is_empty() {
                events(Import::Values(values));
            }
        }
        if visit.request.attributes.contains(MANAGER) && !targets.is_empty() {
            let managed = any(MANAGER, targets.iter().map(|target| target.dn.as_slice()));
            let filter = format!("(&{}{managed})", kind::filter(server_type));
            plan.matching(visit.connection, &filter, events).await?;
        }
    }
    Ok(())
}

/// The GUIDs of the entries below the base that have these DNs, by their DN in lower case.
pub(crate) async fn named(
    visit: &mut Visit<'_>,
    dns: &[String],
) -> Result<BTreeMap<String, Anchor>, DirectoryError> {
    let filter = any("distinguishedName", dns.iter().map(String::as_bytes));
    let found = look(visit, &filter, "1.1").await?.into_iter();
    let named = found.filter_map(|target| {
        let dn = String::from_utf8_lossy(&target.dn).to_lowercase();
        Some((dn, target.guid?))
    });
    Ok(named.collect())
}

/// The GUIDs of the entries in a batch.
pub(crate) fn note(event: &Import, guids: &mut BTreeSet<Anchor>) {
    if let Import::Batch(entries) = event {
        let own =
            (entries.iter()).filter_map(|entry| entry.alternate.as_ref().or(entry.anchor.as_ref()));
        guids.extend(own.cloned());
    }
}

struct Target {
    dn: Vec<u8>,
    guid: Option<Anchor>,
    values: Vec<Vec<u8>>,
}

/// The entries below the base that match a filter, with all values of one attribute.
async fn look(
    visit: &mut Visit<'_>,
    filter: &str,
    attribute: &str,
) -> Result<Vec<Target>, DirectoryError> {
    let attributes = ["objectGUID", attribute].map(str::to_owned);
    let search = Search {
        base: &visit.settings.base_dn,
        scope: Scope::Subtree,
        filter,
        attributes: &attributes,
        controls: Vec::new(),
        size_limit: 0,
        doing: DOING,
    };
    let mut pages = Pages::new(search, visit.settings.page_size);
    let mut targets = Vec::new();
    while let Some(page) = pages.next(visit.connection).await? {
        for raw in page.entries {
            let dn = raw.dn.clone();
            let all = read::whole(visit.connection, raw).await?;
            targets.push(Target {
                dn,
                guid: visit.rule.all(&all).into_iter().next(),
                values: all.get(attribute).to_vec(),
            });
        }
    }
    Ok(targets)
}

fn any<'a>(attribute: &str, values: impl Iterator<Item = &'a [u8]>) -> String {
    let terms: Vec<String> = values
        .map(|value| format!("({attribute}={})", anchor::escape(value)))
        .collect();
    format!("(|{})", terms.concat())
}
