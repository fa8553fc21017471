//! The engine's rules as tables, through its public surface alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adoption;
mod drift;
mod evidence;
mod expiry;
mod explain;
mod joins;
mod rules;
mod scale;
mod world;
