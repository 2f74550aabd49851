//! The backlog budget of a configuration: read from a request, and shown in the status with the time that is left.

use base::Timestamp;
use delivery::{Backlog, Budget, Configuration, Limit, Outlook, Supervisor, WhenSpent};
use journal::{Journal, JournalError};
use serde::Serialize;

use crate::fields::{Complaints, Fields};

/// The field of a request and of the status.
pub(super) const FIELD: &str = "backlog";

/// Less than this would be spent by one block of the journal.
const MIN_BYTES: u64 = 1 << 20;
/// As good as without a limit: an exabyte.
const MAX_BYTES: u64 = 1 << 60;
/// A hundred years.
const MAX_HOURS: u64 = 876_000;

/// What a configuration has not delivered, and how long that may go on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BacklogOut {
    /// All that is not settled, whether the settings select it or not; without parked events.
    events: u64,
    bytes: u64,
    oldest: Option<Timestamp>,
    age_seconds: u64,
    budget: Budget,
    /// Whether retention leaves it what it has not delivered.
    holds_retention: bool,
    /// What is reached first at the present rate; `null` when nothing is.
    limit: Option<Limit>,
    /// In how many seconds; 0 when it is reached.
    seconds_left: Option<u64>,
    /// When.
    spent_at: Option<Timestamp>,
    /// What happens then.
    what_then: &'static str,
}

/// Reads the field `backlog`. Absent, the budget is what the disk has room for, and nothing is given up.
pub(super) fn budget(fields: &Fields<'_>, complaints: &mut Complaints) -> Budget {
    let Some(fields) = fields.optional_object(FIELD, complaints) else { return Budget::default() };
    fields.only(&["maxBytes", "maxAgeHours", "whenSpent"], complaints);
    let when_spent = fields.text("whenSpent", 1, 64, complaints).and_then(|name| {
        let found = WhenSpent::ALL.into_iter().find(|each| each.name() == name);
        if found.is_none() {
            fields.complain("whenSpent", "must be keep or release", complaints);
        }
        found
    });
    let max_age_hours = fields.whole_number("maxAgeHours", (1, MAX_HOURS), complaints);
    Budget {
        max_bytes: fields.whole_number("maxBytes", (MIN_BYTES, MAX_BYTES), complaints),
        max_age_hours: max_age_hours.and_then(|hours| u32::try_from(hours).ok()),
        when_spent: when_spent.unwrap_or_default(),
    }
}

/// The backlog of a stored configuration.
pub(super) async fn backlog(
    journal: &dyn Journal,
    delivery: &Supervisor,
    configuration: &Configuration,
    now: Timestamp,
) -> Result<BacklogOut, JournalError> {
    let backlog = Backlog::of(journal, &configuration.id).await?;
    let (budget, holds) = (configuration.backlog, configuration.holds_back());
    let outlook = delivery.backlogs().outlook(&configuration.id, &budget, holds, &backlog, now);
    Ok(BacklogOut {
        events: backlog.events,
        bytes: backlog.bytes,
        oldest: backlog.oldest,
        age_seconds: backlog.oldest.map_or(0, |oldest| now.since(oldest).as_secs()),
        budget,
        holds_retention: holds,
        limit: outlook.limit,
        seconds_left: outlook.left.map(|left| left.as_secs()),
        spent_at: outlook.left.and_then(|left| later(now, left)),
        what_then: what_then(&budget, &outlook),
    })
}

/// `None` for what lies beyond every calendar.
fn later(now: Timestamp, left: std::time::Duration) -> Option<Timestamp> {
    (left.as_secs() < MAX_HOURS * 3600).then(|| now.plus(left))
}

const fn what_then(budget: &Budget, outlook: &Outlook) -> &'static str {
    match (outlook.limit, budget.when_spent) {
        (None, _) => "nothing: it does not grow towards a limit",
        (Some(Limit::Retention), _) => "retention removes its oldest events; they count as expired",
        (Some(Limit::Disk), _) | (Some(_), WhenSpent::Keep) => {
            "intake refuses all events with 503 until this destination has caught up; nothing is lost"
        }
        (Some(_), WhenSpent::Release) => "its oldest events are given up; they count as expired",
    }
}
