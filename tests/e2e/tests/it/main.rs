//! Scenarios against real servers. Everything that must be installed or built is named by `tests/run`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a scenario fails by panicking"
)]

mod chart;
mod cluster;
mod expected;
mod kubelet;
mod life;
mod manifests;
#[path = "../../../../crds/tests/it/pairs.rs"]
mod pairs;
mod scenario;
mod servers;
