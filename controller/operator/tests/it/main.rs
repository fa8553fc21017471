//! What holds over the whole workspace.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod docs;
mod drift;
mod examples;
mod field;
mod folder;
mod restart;
mod tables;
mod walls;
