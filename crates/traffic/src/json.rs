//! Writes JSON straight into a text: an event costs a microsecond or two, and no tree is built for it.

use std::fmt::{Display, Write as _};

/// Writes the members of one object.
pub(crate) struct Object<'a> {
    out: &'a mut String,
}

/// Writes one object into `out`.
pub(crate) fn object(out: &mut String, write: impl FnOnce(&mut Object<'_>)) {
    out.push('{');
    write(&mut Object { out });
    out.push('}');
}

impl Object<'_> {
    fn name(&mut self, name: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        string(self.out, name);
        self.out.push(':');
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        string(self.out, value);
    }

    /// A text that prints without quotes and backslashes: a time, an id, an address.
    pub(crate) fn shown(&mut self, name: &str, value: impl Display) {
        self.name(name);
        let _infallible = write!(self.out, "\"{value}\"");
    }

    /// A number, a truth value, or JSON that is written already.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) {
        self.name(name);
        let _infallible = write!(self.out, "{value}");
    }

    /// Members that are written already, without braces.
    pub(crate) fn members(&mut self, json: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        self.out.push_str(json);
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        object(self.out, write);
    }

    /// An array of texts.
    pub(crate) fn texts(&mut self, name: &str, values: &[&str]) {
        self.array(name, values, |value, out| string(out, value));
    }

    /// An array of objects.
    pub(crate) fn objects<T>(&mut self, name: &str, items: &[T], write: impl Fn(&T, &mut Object<'_>)) {
        self.array(name, items, |item, out| object(out, |members| write(item, members)));
    }

    fn array<T>(&mut self, name: &str, items: &[T], write: impl Fn(&T, &mut String)) {
        self.name(name);
        self.out.push('[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            write(item, self.out);
        }
        self.out.push(']');
    }
}

/// A quoted text. The texts of this crate hold no control characters.
fn string(out: &mut String, text: &str) {
    out.push('"');
    if text.contains(['"', '\\']) {
        for char in text.chars() {
            if matches!(char, '"' | '\\') {
                out.push('\\');
            }
            out.push(char);
        }
    } else {
        out.push_str(text);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let mut out = String::new();
        object(&mut out, |one| {
            one.object("empty", |_| {});
            one.text("quoted", r#"{"a":"\n"}"#);
            one.texts("labels", &["x", "y{"]);
            one.objects("list", &[1, 2], |item, members| members.plain("n", item));
            one.shown("shown", 1.5);
            one.plain("plain", true);
            one.members(r#""a":1,"b":2"#);
        });
        let expected = serde_json::json!({
            "empty": {}, "quoted": r#"{"a":"\n"}"#, "labels": ["x", "y{"], "list": [{"n": 1}, {"n": 2}],
            "shown": "1.5", "plain": true, "a": 1, "b": 2,
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), expected, "{out}");
    }
}
