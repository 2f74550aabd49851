//! What every call works with.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alarms::Alarms;
use base::{Clock, Random, Timestamp};
use catalog::{Catalog, Keyring};
use custody::erasure::Erasures;
use delivery::{ResumeLimits, Supervisor};
use event::native::Instance;
use explorer::Explorer;
use intake::Intake;
use journal::Journal;
use parking_lot::Mutex;

use crate::body::Budget;
use crate::erasures::Erasing;
use crate::error::{ApiError, ErrorKey};
use crate::health::Unready;
use crate::limits::{Limiter, RateLimits};
use crate::metrics::Counts;
use crate::native_claims;
use crate::sign_in::SignIns;
use crate::uses::Uses;

/// When to try again while backlogs leave no room.
const FULL_AGAIN: Duration = Duration::from_secs(30);

/// How much of a request is taken, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Of one request of the intake, as sent.
    pub max_body: usize,
    /// Of one request of the intake, decompressed.
    pub max_inflated: usize,
    /// Of all requests together, while they are worked on. At least `max_inflated`, or the largest never passes.
    pub in_flight: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { max_body: 8 << 20, max_inflated: 32 << 20, in_flight: 64 << 20 }
    }
}

/// What the API is made of.
pub struct ApiParts {
    /// Where settings lie.
    pub catalog: Catalog,
    /// Seals credentials.
    pub keyring: Arc<Keyring>,
    /// Takes events.
    pub intake: Arc<Intake>,
    /// Knows how configurations fare.
    pub delivery: Arc<Supervisor>,
    /// Finds stored events again.
    pub explorer: Arc<Explorer>,
    /// Keeps their books.
    pub journal: Arc<dyn Journal>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids and tokens.
    pub random: Arc<Random>,
    /// How much of a request is taken.
    pub limits: BodyLimits,
    /// How many administrative calls are taken.
    pub rates: RateLimits,
    /// What is sent after a pause without asking.
    pub resume: ResumeLimits,
    /// The installation.
    pub instance: Instance,
    /// Erases stored events; none when the journal's backend cannot.
    pub erasures: Option<Erasures>,
    /// What is wrong, and who is told.
    pub alarms: Arc<Alarms>,
}

/// The API's state. Clones share everything.
#[derive(Clone)]
pub struct ApiState(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) parts: ApiParts,
    pub(crate) budget: Budget,
    limiter: Limiter,
    uses: Uses,
    sign_ins: SignIns,
    erasing: Erasing,
    counts: Counts,
    /// Held over a change, so that looking for a name and taking it are one step.
    changing: Mutex<()>,
    closing: AtomicBool,
}

impl Deref for ApiState {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0.parts
    }
}

impl ApiState {
    /// The state of a fresh API.
    pub fn new(parts: ApiParts) -> Self {
        let budget = Budget::new(parts.limits.in_flight);
        if let Err(error) = native_claims::acquaint(&parts.catalog, &parts.intake) {
            tracing::error!(%error, "the offer of discovered claims cannot be read; claims that are known may be in it");
        }
        let limiter = Limiter::new(parts.rates);
        let changing = Mutex::new(());
        Self(Arc::new(Shared {
            parts,
            budget,
            limiter,
            uses: Uses::default(),
            sign_ins: SignIns::default(),
            erasing: Erasing::default(),
            counts: Counts::default(),
            changing,
            closing: AtomicBool::new(false),
        }))
    }

    /// Turns `/ready` red: requests under way are finished, new ones should go elsewhere.
    pub fn begin_shutdown(&self) {
        self.0.closing.store(true, Ordering::Relaxed);
    }

    /// Why no new events can be taken; empty when they can.
    pub(crate) fn unready(&self) -> Vec<Unready> {
        let reasons = [
            (self.0.closing.load(Ordering::Relaxed), Unready::Stopping),
            (self.journal.head().poisoned, Unready::JournalPoisoned),
            (self.check_room().is_err(), Unready::NoRoom),
        ];
        reasons.into_iter().filter_map(|(is_so, reason)| is_so.then_some(reason)).collect()
    }

    /// What the way in counts.
    pub(crate) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Fails while backlogs leave no room for more events. Checked before a body is read; what idstream tells of itself is
    /// taken all the same.
    pub(crate) fn check_room(&self) -> Result<(), ApiError> {
        let stored = self.journal.head().stored_bytes;
        self.delivery.backlogs().refusal(stored, self.clock.now()).map_or(Ok(()), |refusal| {
            Err(ApiError::new(ErrorKey::BacklogSpent, refusal.to_string()).retry_after(FULL_AGAIN))
        })
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    pub(crate) fn uses(&self) -> &Uses {
        &self.0.uses
    }

    pub(crate) fn sign_ins(&self) -> &SignIns {
        &self.0.sign_ins
    }

    pub(crate) fn erasing(&self) -> &Erasing {
        &self.0.erasing
    }

    /// Runs a change of the catalog: away from the async threads, for it ends with a sync to disk, and one at a time.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Catalog) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let shared = Arc::clone(&self.0);
        let changed = tokio::task::spawn_blocking(move || {
            let _one_at_a_time = shared.changing.lock();
            change(&shared.parts.catalog)
        });
        changed.await.map_err(ApiError::internal)?
    }
}

/// Several steps that belong together are taken to their end, even when the caller hangs up.
pub(crate) async fn to_its_end<T: Send + 'static>(
    steps: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(steps).await.map_err(ApiError::internal)?
}

/// A fresh id: a UUIDv7, so that lists in order of ids are in order of creation.
pub(crate) fn new_id(now: Timestamp, random: &Random) -> String {
    let ms = u64::try_from(now.as_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &random.bytes()).into_uuid().to_string()
}
