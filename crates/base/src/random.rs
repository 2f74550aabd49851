//! Randomness as a parameter: the system's in production, a seed in tests and simulation.

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A shared source of random bytes. From a seed, the same calls give the same bytes.
pub struct Random(Mutex<StdRng>);

impl Random {
    /// Seeded by the operating system; fit for salts, ids and secrets.
    pub fn from_system() -> Self {
        Self(Mutex::new(rand::make_rng()))
    }

    /// Seeded by `seed`: for tests and simulation only.
    pub fn from_seed(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().fill_bytes(bytes);
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A random number from `0` to `bound`, inclusive. The bias of the modulo is below 2^-32 for bounds under 2^32.
    pub fn up_to(&self, bound: u64) -> u64 {
        let n = u64::from_le_bytes(self.bytes());
        if bound == u64::MAX { n } else { n % (bound + 1) }
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}
