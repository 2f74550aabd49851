//! `idstream status`: what it says of a server, and how it ends.

use std::process::Output;

use serde_json::{Value, json};

use crate::catcher::Catcher;
use crate::program::{Program, call, idstream, serve};

const STREAMING: &str = "/admin/api/v1/instance/eventStreaming";

/// The answer of `status` on this server.
fn status(url: &str, token: &str, more: &[&str]) -> Output {
    let mut command = idstream(&["status", "--url", url]);
    command.args(more).env("IDSTREAM_TOKEN", token).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn it_shows_every_configuration_and_ends_with_three_when_one_needs_attention() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Program::start(serve(&data));
    let address = server.answers("listening on http://");
    let (url, token) =
        (format!("http://{address}"), std::fs::read_to_string(data.join("admin-token")).unwrap());
    let token = token.trim();

    let empty = status(&url, token, &[]);
    assert_eq!(empty.status.code(), Some(0), "{empty:?}");
    assert!(said(&empty).contains("no event streaming configuration yet"), "{empty:?}");

    let catcher = Catcher::open();
    catcher.is_destination_of(&address, token, "credential");
    // Its creation is an audit log, and arrives.
    catcher.catches(|document| document["stream"] == "auditLog");
    let well = status(&url, token, &["--json"]);
    let told: Value = serde_json::from_slice(&well.stdout).unwrap();
    let one = &told["eventStreaming"][0];
    assert_eq!((well.status.code(), &one["state"]), (Some(0), &json!("active")), "{told}");
    assert_eq!(told["needsAttention"], false);
    assert!(told["instance"]["journal"]["storedBytes"].as_u64() > Some(0), "{told}");

    let (id, name) = (one["id"].as_str().unwrap(), one["name"].as_str().unwrap());
    let (code, paused) = call(&address, "POST", &format!("{STREAMING}/{id}/pause"), token, "");
    assert_eq!(code, 200, "{paused}");
    let paused = status(&url, token, &[]);
    assert_eq!(paused.status.code(), Some(0), "it was asked for: {paused:?}");
    assert!(said(&paused).lines().any(|line| line.contains(name) && line.contains("paused")), "{paused:?}");
    let details = said(&status(&url, token, &[name]));
    assert!(details.contains("what next") && details.contains("POST …/resume"), "{details}");

    let unreachable = json!({
        "type": "https", "name": "nobody listens",
        "accountEventStreaming": {"enabled": true, "nativeClaims": []},
        "auditLogStreaming": {"enabled": true},
        "eventHookLogStreaming": {"enabled": false},
        "configuration": {"url": "http://127.0.0.1:1/", "headerName": "X-Api-Key", "apiKey": "never-shown"},
    });
    let (code, created) = call(&address, "POST", STREAMING, token, &unreachable.to_string());
    assert_eq!(code, 201, "{created}");
    let attention = (0..5_000).find_map(|_| {
        let output = status(&url, token, &[]);
        (output.status.code() == Some(3)).then_some(output)
    });
    let attention = said(&attention.expect("it never needed attention"));
    assert!(attention.contains("degraded") && attention.contains("nobody listens: "), "{attention}");
    assert!(!attention.contains("never-shown"));

    let nobody = status(&url, token, &["nobody"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    server.signal("TERM");
    server.ended();
}
