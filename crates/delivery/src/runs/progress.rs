//! How far a run is, what it waits for, and when it will be over.

use std::time::Duration;

use base::Timestamp;
use catalog::Catalog;
use journal::{ConsumerCommand, ConsumerName, JournalError};
use serde::Serialize;
use tokio::time::Instant;

use super::crew::{Live, Lives};
use super::document::{Figures, Run, RunState};
use super::register::runs_of;
use crate::configuration::Configuration;
use crate::places::run_of;
use crate::status::{State, Status};
use crate::supervisor::Parts;

/// How long a run holds retention back.
const HOLDS_FOR: Duration = Duration::from_hours(7 * 24);
/// Nothing is said about a rate after a shorter time.
const SHORTEST: Duration = Duration::from_secs(1);

/// Whether a run goes on, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RunShown {
    /// It is to go on, and waits.
    Queued,
    /// It goes on.
    Running,
    /// Somebody stopped it.
    Paused,
    /// Somebody ended it.
    Cancelled,
    /// It has come to its end.
    Completed,
    /// It cannot be carried out.
    Failed,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Whether it goes on.
    pub state: RunShown,
    /// What it waits for.
    pub waits_for: Option<String>,
    /// Its books so far.
    pub figures: Figures,
    /// How much of its range it has done with, in percent, rounded down; 100 of an empty one, 0 before it has its place.
    pub percent: u64,
    /// Events delivered in a second, since its worker started.
    pub events_per_second: Option<f64>,
    /// When it will be over, if it goes on like that.
    pub ends_at: Option<Timestamp>,
    /// What its worker says; `None` when it has none.
    pub live: Option<Status>,
}

/// How far a run is.
pub(crate) async fn progress(parts: &Parts, lives: &Lives, run: &Run) -> Result<Progress, JournalError> {
    let live = lives.lock().get(&run.id).cloned();
    let figures = match run.figures {
        Some(figures) => Some(figures),
        None => counted(parts, run).await?,
    };
    let (percent, figures) = (figures.as_ref().map_or(0, percent), figures.unwrap_or_default());
    let status = live.as_ref().map(|live| live.status.lock().clone());
    let waits_for = waits_for(&parts.catalog, run, status.as_ref());
    let state = match run.state {
        RunState::Running if status.as_ref().is_some_and(|status| status.state() != State::Stopped) => {
            RunShown::Running
        }
        RunState::Running => RunShown::Queued,
        RunState::Paused => RunShown::Paused,
        RunState::Cancelled => RunShown::Cancelled,
        RunState::Completed => RunShown::Completed,
        RunState::Failed => RunShown::Failed,
    };
    let speed =
        live.filter(|_| state == RunShown::Running).and_then(|live| speed(&live, &figures, Instant::now()));
    Ok(Progress {
        state,
        waits_for,
        percent,
        events_per_second: speed.map(|speed| speed.delivered),
        ends_at: speed.and_then(|speed| Some(parts.clock.now().plus(speed.left?))),
        figures,
        live: status,
    })
}

/// What the journal has counted; `None` before the run has its place.
async fn counted(parts: &Parts, run: &Run) -> Result<Option<Figures>, JournalError> {
    let name = run.consumer();
    let all = parts.journal.consumers(ConsumerCommand::List).await?;
    let own = all.iter().find(|consumer| Some(&consumer.name) == name.as_ref());
    Ok(own.map(|consumer| Figures::of(&consumer.state)))
}

fn percent(figures: &Figures) -> u64 {
    (figures.done() * 100).checked_div(figures.total).unwrap_or(100)
}

#[derive(Clone, Copy)]
struct Speed {
    delivered: f64,
    left: Option<Duration>,
}

/// How fast it has been since its worker started.
fn speed(live: &Live, figures: &Figures, now: Instant) -> Option<Speed> {
    let elapsed = now.saturating_duration_since(live.started);
    if elapsed < SHORTEST {
        return None;
    }
    let seconds = elapsed.as_secs_f64();
    let done = figures.done().saturating_sub(live.before.done());
    let left = (done > 0).then(|| figures.pending() as f64 / done as f64 * seconds);
    Some(Speed {
        delivered: (figures.delivered().saturating_sub(live.before.delivered()) as f64 / seconds * 10.0)
            .round()
            / 10.0,
        left: left.and_then(|left| Duration::try_from_secs_f64(left).ok()),
    })
}

