//! A full read: every entry below the base that takes part, page by page, with ranged values completed.
//!
//! # Guarantees
//! An entry is handed on whole or the read fails. Nothing is left out because it cannot be understood: a DN that is not
//! UTF-8 and a missing anchor are handed on for the engine to set aside.

use std::{
    collections::{BTreeSet, HashSet},
    sync::atomic::{AtomicI64, Ordering},
};

use jiff::Timestamp;
use ldap3::Scope;
use plumbline_engine::{
    anchor::Anchor,
    entry::{Attributes, Entry, EntryKind, ServerType},
    port::{Import, ReadRequest},
};

use crate::{
    anchor::{self, AnchorRule},
    connection::{Connection, Search},
    decode::RawEntry,
    error::DirectoryError,
    feed::timestamps,
    find,
    kind::{self, Kind},
    page::Pages,
    range::{self, Assembled, Description, RangeError, Ranged},
    settings::Settings,
};

/// Changes with every change of an entry of Active Directory, its links included.
pub(crate) const CHANGE_NUMBER: &str = "usnchanged";
/// Tries to read a ranged attribute of an entry that changes meanwhile.
const ATTEMPTS: usize = 3;
const DOING: &str = "reading entries";

/// Fails unless the base itself can be read.
pub(crate) async fn check_base(
    connection: &mut Connection,
    base_dn: &str,
) -> Result<(), DirectoryError> {
    let attributes = ["1.1".to_owned()];
    let answer = connection
        .search(&Search {
            base: base_dn,
            scope: Scope::Base,
            filter: "(objectClass=*)",
            attributes: &attributes,
            controls: Vec::new(),
            size_limit: 0,
            doing: "looking at `baseDN`",
        })
        .await?;
    if answer.entries.is_empty() {
        return Err(DirectoryError::BaseNotFound {
            server: connection.server().to_owned(),
            base_dn: base_dn.to_owned(),
            matched: String::new(),
        });
    }
    Ok(())
}

/// What the server itself calls the entry with this DN; `None` where the account may not read it.
pub(crate) async fn own_name(
    connection: &mut Connection,
    server_type: ServerType,
    dn: &str,
) -> Result<Option<Anchor>, DirectoryError> {
    let attributes = [anchor::server_id(server_type).to_owned()];
    let answer = connection
        .search(&Search {
            base: dn,
            scope: Scope::Base,
            filter: "(objectClass=*)",
            attributes: &attributes,
            controls: Vec::new(),
            size_limit: 0,
            doing: "looking at `baseDN`",
        })
        .await;
    let entries = match answer {
        Ok(answer) => answer.entries,
        // Whoever reads next tells.
        Err(
            DirectoryError::BaseNotFound { .. }
            | DirectoryError::AccessDenied { .. }
            | DirectoryError::Refused { .. },
        ) => return Ok(None),
        Err(error) => return Err(error),
    };
    let rule = AnchorRule::new(server_type, None);
    let names = entries
        .into_iter()
        .filter_map(|entry| range::assemble(entry).ok());
    Ok(names
        .flat_map(|(_, assembled)| rule.all(&assembled.attributes))
        .next())
}

