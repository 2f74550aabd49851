//! The server: listens, tells the protocols apart, misbehaves when it is told to, counts.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::body::{self, BodyError, Reply};
use crate::misbehave::{Judge, Misbehaviour, Plan, What};
use crate::stand_in::{Protocol, StandIn, Told};
use crate::tally::Stats;

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
    /// What it thinks of single events.
    pub judge: Option<Judge>,
    /// HEC: a body over the limit is answered with code 6 naming the first event, as a hosted collector was measured to.
    pub names_first_when_too_large: bool,
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
            judge: None,
            names_first_when_too_large: false,
            misbehaviour: Vec::new(),
        }
    }
}

/// A running stand-in. Dropping it closes its port and every connection.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Receiver {
    /// Listens, on the current runtime.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            stand_in: StandIn::new(&options),
            max_body_bytes: options.max_body_bytes,
            plan: Mutex::new(Plan::new(options.misbehaviour)),
            started: Instant::now(),
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
        self.shared.stand_in.stats()
    }

    /// Whether it has taken the event with this id.
    pub fn has(&self, id: &base::EventId) -> bool {
        self.shared.stand_in.has(id)
    }

    /// Forgets that it has taken the event with this id, as a cluster that lost it.
    pub fn forget(&self, id: &base::EventId) {
        self.shared.stand_in.forget(id);
    }

    /// Forgets every acknowledgement, as an indexer that restarts.
    pub fn forget_acknowledgements(&self) {
        self.shared.stand_in.restart(self.shared.now());
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
    stand_in: StandIn,
    max_body_bytes: usize,
    plan: Mutex<Plan>,
    started: Instant,
}

impl Shared {
    /// The time since the start.
    fn now(&self) -> Duration {
        self.started.elapsed()
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

fn response(told: Told, breaks_off: bool) -> Response<Reply> {
    let reply = if breaks_off { Reply::broken_off(told.body) } else { Reply::new(told.body) };
    let mut response = Response::new(reply);
    *response.status_mut() = told.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = told.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Reply>> {
        let (parts, incoming) = request.into_parts();
        if let Protocol::HecHealth | Protocol::Unknown(_) = Protocol::of(&parts) {
            return Ok(response(self.stand_in.answer(&parts, b"", None, self.now()), false));
        }
        let body = body::whole(incoming, self.max_body_bytes).await;
        let body = match parts.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            Some(b"gzip") => body.and_then(|packed| body::gunzip(&packed, self.max_body_bytes)),
            _ => body,
        };
        if let Protocol::Setup | Protocol::Search | Protocol::HecAck = Protocol::of(&parts) {
            let body = body.unwrap_or_default();
            return Ok(response(self.stand_in.answer(&parts, &body, None, self.now()), false));
        }
        let what = self.plan.lock().next();
        let refused = |n_bytes: usize| {
            self.stand_in.tally.request(n_bytes);
            self.stand_in.tally.refused();
        };
        match (&what, &body) {
            (Some(What::Close), _) => {
                refused(body.as_ref().map_or(0, bytes::Bytes::len));
                return Err(io::Error::other("closed as told"));
            }
            (Some(What::Hang), _) => {
                refused(body.as_ref().map_or(0, bytes::Bytes::len));
                std::future::pending::<()>().await;
            }
            (_, Err(_)) => refused(0),
            (_, Ok(_)) => {}
        }
        let told = match body {
            Ok(body) => self.stand_in.answer(&parts, &body, what.as_ref(), self.now()),
            Err(BodyError::TooLarge) => Told::new(StatusCode::PAYLOAD_TOO_LARGE, ""),
            Err(BodyError::NotGzip) => self.stand_in.malformed("the body is not gzip"),
            Err(BodyError::Lost(error)) => return Err(error),
        };
        match what {
            Some(What::TakeAndHang) => std::future::pending::<()>().await,
            Some(What::Slow(delay)) => tokio::time::sleep(delay).await,
            Some(What::TakeAndCloseMidAnswer) => return Ok(response(told, true)),
            _ => {}
        }
        Ok(response(told, false))
    }
}
