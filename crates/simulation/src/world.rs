//! The world of one run: what outlives the process, and what the oracle knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use base::mask::MaskRule;
use base::{Clock, EventId, Random};
use catalog::{Keyring, MemoryStore};
use event::Stream;
use event::native::Instance;
use intake::{Intake, Limits};
use journal::Journal;
use journal::model::{ModelJournal, ModelOptions};
use parking_lot::Mutex;
use testkit::disk::SimDisk;
use tokio::sync::Notify;

use crate::Shape;
use crate::content::Content;
use crate::counts::Counts;
use crate::dice::Dice;
use crate::plan::Plan;
use crate::producers::Producers;
use crate::receivers::Site;
use crate::selection::Selected;
use crate::time::SimClock;
use crate::trace::Trace;

/// One run.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
    pub(crate) plan: Plan,
    pub(crate) clock: Arc<SimClock>,
    /// The process's own randomness: salts, ids, jitter.
    pub(crate) random: Arc<Random>,
    pub(crate) dice: Dice,
    pub(crate) disk: SimDisk,
    pub(crate) model: Arc<ModelJournal>,
    pub(crate) documents: Arc<MemoryStore>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) fate: Fate,
    pub(crate) sites: Mutex<BTreeMap<String, Arc<Site>>>,
    pub(crate) producers: Mutex<Producers>,
    pub(crate) known: Mutex<Known>,
    /// Faults are over.
    pub(crate) is_fair: AtomicBool,
    /// When the last life ended, as the clock of its runtime told.
    pub(crate) left_at: Mutex<Option<tokio::time::Instant>>,
    trace: Mutex<Trace>,
    counts: Mutex<Counts>,
    violations: Mutex<Vec<String>>,
}

/// When the process dies: at one of its calls to the world outside.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// Calls that are left to it; 0: it is dead, and no call of it is heard.
    left: AtomicU64,
    pub(crate) died: Notify,
}

impl Fate {
    pub(crate) fn live(&self, n_calls: u64) {
        self.left.store(n_calls.max(1), Ordering::Relaxed);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn die(&self) {
        self.left.store(0, Ordering::Relaxed);
        self.died.notify_one();
    }

    /// The process calls: it may die before or after what it asks for is done. A dead one waits for ever.
    pub(crate) async fn call(&self) {
        let left = self.left.load(Ordering::Relaxed);
        if left > 1 && left < u64::MAX {
            self.left.store(left - 1, Ordering::Relaxed);
        } else if left == 1 {
            self.die();
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }
}

/// An event that is or was in the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) block: u64,
    pub(crate) index: u32,
    pub(crate) content: Content,
}

/// A configuration, as operators know it.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) host: String,
    /// The first block that is for it.
    pub(crate) started_at: u64,
    /// What it selects of blocks below each sequence, oldest first.
    pub(crate) epochs: Vec<(u64, Selected)>,
    /// What lies below was given up after a pause.
    pub(crate) given_up: u64,
    pub(crate) is_deleted: bool,
}

impl Owned {
    /// The settings in force when a block was appended.
    pub(crate) fn at(&self, block: u64) -> Option<&Selected> {
        self.epochs.iter().find(|(until, _)| block < *until).map(|(_, selected)| selected)
    }
}

/// Where an event stands in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Quarantined,
    Parked { block: u64 },
    Delivered,
}

/// What the oracle knows.
#[derive(Default)]
pub(crate) struct Known {
    /// What producers have receipts for.
    pub(crate) receipts: BTreeMap<EventId, BTreeSet<Content>>,
    pub(crate) stored: BTreeMap<EventId, Vec<Stored>>,
    /// Stream and records of each block.
    pub(crate) blocks: BTreeMap<u64, (Stream, u64)>,
    pub(crate) read_up_to: u64,
    pub(crate) quarantine: BTreeMap<(String, EventId), Standing>,
    /// Blocks below may be gone.
    pub(crate) trimmed: u64,
    pub(crate) erased: BTreeSet<EventId>,
    pub(crate) configurations: BTreeMap<String, Owned>,
    pub(crate) n_configurations: u64,
    pub(crate) n_crashes: u64,
}

impl World {
    pub(crate) fn new(seed: u64, shape: Shape, keeps_trace: bool) -> Self {
        let plan = Plan::draw(&Dice::new(seed, "plan"), shape);
        let clock = Arc::new(SimClock::default());
        let whims = ModelOptions {
            max_leased: 50,
            lost_settles: plan.lost_settles,
            stale_settles: plan.lost_settles,
            ..ModelOptions::default()
        };
        let of_model = Arc::new(Random::from_seed(seed ^ 0x6d6f_6465_6c00));
        let as_clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&clock);
        Self {
            seed,
            shape,
            model: Arc::new(ModelJournal::new(as_clock, of_model, whims)),
            clock,
            random: Arc::new(Random::from_seed(seed ^ 0x7072_6f63)),
            dice: Dice::new(seed, "world"),
            disk: SimDisk::new(seed),
            documents: Arc::new(MemoryStore::default()),
            keyring: Arc::new(Keyring::new(&[7; 32])),
            fate: Fate::default(),
            sites: Mutex::default(),
            producers: Mutex::new(Producers::new(seed, &plan)),
            known: Mutex::default(),
            is_fair: AtomicBool::new(false),
            left_at: Mutex::default(),
            trace: Mutex::new(Trace::new(keeps_trace)),
            counts: Mutex::default(),
            violations: Mutex::default(),
            plan,
        }
    }

    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        self.trace.lock().note(self.clock.elapsed(), what);
    }

    pub(crate) fn count(&self, what: &'static str) {
        self.counts.lock().add(what);
    }

    pub(crate) fn count_many(&self, what: &'static str, n: u64) {
        self.counts.lock().add_many(what, n);
    }

    pub(crate) fn violated(&self, what: String) {
        self.note(format_args!("VIOLATION {what}"));
        let mut violations = self.violations.lock();
        if violations.len() < 20 {
            violations.push(what);
        }
    }

    pub(crate) fn is_violated(&self) -> bool {
        !self.violations.lock().is_empty()
    }

    /// Whether something goes wrong, per mille; never once faults are over.
    pub(crate) fn goes_wrong(&self, per_mille: u64) -> bool {
        !self.is_fair.load(Ordering::Relaxed) && self.dice.happens(per_mille)
    }

    /// The process's intake.
    pub(crate) fn intake(&self, journal: Arc<dyn Journal>) -> Intake {
        let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&self.clock);
        Intake::new(journal, clock, Arc::clone(&self.random), MaskRule::default(), Limits::default())
    }

    /// The installation, as documents name it.
    pub(crate) fn instance() -> Instance {
        Instance {
            name: "simulated".to_owned(),
            domain: "idp.example.com".to_owned(),
            environment: "test".to_owned(),
            public_url: None,
        }
    }

    /// What there is to tell in the end: violations, counts, the hash of the trace, its lines.
    pub(crate) fn into_ends(self) -> (Vec<String>, Counts, u64, Vec<String>) {
        let trace = self.trace.into_inner();
        (self.violations.into_inner(), self.counts.into_inner(), trace.hash(), trace.into_lines())
    }
}
