//! All customers, and who does what next. Everything that changes an account's state is here.

use crate::administration::Administration;
use crate::application::{APPLICATIONS, Application, CONSOLE};
use crate::attack::Attempt;
use crate::customer::{Customer, Session, Standing};
use crate::deed::{self, Deed};
use crate::dice::Dice;
use crate::scene::{By, Scene};

/// Wrong passwords in a row that lock an account.
const LOCK_AFTER: u8 = 5;
/// The platform opens with this many quick registrations, so that there is somebody to tell of.
const OPENING: usize = 400;
/// Most accounts. Beyond, only deleted ones are replaced.
const MOST: usize = 20_000;
/// Most accounts that one address of an attack tries.
const AIMED_AT: u64 = 100;
/// Numbers of people who never registered: customers get there after tens of millions of events.
const NOBODIES: (u64, u64) = (2_000_000, 2_999_999);

/// All customers of the platform.
#[derive(Debug, Default)]
pub(crate) struct Population {
    customers: Vec<Customer>,
    n_registered: u64,
    /// Who has an open session.
    online: Vec<usize>,
    /// Who is about to do the next thing: activate the account, try again, reset the password.
    restless: Vec<usize>,
    disabled: Vec<usize>,
}

impl Population {
    /// The next account event of ordinary life.
    pub(crate) fn step(&mut self, administration: &Administration, dice: &mut Dice) -> Scene {
        let (n_customers, n_online) = (self.customers.len(), self.online.len());
        let arrivals = if n_customers < OPENING { 40 } else { 5 };
        if n_customers == 0 || (n_customers < MOST && dice.chance(arrivals)) {
            let customer = self.arrival(dice);
            self.customers.push(customer);
            return self.registered(n_customers, dice);
        }
        if dice.chance(2) {
            return self.managed(administration, dice);
        }
        if !self.restless.is_empty() && dice.chance(35) {
            let place = dice.index(self.restless.len());
            let at = self.restless.swap_remove(place);
            return self.act(at, dice);
        }
        let is_busy = n_online >= (n_customers / 3).min(600);
        if n_online > 0 && dice.chance(if is_busy { 75 } else { 45 }) {
            let at = self.online[dice.index(n_online)];
            return self.act(at, dice);
        }
        let at = dice.index(n_customers);
        self.act(at, dice)
    }

    /// One try of an attacker: an account of those that it aims at, or a name that nobody has.
    pub(crate) fn attacked(&mut self, attempt: &Attempt, dice: &mut Dice) -> Scene {
        let by = By::Intruder(attempt.intruder);
        let shop = &APPLICATIONS[0];
        let n_customers = self.customers.len();
        if attempt.gets_in
            && let Some(at) = self.easy_prey(dice)
        {
            let customer = &mut self.customers[at];
            customer.n_failures = 0;
            // A session of the attacker's own: the customer's, if there is one, goes on.
            return Scene::done(&deed::LOGIN, customer, by, shop).in_session(dice.uuid());
        }
        if n_customers == 0 || dice.chance(15) {
            let nobody = Customer::new(dice.between(NOBODIES.0, NOBODIES.1), dice);
            return Scene::done(&deed::REFUSED, &nobody, by, shop).of_nobody();
        }
        let first = attempt.aim.low() % n_customers as u64;
        let at = (first + attempt.n_tries as u64 % AIMED_AT) as usize % n_customers;
        let deed = self.wrong_password(at);
        let scene = Scene::done(deed, &self.customers[at], by, shop);
        if self.customers[at].standing == Standing::Gone { scene.of_nobody() } else { scene }
    }

    /// An account that a guessed password opens.
    fn easy_prey(&self, dice: &mut Dice) -> Option<usize> {
        let n_customers = self.customers.len();
        let first = dice.index(n_customers);
        (first..n_customers).chain(0..first).find(|at| {
            let customer = &self.customers[*at];
            customer.standing == Standing::Active && !customer.has_mfa
        })
    }

    fn arrival(&mut self, dice: &mut Dice) -> Customer {
        self.n_registered += 1;
        Customer::new(self.n_registered, dice)
    }

    fn registered(&mut self, at: usize, dice: &mut Dice) -> Scene {
        self.restless.push(at);
        Scene::of(&deed::REGISTRATION, &self.customers[at], some_application(dice))
    }

    /// What this customer does next.
    fn act(&mut self, at: usize, dice: &mut Dice) -> Scene {
        let customer = &mut self.customers[at];
        match customer.standing {
            Standing::Gone => {
                let customer = self.arrival(dice);
                self.customers[at] = customer;
                self.registered(at, dice)
            }
            Standing::New if dice.chance(90) => {
                customer.standing = Standing::Active;
                self.restless.push(at);
                self.scene(&deed::ACTIVATION, at, dice)
            }
            Standing::New => self.scene(&deed::ABANDONED, at, dice),
            Standing::Disabled => self.scene(&deed::REFUSED, at, dice),
            _ if customer.awaits_reset && dice.chance(85) => {
                (customer.awaits_reset, customer.n_failures) = (false, 0);
                customer.standing = Standing::Active;
                self.restless.push(at);
                self.scene(&deed::RESET, at, dice)
            }
            Standing::Locked => {
                self.restless.push(at);
                if dice.chance(40) {
                    self.scene(&deed::STILL_LOCKED, at, dice)
                } else {
                    self.forget(at, dice)
                }
            }
            Standing::Active if customer.session.is_some() => self.go_on(at, dice),
            Standing::Active => self.log_in(at, dice),
        }
    }

