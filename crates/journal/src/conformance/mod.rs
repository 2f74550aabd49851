//! The conformance suite: what every backend must do, as functions over the seam.
//!
//! A backend's tests call [`conformance_suite!`](crate::conformance_suite) with a function that opens an empty journal.
//! The suite runs with a paused runtime clock; a wall clock that the suite turns by hand is handed over.

#![expect(clippy::expect_used, clippy::panic, reason = "tests, though they live in the library")]

pub mod appends;
pub mod consumers;
pub mod leases;
pub mod reads;

use std::sync::Arc;
use std::time::Duration;

use base::{EventId, ManualClock, Timestamp};
use event::{RecordBuilder, Section, Stream, StreamSet};

use crate::{
    Append, Block, Consumer, ConsumerCommand, ConsumerName, Entry, Journal, Lease, LeaseLimits, OnConflict,
    Producer, ReadRange, Receipt, Settlement, StartAt, Tally,
};

/// Makes one test per function of the suite. `$open` is a function from an `Arc<ManualClock>` to an empty
/// `Arc<dyn Journal>` and whatever must outlive it.
#[macro_export]
macro_rules! conformance_suite {
    ($open:expr) => {
        $crate::conformance_suite!(@module $open, appends:
            records_come_back_as_they_were_appended, receipts_name_the_place_of_each_event,
            an_id_is_stored_once, appends_at_once_store_an_id_once, an_id_belongs_to_its_producer_and_content,
            a_key_with_another_body_stores_nothing, a_key_is_forgotten_after_a_day,
            a_forgotten_key_can_be_used_again_for_a_day,
            what_is_no_record_of_the_stream_is_refused);
        $crate::conformance_suite!(@module $open, leases:
            a_settled_block_does_not_come_again, a_block_handed_back_comes_again_after_its_delay,
            an_expired_lease_is_stale_and_the_block_comes_again, an_extended_lease_lasts,
            limits_bound_a_lease_but_one_block_always_fits, a_lease_waits_for_an_append,
            a_lease_waits_for_a_block_to_come_back, a_lease_waits_for_one_that_was_cut_short, leasing_streams_one_by_one_misses_nothing,
            a_tally_that_does_not_count_every_event_is_refused, endless_durations_are_no_error,
            without_a_consumer_nothing_is_leased);
        $crate::conformance_suite!(@module $open, consumers:
            consumers_do_not_know_of_each_other, consumers_begin_where_they_are_told,
            a_consumer_ends_where_it_is_told, the_books_balance_at_every_step, a_consumers_books_count_its_streams_only,
            seeking_gives_up_what_is_passed, seeking_back_is_refused,
            expiring_concerns_one_consumer_alone, trimming_expires_what_was_not_settled,
            trimming_leaves_settled_events_alone, a_removed_consumers_leases_are_stale);
        $crate::conformance_suite!(@module $open, reads:
            reading_in_steps_sees_every_block_once, reading_is_bounded_by_bytes_and_range, reading_sees_settled_blocks);
    };
    (@module $open:expr, $module:ident: $($name:ident),+ $(,)?) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    let clock = std::sync::Arc::new($crate::conformance::clock());
                    let (journal, _guard) = $open(std::sync::Arc::clone(&clock));
                    $crate::conformance::$module::$name($crate::conformance::Rig { journal, clock }).await;
                }
            )+
        }
    };
}

/// A journal under test.
pub struct Rig {
    /// The journal, empty.
    pub journal: Arc<dyn Journal>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
}

/// The clock that a test begins with.
pub fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(1_800_000_000_000).unwrap_or_default())
}

/// The event id with this number.
pub fn id(n: u64) -> EventId {
    EventId::from_bytes((u128::from(n) << 8 | 0x0197_f3a0_6c1e_7000_8000_0000_0000_0000).to_be_bytes())
}

