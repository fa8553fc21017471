//! One client connection: bind, StartTLS, and each operation in turn.
//!
//! Operations are answered one after another, so an abandon comes too late (RFC 4511 §4.11 allows that) but for a
//! persistent search.
//! Page cookies live and die with the connection, as they do on slapd and Windows.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapBindResponse, LdapExtendedRequest, LdapExtendedResponse,
    LdapModifyType, LdapMsg, LdapOp, LdapResult, LdapResultCode, LdapSearchRequest,
    LdapSearchResultReference,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use super::access::Account;
use super::active_directory::is_system_only;
use super::content_sync::Persist;
use super::entry::{Attribute, Change, Entry, Modification, Operation};
use super::feed::disturbed;
use super::filter::Filter;
use super::refusal::Refusal;
use super::root_dse::{CANCEL, DIRSYNC, DOMAIN_SCOPE, START_TLS, SYNC_REQUEST, WHO_AM_I};
use super::schema::{self, Usage};
use super::search::{Position, Query, compare, search};
use super::wire::{self, FeedControl, Request, WireError};
use super::{Profile, World};

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End<S> {
    /// The client unbound or went away, or a fault cut the line.
    Closed,
    /// The client wants TLS on this stream from now on.
    StartTls(S),
}

/// A paged search that can go on, with the search it belongs to.
#[derive(Debug)]
struct OpenPage {
    request: LdapSearchRequest,
    filter: Filter,
    position: Position,
    number: usize,
}

/// What a connection knows.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) world: Arc<World>,
    secure: bool,
    pub(crate) account: Option<usize>,
    pages: HashMap<Vec<u8>, OpenPage>,
    pages_given: u64,
    /// The pages of DirSync sent since the last one that was the last.
    pub(crate) dirsync_pages: usize,
    pub(crate) persists: Vec<Persist>,
    changed: watch::Receiver<u64>,
}

pub(crate) enum Reply {
    Messages(Vec<LdapMsg>),
    /// These, these bytes, and the line is cut.
    Broken(Vec<LdapMsg>, &'static [u8]),
    StartTls(LdapMsg),
    Drop,
}

impl Session {
    pub(crate) fn new(world: Arc<World>, secure: bool) -> Self {
        let changed = world.changed.subscribe();
        Self {
            world,
            secure,
            account: None,
            pages: HashMap::new(),
            pages_given: 0,
            dirsync_pages: 0,
            persists: Vec::new(),
            changed,
        }
    }

