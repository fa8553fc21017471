//! One request to Graph and what came back: token, headers, batch envelope, observer. It repeats nothing that writes; reads
//! are repeated while they are throttled or failing.
//!
//! Source: "JSON batching", "Microsoft Graph throttling limits".

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use plumbline_engine::port::Permit;
use rand::Rng as _;
use reqwest::Url;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    GraphError,
    answer::{self, ErrorBody, Verdict},
    call::Call,
    pace::{Pace, PaceLimit},
};
use crate::{
    http::{self, HttpError},
    session::{Session, SessionError},
};

/// Most parts of one batch.
pub(crate) const PARTS: usize = 20;
/// How often a read is repeated before the cycle fails.
const READS: u32 = 8;

/// One request as it ended, for metrics. It holds no values.
#[derive(Clone, Copy, Debug)]
pub struct RequestRecord {
    pub method: &'static str,
    /// The path with placeholders; `/$batch` for the batch itself, its parts follow.
    pub path: &'static str,
    /// 0 when there was no answer.
    pub status: u16,
    /// Counts against the write quota.
    pub write: bool,
    /// Refused for quota.
    pub throttled: bool,
    /// Of the request; parts have that of their batch.
    pub duration: Duration,
}

/// Sees every request and every part of a batch.
pub trait RequestObserver: Send + Sync {
    fn on_request(&self, record: &RequestRecord);
}

/// How a tenant is talked to.
#[derive(Clone, Default)]
pub struct Settings {
    /// The write quota to keep to.
    pub pace: PaceLimit,
    pub observer: Option<Arc<dyn RequestObserver>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

/// Where a page leads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Link {
    /// To the next page.
    Next,
    /// To the changes that come later.
    Delta,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The permit was withdrawn before the request was sent.
    Withdrawn,
    Session(SessionError),
    Http(HttpError),
}

/// An answer, of a request or of a part.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// `x-ms-throttle-limit-percentage`, as a share of the quota.
    pub(crate) used: Option<f64>,
    pub(crate) body: Value,
    /// The number of the token that it was asked with.
    token: u64,
}

impl Answer {
    pub(crate) fn judge(&self) -> (Verdict, ErrorBody) {
        let error = ErrorBody::read(&self.body);
        (answer::judge(self.status, &error), error)
    }
}

/// The tenant's Graph, shared by all that write to it: they share its pace.
#[derive(Debug)]
pub(crate) struct Connection {
    session: Arc<Session>,
    settings: Settings,
    /// `<graph>/v1.0`
    root: String,
    pace: Mutex<Pace>,
}

