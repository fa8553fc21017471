//! Scenarios against real servers. Everything that must be installed or built is named by `tests/run`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a scenario fails by panicking"
)]

mod chart;
mod kubelet;
mod servers;
