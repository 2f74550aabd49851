//! Events that a destination stumbles over without saying why are parked: copied, counted as pending, tried again alone.

use std::time::Duration;

use delivery::State;
use destinations::Vendor;
use event::{Stream, StreamSet, quarantine};
use journal::model::ModelOptions;
use journal::{ConsumerState, Journal, ReadRange};
use testkit::net::{Faults, IndexerOptions};

use crate::world::{NO_FAULTS, World};

impl World {
    /// Appends events one by one for so many minutes, so that there is always one that the destination takes.
    pub(crate) async fn keep_busy(&self, minutes: u64) -> u64 {
        let mut n_appended = 0;
        for _ in 0..minutes * 6 {
            self.append(2).await;
            n_appended += 2;
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        n_appended
    }

    /// Appends events, as many of which as asked for the destination stumbles over.
    async fn append_stones<const N: usize>(&self, n_events: u64) -> [String; N] {
        self.net.set_faults(Faults { lost_request: 100, ..NO_FAULTS });
        let [account, audit] = self.append(n_events).await;
        let mut all = account.into_iter().chain(audit).step_by(n_events as usize / N);
        let stones = std::array::from_fn(|_| all.next().unwrap());
        for stone in &stones {
            self.net.stumble_over(stone);
        }
        self.net.set_faults(NO_FAULTS);
        stones
    }

    /// What became of entries of the quarantine stream, in order.
    async fn changes(&self) -> Vec<quarantine::Change> {
        let streams = StreamSet::from_iter([Stream::Quarantine]);
        let range = ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
        let blocks = self.journal.read(range).await.unwrap();
        blocks
            .iter()
            .flat_map(|block| block.records().filter_map(|(_, record)| quarantine::unwrap_change(&record)))
            .collect()
    }
}

fn pending(state: &ConsumerState) -> u64 {
    state.appended - state.tally.total()
}

/// A configuration that has parked one event of the world, which is answered.
pub(crate) async fn parked(world: &World, id: &str, vendor: Vendor) -> (String, delivery::Supervisor) {
    world.net.set_faults(NO_FAULTS);
    let supervisor = world.supervisor().await;
    world.configure(id, vendor, true).await;
    world.append(20).await;
    world.settled(id).await;
    let [stone] = world.append_stones::<1>(100).await;
    for moment in 0..36_000_u32 {
        if moment.is_multiple_of(100) {
            world.append(2).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        if supervisor.status(id).unwrap().parked == 1 {
            return (stone, supervisor);
        }
    }
    panic!("not parked: {:?}", supervisor.status(id));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_a_destination_stumbles_over_is_parked_and_counts_as_pending() {
    for (id, vendor) in [("hec", Vendor::Splunk), ("bulk", Vendor::Elasticsearch), ("https", Vendor::Https)] {
        let world = World::new(40, ModelOptions::default());
        let (stone, supervisor) = parked(&world, id, vendor).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(world.state(id).await.floor, world.journal.head().next, "{id}: its block is settled");
        let books = world.books(id).await;
        assert_eq!((pending(&books), books.tally.quarantined), (1, 0), "{id}: {books:?}");
        assert!(books.oldest_pending.is_some());
        assert_eq!(supervisor.status(id).unwrap().state(), State::Active);
        world.keep_busy(60).await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(pending(&world.books(id).await), 1, "{id}");
        let requests = world.net.taken(|taken| taken.requests);

        world.net.mend(&stone);
        tokio::time::sleep(Duration::from_hours(2)).await;
        let books = world.books(id).await;
        assert_eq!((pending(&books), books.tally.quarantined), (0, 0), "{id}: {books:?}");
        assert_eq!(books.tally.delivered(), books.appended, "{id}");
        assert_eq!(supervisor.status(id).unwrap().parked, 0);
        let n_tries = world.net.taken(|taken| taken.requests) - requests;
        assert_eq!(n_tries, 1, "{id}: it was tried once more");
        world.net.taken(|taken| assert_eq!(taken.ids.get(&stone), Some(&1), "{id}"));
        let changes = world.changes().await;
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].event_id.to_string(), stone);
        assert_eq!(changes[0].standing, quarantine::Standing::Delivered);
        supervisor.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_survives_a_restart() {
    let world = World::new(41, ModelOptions::default());
    let (stone, supervisor) = parked(&world, "bulk", Vendor::Elasticsearch).await;
    supervisor.shutdown().await;
    let supervisor = world.supervisor().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(supervisor.status("bulk").unwrap().parked, 1);
    assert_eq!(pending(&world.books("bulk").await), 1);
    world.net.mend(&stone);
    tokio::time::sleep(Duration::from_hours(2)).await;
    let books = world.books("bulk").await;
    assert_eq!((pending(&books), books.tally.confirmed), (0, books.appended));
    supervisor.shutdown().await;
    // And its end does, too.
    let supervisor = world.supervisor().await;
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert_eq!(world.books("bulk").await.tally, books.tally);
    world.net.taken(|taken| assert_eq!(taken.ids.get(&stone), Some(&1)));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_that_is_refused_at_last_goes_to_quarantine() {
    let world = World::new(42, ModelOptions::default());
    let (stone, supervisor) = parked(&world, "https", Vendor::Https).await;
    world.net.mend(&stone);
    world.net.refuse(&stone);
    world.keep_busy(180).await;
    let books = world.books("https").await;
    assert_eq!((pending(&books), books.tally.quarantined), (0, 1), "{books:?}");
    let changes = world.changes().await;
    assert_eq!(changes.last().unwrap().standing, quarantine::Standing::Quarantined);
    assert!(changes.last().unwrap().reason.as_ref().unwrap().contains("400"));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_is_left_in_quarantine_when_what_gathered_in_a_pause_is_given_up() {
    let world = World::new(49, ModelOptions::default());
    let (stone, supervisor) = parked(&world, "bulk", Vendor::Elasticsearch).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let n_before = world.books("bulk").await.appended;
    let switch = |on: bool| move |configuration: &mut delivery::Configuration| configuration.enabled = on;
    world.change(&supervisor, "bulk", switch(false)).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let n_gathered: u64 = world.append(70).await.iter().map(|ids| ids.len() as u64).sum();
    let backlog = delivery::Backlog::of(&*world.journal, "bulk").await.unwrap();
    assert_eq!((backlog.events, backlog.next), (n_gathered, world.journal.head().next));
    let choose = |configuration: &mut delivery::Configuration| {
        configuration.resume.gives_up_below = Some(backlog.next);
    };
    world.change(&supervisor, "bulk", choose).await;
    for _ in 0..2 {
        supervisor.give_up("bulk", backlog.next).await.unwrap();
        let books = world.books("bulk").await;
        assert_eq!((pending(&books), books.tally.quarantined), (0, 1), "{books:?}");
        assert_eq!((books.tally.discarded, books.tally.confirmed), (n_gathered, n_before - 1));
        assert_eq!((books.pending_bytes, books.oldest_pending), (0, None));
    }
    let changes = world.changes().await;
    assert_eq!((changes.len(), changes[0].standing), (1, quarantine::Standing::Quarantined));
    assert!(changes[0].reason.as_ref().unwrap().contains("given up"));

    world.net.mend(&stone);
    delivery::end_pause(&world.catalog, "bulk", backlog.next).unwrap();
    world.change(&supervisor, "bulk", switch(true)).await;
    let n_new = world.keep_busy(180).await;
    let books = world.settled("bulk").await;
    assert_eq!((books.tally.quarantined, books.tally.discarded), (1, n_gathered));
    assert_eq!(books.tally.confirmed, n_before - 1 + n_new);
    world.net.taken(|taken| assert!(!taken.ids.contains_key(&stone), "it is tried no more"));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_is_confirmed_only_when_it_is_acknowledged() {
    let world = World::new(43, ModelOptions::default());
    world.net.put_indexers(IndexerOptions::default());
    let (stone, supervisor) = parked(&world, "hec", Vendor::Splunk).await;
    world.net.mend(&stone);
    tokio::time::sleep(Duration::from_hours(2)).await;
    let books = world.books("hec").await;
    assert_eq!((pending(&books), books.tally.confirmed), (0, books.appended), "{books:?}");
    world.net.taken(|taken| assert_eq!(taken.stored.get(&stone), Some(&1)));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_parked_while_the_destination_takes_nothing() {
    for faults in [
        Faults { hang: 100, ..NO_FAULTS },
        Faults { lost_request: 100, ..NO_FAULTS },
        Faults { busy: 100, ..NO_FAULTS },
    ] {
        let world = World::new(44, ModelOptions::default());
        world.net.set_faults(NO_FAULTS);
        let supervisor = world.supervisor().await;
        world.configure("bulk", Vendor::Elasticsearch, true).await;
        world.append(50).await;
        world.settled("bulk").await;
        world.net.set_faults(faults);
        world.append(300).await;
        tokio::time::sleep(Duration::from_hours(24)).await;
        assert_eq!(supervisor.status("bulk").unwrap().parked, 0, "{faults:?}");
        world.net.set_faults(NO_FAULTS);
        let state = world.settled("bulk").await;
        assert_eq!(state.tally.confirmed, 350, "{faults:?}: {:?}", state.tally);
        supervisor.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn parking_survives_lost_settles_with_balanced_books() {
    for seed in 0..4 {
        let whims = ModelOptions {
            max_leased: 50,
            lost_settles: 20,
            stale_settles: 20,
            lost_answers: 5,
            gaps: 30,
            ..ModelOptions::default()
        };
        let world = World::new(seed, whims);
        world.net.set_faults(NO_FAULTS);
        let supervisor = world.supervisor().await;
        world.configure("bulk", Vendor::Elasticsearch, true).await;
        world.append(20).await;
        let stones = world.append_stones::<4>(300).await;
        let mut n_events = 320;
        for _ in 0..60 {
            n_events += world.keep_busy(2).await;
        }
        let books = world.books("bulk").await;
        assert_eq!(books.appended, n_events, "seed {seed}");
        assert_eq!(pending(&books), stones.len() as u64, "seed {seed}: {books:?}");
        for stone in &stones {
            world.net.mend(stone);
        }
        tokio::time::sleep(Duration::from_hours(4)).await;
        let books = world.books("bulk").await;
        assert_eq!((pending(&books), books.tally.confirmed), (0, n_events), "seed {seed}: {books:?}");
        world.net.taken(|taken| assert_eq!(taken.ids.len() as u64, n_events, "seed {seed}"));
        supervisor.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_configuration_leaves_no_place_for_parked_events() {
    let world = World::new(45, ModelOptions::default());
    let (_, supervisor) = parked(&world, "bulk", Vendor::Elasticsearch).await;
    let revision = world.catalog.get::<delivery::Configuration>("bulk").unwrap().revision;
    world.catalog.delete::<delivery::Configuration>("bulk", revision, None).unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    delivery::dismiss(&*world.journal, "bulk").await.unwrap();
    let places = world.journal.consumers(journal::ConsumerCommand::List).await.unwrap();
    assert_eq!(places, []);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_fails_now_and_then_has_nothing_cut_to_pieces() {
    let world = World::new(46, ModelOptions::default());
    world.net.set_faults(Faults { lost_request: 20, lost_answer: 20, ..NO_FAULTS });
    let supervisor = world.supervisor().await;
    world.configure("bulk", Vendor::Elasticsearch, true).await;
    world.append(10_000).await;
    world.settled("bulk").await;
    let status = supervisor.status("bulk").unwrap();
    assert!(status.requests < 2_000, "{status:?}");
    assert_eq!(world.changes().await, [], "nothing was parked");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_event_that_was_parked_is_tried_again_although_nothing_else_comes() {
    let world = World::new(47, ModelOptions::default());
    let (stone, supervisor) = parked(&world, "bulk", Vendor::Elasticsearch).await;
    world.net.mend(&stone);
    let books = world.settled("bulk").await;
    assert_eq!((pending(&books), books.tally.confirmed), (0, books.appended));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn stones_in_everything_that_waits_do_not_stop_a_worker_that_can_lease_no_more() {
    let few = ModelOptions { max_leased: 4, ..ModelOptions::default() };
    let world = World::new(48, few);
    world.net.set_faults(NO_FAULTS);
    let supervisor = world.supervisor().await;
    world.configure("bulk", Vendor::Elasticsearch, true).await;
    world.append_stones::<4>(400).await;
    let n_events = 400 + world.keep_busy(240).await;
    let books = world.books("bulk").await;
    assert_eq!((books.appended, pending(&books)), (n_events, 4), "{books:?} {:?}", supervisor.status("bulk"));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_copy_was_stored_without_an_answer_is_counted_once() {
    let world = World::new(41, ModelOptions::default());
    world.net.set_faults(NO_FAULTS);
    let supervisor = world.supervisor().await;
    world.configure("bulk", Vendor::Elasticsearch, true).await;
    world.append(20).await;
    world.settled("bulk").await;
    let [stone] = world.append_stones::<1>(100).await;
    world.journal.lose_copies(1);
    let mut n_copies = 0;
    while n_copies == 0 {
        world.append(2).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let streams = StreamSet::from_iter([Stream::Quarantine]);
        let range = ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
        n_copies = world.journal.read(range).await.unwrap().len();
    }
    world.net.mend(&stone);
    world.keep_busy(10).await;
    let state = world.settled("bulk").await;
    assert_eq!((state.tally.confirmed, state.tally.quarantined), (state.appended, 0), "{:?}", state.tally);
    let main = world.state("bulk").await;
    assert_eq!(main.tally.total() - main.tally.confirmed, 1, "once by its copy, and not by itself: {main:?}");
    supervisor.shutdown().await;
}