/// What a run that is to go on waits for.
fn waits_for(catalog: &Catalog, run: &Run, status: Option<&Status>) -> Option<String> {
    if run.state != RunState::Running {
        return None;
    }
    let is_first = |first: &Run| first.id == run.id;
    let runs = runs_of(catalog, &run.configuration_id);
    let first = runs.iter().map(|found| &found.value).find(|each| each.state == RunState::Running);
    if let Some(first) = first.filter(|first| !is_first(first)) {
        return Some(format!("run {} is carried out first", first.id));
    }
    let delivers = catalog.get::<Configuration>(&run.configuration_id).is_ok_and(|found| found.value.runs());
    if !delivers {
        return Some(
            "the configuration does not deliver: it is disabled or paused, or awaits a choice".to_owned(),
        );
    }
    let status = status?;
    let is_stuck = matches!(status.state(), State::Degraded | State::Holding | State::Stopped);
    is_stuck.then(|| status.last_error.clone().unwrap_or_default())
}

/// Whether a run's consumer holds retention back at `now`: while the run goes on, for a week. What is removed before its
/// turn counts as expired in the run's books.
pub fn holds_retention(catalog: &Catalog, name: &ConsumerName, now: Timestamp) -> bool {
    let Some((configuration_id, id)) = run_of(name) else { return false };
    let Ok(found) = super::find_run(catalog, configuration_id, id) else { return false };
    let delivers = catalog.get::<Configuration>(configuration_id).is_ok_and(|found| found.value.runs());
    delivers && found.value.state == RunState::Running && now.since(found.value.created_at) < HOLDS_FOR
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use catalog::MemoryStore;
    use serde_json::json;

    use super::super::throttle::Throttle;
    use super::*;

    #[test]
    fn a_run_holds_retention_back_while_it_goes_on_for_a_week() {
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        let configuration = |enabled: bool| -> Configuration {
            serde_json::from_value(json!({
                "id": "c", "name": "c", "enabled": enabled, "type": "splunk", "settings": {}, "secrets": {},
                "account": {}, "audit": {}, "hook": {},
            }))
            .unwrap()
        };
        let begin = Timestamp::default();
        let run: Run = serde_json::from_value(json!({
            "id": "r", "configurationId": "c", "kind": "replay", "picked": {}, "from": 1, "until": 9, "createdAt": begin,
            "createdBy": "admin", "state": "running",
        }))
        .unwrap();
        let name = run.consumer().unwrap();
        assert!(!holds_retention(&catalog, &name, begin), "there is no such run");
        catalog.create("c", &configuration(true), None).unwrap();
        catalog.create("r", &run, None).unwrap();
        assert!(holds_retention(&catalog, &name, begin));
        assert!(holds_retention(&catalog, &name, begin.plus(HOLDS_FOR).minus(Duration::from_millis(1))));
        assert!(!holds_retention(&catalog, &name, begin.plus(HOLDS_FOR)));
        catalog.replace("c", &configuration(false), 1, None).unwrap();
        assert!(!holds_retention(&catalog, &name, begin), "it does not go on");
        catalog.replace("c", &configuration(true), 2, None).unwrap();
        catalog.replace("r", &Run { state: RunState::Paused, ..run }, 1, None).unwrap();
        assert!(!holds_retention(&catalog, &name, begin), "it is paused");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_reckoned_from_what_was_done_since_the_worker_started() {
        let before = Figures { total: 1000, skipped: 100, ..Figures::default() };
        let live = Live {
            status: Arc::default(),
            throttle: Arc::new(Throttle::new(None)),
            started: Instant::now(),
            before,
        };
        let figures = Figures { skipped: 150, accepted: 50, ..before };
        assert_eq!(percent(&figures), 20);
        assert!(speed(&live, &figures, live.started).is_none(), "nobody knows yet");
        let speed = speed(&live, &figures, live.started + Duration::from_secs(10)).unwrap();
        assert!((speed.delivered - 5.0).abs() < 1e-9);
        assert_eq!(speed.left, Some(Duration::from_secs(80)));
        assert_eq!(percent(&Figures::default()), 100);
    }
}
