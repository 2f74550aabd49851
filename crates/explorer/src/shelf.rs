//! Which runs there are, and what follows from it: pure functions of spans.

use crate::run::{Run, Span};

/// Widest range of blocks of one run: places are kept in 4 bytes.
const WIDEST: u64 = u32::MAX as u64;

/// Runs in order of their blocks, none over another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shelf(Vec<Run>);

impl Shelf {
    /// Takes of these runs those that do not overlap, the widest first: a crash may leave a merged run beside those it was
    /// made from. Returns the others.
    pub(crate) fn of(mut runs: Vec<Run>) -> (Self, Vec<Run>) {
        runs.sort_by_key(|run| std::cmp::Reverse(run.span.until - run.span.from));
        let (mut kept, mut others): (Vec<Run>, Vec<Run>) = (Vec::new(), Vec::new());
        for run in runs {
            let overlaps = |other: &Run| run.span.from < other.span.until && other.span.from < run.span.until;
            if kept.iter().any(overlaps) { others.push(run) } else { kept.push(run) }
        }
        kept.sort_by_key(|run| run.span.from);
        (Self(kept), others)
    }

    /// The runs, oldest first.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.0
    }

    /// Adds a run into a gap.
    pub(crate) fn add(&mut self, run: Run) {
        let at = self.0.partition_point(|other| other.span.from < run.span.from);
        self.0.insert(at, run);
    }

    /// Takes a run away; false when it is not there any more.
    pub(crate) fn take(&mut self, run: &Run) -> bool {
        let n = self.0.len();
        self.0.retain(|other| other != run);
        self.0.len() < n
    }

    /// Takes the runs away that lie wholly below a block.
    pub(crate) fn take_below(&mut self, first: u64) -> Vec<Run> {
        let n = self.0.partition_point(|run| run.span.until <= first);
        self.0.drain(..n).collect()
    }

    /// The run that covers a block.
    pub(crate) fn covering(&self, block: u64) -> Option<&Run> {
        self.0.iter().find(|run| (run.span.from..run.span.until).contains(&block))
    }

    /// The first blocks of `within` that no run covers; where they end either `within` ends or a run begins.
    pub(crate) fn gap(&self, within: Span) -> Option<Span> {
        let mut from = within.from;
        for run in &self.0 {
            if run.span.from > from {
                let until = run.span.from.min(within.until);
                return Some(Span { from, until }).filter(|gap| !gap.is_empty());
            }
            from = from.max(run.span.until);
        }
        Some(Span { from, until: within.until }).filter(|gap| !gap.is_empty())
    }

    /// Blocks of `within` that no run covers.
    pub(crate) fn n_missing(&self, within: Span) -> u64 {
        let covered = self
            .0
            .iter()
            .map(|run| run.span.until.min(within.until).saturating_sub(run.span.from.max(within.from)));
        within.until.saturating_sub(within.from).saturating_sub(covered.sum())
    }

    /// `n` neighbours of at most `small` entries each that should become one run.
    pub(crate) fn mergeable(&self, n: usize, small: usize) -> Option<&[Run]> {
        let is_small = |run: &Run| run.n_entries <= small as u64;
        let fits = |runs: &&[Run]| {
            let touch = runs.iter().zip(runs.iter().skip(1)).all(|(a, b)| a.span.until == b.span.from);
            let wide = runs.first().zip(runs.last()).map(|(a, b)| b.span.until - a.span.from);
            touch && runs.iter().all(is_small) && wide.is_some_and(|wide| wide <= WIDEST)
        };
        if n < 2 { None } else { self.0.windows(n).find(fits) }
    }
}

#[cfg(test)]
mod tests {
    use testkit::disk::SimDisk;

    use super::*;
    use crate::run::RunWriter;

    fn run(from: u64, until: u64) -> Run {
        RunWriter::new(&SimDisk::new(1), Span { from, until }, None).unwrap().finish().unwrap()
    }

    fn shelf(spans: &[(u64, u64)]) -> Shelf {
        Shelf::of(spans.iter().map(|(from, until)| run(*from, *until)).collect()).0
    }

    #[test]
    fn gaps_are_what_no_run_covers() {
        let shelf = shelf(&[(5, 10), (10, 12), (20, 30)]);
        let gap = |from, until| shelf.gap(Span { from, until }).map(|gap| (gap.from, gap.until));
        assert_eq!(gap(1, 40), Some((1, 5)));
        assert_eq!(gap(5, 40), Some((12, 20)));
        assert_eq!(gap(7, 15), Some((12, 15)));
        assert_eq!(gap(20, 40), Some((30, 40)));
        assert_eq!((gap(20, 30), gap(6, 12), gap(3, 3)), (None, None, None));
        assert_eq!(shelf.n_missing(Span { from: 1, until: 40 }), 4 + 8 + 10);
        assert_eq!(shelf.n_missing(Span { from: 6, until: 12 }), 0);
    }

    #[test]
    fn of_overlapping_runs_the_widest_is_kept() {
        let (kept, others) = Shelf::of(vec![run(1, 5), run(5, 9), run(1, 9), run(9, 12)]);
        assert_eq!(kept, shelf(&[(1, 9), (9, 12)]));
        assert_eq!(others.len(), 2);
    }

    #[test]
    fn neighbours_without_a_gap_between_them_are_merged() {
        let merged = |spans: &[(u64, u64)]| {
            shelf(spans).mergeable(2, 0).map(|runs| (runs[0].span.from, runs[1].span.until))
        };
        assert_eq!(merged(&[(1, 5), (6, 9), (9, 12)]), Some((6, 12)));
        assert_eq!(merged(&[(1, 5), (6, 9)]), None);
        assert_eq!(merged(&[(1, 5), (5, 1 << 33)]), None, "too wide");
    }

    #[test]
    fn runs_go_when_all_of_their_blocks_have_gone() {
        let mut shelf = shelf(&[(1, 5), (5, 9)]);
        assert_eq!(shelf.take_below(8).len(), 1);
        assert!(shelf.covering(4).is_none() && shelf.covering(8).is_some());
    }
}
