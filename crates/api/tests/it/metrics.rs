//! `/metrics`: in the form of Prometheus, with the names of its page, for those who may read them and nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use crate::app::{App, JSON, SOURCES, STREAMING, event, splunk};

/// A sample: its name, its labels as they stand there, its value.
type Sample = (String, String, f64);

/// The families of a page, by name: their type, and their samples. Panics at whatever the format does not allow.
fn parsed(page: &str) -> BTreeMap<String, (String, Vec<Sample>)> {
    let mut families: BTreeMap<String, (String, Vec<Sample>)> = BTreeMap::new();
    let mut current = String::new();
    let mut series = BTreeSet::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(!text.is_empty() && !families.contains_key(name), "{line}");
            name.clone_into(&mut current);
            families.insert(current.clone(), Default::default());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current, "a type follows its help");
            families.get_mut(name).unwrap().0 = kind.to_owned();
        } else {
            let (name_and_labels, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = name_and_labels
                .split_once('{')
                .map_or((name_and_labels, ""), |(name, rest)| (name, rest.strip_suffix('}').unwrap()));
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{line}"
            );
            assert!(name.starts_with(current.trim_end_matches("_total")), "{line} among {current}");
            assert!(series.insert(name_and_labels.to_owned()), "twice: {line}");
            let value: f64 = value.parse().unwrap();
            families.get_mut(&current).unwrap().1.push((name.to_owned(), labels.to_owned(), value));
        }
    }
    assert!(page.ends_with('\n'));
    families
}

async fn page(app: &App) -> String {
    let reply = app.get("/metrics").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    reply.text
}

/// One with a configuration, a source, and events that came and were refused.
async fn busy() -> App {
    let app = App::new().await;
    app.create(STREAMING, splunk("a \"quoted\" name")).await;
    let source = json!({
        "name": "Auth0", "platform": {"kind": "auth0", "tenant": "t"}, "authorization": ["Bearer a-long-value-for-it"],
    });
    app.create(SOURCES, source).await;
    app.post(&[JSON], event("")).await;
    app.post(&[JSON], "{}").await;
    app.post(&[JSON], "nonsense").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    app
}

#[tokio::test(start_paused = true)]
async fn counters_end_in_total_and_histograms_add_up() {
    let families = parsed(&page(&busy().await).await);
    for (name, (kind, samples)) in &families {
        assert!(!samples.is_empty(), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        if kind == "histogram" {
            let of = |end: &str| {
                samples.iter().filter(|(sample, _, _)| *sample == format!("{name}{end}")).collect::<Vec<_>>()
            };
            let buckets = of("_bucket");
            assert!(buckets.is_sorted_by(|a, b| a.2 <= b.2), "{name} grows: {buckets:?}");
            let (last, count) = (buckets.last().unwrap(), of("_count")[0]);
            assert!(last.1.contains("le=\"+Inf\"") && last.2 == count.2 && of("_sum").len() == 1, "{name}");
        }
    }
    let value = |name: &str, label: &str| {
        let samples = &families[name].1;
        samples
            .iter()
            .find(|(_, labels, _)| labels.contains(label))
            .unwrap_or_else(|| panic!("{name} {label}"))
            .2
    };
    assert!(value("idstream_intake_accepted_events_total", "") >= 1.0);
    assert_eq!(value("idstream_intake_refused_requests_total", "noEventAccepted"), 1.0);
    assert_eq!(value("idstream_intake_refused_requests_total", "malformedBody"), 1.0);
    assert_eq!(value("idstream_streaming_state", "state=\"active\""), 1.0);
    assert_eq!(value("idstream_streaming_state", "state=\"holding\""), 0.0);
    assert_eq!(value("idstream_streaming_state", r#"name="a \"quoted\" name""#), 0.0);
    assert!(value("idstream_streaming_requests_total", "code=\"2xx\"") >= 1.0);
    assert!(value("idstream_streaming_request_duration_seconds", "le=\"60") >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn every_name_stands_in_the_document_and_every_name_of_the_document_is_there() {
    let families = parsed(&page(&busy().await).await);
    let document = include_str!("../../../../docs/METRICS.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeMap<&str, &str> = rows.map(|(name, rest)| (name, rest)).collect();
    for (name, (kind, _)) in &families {
        let rest = documented.get(name.as_str()).unwrap_or_else(|| panic!("docs/METRICS.md lacks {name}"));
        assert!(rest.starts_with(&format!(" | {kind} |")), "{name} is a {kind}: {rest}");
    }
    // These need a disk, or a source that has brought something.
    let elsewhere = [
        "idstream_disk_free_bytes",
        "idstream_disk_reserve_bytes",
        "idstream_source_last_event_timestamp_seconds",
    ];
    for name in documented.keys().filter(|name| !elsewhere.contains(name)) {
        assert!(families.contains_key(*name), "{name} is not there");
    }
}

#[tokio::test(start_paused = true)]
async fn only_who_may_read_metrics_is_shown_them_and_sees_nothing_else() {
    let app = busy().await;
    let scraper = app.client("scraper", &["read:metrics"]).await;
    let other = app.client("other", &["read:config_instance"]).await;
    let ask = async |path: &str, token: Option<&str>| {
        let value = token.map(|token| format!("Bearer {token}")).unwrap_or_default();
        let headers = [("authorization", value.as_str())];
        let headers = if token.is_some() { &headers[..] } else { &[] };
        app.send_from("127.0.0.1", Method::GET, path, headers, "").await.status
    };
    assert_eq!(ask("/metrics", Some(scraper.expose())).await, StatusCode::OK);
    assert_eq!(ask(STREAMING, Some(scraper.expose())).await, StatusCode::FORBIDDEN);
    assert_eq!(ask("/metrics", Some(other.expose())).await, StatusCode::FORBIDDEN);
    assert_eq!(
        ask("/metrics", None).await,
        StatusCode::UNAUTHORIZED,
        "a proxy beside it is on loopback, too"
    );
}
