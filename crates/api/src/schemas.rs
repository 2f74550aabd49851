//! The published JSON Schemas, for everybody: of what is posted, and of what destinations receive.

use axum::response::{IntoResponse, Response};
use event::schema::{self, Schema};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::access::sha256_hex;
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::router::SCHEMAS;

/// JSON Schema Core 2020-12, section 14.1.
const SCHEMA_JSON: HeaderValue = HeaderValue::from_static("application/schema+json");
/// A schema changes with the server's version only; an hour is how long an older one may be believed.
const AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");

#[derive(Serialize)]
struct Index {
    schemas: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    path: String,
    title: &'static str,
}

/// What there is.
pub(crate) async fn index(_call: Call<()>) -> Answer {
    let entry = |schema: &Schema| Entry { path: format!("{SCHEMAS}{}", schema.path), title: schema.title };
    call::json(StatusCode::OK, &Index { schemas: schema::ALL.iter().map(entry).collect() })
}

/// One schema of the first major version.
pub(crate) async fn get(call: Call<()>) -> Answer {
    let path = format!("v1/{}", call.id());
    let found = schema::ALL.iter().find(|schema| schema.path == path);
    let schema = found.ok_or_else(|| ApiError::new(ErrorKey::NotFound, "there is no schema of this name"))?;
    let tag = format!("\"{}\"", sha256_hex(schema.text.as_bytes()));
    let is_known = call.header(IF_NONE_MATCH).is_some_and(|known| {
        known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    });
    let tag = HeaderValue::from_str(&tag).map_err(ApiError::internal)?;
    let headers = [(CONTENT_TYPE, SCHEMA_JSON), (CACHE_CONTROL, AN_HOUR), (ETAG, tag)];
    Ok(if is_known { unchanged(headers) } else { (StatusCode::OK, headers, schema.text).into_response() })
}

fn unchanged(headers: [(http::HeaderName, HeaderValue); 3]) -> Response {
    let [_, cache_control, tag] = headers;
    (StatusCode::NOT_MODIFIED, [cache_control, tag]).into_response()
}
