//! Reconciliation: what a cluster does not hold, or holds twice, is found, and nothing else is said to be missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Clock, Timestamp};
use delivery::{Configuration, Paused, Period, ReconcileError, Reconciled, Supervisor};
use destinations::{Answer, Request, Transport, TransportError, Vendor};
use http::HeaderMap;
use journal::model::ModelOptions;
use journal::{ConsumerCommand, Journal, Offset, StartAt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use testkit::net::Faults;
use tokio::time::Instant;

use crate::sick::Sick;
use crate::world::{NO_FAULTS, World};

const START: Offset = Offset { block: 0, index: 0 };

/// A cluster: what is sent goes to the simulated network; searches are answered from what it took, changed by hand.
struct Cluster {
    world: World,
    lost: Mutex<BTreeSet<String>>,
    doubled: Mutex<BTreeSet<String>>,
    /// The status and body that searches are answered with instead.
    says: Mutex<Option<(u16, Value)>>,
    searched: Mutex<BTreeMap<String, usize>>,
    /// How long a search takes.
    takes: Mutex<Duration>,
}

#[async_trait]
impl Transport for Cluster {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        if !request.url.path().ends_with("/_search") {
            return self.world.net.send(request).await;
        }
        let takes = *self.takes.lock();
        tokio::time::sleep(takes).await;
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let ids = body["query"]["ids"]["values"].as_array().unwrap();
        *self.searched.lock().entry(request.url.path().to_owned()).or_default() += ids.len();
        let (status, body) = self.says.lock().clone().unwrap_or_else(|| (200, self.found(ids)));
        let body = serde_json::to_vec(&body).unwrap().into();
        Ok(Answer { status, retry_after: None, headers: HeaderMap::new(), body })
    }
}

impl Cluster {
    fn found(&self, ids: &[Value]) -> Value {
        let mut hits = Vec::new();
        for id in ids.iter().filter_map(Value::as_str) {
            let is_held = self.world.net.taken(|taken| taken.ids.contains_key(id));
            if is_held && !self.lost.lock().contains(id) {
                hits.push(json!({"_id": id, "_index": ".ds-1"}));
                if self.doubled.lock().contains(id) {
                    hits.push(json!({"_id": id, "_index": ".ds-2"}));
                }
            }
        }
        json!({"timed_out": false, "_shards": {"failed": 0}, "hits": {"total": {"value": hits.len()}, "hits": hits}})
    }

    /// With a configuration for all account events and audit logs.
    async fn new(seed: u64, faults: Faults) -> Arc<Self> {
        let world = World::new(seed, ModelOptions::default());
        world.net.set_faults(faults);
        world.configure("search", Vendor::Elasticsearch, true).await;
        Arc::new(Self {
            world,
            lost: Mutex::default(),
            doubled: Mutex::default(),
            says: Mutex::default(),
            searched: Mutex::default(),
            takes: Mutex::default(),
        })
    }

    async fn supervisor(self: &Arc<Self>) -> Supervisor {
        Supervisor::start(delivery::Parts { transport: self.clone(), ..self.world.parts() }).await
    }

    fn period(&self) -> Period {
        let until = self.world.clock.now().plus(Duration::from_secs(1));
        Period { from: Timestamp::default(), until }
    }

    async fn reconcile(&self, supervisor: &Supervisor, from: Offset) -> Result<Reconciled, ReconcileError> {
        let found = self.world.catalog.get::<Configuration>("search").unwrap();
        supervisor.reconcile(&found.value, self.period(), from).await
    }
}

