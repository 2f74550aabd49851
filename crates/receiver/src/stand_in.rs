//! A stand-in without a socket: a request goes in, an answer comes out. Time is a parameter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::EventId;
use http::request::Parts;
use http::{Method, StatusCode};
use parking_lot::Mutex;

use crate::acks::Acks;
use crate::bulk::{self, Item};
use crate::door;
use crate::hec::{self, Said};
use crate::misbehave::{Judge, Judgement, What};
use crate::plain;
use crate::reading::{Piece, Reading};
use crate::search;
use crate::server::{OnEvent, Options};
use crate::tally::{Stats, Tally};

/// Who is spoken to, by method and path.
pub(crate) enum Protocol {
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
    pub(crate) fn of(parts: &Parts) -> Self {
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The status.
    pub status: StatusCode,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// The body, JSON unless it was told to be something else.
    pub body: String,
}

impl Told {
    pub(crate) fn new(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, retry_after: None, body: body.into() }
    }

    pub(crate) fn hec(said: Said) -> Self {
        let (status, body) = said.answer();
        Self::new(status, body)
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.status.is_client_error() || self.status.is_server_error()
    }
}

/// What a cluster answers to a wrong credential.
fn unauthenticated() -> Told {
    let refusal = ("security_exception", "unable to authenticate".to_owned());
    Told::new(StatusCode::UNAUTHORIZED, bulk::refusal(&refusal, 401))
}

/// A receiver without a socket.
pub struct StandIn {
    token: Option<String>,
    checks: bool,
    max_body_bytes: usize,
    names_first_when_too_large: bool,
    acks: Acks,
    on_event: Option<OnEvent>,
    judge: Option<Judge>,
    n_items: Mutex<u64>,
    pub(crate) tally: Tally,
}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandIn").field("tally", &self.tally).finish_non_exhaustive()
    }
}

impl StandIn {
    /// A stand-in that behaves as its options say; the address and what goes wrong from the start are left to whoever calls
    /// it.
    pub fn new(options: &Options) -> Self {
        Self {
            token: options.token.clone(),
            checks: options.check,
            max_body_bytes: options.max_body_bytes,
            names_first_when_too_large: options.names_first_when_too_large,
            acks: Acks::new(options.acknowledges_after),
            on_event: options.on_event.as_ref().map(Arc::clone),
            judge: options.judge.as_ref().map(Arc::clone),
            n_items: Mutex::new(0),
            tally: Tally::default(),
        }
    }

    /// What it has seen so far.
    pub fn stats(&self) -> Stats {
        self.tally.stats()
    }

    /// Forgets that it has taken the event with this id, as a cluster that lost it.
    pub fn forget(&self, id: &EventId) {
        self.tally.forget(id);
    }

    /// Whether it has taken the event with this id.
    pub fn has(&self, id: &EventId) -> bool {
        self.tally.has(id)
    }

    /// How often the event with this id was stored: at once, or with indexer acknowledgement some time after it was taken.
    /// `now` is the time since the start.
    pub fn n_stored(&self, id: EventId, now: Duration) -> u64 {
        self.acks.n_stored(id, now)
    }

    /// Restarts as an indexer does: what is not stored is lost, and so is every acknowledgement.
    pub fn restart(&self, now: Duration) {
        self.acks.forget(now);
    }

    /// Answers a request, whose body is unpacked. `now` is the time since the start; `what` happens to it.
    pub fn answer(&self, parts: &Parts, body: &[u8], what: Option<&What>, now: Duration) -> Told {
        match Protocol::of(parts) {
            Protocol::HecHealth => return Told::hec(Said { code: 17, number: None }),
            Protocol::Unknown(status) => {
                let body = format!("{{\"text\":\"not served here\",\"code\":{}}}", status.as_u16());
                return Told::new(status, body);
            }
            Protocol::Setup => return self.setup(parts, body),
            Protocol::Search => return self.search(parts, body),
            Protocol::HecAck => return self.acks(parts, body, now),
            Protocol::Hec | Protocol::Bulk { .. } | Protocol::Plain => {}
        }
        self.tally.request(body.len());
        let told = self.told(parts, body, what, now);
        if told.is_error() {
            self.tally.refused();
        }
        told
    }

