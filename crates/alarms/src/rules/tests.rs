//! Each rule: when it finds something, when not, and when it cannot tell.

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
        let seen = ConfigurationFacts { unsettled: Some(unsettled), ..configuration(Going::Disabled) };
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

#[test]
fn a_source_is_silent_only_where_somebody_said_how_long_it_may_be() {
    let silent = |silent_after: Option<u64>, last_heard: LastHeard, is_enabled: bool| {
        let source = SourceFacts {
            id: "s".to_owned(),
            name: "Auth0".to_owned(),
            is_enabled,
            silent_after: silent_after.map(Duration::from_mins),
            last_heard,
        };
        let found = found(&Facts { sources: vec![source], ..Facts::default() }, &BTreeMap::new(), 0);
        let unsure = found.unsure.iter().any(|key| key.kind == Kind::SourceSilent);
        (kinds(&found), unsure)
    };
    let alarm = vec![(Kind::SourceSilent, Severity::Warning)];
    assert_eq!(silent(None, LastHeard::At(at(-9999)), true), (vec![], false));
    assert_eq!(silent(Some(60), LastHeard::At(at(-61)), true), (alarm.clone(), false));
    assert_eq!(silent(Some(60), LastHeard::At(at(-61)), false), (vec![], false));
    assert_eq!(silent(Some(60), LastHeard::At(at(-60)), true), (vec![], false));
    assert_eq!(silent(Some(60), LastHeard::NotSince(at(-60)), true), (vec![], true));
    assert_eq!(silent(Some(60), LastHeard::NotSince(at(-61)), true), (alarm, false));
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
