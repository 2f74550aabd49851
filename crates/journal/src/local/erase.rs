//! Erasing records: every segment that holds one of them is rewritten.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::queue::Command;
use super::rewrite::rewrite;
use super::shared::Shared;
use super::timeline::Segment;
use crate::{JournalError, Offset};

/// Erases to the end, whether or not anybody still waits for it: half of it must not go on beside the next one. One at a
/// time holds `rewriting`. A segment that cannot be rewritten does not keep the others from it; the first error is
/// answered.
pub(super) async fn erase(
    shared: Arc<Shared>,
    rewriting: Arc<tokio::sync::Mutex<()>>,
    erased: Arc<BTreeSet<Offset>>,
) -> Result<(), JournalError> {
    let _one_at_a_time = rewriting.lock_owned().await;
    shared.check()?;
    let first_active = shared.state.lock().timeline.active().first;
    if erased.iter().any(|offset| offset.block >= first_active) {
        shared.order(Command::Roll).await?;
    }
    let mut answer = Ok(());
    for segment in shared.sealed_with(&erased) {
        shared.check()?;
        let done = erase_in(&shared, segment, Arc::clone(&erased)).await;
        answer = answer.and(done);
    }
    if answer.is_ok() {
        shared.hidden.lock().retain(|offset| !erased.contains(offset));
    }
    answer
}

async fn erase_in(
    shared: &Arc<Shared>,
    segment: Segment,
    erased: Arc<BTreeSet<Offset>>,
) -> Result<(), JournalError> {
    let rewriting = Arc::clone(shared);
    let work = move || {
        rewrite(rewriting.disk.as_ref(), &segment, &|block, index| {
            erased.contains(&Offset { block: block.sequence, index })
        })
    };
    let rewritten = shared.blocking(work).await?;
    shared.order(|reply| Command::Swap(rewritten, reply)).await
}
