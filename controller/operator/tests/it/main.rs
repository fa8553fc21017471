//! What holds over the whole workspace.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command_line;
mod docs;
mod drift;
mod examples;
mod explain;
mod field;
mod findings;
mod folder;
mod metrics;
mod restart;
mod tables;
mod walls;
