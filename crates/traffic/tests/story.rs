//! The laws of the story: checked over the events alone, as an analyst would who has nothing else.

#![cfg(test)]

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use base::Timestamp;
use serde_json::Value;
use traffic::{Planted, Traffic};

const COUNT: u32 = 20_000;

/// The first events of a seed, as they are posted, and the attacks among them.
struct Story {
    events: Vec<Value>,
    planted: Vec<Planted>,
}

/// Told once for all tests.
static STORIES: LazyLock<[Story; 2]> = LazyLock::new(|| [1, 2].map(story));

fn start() -> Timestamp {
    Timestamp::parse("2026-01-31T12:00:00Z").unwrap()
}

fn story(seed: u64) -> Story {
    let mut traffic = Traffic::new(seed, start()).with_ids(true);
    let events = (0..COUNT).map(|nth| {
        let happening = traffic.next(start().plus(Duration::from_millis(25) * nth));
        serde_json::from_str(&happening.json).unwrap()
    });
    let events = events.collect();
    let planted = traffic.planted().iter().filter(|one| one.until_event <= u64::from(COUNT)).copied();
    Story { events, planted: planted.collect() }
}

fn labels(event: &Value) -> Vec<&str> {
    event["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn is_login(event: &Value) -> bool {
    event["sourceEventType"] == "login"
}

fn ip(event: &Value) -> &str {
    text(event, "/actor/ip")
}

/// What the events so far say about one account.
#[derive(Default)]
struct Account {
    is_active: bool,
    is_disabled: bool,
    is_locked: bool,
    is_deleted: bool,
    awaits_reset: bool,
    has_mfa: bool,
    n_wrong: usize,
}

/// What must hold for a login of an account in this state, and what it changes.
fn check_login(account: &mut Account, labels: &[&str], event: &Value) {
    let with = |label: &str| labels.contains(&label);
    let may_log_in = account.is_active && !account.is_disabled && !account.is_locked;
    if with("success:login") {
        assert!(may_log_in, "{event}");
        assert_eq!(with("success:mfa_authentication"), account.has_mfa, "{event}");
        assert!(!event["loginSessionId"].is_null(), "{event}");
        account.n_wrong = 0;
    }
    if with("failure:mfa_authentication") {
        assert!(may_log_in && account.has_mfa, "{event}");
        account.n_wrong = 0;
    }
    if account.is_locked {
        assert_eq!(labels, ["failure:account_lock", "failure:login"], "{event}");
    }
    if with("failure:identification") {
        assert!(!account.is_active || account.is_disabled, "{event}");
    }
    if with("failure:password_authentication") {
        assert!(may_log_in, "{event}");
        account.n_wrong += 1;
        assert_eq!(with("failure:account_lock"), account.n_wrong == 5, "{event}");
        account.is_locked |= account.n_wrong == 5;
    }
}

fn check_other(account: &mut Account, label: &str, event: &Value) {
    match label {
        "success:account_activation" => {
            assert!(!std::mem::replace(&mut account.is_active, true), "{event}");
        }
        "success:mfa_enrollment" => assert!(!std::mem::replace(&mut account.has_mfa, true), "{event}"),
        "success:mfa_disenrollment" => assert!(std::mem::take(&mut account.has_mfa), "{event}"),
        "success:forgotten_password_request" => account.awaits_reset = true,
        "success:password_reset" => {
            assert!(std::mem::take(&mut account.awaits_reset), "{event}");
            (account.is_locked, account.n_wrong) = (false, 0);
        }
        "success:account_disable" => {
            assert!(!std::mem::replace(&mut account.is_disabled, true), "{event}");
        }
        "success:account_enable" => assert!(std::mem::take(&mut account.is_disabled), "{event}"),
        "success:account_deletion" => account.is_deleted = true,
        _ => {}
    }
}

#[test]
fn every_account_lives_a_consistent_life() {
    for story in STORIES.iter() {
        let mut accounts: HashMap<&str, Account> = HashMap::new();
        let mut n_of: HashMap<&str, usize> = HashMap::new();
        for event in &story.events {
            let id = text(event, "/subject/accountId");
            if id.is_empty() {
                continue;
            }
            let labels = labels(event);
            if labels.contains(&"success:registration") {
                assert!(accounts.insert(id, Account::default()).is_none(), "{event}");
            }
            let account = accounts.get_mut(id).unwrap_or_else(|| panic!("not registered: {event}"));
            assert!(!account.is_deleted, "deleted before: {event}");
            if is_login(event) {
                check_login(account, &labels, event);
            }
            for label in labels {
                check_other(account, label, event);
                *n_of.entry(label).or_default() += 1;
            }
        }
        for rare in [
            "failure:account_lock",
            "failure:mfa_authentication",
            "failure:abandoned",
            "success:mfa_disenrollment",
            "success:password_reset",
            "success:account_disable",
            "success:account_enable",
            "success:account_deletion",
            "success:group_assignment",
            "success:role_assignment",
            "success:delete_session",
        ] {
            assert!(n_of.get(rare).copied().unwrap_or_default() > 0, "{rare}: {n_of:?}");
        }
    }
}

#[test]
fn a_session_is_opened_by_a_login_and_ends_once() {
    let mut open: HashMap<String, String> = HashMap::new();
    let mut ended = HashSet::new();
    for event in &STORIES[0].events {
        let session = text(event, "/loginSessionId").to_owned();
        if session.is_empty() {
            continue;
        }
        let account = text(event, "/subject/accountId").to_owned();
        if labels(event).contains(&"success:login") {
            assert!(open.insert(session, account).is_none(), "{event}");
            continue;
        }
        assert_eq!(open.get(&session), Some(&account), "{event}");
        let ends = ["success:logout", "success:account_deletion", "success:delete_session"];
        if labels(event).iter().any(|label| ends.contains(label)) {
            open.remove(&session);
            assert!(ended.insert(session), "{event}");
        }
    }
    assert!(ended.len() > 1_000, "{} sessions ended", ended.len());
}

#[test]
fn logouts_and_refreshes_name_their_session() {
    for event in &STORIES[0].events {
        if matches!(text(event, "/sourceEventType"), "logout" | "token_refresh") {
            assert!(!event["loginSessionId"].is_null(), "{event}");
        }
    }
}

#[test]
fn times_never_run_backwards_even_if_the_clock_does() {
    let mut traffic = Traffic::new(1, start());
    let mut last = String::new();
    for offset in [0_u64, 500, 200, 0, 900, 100, 1_000] {
        for base in [start(), start().minus(Duration::from_hours(1))] {
            let event: Value =
                serde_json::from_str(&traffic.next(base.plus(Duration::from_secs(offset))).json).unwrap();
            let time = ["endTimestamp", "date", "timestamp"].iter().find_map(|name| event[*name].as_str());
            let time = time.unwrap().to_owned();
            assert!(time >= last && time >= start().to_string(), "{event}");
            assert!(text(&event, "/startTimestamp") <= time.as_str(), "{event}");
            last = time;
        }
    }
}

#[test]
fn audit_logs_of_one_thing_follow_on_each_other() {
    let mut versions: HashMap<String, u64> = HashMap::new();
    let mut values: HashMap<String, Value> = HashMap::new();
    let mut deleted = HashSet::new();
    let mut actions: HashMap<String, usize> = HashMap::new();
    for event in STORIES[0].events.iter().filter(|event| event["stream"] == "auditLog") {
        let (url, action) = (text(event, "/url").to_owned(), text(event, "/action").to_owned());
        *actions.entry(action.clone()).or_default() += 1;
        let version = event["version"].as_u64().unwrap();
        assert!(!deleted.contains(&url), "{event}");
        let change = &event["changes"][0];
        match action.as_str() {
            "Create" => assert!(version == 1 && !versions.contains_key(&url), "{event}"),
            "Update" => {
                assert!(versions.get(&url).is_none_or(|before| before + 1 == version), "{event}");
                assert!(values.get(&url).is_none_or(|before| *before == change["before"]), "{event}");
                assert_ne!(change["before"], change["after"], "{event}");
            }
            "Delete" => {
                assert_eq!((versions.get(&url), values.get(&url)), (Some(&version), Some(&change["before"])));
                deleted.insert(url.clone());
            }
            _ => panic!("{event}"),
        }
        if let Some(body) = event["response"].as_str() {
            let body: Value = serde_json::from_str(body).unwrap();
            assert!(url.ends_with(body["id"].as_str().unwrap()) && body["version"] == version, "{event}");
        }
        values.insert(url.clone(), change["after"].clone());
        versions.insert(url, version);
    }
    assert!(["Create", "Update", "Delete"].iter().all(|action| actions[*action] > 3), "{actions:?}");
}

#[test]
fn a_hook_runs_for_an_event_that_happened() {
    let mut happened: HashMap<String, String> = HashMap::new();
    let (mut n_runs, mut n_failed) = (0, 0);
    for event in &STORIES[0].events {
        if event["stream"] != "eventHookLog" {
            let account = text(event, "/subject/accountId");
            happened.insert(text(event, "/eventID").to_owned(), account.to_owned());
            continue;
        }
        let account = happened.get(text(event, "/accountEventId"));
        assert_eq!(account.map(String::as_str), Some(text(event, "/accountId")), "{event}");
        let lines = event["logs"].as_array().unwrap();
        let count = |level: &str| lines.iter().filter(|line| line["level"] == level).count() as u64;
        assert_eq!(event["logSummary"]["info"], count("info"), "{event}");
        assert_eq!(event["logSummary"]["error"], count("error"), "{event}");
        assert_eq!(lines.last().unwrap()["timestamp"], event["timestamp"], "{event}");
        n_runs += 1;
        n_failed += count("error");
    }
    assert!(n_runs > 800 && n_failed > 25, "{n_failed} of {n_runs} runs failed");
}

/// What one address did in a stretch of the story.
fn failures<'a>(events: &'a [Value], of: &str) -> Vec<&'a Value> {
    let failed = events.iter().filter(|event| is_login(event) && labels(event).contains(&"failure:login"));
    failed.filter(|event| ip(event) == of).collect()
}

