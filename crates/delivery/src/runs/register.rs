//! The runs in the catalog: entering one, and changing whether it goes on.

use base::Timestamp;
use catalog::{Catalog, CatalogError, Found, Note};

use super::document::{MAX_KEPT_RUNS, MAX_OPEN_RUNS, Run, RunState};

/// Why a run was not entered or changed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration has too many that are not over.
    #[error("{MAX_OPEN_RUNS} runs of the configuration are not over yet")]
    TooMany,
    /// What was asked for does not fit its state.
    #[error("the run is {0}")]
    Unfit(&'static str),
    /// It was not stored.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// What somebody wants of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It stops, and keeps its place.
    Pause,
    /// It goes on.
    Resume,
    /// It ends where it is.
    Cancel,
}

/// The runs of one configuration, in order of creation. One that cannot be read is left out; the supervisor names it.
pub fn runs_of(catalog: &Catalog, configuration_id: &str) -> Vec<Found<Run>> {
    let each = catalog.list_each::<Run>().into_iter().filter_map(|(_, found)| found.ok());
    each.filter(|found| found.value.configuration_id == configuration_id).collect()
}

/// One run of a configuration.
pub fn find_run(catalog: &Catalog, configuration_id: &str, id: &str) -> Result<Found<Run>, CatalogError> {
    let found = catalog.get::<Run>(id)?;
    if found.value.configuration_id == configuration_id { Ok(found) } else { Err(CatalogError::NotFound) }
}

/// Stores a new run; the supervisor takes it up. To be called by one caller at a time.
pub fn enter_run(catalog: &Catalog, run: &Run, note: Note) -> Result<u64, RunError> {
    let runs = runs_of(catalog, &run.configuration_id);
    if runs.iter().filter(|each| !each.value.state.is_over()).count() >= MAX_OPEN_RUNS {
        return Err(RunError::TooMany);
    }
    Ok(catalog.create(&run.id, run, Some(note))?)
}

/// The oldest runs of a configuration that need not be remembered any more.
pub(crate) fn superfluous<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<&'a Run> {
    let mut over: Vec<&Run> = runs.filter(|run| run.figures.is_some()).collect();
    over.sort_by(|a, b| a.id.cmp(&b.id));
    over.truncate(over.len().saturating_sub(MAX_KEPT_RUNS));
    over
}

impl Run {
    /// The run after a deed; the same when it is so already.
    pub fn after(&self, deed: Deed, now: Timestamp) -> Result<Self, RunError> {
        let state = match (deed, self.state) {
            (Deed::Cancel, RunState::Cancelled) => RunState::Cancelled,
            (_, RunState::Cancelled) => return Err(RunError::Unfit("cancelled")),
            (_, RunState::Completed) => return Err(RunError::Unfit("completed")),
            (_, RunState::Failed) => return Err(RunError::Unfit("failed")),
            (Deed::Pause, _) => RunState::Paused,
            (Deed::Resume, _) => RunState::Running,
            (Deed::Cancel, _) => RunState::Cancelled,
        };
        let ended_at = if state == RunState::Cancelled { self.ended_at.or(Some(now)) } else { None };
        Ok(Self { state, ended_at, ..self.clone() })
    }
}
