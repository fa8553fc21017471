//! The HTTP listener: `/healthz` (the process answers), `/readyz` (every watch has listed its kind once) and `/metrics`.
//! Liveness never depends on the API server or a directory.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;

/// How many watches are ready, and how many there are.
#[derive(Clone, Debug)]
pub struct Readiness {
    pub listed: watch::Receiver<usize>,
    pub wanted: usize,
}

/// Serves until `stop`.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let draining = stop.clone();
    let ready = move || {
        let listed = *readiness.listed.borrow();
        let stopping = draining.is_cancelled();
        std::future::ready(match (stopping, listed >= readiness.wanted) {
            (true, _) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "shutting down\n".to_owned(),
            ),
            (false, true) => (StatusCode::OK, "ok\n".to_owned()),
            (false, false) => {
                let text = format!(
                    "{listed} of {} kinds could be listed; are the CRDs installed?\n",
                    readiness.wanted
                );
                (StatusCode::SERVICE_UNAVAILABLE, text)
            }
        })
    };
    let scrape = move || {
        let result = metrics.encode();
        std::future::ready(match result {
            Ok(text) => (
                [(
                    header::CONTENT_TYPE,
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                )],
                text,
            )
                .into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        })
    };
    let router = Router::new()
        .route("/healthz", get(|| std::future::ready("ok\n")))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape));
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening for probes and scrapes");
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
}
