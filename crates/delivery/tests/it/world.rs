//! A whole way out: a journal that loses settles, a network that loses requests and answers, destinations that refuse
//! single events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, EventId, ManualClock, Random, Secret, Timestamp};
use catalog::{Catalog, Keyring, MemoryStore};
use delivery::{AccountSwitch, AuditSwitch, Configuration, HookSwitch, Parts, Supervisor};
use destinations::{SecretName, Settings, Vendor};
use event::filter::Filter;
use event::native::Instance;
use event::{Record, RecordBuilder, Section, Stream, StreamSet, quarantine};
use journal::model::{ModelJournal, ModelOptions};
use journal::{Append, ConsumerCommand, ConsumerState, Entry, Journal, OnConflict, Producer, ReadRange};
use testkit::net::{Faults, SimNet};

pub(crate) const NO_FAULTS: Faults = Faults {
    lost_request: 0,
    lost_answer: 0,
    busy: 0,
    poison: 0,
    item_busy: 0,
    unfit: 0,
    hang: 0,
    echo: 0,
    broken: 0,
};
pub(crate) const SOME_OF_EVERYTHING: Faults =
    Faults { lost_request: 10, lost_answer: 10, busy: 10, poison: 20, item_busy: 20, ..NO_FAULTS };

pub(crate) struct World {
    pub(crate) journal: Arc<ModelJournal>,
    pub(crate) catalog: Catalog,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) net: Arc<SimNet>,
    pub(crate) random: Arc<Random>,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    pub(crate) fn new(seed: u64, options: ModelOptions) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
        let random = Arc::new(Random::from_seed(seed));
        let as_clock: Arc<dyn Clock> = clock.clone();
        Self {
            journal: Arc::new(ModelJournal::new(as_clock, Arc::clone(&random), options)),
            catalog: Catalog::open(Arc::new(MemoryStore::default())).unwrap(),
            keyring: Arc::new(Keyring::new(&[7; 32])),
            net: Arc::new(SimNet::new(seed, SOME_OF_EVERYTHING)),
            random,
            clock,
        }
    }

    pub(crate) async fn supervisor(&self) -> Supervisor {
        Supervisor::start(self.parts()).await
    }

    /// Over another journal than this world's own.
    pub(crate) async fn supervisor_over(&self, journal: Arc<dyn Journal>) -> Supervisor {
        Supervisor::start(Parts { journal, ..self.parts() }).await
    }

    pub(crate) fn parts(&self) -> Parts {
        Parts {
            journal: self.journal.clone(),
            catalog: self.catalog.clone(),
            keyring: Arc::clone(&self.keyring),
            transport: self.net.clone(),
            instance: Instance {
                name: "simulated".to_owned(),
                domain: "idp.example.com".to_owned(),
                environment: "test".to_owned(),
                public_url: None,
            },
            clock: self.clock.clone(),
            random: Arc::clone(&self.random),
        }
    }

    pub(crate) fn sealed(&self, id: &str) -> catalog::Sealed {
        let secret = Secret::new("credential");
        delivery::seal(&self.keyring, id, SecretName::ApiKey, &secret, &self.random).unwrap()
    }

    pub(crate) async fn configure(&self, id: &str, vendor: Vendor, audit: bool) {
        self.configure_with(id, vendor, audit, |_| {}).await;
    }

    /// The same with a destination of its own.
    pub(crate) async fn configure_at(
        &self,
        id: &str,
        vendor: Vendor,
        settings: serde_json::Value,
        audit: bool,
    ) {
        let settings = Settings::parse(vendor, &settings).unwrap().to_json();
        self.configure_with(id, vendor, audit, |configuration| configuration.settings = settings).await;
    }

    pub(crate) async fn configure_with(
        &self,
        id: &str,
        vendor: Vendor,
        audit: bool,
        with: impl FnOnce(&mut Configuration),
    ) {
        let url = match vendor {
            Vendor::Https => serde_json::json!({"url": "http://192.0.2.2/array", "headerName": "x-key"}),
            _ => serde_json::json!({"url": "http://192.0.2.1:8088"}),
        };
        let mut configuration = Configuration {
            id: id.to_owned(),
            name: id.to_owned(),
            description: None,
            enabled: true,
            vendor,
            settings: Settings::parse(vendor, &url).unwrap().to_json(),
            secrets: BTreeMap::from([(SecretName::ApiKey, self.sealed(id))]),
            account: AccountSwitch { enabled: true, ..AccountSwitch::default() },
            audit: AuditSwitch { enabled: audit, ..AuditSwitch::default() },
            hook: HookSwitch::default(),
            filter: Filter::default(),
            earlier: Vec::new(),
            sends_from: None,
            start_from: None,
            paused_since: None,
            disabled_since: None,
            backlog: delivery::Budget::default(),
            resume: delivery::Resume::default(),
        };
        with(&mut configuration);
        delivery::admit(&*self.journal, id).await.unwrap();
        self.catalog.create(id, &configuration, None).unwrap();
    }

    /// Appends `n_events` in blocks of random sizes; their ids by stream.
    pub(crate) async fn append(&self, n_events: u64) -> [BTreeSet<String>; 2] {
        let mut ids = [BTreeSet::new(), BTreeSet::new()];
        let mut left = n_events;
        while left > 0 {
            let n_block = (1 + self.random.up_to(60)).min(left);
            left -= n_block;
            let is_audit = self.random.up_to(3) == 0;
            let stream = if is_audit { Stream::AuditLog } else { Stream::AccountEvent };
            let entries = (0..n_block).map(|_| {
                let now = self.clock.now();
                let id = EventId::draw(now, &self.random);
                ids[usize::from(is_audit)].insert(id.to_string());
                let mut builder = RecordBuilder::new(stream, id, now, now);
                builder.section(Section::Source, "simulated");
                builder.section(Section::Header, "\"type\":\"customerFlow\"");
                let record = builder.finish().unwrap();
                Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }
            });
            let append = Append { stream, entries: entries.collect(), request_key: None };
            // As a producer does that has no answer: it sends the same again.
            while self.journal.append(append.clone()).await.is_err() {}
            tokio::time::sleep(Duration::from_millis(self.random.up_to(100))).await;
        }
        ids
    }

    /// Appends one block of so many events; their ids.
    pub(crate) async fn append_block(&self, n_events: usize) -> Vec<EventId> {
        let (stream, now) = (Stream::AccountEvent, self.clock.now());
        let ids: Vec<EventId> = (0..n_events).map(|_| EventId::draw(now, &self.random)).collect();
        let entry = |id: &EventId| {
            let mut builder = RecordBuilder::new(stream, *id, now, now);
            builder.section(Section::Source, "simulated");
            builder.section(Section::Header, "\"type\":\"customerFlow\"");
            let record = builder.finish().unwrap();
            Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }
        };
        let append = Append { stream, entries: ids.iter().map(entry).collect(), request_key: None };
        self.journal.append(append).await.unwrap();
        ids
    }

    /// Appends `n_events` while destinations also refuse some, and a few more that they do not refuse. An event that is refused
    /// as a whole request is proven unfit only by another one that is taken: where traffic ends with refused events alone,
    /// they are held, and rightly so.
    pub(crate) async fn append_with_an_end(&self, n_events: u64) -> [BTreeSet<String>; 2] {
        let mut ids = self.append(n_events).await;
        self.net.set_faults(Faults { poison: 0, ..SOME_OF_EVERYTHING });
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_mins(5)).await;
            for (all, more) in ids.iter_mut().zip(self.append(5).await) {
                all.extend(more);
            }
        }
        ids
    }

    pub(crate) async fn state(&self, id: &str) -> ConsumerState {
        let all = self.journal.consumers(ConsumerCommand::List).await.unwrap();
        all.into_iter().find(|consumer| consumer.name == delivery::consumer_name(id).unwrap()).unwrap().state
    }

    /// Replaces a configuration as the API does.
    pub(crate) async fn change(
        &self,
        supervisor: &Supervisor,
        id: &str,
        change: impl FnOnce(&mut Configuration),
    ) {
        let found = self.catalog.get::<Configuration>(id).unwrap();
        let mut changed = found.value.clone();
        change(&mut changed);
        let floor = supervisor.floor(id).await.unwrap();
        let hand_over = supervisor.hand_over(&found, &mut changed, floor);
        self.catalog.replace(id, &changed, found.revision, None).unwrap();
        hand_over.complete();
    }

    /// The eventIDs of the original records in quarantine, by configuration.
    pub(crate) async fn quarantined(&self) -> BTreeMap<String, BTreeSet<String>> {
        let streams = StreamSet::from_iter([Stream::Quarantine]);
        let range = ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for block in self.journal.read(range).await.unwrap() {
            for (_, copy) in block.records() {
                if let Some(change) = quarantine::unwrap_change(&copy) {
                    if change.standing == quarantine::Standing::Quarantined {
                        let ids = found.entry(change.configuration_id).or_default();
                        ids.insert(change.event_id.to_string());
                    }
                    continue;
                }
                let (reason, original) = quarantine::unwrap(&copy).unwrap();
                if reason.standing == quarantine::Standing::Parked {
                    continue;
                }
                let original = Record::parse(&original).unwrap();
                assert_eq!(original.section(Section::Source), Some("simulated"), "the original is whole");
                let ids = found.entry(reason.configuration_id).or_default();
                ids.insert(original.event_id().to_string());
            }
        }
        found
    }

    pub(crate) async fn books(&self, id: &str) -> ConsumerState {
        delivery::books(&*self.journal, id).await.unwrap().unwrap()
    }

    pub(crate) async fn settled(&self, id: &str) -> ConsumerState {
        for attempt in 0..1_500 {
            let state = self.books(id).await;
            if state.appended == state.tally.total() {
                return state;
            }
            tokio::time::sleep(Duration::from_secs(1 + attempt / 20)).await;
        }
        panic!("not settled: {:?}", self.books(id).await);
    }
}