    pub(crate) fn malformed(&self, what: &str) -> Told {
        self.tally.malformed(what);
        Told::hec(Said { code: 6, number: None })
    }

    fn told(&self, parts: &Parts, body: &[u8], what: Option<&What>, now: Duration) -> Told {
        if let Some(What::Answer { status, retry_after, body }) = what {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Told { status, retry_after: *retry_after, body: body.clone() };
        }
        match Protocol::of(parts) {
            Protocol::Hec => self.hec(parts, body, what, now),
            Protocol::Bulk { url_names_index } => self.bulk(parts, body, url_names_index, what),
            _ => self.plain(parts, body),
        }
    }

    /// The first event of a request that is judged so.
    fn first_judged(&self, pieces: &[Piece<'_>], judgement: Judgement) -> Option<usize> {
        let judge = self.judge.as_ref()?;
        pieces.iter().position(|piece| piece.id.is_some_and(|id| judge(id) == judgement))
    }

    fn hec(&self, parts: &Parts, body: &[u8], what: Option<&What>, now: Duration) -> Told {
        if let Err(outside) = door::hec(&parts.headers, self.token.as_deref()) {
            return Told::hec(Said { code: outside.hec_code(), number: None });
        }
        let channel = match self.acks.channel(parts) {
            Ok(channel) => channel,
            Err(code) => return Told::hec(Said { code, number: None }),
        };
        if body.len() > self.max_body_bytes {
            return self.too_large();
        }
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
            Some(What::HecWrongIndex(at)) if *at < reading.pieces.len() => {
                // As measured: the number is that of the object after the bad one.
                said = Said { code: 7, number: Some(*at + 1) };
                reading.pieces.truncate(*at);
            }
            _ => {}
        }
        if let Some(told) = self.hec_judged(&mut reading, &mut said) {
            return told;
        }
        self.take(&reading.pieces);
        let ids = reading.pieces.iter().filter_map(|piece| piece.id).collect();
        let is_kept = !matches!(what, Some(What::NeverStored));
        let ack = if reading.pieces.is_empty() { None } else { self.acks.take(channel, ids, is_kept, now) };
        let (status, body) = said.answer_with(ack);
        Told::new(status, body)
    }

    /// What a collector says of events that are judged, in their order; `None`: go on with what is left of the reading.
    fn hec_judged(&self, reading: &mut Reading<'_>, said: &mut Said) -> Option<Told> {
        if self.first_judged(&reading.pieces, Judgement::Stumbles).is_some() {
            return Some(Told::hec(Said { code: 8, number: None }));
        }
        if self.first_judged(&reading.pieces, Judgement::UnfitWhole).is_some() {
            return Some(Told::hec(Said { code: 6, number: None }));
        }
        if let Some(at) = self.first_judged(&reading.pieces, Judgement::Unfit) {
            *said = Said { code: 6, number: Some(at) };
            reading.pieces.truncate(at);
        }
        None
    }

    /// A body over the limit: 413, or code 6 naming the first event.
    fn too_large(&self) -> Told {
        if self.names_first_when_too_large {
            Told::hec(Said { code: 6, number: Some(0) })
        } else {
            Told::new(StatusCode::PAYLOAD_TOO_LARGE, "")
        }
    }

