//! The operator as a library: hosts, workers, one module a kind, the command line. The binary is thin.
//!
//! Data goes one way: a host supplies the [`world`], the [`runtime`] keeps workers for it, workers drive the engine and the
//! adapters, and their reports become status.

pub mod cli;
pub mod cloud_tenant;
pub mod context;
pub mod directory_connector;
pub mod directory_sync;
pub mod fingerprint;
pub mod folder_run;
pub mod host;
pub mod manifest;
pub mod output;
pub mod permit;
pub mod problem;
pub mod publish;
pub mod runtime;
pub mod standing;
pub mod store;
pub mod sync_scope;
pub mod telemetry;
pub mod world;
pub mod world_file;
pub mod yaml;
