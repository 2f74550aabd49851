//! Backups and their restore.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Clock, Random};
use custody::backup::{BackupError, Manifest, back_up, restore};
use custody::heads;
use event::StreamSet;
use journal::conformance::{append, confirmed, limits, name};
use journal::{ConsumerCommand, Journal, Receipt, Settlement, StartAt};

use crate::rig::Installation;

fn make(our: &Installation, to: &Path) -> Result<Manifest, BackupError> {
    back_up(&our.data, to, our.clock.now(), &mut |_, _| {})
}

fn put_back(from: &Path, data: &Path) -> Result<custody::backup::Restored, BackupError> {
    restore(from, data, journal::conformance::clock().now(), &Random::from_seed(9), &mut |_, _| {})
}

#[tokio::test]
async fn what_was_delivered_after_the_backup_is_delivered_again_and_the_restore_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let our = Installation::open(&directory.path().join("data"), 1);
    let (streams, start) = (StreamSet::product(), StartAt::Earliest);
    let create = ConsumerCommand::Create { name: name("cfg/a"), streams, start, until: None };
    our.journal.consumers(create).await.unwrap();
    our.store(1..=6).await;
    our.sign().await;
    let leases = our.journal.lease(&name("cfg/a"), streams, limits()).await.unwrap();
    let settle = async |at: usize| {
        let done = Settlement::Done(confirmed(&leases[at].block));
        our.journal.settle(leases[at].id, done).await.unwrap();
    };
    settle(0).await;
    // Saves the cursors.
    let late = ConsumerCommand::Create { name: name("cfg/b"), streams, start, until: None };
    our.journal.consumers(late).await.unwrap();
    let backup = directory.path().join("backup");
    let made = make(&our, &backup).unwrap();
    assert_eq!((made.first_block, made.last_block, made.records), (1, 7, 7));
    assert_eq!(made.public_key, Some(our.signer.key.public_key().to_string()));
    settle(1).await;
    our.store(7..=9).await;
    let gone = our.sign().await;
    our.journal.close().await.unwrap();

    let data = directory.path().join("restored");
    let restored = put_back(&backup, &data).unwrap();
    assert_eq!(restored.manifest, made);
    let again = Installation::open(&data, 2);
    heads::check(&again.journal, &again.catalog).await.unwrap();
    assert_eq!(again.signer.key.public_key(), our.signer.key.public_key());
    let verdict = again.verify(&[gone]);
    assert!(verdict.is_sound(), "before the first start: {:?}", verdict.elsewhere.faults);
    assert_eq!((verdict.elsewhere.n_replaced, verdict.restores.len()), (1, 1));
    let leases = again.journal.lease(&name("cfg/a"), streams, limits()).await.unwrap();
    let sequences: Vec<_> = leases.iter().map(|lease| lease.block.sequence()).collect();
    assert_eq!(sequences, [2, 3, 4, 5, 6, 7], "block 2 was settled after the backup");
    again.store(20..=25).await;
    again.tell(custody::OURSELVES).await;
    let verdict = again.verify(&[gone]);
    assert!(verdict.is_sound(), "{:?}", verdict.elsewhere.faults);
    assert_eq!((verdict.elsewhere.n_replaced, verdict.restores[0].up_to), (1, 7));
    assert_eq!(verdict.restores.len(), 1, "it is told in the journal, and not twice");
}

