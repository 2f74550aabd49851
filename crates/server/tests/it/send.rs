//! `send`: what is stored, how often, and what becomes of lines that are refused.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::program::{Ended, Program, call, idstream, serve};

const STREAMING: &str = "/admin/api/v1/instance/eventStreaming";

struct Setting {
    directory: tempfile::TempDir,
    _server: Program,
    address: String,
    token: String,
    configuration: String,
}

impl Setting {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let mut command = serve(&data);
        command.envs(environment.iter().copied());
        let server = Program::start(command);
        let address = server.answers("listening on http://");
        let token = std::fs::read_to_string(data.join("admin-token")).unwrap().trim().to_owned();
        // Its books count what is stored from now on. Nothing listens there.
        let configuration = json!({
            "type": "splunk",
            "name": "counter",
            "accountEventStreaming": {"enabled": true, "nativeClaims": []},
            "auditLogStreaming": {"enabled": false},
            "eventHookLogStreaming": {"enabled": true},
            "configuration": {"url": "http://127.0.0.1:9", "apiKey": "credential"},
        });
        let (status, created) = call(&address, "POST", STREAMING, &token, &configuration.to_string());
        assert_eq!(status, 201, "{created}");
        let configuration = created["id"].as_str().unwrap().to_owned();
        Self { directory, _server: server, address, token, configuration }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, lines: &[Value]) -> PathBuf {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        std::fs::write(self.file(name), lines.join("\n")).unwrap();
        self.file(name)
    }

    fn send(&self, file: &Path, more: &[&str]) -> Ended {
        let mut command = idstream(&["send", "--url", &format!("http://{}", self.address)]);
        command.arg(file).args(more).env("IDSTREAM_TOKEN", &self.token);
        Program::start(command).ended()
    }

    /// How many events are stored, without the audit logs that the server writes of itself: those are skipped, sooner or
    /// later.
    fn n_stored(&self) -> u64 {
        let path = format!("{STREAMING}/{}/status", self.configuration);
        let mut counted = Vec::new();
        // The same number for a while: what is still to be skipped has been.
        while counted.len() < 20 || counted.iter().rev().take(20).any(|n| Some(n) != counted.last()) {
            let books = call(&self.address, "GET", &path, &self.token, "").1["books"].clone();
            let count = |name: &str| books[name].as_u64().unwrap();
            if count("skipped") > 0 {
                counted.push(count("appended") - count("skipped"));
            }
            assert!(counted.len() < 5_000, "the books do not come to rest: {books}");
        }
        counted.last().copied().unwrap_or_default()
    }
}

/// An event without an id.
fn event(user: &str) -> Value {
    json!({"type": "selfService", "endTimestamp": "2026-01-31T12:00:00Z", "subject": {"userName": user}})
}

/// An event without what every event needs.
fn bad_event() -> Value {
    json!({"type": "selfService", "subject": {"userName": "bob"}})
}

#[test]
fn a_file_that_is_mended_and_sent_again_is_stored_once() {
    let setting = Setting::new();
    let file = setting.write("events", &[event("ann"), bad_event(), event("cem")]);
    let first = setting.send(&file, &[]);
    assert_eq!(first.stdout, "2 accepted, 0 of them stored before, 1 refused", "{first:?}");
    assert_eq!(first.status.code(), Some(1), "{first:?}");
    setting.write("events", &[event("ann"), event("bob"), event("cem")]);
    let second = setting.send(&file, &[]);
    assert_eq!(second.stdout, "3 accepted, 2 of them stored before, 0 refused", "{second:?}");
    assert_eq!((second.status.code(), setting.n_stored()), (Some(0), 3), "{second:?}");
    // However it is cut into requests.
    let third = setting.send(&file, &["--batch", "1"]);
    assert_eq!(third.stdout, "3 accepted, 3 of them stored before, 0 refused", "{third:?}");
    assert_eq!(setting.n_stored(), 3);
}

#[test]
fn refused_lines_are_kept_in_a_file_that_can_be_mended_and_sent() {
    let setting = Setting::new();
    let file = setting.write("events", &[event("ann"), bad_event(), json!("no object"), event("cem")]);
    let first = setting.send(&file, &[]);
    let rejects = setting.file("events.rejected");
    assert!(first.stderr.contains(&format!("idstream send {}", rejects.display())), "{first:?}");
    assert!(first.stderr.contains("line 2: endTimestamp: is required"), "{first:?}");
    let kept = std::fs::read_to_string(&rejects).unwrap();
    let lines: Vec<&str> = kept.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["\"no object\"", &bad_event().to_string()], "{kept}");
    assert!(kept.contains("# line 2: endTimestamp: is required\n"), "{kept}");
    assert!(kept.contains("# line 3: not a JSON object\n"), "{kept}");
    let mended =
        kept.replace(&bad_event().to_string(), &event("bob").to_string()).replace("\"no object\"\n", "");
    std::fs::write(&rejects, mended).unwrap();
    let second = setting.send(&rejects, &[]);
    assert_eq!(second.stdout, "1 accepted, 0 of them stored before, 0 refused", "{second:?}");
    assert_eq!(setting.n_stored(), 3);
}

