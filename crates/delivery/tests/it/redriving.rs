//! Redrives: what is in quarantine is sent again with the settings as they are now, and the books say where it is.

use std::collections::BTreeSet;
use std::time::Duration;

use base::EventId;
use delivery::quarantined::{Ending, Totals};
use delivery::{Deed, Figures, Picked, Run, RunKind, RunState, Supervisor};
use destinations::Vendor;
use event::quarantine::Standing;
use journal::model::ModelOptions;
use journal::{ConsumerState, Tally};

use crate::world::{NO_FAULTS, World};

impl World {
    /// A redrive as the API makes it.
    async fn redrive(&self, supervisor: &Supervisor, of: &str, picked: Picked) -> Run {
        let events = picked.n_events.map(|_| picked.events.iter().copied().collect());
        let quarantined = supervisor.quarantined();
        let found = quarantined.to_send(of, &picked.in_quarantine(), events.as_ref()).await.unwrap();
        let like = self.run(supervisor, of, Picked::default(), None).await;
        self.deed(&like, Deed::Cancel);
        let run = Run {
            id: format!("{}-redrive", like.id),
            kind: RunKind::Redrive,
            picked,
            from: found.first,
            until: found.last + 1,
            state: RunState::Running,
            ..like
        };
        delivery::enter_run(&self.catalog, &run, serde_json::Value::Null).unwrap();
        run
    }
}

async fn totals(supervisor: &Supervisor, of: &str) -> Totals {
    let everything = delivery::quarantined::Filter::default();
    supervisor
        .quarantined()
        .list(of, &everything, delivery::quarantined::Order::OldestFirst, None, 1)
        .await
        .unwrap()
        .totals
}