    /// What a question about acknowledgements is answered. It is no request that carries events.
    fn acks(&self, parts: &Parts, body: &[u8], now: Duration) -> Told {
        if let Err(outside) = door::hec(&parts.headers, self.token.as_deref()) {
            return Told::hec(Said { code: outside.hec_code(), number: None });
        }
        match self.acks.tell(parts, body, now) {
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
        let Some(answer) = search::answer(body, index, |id| self.tally.has(id)) else {
            let refusal = ("parsing_exception", "only ids can be searched for here".to_owned());
            return Told::new(StatusCode::BAD_REQUEST, bulk::refusal(&refusal, 400));
        };
        Told::new(StatusCode::OK, answer)
    }

    fn bulk(&self, parts: &Parts, body: &[u8], url_names_index: bool, what: Option<&What>) -> Told {
        if door::other(&parts.headers, self.token.as_deref()).is_err() {
            return unauthenticated();
        }
        if body.len() > self.max_body_bytes {
            return Told::new(StatusCode::PAYLOAD_TOO_LARGE, "");
        }
        let (mut reading, failures) = match bulk::read(body, url_names_index, self.checks) {
            Ok(read) => read,
            Err(refusal) => {
                self.tally.malformed(refusal.1.clone());
                return Told::new(StatusCode::BAD_REQUEST, bulk::refusal(&refusal, 400));
            }
        };
        self.tally.problems(std::mem::take(&mut reading.problems));
        if self.first_judged(&reading.pieces, Judgement::Stumbles).is_some() {
            let refusal = ("null_pointer_exception", "a shard stumbled".to_owned());
            return Told::new(StatusCode::INTERNAL_SERVER_ERROR, bulk::refusal(&refusal, 500));
        }
        if self.first_judged(&reading.pieces, Judgement::UnfitWhole).is_some() {
            let refusal = ("x_content_parse_exception", "one document fails its whole request".to_owned());
            return Told::new(StatusCode::BAD_REQUEST, bulk::refusal(&refusal, 400));
        }
        let failed: Vec<Option<Item<'_>>> = reading
            .pieces
            .iter()
            .zip(failures)
            .map(|(piece, failure)| self.failed(*piece, failure, what))
            .collect();
        let taken = reading.pieces.iter().zip(&failed).filter(|(_, failed)| failed.is_none());
        let (diverted, pieces): (Vec<Piece<'_>>, Vec<_>) =
            taken.map(|(piece, _)| *piece).partition(|piece| self.judgement(piece) == Judgement::Diverted);
        self.take(&diverted);
        let mut news = self.take(&pieces).into_iter();
        let is_diverted = |piece: &Piece<'_>| self.judgement(piece) == Judgement::Diverted;
        let mut items: Vec<Item<'_>> = failed
            .into_iter()
            .zip(&reading.pieces)
            .map(|(failed, piece)| match failed {
                Some(item) => item,
                None if is_diverted(piece) => Item::Diverted,
                None if news.next().unwrap_or(true) => Item::Created,
                None => Item::Conflict,
            })
            .collect();
        if matches!(what, Some(What::ItemTooMany)) {
            // As Elasticsearch 7.10.2 was seen to: one item more than it was sent.
            items.push(Item::Created);
        }
        Told::new(StatusCode::OK, bulk::answer(&items, &reading, bulk::filter(parts.uri.query())))
    }

    fn judgement(&self, piece: &Piece<'_>) -> Judgement {
        let judge = self.judge.as_ref().zip(piece.id);
        judge.map_or(Judgement::Fine, |(judge, id)| judge(id))
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
        if self.judgement(&piece) == Judgement::Unfit {
            return Some(Item::Failed(400, "mapper_parsing_exception"));
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
        if body.len() > self.max_body_bytes {
            return Told::new(StatusCode::PAYLOAD_TOO_LARGE, "");
        }
        match plain::read(body, self.checks) {
            Ok(reading) if self.first_judged(&reading.pieces, Judgement::Stumbles).is_some() => {
                Told::new(StatusCode::INTERNAL_SERVER_ERROR, "{\"error\":\"stumbled\"}")
            }
            Ok(reading) if self.refuses_one(&reading.pieces) => {
                Told::new(StatusCode::UNPROCESSABLE_ENTITY, "{\"error\":\"unfit\"}")
            }
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

    fn refuses_one(&self, pieces: &[Piece<'_>]) -> bool {
        [Judgement::Unfit, Judgement::UnfitWhole]
            .iter()
            .any(|each| self.first_judged(pieces, *each).is_some())
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
