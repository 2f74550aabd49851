//! `receiver`: what it answers, how it misbehaves, what it says when it cannot.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use serde_json::Value;

use crate::program::{Program, idstream};

/// Posts one HEC event; the answer's status, or nothing when there is none.
fn post(address: &str) -> Option<u16> {
    let event = r#"{"event":{"eventID":"0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51"}}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "POST /services/collector/event HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{event}",
        event.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

#[test]
fn it_misbehaves_as_told_and_counts_it() {
    let receiver = Program::start(idstream(&[
        "receiver",
        "--json",
        "--every",
        "0",
        "--misbehave",
        "every:3=status:503",
        "--misbehave",
        "first:1=close",
    ]));
    let listening: Value = serde_json::from_str(&receiver.answers("")).unwrap();
    let address = listening["listening"].as_str().unwrap().strip_prefix("http://").unwrap();
    let answers: Vec<_> = (0..3).map(|_| post(address)).collect();
    assert_eq!(answers, [None, Some(200), Some(503)]);
    receiver.signal("TERM");
    let ended = receiver.ended();
    let counts: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&counts["requests"], &counts["refused"]), (&3.into(), &2.into()), "{ended:?}");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[test]
fn a_misbehaviour_that_is_not_known_is_told_with_all_that_are() {
    let ended = Program::start(idstream(&["receiver", "--misbehave", "always=explode"])).ended();
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    for part in ["no WHAT \"explode\"", "every:N", "take-and-close", "hec-bad-event:N"] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    let help = Program::start(idstream(&["receiver", "--help"])).ended();
    assert!(
        help.stdout.contains("take-and-close") && help.stdout.contains("--misbehave <WHEN=WHAT>"),
        "{help:?}"
    );
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    for command in [vec!["receiver"], vec!["serve", "--data", data]] {
        let mut all = idstream(&command);
        all.args(["--listen", &address]);
        let ended = Program::start(all).ended();
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let expected =
            format!("cannot listen on {address}: another program listens there; end it, or give another");
        assert!(ended.stderr.contains(&expected), "{ended:?}");
        assert!(ended.stderr.contains("--listen"), "{ended:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    // Nobody has ever read: the first line already finds nobody.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = idstream(&["receiver"]);
    command.stdout(writer).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(0), "".into()));
}
