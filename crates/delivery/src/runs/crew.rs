//! The workers that carry out runs: of each configuration one at a time, beside the configuration's own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use catalog::{Catalog, CatalogError, Found};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use journal::{Consumer, ConsumerCommand, ConsumerState, StartAt};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::Instant;

use super::document::{Figures, Run, RunState};
use super::next::{Facts, OLDER_JOURNAL, Step, next};
use super::orders::{Beside, Orders};
use super::redrive::Again;
use super::register::superfluous;
use super::sift::Sift;
use super::throttle::Throttle;
use crate::configuration::Configuration;
use crate::crew::{End, Problem, setting};
use crate::falls::Falls;
use crate::lasting::{AllLasting, Lasting};
use crate::places::run_of;
use crate::quarantine::Quarantine;
use crate::quarantined::Quarantined;
use crate::status::Status;
use crate::supervisor::{Parts, Statuses};
use crate::worker::{Pace, Setting, Worker};

/// What is known of a run that is carried out.
pub(crate) struct Live {
    pub(crate) status: Arc<Mutex<Status>>,
    pub(crate) throttle: Arc<Throttle>,
    /// When its worker started, and what was done by then.
    pub(crate) started: Instant,
    pub(crate) before: Figures,
}

/// By run.
pub(crate) type Lives = Arc<Mutex<HashMap<String, Arc<Live>>>>;

struct Running {
    /// The configuration's id, and how it was then.
    of: String,
    document: String,
    revision: u64,
    stop: watch::Sender<bool>,
    live: Arc<Live>,
}

/// The workers that carry out runs.
pub(crate) struct RunCrew {
    parts: Parts,
    statuses: Statuses,
    lasting: AllLasting,
    lives: Lives,
    quarantined: Quarantined,
    running: BTreeMap<String, Running>,
    /// Told to stop; they wait for their requests in flight. With their configurations.
    leaving: BTreeMap<String, String>,
    ends: FuturesUnordered<End>,
    falls: Falls,
    /// Whether consumers without a run were looked for.
    is_swept: bool,
}

/// What is stored of runs and configurations at one moment.
struct Stored {
    runs: BTreeMap<String, Found<Run>>,
    /// The ids of all runs, those that cannot be read among them.
    ids: HashSet<String>,
    /// The configurations that deliver, and how they are stored.
    delivering: HashMap<String, (Found<Configuration>, String)>,
    configurations: HashSet<String>,
}

impl Stored {
    fn of(catalog: &Catalog) -> Self {
        let (mut runs, mut ids) = (BTreeMap::new(), HashSet::new());
        for (id, found) in catalog.list_each::<Run>() {
            ids.insert(id.clone());
            match found {
                Ok(found) => drop(runs.insert(id, found)),
                Err(error) => {
                    tracing::error!(run = id, %error, "a run cannot be read, and is not carried out");
                }
            }
        }
        let (mut delivering, mut configurations) = (HashMap::new(), HashSet::new());
        for (id, found) in catalog.list_each::<Configuration>() {
            configurations.insert(id.clone());
            let Some(found) = found.ok().filter(|found| found.value.runs()) else { continue };
            if let Ok(document) = serde_json::to_string(&found.value) {
                delivering.insert(id, (found, document));
            }
        }
        Self { runs, ids, delivering, configurations }
    }

    /// The runs that are to be carried out now: the first one of each configuration that delivers.
    fn wanted(&self) -> BTreeMap<&str, &str> {
        let mut first: BTreeMap<&str, &str> = BTreeMap::new();
        for (id, found) in &self.runs {
            let Run { configuration_id, state, .. } = &found.value;
            if *state == RunState::Running && self.delivering.contains_key(configuration_id) {
                first.entry(configuration_id).or_insert(id);
            }
        }
        first.into_iter().map(|(configuration, run)| (run, configuration)).collect()
    }
}

