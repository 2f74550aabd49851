//! The local journal when the disk, or somebody, misbehaves.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use base::{ManualClock, Random};
use event::{Stream, StreamSet};
use journal::conformance::{append, clock, confirmed, id, limits, name};
use journal::local::{LocalJournal, LocalOptions};
use journal::{
    AppendError, Appended, Block, ConsumerCommand, Journal, JournalError, Offset, ReadRange, Receipt,
    RequestKey, Settlement, StartAt,
};
use testkit::disk::{Faults, SimDisk};

const ACCOUNT: Stream = Stream::AccountEvent;
const FIRST: &str = "0000000000000001.segment";

struct Rig {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    options: LocalOptions,
}

impl Rig {
    fn new(segment_bytes: u64) -> Self {
        let options = LocalOptions { segment_bytes, cache_bytes: 0, ..LocalOptions::default() };
        Self { disk: SimDisk::new(7), clock: Arc::new(clock()), options }
    }

    fn try_open(&self) -> Result<LocalJournal, JournalError> {
        let (clock, random) = (Arc::clone(&self.clock), Arc::new(Random::from_seed(1)));
        LocalJournal::open(Arc::new(self.disk.clone()), clock, random, self.options)
    }

    fn open(&self) -> LocalJournal {
        self.try_open().unwrap()
    }

    /// Stores events one a block, ends the process without a word, and answers the journal's files anew.
    async fn filled(segment_bytes: u64, n: u64) -> Self {
        let rig = Self::new(segment_bytes);
        let journal = rig.open();
        store(&journal, 1..=n).await;
        drop(journal);
        rig
    }