/// What one read asks for.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    server_type: ServerType,
    rule: &'a AnchorRule,
    /// By name, without options such as `;binary`.
    requested: BTreeSet<&'a str>,
    /// Requested, and what kind and anchor are decided by.
    attributes: Vec<String>,
    base_dn: &'a str,
    page_size: u16,
    /// The newest `modifyTimestamp` so far, in seconds.
    newest: AtomicI64,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        server_type: ServerType,
        rule: &'a AnchorRule,
        request: &'a ReadRequest,
        settings: &'a Settings,
    ) -> Self {
        let mut attributes = request.attributes.clone();
        attributes.extend(
            kind::attributes(server_type)
                .iter()
                .map(|name| (*name).to_owned()),
        );
        attributes.extend(rule.attributes().into_iter().map(str::to_owned));
        if server_type == ServerType::ActiveDirectory {
            attributes.insert(CHANGE_NUMBER.to_owned());
        } else {
            attributes.insert(timestamps::ATTRIBUTE.to_owned());
        }
        Self {
            server_type,
            rule,
            requested: request
                .attributes
                .iter()
                .map(|text| text.split(';').next().unwrap_or(text))
                .collect(),
            attributes: attributes.into_iter().collect(),
            base_dn: &settings.base_dn,
            page_size: settings.page_size,
            newest: AtomicI64::new(i64::MIN),
        }
    }

    /// The newest `modifyTimestamp` among the entries that were read.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.newest.load(Ordering::Relaxed)).ok()
    }

    /// Reads the entries below the connector's base that match a filter.
    pub(crate) async fn matching(
        &self,
        connection: &mut Connection,
        filter: &str,
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<(), DirectoryError> {
        self.search(connection, self.base_dn, filter, events)
            .await?;
        Ok(())
    }

    /// Reads everything below `base` and returns the references that came along.
    pub(crate) async fn below(
        &self,
        connection: &mut Connection,
        base: &str,
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<HashSet<String>, DirectoryError> {
        let filter = kind::filter(self.server_type);
        self.search(connection, base, filter, events).await
    }

    /// Reads the entries with these anchors, as far as they are below the connector's base.
    pub(crate) async fn anchored(
        &self,
        connection: &mut Connection,
        anchors: &[Anchor],
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<(), DirectoryError> {
        for anchors in anchors.chunks(find::BATCH) {
            let terms = anchors.iter().filter_map(|anchor| self.rule.filter(anchor));
            let terms: String = terms.collect();
            if !terms.is_empty() {
                let filter = format!("(&{}(|{terms}))", kind::filter(self.server_type));
                self.matching(connection, &filter, events).await?;
            }
        }
        Ok(())
    }

    /// Reads the entries of Active Directory with these GUIDs, as far as they are below the connector's base; gives those found.
    pub(crate) async fn numbered(
        &self,
        connection: &mut Connection,
        guids: &[Anchor],
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<BTreeSet<Anchor>, DirectoryError> {
        let filter = format!("(&{}{})", kind::filter(self.server_type), any_guid(guids));
        let mut found = BTreeSet::new();
        let mut note = |event: Import| {
            if let Import::Batch(entries) = &event {
                let names = entries
                    .iter()
                    .flat_map(|entry| [&entry.anchor, &entry.alternate]);
                found.extend(names.flatten().cloned());
            }
            events(event);
        };
        self.matching(connection, &filter, &mut note).await?;
        Ok(found)
    }

    /// Which of these GUIDs are below the connector's base.
    pub(crate) async fn present(
        &self,
        connection: &mut Connection,
        guids: &[Anchor],
    ) -> Result<BTreeSet<Anchor>, DirectoryError> {
        let mut found = BTreeSet::new();
        for guids in guids.chunks(find::BATCH) {
            found.extend(
                self.names(connection, self.base_dn, &any_guid(guids))
                    .await?,
            );
        }
        Ok(found)
    }

    /// The GUIDs of the entries of Active Directory below `base` that match a filter.
    pub(crate) async fn names(
        &self,
        connection: &mut Connection,
        base: &str,
        filter: &str,
    ) -> Result<BTreeSet<Anchor>, DirectoryError> {
        let attributes = ["objectGUID".to_owned()];
        let search = Search {
            base,
            scope: Scope::Subtree,
            filter,
            attributes: &attributes,
            controls: Vec::new(),
            size_limit: 0,
            doing: DOING,
        };
        let mut pages = Pages::new(search, self.page_size);
        let mut names = BTreeSet::new();
        while let Some(page) = pages.next(connection).await? {
            let values = page.entries.iter().flat_map(|entry| &entry.attributes);
            names.extend(values.flat_map(|(_, values)| values).filter_map(|value| {
                <[u8; 16]>::try_from(value.as_slice())
                    .ok()
                    .map(Anchor::Uuid)
            }));
        }
        Ok(names)
    }

    /// What a read asks for.
    pub(crate) fn attributes(&self) -> &[String] {
        &self.attributes
    }

    async fn search(
        &self,
        connection: &mut Connection,
        base: &str,
        filter: &str,
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<HashSet<String>, DirectoryError> {
        let search = Search {
            base,
            scope: Scope::Subtree,
            filter,
            attributes: &self.attributes,
            controls: Vec::new(),
            size_limit: 0,
            doing: DOING,
        };
        let mut pages = Pages::new(search, self.page_size);
        let mut references = HashSet::new();
        while let Some(page) = pages.next(connection).await? {
            references.extend(page.references);
            let mut batch = Vec::with_capacity(page.entries.len());
            for raw in page.entries {
                batch.extend(self.entry(connection, raw).await?);
            }
            if !batch.is_empty() {
                events(Import::Batch(batch));
            }
        }
        Ok(references)
    }

    /// The entry that was sent; `None` for one that takes no part.
    pub(crate) async fn entry(
        &self,
        connection: &mut Connection,
        raw: RawEntry,
    ) -> Result<Option<Entry>, DirectoryError> {
        let (dn, assembled) = range::assemble(raw)
            .map_err(|(attribute, source)| range_error(connection, attribute, source))?;
        let Some(kind) = kind::kind(self.server_type, &assembled.attributes) else {
            return Ok(None);
        };
        let dn = String::from_utf8_lossy(&dn).into_owned();
        let mut all = complete(connection, &dn, assembled).await?;
        if let [time] = all.get(timestamps::ATTRIBUTE)
            && let Some(time) = timestamps::time(time)
        {
            self.newest.fetch_max(time.as_second(), Ordering::Relaxed);
        }
        let (anchor, alternate, kind) = match kind {
            Kind::Known(kind) => {
                let (anchor, alternate) = self.rule.read(kind, &all);
                (anchor, alternate, kind)
            }
            Kind::GroupOfHiddenType => (None, None, EntryKind::SecurityGroup),
        };
        all.retain(|name| self.requested.contains(name));
        Ok(Some(Entry {
            dn,
            kind,
            anchor,
            alternate,
            attributes: all,
        }))
    }
}

/// All attributes of an entry, ranged values completed.
pub(crate) async fn whole(
    connection: &mut Connection,
    raw: RawEntry,
) -> Result<Attributes, DirectoryError> {
    let (dn, assembled) = range::assemble(raw)
        .map_err(|(attribute, source)| range_error(connection, attribute, source))?;
    let dn = String::from_utf8_lossy(&dn).into_owned();
    complete(connection, &dn, assembled).await
}

/// By `objectGUID` alone: unlike the consistency GUID it has an index on Windows.
pub(crate) fn any_guid(guids: &[Anchor]) -> String {
    let terms: String = guids.iter().filter_map(anchor::guid_filter).collect();
    format!("(|{terms})")
}

/// Fetches ranged values to their end. The entry must not change meanwhile: positions would shift and hide a value.
async fn complete(
    connection: &mut Connection,
    dn: &str,
    assembled: Assembled,
) -> Result<Attributes, DirectoryError> {
    let Assembled {
        mut attributes,
        ranged,
    } = assembled;
    let guid = match attributes.get("objectguid") {
        [guid] => <[u8; 16]>::try_from(guid.as_slice()).ok(),
        _ => None,
    };
    let base = match guid {
        Some(guid) => format!("<GUID={}>", Anchor::Uuid(guid)),
        None => dn.to_owned(),
    };
    for begun in ranged {
        let name = begun.name.clone();
        let mut current = begun;
        let mut change = attributes.get(CHANGE_NUMBER).to_vec();
        let mut attempts = 1;
        while !current.complete {
            let (seen, next) = fetch(connection, &base, current).await?;
            current = next;
            if seen != change {
                if attempts == ATTEMPTS {
                    return Err(range_error(connection, name, RangeError::NeverStill));
                }
                attempts += 1;
                change = seen;
                current = Ranged::new(&name);
            }
        }
        attributes.add(&name, current.values);
    }
    Ok(attributes)
}

/// Fetches the next range; with it comes the entry's change number.
async fn fetch(
    connection: &mut Connection,
    base: &str,
    mut ranged: Ranged,
) -> Result<(Vec<Vec<u8>>, Ranged), DirectoryError> {
    let attributes = [ranged.ask(), CHANGE_NUMBER.to_owned()];
    let answer = connection
        .search(&Search {
            base,
            scope: Scope::Base,
            filter: "(objectClass=*)",
            attributes: &attributes,
            controls: Vec::new(),
            size_limit: 0,
            doing: "reading a range of values",
        })
        .await;
    let before = ranged.values.len();
    let answer = match answer {
        // The entry was deleted or moved meanwhile; the next read will see it right.
        Err(DirectoryError::BaseNotFound { .. }) => {
            return Err(range_error(
                connection,
                ranged.name,
                RangeError::Standstill(before),
            ));
        }
        other => other?,
    };
    let mut change = Vec::new();
    let mut answered = false;
    for (text, values) in answer
        .entries
        .into_iter()
        .flat_map(|entry| entry.attributes)
    {
        match range::description(&text) {
            Ok(Description::Plain(name)) if name.eq_ignore_ascii_case(CHANGE_NUMBER) => {
                change = values;
            }
            Ok(Description::Ranged(name, range)) if name.eq_ignore_ascii_case(&ranged.name) => {
                answered = true;
                ranged
                    .add(range, values)
                    .map_err(|source| range_error(connection, name.to_owned(), source))?;
            }
            Ok(_) => {}
            Err(source) => return Err(range_error(connection, text, source)),
        }
    }
    if !answered {
        return Err(range_error(
            connection,
            ranged.name,
            RangeError::Standstill(before),
        ));
    }
    Ok((change, ranged))
}

fn range_error(connection: &Connection, attribute: String, source: RangeError) -> DirectoryError {
    DirectoryError::Range {
        server: connection.server().to_owned(),
        attribute,
        source,
    }
}
