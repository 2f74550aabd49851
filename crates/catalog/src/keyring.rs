//! The master key, and credentials sealed with it.

use base::{Random, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{Catalog, CatalogError, Document, Note};

/// A credential at rest: XChaCha20-Poly1305 with a random nonce, bound to its place in the catalog.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    key_id: String,
    nonce: String,
    ciphertext: String,
}

impl Sealed {
    /// The id of the key that it is sealed with.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Read from a JSON object, when that has its form.
    pub(crate) fn from_members(members: &Map<String, Value>) -> Option<Self> {
        let text = |name| members.get(name)?.as_str().map(ToOwned::to_owned);
        Some(Self { key_id: text("keyId")?, nonce: text("nonce")?, ciphertext: text("ciphertext")? })
    }

    /// Its form in JSON.
    pub(crate) fn into_members(self) -> Map<String, Value> {
        let members = [("keyId", self.key_id), ("nonce", self.nonce), ("ciphertext", self.ciphertext)];
        members.map(|(name, text)| (name.to_owned(), text.into())).into_iter().collect()
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed(key {})", self.key_id)
    }
}

/// Most keys of one keyring: the newest, and older ones on their way out.
const MAX_KEYS: usize = 8;

/// Why a key or a sealed credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes in base64 or hex.
    #[error("a master key is 32 bytes in base64 (44 characters) or hex (64 characters)")]
    Form,
    /// More keys than anybody needs.
    #[error("at most {MAX_KEYS} master keys, the newest first")]
    TooMany,
    /// The key file cannot be read or written.
    #[error("cannot use the master key file {path}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Sealed with another key.
    #[error(
        "sealed with key {sealed_with}, but the master key is {current}: give idstream the key that it had before"
    )]
    WrongKey {
        /// The id of the key that is needed.
        sealed_with: String,
        /// The id of the key that is there; several with commas between them.
        current: String,
    },
    /// The ciphertext was changed, moved to another place, or is not one.
    #[error("a sealed credential is damaged")]
    Damaged,
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// The master key in use, and older ones that open what was sealed before.
///
/// To replace the key, the new one is put before the old one, everything is sealed anew, and then the old one goes. At
/// every moment in between each credential opens with one of the two.
pub struct Keyring {
    newest: Key,
    older: Vec<Key>,
}

struct Key {
    cipher: XChaCha20Poly1305,
    id: String,
}

/// Sealed when a key is used for the first time; opened at every start.
#[derive(Serialize, Deserialize)]
struct Probe {
    sealed: Sealed,
}

impl Document for Probe {
    const KIND: &'static str = PROBE_KIND;
}

/// Its kind.
pub(crate) const PROBE_KIND: &str = "keyProbe";
/// Its id, its text and its place.
const PROBE: &str = "idstream";

impl Key {
    fn new(key: &[u8; 32]) -> Self {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let first = u32::from_be_bytes(std::array::from_fn(|i| digest.get(i).copied().unwrap_or_default()));
        Self { cipher: XChaCha20Poly1305::new(key.into()), id: format!("{first:08x}") }
    }

    /// From text: 32 bytes in base64 or hex.
    fn from_text(text: &str) -> Result<Self, KeyError> {
        let bytes = if text.len() == 64 { from_hex(text) } else { STANDARD.decode(text).ok() };
        let bytes = Zeroizing::new(bytes.ok_or(KeyError::Form)?);
        bytes.as_slice().try_into().map(Self::new).map_err(|_| KeyError::Form)
    }
}

