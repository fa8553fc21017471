//! Searches by anchor over the whole naming context: the evidence whether an object that was not read is really gone.
//!
//! Not found must mean not there. So before anything is believed, an entry that was just listed is searched by its own
//! anchor: where the account may read the attribute but not search on it, servers find nothing and call it success
//! (seen on OpenLDAP 2.6).

use std::collections::BTreeSet;

use ldap3::Scope;
use plumbline_engine::{
    anchor::Anchor,
    entry::{Attributes, EntryKind, ServerType},
    port::Sighting,
};

use crate::{
    anchor::AnchorRule,
    connection::{Connection, Search},
    decode::RawEntry,
    error::DirectoryError,
    kind,
    page::Pages,
    range,
};

/// Anchors per search: filters stay far below what servers take.
pub(crate) const BATCH: usize = 50;
/// Users looked at for the rights on the anchor attribute.
const SAMPLE: i32 = 20;

/// Where and how to search.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) rule: AnchorRule,
    pub(crate) server_type: ServerType,
    pub(crate) base_dn: String,
    pub(crate) naming_context: String,
    pub(crate) page_size: u16,
}

/// Fails if the account cannot read the anchors of users, or cannot search by them. A directory without users passes.
pub(crate) async fn check_rights(
    connection: &mut Connection,
    place: &Place,
) -> Result<(), DirectoryError> {
    let attribute = place.rule.attribute_of_users();
    let users = kind::user_filter(place.server_type);
    let mut anchors = Vec::new();
    let mut sampled = 0;
    // Not every user has a chosen attribute, so those who do are asked for first.
    for filter in [&format!("(&{users}({attribute}=*))"), users] {
        for user in sample(connection, place, filter).await? {
            sampled += 1;
            let user = assemble(connection, user)?;
            anchors.extend(place.rule.read(EntryKind::User, &user).0);
        }
        if !anchors.is_empty() {
            break;
        }
    }
    if anchors.is_empty() {
        return if sampled == 0 {
            Ok(())
        } else {
            Err(DirectoryError::AnchorHidden {
                server: connection.server().to_owned(),
                attribute: attribute.to_owned(),
                sampled,
            })
        };
    }
    // One of them may be deleted just now, hardly all.
    let wanted: Vec<&Anchor> = anchors.iter().collect();
    if search(connection, place, &wanted).await?.is_empty() {
        return Err(DirectoryError::AnchorNotSearchable {
            server: connection.server().to_owned(),
            attribute: attribute.to_owned(),
        });
    }
    Ok(())
}

async fn sample(
    connection: &mut Connection,
    place: &Place,
    filter: &str,
) -> Result<Vec<RawEntry>, DirectoryError> {
    let attributes: Vec<String> = place
        .rule
        .attributes()
        .into_iter()
        .map(str::to_owned)
        .collect();
    connection
        .sample(&Search {
            base: &place.base_dn,
            scope: Scope::Subtree,
            filter,
            attributes: &attributes,
            controls: Vec::new(),
            size_limit: SAMPLE,
            doing: "looking at the anchors of some users",
        })
        .await
}

/// Whether each anchor is there, in the order asked.
pub(crate) async fn sightings(
    connection: &mut Connection,
    place: &Place,
    anchors: &[Anchor],
) -> Result<Vec<Sighting>, DirectoryError> {
    if anchors.is_empty() {
        return Ok(Vec::new());
    }
    check_rights(connection, place).await?;
    let mut sightings = Vec::with_capacity(anchors.len());
    for batch in anchors.chunks(BATCH) {
        let wanted: Vec<&Anchor> = batch.iter().collect();
        let entries = search(connection, place, &wanted).await?;
        let mut seen = BTreeSet::new();
        let mut unexplained = false;
        for entry in &entries {
            let names = place.rule.all(entry);
            unexplained |= !names.iter().any(|name| batch.contains(name));
            seen.extend(names);
        }
        for anchor in batch {
            // The server's matching rule may be laxer than ours ("e42" finds "E42"): then each is asked by itself.
            let found = seen.contains(anchor)
                || (unexplained && !search(connection, place, &[anchor]).await?.is_empty());
            sightings.push(Sighting {
                anchor: anchor.clone(),
                found,
            });
        }
    }
    Ok(sightings)
}

async fn search(
    connection: &mut Connection,
    place: &Place,
    anchors: &[&Anchor],
) -> Result<Vec<Attributes>, DirectoryError> {
    let terms: Vec<String> = anchors
        .iter()
        .filter_map(|anchor| place.rule.filter(anchor))
        .collect();
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    let filter = format!("(|{})", terms.concat());
    let attributes: Vec<String> = place
        .rule
        .attributes()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let search = Search {
        base: &place.naming_context,
        scope: Scope::Subtree,
        filter: &filter,
        attributes: &attributes,
        controls: Vec::new(),
        size_limit: 0,
        doing: "searching by anchor",
    };
    let mut pages = Pages::new(search, place.page_size);
    let mut found = Vec::new();
    loop {
        let page = match pages.next(connection).await {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(found),
            Err(DirectoryError::BaseNotFound { server, .. }) => {
                let naming_context = place.naming_context.clone();
                return Err(DirectoryError::ContextHidden {
                    server,
                    naming_context,
                });
            }
            Err(error) => return Err(error),
        };
        for entry in page.entries {
            found.push(assemble(connection, entry)?);
        }
    }
}

fn assemble(connection: &Connection, entry: RawEntry) -> Result<Attributes, DirectoryError> {
    range::assemble(entry)
        .map(|(_, assembled)| assembled.attributes)
        .map_err(|(attribute, source)| DirectoryError::Range {
            server: connection.server().to_owned(),
            attribute,
            source,
        })
}
