//! Microsoft Graph as a target: users and security groups of a tenant, marked as ours by a directory extension.
//!
//! `read` gives the target view, `export` sends operations. `call` builds every request, `answer` judges every answer,
//! `pace` keeps to the quota. Source: Microsoft Graph v1.0 reference.

mod answer;
mod attribute;
mod call;
mod connection;
mod create;
mod delta;
mod export;
mod pace;
mod password;
mod permission;
mod read;
mod setup;
mod step;
mod task;
mod view;

use std::{sync::Arc, time::Duration};

use plumbline_engine::{
    operation::{Operation, Outcome},
    port::{Cursor, Failure, Observation, Permit, Target, TargetRead},
    reason::Reason,
    target::{Capabilities, Known},
};

use answer::ErrorBody;
use call::Call;
use connection::{Connection, SendError};
use view::View;

use crate::{
    http::HttpError,
    session::{Session, SessionError},
};

pub use connection::{RequestObserver, RequestRecord, Settings};
pub use pace::PaceLimit;
pub use permission::{Permission, permissions};
pub use setup::{Defined, TenantFacts};

/// The name of the directory extension that marks our objects, without the application's prefix.
pub const MARK_NAME: &str = "plumblineOwner";

/// Why a read or an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("{method} {path} at Graph")]
    Http {
        method: &'static str,
        path: &'static str,
        #[source]
        source: HttpError,
    },
    #[error("Graph answered {status} {code} to {method} {path} (request {})", request_id.as_deref().unwrap_or("unknown"))]
    Refused {
        method: &'static str,
        path: &'static str,
        status: u16,
        code: String,
        request_id: Option<String>,
    },
    #[error("Graph's answer to {path} lacks `{field}`")]
    Malformed {
        path: &'static str,
        field: &'static str,
    },
    #[error("a page's link to the next one leads to another host, {host}; it was not followed")]
    ForeignLink { host: String },
    #[error("the directory extension `{name}` is not defined; run `plumbline tenant init`")]
    MarkNotDefined { name: String },
    #[error("the permit was withdrawn before {method} {path} was sent")]
    Withdrawn {
        method: &'static str,
        path: &'static str,
    },
}

impl GraphError {
    fn refused(call: &Call, status: u16, error: &ErrorBody) -> Self {
        Self::Refused {
            method: call.method(),
            path: call.template(),
            status,
            code: error.code.clone(),
            request_id: error.request_id.clone(),
        }
    }

    fn unsent(call: &Call, error: SendError) -> Self {
        let (method, path) = (call.method(), call.template());
        match error {
            SendError::Session(error) => Self::Session(error),
            SendError::Http(source) => Self::Http {
                method,
                path,
                source,
            },
            SendError::Withdrawn => Self::Withdrawn { method, path },
        }
    }
}

impl Failure for GraphError {
    fn reason(&self) -> Reason {
        match self {
            Self::Session(error) => error.reason(),
            Self::Http { source, .. } => source.reason(),
            Self::Refused { status: 403, .. } => Reason::AccessDenied,
            Self::Refused { status: 401, .. } => Reason::TokenRejected,
            Self::Refused { status, .. } if *status == 429 || *status >= 500 => {
                Reason::TargetUnreachable
            }
            Self::Refused { .. } | Self::Malformed { .. } | Self::ForeignLink { .. } => {
                Reason::ReadIncomplete
            }
            Self::MarkNotDefined { .. } => Reason::MarkNotDefined,
            Self::Withdrawn { .. } => Reason::Suspended,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Session(error) => error.hint(),
            Self::Refused {
                status: 403, path, ..
            } => Some(format!(
                "grant the application the permissions that the documentation lists, with admin consent; {path} was refused"
            )),
            Self::MarkNotDefined { .. } => Some("run `plumbline tenant init`".to_owned()),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Refused { status: 429, .. }).then_some(Duration::from_secs(150))
    }
}

/// A tenant that can be read and written for one owner.
#[derive(Debug)]
pub struct GraphTarget {
    connection: Arc<Connection>,
    /// `extension_<application id without dashes>_plumblineOwner`
    mark: String,
    view: View,
}

impl GraphTarget {
    /// What Graph can do, known without a session.
    pub const CAPABILITIES: &'static Capabilities = &attribute::CAPABILITIES;

    /// A target over this session. Nothing is sent yet.
    pub fn new(session: Arc<Session>, settings: Settings) -> Self {
        let application = session.client_id().replace('-', "");
        Self {
            mark: format!("extension_{application}_{MARK_NAME}"),
            connection: Arc::new(Connection::new(session, settings)),
            view: View::default(),
        }
    }

    /// Goes on from what an earlier process read and made, so that a cursor of that time can be followed. `now` is that of `known`.
    pub fn recall(
        &mut self,
        owner: &str,
        known: impl Iterator<Item = Known>,
        now: jiff::Timestamp,
    ) {
        self.view = View::recalled(owner, known, now);
    }

    /// A target for another owner in the same tenant; it shares session and write budget.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self {
            connection: Arc::clone(&self.connection),
            mark: self.mark.clone(),
            view: View::default(),
        }
    }
}

impl Target for GraphTarget {
    type Error = GraphError;

    fn capabilities(&self) -> &'static Capabilities {
        Self::CAPABILITIES
    }

    async fn read(
        &mut self,
        request: &TargetRead,
        after: Option<&Cursor>,
        events: &mut (dyn FnMut(Observation) + Send),
    ) -> Result<(), GraphError> {
        read::read(self, request, after, events).await
    }

    async fn export(
        &mut self,
        operations: Vec<Operation>,
        permit: &dyn Permit,
        report: &mut (dyn FnMut(usize, Outcome) + Send),
    ) -> Result<(), GraphError> {
        export::export(self, operations, permit, report).await
    }
}
