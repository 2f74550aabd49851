//! A server that is killed again and again while events are posted and delivered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use base::{EventId, Random};
use serde_json::Value;

use super::ground::Ground;
use super::scene::wait;
use crate::Failure;
use crate::books::count;

/// Events of a request, and the pause after it: about 800 a second.
const AT_ONCE: u64 = 200;
const PAUSE: Duration = Duration::from_millis(250);
/// How long a kill waits, in milliseconds, after events were seen to be delivered.
const WAIT: (u64, u64) = (200, 2_000);
/// Deliveries begin again that soon after a start: a try that was put off comes after 30 seconds at the latest.
const PATIENCE: Duration = Duration::from_mins(2);

/// Posts without an end while `kill` ends and starts the server `n` times, each time in mid-stream; the ids that were posted.
pub(super) fn under_posting(
    ground: &Ground,
    id: &str,
    random: &Random,
    n: u32,
    mut kill: impl FnMut() -> Result<(), Failure>,
) -> Result<Vec<EventId>, Failure> {
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let posting = scope.spawn(move || post(ground, is_over));
        let killed = (0..n).try_for_each(|_| {
            until_more_is_delivered(ground, id)?;
            let (least, most) = WAIT;
            thread::sleep(Duration::from_millis(least + random.up_to(most - least)));
            kill()
        });
        let more = killed.and_then(|()| until_more_is_delivered(ground, id));
        is_over.store(true, Ordering::Relaxed);
        let posted = posting.join().map_err(|_| "the producer broke down")??;
        more.map(|()| posted)
    })
}

fn post(ground: &Ground, is_over: &AtomicBool) -> Result<Vec<EventId>, Failure> {
    let mut posted = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        posted.extend(ground.post(AT_ONCE)?);
        thread::sleep(PAUSE);
    }
    Ok(posted)
}

fn until_more_is_delivered(ground: &Ground, id: &str) -> Result<(), Failure> {
    let delivered = || -> Result<u64, Failure> {
        let books = ground.status(id)?.get("books").cloned().unwrap_or(Value::Null);
        Ok(["confirmed", "accepted"].iter().filter_map(|grade| count(&books, grade)).sum())
    };
    let before = delivered()?;
    wait(PATIENCE, "more is delivered", || Ok((delivered()? > before).then_some(())))
}
