//! The anchor: where the journal begins after its oldest segments were dropped.

use base::Timestamp;

use super::wire::{Fields, Put, seal, unseal};
use super::{FormatError, VERSION};

const MAGIC: &[u8; 8] = b"idsANCHR";
/// The version that carries a signature.
const SIGNED: u16 = 2;

/// The last block that was dropped. The hash chain goes on from its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) struct Anchor {
    pub(in crate::local) sequence: u64,
    pub(in crate::local) hash: [u8; 32],
    /// Who says so. None when the journal had no key.
    pub(in crate::local) seal: Option<AnchorSeal>,
}

/// A signature over an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) struct AnchorSeal {
    pub(in crate::local) at: Timestamp,
    pub(in crate::local) public_key: [u8; 32],
    pub(in crate::local) signature: [u8; 64],
}

impl Anchor {
    pub(in crate::local) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.put_u16(if self.seal.is_some() { SIGNED } else { VERSION });
        bytes.put_u16(0);
        bytes.put_u32(0);
        bytes.put_u64(self.sequence);
        bytes.put(&self.hash);
        if let Some(AnchorSeal { at, public_key, signature }) = &self.seal {
            bytes.put_time(*at);
            bytes.put(public_key);
            bytes.put(signature);
        }
        seal(&mut bytes);
        bytes
    }

    pub(in crate::local) fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut fields = Fields(unseal(bytes)?);
        if fields.take(8)? != MAGIC {
            return Err(FormatError::Malformed("not an anchor"));
        }
        let is_signed = match fields.u16()? {
            VERSION => false,
            SIGNED => true,
            version => return Err(FormatError::Version(version)),
        };
        fields.take(6)?;
        let (sequence, hash) = (fields.number()?, fields.array()?);
        let seal = if is_signed {
            let (at, public_key, signature) = (fields.time()?, fields.array()?, fields.array()?);
            Some(AnchorSeal { at, public_key, signature })
        } else {
            None
        };
        if fields.0.is_empty() {
            Ok(Self { sequence, hash, seal })
        } else {
            Err(FormatError::Malformed("bytes after the anchor"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_read_back_with_and_without_a_signature_and_a_flipped_bit_is_noticed() {
        let at = Timestamp::from_millis(7).unwrap();
        let seal = AnchorSeal { at, public_key: [3; 32], signature: [4; 64] };
        for seal in [None, Some(seal)] {
            let anchor = Anchor { sequence: 9, hash: [1; 32], seal };
            let bytes = anchor.encode();
            assert_eq!(Anchor::parse(&bytes), Ok(anchor));
            for at in 0..bytes.len() {
                let mut bytes = bytes.clone();
                bytes[at] ^= 2;
                assert!(Anchor::parse(&bytes).is_err(), "byte {at}");
            }
        }
    }
}
