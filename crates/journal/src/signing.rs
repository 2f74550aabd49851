//! Signatures of heads and anchors (Ed25519): who has only the journal's files cannot rewrite history and sign it.
//!
//! A head says: at this time the block of this sequence had this hash. Because the hash covers all blocks before it, one
//! head that lies elsewhere proves everything up to it.

use std::fmt;

use base::Timestamp;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// What is signed begins with this, so that one kind of statement never passes for another.
const HEAD: &[u8] = b"idstream head v1";
const ANCHOR: &[u8] = b"idstream anchor v1";

/// The private key that heads and anchors are signed with.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public)
    }
}

/// The public key that signatures are checked with. Printed and read as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PublicKey {
    /// From 64 hex digits.
    pub fn from_text(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

/// A statement about the journal that carries a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// The last block that was durable.
    pub sequence: u64,
    /// Its hash, which covers all blocks before.
    pub hash: [u8; 32],
    /// When it was signed.
    pub at: Timestamp,
    /// Who signed it.
    pub public_key: PublicKey,
    /// The signature.
    pub signature: [u8; 64],
}

impl SigningKey {
    /// The key that follows from 32 secret bytes. None is refused today; the library may.
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = PublicKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { pair, public })
    }

    /// The public half.
    pub const fn public_key(&self) -> PublicKey {
        self.public
    }

    /// States that the block had this hash.
    pub fn sign_head(&self, sequence: u64, hash: [u8; 32], at: Timestamp) -> SignedHead {
        let signature = self.sign(&statement(HEAD, sequence, &hash, at));
        SignedHead { sequence, hash, at, public_key: self.public, signature }
    }

    /// States that everything up to this block was dropped by retention.
    pub(crate) fn sign_anchor(&self, sequence: u64, hash: &[u8; 32], at: Timestamp) -> [u8; 64] {
        self.sign(&statement(ANCHOR, sequence, hash, at))
    }

    fn sign(&self, statement: &[u8]) -> [u8; 64] {
        // An Ed25519 signature has 64 bytes.
        self.pair.sign(statement).as_ref().try_into().unwrap_or([0; 64])
    }
}

impl SignedHead {
    /// Whether its signature is that of its key over what it says. Whose key it is, is another question.
    pub fn is_genuine(&self) -> bool {
        is_signed(&self.public_key, &statement(HEAD, self.sequence, &self.hash, self.at), &self.signature)
    }
}

/// Whether an anchor's signature fits.
pub(crate) fn is_genuine_anchor(
    key: &PublicKey,
    (sequence, hash, at): (u64, &[u8; 32], Timestamp),
    signature: &[u8; 64],
) -> bool {
    is_signed(key, &statement(ANCHOR, sequence, hash, at), signature)
}

fn is_signed(key: &PublicKey, statement: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key.0).verify(statement, signature).is_ok()
}

/// `kind ‖ lane (2) ‖ sequence (8) ‖ hash (32) ‖ time (8)`, integers little-endian.
fn statement(kind: &[u8], sequence: u64, hash: &[u8; 32], at: Timestamp) -> Vec<u8> {
    let mut bytes = kind.to_vec();
    bytes.extend_from_slice(&0_u16.to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(hash);
    bytes.extend_from_slice(&at.as_millis().to_le_bytes());
    bytes
}

/// Bytes as lower-case hex digits.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _never_fails = write!(text, "{byte:02x}");
        text
    })
}

/// Exactly `N` bytes from hex digits.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let [high, low] = *pair;
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_genuine_only_as_it_was_signed() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let head = key.sign_head(41, [1; 32], Timestamp::from_millis(5).unwrap());
        assert!(head.is_genuine());
        for forged in [
            SignedHead { sequence: 42, ..head },
            SignedHead { hash: [2; 32], ..head },
            SignedHead { at: Timestamp::from_millis(6).unwrap(), ..head },
            SignedHead { public_key: SigningKey::from_seed(&[8; 32]).unwrap().public_key(), ..head },
            SignedHead { signature: [0; 64], ..head },
        ] {
            assert!(!forged.is_genuine(), "{forged:?}");
        }
        let anchor = key.sign_anchor(41, &[1; 32], head.at);
        assert!(is_genuine_anchor(&key.public_key(), (41, &[1; 32], head.at), &anchor));
        assert!(
            !is_genuine_anchor(&key.public_key(), (41, &[1; 32], head.at), &head.signature),
            "a head is no anchor"
        );
        assert!(!format!("{key:?}").contains("07070707"), "the seed is not shown");
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn the_key_of_a_seed_is_the_one_of_the_standard() {
        let seed = from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = SigningKey::from_seed(&seed).unwrap();
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(key.public_key().to_string(), public);
        assert_eq!(PublicKey::from_text(public), Some(key.public_key()));
        assert_eq!(from_hex::<2>("0g00"), None);
    }
}
