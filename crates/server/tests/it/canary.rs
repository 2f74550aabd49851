//! Secrets planted in everything that idstream is told must lie in nothing that it writes, says or sends, but for a
//! destination's own credential in the header that is meant for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::program::{PATIENCE, Program, call, serve};

const STREAMING: &str = "/admin/api/v1/instance/eventStreaming";
const CHANNELS: &str = "/admin/api/v1/instance/alarmChannels";
const SOURCES: &str = "/admin/api/v1/instance/sources";

/// A request as a destination got it.
struct Got {
    head: String,
    body: String,
}

/// A destination that repeats the credential in its answer, refuses the first request, and takes all others.
fn destination() -> (String, Receiver<Got>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (into, got) = channel();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let into = into.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.unwrap());
                let mut is_refused = at == 0;
                while let Some(request) = read(&mut reader) {
                    answer(reader.get_mut(), &request, std::mem::take(&mut is_refused));
                    if into.send(request).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, got)
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Got> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.to_ascii_lowercase().split_once("content-length: ")?.1.lines().next()?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Got { head, body: String::from_utf8(body).unwrap() })
}

fn answer(stream: &mut TcpStream, request: &Got, is_refused: bool) {
    let status = if is_refused { "503 Service Unavailable" } else { "200 OK" };
    let items = request.body.lines().filter(|line| line.starts_with(r#"{"create""#)).count();
    let items = vec![json!({"create": {"status": 201, "_index": "i"}}); items];
    let body = json!({"text": request.head, "code": 0, "errors": false, "items": items}).to_string();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).unwrap();
}

/// An event with a secret in every place that a platform may put one.
fn leaky(path: &str) -> Value {
    json!({
        "type": "selfService", "endTimestamp": "2026-11-25T12:00:00Z",
        "nativeClaims": {"email": "a@example.com", "password": "CANARY-claim"},
        "actions": [{"details": {"deep": [{"clientSecret": "CANARY-action", "otp": "CANARY-otp"}]}}],
        "raw": {"url": "https://h/cb?access_token=CANARY-query&x=1", "form": "user=a&password=CANARY-form",
                "headers": {"Authorization": "Bearer CANARY-header", "cookie": "CANARY-cookie"}, "path": path},
    })
}

/// Asks, and keeps every answer.
struct Asking<'a> {
    address: &'a str,
    token: &'a str,
    answers: Vec<String>,
}

impl Asking<'_> {
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = call(self.address, method, path, self.token, &body);
        self.answers.push(format!("{method} {path} {status} {answer}"));
        (status, answer)
    }

    /// Makes a configuration that leads to `url`, tries it, and gives its path and body.
    fn configure(&mut self, vendor: &str, url: &str) -> (String, Value) {
        let mut body = json!({
            "name": format!("to {vendor}"), "type": vendor,
            "configuration": {"url": url, "apiKey": format!("CANARY-key-{vendor}")},
            "accountEventStreaming": {"enabled": true, "includeActions": true, "includeRaw": true,
                                      "nativeClaims": [{"id": "builtin-email"}]},
            "auditLogStreaming": {"enabled": true, "includeRaw": true},
            "eventHookLogStreaming": {"enabled": true},
        });
        if vendor == "https" {
            body["configuration"]["headerName"] = json!("x-api-key");
            body["configuration"]["signingSecrets"] = json!(["whsec_CANARYAAAAAAAAAAAAAAAAAAAAAAAAAA"]);
        }
        let (status, made) = self.ask("POST", STREAMING, &body);
        assert_eq!(status, 201, "{made}");
        let path = format!("{STREAMING}/{}", made["id"].as_str().unwrap());
        body["id"] = made["id"].clone();
        assert_eq!(self.ask("POST", &format!("{path}/test"), &Value::Null).0, 200);
        (path, body)
    }

    /// Makes a channel for alarms of each kind, and tries it.
    fn tell_channels(&mut self) {
        // It repeats the address, which is a secret, in what it refuses with.
        let (origin, _got) = destination();
        let hook = json!({
            "name": "Hook", "type": "webhook",
            "configuration": {"url": format!("{origin}/CANARY-path/CANARY%2Dcoded?key=CANARY-query"),
                              "apiKey": "CANARY-hook-key", "headerName": "x-key",
                              "signingSecrets": ["whsec_CANARYAAAAAAAAAAAAAAAAAAAAAAAAAA"]},
        });
        let mail = json!({
            "name": "Mail", "type": "mail",
            "configuration": {"host": "127.0.0.1", "port": 1, "username": "ann", "password": "CANARY-mail-password",
                              "from": "a@example.com", "to": ["b@example.com"]},
        });
        for channel in [hook, mail] {
            let (status, made) = self.ask("POST", CHANNELS, &channel);
            assert_eq!(status, 201, "{made}");
            let path = format!("{CHANNELS}/{}", made["id"].as_str().unwrap());
            let (_, tried) = self.ask("POST", &format!("{path}/test"), &Value::Null);
            assert_eq!(tried["taken"], false, "{tried}");
            assert_eq!(self.ask("GET", &path, &Value::Null).0, 200);
        }
    }

    /// Switches a configuration off and on with another credential, asks for all of it, and deletes it.
    fn end(&mut self, path: &str, body: &Value) {
        for (enabled, key) in [(false, "CANARY-key-second"), (true, "CANARY-key-third\r\nx: y")] {
            let mut body = body.clone();
            body["enabled"] = json!(enabled);
            body["configuration"]["apiKey"] = json!(key);
            self.ask("PUT", path, &body);
        }
        for path in [path.to_owned(), format!("{path}/status"), STREAMING.to_owned()] {
            assert_eq!(self.ask("GET", &path, &Value::Null).0, 200);
        }
        assert_eq!(self.ask("DELETE", path, &Value::Null).0, 204);
    }
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

