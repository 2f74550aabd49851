//! Erasure (privacy law): every stored event of a subject, or one event, is made unreadable at once, then its bytes go.
//!
//! A request is a document in the catalog with its audit note, so that it goes on after a restart. It never holds the
//! subject in the open: while it is searched for, it is sealed; afterwards only a digest is left. The events' digests stay
//! in the journal, so that it still verifies.

mod search;

use std::collections::HashSet;
use std::sync::Arc;

use base::{Clock, EventId, Random, Secret, Timestamp};
use catalog::{Catalog, CatalogError, Document, Found, KeyError, Keyring, Note, Sealed};
use event::{Stream, StreamSet};
use journal::local::LocalJournal;
use journal::signing::to_hex;
use journal::{Block, ConsumerName, Journal, JournalError, Offset, ReadRange};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use self::search::{Wanted, event_of};
use crate::told::{after, note};

/// Bytes that are searched between two looks at the clock.
const CHUNK: usize = 4 << 20;
/// Most events of one request.
const MAX_EVENTS: usize = 250_000;

/// Whose events are erased.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Every event in which a value is this text, in whatever case.
    Named(Secret),
    /// The event with this id.
    Event(EventId),
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Progress {
    /// The journal is searched.
    Searching,
    /// Nobody reads the events any more; their bytes are being removed.
    Erasing,
    /// The bytes are gone.
    Done,
    /// Too many events were found, or none could be looked for any more. Nothing was erased.
    Refused,
}

/// What a destination's consumer has had of the events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// The consumer.
    pub consumer: String,
    /// Events that it was done with: they are at the destination, unless its settings left them out.
    pub done: u64,
    /// Events that it was not done with. They are not sent any more, but for what was under way.
    pub pending: u64,
}

/// A request, as the catalog keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// Its id.
    pub id: String,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// `subject` or `event`.
    pub kind: String,
    /// SHA-256 of the id of this request, a line feed, and the text, in lower case: whoever knows the text can tell that
    /// it was this request.
    pub digest: String,
    /// Only count.
    pub is_dry_run: bool,
    /// How far it is.
    pub progress: Progress,
    /// Events that were found, copies in quarantine included.
    pub n_events: u64,
    /// What destinations have had of them.
    pub received: Vec<Received>,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// While it is searched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Sealed>,
    /// The first block that was not searched for the events, while copies that were made of them meanwhile are still to be
    /// searched from it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    copies_from: Option<u64>,
    /// Where the events lie, while they are erased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    offsets: Vec<(u64, u32)>,
}

impl Document for Erasure {
    const KIND: &'static str = "erasure";
}

/// Why a request could not be made or carried out.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The text cannot be sealed or opened.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Carries requests out.
#[derive(Clone)]
pub struct Erasures {
    /// What is erased from.
    pub journal: Arc<LocalJournal>,
    /// Where requests are kept.
    pub catalog: Catalog,
    /// Seals subjects.
    pub keyring: Arc<Keyring>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids.
    pub random: Arc<Random>,
}

impl Subject {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Named(_) => "subject",
            Self::Event(_) => "event",
        }
    }

    fn text(&self) -> Secret {
        match self {
            Self::Named(text) => text.clone(),
            Self::Event(id) => Secret::new(id.to_string()),
        }
    }
}

fn place(id: &str) -> String {
    format!("{}/{id}/sealed", Erasure::KIND)
}

fn digest(id: &str, text: &Secret) -> String {
    let text = text.expose().to_ascii_lowercase();
    to_hex(&<[u8; 32]>::from(Sha256::digest(format!("{id}\n{text}"))))
}

impl Erasures {
    /// Makes a request. `note` makes its audit log from it. It is carried out with [`Erasures::carry_out`].
    pub fn request(
        &self,
        id: String,
        subject: &Subject,
        is_dry_run: bool,
        note: impl FnOnce(&Erasure) -> Note,
    ) -> Result<Erasure, ErasureError> {
        let text = subject.text();
        let erasure = Erasure {
            requested_at: self.clock.now(),
            kind: subject.kind().to_owned(),
            digest: digest(&id, &text),
            is_dry_run,
            progress: Progress::Searching,
            n_events: 0,
            received: Vec::new(),
            finished_at: None,
            sealed: Some(self.keyring.seal(&text, &place(&id), &self.random)?),
            copies_from: None,
            offsets: Vec::new(),
            id,
        };
        let note = note(&erasure);
        self.catalog.create(&erasure.id, &erasure, Some(note))?;
        Ok(erasure)
    }

