//! Records, and their copies in quarantine.

use base::{EventId, Timestamp};
use event::filter::{Criterion, Filter, Sieve};
use event::quarantine::{self, Reason, Standing};
use event::{Record, RecordBuilder, Section, Stream};

/// A record's bytes.
pub(crate) fn records(bytes: &[u8]) {
    let Ok(record) = Record::parse(bytes) else { return };
    assert_eq!(record.as_bytes(), bytes);
    let _never_panics = (quarantine::unwrap(&record), quarantine::unwrap_change(&record));
    let n_claims = record.sections().filter(|(kind, _)| *kind == Section::Claim).count();
    assert!(record.claims().count() <= n_claims);
    if let Some(rebuilt) = rebuilt(&record) {
        check_copy(&record, &rebuilt);
    }
    check_filters(&record);
}

/// The same record, laid out by our own builder.
fn rebuilt(record: &Record<'_>) -> Option<Vec<u8>> {
    let mut builder =
        RecordBuilder::new(record.stream(), record.event_id(), record.time(), record.received_at());
    if record.is_test() {
        builder = builder.test();
    }
    for (kind, text) in record.sections() {
        builder.section(kind, text);
    }
    builder.finish().ok()
}

/// What is copied to quarantine comes back as it was.
fn check_copy(record: &Record<'_>, rebuilt: &[u8]) {
    let again = Record::parse(rebuilt);
    assert_eq!(again.as_ref().err(), None, "a record that was laid out is read");
    let Ok(again) = again else { return };
    let sections = |record: &Record<'_>| {
        record.sections().map(|(kind, text)| (kind, text.to_owned())).collect::<Vec<_>>()
    };
    // The builder leaves out what is empty.
    let mut whole = sections(record);
    whole.retain(|(_, text)| !text.is_empty());
    assert_eq!(sections(&again), whole);
    let is_reason = |(kind, _): &(Section, _)| *kind == Section::Reason;
    // Only a product's own records are copied, and no test events.
    if !again.stream().is_product() || again.is_test() || whole.iter().any(is_reason) {
        return;
    }
    let reason = Reason {
        configuration_id: "c".to_owned(),
        event_id: record.event_id(),
        stream: record.stream(),
        journal_offset: "1.2".to_owned(),
        received_at: record.received_at(),
        reason: "r".to_owned(),
        attempts: 1,
        standing: Standing::Quarantined,
        run: None,
    };
    let Ok(copy) = quarantine::wrap(&again, &reason, Timestamp::default()) else { return };
    let back = Record::parse(&copy).ok().and_then(|copy| quarantine::unwrap(&copy));
    assert_eq!(back, Some((reason, rebuilt.to_vec())), "what was copied comes back");
}

/// A list that names all values of a record lets it pass; the same list left out keeps it out.
fn check_filters(record: &Record<'_>) {
    for criterion in Criterion::ALL {
        let Some(value) = criterion.first_of(record) else { continue };
        let lists = [(criterion, vec![value])].into_iter().collect();
        let include = Filter { include: lists, ..Filter::default() };
        let exclude = Filter { exclude: include.include.clone(), ..Filter::default() };
        let admits = |filter: &Filter| Sieve::of(filter).is_none_or(|sieve| sieve.admits(record));
        assert!(admits(&include) && !admits(&exclude), "{criterion:?}");
    }
}

/// A record of each stream, and a copy.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let time = Timestamp::default();
    let header = r#""type":"customerFlow","labels":["success:login"],"subject":{"store":"s"},"actorApplication":{"id":"a","name":"n"},"entityType":"e""#;
    let build = |stream| {
        let mut builder = RecordBuilder::new(stream, EventId::derive(time, &["seed"]), time, time);
        builder.section(Section::Source, "main");
        builder.section(Section::Header, header);
        builder.section(Section::Claim, r#""email":"a@b.c""#);
        builder.section(Section::Raw, r#"{"a":1}"#);
        builder.finish().unwrap_or_default()
    };
    let mut seeds: Vec<Vec<u8>> = Stream::PRODUCT.map(build).to_vec();
    let reason = Reason {
        configuration_id: "c".to_owned(),
        event_id: EventId::derive(time, &["seed"]),
        stream: Stream::AccountEvent,
        journal_offset: "1.2".to_owned(),
        received_at: time,
        reason: "r".to_owned(),
        attempts: 1,
        standing: Standing::Parked,
        run: None,
    };
    let copies: Vec<Vec<u8>> = seeds
        .iter()
        .filter_map(|seed| quarantine::wrap(&Record::parse(seed).ok()?, &reason, time).ok())
        .collect();
    seeds.extend(copies);
    seeds
}
