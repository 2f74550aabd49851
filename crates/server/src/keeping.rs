//! What keeps watch over the journal beside it: the signing of its heads, erasures, and the telling of both.

use std::sync::Arc;
use std::time::Duration;

use api::ApiState;
use base::{Clock, Random};
use catalog::{Catalog, Keyring};
use custody::erasure::Erasures;
use custody::heads::{self, Signer};
use journal::local::LocalJournal;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::commands::Failure;

/// Who signs, and who erases.
pub(crate) struct Keeping {
    signer: Signer,
    pub(crate) erasures: Erasures,
    /// Those that the last end has interrupted. Nobody reads their events.
    open_erasures: Vec<String>,
}

impl Keeping {
    /// Before anybody reads the journal. Fails when it is not the one that was signed before.
    pub(crate) async fn begin(
        journal: &Arc<LocalJournal>,
        catalog: &Catalog,
        keyring: &Arc<Keyring>,
        clock: &Arc<dyn Clock>,
        random: &Arc<Random>,
    ) -> Result<Self, Failure> {
        heads::check(journal, catalog).await?;
        let key = custody::key::open_or_make(catalog, keyring, random, clock.now())?;
        journal.sign_with(Arc::clone(&key));
        let (journal, catalog, keyring) = (Arc::clone(journal), catalog.clone(), Arc::clone(keyring));
        let (clock, random) = (Arc::clone(clock), Arc::clone(random));
        let erasures = Erasures {
            journal: Arc::clone(&journal),
            catalog: catalog.clone(),
            keyring,
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
        };
        let open_erasures = erasures.take_up();
        Ok(Self { signer: Signer { journal, catalog, key, clock, random }, erasures, open_erasures })
    }

    /// Signs a head every so many minutes, goes on with erasures, and tells what there is to tell, until `stopped` turns
    /// true and [`Watching::end`] is called.
    pub(crate) fn watch(self, api: &ApiState, minutes: u32, stopped: watch::Receiver<bool>) -> Watching {
        api::resume_erasures(api, self.open_erasures);
        let every = Duration::from_mins(u64::from(minutes));
        let heads = tokio::spawn(heads::run(self.signer, every, stopped));
        let (stop_telling, told) = watch::channel(false);
        let audit = tokio::spawn(api::audit::run(api.clone(), told));
        Watching { heads, stop_telling, audit }
    }
}

/// What is running.
pub(crate) struct Watching {
    heads: JoinHandle<()>,
    stop_telling: watch::Sender<bool>,
    audit: JoinHandle<()>,
}

impl Watching {
    /// Waits for the last head to be signed, then for it to be told: it belongs into the journal before that is closed.
    pub(crate) async fn end(self) {
        if let Err(error) = self.heads.await {
            tracing::error!(%error, "the signing of heads ended badly");
        }
        self.stop_telling.send_replace(true);
        if let Err(error) = self.audit.await {
            tracing::error!(%error, "the audit of idstream itself ended badly");
        }
    }
}