    /// Hides the events of requests that a restart has interrupted. To be called before anybody reads.
    pub fn hide_again(&self) {
        for erasure in self.open_ones() {
            self.journal.hide(&offsets(&erasure.offsets));
        }
    }

    /// The requests that are not done, oldest first.
    pub fn open(&self) -> Vec<String> {
        self.open_ones().into_iter().map(|erasure| erasure.id).collect()
    }

    fn open_ones(&self) -> Vec<Erasure> {
        let mut open = Vec::new();
        for (id, found) in self.catalog.list_each::<Erasure>() {
            match found {
                Ok(Found { value, .. })
                    if matches!(value.progress, Progress::Searching | Progress::Erasing) =>
                {
                    open.push(value);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(id, %error, "an erasure cannot be read, and is not carried out");
                }
            }
        }
        open
    }

    /// Carries a request out to its end, from wherever it is. `stand_still` is called once nobody reads the events any more,
    /// if there are any. When it returns, whoever had read them before has forgotten them, and nobody reads on until its
    /// value is dropped.
    pub async fn carry_out<F: Future>(
        &self,
        id: &str,
        stand_still: impl FnOnce() -> F,
    ) -> Result<(), ErasureError> {
        let mut found = self.catalog.get::<Erasure>(id)?;
        let (mut hits, mut events) = (Vec::new(), HashSet::new());
        if found.value.progress == Progress::Searching {
            let searched = match self.wanted(&found.value)? {
                Some(wanted) => {
                    self.search(wanted, Stream::ALL.into_iter().collect(), 0, MAX_EVENTS, &mut events).await?
                }
                None => None,
            };
            (found, hits) = self.searched(found, searched).await?;
        }
        if let Some(from) = found.value.copies_from {
            let still = stand_still().await;
            // What was in flight has been answered. After a restart nobody had read it: then it is as it was noted before.
            if !hits.is_empty() {
                found.value.received = self.received(&hits);
            }
            drop(still);
            let copies = match self.wanted(&found.value)? {
                // Any number: they are of what workers held, which is bounded.
                Some(wanted) => {
                    self.search(
                        wanted,
                        StreamSet::from_iter([Stream::Quarantine]),
                        from,
                        usize::MAX,
                        &mut events,
                    )
                    .await?
                }
                None => None,
            };
            found = self.all_found(found, copies).await?;
        }
        if found.value.progress == Progress::Erasing {
            self.journal.erase(&offsets(&found.value.offsets)).await?;
            let erasure = Erasure {
                progress: Progress::Done,
                offsets: Vec::new(),
                finished_at: Some(self.clock.now()),
                ..found.value
            };
            self.save(erasure, found.revision, Some("Erased")).await?;
        }
        Ok(())
    }

    /// What is looked for; `None` when it is not known any more.
    fn wanted(&self, erasure: &Erasure) -> Result<Option<Wanted>, ErasureError> {
        let Some(sealed) = &erasure.sealed else { return Ok(None) };
        let text = self.keyring.open(sealed, &place(&erasure.id))?;
        Ok(match erasure.kind.as_str() {
            "event" => EventId::parse(text.expose()).ok().map(Wanted::Event),
            _ => Some(Wanted::subject(text.expose())),
        })
    }

    /// Where the wanted records lie, and the first block that was not searched; `None` when they are too many.
    /// `events` are those that were found: what became of a copy in quarantine is told later, and need not name the subject.
    async fn search(
        &self,
        wanted: Wanted,
        streams: StreamSet,
        mut from: u64,
        max: usize,
        events: &mut HashSet<EventId>,
    ) -> Result<Option<Searched>, JournalError> {
        let wanted = Arc::new(wanted);
        let mut hits = Vec::new();
        loop {
            let range = ReadRange { streams, from, until: u64::MAX, max_bytes: CHUNK };
            let blocks = self.journal.read(range).await?;
            let Some(last) = blocks.last() else { return Ok(Some(Searched { hits, until: from })) };
            from = last.sequence() + 1;
            let (wanted, known) = (Arc::clone(&wanted), std::mem::take(events));
            let found = in_background(move || hits_in(&blocks, &wanted, known)).await;
            hits.extend(found.0);
            *events = found.1;
            if hits.len() > max {
                return Ok(None);
            }
        }
    }