/// Fails when one of the texts holds a planted secret, plainly, in base64 (at each of its three places) or in hex.
fn search<'a>(what: &str, texts: impl IntoIterator<Item = &'a [u8]>) {
    const SIGNS: [&str; 7] =
        ["CANARY-", "CANARY%2D", "CANARYAAAA", "Q0FOQVJZL", "DQU5BUlkt", "NBTkFSWS", "43414e4152592d"];
    for text in texts {
        for sign in SIGNS {
            let found = text.windows(sign.len()).position(|window| window == sign.as_bytes());
            let around = found.map(|at| {
                String::from_utf8_lossy(&text[at.saturating_sub(80)..(at + 80).min(text.len())]).into_owned()
            });
            assert_eq!(around, None, "{sign} in {what}");
        }
    }
}

#[test]
fn no_planted_secret_is_written_said_or_sent() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut command = serve(&data);
    command.env("IDSTREAM__LOG__LEVEL", "trace");
    let server = Program::start(command);
    let address = server.answers("listening on http://");
    let token = std::fs::read_to_string(data.join("admin-token")).unwrap();
    let mut asking = Asking { address: &address, token: token.trim(), answers: Vec::new() };

    let source = json!({"name": "Auth0", "platform": {"kind": "auth0", "tenant": "t"},
                        "authorization": ["Bearer CANARY-authorization"]});
    assert_eq!(asking.ask("POST", SOURCES, &source).0, 201);
    asking.tell_channels();
    let destinations: Vec<_> = ["splunk", "elasticsearch", "https"]
        .map(|vendor| {
            let (url, got) = destination();
            (vendor, asking.configure(vendor, &url), got)
        })
        .into();
    assert_eq!(asking.ask("POST", "/intake/v1/events", &leaky("/last-of-all")).0, 200);
    let mut heads = 0;
    for (vendor, _, got) in &destinations {
        let own = format!("CANARY-key-{vendor}");
        loop {
            let Got { head, body } = got.recv_timeout(PATIENCE).expect("the event never came");
            heads += usize::from(head.contains(&own));
            let unmeant = head.replace(&own, "");
            search(&format!("what {vendor} got"), [body.as_bytes(), unmeant.as_bytes()]);
            if body.contains("/last-of-all") && body.contains("[masked]") {
                break;
            }
        }
    }
    assert!(heads >= 6, "the credentials that were planted are not those that were sent");
    for (_, (path, body), _) in &destinations {
        asking.end(path, body);
    }
    let answers = asking.answers;
    server.signal("TERM");
    let ended = server.ended();
    search("answers", answers.iter().map(String::as_bytes));
    search("diagnostics", [ended.stdout.as_bytes(), ended.stderr.as_bytes()]);
    assert!(ended.stderr.contains("503"), "the diagnostics tell of nothing: {}", ended.stderr);
    let mut files = Vec::new();
    files_below(directory.path(), &mut files);
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        search(&file.display().to_string(), [&*std::fs::read(&file).unwrap()]);
    }
}
