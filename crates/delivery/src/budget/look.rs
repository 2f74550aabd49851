//! Looks at all backlogs, now and then: gives up what is to be given up, and notes the rest.

use std::collections::HashMap;
use std::time::Duration;

use journal::{ConsumerCommand, ConsumerState, JournalError};

use super::{Account, Backlogs, Measures, WhenSpent, release};
use crate::configuration::Configuration;
use crate::places::configuration_id;
use crate::resume::Backlog;
use crate::supervisor::Parts;

/// Measures the backlog of each configuration and notes it; of those whose budget is spent, and that let their oldest events
/// go, as many expire as must. Configurations that cannot be read are left out: they keep what they have.
pub(crate) async fn look(
    parts: &Parts,
    backlogs: &Backlogs,
    kept_from: u64,
    retention: Option<Duration>,
) -> Result<(), JournalError> {
    let mut states = states(parts).await?;
    let now = parts.clock.now();
    let mut accounts = Vec::new();
    for (id, found) in parts.catalog.list_each::<Configuration>() {
        let (Ok(found), Some(mut state)) = (found, states.remove(&id)) else { continue };
        let Configuration { name, backlog: budget, enabled, .. } = found.value;
        let releases = enabled && budget.when_spent == WhenSpent::Release;
        if releases && budget.spent(&backlog(&state), now, false).is_some() {
            let expired = release(&*parts.journal, &id, &budget, now).await?;
            if expired > 0 {
                tracing::warn!(
                    configuration = id,
                    name,
                    expired,
                    "a backlog budget is spent: its oldest events have expired"
                );
            }
            state = states_of(parts, &id).await?.unwrap_or(state);
        }
        accounts.push(Account { id, name, budget, enabled, backlog: backlog(&state), floor: state.floor });
    }
    backlogs.note(Measures { accounts, kept_from, retention }, now);
    Ok(())
}

/// How far each configuration is.
async fn states(parts: &Parts) -> Result<HashMap<String, ConsumerState>, JournalError> {
    let consumers = parts.journal.consumers(ConsumerCommand::List).await?;
    let of =
        |consumer: &journal::Consumer| Some((configuration_id(&consumer.name)?.to_owned(), consumer.state));
    Ok(consumers.iter().filter_map(of).collect())
}

async fn states_of(parts: &Parts, id: &str) -> Result<Option<ConsumerState>, JournalError> {
    Ok(states(parts).await?.remove(id))
}

fn backlog(state: &ConsumerState) -> Backlog {
    Backlog::of_state(state, 0)
}
