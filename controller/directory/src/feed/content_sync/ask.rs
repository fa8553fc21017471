//! Asking once (RFC 4533 §3.3, refreshOnly) on the connection of the read: where the server's content stands, and what has changed since a
//! position. What such an answer of OpenLDAP names all of may leave out entries that are written meanwhile, so it is never taken for
//! the content.

use std::ops::ControlFlow;

use ldap3::{Scope, controls::Control};
use plumbline_engine::{entry::ServerType, port::Cause};

use crate::{
    connection::Search,
    decode::{DecodeError, Item},
    error::DirectoryError,
    feed::{
        Visit,
        content_sync::{
            DOING, REFRESH_REQUIRED, UNWILLING,
            cookie::{Cookie, Csns, Number},
            delta::Delta,
            message::{self, Message, Mode},
            persist::{Subject, WAITING},
            position::Position,
        },
    },
    kind,
    read::Plan,
};

/// How asking for a difference ended.
pub(crate) enum Refresh {
    Delta(Box<Delta>),
    Refused(Cause),
}

/// OpenLDAP sends entries as they were asked for. 389-ds does not, so it is only asked for names.
pub(crate) fn subject(visit: &Visit<'_>) -> Subject {
    let server_type = visit.server.server_type;
    let attributes = if server_type == ServerType::OpenLdap {
        Plan::new(server_type, visit.rule, visit.request, visit.settings)
            .attributes()
            .to_vec()
    } else {
        vec!["1.1".to_owned()]
    };
    Subject {
        filter: kind::filter(server_type),
        attributes,
    }
}

pub(crate) fn refusal(error: &DirectoryError) -> Option<u32> {
    match error {
        DirectoryError::Refused { source, .. } => Some(source.code),
        _ => None,
    }
}

/// Where the server's content stands: a refresh of the base entry alone. `None` if its cookie says nothing.
pub(crate) async fn now(visit: &mut Visit<'_>) -> Result<Option<Cookie>, DirectoryError> {
    let Some((_, done)) = ask(visit, Scope::Base, None).await? else {
        return Ok(None);
    };
    let cookie = done.cookie.unwrap_or_default();
    Ok(match visit.server.server_type {
        ServerType::OpenLdap => Csns::parse(&cookie).map(Cookie::OpenLdap),
        _ => Number::parse(&cookie).map(Cookie::Ds389),
    })
}

/// What changed since the position, asked for once (RFC 4533 §3.3, refreshOnly).
pub(crate) async fn refresh(
    visit: &mut Visit<'_>,
    position: &Position,
) -> Result<Refresh, DirectoryError> {
    let cookie = position.cookie.to_string();
    let openldap = visit.server.server_type == ServerType::OpenLdap;
    match ask(visit, Scope::Subtree, Some(&cookie)).await {
        Ok(Some((messages, done))) => {
            let (mut delta, mut refreshing) = (Delta::default(), true);
            delta.take(messages, &mut refreshing);
            delta.cookies.extend(done.cookie);
            // 389-ds says so of every answer, although it sends differences only.
            delta.names_all |= openldap && !done.refresh_deletes;
            Ok(Refresh::Delta(Box::new(delta)))
        }
        Ok(None) => Ok(Refresh::Refused(Cause::FeedInterrupted)),
        Err(error) => match refusal(&error) {
            Some(REFRESH_REQUIRED) => Ok(Refresh::Refused(Cause::CursorRefused)),
            Some(UNWILLING) if openldap => Ok(Refresh::Refused(Cause::WentBack)),
            _ => Err(error),
        },
    }
}

/// A refresh on the connection of the read; `None` if more came than may wait.
async fn ask(
    visit: &mut Visit<'_>,
    scope: Scope,
    cookie: Option<&str>,
) -> Result<Option<(Vec<Message>, message::Done)>, DirectoryError> {
    let subject = subject(visit);
    let search = Search {
        base: &visit.settings.base_dn,
        scope,
        filter: subject.filter,
        attributes: &subject.attributes,
        controls: vec![message::request(
            Mode::RefreshOnly,
            cookie.map(str::as_bytes),
        )],
        size_limit: 0,
        doing: DOING,
    };
    let mut messages = Vec::new();
    let mut put = |item: Item, controls: &[Control]| -> Result<ControlFlow<()>, DecodeError> {
        if messages.len() >= WAITING {
            return Ok(ControlFlow::Break(()));
        }
        messages.push(message::message(item, controls)?);
        Ok(ControlFlow::Continue(()))
    };
    let patience = Some(visit.settings.timeouts.answer);
    let Some(result) = visit.connection.follow(&search, patience, &mut put).await? else {
        return Ok(None);
    };
    if result.rc != 0 {
        return Err(visit.connection.refusal(&search, &result));
    }
    let done = message::done(&result.ctrls).map_err(|source| DirectoryError::Undecodable {
        server: visit.connection.server().to_owned(),
        doing: DOING,
        source,
    })?;
    Ok(Some((messages, done)))
}
