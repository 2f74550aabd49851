//! `demo`: what it tells, and that it does not end well unless all has arrived.

use std::process::Stdio;

use serde_json::Value;

use crate::program::{PATIENCE, Program, idstream};

/// A demo that would run for hours, once its server listens.
fn long_demo(temporary: &std::path::Path, more: &[&str]) -> Program {
    let mut command = idstream(&["demo", "--events", "1000000", "--rate", "10"]);
    command.args(more).env("TMPDIR", temporary);
    let demo = Program::start(command);
    let start = std::time::Instant::now();
    let is_up = || {
        let directories = std::fs::read_dir(temporary).unwrap().filter_map(Result::ok);
        directories.into_iter().any(|directory| directory.path().join("data/admin-token").exists())
    };
    while !is_up() {
        assert!(start.elapsed() < PATIENCE, "the demo's server does not start");
        std::thread::yield_now();
    }
    demo
}

#[test]
fn an_interrupted_demo_that_was_to_end_by_itself_ends_badly() {
    for more in [&["--exit", "--json"][..], &["--json"], &["--exit"]] {
        let directory = tempfile::tempdir().unwrap();
        let demo = long_demo(directory.path(), more);
        demo.signal("INT");
        let ended = demo.ended();
        assert_eq!(ended.status.code(), Some(1), "{more:?}: {ended:?}");
        assert!(ended.stderr.contains("interrupted before all events were settled"), "{more:?}: {ended:?}");
    }
}

#[test]
fn a_demo_without_an_end_ends_well_when_it_is_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let demo = long_demo(directory.path(), &[]);
    demo.signal("INT");
    let ended = demo.ended();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "it leaves nothing behind");
}

#[test]
fn it_tells_when_a_planted_attack_ran_and_how_to_find_it() {
    let demo = Program::start(idstream(&["demo", "--events", "4000", "--exit"]));
    let ended = demo.ended();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stdout.contains("first from event 2,"), "{ended:?}");
    let told =
        ended.stdout.lines().find(|line| line.starts_with("planted attack: password spraying")).unwrap();
    assert!(told.contains(" UTC, from 203.0.113."), "{told}");
    assert!(ended.stdout.contains("actor.ip=\"203.0.113."), "{ended:?}");
    assert!(ended.stdout.contains("All 4,000 events are settled"), "{ended:?}");
}

#[test]
fn its_result_is_one_line_of_json_and_nothing_else() {
    let ended = Program::start(idstream(&["demo", "--events", "500", "--json"])).ended();
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    let leg = |vendor: &str| serde_json::json!({"type": vendor, "delivered": 500, "distinct": 500, "quarantined": 0, "pending": 0});
    let expected =
        serde_json::json!({"accepted": 500, "destinations": [leg("splunk"), leg("elasticsearch")]});
    assert_eq!(result, expected);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = idstream(&["demo", "--events", "10"]);
    command.stdout(writer).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(0), "".into()));
}
