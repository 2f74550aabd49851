//! A set of block sequences, kept as ranges: settled blocks mostly lie side by side.

use std::collections::BTreeMap;

/// Half-open ranges that neither overlap nor touch: start -> end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds `from..until`.
    pub(super) fn insert(&mut self, mut from: u64, mut until: u64) {
        if from >= until {
            return;
        }
        while let Some((start, end)) = self.0.range(..=until).next_back().map(|(start, end)| (*start, *end)) {
            if end < from {
                break;
            }
            from = from.min(start);
            until = until.max(end);
            self.0.remove(&start);
        }
        self.0.insert(from, until);
    }

    /// The end of the range that holds `sequence`.
    pub(super) fn end_of(&self, sequence: u64) -> Option<u64> {
        let (_, end) = self.0.range(..=sequence).next_back()?;
        (*end > sequence).then_some(*end)
    }

    /// Drops everything below `sequence`.
    pub(super) fn drop_below(&mut self, sequence: u64) {
        let end = self.end_of(sequence);
        self.0 = self.0.split_off(&sequence);
        if let Some(end) = end {
            self.0.insert(sequence, end);
        }
    }

    /// The ranges in order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (u64, u64)> {
        self.0.iter().map(|(start, end)| (*start, *end))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_a_set(adds in proptest::collection::vec((0_u64..60, 0_u64..8), 0..30), cut in 0_u64..60) {
            let mut ranges = Ranges::default();
            let mut set = BTreeSet::new();
            for (from, n) in adds {
                ranges.insert(from, from + n);
                set.extend(from..from + n);
            }
            ranges.drop_below(cut);
            let set = set.split_off(&cut);
            for n in 0..70 {
                prop_assert_eq!(ranges.end_of(n).is_some(), set.contains(&n));
            }
            let mut last = None;
            for (from, until) in ranges.iter() {
                prop_assert!(from < until && last.is_none_or(|last| last < from));
                last = Some(until);
            }
        }
    }
}
