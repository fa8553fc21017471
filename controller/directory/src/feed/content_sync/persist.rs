//! A persistent search (RFC 4533 §3.4, refreshAndPersist) on a connection of its own, and the messages that have come so far.
//!
//! A task reads as fast as the server sends, for servers queue without limit behind a client that does not; what was not taken yet is
//! bounded, and beyond that given up in favour of a complete read. The search ends by closing its connection: 389-ds takes no Abandon.

use std::{
    mem,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ldap3::{Scope, controls::Control};
use rustls::ClientConfig;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    connection::{Connection, Search},
    decode::{DecodeError, Item},
    error::DirectoryError,
    feed::content_sync::{
        DOING,
        cookie::Cookie,
        message::{self, Message, Mode},
        position::Position,
    },
    settings::Settings,
};

/// Messages that may wait to be taken.
pub(crate) const WAITING: usize = 100_000;
/// A search that ended is not begun anew more often.
const PAUSE: Duration = Duration::from_secs(1);

/// What is searched for.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) filter: &'static str,
    pub(crate) attributes: Vec<String>,
}

/// Why a persistent search brings no more.
#[derive(Debug)]
pub(crate) enum End {
    Failed(DirectoryError),
    /// More came than may wait.
    Overflow,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Persist {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    begun: Instant,
    pub(crate) server: String,
    /// The cookie that it was begun with.
    pub(crate) begun_at: Cookie,
    /// Where the last taken message left it.
    pub(crate) position: Position,
    /// The end of the refresh was not taken yet.
    pub(crate) refreshing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct Inbox {
    messages: Vec<Message>,
    /// Counts all messages that ever came.
    received: u64,
    refreshed: bool,
    /// Something is among them that tells of entries.
    news: bool,
    end: Option<End>,
}

impl Drop for Persist {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Persist {
    /// Connects and begins the search, without waiting for either.
    pub(crate) fn begin(
        settings: &Settings,
        tls: &Arc<ClientConfig>,
        server: &str,
        subject: Subject,
        position: Position,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let receiver = Arc::clone(&shared);
        let (settings, tls, url) = (settings.clone(), Arc::clone(tls), server.to_owned());
        let cookie = position.cookie.to_string();
        let task = tokio::spawn(async move {
            let end = receive(&settings, &tls, &url, &subject, &cookie, &receiver).await;
            receiver.with(|inbox| inbox.end = Some(end));
        });
        Self {
            shared,
            task,
            begun: Instant::now(),
            server: server.to_owned(),
            begun_at: position.cookie.clone(),
            position,
            refreshing: true,
        }
    }

    /// Waits until the refresh has come, or the search has ended. A server may stop in the middle without a word (389-ds at a size limit),
    /// so `false` after a time without any message.
    pub(crate) async fn refreshed(&self, patience: Duration) -> bool {
        let mut deadline = Instant::now() + patience;
        let mut received = 0;
        loop {
            let (done, count) = self
                .shared
                .with_quietly(|inbox| (inbox.refreshed || inbox.end.is_some(), inbox.received));
            if done {
                return true;
            }
            if count > received {
                received = count;
                deadline = Instant::now() + patience;
            }
            let wait = deadline.saturating_duration_since(Instant::now());
            if timeout(wait, self.shared.notify.notified()).await.is_err() {
                return false;
            }
        }
    }

    /// Whether any message comes within this time.
    pub(crate) async fn stirs(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            if (self.shared).with_quietly(|inbox| inbox.news || inbox.end.is_some()) {
                return true;
            }
            let wait = deadline.saturating_duration_since(Instant::now());
            if timeout(wait, self.shared.notify.notified()).await.is_err() {
                return false;
            }
        }
    }

    /// Resolves when entries have come, or when the search has ended and may be begun anew.
    pub(crate) async fn news(&self) {
        loop {
            let (news, ended) = self
                .shared
                .with_quietly(|inbox| (inbox.news, inbox.end.is_some()));
            if ended {
                sleep_until(self.begun + PAUSE).await;
            }
            if news || ended {
                return;
            }
            self.shared.notify.notified().await;
        }
    }

    /// Takes what has come, and why no more will.
    pub(crate) fn take(&self) -> (Vec<Message>, Option<End>) {
        self.shared.with_quietly(|inbox| {
            inbox.news = false;
            (mem::take(&mut inbox.messages), inbox.end.take())
        })
    }
}

impl Shared {
    fn with_quietly<T>(&self, act: impl FnOnce(&mut Inbox) -> T) -> T {
        act(&mut self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inbox) -> T) -> T {
        let result = self.with_quietly(act);
        self.notify.notify_one();
        result
    }

    fn put(&self, message: Message) -> ControlFlow<()> {
        self.with(|inbox| {
            if inbox.messages.len() >= WAITING {
                return ControlFlow::Break(());
            }
            inbox.received += 1;
            match &message {
                Message::Entry { .. } => inbox.news = true,
                Message::Set { uuids, .. } => inbox.news |= !uuids.is_empty(),
                Message::PhaseEnd {
                    present, refreshed, ..
                } => {
                    inbox.refreshed |= refreshed;
                    inbox.news |= present;
                }
                Message::NewCookie(_) | Message::Other => {}
            }
            inbox.messages.push(message);
            ControlFlow::Continue(())
        })
    }
}

async fn receive(
    settings: &Settings,
    tls: &Arc<ClientConfig>,
    url: &str,
    subject: &Subject,
    cookie: &str,
    shared: &Shared,
) -> End {
    let mut connection = match Connection::open(url, settings, tls).await {
        Ok(connection) => connection,
        Err(error) => return End::Failed(error),
    };
    let search = Search {
        base: &settings.base_dn,
        scope: Scope::Subtree,
        filter: subject.filter,
        attributes: &subject.attributes,
        controls: vec![message::request(
            Mode::RefreshAndPersist,
            Some(cookie.as_bytes()),
        )],
        size_limit: 0,
        doing: DOING,
    };
    let mut put = |item: Item, controls: &[Control]| -> Result<ControlFlow<()>, DecodeError> {
        Ok(shared.put(message::message(item, controls)?))
    };
    match connection.follow(&search, None, &mut put).await {
        Ok(None) => End::Overflow,
        Ok(Some(result)) => End::Failed(connection.refusal(&search, &result)),
        Err(error) => End::Failed(error),
    }
}
