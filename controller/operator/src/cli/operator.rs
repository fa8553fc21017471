//! `plumbline operator`: the Kubernetes host.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{asked_to_stop, block_on};
use crate::{
    context::Context,
    host::kubernetes::{self, Kubernetes},
    runtime::Runtime,
    store::Store,
    telemetry::{
        listener::{Readiness, serve},
        logs::{self, Format},
        metrics::{Metrics, TargetRequests},
    },
};

/// How long the listener may take to close after the workers have stopped.
const DRAIN: Duration = Duration::from_secs(1);

/// The flags of `plumbline operator`.
#[derive(Clone, Debug, Args)]
pub struct OperatorArgs {
    /// Namespaces to watch, separated by commas
    #[arg(
        long,
        value_name = "NAMESPACES",
        value_delimiter = ',',
        required = true,
        env = "PLUMBLINE_WATCH_NAMESPACES"
    )]
    watch_namespaces: Vec<String>,
    /// Address for probes and metrics
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080",
        env = "PLUMBLINE_LISTEN"
    )]
    listen: SocketAddr,
    /// Folder for what outlives a restart; without one a restart costs one full comparison
    #[arg(long, value_name = "DIR", env = "PLUMBLINE_STATE")]
    state: Option<PathBuf>,
    /// Form of log lines
    #[arg(long, value_enum, default_value_t = Format::Json, env = "PLUMBLINE_LOG_FORMAT")]
    log_format: Format,
    /// What is logged: error, warn, info, debug or trace, or a directive such as `plumbline=debug`
    #[arg(long, default_value = "info", env = "PLUMBLINE_LOG_LEVEL")]
    log_level: String,
    /// Name of this process among replicas; in a pod its name
    #[arg(long, env = "POD_NAME", default_value = "plumbline")]
    identity: String,
}

pub(super) fn run(args: OperatorArgs) -> anyhow::Result<ExitCode> {
    let OperatorArgs {
        watch_namespaces,
        listen,
        state,
        log_format,
        log_level,
        identity,
    } = args;
    logs::start(log_format, &log_level)?;
    block_on(async move {
        info!(version = env!("CARGO_PKG_VERSION"), namespaces = watch_namespaces.join(","), state = ?state, "plumbline starts");
        let metrics = Arc::new(Metrics::default());
        logs::watch_panics(metrics.clone());
        let client = kube::Client::try_default()
            .await
            .context("no connection to a Kubernetes API server is configured")?;
        let (worlds, listed, wanted, mut watches) = kubernetes::watch(&client, &watch_namespaces);
        let stop = CancellationToken::new();
        let readiness = Readiness {
            listed: listed.clone(),
            wanted,
        };
        let mut listener = tokio::spawn(serve(listen, metrics.clone(), readiness, stop.clone()));
        let context = Context::new(
            Arc::new(Kubernetes::new(client, &identity)),
            Store::new(state),
            metrics.clone(),
            Arc::new(TargetRequests(metrics)),
            None,
        );
        let runtime = {
            let (stop, mut listed) = (stop.clone(), listed);
            tokio::spawn(async move {
                // A world that is not complete would look as if resources were missing.
                tokio::select! {
                    () = stop.cancelled() => return,
                    result = listed.wait_for(|listed| *listed >= wanted) => if result.is_err() { return },
                }
                info!("every kind is listed; workers start");
                Runtime::new(Arc::new(context)).run(worlds, stop).await;
            })
        };
        let mut runtime = runtime;
        let failed = tokio::select! {
            result = asked_to_stop() => { result?; None }
            result = &mut listener => Some(format!("the listener on {listen} ended: {result:?}")),
            result = &mut runtime => Some(format!("the workers ended: {result:?}")),
            _ = watches.join_next() => Some("a watch ended".into()),
        };
        info!("stopping at a safe point");
        stop.cancel();
        if failed.is_none() {
            // The runtime bounds how long its workers may take.
            let _ = runtime.await;
            let _ = tokio::time::timeout(DRAIN, listener).await;
        }
        match failed {
            Some(reason) => anyhow::bail!("{reason}"),
            None => Ok(ExitCode::SUCCESS),
        }
    })
}
