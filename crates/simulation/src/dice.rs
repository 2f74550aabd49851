//! What a simulation draws.

use std::time::Duration;

use base::Random;

/// Draws from one seed. Each part of the world has dice of its own, so that one that draws more does not change the others.
#[derive(Debug)]
pub(crate) struct Dice(Random);

impl Dice {
    /// The dice of one part of a seed's world.
    pub(crate) fn new(seed: u64, part: &str) -> Self {
        let part = part.bytes().fold(0_u64, |hash, byte| mix(hash ^ u64::from(byte)));
        Self(Random::from_seed(mix(seed) ^ part))
    }

    /// From 0 to `bound`.
    pub(crate) fn up_to(&self, bound: u64) -> u64 {
        self.0.up_to(bound)
    }

    /// From `least` to `most`.
    pub(crate) fn between(&self, least: u64, most: u64) -> u64 {
        least + self.up_to(most.saturating_sub(least))
    }

    /// Happens in so many of a thousand cases.
    pub(crate) fn happens(&self, per_mille: u64) -> bool {
        per_mille > 0 && self.up_to(999) < per_mille
    }

    /// One of these; there is at least one.
    pub(crate) fn pick<T: Copy>(&self, first: T, rest: &[T]) -> T {
        let at = self.up_to(rest.len() as u64) as usize;
        at.checked_sub(1).and_then(|at| rest.get(at).copied()).unwrap_or(first)
    }

    /// A time, in milliseconds.
    pub(crate) fn millis(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }
}

/// Spreads a number over all bits.
pub(crate) const fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