    fn damage(&self) -> String {
        match self.try_open().map(|_| ()) {
            Err(JournalError::Damaged(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    fn flip(&self, file: &str, at: usize) {
        let mut bytes = self.disk.bytes(file).unwrap();
        bytes[at] ^= 1;
        self.disk.set_bytes(file, bytes);
    }
}

async fn store(journal: &LocalJournal, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        assert_eq!(receipts(journal, n).await, [true], "event {n}");
    }
}

/// Whether the event was stored (or is a duplicate).
async fn receipts(journal: &LocalJournal, n: u64) -> Vec<bool> {
    let Appended { receipts } = journal.append(append(ACCOUNT, [n])).await.unwrap();
    receipts.into_iter().map(|receipt| matches!(receipt, Receipt::Stored(_))).collect()
}

async fn all(journal: &LocalJournal) -> Vec<Arc<Block>> {
    let range = ReadRange { streams: StreamSet::product(), from: 0, until: u64::MAX, max_bytes: usize::MAX };
    journal.read(range).await.unwrap()
}

async fn stored_ids(journal: &LocalJournal) -> Vec<base::EventId> {
    let blocks = all(journal).await;
    blocks.iter().flat_map(|block| block.records().map(|(_, record)| record.event_id())).collect()
}

#[tokio::test]
async fn a_failed_write_or_sync_poisons_the_journal_until_it_is_opened_again() {
    for faults in [
        Faults { fail_write_after: Some(0), ..Faults::default() },
        Faults { fail_sync_after: Some(0), ..Faults::default() },
    ] {
        let rig = Rig::filled(1_000_000, 2).await;
        let journal = rig.open();
        rig.disk.set_faults(faults);
        for _ in 0..2 {
            // The disk fails once only: what poisons is that nobody knows what it did.
            let answer = journal.append(append(ACCOUNT, [3])).await;
            assert!(matches!(answer, Err(AppendError::Journal(JournalError::Poisoned))), "{answer:?}");
            assert!(journal.head().poisoned);
        }
        assert!(matches!(journal.close().await, Err(JournalError::Poisoned)));
        rig.disk.crash();
        let journal = rig.open();
        assert!(!journal.head().poisoned);
        receipts(&journal, 3).await;
        assert_eq!(stored_ids(&journal).await, [id(1), id(2), id(3)]);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let rig = Rig::filled(1_000_000, 2).await;
    let journal = rig.open();
    let used = rig.disk.bytes(FIRST).unwrap();
    rig.disk.set_faults(Faults { capacity: Some(used.len() as u64 + 300), ..Faults::default() });
    for _ in 0..2 {
        assert!(matches!(journal.append(append(ACCOUNT, [3])).await, Err(AppendError::Full)));
        assert_eq!(rig.disk.bytes(FIRST).unwrap(), used, "what was written in part is cut off");
    }
    assert!(!journal.head().poisoned);
    rig.disk.set_faults(Faults::default());
    store(&journal, [3]).await;
    journal.verify().await.unwrap();
    assert_eq!(stored_ids(&journal).await, [id(1), id(2), id(3)]);
}

#[tokio::test]
async fn a_disk_that_fills_up_at_a_new_segment_refuses_and_goes_on() {
    let rig = Rig::filled(1, 1).await;
    let journal = rig.open();
    let used: usize = ["consumers", FIRST].into_iter().map(|file| rig.disk.bytes(file).unwrap().len()).sum();
    rig.disk.set_faults(Faults { capacity: Some(used as u64 + 100), ..Faults::default() });
    assert!(matches!(journal.append(append(ACCOUNT, [2])).await, Err(AppendError::Full)));
    rig.disk.set_faults(Faults::default());
    store(&journal, [2, 3]).await;
    drop(journal);
    rig.disk.crash();
    assert_eq!(stored_ids(&rig.open()).await, [id(1), id(2), id(3)]);
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_one_closes() {
    let rig = Rig::new(1_000);
    let journal = rig.open();
    assert!(matches!(rig.try_open().map(|_| ()), Err(JournalError::Refused(_))));
    journal.close().await.unwrap();
    rig.open();
}

#[tokio::test]
async fn a_closed_journal_answers_that_it_is_closed() {
    let rig = Rig::new(1_000);
    let journal = rig.open();
    journal.close().await.unwrap();
    let answer = journal.append(append(ACCOUNT, [1])).await;
    assert!(matches!(answer, Err(AppendError::Journal(JournalError::Closed))));
    assert!(matches!(journal.trim(1).await, Err(JournalError::Closed)));
    assert!(matches!(journal.close().await, Err(JournalError::Closed)));
}

#[tokio::test]
async fn what_is_settled_before_closing_stays_settled() {
    let rig = Rig::new(600);
    let journal = rig.open();
    let command = ConsumerCommand::Create {
        name: name("c"),
        streams: StreamSet::product(),
        start: StartAt::Earliest,
        until: None,
    };
    journal.consumers(command).await.unwrap();
    store(&journal, 1..=6).await;
    let leases = journal.lease(&name("c"), StreamSet::product(), limits()).await.unwrap();
    for at in [0, 1, 4] {
        let settlement = Settlement::Done(confirmed(&leases[at].block));
        journal.settle(leases[at].id, settlement).await.unwrap();
    }
    journal.close().await.unwrap();
    rig.disk.crash();
    let journal = rig.open();
    let leases = journal.lease(&name("c"), StreamSet::product(), limits()).await.unwrap();
    assert_eq!(leases.iter().map(|lease| lease.block.sequence()).collect::<Vec<_>>(), [3, 4, 6]);
    let state = journal.consumers(ConsumerCommand::List).await.unwrap().remove(0).state;
    assert_eq!((state.floor, state.appended, state.tally.confirmed), (3, 6, 3));
}

#[tokio::test]
async fn a_flipped_bit_in_what_was_durable_is_named() {
    // Block 2 says that block 1 was durable.
    let rig = Rig::filled(1_000_000, 3).await;
    rig.flip(FIRST, 192 + 200);
    let what = rig.damage();
    assert!(what.contains(FIRST) && what.contains("byte 192") && what.contains("block 1"), "{what}");
}

#[tokio::test]
async fn a_cut_in_what_a_checkpoint_knew_is_named() {
    let rig = Rig::new(1_000_000);
    let journal = rig.open();
    store(&journal, 1..=3).await;
    journal.close().await.unwrap();
    let bytes = rig.disk.bytes(FIRST).unwrap();
    rig.disk.set_bytes(FIRST, bytes[..bytes.len() - 1].to_vec());
    assert!(rig.damage().contains("block 3 was durable"));
    rig.disk.set_bytes(FIRST, bytes[..192].to_vec());
    assert!(rig.damage().contains("block 1 was durable"));
}

#[tokio::test]
async fn a_flipped_bit_in_a_sealed_segment_is_named_when_it_is_read() {
    let rig = Rig::filled(1, 4).await;
    rig.flip(FIRST, 192 + 200);
    let journal = rig.open();
    for answer in [
        journal.verify().await.map(|_| ()),
        journal
            .read(ReadRange { streams: StreamSet::product(), from: 1, until: 2, max_bytes: 1 })
            .await
            .map(|_| ()),
    ] {
        let Err(JournalError::Damaged(what)) = answer else { panic!("{answer:?}") };
        assert!(what.contains(FIRST) && what.contains("byte 192"), "{what}");
    }
}

#[tokio::test]
async fn a_missing_file_is_named() {
    for (file, expected) in [
        ("0000000000000002.segment", "0000000000000002.segment is missing"),
        (FIRST, "no segment begins with block 1"),
        ("consumers", "consumers is missing"),
    ] {
        let rig = Rig::filled(1, 4).await;
        rig.disk.forget(file);
        let what = rig.damage();
        assert!(what.contains(expected), "{what}");
    }
}

#[tokio::test]
async fn a_torn_tail_is_kept_in_lost_and_found() {
    let rig = Rig::filled(1_000_000, 3).await;
    let mut bytes = rig.disk.bytes(FIRST).unwrap();
    bytes.truncate(bytes.len() - 5);
    rig.disk.set_bytes(FIRST, bytes.clone());
    let journal = rig.open();
    assert_eq!(stored_ids(&journal).await, [id(1), id(2)]);
    let cut = journal.recovery().cut_bytes as usize;
    let kept = journal::disk::Disk::list(&rig.disk, "lost+found").unwrap();
    let kept = rig.disk.bytes(&format!("lost+found/{}", kept[0])).unwrap();
    assert_eq!(kept, bytes[bytes.len() - cut..]);
    store(&journal, [3]).await;
    assert_eq!(all(&journal).await[2].sequence(), 3);
}

#[tokio::test]
async fn stale_bytes_of_a_recycled_file_never_validate() {
    // The blocks of another segment, and a block that was there already, lie after the end.
    let rig = Rig::filled(600, 8).await;
    let last = journal::disk::Disk::list(&rig.disk, "").unwrap();
    let last = last.iter().filter(|file| file.strip_suffix(".segment").is_some()).max().unwrap();
    let blocks = |file: &str| rig.disk.bytes(file).unwrap()[192..].to_vec();
    for stale in [blocks(FIRST), blocks(last)] {
        let mut bytes = rig.disk.bytes(last).unwrap();
        let len = bytes.len();
        bytes.extend_from_slice(&stale);
        rig.disk.set_bytes(last, bytes.clone());
        let journal = rig.open();
        assert_eq!(stored_ids(&journal).await, (1..=8).map(id).collect::<Vec<_>>());
        drop(journal);
        assert_eq!(rig.disk.bytes(last).unwrap(), bytes[..len]);
    }
}

#[tokio::test]
async fn ids_and_keys_are_known_after_a_restart_also_without_their_sidecars() {
    for damage in ["none", "removed", "flipped", "cut"] {
        let rig = Rig::new(1);
        let journal = rig.open();
        store(&journal, 1..=5).await;
        let key = RequestKey { id: id(1), digest: [1; 8] };
        let keyed = |digest, n| {
            let key = RequestKey { digest: [digest; 8], ..key };
            journal::Append { request_key: Some(key), ..append(ACCOUNT, [n]) }
        };
        journal.append(keyed(1, 6)).await.unwrap();
        store(&journal, [7]).await;
        drop(journal);
        rig.disk.kill();
        let mut sidecars = journal::disk::Disk::list(&rig.disk, "").unwrap();
        sidecars.retain(|file| file.strip_suffix(".ids").is_some());
        assert_eq!(sidecars.len(), 6);
        for file in &sidecars {
            match damage {
                "removed" => rig.disk.forget(file),
                "flipped" => rig.flip(file, rig.disk.bytes(file).unwrap().len() - 4000),
                "cut" => rig.disk.set_bytes(file, Vec::new()),
                _ => {}
            }
        }
        let journal = rig.open();
        for n in 1..=7 {
            assert_eq!(receipts(&journal, n).await, [false], "event {n}, sidecars {damage}");
        }
        assert!(matches!(journal.append(keyed(2, 8)).await, Err(AppendError::KeyReused)), "{damage}");
        journal.append(keyed(1, 8)).await.unwrap();
    }
}

#[tokio::test]
async fn an_id_is_forgotten_after_the_window() {
    let rig = Rig::filled(1, 3).await;
    let journal = rig.open();
    rig.clock.advance(Duration::from_hours(73));
    assert_eq!(receipts(&journal, 1).await, [true]);
    assert_eq!(receipts(&journal, 1).await, [false]);
}

#[tokio::test]
async fn erased_records_are_gone_for_good_and_the_chain_still_verifies() {
    let rig = Rig::new(1_000_000);
    let journal = rig.open();
    journal.append(append(ACCOUNT, 1..=3)).await.unwrap();
    store(&journal, [4]).await;
    let before = journal.verify().await.unwrap();
    let secret = all(&journal).await[0].record_bytes(1).unwrap().to_vec();
    journal.erase(&[Offset { block: 1, index: 1 }, Offset { block: 99, index: 0 }]).await.unwrap();
    let check = async |journal: &LocalJournal| {
        let after = journal.verify().await.unwrap();
        assert_eq!((after.hash, after.n_records, after.n_erased), (before.hash, 3, 1));
        let blocks = all(journal).await;
        assert_eq!((blocks[0].n_records(), blocks[0].record_bytes(1).unwrap().len()), (3, 0));
        let offsets: Vec<_> =
            blocks[0].records().map(|(offset, record)| (offset.index, record.event_id())).collect();
        assert_eq!(offsets, [(0, id(1)), (2, id(3))]);
    };
    check(&journal).await;
    assert!(!rig.disk.bytes(FIRST).unwrap().windows(secret.len()).any(|window| window == secret));
    drop(journal);
    rig.disk.crash();
    let journal = rig.open();
    check(&journal).await;
    store(&journal, [5]).await;
}

#[tokio::test]
async fn a_changed_record_breaks_the_chain_even_with_a_fitting_checksum() {
    // Two journals with the same events and other salts: a segment of the one does not fit the other.
    let (one, other) = (Rig::filled(1, 3).await, Rig::new(1));
    let random = Arc::new(Random::from_seed(2));
    let journal =
        LocalJournal::open(Arc::new(other.disk.clone()), clock_of(&other), random, other.options).unwrap();
    store(&journal, 1..=3).await;
    drop(journal);
    let second = "0000000000000002.segment";
    one.disk.set_bytes(second, other.disk.bytes(second).unwrap());
    let Err(JournalError::Damaged(what)) = one.open().verify().await else { panic!("it verifies") };
    assert!(what.contains(second), "{what}");
}

fn clock_of(rig: &Rig) -> Arc<ManualClock> {
    Arc::clone(&rig.clock)
}

#[tokio::test]
async fn appends_of_one_group_share_blocks_and_one_sync() {
    let rig = Rig::new(1_000_000);
    let (journal, mut stepper) = LocalJournal::open_stepped(
        Arc::new(rig.disk.clone()),
        clock_of(&rig),
        Arc::new(Random::from_seed(1)),
        rig.options,
    )
    .unwrap();
    rig.disk.set_faults(Faults::default());
    let tasks: Vec<_> = (0..10)
        .map(|n| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(append(ACCOUNT, [n, n + 1])).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert!(stepper.step() && !stepper.step());
    let mut stored = Vec::new();
    for task in tasks {
        for receipt in task.await.unwrap().unwrap().receipts {
            if let Receipt::Stored(offset) = receipt {
                stored.push(offset);
            }
        }
    }
    assert_eq!(stored, (0..11).map(|index| Offset { block: 1, index }).collect::<Vec<_>>());
    let counts = rig.disk.counts();
    assert_eq!((counts.writes, counts.syncs, counts.dir_syncs), (1, 1, 0));
}

#[tokio::test]
async fn over_its_budget_the_queue_is_busy() {
    let mut rig = Rig::new(1_000_000);
    rig.options.queue_bytes = 1_000;
    let disk = Arc::new(rig.disk.clone());
    let (journal, mut stepper) =
        LocalJournal::open_stepped(disk, clock_of(&rig), Arc::new(Random::from_seed(1)), rig.options)
            .unwrap();
    let waiting = journal.clone();
    let task = tokio::spawn(async move { waiting.append(append(ACCOUNT, 1..=20)).await });
    tokio::task::yield_now().await;
    assert!(matches!(journal.append(append(ACCOUNT, [21])).await, Err(AppendError::Busy)));
    stepper.step();
    assert_eq!(task.await.unwrap().unwrap().receipts.len(), 20);
    let task = tokio::spawn(async move { journal.append(append(ACCOUNT, [21])).await });
    tokio::task::yield_now().await;
    stepper.step();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_newer_format_is_refused_by_name() {
    let rig = Rig::filled(1_000_000, 1).await;
    let mut bytes = rig.disk.bytes(FIRST).unwrap();
    bytes[8] = 2;
    let sum = crc32c::crc32c(&bytes[..188]);
    bytes[188..192].copy_from_slice(&sum.to_le_bytes());
    rig.disk.set_bytes(FIRST, bytes);
    let Err(JournalError::Refused(why)) = rig.try_open().map(|_| ()) else { panic!("it opened") };
    assert!(why.contains("newer"), "{why}");
}
