//! What a connection does for change feeds: DirSync, content synchronisation and its persistent searches.

use ldap3_proto::proto::{LdapMsg, LdapOp, LdapResultCode, LdapSearchRequest};

use super::Inner;
use super::ber;
use super::content_sync;
use super::dirsync;
use super::fault::Disturbed;
use super::filter::Filter;
use super::refusal::Refusal;
use super::session::{Reply, Session, result};
use super::wire::FeedControl;

impl Session {
    pub(crate) fn dirsync(
        &mut self,
        inner: &mut Inner,
        msgid: i32,
        request: &LdapSearchRequest,
        filter: &Filter,
        feed: &FeedControl,
    ) -> Reply {
        let mut last = LdapMsg::new(msgid, LdapOp::SearchResultDone(result(Ok(()))));
        let refuse = |refusal| {
            let refused = LdapOp::SearchResultDone(result(Err(refusal)));
            Reply::Messages(vec![LdapMsg::new(msgid, refused)])
        };
        let Some(ask) = dirsync::read(&feed.value) else {
            let message = "00000057: LdapErr: DSID-0C0908C4, comment: Error processing control, data 0, v4563";
            return refuse(Refusal::new(LdapResultCode::ProtocolError, message));
        };
        if self.dirsync_pages > 0
            && let Some(between_pages) = &mut inner.faults.between_pages
        {
            between_pages(&mut inner.store, self.dirsync_pages);
        }
        let account = self.account.and_then(|at| inner.accounts.get(at));
        let most = inner.dirsync_page;
        let page = match dirsync::answer(&mut inner.store, account, request, filter, &ask, most) {
            Ok(page) => page,
            Err(refusal) => return refuse(refusal),
        };
        self.dirsync_pages = if page.more { self.dirsync_pages + 1 } else { 0 };
        let repeat = page.more && !ask.cookie.is_empty() && inner.faults.take_repeated_cookie();
        let cookie = if repeat { &ask.cookie } else { &page.cookie };
        last.ctrl.push(dirsync::control(page.more, cookie));
        let entry = |entry| LdapMsg::new(msgid, LdapOp::SearchResultEntry(entry));
        let mut messages: Vec<LdapMsg> = page.entries.into_iter().map(entry).collect();
        messages.push(last);
        disturbed(inner, false, messages)
    }

    pub(crate) fn content_sync(
        &mut self,
        inner: &mut Inner,
        msgid: i32,
        request: &LdapSearchRequest,
        filter: &Filter,
        feed: &FeedControl,
        paged: Option<usize>,
    ) -> Reply {
        let refuse = |refusal| {
            let refused = LdapOp::SearchResultDone(result(Err(refusal)));
            Reply::Messages(vec![LdapMsg::new(msgid, refused)])
        };
        let ask = content_sync::read(&feed.value).filter(|_| !feed.after_paging);
        let Some(ask) = ask else {
            let message =
                "sync control: the value cannot be read, or it follows a paged results control";
            return refuse(Refusal::new(LdapResultCode::ProtocolError, message));
        };
        let account = self.account.and_then(|at| inner.accounts.get(at));
        let refreshed = content_sync::refresh(
            &mut inner.store,
            account,
            msgid,
            request,
            filter,
            &ask,
            paged,
        );
        match refreshed {
            Err(refusal) => refuse(refusal),
            Ok((messages, persist)) => {
                self.persists.extend(persist);
                disturbed(inner, false, messages)
            }
        }
    }

    /// What the persistent searches of this connection say of the latest changes.
    pub(crate) fn follow(&mut self) -> Vec<LdapMsg> {
        let mut inner = self.world.lock();
        let inner = &mut *inner;
        let account = self.account.and_then(|at| inner.accounts.get(at));
        let mut messages = Vec::new();
        self.persists.retain_mut(|persist| {
            let (said, goes_on) = persist.follow(&mut inner.store, account);
            messages.extend(said);
            goes_on
        });
        messages
    }

    /// Ends a persistent search (RFC 3909): its own result, and the outcome of the operation.
    pub(crate) fn cancel(
        &mut self,
        value: Option<&[u8]>,
    ) -> (Option<LdapMsg>, Result<(), Refusal>) {
        let parts = value.and_then(ber::read_sequence).unwrap_or_default();
        let id = parts
            .first()
            .and_then(ber::read_integer)
            .and_then(|id| i32::try_from(id).ok());
        let Some(at) = self.persists.iter().position(|each| Some(each.msgid) == id) else {
            let refusal = Refusal::new(LdapResultCode::NoSuchOperation, "message ID not found");
            return (None, Err(refusal));
        };
        let persist = self.persists.remove(at);
        let canceled = result(Err(Refusal::new(LdapResultCode::Canceled, "")));
        let message = LdapMsg::new(persist.msgid, LdapOp::SearchResultDone(canceled));
        (Some(message), Ok(()))
    }
}

pub(crate) fn disturbed(inner: &mut Inner, of_root_dse: bool, messages: Vec<LdapMsg>) -> Reply {
    if of_root_dse {
        return Reply::Messages(messages);
    }
    let Disturbed { messages, end } = inner.faults.disturb(messages);
    match end {
        None => Reply::Messages(messages),
        Some(end) => Reply::Broken(messages, end),
    }
}
