//! Typed documents: what the rest of idstream sees of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
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
        kind: &'static str,
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

type Documents = BTreeMap<(String, String), (u64, Vec<u8>)>;

/// All documents: read from memory, changed in the store first. Clones share everything.
#[derive(Clone)]
pub struct Catalog {
    store: Arc<dyn Store>,
    documents: Arc<RwLock<Documents>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Catalog {
    /// Loads everything that `store` holds.
    pub fn open(store: Arc<dyn Store>) -> Result<Self, CatalogError> {
        let loaded = store.load().map_err(CatalogError::Store)?;
        let documents =
            loaded.into_iter().map(|Stored { kind, id, revision, bytes }| ((kind, id), (revision, bytes)));
        Ok(Self {
            store,
            documents: Arc::new(RwLock::new(documents.collect())),
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
        let found = documents.get(&(T::KIND.to_owned(), id.to_owned())).ok_or(CatalogError::NotFound)?;
        parse(id, found)
    }

    /// All documents of a kind, in order of ids. One that cannot be read fails all.
    pub fn list<T: Document>(&self) -> Result<Vec<Found<T>>, CatalogError> {
        self.list_each().into_iter().map(|(_, found)| found).collect()
    }

    /// All documents of a kind with their ids, in order of ids; one that cannot be read does not hide the others.
    pub fn list_each<T: Document>(&self) -> Vec<(String, Result<Found<T>, CatalogError>)> {
        let documents = self.documents.read();
        let from = (T::KIND.to_owned(), String::new());
        documents
            .range(from..)
            .take_while(|((kind, _), _)| kind == T::KIND)
            .map(|((_, id), found)| (id.clone(), parse(id, found)))
            .collect()
    }

    /// Stores a new document. Durable when it returns.
    pub fn create<T: Document>(&self, id: &str, value: &T) -> Result<u64, CatalogError> {
        self.put(id, value, 0).map_err(|error| match error {
            CatalogError::Conflict => CatalogError::Exists,
            other => other,
        })
    }

    /// Replaces the document that is at revision `expected`. Durable when it returns.
    pub fn replace<T: Document>(&self, id: &str, value: &T, expected: u64) -> Result<u64, CatalogError> {
        if expected == 0 {
            return Err(CatalogError::NotFound);
        }
        self.put(id, value, expected)
    }

    /// Removes the document that is at revision `expected`. Durable when it returns.
    pub fn delete<T: Document>(&self, id: &str, expected: u64) -> Result<(), CatalogError> {
        // The lock is held over the write, so that memory and store change in one order.
        let mut documents = self.documents.write();
        let place = (T::KIND.to_owned(), id.to_owned());
        if !documents.contains_key(&place) {
            return Err(CatalogError::NotFound);
        }
        self.store.remove(T::KIND, id, expected).map_err(from_store)?;
        documents.remove(&place);
        drop(documents);
        self.changes.send_modify(|tick| *tick += 1);
        Ok(())
    }

    fn put<T: Document>(&self, id: &str, value: &T, expected: u64) -> Result<u64, CatalogError> {
        let bytes = serde_json::to_vec(value).map_err(|cause| CatalogError::Damaged {
            kind: T::KIND,
            id: id.to_owned(),
            cause,
        })?;
        let mut documents = self.documents.write();
        let revision = self.store.put(T::KIND, id, &bytes, expected).map_err(from_store)?;
        documents.insert((T::KIND.to_owned(), id.to_owned()), (revision, bytes));
        drop(documents);
        self.changes.send_modify(|tick| *tick += 1);
        Ok(revision)
    }
}

fn parse<T: Document>(id: &str, (revision, bytes): &(u64, Vec<u8>)) -> Result<Found<T>, CatalogError> {
    let value = serde_json::from_slice(bytes).map_err(|cause| CatalogError::Damaged {
        kind: T::KIND,
        id: id.to_owned(),
        cause,
    })?;
    Ok(Found { value, revision: *revision })
}

fn from_store(error: StoreError) -> CatalogError {
    match error {
        StoreError::Conflict => CatalogError::Conflict,
        other => CatalogError::Store(other),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::MemoryStore;

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Note {
        text: String,
    }

    impl Document for Note {
        const KIND: &'static str = "note";
    }

    fn note(text: &str) -> Note {
        Note { text: text.to_owned() }
    }

    #[test]
    fn changes_are_compare_and_set_and_tick() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let catalog = Catalog::open(Arc::clone(&store)).unwrap();
        let changes = catalog.watch();
        assert_eq!(catalog.create("1", &note("a")).unwrap(), 1);
        assert!(changes.has_changed().unwrap());
        assert!(matches!(catalog.create("1", &note("b")), Err(CatalogError::Exists)));
        assert_eq!(catalog.replace("1", &note("b"), 1).unwrap(), 2);
        assert!(matches!(catalog.replace("1", &note("c"), 1), Err(CatalogError::Conflict)));
        assert_eq!(catalog.get::<Note>("1").unwrap(), Found { value: note("b"), revision: 2 });
        assert_eq!(Catalog::open(store).unwrap().list::<Note>().unwrap().len(), 1);
        catalog.delete::<Note>("1", 2).unwrap();
        assert!(matches!(catalog.get::<Note>("1"), Err(CatalogError::NotFound)));
        assert!(matches!(catalog.delete::<Note>("1", 2), Err(CatalogError::NotFound)));
    }
}
