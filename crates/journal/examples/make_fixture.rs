//! Writes the journal that `tests/format_v2.rs` opens, with everything that the format knows: sealed segments, a signed
//! anchor, an erased record, a lost block, a request key, consumers with settled blocks out of order. The fixture of
//! version 1 was written by it before there were signatures and lost blocks.
//!
//! `cargo run -p idstream-journal --example make_fixture -- crates/journal/tests/fixtures/v2`. Run it once per format
//! version; fixtures of released versions are never written again.

#![expect(clippy::expect_used, reason = "a program for developers")]

use std::sync::Arc;

use base::Random;
use event::{Stream, StreamSet};
use journal::conformance::{append, clock, confirmed, id, limits, name};
use journal::disk::{Disk, RealDisk};
use journal::local::{LocalJournal, LocalOptions, Repair, Seen, Survey, Watch};
use journal::signing::SigningKey;
use journal::{Append, ConsumerCommand, Journal, LeaseLimits, Offset, RequestKey, Settlement, StartAt};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = std::env::args().nth(1).expect("give a directory");
    let disk = RealDisk::open(&directory).expect("open the directory");
    let options = LocalOptions { segment_bytes: 1_000, ..LocalOptions::default() };
    let journal =
        LocalJournal::open(Arc::new(disk), Arc::new(clock()), Arc::new(Random::from_seed(1)), options);
    let journal = journal.expect("open the journal");
    let key = SigningKey::from_seed(&[7; 32]).expect("a key");
    journal.sign_with(Arc::new(key));
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
    lose_block_3(&directory).await;
    std::fs::remove_file(format!("{directory}/lock")).expect("remove the lock file");
}

struct Unwatched;

impl Watch for Unwatched {
    fn progress(&mut self, _: u64, _: u64) {}
    fn restart(&mut self) {}
    fn block(&mut self, _: &Seen<'_>) {}
}

/// Damages a block and gives it up.
async fn lose_block_3(directory: &str) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory).expect("open the directory"));
    let segment = disk.open("0000000000000002.segment").expect("open the second segment");
    let mut bytes = vec![0; segment.len().expect("its length") as usize];
    segment.read_exact_at(&mut bytes, 0).expect("read it");
    // The next block begins with the magic of blocks; 3 is the second in this segment.
    let third =
        bytes.windows(4).enumerate().filter(|(_, window)| window == b"iBLK").nth(1).expect("block 3").0;
    segment.write_all_at(b"x", third as u64 + 200).expect("damage it");
    let lock = disk.lock().expect("lock");
    let repair =
        Repair::plan(Survey::of(disk.as_ref(), None, &mut Unwatched).expect("survey")).expect("plan");
    let random = Arc::new(Random::from_seed(1));
    repair.carry_out(disk, lock, Arc::new(clock()), random, &[]).await.expect("mend");
}
