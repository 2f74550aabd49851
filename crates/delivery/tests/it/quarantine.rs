//! What becomes of entries in quarantine: given up or sent again, each counted once, whatever happens in between.

use std::collections::BTreeMap;
use std::time::Duration;

use base::EventId;
use delivery::Supervisor;
use delivery::quarantined::{Ending, Filter, Listed, Order};
use destinations::{Grade, Vendor};
use event::quarantine::Standing;
use journal::model::ModelOptions;
use journal::{Journal, Offset, Tally};
use testkit::net::Faults;

use crate::parking::parked;
use crate::world::{NO_FAULTS, SOME_OF_EVERYTHING, World};

const MANY_REFUSALS: Faults = Faults { poison: 60, ..SOME_OF_EVERYTHING };
const BY: &str = "somebody";

fn discarded() -> Ending {
    Ending::Discarded { note: Some("not wanted".to_owned()) }
}

async fn listed(supervisor: &Supervisor, id: &str, filter: &Filter, after: Option<Offset>) -> Listed {
    supervisor.quarantined().list(id, filter, Order::OldestFirst, after, 7).await.unwrap()
}

/// A configuration some of whose events are in quarantine; their ids.
async fn refused(world: &World, vendor: Vendor) -> (Supervisor, Vec<EventId>) {
    let supervisor = world.supervisor().await;
    world.configure("c", vendor, true).await;
    world.net.set_faults(MANY_REFUSALS);
    for _ in 0..30 {
        world.append(20).await;
    }
    world.settled("c").await;
    let (ids, n_all) = supervisor.quarantined().chosen("c", &Filter::default()).await.unwrap();
    assert!(ids.len() >= 5 && n_all == ids.len() as u64, "{n_all} were refused");
    (supervisor, ids)
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_given_up_or_delivered_once_and_the_books_say_so() {
    let world = World::new(61, ModelOptions::default());
    let (supervisor, ids) = refused(&world, Vendor::Splunk).await;
    let before = world.books("c").await.tally;
    let quarantined = supervisor.quarantined();
    let again = Ending::Refused { reason: "still no".to_owned(), attempts: 9 };
    for _ in 0..3 {
        assert_eq!(quarantined.end("c", ids[0], &again, BY).await.unwrap(), Ok(()), "it may be tried again");
    }
    assert_eq!(world.books("c").await.tally, before);
    let delivered = Ending::Delivered(Grade::Accepted);
    for (id, ending, stands) in
        [(ids[0], &delivered, Standing::Delivered), (ids[1], &discarded(), Standing::Discarded)]
    {
        assert_eq!(quarantined.end("c", id, ending, BY).await.unwrap(), Ok(()));
        for ending in [&delivered, &discarded(), &again] {
            assert_eq!(quarantined.end("c", id, ending, BY).await.unwrap(), Err(Some(stands)));
        }
    }
    let nobody = EventId::from_bytes([7; 16]);
    assert_eq!(quarantined.end("c", nobody, &delivered, BY).await.unwrap(), Err(None));
    let expected =
        Tally { quarantined: before.quarantined - 2, accepted: before.accepted + 1, discarded: 1, ..before };
    assert_eq!(world.books("c").await.tally, expected);
    supervisor.shutdown().await;

    // And after a restart, which counts what was not counted yet.
    let supervisor = world.supervisor().await;
    assert_eq!(world.books("c").await.tally, expected);
    let full = supervisor.quarantined().find("c", ids[0]).await.unwrap().unwrap();
    let history: Vec<_> = full.history.iter().map(|step| (step.standing, step.by.as_deref())).collect();
    let again = (Standing::Quarantined, Some(BY));
    assert_eq!(
        history,
        [(Standing::Quarantined, None), again, again, again, (Standing::Delivered, Some(BY))]
    );
    assert_eq!((full.entry.attempts, full.entry.reason.as_str()), (9, "still no"), "as it was refused last");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn two_who_change_an_entry_at_a_time_change_it_once() {
    let world = World::new(62, ModelOptions::default());
    let (supervisor, ids) = refused(&world, Vendor::Elasticsearch).await;
    let before = world.books("c").await.tally;
    let (delivered, discarded) = (Ending::Delivered(Grade::Confirmed), discarded());
    let quarantined = supervisor.quarantined();
    let (one, other) = tokio::join!(
        quarantined.end_all("c", &ids, &delivered, BY),
        quarantined.end_all("c", &ids, &discarded, BY),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.n_changed + other.n_changed, ids.len() as u64);
    let after = world.books("c").await.tally;
    assert_eq!((after.quarantined, after.total()), (0, before.total()));
    assert_eq!(after.confirmed - before.confirmed, one.n_changed);
    assert_eq!(after.discarded, other.n_changed);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn entries_are_listed_by_pages_and_filters_and_leave_with_their_records() {
    let world = World::new(63, ModelOptions::default());
    let (supervisor, ids) = refused(&world, Vendor::Splunk).await;
    let ended = supervisor.quarantined().end_all("c", &ids[..2], &discarded(), BY).await.unwrap();
    assert_eq!(ended.n_changed, 2);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = listed(&supervisor, "c", &Filter::default(), after).await;
        assert!(page.entries.len() <= 7);
        assert_eq!(page.n_matching, ids.len() as u64);
        assert_eq!((page.totals.discarded, page.totals.quarantined), (2, ids.len() as u64 - 2));
        seen.extend(page.entries.iter().map(|entry| entry.event_id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids, "each once, in the order in which they were copied");
    let all = Filter::default();
    let newest = supervisor.quarantined().list("c", &all, Order::NewestFirst, None, 3);
    let newest: Vec<_> = newest.await.unwrap().entries.iter().map(|entry| entry.event_id).collect();
    assert_eq!(newest, ids.iter().rev().take(3).copied().collect::<Vec<_>>());
    for (filter, n) in [
        (Filter { standings: vec![Standing::Discarded], ..Filter::default() }, 2),
        (Filter { events: vec![ids[3]], ..Filter::default() }, 1),
        (Filter { event_type: Some("customerFlow".to_owned()), ..Filter::default() }, 0),
        (Filter { cause: Some("no such thing".to_owned()), ..Filter::default() }, 0),
    ] {
        let page = listed(&supervisor, "c", &filter, None).await;
        let n = if filter.event_type.is_some() { page.n_matching } else { n };
        assert_eq!(page.n_matching, n, "{filter:?}");
    }
    // The books stay when retention removes what they tell of.
    tokio::time::sleep(Duration::from_mins(2)).await;
    let books = world.books("c").await;
    world.journal.trim(world.journal.head().next).await.unwrap();
    assert_eq!(listed(&supervisor, "c", &Filter::default(), None).await.totals.quarantined, 0);
    assert_eq!(supervisor.quarantined().standing("c", ids[3]).await.unwrap(), None);
    let gone = supervisor.quarantined().end_all("c", &ids, &discarded(), BY).await.unwrap();
    assert_eq!((gone.n_changed, gone.n_unknown), (0, ids.len() as u64));
    assert_eq!(world.books("c").await.tally, books.tally);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_was_parked_first_can_be_given_up_once_it_is_in_quarantine() {
    let world = World::new(64, ModelOptions::default());
    let (stone, supervisor) = parked(&world, "https", Vendor::Https).await;
    let id = EventId::parse(&stone).unwrap();
    let parked = supervisor.quarantined().end_all("https", &[id], &discarded(), BY).await.unwrap();
    assert_eq!((parked.n_changed, parked.left.get("parked")), (0, Some(&1)), "it is still tried");
    world.net.mend(&stone);
    world.net.refuse(&stone);
    world.keep_busy(180).await;
    assert_eq!(world.books("https").await.tally.quarantined, 1);
    assert_eq!(supervisor.quarantined().end("https", id, &discarded(), BY).await.unwrap(), Ok(()));
    let books = world.books("https").await;
    assert_eq!((books.tally.quarantined, books.tally.discarded), (0, 1));
    assert_eq!(books.tally.total(), books.appended);
    let full = supervisor.quarantined().find("https", id).await.unwrap().unwrap();
    let history: Vec<_> = full.history.iter().map(|step| step.standing).collect();
    assert_eq!(history, [Standing::Parked, Standing::Quarantined, Standing::Discarded]);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_in_quarantine_is_not_sent_again_when_its_block_comes_again() {
    let world = World::new(65, ModelOptions::default());
    world.net.set_faults(NO_FAULTS);
    let supervisor = world.supervisor().await;
    world.configure("c", Vendor::Https, true).await;
    world.append(20).await;
    world.settled("c").await;
    // One block of which one event is refused for good, and the destination stumbles over another.
    world.net.set_faults(Faults { lost_request: 100, ..NO_FAULTS });
    let both = world.append_block(2).await;
    world.net.refuse(&both[0].to_string());
    world.net.stumble_over(&both[1].to_string());
    world.net.set_faults(NO_FAULTS);
    for _ in 0..3_000 {
        world.append(1).await;
        if supervisor.quarantined().standing("c", both[0]).await.unwrap().is_some() {
            break;
        }
    }
    assert_eq!(supervisor.quarantined().standing("c", both[0]).await.unwrap(), Some(Standing::Quarantined));
    let books = world.books("c").await;
    assert!(
        books.tally.quarantined == 0 && books.appended > books.tally.total(),
        "its block is open: {books:?}"
    );
    supervisor.shutdown().await;
    // Now the destination would take both.
    for id in &both {
        world.net.mend(&id.to_string());
    }
    let supervisor = world.supervisor().await;
    let books = world.settled("c").await;
    assert_eq!((books.tally.quarantined, books.tally.accepted), (1, books.appended - 1));
    world.net.taken(|taken| {
        let n_taken = both.iter().map(|id| taken.ids.get(&id.to_string()).copied().unwrap_or(0));
        assert_eq!(n_taken.collect::<Vec<_>>(), [0, 1]);
    });
    supervisor.shutdown().await;
}

/// What becomes of entries, drawn from a seed, told apart from what the code says of them.
struct Fates {
    world: World,
    supervisor: Option<Supervisor>,
    /// How many entries were moved to each grade, and given up.
    moved: BTreeMap<&'static str, u64>,
}

impl Fates {
    fn supervisor(&self) -> &Supervisor {
        self.supervisor.as_ref().unwrap()
    }

    async fn check(&self, seed: u64, step: u64) {
        let books = self.world.books("c").await;
        assert!(books.tally.total() <= books.appended, "seed {seed}, step {step}: {books:?}");
        let moved = |name| self.moved.get(name).copied().unwrap_or(0);
        assert_eq!(books.tally.discarded, moved("discarded"), "seed {seed}, step {step}: {books:?}");
        assert_eq!(books.tally.diverted, moved("diverted"), "seed {seed}, step {step}: {books:?}");
    }

    async fn change(&mut self, n: u64) {
        let (ids, _) = self.supervisor().quarantined().chosen("c", &Filter::default()).await.unwrap();
        let random = &self.world.random;
        let some: Vec<EventId> = ids.into_iter().filter(|_| random.up_to(3) == 0).collect();
        let (name, ending) = match n % 3 {
            0 => ("discarded", discarded()),
            1 => ("diverted", Ending::Delivered(Grade::Diverted)),
            _ => ("refused", Ending::Refused { reason: format!("no, {n}"), attempts: 3 }),
        };
        let ended = self.supervisor().quarantined().end_all("c", &some, &ending, BY).await.unwrap();
        assert_eq!(ended.n_changed, some.len() as u64);
        *self.moved.entry(name).or_default() += ended.n_changed;
    }

    async fn step(&mut self, seed: u64, step: u64) {
        match self.world.random.up_to(7) {
            0 | 1 => {
                for _ in 0..4 {
                    self.world.append(10).await;
                }
            }
            2..=4 => self.change(self.world.random.up_to(2)).await,
            5 => {
                self.supervisor.take().unwrap().shutdown().await;
                self.check(seed, step).await;
                self.supervisor = Some(self.world.supervisor().await);
            }
            6 => {
                // As retention does: when what has become of entries is counted.
                tokio::time::sleep(Duration::from_mins(2)).await;
                let floor = self.world.state("c").await.floor;
                self.world.journal.trim(floor).await.unwrap();
            }
            _ => tokio::time::sleep(Duration::from_secs(self.world.random.up_to(90))).await,
        }
        self.check(seed, step).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_books_balance_whatever_becomes_of_entries_and_however_it_is_interrupted() {
    let mut n_moved = 0;
    for seed in 0..25 {
        let whims =
            ModelOptions { max_leased: 50, lost_settles: 5, stale_settles: 5, ..ModelOptions::default() };
        let world = World::new(700 + seed, whims);
        world.net.set_faults(MANY_REFUSALS);
        let supervisor = Some(world.supervisor().await);
        let mut fates = Fates { world, supervisor, moved: BTreeMap::new() };
        fates.world.configure("c", Vendor::Elasticsearch, true).await;
        for step in 0..40 {
            fates.step(seed, step).await;
        }
        let books = fates.world.settled("c").await;
        fates.check(seed, 1000).await;
        let listed = listed(fates.supervisor(), "c", &Filter::default(), None).await;
        assert!(
            listed.totals.quarantined <= books.tally.quarantined,
            "seed {seed}: trimmed ones stay in the books"
        );
        let n_out = fates.moved.get("discarded").unwrap_or(&0) + fates.moved.get("diverted").unwrap_or(&0);
        let n_refused = fates.world.net.taken(|taken| taken.refused.len() as u64);
        assert_eq!(books.tally.quarantined + n_out, n_refused, "seed {seed}: {books:?}");
        n_moved += n_out;
        fates.supervisor.take().unwrap().shutdown().await;
    }
    assert!(n_moved > 100, "{n_moved}");
}
