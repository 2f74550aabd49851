//! A simulated network with a destination behind it: seeded faults, no sockets, the runtime's (pausable) time.

mod indexer;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use base::Random;
use bytes::Bytes;
use destinations::{Answer, Request, Transport, TransportError};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use self::indexer::Indexer;
pub use self::indexer::IndexerOptions;

/// How long a request hangs.
const HANG: Duration = Duration::from_mins(10);

/// How often what goes wrong, in percent of requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The request does not arrive.
    pub lost_request: u64,
    /// The request is taken, but its answer does not arrive.
    pub lost_answer: u64,
    /// The destination answers 503 with `Retry-After`, and takes nothing.
    pub busy: u64,
    /// One event of the request is refused for good (HEC: code 6 with its number; bulk: 400 item).
    pub poison: u64,
    /// Bulk: one item is answered 429.
    pub item_busy: u64,
    /// The whole request is refused as unfit (400) and nothing of it taken.
    pub unfit: u64,
    /// The request is not answered for ten minutes.
    pub hang: u64,
    /// The request is refused (401) in words that repeat its credential.
    pub echo: u64,
    /// The request is answered 500, and nothing of it taken.
    pub broken: u64,
}

/// What the destination took.
#[derive(Debug, Default)]
pub struct Taken {
    /// How often each eventID was taken (bulk: at most once).
    pub ids: HashMap<String, u64>,
    /// Ids refused for good.
    pub refused: HashMap<String, u64>,
    /// Requests that arrived.
    pub requests: u64,
    /// When requests were sent to each host, whether they arrived or not.
    pub attempts: HashMap<String, Vec<Instant>>,
    /// The body of the last one.
    pub last_body: Bytes,
    /// The headers of the last one.
    pub last_headers: http::HeaderMap,
    /// The documents that were taken, by host, in order. Those of `_bulk` without their actions.
    pub documents: HashMap<String, Vec<Value>>,
    /// HEC: each event that was taken, by eventID.
    pub events: HashMap<String, Value>,
    /// HEC with indexers (see [`SimNet::put_indexers`]): how often each eventID was stored. Only that is delivery.
    pub stored: HashMap<String, u64>,
}

impl Taken {
    fn keep(&mut self, host: &str, document: Value) {
        self.documents.entry(host.to_owned()).or_default().push(document);
    }
}

/// A destination that speaks HEC on paths with `services/collector`, takes JSON arrays on `/array`, and speaks `_bulk`
/// elsewhere.
pub struct SimNet {
    random: Random,
    faults: Mutex<Faults>,
    /// Of single hosts, instead of those.
    faults_of: Mutex<HashMap<String, Faults>>,
    taken: Mutex<Taken>,
    /// Ids that are always refused once refused: poison does not heal.
    poisoned: Mutex<HashSet<String>>,
    /// Ids whose requests are answered with a status that proves nothing, or that refuses them as a whole.
    stumbles: Mutex<HashMap<String, u16>>,
    /// While it is true no request is answered.
    is_held: watch::Sender<bool>,
    indexers: Mutex<Indexers>,
}

/// What stands behind the collector.
#[derive(Debug, Default)]
struct Indexers {
    options: Option<IndexerOptions>,
    each: Vec<Indexer>,
    n_requests: usize,
}

