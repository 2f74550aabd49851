//! The collector's envelope around the native document.
//!
//! Only keys that Splunk knows: one that it does not know makes it answer 200 and drop the object silently. `fields`
//! holds two join keys only, since each indexed field costs index size. The large `event` comes last.

use std::io::Write as _;

use base::Timestamp;
use event::fragment::append_string;
use event::native::NativeProfile;
use event::{Record, Stream};

use crate::splunk::Settings;
use crate::streams::{PerStream, short_name};

/// A prepared writer of envelopes.
#[derive(Debug)]
pub(crate) struct Envelope {
    /// `{"host":…,"source":…,"sourcetype":…,"index":…,"time":"`
    head: PerStream,
    /// `","idstream_stream":"…"},"event":{`
    middle: PerStream,
    profile: NativeProfile,
}

impl Envelope {
    pub(crate) fn new(settings: &Settings, host: &str, profile: NativeProfile) -> Self {
        let head = PerStream::new(|stream| head(settings, host, stream));
        let middle = PerStream::new(|stream| format!("\",\"idstream_stream\":\"{stream}\"}},\"event\":{{"));
        Self { head, middle, profile }
    }

    pub(crate) fn append(
        &self,
        record: &Record<'_>,
        offset: Option<(u64, u32)>,
        is_replay: bool,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(self.head.get(record.stream()).as_bytes());
        append_seconds(record.time(), out);
        out.extend_from_slice(b"\",\"fields\":{\"idstream_id\":\"");
        let _never_fails_on_a_vector = write!(out, "{}", record.event_id());
        out.extend_from_slice(self.middle.get(record.stream()).as_bytes());
        self.profile.append_members(record, offset, is_replay, out);
        out.extend_from_slice(b"}}");
    }
}

fn head(settings: &Settings, host: &str, stream: Stream) -> String {
    let default_type = format!("idstream:{}", short_name(stream));
    let members = [
        ("{\"host\":", Some(host)),
        (",\"source\":", Some(settings.source.as_deref().unwrap_or("idstream"))),
        (",\"sourcetype\":", Some(settings.source_type.as_deref().unwrap_or(&default_type))),
        (",\"index\":", settings.index.as_deref()),
    ];
    let mut head = String::new();
    for (name, value) in members {
        if let Some(value) = value {
            head.push_str(name);
            append_string(value, &mut head);
        }
    }
    head.push_str(",\"time\":\"");
    head
}

/// Seconds since the epoch with three decimals, by whole numbers: a double would round.
fn append_seconds(time: Timestamp, out: &mut Vec<u8>) {
    let ms = time.as_millis();
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    let _never_fails_on_a_vector = write!(out, "{sign}{}.{:03}", ms / 1000, ms % 1000);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_decimal_text() {
        for (ms, text) in [
            (0, "0.000"),
            (1_769_860_800_007, "1769860800.007"),
            (-1_500, "-1.500"),
            (253_402_300_799_999, "253402300799.999"),
        ] {
            let mut out = Vec::new();
            append_seconds(Timestamp::from_millis(ms).unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
