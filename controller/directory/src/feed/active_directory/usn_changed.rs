//! Polling by `uSNChanged`: whole entries that were written at this domain controller after a number of its own.
//!
//! It needs no right but to read, and the whole of a group comes with each of its members. Deletions come from the tombstones; an
//! entry that left the base is told by a search of the whole domain.

use std::collections::BTreeSet;

use jiff::Timestamp;
use ldap3::Scope;
use plumbline_engine::{
    anchor::Anchor,
    port::{Extent, Import},
};

use crate::{
    connection::Search,
    deleted,
    error::DirectoryError,
    feed::{
        Step, Visit,
        active_directory::{
            BLIND, DOING, NO_IDENTITY, Position, Seen, back_link, context, resume, standing,
            visibility,
        },
    },
    kind,
    read::Plan,
    server::DeletedObjects,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct UsnChanged {
    pub(crate) seen: Option<Seen>,
}

impl UsnChanged {
    /// The position before a complete read.
    pub(crate) async fn mark(
        &mut self,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, DirectoryError> {
        self.seen = Seen::new(visit);
        let standing = standing(visit).await?;
        Ok(standing.map(|standing| {
            let position = Position {
                standing,
                full: Timestamp::now(),
                object_security: false,
                cookie: Vec::new(),
            };
            position.encode()
        }))
    }

    pub(crate) async fn changes(
        &mut self,
        visit: &mut Visit<'_>,
        bytes: &[u8],
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<Step, DirectoryError> {
        self.seen = None;
        let at = Timestamp::now();
        let sees = |_: &Position, deleted| deleted == DeletedObjects::Readable;
        let (mut position, now, deleted) = match resume(visit, bytes, sees).await? {
            Ok(resumed) => resumed,
            Err(cause) => return Ok(Step::Complete(cause)),
        };
        let tombstones = deleted == DeletedObjects::Readable;
        let server_type = visit.server.server_type;
        events(Import::Begin {
            at,
            server_type,
            tombstones,
            extent: Extent::Changes,
        });
        let plan = Plan::new(server_type, visit.rule, visit.request, visit.settings);
        let since = newer(position.standing.usn);
        let filter = format!("(&{since}{})", kind::filter(server_type));
        let mut found = BTreeSet::new();
        let mut note = |event: Import| {
            back_link::note(&event, &mut found);
            events(event);
        };
        plan.matching(visit.connection, &filter, &mut note).await?;
        let context = context(visit)?;
        if !visit.server.is_context(&visit.settings.base_dn) {
            let all = plan.names(visit.connection, &context, &filter).await?;
            let elsewhere: Vec<Anchor> = all.difference(&found).cloned().collect();
            if !elsewhere.is_empty() {
                events(Import::Missing(elsewhere));
            }
            // Nothing tells which of them have moved.
            let found: Vec<Anchor> = found.into_iter().collect();
            back_link::bring(visit, &found, events).await?;
        }
        if tombstones {
            let size = visit.settings.page_size;
            deleted::read(
                visit.connection,
                visit.rule,
                &context,
                (&since, size),
                events,
            )
            .await?;
        }
        position.standing = now;
        self.seen = Seen::new(visit);
        Ok(Step::To(position.encode()))
    }
}

fn newer(usn: u64) -> String {
    format!(
        "({}>={})",
        crate::read::CHANGE_NUMBER,
        usn.saturating_add(1)
    )
}

/// Whether it can be used: why so, or why not.
pub(crate) async fn offer(visit: &mut Visit<'_>) -> Result<Result<String, String>, DirectoryError> {
    if standing(visit).await?.is_none() {
        return Ok(Err(NO_IDENTITY.to_owned()));
    }
    let attributes = [crate::read::CHANGE_NUMBER.to_owned()];
    let entries = visit
        .connection
        .sample(&Search {
            base: &visit.settings.base_dn,
            scope: Scope::Subtree,
            filter: &newer(0),
            attributes: &attributes,
            controls: Vec::new(),
            size_limit: 1,
            doing: DOING,
        })
        .await?;
    if entries.iter().all(|entry| entry.attributes.is_empty()) {
        return Ok(Err(
            "the account may not search on and read `uSNChanged`".to_owned()
        ));
    }
    let why = "changed entries are found by `uSNChanged`";
    Ok(Ok(
        if visibility(visit).await? == DeletedObjects::Readable {
            why.to_owned()
        } else {
            format!("{why}; {BLIND}")
        },
    ))
}
