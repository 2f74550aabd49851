//! Facts for alarms, each a function of what was gathered. What could not be gathered costs its own fact only.

use std::time::Duration;

use alarms::{ConfigurationFacts, Going, SourceFacts, Then, Unsettled, Unsigned};
use base::Timestamp;
use delivery::{Configuration, Limit, Outlook, Report, Shown, State, Status, WhenSpent};
use intake::Source;

/// Backlogs that come to their limit later than this are not told of: it lies beyond every threshold.
const FAR: Duration = Duration::from_hours(24 * 365);
/// What a destination answers that refuses the credential.
const REFUSED: [Option<u16>; 2] = [Some(401), Some(403)];

/// Of a configuration whose books were read. `outlook` is `None` for one that cannot be read, `quarantined_alarms` where
/// nobody counted.
pub(super) fn configuration(
    report: &Report,
    outlook: Option<Outlook>,
    quarantined_alarms: Option<u64>,
    now: Timestamp,
) -> ConfigurationFacts {
    let of = report.configuration.as_ref();
    let known = known(&report.id, of, &report.shown, report.live.as_ref());
    if report.unread.is_some() {
        return known;
    }
    let (spent_at, then) = spent(of, outlook, now);
    let unsettled = Unsettled {
        oldest_pending: report.main.oldest_pending,
        quarantined: quarantined(report),
        quarantined_alarms,
        expired: report.books.tally.expired,
        spent_at,
        then,
    };
    ConfigurationFacts { unsettled: Some(unsettled), ..known }
}

/// Of a configuration whose books cannot be read now.
pub(super) fn unread(id: &str, of: Option<&Configuration>, live: Option<&Status>) -> ConfigurationFacts {
    known(id, of, &delivery::shown(of, live, None), live)
}

/// Events that went to quarantine, or are parked.
pub(super) fn quarantined(report: &Report) -> u64 {
    report.books.tally.quarantined + report.parked
}

/// What needs no books.
fn known(id: &str, of: Option<&Configuration>, shown: &Shown, live: Option<&Status>) -> ConfigurationFacts {
    ConfigurationFacts {
        id: id.to_owned(),
        name: of.map_or(id, |of| &of.name).to_owned(),
        is_enabled: of.is_none_or(|of| of.enabled),
        going: going(shown.state, live.and_then(|live| live.last_http_status)),
        since: shown.since,
        last_error: shown.reason.clone(),
        unsettled: None,
    }
}

fn going(state: State, last_http_status: Option<u16>) -> Going {
    match state {
        State::Starting => Going::Unknown,
        State::Active => Going::Flowing,
        State::Degraded => Going::Struggling,
        State::Holding if REFUSED.contains(&last_http_status) => Going::CredentialRejected,
        State::Holding => Going::Holding,
        State::Paused => Going::Paused,
        State::AwaitingChoice => Going::AwaitsChoice,
        State::Disabled => Going::Disabled,
        State::Stopped => Going::Stopped,
    }
}

/// When a backlog comes to its limit, and what happens then. That the disk fills is an alarm of its own.
fn spent(of: Option<&Configuration>, outlook: Option<Outlook>, now: Timestamp) -> (Option<Timestamp>, Then) {
    let outlook = outlook.filter(|outlook| outlook.limit != Some(Limit::Disk));
    let Some((left, outlook)) = outlook.and_then(|outlook| Some((outlook.left?, outlook))) else {
        return (None, Then::GivenUp);
    };
    if left >= FAR {
        return (None, Then::GivenUp);
    }
    let keeps = of.is_some_and(|of| of.backlog.when_spent == WhenSpent::Keep);
    let is_given_up = outlook.limit == Some(Limit::Retention) || !keeps;
    (Some(now.plus(left)), if is_given_up { Then::GivenUp } else { Then::IntakeRefuses })
}

/// Of a source, heard by this process, which `began` then.
pub(super) fn source(of: Source, heard: Option<Timestamp>, began: Timestamp) -> SourceFacts {
    SourceFacts {
        id: of.id,
        name: of.name,
        is_enabled: of.enabled,
        silent_after: of.silent_after_minutes.map(|minutes| Duration::from_mins(minutes.into())),
        heard,
        listened_to_since: began,
    }
}

/// How far the signing of heads is behind: `newest` is the block that the newest head covers and when it was signed, `next`
/// the journal's next block. `None` when all is covered.
pub(super) fn unsigned(
    newest: Option<(u64, Timestamp)>,
    next: u64,
    began: Timestamp,
    every: Duration,
) -> Option<Unsigned> {
    let covers = newest.map_or(0, |(sequence, _)| sequence);
    let since = newest.map_or(began, |(_, at)| at.max(began));
    (covers + 1 < next).then_some(Unsigned { since, every })
}

#[cfg(test)]
mod tests {
    use delivery::Totals;
    use journal::{ConsumerState, Tally};
    use serde_json::{Value, json};

    use super::*;

    fn at(hours: u64) -> Timestamp {
        Timestamp::parse("2026-01-31T12:00:00Z").unwrap().plus(Duration::from_hours(hours))
    }

    fn stored(more: Value) -> Configuration {
        let mut stored = json!({
            "id": "c", "name": "Splunk", "enabled": true, "type": "splunk", "settings": {}, "secrets": {},
            "account": {}, "audit": {}, "hook": {},
        });
        stored.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(stored).unwrap()
    }

