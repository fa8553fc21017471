//! What holds over the whole workspace.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod docs;
mod drift;
mod examples;
mod explain;
mod field;
mod folder;
mod tables;
mod walls;