impl SimNet {
    /// A network whose faults are drawn from `seed`.
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self {
            random: Random::from_seed(seed),
            faults: Mutex::new(faults),
            faults_of: Mutex::default(),
            taken: Mutex::default(),
            poisoned: Mutex::default(),
            stumbles: Mutex::default(),
            is_held: watch::Sender::new(false),
            indexers: Mutex::default(),
        }
    }

    /// The destination loses an event that it took.
    pub fn lose(&self, id: &str) {
        self.taken.lock().ids.remove(id);
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock() = faults;
    }

    /// Changes what goes wrong with one host, whatever does with the others.
    pub fn set_faults_of(&self, host: &str, faults: Faults) {
        self.faults_of.lock().insert(host.to_owned(), faults);
    }

    fn faults_with(&self, host: &str) -> Faults {
        self.faults_of.lock().get(host).copied().unwrap_or(*self.faults.lock())
    }

    /// Answers 500 to every request that holds the event with this id, and takes nothing of it.
    pub fn stumble_over(&self, id: &str) {
        self.stumbles.lock().insert(id.to_owned(), 500);
    }

    /// Answers 400 to every request that holds the event with this id, and takes nothing of it.
    pub fn refuse(&self, id: &str) {
        self.stumbles.lock().insert(id.to_owned(), 400);
    }

    /// Refuses the event with this id for good, and nothing else of its requests (HEC, bulk).
    pub fn reject(&self, id: &str) {
        self.poisoned.lock().insert(id.to_owned());
    }

    /// Has requests that have arrived, and those that arrive, wait for their answers until it is called with `false`.
    pub fn hold_answers(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }

    /// Nobody stumbles over this id, or refuses it, any more.
    pub fn mend(&self, id: &str) {
        self.poisoned.lock().remove(id);
        self.stumbles.lock().remove(id);
    }

    /// Puts indexers behind the collector, or changes how they behave. They lose nothing by that.
    pub fn put_indexers(&self, options: IndexerOptions) {
        let mut indexers = self.indexers.lock();
        indexers.options = Some(options);
        indexers.each.resize_with(options.n_indexers.max(1), Indexer::default);
    }

    /// The indexers restart: what they had not stored is lost, and they forget all ids.
    pub fn restart_indexers(&self) {
        self.store_due();
        self.indexers.lock().each.iter_mut().for_each(Indexer::restart);
    }

    fn store_due(&self) {
        let now = Instant::now();
        let stored: Vec<String> =
            self.indexers.lock().each.iter_mut().flat_map(|indexer| indexer.store(now)).collect();
        let mut taken = self.taken.lock();
        for id in stored {
            *taken.stored.entry(id).or_default() += 1;
        }
    }

    /// Hands taken events to an indexer; the acknowledgement id, where the token has one.
    fn index(&self, channel: Option<&str>, ids: &[String]) -> Option<u64> {
        let mut indexers = self.indexers.lock();
        let options = indexers.options?;
        if !options.acknowledges {
            drop(indexers);
            let mut taken = self.taken.lock();
            for id in ids {
                *taken.stored.entry(id.clone()).or_default() += 1;
            }
            return None;
        }
        let at = (!self.happens(options.forgotten)).then(|| Instant::now() + options.delay);
        Some(indexers.next()?.take(channel?, ids.to_vec(), at))
    }

    /// An answer of `/services/collector/ack`.
    fn acks(&self, channel: Option<&str>, body: &[u8]) -> Result<(u16, Value), TransportError> {
        let said = |text: &str, code: u32| serde_json::json!({"text": text, "code": code});
        let mut indexers = self.indexers.lock();
        let Some(options) = indexers.options.filter(|options| options.acknowledges) else {
            return Ok((400, said("ACK is disabled", 14)));
        };
        let Some(channel) = channel else { return Ok((400, said("Data channel is missing", 10))) };
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let asked: Vec<u64> =
            body["acks"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let told = indexers.next().map(|indexer| indexer.ask(channel, &asked));
        drop(indexers);
        if self.happens(options.lost_answers) {
            return Err(TransportError::broken("the connection was closed before the answer"));
        }
        Ok((200, serde_json::json!({ "acks": told })))
    }

    /// Looks at what the destination took.
    pub fn taken<T>(&self, look: impl FnOnce(&Taken) -> T) -> T {
        look(&self.taken.lock())
    }

    fn cluster(&self, path: &str, host: &str, body: &[u8], faults: Faults) -> (u16, Value) {
        match path.strip_suffix("/_search") {
            Some(target) => (200, self.search(target, body)),
            None => self.bulk(host, body, faults),
        }
    }

    /// Finds what was taken, by ids.
    fn search(&self, target: &str, body: &[u8]) -> Value {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let asked = body["query"]["ids"]["values"].as_array().into_iter().flatten();
        let taken = self.taken.lock();
        let is_held = |id: &&Value| id.as_str().is_some_and(|id| taken.ids.contains_key(id));
        let index = target.trim_matches('/');
        let hits: Vec<Value> =
            asked.filter(is_held).map(|id| serde_json::json!({"_id": id, "_index": index})).collect();
        serde_json::json!({
            "timed_out": false, "_shards": {"failed": 0}, "hits": {"total": {"value": hits.len()}, "hits": hits},
        })
    }

    fn happens(&self, percent: u64) -> bool {
        percent > 0 && self.random.up_to(99) < percent
    }

    fn stumbles_over(&self, body: &[u8]) -> Option<u16> {
        let body = String::from_utf8_lossy(body);
        let stumbles = self.stumbles.lock();
        stumbles.iter().find(|(id, _)| body.contains(id.as_str())).map(|(_, status)| *status)
    }

    fn poison(&self, ids: &[String], percent: u64) -> Option<usize> {
        let known = ids.iter().position(|id| self.poisoned.lock().contains(id));
        if known.is_some() || ids.is_empty() || !self.happens(percent) {
            return known;
        }
        let at = self.random.up_to(ids.len() as u64 - 1) as usize;
        self.poisoned.lock().insert(ids.get(at)?.clone());
        ids.iter().position(|id| self.poisoned.lock().contains(id))
    }

    /// HEC: takes the events before the first refused one (the prefix rule of Splunk).
    fn hec(&self, host: &str, channel: Option<&str>, body: &[u8], faults: Faults) -> (u16, Value) {
        let events: Vec<Value> =
            serde_json::Deserializer::from_slice(body).into_iter::<Value>().filter_map(Result::ok).collect();
        let ids: Vec<String> = events.iter().map(|event| text(event, "/event/eventID")).collect();
        let bad = self.poison(&ids, faults.poison);
        let whole = ids.get(..bad.unwrap_or(ids.len())).unwrap_or_default();
        let ack = if whole.is_empty() { None } else { self.index(channel, whole) };
        let mut taken = self.taken.lock();
        for (id, event) in whole.iter().zip(events) {
            *taken.ids.entry(id.clone()).or_default() += 1;
            let document = event.get("event").cloned().unwrap_or_default();
            taken.events.insert(id.clone(), document.clone());
            taken.keep(host, document);
        }
        match bad {
            None => (200, with_ack(serde_json::json!({"text": "Success", "code": 0}), ack)),
            Some(at) => {
                if let Some(id) = ids.get(at) {
                    *taken.refused.entry(id.clone()).or_default() += 1;
                }
                let said =
                    serde_json::json!({"text": "Invalid data format", "code": 6, "invalid-event-number": at});
                (400, with_ack(said, ack))
            }
        }
    }

    fn array(&self, host: &str, body: &[u8]) -> (u16, Value) {
        let events: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
        let mut taken = self.taken.lock();
        for event in events {
            *taken.ids.entry(text(&event, "/eventID")).or_default() += 1;
            taken.keep(host, event);
        }
        (200, Value::Null)
    }

    fn bulk(&self, host: &str, body: &[u8], faults: Faults) -> (u16, Value) {
        let lines: Vec<Value> =
            body.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let ids: Vec<String> = lines.iter().step_by(2).map(|action| text(action, "/create/_id")).collect();
        let bad = self.poison(&ids, faults.poison);
        let busy =
            self.happens(faults.item_busy).then(|| self.random.up_to(ids.len().max(1) as u64 - 1) as usize);
        let mut taken = self.taken.lock();
        let items: Vec<Value> = ids
            .iter()
            .enumerate()
            .map(|(at, id)| {
                let failed = |status: u16, kind: &str| {
                    serde_json::json!({"create": {"_id": id, "status": status, "error": {"type": kind, "reason": kind}}})
                };
                if self.poisoned.lock().contains(id) || bad == Some(at) {
                    *taken.refused.entry(id.clone()).or_default() += 1;
                    return failed(400, "mapper_parsing_exception");
                }
                if busy == Some(at) {
                    return failed(429, "es_rejected_execution_exception");
                }
                if taken.ids.contains_key(id) {
                    return failed(409, "version_conflict_engine_exception");
                }
                taken.ids.insert(id.clone(), 1);
                taken.keep(host, lines.get(2 * at + 1).cloned().unwrap_or_default());
                serde_json::json!({"create": {"_id": id, "status": 201}})
            })
            .collect();
        (200, serde_json::json!({"took": 1, "errors": true, "items": items}))
    }
}

