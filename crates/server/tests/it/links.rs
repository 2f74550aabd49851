//! Stored events are found by their ids, also after a restart.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::program::{Program, call, serve};

fn start(data: &Path) -> (Program, String, String) {
    let server = Program::start(serve(data));
    let address = server.answers("listening on http://");
    let token = std::fs::read_to_string(data.join("admin-token")).unwrap().trim().to_owned();
    (server, address, token)
}

#[test]
fn an_event_is_found_by_its_id_at_once_and_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (server, address, token) = start(&data);
    let event = r#"{"type":"selfService","endTimestamp":"2026-01-31T12:00:00Z","loginSessionId":"s1"}"#;
    let (_, receipts) = call(&address, "POST", "/intake/v1/events", &token, event);
    let id = receipts["accepted"][0]["eventID"].as_str().unwrap().to_owned();
    let path = format!("/admin/api/v1/events/account/{id}");
    let (status, found) = call(&address, "GET", &path, &token, "");
    assert_eq!(
        (status, &found["eventId"], &found["loginSessionId"]),
        (200, &id.as_str().into(), &"s1".into())
    );

    let index = std::fs::metadata(data.join("explorer")).unwrap();
    assert_eq!(index.permissions().mode() & 0o777, 0o700);
    server.signal("TERM");
    assert_eq!(server.ended().status.code(), Some(0));

    let (server, address, token) = start(&data);
    let (status, found_again) = call(&address, "GET", &path, &token, "");
    assert_eq!((status, found_again), (200, found));
    // Without the index, and with a process that did not end well.
    server.signal("KILL");
    server.ended();
    std::fs::remove_dir_all(data.join("explorer")).unwrap();
    let (_server, address, token) = start(&data);
    assert_eq!(call(&address, "GET", &path, &token, "").0, 200);
}
