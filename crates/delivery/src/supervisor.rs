//! The supervisor: one worker per enabled configuration, started, restarted and stopped as the catalog changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{Backoff, Clock, Random};
use catalog::{Catalog, Keyring};
use destinations::Transport;
use event::StreamSet;
use event::native::Instance;
use journal::{ConsumerCommand, ConsumerName, Journal, JournalError, StartAt};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::configuration::Configuration;
use crate::quarantine::Quarantine;
use crate::status::Status;
use crate::worker::{Pace, Setting, Worker};

/// Leased payload bytes of all workers together.
const LEASED_BYTES: usize = 16 << 20;
/// And of one of them, at most.
const LEASED_BYTES_EACH: usize = 4 << 20;

/// Everything that workers are made of.
#[derive(Clone)]
pub struct Parts {
    /// Where events lie.
    pub journal: Arc<dyn Journal>,
    /// Where configurations lie.
    pub catalog: Catalog,
    /// Opens their credentials.
    pub keyring: Arc<Keyring>,
    /// Sends requests.
    pub transport: Arc<dyn Transport>,
    /// Named in every document.
    pub instance: Instance,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub random: Arc<Random>,
}

/// What the supervisor logs and tries again after.
type Problem = Box<dyn std::error::Error + Send + Sync>;

type Statuses = Arc<Mutex<HashMap<String, Arc<Mutex<Status>>>>>;

/// Runs the workers.
pub struct Supervisor {
    statuses: Statuses,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Running {
    document: String,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The consumer of a configuration.
pub fn consumer_name(id: &str) -> Option<ConsumerName> {
    ConsumerName::new(format!("cfg/{id}"))
}

/// Gives a new configuration its place in the journal: now. Called before the configuration is stored, so that no event
/// appended after the answer to its creation is missed.
pub async fn admit(journal: &dyn Journal, id: &str) -> Result<(), JournalError> {
    let name = consumer_name(id).ok_or(JournalError::Refused("the id cannot name a consumer"))?;
    let create =
        ConsumerCommand::Create { name, streams: StreamSet::product(), start: StartAt::Now, until: None };
    journal.consumers(create).await.map(drop)
}

/// Takes a configuration's place away.
pub async fn dismiss(journal: &dyn Journal, id: &str) -> Result<(), JournalError> {
    let name = consumer_name(id).ok_or(JournalError::Refused("the id cannot name a consumer"))?;
    journal.consumers(ConsumerCommand::Remove { name }).await.map(drop)
}

impl Supervisor {
    /// Starts workers for all enabled configurations and follows the catalog from then on.
    ///
    /// Called before the API listens: configurations that are being created have no document yet, and their places must
    /// not be taken for orphans.
    pub async fn start(parts: Parts) -> Self {
        if let Err(error) = dismiss_orphans(&parts).await {
            tracing::error!(%error, "places of deleted configurations could not be removed");
        }
        let statuses = Statuses::default();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(follow(parts, Arc::clone(&statuses), stopped));
        Self { statuses, stop, task: Mutex::new(Some(task)) }
    }

    /// The live state of a configuration's worker; `None` when it has none.
    pub fn status(&self, id: &str) -> Option<Status> {
        let status = self.statuses.lock().get(id).cloned()?;
        let status = status.lock().clone();
        Some(status)
    }

    /// Stops all workers: waits for requests in flight, hands the rest back.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "delivery ended badly");
        }
    }
}

/// Takes away the places of configurations that do not exist: a crash between the two steps of creating or deleting one
/// leaves a place behind, which would hold retention back for ever.
async fn dismiss_orphans(parts: &Parts) -> Result<(), Problem> {
    let known: Vec<ConsumerName> = parts
        .catalog
        .list::<Configuration>()?
        .into_iter()
        .filter_map(|found| consumer_name(&found.value.id))
        .collect();
    for consumer in parts.journal.consumers(ConsumerCommand::List).await? {
        if consumer.name.as_str().starts_with("cfg/") && !known.contains(&consumer.name) {
            tracing::warn!(
                consumer = consumer.name.as_str(),
                "removing the place of a configuration that does not exist"
            );
            parts.journal.consumers(ConsumerCommand::Remove { name: consumer.name }).await?;
        }
    }
    Ok(())
}

async fn follow(parts: Parts, statuses: Statuses, mut stopped: watch::Receiver<bool>) {
    let mut changes = parts.catalog.watch();
    let mut running: BTreeMap<String, Running> = BTreeMap::new();
    loop {
        changes.borrow_and_update();
        let again = match adjust(&parts, &statuses, &mut running).await {
            Ok(()) => Duration::MAX,
            Err(error) => {
                tracing::error!(%error, "cannot follow the configurations; trying again");
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            changed = changes.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(again) => {}
        }
    }
    for (_, worker) in running {
        stop(worker).await;
    }
}

async fn adjust(
    parts: &Parts,
    statuses: &Statuses,
    running: &mut BTreeMap<String, Running>,
) -> Result<(), Problem> {
    let configurations: BTreeMap<String, Configuration> = parts
        .catalog
        .list::<Configuration>()?
        .into_iter()
        .map(|found| (found.value.id.clone(), found.value))
        .collect();
    let outdated: Vec<String> = running
        .iter()
        .filter(|(id, worker)| {
            let document =
                configurations.get(*id).filter(|c| c.enabled).and_then(|c| serde_json::to_string(c).ok());
            document.as_ref() != Some(&worker.document) || worker.task.is_finished()
        })
        .map(|(id, _)| id.clone())
        .collect();
    for id in outdated {
        statuses.lock().remove(&id);
        if let Some(worker) = running.remove(&id) {
            stop(worker).await;
        }
    }
    let n_enabled = configurations.values().filter(|configuration| configuration.enabled).count();
    for (id, configuration) in configurations {
        if configuration.enabled && !running.contains_key(&id) {
            let status = Arc::new(Mutex::new(Status::default()));
            let worker = start(parts, configuration, n_enabled, Arc::clone(&status)).await?;
            statuses.lock().insert(id.clone(), status);
            running.insert(id, worker);
        }
    }
    Ok(())
}

async fn start(
    parts: &Parts,
    configuration: Configuration,
    n_enabled: usize,
    status: Arc<Mutex<Status>>,
) -> Result<Running, Problem> {
    let id = &configuration.id;
    admit(&*parts.journal, id).await?;
    let consumer = consumer_name(id).ok_or("the id cannot name a consumer")?;
    let document = serde_json::to_string(&configuration)?;
    let credential = parts.keyring.open(&configuration.credential, &format!("eventStreaming/{id}"))?;
    let settings = destinations::Settings::parse(configuration.vendor, &configuration.settings)
        .map_err(|errors| format!("the settings of configuration {id} are not valid: {errors:?}"))?;
    let destination = settings
        .build(&credential, &parts.instance, configuration.selection())
        .map_err(|errors| format!("configuration {id} cannot be used: {errors:?}"))?;
    let worker = Worker::new(Setting {
        consumer,
        streams: configuration.streams(),
        destination,
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
    });
    let (stop, stopped) = watch::channel(false);
    Ok(Running { document, stop, task: tokio::spawn(worker.run(stopped)) })
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
