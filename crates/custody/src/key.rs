//! The key that heads and anchors are signed with: made once, sealed with the master key, kept in the catalog.
//!
//! It is not derived from the master key, so that the public half stays the same when the master key is replaced: whoever
//! keeps it elsewhere need not learn another one.

use std::sync::Arc;

use base::{Random, Secret, Timestamp};
use catalog::{Catalog, CatalogError, Document, KeyError, Keyring, Sealed};
use journal::signing::{PublicKey, SigningKey, from_hex, to_hex};
use serde::{Deserialize, Serialize};

/// The only document of its kind.
const ID: &str = "1";
/// What the key is sealed for: kind, id and member, as every credential of the catalog.
const PLACE: &str = "journalSigningKey/1/sealed";

/// The signing key, as the catalog keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    /// 64 hex digits.
    public_key: String,
    created_at: Timestamp,
    sealed: Sealed,
}

impl Document for Stored {
    const KIND: &'static str = "journalSigningKey";
}

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// It cannot be opened.
    #[error("the journal's signing key cannot be opened")]
    Key(#[from] KeyError),
    /// The catalog failed.
    #[error("the journal's signing key cannot be read or stored")]
    Catalog(#[from] CatalogError),
    /// What was opened is not its private half.
    #[error("the journal's signing key in the catalog is damaged")]
    Damaged,
}

/// The signing key; made when there is none.
pub fn open_or_make(
    catalog: &Catalog,
    keyring: &Keyring,
    random: &Random,
    now: Timestamp,
) -> Result<Arc<SigningKey>, SigningError> {
    match catalog.get::<Stored>(ID) {
        Ok(found) => open(&found.value, keyring),
        Err(CatalogError::NotFound) => {
            let seed = Secret::new(to_hex(&random.bytes::<32>()));
            let key = of_seed(&seed)?;
            let sealed = keyring.seal(&seed, PLACE, random)?;
            let stored = Stored { public_key: key.public_key().to_string(), created_at: now, sealed };
            catalog.create(ID, &stored, None)?;
            Ok(Arc::new(key))
        }
        Err(error) => Err(error.into()),
    }
}

fn open(stored: &Stored, keyring: &Keyring) -> Result<Arc<SigningKey>, SigningError> {
    let key = of_seed(&keyring.open(&stored.sealed, PLACE)?)?;
    if key.public_key().to_string() == stored.public_key {
        Ok(Arc::new(key))
    } else {
        Err(SigningError::Damaged)
    }
}

fn of_seed(seed: &Secret) -> Result<SigningKey, SigningError> {
    from_hex(seed.expose()).and_then(|seed| SigningKey::from_seed(&seed)).ok_or(SigningError::Damaged)
}

/// The public half, without the master key; `None` when no server has made a key yet.
pub fn public_key(catalog: &Catalog) -> Result<Option<PublicKey>, SigningError> {
    match catalog.get::<Stored>(ID) {
        Ok(found) => PublicKey::from_text(&found.value.public_key).map(Some).ok_or(SigningError::Damaged),
        Err(CatalogError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use catalog::MemoryStore;

    use super::*;

    #[test]
    fn the_key_is_made_once_sealed_and_its_public_half_needs_no_master_key() {
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        let (keyring, random) = (Keyring::new(&[7; 32]), Random::from_seed(1));
        assert_eq!(public_key(&catalog).unwrap(), None);
        let made = open_or_make(&catalog, &keyring, &random, Timestamp::default()).unwrap();
        let again = open_or_make(&catalog, &keyring, &random, Timestamp::default()).unwrap();
        assert_eq!(made.public_key(), again.public_key());
        assert_eq!(public_key(&catalog).unwrap(), Some(made.public_key()));
        let other = Keyring::new(&[8; 32]);
        let refused = open_or_make(&catalog, &other, &random, Timestamp::default());
        assert!(matches!(refused, Err(SigningError::Key(KeyError::WrongKey { .. }))));
    }
}
