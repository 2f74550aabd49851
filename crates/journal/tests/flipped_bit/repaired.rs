//! A damaged journal is surveyed and mended: it opens, verifies, has everything that was not given up, and its books
//! balance.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::Random;
use event::StreamSet;
use journal::conformance::{append, clock, confirmed, limits, name};
use journal::disk::Disk;
use journal::local::{Gap, KnownHead, LocalJournal, Reborn, Repair, Seen, Survey, Watch};
use journal::{Consumer, Journal, ReadRange, Settlement};
use proptest::prelude::*;
use testkit::disk::{Faults, SimDisk};

use super::{BLOCKS, FIRST, Files, block_on, consumers, disk_with, is_right, open, written};

/// Counts blocks, and checks that they come in order.
#[derive(Default)]
struct Counting {
    blocks: Vec<u64>,
}

impl Watch for Counting {
    fn progress(&mut self, done: u64, total: u64) {
        assert!(done <= total);
    }

    fn restart(&mut self) {
        self.blocks.clear();
    }

    fn block(&mut self, seen: &Seen<'_>) {
        assert!(self.blocks.last().is_none_or(|last| *last < seen.block.sequence()));
        assert!(is_right(seen.block));
        self.blocks.push(seen.block.sequence());
    }
}

fn survey(disk: &SimDisk) -> Survey {
    let mut counting = Counting::default();
    let survey = Survey::of(disk, None, &mut counting).unwrap();
    assert_eq!(survey.n_blocks, counting.blocks.len() as u64);
    survey
}

async fn mend(disk: &SimDisk, repair: Repair) {
    assert!(try_to_mend(disk, repair).await);
}

/// Whether it went to its end.
async fn try_to_mend(disk: &SimDisk, repair: Repair) -> bool {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let lock = disk.lock().unwrap();
    let reborn = Reborn { name: name("c"), streams: StreamSet::product() };
    let random = Arc::new(Random::from_seed(3));
    repair.carry_out(disk, lock, Arc::new(clock()), random, &[reborn]).await.is_ok()
}

fn lost(gaps: &[Gap]) -> BTreeSet<u64> {
    gaps.iter().flat_map(|gap| gap.from..gap.until).collect()
}

/// Everything that was not given up is there and right.
async fn check_blocks(journal: &LocalJournal, lost: &BTreeSet<u64>) {
    let head = journal.head();
    assert_eq!(head.next, BLOCKS + 1, "no sequence is used again");
    for from in head.first..=BLOCKS {
        let range = ReadRange { streams: StreamSet::product(), from, until: from + 1, max_bytes: 1 };
        let blocks = journal.read(range).await.unwrap();
        match &blocks[..] {
            [block] if block.is_lost() => assert!(lost.contains(&from)),
            [block] => assert!(is_right(block), "{block:?}"),
            _ => assert!(lost.contains(&from), "block {from} is gone"),
        }
    }
    let unnamed: Vec<u64> = (FIRST..head.first).filter(|from| !lost.contains(from)).collect();
    assert_eq!(unnamed, [0; 0], "dropped and not named");
}

/// Confirms what is left; then nothing is pending.
async fn check_books(journal: &LocalJournal, before: &Consumer, gaps: &[Gap], is_reborn: bool) {
    let now = consumers(journal).await.unwrap().remove(0).state;
    if !is_reborn {
        let unknown = gaps.iter().any(|gap| gap.events.is_none());
        assert_eq!(now.tally.confirmed, before.state.tally.confirmed);
        assert!(unknown || now.appended == before.state.appended, "{now:?}");
        let given_up = gaps.iter().filter_map(Gap::n_events).sum::<u64>();
        assert!(unknown || now.tally.discarded <= given_up, "{now:?} {gaps:?}");
    }
    for lease in journal.lease(&name("c"), StreamSet::product(), limits()).await.unwrap() {
        assert!(!lease.block.is_lost(), "what was given up is settled");
        journal.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await.unwrap();
    }
    let state = consumers(journal).await.unwrap().remove(0).state;
    assert_eq!(state.appended, state.tally.total(), "{state:?}");
    assert_eq!(state.floor, BLOCKS + 1);
}

