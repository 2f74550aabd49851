//! The master key, and credentials sealed with it.

use std::io::Write;
use std::path::Path;

use base::{Random, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Catalog, CatalogError, Document};

/// A credential at rest: XChaCha20-Poly1305 with a random nonce, bound to its place in the catalog.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    key_id: String,
    nonce: String,
    ciphertext: String,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed(key {})", self.key_id)
    }
}

/// Why a key or a sealed credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes in base64 or hex.
    #[error("a master key is 32 bytes in base64 (44 characters) or hex (64 characters)")]
    Form,
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
        /// The id of the key that is there.
        current: String,
    },
    /// The ciphertext was changed, moved to another place, or is not one.
    #[error("a sealed credential is damaged")]
    Damaged,
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// The master key in use.
pub struct Keyring {
    cipher: XChaCha20Poly1305,
    key_id: String,
}

/// Sealed when a key is used for the first time; opened at every start.
#[derive(Serialize, Deserialize)]
struct Probe {
    sealed: Sealed,
}

impl Document for Probe {
    const KIND: &'static str = "keyProbe";
}

const PROBE: &str = "idstream";

impl Keyring {
    /// From 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let first = u32::from_be_bytes(std::array::from_fn(|i| digest.get(i).copied().unwrap_or_default()));
        let key_id = format!("{first:08x}");
        Self { cipher: XChaCha20Poly1305::new(key.into()), key_id }
    }

    /// From text: 32 bytes in base64 or hex.
    pub fn from_text(text: &Secret) -> Result<Self, KeyError> {
        let text = text.expose().trim();
        let bytes = if text.len() == 64 { from_hex(text) } else { STANDARD.decode(text).ok() };
        let key: [u8; 32] = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(KeyError::Form)?;
        Ok(Self::new(&key))
    }

    /// From a file.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(path).map_err(|cause| file_error(path, cause))?;
        Self::from_text(&Secret::new(text))
    }

    /// From a file that is made, with a fresh key, when it is not there. True when it was made.
    pub fn from_file_or_new(path: &Path, random: &Random) -> Result<(Self, bool), KeyError> {
        if path.exists() {
            return Self::from_file(path).map(|keyring| (keyring, false));
        }
        let text = Secret::new(STANDARD.encode(random.bytes::<32>()));
        let draft = path.with_added_extension(format!("{:016x}.new", random.up_to(u64::MAX)));
        write_new(&draft, path, &text).map_err(|cause| file_error(path, cause))?;
        Ok((Self::from_text(&text)?, true))
    }

    /// The id that sealed credentials carry: the first 8 hex digits of the key's SHA-256.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Fails unless this is the key that the catalog's credentials were sealed with.
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

    /// Seals a credential for one place, such as `eventStreaming/{id}`.
    pub fn seal(&self, secret: &Secret, place: &str, random: &Random) -> Result<Sealed, KeyError> {
        let nonce: [u8; 24] = random.bytes();
        let payload = Payload { msg: secret.expose().as_bytes(), aad: place.as_bytes() };
        let ciphertext = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| KeyError::Damaged)?;
        Ok(Sealed {
            key_id: self.key_id.clone(),
            nonce: STANDARD.encode(nonce),
            ciphertext: STANDARD.encode(ciphertext),
        })
    }

    /// Opens a credential that was sealed for this place.
    pub fn open(&self, sealed: &Sealed, place: &str) -> Result<Secret, KeyError> {
        if sealed.key_id != self.key_id {
            return Err(KeyError::WrongKey {
                sealed_with: sealed.key_id.clone(),
                current: self.key_id.clone(),
            });
        }
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| KeyError::Damaged);
        let nonce: [u8; 24] = decode(&sealed.nonce)?.try_into().map_err(|_| KeyError::Damaged)?;
        let ciphertext = decode(&sealed.ciphertext)?;
        let payload = Payload { msg: &ciphertext, aad: place.as_bytes() };
        let plain = self.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| KeyError::Damaged)?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| KeyError::Damaged)
    }
}

/// Writes the whole file under the name `draft` first: a crash never leaves half a key under the name `path`, and a key
/// that somebody else put there in the meantime is never replaced.
fn write_new(draft: &Path, path: &Path, text: &Secret) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    let written = writeln!(file, "{}", text.expose())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::hard_link(draft, path));
    std::fs::remove_file(draft)?;
    written?;
    // The key must outlive a loss of power as surely as what it seals: its name is synced too.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(directory)?.sync_all()
}

fn file_error(path: &Path, cause: std::io::Error) -> KeyError {
    KeyError::File { path: path.display().to_string(), cause }
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
        Keyring::new(&[7; 32]).check(&catalog, &random).unwrap();
        Keyring::new(&[7; 32]).check(&catalog, &random).unwrap();
        let refused = Keyring::new(&[8; 32]).check(&catalog, &random).unwrap_err();
        assert!(refused.to_string().contains("give idstream the key that it had before"), "{refused}");
    }

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner_only() {
        let random = Random::from_seed(1);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let (first, made) = Keyring::from_file_or_new(&path, &random).unwrap();
        assert!(made);
        let (again, made) = Keyring::from_file_or_new(&path, &random).unwrap();
        assert!(!made);
        assert_eq!(first.key_id(), again.key_id());
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "the draft is gone");
        let hex = "07".repeat(32);
        assert_eq!(Keyring::from_text(&Secret::new(hex)).unwrap().key_id(), Keyring::new(&[7; 32]).key_id());
        assert!(matches!(Keyring::from_text(&Secret::new("short")), Err(KeyError::Form)));
    }
}