impl Keyring {
    /// From 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { newest: Key::new(key), older: Vec::new() }
    }

    /// From text: keys of 32 bytes in base64 or hex, the newest first, with white space between them.
    pub fn from_text(text: &Secret) -> Result<Self, KeyError> {
        let mut keys = text.expose().split_whitespace().map(Key::from_text);
        let newest = keys.next().ok_or(KeyError::Form)??;
        let older = keys.collect::<Result<Vec<_>, _>>()?;
        if older.len() >= MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        Ok(Self { newest, older })
    }

    /// The id that sealed credentials carry: the first 8 hex digits of the newest key's SHA-256.
    pub fn key_id(&self) -> &str {
        &self.newest.id
    }

    /// The ids of all keys, the newest first.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        [&self.newest].into_iter().chain(&self.older).map(|key| key.id.as_str())
    }

    /// Fails unless one of these is the key that the catalog's credentials were sealed with.
    pub fn check(&self, catalog: &Catalog, random: &Random) -> Result<(), KeyError> {
        match catalog.get::<Probe>(PROBE) {
            Ok(probe) => self.open(&probe.value.sealed, PROBE).map(drop),
            Err(CatalogError::NotFound) => {
                let sealed = self.seal(&Secret::new(PROBE), PROBE, random)?;
                catalog.create(PROBE, &Probe { sealed }, None)?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The id of the key that [`Keyring::check`] asks for; `None` when nothing was sealed yet, or the probe cannot be read.
    pub fn needed(catalog: &Catalog) -> Option<String> {
        catalog.get::<Probe>(PROBE).ok().map(|probe| probe.value.sealed.key_id)
    }

    /// Makes the newest key the one that [`Keyring::check`] asks for, with a note that is told the id of the key before.
    /// False when it is already.
    pub fn adopt(
        &self,
        catalog: &Catalog,
        random: &Random,
        note: impl FnOnce(&str) -> Note,
    ) -> Result<bool, KeyError> {
        let probe = catalog.get::<Probe>(PROBE)?;
        let before = &probe.value.sealed.key_id;
        if *before == self.newest.id {
            return Ok(false);
        }
        let sealed = self.seal(&Secret::new(PROBE), PROBE, random)?;
        catalog.replace(PROBE, &Probe { sealed }, probe.revision, Some(note(before)))?;
        Ok(true)
    }

    /// Seals a credential for its place, see [`crate::place`].
    pub fn seal(&self, secret: &Secret, place: &str, random: &Random) -> Result<Sealed, KeyError> {
        let nonce: [u8; 24] = random.bytes();
        let payload = Payload { msg: secret.expose().as_bytes(), aad: place.as_bytes() };
        let ciphertext =
            self.newest.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| KeyError::Damaged)?;
        Ok(Sealed {
            key_id: self.newest.id.clone(),
            nonce: STANDARD.encode(nonce),
            ciphertext: STANDARD.encode(ciphertext),
        })
    }

    /// Opens a credential that was sealed for this place.
    pub fn open(&self, sealed: &Sealed, place: &str) -> Result<Secret, KeyError> {
        let mut keys = [&self.newest].into_iter().chain(&self.older);
        let key = keys.find(|key| key.id == sealed.key_id).ok_or_else(|| KeyError::WrongKey {
            sealed_with: sealed.key_id.clone(),
            current: self.key_ids().collect::<Vec<_>>().join(", "),
        })?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| KeyError::Damaged);
        let nonce: [u8; 24] = decode(&sealed.nonce)?.try_into().map_err(|_| KeyError::Damaged)?;
        let ciphertext = decode(&sealed.ciphertext)?;
        let payload = Payload { msg: &ciphertext, aad: place.as_bytes() };
        let plain = key.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| KeyError::Damaged)?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| KeyError::Damaged)
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::MemoryStore;

    #[test]
    fn a_credential_opens_only_with_its_key_and_in_its_place() {
        let random = Random::from_seed(1);
        let keyring = Keyring::new(&[7; 32]);
        let sealed = keyring.seal(&Secret::new("s3cret"), "eventStreaming/1", &random).unwrap();
        assert_eq!(keyring.open(&sealed, "eventStreaming/1").unwrap().expose(), "s3cret");
        assert!(matches!(keyring.open(&sealed, "eventStreaming/2"), Err(KeyError::Damaged)));
        assert!(matches!(
            Keyring::new(&[8; 32]).open(&sealed, "eventStreaming/1"),
            Err(KeyError::WrongKey { .. })
        ));
        let shown = format!("{sealed:?} {}", serde_json::to_string(&sealed).unwrap());
        assert!(!shown.contains("s3cret"));
    }

    #[test]
    fn a_wrong_key_is_noticed_before_anything_else_happens() {
        let random = Random::from_seed(1);
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        assert_eq!(Keyring::needed(&catalog), None);
        Keyring::new(&[7; 32]).check(&catalog, &random).unwrap();
        Keyring::new(&[7; 32]).check(&catalog, &random).unwrap();
        assert_eq!(Keyring::needed(&catalog).as_deref(), Some(Keyring::new(&[7; 32]).key_id()));
        let refused = Keyring::new(&[8; 32]).check(&catalog, &random).unwrap_err();
        assert!(refused.to_string().contains("give idstream the key that it had before"), "{refused}");
    }

    #[test]
    fn older_keys_open_and_the_newest_seals() {
        let random = Random::from_seed(1);
        let (old, new) = ("07".repeat(32), STANDARD.encode([8; 32]));
        let both = Keyring::from_text(&Secret::new(format!("{new}\n{old}\n"))).unwrap();
        let before = Keyring::new(&[7; 32]).seal(&Secret::new("x"), "p", &random).unwrap();
        assert_eq!(both.open(&before, "p").unwrap().expose(), "x");
        let after = both.seal(&Secret::new("y"), "p", &random).unwrap();
        assert_eq!(Keyring::new(&[8; 32]).open(&after, "p").unwrap().expose(), "y");
        assert!(matches!(Keyring::new(&[7; 32]).open(&after, "p"), Err(KeyError::WrongKey { .. })));
    }

    #[test]
    fn the_key_that_is_asked_for_at_a_start_is_replaced_once_and_told() {
        let random = Random::from_seed(1);
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        Keyring::new(&[7; 32]).check(&catalog, &random).unwrap();
        let both =
            Keyring::from_text(&Secret::new(format!("{} {}", "08".repeat(32), "07".repeat(32)))).unwrap();
        both.check(&catalog, &random).unwrap();
        let note = |before: &str| serde_json::json!({ "before": before });
        assert!(both.adopt(&catalog, &random, note).unwrap());
        assert!(!both.adopt(&catalog, &random, note).unwrap());
        let notes = catalog.untold().remove(0).notes;
        assert_eq!(notes, [note(Keyring::new(&[7; 32]).key_id())]);
        Keyring::new(&[8; 32]).check(&catalog, &random).unwrap();
        assert!(Keyring::new(&[7; 32]).check(&catalog, &random).is_err());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", " \n", "short", &"0g".repeat(32), &format!("{} short", "07".repeat(32))] {
            assert!(matches!(Keyring::from_text(&Secret::new(text)), Err(KeyError::Form)), "{text}");
        }
        let many = format!("{} ", "07".repeat(32)).repeat(9);
        assert!(matches!(Keyring::from_text(&Secret::new(many)), Err(KeyError::TooMany)));
    }
}
