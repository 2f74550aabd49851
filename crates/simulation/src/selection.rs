//! What a configuration selects, said without any of the code that decides it.

use delivery::{AccountSwitch, AuditSwitch, Configuration, HookSwitch, SelectedClaim};
use event::Stream;
use event::filter::{Criterion, Filter, Preset};

use crate::content::Content;
use crate::dice::Dice;

const CLAIMS: [&str; 3] = ["city", "email", "access_token"];

/// What is selected, and what of it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) account: bool,
    pub(crate) audit: bool,
    pub(crate) hook: bool,
    pub(crate) bodies: bool,
    pub(crate) raw: bool,
    pub(crate) claims: Vec<&'static str>,
    pub(crate) filter: Sifting,
}

/// The filters that are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sifting {
    Nothing,
    TokenNoise,
    SelfService,
    PoliciesOnly,
}

impl Selected {
    /// Everything, without its details.
    pub(crate) const fn all() -> Self {
        Self {
            account: true,
            audit: true,
            hook: true,
            bodies: false,
            raw: false,
            claims: Vec::new(),
            filter: Sifting::Nothing,
        }
    }

    /// Another selection.
    pub(crate) fn draw(dice: &Dice) -> Self {
        let often = || dice.up_to(4) > 0;
        Self {
            account: often(),
            audit: often(),
            hook: often(),
            bodies: dice.up_to(1) == 0,
            raw: dice.up_to(2) == 0,
            claims: CLAIMS.into_iter().filter(|_| dice.up_to(1) == 0).collect(),
            filter: dice.pick(
                Sifting::Nothing,
                &[Sifting::Nothing, Sifting::TokenNoise, Sifting::SelfService, Sifting::PoliciesOnly],
            ),
        }
    }

    /// Whether an event is to be sent.
    pub(crate) fn selects(&self, content: &Content) -> bool {
        match content.stream() {
            Stream::AuditLog => {
                self.audit && (self.filter != Sifting::PoliciesOnly || content.kind() == "Policy")
            }
            Stream::EventHookLog => self.hook,
            _ => {
                let is_noise = self.filter == Sifting::TokenNoise && content.code() == "sertft";
                let is_excluded = self.filter == Sifting::SelfService && content.kind() == "selfService";
                self.account && !is_noise && !is_excluded
            }
        }
    }

    /// Has a configuration select this.
    pub(crate) fn apply(&self, configuration: &mut Configuration) {
        let claim = |name: &&str| SelectedClaim { id: format!("id-of-{name}"), name: (*name).to_owned() };
        configuration.account = AccountSwitch {
            enabled: self.account,
            include_raw: self.raw,
            include_actions: false,
            claims: self.claims.iter().map(claim).collect(),
        };
        configuration.audit =
            AuditSwitch { enabled: self.audit, include_bodies: self.bodies, include_raw: self.raw };
        configuration.hook = HookSwitch { enabled: self.hook, include_raw: self.raw };
        let list = |criterion, value: &str| [(criterion, vec![value.to_owned()])].into();
        configuration.filter = match self.filter {
            Sifting::Nothing => Filter::default(),
            Sifting::TokenNoise => Filter { presets: vec![Preset::WithoutTokenNoise], ..Filter::default() },
            Sifting::SelfService => {
                Filter { exclude: list(Criterion::Types, "selfService"), ..Filter::default() }
            }
            Sifting::PoliciesOnly => {
                Filter { include: list(Criterion::EntityTypes, "Policy"), ..Filter::default() }
            }
        };
    }
}
