//! Producers: each posts without a pause in its own way, through every kill, and keeps what it was promised.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use base::{Clock, EventId, Random, SystemClock};
use serde::Deserialize;
use std::sync::{Condvar, Mutex, PoisonError};

use super::arrivals::MARKER;
use crate::Failure;
use crate::http::{Connection, Message};

/// Events of a request.
const EVENTS: u64 = 25;
/// Between two requests of a producer: what is posted must be delivered four times by the same machine.
const PAUSE: Duration = Duration::from_millis(8);
/// How long to wait when the server is busy.
const BUSY_WAIT: Duration = Duration::from_millis(50);

/// How a producer names what it posts, and so what it may do after an unclear answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Events with ids of their own: sent again until there is an answer.
    Ids,
    /// Requests with an idempotency key: sent again until there is an answer.
    Keys,
    /// Neither: an unclear answer stays unclear.
    Bare,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Ids, Self::Keys, Self::Bare];

    const fn letter(self) -> char {
        match self {
            Self::Ids => 'i',
            Self::Keys => 'k',
            Self::Bare => 'b',
        }
    }
}

/// What a producer knows in the end.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) way: Way,
    /// The ids in its receipts.
    pub(super) accepted: Vec<EventId>,
    /// Events that it made.
    pub(super) made: u64,
    /// Of them, those whose answer stayed unclear.
    pub(super) unclear: u64,
    /// Requests that were sent more than once.
    pub(super) sent_again: u64,
}

/// Where the server is now, and whether there is more to post.
pub(super) struct Door {
    token: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy)]
struct State {
    address: SocketAddr,
    is_open: bool,
}

impl Door {
    pub(super) fn open(address: SocketAddr, token: String) -> Self {
        Self { token, state: Mutex::new(State { address, is_open: true }), changed: Condvar::new() }
    }

    /// From now on the server is there.
    pub(super) fn lead_to(&self, address: SocketAddr) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).address = address;
        self.changed.notify_all();
    }

    /// Nothing new is to be posted.
    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_open = false;
        self.changed.notify_all();
    }

    fn now(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection; waits a moment for the next server when there is none.
    fn connect(&self) -> Option<Connection> {
        if let Ok(connection) = Connection::open(self.now().address) {
            return Some(connection);
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let _moved_or_timed_out = self.changed.wait_timeout(state, Duration::from_millis(100));
        None
    }
}

#[derive(Deserialize)]
struct Receipts {
    accepted: Vec<Receipt>,
    rejected: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Receipt {
    #[serde(rename = "eventID")]
    event_id: EventId,
}

/// Posts until the door is closed; what was begun is brought to its end.
pub(super) fn post(door: &Door, way: Way) -> Result<Posted, Failure> {
    /// Attempts after which nobody will answer any more.
    const ATTEMPTS: u32 = 3_000;
    let random = Random::from_system();
    let mut posted = Posted { way, accepted: Vec::new(), made: 0, unclear: 0, sent_again: 0 };
    let mut connection = None;
    while door.now().is_open {
        let request = request(&door.token, way, &mut posted.made, &random);
        let mut attempts = 0;
        loop {
            let Some(open) = connection.take().or_else(|| door.connect()) else { continue };
            attempts += 1;
            match call(open, &request) {
                Some((answer, open)) if answer.status() == Some(200) => {
                    let receipts: Receipts = serde_json::from_slice(&answer.body)?;
                    if receipts.accepted.len() as u64 != EVENTS || !receipts.rejected.is_empty() {
                        return Err(format!("refused: {:?}", receipts.rejected).into());
                    }
                    posted.accepted.extend(receipts.accepted.into_iter().map(|receipt| receipt.event_id));
                    connection = Some(open);
                    break;
                }
                Some((answer, _)) if !matches!(answer.status(), Some(409 | 429 | 503 | 507)) => {
                    let text = String::from_utf8_lossy(&answer.body);
                    return Err(format!("the intake answered {}: {text}", answer.first_line).into());
                }
                Some(_) => thread::sleep(BUSY_WAIT),
                None if way == Way::Bare => {
                    posted.unclear += EVENTS;
                    break;
                }
                None => {}
            }
            if attempts > ATTEMPTS {
                return Err("no server answers any more".into());
            }
        }
        posted.sent_again += u64::from(attempts > 1);
        thread::sleep(PAUSE);
    }
    Ok(posted)
}

/// The answer, and the connection for the next call; `None` when nobody knows what became of the request.
fn call(mut connection: Connection, request: &[u8]) -> Option<(Message, Connection)> {
    connection.call(request).ok().map(|answer| (answer, connection))
}

/// A request of events, each with a marker that no other has.
fn request(token: &str, way: Way, made: &mut u64, random: &Random) -> Vec<u8> {
    let now = SystemClock.now();
    let first = *made;
    *made += EVENTS;
    let line = |number: u64| {
        let id = match way {
            Way::Ids => format!("\"eventID\":\"{}\",", EventId::draw(now, random)),
            Way::Keys | Way::Bare => String::new(),
        };
        format!(
            "{{{id}\"type\":\"customerFlow\",\"endTimestamp\":\"{now}\",\"subject\":{{{MARKER}{}{number}\"}}}}\n",
            way.letter()
        )
    };
    let body: String = (first..*made).map(line).collect();
    let key = match way {
        Way::Keys => format!("Idempotency-Key: crash-{first}\r\n"),
        Way::Ids | Way::Bare => String::new(),
    };
    format!(
        "POST /intake/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{key}\
         Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_can_be_sent_again_where_it_names_its_events_or_itself() {
        let text = |way| {
            let mut made = 0;
            String::from_utf8(request("t", way, &mut made, &Random::from_seed(1))).unwrap()
        };
        let has = |way, what: &str| text(way).contains(what);
        assert!(has(Way::Ids, "eventID") && !has(Way::Ids, "Idempotency-Key"));
        assert!(has(Way::Keys, "Idempotency-Key: crash-0\r\n") && !has(Way::Keys, "eventID"));
        assert!(!has(Way::Bare, "eventID") && !has(Way::Bare, "Idempotency-Key"));
        assert!(has(Way::Bare, "\"userName\":\"b24\""));
    }
}
