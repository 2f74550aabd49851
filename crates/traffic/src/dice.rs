//! Choices made from a seed, the same on every machine.

use std::fmt;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// A seeded source of choices. The algorithm is fixed, so that a seed tells the same story in every version.
#[derive(Debug)]
pub(crate) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A number below `bound`; 0 when `bound` is 0. The bias is below 2^-32 for bounds under 2^32.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// An index of a list of `len`; 0 when it is empty.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number of the range, both ends included.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to + 1 - from)
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of a fixed list.
    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, list: &[T; N]) -> T {
        const { assert!(N > 0, "nothing to pick from") };
        list[self.index(N)]
    }

    /// A fresh id.
    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid((u128::from(self.0.next_u64()) << 64) | u128::from(self.0.next_u64()))
    }
}

/// A random UUID (version 4, RFC 9562), printed in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uuid(u128);

impl Uuid {
    /// Its lowest 64 bits.
    pub(crate) const fn low(self) -> u64 {
        self.0 as u64
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let bits = (self.0 & !(0xf << 76) & !(0b11 << 62)) | (4 << 76) | (0b10 << 62);
        let mut text = [b'-'; 36];
        let places = (0..36).filter(|at| !matches!(at, 8 | 13 | 18 | 23));
        for (nth, at) in places.enumerate() {
            text[at] = DIGITS[(bits >> (124 - 4 * nth)) as usize & 0xf];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_tells_the_same_in_every_version() {
        let mut dice = Dice::new(7);
        let drawn: Vec<u64> = (0..6).map(|_| dice.below(1000)).collect();
        assert_eq!(drawn, [55, 172, 717, 427, 963, 465]);
    }

    #[test]
    fn ids_are_uuids_of_version_4() {
        let mut dice = Dice::new(1);
        for _ in 0..100 {
            let text = dice.uuid().to_string();
            base::EventId::parse(&text).unwrap();
            assert_eq!(text.as_bytes()[14], b'4', "{text}");
            assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
        }
    }

    #[test]
    fn every_choice_comes_up() {
        let mut dice = Dice::new(2);
        let mut seen = [0; 4];
        for _ in 0..400 {
            seen[dice.between(3, 6) as usize - 3] += 1;
        }
        assert!(seen.iter().all(|n| *n > 60), "{seen:?}");
        assert_eq!(dice.below(0), 0);
        assert!(!dice.chance(0) && dice.chance(100));
    }
}
