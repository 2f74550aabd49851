//! One action line and one document line for each event.

use std::io::Write as _;

use event::fragment::append_string;
use event::native::NativeProfile;
use event::{Record, Stream};

use crate::elasticsearch::Settings;
use crate::streams::PerStream;

/// A prepared writer of lines.
#[derive(Debug)]
pub(crate) struct Lines {
    /// `{"create":{"_index":"…","_id":"`
    action: PerStream,
    profile: NativeProfile,
}

impl Lines {
    pub(crate) fn new(settings: &Settings, profile: NativeProfile) -> Self {
        Self { action: PerStream::new(|stream| action(settings, stream)), profile }
    }

    /// The document starts with `@timestamp`, which data streams demand.
    pub(crate) fn append(
        &self,
        record: &Record<'_>,
        offset: Option<(u64, u32)>,
        is_replay: bool,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(self.action.get(record.stream()).as_bytes());
        let _never_fails_on_a_vector =
            write!(out, "{}\"}}}}\n{{\"@timestamp\":\"{}\",", record.event_id(), record.time());
        self.profile.append_members(record, offset, is_replay, out);
        out.push(b'}');
    }
}

fn action(settings: &Settings, stream: Stream) -> String {
    let mut action = String::from("{\"create\":{");
    if let Some(index) = settings.index_of(stream) {
        action.push_str("\"_index\":");
        append_string(&index, &mut action);
        action.push(',');
    }
    action.push_str("\"_id\":\"");
    action
}
