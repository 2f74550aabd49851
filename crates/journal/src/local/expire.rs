//! Expiry: of segments that must stay for one stream, what others need not keep any more loses its bytes.

use std::sync::Arc;

use event::StreamSet;

use super::attempts::{Pinned, Unreadable};
use super::queue::Command;
use super::rewrite::rewrite;
use super::shared::Shared;
use super::state::{State, Stop};
use super::timeline::Segment;
use crate::JournalError;
use crate::retention::PerStream;

/// Segments of which one round reads the index, and segments that it rewrites, at most.
const N_LOOKS: usize = 64;
const N_REWRITES: usize = 4;

/// What a round has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Segments that were rewritten.
    pub n_rewritten: usize,
    /// There is more to do.
    pub is_more: bool,
}

/// One round, to its end. One at a time holds `rewriting`. A segment that cannot be rewritten does not keep the others from
/// it; the first error is answered.
pub(super) async fn expire(
    shared: Arc<Shared>,
    rewriting: Arc<tokio::sync::Mutex<()>>,
    points: PerStream,
) -> Result<Expiry, JournalError> {
    let _one_at_a_time = rewriting.lock_owned().await;
    shared.check()?;
    let (mut expiry, mut failed) = (Expiry::default(), None);
    let segments = shared.state.lock().timeline.to_expire(&points);
    for (nth, (segment, streams)) in segments.into_iter().enumerate() {
        shared.check()?;
        if nth == N_LOOKS || expiry.n_rewritten == N_REWRITES {
            expiry.is_more = true;
            break;
        }
        match expire_in(&shared, segment, streams).await {
            Ok(is_rewritten) => expiry.n_rewritten += usize::from(is_rewritten),
            Err(error) => {
                // What is damaged stays so until a repair, which is a restart.
                if matches!(error, JournalError::Damaged(_)) {
                    shared.state.lock().timeline.note_expired(segment.id, streams);
                }
                failed = failed.or(Some(error));
            }
        }
    }
    failed.map_or(Ok(expiry), Err)
}

/// First the books are durable, then the bytes go: after a crash in between the rest is done again. Answers whether there
/// was anything.
async fn expire_in(shared: &Arc<Shared>, segment: Segment, streams: StreamSet) -> Result<bool, JournalError> {
    let reading = Arc::clone(shared);
    let index = shared.blocking(move || reading.reader.index(&segment)).await?;
    let is_there = index.blocks.iter().any(|block| streams.contains(block.stream) && block.payload_bytes > 0);
    if is_there {
        let books = |state: &mut State, pinned: &Pinned| {
            let ended = state.expire_streams(&segment, streams, &index.blocks, pinned);
            ended.map_err(Stop::<JournalError>::from)
        };
        shared.attempt(Unreadable::IsPassed, books).await?;
        shared.changed.notify_waiters();
        shared.order(Command::Checkpoint).await?;
        let rewriting = Arc::clone(shared);
        let work =
            move || rewrite(rewriting.disk.as_ref(), &segment, &|block, _| streams.contains(block.stream));
        let rewritten = shared.blocking(work).await?;
        shared.order(|reply| Command::Swap(rewritten, reply)).await?;
    }
    shared.state.lock().timeline.note_expired(segment.id, streams);
    Ok(is_there)
}
