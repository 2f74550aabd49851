//! Giving up the oldest events of a spent budget.

use std::time::Duration;

use base::Timestamp;
use event::StreamSet;
use journal::{ConsumerCommand, ConsumerState, Journal, JournalError, ReadRange, StartAt};

use super::Budget;
use crate::places::consumer_name;

/// Bytes of blocks that are looked at together.
const STEP_BYTES: usize = 2 << 20;
/// Bytes that are given up in one round. What is left is given up in the next one.
const ROUND_BYTES: u64 = 64 << 20;

/// What a backlog has still to be reduced by.
struct Excess {
    /// Bytes above the limit.
    bytes: u64,
    max_age: Option<Duration>,
    now: Timestamp,
}

impl Excess {
    fn of(budget: &Budget, bytes: u64, now: Timestamp) -> Self {
        let above = budget.max_bytes.map_or(0, |max| bytes.saturating_sub(max));
        Self { bytes: above, max_age: budget.max_age(), now }
    }

    /// Whether the next block, of so many bytes, must go.
    fn takes(&mut self, bytes: u64, appended_at: Timestamp) -> bool {
        let is_old = self.max_age.is_some_and(|max| self.now.since(appended_at) > max);
        let goes = self.bytes > 0 || is_old;
        self.bytes = self.bytes.saturating_sub(bytes);
        goes
    }
}

/// Gives up the oldest events of the configuration with this id until its budget is not spent any more, or for a round's
/// worth. They count as expired, whole blocks at a time; of those that are under way to the destination at this moment some
/// may arrive all the same. Answers how many events that were.
pub async fn release(
    journal: &dyn Journal,
    id: &str,
    budget: &Budget,
    now: Timestamp,
) -> Result<u64, JournalError> {
    let Some(name) = consumer_name(id) else { return Ok(0) };
    let consumers = journal.consumers(ConsumerCommand::List).await?;
    let Some(before) = consumers.into_iter().find(|each| each.name == name).map(|each| each.state) else {
        return Ok(0);
    };
    let below = release_point(journal, &before, budget, now).await?;
    if below <= before.floor {
        return Ok(0);
    }
    let after = journal.consumers(ConsumerCommand::Expire { name, to: StartAt::Block(below) }).await?;
    let expired = after.first().map_or(0, |each| each.state.tally.expired);
    Ok(expired.saturating_sub(before.tally.expired))
}

async fn release_point(
    journal: &dyn Journal,
    state: &ConsumerState,
    budget: &Budget,
    now: Timestamp,
) -> Result<u64, JournalError> {
    let mut excess = Excess::of(budget, state.pending_bytes, now);
    let next = journal.head().next;
    let (mut point, mut at, mut released) = (state.floor, state.floor, 0);
    while released < ROUND_BYTES && at < next {
        let range = ReadRange { streams: StreamSet::product(), from: at, until: next, max_bytes: STEP_BYTES };
        let blocks = match journal.read(range).await {
            Ok(blocks) => blocks,
            // It goes with what lies behind it, if that must go.
            Err(JournalError::Damaged(what)) => {
                tracing::debug!(what, "a damaged block is passed over while the oldest events are given up");
                at += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        if blocks.is_empty() {
            return Ok(point);
        }
        for block in blocks {
            let bytes = block.payload_bytes() as u64;
            if !excess.takes(bytes, block.appended_at()) {
                return Ok(point);
            }
            point = block.sequence() + 1;
            at = point;
            released += bytes;
        }
    }
    Ok(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of ten blocks of 100 bytes, one an hour, go at the eleventh hour.
    fn gone(budget: &Budget) -> Vec<u64> {
        let at = |hour: u64| Timestamp::default().plus(Duration::from_hours(hour));
        let mut excess = Excess::of(budget, 1_000, at(11));
        (1..=10).take_while(|hour| excess.takes(100, at(*hour))).collect()
    }

    #[test]
    fn as_many_of_the_oldest_blocks_go_as_must() {
        let budget = |max_bytes, max_age_hours| Budget { max_bytes, max_age_hours, ..Budget::default() };
        assert_eq!(gone(&budget(None, None)), [0; 0]);
        assert_eq!(gone(&budget(Some(1_000), Some(10))), [0; 0]);
        assert_eq!(gone(&budget(Some(750), None)), [1, 2, 3]);
        assert_eq!(gone(&budget(None, Some(6))), [1, 2, 3, 4]);
        assert_eq!(gone(&budget(Some(950), Some(8))), [1, 2]);
        assert_eq!(gone(&budget(Some(0), None)).len(), 10);
    }
}
