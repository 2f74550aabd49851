//! The laws of the book, whatever is found and however the clock goes.

use proptest::prelude::*;

use super::*;
use crate::alarm::SubjectKind;

const START: i64 = 1_800_000_000_000;

fn condition(severity: Severity, after: u64) -> Condition {
    let subject = Subject { kind: SubjectKind::Configuration, id: "c".to_owned(), name: "Splunk".to_owned() };
    let (kind, after) = (Kind::Holding, Duration::from_secs(after));
    Condition { kind, subject, severity, since: None, text: "nothing is delivered".to_owned(), after }
}

/// What is found of one condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Wrong(Severity),
    Unsure,
    SetAside,
    Right,
}

fn findings(sight: Sight, after: u64) -> Findings {
    match sight {
        Sight::Wrong(severity) => {
            Findings { conditions: vec![condition(severity, after)], ..Findings::default() }
        }
        Sight::Unsure => {
            Findings { unsure: [condition(Severity::Warning, 0).key()].into(), ..Findings::default() }
        }
        Sight::SetAside => {
            Findings { set_aside: [condition(Severity::Warning, 0).key()].into(), ..Findings::default() }
        }
        Sight::Right => Findings::default(),
    }
}

/// A book, and a clock for it.
struct World {
    book: Book,
    now: i64,
    told: Vec<What>,
}

impl World {
    fn new() -> Self {
        Self { book: Book::default(), now: START, told: Vec::new() }
    }

    fn step(&mut self, seconds: i64, sight: Sight) -> Vec<What> {
        self.now += seconds * 1000;
        let now = Timestamp::from_millis(self.now).unwrap();
        let notices = self.book.step(findings(sight, 120), &Thresholds::default(), now, || "id".to_owned());
        let told: Vec<What> = notices.iter().map(|notice| notice.what).collect();
        self.told.extend(&told);
        told
    }

    fn steps(&mut self, n: usize, seconds: i64, sight: Sight) -> Vec<What> {
        (0..n).flat_map(|_| self.step(seconds, sight)).collect()
    }

    fn restart(&mut self) {
        let stored = serde_json::to_string(&self.book).unwrap();
        self.book = serde_json::from_str(&stored).unwrap();
    }

    fn stands(&self) -> bool {
        !self.book.standing().is_empty()
    }
}

const CRITICAL: Sight = Sight::Wrong(Severity::Critical);
const WARNING: Sight = Sight::Wrong(Severity::Warning);

#[test]
fn an_alarm_is_raised_when_it_has_lasted_and_taken_back_when_it_is_over() {
    let mut world = World::new();
    assert_eq!(world.steps(12, 10, CRITICAL), [], "not yet");
    assert_eq!(world.step(10, CRITICAL), [What::Raised]);
    assert_eq!(world.steps(100, 10, CRITICAL), []);
    assert_eq!(world.steps(12, 10, Sight::Right), [], "not yet");
    assert_eq!(world.step(10, Sight::Right), [What::Cleared]);
    assert_eq!(world.steps(100, 10, Sight::Right), []);
    let alarms = world.book.alarms();
    assert_eq!((alarms.len(), alarms[0].count, alarms[0].stands()), (1, 1, false));
}

#[test]
fn what_an_operator_ended_is_told_as_that_and_raised_anew_when_it_goes_on() {
    let mut world = World::new();
    assert_eq!(world.steps(13, 10, CRITICAL), [What::Raised]);
    assert_eq!(world.steps(13, 10, Sight::SetAside), [What::Withdrawn]);
    let alarm = world.book.alarms()[0].clone();
    assert!(alarm.withdrawn && !alarm.stands());
    let notice = world.book.notice_from(1).unwrap();
    assert_eq!(notice.headline(), "[ended by an operator] nothing is delivered");
    assert_eq!(notice.note(&base::Random::from_seed(1)).unwrap()["action"], "Withdraw");
    assert_eq!(world.steps(13, 10, CRITICAL), [What::Raised]);
    assert!(!world.book.alarms()[0].withdrawn);
    assert_eq!(world.steps(40, 10, Sight::Right), [What::Cleared]);
}

