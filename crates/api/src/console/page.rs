//! The pages: one event, a test event, and why there is none to see.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use explorer::TestNote;
use http::StatusCode;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Shown;
use super::facts::Facts;
use super::html::Html;
use super::pretty::{fields, indented};

/// Most rows of the table of fields; the document below has the rest.
const MAX_ROWS: usize = 500;

/// The one style sheet. Long values break, texts of another direction stay in their cell.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;line-height:1.3;margin:0 0 1.5rem;overflow-wrap:anywhere;unicode-bidi:isolate}\
h2{font-size:1.1rem;margin:2rem 0 .5rem}\
p.brand{margin:0 0 .25rem;opacity:.75}\
table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.3rem .75rem .3rem 0;border-bottom:1px solid #8884}\
th{font-weight:600;width:16rem;overflow-wrap:anywhere}\
td{overflow-wrap:anywhere;unicode-bidi:isolate}\
pre{overflow:auto;padding:1rem;border:1px solid #8886;border-radius:.5rem;font-size:.875rem}\
code{overflow-wrap:anywhere}";

/// What the content security policy names the style sheet by.
pub(super) fn style_hash() -> &'static str {
    static HASH: LazyLock<String> =
        LazyLock::new(|| format!("sha256-{}", STANDARD.encode(Sha256::digest(STYLE))));
    &HASH
}

/// The page of what a link leads to.
pub(super) fn of(shown: &Shown) -> String {
    match shown {
        Shown::Event { document, facts } => event(document, facts),
        Shown::Test(note) => test(note),
    }
}

fn event(document: &str, facts: &Facts) -> String {
    page(&facts.title, |html| {
        table(html, "At a glance", facts.rows.iter().map(|(name, value)| (*name, value.as_str())));
        let mut value: Value = serde_json::from_str(document).unwrap_or_default();
        let raw = value.as_object_mut().and_then(|members| members.remove("raw"));
        let (rows, is_all) = fields(&value, MAX_ROWS);
        html.tag("<h2 id=\"fields\">All fields</h2>\n");
        table(html, "All fields", rows.iter().map(|(path, value)| (path.as_str(), value.as_str())));
        if !is_all {
            html.tag("<p>There are more: see the document.</p>\n");
        }
        if raw.is_some() {
            html.tag("<p>The event as its source sent it is <code>raw</code> in the document.</p>\n");
        }
        html.tag("<h2 id=\"document\">The document</h2>\n<p>As a destination receives it that selects everything.</p>\n");
        html.tag("<pre tabindex=\"0\" aria-labelledby=\"document\">")
            .text(&indented(document))
            .tag("</pre>\n");
    })
}

fn test(note: &TestNote) -> String {
    page("Test event", |html| {
        html.tag("<p>This event did not happen. ").text(&note.sent_by);
        html.tag(" had it sent to try an event streaming configuration out. Nothing of it is stored.</p>\n");
        let sent_at = note.sent_at.to_string();
        let id = note.event_id.to_string();
        let rows = [
            ("Sent by", note.sent_by.as_str()),
            ("When", &sent_at),
            ("Configuration", &note.configuration),
            ("Event ID", &id),
        ];
        table(html, "At a glance", rows.into_iter());
    })
}

/// Why there is no event to see.
pub(super) fn of_error(status: StatusCode, detail: &str, is_soon_known: bool) -> String {
    let title = match status {
        _ if is_soon_known => "Not found yet",
        StatusCode::UNAUTHORIZED => "Sign in to see this event",
        StatusCode::FORBIDDEN => "You may not see this event",
        StatusCode::NOT_FOUND => "No event to see here",
        _ => "Something went wrong",
    };
    page(title, |html| {
        html.tag("<p>");
        let mut chars = detail.chars();
        // Details begin in lower case, as ends of sentences do.
        let begin: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
        html.text(&begin).text(chars.as_str()).tag(".</p>\n");
        match status {
            _ if is_soon_known => html.tag("<p>Reload this page in a moment.</p>\n"),
            StatusCode::UNAUTHORIZED => html.tag(
                "<p>Reload this page and give the id of an API client as the user name and its secret as the password. \
                 If you have only a token, such as the one in the file <code>admin-token</code>, give it as the \
                 password, with any user name.</p>\n\
                 <p>The client needs one of the scopes <code>read:event_account</code> (account events), \
                 <code>read:admin_event_audit</code> (audit logs) and <code>read:event_hook_log</code> (event hook \
                 logs).</p>\n",
            ),
            StatusCode::FORBIDDEN => {
                html.tag("<p>Close the browser and sign in as an API client that has this scope.</p>\n")
            }
            StatusCode::NOT_FOUND => html.tag(
                "<p>If you came from a destination such as Splunk or Elasticsearch, what it received is still there.</p>\n",
            ),
            _ => html.tag("<p>Reload this page in a moment.</p>\n"),
        };
    })
}

fn table<'a>(html: &mut Html, label: &'static str, rows: impl Iterator<Item = (&'a str, &'a str)>) {
    html.tag("<table aria-label=\"").tag(label).tag("\">\n<tbody>\n");
    for (name, value) in rows {
        html.tag("<tr><th scope=\"row\">").text(name).tag("</th><td>").text(value).tag("</td></tr>\n");
    }
    html.tag("</tbody>\n</table>\n");
}

fn page(title: &str, body: impl FnOnce(&mut Html)) -> String {
    let mut html = Html::default();
    html.tag("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.tag("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.tag("<meta name=\"robots\" content=\"noindex\">\n<title>").text(title).tag(" · idstream</title>\n");
    html.tag("<style>")
        .tag(STYLE)
        .tag("</style>\n</head>\n<body>\n<main>\n<p class=\"brand\">idstream</p>\n<h1>");
    html.text(title).tag("</h1>\n");
    body(&mut html);
    html.tag("</main>\n</body>\n</html>\n");
    html.finish()
}
