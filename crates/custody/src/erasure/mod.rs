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
use journal::{ConsumerName, Journal, JournalError, Offset, ReadRange};
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
            offsets: Vec::new(),
            id,
        };
        let note = note(&erasure);
        self.catalog.create(&erasure.id, &erasure, Some(note))?;
        Ok(erasure)
    }

    /// Hides the events of requests that a restart has interrupted, before anybody reads. Answers the requests that are
    /// not done.
    pub fn take_up(&self) -> Vec<String> {
        let mut open = Vec::new();
        for (id, found) in self.catalog.list_each::<Erasure>() {
            match found {
                Ok(Found { value, .. })
                    if matches!(value.progress, Progress::Searching | Progress::Erasing) =>
                {
                    self.journal.hide(&offsets(&value));
                    open.push(id);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(id, %error, "an erasure cannot be read, and is not carried out");
                }
            }
        }
        open
    }

    /// Carries a request out to its end, from wherever it is. `hidden` is called once nobody reads the events any more, if
    /// there are any: whoever has read them before is to forget them.
    pub async fn carry_out(&self, id: &str, hidden: impl FnOnce()) -> Result<(), ErasureError> {
        let mut found = self.catalog.get::<Erasure>(id)?;
        if found.value.progress == Progress::Searching {
            let text = match &found.value.sealed {
                Some(sealed) => Some(self.keyring.open(sealed, &place(id))?),
                None => None,
            };
            let wanted = match (found.value.kind.as_str(), &text) {
                ("event", Some(text)) => EventId::parse(text.expose()).ok().map(Wanted::Event),
                (_, Some(text)) => Some(Wanted::subject(text.expose())),
                (_, None) => None,
            };
            let hits = match &wanted {
                Some(wanted) => self.search(wanted).await?,
                None => None,
            };
            found = self.found(found, hits)?;
        }
        if found.value.progress == Progress::Erasing {
            hidden();
            self.journal.erase(&offsets(&found.value)).await?;
            let erasure = Erasure {
                progress: Progress::Done,
                offsets: Vec::new(),
                finished_at: Some(self.clock.now()),
                ..found.value.clone()
            };
            self.save(&erasure, found.revision, "Erased")?;
        }
        Ok(())
    }

    /// Where the wanted records lie; `None` when they are too many.
    async fn search(&self, wanted: &Wanted) -> Result<Option<Vec<Hit>>, JournalError> {
        let streams: StreamSet = Stream::ALL.into_iter().collect();
        let (mut hits, mut from) = (Vec::new(), 0);
        // What became of a copy in quarantine is told later and need not name the subject itself.
        let mut events = HashSet::new();
        loop {
            let range = ReadRange { streams, from, until: u64::MAX, max_bytes: CHUNK };
            let blocks = self.journal.read(range).await?;
            let Some(last) = blocks.last() else { return Ok(Some(hits)) };
            from = last.sequence() + 1;
            for block in &blocks {
                for (offset, record) in block.records() {
                    let is_wanted = wanted.is_in(&record)
                        || (block.stream() == Stream::Quarantine && events.contains(&event_of(&record)));
                    if is_wanted {
                        events.insert(event_of(&record));
                        hits.push(Hit { offset, stream: block.stream() });
                    }
                }
            }
            if hits.len() > MAX_EVENTS {
                return Ok(None);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Hides what was found, and notes it.
    fn found(&self, found: Found<Erasure>, hits: Option<Vec<Hit>>) -> Result<Found<Erasure>, ErasureError> {
        let Found { value, revision } = found;
        let finished_at = Some(self.clock.now());
        let sealed = None;
        let erasure = match hits {
            None => Erasure { progress: Progress::Refused, finished_at, sealed, ..value },
            Some(hits) => {
                let (n_events, received) = (hits.len() as u64, self.received(&hits));
                let value = Erasure { n_events, received, sealed, ..value };
                if value.is_dry_run || hits.is_empty() {
                    Erasure { progress: Progress::Done, finished_at, ..value }
                } else {
                    let offsets: Vec<_> =
                        hits.iter().map(|hit| (hit.offset.block, hit.offset.index)).collect();
                    let value = Erasure { progress: Progress::Erasing, offsets, ..value };
                    self.journal.hide(&self::offsets(&value));
                    value
                }
            }
        };
        let revision = self.save(&erasure, revision, "Found")?;
        Ok(Found { value: erasure, revision })
    }

    fn save(&self, erasure: &Erasure, revision: u64, what: &str) -> Result<u64, ErasureError> {
        let changes = json!([
            after("/progress", serde_json::to_value(erasure.progress).unwrap_or_default()),
            after("/events", erasure.n_events),
            after("/dryRun", erasure.is_dry_run),
            after("/digest", erasure.digest.clone()),
        ]);
        let note = note(what, "Erasure", &erasure.id, changes, (self.clock.now(), &self.random));
        Ok(self.catalog.replace(&erasure.id, erasure, revision, Some(note))?)
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

struct Hit {
    offset: Offset,
    stream: Stream,
}

fn offsets(erasure: &Erasure) -> Vec<Offset> {
    erasure.offsets.iter().map(|(block, index)| Offset { block: *block, index: *index }).collect()
}
