//! Writes the journal that `tests/format_v1.rs` opens, with everything that format version 1 knows: sealed segments, an
//! anchor, an erased record, a request key, consumers with settled blocks out of order.
//!
//! `cargo run -p idstream-journal --example make_fixture -- crates/journal/tests/fixtures/v1`. Run it once per format
//! version; fixtures of released versions are never written again.

#![expect(clippy::expect_used, reason = "a program for developers")]

use std::sync::Arc;

use base::Random;
use event::{Stream, StreamSet};
use journal::conformance::{append, clock, confirmed, id, limits, name};
use journal::disk::RealDisk;
use journal::local::{LocalJournal, LocalOptions};
use journal::{Append, ConsumerCommand, Journal, LeaseLimits, Offset, RequestKey, Settlement, StartAt};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = std::env::args().nth(1).expect("give a directory");
    let disk = RealDisk::open(&directory).expect("open the directory");
    let options = LocalOptions { segment_bytes: 1_000, ..LocalOptions::default() };
    let journal =
        LocalJournal::open(Arc::new(disk), Arc::new(clock()), Arc::new(Random::from_seed(1)), options);
    let journal = journal.expect("open the journal");
    let create = |consumer, streams| ConsumerCommand::Create {
        name: name(consumer),
        streams,
        start: StartAt::Earliest,
        until: None,
    };
    journal.consumers(create("cfg/a", StreamSet::product())).await.expect("create");
    journal.consumers(create("quarantine", Stream::Quarantine.into())).await.expect("create");
    journal.append(append(Stream::AccountEvent, 1..=8)).await.expect("append");
    journal.append(append(Stream::AuditLog, 9..=12)).await.expect("append");
    journal.append(append(Stream::Quarantine, 13..=16)).await.expect("append");
    let key = RequestKey { id: id(77), digest: [7; 8] };
    let keyed = Append { request_key: Some(key), ..append(Stream::EventHookLog, 17..=18) };
    journal.append(keyed).await.expect("append");
    journal.append(append(Stream::AccountEvent, [19])).await.expect("append");

    let leases =
        journal.lease(&name("cfg/a"), StreamSet::product(), LeaseLimits { max_blocks: 4, ..limits() }).await;
    for lease in leases.expect("lease") {
        // Block 1 is trimmed unsettled, block 4 is left pending.
        if matches!(lease.block.sequence(), 2 | 5) {
            let done = Settlement::Done(confirmed(&lease.block));
            journal.settle(lease.id, done).await.expect("settle");
        }
    }
    journal.erase(&[Offset { block: 2, index: 1 }]).await.expect("erase");
    journal.trim(2).await.expect("trim");
    journal.append(append(Stream::AccountEvent, [20])).await.expect("append");
    journal.close().await.expect("close");
    std::fs::remove_file(format!("{directory}/lock")).expect("remove the lock file");
}
