//! The anchor: where the journal begins after its oldest segments were dropped.

use super::wire::{Fields, Put, seal, unseal};
use super::{FormatError, VERSION};

const MAGIC: &[u8; 8] = b"idsANCHR";

/// The last block that was dropped. The hash chain goes on from its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) struct Anchor {
    pub(in crate::local) sequence: u64,
    pub(in crate::local) hash: [u8; 32],
}

impl Anchor {
    pub(in crate::local) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.put_u16(VERSION);
        bytes.put_u16(0);
        bytes.put_u32(0);
        bytes.put_u64(self.sequence);
        bytes.put(&self.hash);
        seal(&mut bytes);
        bytes
    }

    pub(in crate::local) fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut fields = Fields(unseal(bytes)?);
        if fields.take(8)? != MAGIC {
            return Err(FormatError::Malformed("not an anchor"));
        }
        match fields.u16()? {
            VERSION => {}
            version => return Err(FormatError::Version(version)),
        }
        fields.take(6)?;
        let anchor = Self { sequence: fields.number()?, hash: fields.array()? };
        if fields.0.is_empty() { Ok(anchor) } else { Err(FormatError::Malformed("bytes after the anchor")) }
    }
}
