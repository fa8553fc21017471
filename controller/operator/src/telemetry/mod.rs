//! What operators watch: metrics, logs, and the listener for probes and scrapes.

pub mod listener;
pub mod logs;
pub mod metrics;
