//! DirSync: the server names what changed since a cookie, value by value of links.
//!
//! An answer holds changed attributes only, so an entry that changed beside its links is read whole by its GUID in the same read; what
//! then is not found below the base has left it, or was never in it. Values of links come after the entries that they lead to. Without the right Replicating Directory Changes the server
//! tells what the account may read (OBJECT_SECURITY).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use ldap3::Scope;
use plumbline_engine::{
    anchor::Anchor,
    port::{Cause, Extent, Import, ValueChange},
};

use crate::{
    connection::Search,
    decode::DecodeError,
    error::DirectoryError,
    feed::{
        Step, Visit,
        active_directory::{
            BLIND, DOING, NO_IDENTITY, Position, Seen, back_link, change::Change, context, control,
            resume, standing, visibility,
        },
    },
    find,
    read::Plan,
    server::DeletedObjects,
};

/// By what survives deletion: `objectCategory` does not.
const FILTER: &str = "(&(!(objectClass=computer))(|(objectClass=user)(objectClass=contact)(objectClass=group)\
    (objectClass=organizationalUnit)(objectClass=container)(objectClass=domain)(objectClass=builtinDomain)\
    (objectClass=organization)))";
/// Matches nothing: for a cookie alone.
const NOTHING: &str = "(!(objectClass=*))";
/// Come only if they are asked for (Windows), and tell what others do not.
const TELLING: [&str; 3] = ["name", "parentGUID", "isDeleted"];
/// Values of one entry whose targets are looked at one by one.
const FEW: usize = 200;
/// Answers to ask for in one read.
const PAGES: usize = 1_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct DirSync {
    pub(crate) seen: Option<Seen>,
}

/// One answer.
struct Page {
    changes: Vec<Change>,
    more: bool,
    cookie: Vec<u8>,
}