impl Indexers {
    /// The one that the balancer sends the next request to.
    fn next(&mut self) -> Option<&mut Indexer> {
        let at = self.n_requests % self.each.len().max(1);
        self.n_requests += 1;
        self.each.get_mut(at)
    }
}

fn with_ack(mut said: Value, ack: Option<u64>) -> Value {
    if let Some(ack) = ack {
        said["ackId"] = ack.into();
    }
    said
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[async_trait]
impl Transport for SimNet {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        tokio::time::sleep(Duration::from_millis(self.random.up_to(20))).await;
        let host = request.url.host_str().unwrap_or_default();
        let faults = self.faults_with(host);
        self.taken.lock().attempts.entry(host.to_owned()).or_default().push(Instant::now());
        if self.happens(faults.lost_request) {
            return Err(TransportError::broken("the connection was refused"));
        }
        {
            let mut taken = self.taken.lock();
            taken.requests += 1;
            taken.last_body = request.body.clone();
            taken.last_headers = request.headers.clone();
        }
        // An error is impossible: the sender is this network's own.
        let _let_go = self.is_held.subscribe().wait_for(|is_held| !is_held).await.map(drop);
        if self.happens(faults.hang) {
            tokio::time::sleep(HANG).await;
            return Err(TransportError::broken("no answer came in time"));
        }
        if self.happens(faults.echo) {
            let said = format!(
                "{:?}",
                request
                    .headers
                    .get(http::header::AUTHORIZATION)
                    .map(http::HeaderValue::as_bytes)
                    .map(String::from_utf8_lossy)
            );
            return Ok(answer(401, &serde_json::json!({"text": said, "code": 3})));
        }
        if self.happens(faults.busy) {
            let retry_after = Some(Duration::from_secs(1));
            return Ok(Answer { retry_after, ..answer(503, &Value::Null) });
        }
        if self.happens(faults.unfit) {
            return Ok(answer(400, &serde_json::json!({"text": "Invalid data format", "code": 6})));
        }
        let broken = self.happens(faults.broken).then_some(500);
        if let Some(status) = broken.or_else(|| self.stumbles_over(&request.body)) {
            let (text, code) =
                if status == 400 { ("Invalid data format", 6) } else { ("Internal server error", 8) };
            return Ok(answer(status, &serde_json::json!({"text": text, "code": code})));
        }
        let restarts = self.indexers.lock().options.map_or(0, |options| options.restarts);
        if self.happens(restarts) {
            self.restart_indexers();
        }
        self.store_due();
        let channel = request.headers.get("x-splunk-request-channel").and_then(|value| value.to_str().ok());
        let (status, body) = match request.url.path() {
            "/array" => self.array(host, &request.body),
            "/services/collector/ack" => self.acks(channel, &request.body)?,
            path if path.contains("services/collector") => self.hec(host, channel, &request.body, faults),
            path => self.cluster(path, host, &request.body, faults),
        };
        tokio::time::sleep(Duration::from_millis(self.random.up_to(20))).await;
        if self.happens(faults.lost_answer) {
            return Err(TransportError::broken("the connection was closed before the answer"));
        }
        Ok(answer(status, &body))
    }
}

fn answer(status: u16, body: &Value) -> Answer {
    let json = http::HeaderValue::from_static("application/json; charset=UTF-8");
    let headers = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, json)]);
    Answer { status, retry_after: None, headers, body: Bytes::from(body.to_string()) }
}
