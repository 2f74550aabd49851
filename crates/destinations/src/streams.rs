//! Values that differ by stream and are prepared once, such as an envelope's beginning.

use event::Stream;

/// One prepared text for every stream.
#[derive(Clone, Debug)]
pub(crate) struct PerStream([String; Stream::ALL.len()]);

impl PerStream {
    /// Prepares the text of every stream.
    pub(crate) fn new(make: impl Fn(Stream) -> String) -> Self {
        Self(Stream::ALL.map(make))
    }

    /// The text of this stream.
    pub(crate) fn get(&self, stream: Stream) -> &str {
        let at = Stream::ALL.iter().position(|each| *each == stream);
        at.and_then(|at| self.0.get(at)).map_or("", String::as_str)
    }
}

/// The word for a stream in sourcetypes and data stream names.
pub(crate) const fn short_name(stream: Stream) -> &'static str {
    match stream {
        Stream::AccountEvent => "account",
        Stream::AuditLog => "audit",
        Stream::EventHookLog => "hook",
        Stream::Quarantine => "quarantine",
        Stream::IntakeQuarantine => "intakequarantine",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_its_own_text() {
        let texts = PerStream::new(|stream| short_name(stream).to_owned());
        for stream in Stream::ALL {
            assert_eq!(texts.get(stream), short_name(stream));
        }
    }
}
