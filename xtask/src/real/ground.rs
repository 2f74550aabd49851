//! A running idstream, the events that it is sent, and what each document must be: what it delivers itself to a second
//! destination with the same switches, a stand-in in this process.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Clock, EventId, SystemClock};
use receiver::{OnEvent, Options, Receiver};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use traffic::{Happening, Traffic};

use super::Stage;
use super::same::{self, Counts, Found};
use super::scene::wait;
use crate::books::{count, is_balanced};
use crate::http::{Connection, request};
use crate::process::{STREAMING, Server, text_field};
use crate::{Failure, say};

/// Events of one request.
const AT_ONCE: usize = 500;
/// How long a state is waited for: retries back off up to 30 seconds, holds up to 2 minutes.
pub(super) const PATIENCE: Duration = Duration::from_secs(150);

type Documents = Arc<Mutex<HashMap<EventId, Value>>>;

/// The story, and what of it was posted.
struct Posting {
    traffic: Traffic,
    posted: HashMap<EventId, Value>,
}

/// idstream and what it was given.
pub(super) struct Ground {
    server: Option<Server>,
    token: String,
    posting: Mutex<Posting>,
    reference: String,
    documents: Documents,
    _receiver: Receiver,
    // Last: the receiver runs on it.
    _runtime: Runtime,
}

impl Ground {
    /// Starts it on an empty data directory.
    pub(super) fn new(stage: &Stage<'_>) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let documents = Documents::default();
        let notes = Arc::clone(&documents);
        let on_event: OnEvent = Arc::new(move |bytes| note(&notes, bytes));
        let options = Options { on_event: Some(on_event), ..Options::default() };
        let receiver = runtime.block_on(Receiver::start(options))?;
        let address = receiver.address();
        let data = stage.folder.join("idstream");
        let server = Server::start(&[], stage.program, &data)?;
        let token = server.create_client("real", "write:event")?.token;
        let mut ground = Self {
            server: Some(server),
            token,
            posting: Mutex::new(Posting {
                traffic: Traffic::new(stage.seed, SystemClock.now()).with_ids(true),
                posted: HashMap::new(),
            }),
            reference: String::new(),
            documents,
            _receiver: receiver,
            _runtime: runtime,
        };
        let url = format!("http://{address}/");
        let configuration = json!({"url": url, "apiKey": "reference-key", "headerName": "X-Key"});
        ground.reference = ground.configure("the reference", "https", configuration)?;
        Ok(ground)
    }

    fn server(&self) -> Result<&Server, Failure> {
        self.server.as_ref().ok_or_else(|| "idstream is not running".into())
    }