#[test]
fn a_reminder_says_how_it_is_now() {
    let mut world = World::new();
    world.steps(3, 60, CRITICAL);
    let mut told = Vec::new();
    for _ in 0..=(24 * 60) {
        world.now += 60_000;
        let now = Timestamp::from_millis(world.now).unwrap();
        let later = Condition { text: "it is another now".to_owned(), ..condition(Severity::Critical, 120) };
        let found = Findings { conditions: vec![later], ..Findings::default() };
        told.extend(world.book.step(found, &Thresholds::default(), now, || "id".to_owned()));
    }
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].headline(), "[still wrong] it is another now");
}

#[test]
fn every_alarm_that_may_stand_can_be_told() {
    let mut book = Book::default();
    let of = |n: usize| {
        let subject = Subject { id: n.to_string(), ..condition(Severity::Warning, 0).subject };
        Condition { subject, ..condition(Severity::Warning, 0) }
    };
    for minute in 0..10 {
        let conditions = if minute < 5 { (0..MAX_STANDING).map(of).collect() } else { Vec::new() };
        let now = Timestamp::from_millis(START + minute * 60_000).unwrap();
        let found = Findings { conditions, ..Findings::default() };
        book.step(found, &Thresholds::default(), now, || "id".to_owned());
    }
    assert_eq!(book.next() as usize, 2 * MAX_STANDING, "raised at once, and ended at once");
    assert_eq!(book.notice_from(0).map(|notice| notice.number), Some(0), "none was dropped untold");
}

#[test]
fn the_audit_log_of_an_alarm_has_texts_only() {
    let mut world = World::new();
    world.steps(13, 10, CRITICAL);
    let note = world.book.notice_from(0).unwrap().note(&base::Random::from_seed(1)).unwrap();
    for change in note["changes"].as_array().unwrap() {
        assert!(change["after"].is_string(), "{change}");
    }
}

#[test]
fn what_becomes_worse_is_told_once_and_what_becomes_better_is_not() {
    let mut world = World::new();
    assert_eq!(world.steps(20, 10, WARNING), [What::Raised]);
    assert_eq!(world.steps(20, 10, CRITICAL), [What::Worse]);
    assert_eq!(world.steps(20, 10, WARNING), []);
    assert_eq!(world.steps(20, 10, CRITICAL), []);
    let notice = world.book.notice_from(1).unwrap();
    assert_eq!(notice.headline(), "[now critical] nothing is delivered");
}

#[test]
fn one_is_reminded_once_a_day_unless_somebody_has_taken_notice_or_silenced_it() {
    let day = 24 * 60;
    let mut world = World::new();
    world.steps(3, 60, CRITICAL);
    assert_eq!(world.steps(day * 2 + 1, 60, CRITICAL), [What::Reminder, What::Reminder]);
    let now = Timestamp::from_millis(world.now).unwrap();
    world.book.silence("id", now.plus(Duration::from_hours(50))).unwrap();
    assert_eq!(world.steps(49 * 60, 60, CRITICAL), []);
    assert_eq!(world.steps(61, 60, CRITICAL), [What::Reminder], "the silence is over");
    world.book.acknowledge("id", "ann", now).unwrap();
    assert_eq!(world.steps(day * 3, 60, CRITICAL), []);
    assert_eq!(world.steps(5, 60, Sight::Right), [What::Cleared]);
    assert_eq!(world.book.acknowledge("id", "ann", now), None, "it is over");
}

#[test]
fn what_happens_to_a_silenced_alarm_is_noted_and_marked_for_channels_to_pass_over() {
    let mut world = World::new();
    world.steps(3, 60, WARNING);
    let now = Timestamp::from_millis(world.now).unwrap();
    world.book.silence("id", now.plus(Duration::from_hours(1))).unwrap();
    assert_eq!(world.step(60, CRITICAL), [What::Worse]);
    assert!(world.book.notice_from(1).unwrap().is_silenced);
}

#[test]
fn what_flaps_for_a_day_is_one_alarm_and_few_notices() {
    let mut world = World::new();
    for _ in 0..(24 * 60 / 6) {
        world.steps(3, 60, CRITICAL);
        world.steps(3, 60, Sight::Right);
    }
    assert!(world.told.len() <= 12, "{:?}", world.told);
    assert_eq!(world.book.alarms().len(), 1);
    assert_eq!(world.steps(61, 60, Sight::Right), [What::Cleared], "and it ends");
}

