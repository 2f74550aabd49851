//! Masks within free texts: forms, URLs, header lines, pieces of JSON and of log lines, wherever in a text they stand.
//!
//! One pass from left to right. At each `=` and `:` the name before it is judged; at each `://` the address is looked
//! at; percent-encoded stretches are decoded and looked at once more. What was masked or looked at is not looked at
//! again, so that time is linear in the text and the stack does not grow with it, whatever the text repeats.

use std::borrow::Cow;

use super::names::Secrecy;
use super::{MASK, MaskRule, is_fact};

/// Encodings within encodings that are undone. What is nested deeper is masked unseen.
pub(super) const MAX_NESTING: usize = 4;
/// Bytes that are looked back for a name.
const MAX_NAME: usize = 128;
/// Bytes that are looked ahead for the name of the next pair.
const MAX_NEXT_NAME: usize = 64;

/// 1 for each byte without which there is no pair, no address, no escape and no JSON.
static SIGNS: [u8; 256] = {
    let mut signs = [0; 256];
    signs[b'=' as usize] = 1;
    signs[b':' as usize] = 1;
    signs[b'%' as usize] = 1;
    signs[b'"' as usize] = 1;
    signs
};

/// Whether a text holds nothing that any rule would mask. Cheap, and true for most texts.
pub(super) fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Without a branch for each byte: most texts have no sign at all.
    let any_sign = |part: &[u8]| part.iter().fold(0, |found, byte| found | SIGNS[*byte as usize]) != 0;
    if !bytes.chunks(64).any(any_sign) {
        return true;
    }
    let is_sign = |byte: &u8| SIGNS[*byte as usize] != 0;
    let is_harmless = |(at, byte): (usize, &u8)| !is_sign(byte) || (*byte == b':' && joins(bytes, at));
    bytes.iter().enumerate().all(is_harmless)
}

/// Whether the colon at `at` only joins the parts of one word: `token:refresh`, `urn:…:token:…`, `12:00`. Not so in
/// quotes, in an address, and behind the headers whose values may follow without a blank (RFC 9112 section 5.1).
fn joins(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    let after = bytes.get(at + 1..).unwrap_or_default();
    if matches!(after.first(), Some(b' ' | b'\t' | b'"' | b'\'' | b'\\')) || after.starts_with(b"//") {
        return false;
    }
    match before.last() {
        Some(b' ' | b'\t' | b'"' | b'\'') => false,
        Some(b'e' | b'E' | b'n' | b'N') => !ends_with_header(before) || after.starts_with(b":"),
        _ => true,
    }
}

/// Whether a name is that of a header that holds a credential.
fn ends_with_header(name: &[u8]) -> bool {
    [b"authorization".as_slice(), b"cookie"].iter().any(|header| {
        name.len()
            .checked_sub(header.len())
            .and_then(|at| name.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(header))
    })
}

/// The text without its secrets. Borrowed when it holds none. `nesting` counts the encodings around it.
pub(super) fn mask<'a>(text: &'a str, rule: &MaskRule, nesting: usize) -> Cow<'a, str> {
    let mut scan =
        Scan { text, rule, nesting, out: String::new(), copied: 0, floor: 0, decoded: 0, no_at_until: 0 };
    let mut at = 0;
    while let Some(mark) = scan.next_mark(at) {
        at = match scan.byte(mark) {
            Some(b'=') => scan.pair(mark),
            Some(b':') if scan.starts_with(mark + 1, "//") => scan.address(mark),
            Some(b':') => scan.colon(mark),
            _ => scan.escapes(mark),
        };
    }
    scan.finish()
}

/// What stands before a `=` or `:`.
struct Name {
    secrecy: Secrecy,
    /// It stands in quotes, so that JSON is meant.
    is_quoted: bool,
    /// The quote right before it: `"Authorization: …"`.
    opened_by: Option<u8>,
}

impl Name {
    const NONE: Self = Self { secrecy: Secrecy::Open, is_quoted: false, opened_by: None };
}