#[test]
fn what_was_refused_before_is_not_written_over() {
    let setting = Setting::new();
    let file = setting.write("events", &[bad_event()]);
    assert!(!setting.send(&file, &[]).status.success());
    std::fs::write(setting.file("events.rejected"), "half mended").unwrap();
    let again = setting.send(&file, &[]);
    assert!(again.stderr.contains("events.rejected.2"), "{again:?}");
    assert_eq!(std::fs::read_to_string(setting.file("events.rejected")).unwrap(), "half mended");
    let chosen = setting.file("events.rejected");
    let refused = setting.send(&file, &["--rejects", chosen.to_str().unwrap()]);
    assert!(refused.stderr.contains("events.rejected is there already"), "{refused:?}");
}

#[test]
fn equal_lines_of_a_file_are_events_of_their_own_and_so_are_all_when_sent_as_new() {
    let setting = Setting::new();
    let own_id = json!({
        "eventID": "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f",
        "type": "selfService",
        "endTimestamp": "2026-01-31T12:00:00Z",
    });
    let file = setting.write("events", &[event("ann"), event("ann"), own_id]);
    for (more, expected, n_stored) in [
        (&[][..], "3 accepted, 0 of them stored before, 0 refused", 3),
        (&[], "3 accepted, 3 of them stored before, 0 refused", 3),
        (&["--again"], "3 accepted, 1 of them stored before, 0 refused", 5),
    ] {
        let sent = setting.send(&file, more);
        assert_eq!((sent.stdout.as_str(), setting.n_stored()), (expected, n_stored), "{sent:?}");
    }
}

#[test]
fn requests_that_are_too_large_for_the_server_are_cut() {
    let setting = Setting::with(&[("IDSTREAM__INTAKE__MAX_EVENTS", "2")]);
    let names = ["ann", "bob", "cem", "dee", "eva"];
    let file = setting.write("events", &names.map(event));
    let sent = setting.send(&file, &[]);
    assert_eq!(sent.stdout, "5 accepted, 0 of them stored before, 0 refused", "{sent:?}");
    assert_eq!(setting.n_stored(), 5);
}

#[test]
fn a_reader_that_goes_away_does_not_change_how_it_ends() {
    let setting = Setting::new();
    let file = setting.write("events", &[event("ann")]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = idstream(&["send", "--url", &format!("http://{}", setting.address)]);
    command.arg(&file).env("IDSTREAM_TOKEN", &setting.token).stdout(writer).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(0), "".into()));
    assert_eq!(setting.n_stored(), 1);
}

#[test]
fn a_token_that_is_not_known_ends_it_with_the_servers_words() {
    let setting = Setting::new();
    let file = setting.write("events", &[event("ann")]);
    let sent = setting.send(&file, &["--token", "wrong"]);
    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    assert!(sent.stderr.contains("answered 401"), "{sent:?}");
    assert!(sent.stderr.contains("send the same file again"), "{sent:?}");
}

/// A server of another kind, or a proxy: whatever it is asked, it gives this answer.
fn answering(status: &str, body: &str) -> std::net::SocketAddr {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or_default() < 3 {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let _gone = reader.take(length).read_to_end(&mut Vec::new());
            let _gone = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn an_answer_that_is_not_idstreams_ends_it_and_refuses_no_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("events");
    std::fs::write(&file, format!("{}\n{}\n", event("ann"), event("bob"))).unwrap();
    for (status, body, told) in [
        ("400 Bad Request", "Client sent an HTTP request\n to an HTTPS server.\n", "answered 400, but"),
        ("413 Too Large", "<html>\u{1b}[31mClient sent an HTTP request</html>", "answered 413, but"),
        ("200 OK", "<html>Client sent an HTTP request</html>", "answered 200, but"),
    ] {
        let url = format!("http://{}", answering(status, body));
        let mut command = idstream(&["send", "--token", "t", "--url", &url]);
        command.arg(&file);
        let sent = Program::start(command).ended();
        assert_eq!(sent.status.code(), Some(1), "{sent:?}");
        assert!(sent.stdout.ends_with("0 refused"), "{sent:?}");
        for part in [told, "Client sent an HTTP request", "send the same file again"] {
            assert!(sent.stderr.contains(part), "{part}: {sent:?}");
        }
        assert!(!sent.stderr.contains('\u{1b}'), "{sent:?}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no file of rejects");
    }
}
