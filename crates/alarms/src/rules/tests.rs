//! Each rule: when it finds something, when not, and when it cannot tell.

use std::collections::BTreeSet;

use super::*;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + minute * 60_000).unwrap()
}

fn configuration(going: Going) -> ConfigurationFacts {
    ConfigurationFacts {
        id: "c".to_owned(),
        name: "Splunk".to_owned(),
        is_enabled: going != Going::Disabled,
        going,
        since: Some(at(0)),
        last_error: Some("HTTP 403: Invalid token".to_owned()),
        unsettled: Some(Unsettled::default()),
    }
}

fn pending(going: Going, oldest: i64) -> ConfigurationFacts {
    let unsettled = Unsettled { oldest_pending: Some(at(oldest)), ..Unsettled::default() };
    ConfigurationFacts { unsettled: Some(unsettled), ..configuration(going) }
}

fn standing(kind: Kind, subject: &str, severity: Severity) -> BTreeMap<Key, Severity> {
    BTreeMap::from([(Key { kind, subject: subject.to_owned() }, severity)])
}

fn found(facts: &Facts, standing: &BTreeMap<Key, Severity>, now: i64) -> Findings {
    let (mut marks, thresholds) = (Marks::default(), Thresholds::default());
    marks.note(facts, &thresholds, at(now));
    rules(facts, &marks, &thresholds, standing, at(now))
}

fn of_one(configuration: ConfigurationFacts, standing: &BTreeMap<Key, Severity>, now: i64) -> Findings {
    let disk = Some(DiskSpace { free: 50, total: 100 });
    found(&Facts { configurations: vec![configuration], disk, ..Facts::default() }, standing, now)
}

fn kinds(found: &Findings) -> Vec<(Kind, Severity)> {
    found.conditions.iter().map(|condition| (condition.kind, condition.severity)).collect()
}

#[test]
fn one_cause_is_one_condition() {
    let none = BTreeMap::new();
    for (going, kind) in [
        (Going::Holding, Kind::Holding),
        (Going::CredentialRejected, Kind::CredentialRejected),
        (Going::AwaitsChoice, Kind::Holding),
        (Going::Stopped, Kind::Holding),
        (Going::Struggling, Kind::Lag),
        (Going::Flowing, Kind::Lag),
    ] {
        let found = of_one(pending(going, -600), &none, 0);
        assert_eq!(kinds(&found), [(kind, Severity::Critical)], "{going:?}");
        assert!(!found.unsure.iter().any(|key| key.kind == kind), "{going:?}");
    }
    assert_eq!(kinds(&of_one(pending(Going::Disabled, -600), &none, 0)), []);
}

#[test]
fn what_is_not_proven_to_be_mended_is_not_taken_back() {
    let key = |kind| Key { kind, subject: "c".to_owned() };
    for going in [Going::Unknown, Going::Struggling] {
        let found = of_one(configuration(going), &BTreeMap::new(), 0);
        assert!(found.unsure.contains(&key(Kind::Holding)), "{going:?}");
        assert!(found.unsure.contains(&key(Kind::CredentialRejected)), "{going:?}");
    }
    let found = of_one(configuration(Going::Flowing), &BTreeMap::new(), 0);
    assert!(!found.unsure.contains(&key(Kind::Holding)));
    let unread = ConfigurationFacts { unsettled: None, ..configuration(Going::Flowing) };
    let found = of_one(unread, &BTreeMap::new(), 0);
    assert!(found.unsure.contains(&key(Kind::Lag)) && found.unsure.contains(&key(Kind::Quarantine)));
}

