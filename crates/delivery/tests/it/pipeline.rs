//! The whole way out, simulated. Whatever the seed, every event ends in exactly one column of the books.

use std::collections::BTreeSet;
use std::time::Duration;

use delivery::Configuration;
use destinations::Vendor;
use journal::model::ModelOptions;
use journal::{ConsumerCommand, Journal};
use testkit::net::Faults;

use crate::world::{NO_FAULTS, World};

/// How many events were refused.
async fn every_event_ends_in_one_column(seed: u64) -> usize {
    let whims = ModelOptions {
        max_leased: 50,
        lost_settles: 5,
        stale_settles: 5,
        lost_answers: 5,
        gaps: 30,
        ..ModelOptions::default()
    };
    let world = World::new(seed, whims);
    let supervisor = world.supervisor().await;
    world.configure("hec", Vendor::Splunk, false).await;
    world.configure("bulk", Vendor::Elasticsearch, true).await;
    let [account, audit] = world.append_with_an_end(1_500).await;
    let n_events = (account.len() + audit.len()) as u64;

    let hec = world.settled("hec").await;
    let bulk = world.settled("bulk").await;
    supervisor.shutdown().await;

    assert_eq!((hec.appended, bulk.appended), (n_events, n_events), "seed {seed}");
    assert_eq!(hec.tally.skipped, audit.len() as u64, "seed {seed}: {:?}", hec.tally);
    assert_eq!(bulk.tally.skipped, 0, "seed {seed}: {:?}", bulk.tally);
    assert_eq!(
        hec.tally.accepted + hec.tally.quarantined,
        account.len() as u64,
        "seed {seed}: {:?}",
        hec.tally
    );
    assert_eq!(bulk.tally.confirmed + bulk.tally.quarantined, n_events, "seed {seed}: {:?}", bulk.tally);
    world.net.taken(|taken| {
        let known: BTreeSet<&String> = taken.ids.keys().chain(taken.refused.keys()).collect();
        let sent: BTreeSet<&String> = account.iter().chain(&audit).collect();
        assert_eq!(known, sent, "seed {seed}: what arrived is what was appended");
    });
    let quarantined = world.quarantined().await;
    for (id, state) in [("hec", hec), ("bulk", bulk)] {
        let ids = quarantined.get(id).cloned().unwrap_or_default();
        assert_eq!(state.tally.quarantined, ids.len() as u64, "seed {seed}: {id}");
        world.net.taken(|taken| {
            assert!(ids.iter().all(|id| taken.refused.contains_key(id)), "seed {seed}: {id}");
        });
    }
    world.net.taken(|taken| taken.refused.len())
}

