//! Tombstones of Active Directory (MS-ADTS 3.1.1.5.5): whether the account may list `CN=Deleted Objects`, and the anchors
//! that survive there. The container is found by its well-known GUID, for its name depends on the language.

use ldap3::{Scope, controls::RawControl};
use plumbline_engine::{anchor::Anchor, entry::ServerType, port::Import};

use crate::{
    anchor::AnchorRule,
    connection::{Connection, Search},
    error::DirectoryError,
    page::Pages,
    range,
    server::DeletedObjects,
};

const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
/// Matches every tombstone.
pub(crate) const ANY: &str = "(isDeleted=TRUE)";
const CONTAINER: &str = "18e2ea80684f11d2b9aa00c04f79f805";

fn container(naming_context: &str) -> String {
    format!("<WKGUID={CONTAINER},{naming_context}>")
}

fn show_deleted() -> RawControl {
    RawControl {
        ctype: SHOW_DELETED.to_owned(),
        crit: true,
        val: None,
    }
}

/// Whether the account sees tombstones. By default no delegated account does, and only seeing one proves it: Samba 4.17 shows the
/// container itself to everybody, its attributes to whom may read properties, and what is in it to whom may list contents.
pub(crate) async fn visibility(
    connection: &mut Connection,
    server_type: ServerType,
    naming_context: Option<&str>,
) -> Result<DeletedObjects, DirectoryError> {
    if server_type != ServerType::ActiveDirectory {
        return Ok(DeletedObjects::NotOffered);
    }
    let Some(naming_context) = naming_context else {
        return Ok(DeletedObjects::NotReadable);
    };
    let attributes = ["objectGUID".to_owned()];
    let search = Search {
        base: &container(naming_context),
        scope: Scope::OneLevel,
        filter: ANY,
        attributes: &attributes,
        controls: vec![show_deleted()],
        size_limit: 1,
        doing: "looking at the deleted objects",
    };
    match connection.sample(&search).await {
        Ok(entries) if entries.iter().any(|entry| !entry.attributes.is_empty()) => {
            Ok(DeletedObjects::Readable)
        }
        Ok(_) | Err(DirectoryError::BaseNotFound { .. } | DirectoryError::AccessDenied { .. }) => {
            Ok(DeletedObjects::NotReadable)
        }
        Err(error) => Err(error),
    }
}

/// Reads the tombstones that match a filter ([`ANY`] for all), in pages of a size.
pub(crate) async fn read(
    connection: &mut Connection,
    rule: &AnchorRule,
    naming_context: &str,
    (filter, page_size): (&str, u16),
    events: &mut (dyn FnMut(Import) + Send),
) -> Result<(), DirectoryError> {
    let attributes: Vec<String> = rule.attributes().into_iter().map(str::to_owned).collect();
    let base = container(naming_context);
    let search = Search {
        base: &base,
        scope: Scope::OneLevel,
        filter: &format!("(&{ANY}{filter})"),
        attributes: &attributes,
        controls: vec![show_deleted()],
        size_limit: 0,
        doing: "reading the deleted objects",
    };
    let mut pages = Pages::new(search, page_size);
    while let Some(page) = pages.next(connection).await? {
        let mut anchors: Vec<Anchor> = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            let (_, assembled) =
                range::assemble(entry).map_err(|(attribute, source)| DirectoryError::Range {
                    server: connection.server().to_owned(),
                    attribute,
                    source,
                })?;
            anchors.extend(rule.all(&assembled.attributes));
        }
        if !anchors.is_empty() {
            events(Import::Tombstones(anchors));
        }
    }
    Ok(())
}
