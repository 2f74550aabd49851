//! What is found, and what is said of what is not.

use std::time::Duration;

use base::Clock;
use event::Stream;
use explorer::{Found, Removed, TestNote};

use crate::world::{World, dated, id};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test(start_paused = true)]
async fn an_event_is_found_as_soon_as_its_append_has_returned() {
    let world = World::new();
    for n in 0..40 {
        let places = world.store(Stream::PRODUCT[n % 3], &[id(2 * n as u64), id(2 * n as u64 + 1)]).await;
        assert_eq!(world.place(id(2 * n as u64 + 1)).await, Some(places[1]));
    }
    assert!(matches!(world.find(id(1_000)).await, Found::Unknown));
    let status = world.explorer.status();
    assert_eq!((status.blocks_behind, status.blocks_unreadable), (0, 0));
    assert!(status.complete_as_of.is_some());
}

#[tokio::test(start_paused = true)]
async fn copies_in_quarantine_are_no_events() {
    let world = World::new();
    world.store(Stream::Quarantine, &[id(1)]).await;
    assert!(matches!(world.find(id(1)).await, Found::Unknown));
}

#[tokio::test(start_paused = true)]
async fn small_files_become_partitions_and_everything_is_found_after_a_restart() {
    let world = World::new();
    world.store_apart((0..8 * 3 * 3 + 5).map(id)).await;
    world.settle().await;
    let files = world.files();
    assert!(files.len() <= 5, "{files:?}");
    let world = world.restarted().await;
    for n in 0..8 * 3 * 3 + 5 {
        assert!(world.place(id(n)).await.is_some(), "{n}");
    }
    assert_eq!(world.files(), files, "nothing was made again");
}

#[tokio::test(start_paused = true)]
async fn of_two_events_with_one_id_the_newer_one_is_found() {
    let world = World::new();
    world.store(Stream::AccountEvent, &[id(1)]).await;
    world.store_apart((10..50).map(id)).await;
    world.settle().await;
    world.pass(4 * DAY);
    let newer = world.store(Stream::AccountEvent, &[id(1)]).await;
    world.settle().await;
    assert_eq!(world.place(id(1)).await, Some(newer[0]));
    world.store_apart((50..150).map(id)).await;
    world.settle().await;
    assert_eq!(world.place(id(1)).await, Some(newer[0]), "also when both are in one partition");
    assert_eq!(world.restarted().await.place(id(1)).await, Some(newer[0]));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_indexed_yet_is_never_called_unknown() {
    let world = World::new();
    world.settle().await;
    world.explorer.shutdown().await;
    world.store(Stream::AccountEvent, &[id(1)]).await;
    assert!(matches!(world.find(id(1)).await, Found::BeingIndexed));
    assert!(matches!(world.find(id(2)).await, Found::BeingIndexed));
    assert_eq!(world.explorer.status().blocks_behind, 1);
    assert!(world.restarted().await.place(id(1)).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_retention_removed_says_when() {
    let world = World::new();
    let begin = world.clock.now();
    for n in 0..20 {
        world.store(Stream::AccountEvent, &[dated(world.clock.now(), n)]).await;
        world.pass(DAY);
    }
    world.settle().await;
    let on_that_day = Removed { at: world.clock.now(), or_before: false };
    world.journal.trim(13).await.unwrap();
    world.look_again().await;
    world.pass(DAY);
    let world = world.restarted().await;
    // Block 10 lies in a file of which a part is left, block 1 in one that is gone.
    let of_day = |n: u64| dated(begin.plus(DAY * n as u32), n);
    assert!(matches!(world.find(of_day(9)).await, Found::Removed(removed) if removed == on_that_day));
    assert!(matches!(world.find(of_day(0)).await, Found::ProbablyRemoved(removed) if removed == on_that_day));
    assert!(world.place(of_day(12)).await.is_some());
    assert!(matches!(world.find(id(3)).await, Found::Unknown), "its id says no time");
    assert!(
        matches!(world.find(dated(begin.plus(DAY * 15), 99)).await, Found::Unknown),
        "of a time that is kept"
    );

    world.journal.trim(u64::MAX).await.unwrap();
    assert!(matches!(world.find(of_day(12)).await, Found::Removed(_) | Found::ProbablyRemoved(_)));
    world.look_again().await;
    assert_eq!(world.files(), [""; 0], "no file outlives its events");
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_while_it_did_not_look_may_have_been_removed_before() {
    let world = World::new();
    let of_first_day = dated(world.clock.now(), 1);
    world.store(Stream::AccountEvent, &[of_first_day]).await;
    world.pass(DAY);
    world.store(Stream::AccountEvent, &[id(2)]).await;
    world.explorer.shutdown().await;
    world.journal.trim(2).await.unwrap();
    world.pass(DAY);
    let world = world.restarted().await;
    let expected = Removed { at: world.clock.now(), or_before: true };
    assert!(matches!(world.find(of_first_day).await, Found::ProbablyRemoved(removed) if removed == expected));
}

#[tokio::test(start_paused = true)]
async fn a_made_up_event_is_told_with_who_sent_it() {
    let world = World::new();
    let note = TestNote {
        event_id: id(1),
        sent_at: world.clock.now(),
        sent_by: "ann".to_owned(),
        configuration: "Splunk".to_owned(),
    };
    world.explorer.note_tests(vec![note.clone()]).await;
    assert!(matches!(world.find(id(1)).await, Found::Test(found) if found == note));
    assert!(matches!(world.restarted().await.find(id(1)).await, Found::Test(found) if found == note));
}
