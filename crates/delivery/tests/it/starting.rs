//! A new configuration can begin with events that were stored before it.

use std::time::Duration;

use base::Clock;
use delivery::{StartFrom, is_at_its_start};
use destinations::Vendor;
use journal::Journal;
use journal::model::ModelOptions;

use crate::world::{NO_FAULTS, World};

#[tokio::test(start_paused = true)]
async fn a_configuration_that_begins_in_the_past_sends_what_was_received_since_and_skips_the_rest() {
    let world = World::new(81, ModelOptions::default());
    world.net.set_faults(NO_FAULTS);
    let supervisor = world.supervisor().await;
    for _ in 0..3 {
        world.append(100).await;
        world.clock.advance(Duration::from_hours(1));
    }
    let since = world.clock.now().minus(Duration::from_hours(2));
    for (id, from, n_expected) in [
        ("earliest", StartFrom::Earliest, 300),
        ("time", StartFrom::Time(since), 200),
        ("now", StartFrom::Now, 0),
    ] {
        let starts = delivery::admit_from(&*world.journal, id, from).await.unwrap().unwrap();
        assert_eq!(starts.events, n_expected, "{id}");
        world
            .configure_with(id, Vendor::Https, true, |configuration| configuration.start_from = Some(from))
            .await;
        let configuration = world.catalog.get::<delivery::Configuration>(id).unwrap().value;
        assert!(is_at_its_start(&*world.journal, &configuration).await.unwrap(), "{id}");
        let books = world.settled(id).await;
        assert_eq!((books.appended, books.tally.delivered()), (n_expected, n_expected), "{id}: {books:?}");
    }
    supervisor.shutdown().await;
    // Of the block in which the time lies, what was received before it is skipped.
    let starts = delivery::admit_from(&*world.journal, "late", StartFrom::Earliest).await.unwrap().unwrap();
    assert_eq!(starts.block, world.journal.head().first);
    let from = Some(StartFrom::Time(since));
    let supervisor = world.supervisor().await;
    world.configure_with("late", Vendor::Https, true, |configuration| configuration.start_from = from).await;
    let books = world.settled("late").await;
    assert_eq!((books.tally.skipped, books.tally.accepted), (100, 200), "{books:?}");
    let configuration = world.catalog.get::<delivery::Configuration>("late").unwrap().value;
    assert!(!is_at_its_start(&*world.journal, &configuration).await.unwrap(), "it has come further");
    supervisor.shutdown().await;
}