/// A record of about `bytes` bytes.
pub fn record(stream: Stream, n: u64, text: &str) -> Vec<u8> {
    let at = clock_start();
    let mut builder = RecordBuilder::new(stream, id(n), at, at);
    builder.section_with(Section::Raw, |body| body.push_str(text));
    builder.finish().unwrap_or_default()
}

fn clock_start() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000).unwrap_or_default()
}

/// An entry of producer 1 with the event id of this number.
pub fn entry(stream: Stream, n: u64) -> Entry {
    Entry {
        record: record(stream, n, &format!("\"event {n}\"")),
        producer: Producer(1),
        on_conflict: OnConflict::Refuse,
    }
}

/// An append of events with these numbers.
pub fn append(stream: Stream, numbers: impl IntoIterator<Item = u64>) -> Append {
    let entries = numbers.into_iter().map(|n| entry(stream, n)).collect();
    Append { stream, entries, request_key: None }
}

/// A consumer's name.
pub fn name(text: &str) -> ConsumerName {
    ConsumerName::new(text).unwrap_or_else(|| unreachable!("{text} is a consumer's name"))
}

/// Limits without bounds, for an hour, without waiting.
pub const fn limits() -> LeaseLimits {
    LeaseLimits {
        max_blocks: 1000,
        max_bytes: usize::MAX,
        ttl: Duration::from_hours(1),
        wait: Duration::ZERO,
    }
}

/// A tally that counts every event of a block as confirmed.
pub fn confirmed(block: &Block) -> Tally {
    Tally { confirmed: block.n_records() as u64, ..Tally::default() }
}

impl Rig {
    /// Stores one event a block.
    async fn store(&self, stream: Stream, numbers: impl IntoIterator<Item = u64>) {
        for n in numbers {
            self.store_together(stream, [n]).await;
        }
    }

    /// Stores events in one append; all must be new.
    async fn store_together(&self, stream: Stream, numbers: impl IntoIterator<Item = u64>) {
        let appended = self.journal.append(append(stream, numbers)).await.expect("append");
        assert!(
            appended.receipts.iter().all(|receipt| matches!(receipt, Receipt::Stored(_))),
            "{appended:?}"
        );
    }

    async fn create(&self, consumer: &str, streams: StreamSet, start: StartAt) -> Consumer {
        self.create_until(consumer, streams, start, None).await
    }

    async fn create_until(
        &self,
        consumer: &str,
        streams: StreamSet,
        start: StartAt,
        until: Option<u64>,
    ) -> Consumer {
        let command = ConsumerCommand::Create { name: name(consumer), streams, start, until };
        self.journal.consumers(command).await.expect("create").pop().expect("the created consumer")
    }

    /// A consumer's state.
    async fn consumer(&self, consumer: &str) -> Consumer {
        let all = self.journal.consumers(ConsumerCommand::List).await.expect("list");
        all.into_iter().find(|found| found.name == name(consumer)).expect("the consumer")
    }

    async fn lease_with(&self, consumer: &str, limits: LeaseLimits) -> Vec<Lease> {
        self.journal.lease(&name(consumer), StreamSet::product(), limits).await.expect("lease")
    }

    async fn lease(&self, consumer: &str) -> Vec<Lease> {
        self.lease_with(consumer, limits()).await
    }

    async fn confirm(&self, lease: &Lease) {
        self.journal.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await.expect("settle");
    }

    /// Every block, read in one go.
    async fn all(&self) -> Vec<Arc<Block>> {
        self.read(1, u64::MAX, usize::MAX).await
    }

    async fn read(&self, from: u64, until: u64, max_bytes: usize) -> Vec<Arc<Block>> {
        let range = ReadRange { streams: StreamSet::product(), from, until, max_bytes };
        self.journal.read(range).await.expect("read")
    }
}

fn sequences(leases: &[Lease]) -> Vec<u64> {
    leases.iter().map(|lease| lease.block.sequence()).collect()
}

fn ids(blocks: &[Arc<Block>]) -> Vec<EventId> {
    blocks.iter().flat_map(|block| block.records().map(|(_, record)| record.event_id())).collect()
}