    /// A call of the admin API.
    pub(super) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let server = self.server()?;
        let body = body.map(Value::to_string).unwrap_or_default();
        server.call(&request(method, path, server.token(), "application/json", body.as_bytes()))
    }

    /// Creates a configuration; its id.
    pub(super) fn configure(
        &self,
        name: &str,
        vendor: &str,
        configuration: Value,
    ) -> Result<String, Failure> {
        self.configure_with(name, vendor, configuration, json!({}))
    }

    /// The same; the members of `other` are in the place of the usual ones.
    pub(super) fn configure_with(
        &self,
        name: &str,
        vendor: &str,
        configuration: Value,
        other: Value,
    ) -> Result<String, Failure> {
        let mut body = json!({
            "name": name,
            "type": vendor,
            "configuration": configuration,
            "accountEventStreaming": {
                "enabled": true,
                "includeActions": true,
                "nativeClaims": [{"id": "builtin-email"}, {"id": "builtin-country"}],
            },
            "auditLogStreaming": {"enabled": true},
            "eventHookLogStreaming": {"enabled": true},
        });
        if let (Some(body), Some(other)) = (body.as_object_mut(), other.as_object()) {
            body.extend(other.clone());
        }
        text_field(&self.call("POST", STREAMING, Some(&body))?, "id")
    }

    /// Deletes a configuration, so that later scenes are not busy with it.
    pub(super) fn remove(&self, id: &str) -> Result<(), Failure> {
        let server = self.server()?;
        let path = format!("{STREAMING}/{id}");
        let bytes = request("DELETE", &path, server.token(), "application/json", b"");
        let answer = Connection::open(server.address())?.call(&bytes)?;
        if answer.status() == Some(204) {
            Ok(())
        } else {
            Err(format!("{path}: {}", answer.first_line).into())
        }
    }

    /// Posts so many events of the story, each with an id of its own; their ids.
    pub(super) fn post(&self, n: u64) -> Result<Vec<EventId>, Failure> {
        let lines: Vec<String> = (0..n).map(|_| self.next().json).collect();
        self.post_lines(&lines)
    }

    /// The story's next audit log, as if its one change were to this value.
    pub(super) fn audit_log(&self, after: Value) -> Result<String, Failure> {
        loop {
            let next = self.next();
            if next.stream == "auditLog" {
                let mut event: Value = serde_json::from_str(&next.json)?;
                let changes = json!([{"path": "/a", "after": after}]);
                event.as_object_mut().ok_or("an event is no object")?.insert("changes".to_owned(), changes);
                return Ok(event.to_string());
            }
        }
    }

    fn next(&self) -> Happening {
        self.posting().traffic.next(SystemClock.now())
    }

    fn posting(&self) -> MutexGuard<'_, Posting> {
        self.posting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts these events, each one JSON object with an id; their ids.
    pub(super) fn post_lines(&self, lines: &[String]) -> Result<Vec<EventId>, Failure> {
        let mut ids = Vec::with_capacity(lines.len());
        let mut connection = Connection::open(self.server()?.address())?;
        for part in lines.chunks(AT_ONCE) {
            let mut body = String::new();
            for line in part {
                let event: Value = serde_json::from_str(line)?;
                let id = id_of(&event)?;
                self.posting().posted.insert(id, event);
                ids.push(id);
                writeln!(body, "{line}")?;
            }
            let path = "/intake/v1/events";
            let bytes = request("POST", path, &self.token, "application/x-ndjson", body.as_bytes());
            let answer = connection.call(&bytes)?;
            let told: Value = serde_json::from_slice(&answer.body)?;
            let accepted = told.get("accepted").and_then(Value::as_array).map(Vec::len);
            if answer.status() != Some(200) || accepted != Some(part.len()) {
                return Err(format!("the intake answered {}: {told}", answer.first_line).into());
            }
        }
        Ok(ids)
    }

    /// The status of a configuration.
    pub(super) fn status(&self, id: &str) -> Result<Value, Failure> {
        self.call("GET", &format!("{STREAMING}/{id}/status"), None)
    }

    /// Waits until the status of a configuration is so.
    pub(super) fn until(
        &self,
        id: &str,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failure> {
        let mut last = Value::Null;
        let status = wait(PATIENCE, what, || {
            last = self.status(id)?;
            Ok(is_so(&last).then(|| last.clone()))
        });
        status.map_err(|error| format!("{error}; the status is {last}").into())
    }

    /// Waits until nothing is pending; the books, which must be balanced.
    pub(super) fn settled(&self, id: &str) -> Result<Value, Failure> {
        let is_settled =
            |status: &Value| status.get("books").and_then(|books| count(books, "pending")) == Some(0);
        let status = self.until(id, "nothing is pending", is_settled)?;
        let books = status.get("books").cloned().unwrap_or_default();
        if is_balanced(&books) {
            Ok(books)
        } else {
            Err(format!("the books are not balanced: {books}").into())
        }
    }

    /// Waits until all is delivered, in this grade and no other, and none is refused.
    pub(super) fn delivered(&self, id: &str, grade: &str) -> Result<u64, Failure> {
        let books = self.settled(id)?;
        let n = count(&books, grade).unwrap_or_default();
        let is_all = count(&books, "appended") == Some(n + count(&books, "skipped").unwrap_or_default());
        if is_all { Ok(n) } else { Err(format!("not all is {grade}: {books}").into()) }
    }

    /// What each document must be. Waits until the reference has all that was accepted.
    pub(super) fn expected(&self) -> Result<HashMap<EventId, Value>, Failure> {
        self.settled(&self.reference)?;
        let documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (id, posted) in &self.posting().posted {
            let document = documents.get(id).ok_or_else(|| format!("the reference has no {id}"))?;
            same::keeps(posted, document).map_err(|error| format!("the reference's {id}: {error}"))?;
        }
        Ok(documents)
    }

    /// All that was posted is found, none was invented, and each is the same.
    pub(super) fn proven<T>(
        &self,
        posted: &[EventId],
        found: &Found<T>,
        same: impl Fn(&Value, &T) -> Result<(), String>,
    ) -> Result<Counts, Failure> {
        same::compare(posted, &self.expected()?, found, same)
    }

    /// The most memory that idstream has held since it was started last, in MB (10⁶ bytes).
    pub(super) fn peak_mb(&self) -> f64 {
        self.server.as_ref().and_then(|server| server.peak_mb().ok()).unwrap_or_default()
    }

    /// Stops it in order.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        self.server.take().map_or(Ok(()), Server::stop)
    }
}

/// The event's id in an event or a document.
pub(super) fn id_of(event: &Value) -> Result<EventId, Failure> {
    Ok(EventId::parse(&text_field(event, "eventID")?)?)
}

/// Keeps a document of the reference.
fn note(documents: &Documents, bytes: &[u8]) {
    let document = serde_json::from_slice::<Value>(bytes);
    match document.map_err(Failure::from).and_then(|document| Ok((id_of(&document)?, document))) {
        Ok((id, document)) => {
            documents.lock().unwrap_or_else(PoisonError::into_inner).insert(id, document);
        }
        Err(error) => say(&format!("the reference was sent what it cannot read: {error}")),
    }
}