    fn report(configuration: Option<Configuration>, live: Option<Status>) -> Report {
        let tally = Tally { quarantined: 3, expired: 2, ..Tally::default() };
        let books =
            ConsumerState { appended: 9, tally, oldest_pending: Some(at(0)), ..ConsumerState::default() };
        Report {
            id: "c".to_owned(),
            shown: delivery::shown(configuration.as_ref(), live.as_ref(), Some(&books)),
            configuration,
            main: books,
            books,
            parked: 0,
            unread: None,
            live,
            recent: None,
            totals: Totals::default(),
            volume: None,
        }
    }

    fn of(report: &Report) -> ConfigurationFacts {
        configuration(report, None, None, at(1))
    }

    #[test]
    fn one_that_was_restarted_has_proved_nothing_yet() {
        assert_eq!(of(&report(Some(stored(json!({}))), None)).going, Going::Unknown);
        assert_eq!(of(&report(Some(stored(json!({}))), Some(Status::default()))).going, Going::Unknown);
    }

    #[test]
    fn one_that_is_paused_is_so_since_somebody_did_it() {
        let seen = of(&report(Some(stored(json!({"pausedSince": at(0)}))), None));
        assert_eq!((seen.going, seen.since, seen.is_enabled), (Going::Paused, Some(at(0)), true));
    }

    #[test]
    fn one_that_is_disabled_is_not_wanted() {
        let seen = of(&report(Some(stored(json!({"enabled": false}))), None));
        assert_eq!((seen.going, seen.is_enabled), (Going::Disabled, false));
    }

    #[test]
    fn a_damaged_one_is_wanted_stopped_and_named_by_its_id() {
        let seen = of(&report(None, None));
        assert_eq!((seen.going, seen.is_enabled, seen.name.as_str()), (Going::Stopped, true, "c"));
        assert_eq!(seen.unsettled.map(|unsettled| unsettled.expired), Some(2));
    }

    #[test]
    fn parked_events_are_counted_with_those_in_quarantine() {
        let paused = stored(json!({"pausedSince": at(0)}));
        let seen = of(&Report { parked: 4, ..report(Some(paused), None) });
        assert_eq!(
            seen.unsettled.map(|unsettled| unsettled.quarantined),
            Some(7),
            "whether or not a worker runs"
        );
    }

    #[test]
    fn an_event_that_is_parked_for_long_is_no_lag() {
        let mut parked = report(Some(stored(json!({}))), None);
        parked.main.oldest_pending = None;
        assert_eq!(of(&parked).unsettled.map(|unsettled| unsettled.oldest_pending), Some(None));
    }

    #[test]
    fn books_that_say_nothing_about_quarantine_raise_nothing_and_clear_nothing() {
        let unread = Report { unread: Some("damaged".to_owned()), ..report(Some(stored(json!({}))), None) };
        assert_eq!((of(&unread).unsettled, of(&unread).name.as_str()), (None, "Splunk"));
    }

    #[test]
    fn one_whose_books_cannot_be_read_is_there_all_the_same() {
        let seen = unread("c", Some(&stored(json!({"enabled": false}))), None);
        assert_eq!((seen.name.as_str(), seen.going, seen.unsettled), ("Splunk", Going::Disabled, None));
        let damaged = unread("c", None, None);
        assert_eq!((damaged.name.as_str(), damaged.going), ("c", Going::Stopped));
    }

    #[test]
    fn a_refused_credential_is_told_from_other_holds() {
        for (status, expected) in [
            (Some(401), Going::CredentialRejected),
            (Some(403), Going::CredentialRejected),
            (Some(404), Going::Holding),
            (None, Going::Holding),
        ] {
            assert_eq!(going(State::Holding, status), expected, "{status:?}");
            assert_eq!(going(State::Degraded, status), Going::Struggling);
        }
    }

    #[test]
    fn a_backlog_is_told_of_when_its_limit_comes_and_unless_it_is_the_disk() {
        let keeping = stored(json!({}));
        let releasing = stored(json!({"backlog": {"whenSpent": "release"}}));
        let spent = |of: &Configuration, limit, hours| {
            let outlook = Outlook { limit, left: Some(Duration::from_hours(hours)) };
            super::spent(Some(of), Some(outlook), at(0))
        };
        assert_eq!(spent(&keeping, Some(Limit::Bytes), 5), (Some(at(5)), Then::IntakeRefuses));
        assert_eq!(spent(&releasing, Some(Limit::Bytes), 5), (Some(at(5)), Then::GivenUp));
        assert_eq!(spent(&keeping, Some(Limit::Retention), 5), (Some(at(5)), Then::GivenUp));
        assert_eq!(spent(&keeping, Some(Limit::Disk), 5).0, None);
        assert_eq!(spent(&keeping, Some(Limit::Bytes), 24 * 366).0, None);
        assert_eq!(super::spent(None, None, at(0)).0, None);
    }

    #[test]
    fn heads_are_behind_when_the_journal_has_blocks_that_none_covers() {
        let every = Duration::from_hours(1);
        let unsigned =
            |newest, next| super::unsigned(newest, next, at(3), every).map(|unsigned| unsigned.since);
        assert_eq!(unsigned(None, 1), None);
        assert_eq!(unsigned(None, 2), Some(at(3)));
        assert_eq!(unsigned(Some((7, at(5))), 8), None);
        assert_eq!(unsigned(Some((7, at(5))), 9), Some(at(5)));
        assert_eq!(unsigned(Some((7, at(1))), 9), Some(at(3)), "nobody could sign while nothing ran");
    }
}
