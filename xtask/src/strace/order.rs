//! The order that a receipt must keep: an event is written to a segment of the journal, the segment is synced, and only
//! then does the answer that names the event go out.

use super::trace::Call;
use crate::Failure;

/// Fails unless every event of these was written, synced and answered in this order. An event is told by `marker`, a text
/// that stands both in what is stored of it and in its receipt.
pub(super) fn check(calls: &[Call], markers: &[String]) -> Result<(), Failure> {
    markers.iter().try_for_each(|marker| check_one(calls, marker))
}

fn check_one(calls: &[Call], marker: &str) -> Result<(), Failure> {
    let holds = |call: &&Call| call.arguments.contains(marker) && call.result > Some(0);
    let answer = calls
        .iter()
        .filter(|call| call.target.starts_with("socket:") && call.arguments.contains("HTTP/1.1 200"))
        .find(holds)
        .ok_or_else(|| format!("the trace holds no answer for event {marker}"))?;
    let written = calls
        .iter()
        .filter(|call| call.target.ends_with(".segment"))
        .find(holds)
        .ok_or_else(|| format!("the trace does not show that event {marker} was written"))?;
    // A sync that began before the write had returned need not cover it.
    let is_sync = |call: &&Call| {
        matches!(call.name.as_str(), "fdatasync" | "fsync")
            && call.target == written.target
            && call.result == Some(0)
            && call.began > written.ended
    };
    let synced = calls.iter().filter(is_sync).map(|call| call.ended).min();
    match synced {
        Some(synced) if synced < answer.began => Ok(()),
        Some(synced) => Err(format!(
            "event {marker} was answered too early: line {} of the trace sends its receipt, line {} ends the sync",
            answer.began + 1,
            synced + 1
        )
        .into()),
        None => Err(format!(
            "event {marker} was answered at line {} of the trace, but {} was not synced after line {} wrote it",
            answer.began + 1,
            written.target,
            written.ended + 1
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace::parse;
    use super::*;

    const WRITE: &str = "1 pwrite64(9</d/1.segment>, \"…e-1…\", 5, 0) = 5";
    const SYNC: &str = "1 fdatasync(9</d/1.segment>) = 0";
    const SYNC_BEGINS: &str = "1 fdatasync(9</d/1.segment> <unfinished ...>";
    const SYNC_ENDS: &str = "1 <... fdatasync resumed>) = 0";
    const ANSWER: &str = "2 sendto(5<socket:[7]>, \"HTTP/1.1 200 OK … e-1\", 20, 0, NULL, 0) = 20";

    fn check_lines(lines: &[&str]) -> Result<(), String> {
        let calls = parse(&lines.join("\n")).unwrap();
        check(&calls, &["e-1".to_owned()]).map_err(|error| error.to_string())
    }

    #[test]
    fn written_synced_answered_is_the_order() {
        assert_eq!(check_lines(&[WRITE, SYNC, ANSWER]), Ok(()));
        assert_eq!(check_lines(&[WRITE, SYNC_BEGINS, SYNC_ENDS, ANSWER]), Ok(()));
    }

    #[test]
    fn any_other_order_is_found() {
        let other_file = SYNC.replace("1.segment", "2.segment");
        let failed = SYNC.replace("= 0", "= -1 EIO (Input/output error)");
        let write_begins = "3 pwrite64(9</d/1.segment>, \"…e-1…\", 5, 0 <unfinished ...>";
        let write_ends = "3 <... pwrite64 resumed>) = 5";
        for (lines, why) in [
            (&[WRITE, ANSWER, SYNC][..], "answered too early"),
            (&[WRITE, SYNC_BEGINS, ANSWER, SYNC_ENDS], "answered too early"),
            (&[ANSWER, WRITE, SYNC], "answered too early"),
            (&[WRITE, ANSWER], "was not synced"),
            (&[SYNC, WRITE, ANSWER], "was not synced"),
            (&[WRITE, &other_file, ANSWER], "was not synced"),
            (&[WRITE, &failed, ANSWER], "was not synced"),
            (&[write_begins, SYNC_BEGINS, write_ends, SYNC_ENDS, ANSWER], "was not synced"),
            (&[SYNC, ANSWER], "does not show that event e-1 was written"),
            (&[WRITE, SYNC], "no answer for event e-1"),
        ] {
            let told = check_lines(lines).unwrap_err();
            assert!(told.contains(why), "{lines:?}: {told}");
        }
    }
}
