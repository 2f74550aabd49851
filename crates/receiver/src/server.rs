//! The server: listens, tells the protocols apart, misbehaves when it is told to, counts.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::acks::Acks;
use crate::body::{self, BodyError, Reply};
use crate::bulk::{self, Item};
use crate::door;
use crate::hec::{self, Said};
use crate::misbehave::{Misbehaviour, Plan, What};
use crate::plain;
use crate::reading::Piece;
use crate::search;
use crate::tally::{Stats, Tally};

/// Called with the bytes of each event that is taken: HEC's envelope, bulk's document line, any other's document.
pub type OnEvent = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// How a receiver runs.
#[derive(Clone)]
pub struct Options {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The only credential that is let in; any, or none, without it.
    pub token: Option<String>,
    /// Check every document strictly.
    pub check: bool,
    /// Largest body, packed or not, in bytes; a larger one is answered 413.
    pub max_body_bytes: usize,
    /// HEC: the token has indexer acknowledgement, and what is taken is stored after this time.
    pub acknowledges_after: Option<Duration>,
    /// Called for each event that is taken, before the answer.
    pub on_event: Option<OnEvent>,
    /// What goes wrong from the start.
    pub misbehaviour: Vec<Misbehaviour>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token: None,
            check: false,
            max_body_bytes: 64 << 20,
            acknowledges_after: None,
            on_event: None,
            misbehaviour: Vec::new(),
        }
    }
}

/// A running stand-in. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

impl Receiver {
    /// Listens, on the current runtime.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            token: options.token,
            checks: options.check,
            max_body_bytes: options.max_body_bytes,
            acks: Acks::new(options.acknowledges_after),
            on_event: options.on_event,
            plan: Mutex::new(Plan::new(options.misbehaviour)),
            n_items: Mutex::new(0),
            tally: Tally::default(),
        });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, listening })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen so far.
    pub fn stats(&self) -> Stats {
        self.shared.tally.stats()
    }

    /// Whether it has taken the event with this id.
    pub fn has(&self, id: &base::EventId) -> bool {
        self.shared.tally.has(id)
    }

    /// Forgets that it has taken the event with this id, as a cluster that lost it.
    pub fn forget(&self, id: &base::EventId) {
        self.shared.tally.forget(id);
    }

    /// Forgets every acknowledgement, as an indexer that restarts.
    pub fn forget_acknowledgements(&self) {
        self.shared.acks.forget();
    }

    /// Misbehaves in these ways from now on; an empty list: not at all. Requests are counted anew.
    pub fn misbehave(&self, misbehaviour: Vec<Misbehaviour>) {
        *self.shared.plan.lock() = Plan::new(misbehaviour);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

struct Shared {
    token: Option<String>,
    checks: bool,
    max_body_bytes: usize,
    acks: Acks,
    on_event: Option<OnEvent>,
    plan: Mutex<Plan>,
    n_items: Mutex<u64>,
    tally: Tally,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("tally", &self.tally).finish_non_exhaustive()
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with the set, and the set with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that is gone before it is accepted concerns nobody.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _delays_at_worst = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { shared.answer(request).await }
    });
    // A connection that the other side breaks is not an error of the stand-in.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Who is spoken to, by method and path.
enum Protocol {
    Hec,
    HecHealth,
    HecAck,
    Bulk {
        url_names_index: bool,
    },
    /// A cluster's search for documents by their ids.
    Search,
    /// Templates and lifecycle policies of a cluster: they are taken, and no events.
    Setup,
    Plain,
    Unknown(StatusCode),
}

impl Protocol {
    fn of(parts: &Parts) -> Self {
        let path = parts.uri.path().trim_end_matches('/');
        let posts = parts.method == Method::POST || parts.method == Method::PUT;
        match path.strip_prefix("/services/collector") {
            Some("/health" | "/health/1.0") if parts.method == Method::GET => Self::HecHealth,
            Some("" | "/event" | "/event/1.0") if posts => Self::Hec,
            Some("/ack") if posts => Self::HecAck,
            Some("" | "/event" | "/event/1.0") => Self::Unknown(StatusCode::METHOD_NOT_ALLOWED),
            Some(_) => Self::Unknown(StatusCode::NOT_FOUND),
            None if !posts => Self::Unknown(StatusCode::METHOD_NOT_ALLOWED),
            None if parts.method == Method::PUT && is_setup(path) => Self::Setup,
            None if path.ends_with("/_search") => Self::Search,
            None if path.ends_with("/_bulk") => Self::Bulk { url_names_index: path != "/_bulk" },
            None => Self::Plain,
        }
    }
}

/// Whether a cluster keeps a template or a policy at this path.
fn is_setup(path: &str) -> bool {
    let kinds = ["/_index_template", "/_component_template", "/_ilm/policy", "/_plugins/_ism/policies"];
    path.rsplit_once('/')
        .is_some_and(|(kind, name)| !name.is_empty() && kinds.iter().any(|known| kind.ends_with(known)))
}