#[test]
fn lag_begins_at_its_threshold_and_ends_below_it() {
    let lag = |oldest: i64, standing: &BTreeMap<Key, Severity>| {
        kinds(&of_one(pending(Going::Flowing, oldest), standing, 0))
    };
    let (none, warning) = (BTreeMap::new(), standing(Kind::Lag, "c", Severity::Warning));
    let critical = standing(Kind::Lag, "c", Severity::Critical);
    assert_eq!(lag(-5, &none), []);
    assert_eq!(lag(-6, &none), [(Kind::Lag, Severity::Warning)]);
    assert_eq!(lag(-5, &warning), [(Kind::Lag, Severity::Warning)]);
    assert_eq!(lag(-4, &warning), []);
    assert_eq!(lag(-31, &none), [(Kind::Lag, Severity::Critical)]);
    assert_eq!(lag(-25, &critical), [(Kind::Lag, Severity::Critical)]);
    assert_eq!(lag(-24, &critical), [(Kind::Lag, Severity::Warning)]);
    assert_eq!(lag(5, &critical), [], "the clock was set back");
}

#[test]
fn expiry_is_told_ahead_and_taken_back_with_time_to_spare() {
    let ahead = |hours: i64, standing: &BTreeMap<Key, Severity>| {
        let unsettled =
            Unsettled { oldest_pending: Some(at(0)), spent_at: Some(at(hours * 60)), ..Unsettled::default() };
        let seen = ConfigurationFacts { unsettled: Some(unsettled), ..configuration(Going::Paused) };
        kinds(&of_one(seen, standing, 0))
    };
    let (none, stands) = (BTreeMap::new(), standing(Kind::ExpiryAhead, "c", Severity::Warning));
    assert_eq!(ahead(24, &none), []);
    assert_eq!(ahead(23, &none), [(Kind::ExpiryAhead, Severity::Warning)]);
    assert_eq!(ahead(5, &none), [(Kind::ExpiryAhead, Severity::Critical)]);
    assert_eq!(ahead(-5, &none), [(Kind::ExpiryAhead, Severity::Critical)]);
    assert_eq!(ahead(29, &stands), [(Kind::ExpiryAhead, Severity::Warning)]);
    assert_eq!(ahead(30, &stands), []);
}

#[test]
fn the_disk_is_told_of_by_percent_and_taken_back_with_room_to_spare() {
    let disk = |free: u64, standing: &BTreeMap<Key, Severity>| {
        let disk = Some(DiskSpace { free, total: 100 });
        kinds(&found(&Facts { disk, ..Facts::default() }, standing, 0))
    };
    let (none, stands) = (BTreeMap::new(), standing(Kind::Disk, "", Severity::Critical));
    assert_eq!(disk(15, &none), []);
    assert_eq!(disk(14, &none), [(Kind::Disk, Severity::Warning)]);
    assert_eq!(disk(4, &none), [(Kind::Disk, Severity::Critical)]);
    assert_eq!(disk(6, &stands), [(Kind::Disk, Severity::Critical)]);
    assert_eq!(disk(16, &stands), [(Kind::Disk, Severity::Warning)]);
    assert_eq!(disk(17, &stands), []);
    let unknown = found(&Facts::default(), &none, 0);
    assert!(unknown.unsure.contains(&Key { kind: Kind::Disk, subject: String::new() }));
}

#[test]
fn a_disk_that_will_be_full_in_days_is_told_of_while_there_is_room() {
    let (mut marks, thresholds) = (Marks::default(), Thresholds::default());
    let facts = |free| Facts { disk: Some(DiskSpace { free, total: 1000 }), ..Facts::default() };
    marks.note(&facts(800), &thresholds, at(0));
    marks.note(&facts(780), &thresholds, at(240));
    let none = BTreeMap::new();
    assert_eq!(kinds(&rules(&facts(780), &marks, &thresholds, &none, at(240))), []);
    marks.note(&facts(700), &thresholds, at(240));
    let found = rules(&facts(700), &marks, &thresholds, &none, at(240));
    assert_eq!(kinds(&found), [(Kind::Disk, Severity::Warning)]);
    let text = &found.conditions[0].text;
    assert_eq!(text, "70 % of the disk is free, and at the pace of the last hours it is full in 28 hours");
}

