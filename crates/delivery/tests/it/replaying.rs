//! Replays: what was sent is sent once more, exactly what was asked for, beside what is new and in books of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use base::Clock;
use delivery::{
    Configuration, Deed, Figures, Picked, Progress, Run, RunKind, RunShown, RunState, Supervisor,
};
use destinations::Vendor;
use event::{Stream, StreamSet};
use journal::model::ModelOptions;
use journal::{ConsumerCommand, Journal, ReadRange};
use serde_json::{Value, json};
use testkit::net::Faults;
use tokio::time::Instant;

use crate::world::{NO_FAULTS, World};

/// The array that HTTPS destinations of the world are sent.
const HTTPS: &str = "192.0.2.2";

impl World {
    /// A run as the API makes it.
    pub(crate) async fn run(
        &self,
        supervisor: &Supervisor,
        of: &str,
        picked: Picked,
        rate: Option<u32>,
    ) -> Run {
        let span = supervisor.span(of, &picked).await.unwrap();
        let run = Run {
            id: uuid_of(self),
            configuration_id: of.to_owned(),
            kind: RunKind::Replay,
            picked,
            from: span.from,
            until: span.until,
            max_events_per_second: rate,
            created_at: self.clock.now(),
            created_by: "admin".to_owned(),
            state: RunState::Running,
            failure: None,
            ended_at: None,
            figures: None,
        };
        delivery::enter_run(&self.catalog, &run, Value::Null).unwrap();
        run
    }

    pub(crate) fn stored_run(&self, run: &Run) -> Run {
        self.catalog.get::<Run>(&run.id).unwrap().value
    }

    pub(crate) fn deed(&self, run: &Run, deed: Deed) {
        let found = self.catalog.get::<Run>(&run.id).unwrap();
        let after = found.value.after(deed, self.clock.now()).unwrap();
        self.catalog.replace(&run.id, &after, found.revision, None).unwrap();
    }

    /// Waits until a run is over.
    pub(crate) async fn over(&self, run: &Run) -> Figures {
        for _ in 0..20_000 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let stored = self.stored_run(run);
            if let Some(figures) = stored.figures {
                assert_eq!(
                    figures.pending(),
                    if stored.state == RunState::Completed { 0 } else { figures.pending() }
                );
                return figures;
            }
        }
        panic!("it does not end: {:?}", self.journal.consumers(ConsumerCommand::List).await);
    }

    /// The ids of documents that a host was sent as a replay, each as often as it came.
    fn replayed(&self, host: &str) -> Vec<String> {
        self.net.taken(|taken| {
            let documents = taken.documents.get(host).into_iter().flatten();
            let again = documents.filter(|document| document["replay"] == json!(true));
            again.map(|document| document["eventID"].as_str().unwrap().to_owned()).collect()
        })
    }

    async fn n_run_consumers(&self) -> usize {
        let all = self.journal.consumers(ConsumerCommand::List).await.unwrap();
        all.iter().filter(|consumer| delivery::run_of(&consumer.name).is_some()).count()
    }
}

fn uuid_of(world: &World) -> String {
    // Ids are in order of creation.
    static N: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let n = N.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{:012}-{n:08}", world.clock.now().as_millis())
}

async fn progress(supervisor: &Supervisor, world: &World, run: &Run) -> Progress {
    supervisor.progress(&world.stored_run(run)).await.unwrap()
}

/// A world without faults in which the configuration `https` has delivered so many events.
async fn delivered(seed: u64, n_events: u64) -> (World, Supervisor, BTreeSet<String>, BTreeSet<String>) {
    let world = World::new(seed, ModelOptions::default());
    world.net.set_faults(NO_FAULTS);
    let supervisor = world.supervisor().await;
    world.configure("https", Vendor::Https, true).await;
    let [account, audit] = world.append(n_events).await;
    world.settled("https").await;
    (world, supervisor, account, audit)
}

/// The block from which on about half of the events lie.
fn middle(world: &World) -> u64 {
    let head = world.journal.head();
    head.first + (head.next - head.first) / 2
}