/// An answer, before it becomes bytes.
struct Told {
    status: StatusCode,
    retry_after: Option<u64>,
    body: String,
}

impl Told {
    fn new(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, retry_after: None, body: body.into() }
    }

    fn hec(said: Said) -> Self {
        let (status, body) = said.answer();
        Self::new(status, body)
    }

    fn response(self, breaks_off: bool) -> Response<Reply> {
        let reply = if breaks_off { Reply::broken_off(self.body) } else { Reply::new(self.body) };
        let mut response = Response::new(reply);
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// What a cluster answers to a wrong credential.
fn unauthenticated() -> Told {
    let refusal = ("security_exception", "unable to authenticate".to_owned());
    Told::new(StatusCode::UNAUTHORIZED, bulk::refusal(&refusal, 401))
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Reply>> {
        let (parts, incoming) = request.into_parts();
        let protocol = match Protocol::of(&parts) {
            Protocol::HecHealth => return Ok(Told::hec(Said { code: 17, number: None }).response(false)),
            Protocol::Unknown(status) => {
                let body = format!("{{\"text\":\"not served here\",\"code\":{}}}", status.as_u16());
                return Ok(Told::new(status, body).response(false));
            }
            protocol => protocol,
        };
        let body = body::whole(incoming, self.max_body_bytes).await;
        let body = match parts.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            Some(b"gzip") => body.and_then(|packed| body::gunzip(&packed, self.max_body_bytes)),
            _ => body,
        };
        if matches!(protocol, Protocol::Setup)
            && let Ok(body) = &body
        {
            return Ok(self.setup(&parts, body).response(false));
        }
        if matches!(protocol, Protocol::Search)
            && let Ok(body) = &body
        {
            return Ok(self.search(&parts, body).response(false));
        }
        if let Protocol::HecAck = protocol {
            let told = body
                .map_or_else(|_| Told::hec(Said { code: 6, number: None }), |body| self.acks(&parts, &body));
            return Ok(told.response(false));
        }
        self.tally.request(body.as_ref().map_or(0, Bytes::len));
        let what = self.plan.lock().next();
        match &what {
            Some(What::Close) => {
                self.tally.refused();
                return Err(io::Error::other("closed as told"));
            }
            Some(What::Hang) => {
                self.tally.refused();
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        let told = match body {
            Ok(body) => self.told(&protocol, &parts, &body, what.as_ref()),
            Err(BodyError::TooLarge) => Told::new(StatusCode::PAYLOAD_TOO_LARGE, ""),
            Err(BodyError::NotGzip) => self.malformed("the body is not gzip"),
            Err(BodyError::Lost(error)) => return Err(error),
        };
        if told.status.is_client_error() || told.status.is_server_error() {
            self.tally.refused();
        }
        match what {
            Some(What::TakeAndHang) => std::future::pending::<()>().await,
            Some(What::Slow(delay)) => tokio::time::sleep(delay).await,
            Some(What::TakeAndCloseMidAnswer) => return Ok(told.response(true)),
            _ => {}
        }
        Ok(told.response(false))
    }

    fn malformed(&self, what: &str) -> Told {
        self.tally.malformed(what);
        Told::hec(Said { code: 6, number: None })
    }

    fn told(&self, protocol: &Protocol, parts: &Parts, body: &[u8], what: Option<&What>) -> Told {
        if let Some(What::Answer { status, retry_after, body }) = what {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Told { status, retry_after: *retry_after, body: body.clone() };
        }
        match protocol {
            Protocol::Hec => self.hec(parts, body, what),
            Protocol::Bulk { url_names_index } => self.bulk(parts, body, *url_names_index, what),
            Protocol::Plain
            | Protocol::HecHealth
            | Protocol::HecAck
            | Protocol::Search
            | Protocol::Setup
            | Protocol::Unknown(_) => self.plain(parts, body),
        }
    }

    fn hec(&self, parts: &Parts, body: &[u8], what: Option<&What>) -> Told {
        if let Err(outside) = door::hec(&parts.headers, self.token.as_deref()) {
            return Told::hec(Said { code: outside.hec_code(), number: None });
        }
        let channel = match self.acks.channel(parts) {
            Ok(channel) => channel,
            Err(code) => return Told::hec(Said { code, number: None }),
        };
        let (mut reading, mut said) = hec::read(body, self.checks);
        self.tally.problems(std::mem::take(&mut reading.problems));
        if !said.is_success() {
            self.tally.malformed(format!("HEC code {} at {:?}", said.code, said.number));
        }
        match what {
            Some(What::Hec(code)) => {
                said = Said { code: *code, number: None };
                if !said.is_success() {
                    reading.pieces.clear();
                }
            }
            Some(What::HecBadEvent(at)) if *at < reading.pieces.len() => {
                said = Said { code: 6, number: Some(*at) };
                reading.pieces.truncate(*at);
            }
            _ => {}
        }
        self.take(&reading.pieces);
        let ack = if reading.pieces.is_empty() { None } else { self.acks.take(channel) };
        let (status, body) = said.answer_with(ack);
        Told::new(status, body)
    }

    /// What a question about acknowledgements is answered. It is no request that carries events.
    fn acks(&self, parts: &Parts, body: &[u8]) -> Told {
        if let Err(outside) = door::hec(&parts.headers, self.token.as_deref()) {
            return Told::hec(Said { code: outside.hec_code(), number: None });
        }
        match self.acks.tell(parts, body) {
            Ok(told) => Told::new(StatusCode::OK, told),
            Err(code) => Told::hec(Said { code, number: None }),
        }
    }

    /// Answers as a cluster that keeps what it is given. It is no delivery, and is not counted.
    fn setup(&self, parts: &Parts, body: &[u8]) -> Told {
        if door::other(&parts.headers, self.token.as_deref()).is_err() {
            return unauthenticated();
        }
        if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_err() {
            let refusal = ("parse_exception", "the body is no JSON object".to_owned());
            return Told::new(StatusCode::BAD_REQUEST, bulk::refusal(&refusal, 400));
        }
        Told::new(StatusCode::OK, "{\"acknowledged\":true}")
    }

    fn search(&self, parts: &Parts, body: &[u8]) -> Told {
        if door::other(&parts.headers, self.token.as_deref()).is_err() {
            return unauthenticated();
        }
        let mut names = parts.uri.path().trim_matches('/').rsplit('/').skip(1);
        let index = names.next().unwrap_or("documents");
        match search::answer(body, index, |id| self.tally.has(id)) {
            Some(answer) => Told::new(StatusCode::OK, answer),
            None => {
                let refusal = ("parsing_exception", "only ids can be searched for here".to_owned());
                Told::new(StatusCode::BAD_REQUEST, bulk::refusal(&refusal, 400))
            }
        }
    }

    fn bulk(&self, parts: &Parts, body: &[u8], url_names_index: bool, what: Option<&What>) -> Told {
        if door::other(&parts.headers, self.token.as_deref()).is_err() {
            return unauthenticated();
        }
        let (mut reading, failures) = match bulk::read(body, url_names_index, self.checks) {
            Ok(read) => read,
            Err(refusal) => {
                self.tally.malformed(refusal.1.clone());
                return Told::new(StatusCode::BAD_REQUEST, bulk::refusal(&refusal, 400));
            }
        };
        self.tally.problems(std::mem::take(&mut reading.problems));
        let failed: Vec<Option<Item<'_>>> = reading
            .pieces
            .iter()
            .zip(failures)
            .map(|(piece, failure)| self.failed(*piece, failure, what))
            .collect();
        let pieces: Vec<Piece<'_>> = reading
            .pieces
            .iter()
            .zip(&failed)
            .filter(|(_, failed)| failed.is_none())
            .map(|(piece, _)| *piece)
            .collect();
        let mut news = self.take(&pieces).into_iter();
        let items: Vec<Item<'_>> = failed
            .into_iter()
            .map(|failed| match failed {
                Some(item) => item,
                None if news.next().unwrap_or(true) => Item::Created,
                None => Item::Conflict,
            })
            .collect();
        Told::new(StatusCode::OK, bulk::answer(&items, &reading, bulk::filter(parts.uri.query())))
    }

    /// Why this item of a bulk request is not taken.
    fn failed<'a>(
        &self,
        piece: Piece<'_>,
        failure: Option<&'static str>,
        what: Option<&'a What>,
    ) -> Option<Item<'a>> {
        if let Some(kind) = failure {
            self.tally.malformed("a bulk document is not a JSON object");
            return Some(Item::Failed(400, kind));
        }
        let Some(What::Items(items)) = what else { return None };
        let number = {
            let mut n_items = self.n_items.lock();
            *n_items += 1;
            *n_items
        };
        items.hit(number, piece.id?).then_some(Item::Failed(items.status, &items.kind))
    }

    fn plain(&self, parts: &Parts, body: &[u8]) -> Told {
        if door::other(&parts.headers, self.token.as_deref()).is_err() {
            return Told::new(StatusCode::UNAUTHORIZED, "{\"error\":\"unknown credential\"}");
        }
        match plain::read(body, self.checks) {
            Ok(mut reading) => {
                self.tally.problems(std::mem::take(&mut reading.problems));
                self.take(&reading.pieces);
                Told::new(StatusCode::OK, "{}")
            }
            Err(problem) => {
                self.tally.malformed(problem);
                Told::new(StatusCode::BAD_REQUEST, "{\"error\":\"not JSON\"}")
            }
        }
    }

    fn take(&self, pieces: &[Piece<'_>]) -> Vec<bool> {
        if let Some(on_event) = &self.on_event {
            for piece in pieces {
                on_event(piece.bytes);
            }
        }
        self.tally.take(pieces.iter().map(|piece| piece.id))
    }
}
