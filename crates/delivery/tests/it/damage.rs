//! Damage to the quarantine stream, and reads that fail: what is known of the rest is still told, and read once.

use std::time::Duration;

use base::Clock;
use delivery::quarantined::{Ending, Filter, Order};
use delivery::{Report, Supervisor};
use destinations::Vendor;
use journal::Journal;
use journal::model::ModelOptions;
use testkit::net::Faults;

use crate::parking::parked;
use crate::sick::Sick;
use crate::world::{NO_FAULTS, World};

/// How many blocks are missing from the list of `c`.
async fn n_unlisted(supervisor: &Supervisor) -> u64 {
    let all = Filter::default();
    supervisor.quarantined().list("c", &all, Order::NewestFirst, None, 9).await.unwrap().n_unreadable
}

fn of<'a>(reports: &'a [Report], id: &str) -> &'a Report {
    reports.iter().find(|report| report.id == id).unwrap()
}

#[tokio::test(start_paused = true)]
async fn damage_silences_no_report_and_nothing_around_it_is_counted_twice() {
    let world = World::new(81, ModelOptions::default());
    let sick = Sick::new(&world.journal);
    let supervisor = world.supervisor_over(sick.clone()).await;
    world.configure("c", Vendor::Elasticsearch, true).await;
    world.net.set_faults(Faults { poison: 60, ..NO_FAULTS });
    for _ in 0..30 {
        world.append(20).await;
    }
    world.settled("c").await;
    let (ids, n_all) = supervisor.quarantined().chosen("c", &Filter::default()).await.unwrap();
    assert!(n_all >= 4, "{n_all}");
    let discarded = Ending::Discarded { note: None };
    let mut changes = Vec::new();
    for id in &ids[..3] {
        changes.push(world.journal.head().next);
        supervisor.quarantined().end("c", *id, &discarded, "somebody").await.unwrap().unwrap();
    }
    supervisor.shutdown().await;
    // What became of the first one cannot be read any more. It stands where it stood; the others are discarded, once.
    sick.damage(changes[0]..changes[0] + 1);
    let supervisor = world.supervisor_over(sick.clone()).await;
    for _ in 0..3 {
        let reports = supervisor.reports().await.unwrap();
        let report = of(&reports, "c");
        assert_eq!(report.unread, None);
        assert_eq!((report.books.tally.discarded, report.books.tally.quarantined), (2, n_all - 2));
        assert_eq!(report.books.tally.total(), report.books.appended);
        tokio::time::sleep(Duration::from_mins(3)).await;
    }
    assert_eq!(n_unlisted(&supervisor).await, 1);
    assert_eq!(supervisor.n_unreadable(), 1, "it is told once, however often one looks");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn many_damaged_blocks_are_passed_over_in_few_steps() {
    let world = World::new(82, ModelOptions::default());
    let sick = Sick::new(&world.journal);
    world.configure("c", Vendor::Elasticsearch, false).await;
    for _ in 0..1000 {
        world.append(1).await;
    }
    let next = world.journal.head().next;
    sick.damage(1..next);
    let supervisor = world.supervisor_over(sick.clone()).await;
    assert_eq!(n_unlisted(&supervisor).await, next - 1);
    assert!(sick.counts().0 < 100, "{:?}", sick.counts());
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_event_that_is_parked_for_long_makes_no_look_read_the_stream_again() {
    let world = World::new(83, ModelOptions::default());
    let (_, supervisor) = parked(&world, "bulk", Vendor::Elasticsearch).await;
    world.configure("other", Vendor::Https, true).await;
    supervisor.shutdown().await;
    let sick = Sick::new(&world.journal);
    for id in ["bulk", "other"] {
        world.change(&supervisor, id, |changed| changed.enabled = false).await;
    }
    let supervisor = world.supervisor_over(sick.clone()).await;
    for _ in 0..5 {
        let before = sick.counts();
        let reports = supervisor.reports().await.unwrap();
        let after = sick.counts();
        let report = of(&reports, "bulk");
        assert_eq!((report.parked, report.n_pending()), (1, 1), "also while no worker runs");
        assert!(report.books.oldest_pending.is_some());
        assert_eq!(report.main.oldest_pending, None, "it holds up no other");
        assert_eq!(report.lag_seconds(world.clock.now()), 0);
        assert_eq!(after.1 - before.1, 1, "consumers are listed once for all");
        assert!(after.0 - before.0 <= 2, "{} reads", after.0 - before.0);
        tokio::time::sleep(Duration::from_mins(10)).await;
    }
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_is_learnt_once_it_can_be_read_and_only_those_books_are_unknown_until_then() {
    let world = World::new(84, ModelOptions::default());
    let (_, supervisor) = parked(&world, "bulk", Vendor::Elasticsearch).await;
    world.configure("other", Vendor::Https, true).await;
    supervisor.shutdown().await;
    let sick = Sick::new(&world.journal);
    sick.set_blind(true);
    let supervisor = world.supervisor_over(sick.clone()).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let reports = supervisor.reports().await.unwrap();
    assert!(of(&reports, "bulk").unread.is_some());
    assert_eq!(of(&reports, "other").unread, None);
    sick.set_blind(false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(supervisor.status("bulk").unwrap().parked, 1);
    let reports = supervisor.reports().await.unwrap();
    assert_eq!((of(&reports, "bulk").unread.as_deref(), of(&reports, "bulk").parked), (None, 1));
    supervisor.shutdown().await;
}