#[tokio::test(start_paused = true)]
async fn every_event_ends_in_one_column_of_the_books_whatever_goes_wrong() {
    let mut n_refused = 0;
    for seed in (0..18).chain([158, 283]) {
        n_refused += every_event_ends_in_one_column(seed).await;
    }
    assert!(n_refused > 0, "the faults were not drawn");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_for_a_day_loses_nothing_and_recovers_by_itself() {
    let world = World::new(7, ModelOptions::default());
    let supervisor = world.supervisor().await;
    world.configure("bulk", Vendor::Elasticsearch, true).await;
    world.net.set_faults(Faults { lost_request: 100, ..NO_FAULTS });
    let [account, audit] = world.append(500).await;
    tokio::time::sleep(Duration::from_hours(24)).await;
    let state = world.state("bulk").await;
    assert_eq!((state.appended, state.tally.total()), (500, 0));
    let status = supervisor.status("bulk").unwrap();
    assert_eq!(status.state(), delivery::State::Degraded);
    assert!(status.last_error.is_some() && status.next_try_at.is_some(), "{status:?}");
    assert!(status.requests < 24 * 60 * 60 / 10, "it was asked {} times", status.requests);

    world.net.set_faults(NO_FAULTS);
    let state = world.settled("bulk").await;
    assert_eq!(state.tally.confirmed, 500);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(supervisor.status("bulk").unwrap().state(), delivery::State::Active);
    world.net.taken(|taken| {
        assert_eq!(taken.ids.len(), account.len() + audit.len());
        assert!(taken.ids.values().all(|times| *times == 1));
    });
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_disabled_configuration_keeps_its_place_and_goes_on_from_there() {
    let world = World::new(9, ModelOptions::default());
    world.net.set_faults(NO_FAULTS);
    let supervisor = world.supervisor().await;
    world.configure("bulk", Vendor::Elasticsearch, true).await;
    world.append(100).await;
    world.settled("bulk").await;

    let found = world.catalog.get::<Configuration>("bulk").unwrap();
    let disabled = Configuration { enabled: false, ..found.value.clone() };
    let revision = world.catalog.replace("bulk", &disabled, found.revision, None).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.append(100).await;
    assert_eq!(world.state("bulk").await.tally.total(), 100, "nothing is sent while it is disabled");

    world.catalog.replace("bulk", &found.value, revision, None).unwrap();
    let state = world.settled("bulk").await;
    assert_eq!((state.appended, state.tally.confirmed), (200, 200));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_a_destination_stumbles_over_holds_up_no_other() {
    for (id, vendor) in [("hec", Vendor::Splunk), ("bulk", Vendor::Elasticsearch)] {
        let world = World::new(13, ModelOptions::default());
        world.net.set_faults(NO_FAULTS);
        let supervisor = world.supervisor().await;
        world.configure(id, vendor, true).await;
        let [account, _] = world.append(20).await;
        world.settled(id).await;
        world.net.set_faults(Faults { lost_request: 100, ..NO_FAULTS });
        let [first, _] = world.append(200).await;
        let stone = first.first().unwrap();
        world.net.stumble_over(stone);
        world.net.set_faults(NO_FAULTS);
        for _ in 0..20 {
            world.append(100).await;
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        tokio::time::sleep(Duration::from_mins(10)).await;
        world.net.taken(|taken| {
            let missing = 2_220 - taken.ids.len();
            assert!(missing <= 1, "{id}: {missing} events were held up by one");
            assert!(account.iter().all(|id| taken.ids.contains_key(id)));
        });
        supervisor.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_refuses_everything_is_held_and_nothing_goes_to_quarantine() {
    for (id, vendor) in [("hec", Vendor::Splunk), ("https", Vendor::Https)] {
        let world = World::new(14, ModelOptions::default());
        world.net.set_faults(Faults { unfit: 100, ..NO_FAULTS });
        let supervisor = world.supervisor().await;
        world.configure(id, vendor, true).await;
        world.append(500).await;
        tokio::time::sleep(Duration::from_hours(2)).await;
        assert_eq!(world.state(id).await.tally.total(), 0, "{id}");
        assert_eq!(supervisor.status(id).unwrap().state(), delivery::State::Holding, "{id}");
        let requests = supervisor.status(id).unwrap().requests;
        assert!(requests < 2_000, "{id} was asked {requests} times in two hours");

        world.net.set_faults(NO_FAULTS);
        let state = world.settled(id).await;
        assert_eq!(state.tally.quarantined, 0, "{id}: {:?}", state.tally);
        supervisor.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_selected_by_the_settings_in_force_when_it_was_appended() {
    let world = World::new(15, ModelOptions::default());
    world.net.set_faults(Faults { lost_request: 100, ..NO_FAULTS });
    let supervisor = world.supervisor().await;
    world.configure("bulk", Vendor::Elasticsearch, true).await;
    let [account, audit] = world.append(100).await;
    world.change(&supervisor, "bulk", |configuration| configuration.audit.enabled = false).await;
    let [later_account, later_audit] = world.append(100).await;

    world.net.set_faults(NO_FAULTS);
    let state = world.settled("bulk").await;
    let delivered = account.len() + audit.len() + later_account.len();
    assert_eq!((state.tally.confirmed, state.tally.skipped), (delivered as u64, later_audit.len() as u64));
    world.net.taken(|taken| assert!(audit.iter().all(|id| taken.ids.contains_key(id))));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_cannot_be_worked_on_says_why_and_holds_up_no_other() {
    let world = World::new(16, ModelOptions::default());
    world.net.set_faults(NO_FAULTS);
    world.configure("a", Vendor::Splunk, true).await;
    world.configure("b", Vendor::Elasticsearch, true).await;
    world.configure("c", Vendor::Elasticsearch, true).await;
    let found = world.catalog.get::<Configuration>("a").unwrap();
    let broken = Configuration { settings: serde_json::json!({"url": 7}), ..found.value };
    world.catalog.replace("a", &broken, found.revision, None).unwrap();
    delivery::dismiss(&*world.journal, "c").await.unwrap();
    let supervisor = world.supervisor().await;
    world.append(100).await;
    assert_eq!(world.settled("b").await.tally.confirmed, 100);
    for (id, word) in [("a", "settings"), ("c", "place in the journal is missing")] {
        let status = supervisor.status(id).unwrap();
        assert_eq!(status.state(), delivery::State::Stopped, "{id}");
        let reason = status.last_error.unwrap();
        assert!(reason.contains(word), "{id}: {reason}");
    }
    delivery::admit(&*world.journal, "c").await.unwrap();
    world.append(100).await;
    assert!(world.settled("c").await.tally.confirmed >= 100, "it goes on by itself");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_is_deleted_while_its_worker_drains_does_not_come_back() {
    let world = World::new(17, ModelOptions::default());
    world.net.set_faults(Faults { hang: 100, ..NO_FAULTS });
    let supervisor = world.supervisor().await;
    world.configure("hec", Vendor::Splunk, true).await;
    world.append(100).await;
    world.change(&supervisor, "hec", |configuration| configuration.name = "renamed".to_owned()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let revision = world.catalog.get::<Configuration>("hec").unwrap().revision;
    world.catalog.delete::<Configuration>("hec", revision, None).unwrap();
    delivery::dismiss(&*world.journal, "hec").await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(world.journal.consumers(ConsumerCommand::List).await.unwrap(), []);
    assert_eq!(supervisor.status("hec"), None);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn workers_whose_destinations_hang_are_stopped_together() {
    let world = World::new(18, ModelOptions::default());
    world.net.set_faults(Faults { hang: 100, ..NO_FAULTS });
    let supervisor = world.supervisor().await;
    for id in ["a", "b", "c", "d"] {
        world.configure(id, Vendor::Splunk, true).await;
    }
    world.append(100).await;
    let begun = tokio::time::Instant::now();
    supervisor.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_first_event_that_is_refused_holds_up_the_next_for_less_than_a_second() {
    let world = World::new(19, ModelOptions::default());
    world.net.set_faults(Faults { lost_request: 100, ..NO_FAULTS });
    let supervisor = world.supervisor().await;
    world.configure("https", Vendor::Https, true).await;
    let [account, audit] = world.append(1).await;
    world.net.refuse(account.iter().chain(&audit).next().unwrap());
    world.net.set_faults(NO_FAULTS);
    while supervisor.status("https").unwrap().state() != delivery::State::Holding {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let begun = tokio::time::Instant::now();
    world.append(10).await;
    while world.net.taken(|taken| taken.ids.len()) < 10 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "the others were held up for {:?}", begun.elapsed());
    let state = world.settled("https").await;
    assert_eq!((state.tally.accepted, state.tally.quarantined), (10, 1));
    supervisor.shutdown().await;
}
