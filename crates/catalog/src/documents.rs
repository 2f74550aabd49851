//! Typed documents: what the rest of idstream sees of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::store::{Store, StoreError, Stored};

/// A type that its owner keeps in the catalog.
pub trait Document: Serialize + DeserializeOwned {
    /// The kind under which it is stored. Never changes.
    const KIND: &'static str;
}

/// A document and its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// The document.
    pub value: T,
    /// For the next change.
    pub revision: u64,
}

/// Why the catalog did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no such document.
    #[error("there is no such document")]
    NotFound,
    /// The id is taken.
    #[error("the id is taken")]
    Exists,
    /// Somebody else changed it in the meantime: read it again, then decide again.
    #[error("the document was changed in the meantime")]
    Conflict,
    /// What is stored is not a document of its kind: written by a newer idstream, or damaged.
    #[error("the stored {kind} {id} cannot be read")]
    Damaged {
        /// Its kind.
        kind: String,
        /// Its id.
        id: String,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl CatalogError {
    /// Whether the same call may succeed later without anybody's help.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}

/// What is to be told about a change. Its form is its writer's.
pub type Note = serde_json::Value;

/// Notes of one document that have not been told yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    kind: String,
    id: String,
    stored_revision: u64,
    /// The notes, oldest first.
    pub notes: Vec<Note>,
}

/// A document as it is stored: with the notes of its changes, so that no change is stored without its note.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    /// 1 when it is created, one more with every change.
    revision: u64,
    /// Absent when the document is deleted and a note of that has not been told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outbox: Vec<Note>,
}

struct Kept {
    /// What the store compares: it also counts the clearing of notes.
    stored_revision: u64,
    envelope: Envelope,
}

type Documents = BTreeMap<(String, String), Kept>;

