//! How fast we write: a token bucket of the published quota (3,000 writes per 150 s), full to four fifths at first, for a
//! usage of 0.8 ends bursts.
//!
//! When the header tells such a usage earlier, for one window no more than two batches gather. A refusal for quota empties the
//! bucket until its `Retry-After` has passed and halves the pace for one window. Source: "Microsoft Graph throttling
//! limits", identity and access service.

use std::time::Duration;

use tokio::time::Instant;

/// Writes permitted per window, for one application and tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceLimit {
    pub writes: u32,
    pub window: Duration,
}

impl Default for PaceLimit {
    /// The published quota.
    fn default() -> Self {
        Self {
            writes: 3_000,
            window: Duration::from_secs(150),
        }
    }
}

/// What may gather when bursts have ended: two batches.
const STEADY: f64 = 40.0;
/// The share of the quota that a burst may use.
const BURST: f64 = 0.8;

#[derive(Debug)]
pub(crate) struct Pace {
    limit: PaceLimit,
    tokens: f64,
    at: Instant,
    paused_until: Instant,
    steady_until: Instant,
    halved_until: Instant,
}

impl Pace {
    pub(crate) fn new(limit: PaceLimit, now: Instant) -> Self {
        Self {
            limit,
            tokens: (f64::from(limit.writes) * BURST).max(1.0),
            at: now,
            paused_until: now,
            steady_until: now,
            halved_until: now,
        }
    }

    /// Writes per second now.
    fn rate(&self) -> f64 {
        let rate = f64::from(self.limit.writes) / self.limit.window.as_secs_f64().max(0.001);
        let rate = rate.max(0.001);
        if self.at < self.halved_until {
            rate / 2.0
        } else {
            rate
        }
    }

    fn refill(&mut self, now: Instant) {
        // A pause gives nothing; the time after it counts.
        let from = self.at.max(self.paused_until.min(now));
        let rate = self.rate();
        let capacity = f64::from(self.limit.writes) * BURST;
        let capacity = if now < self.steady_until {
            capacity.min(STEADY)
        } else {
            capacity
        };
        self.tokens = (self.tokens + rate * (now - from).as_secs_f64()).min(capacity.max(1.0));
        self.at = now;
    }

    /// Takes leave for `writes` writes, or says how long to wait for it.
    pub(crate) fn take(&mut self, writes: usize, now: Instant) -> Result<(), Duration> {
        self.refill(now);
        let writes = f64::from(u32::try_from(writes).unwrap_or(u32::MAX));
        let pause = self.paused_until.saturating_duration_since(now);
        if pause.is_zero() && self.tokens >= writes {
            self.tokens -= writes;
            return Ok(());
        }
        let missing = Duration::from_secs_f64((writes - self.tokens).max(0.0) / self.rate());
        Err(pause + missing.max(Duration::from_millis(1)))
    }

    /// Most writes that leave can ever be had for at once.
    pub(crate) fn largest(&self) -> usize {
        usize::try_from(self.limit.writes / 5 * 4)
            .unwrap_or(usize::MAX)
            .max(1)
    }

    /// An answer told which share of the quota is used.
    pub(crate) fn used(&mut self, share: f64, now: Instant) {
        if share >= BURST {
            self.refill(now);
            self.steady_until = now + self.limit.window;
            self.tokens = self.tokens.min(STEADY);
        }
    }

    /// A write was refused for quota.
    pub(crate) fn refused(&mut self, retry_after: Duration, now: Instant) {
        self.refill(now);
        self.tokens = 0.0;
        self.paused_until = self.paused_until.max(now + retry_after);
        self.halved_until = self.paused_until + self.limit.window;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: PaceLimit = PaceLimit {
        writes: 3_000,
        window: Duration::from_secs(150),
    };

    /// A pace and its clock, which only moves when told.
    struct Run {
        pace: Pace,
        now: Instant,
    }

    impl Run {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                pace: Pace::new(LIMIT, now),
                now,
            }
        }

        /// Takes batches of 20 for `seconds` and tells how many writes had leave.
        fn writes_in(&mut self, seconds: u64) -> usize {
            let end = self.now + Duration::from_secs(seconds);
            let mut writes = 0;
            loop {
                match self.pace.take(20, self.now) {
                    Ok(()) => writes += 20,
                    Err(wait) if self.now + wait > end => break,
                    Err(wait) => self.now += wait,
                }
            }
            self.now = end;
            writes
        }
    }

    #[test]
    fn a_full_bucket_bursts_and_then_keeps_the_pace() {
        let mut run = Run::new();
        assert_eq!(run.writes_in(0), 2_400);
        let used = run.writes_in(150);
        assert!((2_960..=3_000).contains(&used), "{used}");
    }

    #[test]
    fn a_usage_header_of_four_fifths_ends_the_burst_and_not_the_pace() {
        let mut run = Run::new();
        assert!(run.pace.take(1_000, run.now).is_ok());
        run.pace.used(0.79, run.now);
        assert!(run.pace.take(1_000, run.now).is_ok());
        let mut writes = 0;
        for _ in 0..150 {
            run.pace.used(0.8, run.now);
            writes += run.writes_in(1);
        }
        // At least 95 % of the quota of one window, and no burst above it.
        assert!((2_850..=3_060).contains(&writes), "{writes}");
    }

    #[test]
    fn a_refusal_waits_for_its_time_and_halves_the_pace_for_one_window() {
        let mut run = Run::new();
        run.pace.refused(Duration::from_secs(10), run.now);
        assert_eq!(run.writes_in(10), 0);
        let halved = run.writes_in(150);
        assert!((1_460..=1_500).contains(&halved), "{halved}");
        let whole = run.writes_in(150);
        assert!((2_960..=3_040).contains(&whole), "{whole}");
    }
}
