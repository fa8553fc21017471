//! The probes of a container: HTTP GET on the Pod's address, as the template asks for them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Container, Probe as Template};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// One probe of a running process.
#[derive(Debug)]
pub(super) struct Probe {
    url: String,
    client: reqwest::Client,
    ticks: Interval,
    success_threshold: u32,
    failure_threshold: u32,
    /// Answers of one kind in a row.
    row: u32,
    last: bool,
}

impl Probe {
    /// Starts to count for a process that started now. What the template leaves out, the API server has filled in.
    pub(super) fn start(template: &Template, container: &Container) -> Result<Self> {
        ensure!(
            template.exec.is_none() && template.grpc.is_none() && template.tcp_socket.is_none(),
            "a probe other than httpGet is not known here"
        );
        ensure!(
            template.termination_grace_period_seconds.is_none(),
            "a grace period of a probe is not known here"
        );
        let get = template
            .http_get
            .as_ref()
            .context("a probe without httpGet")?;
        ensure!(
            get.http_headers.is_none() && get.host.is_none(),
            "headers and hosts of probes are not known here"
        );
        ensure!(
            get.scheme.as_deref().is_none_or(|scheme| scheme == "HTTP"),
            "a probe by HTTPS is not known here"
        );
        let port = match &get.port {
            IntOrString::Int(port) => *port,
            IntOrString::String(name) => {
                let mut ports = container.ports.iter().flatten();
                let port = ports.find(|port| port.name.as_ref() == Some(name));
                port.with_context(|| {
                    format!("the probe's port `{name}` is no port of the container")
                })?
                .container_port
            }
        };
        let number = |value: Option<i32>, default: u32| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or(default)
        };
        let seconds = |value, default| Duration::from_secs(number(value, default).into());
        let first = Instant::now() + seconds(template.initial_delay_seconds, 0);
        let mut ticks = interval_at(first, seconds(template.period_seconds, 10));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Probe {
            url: format!(
                "http://127.0.0.1:{port}{}",
                get.path.as_deref().unwrap_or("/")
            ),
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(seconds(template.timeout_seconds, 1))
                .build()?,
            ticks,
            success_threshold: number(template.success_threshold, 1),
            failure_threshold: number(template.failure_threshold, 3),
            row: 0,
            last: false,
        })
    }

    /// Waits for the next time, asks, and gives what the answers of late amount to, once they are enough.
    pub(super) async fn next(&mut self) -> Option<bool> {
        self.ticks.tick().await;
        // A redirect counts as success, and so do all 2xx and 3xx.
        let answer = self.client.get(&self.url).send().await;
        let success = answer
            .is_ok_and(|answer| answer.status().is_success() || answer.status().is_redirection());
        self.row = if success == self.last {
            self.row + 1
        } else {
            1
        };
        self.last = success;
        let enough = if success {
            self.success_threshold
        } else {
            self.failure_threshold
        };
        (self.row >= enough).then_some(success)
    }
}

/// The next finding of a probe; never, where there is none.
pub(super) async fn next(probe: Option<&mut Probe>) -> Option<bool> {
    match probe {
        Some(probe) => probe.next().await,
        None => std::future::pending().await,
    }
}
