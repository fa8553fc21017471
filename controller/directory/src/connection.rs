//! One bound connection to one server: opened with TLS, supervised, searched one answer at a time.
//!
//! The client library drives a connection in a task of its own, which ends, or panics on malformed input, without saying
//! why to whoever waits. So the task is kept, and asked what became of it when an answer does not come.

use std::{fmt, io, ops::ControlFlow, sync::Arc, time::Duration};

use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchOptions,
    SearchStream,
    controls::{Control, RawControl},
};
use rustls::ClientConfig;
use secrecy::ExposeSecret;
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    decode::{self, DecodeError, Item, RawEntry},
    error::{BINDING, CONNECTING, DirectoryError},
    result_code::ResultCode,
    settings::{Bind, Settings, Timeouts, starts_tls},
};

/// How long a driver that no longer answers may take to end.
const DRIVER_END: Duration = Duration::from_secs(1);
/// One answer of a search may take as many times the time for one item.
const ITEMS_PER_ANSWER: u32 = 5;

/// A search as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Search<'a> {
    pub(crate) base: &'a str,
    pub(crate) scope: Scope,
    pub(crate) filter: &'a str,
    pub(crate) attributes: &'a [String],
    pub(crate) controls: Vec<RawControl>,
    /// Entries wanted at most; 0 for all.
    pub(crate) size_limit: i32,
    /// For errors: "reading entries".
    pub(crate) doing: &'static str,
}

/// Everything one search request brought.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) entries: Vec<RawEntry>,
    pub(crate) references: Vec<String>,
    pub(crate) controls: Vec<Control>,
}

/// A search that was sent. Dropped, what still comes of it is thrown away.
pub(crate) struct Sent<'a>(SearchStream<'a, String, &'a [String]>);

impl fmt::Debug for Sent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sent").finish_non_exhaustive()
    }
}

/// Takes one item of a search with its controls, and says whether more is wanted.
pub(crate) type Each<'a> =
    dyn FnMut(Item, &[Control]) -> Result<ControlFlow<()>, DecodeError> + Send + 'a;

/// A bound connection.
pub(crate) struct Connection {
    server: String,
    ldap: Ldap,
    driver: JoinHandle<Result<(), LdapError>>,
    timeouts: Timeouts,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects, starts TLS and binds.
    pub(crate) async fn open(
        server: &str,
        settings: &Settings,
        tls: &Arc<ClientConfig>,
    ) -> Result<Self, DirectoryError> {
        let timeouts = settings.timeouts;
        let options = LdapConnSettings::new()
            .set_conn_timeout(timeouts.connect)
            .set_starttls(starts_tls(server))
            .set_config(Arc::clone(tls));
        let (driver, ldap) = LdapConnAsync::with_settings(options, server)
            .await
            .map_err(|error| connect_error(server, timeouts, error))?;
        let mut connection = Self {
            server: server.to_owned(),
            ldap,
            driver: tokio::spawn(driver.drive()),
            timeouts,
        };
        connection.bind(&settings.bind).await?;
        Ok(connection)
    }