/// Events come in, heads are signed and segments are dropped while it is made, and while the live journal is verified.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_that_was_accepted_before_a_backup_under_load_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let our = Arc::new(Installation::open(&directory.path().join("data"), 1));
    our.store(1..=30).await;
    our.sign().await;
    let stop = Arc::new(AtomicBool::new(false));
    let (loaded, stopped) = (Arc::clone(&our), Arc::clone(&stop));
    let load = tokio::spawn(async move {
        let mut n = 1_000;
        while !stopped.load(Ordering::SeqCst) {
            loaded.store([n]).await;
            // Saves the cursors, and how far the journal is, with every event.
            let (streams, start) = (StreamSet::product(), StartAt::Now);
            let create = ConsumerCommand::Create { name: name("c"), streams, start, until: None };
            loaded.journal.consumers(create).await.unwrap();
            loaded.signer.sign().await.unwrap();
            if n % 50 == 0 {
                // The oldest go, never those of this test.
                loaded.journal.trim(loaded.journal.head().next.min(30)).await.unwrap();
            }
            n += 1;
        }
    });
    for round in 0..3_u64 {
        let mine = 100 * (round + 1)..100 * (round + 1) + 20;
        our.store(mine.clone()).await;
        let head = our.journal.head();
        let backup = directory.path().join(format!("backup-{round}"));
        let (making, to) = (Arc::clone(&our), backup.clone());
        let made = tokio::task::spawn_blocking(move || make(&making, &to)).await.unwrap().unwrap();
        assert!(made.last_block >= head.next - 1, "{made:?}");
        let live = Arc::clone(&our);
        let verdict = tokio::task::spawn_blocking(move || live.verify(&[])).await.unwrap();
        assert!(verdict.is_sound(), "{:?} {:?}", verdict.survey.problems, verdict.own.faults);
        let data = directory.path().join(format!("restored-{round}"));
        put_back(&backup, &data).unwrap();
        let again = Installation::open(&data, 5);
        heads::check(&again.journal, &again.catalog).await.unwrap();
        assert!(again.verify(&[]).is_sound());
        for n in mine {
            let appended = again.journal.append(append(event::Stream::AccountEvent, [n])).await.unwrap();
            assert_eq!(appended.receipts, [Receipt::Duplicate], "event {n} is there");
        }
    }
    stop.store(true, Ordering::SeqCst);
    load.await.unwrap();
}

#[tokio::test]
async fn what_is_no_sound_backup_is_refused_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let our = Installation::open(&directory.path().join("data"), 1);
    our.store(1..=6).await;
    our.sign().await;
    let backup = directory.path().join("backup");
    make(&our, &backup).unwrap();
    assert!(matches!(make(&our, &backup), Err(BackupError::NotEmpty(_))));
    assert!(matches!(put_back(&backup, &our.data), Err(BackupError::NotEmpty(_))));
    let nowhere = directory.path().join("nowhere");
    assert!(matches!(put_back(&directory.path().join("none"), &nowhere), Err(BackupError::Unfit { .. })));

    let manifest = std::fs::read_to_string(backup.join("backup.json")).unwrap();
    let segment = "journal/0000000000000001.segment";
    let sound = std::fs::read(backup.join(segment)).unwrap();
    let mut flipped = sound.clone();
    flipped[400] ^= 1;
    std::fs::write(backup.join(segment), flipped).unwrap();
    let refused = put_back(&backup, &nowhere).unwrap_err().to_string();
    assert!(refused.contains(segment) && refused.contains("damaged"), "{refused}");
    std::fs::write(backup.join(segment), sound).unwrap();
    for (from, to) in [("catalog.sqlite", "../evil"), ("\"version\": 1", "\"version\": 2")] {
        std::fs::write(backup.join("backup.json"), manifest.replace(from, to)).unwrap();
        assert!(matches!(put_back(&backup, &nowhere), Err(BackupError::Unfit { .. })), "{to}");
    }
    assert!(!nowhere.exists());
    std::fs::write(backup.join("backup.json"), manifest).unwrap();
    put_back(&backup, &nowhere).unwrap();
}

#[tokio::test]
async fn a_damaged_journal_is_not_backed_up_as_if_it_were_sound() {
    let directory = tempfile::tempdir().unwrap();
    let our = Installation::open(&directory.path().join("data"), 1);
    our.store(1..=6).await;
    our.journal.close().await.unwrap();
    let path = our.data.join("journal/0000000000000001.segment");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[400] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let backup = directory.path().join("backup");
    let refused = make(&our, &backup).unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
    assert!(!backup.join("backup.json").exists(), "it is no backup");
}

#[tokio::test]
async fn a_restore_holds_the_journals_lock_and_its_catalog_comes_with_the_note() {
    let directory = tempfile::tempdir().unwrap();
    let our = Installation::open(&directory.path().join("data"), 1);
    our.store(1..=3).await;
    our.sign().await;
    let backup = directory.path().join("backup");
    make(&our, &backup).unwrap();
    our.journal.close().await.unwrap();
    let data = directory.path().join("restored");
    put_back(&backup, &data).unwrap();
    assert!(data.join("journal/lock").exists(), "it held the journal's lock");
    let left: Vec<_> = std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "journal" || name == "catalog.sqlite"), "{left:?}");
    let store = catalog::SqliteStore::open_read_only(&data.join("catalog.sqlite")).unwrap();
    let catalog = catalog::Catalog::open(Arc::new(store)).unwrap();
    let notes: Vec<_> = catalog.untold().into_iter().flat_map(|untold| untold.notes).collect();
    assert!(notes.iter().any(|note| note["action"] == "Restore"), "{notes:?}");
}
