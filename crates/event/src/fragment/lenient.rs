//! Masks what looks like JSON, however well-formed it is: texts within events, and items that cannot become events.
//!
//! Keys may occur twice, numbers may be of any size (they are copied as they are spelled), half of a surrogate pair
//! becomes U+FFFD, and the nesting has no limit: no value of the input is refused or lost for what it is. Where the
//! text stops being JSON (cut off, for example), the rest is masked as a text. The stack does not grow with the input.

use std::borrow::Cow;

use base::mask::{MASK, MaskRule, Secrecy};

use super::shapes::{Array, Object};
use super::{append_string, mask_nested};

/// A text without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Masked {
    /// One JSON value, compact.
    Json(String),
    /// Anything else.
    Text(String),
}

/// Masks a text that is JSON, was meant to be, or is not.
pub fn mask_lenient(text: &str, rule: &MaskRule) -> Masked {
    let (masked, is_json, _) = Reader::new(text, rule, 0).run();
    if is_json { Masked::Json(masked) } else { Masked::Text(masked) }
}

/// The same for a text within `level` texts, as a text. Borrowed when it holds no secret.
pub(super) fn mask_within<'a>(text: &'a str, rule: &MaskRule, level: usize) -> Cow<'a, str> {
    let (masked, _, is_changed) = Reader::new(text, rule, level).run();
    if is_changed { Cow::Owned(masked) } else { Cow::Borrowed(text) }
}

/// An array or object that is open.
enum Open {
    /// With the place in the output where the element begins that is being read.
    Array(Array, usize),
    Object(Object, Member),
}

/// The member that is being read.
#[derive(Default)]
struct Member {
    key: String,
    secrecy: Secrecy,
    value_at: usize,
    is_whole: bool,
}

struct Reader<'a, 'r> {
    text: &'a str,
    at: usize,
    rule: &'r MaskRule,
    level: usize,
    out: String,
    open: Vec<Open>,
    /// Where text and output stand at the end of the last whole value or bracket.
    sure: (usize, usize),
    is_changed: bool,
}

impl<'a, 'r> Reader<'a, 'r> {
    fn new(text: &'a str, rule: &'r MaskRule, level: usize) -> Self {
        let out = String::with_capacity(text.len());
        Self { text, at: 0, rule, level, out, open: Vec::new(), sure: (0, 0), is_changed: false }
    }

    /// The masked text, whether it is one JSON value, whether anything was masked.
    fn run(mut self) -> (String, bool, bool) {
        let is_json = self.value().is_some() && {
            self.skip_space();
            self.at == self.text.len()
        };
        if !is_json {
            self.give_up();
        }
        (self.out, is_json, self.is_changed)
    }

    /// Reads one value with all that is in it. `None` where the text stops being JSON.
    fn value(&mut self) -> Option<()> {
        loop {
            self.skip_space();
            if let Some(Open::Array(_, element_at)) = self.open.last_mut() {
                *element_at = self.out.len();
            }
            let mut is_whole = true;
            match self.byte()? {
                opening @ (b'{' | b'[') => is_whole = self.begin(opening)?,
                b'"' => {
                    let text = self.string()?;
                    let masked = mask_nested(&text, self.rule, self.level);
                    self.is_changed |= matches!(masked, Cow::Owned(_));
                    append_string(&masked, &mut self.out);
                }
                _ => self.word()?,
            }
            if is_whole && self.ends()? {
                return Some(());
            }
        }
    }