fn ids(reconciled: &Reconciled) -> BTreeSet<String> {
    reconciled.missing.iter().map(|event| event.id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_and_what_is_there_twice_is_named_and_nothing_else() {
    let cluster = Cluster::new(1, Faults { poison: 10, ..NO_FAULTS }).await;
    let supervisor = cluster.supervisor().await;
    let [account, audit] = cluster.world.append(600).await;
    let books = cluster.world.settled("search").await;
    let quarantined = cluster.world.quarantined().await.remove("search").unwrap_or_default();
    assert!(!quarantined.is_empty(), "some were refused: they are not expected");

    let all = cluster.reconcile(&supervisor, START).await.unwrap();
    assert_eq!((all.missing.len(), all.repeated.len()), (0, 0));
    assert_eq!(all.n_looked_at, 600);
    assert_eq!(all.n_expected, books.tally.delivered());
    assert_eq!(all.n_set_aside, quarantined.len() as u64);

    let delivered: Vec<String> =
        account.iter().chain(&audit).filter(|id| !quarantined.contains(*id)).cloned().collect();
    let lost: BTreeSet<String> = delivered.iter().step_by(50).cloned().collect();
    cluster.lost.lock().extend(lost.clone());
    cluster.doubled.lock().insert(delivered[7].clone());
    let found = cluster.reconcile(&supervisor, START).await.unwrap();
    assert_eq!(ids(&found), lost);
    let (repeated, places) = &found.repeated[0];
    assert_eq!((repeated.id.to_string(), places.len(), found.repeated.len()), (delivered[7].clone(), 2, 1));
    let searched = cluster.searched.lock().clone();
    let paths: Vec<&str> = searched.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        ["/logs-idstream.account-default/_search", "/logs-idstream.audit-default/_search"],
        "each stream is looked for where it is sent"
    );
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn events_on_their_way_are_not_missing() {
    let cluster = Cluster::new(2, NO_FAULTS).await;
    let supervisor = cluster.supervisor().await;
    cluster.world.append(100).await;
    cluster.world.settled("search").await;
    cluster.world.net.set_faults(Faults { busy: 100, ..NO_FAULTS });
    cluster.world.append(100).await;
    let found = cluster.reconcile(&supervisor, START).await.unwrap();
    assert_eq!((found.n_expected, found.missing.len()), (100, 0));
    assert!(matches!(found.ended, Paused::Unsettled(_)), "{:?}", found.ended);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_proves_nothing_names_no_event_and_the_call_goes_on_where_it_was() {
    let cluster = Cluster::new(3, NO_FAULTS).await;
    let supervisor = cluster.supervisor().await;
    cluster.world.append(100).await;
    cluster.world.settled("search").await;
    let refusal = json!({"error": {"type": "security_exception", "reason": "no read"}});
    *cluster.says.lock() = Some((403, refusal));
    let refused = cluster.reconcile(&supervisor, START).await.unwrap();
    assert_eq!((refused.n_expected, refused.missing.len()), (0, 0));
    let Paused::Refused(at, reason) = refused.ended else { panic!("{:?}", refused.ended) };
    assert!(reason.contains("no read"), "{reason}");
    *cluster.says.lock() = Some((503, json!({})));
    let unanswered = cluster.reconcile(&supervisor, at).await.unwrap();
    let Paused::Unanswered(at, _) = unanswered.ended else { panic!("{:?}", unanswered.ended) };
    *cluster.says.lock() = None;
    let found = cluster.reconcile(&supervisor, at).await.unwrap();
    assert_eq!((found.n_expected, found.missing.len()), (100, 0));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_filter_counts_from_when_it_was_set() {
    let cluster = Cluster::new(4, NO_FAULTS).await;
    let supervisor = cluster.supervisor().await;
    let [forgotten, _] = cluster.world.append(200).await;
    cluster.world.settled("search").await;
    cluster.world.change(&supervisor, "search", |configuration| configuration.account.enabled = false).await;
    let late = cluster.reconcile(&supervisor, START).await.unwrap();
    assert_eq!(
        late.n_unknown,
        forgotten.len() as u64,
        "what was selected then is forgotten, and that is told"
    );
    cluster.world.change(&supervisor, "search", |configuration| configuration.account.enabled = true).await;
    let all = cluster.reconcile(&supervisor, START).await.unwrap();
    assert_eq!((all.n_expected, all.n_unknown), (200, 0), "nothing was appended in between");

    cluster.world.net.hold_answers(true);
    let [account, _] = cluster.world.append(200).await;
    let change = |configuration: &mut Configuration| configuration.account.enabled = false;
    cluster.world.change(&supervisor, "search", change).await;
    cluster.world.append(200).await;
    cluster.world.net.hold_answers(false);
    cluster.world.settled("search").await;
    cluster.lost.lock().extend(account.clone());
    cluster.lost.lock().extend(forgotten.clone());
    let found = cluster.reconcile(&supervisor, START).await.unwrap();
    let sent: BTreeSet<String> = account.union(&forgotten).cloned().collect();
    assert_eq!(ids(&found), sent, "those before the change were sent, those after it never");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_cannot_be_asked_says_so() {
    let cluster = Cluster::new(5, NO_FAULTS).await;
    cluster.world.configure("hec", Vendor::Splunk, true).await;
    let supervisor = cluster.supervisor().await;
    let found = cluster.world.catalog.get::<Configuration>("hec").unwrap();
    let error = supervisor.reconcile(&found.value, cluster.period(), START).await.unwrap_err();
    assert!(matches!(error, ReconcileError::Unable(_)), "{error}");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_within_its_time_and_the_next_goes_on_at_the_same_event() {
    let cluster = Cluster::new(6, NO_FAULTS).await;
    let supervisor = cluster.supervisor().await;
    let ids = cluster.world.append_block(4_500).await;
    cluster.world.settled("search").await;
    cluster.lost.lock().extend([ids[7].to_string(), ids[4_400].to_string()]);
    *cluster.takes.lock() = Duration::from_secs(6);
    let (mut from, mut n_expected, mut n_looked_at, mut missing) = (START, 0, 0, Vec::new());
    for n_calls in 1.. {
        let begun = Instant::now();
        let part = cluster.reconcile(&supervisor, from).await.unwrap();
        assert!(begun.elapsed() <= Duration::from_secs(16), "{:?}", begun.elapsed());
        (n_expected, n_looked_at) = (n_expected + part.n_expected, n_looked_at + part.n_looked_at);
        missing.extend(part.missing.iter().map(|event| event.id));
        let Paused::More(at) = part.ended else {
            assert!(matches!(part.ended, Paused::Unsettled(_)), "{:?}", part.ended);
            assert_eq!(n_calls, 3);
            break;
        };
        assert!(at > from && at.index > 0, "{at}: within the block");
        from = at;
    }
    assert_eq!((n_expected, n_looked_at, missing), (4_500, 4_500, vec![ids[7], ids[4_400]]));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn damaged_blocks_are_passed_over_and_counted() {
    let cluster = Cluster::new(7, NO_FAULTS).await;
    let supervisor = cluster.supervisor().await;
    for _ in 0..3 {
        cluster.world.append_block(10).await;
    }
    cluster.world.settled("search").await;
    let sick = Sick::new(&cluster.world.journal);
    sick.damage(2..3);
    supervisor.shutdown().await;
    let parts = delivery::Parts { transport: cluster.clone(), journal: sick, ..cluster.world.parts() };
    let supervisor = Supervisor::start(parts).await;
    let found = cluster.reconcile(&supervisor, START).await.unwrap();
    assert_eq!((found.n_expected, found.n_unreadable, found.missing.len()), (20, 1, 0));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_told_as_a_number() {
    let cluster = Cluster::new(8, NO_FAULTS).await;
    let supervisor = cluster.supervisor().await;
    cluster.world.append_block(10).await;
    cluster.world.settled("search").await;
    cluster.world.net.set_faults(Faults { busy: 100, ..NO_FAULTS });
    cluster.world.append_block(10).await;
    let name = delivery::consumer_name("search").unwrap();
    let expire = ConsumerCommand::Expire { name, to: StartAt::Now };
    cluster.world.journal.consumers(expire).await.unwrap();
    let found = cluster.reconcile(&supervisor, START).await.unwrap();
    assert_eq!((found.n_given_up, found.n_expected, found.missing.len()), (10, 20, 10));
    supervisor.shutdown().await;
}
