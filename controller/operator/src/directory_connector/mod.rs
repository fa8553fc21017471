//! DirectoryConnector: one naming context, read once for every sync that uses it.

pub mod dereference;
pub mod status;
pub mod worker;

pub use worker::{Connector, State};
