//! Backlog budgets, on the whole way out: what is kept, what is given up, and when intake must refuse.

use std::time::Duration;

use base::Clock;
use delivery::{Budget, Configuration, Limit, Supervisor, WhenSpent, Why};
use destinations::Vendor;
use journal::model::ModelOptions;
use journal::{ConsumerCommand, Journal};
use testkit::net::Faults;

use crate::world::{NO_FAULTS, World};

const DOWN: Faults = Faults { lost_request: 100, ..NO_FAULTS };

/// A world whose destination is down, with this budget.
async fn down(seed: u64, budget: Budget) -> (World, Supervisor) {
    let world = World::new(seed, ModelOptions::default());
    world.net.set_faults(DOWN);
    let supervisor = world.supervisor().await;
    world.configure("bulk", Vendor::Elasticsearch, true).await;
    let found = world.catalog.get::<Configuration>("bulk").unwrap();
    let changed = Configuration { backlog: budget, ..found.value };
    world.catalog.replace("bulk", &changed, found.revision, None).unwrap();
    (world, supervisor)
}

fn refusal(world: &World, supervisor: &Supervisor) -> Option<(Why, Option<String>)> {
    let refusal = supervisor.backlogs().refusal(0, world.clock.now())?;
    Some((refusal.why, refusal.configuration_id.clone()))
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_keeps_loses_nothing_and_holds_intake_up_until_it_is_free_again() {
    let budget = Budget { max_bytes: Some(20_000), ..Budget::default() };
    let (world, supervisor) = down(1, budget).await;
    supervisor.look_at_backlogs(0, None).await.unwrap();
    assert_eq!(refusal(&world, &supervisor), None);
    world.append(500).await;
    supervisor.look_at_backlogs(0, None).await.unwrap();
    let spent = Some((Why::Spent(Limit::Bytes), Some("bulk".to_owned())));
    assert_eq!(refusal(&world, &supervisor), spent);
    assert_eq!(world.state("bulk").await.tally.expired, 0);

    world.net.set_faults(NO_FAULTS);
    let state = world.settled("bulk").await;
    assert_eq!(state.tally.confirmed, 500);
    supervisor.look_at_backlogs(0, None).await.unwrap();
    assert_eq!(refusal(&world, &supervisor), None);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_releases_lets_the_oldest_expire_and_holds_nobody_up() {
    let budget = Budget { max_bytes: Some(20_000), when_spent: WhenSpent::Release, ..Budget::default() };
    let (world, supervisor) = down(2, budget).await;
    world
        .configure_at("other", Vendor::Splunk, serde_json::json!({"url": "http://192.0.2.9:8088"}), true)
        .await;
    world.append(2_000).await;
    supervisor.look_at_backlogs(0, None).await.unwrap();
    assert_eq!(refusal(&world, &supervisor), None);
    let state = world.state("bulk").await;
    assert!(state.tally.expired > 0 && state.pending_bytes <= 20_000, "{state:?}");
    let oldest = state.oldest_pending;
    assert_eq!(world.state("other").await.tally.expired, 0, "it concerns no other");
    assert_eq!(world.journal.head().first, 1, "nothing is removed");
    supervisor.look_at_backlogs(0, None).await.unwrap();
    assert_eq!(world.state("bulk").await.oldest_pending, oldest, "no more than must");

    world.net.set_faults(NO_FAULTS);
    let bulk = world.settled("bulk").await;
    assert_eq!((bulk.appended, bulk.tally.total()), (2_000, 2_000), "the books balance");
    assert_eq!(bulk.tally.expired + bulk.tally.confirmed, 2_000, "{:?}", bulk.tally);
    assert_eq!(bulk.tally.expired, state.tally.expired, "what was left is delivered");
    assert_eq!(world.settled("other").await.tally.accepted, 2_000);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn events_older_than_a_budget_that_releases_expire_and_younger_ones_wait() {
    let budget = Budget { max_age_hours: Some(24), when_spent: WhenSpent::Release, ..Budget::default() };
    let (world, supervisor) = down(3, budget).await;
    world.append(300).await;
    world.clock.advance(Duration::from_hours(23));
    world.append(200).await;
    supervisor.look_at_backlogs(0, None).await.unwrap();
    assert_eq!(world.state("bulk").await.tally.expired, 0);
    world.clock.advance(Duration::from_hours(2));
    supervisor.look_at_backlogs(0, None).await.unwrap();
    let state = world.state("bulk").await;
    assert_eq!((state.tally.expired, state.appended - state.tally.total()), (300, 200));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_goes_on_after_what_it_was_sending_has_expired() {
    let budget = Budget { max_age_hours: Some(1), when_spent: WhenSpent::Release, ..Budget::default() };
    let (world, supervisor) = down(4, budget).await;
    world.append(300).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    world.clock.advance(Duration::from_hours(2));
    supervisor.look_at_backlogs(0, None).await.unwrap();
    assert_eq!(world.state("bulk").await.tally.expired, 300, "also what was leased");
    world.net.set_faults(NO_FAULTS);
    world.append(100).await;
    let state = world.settled("bulk").await;
    assert_eq!(
        (state.tally.expired, state.tally.confirmed),
        (300, 100),
        "once in the books, whatever arrives"
    );
    let leased: usize = world
        .journal
        .consumers(ConsumerCommand::List)
        .await
        .unwrap()
        .iter()
        .map(|each| each.state.n_leased)
        .sum();
    assert_eq!(leased, 0);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_disabled_keeps_its_place_and_holds_neither_retention_nor_intake_up() {
    let budget = Budget { max_bytes: Some(20_000), ..Budget::default() };
    let (world, supervisor) = down(5, budget).await;
    world.append(500).await;
    let found = world.catalog.get::<Configuration>("bulk").unwrap();
    assert!(found.value.holds_back());
    let disabled = Configuration { enabled: false, ..found.value };
    world.catalog.replace("bulk", &disabled, found.revision, None).unwrap();
    supervisor.look_at_backlogs(0, None).await.unwrap();
    assert!(!disabled.holds_back());
    assert_eq!(refusal(&world, &supervisor), None);
    assert_eq!(world.state("bulk").await.tally.total(), 0);
    supervisor.shutdown().await;
}