impl RunCrew {
    pub(crate) fn new(
        parts: Parts,
        statuses: Statuses,
        lasting: AllLasting,
        lives: Lives,
        quarantined: Quarantined,
    ) -> Self {
        Self {
            parts,
            statuses,
            lasting,
            lives,
            quarantined,
            running: BTreeMap::new(),
            leaving: BTreeMap::new(),
            ends: FuturesUnordered::new(),
            falls: Falls::default(),
            is_swept: false,
        }
    }

    /// Returns when a worker has ended; never while there is none.
    pub(crate) async fn lost_one(&mut self) {
        match self.ends.next().await {
            Some(end) => self.forget(end),
            None => std::future::pending().await,
        }
    }

    /// Stops workers whose run is not to go on, finishes what is over, and starts what is next. True when nothing is left
    /// that has to be tried again.
    pub(crate) async fn adjust(&mut self) -> bool {
        let mut stored = Stored::of(&self.parts.catalog);
        if stored.ids.is_empty() && self.is_swept && self.running.is_empty() {
            return true;
        }
        self.stop_outdated(&stored);
        self.falls.retain(|id| stored.ids.contains(id));
        let consumers = match self.parts.journal.consumers(ConsumerCommand::List).await {
            Ok(consumers) => consumers,
            Err(error) => {
                tracing::error!(%error, "runs cannot be looked after; trying again");
                return false;
            }
        };
        let mut is_complete = self.sweep(&stored, &consumers).await;
        let places: HashMap<&str, ConsumerState> = consumers
            .iter()
            .filter_map(|consumer| Some((run_of(&consumer.name)?.1, consumer.state)))
            .collect();
        for found in std::mem::take(&mut stored.runs).into_values() {
            let id = found.value.id.clone();
            match self.take_step(found, &places, &stored).await {
                Ok(Some(found)) => drop(stored.runs.insert(id, found)),
                Ok(None) => {}
                Err(problem) => {
                    tracing::error!(run = id, %problem, "a run cannot be looked after; trying again");
                    is_complete = false;
                }
            }
        }
        self.start_wanted(&stored, &places) && is_complete
    }

    /// Tells all workers to stop, without waiting for any.
    pub(crate) fn dismiss_all(&mut self) {
        for (id, running) in std::mem::take(&mut self.running) {
            running.stop.send_replace(true);
            self.leaving.insert(id, running.of);
        }
    }

    /// Waits for the ends of all.
    pub(crate) async fn at_rest(&mut self) {
        while let Some(end) = self.ends.next().await {
            self.forget(end);
        }
    }

    fn forget(&mut self, (id, ended): (String, Result<(), JoinError>)) {
        self.leaving.remove(&id);
        let running = self.running.remove(&id);
        self.lives.lock().remove(&id);
        if let Err(error) = ended {
            tracing::error!(run = id, %error, "the worker of a run ended badly; its events come again");
            if let Some(running) = running {
                self.falls.note(&id, running.revision, Instant::now());
            }
        }
    }

    fn has_worker(&self, id: &str) -> bool {
        self.running.contains_key(id) || self.leaving.contains_key(id)
    }

    /// Whether a run of this configuration has a worker, be it one that is leaving. Two at a time would send the same.
    fn is_at_work(&self, configuration: &str) -> bool {
        let mut running = self.running.values().map(|running| &running.of);
        running.any(|of| of == configuration) || self.leaving.values().any(|of| of == configuration)
    }

    fn stop_outdated(&mut self, stored: &Stored) {
        let wanted = stored.wanted();
        let is_outdated = |id: &String, running: &Running| {
            let configuration = wanted.get(id.as_str()).and_then(|of| stored.delivering.get(*of));
            configuration.is_none_or(|(_, document)| *document != running.document)
        };
        for (id, running) in self.running.extract_if(.., |id, running| is_outdated(id, running)) {
            running.stop.send_replace(true);
            self.leaving.insert(id, running.of);
        }
        for (id, running) in &self.running {
            if let Some(found) = stored.runs.get(id) {
                running.live.throttle.set(found.value.max_events_per_second);
            }
        }
    }

