//! Logs by `tracing`: JSON in a container, text on a terminal. A panic of a task is logged and counted, never lost.

use std::sync::Arc;

use tracing_subscriber::EnvFilter;

use super::metrics::Metrics;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Json,
    Text,
}

/// Starts logging to standard error. `level` is an `EnvFilter` directive such as `info` or `plumbline=debug`.
pub fn start(format: Format, level: &str) -> anyhow::Result<()> {
    // The LDAP client logs protocol oddities per entry.
    let filter = EnvFilter::try_new(format!("{level},ldap3=error"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let result = match format {
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
        Format::Text => builder.with_target(false).try_init(),
    };
    result.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}

/// Logs panics through tracing and counts them.
pub fn watch_panics(metrics: Arc<Metrics>) {
    std::panic::set_hook(Box::new(move |panic| {
        metrics.panics.inc();
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, message, "a task panicked");
    }));
}
