//! A destination that takes everything and shows what it took: an HTTPS server of one's own, without the S.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};

use crate::program::{PATIENCE, call};

/// Listens on loopback until the test ends.
pub(crate) struct Catcher {
    address: SocketAddr,
    documents: Receiver<Document>,
    caught: RefCell<Vec<Document>>,
}

/// A document, and the credential that it came with.
pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) credential: String,
}

impl Catcher {
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (into, documents) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let into = into.clone();
                std::thread::spawn(move || take(&stream, &into));
            }
        });
        Self { address, documents, caught: RefCell::default() }
    }

    /// Makes a configuration that streams everything here with this credential.
    pub(crate) fn is_destination_of(&self, server: &str, token: &str, credential: &str) {
        let configuration = json!({
            "type": "https",
            "name": format!("catcher {}", self.address),
            "accountEventStreaming": {"enabled": true, "nativeClaims": []},
            "auditLogStreaming": {"enabled": true},
            "eventHookLogStreaming": {"enabled": false},
            "configuration": {
                "url": format!("http://{}/", self.address), "headerName": "X-Api-Key", "apiKey": credential,
            },
        });
        let path = "/admin/api/v1/instance/eventStreaming";
        let (status, created) = call(server, "POST", path, token, &configuration.to_string());
        assert_eq!(status, 201, "{created}");
    }

    /// The first document that `is_wanted` and was not asked for before; they come in any order.
    pub(crate) fn catches(&self, is_wanted: impl Fn(&Value) -> bool) -> Document {
        let mut caught = self.caught.borrow_mut();
        loop {
            if let Some(at) = caught.iter().position(|document| is_wanted(&document.value)) {
                return caught.remove(at);
            }
            caught.push(self.documents.recv_timeout(PATIENCE).expect("the document does not come"));
        }
    }
}

/// Takes the requests of one connection until it ends, or until nobody wants what is in them.
fn take(stream: &TcpStream, into: &Sender<Document>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut credential) = (0, String::new());
        loop {
            let mut line = String::new();
            let n = reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
            if n == 2 {
                break;
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().ok()?;
                }
                Some((name, value)) if name.eq_ignore_ascii_case("x-api-key") => {
                    value.clone_into(&mut credential);
                }
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let documents: Vec<Value> = serde_json::from_slice(&body).ok()?;
        for value in documents {
            into.send(Document { value, credential: credential.clone() }).ok()?;
        }
        (&mut &*stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    }
}