    fn scene(&self, deed: &'static Deed, at: usize, dice: &mut Dice) -> Scene {
        Scene::of(deed, &self.customers[at], some_application(dice))
    }

    fn forget(&mut self, at: usize, dice: &mut Dice) -> Scene {
        self.customers[at].awaits_reset = true;
        self.scene(&deed::FORGOTTEN_PASSWORD, at, dice)
    }

    /// A customer without a session comes to the login page.
    fn log_in(&mut self, at: usize, dice: &mut Dice) -> Scene {
        let n_failures = self.customers[at].n_failures;
        if n_failures >= 2 && dice.chance(20) {
            self.restless.push(at);
            return self.forget(at, dice);
        }
        if dice.chance(1) {
            return self.scene(&deed::FORGOTTEN_NAME, at, dice);
        }
        // Who has mistyped once has often forgotten.
        if dice.chance(if n_failures == 0 { 12 } else { 60 }) {
            self.restless.push(at);
            let deed = self.wrong_password(at);
            return self.scene(deed, at, dice);
        }
        let customer = &mut self.customers[at];
        customer.n_failures = 0;
        if customer.has_mfa && dice.chance(7) {
            self.restless.push(at);
            return self.scene(&deed::WRONG_CODE, at, dice);
        }
        customer.session = Some(Session { id: dice.uuid(), application: some_application(dice) });
        let deed = if customer.has_mfa { &deed::LOGIN_WITH_MFA } else { &deed::LOGIN };
        self.online.push(at);
        self.scene(deed, at, dice)
    }

    /// A wrong password is counted, and may be the one too many.
    fn wrong_password(&mut self, at: usize) -> &'static Deed {
        let customer = &mut self.customers[at];
        match customer.standing {
            Standing::New | Standing::Disabled | Standing::Gone => &deed::REFUSED,
            Standing::Locked => &deed::STILL_LOCKED,
            Standing::Active => {
                customer.n_failures += 1;
                if customer.n_failures < LOCK_AFTER {
                    return &deed::WRONG_PASSWORD;
                }
                customer.standing = Standing::Locked;
                &deed::LOCK
            }
        }
    }

    /// A customer with a session goes on with it.
    fn go_on(&mut self, at: usize, dice: &mut Dice) -> Scene {
        let customer = &mut self.customers[at];
        let deed = match dice.below(200) {
            0..115 => &deed::REFRESH,
            115..153 => return self.leave(&deed::LOGOUT, Standing::Active, at, dice),
            153..163 if customer.has_mfa => &deed::REFRESH,
            153..163 => {
                customer.has_mfa = true;
                &deed::ENROLLMENT
            }
            163 if customer.has_mfa => {
                customer.has_mfa = false;
                &deed::DISENROLLMENT
            }
            163..178 => &deed::DATA_UPDATE,
            178..180 => &deed::DATA_REFUSED,
            180..184 => &deed::PASSWORD_CHANGE,
            184..191 => &deed::CONSENT,
            191..197 => &deed::PROFILING,
            197..199 => &deed::DATA_DOWNLOAD,
            _ => return self.leave(&deed::DELETION, Standing::Gone, at, dice),
        };
        self.scene(deed, at, dice)
    }

    /// The session ends, and with it perhaps the account.
    fn leave(&mut self, deed: &'static Deed, then: Standing, at: usize, dice: &mut Dice) -> Scene {
        let scene = self.scene(deed, at, dice);
        self.customers[at].standing = then;
        self.end_session(at);
        scene
    }

    fn end_session(&mut self, at: usize) {
        self.customers[at].session = None;
        if let Some(place) = self.online.iter().position(|one| *one == at) {
            self.online.swap_remove(place);
        }
    }

    /// Something is done to a customer, by an administrator or by the platform.
    fn managed(&mut self, administration: &Administration, dice: &mut Dice) -> Scene {
        let administrator = By::Administrator(Administration::somebody(dice));
        if !self.disabled.is_empty() && dice.chance(30) {
            let at = self.disabled.swap_remove(dice.index(self.disabled.len()));
            self.customers[at].standing = Standing::Active;
            return Scene::done(&deed::ENABLE, &self.customers[at], administrator, &CONSOLE);
        }
        let at = dice.index(self.customers.len());
        let customer = &mut self.customers[at];
        match (customer.standing, customer.session) {
            (Standing::Active, None) if !customer.awaits_reset && dice.chance(30) => {
                customer.standing = Standing::Disabled;
                self.disabled.push(at);
                self.restless.push(at);
                Scene::done(&deed::DISABLE, customer, administrator, &CONSOLE)
            }
            (Standing::Active, Some(session)) if dice.chance(50) => {
                let rule = By::Rule(administration.session_rule());
                let scene = Scene::done(&deed::SESSION_EXPIRY, customer, rule, session.application);
                self.end_session(at);
                scene.in_session(session.id)
            }
            (Standing::Active, _) if dice.chance(60) => {
                Scene::done(&deed::GROUP, customer, By::Job(administration.bulk_job()), &CONSOLE)
            }
            (Standing::Active, _) => Scene::done(&deed::ROLE, customer, administrator, &CONSOLE),
            _ => self.act(at, dice),
        }
    }
}

fn some_application(dice: &mut Dice) -> &'static Application {
    &APPLICATIONS[dice.index(APPLICATIONS.len())]
}