/// What is found of a source that was first seen at minute 0 and looked at again `now`.
fn of_source(silent_after: Option<u64>, heard: Option<i64>, began: i64, now: i64) -> Vec<Kind> {
    let source = |heard: Option<i64>| SourceFacts {
        id: "s".to_owned(),
        name: "Auth0".to_owned(),
        is_enabled: true,
        silent_after: silent_after.map(Duration::from_mins),
        heard: heard.map(at),
        listened_to_since: at(began),
    };
    let facts = |heard| Facts { sources: vec![source(heard)], ..Facts::default() };
    let (mut marks, thresholds) = (Marks::default(), Thresholds::default());
    marks.note(&facts(None), &thresholds, at(0));
    marks.note(&facts(heard), &thresholds, at(now));
    let found = rules(&facts(heard), &marks, &thresholds, &BTreeMap::new(), at(now));
    found.conditions.into_iter().map(|condition| condition.kind).collect()
}

#[test]
fn a_source_is_silent_only_where_somebody_said_how_long_it_may_be() {
    assert_eq!(of_source(None, None, -9999, 9999), []);
    assert_eq!(of_source(Some(60), Some(100), -9999, 160), []);
    assert_eq!(of_source(Some(60), Some(100), -9999, 161), [Kind::SourceSilent]);
}

#[test]
fn a_source_that_was_just_made_is_not_silent_however_long_the_process_has_run() {
    assert_eq!(of_source(Some(60), None, -9999, 60), []);
    assert_eq!(of_source(Some(60), None, -9999, 61), [Kind::SourceSilent]);
}

#[test]
fn a_source_is_not_silent_right_after_a_restart_and_a_long_limit_comes_all_the_same() {
    assert_eq!(of_source(Some(60), None, 300, 310), [], "while idstream was down it could not be heard");
    assert_eq!(of_source(Some(60), None, 300, 315), [Kind::SourceSilent]);
    assert_eq!(of_source(Some(5), None, 300, 305), [Kind::SourceSilent], "no longer than its own limit");
    let days = 24 * 60;
    assert_eq!(of_source(Some(3000), None, 2 * days + 100, 2 * days + 121), [Kind::SourceSilent]);
}

#[test]
fn what_an_operator_has_put_aside_is_not_taken_for_mended() {
    let of_holding = standing(Kind::Holding, "c", Severity::Critical);
    let is_set_aside = |facts: &Facts| {
        let found = found(facts, &of_holding, 0);
        assert!(found.conditions.iter().all(|condition| condition.kind != Kind::Holding));
        found.set_aside.len() == 1
    };
    for (going, expected) in [(Going::Paused, true), (Going::Disabled, true), (Going::Flowing, false)] {
        let facts = Facts { configurations: vec![configuration(going)], ..Facts::default() };
        assert_eq!(is_set_aside(&facts), expected, "{going:?}");
    }
    assert!(is_set_aside(&Facts::default()), "it was deleted");
    let disk = found(&Facts::default(), &standing(Kind::Disk, "", Severity::Warning), 0);
    assert_eq!(disk.set_aside, BTreeSet::new());
    let silent = found(&Facts::default(), &standing(Kind::SourceSilent, "s", Severity::Warning), 0);
    assert_eq!(silent.set_aside.len(), 1, "nobody watches the source any more");
}

#[test]
fn a_configuration_that_is_paused_for_hours_is_told_of() {
    let paused = |now| kinds(&of_one(configuration(Going::Paused), &BTreeMap::new(), now));
    assert_eq!(paused(239), []);
    assert_eq!(paused(240), [(Kind::Paused, Severity::Warning)]);
}

#[test]
fn what_a_disabled_configuration_loses_is_told_once_with_that_it_is_disabled() {
    let seen = |going, expired| {
        let unsettled = Unsettled {
            oldest_pending: Some(at(-600)),
            spent_at: Some(at(180)),
            expired,
            ..Unsettled::default()
        };
        let seen = ConfigurationFacts { unsettled: Some(unsettled), ..configuration(going) };
        Facts { configurations: vec![seen], ..Facts::default() }
    };
    let (mut marks, thresholds) = (Marks::default(), Thresholds::default());
    marks.note(&seen(Going::Flowing, 0), &thresholds, at(-1));
    let facts = seen(Going::Disabled, 7);
    marks.note(&facts, &thresholds, at(0));
    let found = rules(&facts, &marks, &thresholds, &BTreeMap::new(), at(0));
    assert_eq!(kinds(&found), [(Kind::ConfigurationDisabled, Severity::Warning)]);
    let text = &found.conditions[0].text;
    assert!(text.ends_with("was disabled, and its pending events will be given up in 3 hours"), "{text}");
}

