//! Names of API clients and sources. A client's name is the `sourceId` of its events, and sources stand beside clients in
//! whatever is searched by it: so no two of them have the same name, and none has the name of the server itself.

use catalog::Catalog;
use event::own::OURSELVES;
use intake::Source;

use crate::access::ApiClient;
use crate::error::ApiError;
use crate::fields::{Complaints, Fields};

/// The required `name`. One that was stored `before` it was reserved may stay.
pub(crate) fn given<'a>(
    fields: &Fields<'a>,
    before: Option<&str>,
    complaints: &mut Complaints,
) -> Option<&'a str> {
    let name = fields.name(complaints)?;
    if name.to_lowercase() == OURSELVES && before != Some(name) {
        let message = format!("must not be {OURSELVES}: what the server itself tells has this sourceId");
        fields.complain("name", message, complaints);
        return None;
    }
    Some(name)
}

/// Fails when an API client or a source has this name.
pub(crate) fn check_free(catalog: &Catalog, name: &str, entity: &'static str) -> Result<(), ApiError> {
    let is_client = catalog.list::<ApiClient>()?.iter().any(|client| client.value.name == name);
    if is_client || catalog.list::<Source>()?.iter().any(|source| source.value.name == name) {
        return Err(ApiError::name_taken(entity));
    }
    Ok(())
}
