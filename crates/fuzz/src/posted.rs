//! Bodies that are posted: cut, parsed, masked, named, stored. Each event has one receipt, each receipt an event, and no
//! secret is stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::mask::MaskRule;
use base::{Clock, EventId, ManualClock, Random, Timestamp};
use event::pieces;
use event::{Stream, StreamSet};
use intake::{Intake, Limits, Posted, ProducerIdentity, Receipts, Source};
use journal::model::{ModelJournal, ModelOptions};
use journal::{Journal, ReadRange};
use sources::{Platform, SourceKind};

use crate::masking::{PLANTED, plant};

/// Words of events.
pub(crate) const WORDS: &[&str] = &[
    "\"eventID\":",
    "\"0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f\"",
    "\"type\":\"customerFlow\"",
    "\"endTimestamp\":\"2026-01-31T11:00:00Z\"",
    "\"stream\":\"auditLog\"",
    "\"stream\":\"eventHookLog\"",
    "\"date\":\"2026-01-31T11:00:00Z\"",
    "\"nativeClaims\":{",
    "\"actions\":[{",
    "\"raw\":{",
    "\"request\":",
    "\"response\":",
    "\"changes\":[{\"path\":\"/",
    "\"password\":\"",
    "\"client_secret\":",
    "\"token\":{\"iss\":",
    "\\\"password\\\":\\\"",
    "\\u0000",
    "\\ud83d\\ude00",
    "?access_token=",
    "Authorization: Bearer ",
    "\"log_id\":\"900\"",
    "\"data\":{",
    "\"details\":{",
    "\"type\":\"gd_",
    "{\"logs\":[",
    "\n",
];

const LIMITS: Limits = Limits { max_events: 50, max_event_bytes: 32 * 1024 };

struct World {
    journal: Arc<ModelJournal>,
    intake: Intake,
}

impl World {
    fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::default()));
        let random = Arc::new(Random::from_seed(3));
        let journal =
            Arc::new(ModelJournal::new(Arc::clone(&clock), Arc::clone(&random), ModelOptions::default()));
        let intake = Intake::new(journal.clone(), clock, random, MaskRule::default(), LIMITS);
        Self { journal, intake }
    }

    async fn post(&self, body: &[u8], are_lines: bool) -> Option<Receipts> {
        let producer = ProducerIdentity { id: "client:a".to_owned(), source: "a".to_owned() };
        let posted = Posted { body, are_lines, idempotency_key: Some("k") };
        self.intake.accept(&producer, posted).await.ok()
    }

    /// The ids of all that is stored, and everything that is stored, in one text.
    async fn stored(&self, streams: StreamSet) -> (Vec<EventId>, String) {
        let range = ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
        let Ok(blocks) = self.journal.read(range).await else { return Default::default() };
        let records = || blocks.iter().flat_map(|block| block.records());
        let texts = records().map(|(_, record)| String::from_utf8_lossy(record.as_bytes()).into_owned());
        (records().map(|(_, record)| record.event_id()).collect(), texts.collect())
    }
}

/// What an API client posts.
pub(crate) fn intake(bytes: &[u8]) {
    let Some((flags, body)) = bytes.split_first() else { return };
    let are_lines = flags & 1 == 1;
    block_on(async {
        let world = World::new();
        if let Some(receipts) = world.post(body, are_lines).await {
            check_receipts(&world, body, are_lines, &receipts).await;
        }
        if let Some(planted) = plant(body, &[]) {
            let world = World::new();
            world.post(planted.as_bytes(), are_lines).await;
            let (_, stored) = world.stored(StreamSet::product()).await;
            assert!(!stored.contains(PLANTED), "a secret was stored: {planted}");
        }
    });
}

async fn check_receipts(world: &World, body: &[u8], are_lines: bool, receipts: &Receipts) {
    let n_given = pieces::cut(body, are_lines, LIMITS.max_events).map_or(0, |pieces| pieces.len());
    let accepted = receipts.accepted.iter().map(|accepted| accepted.index);
    let told: BTreeSet<usize> =
        accepted.chain(receipts.rejected.iter().map(|rejected| rejected.index)).collect();
    assert_eq!(receipts.accepted.len() + receipts.rejected.len(), n_given, "a receipt for every event");
    assert!(told.into_iter().eq(0..n_given), "each event is told once");
    let (mut stored, _) = world.stored(StreamSet::product()).await;
    stored.sort_unstable();
    let new = receipts.accepted.iter().filter(|accepted| !accepted.duplicate);
    let mut new: Vec<EventId> = new.map(|accepted| accepted.event_id).collect();
    new.sort_unstable();
    assert_eq!(stored, new, "what has a receipt is stored, once, and nothing else is");
    // Sent again, as after an answer that got lost: everything is known, nothing is stored.
    let Some(again) = world.post(body, are_lines).await else { return };
    assert!(again.accepted.iter().all(|accepted| accepted.duplicate), "sent again, all is known");
    assert_eq!(again.accepted.len(), receipts.accepted.len());
    let (after, _) = world.stored(StreamSet::product()).await;
    assert_eq!(after.len(), stored.len(), "sent again, nothing is stored");
}

