//! Reading a file: lines become requests; lines that no server would take are set aside without asking one.

use std::io::{self, BufRead, Read};

use super::naming::Names;

/// A request is sent when it has so many bytes. The server refuses more than 8 MiB unless it is set otherwise.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// No server takes a larger event.
const MAX_EVENT_BYTES: usize = 512 << 10;
/// A longer line means that the file is something else.
const MAX_LINE_BYTES: u64 = 8 << 20;

/// A line of the file that holds something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// As it stands in the file, without its end.
    pub(super) text: Vec<u8>,
    /// As it is sent.
    sent: String,
}

/// A line that is not stored, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) line: Line,
    pub(super) reason: String,
}

/// Lines that are sent together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) lines: Vec<Line>,
}

impl Batch {
    /// The body of the request.
    pub(super) fn body(&self) -> String {
        let mut body = String::with_capacity(self.lines.iter().map(|line| line.sent.len() + 1).sum());
        for line in &self.lines {
            body.push_str(&line.sent);
            body.push('\n');
        }
        body
    }

    /// Its halves; `None` when it holds a single line.
    pub(super) fn halves(mut self) -> Result<(Self, Self), Self> {
        if self.lines.len() < 2 {
            return Err(self);
        }
        let second = self.lines.split_off(self.lines.len() / 2);
        Ok((self, Self { lines: second }))
    }
}

/// What was read at once.
#[derive(Debug, Default)]
pub(super) struct Portion {
    pub(super) lines: Vec<Line>,
    pub(super) refused: Vec<Refused>,
    /// Bytes of the file.
    pub(super) n_bytes: u64,
}

/// A file of lines.
pub(super) struct Lines<R> {
    reader: R,
    names: Names,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(reader: R, names: Names) -> Self {
        Self { reader, names, number: 0 }
    }

    /// The next lines, at most `max_events` that are to be sent; `None` when the file has ended.
    pub(super) fn next_portion(&mut self, max_events: usize) -> io::Result<Option<Portion>> {
        let mut portion = Portion::default();
        let mut n_sent_bytes = 0;
        while portion.lines.len() < max_events && n_sent_bytes < MAX_BATCH_BYTES {
            let mut text = Vec::new();
            let n_bytes = self.reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut text)? as u64;
            if n_bytes == 0 {
                break;
            }
            self.number += 1;
            portion.n_bytes += n_bytes;
            if n_bytes == MAX_LINE_BYTES && !text.ends_with(b"\n") {
                let what = format!("line {} has more than 8 MiB: is this a file of JSON lines?", self.number);
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            let bom = if self.number == 1 { &b"\xef\xbb\xbf"[..] } else { b"" };
            let text = text.strip_prefix(bom).unwrap_or(&text).trim_ascii().to_vec();
            // Comments stand in the files that this command itself writes.
            if text.is_empty() || text.starts_with(b"#") {
                continue;
            }
            match self.understand(&text) {
                Ok(sent) => {
                    n_sent_bytes += sent.len();
                    portion.lines.push(Line { number: self.number, text, sent });
                }
                Err(reason) => {
                    let line = Line { number: self.number, text, sent: String::new() };
                    portion.refused.push(Refused { line, reason });
                }
            }
        }
        Ok((portion.n_bytes > 0).then_some(portion))
    }

    /// The line as it is sent. One that would spoil the request for the others is refused here.
    fn understand(&mut self, text: &[u8]) -> Result<String, String> {
        if text.len() > MAX_EVENT_BYTES {
            return Err(format!(
                "the event has {} bytes; no server takes more than {MAX_EVENT_BYTES}",
                text.len()
            ));
        }
        let text = std::str::from_utf8(text)
            .map_err(|error| format!("not UTF-8 after byte {}", error.valid_up_to()))?;
        if !text.starts_with('{') {
            return Err("not a JSON object".to_owned());
        }
        Ok(self.names.name(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn portions(file: &[u8], max_events: usize) -> Vec<Portion> {
        let mut lines = Lines::new(file, Names::new("t", String::new()));
        std::iter::from_fn(|| lines.next_portion(max_events).unwrap()).collect()
    }

    #[test]
    fn lines_keep_their_numbers_whatever_stands_between() {
        let file = b"\xef\xbb\xbf{\"id\":1}\n\n# a comment\n  {\"id\":2}\r\nnonsense\n\xff\n{\"id\":3}";
        let portions = portions(file, 2);
        assert_eq!(portions.len(), 2);
        let numbers: Vec<u64> = portions.iter().flat_map(|p| &p.lines).map(|line| line.number).collect();
        assert_eq!(numbers, [1, 4, 7]);
        let refused: Vec<_> =
            portions.iter().flat_map(|p| &p.refused).map(|r| (r.line.number, r.reason.as_str())).collect();
        assert_eq!(refused, [(5, "not a JSON object"), (6, "not UTF-8 after byte 0")]);
        assert_eq!(portions.iter().map(|p| p.n_bytes).sum::<u64>(), file.len() as u64);
        assert_eq!(Batch { lines: portions[0].lines.clone() }.body(), "{\"id\":1}\n{\"id\":2}\n");
    }

    #[test]
    fn what_is_too_large_for_any_server_is_refused_and_what_is_no_line_ends_it() {
        let large = format!("{{\"a\":\"{}\"}}\n{{}}", "x".repeat(MAX_EVENT_BYTES));
        let portions = portions(large.as_bytes(), 10);
        assert_eq!((portions[0].lines.len(), portions[0].refused.len()), (1, 1));
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        let error = Lines::new(endless, Names::new("t", String::new())).next_portion(10).unwrap_err();
        assert!(error.to_string().contains("line 1 has more than 8 MiB"), "{error}");
    }

    #[test]
    fn a_batch_is_halved_down_to_single_lines() {
        let lines = portions(b"{}\n{}\n{}", 10).remove(0).lines;
        let (first, second) = Batch { lines }.halves().unwrap();
        assert_eq!((first.lines.len(), second.lines.len()), (1, 2));
        assert_eq!(first.clone().halves().unwrap_err(), first);
    }
}
