//! What a server's status proves. Its body is only quoted: no form of it is agreed on.

use crate::reason::Hush;
use crate::seam::{Answer, Grade, Outcome, Verdict};

pub(crate) fn classify(n_events: usize, answer: &Answer, hush: &Hush) -> Verdict {
    let reason = || hush.unknown(answer.status, &answer.body);
    let outcome = match answer.status {
        200..=299 => Outcome::Delivered(Grade::Accepted),
        400 | 413 | 422 => Outcome::Split { reason: reason() },
        401 | 403 | 404 | 405 | 410 => Outcome::Hold { reason: reason() },
        _ => Outcome::Retry { reason: reason() },
    };
    Verdict::all(n_events, &outcome)
}