    /// Serves requests until the connection ends.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut stream: S,
    ) -> std::io::Result<End<S>> {
        let mut buffer = BytesMut::with_capacity(4096);
        loop {
            let request = match wire::decode(&mut buffer) {
                Ok(Some(request)) => request,
                Ok(None) => {
                    let following = !self.persists.is_empty();
                    tokio::select! {
                        read = stream.read_buf(&mut buffer) => if read? == 0 {
                            return Ok(End::Closed);
                        },
                        _ = self.changed.changed(), if following => {
                            let messages = self.follow();
                            if !self.send(&mut stream, messages).await? {
                                return Ok(End::Closed);
                            }
                        }
                    }
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "connection closed");
                    return Ok(End::Closed);
                }
            };
            if matches!(request.message.op, LdapOp::UnbindRequest) {
                return Ok(End::Closed);
            }
            let (messages, upgrade) = match self.answer(request) {
                Reply::Messages(messages) => (messages, false),
                Reply::StartTls(message) => (vec![message], true),
                Reply::Broken(messages, end) => {
                    if self.send(&mut stream, messages).await? {
                        stream.write_all(end).await?;
                        stream.flush().await?;
                    }
                    return Ok(End::Closed);
                }
                Reply::Drop => return Ok(End::Closed),
            };
            if !self.send(&mut stream, messages).await? {
                return Ok(End::Closed);
            }
            if upgrade {
                self.secure = true;
                self.account = None;
                return Ok(End::StartTls(stream));
            }
        }
    }

    /// Sends answers; false when a fault cut the line.
    async fn send<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        messages: Vec<LdapMsg>,
    ) -> std::io::Result<bool> {
        let mut out = BytesMut::new();
        let last = messages.len().saturating_sub(1);
        for (at, message) in messages.into_iter().enumerate() {
            wire::encode(message, &mut out)
                .map_err(|error: WireError| std::io::Error::other(error))?;
            if out.len() >= 64 * 1024 || at == last {
                let allowed = self.world.lock().faults.allow(out.len());
                stream
                    .write_all(out.get(..allowed).unwrap_or_default())
                    .await?;
                stream.flush().await?;
                if allowed < out.len() {
                    return Ok(false);
                }
                out.clear();
            }
        }
        Ok(true)
    }

    fn answer(&mut self, request: Request) -> Reply {
        let Request {
            message: LdapMsg { msgid, op, ctrl },
            filter,
            feeds,
        } = request;
        let one = |op: LdapOp| Reply::Messages(vec![LdapMsg::new(msgid, op)]);
        let searching = matches!(op, LdapOp::SearchRequest(_));
        let refused = self.unknown_critical(&ctrl, &feeds, searching);
        match op {
            LdapOp::BindRequest(bind) => one(LdapOp::BindResponse(LdapBindResponse {
                res: result(self.bind(&bind)),
                saslcreds: None,
            })),
            LdapOp::ExtendedRequest(request) => self.extended(msgid, &request),
            LdapOp::SearchRequest(request) => match (refused, filter) {
                (Some(refusal), _) => one(LdapOp::SearchResultDone(result(Err(refusal)))),
                (None, None) => {
                    let refusal =
                        Refusal::new(LdapResultCode::ProtocolError, "the filter cannot be read");
                    one(LdapOp::SearchResultDone(result(Err(refusal))))
                }
                (None, Some(filter)) => self.search(msgid, request, filter, &ctrl, &feeds),
            },
            LdapOp::CompareRequest(request) => {
                let mut inner = self.world.lock();
                let account = self.account.and_then(|at| inner.accounts.get(at)).cloned();
                let compared = compare(
                    &mut inner.store,
                    account.as_ref(),
                    &request.dn,
                    &request.atype,
                    &request.val,
                );
                let code = |code| LdapResult {
                    code,
                    ..result(Ok(()))
                };
                one(LdapOp::CompareResult(match compared {
                    Ok(true) => code(LdapResultCode::CompareTrue),
                    Ok(false) => code(LdapResultCode::CompareFalse),
                    Err(refusal) => result(Err(refusal)),
                }))
            }
            LdapOp::AddRequest(request) => {
                let attributes = request.attributes.into_iter().map(|each| Attribute {
                    name: each.atype,
                    values: each.vals,
                });
                let change = Change::Add(Entry {
                    dn: request.dn,
                    attributes: attributes.collect(),
                });
                one(LdapOp::AddResponse(result(self.write(refused, &change))))
            }
            LdapOp::ModifyRequest(request) => {
                let steps = request.changes.into_iter().map(|each| {
                    let operation = match each.operation {
                        LdapModifyType::Add => Operation::Add,
                        LdapModifyType::Delete => Operation::Delete,
                        LdapModifyType::Replace => Operation::Replace,
                        LdapModifyType::Increment => {
                            return Err(Refusal::new(
                                LdapResultCode::ProtocolError,
                                "increment is not supported",
                            ));
                        }
                    };
                    let attribute = Attribute {
                        name: each.modification.atype,
                        values: each.modification.vals,
                    };
                    Ok(Modification {
                        operation,
                        attribute,
                    })
                });
                let written = steps
                    .collect::<Result<Vec<_>, _>>()
                    .and_then(|modifications| {
                        self.write(
                            refused,
                            &Change::Modify {
                                dn: request.dn,
                                modifications,
                            },
                        )
                    });
                one(LdapOp::ModifyResponse(result(written)))
            }
            LdapOp::ModifyDNRequest(request) => {
                let change = Change::Rename {
                    dn: request.dn,
                    new_rdn: request.newrdn,
                    delete_old_rdn: request.deleteoldrdn,
                    new_superior: request.new_superior,
                };
                one(LdapOp::ModifyDNResponse(result(
                    self.write(refused, &change),
                )))
            }
            LdapOp::DelRequest(dn) => one(LdapOp::DelResponse(result(
                self.write(refused, &Change::Delete { dn }),
            ))),
            // No answer is due to an abandon; what remains are answers, which no client sends.
            LdapOp::AbandonRequest(id) => {
                self.persists.retain(|each| each.msgid != id);
                Reply::Messages(Vec::new())
            }
            _ => Reply::Drop,
        }
    }

    /// unavailableCriticalExtension for the first critical control that is not known here.
    fn unknown_critical(
        &self,
        controls: &[LdapControl],
        feeds: &[FeedControl],
        searching: bool,
    ) -> Option<Refusal> {
        let ad = self.world.profile == Profile::Ad;
        let offered = if ad { DIRSYNC } else { SYNC_REQUEST };
        let feed = feeds
            .iter()
            .find(|feed| feed.critical && !(searching && feed.oid == offered))
            .map(|feed| feed.oid.to_owned());
        let known = || {
            controls.iter().find_map(|control| match control {
                LdapControl::ShowDeleted { criticality } => {
                    (*criticality && !ad).then(|| "1.2.840.113556.1.4.417".to_owned())
                }
                LdapControl::Unknown {
                    oid, criticality, ..
                } => (*criticality && !(ad && oid == DOMAIN_SCOPE)).then(|| oid.clone()),
                LdapControl::SearchOptions { criticality, .. } => {
                    criticality.then(|| "1.2.840.113556.1.4.1338".to_owned())
                }
                LdapControl::SdFlags { criticality, .. } => {
                    criticality.then(|| "1.2.840.113556.1.4.801".to_owned())
                }
                LdapControl::ExtendedDn { criticality, .. } => {
                    criticality.then(|| "1.2.840.113556.1.4.529".to_owned())
                }
                // Whether it is critical is not told; it changes what an answer means, so it counts as such.
                LdapControl::ServerSort { .. } => Some("1.2.840.113556.1.4.473".to_owned()),
                // Paged results and ManageDsaIT are known, the rest appears in answers only.
                _ => None,
            })
        };
        let oid = feed.or_else(known)?;
        let message = if ad {
            format!(
                "00000057: LdapErr: DSID-0C09085B, comment: Error processing control {oid}, data 0, v4563"
            )
        } else {
            format!("critical extension is not recognized: {oid}")
        };
        Some(Refusal::new(
            LdapResultCode::UnavailableCriticalExtension,
            message,
        ))
    }

    fn bind(&mut self, bind: &LdapBindRequest) -> Result<(), Refusal> {
        self.account = None;
        let profile = self.world.profile;
        if bind.version != 3 {
            return Err(Refusal::new(
                LdapResultCode::ProtocolError,
                "only LDAP version 3 is supported",
            ));
        }
        let LdapBindCred::Simple(password) = &bind.cred else {
            return Err(Refusal::new(
                LdapResultCode::AuthMethodNotSupported,
                "only simple binds are supported",
            ));
        };
        let inner = self.world.lock();
        if password.is_empty() && (bind.dn.is_empty() || profile == Profile::Ad) {
            return Ok(());
        }
        if password.is_empty() {
            let message = "unauthenticated bind (DN with no password) disallowed";
            return Err(Refusal::new(LdapResultCode::UnwillingToPerform, message));
        }
        if inner.require_tls && !self.secure {
            return Err(match profile {
                Profile::OpenLdap => Refusal::new(
                    LdapResultCode::ConfidentialityRequired,
                    "confidentiality required",
                ),
                Profile::Ad => Refusal::new(
                    LdapResultCode::StrongerAuthRequired,
                    "00002028: LdapErr: DSID-0C090256, comment: The server requires binds to turn on integrity checking \
                     if SSL\\TLS are not already active on the connection, data 0, v4563",
                ),
            });
        }
        if profile == Profile::OpenLdap {
            inner.store.parse(&bind.dn)?;
        }
        let found = inner
            .accounts
            .iter()
            .position(|each| each.is_named(profile, &bind.dn) && each.password == *password);
        let sub_code = match found
            .and_then(|at| inner.accounts.get(at))
            .map(|account| account.refused)
        {
            Some(None) => {
                self.account = found;
                return Ok(());
            }
            Some(Some(code)) => code,
            None => 0x52e,
        };
        let message = match profile {
            Profile::OpenLdap => String::new(),
            Profile::Ad => format!(
                "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {sub_code:x}, v4563"
            ),
        };
        Err(Refusal::new(LdapResultCode::InvalidCredentials, message))
    }

    fn extended(&mut self, msgid: i32, request: &LdapExtendedRequest) -> Reply {
        let answer = |res: LdapResult, value: Option<Vec<u8>>| {
            let name = (request.name == START_TLS).then(|| START_TLS.to_owned());
            LdapMsg::new(
                msgid,
                LdapOp::ExtendedResponse(LdapExtendedResponse { res, name, value }),
            )
        };
        match request.name.as_str() {
            START_TLS if self.secure => {
                let refusal = Refusal::new(LdapResultCode::OperationsError, "TLS is already on");
                Reply::Messages(vec![answer(result(Err(refusal)), None)])
            }
            START_TLS => Reply::StartTls(answer(result(Ok(())), None)),
            WHO_AM_I if self.world.profile == Profile::OpenLdap => {
                let inner = self.world.lock();
                let name = self
                    .account
                    .and_then(|at| inner.accounts.get(at))
                    .and_then(|each| each.names.first());
                let value = name.map(|name| format!("dn:{name}")).unwrap_or_default();
                Reply::Messages(vec![answer(result(Ok(())), Some(value.into_bytes()))])
            }
            CANCEL if self.world.profile == Profile::OpenLdap => {
                let (canceled, outcome) = self.cancel(request.value.as_deref());
                let mut messages: Vec<LdapMsg> = canceled.into_iter().collect();
                messages.push(answer(result(outcome), None));
                Reply::Messages(messages)
            }
            _ => {
                let refusal = Refusal::new(
                    LdapResultCode::ProtocolError,
                    "unsupported extended operation",
                );
                Reply::Messages(vec![answer(result(Err(refusal)), None)])
            }
        }
    }

    fn search(
        &mut self,
        msgid: i32,
        request: LdapSearchRequest,
        filter: Filter,
        controls: &[LdapControl],
        feeds: &[FeedControl],
    ) -> Reply {
        let done = |result: LdapResult| LdapMsg::new(msgid, LdapOp::SearchResultDone(result));
        let world = Arc::clone(&self.world);
        let mut inner = world.lock();
        let inner = &mut *inner;
        let request_is_root = request.base.is_empty();
        if !request_is_root {
            if inner.faults.take_reset() {
                return Reply::Drop;
            }
            if inner.faults.take_busy() {
                let refusal = Refusal::new(LdapResultCode::Busy, "the server is busy");
                return Reply::Messages(vec![done(result(Err(refusal)))]);
            }
        }
        let feed = feeds
            .iter()
            .find(|feed| feed.oid == DIRSYNC && world.profile == Profile::Ad);
        if let Some(feed) = feed {
            return self.dirsync(inner, msgid, &request, &filter, feed);
        }
        let feed = feeds
            .iter()
            .find(|feed| feed.oid == SYNC_REQUEST && world.profile == Profile::OpenLdap);
        if let Some(feed) = feed
            && !request_is_root
        {
            let paged = controls.iter().find_map(|each| match each {
                LdapControl::SimplePagedResults { size, .. } => usize::try_from(*size).ok(),
                _ => None,
            });
            return self.content_sync(inner, msgid, &request, &filter, feed, paged);
        }
        let paged = controls.iter().find_map(|control| match control {
            LdapControl::SimplePagedResults { size, cookie } => {
                Some((usize::try_from(*size).unwrap_or_default(), cookie))
            }
            _ => None,
        });
        let mut number = 1;
        let mut repeated = None;
        let page = match paged {
            None => None,
            Some((size, cookie)) if cookie.is_empty() => {
                (size > 0).then(|| (size, Position::default()))
            }
            Some((size, cookie)) => {
                let open = self.pages.remove(cookie).filter(|open| {
                    open.filter == filter
                        && open.request.base == request.base
                        && open.request.scope == request.scope
                });
                let Some(open) = open else {
                    return Reply::Messages(vec![done(result(Err(self.bad_cookie())))]);
                };
                if size == 0 {
                    // RFC 2696 §3: the client gives the search up.
                    let control = LdapControl::SimplePagedResults {
                        size: 0,
                        cookie: Vec::new(),
                    };
                    let message = LdapMsg::new_with_ctrls(
                        msgid,
                        LdapOp::SearchResultDone(result(Ok(()))),
                        vec![control],
                    );
                    return Reply::Messages(vec![message]);
                }
                number = open.number + 1;
                if let Some(between_pages) = &mut inner.faults.between_pages {
                    between_pages(&mut inner.store, open.number);
                }
                if inner.faults.take_repeated_cookie() {
                    repeated = Some(cookie.clone());
                }
                Some((size, open.position))
            }
        };
        let account: Option<&Account> = self.account.and_then(|at| inner.accounts.get(at));
        let query = Query {
            request: &request,
            filter: &filter,
            show_deleted: controls
                .iter()
                .any(|each| matches!(each, LdapControl::ShowDeleted { .. })),
            domain_scope: controls.iter().any(
                |each| matches!(each, LdapControl::Unknown { oid, .. } if oid == DOMAIN_SCOPE),
            ),
            page,
        };
        let found = search(&mut inner.store, account, &query);
        let mut messages: Vec<LdapMsg> = found
            .entries
            .into_iter()
            .map(|entry| LdapMsg::new(msgid, LdapOp::SearchResultEntry(entry)))
            .collect();
        messages.extend(found.references.into_iter().map(|uri| {
            LdapMsg::new(
                msgid,
                LdapOp::SearchResultReference(LdapSearchResultReference { uris: vec![uri] }),
            )
        }));
        let mut last = done(result(found.refusal.map_or(Ok(()), Err)));
        if paged.is_some() {
            let at = query.page.map(|(_, position)| position).unwrap_or_default();
            let cookie = found.next.map(|position| {
                self.pages_given += 1;
                let (cookie, position) = if let Some(cookie) = repeated {
                    (cookie, at)
                } else {
                    let fresh = [self.pages_given.to_be_bytes(), rand::random()].concat();
                    (fresh, position)
                };
                self.pages.insert(
                    cookie.clone(),
                    OpenPage {
                        request,
                        filter,
                        position,
                        number,
                    },
                );
                cookie
            });
            last.ctrl.push(LdapControl::SimplePagedResults {
                size: 0,
                cookie: cookie.unwrap_or_default(),
            });
        }
        messages.push(last);
        disturbed(inner, request_is_root, messages)
    }

    fn bad_cookie(&self) -> Refusal {
        match self.world.profile {
            Profile::OpenLdap => Refusal::new(
                LdapResultCode::UnwillingToPerform,
                "paged results cookie is invalid or old",
            ),
            Profile::Ad => Refusal::new(
                LdapResultCode::UnavailableCriticalExtension,
                "00000057: LdapErr: DSID-0C0907DE, comment: Error processing control, data 0, v4563",
            ),
        }
    }

    fn write(&self, refused: Option<Refusal>, change: &Change) -> Result<(), Refusal> {
        if let Some(refusal) = refused {
            return Err(refusal);
        }
        let mut inner = self.world.lock();
        let profile = self.world.profile;
        if !self
            .account
            .and_then(|at| inner.accounts.get(at))
            .is_some_and(|account| account.may_write)
        {
            let message = match profile {
                Profile::OpenLdap => "no write access to parent",
                Profile::Ad => {
                    "00000005: SecErr: DSID-03152870, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0"
                }
            };
            return Err(Refusal::new(
                LdapResultCode::InsufficentAccessRights,
                message,
            ));
        }
        let names: Vec<&str> = match change {
            Change::Add(entry) => entry
                .attributes
                .iter()
                .map(|each| each.name.as_str())
                .collect(),
            Change::Modify { modifications, .. } => modifications
                .iter()
                .map(|each| each.attribute.name.as_str())
                .collect(),
            Change::Rename { .. } | Change::Delete { .. } => Vec::new(),
        };
        let server_only = |name: &&&str| match profile {
            Profile::Ad => is_system_only(name),
            Profile::OpenLdap => schema::attribute_type(profile, name)
                .is_some_and(|known| known.usage == Usage::Operational),
        };
        if let Some(name) = names.iter().find(server_only) {
            let message = format!("{name}: no user modification allowed");
            return Err(Refusal::new(LdapResultCode::ConstraintViolation, message));
        }
        inner.store.apply(change)?;
        self.world.notify();
        Ok(())
    }
}

pub(crate) fn result(outcome: Result<(), Refusal>) -> LdapResult {
    outcome
        .err()
        .unwrap_or_else(|| Refusal::new(LdapResultCode::Success, String::new()))
        .into_result()
}
