//! Settings that change while events come in: whatever is switched, every event obeys the settings in force when it was
//! appended, and the books balance at every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::EventId;
use delivery::{Configuration, Epoch, SelectedClaim, Supervisor};
use destinations::Vendor;
use event::filter::{Criterion, Filter, Preset};
use event::{RecordBuilder, Section, Stream};
use journal::model::ModelOptions;
use journal::{Append, ConsumerState, Entry, Journal, OnConflict, Producer, Receipt};
use serde_json::Value;
use testkit::net::Faults;

use crate::world::{NO_FAULTS, World};

const N_STEPS: u64 = 60;
/// Both in one world: a destination that hangs must not hold up the other's change of settings.
const DESTINATIONS: [(&str, Vendor, &str); 2] =
    [("hec", Vendor::Splunk, "192.0.2.1"), ("https", Vendor::Https, "192.0.2.2")];

/// An event that was appended.
struct Known {
    block: u64,
    stream: Stream,
    /// Its type, or what kind of entity it is about.
    kind: &'static str,
    code: &'static str,
}

/// The epochs of one configuration, all of them, with what each is to select.
#[derive(Default)]
struct History(Vec<Epoch>);

impl History {
    /// The settings in force when a block was appended.
    fn at(&self, block: u64) -> &Epoch {
        self.0.iter().find(|epoch| block < epoch.until).unwrap()
    }

    /// Whether an event is to be delivered, said without any of the code that decides it.
    fn selects(&self, known: &Known) -> bool {
        let epoch = self.at(known.block);
        let names = |list: Option<&Vec<String>>, value: &str| {
            list.is_some_and(|list| list.iter().any(|each| each == value))
        };
        match known.stream {
            Stream::AccountEvent => {
                let is_noise = !epoch.filter.presets.is_empty() && known.code == "sertft";
                let is_excluded = names(epoch.filter.exclude.get(&Criterion::Types), known.kind);
                epoch.account.enabled && !is_noise && !is_excluded
            }
            Stream::AuditLog => {
                let included = epoch.filter.include.get(&Criterion::EntityTypes);
                epoch.audit.enabled && (included.is_none() || names(included, known.kind))
            }
            _ => false,
        }
    }
}

struct Load {
    world: World,
    appended: BTreeMap<String, Known>,
    histories: BTreeMap<&'static str, History>,
    /// How many events are to be delivered, by configuration.
    n_selected: BTreeMap<&'static str, u64>,
    /// How many of a destination's documents were checked.
    n_checked: BTreeMap<&'static str, usize>,
    /// What the destinations stumble over.
    stones: Vec<String>,
    draws_stones: bool,
}

impl Load {
    async fn new(seed: u64) -> Self {
        let whims = ModelOptions {
            max_leased: 50,
            lost_settles: 5,
            stale_settles: 5,
            gaps: 30,
            ..ModelOptions::default()
        };
        let world = World::new(seed, whims);
        let mut histories = BTreeMap::new();
        for (id, vendor, _) in DESTINATIONS {
            world.configure(id, vendor, true).await;
            let current = world.catalog.get::<Configuration>(id).unwrap().value.current();
            histories.insert(id, History(vec![current]));
        }
        Self {
            world,
            histories,
            appended: BTreeMap::new(),
            n_selected: BTreeMap::new(),
            n_checked: BTreeMap::new(),
            stones: Vec::new(),
            draws_stones: true,
        }
    }

    fn pick<T: Copy>(&self, of: &[T]) -> T {
        of[self.world.random.up_to(of.len() as u64 - 1) as usize]
    }

