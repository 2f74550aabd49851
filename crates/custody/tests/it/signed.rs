//! What signed heads show.

use std::time::Duration;

use custody::heads::{self, HeadError};
use journal::Journal;
use journal::signing::{SignedHead, SigningKey};

use crate::rig::{Installation, copy_files, mend};

#[tokio::test]
async fn a_head_is_signed_when_something_has_come_and_leaves_as_a_note() {
    let directory = tempfile::tempdir().unwrap();
    let our = Installation::open(directory.path(), 1);
    assert_eq!(our.signer.sign().await.unwrap(), None, "there is nothing to sign");
    our.store(1..=3).await;
    let head = our.signer.sign().await.unwrap().unwrap();
    assert!(head.is_genuine() && head.sequence == 3);
    assert_eq!(our.signer.sign().await.unwrap(), None, "nothing has come since");
    let notes = our.catalog.untold();
    let mut found = std::collections::BTreeMap::new();
    heads::find(&notes[0].notes[0], &mut found);
    assert_eq!(found.into_values().collect::<Vec<_>>(), [head], "the note holds the head");
    assert_eq!(notes[0].notes[0]["entityType"], heads::ENTITY_TYPE);
    our.tell(custody::OURSELVES).await;
    let verdict = our.verify(&[head]);
    assert!(verdict.is_sound());
    assert_eq!((verdict.own.n_fit, verdict.elsewhere.n_fit), (1, 1));
    assert_eq!(verdict.keys.into_iter().collect::<Vec<_>>(), [our.signer.key.public_key()]);
}

#[tokio::test]
async fn a_journal_that_grows_and_is_trimmed_verifies_at_every_step_and_its_anchor_is_signed() {
    let directory = tempfile::tempdir().unwrap();
    let our = Installation::open(directory.path(), 1);
    let mut heads = Vec::new();
    for n in 0..20 {
        our.store([2 * n, 2 * n + 1]).await;
        heads.push(our.sign().await);
        if n == 10 {
            our.journal.trim(heads[5].sequence).await.unwrap();
        }
        let verdict = our.verify(&heads);
        assert!(verdict.is_sound(), "{:?} {:?}", verdict.survey.problems, verdict.elsewhere.faults);
        assert_eq!(verdict.elsewhere.n_fit + verdict.elsewhere.n_dropped, n + 1);
    }
    let anchor = our.verify(&heads).survey.anchor.unwrap();
    assert_eq!(anchor.signed_by, Some(our.signer.key.public_key()), "trimming leaves a signed anchor");
    assert!(anchor.signed_at.is_some() && !anchor.is_forged);
}

#[tokio::test]
async fn an_anchor_that_was_moved_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let our = Installation::open(directory.path(), 1);
    our.store(1..=12).await;
    our.journal.trim(8).await.unwrap();
    our.journal.close().await.unwrap();
    let path = directory.path().join("journal/anchor");
    let mut bytes = std::fs::read(&path).unwrap();
    let n = bytes.len();
    // The time of the signature, with a checksum that fits.
    bytes[56] ^= 1;
    let sum = crc32c::crc32c(&bytes[..n - 4]);
    bytes[n - 4..].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let verdict = our.verify(&[]);
    assert_eq!(verdict.survey.problems[0].file, "anchor");
    assert!(verdict.survey.problems[0].what.contains("signature"));
    drop(our);
    mend(directory.path()).await;
    let verdict = Installation::open(directory.path(), 2).verify(&[]);
    assert!(
        verdict.is_sound() && verdict.survey.anchor.unwrap().signed_by.is_none(),
        "it claims nothing any more"
    );
}

