//! Believable traffic of an identity platform, made from a seed: for the demo, the benchmark and tests.
//!
//! A population of made-up customers registers, logs in, mistypes, gets locked, enrols second factors, resets
//! passwords and logs out; administrators change the platform; hooks run; now and then somebody sprays passwords, at
//! places that [`Traffic::planted`] tells. Each account has a state, so the story holds together: nobody logs in before
//! registering, a session that ends was opened, a locked account stays locked until its password is reset.
//!
//! Invariants: no I/O and no clock. The same seed and the same times give the same bytes; what happens depends on the
//! seed and the number of the event alone, so it is the same story at any rate. No real people: names are composed,
//! mail goes to `example.com` and `example.org` (RFC 2606), addresses are those of documentation (RFC 5737, RFC 3849).
//!
//! Deliberately absent: events out of order and duplicates; who needs them makes them from these.

mod administration;
mod application;
mod attack;
mod customer;
mod deed;
mod dice;
mod entity;
mod hook;
mod json;
mod population;
mod scene;

use base::{EventId, Random, Timestamp};

pub use attack::{Planted, PlantedKind};

use administration::Administration;
use attack::Attacks;
use dice::Dice;
use hook::HookRun;
use population::Population;
use scene::Frame;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// `accountEvent`, `auditLog` or `eventHookLog`.
    pub stream: &'static str,
    /// The event, one JSON object on one line, exactly as `POST /intake/v1/events` takes it. About 1 KB.
    pub json: String,
}

/// Of 100 events so many are audit logs.
const AUDIT_PERCENT: u64 = 5;
/// Of 100 events so many are event hook logs.
const HOOK_PERCENT: u64 = 5;
/// What a happening's text is given room for: few are longer.
const ROOM: usize = 1536;

/// The traffic of one platform: asked for the next event again and again, it never ends.
#[derive(Debug)]
pub struct Traffic {
    dice: Dice,
    /// Draws event ids, when they are wanted. A source of its own, so that ids do not change the story.
    ids: Option<Random>,
    seed: u64,
    latest: Timestamp,
    number: u64,
    population: Population,
    administration: Administration,
    attacks: Attacks,
    /// What a hook may still be run for: the latest account event that one listens to.
    hookable: Option<HookRun>,
}

impl Traffic {
    /// The traffic of `seed`. No event is earlier than `start`.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        let mut dice = Dice::new(seed);
        Self {
            administration: Administration::new(&mut dice),
            attacks: Attacks::plan(&mut dice),
            population: Population::default(),
            dice,
            ids: None,
            seed,
            latest: start,
            number: 0,
            hookable: None,
        }
    }

    /// Whether each event gets an `eventID` (UUIDv7) of its own. Without, which is how it begins, the server gives it one.
    /// The rest of the story is the same either way.
    #[must_use]
    pub fn with_ids(mut self, with_ids: bool) -> Self {
        self.ids = with_ids.then(|| Random::from_seed(self.seed));
        self
    }

    /// The next event, which ends at `now` (or with the event before, should `now` be earlier).
    pub fn next(&mut self, now: Timestamp) -> Happening {
        self.latest = self.latest.max(now);
        let number = self.number;
        self.number += 1;
        let id = self.ids.as_ref().map(|random| EventId::draw(self.latest, random));
        let frame = Frame { id, now: self.latest };
        let mut json = String::with_capacity(ROOM);
        let stream = self.write(number, &frame, &mut json);
        Happening { stream, json }
    }

    /// The attacks that are part of the story, in order: those of the next millions of events are known from the start.
    pub fn planted(&self) -> &[Planted] {
        self.attacks.planted()
    }

    fn write(&mut self, number: u64, frame: &Frame, out: &mut String) -> &'static str {
        let dice = &mut self.dice;
        let scene = if let Some(attempt) = self.attacks.at(number, dice) {
            self.population.attacked(&attempt, dice)
        } else {
            let roll = dice.below(100);
            if roll < AUDIT_PERCENT {
                self.administration.write(frame, dice, out);
                return "auditLog";
            }
            if roll < AUDIT_PERCENT + HOOK_PERCENT
                && let Some(run) = self.hookable.take()
            {
                run.write(frame, dice, out);
                return "eventHookLog";
            }
            self.population.step(&self.administration, dice)
        };
        scene.write(frame, dice, out);
        if let Some(run) = HookRun::of(&scene, frame) {
            self.hookable = Some(run);
        }
        "accountEvent"
    }
}