    /// Appends a block or a few.
    async fn append(&mut self) {
        for _ in 0..=self.world.random.up_to(3) {
            let stream = self.pick(&[Stream::AccountEvent, Stream::AccountEvent, Stream::AuditLog]);
            let mut drawn = Vec::new();
            let mut entries = Vec::new();
            for _ in 0..=self.world.random.up_to(20) {
                let kind = match stream {
                    Stream::AuditLog => self.pick(&["Policy", "User"]),
                    _ => self.pick(&["customerFlow", "selfService"]),
                };
                let code = self.pick(&["s", "sertft"]);
                let now = base::Clock::now(&*self.world.clock);
                let id = EventId::draw(now, &self.world.random);
                let mut builder = RecordBuilder::new(stream, id, now, now);
                builder.section(Section::Source, "simulated");
                let member = if stream == Stream::AuditLog { "entityType" } else { "type" };
                builder
                    .section(Section::Header, &format!(r#""{member}":"{kind}","sourceEventType":"{code}""#));
                builder.section(Section::Claim, r#""city":"Graz""#);
                builder.section(Section::Claim, r#""email":"ann@example.com""#);
                let record = builder.finish().unwrap();
                entries.push(Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse });
                drawn.push((id.to_string(), kind, code));
            }
            if self.draws_stones && self.world.random.up_to(24) == 0 {
                let (stone, _, _) = &drawn[0];
                self.world.net.stumble_over(stone);
                self.stones.push(stone.clone());
            }
            let append = Append { stream, entries, request_key: None };
            let appended = self.world.journal.append(append).await.unwrap();
            for ((id, kind, code), receipt) in drawn.into_iter().zip(appended.receipts) {
                let Receipt::Stored(offset) = receipt else { panic!("{receipt:?}") };
                let known = Known { block: offset.block, stream, kind, code };
                for (configuration, history) in &self.histories {
                    *self.n_selected.entry(configuration).or_default() += u64::from(history.selects(&known));
                }
                self.appended.insert(id, known);
            }
            if self.pick(&[true, false]) {
                tokio::time::sleep(Duration::from_millis(self.world.random.up_to(200))).await;
            }
        }
    }

    /// Changes one thing of one configuration.
    async fn change(&mut self, supervisor: &Supervisor, id: &'static str) {
        let what = self.world.random.up_to(7);
        let claims = self.pick(&[&[][..], &["city"], &["city", "email"]]);
        let filter = filter(self.world.random.up_to(3));
        let change = |configuration: &mut Configuration| match what {
            0 => configuration.account.enabled ^= true,
            1 => configuration.audit.enabled ^= true,
            2 | 3 => configuration.account.claims = claims.iter().map(|&name| selected(name)).collect(),
            4 | 5 => configuration.filter = filter,
            _ => configuration.enabled ^= true,
        };
        self.set(supervisor, id, change).await;
    }

    /// Changes one configuration, and notes what it selects from then on.
    async fn set(
        &mut self,
        supervisor: &Supervisor,
        id: &'static str,
        change: impl FnOnce(&mut Configuration),
    ) {
        let next = self.world.journal.head().next;
        self.world.change(supervisor, id, change).await;
        let current = self.world.catalog.get::<Configuration>(id).unwrap().value.current();
        let history = &mut self.histories.get_mut(id).unwrap().0;
        let last = history.last_mut().unwrap();
        if *last != current {
            last.until = next;
            history.push(current);
        }
    }

    /// Goes on until what the destinations stumble over is parked, and for a while after. Returns how many events were.
    async fn park(&mut self, supervisor: &Supervisor, seed: u64) -> u64 {
        let mut n_parked = BTreeMap::new();
        for round in 0..90 {
            self.append().await;
            tokio::time::sleep(Duration::from_secs(20)).await;
            for (id, _, host) in DESTINATIONS {
                let parked = supervisor.status(id).map_or(0, |status| status.parked);
                let most = n_parked.entry(id).or_insert(0);
                *most = parked.max(*most);
                self.check(id, host, seed).await;
            }
            if round % 15 == 14 {
                let (id, _, _) = self.pick(&DESTINATIONS);
                self.change(supervisor, id).await;
            }
        }
        n_parked.values().sum()
    }

    /// Takes the stones away, one of three is refused for good; then goes on, so that it shows that others are taken.
    async fn clear(&mut self, supervisor: &Supervisor) {
        for (id, _, _) in DESTINATIONS {
            let open = |configuration: &mut Configuration| {
                (configuration.enabled, configuration.account.enabled) = (true, true);
                configuration.filter = Filter::default();
            };
            self.set(supervisor, id, open).await;
        }
        for (at, stone) in self.stones.drain(..).enumerate() {
            self.world.net.mend(&stone);
            if at % 3 == 2 {
                self.world.net.refuse(&stone);
            }
        }
        self.draws_stones = false;
        for _ in 0..60 {
            self.append().await;
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        self.draws_stones = true;
    }

    /// What holds at every moment. Returns how many events are to be skipped, and how many to be delivered.
    async fn check(&mut self, id: &'static str, host: &'static str, seed: u64) -> (u64, u64) {
        let history = &self.histories[id];
        let n_selected = self.n_selected.get(id).copied().unwrap_or_default();
        let n_skipped = self.appended.len() as u64 - n_selected;

        let ConsumerState { appended, tally, pending_bytes, oldest_pending, .. } = self.world.books(id).await;
        let step = format!("seed {seed}, {id}: {tally:?}");
        assert_eq!(appended, self.appended.len() as u64, "{step}");
        let pending = appended.checked_sub(tally.total()).expect(&step);
        assert_eq!((pending > 0, pending > 0), (pending_bytes > 0, oldest_pending.is_some()), "{step}");
        assert!(tally.skipped <= n_skipped, "{step}: {n_skipped} at most");
        assert!(tally.accepted + tally.quarantined <= n_selected, "{step}: {n_selected} at most");
        assert_eq!(tally.total(), tally.skipped + tally.accepted + tally.quarantined, "{step}");
        let n_checked = self.n_checked.entry(host).or_default();
        self.world.net.taken(|taken| {
            let documents = taken.documents.get(host).map_or(&[][..], Vec::as_slice);
            for document in &documents[*n_checked..] {
                let known = &self.appended[document["eventID"].as_str().unwrap()];
                assert!(history.selects(known), "{step}: {document} was sent against the settings");
                let due = claims_due(history.at(known.block), known);
                assert_eq!(claims_of(document), due, "{step}: {document}");
            }
            *n_checked = documents.len();
        });
        (n_skipped, n_selected)
    }
}

fn filter(which: u64) -> Filter {
    let list = |criterion, value: &str| [(criterion, vec![value.to_owned()])].into();
    match which {
        0 => Filter::default(),
        1 => Filter { presets: vec![Preset::WithoutTokenNoise], ..Filter::default() },
        2 => Filter { exclude: list(Criterion::Types, "selfService"), ..Filter::default() },
        _ => Filter { include: list(Criterion::EntityTypes, "Policy"), ..Filter::default() },
    }
}

fn claims_of(document: &Value) -> BTreeSet<String> {
    document["nativeClaims"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn selected(name: &str) -> SelectedClaim {
    SelectedClaim { id: format!("id-of-{name}"), name: name.to_owned() }
}

fn claims_due(epoch: &Epoch, known: &Known) -> BTreeSet<String> {
    let has_claims = known.stream == Stream::AccountEvent;
    epoch.account.claims.iter().filter(|_| has_claims).map(|claim| claim.name.clone()).collect()
}

/// Returns how many events were parked.
async fn books_balance_at_every_step(seed: u64) -> u64 {
    let mut n_parked = 0;
    let mut load = Load::new(seed).await;
    let supervisor = load.world.supervisor().await;
    for step in 0..N_STEPS {
        load.append().await;
        for _ in 0..=load.world.random.up_to(1) {
            let (id, _, _) = load.pick(&DESTINATIONS);
            load.change(&supervisor, id).await;
            load.append().await;
        }
        let hang = load.pick(&[0, 0, 20]);
        let lost = load.pick(&[0, 10, 50]);
        load.world.net.set_faults(Faults {
            lost_request: lost,
            lost_answer: lost,
            hang,
            poison: 5,
            ..NO_FAULTS
        });
        for (id, _, host) in DESTINATIONS {
            load.check(id, host, seed).await;
        }
        if step % 20 != 19 {
            continue;
        }
        load.world.net.set_faults(NO_FAULTS);
        n_parked += load.park(&supervisor, seed).await;
        load.clear(&supervisor).await;
        for (id, _, host) in DESTINATIONS {
            let state = load.world.settled(id).await;
            let (n_skipped, n_selected) = load.check(id, host, seed).await;
            assert_eq!(state.tally.skipped, n_skipped, "seed {seed}, {id}");
            assert_eq!(state.tally.accepted + state.tally.quarantined, n_selected, "seed {seed}, {id}");
        }
    }
    supervisor.shutdown().await;
    n_parked
}

#[tokio::test(start_paused = true)]
async fn whatever_is_switched_under_load_the_books_balance_and_every_event_obeys_its_epoch() {
    let mut n_parked = 0;
    for seed in 0..6 {
        n_parked += books_balance_at_every_step(seed).await;
    }
    assert!(n_parked > 10, "{n_parked} events were parked");
}
