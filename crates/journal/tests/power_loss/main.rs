//! The power fails at any point: nothing acknowledged is lost, changed or doubled, and the books still balance.
//!
//! Each run is drawn from a seed, which is named when it fails. The disk keeps only what was synced, and any part of
//! the rest; or only the process ends and the disk's cache lives on.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod check;
mod consumers;
mod world;

use std::io::Write;

use testkit::disk::Faults;
use world::World;

/// Runs the schedule of a seed over `n_cuts` losses of power or of the process on a disk with these faults. Answers how
/// many there were, some of them while the journal was being opened.
fn run(seed: u64, n_cuts: u32, faults: Faults) -> Result<u64, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut world = World::new(seed, faults);
        for _ in 0..n_cuts {
            world.work_until_the_power_fails().await?;
            world.reopen()?;
            world.check().await?;
        }
        Ok(world.n_cuts)
    })
}

#[test]
fn power_loss_at_any_point_loses_nothing_that_was_acknowledged() {
    let mut n_cuts = 0;
    for seed in 0..200 {
        match run(seed, 5, Faults::default()) {
            Ok(cuts) => n_cuts += cuts,
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
    // Past the capture of the test's output: how much was tried is worth knowing every time.
    writeln!(std::io::stderr(), "{n_cuts} random cut points").expect("write");
    assert!(n_cuts >= 1_000, "{n_cuts}");
}

/// Whether a disk with these faults loses an acknowledged event, rather than anything else, within some seeds.
fn loses_an_event(faults: Faults) -> bool {
    (0..60).any(|seed| run(seed, 5, faults).is_err_and(|violation| violation.contains("and is lost")))
}

#[test]
fn a_journal_that_does_not_sync_loses_events() {
    assert!(loses_an_event(Faults { sync_data_lies: Some(".segment"), ..Faults::default() }));
}

#[test]
fn a_journal_that_does_not_sync_its_directory_loses_events() {
    assert!(loses_an_event(Faults { sync_dir_lies: true, ..Faults::default() }));
}