struct Scan<'a, 'r> {
    text: &'a str,
    rule: &'r MaskRule,
    nesting: usize,
    out: String,
    /// The text up to here is in `out`, or masked.
    copied: usize,
    /// Values end here: what stands before belongs to no name behind.
    floor: usize,
    /// Escapes up to here were looked at.
    decoded: usize,
    /// There is no `@` between the last address and here.
    no_at_until: usize,
}

impl<'a> Scan<'a, '_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn starts_with(&self, at: usize, what: &str) -> bool {
        self.text.as_bytes().get(at..).is_some_and(|rest| rest.starts_with(what.as_bytes()))
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// The first place from `from` on whose byte is one that `ends` knows; the text's end when there is none.
    fn find(&self, from: usize, ends: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        rest.iter().position(|byte| ends(*byte)).map_or(self.text.len(), |at| from + at)
    }

    /// The first place before `to`, but not before `floor`, from which on `belongs` holds for every byte.
    fn find_back(&self, floor: usize, to: usize, belongs: impl Fn(u8) -> bool) -> usize {
        let before = self.text.as_bytes().get(floor..to).unwrap_or_default();
        let mut start = before.iter().rposition(|byte| !belongs(*byte)).map_or(floor, |at| floor + at + 1);
        while !self.text.is_char_boundary(start) {
            start += 1;
        }
        start
    }

    fn next_mark(&self, from: usize) -> Option<usize> {
        let rest = self.text.as_bytes().get(from..)?;
        rest.iter().position(|byte| matches!(byte, b'=' | b':' | b'%')).map(|at| from + at)
    }

    fn finish(mut self) -> Cow<'a, str> {
        if self.copied == 0 && self.out.is_empty() {
            return Cow::Borrowed(self.text);
        }
        self.out.push_str(self.slice(self.copied, self.text.len()));
        Cow::Owned(self.out)
    }

    /// Masks from `from` to `to`, unless a fact or nothing stands there. Returns `to`.
    fn hide(&mut self, from: usize, to: usize, secrecy: Secrecy) -> usize {
        let value = self.slice(from, to);
        if !(value.is_empty()
            || value == MASK
            || is_literal(value)
            || secrecy == Secrecy::Texts && is_fact(value))
        {
            self.out.push_str(self.slice(self.copied, from));
            self.out.push_str(MASK);
            self.copied = to;
        }
        self.floor = to;
        to
    }

    /// `name=value`. Returns where to go on.
    fn pair(&mut self, at: usize) -> usize {
        let name = self.name_before(at);
        if name.secrecy == Secrecy::Open {
            return at + 1;
        }
        let start = self.find(at + 1, |byte| !matches!(byte, b' ' | b'\t'));
        if matches!(self.byte(start), Some(b'"' | b'\'' | b'\\'))
            && let Some((from, to)) = self.quoted(start)
        {
            return self.hide(from, to, name.secrecy).max(start + 1);
        }
        let end = self.trimmed(start, self.end_of_pair(at + 1));
        self.hide(start, end, name.secrecy).max(at + 1)
    }

    /// `"name": value`, or a header's line. Returns where to go on.
    fn colon(&mut self, at: usize) -> usize {
        if joins(self.text.as_bytes(), at) {
            return at + 1;
        }
        let name = self.name_before(at);
        if name.secrecy == Secrecy::Open {
            return at + 1;
        }
        let is_space =
            |byte: u8| if name.is_quoted { byte.is_ascii_whitespace() } else { matches!(byte, b' ' | b'\t') };
        let start = self.find(at + 1, |byte| !is_space(byte));
        if matches!(self.byte(start), Some(b'"' | b'\'' | b'\\'))
            && let Some((from, to)) = self.quoted(start)
        {
            return self.hide(from, to, name.secrecy).max(start + 1);
        }
        let end = match self.byte(start) {
            Some(b'{' | b'[') if !self.starts_with(start, MASK) => self.text.len(),
            _ if name.is_quoted => self.find(start, |byte| matches!(byte, b',' | b'}' | b']' | b'\n')),
            _ => self.end_of_line(start, name.opened_by),
        };
        let end = if self.starts_with(start, MASK) { start + MASK.len() } else { end };
        let word_end =
            self.find(start, |byte| matches!(byte, b',' | b';' | b'}') || byte.is_ascii_whitespace());
        if is_literal(self.slice(start, word_end)) {
            return word_end.max(at + 1);
        }
        self.hide(start, self.trimmed(start, end), name.secrecy).max(at + 1)
    }

    /// `scheme://user:password@host`. Returns where to go on.
    fn address(&mut self, at: usize) -> usize {
        let start = at + 3;
        let ends_address =
            |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'\\');
        let end = self.find(start, |byte| matches!(byte, b'/' | b'?' | b'#') || ends_address(byte));
        let authority = self.slice(start, end);
        let mut password_end = authority.rfind('@').map(|at| start + at);
        // A password that is not encoded may hold a `/`: then what looks like a port is none.
        let port = authority.split_once(':').map_or("", |(_, port)| port);
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) || authority.starts_with('[');
        if password_end.is_none() && !is_port && self.no_at_until <= start {
            let whole = self.find(start, ends_address);
            password_end = self.slice(start, whole).rfind('@').map(|at| start + at);
            self.no_at_until = if password_end.is_none() { whole } else { 0 };
        }
        let Some(password_end) = password_end else { return start };
        match self.slice(start, password_end).find(':') {
            Some(colon) => self.hide(start + colon + 1, password_end, Secrecy::Whole),
            None => start,
        }
    }

    /// A stretch with percent-encoded parts is masked when it holds a secret once decoded. Returns where to go on.
    fn escapes(&mut self, at: usize) -> usize {
        let is_escape = |at: usize| self.byte(at).is_some_and(|byte| byte.is_ascii_hexdigit());
        if at < self.decoded || !is_escape(at + 1) || !is_escape(at + 2) {
            return at + 1;
        }
        let ends = |byte: u8| {
            byte.is_ascii_whitespace()
                || matches!(byte, b'&' | b'=' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'\\')
        };
        let start = self.find_back(self.floor.max(self.decoded), at, |byte| !ends(byte));
        let end = self.find(at, ends);
        self.decoded = end;
        let is_secret = self.nesting >= MAX_NESTING || {
            let decoded = percent_decoded(self.slice(start, end));
            matches!(mask(&decoded, self.rule, self.nesting + 1), Cow::Owned(_))
        };
        if is_secret { self.hide(start, end, Secrecy::Whole) } else { at + 1 }
    }

    /// The name that ends at `at`, before spaces and quotes.
    fn name_before(&self, at: usize) -> Name {
        let floor = self.floor.max(at.saturating_sub(MAX_NAME));
        let end = self.find_back(floor, at, |byte| matches!(byte, b' ' | b'\t'));
        let Some(last) = end.checked_sub(1).filter(|last| *last >= floor).and_then(|last| self.byte(last))
        else {
            return Name::NONE;
        };
        if !matches!(last, b'"' | b'\'') {
            return self.bare_name(floor, end);
        }
        let content_end = self.find_back(floor, end - 1, |byte| byte == b'\\');
        let start = self.find_back(floor, content_end, |byte| byte != last);
        let bare = self.bare_name(floor, content_end);
        let whole = self.rule.judge_escaped(self.slice(start, content_end));
        let secrecy = if start > floor { whole } else { bare.secrecy };
        Name { secrecy, is_quoted: true, ..bare }
    }

    /// The run of name characters that ends at `end`, judged with the word before it.
    fn bare_name(&self, floor: usize, end: usize) -> Name {
        let start = self.find_back(floor, end, is_name_byte);
        let name = self.slice(start, end);
        let mut secrecy = self.rule.judge_escaped(name);
        if secrecy == Secrecy::Open && start > floor && self.byte(start - 1) == Some(b' ') {
            let before = self.find_back(floor, start - 1, is_name_byte);
            secrecy = self.rule.judge_joined(self.slice(before, start - 1), name);
        }
        let opened_by =
            start.checked_sub(1).and_then(|at| self.byte(at)).filter(|byte| matches!(byte, b'"' | b'\''));
        Name { secrecy, is_quoted: false, opened_by }
    }

    /// The inside of the quoted text that begins at `start`, maybe with backslashes, as JSON within texts has. Without
    /// an end it goes on to the end of the text. `None` when no quote begins there.
    fn quoted(&self, start: usize) -> Option<(usize, usize)> {
        let open = self.find(start, |byte| byte != b'\\');
        let quote = self.byte(open).filter(|byte| matches!(byte, b'"' | b'\''))?;
        let level = open - start;
        let mut slashes = 0;
        let bytes = self.text.as_bytes();
        for (at, byte) in bytes.iter().enumerate().skip(open + 1) {
            // A quote of the same level has as many backslashes; those of the content come in whole pairs on top.
            let is_level = slashes >= level && (slashes - level).is_multiple_of(2 * (level + 1));
            if *byte == quote && is_level && (quote == b'"' || self.ends_word(at + 1)) {
                return Some((open + 1, at - level));
            }
            slashes = if *byte == b'\\' { slashes + 1 } else { 0 };
        }
        Some((open + 1, self.text.len()))
    }

    /// Where the value of a pair ends: at a `&`, a line's end, or where something else clearly begins. A blank alone is
    /// no end, for passwords may hold it.
    fn end_of_pair(&self, start: usize) -> usize {
        let ends = |at: usize, byte: u8| match byte {
            b'&' | b'\n' | b'\r' => true,
            b';' | b',' => self.ends_word(at + 1) || self.begins_pair(at + 1),
            b'#' | b'?' | b'|' | b' ' | b'\t' => self.begins_pair(at + 1),
            b'"' | b'\'' | b')' | b'}' | b'>' => self.ends_word(at + 1),
            _ => false,
        };
        let rest = self.text.as_bytes().iter().enumerate().skip(start);
        let mut found = rest.filter(|(at, byte)| ends(*at, **byte)).map(|(at, _)| at);
        found.next().unwrap_or(self.text.len())
    }

    fn end_of_line(&self, start: usize, opened_by: Option<u8>) -> usize {
        self.find(start, |byte| matches!(byte, b'\n' | b'\r') || Some(byte) == opened_by)
    }

    /// Whether a word cannot go on at `at`.
    fn ends_word(&self, at: usize) -> bool {
        self.byte(at).is_none_or(|byte| {
            byte.is_ascii_whitespace()
                || matches!(byte, b',' | b';' | b')' | b'}' | b']' | b'>' | b'"' | b'\'' | b'&')
        })
    }

    /// Whether `name=` stands at `at`, after blanks.
    fn begins_pair(&self, at: usize) -> bool {
        let start = self.find(at, |byte| !matches!(byte, b' ' | b'\t'));
        let ahead = self.text.as_bytes().get(start..).unwrap_or_default();
        let length = ahead.iter().take(MAX_NEXT_NAME).position(|byte| !is_name_byte(*byte)).unwrap_or(0);
        length > 0 && ahead.get(length) == Some(&b'=')
    }

    /// `end` without blanks and backslashes before it.
    fn trimmed(&self, start: usize, end: usize) -> usize {
        self.find_back(start, end, |byte| matches!(byte, b' ' | b'\t' | b'\\')).max(start)
    }
}

/// Letters of any script, digits and what joins the words of a name, encoded or not.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte >= 0x80
        || matches!(byte, b'_' | b'-' | b'.' | b'%' | b'+' | b'$' | b'[' | b']' | b'*' | b'~')
}

/// Values that tell what is set, and hold no secret.
fn is_literal(value: &str) -> bool {
    matches!(value, "true" | "false" | "null")
}

/// `%70in` is `pin`. `+` is a blank, as in forms.
pub(super) fn percent_decoded(text: &str) -> Cow<'_, str> {
    form_urlencoded::parse(text.as_bytes()).next().map_or(Cow::Borrowed(""), |(decoded, _)| decoded)
}