/// A world whose configuration `id` has put so many of 300 events into quarantine, the books, and those events.
async fn refused(
    seed: u64,
    (id, vendor): (&str, Vendor),
    n_refused: usize,
    whims: ModelOptions,
) -> (World, Supervisor, ConsumerState, Vec<String>) {
    let world = World::new(seed, whims);
    world.net.set_faults(NO_FAULTS);
    let supervisor = world.supervisor().await;
    world.configure(id, vendor, true).await;
    world.append(20).await;
    world.settled(id).await;
    world.net.hold_answers(true);
    let [account, audit] = world.append(280).await;
    let bad: Vec<String> =
        account.into_iter().chain(audit).step_by(280 / n_refused).take(n_refused).collect();
    for event in &bad {
        match vendor {
            Vendor::Https => world.net.refuse(event),
            _ => world.net.reject(event),
        }
    }
    world.net.hold_answers(false);
    // There is always one that it takes.
    for _ in 0..200 {
        world.append(1).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let books = world.settled(id).await;
    assert_eq!(books.tally.quarantined, n_refused as u64, "{books:?}");
    (world, supervisor, books, bad)
}

const HTTPS: (&str, Vendor) = ("https", Vendor::Https);

#[tokio::test(start_paused = true)]
async fn what_was_mended_is_delivered_and_moves_in_the_books() {
    for (id, vendor) in [HTTPS, ("bulk", Vendor::Elasticsearch), ("hec", Vendor::Splunk)] {
        let (world, supervisor, before, bad) = refused(1, (id, vendor), 20, ModelOptions::default()).await;
        for event in &bad {
            world.net.mend(event);
        }
        let run = world.redrive(&supervisor, id, Picked::default()).await;
        let figures = world.over(&run).await;
        assert_eq!((figures.confirmed + figures.accepted, figures.quarantined), (20, 0), "{id}: {figures:?}");
        world.net.taken(|taken| assert!(bad.iter().all(|event| taken.ids.get(event) == Some(&1)), "{id}"));
        let after = world.books(id).await;
        let moved = Tally { quarantined: 0, ..before.tally };
        let grade = figures.confirmed + figures.accepted;
        assert_eq!(after.tally.delivered(), moved.delivered() + grade, "{id}");
        assert_eq!((after.tally.quarantined, after.tally.total()), (0, after.appended), "{id}: {after:?}");
        assert_eq!(totals(&supervisor, id).await, Totals { delivered: 20, ..Totals::default() });
        supervisor.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_again_stays_for_its_new_reason_and_ends_the_run_even_alone() {
    let (world, supervisor, before, bad) = refused(2, HTTPS, 10, ModelOptions::default()).await;
    for event in bad.iter().skip(1) {
        world.net.mend(event);
    }
    let run = world.redrive(&supervisor, "https", Picked::default()).await;
    let figures = world.over(&run).await;
    assert_eq!((figures.accepted, figures.quarantined), (9, 1), "{figures:?}");
    let after = world.books("https").await;
    assert_eq!(after.tally.quarantined, 1);
    assert_eq!(after.tally.accepted, before.tally.accepted + 9);
    let stays = EventId::parse(&bad[0]).unwrap();
    let entry = supervisor.quarantined().find("https", stays).await.unwrap().unwrap();
    assert_eq!(entry.entry.standing, Standing::Quarantined);
    let last = entry.history.last().unwrap();
    assert_eq!(last.by.as_deref(), Some(format!("run {}", run.id).as_str()));
    assert!(last.attempts.unwrap() > entry.history[0].attempts.unwrap());
    // Nothing else is sent, so nothing shows that the destination takes others.
    let alone = world.redrive(&supervisor, "https", Picked::default()).await;
    assert_eq!(world.over(&alone).await.quarantined, 1);
    world.net.mend(&bad[0]);
    let mended = world.redrive(&supervisor, "https", Picked::default()).await;
    assert_eq!(world.over(&mended).await.accepted, 1);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn only_what_was_asked_for_and_is_in_quarantine_still_is_sent() {
    let (world, supervisor, _, bad) = refused(3, HTTPS, 10, ModelOptions::default()).await;
    for event in &bad {
        world.net.mend(event);
    }
    let ids: Vec<EventId> = bad.iter().map(|event| EventId::parse(event).unwrap()).collect();
    let quarantined = supervisor.quarantined();
    quarantined.end("https", ids[0], &Ending::Discarded { note: None }, "admin").await.unwrap().unwrap();
    let events = ids[..4].to_vec();
    let picked = Picked { n_events: Some(4), events, ..Picked::default() };
    let run = world.redrive(&supervisor, "https", picked).await;
    assert_eq!(world.over(&run).await.accepted, 3);
    world.net.taken(|taken| {
        let sent: BTreeSet<&String> = bad.iter().filter(|event| taken.ids.contains_key(*event)).collect();
        assert_eq!(sent, bad[1..4].iter().collect());
    });
    let books = world.books("https").await;
    assert_eq!((books.tally.quarantined, books.tally.discarded), (6, 1));
    let elsewhere = Picked { cause: Some("no such cause".to_owned()), ..Picked::default() };
    let run = world.redrive(&supervisor, "https", elsewhere).await;
    assert_eq!(world.over(&run).await.accepted, 0);
    let by_cause = Picked { cause: Some("http".to_owned()), ..Picked::default() };
    let run = world.redrive(&supervisor, "https", by_cause).await;
    assert_eq!(world.over(&run).await.accepted, 6);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_redrive_goes_on_after_restarts_and_counts_nothing_twice() {
    for seed in 0..4 {
        let whims = ModelOptions { lost_settles: 10, stale_settles: 10, ..ModelOptions::default() };
        let (world, mut supervisor, before, bad) = refused(10 + seed, HTTPS, 40, whims).await;
        for event in bad.iter().skip(5) {
            world.net.mend(event);
        }
        let run = world.redrive(&supervisor, "https", Picked::default()).await;
        let found = world.catalog.get::<Run>(&run.id).unwrap();
        let slow = Run { max_events_per_second: Some(5), ..found.value };
        world.catalog.replace(&run.id, &slow, found.revision, None).unwrap();
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            supervisor.shutdown().await;
            supervisor = world.supervisor().await;
        }
        let figures = world.over(&run).await;
        assert_eq!((figures.accepted, figures.quarantined), (35, 5), "seed {seed}: {figures:?}");
        assert_eq!(figures, Figures { skipped: figures.total - 40, accepted: 35, quarantined: 5, ..figures });
        let after = world.books("https").await;
        assert_eq!(
            (after.tally.accepted, after.tally.quarantined),
            (before.tally.accepted + 35, 5),
            "seed {seed}"
        );
        assert_eq!(after.tally.total(), after.appended);
        supervisor.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_a_replay_has_put_into_quarantine_moves_no_book_of_the_configuration() {
    let world = World::new(4, ModelOptions::default());
    world.net.set_faults(NO_FAULTS);
    let supervisor = world.supervisor().await;
    world.configure("https", Vendor::Https, true).await;
    let [account, _] = world.append(100).await;
    let before = world.settled("https").await;
    let refused = account.iter().next().unwrap().clone();
    world.net.refuse(&refused);
    for _ in 0..2 {
        let replay = world.run(&supervisor, "https", Picked::default(), None).await;
        assert_eq!(world.over(&replay).await.quarantined, 1);
    }
    assert_eq!(
        totals(&supervisor, "https").await,
        Totals { quarantined: 1, ..Totals::default() },
        "it has one entry"
    );
    world.net.mend(&refused);
    let run = world.redrive(&supervisor, "https", Picked::default()).await;
    assert_eq!(world.over(&run).await.accepted, 1);
    assert_eq!(world.books("https").await.tally, before.tally);
    assert_eq!(totals(&supervisor, "https").await, Totals { delivered: 1, ..Totals::default() });
    supervisor.shutdown().await;
}
