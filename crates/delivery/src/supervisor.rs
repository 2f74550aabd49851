//! The supervisor: keeps a worker running for each enabled configuration, as the catalog changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, EventId, Random};
use catalog::{Catalog, Keyring};
use destinations::Transport;
use event::Stream;
use event::native::Instance;
use journal::Journal;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::configuration::Configuration;
use crate::crew::Crew;
use crate::resume::carry_out_all;
use crate::status::Status;
use crate::trial::{Trial, TrialError, announce, test_events, try_out};

/// How long the supervisor waits before it tries again what failed.
const AGAIN: Duration = Duration::from_secs(5);

/// Everything that workers are made of.
#[derive(Clone)]
pub struct Parts {
    /// Where events lie.
    pub journal: Arc<dyn Journal>,
    /// Where configurations lie.
    pub catalog: Catalog,
    /// Opens their secrets.
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

/// What each worker says about itself, by configuration.
pub(crate) type Statuses = Arc<Mutex<HashMap<String, Arc<Mutex<Status>>>>>;

/// Runs the workers.
pub struct Supervisor {
    parts: Parts,
    statuses: Statuses,
    stop: watch::Sender<bool>,
    over: watch::Sender<u64>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Supervisor {
    /// Starts workers for all enabled configurations and follows the catalog from then on.
    pub async fn start(parts: Parts) -> Self {
        carry_out_all(&*parts.journal, &parts.catalog).await;
        let statuses = Statuses::default();
        let (stop, stopped) = watch::channel(false);
        let mut changes = parts.catalog.watch();
        changes.borrow_and_update();
        let mut crew = Crew::new(parts.clone(), Arc::clone(&statuses));
        let is_complete = crew.adjust().await;
        let (over, anew) = watch::channel(0);
        let task = tokio::spawn(follow(crew, is_complete, changes, stopped, anew));
        Self { parts, statuses, stop, over, task: Mutex::new(Some(task)) }
    }

    /// The live state of a configuration's worker, or why it has none; `None` when it needs none.
    pub fn status(&self, id: &str) -> Option<Status> {
        let status = self.statuses.lock().get(id).cloned()?;
        let status = status.lock().clone();
        Some(status)
    }

    /// The made-up events that trying `configuration` out sends: their streams and ids, so that somebody can remember them
    /// before anybody receives them.
    pub fn test_events(&self, configuration: &Configuration) -> Vec<(Stream, EventId)> {
        test_events(&self.parts, configuration)
    }

    /// Sends these made-up events as `configuration` says, enabled or not, and shows the answer. Takes 20 seconds at most.
    pub async fn try_out(
        &self,
        configuration: &Configuration,
        events: &[(Stream, EventId)],
    ) -> Result<Trial, TrialError> {
        try_out(&self.parts, configuration, events).await
    }

    /// Sends one event to a destination outside the journal, before it is cut off, as well as it goes. Takes 3 seconds at
    /// most. `event` is the JSON that a producer would post.
    pub async fn announce(&self, configuration: &Configuration, event: &str) {
        announce(&self.parts, configuration, event).await;
    }

    /// Has every worker begin anew: requests in flight are waited for, everything else that was read is handed back and
    /// read again. For when what was read is not to be sent any more. Returns before that is done.
    pub fn start_over(&self) {
        self.over.send_modify(|times| *times += 1);
    }

    /// Stops all workers at once: each waits for its requests in flight and hands the rest back.
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

async fn follow(
    mut crew: Crew,
    mut is_complete: bool,
    mut changes: watch::Receiver<u64>,
    mut stopped: watch::Receiver<bool>,
    mut anew: watch::Receiver<u64>,
) {
    let mut begun = 0;
    loop {
        let again = if is_complete { Duration::MAX } else { AGAIN };
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            changed = changes.changed() => if changed.is_err() { break },
            () = crew.lost_one() => {}
            changed = anew.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(again) => {}
        }
        let times = *anew.borrow_and_update();
        if times != begun {
            begun = times;
            crew.dismiss_all().await;
        }
        is_complete = crew.adjust().await;
    }
    crew.dismiss_all().await;
}
