//! Writing HTML in which every text is only a text.

/// HTML that is being written. What is not a literal of this program goes through [`Html::text`].
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup: a literal.
    pub(super) fn tag(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// A text, as somebody from outside may have written it. Control characters, which HTML cannot hold, are replaced.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                c if c.is_control() => self.0.push(char::REPLACEMENT_CHARACTER),
                c => self.0.push(c),
            }
        }
        self
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_cannot_become_markup() {
        let mut html = Html::default();
        html.tag("<p>").text("<script>alert('&\"')</script>\u{0}\u{1b}[31m").tag("</p>");
        let expected = "<p>&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;\u{fffd}\u{fffd}[31m</p>";
        assert_eq!(html.finish(), expected);
    }

    proptest! {
        #[test]
        fn no_text_leaves_a_bracket_or_a_quote(text in any::<String>()) {
            let mut html = Html::default();
            html.text(&text);
            prop_assert!(!html.finish().contains(['<', '>', '"', '\'']));
        }
    }
}