#[test]
fn lag_must_last_since_what_is_resumed_catches_up_first() {
    let found = of_one(pending(Going::Flowing, -600), &BTreeMap::new(), 0);
    assert_eq!(found.conditions[0].after, Duration::from_mins(1));
}

#[test]
fn the_journal_is_told_of_when_it_takes_nothing_or_nobody_signs() {
    let unsigned = |minutes: i64| Unsigned { since: at(-minutes), every: Duration::from_hours(1) };
    let instance = |is_poisoned, minutes| {
        kinds(&found(
            &Facts { is_poisoned, unsigned_for: Some(unsigned(minutes)), ..Facts::default() },
            &BTreeMap::new(),
            0,
        ))
    };
    assert_eq!(instance(false, 180), []);
    assert_eq!(instance(false, 181), [(Kind::HeadUnsigned, Severity::Warning)]);
    assert_eq!(instance(true, 0), [(Kind::JournalPoisoned, Severity::Critical)]);
}

#[test]
fn that_intake_refuses_is_told_in_its_own_words_and_only_as_long_as_it_does() {
    let words = "nothing is taken in: the journal's disk has 1 MiB left";
    let facts = Facts { refusal: Some(words.to_owned()), ..Facts::default() };
    let refuses = found(&facts, &BTreeMap::new(), 0);
    assert_eq!(kinds(&refuses), [(Kind::IntakeRefuses, Severity::Critical)]);
    assert_eq!(refuses.conditions[0].text, words);
    let takes = found(&Facts::default(), &standing(Kind::IntakeRefuses, "", Severity::Critical), 0);
    assert_eq!(kinds(&takes), []);
    assert!(!takes.unsure.iter().any(|key| key.kind == Kind::IntakeRefuses), "it is known to take events");
}

#[test]
fn a_spent_budget_that_keeps_is_no_outlook_any_more() {
    let spent = |then| {
        let unsettled =
            Unsettled { oldest_pending: Some(at(-9)), spent_at: Some(at(0)), then, ..Unsettled::default() };
        of_one(
            ConfigurationFacts { unsettled: Some(unsettled), ..configuration(Going::Paused) },
            &BTreeMap::new(),
            0,
        )
    };
    let refuses = spent(Then::IntakeRefuses);
    assert_eq!(kinds(&refuses), []);
    assert!(refuses.unsure.iter().any(|key| key.kind == Kind::ExpiryAhead), "nor is it taken back");
    assert_eq!(kinds(&spent(Then::GivenUp)), [(Kind::ExpiryAhead, Severity::Critical)]);
}

#[test]
fn blocks_that_cannot_be_read_are_damage_to_the_journal() {
    let damaged = |n_damaged| {
        let disk = Some(DiskSpace { free: 50, total: 100 });
        found(&Facts { disk, n_damaged, ..Facts::default() }, &BTreeMap::new(), 0)
    };
    assert_eq!(kinds(&damaged(0)), []);
    assert_eq!(kinds(&damaged(3)), [(Kind::JournalDamaged, Severity::Critical)]);
    assert_eq!(damaged(3).conditions[0].text, "damage to the journal: 3 of its blocks cannot be read");
}

#[test]
fn a_kind_that_is_switched_off_is_none() {
    let facts = Facts { is_poisoned: true, ..Facts::default() };
    let thresholds = Thresholds { off: [Kind::JournalPoisoned].into(), ..Thresholds::default() };
    let found = rules(&facts, &Marks::default(), &thresholds, &BTreeMap::new(), at(0));
    assert_eq!(found.conditions, []);
}
