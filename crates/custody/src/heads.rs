//! Signed heads: at intervals the last durable block is signed, and told as an audit log, so that it leaves the machine.
//!
//! The newest head is kept in the catalog too: a journal that is older than its own head is noticed at the start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Random, Timestamp};
use catalog::{Catalog, CatalogError, Document, Note};
use journal::local::{KnownHead, LocalJournal};
use journal::signing::{PublicKey, SignedHead, SigningKey, from_hex, to_hex};
use journal::{Journal, JournalError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::OURSELVES;
use crate::told::{after, note};

/// The only document of its kind.
const ID: &str = "1";

/// What heads are called in audit logs.
pub const ENTITY_TYPE: &str = "JournalHead";

/// A signed head as text: in the catalog, and the value `/head` of its audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadText {
    /// The writer: always 0.
    pub lane: u16,
    /// The last durable block.
    pub sequence: u64,
    /// Its hash, 64 hex digits.
    pub block_hash: String,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// 64 hex digits.
    pub public_key: String,
    /// 128 hex digits.
    pub signature: String,
}

impl Document for HeadText {
    const KIND: &'static str = "journalHead";
}

impl From<&SignedHead> for HeadText {
    fn from(head: &SignedHead) -> Self {
        Self {
            lane: 0,
            sequence: head.sequence,
            block_hash: to_hex(&head.hash),
            signed_at: head.at,
            public_key: head.public_key.to_string(),
            signature: to_hex(&head.signature),
        }
    }
}

impl HeadText {
    /// The head, when every member has its form.
    pub fn parse(&self) -> Option<SignedHead> {
        Some(SignedHead {
            sequence: self.sequence,
            hash: from_hex(&self.block_hash)?,
            at: self.signed_at,
            public_key: PublicKey::from_text(&self.public_key)?,
            signature: from_hex(&self.signature)?,
        })
    }
}

