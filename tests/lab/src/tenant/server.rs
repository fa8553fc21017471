//! The tenant on the wire: TLS on loopback, one axum fallback for every URL, and answers that get lost.
//!
//! A lost answer closes its connection before a byte is written. TLS handshakes run beside the accept loop, so a client
//! that stalls holds up nobody.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State as Shared};
use axum::http::{HeaderMap, Method, Response, Uri};
use axum::serve::IncomingStream;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::answer::Answer;
use super::graph::{self, Incoming};
use super::log::Request;
use super::state::State;
use super::{batch, token};

/// A TLS connection that can be made to fail before it answers.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    cut: Cut,
}

/// The switch that cuts a connection.
#[derive(Debug, Clone, Default)]
struct Cut(Arc<AtomicBool>);

impl Cut {
    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Acquire) {
            Err(io::ErrorKind::ConnectionReset.into())
        } else {
            Ok(())
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Err(error) = self.cut.check() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Err(error) = self.cut.check() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Hands finished TLS connections to axum.
pub(super) struct Listener {
    address: SocketAddr,
    ready: mpsc::Receiver<(Connection, SocketAddr)>,
}

impl Listener {
    /// Accepts on `listener` until the receiver is dropped.
    pub(super) fn new(listener: TcpListener, tls: TlsAcceptor) -> io::Result<Self> {
        let address = listener.local_addr()?;
        // Bounded by what clients can open at once; a full queue only delays the handshake's end.
        let (sender, ready) = mpsc::channel(64);
        tokio::spawn(async move {
            while !sender.is_closed() {
                let Ok((stream, peer)) = listener.accept().await else {
                    continue;
                };
                let (tls, sender) = (tls.clone(), sender.clone());
                tokio::spawn(async move {
                    match tls.accept(stream).await {
                        Ok(stream) => {
                            if sender
                                .send((
                                    Connection {
                                        stream,
                                        cut: Cut::default(),
                                    },
                                    peer,
                                ))
                                .await
                                .is_err()
                            {
                                tracing::debug!("the lab tenant was stopped during a handshake");
                            }
                        }
                        Err(error) => {
                            tracing::debug!(%error, "a TLS handshake with the lab tenant failed");
                        }
                    }
                });
            }
        });
        Ok(Self { address, ready })
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The accept loop lives as long as this receiver; should it end, there is nothing more to serve.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

#[derive(Debug, Clone)]
struct Peer(Cut);

impl axum::extract::connect_info::Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        Self(stream.io().cut.clone())
    }
}

/// Serves until the task is aborted.
pub(super) async fn serve(listener: Listener, state: Arc<Mutex<State>>) -> io::Result<()> {
    let router = Router::new()
        .fallback(handle)
        .layer(axum::extract::DefaultBodyLimit::max(4 << 20))
        .with_state(state);
    axum::serve(
        listener,
        router.into_make_service_with_connect_info::<Peer>(),
    )
    .await
}

/// The state, also after a test that panicked while it held the lock.
pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn handle(
    Shared(state): Shared<Arc<Mutex<State>>>,
    ConnectInfo(Peer(cut)): ConnectInfo<Peer>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut guard = lock(&state);
    let state: &mut State = &mut guard;
    let before = state.log.requests.len();
    let answer = match target.strip_prefix("/v1.0") {
        Some(target) => on_graph(state, method.as_str(), target, &headers, &body),
        None => on_authority(state, method.as_str(), target, &headers, &body),
    };
    let graph = target.starts_with("/v1.0/");
    // What was refused at the door was not performed: losing that answer would test nothing.
    let performed = graph && !matches!(answer.status, 401 | 429 | 503);
    if performed && state.chance(state.config.faults.lost_answer) {
        state.log.seen.lost_answers += 1;
        state
            .log
            .requests
            .iter_mut()
            .skip(before)
            .for_each(|request| request.lost = true);
        cut.0.store(true, Ordering::Release);
    }
    drop(guard);
    respond(answer)
}

fn respond(answer: Answer) -> Response<Body> {
    let mut response = Response::new(match &answer.body {
        Some(body) => Body::from(body.to_string()),
        None => Body::empty(),
    });
    *response.status_mut() = axum::http::StatusCode::from_u16(answer.status).unwrap_or_default();
    if answer.body.is_some() {
        let json = axum::http::HeaderValue::from_static("application/json");
        response
            .headers_mut()
            .insert(axum::http::header::CONTENT_TYPE, json);
    }
    for (name, value) in answer.headers {
        let name = axum::http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, axum::http::HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn on_authority(
    state: &mut State,
    method: &str,
    target: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Answer {
    let tenant = target
        .trim_start_matches('/')
        .strip_suffix("/oauth2/v2.0/token")
        .filter(|tenant| !tenant.contains('/'));
    let Some(tenant) = tenant.filter(|_| method == "POST") else {
        state
            .log
            .violation(method, target, "unknown path or method at the authority");
        return Answer::error(
            501,
            "NotServed",
            format!("the lab tenant does not serve {method} {target}"),
        );
    };
    let form = std::str::from_utf8(body).unwrap_or_default();
    let answer = token::endpoint(state, tenant, header(headers, "authorization"), form)
        .unwrap_or_else(|error| error);
    // The body holds a secret or an assertion: it is not kept.
    record(state, method, target, headers, None, &answer);
    answer
}

/// Logs a request that is not a single call on Graph.
fn record(
    state: &mut State,
    method: &str,
    target: &str,
    headers: &HeaderMap,
    body: Option<Value>,
    answer: &Answer,
) {
    let error = answer
        .body
        .as_ref()
        .and_then(|body| body.pointer("/error/code").or(body.get("error")));
    let request = Request {
        at: jiff::Timestamp::now(),
        elapsed: state.started.elapsed(),
        method: method.to_owned(),
        path: target.to_owned(),
        body,
        status: answer.status,
        batch: None,
        write: false,
        throttled: false,
        lost: false,
        client_request_id: header(headers, "client-request-id").map(str::to_owned),
        error: error.and_then(Value::as_str).map(str::to_owned),
    };
    state.log.requests.push(request);
}

fn on_graph(
    state: &mut State,
    method: &str,
    target: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Answer {
    let token = header(headers, "authorization").and_then(|value| value.strip_prefix("Bearer "));
    let roles = match token {
        Some(token) => state.credentials.roles(token),
        None => Err(Answer::unauthenticated("Access token is empty.")),
    };
    let roles = match roles {
        Ok(roles) => roles,
        Err(mut answer) => {
            let id = state.guid();
            answer.stamp(
                &id,
                header(headers, "client-request-id").unwrap_or(&id),
                &super::state::timestamp(),
            );
            record(state, method, target, headers, None, &answer);
            return answer;
        }
    };
    let parsed = if body.is_empty() {
        Ok(None)
    } else {
        serde_json::from_slice(body).map(Some)
    };
    let Ok(body) = parsed else {
        return Answer::error(400, "BadRequest", "Unable to read JSON request payload.");
    };
    if target == "/$batch" && method == "POST" {
        return on_batch(state, target, headers, body, &roles);
    }
    let incoming = Incoming {
        method,
        target,
        prefer: header(headers, "prefer").unwrap_or_default(),
        body,
        client_request_id: header(headers, "client-request-id").map(str::to_owned),
        batch: None,
        roles,
    };
    graph::answer(state, incoming)
}

fn on_batch(
    state: &mut State,
    target: &str,
    headers: &HeaderMap,
    body: Option<Value>,
    roles: &Arc<Vec<String>>,
) -> Answer {
    state.log.seen.batches += 1;
    if state.chance(state.config.faults.unavailable) {
        state.log.seen.unavailable += 1;
        let answer = Answer::unavailable();
        record(state, "POST", target, headers, body, &answer);
        return answer;
    }
    let number = state.log.seen.batches;
    let at = state.log.requests.len();
    let answer = batch::answer(state, body.as_ref(), number, roles);
    record(state, "POST", target, headers, body, &answer);
    // The batch stands before its parts.
    if let Some(parts) = state.log.requests.get_mut(at..) {
        parts.rotate_right(1);
    }
    answer
}