impl Connection {
    pub(crate) fn new(session: Arc<Session>, settings: Settings) -> Self {
        Self {
            root: format!("{}/v1.0", session.graph()),
            pace: Mutex::new(Pace::new(settings.pace, Instant::now())),
            session,
            settings,
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    pub(crate) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observe(&self, record: &RequestRecord) {
        if let Some(observer) = &self.settings.observer {
            observer.on_request(record);
        }
    }

    /// Sends once. With a permit, it is asked when everything is ready to be sent.
    async fn send(
        &self,
        method: &'static str,
        url: &str,
        template: &'static str,
        body: Option<&Value>,
        permit: Option<&dyn Permit>,
    ) -> Result<Answer, SendError> {
        let (token, number) = self.session.token().await.map_err(SendError::Session)?;
        let url = format!("{}{url}", self.root);
        let client = self.session.http();
        let request = match method {
            "GET" => client.get(&url),
            "PATCH" => client.patch(&url),
            "PUT" => client.put(&url),
            "DELETE" => client.delete(&url),
            _ => client.post(&url),
        };
        let mut request = request
            .bearer_auth(token.expose_secret())
            .header("client-request-id", http::guid());
        if let Some(body) = body {
            request = request.json(body);
        }
        let failed = |error| SendError::Http(HttpError::from_send(error));
        let request = request.build().map_err(failed)?;
        let started = Instant::now();
        if permit.is_some_and(|permit| !permit.granted()) {
            return Err(SendError::Withdrawn);
        }
        let sent = client.execute(request).await;
        let mut record = RequestRecord {
            method,
            path: template,
            status: 0,
            write: method != "GET" && template != "/$batch",
            throttled: false,
            duration: started.elapsed(),
        };
        let response = match sent {
            Ok(response) => response,
            Err(error) => {
                self.observe(&record);
                return Err(failed(error));
            }
        };
        let status = response.status().as_u16();
        let retry_after = http::retry_after(&response);
        let header = response.headers().get("x-ms-throttle-limit-percentage");
        let used = header.and_then(|value| value.to_str().ok()?.parse().ok());
        record.status = status;
        record.throttled = status == 429;
        self.observe(&record);
        if status == 401 {
            self.session.forget(number).await;
        }
        let body = http::body(response).await.map_err(SendError::Http)?;
        Ok(Answer {
            status,
            retry_after,
            used,
            // An empty or foreign body (a proxy's page) has no fields; the status decides.
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            token: number,
        })
    }

    /// Sends a single call once.
    pub(crate) async fn call(
        &self,
        call: &Call,
        permit: Option<&dyn Permit>,
    ) -> Result<Answer, SendError> {
        self.send(
            call.method(),
            call.url(),
            call.template(),
            call.body(),
            permit,
        )
        .await
    }

    /// Sends up to 20 calls as one batch, once. One answer for each call, in their order; `None` where Graph left one out.
    pub(crate) async fn batch(
        &self,
        calls: &[Call],
        permit: Option<&dyn Permit>,
    ) -> Result<Vec<Option<Answer>>, SendError> {
        let parts: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(at, call)| call.part(at))
            .collect();
        let started = Instant::now();
        let body = json!({ "requests": parts });
        let outer = self
            .send("POST", "/$batch", "/$batch", Some(&body), permit)
            .await?;
        drop(body);
        let mut answers: Vec<Option<Answer>> = calls.iter().map(|_| None).collect();
        if outer.status != 200 {
            // The batch as a whole was refused: that is the answer to each part.
            for answer in &mut answers {
                *answer = Some(Answer {
                    status: outer.status,
                    retry_after: outer.retry_after,
                    used: outer.used,
                    body: outer.body.clone(),
                    token: outer.token,
                });
            }
            return Ok(answers);
        }
        let responses = outer.body.get("responses").and_then(Value::as_array);
        for response in responses.into_iter().flatten() {
            let position = response.get("id").and_then(Value::as_str);
            let position = position.and_then(|id| id.parse::<usize>().ok());
            let Some((slot, call)) =
                position.and_then(|at| Some((answers.get_mut(at)?, calls.get(at)?)))
            else {
                continue;
            };
            let answer = part(response, outer.token);
            self.observe(&RequestRecord {
                method: call.method(),
                path: call.template(),
                status: answer.status,
                write: call.is_write(),
                throttled: answer.status == 429,
                duration: started.elapsed(),
            });
            *slot = Some(answer);
        }
        if answers.iter().flatten().any(|answer| answer.status == 401) {
            self.session.forget(outer.token).await;
        }
        Ok(answers)
    }

    /// Reads one resource or page, with patience.
    pub(crate) async fn read(&self, call: &Call) -> Result<Value, GraphError> {
        let mut attempt = 0;
        loop {
            let result = self.call(call, None).await;
            attempt += 1;
            let wait = match result {
                Ok(answer) => {
                    let (verdict, error) = answer.judge();
                    match verdict {
                        Verdict::Success => return Ok(answer.body),
                        Verdict::Throttled
                        | Verdict::Unauthorized
                        | Verdict::Again
                        | Verdict::Doubtful
                            if attempt < READS =>
                        {
                            answer.retry_after
                        }
                        _ => return Err(GraphError::refused(call, answer.status, &error)),
                    }
                }
                Err(SendError::Http(_)) if attempt < READS => None,
                Err(error) => return Err(GraphError::unsent(call, error)),
            };
            sleep(wait.unwrap_or_else(|| backoff(attempt))).await;
        }
    }

    /// A page's link to the next one, see [`Self::link`].
    pub(crate) fn next(&self, page: &Value) -> Result<Option<String>, GraphError> {
        self.link(page, Link::Next)
    }

    /// A link of a page, relative to the version. A link that leaves this Graph is refused: the request would carry our token
    /// there.
    pub(crate) fn link(&self, page: &Value, link: Link) -> Result<Option<String>, GraphError> {
        let name = match link {
            Link::Next => "@odata.nextLink",
            Link::Delta => "@odata.deltaLink",
        };
        let Some(link) = page.get(name).and_then(Value::as_str) else {
            return Ok(None);
        };
        let foreign = || GraphError::ForeignLink {
            host: Url::parse(link)
                .ok()
                .and_then(|url| url.host_str().map(str::to_owned))
                .unwrap_or_default(),
        };
        let rest = link.strip_prefix(self.root.as_str()).ok_or_else(foreign)?;
        if rest.starts_with('/') {
            Ok(Some(rest.to_owned()))
        } else {
            Err(foreign())
        }
    }
}

fn part(response: &Value, token: u64) -> Answer {
    let header = |name: &str| {
        let headers = response.get("headers")?.as_object()?;
        let found = headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found?.1.as_str()?.trim().parse::<f64>().ok()
    };
    let status = response.get("status").and_then(Value::as_u64);
    Answer {
        status: status
            .and_then(|status| u16::try_from(status).ok())
            .unwrap_or(0),
        retry_after: header("retry-after")
            .filter(|seconds| (0.0..86_400.0).contains(seconds))
            .map(Duration::from_secs_f64),
        used: header("x-ms-throttle-limit-percentage"),
        body: response.get("body").cloned().unwrap_or(Value::Null),
        token,
    }
}

/// Half a second, doubled with each attempt up to 16 s, of which a random half is left out.
pub(crate) fn backoff(attempt: u32) -> Duration {
    let whole = Duration::from_millis(250) * 2_u32.pow(attempt.clamp(1, 6));
    whole.mul_f64(rand::rng().random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{Auth, Cloud, Credentials};

    #[test]
    fn a_next_link_is_followed_as_it_is_and_never_to_another_host() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let credentials = Credentials {
            tenant_id: "t".to_owned(),
            client_id: "c".to_owned(),
            auth: Auth::ClientSecret("s".to_owned().into()),
        };
        let session = Session::new(credentials, Cloud::Global.endpoints(), None).unwrap();
        let connection = Connection::new(Arc::new(session), Settings::default());
        let next = |link: &str| connection.next(&json!({ "@odata.nextLink": link }));
        let link = "https://graph.microsoft.com/v1.0/users?$skiptoken=a%20b";
        assert_eq!(
            next(link).unwrap().as_deref(),
            Some("/users?$skiptoken=a%20b")
        );
        for foreign in [
            "https://graph.microsoft.com.evil.example/v1.0/users",
            "https://evil.example/v1.0/users",
            "https://graph.microsoft.com/v1.0@evil.example/users",
            "http://graph.microsoft.com/v1.0/users",
            "nonsense",
        ] {
            assert!(
                matches!(next(foreign), Err(GraphError::ForeignLink { .. })),
                "{foreign}"
            );
        }
        assert!(connection.next(&json!({})).unwrap().is_none());
    }
}
