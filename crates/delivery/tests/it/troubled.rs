//! Backlog budgets while a part of the journal is damaged, or something of one configuration fails.

use base::{Clock, EventId};
use delivery::{Budget, Configuration, WhenSpent};
use destinations::Vendor;
use event::{RecordBuilder, Section, Stream};
use journal::model::ModelOptions;
use journal::{Append, Entry, Journal, OnConflict, Producer};
use testkit::net::Faults;

use crate::sick::Sick;
use crate::world::{NO_FAULTS, World};

const RELEASES: Budget =
    Budget { max_bytes: Some(20_000), max_age_hours: None, when_spent: WhenSpent::Release };
const KEEPS: Budget = Budget { max_bytes: Some(20_000), max_age_hours: None, when_spent: WhenSpent::Keep };

/// A world whose destination is down, with these configurations.
async fn down(seed: u64, configurations: &[(&str, Budget)]) -> World {
    let world = World::new(seed, ModelOptions::default());
    world.net.set_faults(Faults { lost_request: 100, ..NO_FAULTS });
    for (id, budget) in configurations {
        world.configure(id, Vendor::Elasticsearch, true).await;
        let found = world.catalog.get::<Configuration>(id).unwrap();
        let changed = Configuration { backlog: *budget, ..found.value };
        world.catalog.replace(id, &changed, found.revision, None).unwrap();
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_damaged_block_expires_with_what_lies_behind_it() {
    for damaged in [1, 2] {
        let world = down(1, &[("bulk", RELEASES)]).await;
        let sick = Sick::new(&world.journal);
        sick.damage(damaged..damaged + 1);
        let supervisor = world.supervisor_over(sick).await;
        world.append(2_000).await;
        supervisor.look_at_backlogs(0, None).await.unwrap();
        let state = world.state("bulk").await;
        assert!(state.tally.expired > 0 && state.floor > damaged, "{state:?}");
        assert!(state.pending_bytes <= 21_000, "{state:?}");
        supervisor.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_trouble_of_one_configuration_stops_no_other_budget() {
    let world = down(2, &[("a", RELEASES), ("b", RELEASES), ("c", KEEPS)]).await;
    let sick = Sick::new(&world.journal);
    sick.stick(delivery::consumer_name("a"));
    let supervisor = world.supervisor_over(sick).await;
    world.append(2_000).await;
    supervisor.look_at_backlogs(0, None).await.unwrap();
    assert_eq!(world.state("a").await.tally.expired, 0);
    let state = world.state("b").await;
    assert!(state.tally.expired > 0 && state.pending_bytes <= 20_000, "{state:?}");
    let refusal = supervisor.backlogs().refusal(0, world.clock.now());
    assert_eq!(refusal.and_then(|refusal| refusal.configuration_id.clone()).as_deref(), Some("c"));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_look_gives_up_all_that_is_to_be_given_up() {
    let world = down(3, &[("bulk", RELEASES)]).await;
    let supervisor = world.supervisor().await;
    let text = format!("\"type\":\"{}\"", "x".repeat(500_000));
    for _ in 0..160 {
        let (stream, now) = (Stream::AccountEvent, world.clock.now());
        let mut builder = RecordBuilder::new(stream, EventId::draw(now, &world.random), now, now);
        builder.section(Section::Header, &text);
        let record = builder.finish().unwrap();
        let entries = vec![Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }];
        world.journal.append(Append { stream, entries, request_key: None }).await.unwrap();
    }
    supervisor.look_at_backlogs(0, None).await.unwrap();
    let state = world.state("bulk").await;
    assert_eq!((state.tally.expired, state.pending_bytes), (160, 0), "80 MB");
    supervisor.shutdown().await;
}