/// Why a head could not be signed, or the journal is not the one that it was.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The journal ends before its own head.
    #[error(
        "the journal ends with block {ends_with}, but block {sequence} was signed on {signed_at}: an older copy of the \
         journal, or another one, is in its place; put the right one back, or see what is missing with idstream journal \
         repair"
    )]
    Older {
        /// Its last block.
        ends_with: u64,
        /// The block that was signed.
        sequence: u64,
        /// When.
        signed_at: Timestamp,
    },
    /// A block is not the one that was signed.
    #[error(
        "block {sequence} of the journal is not the one that was signed on {signed_at}: its history was changed, or \
         another journal is in its place; idstream journal verify says more"
    )]
    Other {
        /// The block.
        sequence: u64,
        /// When it was signed.
        signed_at: Timestamp,
    },
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// The newest head that the catalog knows.
pub fn newest(catalog: &Catalog) -> Result<Option<SignedHead>, CatalogError> {
    match catalog.get::<HeadText>(ID) {
        Ok(found) => Ok(found.value.parse()),
        Err(CatalogError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The block that the journal must have, by the catalog.
pub fn known(catalog: &Catalog) -> Result<Option<KnownHead>, CatalogError> {
    let head = newest(catalog)?;
    Ok(head
        .filter(|head| head.sequence > 0)
        .map(|head| KnownHead { sequence: head.sequence, hash: head.hash }))
}

/// Fails when the journal is older than its newest head, or another one.
pub async fn check(journal: &LocalJournal, catalog: &Catalog) -> Result<(), HeadError> {
    let Some(head) = newest(catalog)? else { return Ok(()) };
    let (sequence, signed_at) = (head.sequence, head.at);
    let ends_with = journal.head().next - 1;
    if ends_with < sequence {
        return Err(HeadError::Older { ends_with, sequence, signed_at });
    }
    match journal.hash_of(sequence).await {
        Ok(Some(hash)) if hash != head.hash && sequence > 0 => Err(HeadError::Other { sequence, signed_at }),
        // It was dropped since, or cannot be read: that is told where it matters, and is nobody's forgery.
        Ok(_) | Err(JournalError::Damaged(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Who signs, and where.
#[derive(Clone)]
pub struct Signer {
    /// The journal.
    pub journal: Arc<LocalJournal>,
    /// Where the newest head is kept, and its note.
    pub catalog: Catalog,
    /// The key.
    pub key: Arc<SigningKey>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws the ids of the audit logs.
    pub random: Arc<Random>,
}

impl Signer {
    /// Signs the last durable block, and leaves a note of it in the catalog. `None` when nothing has come since the last
    /// time. Durable when it returns.
    pub async fn sign(&self) -> Result<Option<SignedHead>, HeadError> {
        let sequence = self.journal.head().next - 1;
        let before = match self.catalog.get::<HeadText>(ID) {
            Ok(found) => Some(found),
            Err(CatalogError::NotFound) => None,
            Err(error) => return Err(error.into()),
        };
        if before.as_ref().map_or(0, |before| before.value.sequence) == sequence {
            return Ok(None);
        }
        let Some(hash) = self.journal.hash_of(sequence).await? else { return Ok(None) };
        let now = self.clock.now();
        let head = self.key.sign_head(sequence, hash, now);
        let text = HeadText::from(&head);
        let note = self.note(&text, now);
        let catalog = self.catalog.clone();
        let stored = tokio::task::spawn_blocking(move || match before {
            None => catalog.create(ID, &text, Some(note)),
            Some(before) => catalog.replace(ID, &text, before.revision, Some(note)),
        });
        stored.await.unwrap_or(Err(CatalogError::Conflict))?;
        Ok(Some(head))
    }

    fn note(&self, head: &HeadText, now: Timestamp) -> Note {
        let changes = json!([after("/head", serde_json::to_value(head).unwrap_or_default())]);
        note("Sign", ENTITY_TYPE, &format!("block {}", head.sequence), changes, (now, &self.random))
    }

    async fn sign_or_say(&self) {
        match self.sign().await {
            Ok(Some(head)) => tracing::debug!(sequence = head.sequence, "the journal's head was signed"),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "the journal's head could not be signed; trying again later");
            }
        }
    }
}

/// Signs now, then at every interval, and once more when `stop` turns true.
pub async fn run(signer: Signer, every: Duration, mut stop: watch::Receiver<bool>) {
    loop {
        signer.sign_or_say().await;
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = tokio::time::sleep(every) => {}
        }
    }
    signer.sign_or_say().await;
}

/// Deeper values are not looked at.
const MAX_DEPTH: usize = 12;

/// Finds every signed head in a JSON value, wherever it stands: exports wrap documents in envelopes of their own, and put
/// them into texts.
///
/// Documents whose `sourceId` is not idstream's are left out, and how many of them hold a head is returned: any API client
/// that posts events can put something like a head into one. The outermost `sourceId` counts, since the server writes it;
/// what stands deeper is the poster's. What has none, such as a head alone, is taken.
pub fn find(value: &Value, found: &mut BTreeMap<(u64, Timestamp), SignedHead>) -> u64 {
    let mut n_foreign = 0;
    search(value, &Place::default(), &mut |seen| match seen {
        Seen::Head(value) => {
            if let Some(head) =
                serde_json::from_value::<HeadText>(value.clone()).ok().and_then(|text| text.parse())
            {
                found.insert((head.sequence, head.at), head);
            }
        }
        Seen::Foreign(document) => n_foreign += u64::from(holds_head(document)),
    });
    n_foreign
}

fn holds_head(document: &Value) -> bool {
    let mut holds = false;
    search(document, &Place { depth: 0, is_ours: true }, &mut |_| holds = true);
    holds
}

/// Where a search is.
#[derive(Clone, Copy, Default)]
struct Place {
    depth: usize,
    /// It is in a document of idstream's.
    is_ours: bool,
}

enum Seen<'v> {
    /// Has the members of a head.
    Head(&'v Value),
    /// A document that somebody else posted. What is in it is not searched.
    Foreign(&'v Value),
}

fn search(value: &Value, place: &Place, each: &mut impl FnMut(Seen<'_>)) {
    if place.depth > MAX_DEPTH {
        return;
    }
    let mut inner = Place { depth: place.depth + 1, ..*place };
    match value {
        Value::Object(members) => {
            if let Some(source) = members.get("sourceId").filter(|_| !place.is_ours) {
                if !is_ourselves(source) {
                    return each(Seen::Foreign(value));
                }
                inner.is_ours = true;
            }
            if members.contains_key("blockHash") && members.contains_key("signature") {
                each(Seen::Head(value));
            }
            members.values().for_each(|member| search(member, &inner, each));
        }
        Value::Array(items) => items.iter().for_each(|item| search(item, &inner, each)),
        Value::String(text) if text.contains("blockHash") => {
            if let Ok(decoded) = serde_json::from_str::<Value>(text) {
                search(&decoded, &inner, each);
            }
        }
        _ => {}
    }
}

/// Whether a `sourceId` is idstream's own. Splunk exports a field that it has extracted twice as a list.
fn is_ourselves(source: &Value) -> bool {
    match source {
        Value::Array(values) => !values.is_empty() && values.iter().all(|value| value == OURSELVES),
        value => value == OURSELVES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_in_the_envelopes_of_exports() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let at = Timestamp::from_millis(1_800_000_000_000).unwrap();
        let head = key.sign_head(9, [1; 32], at);
        let document = json!({"eventID": "x", "changes": [after("/head", serde_json::to_value(HeadText::from(&head)).unwrap())]});
        for exported in [
            document.clone(),
            json!({"_source": document}),
            json!({"result": {"_raw": document.to_string()}}),
            json!([{"event": document}]),
        ] {
            let mut found = BTreeMap::new();
            find(&exported, &mut found);
            assert_eq!(found.into_values().collect::<Vec<_>>(), [head], "{exported}");
        }
    }

    #[test]
    fn what_others_posted_is_left_out_and_counted_wherever_they_say_that_it_is_ours() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let head = key.sign_head(9, [1; 32], Timestamp::from_millis(1_800_000_000_000).unwrap());
        let head = serde_json::to_value(HeadText::from(&head)).unwrap();
        let count = |exported: Value| {
            let mut found = BTreeMap::new();
            (find(&exported, &mut found), found.len())
        };
        for source in [json!("idstream"), json!(["idstream", "idstream"])] {
            let document = json!({"sourceId": source, "changes": [after("/head", head.clone())]});
            assert_eq!(count(document.clone()), (0, 1));
            assert_eq!(count(json!({"_source": document})), (0, 1));
        }
        let inner = json!({"sourceId": "idstream", "head": head});
        for source in [json!("shop"), json!(["idstream", "shop"]), json!([]), json!(7), json!(null)] {
            let forged = json!({"sourceId": source, "changes": [after("/head", inner.clone())]});
            assert_eq!(count(forged.clone()), (1, 0), "{forged}");
            assert_eq!(count(json!([{"_source": forged}, inner.clone()])), (1, 1), "{forged}");
            assert_eq!(count(json!({"result": {"_raw": forged.to_string()}})), (1, 0), "{forged}");
        }
        assert_eq!(count(json!({"sourceId": "shop", "name": "no head"})), (0, 0));
    }
}
