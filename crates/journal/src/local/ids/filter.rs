//! A blocked Bloom filter: one id sets six bits of one block of 512. About ten bits an id, so that one probe in a
//! hundred is in vain. The bits are part of the on-disk format.

use base::EventId;

use super::Kind;

/// Bytes of one block of the filter.
pub(super) const BLOCK: usize = 64;
const BITS_PER_ID: usize = 10;
const N_BITS: u32 = 6;

/// How many blocks a filter of `n` ids has.
pub(super) const fn n_blocks(n: usize) -> usize {
    (n * BITS_PER_ID).div_ceil(BLOCK * 8) + 1
}

/// Where an id's bits are.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    hash: u64,
    bits: u64,
}

impl Probe {
    pub(super) fn new(kind: Kind, id: &EventId) -> Self {
        let (head, tail) = id.as_bytes().split_at(8);
        let half = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        let hash = mix(half(head) ^ mix(half(tail) ^ (kind as u64)));
        Self { hash, bits: mix(hash) }
    }

    /// Which of `n` blocks.
    pub(super) const fn block(self, n: usize) -> usize {
        (((self.hash >> 32) * n as u64) >> 32) as usize
    }

    fn places(self) -> impl Iterator<Item = (usize, u8)> {
        (0..N_BITS).map(move |i| {
            let bit = (self.bits >> (9 * i)) as usize % (BLOCK * 8);
            (bit / 8, 1 << (bit % 8))
        })
    }

    pub(super) fn set(self, block: &mut [u8]) {
        for (at, bit) in self.places() {
            if let Some(byte) = block.get_mut(at) {
                *byte |= bit;
            }
        }
    }

    pub(super) fn is_set(self, block: &[u8]) -> bool {
        self.places().all(|(at, bit)| block.get(at).is_some_and(|byte| byte & bit != 0))
    }
}

/// The finaliser of MurmurHash3 (public domain): every bit of the input moves every bit of the output.
const fn mix(mut n: u64) -> u64 {
    n ^= n >> 33;
    n = n.wrapping_mul(0xff51_afd7_ed55_8ccd);
    n ^= n >> 33;
    n = n.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    n ^ (n >> 33)
}

#[cfg(test)]
mod tests {
    use base::Random;

    use super::*;

    #[test]
    fn what_was_set_is_found_and_little_else() {
        let random = Random::from_seed(1);
        let n = 20_000;
        let blocks = n_blocks(n);
        let mut filter = vec![0; blocks * BLOCK];
        let ids: Vec<_> = (0..n).map(|_| EventId::from_bytes(random.bytes())).collect();
        for id in &ids {
            let probe = Probe::new(Kind::Event, id);
            probe.set(&mut filter[probe.block(blocks) * BLOCK..][..BLOCK]);
        }
        let found = |kind, id| {
            let probe = Probe::new(kind, &id);
            probe.is_set(&filter[probe.block(blocks) * BLOCK..][..BLOCK])
        };
        assert!(ids.iter().all(|id| found(Kind::Event, *id)));
        let strangers = (0..n).filter(|_| found(Kind::Event, EventId::from_bytes(random.bytes()))).count();
        assert!(strangers < n / 50, "{strangers}");
        assert!(ids.iter().filter(|id| found(Kind::Request, **id)).count() < n / 50);
    }
}