#[test]
fn planted_attacks_are_where_they_are_said_to_be() {
    for Story { events, planted } in STORIES.iter() {
        assert!(planted.windows(2).all(|pair| pair[0].until_event <= pair[1].from_event));
        assert!(planted.len() >= 2, "{planted:?}");
        let first_attack = planted.iter().find(|one| one.gets_in).unwrap();
        assert!(first_attack.until_event <= 5_000, "the first attack is over early: {first_attack:?}");
        for one in planted {
            let address = one.ip.to_string();
            let (from, until) = (one.from_event as usize, one.until_event as usize);
            let window = &events[from..until];
            assert_eq!(ip(&window[0]), address);
            let last = window.last().unwrap();
            assert_eq!(ip(last), address);
            assert_eq!(labels(last).contains(&"success:login"), one.gets_in, "{last}");
            let failed = failures(window, &address);
            assert!(failed.len() >= 100, "{} failures in {one:?}", failed.len());
            let mut tries: HashMap<&str, usize> = HashMap::new();
            for event in &failed {
                *tries.entry(text(event, "/subject/userName")).or_default() += 1;
            }
            assert!(tries.len() >= 60, "many accounts: {}", tries.len());
            assert!(tries.values().all(|n| *n <= 4), "few tries each: {tries:?}");
        }
    }
}

#[test]
fn outside_the_planted_attacks_no_address_fails_like_that() {
    let Story { events, planted } = &STORIES[0];
    let attackers = |number: usize| {
        planted
            .iter()
            .find(|one| (one.from_event..one.until_event).contains(&(number as u64)))
            .map(|one| one.ip)
    };
    let mut calm: HashMap<&str, usize> = HashMap::new();
    for (number, event) in events.iter().enumerate() {
        if attackers(number).is_some_and(|attacker| ip(event) == attacker.to_string()) {
            continue;
        }
        assert!(!ip(event).starts_with("203.0.113."), "{event}");
        if labels(event).contains(&"failure:login") {
            *calm.entry(ip(event)).or_default() += 1;
        }
    }
    // In all 20,000 events, where an attacker's address has over 100 failures within 400.
    assert!(calm.values().all(|n| *n < 30), "{:?}", calm.values().max());
}
