//! The Graph target against the lab tenant, in one process.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod delta;
mod export;
mod fixture;
mod pace;
mod read;
mod session;
