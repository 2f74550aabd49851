//! Alarms: the facts that they are raised by are gathered here, since the API knows all parts; their calls are beside.

pub(crate) mod channels;
mod facts;
pub(crate) mod standing;

use std::sync::Arc;
use std::time::Duration;

use alarms::{ConfigurationFacts, Facts, Unsigned};
use base::Timestamp;
use delivery::quarantined::{Filter, Order};
use delivery::{Configuration, Report};
use event::Stream;
use intake::Source;
use tokio::sync::watch;

use crate::state::ApiState;

/// How often is looked whether something is wrong.
const EVERY: Duration = Duration::from_secs(10);

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
    let facts = gather(state).await;
    state.alarms.observe(&facts).await;
}

async fn gather(state: &ApiState) -> Facts {
    let now = state.clock.now();
    let configurations = match state.delivery.reports().await {
        Ok(reports) => {
            let mut known = Vec::with_capacity(reports.len());
            for report in &reports {
                known.push(configuration(state, report, now).await);
            }
            known
        }
        Err(error) => {
            tracing::error!(%error, "nobody can tell what the configurations have not delivered");
            unread(state)
        }
    };
    let sources = state.catalog.list_each::<Source>();
    state.counts().keep_sources(|id| sources.iter().any(|(known, _)| known == id));
    let began = state.alarms.began();
    let source = |source: Source| facts::source(source.clone(), state.counts().last_from(&source.id), began);
    let head = state.journal.head();
    let refusal = state.delivery.backlogs().refusal(head.stored_bytes, now);
    let ask = Arc::clone(&state.alarms.surroundings().disk);
    Facts {
        configurations,
        sources: sources
            .into_iter()
            .filter_map(|(_, found)| found.ok())
            .map(|found| source(found.value))
            .collect(),
        disk: tokio::task::spawn_blocking(move || ask()).await.unwrap_or_default(),
        is_poisoned: head.poisoned,
        n_damaged: state.delivery.n_unreadable() + state.explorer.status().blocks_unreadable,
        refusal: refusal.map(|refusal| refusal.to_string()),
        unsigned_for: unsigned(state),
    }
}

/// Of all configurations, while the journal does not say how far they are.
fn unread(state: &ApiState) -> Vec<ConfigurationFacts> {
    let all = state.catalog.list_each::<Configuration>().into_iter();
    let facts = all.map(|(id, found)| {
        let stored = found.ok().map(|found| found.value);
        facts::unread(&id, stored.as_ref(), state.delivery.status(&id).as_ref())
    });
    facts.collect()
}

async fn configuration(state: &ApiState, report: &Report, now: Timestamp) -> ConfigurationFacts {
    // Parked events are seldom and lie in quarantine: a backlog is what holds up others.
    let backlog = report.backlog();
    let outlook = report.configuration.as_ref().map(|of| {
        let backlogs = state.delivery.backlogs();
        backlogs.outlook(&of.id, &of.backlog, of.holds_back(), &backlog, now)
    });
    facts::configuration(report, outlook, quarantined_alarms(state, report).await, now)
}

/// How many audit logs of alarms lie in a configuration's quarantine. Counted only when more events lie there than before.
async fn quarantined_alarms(state: &ApiState, report: &Report) -> Option<u64> {
    if facts::quarantined(report) <= state.alarms.quarantined(&report.id) {
        return None;
    }
    let filter = Filter {
        stream: Some(Stream::AuditLog),
        event_type: Some(alarms::ENTITY_TYPE.to_owned()),
        ..Filter::default()
    };
    let listed = state.delivery.quarantined().list(&report.id, &filter, Order::NewestFirst, None, 0).await;
    listed.ok().map(|listed| listed.n_matching)
}

fn unsigned(state: &ApiState) -> Option<Unsigned> {
    let every = state.alarms.surroundings().sign_every?;
    let newest = custody::heads::newest(&state.catalog).ok().flatten();
    let newest = newest.map(|head| (head.sequence, head.at));
    facts::unsigned(newest, state.journal.head().next, state.alarms.began(), every)
}