#[tokio::test]
async fn an_older_copy_of_the_journal_is_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let older = tempfile::tempdir().unwrap();
    let our = Installation::open(directory.path(), 1);
    our.store(1..=3).await;
    our.journal.close().await.unwrap();
    copy_files(&directory.path().join("journal"), older.path());
    let our = Installation::open(directory.path(), 2);
    our.store(4..=9).await;
    our.signer.sign().await.unwrap();
    heads::check(&our.journal, &our.catalog).await.unwrap();
    our.journal.close().await.unwrap();
    drop(our);

    std::fs::remove_dir_all(directory.path().join("journal")).unwrap();
    copy_files(older.path(), &directory.path().join("journal"));
    let our = Installation::open(directory.path(), 3);
    let refused = heads::check(&our.journal, &our.catalog).await;
    assert!(matches!(refused, Err(HeadError::Older { ends_with: 3, sequence: 9, .. })), "{refused:?}");
    // Even when it has gone on since.
    our.store(20..=29).await;
    let refused = heads::check(&our.journal, &our.catalog).await;
    assert!(matches!(refused, Err(HeadError::Other { sequence: 9, .. })), "{refused:?}");
    our.journal.close().await.unwrap();
    drop(our);

    std::fs::remove_dir_all(directory.path().join("journal")).unwrap();
    let our = Installation::open(directory.path(), 4);
    let refused = heads::check(&our.journal, &our.catalog).await;
    assert!(matches!(refused, Err(HeadError::Older { ends_with: 0, .. })), "an empty one is older too");
}

/// The head is that of a block that was lost with others behind it: nobody knows its hash any more.
#[tokio::test]
async fn a_journal_that_was_mended_around_its_head_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let our = Installation::open(directory.path(), 1);
    our.store(1..=5).await;
    our.signer.sign().await.unwrap();
    our.store(6..=9).await;
    our.journal.close().await.unwrap();
    drop(our);
    let mut segments: Vec<_> = std::fs::read_dir(directory.path().join("journal"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "segment"))
        .collect();
    segments.sort();
    for segment in &segments[1..] {
        std::fs::remove_file(segment).unwrap();
    }
    mend(directory.path()).await;
    let our = Installation::open(directory.path(), 2);
    heads::check(&our.journal, &our.catalog).await.unwrap();
    assert_eq!(our.journal.head().next, 10, "the numbers of lost blocks are not used again");
    our.store(20..=24).await;
    our.sign().await;
    let verdict = our.verify(&[]);
    assert!(verdict.is_sound(), "{:?} {:?}", verdict.survey.problems, verdict.own.faults);
    assert_eq!(verdict.survey.given_up.len(), 1);
}

#[tokio::test]
async fn a_history_that_was_rewritten_and_signed_anew_does_not_fit_the_heads_from_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let our = Installation::open(directory.path(), 1);
    our.store(1..=5).await;
    let kept = our.sign().await;
    assert!(our.verify(&[kept]).is_sound());
    // Somebody with the key leaves event 3 out, and signs again.
    let forged = tempfile::tempdir().unwrap();
    let their = Installation::open(forged.path(), 1);
    their.store([1, 2, 4, 5, 6, 7]).await;
    their.sign().await;
    assert!(their.verify(&[]).is_sound(), "by itself it is in order");
    let verdict = their.verify(&[kept]);
    assert!(
        verdict.elsewhere.faults[0].contains("block 5") && verdict.elsewhere.faults[0].contains("rewritten")
    );

    for (head, expected) in [
        (SignedHead { sequence: 4, ..kept }, "forged"),
        (SigningKey::from_seed(&[1; 32]).unwrap().sign_head(5, kept.hash, kept.at), "another key"),
        (our.signer.key.sign_head(500, [1; 32], kept.at), "its end is missing"),
    ] {
        let verdict = our.verify(&[head]);
        assert!(verdict.elsewhere.faults[0].contains(expected), "{:?}", verdict.elsewhere.faults);
    }
}

#[tokio::test]
async fn what_others_call_a_head_is_no_head_of_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let our = Installation::open(directory.path(), 1);
    our.store(1..=2).await;
    let stranger = SigningKey::from_seed(&[9; 32]).unwrap();
    our.clock.advance(Duration::from_secs(1));
    our.signer.sign().await.unwrap();
    our.tell("client:somebody").await;
    let verdict = our.verify(&[]);
    assert_eq!(verdict.own.n_fit, 0);
    assert!(verdict.is_sound() && !verdict.keys.contains(&stranger.public_key()));
    assert_eq!(our.journal.head().next, 4);
}
