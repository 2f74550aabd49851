//! The key-value seam under the catalog: embedded SQLite, or memory in tests and simulation.

use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

/// A stored document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What kind of document.
    pub kind: String,
    /// Unique within its kind.
    pub id: String,
    /// 1 when it is created, one more with every change.
    pub revision: u64,
    /// The document.
    pub bytes: Vec<u8>,
}

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The document is not at the revision that the caller expected. Read it again, then decide again.
    #[error("the document was changed in the meantime")]
    Conflict,
    /// The store's file cannot be read or written.
    #[error("the catalog's store failed")]
    Failed(#[from] rusqlite::Error),
    /// The store's file cannot be prepared.
    #[error("the catalog's file cannot be prepared")]
    File(#[from] std::io::Error),
}

/// Documents by kind and id. A change is durable when it returns.
pub trait Store: Send + Sync + 'static {
    /// Everything that is stored.
    fn load(&self) -> Result<Vec<Stored>, StoreError>;

    /// Stores a document. `expected` is the revision that it must have now; 0 means that there must be none. Returns its
    /// new revision.
    fn put(&self, kind: &str, id: &str, bytes: &[u8], expected: u64) -> Result<u64, StoreError>;

    /// Removes a document that is at revision `expected`.
    fn remove(&self, kind: &str, id: &str, expected: u64) -> Result<(), StoreError>;
}

/// A store in one SQLite file.
pub struct SqliteStore(Mutex<Connection>);

impl SqliteStore {
    /// Opens or creates the file, readable by its owner only.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let connection = Connection::open(path)?;
        // With a write-ahead log, FULL syncs it at every commit: a change is durable when it returns.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;
             CREATE TABLE IF NOT EXISTS document (
                 kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, bytes BLOB NOT NULL,
                 PRIMARY KEY (kind, id)
             ) WITHOUT ROWID;",
        )?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Opens a file that is there, and never changes it. A server may be writing to it meanwhile.
    pub fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.execute_batch("PRAGMA busy_timeout = 5000;")?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Writes everything as it is at one moment to a new file, readable by its owner only. What is stored meanwhile is not
    /// held up.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        use std::os::unix::fs::OpenOptionsExt;
        // SQLite fills an empty file; made here, nobody else may read it for a moment either.
        std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        self.0.lock().execute("VACUUM INTO ?1", params![path.to_string_lossy()])?;
        Ok(std::fs::File::open(path)?.sync_all()?)
    }
}

impl Store for SqliteStore {
    fn load(&self) -> Result<Vec<Stored>, StoreError> {
        let connection = self.0.lock();
        let mut statement = connection.prepare("SELECT kind, id, revision, bytes FROM document")?;
        let rows = statement.query_map([], |row| {
            Ok(Stored {
                kind: row.get(0)?,
                id: row.get(1)?,
                revision: unsigned(row.get(2)?),
                bytes: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn put(&self, kind: &str, id: &str, bytes: &[u8], expected: u64) -> Result<u64, StoreError> {
        let mut connection = self.0.lock();
        let transaction = connection.transaction()?;
        let found: Option<i64> = transaction
            .query_row(
                "SELECT revision FROM document WHERE kind = ?1 AND id = ?2",
                params![kind, id],
                |row| row.get(0),
            )
            .optional()?;
        if found.map_or(0, unsigned) != expected {
            return Err(StoreError::Conflict);
        }
        let revision = expected + 1;
        transaction.execute(
            "INSERT INTO document (kind, id, revision, bytes) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind, id) DO UPDATE SET revision = excluded.revision, bytes = excluded.bytes",
            params![kind, id, i64::try_from(revision).unwrap_or(i64::MAX), bytes],
        )?;
        transaction.commit()?;
        Ok(revision)
    }

    fn remove(&self, kind: &str, id: &str, expected: u64) -> Result<(), StoreError> {
        let n_removed = self.0.lock().execute(
            "DELETE FROM document WHERE kind = ?1 AND id = ?2 AND revision = ?3",
            params![kind, id, i64::try_from(expected).unwrap_or(i64::MAX)],
        )?;
        if n_removed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Kind and id.
type Place = (String, String);

/// A store in memory.
#[derive(Default)]
pub struct MemoryStore(Mutex<BTreeMap<Place, (u64, Vec<u8>)>>);

impl Store for MemoryStore {
    fn load(&self) -> Result<Vec<Stored>, StoreError> {
        let documents = self.0.lock();
        let stored = documents.iter().map(|((kind, id), (revision, bytes))| Stored {
            kind: kind.clone(),
            id: id.clone(),
            revision: *revision,
            bytes: bytes.clone(),
        });
        Ok(stored.collect())
    }

    fn put(&self, kind: &str, id: &str, bytes: &[u8], expected: u64) -> Result<u64, StoreError> {
        let mut documents = self.0.lock();
        let place = (kind.to_owned(), id.to_owned());
        if documents.get(&place).map_or(0, |(revision, _)| *revision) != expected {
            return Err(StoreError::Conflict);
        }
        documents.insert(place, (expected + 1, bytes.to_vec()));
        Ok(expected + 1)
    }

    fn remove(&self, kind: &str, id: &str, expected: u64) -> Result<(), StoreError> {
        let mut documents = self.0.lock();
        let place = (kind.to_owned(), id.to_owned());
        if documents.get(&place).is_none_or(|(revision, _)| *revision != expected) {
            return Err(StoreError::Conflict);
        }
        documents.remove(&place);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every store must do.
    fn check(store: &dyn Store) {
        assert_eq!(store.put("a", "1", b"x", 0).unwrap(), 1);
        assert!(matches!(store.put("a", "1", b"y", 0), Err(StoreError::Conflict)), "it exists");
        assert_eq!(store.put("a", "1", b"y", 1).unwrap(), 2);
        assert!(matches!(store.put("a", "1", b"z", 1), Err(StoreError::Conflict)), "it moved on");
        assert_eq!(store.put("b", "1", b"other kind", 0).unwrap(), 1);
        assert!(matches!(store.remove("a", "1", 1), Err(StoreError::Conflict)));
        store.remove("a", "1", 2).unwrap();
        assert!(matches!(store.remove("a", "1", 2), Err(StoreError::Conflict)), "it is gone");
        let stored = Stored { kind: "b".into(), id: "1".into(), revision: 1, bytes: b"other kind".to_vec() };
        assert_eq!(store.load().unwrap(), [stored]);
    }

    #[test]
    fn every_store_compares_and_sets() {
        check(&MemoryStore::default());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.sqlite");
        check(&SqliteStore::open(&path).unwrap());
        assert_eq!(
            SqliteStore::open(&path).unwrap().load().unwrap().len(),
            1,
            "it survives being opened again"
        );
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_copy_holds_what_was_stored_and_a_reader_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (path, copy) = (directory.path().join("a.sqlite"), directory.path().join("b.sqlite"));
        let store = SqliteStore::open(&path).unwrap();
        store.put("a", "1", b"x", 0).unwrap();
        let reader = SqliteStore::open_read_only(&path).unwrap();
        reader.copy_to(&copy).unwrap();
        store.put("a", "2", b"y", 0).unwrap();
        assert_eq!(SqliteStore::open(&copy).unwrap().load().unwrap().len(), 1);
        assert_eq!(reader.load().unwrap().len(), 2, "it sees what is stored meanwhile");
        assert!(reader.put("a", "3", b"z", 0).is_err());
        assert!(reader.copy_to(&copy).is_err(), "a file that is there is left alone");
        assert!(SqliteStore::open_read_only(&directory.path().join("none")).is_err());
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&copy).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
