//! Discovered claims: names that events carry and no claim has yet, kept in the catalog and offered.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::{Catalog, CatalogError};
use http::StatusCode;
use intake::{Discovered, DiscoveredClaims, Discovery, MAX_DISCOVERED};

use super::document::ClaimNames;
use crate::call::{self, Answer, Call};
use crate::page::{Column, by_text, page_of, passes};
use crate::state::ApiState;

const COLUMNS: [Column<Discovered>; 3] = [
    ("name", |a, b| by_text(&a.name, &b.name)),
    ("firstSeenAt", |a, b| a.first_seen_at.cmp(&b.first_seen_at)),
    ("sourceId", |a, b| by_text(&a.source_id, &b.source_id)),
];

/// The names that are offered.
pub(crate) async fn discovered(call: Call) -> Answer {
    let query = call.query();
    let filter = query.one("name")?;
    // Fresh ones first: in the other order those that are written down in between would be in neither.
    let fresh = call.state.intake.discovery().fresh();
    let mut offer = merged(kept(&call.state.catalog)?.0, fresh, &ClaimNames::of(&call.state.catalog));
    offer.retain(|each| passes(&each.name, filter));
    let page = page_of(&query, offer, &COLUMNS, Clone::clone)?;
    call::json(StatusCode::OK, &page)
}

/// Writes new names down, if there are some. When that fails they stay noticed.
pub(super) async fn keep(state: &ApiState) {
    if state.intake.discovery().fresh().is_empty() {
        return;
    }
    let intake = Arc::clone(&state.intake);
    let kept = state.change(move |catalog| Ok(update(catalog, intake.discovery())?));
    if let Err(error) = kept.await {
        tracing::error!(?error, "names of discovered claims could not be stored; trying again");
    }
}

/// Makes the stored offer right, and tells the intake what is known. Only within a change.
pub(super) fn update(catalog: &Catalog, discovery: &Discovery) -> Result<(), CatalogError> {
    let names = ClaimNames::of(catalog);
    let (before, revision) = kept(catalog)?;
    let claims = merged(before.clone(), discovery.fresh(), &names);
    let after = DiscoveredClaims { claims };
    // What was noticed is nobody's change: it carries no audit log.
    if after.claims != before {
        match revision {
            None => catalog.create(DiscoveredClaims::ID, &after, None)?,
            Some(revision) => catalog.replace(DiscoveredClaims::ID, &after, revision, None)?,
        };
    }
    discovery.know(names.names(), &after.claims);
    Ok(())
}

/// What is written down, with its revision.
fn kept(catalog: &Catalog) -> Result<(Vec<Discovered>, Option<u64>), CatalogError> {
    match catalog.get::<DiscoveredClaims>(DiscoveredClaims::ID) {
        Ok(found) => Ok((found.value.claims, Some(found.revision))),
        Err(CatalogError::NotFound) => Ok((Vec::new(), None)),
        Err(error) => Err(error),
    }
}

/// What is offered of what was written down and what came since: each name once, and none that a claim has.
fn merged(kept: Vec<Discovered>, fresh: Vec<Discovered>, names: &ClaimNames) -> Vec<Discovered> {
    let taken: BTreeSet<&str> = names.names().collect();
    let mut seen = BTreeSet::new();
    let all = kept.into_iter().chain(fresh);
    let mut offer: Vec<Discovered> =
        all.filter(|each| !taken.contains(each.name.as_str()) && seen.insert(each.name.clone())).collect();
    offer.truncate(MAX_DISCOVERED);
    offer
}