/// What a damaged journal becomes, in all its parts.
async fn check_mended(files: &Files) {
    let disk = disk_with(files);
    let is_reborn = survey(&disk).problems.iter().any(|problem| problem.file == "consumers");
    let repair = Repair::plan(survey(&disk)).unwrap();
    assert_eq!(repair.is_needed(), !repair.survey().problems.is_empty(), "{:?}", repair.survey().problems);
    let gaps = repair.gives_up().to_vec();
    if repair.is_needed() {
        mend(&disk, repair).await;
    }
    let after = survey(&disk);
    assert!(after.problems.is_empty() && after.lost.is_empty(), "{:?}", after.problems);
    let journal = open(&disk).unwrap();
    let head = journal.head();
    let told: BTreeSet<u64> = lost(&after.given_up).into_iter().chain(FIRST..head.first).collect();
    assert_eq!(told, lost(&gaps).into_iter().filter(|n| *n >= FIRST).collect(), "the journal still tells");
    journal.verify().await.unwrap();
    check_blocks(&journal, &lost(&gaps)).await;
    check_books(&journal, &written().1[0], &gaps, is_reborn).await;
    for n in lost(&gaps).into_iter().filter(|n| *n >= FIRST) {
        journal.append(append(event::Stream::AccountEvent, [n])).await.unwrap();
    }
    journal.verify().await.unwrap();
    journal.close().await.unwrap();
    open(&disk).unwrap().verify().await.unwrap();
}

/// Which part of which file is damaged, and how.
#[derive(Clone, Debug)]
enum Harm {
    Flip(prop::sample::Index, prop::sample::Index, u8),
    Cut(prop::sample::Index, prop::sample::Index),
    Remove(prop::sample::Index),
    /// A part of a file is replaced by zeros.
    Wipe(prop::sample::Index, prop::sample::Index, usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), index(), 0_u8..8).prop_map(|(file, at, bit)| Harm::Flip(file, at, bit)),
        (index(), index()).prop_map(|(file, at)| Harm::Cut(file, at)),
        index().prop_map(Harm::Remove),
        (index(), index(), 1_usize..900).prop_map(|(file, at, n)| Harm::Wipe(file, at, n)),
    ]
}

fn suffer(files: &mut Files, harm: &Harm) {
    let (Harm::Flip(file, ..) | Harm::Cut(file, _) | Harm::Remove(file) | Harm::Wipe(file, ..)) = harm;
    let Some(name) =
        files.keys().filter(|name| name.strip_suffix(".ids").is_none()).nth(file.index(files.len() / 2))
    else {
        return;
    };
    let name = name.clone();
    let bytes = files.get_mut(&name).unwrap();
    match harm {
        _ if bytes.is_empty() => {}
        Harm::Flip(_, at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Harm::Cut(_, at) => bytes.truncate(at.index(bytes.len())),
        Harm::Remove(_) => drop(files.remove(&name)),
        Harm::Wipe(_, at, n) => {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + n);
            bytes[at..end].fill(0);
        }
    }
}

#[test]
fn a_sound_journal_has_no_problem_and_needs_nothing() {
    let disk = disk_with(&written().0);
    let survey = survey(&disk);
    assert_eq!((survey.first, survey.next, survey.n_blocks), (FIRST, BLOCKS + 1, BLOCKS - FIRST + 1));
    assert!(survey.problems.is_empty() && survey.bad_sidecars.is_empty() && survey.n_sidecars > 10);
    assert!(!Repair::plan(survey).unwrap().is_needed());
}

#[test]
fn the_first_bad_block_is_named_with_its_file_place_and_number() {
    let mut files = written().0.clone();
    let segment = "0000000000000005.segment";
    files.get_mut(segment).unwrap()[192 + 200] ^= 1;
    let survey = survey(&disk_with(&files));
    let problem = &survey.problems[0];
    assert_eq!((problem.file.as_str(), problem.position, problem.sequence), (segment, 192, Some(9)));
    assert_eq!(survey.problems.len(), 1);
    let gap = &survey.lost[0];
    assert_eq!((gap.from, gap.until, gap.n_events()), (9, 10, Some(1)));
    assert!(gap.after.is_some() && gap.before.is_some());
}