/// The ids of a stream's events in some blocks.
async fn ids(world: &World, streams: StreamSet, from: u64, until: u64) -> BTreeSet<String> {
    let range = ReadRange { streams, from, until, max_bytes: usize::MAX };
    let blocks = world.journal.read(range).await.unwrap();
    blocks.iter().flat_map(|block| block.records().map(|(_, record)| record.event_id().to_string())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_waits_until_the_one_before_it_has_left() {
    let (world, supervisor, ..) = delivered(21, 300).await;
    let first = world.run(&supervisor, "https", Picked::default(), None).await;
    let second = world.run(&supervisor, "https", Picked::default(), None).await;
    world.net.hold_answers(true);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(progress(&supervisor, &world, &first).await.live.unwrap().in_flight > 0, "it is at work");
    world.deed(&first, Deed::Pause);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let waiting = progress(&supervisor, &world, &second).await;
    assert_eq!((waiting.state, waiting.live), (RunShown::Queued, None), "the first one is leaving");
    world.net.hold_answers(false);
    world.over(&second).await;
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_replay_sends_exactly_its_range_once_more_and_says_that_it_does() {
    let (world, supervisor, ..) = delivered(1, 400).await;
    let books = world.books("https").await;
    let from = middle(&world);
    let picked =
        Picked { from_offset: Some((from, 0)), streams: vec![Stream::AuditLog], ..Picked::default() };
    let run = world.run(&supervisor, "https", picked, None).await;
    let later = world.append(50).await;
    let figures = world.over(&run).await;
    let expected = ids(&world, Stream::AuditLog.into(), from, run.until).await;
    let replayed = world.replayed(HTTPS);
    assert_eq!(replayed.len(), expected.len(), "each once");
    assert_eq!(replayed.into_iter().collect::<BTreeSet<_>>(), expected);
    assert!(!expected.is_empty());
    let in_range = ids(&world, StreamSet::product(), from, run.until).await.len() as u64;
    let n = expected.len() as u64;
    assert_eq!(
        figures,
        Figures { total: in_range, skipped: in_range - n, accepted: n, ..Figures::default() }
    );
    let stored = world.stored_run(&run);
    assert_eq!((stored.state, stored.ended_at), (RunState::Completed, Some(world.clock.now())));
    assert_eq!(world.n_run_consumers().await, 0);
    world.settled("https").await;
    let after = world.books("https").await;
    let n_later = (later[0].len() + later[1].len()) as u64;
    assert_eq!(after.appended, books.appended + n_later);
    assert_eq!(
        after.tally.accepted,
        books.tally.accepted + n_later,
        "the books of its own deliveries are as they were"
    );
    assert_eq!(progress(&supervisor, &world, &run).await.percent, 100);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_events_by_their_places_sends_those_and_no_others() {
    let (world, supervisor, ..) = delivered(2, 300).await;
    let from = middle(&world);
    let range = ReadRange { streams: StreamSet::product(), from, until: u64::MAX, max_bytes: usize::MAX };
    let mut wanted = Vec::new();
    for block in world.journal.read(range).await.unwrap() {
        let picked =
            block.records().filter(|(offset, _)| (offset.block + u64::from(offset.index)).is_multiple_of(7));
        wanted.extend(
            picked.map(|(offset, record)| ((offset.block, offset.index), record.event_id().to_string())),
        );
    }
    let places = wanted.iter().map(|(place, _)| *place).collect();
    let picked = Picked { places, n_events: Some(wanted.len() as u64), ..Picked::default() };
    let run = world.run(&supervisor, "https", picked, None).await;
    let figures = world.over(&run).await;
    assert_eq!(figures.accepted, wanted.len() as u64);
    let wanted: BTreeSet<String> = wanted.into_iter().map(|(_, id)| id).collect();
    assert_eq!(world.replayed(HTTPS).into_iter().collect::<BTreeSet<_>>(), wanted);
    assert!(world.stored_run(&run).picked.places.is_empty(), "what is over needs no list");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_settings_do_not_select_any_more_is_not_replayed() {
    let (world, supervisor, account, _) = delivered(3, 200).await;
    world.change(&supervisor, "https", |configuration| configuration.audit.enabled = false).await;
    let run = world.run(&supervisor, "https", Picked::default(), None).await;
    let figures = world.over(&run).await;
    assert_eq!((figures.total, figures.accepted), (200, account.len() as u64));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_and_can_be_changed_on_the_way() {
    let (world, supervisor, ..) = delivered(4, 600).await;
    let begun = Instant::now();
    let run = world.run(&supervisor, "https", Picked::default(), Some(10)).await;
    for second in 1..=20_usize {
        tokio::time::sleep_until(begun + Duration::from_secs(second as u64)).await;
        let n_sent = world.replayed(HTTPS).len();
        assert!(n_sent <= 10 * (second + 1), "{n_sent} in {second} s");
    }
    let n_sent = world.replayed(HTTPS).len();
    assert!(n_sent >= 150, "{n_sent} in 20 s");
    let shown = progress(&supervisor, &world, &run).await;
    assert_eq!(shown.state, RunShown::Running);
    assert!(shown.events_per_second.unwrap() <= 10.5, "{shown:?}");
    assert!(shown.ends_at.unwrap() > world.clock.now().plus(Duration::from_secs(30)), "{shown:?}");

    let found = world.catalog.get::<Run>(&run.id).unwrap();
    let faster = Run { max_events_per_second: Some(200), ..found.value };
    world.catalog.replace(&run.id, &faster, found.revision, None).unwrap();
    let changed = Instant::now();
    let figures = world.over(&run).await;
    assert_eq!(figures.accepted, 600);
    assert!(changed.elapsed() < Duration::from_secs(10), "{:?}", changed.elapsed());
    assert_eq!(world.replayed(HTTPS).len(), 600, "a change of the rate sends nothing twice");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_paused_sends_nothing_and_goes_on_from_its_place() {
    let (world, supervisor, ..) = delivered(5, 600).await;
    let run = world.run(&supervisor, "https", Picked::default(), Some(20)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.deed(&run, Deed::Pause);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = world.replayed(HTTPS).len();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(world.replayed(HTTPS).len(), before);
    let shown = progress(&supervisor, &world, &run).await;
    assert_eq!(shown.state, RunShown::Paused);
    assert!((1..100).contains(&shown.percent) && shown.figures.done() > 0, "{shown:?}");

    world.deed(&run, Deed::Resume);
    let figures = world.over(&run).await;
    assert_eq!((figures.total, figures.accepted), (600, 600));
    let n_sent = world.replayed(HTTPS).len();
    assert!((600..700).contains(&n_sent), "{n_sent}: the block that it was stopped in is sent again");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_keeps_the_figures_that_it_had() {
    let (world, supervisor, ..) = delivered(6, 600).await;
    let run = world.run(&supervisor, "https", Picked::default(), Some(20)).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    world.deed(&run, Deed::Cancel);
    let figures = world.over(&run).await;
    let n_sent = world.replayed(HTTPS).len() as u64;
    assert!(figures.accepted > 0 && figures.accepted <= n_sent && n_sent < 600, "{figures:?} {n_sent}");
    assert_eq!(figures.pending(), 600 - figures.accepted);
    assert_eq!(world.n_run_consumers().await, 0);
    let stored = world.stored_run(&run);
    assert_eq!(stored.state, RunState::Cancelled);
    assert!(stored.after(Deed::Resume, world.clock.now()).is_err());
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_after_a_restart_and_its_books_balance_whatever_goes_wrong() {
    for seed in 0..6 {
        let whims =
            ModelOptions { max_leased: 50, lost_settles: 5, stale_settles: 5, ..ModelOptions::default() };
        let world = World::new(seed, whims);
        world.net.set_faults(Faults { poison: 0, ..crate::world::SOME_OF_EVERYTHING });
        let mut supervisor = world.supervisor().await;
        for (id, vendor) in [("hec", Vendor::Splunk), ("bulk", Vendor::Elasticsearch)] {
            world.configure(id, vendor, true).await;
        }
        world.append(500).await;
        world.settled("hec").await;
        world.settled("bulk").await;
        let hec = world.run(&supervisor, "hec", Picked::default(), Some(50)).await;
        let bulk = world.run(&supervisor, "bulk", Picked::default(), Some(50)).await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(3)).await;
            supervisor.shutdown().await;
            supervisor = world.supervisor().await;
        }
        let (hec, bulk) = (world.over(&hec).await, world.over(&bulk).await);
        assert_eq!(hec, Figures { total: 500, accepted: 500, ..Figures::default() }, "seed {seed}");
        assert_eq!(bulk, Figures { total: 500, confirmed: 500, ..Figures::default() }, "seed {seed}");
        world.net.taken(|taken| {
            assert!(taken.ids.values().all(|times| *times >= 2), "seed {seed}: each twice at least");
        });
        supervisor.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_new_is_not_kept_waiting_by_a_replay() {
    let (world, supervisor, ..) = delivered(7, 4_000).await;
    let run = world.run(&supervisor, "https", Picked::default(), None).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.stored_run(&run).figures.is_none());
    for _ in 0..20 {
        let begun = Instant::now();
        let [account, audit] = world.append(1).await;
        let id = account.into_iter().chain(audit).next().unwrap();
        while !world.net.taken(|taken| taken.ids.contains_key(&id)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    }
    assert_eq!(world.over(&run).await.accepted, 4_000);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_during_a_run_is_left_alone_and_gets_everything_later() {
    let (world, supervisor, ..) = delivered(8, 500).await;
    let run = world.run(&supervisor, "https", Picked::default(), Some(50)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.net.set_faults(Faults { lost_request: 100, ..NO_FAULTS });
    world.append(10).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let requests = supervisor.progress(&world.stored_run(&run)).await.unwrap().live.unwrap().requests;
    tokio::time::sleep(Duration::from_hours(2)).await;
    let shown = progress(&supervisor, &world, &run).await;
    let n_tries = shown.live.as_ref().unwrap().requests - requests;
    assert!((1..=30).contains(&n_tries), "{n_tries}: it stands back for the worker of what is new");
    assert!(shown.waits_for.is_some(), "{shown:?}");
    world.net.set_faults(NO_FAULTS);
    let figures = world.over(&run).await;
    assert_eq!(figures, Figures { total: 500, accepted: 500, ..Figures::default() });
    assert_eq!(world.settled("https").await.tally.accepted, 510);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_goes_to_quarantine_and_one_that_is_stumbled_over_does_not_hold_up_a_run() {
    let (world, supervisor, account, _) = delivered(9, 300).await;
    let [stone, refused] = [0, 1].map(|n| account.iter().nth(n).unwrap().clone());
    world.net.stumble_over(&stone);
    world.net.refuse(&refused);
    let run = world.run(&supervisor, "https", Picked::default(), None).await;
    for _ in 0..400 {
        world.append(2).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let figures = world.over(&run).await;
    assert_eq!((figures.total, figures.accepted, figures.quarantined), (300, 298, 2));
    let expected = BTreeSet::from([stone, refused]);
    assert_eq!(world.quarantined().await["https"], expected);
    assert_eq!(world.books("https").await.tally.quarantined, 0, "its own deliveries were taken");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn runs_of_a_configuration_are_carried_out_one_after_another_and_those_of_others_beside_them() {
    let (world, supervisor, ..) = delivered(10, 200).await;
    world.configure("hec", Vendor::Splunk, true).await;
    world.append(100).await;
    world.settled("hec").await;
    world.settled("https").await;
    let first = world.run(&supervisor, "https", Picked::default(), Some(20)).await;
    let second = world.run(&supervisor, "https", Picked::default(), None).await;
    let other = world.run(&supervisor, "hec", Picked::default(), None).await;
    assert_eq!(
        world.over(&other).await.accepted,
        300,
        "also what was stored before there was the configuration"
    );
    let shown = progress(&supervisor, &world, &second).await;
    assert_eq!(shown.state, RunShown::Queued);
    assert!(shown.waits_for.unwrap().contains(&first.id));
    assert!(world.stored_run(&first).figures.is_none());
    world.deed(&first, Deed::Pause);
    assert_eq!(world.over(&second).await.accepted, 300, "one that is paused is passed over");
    world.deed(&first, Deed::Resume);
    assert_eq!(world.over(&first).await.accepted, 300);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_waits_while_its_configuration_is_disabled_and_goes_with_it() {
    let (world, supervisor, ..) = delivered(11, 300).await;
    let run = world.run(&supervisor, "https", Picked::default(), Some(20)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.change(&supervisor, "https", |configuration| configuration.enabled = false).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let n_sent = world.replayed(HTTPS).len();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(world.replayed(HTTPS).len(), n_sent);
    let shown = progress(&supervisor, &world, &run).await;
    assert_eq!(shown.state, RunShown::Queued);
    assert!(shown.waits_for.unwrap().contains("disabled"));

    let found = world.catalog.get::<Configuration>("https").unwrap();
    world.catalog.delete::<Configuration>("https", found.revision, None).unwrap();
    delivery::dismiss(&*world.journal, "https").await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(world.catalog.get::<Run>(&run.id).is_err());
    assert_eq!(world.n_run_consumers().await, 0);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_retention_removes_before_its_turn_is_expired_in_the_books_of_the_run() {
    let (world, supervisor, ..) = delivered(12, 300).await;
    let run = world.run(&supervisor, "https", Picked::default(), Some(20)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.deed(&run, Deed::Pause);
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.journal.trim(middle(&world)).await.unwrap();
    world.deed(&run, Deed::Resume);
    let figures = world.over(&run).await;
    assert!(figures.expired > 0 && figures.accepted > 0, "{figures:?}");
    assert_eq!((figures.total, figures.expired + figures.accepted), (300, 300));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_document_and_consumer_leaves_nothing_stuck() {
    let (world, supervisor, ..) = delivered(13, 100).await;
    supervisor.shutdown().await;
    // Stored, and then the process ended.
    let run = {
        let supervisor = world.supervisor().await;
        let run = world.run(&supervisor, "https", Picked::default(), None).await;
        supervisor.shutdown().await;
        run
    };
    // A consumer whose run was never stored, or was forgotten.
    let stray = Run { id: "gone".to_owned(), ..run.clone() };
    let create = ConsumerCommand::Create {
        name: stray.consumer().unwrap(),
        streams: StreamSet::product(),
        start: journal::StartAt::Earliest,
        until: Some(run.until),
    };
    world.journal.consumers(create).await.unwrap();
    let supervisor = world.supervisor().await;
    assert_eq!(world.over(&run).await.accepted, 100);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.n_run_consumers().await, 0);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_newest_runs_that_are_over_are_remembered_and_only_so_many_wait() {
    let (world, supervisor, ..) = delivered(14, 10).await;
    for _ in 0..delivery::MAX_KEPT_RUNS + 5 {
        let run = world.run(&supervisor, "https", Picked::default(), None).await;
        world.over(&run).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(delivery::runs_of(&world.catalog, "https").len() <= delivery::MAX_KEPT_RUNS);
    world.change(&supervisor, "https", |configuration| configuration.enabled = false).await;
    let mut last = None;
    for _ in 0..delivery::MAX_OPEN_RUNS {
        last = Some(world.run(&supervisor, "https", Picked::default(), None).await);
    }
    let one_more = Run { id: "zzz".to_owned(), ..last.unwrap() };
    assert!(delivery::enter_run(&world.catalog, &one_more, Value::Null).is_err());
    supervisor.shutdown().await;
}
