//! Leave to write at a target: the tenant's Lease is held, and the run was neither suspended, edited, deleted nor told to shut down.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use plumbline_engine::port::Permit;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Until when this process may write at a tenant. `None`: not at all.
///
/// The deadline is on our own monotonic clock and lies before the moment at which another process could take the Lease over.
#[derive(Clone, Debug)]
pub struct Tenure(watch::Receiver<Option<Instant>>);

impl Tenure {
    pub fn new(deadline: watch::Receiver<Option<Instant>>) -> Self {
        Self(deadline)
    }

    /// A tenure that nobody else can contest: the folder host's.
    pub fn unlimited() -> Self {
        let far = Instant::now() + Duration::from_secs(10 * 365 * 24 * 3600);
        Self(watch::channel(Some(far)).1)
    }

    pub fn held(&self) -> bool {
        self.0
            .borrow()
            .is_some_and(|deadline| Instant::now() < deadline)
    }

    /// Resolves when the tenure is held.
    pub async fn won(&mut self) {
        // A closed channel (the process is shutting down) never wins.
        if self
            .0
            .wait_for(|deadline| deadline.is_some_and(|at| Instant::now() < at))
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when the tenure has ended.
    pub async fn lost(&self) {
        let mut receiver = self.0.clone();
        loop {
            let deadline = *receiver.borrow_and_update();
            let Some(deadline) = deadline else { return };
            let closed = async {
                if receiver.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = closed => {}
                () = tokio::time::sleep_until(deadline.into()) => {
                    if !self.held() { return; }
                }
            }
        }
    }
}

/// The permit of one run of a DirectorySync.
#[derive(Clone, Debug)]
pub struct RunPermit {
    pub tenure: Tenure,
    pub cancel: Arc<CancellationToken>,
}

impl Permit for RunPermit {
    fn granted(&self) -> bool {
        !self.cancel.is_cancelled() && self.tenure.held()
    }

    fn withdrawn(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            tokio::select! {
                () = self.cancel.cancelled() => {}
                () = self.tenure.lost() => {}
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_permit_ends_with_its_deadline_or_its_cancellation() {
        let (sender, receiver) = watch::channel(Some(Instant::now() + Duration::from_millis(30)));
        let permit = RunPermit {
            tenure: Tenure::new(receiver),
            cancel: Arc::new(CancellationToken::new()),
        };
        assert!(permit.granted());
        sender.send_replace(None);
        assert!(!permit.granted());
        permit.withdrawn().await;

        let unlimited = RunPermit {
            tenure: Tenure::unlimited(),
            cancel: Arc::new(CancellationToken::new()),
        };
        assert!(unlimited.granted());
        unlimited.cancel.cancel();
        assert!(!unlimited.granted());
        unlimited.withdrawn().await;
    }
}
