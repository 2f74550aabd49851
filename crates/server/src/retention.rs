//! Drops what nobody wants any more: asks the retention rule every minute how far the journal may be trimmed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use catalog::{Catalog, CatalogError, Found};
use delivery::Configuration;
use event::Stream;
use journal::local::LocalJournal;
use journal::retention::{Hold, Keep, Policy, trim_point};
use journal::{Consumer, ConsumerCommand, Journal};
use tokio::sync::watch;

use crate::commands::Failure;
use crate::settings::Retention;

const EVERY: Duration = Duration::from_mins(1);

/// The policy that the settings state; both quarantines are kept as long as audit logs.
pub(crate) fn policy(settings: &Retention) -> Policy {
    let days = |days: u32| Keep { max_age: Some(Duration::from_hours(24) * days), max_bytes: None };
    Policy::default()
        .with(Stream::AccountEvent, days(settings.account_event_days))
        .with(Stream::AuditLog, days(settings.audit_log_days))
        .with(Stream::EventHookLog, days(settings.event_hook_log_days))
        .with(Stream::Quarantine, days(settings.audit_log_days))
        .with(Stream::IntakeQuarantine, days(settings.audit_log_days))
}

/// Trims until `stop` turns true.
pub(crate) async fn run(
    journal: Arc<LocalJournal>,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    policy: Policy,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        if let Err(error) = trim(&journal, &catalog, &*clock, &policy).await {
            tracing::error!(%error, "retention could not be applied; trying again in a minute");
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Whether a configuration delivers, so that what it has not delivered must stay. While it awaits a choice nobody may
/// know of that: it must not fill the disk. One that cannot be read may deliver again once it is mended.
fn runs(found: &Result<Found<Configuration>, CatalogError>) -> bool {
    match found {
        Ok(found) => found.value.runs(),
        Err(error) => {
            tracing::error!(%error, "retention keeps what this configuration has not delivered");
            true
        }
    }
}

async fn trim(
    journal: &LocalJournal,
    catalog: &Catalog,
    clock: &dyn Clock,
    policy: &Policy,
) -> Result<(), Failure> {
    let runs: HashMap<String, bool> =
        catalog.list_each().into_iter().map(|(id, found)| (id, runs(&found))).collect();
    let consumers = journal.consumers(ConsumerCommand::List).await?;
    let mut holds = Vec::new();
    for Consumer { name, state, .. } in consumers {
        let configuration = delivery::configuration_id(&name);
        // One that is disabled, or awaits a choice, keeps its place but holds nothing back; nor does one that is not there:
        // it is being created, a crash left it behind, or an older copy of the catalog was restored. Such a place goes
        // when retention has passed it.
        // Copies in quarantine hold nothing back either: an event that a destination never takes must not keep a disk full.
        let holds_back = match delivery::run_of(&name) {
            Some(_) => delivery::holds_retention(catalog, &name, clock.now()),
            None => {
                !delivery::is_of_copies(&name)
                    && configuration.is_none_or(|id| runs.get(id).copied().unwrap_or(false))
            }
        };
        holds.push(Hold { floor: state.floor, holds: holds_back });
        if let Some(id) = configuration.filter(|id| !runs.contains_key(*id) && state.tally.expired > 0) {
            tracing::warn!(id, "removing the place of a configuration that does not exist");
            delivery::dismiss(journal, id).await?;
        }
    }
    let segments = journal.segments();
    let point = trim_point(policy, &segments, &holds, clock.now());
    if segments.first().is_some_and(|segment| segment.first < point) {
        tracing::info!(up_to = point, "dropping what retention no longer keeps");
        journal.trim(point).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use catalog::{Document, MemoryStore};
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::*;

    /// A stored configuration of any form.
    #[derive(Serialize, Deserialize)]
    struct Raw(Value);

    impl Document for Raw {
        const KIND: &'static str = Configuration::KIND;
    }

    #[test]
    fn what_delivers_or_cannot_be_read_holds_retention_back_and_what_waits_for_somebody_does_not() {
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        let stored = |enabled: bool, resume: Value| {
            json!({
                "id": "c", "name": "c", "enabled": enabled, "type": "splunk", "settings": {}, "secrets": {},
                "account": {}, "audit": {}, "hook": {}, "resume": resume,
            })
        };
        let since = json!({"awaitsSince": "2026-01-31T12:00:00.000Z"});
        for (id, document, expected) in [
            ("enabled", stored(true, json!({})), true),
            ("disabled", stored(false, json!({})), false),
            ("waiting", stored(true, since), false),
            ("from a newer version", json!({"id": 1}), true),
        ] {
            catalog.create(id, &Raw(document), None).unwrap();
            let each = catalog.list_each::<Configuration>();
            let (_, found) = each.iter().find(|(known, _)| known == id).unwrap();
            assert_eq!(runs(found), expected, "{id}: {found:?}");
            assert_eq!(found.is_err(), id == "from a newer version");
        }
    }
}
