//! The supervisor: keeps a worker running for each enabled configuration, as the catalog changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, EventId, Random};
use catalog::{Catalog, CatalogError, Found, Keyring};
use destinations::Transport;
use event::Stream;
use event::native::Instance;
use journal::{Journal, JournalError, Offset};
use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::attempts::{Attempt, Seen};
use crate::books::{Books, all_books, floor};
use crate::budget::{Backlogs, look};
use crate::configuration::Configuration;
use crate::crew::Crew;
use crate::fence::HandOver;
use crate::kept::Kept;
use crate::lasting::AllLasting;
use crate::looking::{AT_A_TIME, DryRun, LookError, Previews, Sought, dry_run, preview};
use crate::quarantined::{Quarantined, afterwards};
use crate::reconciling::{Period, ReconcileError, Reconciled, reconcile};
use crate::report::{Report, ReportError};
use crate::resume::{PauseError, carry_out_all, chosen, give_up};
use crate::runs::{Counted, Lives, Picked, Progress, Run, RunCrew, Span, count, progress, span};
use crate::shown::shown;
use crate::status::Status;
use crate::trial::{Trial, TrialError, announce, test_events, try_out};
use crate::volume::Measured;

/// How long the supervisor waits before it tries again what failed.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the end of a worker is waited for: twice as long as it waits for its requests in flight.
const AT_REST: Duration = Duration::from_secs(20);

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

/// While it is there, no worker runs.
#[derive(Debug)]
pub struct Standstill {
    _until_dropped: oneshot::Sender<()>,
}