    /// Removes consumers of runs that are gone, and documents that are too many.
    async fn sweep(&mut self, stored: &Stored, consumers: &[Consumer]) -> bool {
        let mut is_swept = true;
        for name in consumers.iter().map(|consumer| &consumer.name) {
            let is_left =
                run_of(name).is_some_and(|(_, id)| !stored.ids.contains(id) && !self.has_worker(id));
            if is_left {
                let removed =
                    self.parts.journal.consumers(ConsumerCommand::Remove { name: name.clone() }).await;
                if let Err(error) = removed {
                    tracing::error!(consumer = name.as_str(), %error, "the place of a run that is gone cannot be removed");
                    is_swept = false;
                }
            }
        }
        for configuration in &stored.configurations {
            let own = stored.runs.values().map(|found| &found.value);
            for run in superfluous(own.filter(|run| run.configuration_id == *configuration)) {
                let revision = stored.runs.get(&run.id).map_or(0, |found| found.revision);
                let id = run.id.clone();
                if let Err(error) =
                    store(&self.parts.catalog, move |catalog| catalog.delete::<Run>(&id, revision, None))
                        .await
                {
                    tracing::warn!(run = run.id, %error, "an old run cannot be forgotten");
                }
            }
        }
        self.is_swept = is_swept;
        is_swept
    }

    /// Takes the next step of a run; what is stored of it then.
    async fn take_step(
        &mut self,
        found: Found<Run>,
        places: &HashMap<&str, ConsumerState>,
        stored: &Stored,
    ) -> Result<Option<Found<Run>>, Problem> {
        let Found { value: run, revision } = &found;
        let facts = Facts {
            place: places.get(run.id.as_str()),
            has_worker: self.has_worker(&run.id),
            has_configuration: stored.configurations.contains(&run.configuration_id),
            next_block: self.parts.journal.head().next,
        };
        let name = run.consumer().ok_or("its ids cannot name a consumer")?;
        let (id, revision) = (run.id.clone(), *revision);
        match next(run, facts) {
            Step::Nothing => Ok(Some(found)),
            Step::Admit => {
                let (streams, start) = (run.kind.streams(), StartAt::Block(run.from));
                let create = ConsumerCommand::Create { name, streams, start, until: Some(run.until) };
                self.parts.journal.consumers(create).await?;
                Ok(Some(found))
            }
            Step::Close(state, figures) => {
                let mut closed = run.closed(state, figures, self.parts.clock.now());
                if state == RunState::Failed {
                    closed.failure.get_or_insert_with(|| OLDER_JOURNAL.to_owned());
                }
                let value = closed.clone();
                let stored =
                    store(&self.parts.catalog, move |catalog| catalog.replace(&id, &closed, revision, None))
                        .await;
                let revision = match stored {
                    // Somebody has changed it since: the next look begins with that.
                    Err(CatalogError::Conflict) => return Ok(None),
                    stored => stored?,
                };
                self.parts.journal.consumers(ConsumerCommand::Remove { name }).await?;
                Ok(Some(Found { value, revision }))
            }
            Step::Dismiss => {
                self.parts.journal.consumers(ConsumerCommand::Remove { name }).await?;
                Ok(Some(found))
            }
            Step::Forget => {
                store(&self.parts.catalog, move |catalog| catalog.delete::<Run>(&id, revision, None)).await?;
                self.parts.journal.consumers(ConsumerCommand::Remove { name }).await?;
                Ok(None)
            }
        }
    }

