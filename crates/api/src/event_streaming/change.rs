//! The steps of a change of a stored configuration, from the last look at what is stored to the journal's part. One
//! configuration is changed by one caller at a time: what one of them reads, and what it tells, stays true to its end.

use std::sync::Arc;

use catalog::{Catalog, CatalogError, Found, Note};
use delivery::{Configuration, MAX_EARLIER, Supervisor};

use super::{ENTITY, check_claims, check_name, forget, quarantine, resume, revision};
use crate::error::{ApiError, ErrorKey};
use crate::state::ApiState;

/// Stores `after` in place of `before`, and does what follows from it. Answers what is stored in the end.
pub(super) async fn replace(
    state: &ApiState,
    before: Found<Configuration>,
    after: Configuration,
    note: Note,
) -> Result<Found<Configuration>, ApiError> {
    let id = after.id.clone();
    let _turn = state.delivery.turn(&id).await;
    // Nothing is told, and no place is made, for a change that is refused anyway.
    check(&state.catalog, &before, &after)?;
    announce(state, &before.value, Some(&after), &note).await;
    let floor = state.delivery.floor(&id).await?;
    // It has a place, unless an older copy of the journal was restored: then it begins anew.
    let had_place = delivery::is_admitted(&*state.journal, &id).await?;
    if !had_place {
        delivery::admit(&*state.journal, &id).await?;
    }
    let delivery = Arc::clone(&state.delivery);
    let change = move |catalog: &Catalog| {
        check(catalog, &before, &after)?;
        hand_over(&delivery, catalog, &before, after, floor, note).map_err(|error| error.about(ENTITY))
    };
    let stored = state.change(change).await;
    if stored.is_err() && !had_place {
        // What it would begin with is for the new settings.
        forget(state, &id).await;
    }
    resume::carry_out(state, stored?).await
}

/// Deletes a configuration, and gives its place up. `before` is `None` when it cannot be read.
pub(super) async fn delete(
    state: &ApiState,
    id: &str,
    before: Option<Configuration>,
    known: u64,
    note: Note,
) -> Result<(), ApiError> {
    let _turn = state.delivery.turn(id).await;
    check_revision(&state.catalog, id, known)?;
    if let Some(before) = &before {
        announce(state, before, None, &note).await;
    }
    let gone = id.to_owned();
    let remove = move |catalog: &Catalog| {
        catalog
            .delete::<Configuration>(&gone, known, Some(note))
            .map_err(|error| ApiError::from(error).about(ENTITY))?;
        if let Err(error) = quarantine::forget(catalog, &gone) {
            tracing::error!(id = gone, %error, "what was given up last of a deleted configuration stays in the catalog");
        }
        Ok(())
    };
    state.change(remove).await?;
    forget(state, id).await;
    Ok(())
}

/// Stores `after` from the next block on.
pub(super) fn hand_over(
    delivery: &Supervisor,
    catalog: &Catalog,
    before: &Found<Configuration>,
    mut after: Configuration,
    floor: u64,
    note: Note,
) -> Result<Found<Configuration>, ApiError> {
    // Before the border is drawn: it would stop the worker of what somebody else has stored meanwhile.
    if catalog.revision::<Configuration>(&after.id)? != before.revision {
        return Err(CatalogError::Conflict.into());
    }
    let hand_over = delivery.hand_over(before, &mut after, floor);
    if after.is_overfull() && after.earlier.len() > before.value.earlier.len() {
        let detail = format!(
            "what {:?} selects was changed {MAX_EARLIER} times while it could not deliver, and each selection is kept until \
             its events are settled: mend its destination first, or give its backlog up (disable it, then enable it with \
             \"resumeFrom\": \"now\")",
            after.name
        );
        return Err(ApiError::new(ErrorKey::LimitReached, detail));
    }
    let revision = catalog.replace(&after.id, &after, before.revision, Some(note))?;
    hand_over.complete();
    Ok(Found { value: after, revision })
}

fn check(catalog: &Catalog, before: &Found<Configuration>, after: &Configuration) -> Result<(), ApiError> {
    check_revision(catalog, &after.id, before.revision)?;
    check_name(catalog, after)?;
    check_claims(catalog, after)
}

fn check_revision(catalog: &Catalog, id: &str, known: u64) -> Result<(), ApiError> {
    if revision(catalog, id)? == known {
        return Ok(());
    }
    Err(ApiError::from(CatalogError::Conflict).about(ENTITY))
}

/// Tells a destination that it is about to be cut off, from everything or from news like this, as well as it goes: an
/// attacker's first deed would be to silence the one that watches. Waits a few seconds at most; all others are told by the
/// audit log itself.
async fn announce(state: &ApiState, before: &Configuration, after: Option<&Configuration>, note: &Note) {
    state.delivery.announce(before, after, &note.to_string()).await;
}
