//! The power fails at any point: nothing acknowledged is lost, changed or doubled, and the books still balance.
//!
//! Each run is drawn from a seed, which is named when it fails. The disk keeps only what was synced, and any part of
//! the rest.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod check;
mod world;

use testkit::disk::Faults;
use world::World;

/// Runs the schedule of a seed over `n_cuts` losses of power on a disk with these faults.
fn run(seed: u64, n_cuts: u32, faults: Faults) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut world = World::new(seed, faults);
        for _ in 0..n_cuts {
            world.work_until_the_power_fails().await?;
            world.reopen()?;
            world.check().await?;
        }
        Ok(())
    })
}

const HONEST: Faults = Faults {
    sync_data_lies: false,
    sync_dir_lies: false,
    power_lasts: None,
    fail_write_after: None,
    fail_sync_after: None,
    capacity: None,
    max_files: None,
};

#[test]
fn power_loss_at_any_point_loses_nothing_that_was_acknowledged() {
    for seed in 0..300 {
        if let Err(violation) = run(seed, 4, HONEST) {
            panic!("seed {seed}: {violation}");
        }
    }
}

/// The first violation that a dishonest disk causes within some seeds.
fn first_violation(faults: Faults) -> Option<String> {
    (0..40).find_map(|seed| run(seed, 4, faults).err())
}

#[test]
fn a_journal_that_does_not_sync_loses_events() {
    let violation = first_violation(Faults { sync_data_lies: true, ..HONEST });
    assert!(violation.is_some(), "a disk that syncs no bytes went unnoticed");
}

#[test]
fn a_journal_that_does_not_sync_its_directory_loses_events() {
    let violation = first_violation(Faults { sync_dir_lies: true, ..HONEST });
    assert!(violation.is_some(), "a disk that syncs no names went unnoticed");
}
