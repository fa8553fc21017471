//! Cloud targets. Today one: Microsoft Graph, as an implementation of the engine's `Target` role.
//!
//! [`Session`] gets and keeps tokens, [`GraphTarget`] reads and writes the tenant at its permitted pace. Nothing here knows
//! Kubernetes: the operator passes credentials, a CA and a permit in.

mod assertion;
mod credentials;
mod graph;
mod http;
mod session;

pub use credentials::{Auth, Cloud, Credentials, Endpoints, TokenProvider};
pub use graph::{
    Defined, GraphError, GraphTarget, MARK_NAME, PaceLimit, Permission, RequestObserver,
    RequestRecord, Settings, TenantFacts, permissions,
};
pub use http::HttpError;
pub use session::{Session, SessionError};
