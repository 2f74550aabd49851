//! What the books need of the quarantine stream, of all configurations: kept in memory, so that each look reads only what has
//! come since the one before. Bounded: of what is parked, which is little, and of changes that are not counted yet, which is
//! that of a minute.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use base::{EventId, Timestamp};
use journal::{Block, Consumer, ConsumerCommand, ConsumerState, Journal, JournalError, Tally};

use crate::copies::Reading;
use crate::parking::{Told, original_block, told};
use crate::places::{configuration_id, counted_afterwards, parked_of};
use crate::quarantined::afterwards::column;

/// The copy of an event that is still parked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copied {
    /// The block of the copy.
    pub(crate) block: u64,
    /// The block of the original; 0 when it cannot be told.
    pub(crate) from: u64,
    /// The event's own time.
    pub(crate) time: Timestamp,
    /// When the event was received.
    pub(crate) since: Timestamp,
    pub(crate) bytes: u64,
}

/// What is parked of a configuration, by event.
pub(crate) type Parked = BTreeMap<EventId, Copied>;

/// The consumers of a configuration, as far as they are there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Places {
    /// Of all events.
    pub(crate) main: Option<ConsumerState>,
    /// Of the parked ones.
    pub(crate) own: Option<ConsumerState>,
    /// Of what became of entries in quarantine.
    pub(crate) afterwards: Option<ConsumerState>,
}

/// What the stream says about one configuration, beyond what its consumers have settled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beyond {
    pub(crate) parked: Parked,
    /// Where entries have gone from quarantine, by block.
    moved: BTreeMap<u64, Tally>,
}

impl Beyond {
    /// Where entries have gone from quarantine that nobody has counted yet.
    pub(crate) fn moved(&self) -> Tally {
        self.moved.values().fold(Tally::default(), |sum, moved| sum.plus(moved))
    }

    /// Forgets what is settled, or removed by retention.
    fn trim(&mut self, places: &Places) {
        let floor = |state: Option<ConsumerState>| state.map_or(u64::MAX, |state| state.floor);
        let (own, afterwards) = (floor(places.own), floor(places.afterwards));
        self.parked.retain(|_, copied| copied.block >= own);
        self.moved.retain(|block, _| *block >= afterwards);
    }
}

/// What the books are made of, at one moment.
pub(crate) struct Seen {
    /// By configuration.
    pub(crate) all: HashMap<String, (Places, Beyond)>,
    /// What could not be read.
    pub(crate) failed: Option<JournalError>,
}

#[derive(Default)]
struct Known {
    /// How far it was read; `None`: not at all, since nobody has needed it.
    reading: Option<Reading>,
    of: HashMap<String, Beyond>,
}

/// Keeps it.
#[derive(Default)]
pub(crate) struct Kept {
    known: tokio::sync::Mutex<Known>,
    n_unreadable: AtomicU64,
}

impl Kept {
    /// Lists the consumers once, and reads what has come.
    pub(crate) async fn see(&self, journal: &dyn Journal) -> Result<Seen, JournalError> {
        let mut known = self.known.lock().await;
        let mut places: HashMap<String, Places> = HashMap::new();
        for consumer in journal.consumers(ConsumerCommand::List).await? {
            note(&mut places, &consumer);
        }
        // What was read before the list was made: whatever is read now may belong to a consumer that is younger.
        known.trim(&places);
        known.begin(&places);
        let failed = known.read_on(journal).await.err();
        let n_unreadable = known.reading.map_or(0, |reading| reading.n_unreadable);
        self.n_unreadable.store(n_unreadable, Ordering::Relaxed);
        let all = places.into_iter().map(|(id, places)| {
            let mut beyond = known.of.get(&id).cloned().unwrap_or_default();
            beyond.trim(&places);
            (id, (places, beyond))
        });
        Ok(Seen { all: all.collect(), failed })
    }

    /// How many sequences of the stream could not be read.
    pub(crate) fn n_unreadable(&self) -> u64 {
        self.n_unreadable.load(Ordering::Relaxed)
    }
}

impl Known {
    fn trim(&mut self, all: &HashMap<String, Places>) {
        self.of.retain(|id, beyond| {
            beyond.trim(&all.get(id).copied().unwrap_or_default());
            !beyond.parked.is_empty() || !beyond.moved.is_empty()
        });
    }

    /// Before there are parked events, or changes of entries, there is nothing to read.
    fn begin(&mut self, all: &HashMap<String, Places>) {
        if self.reading.is_none() {
            let floors = all.values().flat_map(|places| [places.own, places.afterwards]).flatten();
            let from = floors.map(|state| state.floor).min();
            self.reading = from.map(|next| Reading { next, n_unreadable: 0 });
        }
    }

    async fn read_on(&mut self, journal: &dyn Journal) -> Result<(), JournalError> {
        let (Some(reading), of) = (&mut self.reading, &mut self.of) else { return Ok(()) };
        reading.go_on(journal, |block| learn(of, block)).await
    }
}

fn note(all: &mut HashMap<String, Places>, consumer: &Consumer) {
    let state = Some(consumer.state);
    if let Some(id) = configuration_id(&consumer.name) {
        all.entry(id.to_owned()).or_default().main = state;
    } else if let Some(id) = parked_of(&consumer.name) {
        all.entry(id.to_owned()).or_default().own = state;
    } else if let Some(id) = counted_afterwards(&consumer.name) {
        all.entry(id.to_owned()).or_default().afterwards = state;
    }
}

fn learn(of: &mut HashMap<String, Beyond>, block: &Block) {
    for (offset, record) in block.records() {
        let Some((id, told)) = told(&record) else { continue };
        match told {
            Told::Parked(reason) => {
                let bytes = block.record_bytes(offset.index as usize).map_or(0, |copy| copy.len() as u64);
                let copied = Copied {
                    block: block.sequence(),
                    from: original_block(&reason).unwrap_or_default(),
                    time: record.time(),
                    since: reason.received_at,
                    bytes,
                };
                of.entry(id).or_default().parked.insert(reason.event_id, copied);
            }
            Told::Ended(event, _) => {
                if let Some(beyond) = of.get_mut(&id) {
                    beyond.parked.remove(&event);
                }
            }
            Told::Changed(change) => {
                let moved = of.entry(id).or_default().moved.entry(block.sequence()).or_default();
                *moved = moved.plus(&column(&change));
            }
            Told::Refused(_) => {}
        }
    }
}
