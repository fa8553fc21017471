//! CloudTenant: credentials, token and facts of one tenant, shared by every sync that writes to it.

pub mod dereference;
pub mod status;
pub mod worker;

pub use worker::{State, Tenant};