    /// Starts the runs whose turn it is. A run whose configuration cannot be worked on says so, and holds up no other.
    fn start_wanted(&mut self, stored: &Stored, places: &HashMap<&str, ConsumerState>) -> bool {
        let mut is_complete = true;
        self.lives.lock().retain(|id, _| self.running.contains_key(id) || self.leaving.contains_key(id));
        for (id, configuration) in stored.wanted() {
            let Some((run, (found, document))) = stored
                .runs
                .get(id)
                .zip(stored.delivering.get(configuration))
                .filter(|_| !self.is_at_work(configuration))
            else {
                continue;
            };
            let before = places.get(id).map(Figures::of).unwrap_or_default();
            if let Err(problem) = self.start(&run.value, before, found, document) {
                tracing::error!(run = id, %problem, "a run cannot be carried out; trying again");
                self.explain(&run.value, &*problem);
                is_complete = false;
            }
        }
        is_complete
    }

    fn start(
        &mut self,
        run: &Run,
        before: Figures,
        found: &Found<Configuration>,
        document: &str,
    ) -> Result<(), Problem> {
        if let Some(reason) = self.falls.reason(&run.id, found.revision, Instant::now()) {
            return Err(reason.into());
        }
        let live = Arc::new(Live {
            status: Arc::default(),
            throttle: Arc::new(Throttle::new(run.max_events_per_second)),
            started: Instant::now(),
            before,
        });
        let worker = Worker::new(self.setting(run, found, &live)?);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(worker.run(stopped));
        let of = run.id.clone();
        self.ends.push(Box::pin(async move { (of, task.await) }));
        self.lives.lock().insert(run.id.clone(), Arc::clone(&live));
        let running = Running {
            of: found.value.id.clone(),
            document: document.to_owned(),
            revision: found.revision,
            stop,
            live,
        };
        self.running.insert(run.id.clone(), running);
        Ok(())
    }

    /// As the configuration's own worker has it, by the settings as they are now.
    fn setting(&self, run: &Run, found: &Found<Configuration>, live: &Live) -> Result<Setting, Problem> {
        let own = setting(&self.parts, found, 1, Arc::clone(&live.status), Arc::new(Lasting::default()))?;
        let orders = Orders {
            kind: run.kind,
            until: run.until,
            sift: Sift::of(&run.picked),
            again: Again::new(self.quarantined.clone(), &run.picked, &run.id),
            throttle: Arc::clone(&live.throttle),
            beside: Beside {
                configuration_id: run.configuration_id.clone(),
                statuses: Arc::clone(&self.statuses),
                lasting: self.lasting.of(&run.configuration_id),
            },
            standing_back: Mutex::new(None),
        };
        let quarantine = Quarantine { run: Some(run.id.clone()), ..own.quarantine };
        Ok(Setting {
            quarantine,
            consumer: run.consumer().ok_or("its ids cannot name a consumer")?,
            earlier: Vec::new(),
            // A block at a time: what is new has the rest.
            pace: Pace { max_leased_bytes: journal::MAX_BLOCK_BYTES, ..own.pace },
            orders: Some(Arc::new(orders)),
            ..own
        })
    }

    fn explain(&self, run: &Run, problem: &(dyn std::error::Error + Send + Sync)) {
        let now = self.parts.clock.now();
        let status = Status::stopped(&problem.to_string(), now, now);
        let live = Live {
            status: Arc::new(Mutex::new(status)),
            throttle: Arc::new(Throttle::new(None)),
            started: Instant::now(),
            before: Figures::default(),
        };
        self.lives.lock().insert(run.id.clone(), Arc::new(live));
    }
}

/// A change of the catalog ends with a sync to disk: away from the async threads.
async fn store<T: Send + 'static>(
    catalog: &Catalog,
    change: impl FnOnce(&Catalog) -> Result<T, CatalogError> + Send + 'static,
) -> Result<T, CatalogError> {
    let catalog = catalog.clone();
    match tokio::task::spawn_blocking(move || change(&catalog)).await {
        Ok(changed) => changed,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this with it.
            Err(_) => std::future::pending().await,
        },
    }
}
