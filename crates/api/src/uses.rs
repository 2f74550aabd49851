//! When API clients were last used, and from where. Noted in memory, and stored every few minutes beside the clients, so that
//! a call costs no write and a client's document does not change by being used.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use base::Timestamp;
use catalog::{Catalog, CatalogError, Document};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::access::ApiClient;
use crate::error::ApiError;
use crate::state::ApiState;

/// How often what is new is stored: at most one write for each client. A crash loses as much.
const EVERY: Duration = Duration::from_mins(5);

/// The last use of an API client, as the catalog keeps it under the client's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientUse {
    /// When.
    pub(crate) last_used_at: Timestamp,
    /// From where, when the server knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_used_from: Option<IpAddr>,
}

impl Document for ClientUse {
    const KIND: &'static str = "clientUse";
}

struct Noted {
    last: ClientUse,
    is_stored: bool,
}

/// What was noted since the start, by client. As many as there are clients: only who was admitted is noted.
#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<String, Noted>>);

impl Uses {
    /// Notes that a client was admitted.
    pub(crate) fn note(&self, id: &str, at: Timestamp, from: Option<IpAddr>) {
        let noted = Noted { last: ClientUse { last_used_at: at, last_used_from: from }, is_stored: false };
        let mut uses = self.0.lock();
        match uses.get_mut(id) {
            Some(before) => *before = noted,
            None => drop(uses.insert(id.to_owned(), noted)),
        }
    }

    /// The last use of a client, if there was one.
    pub(crate) fn of(&self, id: &str, catalog: &Catalog) -> Option<ClientUse> {
        let noted = self.0.lock().get(id).map(|noted| noted.last);
        noted.or_else(|| catalog.get::<ClientUse>(id).ok().map(|found| found.value))
    }

    fn unstored(&self) -> Vec<(String, ClientUse)> {
        let uses = self.0.lock();
        uses.iter()
            .filter(|(_, noted)| !noted.is_stored)
            .map(|(id, noted)| (id.clone(), noted.last))
            .collect()
    }

    /// Notes that `last` is stored; a later use is not.
    fn stored(&self, id: &str, last: ClientUse) {
        if let Some(noted) = self.0.lock().get_mut(id).filter(|noted| noted.last == last) {
            noted.is_stored = true;
        }
    }

    fn forget(&self, id: &str) {
        self.0.lock().remove(id);
    }
}

/// Stores what is new every few minutes until `stop` turns true, and then once more.
pub async fn run(state: ApiState, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = tokio::time::sleep(EVERY) => {}
        }
        save(&state).await;
    }
    save(&state).await;
}

/// Stores what is new. What cannot be stored is tried again the next time.
pub async fn save(state: &ApiState) {
    for (id, last) in state.uses().unstored() {
        let client = id.clone();
        match state.change(move |catalog| store(catalog, &client, last)).await {
            Ok(true) => state.uses().stored(&id, last),
            Ok(false) => state.uses().forget(&id),
            Err(error) => {
                tracing::warn!(
                    client = id,
                    ?error,
                    "when an API client was last used could not be stored; trying again"
                );
            }
        }
    }
}

/// False when the client is gone.
fn store(catalog: &Catalog, id: &str, last: ClientUse) -> Result<bool, ApiError> {
    match catalog.get::<ApiClient>(id) {
        Err(CatalogError::NotFound) => return Ok(false),
        found => found?,
    };
    match catalog.get::<ClientUse>(id) {
        Err(CatalogError::NotFound) => catalog.create(id, &last, None)?,
        found => catalog.replace(id, &last, found?.revision, None)?,
    };
    Ok(true)
}

/// Takes away what is stored of a client that is gone.
pub(crate) fn remove(catalog: &Catalog, id: &str) -> Result<(), CatalogError> {
    match catalog.get::<ClientUse>(id) {
        Err(CatalogError::NotFound) => Ok(()),
        found => catalog.delete::<ClientUse>(id, found?.revision, None),
    }
}
