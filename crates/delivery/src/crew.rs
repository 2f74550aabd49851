//! The crew: which workers run, and how the running ones are made to be those that the catalog asks for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::Backoff;
use catalog::{CatalogError, Found};
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::configuration::Configuration;
use crate::lasting::{AllLasting, Lasting};
use crate::places::{consumer_name, is_admitted};
use crate::quarantine::Quarantine;
use crate::selector::Selector;
use crate::status::{State, Status};
use crate::supervisor::{Parts, Statuses};
use crate::worker::{Chapter, Pace, Setting, Worker};

/// Leased payload bytes of all workers together.
const LEASED_BYTES: usize = 16 << 20;
/// And of one of them, at most.
const LEASED_BYTES_EACH: usize = 4 << 20;
/// What the status of a configuration says whose consumer is gone.
const NO_PLACE: &str = "its place in the journal is missing, as after a restored copy of the data directory: save the \
                        configuration again to stream what comes from then on";

/// What is told, logged and tried again after.
type Problem = Box<dyn std::error::Error + Send + Sync>;

struct Running {
    document: String,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The workers of one instance.
pub(crate) struct Crew {
    parts: Parts,
    statuses: Statuses,
    lasting: AllLasting,
    running: BTreeMap<String, Running>,
    /// Told when a worker ends, wanted or not.
    ended: Arc<Notify>,
}

impl Crew {
    pub(crate) fn new(parts: Parts, statuses: Statuses, lasting: AllLasting) -> Self {
        Self { parts, statuses, lasting, running: BTreeMap::new(), ended: Arc::default() }
    }

    /// Returns when a worker has ended since the last adjustment.
    pub(crate) async fn lost_one(&self) {
        self.ended.notified().await;
    }

    /// Stops workers whose configuration is gone, disabled or changed, and starts those that are missing. One
    /// configuration that cannot be worked on holds up no other; its status says why. True when none is left out.
    pub(crate) async fn adjust(&mut self) -> bool {
        let wanted = self.wanted();
        let outdated: Vec<String> = self
            .running
            .iter()
            .filter(|(id, worker)| {
                let document = wanted.get(*id).and_then(|wanted| wanted.as_ref().ok());
                document != Some(&worker.document) || worker.task.is_finished()
            })
            .map(|(id, _)| id.clone())
            .collect();
        let leaving: Vec<Running> = outdated.iter().filter_map(|id| self.running.remove(id)).collect();
        join_all(leaving.into_iter().map(stop)).await;
        self.statuses.lock().retain(|id, _| wanted.contains_key(id));
        self.tell_who_waits();
        let n_enabled = wanted.len();
        let mut is_complete = true;
        for id in wanted.keys().filter(|id| !self.running.contains_key(*id)).cloned().collect::<Vec<_>>() {
            if let Err(problem) = self.start(&id, n_enabled).await {
                tracing::error!(configuration = id, %problem, "nothing is delivered for a configuration; trying again");
                self.explain(&id, &*problem);
                is_complete = false;
            }
        }
        is_complete
    }

    /// Stops all workers, all at the same time.
    pub(crate) async fn dismiss_all(&mut self) {
        join_all(std::mem::take(&mut self.running).into_values().map(stop)).await;
    }

    /// The documents of the configurations that run, and those that cannot be read.
    fn wanted(&self) -> BTreeMap<String, Result<String, Problem>> {
        let each = self.parts.catalog.list_each::<Configuration>();
        self.lasting.retain(|id| each.iter().any(|(known, _)| known == id));
        each.into_iter()
            .filter(|(_, found)| found.as_ref().map_or(true, |found| found.value.runs()))
            .map(|(id, found)| (id, found.map_err(Problem::from).and_then(|found| text(&found.value))))
            .collect()
    }

    /// Starts the worker of what the catalog holds at this moment, which may be newer than what made it necessary.
    async fn start(&mut self, id: &str, n_enabled: usize) -> Result<(), Problem> {
        let found = match self.parts.catalog.get::<Configuration>(id) {
            Ok(found) if found.value.runs() => found,
            Ok(_) | Err(CatalogError::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if !is_admitted(&*self.parts.journal, id).await? {
            return Err(NO_PLACE.into());
        }
        let document = text(&found.value)?;
        let status = Arc::new(Mutex::new(Status::default()));
        let lasting = self.lasting.of(id);
        lasting.begin(found.revision, self.parts.clock.now());
        let setting = setting(&self.parts, &found, n_enabled, Arc::clone(&status), lasting)?;
        let worker = Worker::new(setting);
        let (stop, stopped) = watch::channel(false);
        let alarm = Alarm(Arc::clone(&self.ended));
        let task = tokio::spawn(async move {
            let _rings_when_dropped = alarm;
            worker.run(stopped).await;
        });
        self.statuses.lock().insert(id.to_owned(), status);
        self.running.insert(id.to_owned(), Running { document, stop, task });
        Ok(())
    }

    /// Gives those a status that await a choice.
    fn tell_who_waits(&self) {
        for (id, found) in self.parts.catalog.list_each::<Configuration>() {
            if let Some(since) = found
                .ok()
                .filter(|found| found.value.enabled)
                .and_then(|found| found.value.resume.awaits_since)
            {
                let status =
                    Status { state: State::PausedAwaitingChoice, since: Some(since), ..Status::default() };
                self.statuses.lock().insert(id, Arc::new(Mutex::new(status)));
            }
        }
    }

    fn explain(&self, id: &str, problem: &(dyn std::error::Error + Send + Sync)) {
        let mut status = Status::default();
        status.failed(State::Stopped, &problem.to_string(), self.parts.clock.now());
        self.statuses.lock().insert(id.to_owned(), Arc::new(Mutex::new(status)));
    }
}

/// Tells the supervisor that a worker has ended, also when it ended by a panic.
struct Alarm(Arc<Notify>);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn text(configuration: &Configuration) -> Result<String, Problem> {
    Ok(serde_json::to_string(configuration)?)
}

fn setting(
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
        Ok(Chapter { until: epoch.until, selector: Arc::new(Selector::of(&epoch)), destination })
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
        },
        clock: Arc::clone(&parts.clock),
        random: Arc::clone(&parts.random),
        pace: pace(n_enabled)?,
        status,
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

async fn stop(worker: Running) {
    worker.stop.send_replace(true);
    if let Err(error) = worker.task.await {
        tracing::error!(%error, "a worker ended badly; its events come again");
    }
}
