//! A filter prepared for many events.

use std::collections::HashSet;
use std::fmt;

use super::{Criterion, Filter, Lists, Preset};
use crate::header::Header;
use crate::{Record, Section};

/// A filter whose lists can be looked up in.
#[derive(Clone, Debug)]
pub struct Sieve {
    presets: Vec<Preset>,
    include: Vec<List>,
    exclude: Vec<List>,
}

type List = (Criterion, HashSet<String>);

/// What left an event out. Printed as the path of the list in its filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A preset.
    Preset(Preset),
    /// A list of `exclude` names it.
    Exclude(Criterion),
    /// A list of `include` does not.
    Include(Criterion),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset(preset) => write!(f, "filter.presets.{}", preset.name()),
            Self::Exclude(criterion) => write!(f, "filter.exclude.{}", criterion.name()),
            Self::Include(criterion) => write!(f, "filter.include.{}", criterion.name()),
        }
    }
}

impl Sieve {
    /// Prepares a filter. `None` when it lets every event pass: then nothing need be asked.
    pub fn of(filter: &Filter) -> Option<Self> {
        let prepare = |lists: &Lists| -> Vec<List> {
            lists.iter().map(|(criterion, values)| (*criterion, values.iter().cloned().collect())).collect()
        };
        (!filter.is_empty()).then(|| Self {
            presets: filter.presets.clone(),
            include: prepare(&filter.include),
            exclude: prepare(&filter.exclude),
        })
    }

    /// Whether an event passes.
    pub fn admits(&self, record: &Record<'_>) -> bool {
        self.left_out_by(record).is_none()
    }

    /// The first rule that leaves an event out; `None` when it passes. Only the header and the source are looked at.
    pub fn left_out_by(&self, record: &Record<'_>) -> Option<Rule> {
        let mut header = Header::of(record.section(Section::Header).unwrap_or_default());
        let preset = self.presets.iter().find(|preset| preset.has_no_use_for(record, &mut header));
        if let Some(preset) = preset {
            return Some(Rule::Preset(*preset));
        }
        let mut names =
            |(criterion, values): &&List| criterion.any(record, &mut header, |value| values.contains(value));
        if let Some((criterion, _)) = self.exclude.iter().find(&mut names) {
            return Some(Rule::Exclude(*criterion));
        }
        let mut concerned = self.include.iter().filter(|(criterion, _)| criterion.concerns(record.stream()));
        concerned.find(|list| !names(list)).map(|(criterion, _)| Rule::Include(*criterion))
    }
}
