//! Producers: they post, repeat themselves, make mistakes, and send again until they have an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::EventId;
use intake::{Intake, IntakeError, Posted, ProducerIdentity, Receipts};

use crate::content::Content;
use crate::dice::Dice;
use crate::plan::{Mistakes, Plan};
use crate::world::World;

/// Events that a producer may send again.
const REMEMBERED: usize = 60;

/// One event of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Posting {
    Event { content: Content, id: Option<EventId> },
    Bad,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Post {
    postings: Vec<Posting>,
    key: Option<String>,
    /// The key was used with another body.
    reuses_key: bool,
    are_lines: bool,
    body: String,
}

/// All producers.
pub(crate) struct Producers {
    each: Vec<Producer>,
    seed: u64,
    mistakes: Mistakes,
    max_batch: u64,
    /// Events that are left to be made.
    pub(crate) n_left: u64,
    next_number: u64,
    /// The contents that each producer has sent under an id.
    under: BTreeMap<EventId, BTreeSet<(usize, Content)>>,
}

struct Producer {
    dice: Dice,
    /// Not answered yet; sent again in the next life.
    open: Option<Arc<Post>>,
    recent: Vec<(Content, Option<EventId>)>,
    answered_keys: Vec<String>,
    n_keys: u64,
}

impl Producers {
    pub(crate) fn new(seed: u64, plan: &Plan) -> Self {
        let producer = |n: usize| Producer {
            dice: Dice::new(seed, &format!("producer {n}")),
            open: None,
            recent: Vec::new(),
            answered_keys: Vec::new(),
            n_keys: 0,
        };
        Self {
            each: (0..plan.n_producers).map(producer).collect(),
            seed,
            mistakes: plan.producers,
            max_batch: plan.max_batch,
            n_left: plan.n_events,
            next_number: 0,
            under: BTreeMap::new(),
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.n_left == 0 && self.each.iter().all(|producer| producer.open.is_none())
    }

    /// What a producer sends next.
    fn next(&mut self, at: usize) -> Option<Arc<Post>> {
        if let Some(open) = self.each.get(at)?.open.clone() {
            return Some(open);
        }
        if self.n_left == 0 {
            return None;
        }
        let n = 1 + self.each.get(at)?.dice.up_to(self.max_batch - 1);
        let postings = (0..n).filter_map(|_| self.posting(at)).collect();
        let post = Arc::new(self.post(at, postings)?);
        self.each.get_mut(at)?.open = Some(Arc::clone(&post));
        Some(post)
    }

    /// One event, new or not, or something that is none.
    fn posting(&mut self, at: usize) -> Option<Posting> {
        let mistakes = self.mistakes;
        let n_producers = self.each.len() as u64;
        let other = self.each.get(self.each.get(at)?.dice.up_to(n_producers - 1) as usize);
        let borrowed = other.and_then(|other| other.recent.last()).and_then(|(_, id)| *id);
        let dice = &self.each.get(at)?.dice;
        if mistakes.bad_events && dice.happens(40) {
            return Some(Posting::Bad);
        }
        let recent = &self.each.get(at)?.recent;
        let again = recent.get(dice.up_to(REMEMBERED as u64) as usize).copied();
        if let Some((content, id)) = again.filter(|_| mistakes.repeats && dice.happens(100)) {
            let is_other = mistakes.conflicts && id.is_some() && dice.happens(300);
            let content = if is_other { Content { version: 1, ..content } } else { content };
            return Some(self.sent(at, content, id));
        }
        self.n_left = self.n_left.saturating_sub(1);
        let content = Content { seed: self.seed, number: self.next_number, version: 0 };
        self.next_number += 1;
        let dice = &self.each.get(at)?.dice;
        let id = if mistakes.foreign_ids && borrowed.is_some() && dice.happens(50) {
            borrowed
        } else {
            (mistakes.own_ids && dice.up_to(3) > 0).then(|| content.own_id())
        };
        Some(self.sent(at, content, id))
    }

    fn sent(&mut self, at: usize, content: Content, id: Option<EventId>) -> Posting {
        if let Some(id) = id {
            self.under.entry(id).or_default().insert((at, content));
        }
        if let Some(producer) = self.each.get_mut(at).filter(|_| id.is_some()) {
            producer.recent.push((content, id));
            if producer.recent.len() > REMEMBERED {
                producer.recent.remove(0);
            }
        }
        Posting::Event { content, id }
    }

    fn post(&mut self, at: usize, postings: Vec<Posting>) -> Option<Post> {
        let mistakes = self.mistakes;
        let producer = self.each.get_mut(at)?;
        let dice = &producer.dice;
        let text = |posting: &Posting| match posting {
            Posting::Event { content, id } => content.posted(*id),
            Posting::Bad => dice.pick("{\"stream\":\"auditLog\"}", &["{\"a\":", "7"]).to_owned(),
        };
        let mut texts: Vec<String> = postings.iter().map(text).collect();
        let are_lines = dice.up_to(1) == 0;
        if !are_lines {
            // An array is well-formed as a whole or not at all.
            texts.iter_mut().filter(|text| *text == "{\"a\":").for_each(|text| "{}".clone_into(text));
        }
        let body = if are_lines { texts.join("\n") } else { format!("[{}]", texts.join(",")) };
        let reused = producer.answered_keys.last().cloned();
        let reused = reused.filter(|_| mistakes.reused_keys && dice.happens(50));
        let reuses_key = reused.is_some();
        let key = reused.or_else(|| {
            producer.n_keys += 1;
            (mistakes.keys && dice.up_to(2) > 0).then(|| format!("{at}-{}", producer.n_keys))
        });
        Some(Post { postings, key, reuses_key, are_lines, body })
    }

    /// The request was answered for good.
    fn answered(&mut self, at: usize, post: &Post, keeps_key: bool) {
        let Some(producer) = self.each.get_mut(at) else { return };
        producer.open = None;
        if keeps_key && let Some(key) = &post.key {
            producer.answered_keys.push(key.clone());
        }
    }

    /// Whether this producer sent anything else under the id.
    fn has_other_content(&self, at: usize, id: Option<EventId>) -> bool {
        let under = id.and_then(|id| self.under.get(&id));
        under.is_some_and(|under| under.iter().filter(|(by, _)| *by == at).count() > 1)
    }

    fn is_shared(&self, at: usize, id: EventId) -> bool {
        self.under.get(&id).is_some_and(|under| under.iter().any(|(by, _)| *by != at))
    }
}

/// One producer, until the process dies.
pub(crate) async fn produce(world: Arc<World>, at: usize, intake: Arc<Intake>) {
    let identity = ProducerIdentity { id: format!("client:{at}"), source: "simulated".to_owned() };
    let pause = world.plan.pause.as_millis() as u64;
    loop {
        let next = world.producers.lock().next(at);
        let Some(post) = next else { return };
        let posted = Posted {
            body: post.body.as_bytes(),
            are_lines: post.are_lines,
            idempotency_key: post.key.as_deref(),
        };
        let answer = intake.accept(&identity, posted).await;
        match answer {
            Ok(receipts) => {
                world.note(format_args!(
                    "producer {at}: {} accepted, {} rejected",
                    receipts.accepted.len(),
                    receipts.rejected.len()
                ));
                note_receipts(&world, at, &post, &receipts);
                world.producers.lock().answered(at, &post, true);
            }
            Err(error) => {
                world.note(format_args!("producer {at}: {error}"));
                refused(&world, at, &post, &error).await;
            }
        }
        let fair = world.is_fair.load(Ordering::Relaxed);
        tokio::time::sleep(world.dice.millis(0, if fair { 50 } else { pause })).await;
    }
}

async fn refused(world: &World, at: usize, post: &Post, error: &IntakeError) {
    match error {
        IntakeError::Busy { retry_after } | IntakeError::Unavailable { retry_after, .. } => {
            world.count("append: busy or unavailable");
            tokio::time::sleep(*retry_after).await;
        }
        IntakeError::KeyReused if post.reuses_key => {
            world.count("receipt: key reused");
            world.producers.lock().answered(at, post, false);
        }
        IntakeError::Malformed(_) if !post.are_lines || post.postings.len() == 1 => {
            world.producers.lock().answered(at, post, false);
        }
        IntakeError::Malformed(_) if post.postings.iter().all(|each| matches!(each, Posting::Bad)) => {
            world.producers.lock().answered(at, post, false);
        }
        IntakeError::KeyInFlight => tokio::time::sleep(Duration::from_millis(100)).await,
        error => {
            world.violated(format!("producer {at}: a good request is refused: {error}"));
            world.producers.lock().answered(at, post, false);
        }
    }
}

/// Every receipt becomes an obligation.
fn note_receipts(world: &World, at: usize, post: &Post, receipts: &Receipts) {
    let producers = world.producers.lock();
    let n_told = receipts.accepted.len() + receipts.rejected.len();
    if n_told != post.postings.len() {
        world.violated(format!("producer {at}: {n_told} receipts for {} events", post.postings.len()));
    }
    for accepted in &receipts.accepted {
        let Some(Posting::Event { content, id }) = post.postings.get(accepted.index) else {
            world.violated(format!("producer {at}: what is no event is accepted"));
            continue;
        };
        world.count(if accepted.duplicate { "receipt: duplicate" } else { "accepted" });
        if id.is_some_and(|id| id != accepted.event_id) {
            world.count("receipt: of another's id");
            if !id.is_some_and(|id| producers.is_shared(at, id)) {
                world.violated(format!("producer {at}: its own id {id:?} became {}", accepted.event_id));
            }
        }
        let mut known = world.known.lock();
        let forgets = known.trimmed > 0 || !known.erased.is_empty();
        let contents = known.receipts.entry(accepted.event_id).or_default();
        contents.insert(*content);
        if contents.len() > 1 && !forgets && !post.reuses_key {
            world.violated(format!("{}: receipts for two contents: {contents:?}", accepted.event_id));
        }
    }
    for rejected in &receipts.rejected {
        match post.postings.get(rejected.index) {
            Some(Posting::Bad) => world.count("receipt: invalid event"),
            Some(Posting::Event { id, .. })
                if rejected.error_key == "eventIdConflict"
                    && (producers.has_other_content(at, *id) || post.reuses_key) =>
            {
                world.count("receipt: conflict");
            }
            _ => world.violated(format!("producer {at}: a good event is rejected: {}", rejected.detail)),
        }
    }
}
