//! The crew: which workers run, and how the running ones are made to be those that the catalog asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::Backoff;
use catalog::{CatalogError, Found};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::Instant;

use crate::configuration::Configuration;
use crate::falls::Falls;
use crate::lasting::{AllLasting, Lasting};
use crate::places::{consumer_name, is_admitted};
use crate::quarantine::Quarantine;
use crate::runs::RunCrew;
use crate::selector::Selector;
use crate::status::{State, Status};
use crate::supervisor::{Parts, Statuses};
use crate::worker::{Chapter, Pace, Setting, Worker};

/// Leased payload bytes of all workers together. With so many that this is less than a block for each, it is a block for
/// each: 22 of them or more.
const LEASED_BYTES: usize = 16 << 20;
/// And of one of them, at most.
const LEASED_BYTES_EACH: usize = 4 << 20;
/// What the status of a configuration says whose consumer is gone.
const NO_PLACE: &str = "its place in the journal is missing, as after a restored copy of the data directory: save the \
                        configuration again to stream what comes from then on";

/// What is told, logged and tried again after.
pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;

/// The end of a worker, wanted or not: what it was for, and how it ended.
pub(crate) type End = Pin<Box<dyn Future<Output = (String, Result<(), JoinError>)> + Send>>;

/// What a worker is made from.
struct Wanted {
    document: String,
    revision: u64,
}

struct Running {
    made_from: Wanted,
    stop: watch::Sender<bool>,
    lasting: Arc<Lasting>,
}

impl Running {
    /// Whether it does something else than what is wanted now, or stops where earlier settings end that have come back.
    fn is_outdated(&self, wanted: &Wanted) -> bool {
        let Wanted { document, revision } = &self.made_from;
        *revision != wanted.revision
            && (*document != wanted.document || self.lasting.fence.concerns(*revision))
    }
}

/// The workers of one instance. Of each configuration there is one at most: running, or leaving.
pub(crate) struct Crew {
    parts: Parts,
    statuses: Statuses,
    lasting: AllLasting,
    running: BTreeMap<String, Running>,
    /// Told to stop; they wait for their requests in flight.
    leaving: BTreeSet<String>,
    ends: FuturesUnordered<End>,
    falls: Falls,
    /// Those that carry out runs.
    runs: RunCrew,
}

impl Crew {
    pub(crate) fn new(parts: Parts, statuses: Statuses, lasting: AllLasting, runs: RunCrew) -> Self {
        Self {
            runs,
            parts,
            statuses,
            lasting,
            running: BTreeMap::new(),
            leaving: BTreeSet::new(),
            ends: FuturesUnordered::new(),
            falls: Falls::default(),
        }
    }

