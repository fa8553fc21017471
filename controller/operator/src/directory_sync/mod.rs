//! DirectorySync: dereference → validate → plan → apply → update status, as one worker per resource.

pub mod dereference;
mod joins;
pub mod recorded;
pub mod report;
pub mod status;
pub mod validate;
pub mod worker;

pub use plumbline_crds::Mode;
pub use report::Report;
pub use worker::{Input, Parts, Sync};
