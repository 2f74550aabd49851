//! The readers of requests that are private here, for fuzzing.

use event::filter::Filter;
use serde_json::Value;

use crate::event_streaming::filter;
use crate::fields::{Complaints, Fields};
use crate::inflate::Encoding;

/// Decompresses a body of at most `max` bytes; `None` when it is refused. `make_room` is told what is asked for.
pub fn inflate(
    encoding: &str,
    bytes: &[u8],
    max: usize,
    mut make_room: impl FnMut(usize),
) -> Option<Vec<u8>> {
    let make_room = |n_bytes| {
        make_room(n_bytes);
        Ok(())
    };
    crate::inflate::inflate(Encoding::from_name(encoding)?, bytes, max, make_room).ok()
}

/// The field `filter` of a request; `None` when something is wrong with it.
pub fn filter(body: &Value) -> Option<Filter> {
    let mut complaints = Complaints::about("fuzz");
    let read = filter::filter(&Fields::of(body, &mut complaints), &mut complaints);
    complaints.finish(Some(read)).ok()
}
