//! The status of a server for people to read: pure text of what its API answers.

use serde_json::Value;

/// Longest reason in the table, in characters; the details have all of it.
const MAX_REASON: usize = 60;

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(of: &Value, name: &str) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// The state in words, with a sign before it on terminals.
fn state(of: &Value, is_terminal: bool) -> String {
    let name = text(of, "state");
    let (sign, words) = match name {
        "active" => ("✔", name),
        "paused" | "disabled" => ("‖", name),
        "awaitingChoice" => ("?", "awaiting choice"),
        "degraded" => ("!", name),
        "starting" => ("…", name),
        _ => ("✘", name),
    };
    if is_terminal { format!("{sign} {words}") } else { words.to_owned() }
}

/// A time span in one or two units.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < units.len() {
        value /= 1_024.0;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {name}") }
}

/// Anything that another side said, fit for one cell.
fn cell(words: &str) -> String {
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if words.chars().count() <= MAX_REASON {
        return words;
    }
    words.chars().take(MAX_REASON - 1).chain(['…']).collect()
}

/// Columns as wide as their widest cell.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..n_columns).map(|at| width(at).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The instance in one line, then a row for each configuration, then what to do about those that need it.
pub(super) fn overview(instance: &Value, all: &[Value], is_terminal: bool) -> Vec<String> {
    let mut lines = vec![instance_line(instance)];
    for reason in instance["reasons"].as_array().into_iter().flatten() {
        lines.push(format!("takes no events: {}", cell(text(reason, "what"))));
    }
    if all.is_empty() {
        lines.push("no event streaming configuration yet".to_owned());
        return lines;
    }
    lines.push(String::new());
    let head = ["NAME", "TYPE", "STATE", "LAG", "EVENTS/S", "PENDING", "QUARANTINED", "REASON"];
    let mut rows = vec![head.map(ToOwned::to_owned).to_vec()];
    rows.extend(all.iter().map(|of| {
        vec![
            cell(text(of, "name")),
            text(of, "type").to_owned(),
            state(of, is_terminal),
            span(number(of, "lagSeconds")),
            of["eventsPerSecond"].as_f64().unwrap_or_default().to_string(),
            number(of, "pending").to_string(),
            number(of, "quarantined").to_string(),
            cell(text(of, "reason")),
        ]
    }));
    lines.extend(aligned(&rows));
    let waiting: Vec<_> = all.iter().filter(|of| of["needsAttention"] == true).collect();
    if !waiting.is_empty() {
        lines.push(String::new());
    }
    lines.extend(
        waiting.into_iter().map(|of| format!("{}: {}", cell(text(of, "name")), text(of, "whatNext"))),
    );
    lines
}

fn instance_line(instance: &Value) -> String {
    let journal = &instance["journal"];
    let mut line = format!(
        "{} ({}), idstream {}: journal {}",
        text(instance, "name"),
        text(instance, "environment"),
        text(instance, "version"),
        bytes(number(journal, "storedBytes")),
    );
    if let Some(free) = instance["disk"]["freeBytes"].as_u64() {
        line.push_str(&format!(", {} free", bytes(free)));
    }
    if let Some(oldest) = journal["oldest"].as_str() {
        line.push_str(&format!(", oldest event of {oldest}"));
    }
    line
}