    /// Hides what was found, and keeps where it lies.
    async fn searched(
        &self,
        found: Found<Erasure>,
        searched: Option<Searched>,
    ) -> Result<(Found<Erasure>, Vec<Hit>), ErasureError> {
        let Found { value, revision } = found;
        let finished_at = Some(self.clock.now());
        let sealed = None;
        let Some(Searched { hits, until }) = searched else {
            let erasure = Erasure { progress: Progress::Refused, finished_at, sealed, ..value };
            return Ok((self.save(erasure, revision, Some("Found")).await?, Vec::new()));
        };
        let value = Erasure { n_events: hits.len() as u64, received: self.received(&hits), ..value };
        if value.is_dry_run || hits.is_empty() {
            let erasure = Erasure { progress: Progress::Done, finished_at, sealed, ..value };
            return Ok((self.save(erasure, revision, Some("Found")).await?, hits));
        }
        let offsets = hits.iter().map(Hit::place).collect();
        let erasure = Erasure { progress: Progress::Erasing, copies_from: Some(until), offsets, ..value };
        self.journal.hide(&self::offsets(&erasure.offsets));
        Ok((self.save(erasure, revision, None).await?, hits))
    }

    /// Hides the copies too, and notes what was found. The subject is forgotten.
    async fn all_found(
        &self,
        found: Found<Erasure>,
        copies: Option<Searched>,
    ) -> Result<Found<Erasure>, ErasureError> {
        let Found { mut value, revision } = found;
        let copies = copies.map(|searched| searched.hits).unwrap_or_default();
        value.offsets.extend(copies.iter().map(Hit::place));
        self.journal.hide(&offsets(&value.offsets));
        let n_events = value.offsets.len() as u64;
        let erasure = Erasure { n_events, sealed: None, copies_from: None, ..value };
        self.save(erasure, revision, Some("Found")).await
    }

    /// Stores how far it is, away from the async threads. `what`: what the audit log says has been done.
    async fn save(
        &self,
        erasure: Erasure,
        revision: u64,
        what: Option<&str>,
    ) -> Result<Found<Erasure>, ErasureError> {
        let note = what.map(|what| {
            let changes = json!([
                after("/progress", serde_json::to_value(erasure.progress).unwrap_or_default()),
                after("/events", erasure.n_events),
                after("/dryRun", erasure.is_dry_run),
                after("/digest", erasure.digest.clone()),
            ]);
            note(what, "Erasure", &erasure.id, changes, (self.clock.now(), &self.random))
        });
        let catalog = self.catalog.clone();
        in_background(move || {
            let revision = catalog.replace(&erasure.id, &erasure, revision, note)?;
            Ok(Found { value: erasure, revision })
        })
        .await
    }

    fn received(&self, hits: &[Hit]) -> Vec<Received> {
        let blocks: Vec<_> = hits.iter().map(|hit| (hit.offset.block, hit.stream)).collect();
        let of = |consumer: &ConsumerName, blocks: &[(usize, bool)]| {
            let done = blocks.iter().filter(|(_, is_settled)| *is_settled).count() as u64;
            let pending = blocks.len() as u64 - done;
            Received { consumer: consumer.as_str().to_owned(), done, pending }
        };
        let settled = self.journal.settled_by(&blocks);
        settled.iter().map(|by| of(&by.consumer, &by.blocks)).collect()
    }
}

/// What a search has found.
struct Searched {
    hits: Vec<Hit>,
    /// The first block that was not searched.
    until: u64,
}

struct Hit {
    offset: Offset,
    stream: Stream,
}

impl Hit {
    /// Where it lies, as the catalog keeps it.
    const fn place(&self) -> (u64, u32) {
        (self.offset.block, self.offset.index)
    }
}

fn hits_in(
    blocks: &[Arc<Block>],
    wanted: &Wanted,
    mut events: HashSet<EventId>,
) -> (Vec<Hit>, HashSet<EventId>) {
    let mut hits = Vec::new();
    for block in blocks {
        for (offset, record) in block.records() {
            let event = event_of(&record);
            if wanted.is_in(&record) || (block.stream() == Stream::Quarantine && events.contains(&event)) {
                events.insert(event);
                hits.push(Hit { offset, stream: block.stream() });
            }
        }
    }
    (hits, events)
}

fn offsets(places: &[(u64, u32)]) -> Vec<Offset> {
    places.iter().map(|(block, index)| Offset { block: *block, index: *index }).collect()
}

/// Work that would hold up an async thread. A panic in it goes on here.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this with it.
            Err(_) => std::future::pending().await,
        },
    }
}