#[test]
fn what_lies_outside_of_the_journal_tells_that_its_end_is_missing_or_another() {
    let disk = disk_with(&written().0);
    let hash = survey(&disk).hash;
    let survey = |sequence, hash| {
        Survey::of(&disk, Some(KnownHead { sequence, hash }), &mut Counting::default()).unwrap()
    };
    assert!(survey(BLOCKS, hash).problems.is_empty());
    assert!(survey(BLOCKS, [7; 32]).problems[0].what.contains("not the one that was signed"));
    let older = survey(BLOCKS + 5, [7; 32]);
    assert_eq!((older.lost[0].from, older.lost[0].until), (BLOCKS + 1, BLOCKS + 6));
    assert!(older.problems[0].what.contains("block 45 was durable"), "{:?}", older.problems);
    block_on(async {
        mend(&disk, Repair::plan(older).unwrap()).await;
        let journal = open(&disk).unwrap();
        assert_eq!(journal.head().next, BLOCKS + 6, "the numbers of lost blocks are not used again");
        journal.append(append(event::Stream::AccountEvent, [BLOCKS + 6])).await.unwrap();
        journal.verify().await.unwrap();
        journal.close().await.unwrap();
    });
    assert!(survey(BLOCKS + 5, [7; 32]).problems.is_empty(), "the chain goes on from what was signed");
}

#[test]
fn an_anchor_that_nobody_wrote_is_removed_and_one_that_is_damaged_is_written_anew() {
    block_on(async {
        let disk = SimDisk::new(4);
        let journal = open(&disk).unwrap();
        journal.append(append(event::Stream::AccountEvent, [1])).await.unwrap();
        journal.close().await.unwrap();
        disk.set_bytes("anchor", b"noise".to_vec());
        mend(&disk, Repair::plan(survey(&disk)).unwrap()).await;
        assert_eq!((disk.bytes("anchor"), open(&disk).unwrap().head().next), (None, 2));
    });
    let mut files = written().0.clone();
    files.get_mut("anchor").unwrap()[30] ^= 1;
    let disk = disk_with(&files);
    block_on(mend(&disk, Repair::plan(survey(&disk)).unwrap()));
    assert_eq!(disk.bytes("anchor"), written().0.get("anchor").cloned());
}

/// A header, a block, a whole segment and the anchor are damaged; the power fails after any step of the repair.
#[test]
fn a_repair_that_is_cut_off_anywhere_is_done_again() {
    let mut files = written().0.clone();
    files.get_mut("0000000000000005.segment").unwrap()[20] ^= 1;
    files.get_mut("0000000000000007.segment").unwrap()[192 + 200] ^= 1;
    files.remove("000000000000000a.segment");
    files.get_mut("anchor").unwrap()[20] ^= 1;
    let mut lasts = 0;
    loop {
        let disk = disk_with(&files);
        let gaps = survey(&disk).lost;
        disk.set_faults(Faults { power_lasts: Some(lasts), ..Faults::default() });
        let is_done = block_on(try_to_mend(&disk, Repair::plan(survey(&disk)).unwrap()));
        disk.crash();
        let again = Repair::plan(survey(&disk)).unwrap();
        assert!(lost(again.gives_up()).is_subset(&lost(&gaps)), "after {lasts} steps more is lost");
        if again.is_needed() {
            block_on(mend(&disk, again));
        }
        block_on(async {
            let journal = open(&disk).unwrap();
            journal.verify().await.unwrap();
            check_blocks(&journal, &lost(&gaps)).await;
        });
        if is_done {
            assert!(lasts > 20, "there were steps to cut off: {lasts}");
            return;
        }
        lasts += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_was_damaged_can_be_mended(harms in prop::collection::vec(harm(), 1..4)) {
        let mut files = written().0.clone();
        for harm in &harms {
            suffer(&mut files, harm);
        }
        if files.keys().any(|name| name.strip_suffix(".segment").is_some()) {
            block_on(check_mended(&files));
        }
    }
}