    async fn bind(&mut self, bind: &Bind) -> Result<(), DirectoryError> {
        let Bind::Simple { username, password } = bind;
        let bound = self
            .ldap
            .with_timeout(self.timeouts.connect)
            .simple_bind(username, password.expose_secret())
            .await;
        let result = match bound {
            Ok(result) => result,
            Err(error) => return Err(self.failure(BINDING, error).await),
        };
        let server = self.server.clone();
        let source = ResultCode::from(&result);
        match result.rc {
            0 => Ok(()),
            51 | 52 => Err(DirectoryError::Unavailable { server, source }),
            _ => Err(DirectoryError::BindRefused { server, source }),
        }
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Runs one search to its result and fails unless that is success.
    pub(crate) async fn search(&mut self, search: &Search<'_>) -> Result<Answer, DirectoryError> {
        let sent = self.send(search).await?;
        self.answer(search, sent).await
    }

    /// As [`Self::search`], but for some entries only: a limit that was reached after them does not matter.
    pub(crate) async fn sample(
        &mut self,
        search: &Search<'_>,
    ) -> Result<Vec<RawEntry>, DirectoryError> {
        let (answer, result) = self.raw_search(search).await?;
        match result.rc {
            0 => Ok(answer.entries),
            3 | 4 | 11 if !answer.entries.is_empty() => Ok(answer.entries),
            _ => Err(self.refusal(search, &result)),
        }
    }

    async fn raw_search(
        &mut self,
        search: &Search<'_>,
    ) -> Result<(Answer, LdapResult), DirectoryError> {
        let sent = self.send(search).await?;
        self.receive(search, sent).await
    }

    /// Sends a search. Its answer is gathered meanwhile, until [`Self::answer`] takes it.
    pub(crate) async fn send<'a>(
        &mut self,
        search: &Search<'a>,
    ) -> Result<Sent<'a>, DirectoryError> {
        let sent = self
            .ldap
            .with_timeout(self.timeouts.answer)
            .with_controls(search.controls.clone())
            .with_search_options(SearchOptions::new().sizelimit(search.size_limit))
            .streaming_search(search.base, search.scope, search.filter, search.attributes)
            .await;
        match sent {
            Ok(stream) => Ok(Sent(stream)),
            Err(error) => Err(self.failure(search.doing, error).await),
        }
    }

    /// The whole answer to a search; fails unless its result is success.
    pub(crate) async fn answer(
        &mut self,
        search: &Search<'_>,
        sent: Sent<'_>,
    ) -> Result<Answer, DirectoryError> {
        let (answer, result) = self.receive(search, sent).await?;
        if result.rc == 0 {
            Ok(answer)
        } else {
            Err(self.refusal(search, &result))
        }
    }

    async fn receive(
        &mut self,
        search: &Search<'_>,
        sent: Sent<'_>,
    ) -> Result<(Answer, LdapResult), DirectoryError> {
        let limit = self.timeouts.answer * ITEMS_PER_ANSWER;
        match timeout(limit, gather(sent)).await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(Interruption::Library(error))) => Err(self.failure(search.doing, error).await),
            Ok(Err(Interruption::Content(source))) => Err(DirectoryError::Undecodable {
                server: self.server.clone(),
                doing: search.doing,
                source,
            }),
            Err(_) => Err(self.timed_out(search.doing, limit)),
        }
    }

    /// Runs one search and hands on each item with its controls as it comes, until its result, which is returned whatever it is. An
    /// item is waited for as long as it takes if `patience` is `None`. On `Break` the search is abandoned and there is no result.
    pub(crate) async fn follow(
        &mut self,
        search: &Search<'_>,
        patience: Option<Duration>,
        each: &mut Each<'_>,
    ) -> Result<Option<LdapResult>, DirectoryError> {
        match self.hand_on(search, patience, each).await {
            Ok(result) => Ok(result),
            Err(Interruption::Library(error)) => Err(self.failure(search.doing, error).await),
            Err(Interruption::Content(source)) => Err(DirectoryError::Undecodable {
                server: self.server.clone(),
                doing: search.doing,
                source,
            }),
        }
    }

    async fn hand_on(
        &mut self,
        search: &Search<'_>,
        patience: Option<Duration>,
        each: &mut Each<'_>,
    ) -> Result<Option<LdapResult>, Interruption> {
        if let Some(patience) = patience {
            self.ldap.with_timeout(patience);
        }
        let mut stream = self
            .ldap
            .with_controls(search.controls.clone())
            .streaming_search(search.base, search.scope, search.filter, search.attributes)
            .await?;
        while let Some(item) = stream.next().await? {
            let controls = item.1.clone();
            let item = decode::item(item).map_err(Interruption::Content)?;
            if each(item, &controls)
                .map_err(Interruption::Content)?
                .is_break()
            {
                let id = stream.ldap_handle().last_id();
                self.ldap.abandon(id).await?;
                return Ok(None);
            }
        }
        Ok(Some(stream.finish().await))
    }

    pub(crate) fn refusal(&self, search: &Search<'_>, result: &LdapResult) -> DirectoryError {
        let server = self.server.clone();
        let source = ResultCode::from(result);
        let doing = search.doing;
        match result.rc {
            32 | 34 => DirectoryError::BaseNotFound {
                server,
                base_dn: search.base.to_owned(),
                matched: result.matched.clone(),
            },
            50 => DirectoryError::AccessDenied {
                server,
                doing,
                source,
            },
            _ => DirectoryError::Refused {
                server,
                doing,
                source,
            },
        }
    }

    /// What really happened, when the library only knows that no answer came.
    async fn failure(&mut self, doing: &'static str, error: LdapError) -> DirectoryError {
        let server = self.server.clone();
        let source = match error {
            LdapError::Timeout { .. } => return self.timed_out(doing, self.timeouts.answer),
            LdapError::EndOfStream | LdapError::ResultRecv { .. } | LdapError::OpSend { .. } => {
                match timeout(DRIVER_END, &mut self.driver).await {
                    Ok(Err(ended)) if ended.is_panic() => {
                        return DirectoryError::Malformed { server, doing };
                    }
                    Ok(Ok(Err(cause))) => cause,
                    _ => error,
                }
            }
            other => other,
        };
        DirectoryError::ConnectionLost {
            server,
            doing,
            source: Box::new(source),
        }
    }

    fn timed_out(&self, doing: &'static str, limit: Duration) -> DirectoryError {
        DirectoryError::Timeout {
            server: self.server.clone(),
            doing,
            seconds: limit.as_secs(),
        }
    }
}

async fn gather(sent: Sent<'_>) -> Result<(Answer, LdapResult), Interruption> {
    let Sent(mut stream) = sent;
    let mut answer = Answer {
        entries: Vec::new(),
        references: Vec::new(),
        controls: Vec::new(),
    };
    while let Some(item) = stream.next().await? {
        match decode::item(item).map_err(Interruption::Content)? {
            Item::Entry(entry) => answer.entries.push(entry),
            Item::Reference(urls) => answer.references.extend(urls),
            Item::Intermediate { .. } => {}
        }
    }
    let mut result = stream.finish().await;
    answer.controls = std::mem::take(&mut result.ctrls);
    Ok((answer, result))
}

enum Interruption {
    Library(LdapError),
    Content(DecodeError),
}

impl From<LdapError> for Interruption {
    fn from(error: LdapError) -> Self {
        Self::Library(error)
    }
}

fn connect_error(server: &str, timeouts: Timeouts, error: LdapError) -> DirectoryError {
    let server = server.to_owned();
    match error {
        LdapError::Timeout { .. } => DirectoryError::Timeout {
            server,
            doing: CONNECTING,
            seconds: timeouts.connect.as_secs(),
        },
        LdapError::Rustls { source } => DirectoryError::Tls { server, source },
        LdapError::LdapResult { result } => DirectoryError::StartTlsRefused {
            server,
            source: ResultCode::from(&result),
        },
        // The TLS library wraps its errors in those of input and output.
        LdapError::Io { source } => match source
            .get_ref()
            .and_then(|e| e.downcast_ref::<rustls::Error>())
        {
            Some(error) => DirectoryError::Tls {
                source: error.clone(),
                server,
            },
            None => DirectoryError::Unreachable { server, source },
        },
        other => DirectoryError::Unreachable {
            server,
            source: io::Error::other(other),
        },
    }
}