#[test]
fn a_deed_is_told_once_and_has_no_recovery() {
    let mut book = Book::default();
    let subject = Subject { kind: SubjectKind::Configuration, id: "c".to_owned(), name: "c".to_owned() };
    let deed = Condition {
        kind: Kind::ConfigurationDeleted,
        subject,
        after: Duration::ZERO,
        ..condition(Severity::Warning, 0)
    };
    let mut told = Vec::new();
    for minute in 0..(24 * 60 * 3) {
        let conditions = if minute < 24 * 60 { vec![deed.clone()] } else { vec![] };
        let now = Timestamp::from_millis(START + minute * 60_000).unwrap();
        let found = Findings { conditions, ..Findings::default() };
        let notices = book.step(found, &Thresholds::default(), now, || "id".to_owned());
        told.extend(notices.into_iter().map(|notice| notice.what));
    }
    assert_eq!(told, [What::Raised]);
    assert!(book.standing().is_empty());
}

#[test]
fn the_book_stays_within_its_bounds() {
    let mut book = Book::default();
    let many = |from: usize| {
        let one = |n: usize| {
            let id = format!("{}", from + n);
            Condition {
                subject: Subject { id, ..condition(Severity::Warning, 0).subject },
                ..condition(Severity::Warning, 0)
            }
        };
        Findings { conditions: (0..600).map(one).collect(), ..Findings::default() }
    };
    for round in 0..3 {
        let now = Timestamp::from_millis(START + round * 10_000_000).unwrap();
        book.step(many(round as usize * 5000), &Thresholds::default(), now, || "id".to_owned());
        for minute in 0..4 {
            let now = now.plus(Duration::from_mins(minute + 1));
            book.step(Findings::default(), &Thresholds::default(), now, || "id".to_owned());
        }
    }
    assert!(book.alarms.len() <= MAX_STANDING + MAX_OVER && book.notices.len() <= MAX_NOTICES);
    assert!(book.progress.len() <= MAX_STANDING, "{}", book.progress.len());
}

fn sights() -> impl Strategy<Value = Sight> {
    prop_oneof![3 => Just(CRITICAL), 1 => Just(WARNING), 1 => Just(Sight::Unsure), 3 => Just(Sight::Right)]
}

/// Seconds between two looks: mostly ten, at times a clock that is set.
fn ticks() -> impl Strategy<Value = i64> {
    prop_oneof![8 => Just(10i64), 2 => 0i64..120, 1 => -100_000i64..100_000]
}

proptest! {
    #[test]
    fn raised_and_cleared_take_turns_whatever_is_found_and_however_often_it_restarts(
        looks in proptest::collection::vec((ticks(), sights(), 1usize..30, any::<bool>()), 1..40),
    ) {
        let mut world = World::new();
        for (seconds, sight, n, restarts) in looks {
            world.steps(n, seconds, sight);
            if restarts {
                world.restart();
            }
            let turns: Vec<What> =
                world.told.iter().copied().filter(|what| matches!(what, What::Raised | What::Cleared)).collect();
            for (at, what) in turns.iter().enumerate() {
                prop_assert_eq!(*what, if at % 2 == 0 { What::Raised } else { What::Cleared });
            }
            prop_assert_eq!(world.stands(), turns.len() % 2 == 1);
        }
        // Whatever came before: what lasts is raised, and what is over is taken back.
        world.steps(40, 10, CRITICAL);
        prop_assert!(world.stands());
        world.steps(70, 60, Sight::Right);
        prop_assert!(!world.stands());
    }

    #[test]
    fn what_stands_is_raised_once_over_restarts_and_set_clocks(
        looks in proptest::collection::vec((ticks(), any::<bool>(), any::<bool>()), 1..200),
    ) {
        let mut world = World::new();
        world.steps(20, 10, CRITICAL);
        for (seconds, is_unsure, restarts) in looks {
            world.step(seconds, if is_unsure { Sight::Unsure } else { CRITICAL });
            if restarts {
                world.restart();
            }
        }
        prop_assert_eq!(world.told.iter().filter(|what| **what != What::Reminder).count(), 1);
    }

    #[test]
    fn nothing_is_raised_by_a_clock_that_jumps(jump in 3600i64..10_000_000) {
        let mut world = World::new();
        world.step(0, CRITICAL);
        prop_assert_eq!(world.step(jump, CRITICAL), []);
        world.steps(20, 10, CRITICAL);
        world.step(10, Sight::Right);
        prop_assert_eq!(world.step(jump, Sight::Right), []);
    }
}