/// Everything about one configuration.
pub(super) fn details(of: &Value, is_terminal: bool) -> Vec<String> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push(vec![
                name.to_owned(),
                value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
            ]);
        }
    };
    row("name", text(of, "name").to_owned());
    row("id", text(of, "id").to_owned());
    row("type", text(of, "type").to_owned());
    row("state", state(of, is_terminal));
    row("since", text(of, "since").to_owned());
    row("reason", text(of, "reason").to_owned());
    row("what next", text(of, "whatNext").to_owned());
    let books = &of["books"];
    row("lag", span(number(books, "lagSeconds")));
    row("oldest pending", text(books, "oldestPending").to_owned());
    let columns = [
        "appended",
        "pending",
        "skipped",
        "confirmed",
        "diverted",
        "accepted",
        "quarantined",
        "discarded",
        "expired",
        "erased",
    ];
    let shown =
        columns.iter().filter(|name| number(books, name) > 0 || matches!(**name, "appended" | "pending"));
    row("books", shown.map(|name| format!("{name} {}", number(books, name))).collect::<Vec<_>>().join(", "));
    row("pending bytes", bytes(number(books, "pendingBytes")));
    let recent = &of["recent"];
    if recent.is_object() {
        let rate = |span: &str| recent[span]["eventsPerSecond"].as_f64().unwrap_or_default();
        let (minute, five) = (rate("lastMinute"), rate("lastFiveMinutes"));
        row("events/s", format!("{minute} in the last minute, {five} in five"));
        if let (Some(p50), Some(p99)) = (recent["latencyP50Ms"].as_u64(), recent["latencyP99Ms"].as_u64()) {
            row("request takes", format!("{p50} ms (half of them), {p99} ms (99 in 100)"));
        }
        let answers = recent["answers"].as_object().into_iter().flatten();
        let answers = answers.map(|(code, n)| format!("{} × {n}", if code == "0" { "none" } else { code }));
        row("answers", answers.collect::<Vec<_>>().join(", "));
    }
    if let Some(what) = of["backlog"]["whatThen"].as_str() {
        let left = of["backlog"]["secondsLeft"].as_u64();
        row("backlog", left.map_or(what.to_owned(), |left| format!("in {}: {what}", span(left))));
    }
    let mut lines = aligned(&rows);
    for cause in recent["errors"].as_array().into_iter().flatten().take(5) {
        lines.push(format!(
            "error × {}, last {}: {}",
            number(cause, "count"),
            text(cause, "lastAt"),
            cell(text(cause, "reason"))
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spans_and_sizes_are_short() {
        assert_eq!([0, 59, 61, 3_700, 90_000].map(span), ["0s", "59s", "1m 1s", "1h 1m", "1d 1h"]);
        assert_eq!([0, 1_023, 1_024, 1 << 40].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.0 TiB"]);
    }

    #[test]
    fn what_needs_attention_stands_below_the_table_with_what_to_do() {
        let instance = json!({
            "name": "acme", "environment": "production", "version": "1.0", "ready": true, "reasons": [],
            "journal": {"storedBytes": 2048, "oldest": "2026-01-31T12:00:00.000Z"},
            "disk": {"freeBytes": 1 << 30},
        });
        let all = [
            json!({"name": "a", "type": "https", "state": "active", "pending": 0, "eventsPerSecond": 1.5}),
            json!({
                "name": "long name", "type": "splunk", "state": "awaitingChoice", "needsAttention": true,
                "lagSeconds": 90_000, "pending": 12, "reason": format!("bad\u{1b}[31m{}", "x".repeat(80)),
                "whatNext": "choose",
            }),
        ];
        let lines = overview(&instance, &all, false);
        assert_eq!(
            lines[0],
            "acme (production), idstream 1.0: journal 2.0 KiB, 1.0 GiB free, oldest event of 2026-01-31T12:00:00.000Z"
        );
        assert!(lines[2].starts_with("NAME       TYPE    STATE            LAG"), "{}", lines[2]);
        assert!(
            lines[3].starts_with("a          https   active           0s     1.5       0"),
            "{}",
            lines[3]
        );
        assert!(lines[4].contains("bad [31mxx") && lines[4].ends_with('…'), "{}", lines[4]);
        assert_eq!(lines.last().unwrap(), "long name: choose");
        assert!(overview(&instance, &all, true)[3].contains("✔ active"));
        assert_eq!(overview(&instance, &[], false).len(), 2);
    }

    #[test]
    fn the_details_leave_out_what_is_not_known() {
        let of = json!({
            "name": "a", "id": "1", "type": "https", "state": "degraded", "reason": "HTTP 503", "whatNext": "again",
            "books": {"appended": 5, "pending": 2, "accepted": 3, "lagSeconds": 4, "pendingBytes": 10},
            "recent": {
                "lastMinute": {"eventsPerSecond": 0.5}, "lastFiveMinutes": {"eventsPerSecond": 0.1},
                "latencyP50Ms": 3, "latencyP99Ms": 9, "answers": {"0": 1, "200": 7},
                "errors": [{"reason": "HTTP 503", "count": 2, "lastAt": "2026-01-31T12:00:00.000Z"}],
            },
        });
        let text = details(&of, false).join("\n");
        assert!(text.contains("appended 5, pending 2, accepted 3\n"), "{text}");
        assert!(text.contains("none × 1, 200 × 7"), "{text}");
        assert!(!text.contains("since") && text.ends_with("HTTP 503"), "{text}");
    }
}
