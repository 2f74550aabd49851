//! Looks at all backlogs, now and then: gives up what is to be given up, and notes the rest.

use std::collections::HashMap;
use std::time::Duration;

use base::Timestamp;
use catalog::{CatalogError, Found};
use journal::{ConsumerCommand, ConsumerState, JournalError};

use super::{Account, Backlogs, Budget, Measures, WhenSpent, release};
use crate::configuration::Configuration;
use crate::places::configuration_id;
use crate::resume::Backlog;
use crate::supervisor::Parts;

/// Rounds of giving up in one look, of all configurations together. What is left then is given up in the next look.
const N_ROUNDS: usize = 64;

/// Measures the backlog of each configuration and notes it; of those whose budget is spent, and that let their oldest events
/// go, as many expire as must. Configurations that cannot be read are left out: they keep what they have. The trouble of one
/// is told and stops no other.
pub(crate) async fn look(
    parts: &Parts,
    backlogs: &Backlogs,
    kept_from: u64,
    retention: Option<Duration>,
) -> Result<(), JournalError> {
    let note = |accounts: &[Account]| {
        let measures = Measures { accounts: accounts.to_vec(), kept_from, retention };
        backlogs.note(measures, parts.clock.now());
    };
    let mut accounts = accounts(parts).await?;
    note(&accounts);
    let mut n_rounds = 0;
    let mut giving_up: Vec<_> = (0..accounts.len()).collect();
    while !giving_up.is_empty() {
        // In turn, so that a large backlog of one does not keep the others waiting.
        for at in std::mem::take(&mut giving_up) {
            let Some(account) = accounts.get_mut(at) else { continue };
            if n_rounds < N_ROUNDS && is_to_give_up(account, parts.clock.now()) {
                n_rounds += 1;
                if give_up(parts, account).await {
                    giving_up.push(at);
                }
            }
        }
    }
    if n_rounds > 0 {
        note(&accounts);
    }
    Ok(())
}

/// Every configuration that can be read, and that has a place in the journal.
async fn accounts(parts: &Parts) -> Result<Vec<Account>, JournalError> {
    let mut states = states(parts).await?;
    let found = parts.catalog.list_each::<Configuration>().into_iter();
    let account = |(id, found): (String, Result<Found<Configuration>, CatalogError>)| {
        let (found, state) = (found.ok()?, states.remove(&id)?);
        let Configuration { name, backlog: budget, enabled, .. } = found.value;
        Some(Account { id, name, budget, enabled, backlog: backlog(&state), floor: state.floor })
    };
    Ok(found.filter_map(account).collect())
}

fn is_to_give_up(account: &Account, now: Timestamp) -> bool {
    let Account { budget, enabled, backlog, .. } = account;
    *enabled && budget.when_spent == WhenSpent::Release && budget.spent(backlog, now, false).is_some()
}

/// Gives up a round's worth. Answers whether there may be more.
async fn give_up(parts: &Parts, account: &mut Account) -> bool {
    match give_up_round(parts, &account.id, &account.budget).await {
        Ok((expired, state)) => {
            if let Some(state) = state {
                account.backlog = backlog(&state);
                account.floor = state.floor;
            }
            if expired > 0 {
                tracing::warn!(
                    configuration = account.id,
                    name = account.name,
                    expired,
                    "a backlog budget is spent: its oldest events have expired"
                );
            }
            expired > 0
        }
        Err(error) => {
            let Account { id, name, .. } = account;
            tracing::error!(
                configuration = id,
                name,
                %error,
                "a spent backlog budget could not give up its oldest events; trying again in ten seconds"
            );
            false
        }
    }
}

async fn give_up_round(
    parts: &Parts,
    id: &str,
    budget: &Budget,
) -> Result<(u64, Option<ConsumerState>), JournalError> {
    let expired = release(&*parts.journal, id, budget, parts.clock.now()).await?;
    Ok((expired, states(parts).await?.remove(id)))
}

/// How far each configuration is.
async fn states(parts: &Parts) -> Result<HashMap<String, ConsumerState>, JournalError> {
    let consumers = parts.journal.consumers(ConsumerCommand::List).await?;
    let of =
        |consumer: &journal::Consumer| Some((configuration_id(&consumer.name)?.to_owned(), consumer.state));
    Ok(consumers.iter().filter_map(of).collect())
}

fn backlog(state: &ConsumerState) -> Backlog {
    Backlog::of_state(state, 0)
}
