//! Alarms: the facts that they are raised by are gathered here, since the API knows all parts; their calls are beside.

pub(crate) mod channels;
pub(crate) mod standing;

use std::sync::Arc;
use std::time::Duration;

use alarms::{ConfigurationFacts, Facts, Going, LastHeard, SourceFacts, Then, Unsettled, Unsigned};
use base::Timestamp;
use delivery::{Limit, Report, State, WhenSpent};
use intake::Source;
use tokio::sync::watch;

use crate::state::ApiState;

/// How often is looked whether something is wrong.
const EVERY: Duration = Duration::from_secs(10);
/// Backlogs that come to their limit later than this are not told of: it lies beyond every threshold.
const FAR: Duration = Duration::from_hours(24 * 365);

/// Looks every ten seconds whether something is wrong, and tells the channels of it, until `stop` turns true.
pub async fn run(state: ApiState, stop: watch::Receiver<bool>) {
    let channels = tokio::spawn(alarms::deliver(Arc::clone(&state.alarms), stop.clone()));
    look(&state, stop).await;
    if let Err(error) = channels.await {
        tracing::error!(%error, "the telling of alarms ended badly");
    }
}

async fn look(state: &ApiState, mut stop: watch::Receiver<bool>) {
    loop {
        observe(state).await;
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Looks once.
pub async fn observe(state: &ApiState) {
    match facts(state).await {
        Ok(facts) => state.alarms.observe(&facts).await,
        Err(error) => tracing::error!(%error, "nobody can tell what is wrong; looking again in ten seconds"),
    }
}

async fn facts(state: &ApiState) -> Result<Facts, delivery::ReportError> {
    let now = state.clock.now();
    let configurations =
        state.delivery.reports().await?.iter().map(|report| configuration(state, report, now)).collect();
    let sources = state.catalog.list_each::<Source>().into_iter().filter_map(|(_, found)| found.ok());
    let began = state.alarms.began();
    let source = |source: Source| SourceFacts {
        last_heard: state.counts().last_from(&source.id).map_or(LastHeard::NotSince(began), LastHeard::At),
        id: source.id,
        name: source.name,
        is_enabled: source.enabled,
        silent_after: source.silent_after_minutes.map(|minutes| Duration::from_mins(minutes.into())),
    };
    let ask = Arc::clone(&state.alarms.surroundings().disk);
    Ok(Facts {
        configurations,
        sources: sources.map(|found| source(found.value)).collect(),
        disk: tokio::task::spawn_blocking(move || ask()).await.unwrap_or_default(),
        is_poisoned: state.journal.head().poisoned,
        n_damaged: state.delivery.n_unreadable() + state.explorer.status().blocks_unreadable,
        unsigned_for: unsigned(state),
    })
}

fn configuration(state: &ApiState, report: &Report, now: Timestamp) -> ConfigurationFacts {
    let (books, of) = (&report.books, report.configuration.as_ref());
    // Parked events are seldom and lie in quarantine: a backlog is what holds up others.
    let backlog = report.backlog();
    let outlook = of.map(|of| {
        let backlogs = state.delivery.backlogs();
        backlogs.outlook(&of.id, &of.backlog, of.holds_back(), &backlog, now)
    });
    // That the disk fills is an alarm of its own.
    let spent = outlook.filter(|outlook| outlook.limit != Some(Limit::Disk)).and_then(|outlook| {
        let left = outlook.left.filter(|left| *left < FAR)?;
        Some((now.plus(left), outlook.limit))
    });
    let keeps = of.is_some_and(|of| of.backlog.when_spent == WhenSpent::Keep);
    let then = match spent {
        Some((_, Some(Limit::Retention))) => Then::GivenUp,
        Some(_) if keeps => Then::IntakeRefuses,
        _ => Then::GivenUp,
    };
    ConfigurationFacts {
        id: report.id.clone(),
        name: report.name().to_owned(),
        is_enabled: of.is_none_or(|of| of.enabled),
        going: going(report),
        since: report.shown.since,
        last_error: report.shown.reason.clone(),
        unsettled: report.unread.is_none().then(|| Unsettled {
            oldest_pending: backlog.oldest,
            quarantined: books.tally.quarantined + report.parked,
            expired: books.tally.expired,
            spent_at: spent.map(|(at, _)| at),
            then,
        }),
    }
}

fn going(report: &Report) -> Going {
    /// What a destination answers that refuses the credential.
    const REFUSED: [Option<u16>; 2] = [Some(401), Some(403)];
    let status = report.live.as_ref().and_then(|live| live.last_http_status);
    match report.shown.state {
        State::Starting => Going::Unknown,
        State::Active => Going::Flowing,
        State::Degraded => Going::Struggling,
        State::Holding if REFUSED.contains(&status) => Going::CredentialRejected,
        State::Holding => Going::Holding,
        State::Paused => Going::Paused,
        State::AwaitingChoice => Going::AwaitsChoice,
        State::Disabled => Going::Disabled,
        State::Stopped => Going::Stopped,
    }
}

/// How far the signing of heads is behind.
fn unsigned(state: &ApiState) -> Option<Unsigned> {
    let every = state.alarms.surroundings().sign_every?;
    let newest = custody::heads::newest(&state.catalog).ok().flatten();
    let covers = newest.as_ref().map_or(0, |head| head.sequence);
    let began = state.alarms.began();
    (covers + 1 < state.journal.head().next)
        .then(|| Unsigned { since: newest.map_or(began, |head| head.at.max(began)), every })
}
