//! How fast a run may send.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Spaces requests out: after one with so many events none is sent until as many would have been due one by one. So in any
/// time there are at most as many as the rate allows, and those of one request: a second's worth.
#[derive(Debug)]
pub(crate) struct Throttle(Mutex<Paced>);

#[derive(Clone, Copy, Debug)]
struct Paced {
    max_per_second: Option<u32>,
    /// Nothing is sent before.
    next: Option<Instant>,
}

impl Throttle {
    pub(crate) const fn new(max_per_second: Option<u32>) -> Self {
        Self(Mutex::new(Paced { max_per_second, next: None }))
    }

    /// Another rate from now on.
    pub(crate) fn set(&self, max_per_second: Option<u32>) {
        self.0.lock().max_per_second = max_per_second;
    }

    /// Most events of one request.
    pub(crate) fn max_events(&self, max: usize) -> usize {
        self.0.lock().max_per_second.map_or(max, |rate| max.min(rate.max(1) as usize))
    }

    /// When the next request may go out; `None`: now.
    pub(crate) fn opens_at(&self, now: Instant) -> Option<Instant> {
        let paced = *self.0.lock();
        paced.next.filter(|next| *next > now && paced.max_per_second.is_some())
    }

    /// A request with so many events goes out.
    pub(crate) fn sent(&self, now: Instant, n_events: usize) {
        let mut paced = self.0.lock();
        if let Some(rate) = paced.max_per_second {
            let takes = Duration::from_secs_f64(n_events as f64 / f64::from(rate.max(1)));
            paced.next = Some(paced.next.map_or(now, |next| next.max(now)) + takes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_costs_the_time_that_its_events_take() {
        let throttle = Throttle::new(Some(100));
        let now = Instant::now();
        assert_eq!((throttle.max_events(4000), throttle.opens_at(now)), (100, None));
        throttle.sent(now, 50);
        let half = now + Duration::from_millis(500);
        assert_eq!(throttle.opens_at(now), Some(half));
        assert_eq!(throttle.opens_at(half), None);
        throttle.sent(half + Duration::from_mins(1), 100);
        assert_eq!(
            throttle.opens_at(half),
            Some(half + Duration::from_secs(61)),
            "idle time is not made up for"
        );
        throttle.set(None);
        assert_eq!((throttle.max_events(4000), throttle.opens_at(half)), (4000, None));
        let unlimited = Throttle::new(None);
        unlimited.sent(now, 1_000_000);
        assert_eq!(unlimited.opens_at(now), None);
    }
}