/// All documents: read from memory, changed in the store first. Clones share everything.
///
/// A change may carry a [`Note`], stored in one piece with it. Whoever tells notes (in the audit log) reads
/// [`Catalog::untold`], tells them, and clears them with [`Catalog::told`]; a crash in between tells them again.
#[derive(Clone)]
pub struct Catalog {
    store: Arc<dyn Store>,
    documents: Arc<RwLock<Documents>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Catalog {
    /// Loads everything that `store` holds.
    pub fn open(store: Arc<dyn Store>) -> Result<Self, CatalogError> {
        let mut documents = Documents::new();
        for Stored { kind, id, revision, bytes } in store.load().map_err(CatalogError::Store)? {
            let envelope = serde_json::from_slice(&bytes).map_err(|cause| CatalogError::Damaged {
                kind: kind.clone(),
                id: id.clone(),
                cause,
            })?;
            documents.insert((kind, id), Kept { stored_revision: revision, envelope });
        }
        Ok(Self {
            store,
            documents: Arc::new(RwLock::new(documents)),
            changes: Arc::new(watch::Sender::new(0)),
        })
    }

    /// Ticks with every change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// One document.
    pub fn get<T: Document>(&self, id: &str) -> Result<Found<T>, CatalogError> {
        let documents = self.documents.read();
        let kept = documents.get(&place::<T>(id)).ok_or(CatalogError::NotFound)?;
        parse(id, &kept.envelope).unwrap_or(Err(CatalogError::NotFound))
    }

    /// The revision of one document, whether it can be read or not.
    pub fn revision<T: Document>(&self, id: &str) -> Result<u64, CatalogError> {
        let documents = self.documents.read();
        let kept = documents.get(&place::<T>(id)).filter(|kept| kept.envelope.value.is_some());
        kept.map(|kept| kept.envelope.revision).ok_or(CatalogError::NotFound)
    }

    /// All documents of a kind, in order of ids. One that cannot be read fails all.
    pub fn list<T: Document>(&self) -> Result<Vec<Found<T>>, CatalogError> {
        self.list_each().into_iter().map(|(_, found)| found).collect()
    }

    /// All documents of a kind with their ids, in order of ids; one that cannot be read does not hide the others.
    pub fn list_each<T: Document>(&self) -> Vec<(String, Result<Found<T>, CatalogError>)> {
        let documents = self.documents.read();
        documents
            .range(place::<T>("")..)
            .take_while(|((kind, _), _)| kind == T::KIND)
            .filter_map(|((_, id), kept)| Some((id.clone(), parse(id, &kept.envelope)?)))
            .collect()
    }

    /// Stores a new document. Durable when it returns.
    pub fn create<T: Document>(&self, id: &str, value: &T, note: Option<Note>) -> Result<u64, CatalogError> {
        self.put(id, Some(value), 0, note).map_err(|error| match error {
            CatalogError::Conflict => CatalogError::Exists,
            other => other,
        })
    }

    /// Replaces the document that is at revision `expected`. Durable when it returns.
    pub fn replace<T: Document>(
        &self,
        id: &str,
        value: &T,
        expected: u64,
        note: Option<Note>,
    ) -> Result<u64, CatalogError> {
        if expected == 0 {
            return Err(CatalogError::NotFound);
        }
        self.put(id, Some(value), expected, note)
    }

    /// The same with several notes, told in their order.
    pub fn replace_and_tell<T: Document>(
        &self,
        id: &str,
        value: &T,
        expected: u64,
        notes: Vec<Note>,
    ) -> Result<u64, CatalogError> {
        if expected == 0 {
            return Err(CatalogError::NotFound);
        }
        self.put(id, Some(value), expected, notes)
    }

    /// Removes the document that is at revision `expected`. Durable when it returns.
    pub fn delete<T: Document>(
        &self,
        id: &str,
        expected: u64,
        note: Option<Note>,
    ) -> Result<(), CatalogError> {
        if expected == 0 {
            return Err(CatalogError::NotFound);
        }
        self.revision::<T>(id)?;
        self.put::<T>(id, None, expected, note).map(drop)
    }

    /// The notes that have not been told, oldest of each document first.
    pub fn untold(&self) -> Vec<Untold> {
        let documents = self.documents.read();
        let untold = documents.iter().filter(|(_, kept)| !kept.envelope.outbox.is_empty());
        untold
            .map(|((kind, id), kept)| Untold {
                kind: kind.clone(),
                id: id.clone(),
                stored_revision: kept.stored_revision,
                notes: kept.envelope.outbox.clone(),
            })
            .collect()
    }

    /// Clears notes that were told. [`CatalogError::Conflict`] when the document was changed in the meantime: look again.
    pub fn told(&self, untold: &Untold) -> Result<(), CatalogError> {
        let mut documents = self.documents.write();
        let place = (untold.kind.clone(), untold.id.clone());
        let kept = documents.get_mut(&place).ok_or(CatalogError::Conflict)?;
        if kept.stored_revision != untold.stored_revision {
            return Err(CatalogError::Conflict);
        }
        let envelope = Envelope { outbox: Vec::new(), ..kept.envelope.clone() };
        if envelope.value.is_none() {
            self.store.remove(&untold.kind, &untold.id, kept.stored_revision).map_err(from_store)?;
            documents.remove(&place);
        } else {
            let bytes = bytes(&untold.kind, &untold.id, &envelope)?;
            let stored = self.store.put(&untold.kind, &untold.id, &bytes, kept.stored_revision);
            *kept = Kept { stored_revision: stored.map_err(from_store)?, envelope };
        }
        Ok(())
    }

    /// The text of every document, with its kind and id.
    pub(crate) fn texts(&self) -> Vec<(String, String, Box<RawValue>)> {
        let documents = self.documents.read();
        let text = |((kind, id), kept): (&_, &Kept)| {
            Some((String::clone(kind), String::clone(id), kept.envelope.value.clone()?))
        };
        documents.iter().filter_map(text).collect()
    }

    /// The text of one document.
    pub(crate) fn text(&self, kind: &str, id: &str) -> Option<Box<RawValue>> {
        self.documents.read().get(&(kind.to_owned(), id.to_owned()))?.envelope.value.clone()
    }

    /// Stores another text that says the same as `before`: the revision that callers see stays. Durable when it returns.
    pub(crate) fn rewrite(
        &self,
        kind: &str,
        id: &str,
        before: &RawValue,
        after: Box<RawValue>,
    ) -> Result<(), CatalogError> {
        let mut documents = self.documents.write();
        let kept = documents.get_mut(&(kind.to_owned(), id.to_owned())).ok_or(CatalogError::NotFound)?;
        if kept.envelope.value.as_ref().map(|value| value.get()) != Some(before.get()) {
            return Err(CatalogError::Conflict);
        }
        let envelope = Envelope { value: Some(after), ..kept.envelope.clone() };
        let stored = self.store.put(kind, id, &bytes(kind, id, &envelope)?, kept.stored_revision);
        *kept = Kept { stored_revision: stored.map_err(from_store)?, envelope };
        drop(documents);
        self.changes.send_modify(|tick| *tick += 1);
        Ok(())
    }

    /// Stores the next revision of a document, or that it is gone. The lock is held over the write, so that memory and
    /// store change in one order.
    fn put<T: Document>(
        &self,
        id: &str,
        value: Option<&T>,
        expected: u64,
        notes: impl IntoIterator<Item = Note>,
    ) -> Result<u64, CatalogError> {
        let damaged = |cause| CatalogError::Damaged { kind: T::KIND.to_owned(), id: id.to_owned(), cause };
        let value = value.map(serde_json::value::to_raw_value).transpose().map_err(damaged)?;
        let mut documents = self.documents.write();
        let before = documents.get(&place::<T>(id));
        let current = before.filter(|kept| kept.envelope.value.is_some());
        if current.map_or(0, |kept| kept.envelope.revision) != expected {
            return Err(CatalogError::Conflict);
        }
        let outbox = before.map(|kept| kept.envelope.outbox.clone()).unwrap_or_default();
        let outbox: Vec<Note> = outbox.into_iter().chain(notes).collect();
        let stored_revision = before.map_or(0, |kept| kept.stored_revision);
        let revision = before.map_or(0, |kept| kept.envelope.revision) + 1;
        let is_gone = value.is_none() && outbox.is_empty();
        let envelope = Envelope { revision, value, outbox };
        if is_gone {
            self.store.remove(T::KIND, id, stored_revision).map_err(from_store)?;
            documents.remove(&place::<T>(id));
        } else {
            let bytes = bytes(T::KIND, id, &envelope)?;
            let stored_revision = self.store.put(T::KIND, id, &bytes, stored_revision).map_err(from_store)?;
            documents.insert(place::<T>(id), Kept { stored_revision, envelope });
        }
        drop(documents);
        self.changes.send_modify(|tick| *tick += 1);
        Ok(revision)
    }
}

fn place<T: Document>(id: &str) -> (String, String) {
    (T::KIND.to_owned(), id.to_owned())
}

fn bytes(kind: &str, id: &str, envelope: &Envelope) -> Result<Vec<u8>, CatalogError> {
    serde_json::to_vec(envelope).map_err(|cause| CatalogError::Damaged {
        kind: kind.to_owned(),
        id: id.to_owned(),
        cause,
    })
}

/// `None` when the document is deleted.
fn parse<T: Document>(id: &str, envelope: &Envelope) -> Option<Result<Found<T>, CatalogError>> {
    let parsed = serde_json::from_str(envelope.value.as_ref()?.get());
    let found = parsed.map(|value| Found { value, revision: envelope.revision });
    Some(found.map_err(|cause| CatalogError::Damaged { kind: T::KIND.to_owned(), id: id.to_owned(), cause }))
}

fn from_store(error: StoreError) -> CatalogError {
    match error {
        StoreError::Conflict => CatalogError::Conflict,
        other => CatalogError::Store(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::MemoryStore;

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Setting {
        text: String,
    }

    impl Document for Setting {
        const KIND: &'static str = "setting";
    }

    fn setting(text: &str) -> Setting {
        Setting { text: text.to_owned() }
    }

    fn notes(catalog: &Catalog) -> Vec<Note> {
        catalog.untold().into_iter().flat_map(|untold| untold.notes).collect()
    }

    #[test]
    fn changes_are_compare_and_set_and_tick() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let catalog = Catalog::open(Arc::clone(&store)).unwrap();
        let changes = catalog.watch();
        assert_eq!(catalog.create("1", &setting("a"), None).unwrap(), 1);
        assert!(changes.has_changed().unwrap());
        assert!(matches!(catalog.create("1", &setting("b"), None), Err(CatalogError::Exists)));
        assert_eq!(catalog.replace("1", &setting("b"), 1, None).unwrap(), 2);
        assert!(matches!(catalog.replace("1", &setting("c"), 1, None), Err(CatalogError::Conflict)));
        assert_eq!(catalog.get::<Setting>("1").unwrap(), Found { value: setting("b"), revision: 2 });
        assert_eq!(Catalog::open(store).unwrap().list::<Setting>().unwrap().len(), 1);
        catalog.delete::<Setting>("1", 2, None).unwrap();
        assert!(matches!(catalog.get::<Setting>("1"), Err(CatalogError::NotFound)));
        assert!(matches!(catalog.delete::<Setting>("1", 2, None), Err(CatalogError::NotFound)));
    }

    #[test]
    fn a_note_is_there_with_its_change_until_it_is_told() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let catalog = Catalog::open(Arc::clone(&store)).unwrap();
        catalog.create("1", &setting("a"), Some(json!("created"))).unwrap();
        catalog.replace("1", &setting("b"), 1, Some(json!("replaced"))).unwrap();
        let restarted = Catalog::open(Arc::clone(&store)).unwrap();
        assert_eq!(notes(&restarted), [json!("created"), json!("replaced")]);

        let untold = restarted.untold().remove(0);
        restarted.told(&untold).unwrap();
        assert_eq!(restarted.get::<Setting>("1").unwrap().revision, 2, "telling is no change");
        assert!(matches!(restarted.told(&untold), Err(CatalogError::Conflict)));
        assert_eq!(restarted.replace("1", &setting("c"), 2, None).unwrap(), 3);
        assert_eq!(notes(&Catalog::open(store).unwrap()), [json!(null); 0]);
    }

    #[test]
    fn a_note_outlives_the_document_that_it_says_was_deleted() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let catalog = Catalog::open(Arc::clone(&store)).unwrap();
        catalog.create("1", &setting("a"), None).unwrap();
        catalog.delete::<Setting>("1", 1, Some(json!("deleted"))).unwrap();
        let restarted = Catalog::open(Arc::clone(&store)).unwrap();
        assert!(matches!(restarted.get::<Setting>("1"), Err(CatalogError::NotFound)));
        assert_eq!(restarted.list::<Setting>().unwrap(), []);
        assert!(matches!(restarted.delete::<Setting>("1", 1, None), Err(CatalogError::NotFound)));
        restarted.told(&restarted.untold().remove(0)).unwrap();
        assert_eq!(store.load().unwrap(), []);
    }

    #[test]
    fn a_note_that_came_while_another_was_told_is_told_too() {
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        catalog.create("1", &setting("a"), Some(json!(1))).unwrap();
        let untold = catalog.untold().remove(0);
        catalog.replace("1", &setting("b"), 1, Some(json!(2))).unwrap();
        assert!(matches!(catalog.told(&untold), Err(CatalogError::Conflict)));
        assert_eq!(notes(&catalog), [json!(1), json!(2)]);
    }
}
