//! What stands at the other ends: a stand-in receiver for each configuration, its weather, and what it has taken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::EventId;
use parking_lot::Mutex;
use receiver::{Judgement, Options, StandIn};
use serde_json::Value;

use crate::content::SECRET;
use crate::dice::{Dice, mix};
use crate::plan::Manner;

/// How a site behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Fair,
    /// No connection.
    Down,
    /// Requests get lost.
    Partition,
    /// Requests hang.
    Hang,
    /// Everything is answered late.
    Slow,
    /// It asks for a pause.
    Busy,
    /// Something between answers pages.
    Pages,
    /// An operator must mend it: credential, index, block.
    Holding,
    /// Every request is refused as a whole.
    RefusesAll,
    /// It takes, and says that it is near its limits.
    NearLimits,
}

impl Weather {
    pub(crate) fn draw(dice: &Dice) -> Self {
        dice.pick(
            Self::Fair,
            &[
                Self::Fair,
                Self::Fair,
                Self::Down,
                Self::Partition,
                Self::Hang,
                Self::Slow,
                Self::Busy,
                Self::Pages,
                Self::Holding,
                Self::RefusesAll,
                Self::NearLimits,
            ],
        )
    }
}

/// Documents by id and place in the journal.
type Taken = BTreeMap<(EventId, String), (Value, u64)>;

/// What a site has taken.
#[derive(Default)]
pub(crate) struct Arrivals {
    pub(crate) documents: Taken,
    pub(crate) n_events: u64,
    pub(crate) n_leaks: u64,
    /// What came that is no document of ours.
    pub(crate) flaws: Vec<String>,
}

/// One destination.
pub(crate) struct Site {
    pub(crate) manner: Manner,
    pub(crate) stand_in: StandIn,
    pub(crate) weather: Mutex<Weather>,
    pub(crate) arrivals: Arc<Mutex<Arrivals>>,
    judges: Arc<Judges>,
}

/// What a site thinks of single events: a function of their ids, until it is mended.
struct Judges {
    seed: u64,
    per_mille: u64,
    is_mended: AtomicBool,
}

impl Judges {
    fn judge(&self, id: EventId) -> Judgement {
        let (high, low) = id.as_bytes().split_at(8);
        let word = |bytes: &[u8]| bytes.iter().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
        let drawn = mix(self.seed ^ mix(word(high)) ^ word(low));
        if drawn % 1_000 >= self.per_mille {
            return Judgement::Fine;
        }
        match (drawn / 1_000) % 6 {
            0 | 1 => Judgement::Unfit,
            2 => Judgement::UnfitWhole,
            3 => Judgement::Diverted,
            _ if self.is_mended.load(Ordering::Relaxed) => Judgement::Fine,
            _ => Judgement::Stumbles,
        }
    }
}

impl Site {
    pub(crate) fn new(seed: u64, manner: Manner, unfit: u64) -> Self {
        let arrivals = Arc::new(Mutex::new(Arrivals::default()));
        let judges =
            Arc::new(Judges { seed: mix(seed), per_mille: unfit, is_mended: AtomicBool::new(false) });
        let (sink, judge) = (Arc::clone(&arrivals), Arc::clone(&judges));
        let options = Options {
            acknowledges_after: manner.acknowledges_after,
            max_body_bytes: manner.max_body,
            names_first_when_too_large: manner.names_first,
            on_event: Some(Arc::new(move |bytes: &[u8]| sink.lock().take(bytes))),
            judge: Some(Arc::new(move |id| judge.judge(id))),
            ..Options::default()
        };
        Self {
            manner,
            stand_in: StandIn::new(&options),
            weather: Mutex::new(Weather::Fair),
            arrivals,
            judges,
        }
    }

    /// What it thinks of an event.
    pub(crate) fn judge(&self, id: EventId) -> Judgement {
        self.judges.judge(id)
    }

    /// Somebody has mended what it stumbled over.
    pub(crate) fn mend(&self) {
        self.judges.is_mended.store(true, Ordering::Relaxed);
        *self.weather.lock() = Weather::Fair;
    }
}

impl Arrivals {
    fn take(&mut self, bytes: &[u8]) {
        self.n_events += 1;
        if bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()) {
            self.n_leaks += 1;
        }
        let Ok(mut document) = serde_json::from_slice::<Value>(bytes) else {
            self.flaws.push(format!("no JSON: {}", String::from_utf8_lossy(bytes)));
            return;
        };
        if document.get("event").is_some() {
            document = document["event"].take();
        }
        let id = document["eventID"].as_str().and_then(|id| EventId::parse(id).ok());
        let offset = document["journalOffset"].as_str().map(str::to_owned);
        let Some(key) = id.zip(offset) else {
            self.flaws.push(format!("no document of ours: {document}"));
            return;
        };
        match self.documents.get_mut(&key) {
            None => drop(self.documents.insert(key, (document, 1))),
            Some((first, times)) if *first == document => *times += 1,
            Some((first, _)) => self.flaws.push(format!("copies differ: {first} and {document}")),
        }
    }
}
