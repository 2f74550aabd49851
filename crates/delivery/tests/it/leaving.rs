//! Workers that are told to stop: whom they hold up, and whom they must not.

use std::time::Duration;

use delivery::{ResumeFrom, ResumeLimits};
use destinations::Vendor;
use journal::Journal;
use journal::model::ModelOptions;
use testkit::net::Faults;
use tokio::time::Instant;

use crate::world::{NO_FAULTS, World};

/// Longer than anything takes that waits for nobody, shorter than a worker waits for its requests in flight.
const SOON: Duration = Duration::from_secs(3);
const DRAIN: Duration = Duration::from_secs(10);

/// A world in which a request of the configuration `hec` hangs, and from now on nothing else.
async fn hanging() -> (World, delivery::Supervisor) {
    let world = World::new(1, ModelOptions::default());
    world.configure("hec", Vendor::Splunk, true).await;
    let supervisor = world.supervisor().await;
    world.net.set_faults(Faults { hang: 100, ..NO_FAULTS });
    world.append(20).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(supervisor.status("hec").unwrap().in_flight > 0, "its request hangs");
    world.net.set_faults(NO_FAULTS);
    (world, supervisor)
}

#[tokio::test(start_paused = true)]
async fn changing_a_configuration_whose_destination_hangs_delays_the_start_of_no_other() {
    let (world, supervisor) = hanging().await;
    world
        .change(&supervisor, "hec", |configuration| configuration.description = Some("new".to_owned()))
        .await;
    let begun = Instant::now();
    world.configure("https", Vendor::Https, false).await;
    world.append(20).await;
    world.settled("https").await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    world.settled("hec").await;
    assert!(begun.elapsed() < DRAIN + SOON, "its successor starts when it has ended");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_is_changed_again_while_its_worker_leaves_gets_the_newest_settings() {
    let (world, supervisor) = hanging().await;
    let n_hanging = world.state("hec").await.appended;
    for enabled in [false, true, false, true] {
        world.change(&supervisor, "hec", |configuration| configuration.enabled = enabled).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world
        .change(&supervisor, "hec", |configuration| {
            configuration.account.enabled = false;
            configuration.audit.enabled = false;
        })
        .await;
    world.append(20).await;
    assert_eq!(world.settled("hec").await.tally.accepted, n_hanging);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn all_workers_stop_within_the_time_of_one_also_those_that_are_leaving_already() {
    let (world, supervisor) = hanging().await;
    world.change(&supervisor, "hec", |configuration| configuration.enabled = false).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    supervisor.shutdown().await;
    assert!(begun.elapsed() <= DRAIN, "{:?}", begun.elapsed());
    assert_eq!(world.state("hec").await.tally.total(), 0, "all of it comes again");
}

#[tokio::test(start_paused = true)]
async fn a_selection_that_is_changed_and_changed_back_at_once_goes_on() {
    let world = World::new(1, ModelOptions::default());
    world.net.set_faults(NO_FAULTS);
    world.configure("hec", Vendor::Splunk, false).await;
    let supervisor = world.supervisor().await;
    world.append(20).await;
    world.settled("hec").await;
    // The supervisor runs only when this waits: it sees the last of these documents, which is the first one again.
    for enabled in [true, false] {
        world.change(&supervisor, "hec", |configuration| configuration.audit.enabled = enabled).await;
    }
    world.append(20).await;
    world.settled("hec").await;
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_given_up_only_when_the_worker_from_before_the_pause_is_gone() {
    let (world, supervisor) = hanging().await;
    let below = world.journal.head().next;
    pause(&world, &supervisor, below).await;
    let begun = Instant::now();
    supervisor.give_up("hec", below).await.unwrap();
    assert!(begun.elapsed() > SOON, "{:?}", begun.elapsed());
    let state = world.state("hec").await;
    assert_eq!((state.floor, state.appended), (below, state.tally.discarded));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_not_given_up_when_somebody_chose_otherwise_meanwhile() {
    let (world, supervisor) = hanging().await;
    let below = world.journal.head().next;
    pause(&world, &supervisor, below).await;
    let choose = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world
            .change(&supervisor, "hec", |configuration| configuration.resume = delivery::Resume::default())
            .await;
    };
    let (given_up, ()) = tokio::join!(supervisor.give_up("hec", below), choose);
    given_up.unwrap_err();
    delivery::end_pause(&world.catalog, "hec", below).unwrap_err();
    assert_eq!(world.settled("hec").await.tally.discarded, 0);
    supervisor.shutdown().await;
}

/// Pauses `hec`, and chooses to give up what lies below `below`.
async fn pause(world: &World, supervisor: &delivery::Supervisor, below: u64) {
    world.change(supervisor, "hec", |configuration| configuration.enabled = false).await;
    let backlog = delivery::Backlog::of(&*world.journal, "hec").await.unwrap();
    let now = base::Clock::now(&*world.clock);
    let resume =
        delivery::Resume::default().next(&backlog, Some(ResumeFrom::Now), ResumeLimits::default(), now);
    assert_eq!(resume.gives_up_below, Some(below));
    world
        .change(supervisor, "hec", |configuration| {
            configuration.enabled = true;
            configuration.resume = resume;
        })
        .await;
}
