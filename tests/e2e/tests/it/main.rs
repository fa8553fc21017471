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
mod fresh_domain;
mod kill;
mod kubelet;
mod large_domain;
mod life;
mod manifests;
mod nobody_is_lost;
#[path = "../../../../crds/tests/it/pairs.rs"]
mod pairs;
mod plan_mode;
mod scenario;
mod servers;
mod suspend;
mod two_forests;
