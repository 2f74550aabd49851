//! Telling seldom what happens often: a stranger who knocks all day must not fill the diagnostics.

use std::time::Duration;

use tokio::time::Instant;

/// How often something is told at most.
const EVERY: Duration = Duration::from_mins(1);

/// Counts what happens between two tellings.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    told_at: Option<Instant>,
    n_untold: u64,
}

impl Seldom {
    /// Notes that it happened once more. How often it has since it was told last, when it is to be told now.
    pub(super) fn note(&mut self, now: Instant) -> Option<u64> {
        self.n_untold += 1;
        if self.told_at.is_some_and(|told_at| now.duration_since(told_at) < EVERY) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.n_untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_all_the_time_is_told_once_a_minute_with_its_number() {
        let mut seldom = Seldom::default();
        let start = Instant::now();
        assert_eq!(seldom.note(start), Some(1));
        assert_eq!(seldom.note(start), None);
        assert_eq!(seldom.note(start + EVERY / 2), None);
        assert_eq!(seldom.note(start + EVERY), Some(3));
    }
}