/// What Auth0 posts to its webhook.
pub(crate) fn webhook(bytes: &[u8]) {
    let platform = Platform { kind: SourceKind::Auth0, tenant: "tenant.example".to_owned() };
    let source = Source {
        id: "s".to_owned(),
        name: "s".to_owned(),
        enabled: true,
        platform,
        authorization: Vec::new(),
        silent_after_minutes: None,
    };
    let streams =
        StreamSet::from_bits(StreamSet::product().bits() | StreamSet::from(Stream::IntakeQuarantine).bits());
    block_on(async {
        let world = World::new();
        let n_items = source.platform.split(bytes).map_or(0, |items| items.len());
        if let Ok(receipt) = world.intake.accept_source(&source, bytes).await {
            let n_told = receipt.accepted + receipt.duplicates + receipt.quarantined;
            assert_eq!(n_told, n_items, "every item is counted once");
            let (stored, _) = world.stored(streams).await;
            assert_eq!(stored.len(), receipt.accepted + receipt.quarantined, "what is counted is stored");
            let again = world.intake.accept_source(&source, bytes).await;
            assert!(again.is_ok_and(|again| again.duplicates == n_items), "sent again, all is known");
        }
        if let Some(planted) = plant(bytes, &sources::auth0::masking::OPEN_NAMES) {
            let world = World::new();
            let _told = world.intake.accept_source(&source, planted.as_bytes()).await;
            let (_, stored) = world.stored(streams).await;
            assert!(!stored.contains(PLANTED), "a secret was stored: {planted}");
        }
    });
}

/// The journal in memory never waits, so that the current thread is enough.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let Ok(runtime) = runtime else { std::process::exit(2) };
            runtime
        };
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Events of every stream, alone, in an array, as lines, with and without what is wrong with them.
pub(crate) fn intake_seeds() -> Vec<Vec<u8>> {
    let id = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f";
    let account = format!(
        r#"{{"eventID":"{id}","type":"customerFlow","endTimestamp":"2026-01-31T11:00:00Z","labels":["success:login"],"subject":{{"userName":"ann"}},"nativeClaims":{{"email":"a@b.c","otp":"1"}},"actions":[{{"password":"x","n":1.5}}],"raw":{{"t":"a=1&password=x","u":"https://h/?access_token=q"}}}}"#
    );
    let audit = r#"{"stream":"auditLog","date":"2026-01-31T11:00:00Z","method":"PATCH","url":"https://u:p@h/x?token=1","request":"{\"client_secret\":\"s\"}","changes":[{"path":"/auth/client_secret/0","before":"b","after":{"password":"n"}}]}"#;
    let hook = r#"{"stream":"eventHookLog","timestamp":"2026-01-31T11:00:00Z","hookName":"h","logs":[{"message":"Authorization: Bearer z","password":"y"}]}"#;
    let bodies = [
        account.clone(),
        audit.to_owned(),
        hook.to_owned(),
        format!("[{account},{audit},{hook}]"),
        format!("{account}\n{audit}\n{{broken\n{hook}\n{account}"),
        format!("{account} {audit}"),
        r#"{"type":"customerFlow","type":"x"}"#.to_owned(),
        "[{},1,\"\"]".to_owned(),
    ];
    bodies.iter().enumerate().map(|(at, body)| [&[at as u8], body.as_bytes()].concat()).collect()
}

/// Auth0's forms: lines, an array, a wrapped list, an item of its own.
pub(crate) fn webhook_seeds() -> Vec<Vec<u8>> {
    let item = r#"{"log_id":"90020260131","data":{"date":"2026-01-31T11:00:00.000Z","type":"s","description":"","connection":"c","client_id":"i","client_name":"n","ip":"203.0.113.7","user_agent":"Mozilla","hostname":"t","user_id":"auth0|1","user_name":"ann","details":{"prompts":[{"name":"password","password":"x"}],"request":{"body":{"client_secret":"y"},"auth":{"credentials":{"jti":"z"}}}},"log_id":"90020260131"}}"#;
    let factor = item.replace("\"type\":\"s\"", "\"type\":\"gd_send_sms\",\"code\":\"123456\"");
    let bodies = [
        item.to_owned(),
        format!("{item}\n{factor}\nbroken"),
        format!("[{item},{factor},7]"),
        format!("{{\"logs\":[{item},{factor}]}}"),
        item.replace("2026-01-31T11:00:00.000Z", "never"),
    ];
    bodies.into_iter().map(String::into_bytes).collect()
}
