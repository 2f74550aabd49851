//! `idstream journal key`: the public key of the journal's signatures.

use super::{Where, catalog};
use crate::commands::Failure;
use crate::output::answer;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let data = arguments.place.data()?;
    let key = match catalog(&data)? {
        Some(catalog) => custody::key::public_key(&catalog)?,
        None => None,
    };
    match key {
        Some(key) => answer(key),
        None => Err(format!(
            "there is no signing key in {}: a server makes it at its first start",
            data.display()
        )
        .into()),
    }
}