    /// Opens an array or object. Whether it is closed already, being empty.
    fn begin(&mut self, opening: u8) -> Option<bool> {
        self.at += 1;
        self.out.push(char::from(opening));
        self.sure = (self.at, self.out.len());
        self.skip_space();
        let closing = if opening == b'{' { b'}' } else { b']' };
        if self.byte()? == closing {
            self.at += 1;
            self.out.push(char::from(closing));
            return Some(true);
        }
        if opening == b'{' {
            self.open.push(Open::Object(Object::default(), Member::default()));
            self.key()?;
        } else {
            self.open.push(Open::Array(Array::default(), self.out.len()));
        }
        Some(false)
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Option<()> {
        self.skip_space();
        let key = self.string()?;
        self.skip_space();
        if self.byte()? != b':' {
            return None;
        }
        self.at += 1;
        let shown = mask_nested(&key, self.rule, self.level);
        self.is_changed |= matches!(shown, Cow::Owned(_));
        append_string(&shown, &mut self.out);
        self.out.push(':');
        let secrecy = self.rule.judge(&key);
        let value_at = self.out.len();
        if let Some(Open::Object(_, member)) = self.open.last_mut() {
            *member = Member { key, secrecy, value_at, is_whole: false };
        }
        Some(())
    }

    /// A value has ended: masks what it and its neighbours make secret, closes what closes. Whether that was all.
    fn ends(&mut self) -> Option<bool> {
        loop {
            let out = &mut self.out;
            match self.open.last_mut() {
                None => return Some(true),
                Some(Open::Array(array, element_at)) => array.element(*element_at, self.rule, out),
                Some(Open::Object(object, member)) => {
                    let at = member.value_at;
                    member.is_whole = true;
                    self.is_changed |= object.member(&member.key, member.secrecy, at, self.rule, out);
                }
            }
            self.sure = (self.at, self.out.len());
            self.skip_space();
            let byte = self.byte()?;
            let is_object = matches!(self.open.last(), Some(Open::Object(..)));
            match byte {
                b',' => {
                    self.at += 1;
                    self.out.push(',');
                    if is_object {
                        self.key()?;
                    }
                    return Some(false);
                }
                b'}' if is_object => self.close('}'),
                b']' if !is_object => self.close(']'),
                _ => return None,
            }
        }
    }

    /// Closes the innermost array or object, which then is a whole value itself.
    fn close(&mut self, closing: char) {
        self.at += 1;
        let closed = self.open.pop();
        let key = match self.open.last() {
            Some(Open::Object(_, member)) => member.key.as_str(),
            _ => "",
        };
        self.is_changed |= match &closed {
            Some(Open::Array(array, _)) => array.close(key, &mut self.out),
            Some(Open::Object(object, _)) => object.close(&mut self.out),
            None => false,
        };
        self.out.push(closing);
    }

    /// The text is no JSON from here on: what was whole stays, the rest is masked as a text, and nothing at all stays of
    /// what stands under a secret name.
    fn give_up(&mut self) {
        let (at, length) = self.sure;
        self.out.truncate(length);
        let mut secret_at = None;
        for open in self.open.iter().rev() {
            match open {
                Open::Array(array, _) => self.is_changed |= array.close("", &mut self.out),
                Open::Object(object, member) => {
                    self.is_changed |= object.close(&mut self.out);
                    // A member that is not yet in the output is part of the rest.
                    let is_begun = !member.is_whole && member.value_at < length;
                    if is_begun && member.secrecy != Secrecy::Open {
                        secret_at = Some(member.value_at);
                    }
                }
            }
        }
        if let Some(secret_at) = secret_at {
            self.out.truncate(secret_at);
            append_string(MASK, &mut self.out);
            self.is_changed = true;
            return;
        }
        let rest = self.rule.text(self.text.get(at..).unwrap_or_default());
        self.is_changed |= matches!(rest, Cow::Owned(_));
        self.out.push_str(&rest);
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// A number or one of the three literals, as it is spelled.
    fn word(&mut self) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let ends = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let word = rest.get(..rest.find(ends).unwrap_or(rest.len()))?;
        // Any number is one to the JSON parser as long as it need not be represented.
        serde_json::from_str::<&serde_json::value::RawValue>(word).ok()?;
        self.out.push_str(word);
        self.at += word.len();
        Some(())
    }

    /// A string without its quotes and escapes.
    fn string(&mut self) -> Option<String> {
        if self.byte()? != b'"' {
            return None;
        }
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let clean = rest.get(..rest.find(['"', '\\'])?)?;
            text.push_str(clean);
            self.at += clean.len() + 1;
            if rest.as_bytes().get(clean.len()) == Some(&b'"') {
                return Some(text);
            }
            self.escape(&mut text)?;
        }
    }

    /// What stands behind a backslash. Half a surrogate pair is no character.
    fn escape(&mut self, text: &mut String) -> Option<()> {
        let escaped = self.byte()?;
        self.at += 1;
        let plain = match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode()?,
            _ => return None,
        };
        text.push(plain);
        Some(())
    }

    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.at;
        let is_pair = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(b"\\u"));
        if is_pair {
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
            self.at = before;
        }
        Some(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
    }
}
