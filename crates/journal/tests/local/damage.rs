//! Files that are not what was written.

use std::sync::Arc;

use base::Random;
use event::StreamSet;
use journal::conformance::id;
use journal::local::LocalJournal;
use journal::{Journal, JournalError, ReadRange};

use crate::rig::{FIRST, Rig, all, store, stored_ids};

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
async fn a_changed_record_breaks_the_chain_even_with_a_fitting_checksum() {
    // Two journals with the same events and other salts: a segment of the one does not fit the other.
    let (one, other) = (Rig::filled(1, 3).await, Rig::new(1));
    let random = Arc::new(Random::from_seed(2));
    let journal = LocalJournal::open(
        Arc::new(other.disk.clone()),
        Arc::clone(&other.clock) as _,
        random,
        other.options,
    )
    .unwrap();
    store(&journal, 1..=3).await;
    drop(journal);
    let second = "0000000000000002.segment";
    one.disk.set_bytes(second, other.disk.bytes(second).unwrap());
    let Err(JournalError::Damaged(what)) = one.open().verify().await else { panic!("it verifies") };
    assert!(what.contains(second), "{what}");
}

/// Changes the record of the first block, and its row in the block's table with `row` (salt, digest, the rest). All
/// checksums fit afterwards.
async fn changed(row: impl Fn(&mut [u8], &event::Record<'_>)) -> String {
    const BLOCK: std::ops::Range<usize> = 192..192 + 168;
    let rig = Rig::filled(1, 3).await;
    let mut bytes = rig.disk.bytes(FIRST).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let (table, record) = bytes[BLOCK.end..].split_at_mut(64);
    row(table, &event::Record::parse(record).unwrap());
    let sum = crc32c::crc32c(&bytes[BLOCK.end..]);
    bytes[BLOCK.end - 8..BLOCK.end - 4].copy_from_slice(&sum.to_le_bytes());
    rig.disk.set_bytes(FIRST, bytes);
    // The header's own checksum.
    let bytes = rig.disk.bytes(FIRST).unwrap();
    forge(&rig, FIRST, 0, bytes[BLOCK.start]);
    let Err(JournalError::Damaged(what)) = rig.open().verify().await else { panic!("it verifies") };
    what
}

#[tokio::test]
async fn a_changed_record_is_not_what_its_digest_says() {
    let what = changed(|_, _| {}).await;
    assert!(what.contains("block 1: a record is not what its digest says"), "{what}");
}

#[tokio::test]
async fn a_record_that_was_changed_with_its_digest_breaks_the_chain() {
    let what = changed(|row, record| {
        let salt = row[..16].try_into().unwrap();
        let digest = record.salted_digest(&salt, &record.content_digest());
        row[16..48].copy_from_slice(&digest);
    });
    let what = what.await;
    assert!(what.contains("block 1: its hash does not follow from its records' digests"), "{what}");
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

/// The last block was never known to be durable: what is not understood there is not what a loss of power leaves.
#[tokio::test]
async fn an_intact_block_of_a_newer_version_encoding_or_lane_is_not_taken_for_a_torn_tail() {
    for (at, what) in [(4, "version"), (5, "encoding"), (6, "lane")] {
        for last in [true, false] {
            let rig = Rig::filled(1_000_000, 3).await;
            let mut bytes = rig.disk.bytes(FIRST).unwrap();
            let third = (bytes.len() - 192) / 3 * 2 + 192;
            bytes[third + at] += 1;
            let sum = crc32c::crc32c(&bytes[third..third + 164]);
            bytes[third + 164..third + 168].copy_from_slice(&sum.to_le_bytes());
            if !last {
                // Before it, block 2 is torn.
                bytes[third - 1] ^= 1;
            }
            rig.disk.set_bytes(FIRST, bytes.clone());
            let Err(JournalError::Refused(why)) = rig.try_open().map(|_| ()) else {
                panic!("{what}: opened")
            };
            assert!(why.contains("newer"), "{why}");
            assert_eq!(rig.disk.bytes(FIRST).unwrap(), bytes, "nothing is cut off");
            // In another place it is a stray.
            bytes[third + 16] = 1;
            let sum = crc32c::crc32c(&bytes[third..third + 164]);
            bytes[third + 164..third + 168].copy_from_slice(&sum.to_le_bytes());
            rig.disk.set_bytes(FIRST, bytes);
            assert!(!matches!(rig.try_open().map(|_| ()), Err(JournalError::Refused(_))), "{what}");
        }
    }
}

/// Changes a byte of a block's header, with a checksum that fits. The hash does not cover these fields.
fn forge(rig: &Rig, file: &str, at: usize, byte: u8) {
    let mut bytes = rig.disk.bytes(file).unwrap();
    bytes[192 + at] = byte;
    let sum = crc32c::crc32c(&bytes[192..192 + 164]);
    bytes[192 + 164..192 + 168].copy_from_slice(&sum.to_le_bytes());
    rig.disk.set_bytes(file, bytes);
}

#[tokio::test]
async fn verifying_names_what_the_hash_chain_does_not_cover() {
    let last = "0000000000000004.segment";
    for (file, what, expected) in [
        (FIRST, "stream", "block 1: a record is of another stream"),
        (last, "stream", "block 4: a record is of another stream"),
        (FIRST, "count", "block 1: it does not count"),
        ("0000000000000002.segment", "header", "does not count"),
        (FIRST, "trailing", "something follows the last block"),
    ] {
        let rig = Rig::filled(1, 4).await;
        match what {
            "stream" => forge(&rig, file, 24, event::Stream::AuditLog as u8),
            "count" => forge(&rig, file, 56, 9),
            "header" => {
                let mut bytes = rig.disk.bytes(file).unwrap();
                bytes[88] ^= 1;
                let sum = crc32c::crc32c(&bytes[..188]);
                bytes[188..192].copy_from_slice(&sum.to_le_bytes());
                rig.disk.set_bytes(file, bytes);
            }
            _ => {
                let mut bytes = rig.disk.bytes(file).unwrap();
                bytes.push(0);
                rig.disk.set_bytes(file, bytes);
            }
        }
        let Err(JournalError::Damaged(found)) = rig.open().verify().await else { panic!("{what}: verified") };
        assert!(found.contains(file) && found.contains(expected), "{what}: {found}");
    }
}

#[tokio::test]
async fn numbers_that_nothing_can_follow_are_damage_and_no_panic() {
    for number in [0, u64::MAX] {
        let rig = Rig::filled(1, 4).await;
        let journal = rig.open();
        journal.trim(3).await.unwrap();
        journal.close().await.unwrap();
        // Where the numbers are: next of the checkpoint, sequence of the anchor, number and first of a segment.
        let fourth = "0000000000000004.segment";
        for (file, at, checked) in
            [("consumers", 16, None), ("anchor", 16, None), (fourth, 16, Some(188)), (fourth, 24, Some(188))]
        {
            let before = rig.disk.bytes(file).unwrap();
            let mut bytes = before.clone();
            bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(number));
            let end = checked.unwrap_or(bytes.len() - 4);
            let sum = crc32c::crc32c(&bytes[..end]);
            bytes[end..end + 4].copy_from_slice(&sum.to_le_bytes());
            rig.disk.set_bytes(file, bytes);
            rig.damage();
            rig.disk.set_bytes(file, before);
        }
        rig.open();
    }
}

/// Its ids would be those of the blocks that are left.
#[tokio::test]
async fn a_sealed_segment_that_ends_early_does_not_give_its_ids() {
    let rig = Rig::filled(1, 3).await;
    rig.disk.forget("0000000000000001.ids");
    let bytes = rig.disk.bytes(FIRST).unwrap();
    rig.disk.set_bytes(FIRST, bytes[..192].to_vec());
    let journal = rig.open();
    assert_eq!(journal.recovery().n_ids_partial, 1);
    let Err(JournalError::Damaged(what)) = journal.verify().await else { panic!("it verifies") };
    assert!(what.contains(FIRST) && what.contains("the segment ends too early"), "{what}");
}