/// Runs the workers.
pub struct Supervisor {
    parts: Parts,
    statuses: Statuses,
    lasting: AllLasting,
    runs: Lives,
    quarantined: Quarantined,
    kept: Kept,
    backlogs: Backlogs,
    looks: Semaphore,
    stop: watch::Sender<bool>,
    standstills: mpsc::Sender<oneshot::Sender<Standstill>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Supervisor {
    /// Starts workers for all enabled configurations and follows the catalog from then on.
    pub async fn start(parts: Parts) -> Self {
        carry_out_all(&*parts.journal, &parts.catalog, parts.clock.now()).await;
        let statuses = Statuses::default();
        // Before anybody trims: what is counted stays.
        afterwards::count_all(&*parts.journal, &parts.catalog).await;
        let (stop, stopped) = watch::channel(false);
        let (journal, catalog) = (Arc::clone(&parts.journal), parts.catalog.clone());
        let counting = tokio::spawn(afterwards::keep_counting(journal, catalog, stopped.clone()));
        let mut changes = parts.catalog.watch();
        changes.borrow_and_update();
        let lasting = AllLasting::default();
        let runs = Lives::default();
        let quarantined =
            Quarantined::new(Arc::clone(&parts.journal), parts.catalog.clone(), Arc::clone(&parts.clock));
        let for_runs = RunCrew::new(
            parts.clone(),
            Arc::clone(&statuses),
            lasting.clone(),
            Arc::clone(&runs),
            quarantined.clone(),
        );
        let mut crew = Crew::new(parts.clone(), Arc::clone(&statuses), lasting.clone(), for_runs);
        let is_complete = crew.adjust().await;
        let (standstills, asked) = mpsc::channel(1);
        let following = follow(crew, is_complete, changes, stopped, asked);
        let task = tokio::spawn(async move {
            following.await;
            if let Err(error) = counting.await {
                tracing::error!(%error, "counting what became of entries in quarantine ended badly");
            }
        });
        Self {
            quarantined,
            kept: Kept::default(),
            parts,
            statuses,
            lasting,
            backlogs: Backlogs::default(),
            runs,
            looks: Semaphore::new(AT_A_TIME),
            stop,
            standstills,
            task: Mutex::new(Some(task)),
        }
    }

    /// The live state of a configuration's worker, or why it has none; `None` when it needs none.
    pub fn status(&self, id: &str) -> Option<Status> {
        let status = self.statuses.lock().get(id).cloned()?;
        let mut status = status.lock();
        status.pass(Instant::now());
        Some(status.clone())
    }

    /// How a configuration fares; `None` when it is not there.
    pub async fn report(&self, id: &str) -> Result<Option<Report>, ReportError> {
        let configuration = match self.parts.catalog.get::<Configuration>(id) {
            Ok(found) => Some(found.value),
            Err(CatalogError::Damaged { .. }) => None,
            Err(CatalogError::NotFound) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let books = all_books(&self.kept, &*self.parts.journal).await?.remove(id);
        Ok(Some(self.report_on(id.to_owned(), configuration, books)))
    }

    /// How all configurations fare, in order of their ids.
    pub async fn reports(&self) -> Result<Vec<Report>, ReportError> {
        let mut books = all_books(&self.kept, &*self.parts.journal).await?;
        let all = self.parts.catalog.list_each::<Configuration>().into_iter().map(|(id, found)| {
            let books = books.remove(&id);
            self.report_on(id, found.ok().map(|found| found.value), books)
        });
        Ok(all.collect())
    }

    fn report_on(&self, id: String, configuration: Option<Configuration>, books: Option<Books>) -> Report {
        let live = self.status(&id);
        let now = self.parts.clock.now();
        let figures = self.lasting.get(&id).map(|lasting| lasting.figures(now));
        let (recent, totals) = figures.unzip();
        let shown = shown(configuration.as_ref(), live.as_ref(), books.as_ref().map(|books| &books.all));
        let books = books.unwrap_or_default();
        Report {
            recent,
            totals: totals.unwrap_or_default(),
            shown,
            volume: self.volume(&id),
            id,
            configuration,
            books: books.all,
            main: books.main,
            parked: books.n_parked,
            unread: books.unread,
            live,
        }
    }

    /// How many blocks are damaged where the quarantine stream was read: what they held of it is missing from the books and the
    /// list of entries.
    pub fn n_unreadable(&self) -> u64 {
        self.kept.n_unreadable().max(self.quarantined.n_unreadable())
    }

    /// The last attempts of a configuration, the newest first: only those that failed, or that held this event. Of memory:
    /// after a restart it is empty.
    pub fn attempts(&self, id: &str, only_failed: bool, event: Option<EventId>) -> Vec<Arc<Attempt>> {
        self.lasting.get(id).map(|lasting| lasting.attempts.list(only_failed, event)).unwrap_or_default()
    }

    /// One of them, with what was sent and received.
    pub fn attempt(&self, id: &str, n: u64) -> Option<Seen> {
        self.lasting.get(id)?.attempts.get(n)
    }

    /// What a configuration has delivered in the last day; `None` when it has had no worker since the process started.
    pub fn volume(&self, id: &str) -> Option<Measured> {
        self.lasting.get(id)?.measured(self.parts.clock.now())
    }

    /// How far a run is.
    pub async fn progress(&self, run: &Run) -> Result<Progress, JournalError> {
        progress(&self.parts, &self.runs, run).await
    }

    /// The blocks that can hold what is `picked` of what a configuration is done with.
    pub async fn span(&self, configuration_id: &str, picked: &Picked) -> Result<Span, JournalError> {
        span(&*self.parts.journal, configuration_id, picked).await
    }

    /// Where entries in quarantine stand.
    pub const fn quarantined(&self) -> &Quarantined {
        &self.quarantined
    }

    /// What is known of all backlogs: whether intake must refuse, and how much time is left.
    pub const fn backlogs(&self) -> &Backlogs {
        &self.backlogs
    }

    /// Looks at all backlogs and notes them: to be called every few seconds. What has to be given up of spent budgets expires.
    /// Of blocks from `kept_from` on retention removes nothing, whoever has settled them; `retention` is the shortest one.
    pub async fn look_at_backlogs(
        &self,
        kept_from: u64,
        retention: Option<Duration>,
    ) -> Result<(), JournalError> {
        look(&self.parts, &self.backlogs, kept_from, retention).await
    }

    /// What a replay of a range would send. Takes about 10 seconds at most; then it says how far it has come.
    pub async fn count(
        &self,
        configuration: &Configuration,
        picked: &Picked,
        span: Span,
    ) -> Result<Counted, LookError> {
        let _turn = self.looks.try_acquire()?;
        count(&self.parts, configuration, picked, span).await
    }

    /// The first block of which a configuration may still send an event, for [`Supervisor::hand_over`].
    pub async fn floor(&self, id: &str) -> Result<u64, JournalError> {
        floor(&self.kept, &*self.parts.journal, id).await
    }

    /// Draws the border between a stored configuration and the one that is to replace it: what is stored by now is
    /// selected as `before` says, what comes as `after` says. Of blocks below `floor` nothing is sent any more. To be called
    /// right before `after` is stored, by one caller at a time, and completed right after.
    pub fn hand_over(
        &self,
        before: &Found<Configuration>,
        after: &mut Configuration,
        floor: u64,
    ) -> HandOver {
        let journal = &self.parts.journal;
        if after.selects_like(&before.value) {
            after.succeed(&before.value, floor, journal.head().next);
            return HandOver::of_nothing();
        }
        let lasting = self.lasting.of(&after.id);
        let (until, hand_over) = Arc::clone(&lasting.fence).close(before.revision, || journal.head().next);
        after.succeed(&before.value, floor, until);
        hand_over
    }

    /// The turn of a change of several steps at the configuration with this id: others wait until it is dropped.
    pub async fn turn(&self, id: &str) -> OwnedMutexGuard<()> {
        Arc::clone(&self.lasting.of(id).turn).lock_owned().await
    }

    /// Gives up what gathered below `below` for a paused configuration, when that is still what is chosen. A worker from
    /// before the pause is waited for, so that what it delivers counts as delivered; that takes as long as its requests in
    /// flight, 20 seconds at most. To be called in a [`Supervisor::turn`]; [`end_pause`](crate::end_pause) follows.
    pub async fn give_up(&self, id: &str, below: u64) -> Result<(), PauseError> {
        if tokio::time::timeout(AT_REST, self.lasting.of(id).at_rest()).await.is_err() {
            tracing::warn!(configuration = id, "its backlog is given up under a worker that does not end");
        }
        chosen(&self.parts.catalog, id, below)?;
        Ok(give_up(&*self.parts.journal, id, below, self.parts.clock.now()).await?)
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

    /// What `configuration` would send of the newest `max_events` stored events. Takes about 10 seconds at most.
    pub async fn dry_run(
        &self,
        configuration: &Configuration,
        max_events: usize,
    ) -> Result<DryRun, LookError> {
        let _turn = self.looks.try_acquire()?;
        dry_run(&self.parts, configuration, max_events).await
    }

    /// The requests that `configuration` would send for what is `sought`. Takes about 10 seconds at most.
    pub async fn preview(
        &self,
        configuration: &Configuration,
        sought: Sought,
    ) -> Result<Previews, LookError> {
        let _turn = self.looks.try_acquire()?;
        preview(&self.parts, configuration, sought).await
    }

    /// Asks the destination of `configuration` which of the events of a period it holds, beginning at `from`. Takes about
    /// 10 seconds at most, and what its last answers take, one of each stream.
    pub async fn reconcile(
        &self,
        configuration: &Configuration,
        period: Period,
        from: Offset,
    ) -> Result<Reconciled, ReconcileError> {
        let _turn = self.looks.try_acquire()?;
        reconcile(&self.parts, configuration, &self.quarantined, period, from).await
    }

    /// Sends one event to the destination of `before` outside the journal, as well as it goes, when it would not get it
    /// any more with `after`, which takes its place, or with nothing. Takes 3 seconds at most. `event` is the JSON that a
    /// producer would post.
    pub async fn announce(&self, before: &Configuration, after: Option<&Configuration>, event: &str) {
        announce(&self.parts, before, after, event).await;
    }

    /// Dismisses every worker: requests in flight are waited for, everything else that was read is handed back. For when
    /// what was read is not to be sent any more. Returns when no worker holds what it has read, nor copies any of it; each
    /// takes 10 seconds at most. `None`: the supervisor has ended, and all workers before it.
    pub async fn stand_still(&self) -> Option<Standstill> {
        let (answer, answered) = oneshot::channel();
        self.standstills.send(answer).await.ok()?;
        answered.await.ok()
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

/// Ends with the value that is answered, or with the supervisor.
async fn stand_still(
    crew: &mut Crew,
    answer: oneshot::Sender<Standstill>,
    mut stopped: watch::Receiver<bool>,
) {
    crew.disband().await;
    crew.forget_details();
    let (until_dropped, dropped) = oneshot::channel();
    // Nobody may be waiting for it any more: then it ends here.
    let _unwanted = answer.send(Standstill { _until_dropped: until_dropped });
    tokio::select! {
        biased;
        _ = dropped => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}

async fn follow(
    mut crew: Crew,
    mut is_complete: bool,
    mut changes: watch::Receiver<u64>,
    mut stopped: watch::Receiver<bool>,
    mut standstills: mpsc::Receiver<oneshot::Sender<Standstill>>,
) {
    loop {
        let again = if is_complete { Duration::MAX } else { AGAIN };
        let mut asked = None;
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            changed = changes.changed() => if changed.is_err() { break },
            () = crew.lost_one() => {}
            answer = standstills.recv() => if answer.is_none() { break } else { asked = answer },
            () = tokio::time::sleep(again) => {}
        }
        if let Some(answer) = asked {
            stand_still(&mut crew, answer, stopped.clone()).await;
        }
        is_complete = crew.adjust().await;
    }
    crew.disband().await;
}
