//! Configurations whose claims were renamed: they send them by the new names from then on. What was appended before keeps
//! the old ones, see [`delivery::Supervisor::hand_over`].
//!
//! A claim is renamed first, then one configuration after the other; whatever is cut short in between is found again by
//! comparing names, so it can be done at any time, and twice.

use std::sync::Arc;

use catalog::{Catalog, Found, Note};
use delivery::Configuration;

use super::change::hand_over;
use super::{readable, told};
use crate::audit::{Action, Change};
use crate::error::{ApiError, ErrorKey};
use crate::native_claims::ClaimNames;
use crate::state::ApiState;

/// How often it begins anew when others change the same configurations in the meantime.
const MAX_ROUNDS: u32 = 100;

/// Lets every configuration send its claims by the names that they have now. `tell` makes the audit log of each change.
pub(crate) async fn adopt_names(
    state: &ApiState,
    mut tell: impl FnMut(&Change<'_>) -> Note + Send,
) -> Result<(), ApiError> {
    for _ in 0..MAX_ROUNDS {
        let outdated = outdated(&state.catalog);
        if outdated.is_empty() {
            return Ok(());
        }
        for (found, renamed) in outdated {
            adopt(state, found, renamed, &mut tell).await?;
        }
    }
    let detail =
        "the claim is renamed, but configurations that select it are being changed: send the request again";
    Err(ApiError::new(ErrorKey::ChangedMeanwhile, detail))
}

/// The names of the configurations that select the claim with this id; of one that cannot be read nobody knows.
pub(crate) fn that_select(catalog: &Catalog, claim_id: &str) -> Vec<String> {
    let all = readable(catalog).into_iter().map(|found| found.value);
    let selects = |each: &Configuration| each.account.claims.iter().any(|claim| claim.id == claim_id);
    all.filter(selects).map(|each| each.name).collect()
}

/// The configurations that have a claim by an earlier name, each as it should be. One that cannot be read is left alone.
fn outdated(catalog: &Catalog) -> Vec<(Found<Configuration>, Configuration)> {
    let names = ClaimNames::of(catalog);
    let readable = catalog.list_each::<Configuration>().into_iter().filter_map(|(_, found)| found.ok());
    readable.filter_map(|found| names.renamed(&found.value).map(|renamed| (found, renamed))).collect()
}

/// Stores one of them. When it, or the claim, was changed in the meantime, nothing is done: the next round looks again.
async fn adopt(
    state: &ApiState,
    found: Found<Configuration>,
    renamed: Configuration,
    tell: &mut impl FnMut(&Change<'_>) -> Note,
) -> Result<(), ApiError> {
    let (floor, delivery) = (state.delivery.floor(&renamed.id).await?, Arc::clone(&state.delivery));
    let note = tell(&told(Action::Update, Some(&found.value), Some(&renamed)));
    let store = move |catalog: &Catalog| {
        if ClaimNames::of(catalog).renamed(&renamed).is_some() {
            return Ok(());
        }
        match hand_over(&delivery, catalog, &found, renamed, floor, note) {
            Err(error) if matches!(error.key(), ErrorKey::ChangedMeanwhile | ErrorKey::NotFound) => Ok(()),
            stored => stored.map(drop),
        }
    };
    state.change(store).await
}
