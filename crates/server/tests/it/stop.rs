//! How the server stops: once in order, at a second signal at once.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::program::{Program, serve};

/// A request that is under way until the server cuts it off: its body never ends.
fn endless_request(address: &str, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /intake/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server says 100 when it reads the body: from then on the request is under way.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    stream
}

#[test]
fn a_server_that_is_told_to_stop_says_what_it_waits_for_and_ends_well() {
    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        let server = Program::start(serve(&directory.path().join("data")));
        server.answers("listening on http://");
        server.signal(signal);
        server.tells("stopping: waiting for requests under way");
        let ended = server.ended();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        // Standard output is for answers: what it waits for is not among them.
        assert!(ended.stdout.ends_with("/data/admin-token"), "{ended:?}");
    }
}

#[test]
fn a_second_signal_ends_the_server_at_once_and_tells_what_was_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Program::start(serve(&data));
    let address = server.answers("listening on http://");
    let token = std::fs::read_to_string(data.join("admin-token")).unwrap();
    let _open = endless_request(&address, token.trim());
    server.signal("TERM");
    server.tells("waiting for requests under way");
    server.signal("TERM");
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("idstream: ended at once by a second signal"), "{ended:?}");
    assert!(last.contains("requests under way got no answer"), "{ended:?}");
}