impl DirSync {
    /// The position before a complete read.
    pub(crate) async fn mark(
        &mut self,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, DirectoryError> {
        self.seen = Seen::new(visit);
        let Some(standing) = standing(visit).await? else {
            return Ok(None);
        };
        let Ok((object_security, cookie)) = begin(visit).await? else {
            return Ok(None);
        };
        let position = Position {
            standing,
            full: Timestamp::now(),
            object_security,
            cookie,
        };
        Ok(Some(position.encode()))
    }

    pub(crate) async fn changes(
        &mut self,
        visit: &mut Visit<'_>,
        bytes: &[u8],
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<Step, DirectoryError> {
        self.seen = None;
        let at = Timestamp::now();
        // Windows shows deletions to whom may replicate; Samba does not.
        let windows = visit.server.vendor.is_none();
        let sees = |position: &Position, deleted| {
            deleted == DeletedObjects::Readable || (windows && !position.object_security)
        };
        let (mut position, now, deleted) = match resume(visit, bytes, sees).await? {
            Ok(resumed) => resumed,
            Err(cause) => return Ok(Step::Complete(cause)),
        };
        let mut begun = false;
        for _ in 0..PAGES {
            let asked = ask(visit, FILTER, position.object_security, &position.cookie).await;
            let page = match asked {
                Ok(page) => page,
                Err(error) if !begun && is_refusal(&error) => {
                    return Ok(Step::Complete(Cause::CursorRefused));
                }
                Err(error) => return Err(error),
            };
            if !std::mem::replace(&mut begun, true) {
                events(Import::Begin {
                    at,
                    server_type: visit.server.server_type,
                    tombstones: deleted == DeletedObjects::Readable,
                    extent: Extent::Changes,
                });
            }
            bring(visit, page.changes, events).await?;
            if page.more && page.cookie == position.cookie {
                return Err(standstill(visit));
            }
            position.cookie = page.cookie;
            if !page.more {
                position.standing = now;
                self.seen = Seen::new(visit);
                return Ok(Step::To(position.encode()));
            }
        }
        Err(standstill(visit))
    }
}

fn standstill(visit: &Visit<'_>) -> DirectoryError {
    DirectoryError::PageRepeated {
        server: visit.connection.server().to_owned(),
        doing: DOING,
    }
}

/// Whether it can be used: why so, or why not.
pub(crate) async fn offer(visit: &mut Visit<'_>) -> Result<Result<String, String>, DirectoryError> {
    if !visit.server.offers(control::OID) {
        return Ok(Err("the server does not offer DirSync".to_owned()));
    }
    if standing(visit).await?.is_none() {
        return Ok(Err(NO_IDENTITY.to_owned()));
    }
    let object_security = match begin(visit).await? {
        Ok((object_security, _)) => object_security,
        Err(why) => return Ok(Err(why)),
    };
    let mut why = if object_security {
        "changes are told by DirSync, of what the account may read (it has not the right Replicating Directory Changes)"
    } else {
        "changes are told by DirSync"
    }
    .to_owned();
    let windows = visit.server.vendor.is_none();
    let sees = visibility(visit).await? == DeletedObjects::Readable;
    if !sees && (object_security || !windows) {
        why = format!("{why}; {BLIND}");
    }
    Ok(Ok(why))
}

/// A cookie of now, with the more telling way that the account may use; or why there is none.
async fn begin(visit: &mut Visit<'_>) -> Result<Result<(bool, Vec<u8>), String>, DirectoryError> {
    let mut refusal = String::new();
    for object_security in [false, true] {
        match cookie(visit, object_security).await {
            Ok(cookie) => return Ok(Ok((object_security, cookie))),
            Err(error) if is_refusal(&error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                refusal = format!("no DirSync: {}", source.unwrap_or_default());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Err(refusal))
}

async fn cookie(visit: &mut Visit<'_>, object_security: bool) -> Result<Vec<u8>, DirectoryError> {
    let mut cookie = Vec::new();
    for _ in 0..PAGES {
        let page = ask(visit, NOTHING, object_security, &cookie).await?;
        if !page.more {
            return Ok(page.cookie);
        }
        if page.cookie == cookie {
            break;
        }
        cookie = page.cookie;
    }
    Err(standstill(visit))
}

/// The server took neither cookie nor control, or the account may not: 50 for a right, 12 (Samba) or 53 (Windows) for a cookie.
fn is_refusal(error: &DirectoryError) -> bool {
    match error {
        DirectoryError::AccessDenied { .. } => true,
        DirectoryError::Refused { source, .. } => matches!(source.code, 2 | 12 | 53),
        _ => false,
    }
}

async fn ask(
    visit: &mut Visit<'_>,
    filter: &str,
    object_security: bool,
    cookie: &[u8],
) -> Result<Page, DirectoryError> {
    let base = context(visit)?;
    let plan = Plan::new(
        visit.server.server_type,
        visit.rule,
        visit.request,
        visit.settings,
    );
    let plain = |text: &String| text.split(';').next().unwrap_or_default().to_owned();
    let attributes: BTreeSet<String> = (plan.attributes().iter().map(plain))
        // It is the server's own and not replicated.
        .filter(|name| name != crate::read::CHANGE_NUMBER)
        .chain(TELLING.map(str::to_owned))
        .collect();
    let attributes: Vec<String> = attributes.into_iter().collect();
    let answer = visit
        .connection
        .search(&Search {
            base: &base,
            scope: Scope::Subtree,
            filter,
            attributes: &attributes,
            controls: vec![control::request(object_security, cookie)],
            size_limit: 0,
            doing: DOING,
        })
        .await?;
    let undecodable = |source: DecodeError| DirectoryError::Undecodable {
        server: visit.connection.server().to_owned(),
        doing: DOING,
        source,
    };
    let reply = control::reply(&answer.controls).map_err(undecodable)?;
    let changes: Result<Vec<Change>, DecodeError> =
        answer.entries.into_iter().map(Change::read).collect();
    Ok(Page {
        changes: changes.map_err(undecodable)?,
        more: reply.more,
        cookie: reply.cookie,
    })
}

/// Hands on what an answer says.
async fn bring(
    visit: &mut Visit<'_>,
    changes: Vec<Change>,
    events: &mut (dyn FnMut(Import) + Send),
) -> Result<(), DirectoryError> {
    let (mut tombstones, mut linked) = (Vec::new(), BTreeMap::new());
    // GUIDs to look at, and whether they may have left the base.
    let mut touched: BTreeMap<Anchor, bool> = BTreeMap::new();
    for change in changes {
        if change.deleted {
            tombstones.push(change.anchor());
        } else if change.content {
            *touched.entry(change.anchor()).or_default() |= change.placed;
        } else if !change.links.is_empty() {
            linked.insert(change.anchor(), change.links);
        }
    }
    if !tombstones.is_empty() {
        events(Import::Tombstones(tombstones));
    }
    let server_type = visit.server.server_type;
    let plan = Plan::new(server_type, visit.rule, visit.request, visit.settings);
    let mut brought = BTreeSet::new();
    let mut note = |event: Import| {
        names(&event, &mut brought);
        events(event);
    };
    let guids: Vec<Anchor> = touched.keys().cloned().collect();
    for guids in guids.chunks(find::BATCH) {
        let found = plan.numbered(visit.connection, guids, &mut note).await?;
        let placed = |guid: &&Anchor| touched.get(*guid) == Some(&true);
        let gone = guids.iter().filter(|guid| !found.contains(*guid));
        let gone: Vec<Anchor> = gone.filter(placed).cloned().collect();
        if !gone.is_empty() {
            note(Import::Missing(gone));
        }
        let placed: Vec<Anchor> = found.iter().filter(placed).cloned().collect();
        back_link::bring(visit, &placed, &mut note).await?;
    }
    if !linked.is_empty() && !visit.server.is_context(&visit.settings.base_dn) {
        // Of entries elsewhere nothing is known, so nothing is to be told.
        let guids: Vec<Anchor> = linked.keys().cloned().collect();
        let below = plan.present(visit.connection, &guids).await?;
        linked.retain(|guid, _| below.contains(guid));
    }
    bring_values(visit, linked, brought, events).await
}

/// Hands on values of links. They are DNs of this moment, and whoever holds the old ones may not know yet that a target was renamed, for
/// that may be told on a later page. So the targets are brought first; where they are too many or cannot be found, the entry is
/// read whole in their place.
async fn bring_values(
    visit: &mut Visit<'_>,
    linked: BTreeMap<Anchor, Vec<ValueChange>>,
    mut there: BTreeSet<String>,
    events: &mut (dyn FnMut(Import) + Send),
) -> Result<(), DirectoryError> {
    let server_type = visit.server.server_type;
    let plan = Plan::new(server_type, visit.rule, visit.request, visit.settings);
    let targets = |links: &[ValueChange]| -> Vec<String> {
        let values = links
            .iter()
            .flat_map(|link| link.added.iter().chain(&link.removed));
        values
            .map(|value| String::from_utf8_lossy(value).to_lowercase())
            .collect()
    };
    let (few, many): (BTreeMap<_, _>, BTreeMap<_, _>) = linked
        .into_iter()
        .partition(|(_, links)| targets(links).len() <= FEW);
    let wanted: BTreeSet<String> = few.values().flat_map(|links| targets(links)).collect();
    let wanted: Vec<String> = wanted.difference(&there).cloned().collect();
    for wanted in wanted.chunks(find::BATCH) {
        let found = back_link::named(visit, wanted).await?;
        let guids: Vec<Anchor> = found.values().cloned().collect();
        let mut brought = BTreeSet::new();
        let mut note = |event: Import| {
            names(&event, &mut brought);
            events(event);
        };
        let known = plan.numbered(visit.connection, &guids, &mut note).await?;
        // Those that take no part are known to nobody, so that their DN is all there is.
        let others = found.into_iter().filter(|(_, guid)| !known.contains(guid));
        there.extend(others.map(|(dn, _)| dn));
        there.append(&mut brought);
    }
    let mut whole: Vec<Anchor> = many.into_keys().collect();
    let mut values = Vec::new();
    for (guid, links) in few {
        if targets(&links).iter().all(|dn| there.contains(dn)) {
            values.extend(links);
        } else {
            whole.push(guid);
        }
    }
    if !values.is_empty() {
        events(Import::Values(values));
    }
    for guids in whole.chunks(find::BATCH) {
        plan.numbered(visit.connection, guids, events).await?;
    }
    Ok(())
}

/// The DNs of the entries in a batch, in lower case.
fn names(event: &Import, names: &mut BTreeSet<String>) {
    if let Import::Batch(entries) = event {
        names.extend(entries.iter().map(|entry| entry.dn.to_lowercase()));
    }
}