    /// Returns when a worker has ended, wanted or not; never while there is none.
    pub(crate) async fn lost_one(&mut self) {
        let own = async {
            match self.ends.next().await {
                Some(end) => end,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            end = own => self.forget(end),
            () = self.runs.lost_one() => {}
        }
    }

    /// Tells workers to stop whose configuration is gone, disabled or changed, and starts those that are missing. It waits
    /// for none: the successor of one that is leaving is started by the next adjustment after its end, and the others at
    /// once, so that a destination that hangs holds up no other. One configuration that cannot be worked on holds up no
    /// other either; its status says why. True when none is left out.
    pub(crate) async fn adjust(&mut self) -> bool {
        let wanted = self.wanted();
        let is_outdated = |id: &String, worker: &Running| match wanted.get(id) {
            Some(Ok(wanted)) => worker.is_outdated(wanted),
            _ => true,
        };
        let outdated = self.running.extract_if(.., |id, worker| is_outdated(id, worker));
        self.leaving.extend(outdated.map(stop));
        self.statuses.lock().retain(|id, _| wanted.contains_key(id));
        self.falls.retain(|id| wanted.contains_key(id));
        let n_enabled = wanted.len();
        let mut is_complete = true;
        for id in wanted.keys().filter(|id| !self.is_there(id)).cloned().collect::<Vec<_>>() {
            if let Err(problem) = self.start(&id, n_enabled).await {
                tracing::error!(configuration = id, %problem, "nothing is delivered for a configuration; trying again");
                self.explain(&id, &*problem);
                is_complete = false;
            }
        }
        self.runs.adjust().await && is_complete
    }

    /// Tells all workers to stop, without waiting for any.
    pub(crate) fn dismiss_all(&mut self) {
        self.runs.dismiss_all();
        self.leaving.extend(std::mem::take(&mut self.running).into_iter().map(stop));
    }

    /// Stops all workers, all at the same time, and waits for their ends.
    pub(crate) async fn disband(&mut self) {
        self.dismiss_all();
        while let Some(end) = self.ends.next().await {
            self.forget(end);
        }
        self.runs.at_rest().await;
    }

    /// Forgets what was sent, wherever it is remembered.
    pub(crate) fn forget_details(&self) {
        self.lasting.forget_details();
    }

    fn is_there(&self, id: &str) -> bool {
        self.running.contains_key(id) || self.leaving.contains(id)
    }

    fn forget(&mut self, (id, ended): (String, Result<(), JoinError>)) {
        let running = if self.leaving.remove(&id) { None } else { self.running.remove(&id) };
        if let Err(error) = ended {
            tracing::error!(configuration = id, %error, "a worker ended badly; its events come again");
            // The successor of one that was told to stop is made from something else.
            if let Some(running) = running {
                self.falls.note(&id, running.made_from.revision, Instant::now());
            }
        }
    }

    /// The documents of the configurations that run, and those that cannot be read.
    fn wanted(&self) -> BTreeMap<String, Result<Wanted, Problem>> {
        let each = self.parts.catalog.list_each::<Configuration>();
        self.lasting.retain(|id| each.iter().any(|(known, _)| known == id));
        each.into_iter()
            .filter(|(_, found)| found.as_ref().map_or(true, |found| found.value.runs()))
            .map(|(id, found)| (id, found.map_err(Problem::from).and_then(|found| made_from(&found))))
            .collect()
    }

    /// Starts the worker of what the catalog holds at this moment, which may be newer than what made it necessary.
    async fn start(&mut self, id: &str, n_enabled: usize) -> Result<(), Problem> {
        let lasting = self.lasting.of(id);
        // First: whoever has stored that no worker shall run sees this one, or is seen by it.
        let at_work = lasting.at_work();
        let found = match self.parts.catalog.get::<Configuration>(id) {
            Ok(found) if found.value.runs() => found,
            Ok(_) | Err(CatalogError::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if let Some(reason) = self.falls.reason(id, found.revision, Instant::now()) {
            return Err(reason.into());
        }
        if !is_admitted(&*self.parts.journal, id).await? {
            return Err(NO_PLACE.into());
        }
        let made_from = made_from(&found)?;
        let status = Arc::new(Mutex::new(Status::default()));
        lasting.begin(found.revision, self.parts.clock.now());
        let setting = setting(&self.parts, &found, n_enabled, Arc::clone(&status), Arc::clone(&lasting))?;
        let worker = Worker::new(setting);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let _until_it_ends = at_work;
            worker.run(stopped).await;
        });
        let of = id.to_owned();
        self.ends.push(Box::pin(async move { (of, task.await) }));
        self.statuses.lock().insert(id.to_owned(), status);
        self.running.insert(id.to_owned(), Running { made_from, stop, lasting });
        Ok(())
    }

    fn explain(&self, id: &str, problem: &(dyn std::error::Error + Send + Sync)) {
        let now = self.parts.clock.now();
        let mut statuses = self.statuses.lock();
        let before = statuses.get(id).map(|status| status.lock().clone());
        let since =
            before.filter(|before| before.state() == State::Stopped).and_then(|before| before.since());
        let status = Status::stopped(&problem.to_string(), since.unwrap_or(now), now);
        statuses.insert(id.to_owned(), Arc::new(Mutex::new(status)));
    }
}

fn made_from(found: &Found<Configuration>) -> Result<Wanted, Problem> {
    Ok(Wanted { document: serde_json::to_string(&found.value)?, revision: found.revision })
}

pub(crate) fn setting(
    parts: &Parts,
    found: &Found<Configuration>,
    n_enabled: usize,
    status: Arc<Mutex<Status>>,
    lasting: Arc<Lasting>,
) -> Result<Setting, Problem> {
    let configuration = &found.value;
    let id = &configuration.id;
    let secrets = configuration.open(&parts.keyring)?;
    let settings = destinations::Settings::parse(configuration.vendor, &configuration.settings)
        .map_err(|errors| format!("its settings are not valid: {}", said(&errors)))?;
    let chapters = configuration.epochs().into_iter().map(|epoch| {
        let built = settings.build(&secrets, &parts.instance, epoch.selection());
        let destination =
            built.map_err(|errors| format!("its settings cannot be used: {}", said(&errors)))?;
        let selector = Selector::of(&epoch).since(configuration.sends_since());
        Ok(Chapter { until: epoch.until, selector: Arc::new(selector), destination })
    });
    let mut chapters = chapters.collect::<Result<Vec<_>, Problem>>()?;
    let current = chapters.pop().ok_or("it selects nothing")?;
    Ok(Setting {
        consumer: consumer_name(id).ok_or("the id cannot name a consumer")?,
        earlier: chapters,
        current,
        revision: found.revision,
        lasting,
        transport: Arc::clone(&parts.transport),
        journal: Arc::clone(&parts.journal),
        quarantine: Quarantine {
            configuration_id: id.clone(),
            journal: Arc::clone(&parts.journal),
            clock: Arc::clone(&parts.clock),
            run: None,
        },
        clock: Arc::clone(&parts.clock),
        random: Arc::clone(&parts.random),
        pace: pace(n_enabled)?,
        status,
        orders: None,
    })
}

fn said(errors: &[destinations::SettingsError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn pace(n_enabled: usize) -> Result<Pace, &'static str> {
    let backoff = |first, cap| Backoff::new(first, cap).ok_or("a back-off must grow");
    Ok(Pace {
        max_leased_bytes: (LEASED_BYTES / n_enabled.max(1))
            .clamp(journal::MAX_BLOCK_BYTES, LEASED_BYTES_EACH),
        lease_ttl: Duration::from_mins(2),
        linger: Duration::from_millis(50),
        backoff: backoff(Duration::from_millis(200), Duration::from_secs(30))?,
        hold: backoff(Duration::from_secs(5), Duration::from_mins(2))?,
        drain: Duration::from_secs(10),
    })
}

fn stop((id, worker): (String, Running)) -> String {
    worker.stop.send_replace(true);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_a_share_that_no_other_can_use_up() {
        for n in 1..200 {
            let share = pace(n).unwrap().max_leased_bytes;
            assert!(share >= journal::MAX_BLOCK_BYTES, "{n}: one block always fits");
            assert!(
                share <= LEASED_BYTES_EACH && share * n <= LEASED_BYTES.max(n * journal::MAX_BLOCK_BYTES),
                "{n}"
            );
        }
    }
}
