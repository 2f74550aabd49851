//! The catalog: settings as typed documents over a small key-value seam, and the keys that seal credentials.
//!
//! Types belong to their owners; here a document is a kind, an id, bytes and a revision. Changes are compare-and-set and
//! durable when they return; reads come from memory.
//!
//! Invariants: knows no document's meaning. A credential is stored only as [`Sealed`].

mod documents;
mod keyfile;
mod keyring;
mod reseal;
mod store;

pub use documents::{Catalog, CatalogError, Document, Found, Note, Untold};
pub use keyfile::KeyFile;
pub use keyring::{KeyError, Keyring, Sealed};
pub use reseal::{Credential, place};
pub use store::{MemoryStore, SqliteStore, Store, StoreError, Stored};
