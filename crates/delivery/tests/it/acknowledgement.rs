//! Splunk's indexer acknowledgement under faults: nothing counts as confirmed that is not stored, and everything is.

use std::time::Duration;

use delivery::{Acknowledging, Configuration, State};
use destinations::Vendor;
use journal::model::ModelOptions;
use testkit::net::IndexerOptions;

use crate::world::{NO_FAULTS, SOME_OF_EVERYTHING, World};

const HEC: &str = "hec";

/// A world with a Splunk configuration that wants acknowledgement so, and such indexers.
async fn world(seed: u64, options: ModelOptions, wanted: &str, indexers: IndexerOptions) -> World {
    let world = World::new(seed, options);
    world.net.set_faults(NO_FAULTS);
    world.net.put_indexers(indexers);
    world.configure(HEC, Vendor::Splunk, true).await;
    let mut found = world.catalog.get::<Configuration>(HEC).unwrap();
    found.value.settings["acknowledgement"] = wanted.into();
    world.catalog.replace(HEC, &found.value, found.revision, None).unwrap();
    world
}

/// Every event that the books call delivered is stored by an indexer.
fn check_stored(world: &World, seed: u64, sent: &[std::collections::BTreeSet<String>; 2], refused: bool) {
    world.net.taken(|taken| {
        for id in sent.iter().flatten() {
            let is_refused = refused && taken.refused.contains_key(id);
            assert!(is_refused || taken.stored.contains_key(id), "seed {seed}: {id} is not stored");
        }
    });
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_confirmed_and_stored_once() {
    let world = world(30, ModelOptions::default(), "auto", IndexerOptions::default()).await;
    let supervisor = world.supervisor().await;
    let sent = world.append(500).await;
    let state = world.settled(HEC).await;
    assert_eq!((state.tally.confirmed, state.tally.accepted), (500, 0));
    let status = supervisor.status(HEC).unwrap();
    assert_eq!(status.acknowledgement, Some(Acknowledging::Offered));
    assert_eq!((status.state(), status.awaiting_acknowledgement), (State::Active, 0));
    check_stored(&world, 30, &sent, false);
    world.net.taken(|taken| assert!(taken.stored.values().all(|times| *times == 1)));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_and_not_acknowledged_is_pending() {
    let never = IndexerOptions { forgotten: 100, ..IndexerOptions::default() };
    let world = world(31, ModelOptions::default(), "auto", never).await;
    let supervisor = world.supervisor().await;
    world.append(50).await;
    tokio::time::sleep(Duration::from_mins(4)).await;
    assert_eq!(world.state(HEC).await.tally.total(), 0);
    assert_eq!(supervisor.status(HEC).unwrap().awaiting_acknowledgement, 50);
    tokio::time::sleep(Duration::from_mins(3)).await;
    let status = supervisor.status(HEC).unwrap();
    assert_eq!(status.state(), State::Degraded, "{status:?}");
    assert!(status.last_error.unwrap().contains("not acknowledged in time"));
    world.net.taken(|taken| assert!(taken.ids.values().all(|times| *times >= 2), "they are sent again"));
    assert_eq!(supervisor.volume(HEC).unwrap().events, 0, "nothing is delivered");

    world.net.put_indexers(IndexerOptions::default());
    let state = world.settled(HEC).await;
    assert_eq!(state.tally.confirmed, 50);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(supervisor.status(HEC).unwrap().state(), State::Active);
    assert_eq!(
        supervisor.volume(HEC).unwrap().events,
        50,
        "each is measured once, however often it was sent"
    );
    supervisor.shutdown().await;
}

async fn nothing_is_confirmed_that_is_not_stored(seed: u64) {
    let whims = ModelOptions {
        max_leased: 50,
        lost_settles: 5,
        stale_settles: 5,
        gaps: 30,
        ..ModelOptions::default()
    };
    let faulty = IndexerOptions { forgotten: 5, lost_answers: 10, restarts: 5, ..IndexerOptions::default() };
    let wanted = if seed.is_multiple_of(2) { "auto" } else { "required" };
    let world = world(seed, whims, wanted, faulty).await;
    world.net.set_faults(SOME_OF_EVERYTHING);
    let supervisor = world.supervisor().await;
    let sent = world.append_with_an_end(1_500).await;
    let n_events = (sent[0].len() + sent[1].len()) as u64;
    let state = world.settled(HEC).await;
    assert_eq!(state.appended, n_events, "seed {seed}");
    assert_eq!(state.tally.confirmed + state.tally.quarantined, n_events, "seed {seed}: {:?}", state.tally);
    check_stored(&world, seed, &sent, true);
    let quarantined = world.quarantined().await.remove(HEC).unwrap_or_default();
    assert_eq!(state.tally.quarantined, quarantined.len() as u64, "seed {seed}");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_confirmed_that_an_indexer_lost_whatever_goes_wrong() {
    for seed in (0..19).chain([111]) {
        nothing_is_confirmed_that_is_not_stored(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_about_acknowledgements_costs_copies_and_no_event() {
    let indexers = IndexerOptions { lost_answers: 100, ..IndexerOptions::default() };
    let world = world(32, ModelOptions::default(), "auto", indexers).await;
    let supervisor = world.supervisor().await;
    let sent = world.append(20).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.state(HEC).await.tally.total(), 0, "they are stored, but nobody was told");
    check_stored(&world, 32, &sent, false);
    world.net.put_indexers(IndexerOptions::default());
    assert_eq!(world.settled(HEC).await.tally.confirmed, 20);
    world.net.taken(|taken| assert!(taken.stored.values().any(|times| *times > 1)));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_indexer_that_restarts_gets_again_what_it_lost() {
    let slow = IndexerOptions { delay: Duration::from_mins(1), ..IndexerOptions::default() };
    let world = world(33, ModelOptions::default(), "auto", slow).await;
    let supervisor = world.supervisor().await;
    let first = world.append(50).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.net.restart_indexers();
    world.append(50).await;
    let state = world.settled(HEC).await;
    assert_eq!(state.tally.confirmed, 100);
    check_stored(&world, 33, &first, false);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_mid_wait_sends_again_and_a_quiet_one_waits() {
    let slow = IndexerOptions { delay: Duration::from_mins(1), ..IndexerOptions::default() };
    let world = world(34, ModelOptions::default(), "auto", slow).await;
    let supervisor = world.supervisor().await;
    let sent = world.append(50).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    supervisor.shutdown().await;
    assert_eq!(world.state(HEC).await.tally.total(), 0);
    let supervisor = world.supervisor().await;
    assert_eq!(world.settled(HEC).await.tally.confirmed, 50);
    check_stored(&world, 34, &sent, false);
    world.net.taken(|taken| assert!(taken.ids.values().all(|times| *times == 2), "with the same eventIDs"));

    world.net.put_indexers(IndexerOptions::default());
    world.append(50).await;
    supervisor.shutdown().await;
    assert_eq!(world.state(HEC).await.tally.confirmed, 100, "a second of waiting saves the copies");
}

#[tokio::test(start_paused = true)]
async fn a_token_without_acknowledgement_is_used_and_told() {
    let none = IndexerOptions { acknowledges: false, ..IndexerOptions::default() };
    let world = world(35, ModelOptions::default(), "auto", none).await;
    let supervisor = world.supervisor().await;
    world.append(50).await;
    let state = world.settled(HEC).await;
    assert_eq!((state.tally.accepted, state.tally.confirmed), (50, 0));
    let status = supervisor.status(HEC).unwrap();
    assert_eq!((status.acknowledgement, status.state()), (Some(Acknowledging::NotOffered), State::Active));

    // Its owner switches it on; later off again.
    world.net.put_indexers(IndexerOptions::default());
    world.append(50).await;
    assert_eq!(world.settled(HEC).await.tally.confirmed, 50);
    world.net.put_indexers(IndexerOptions { forgotten: 100, ..IndexerOptions::default() });
    world.append(50).await;
    world.net.put_indexers(none);
    let state = world.settled(HEC).await;
    assert_eq!((state.tally.confirmed, state.tally.accepted), (50, 100));
    let status = supervisor.status(HEC).unwrap();
    assert_eq!((status.acknowledgement, status.state()), (Some(Acknowledging::NotOffered), State::Active));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn where_acknowledgement_is_required_nothing_is_sent_to_a_token_without() {
    let none = IndexerOptions { acknowledges: false, ..IndexerOptions::default() };
    let world = world(36, ModelOptions::default(), "required", none).await;
    let supervisor = world.supervisor().await;
    world.append(50).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(world.state(HEC).await.tally.total(), 0);
    world.net.taken(|taken| assert_eq!(taken.ids.len(), 0, "not even once"));
    let status = supervisor.status(HEC).unwrap();
    assert_eq!(status.state(), State::Holding);
    assert!(status.last_error.unwrap().contains("useACK"));

    world.net.put_indexers(IndexerOptions::default());
    assert_eq!(world.settled(HEC).await.tally.confirmed, 50);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(supervisor.status(HEC).unwrap().state(), State::Active);
    world.net.taken(|taken| assert!(taken.ids.values().all(|times| *times == 1)));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_is_not_sticky_is_complained_of_and_nothing_is_believed() {
    let indexers = IndexerOptions { n_indexers: 2, ..IndexerOptions::default() };
    let world = world(37, ModelOptions::default(), "auto", indexers).await;
    let supervisor = world.supervisor().await;
    let mut sent = world.append(200).await;
    for _ in 0..30 {
        let [account, audit] = world.append(20).await;
        sent[0].extend(account);
        sent[1].extend(audit);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_mins(6)).await;
    let status = supervisor.status(HEC).unwrap();
    assert!(status.last_error.unwrap().contains("sticky"));
    let requests = status.requests;
    assert!(requests < 3_000, "{requests} requests in ten minutes");
    world.net.put_indexers(IndexerOptions::default());
    assert_eq!(world.settled(HEC).await.tally.confirmed, 800);
    check_stored(&world, 37, &sent, false);
    supervisor.shutdown().await;
}
