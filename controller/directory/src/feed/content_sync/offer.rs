//! Whether content synchronisation can be used: that the server offers it for this database, and that the account has the rights without
//! which it would lose changes with success. Also what a position is bound to.

use ldap3::Scope;
use plumbline_engine::{anchor::Anchor, entry::ServerType};

use crate::{
    connection::Search,
    decode::RawEntry,
    error::DirectoryError,
    feed::{
        Visit,
        content_sync::{DOING, ask::now, message::SyncUuid},
    },
};

/// Matches every entry that has a change number of OpenLDAP.
const ANY_CSN: &str = "(entryCSN>=19700101000000.000000Z#000000#000#000000)";

/// Why it can be used, or why not.
pub(crate) async fn offer(visit: &mut Visit<'_>) -> Result<Result<String, String>, DirectoryError> {
    let id = server_id(visit);
    let Some(base) = base(visit).await? else {
        return Ok(Err(format!("the account may not read `{id}` of `baseDN`")));
    };
    match now(visit).await {
        Ok(Some(_)) => {}
        Ok(None) => return Ok(Err("the server's cookie says nothing".to_owned())),
        Err(
            error @ (DirectoryError::Refused { .. }
            | DirectoryError::AccessDenied { .. }
            | DirectoryError::Undecodable { .. }),
        ) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let source = source.unwrap_or_default();
            return Ok(Err(format!("no content synchronisation: {source}")));
        }
        Err(error) => return Err(error),
    }
    let named = visit.rule.filter(&Anchor::Uuid(base)).unwrap_or_default();
    let mut needed = vec![(named, id)];
    if visit.server.server_type == ServerType::OpenLdap {
        needed.push((ANY_CSN.to_owned(), "entryCSN"));
    } else if visit.server.change_numbers.is_none() {
        return Ok(Err("the root DSE shows no changelog".to_owned()));
    }
    for (filter, attribute) in needed {
        // Without the right to search on it, changes are left out and the cookie moves on (seen on OpenLDAP 2.5).
        if look(visit, None, &filter, &["1.1"]).await?.is_empty() {
            return Ok(Err(format!("the account may not search on `{attribute}`")));
        }
    }
    Ok(Ok(
        "changes arrive by content synchronisation (RFC 4533)".to_owned()
    ))
}

/// The attribute that the synchronisation's own names come from.
fn server_id(visit: &Visit<'_>) -> &'static str {
    match visit.server.server_type {
        ServerType::OpenLdap => "entryUUID",
        _ => "nsUniqueId",
    }
}

/// The server's own name of the base entry.
pub(crate) async fn base(visit: &mut Visit<'_>) -> Result<Option<SyncUuid>, DirectoryError> {
    let id = server_id(visit);
    let base = visit.settings.base_dn.clone();
    let entries = look(visit, Some(&base), "(objectClass=*)", &[id]).await?;
    let text = value(&entries, id);
    Ok(match text.as_deref().and_then(Anchor::from_printed_uuid) {
        Some(Anchor::Uuid(uuid)) => Some(uuid),
        _ => None,
    })
}

/// When the server was started, as far as it tells: 389-ds by `dataversion` of the root DSE; OpenLDAP by the time of its subschema, which
/// it stamps at every start (seen on 2.5; the reason is in its `schema_info`), in whole seconds: a start in the second of the one before is
/// seen only by change sequence numbers that went back.
pub(crate) async fn started(visit: &mut Visit<'_>) -> Result<String, DirectoryError> {
    if visit.server.server_type != ServerType::OpenLdap {
        return Ok(visit.server.data_version.clone());
    }
    let Some(subschema) = visit.server.subschema.clone() else {
        return Ok(String::new());
    };
    match look(
        visit,
        Some(&subschema),
        "(objectClass=*)",
        &["modifyTimestamp"],
    )
    .await
    {
        Ok(entries) => Ok(value(&entries, "modifyTimestamp").unwrap_or_default()),
        // Hidden from the account.
        Err(DirectoryError::BaseNotFound { .. } | DirectoryError::AccessDenied { .. }) => {
            Ok(String::new())
        }
        Err(error) => Err(error),
    }
}

/// One entry at most: the named one, or any below the connector's base.
async fn look(
    visit: &mut Visit<'_>,
    named: Option<&str>,
    filter: &str,
    attributes: &[&str],
) -> Result<Vec<RawEntry>, DirectoryError> {
    let attributes: Vec<String> = attributes.iter().map(|&name| name.to_owned()).collect();
    let search = Search {
        base: named.unwrap_or(&visit.settings.base_dn),
        scope: match named {
            Some(_) => Scope::Base,
            None => Scope::Subtree,
        },
        filter,
        attributes: &attributes,
        controls: Vec::new(),
        size_limit: 1,
        doing: DOING,
    };
    visit.connection.sample(&search).await
}

fn value(entries: &[RawEntry], attribute: &str) -> Option<String> {
    let mut all = entries.iter().flat_map(|entry| &entry.attributes);
    let (_, values) = all.find(|(name, _)| name.eq_ignore_ascii_case(attribute))?;
    match values.as_slice() {
        [value] => String::from_utf8(value.clone()).ok(),
        _ => None,
    }
}
