//! The attacks of the story: where they are planted, and what they try.

use std::net::{IpAddr, Ipv4Addr};

use crate::dice::{Dice, Uuid};

/// What kind of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlantedKind {
    /// A few common passwords are tried at many accounts, from one address.
    PasswordSpraying,
}

/// One address's part in an attack. An attack comes from one to three addresses, one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planted {
    /// What kind of attack.
    pub kind: PlantedKind,
    /// Number of its first event: the first of all has number 0.
    pub from_event: u64,
    /// Number of the first event after it. Its last event has the number before. In between, the ordinary traffic goes on.
    pub until_event: u64,
    /// Where it comes from, of 203.0.113.0/24. No customer does.
    pub ip: IpAddr,
    /// Whether its last event is a login that succeeds.
    pub gets_in: bool,
}

/// The first attack begins at about this event: late enough for customers to be there.
const FIRST: u64 = 2_400;
/// Fewest and most events from the end of an attack to the next.
const PAUSE: (u64, u64) = (9_000, 30_000);
/// Fewest and most events during which one address attacks.
const LENGTH: (u64, u64) = (220, 380);
/// Attacks in all. With the pauses that is enough for ten million events.
const N_ATTACKS: usize = 512;
/// Of 100 events during an attack so many are the attacker's.
const SHARE_PERCENT: u64 = 70;

const PROGRAMS: [&str; 4] = [
    "python-requests/2.32.5",
    "Go-http-client/2.0",
    "okhttp/4.12.0",
    "Mozilla/5.0 (Windows NT 6.1; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945.88 Safari/537.36",
];

/// Who attacks, as the platform sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intruder {
    pub(crate) ip: IpAddr,
    pub(crate) program: &'static str,
}

/// One try of an attacker.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) intruder: Intruder,
    /// Draws the accounts that this address tries: the same for all its tries.
    pub(crate) aim: Uuid,
    /// Tries of this address so far.
    pub(crate) n_tries: usize,
    /// Whether this one succeeds.
    pub(crate) gets_in: bool,
}

/// The plan, and how far the story is in it.
#[derive(Debug)]
pub(crate) struct Attacks {
    plan: Vec<Planted>,
    /// The one that is under way or comes next.
    next: usize,
    aim: Uuid,
    program: &'static str,
    n_tries: usize,
}

impl Attacks {
    /// Plans all attacks of the story.
    pub(crate) fn plan(dice: &mut Dice) -> Self {
        let mut plan = Vec::new();
        let mut at = FIRST + dice.below(600);
        for _ in 0..N_ATTACKS {
            let n_addresses = dice.between(1, 3);
            for nth in 1..=n_addresses {
                let until_event = at + dice.between(LENGTH.0, LENGTH.1);
                let ip = Ipv4Addr::new(203, 0, 113, dice.between(1, 254) as u8).into();
                let gets_in = nth == n_addresses;
                plan.push(Planted {
                    kind: PlantedKind::PasswordSpraying,
                    from_event: at,
                    until_event,
                    ip,
                    gets_in,
                });
                at = until_event;
            }
            at += dice.between(PAUSE.0, PAUSE.1);
        }
        Self { plan, next: 0, aim: dice.uuid(), program: dice.pick(&PROGRAMS), n_tries: 0 }
    }

    /// All of the plan, in order.
    pub(crate) fn planted(&self) -> &[Planted] {
        &self.plan
    }

    /// The try that event `number` is, when it is one. Asked for every event in turn.
    pub(crate) fn at(&mut self, number: u64, dice: &mut Dice) -> Option<Attempt> {
        let planted = *self.plan.get(self.next)?;
        let is_last = number + 1 == planted.until_event;
        let is_bound = number == planted.from_event || is_last;
        if number < planted.from_event || !(is_bound || dice.chance(SHARE_PERCENT)) {
            return None;
        }
        let attempt = Attempt {
            intruder: Intruder { ip: planted.ip, program: self.program },
            aim: self.aim,
            n_tries: self.n_tries,
            gets_in: is_last && planted.gets_in,
        };
        self.n_tries += 1;
        if is_last {
            self.next += 1;
            (self.aim, self.program, self.n_tries) = (dice.uuid(), dice.pick(&PROGRAMS), 0);
        }
        Some(attempt)
    }
}
