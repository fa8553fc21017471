//! An LDAP server over TLS that answers searches as a test says, byte for byte where it must: for what no real server can be
//! made to do. Binds succeed; the root DSE and base searches of the base itself are answered properly.

use std::sync::{Arc, Mutex};

use ldap3_proto::{
    LdapCodec,
    control::LdapControl,
    proto::{
        LdapBindResponse, LdapMsg, LdapOp, LdapPartialAttribute, LdapResult, LdapResultCode,
        LdapSearchRequest, LdapSearchResultEntry, LdapSearchScope,
    },
};
use plumbline_directory::{Bind, Detect, FULL_READS, FeedKind, Settings, Timeouts};
use plumbline_lab::tls::TestCa;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{
    bytes::BytesMut,
    codec::{Decoder as _, Encoder as _},
};

pub(crate) const BASE: &str = "dc=example,dc=com";

/// One message of an answer, or what comes in its place.
pub(crate) enum Reply {
    Message(LdapOp, Vec<LdapControl>),
    /// Bytes after the message's number: `30 <length> 02 01 <number>` is put before them.
    Raw(Vec<u8>),
    Close,
}

/// Which root DSE is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Generic,
    ActiveDirectory,
}

/// A running server and how to reach it.
pub(crate) struct Scripted {
    pub(crate) settings: Settings,
    listener: tokio::task::JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

type Script = Arc<Mutex<dyn FnMut(&LdapSearchRequest, &[LdapControl]) -> Vec<Reply> + Send>>;

impl Scripted {
    pub(crate) async fn start(
        shown: Shown,
        script: impl FnMut(&LdapSearchRequest, &[LdapControl]) -> Vec<Reply> + Send + 'static,
    ) -> Self {
        let ca = TestCa::new("scripted").unwrap();
        let acceptor =
            TlsAcceptor::from(ca.issue(&["127.0.0.1"]).unwrap().server_config().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ldaps://{}", listener.local_addr().unwrap());
        let script: Script = Arc::new(Mutex::new(script));
        let listener = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, shown, script).await;
                    }
                });
            }
        });
        let settings = settings(&url, ca.pem().as_bytes().to_vec());
        Self { settings, listener }
    }
}

/// Settings for a server with the usual base, for an account that no server knows.
pub(crate) fn settings(url: &str, ca_pem: Vec<u8>) -> Settings {
    Settings {
        name: "test".to_owned(),
        server_type: None,
        servers: vec![url.to_owned()],
        base_dn: BASE.to_owned(),
        anchor: None,
        bind: Bind::Simple {
            username: "cn=reader".to_owned(),
            password: "Read-Pa55word!".to_owned().into(),
        },
        ca_pem: Some(ca_pem),
        timeouts: Timeouts::default(),
        page_size: 500,
        // The scripts are about reads; choosing a feed would ask them something else.
        detect: Detect::Only(FeedKind::FullRead),
        full_reads: FULL_READS,
    }
}

async fn serve(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    shown: Shown,
    script: Script,
) {
    let mut codec = LdapCodec::default();
    let mut input = BytesMut::new();
    loop {
        let message = match codec.decode(&mut input) {
            Ok(Some(message)) => message,
            Ok(None) => match stream.read_buf(&mut input).await {
                Ok(read) if read > 0 => continue,
                _ => return,
            },
            Err(_) => return,
        };
        for reply in answer(&message, shown, &script) {
            let mut output = BytesMut::new();
            match reply {
                Reply::Message(op, ctrl) => {
                    let msgid = message.msgid;
                    codec
                        .encode(LdapMsg { msgid, op, ctrl }, &mut output)
                        .unwrap();
                }
                Reply::Raw(bytes) => {
                    let number = u8::try_from(message.msgid).unwrap();
                    output.extend_from_slice(&[
                        0x30,
                        u8::try_from(bytes.len() + 3).unwrap(),
                        2,
                        1,
                        number,
                    ]);
                    output.extend_from_slice(&bytes);
                }
                Reply::Close => return,
            }
            if stream.write_all(&output).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    }
}

fn answer(message: &LdapMsg, shown: Shown, script: &Script) -> Vec<Reply> {
    match &message.op {
        LdapOp::BindRequest(_) => {
            let res = result(LdapResultCode::Success);
            vec![Reply::Message(
                LdapOp::BindResponse(LdapBindResponse {
                    res,
                    saslcreds: None,
                }),
                vec![],
            )]
        }
        LdapOp::SearchRequest(request) if request.base.is_empty() => {
            let mut root = vec![("namingContexts", vec![BASE])];
            if shown == Shown::ActiveDirectory {
                root.push(("supportedCapabilities", vec!["1.2.840.113556.1.4.800"]));
            }
            vec![entry("", &root), done(LdapResultCode::Success)]
        }
        LdapOp::SearchRequest(request)
            if request.base == BASE && request.scope == LdapSearchScope::Base =>
        {
            vec![entry::<&str>(BASE, &[]), done(LdapResultCode::Success)]
        }
        LdapOp::SearchRequest(request) if request.base.starts_with("<WKGUID=") => {
            vec![done(LdapResultCode::NoSuchObject)]
        }
        LdapOp::SearchRequest(request) => {
            let mut script = script.lock().unwrap();
            script(request, &message.ctrl)
        }
        _ => vec![],
    }
}

pub(crate) fn result(code: LdapResultCode) -> LdapResult {
    LdapResult {
        code,
        matcheddn: String::new(),
        message: String::new(),
        referral: Vec::new(),
    }
}

/// The result of a search, without controls.
pub(crate) fn done(code: LdapResultCode) -> Reply {
    Reply::Message(LdapOp::SearchResultDone(result(code)), vec![])
}

/// Success with a paging control: an empty cookie after the last page.
pub(crate) fn page(cookie: &str) -> Reply {
    let control = LdapControl::SimplePagedResults {
        size: 0,
        cookie: cookie.as_bytes().to_vec(),
    };
    Reply::Message(
        LdapOp::SearchResultDone(result(LdapResultCode::Success)),
        vec![control],
    )
}

pub(crate) fn entry<V: AsRef<[u8]>>(dn: &str, attributes: &[(&str, Vec<V>)]) -> Reply {
    let attributes = attributes
        .iter()
        .map(|(name, values)| LdapPartialAttribute {
            atype: (*name).to_owned(),
            vals: values.iter().map(|value| value.as_ref().to_vec()).collect(),
        })
        .collect();
    let dn = dn.to_owned();
    Reply::Message(
        LdapOp::SearchResultEntry(LdapSearchResultEntry { dn, attributes }),
        vec![],
    )
}
