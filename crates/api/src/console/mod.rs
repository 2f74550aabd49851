//! `/console/e/{eventID}`: where an `eventLink` leads, until the console comes. A page for people, JSON for programs.

mod facts;
mod html;
mod page;
mod pretty;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use event::native::{Instance, NativeProfile, Selection};
use event::{Record, Stream};
use explorer::{Stored, TestNote};
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use crate::access::{BASIC, Scope, admit_to_page, lacks};
use crate::audit::Peer;
use crate::call::{self, Answer, Call};
use crate::error::ApiError;
use crate::router::LINKS;
use crate::sign_in;
use crate::state::ApiState;
use crate::stored::{Kept, kept, may_see};

/// What a link leads to.
enum Shown {
    Event {
        /// As destinations receive it, with everything selected.
        document: String,
        /// What it says at a glance.
        facts: facts::Facts,
    },
    Test(TestNote),
}

pub(crate) async fn event(call: Call<()>) -> Answer {
    let shown = shown(&call.state, &call.parts, call.id()).await;
    let mut response = if wants_json(call.header(ACCEPT)) {
        as_json(&shown?)?
    } else {
        match shown {
            Ok(shown) => as_page(StatusCode::OK, page::of(&shown)),
            Err(error) => error_page(error, call.parts.uri.path()),
        }
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Authorization"));
    Ok(response)
}

async fn shown(state: &ApiState, parts: &Parts, id: &str) -> Result<Shown, ApiError> {
    let now = state.clock.now();
    let admitted = admit_to_page(&parts.headers, &state.catalog, &state.keyring, now);
    let who = admitted.map_err(|denied| sign_in::denied_page(state, parts, denied))?;
    state.uses().note(&who.id, now, parts.extensions.get::<Peer>().map(|peer| peer.0));
    // Whoever may see no event is told what is needed. Others are not told which ones there are that they may not see.
    if !Stream::PRODUCT.into_iter().any(|stream| may_see(&who, stream)) {
        return Err(lacks(Scope::ReadEventAccount));
    }
    let stored = match kept(state, &who, id).await? {
        Kept::Test(note) => return Ok(Shown::Test(note)),
        Kept::Event(stored) => stored,
    };
    let record = stored.record()?;
    let document = document(&record, &stored, &state.instance);
    Ok(Shown::Event { facts: facts::of(&record, &stored), document })
}

/// The document that a destination receives which selects everything.
fn document(record: &Record<'_>, stored: &Stored, instance: &Instance) -> String {
    let claims = record.claims().filter_map(|(name, _)| serde_json::from_str(name).ok()).collect();
    let everything = Selection {
        claims,
        include_actions: true,
        include_bodies: true,
        include_raw: true,
        include_audit_raw: true,
        include_hook_raw: true,
    };
    let mut bytes = b"{".to_vec();
    let offset = stored.offset();
    let profile = NativeProfile::new(instance, everything);
    profile.append_members(record, Some((offset.block, offset.index)), false, &mut bytes);
    bytes.push(b'}');
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Programs say that they want JSON, browsers that they want HTML; who says nothing is shown the page.
fn wants_json(accept: Option<&str>) -> bool {
    let names = |wanted: &str| {
        accept.unwrap_or_default().split(',').any(|range| {
            range.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(wanted))
        })
    };
    (names("application/json") || names("application/problem+json")) && !names("text/html")
}

fn as_json(shown: &Shown) -> Answer {
    match shown {
        Shown::Event { document, .. } => {
            Ok(call::json_text(format!("{{\"state\":\"stored\",\"document\":{document}}}")))
        }
        Shown::Test(TestNote { event_id, sent_at, sent_by, configuration }) => {
            let out = json!({
                "state": "test", "eventID": event_id, "sentAt": sent_at, "sentBy": sent_by,
                "configuration": configuration,
            });
            call::json(StatusCode::OK, &out)
        }
    }
}

/// A call that is refused before anybody looks at it: to a browser that asks for a page, with one.
pub(crate) fn refused(error: ApiError, request: &Request) -> Response {
    let path = request.uri().path();
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if path.starts_with(LINKS) && !wants_json(accept) { error_page(error, path) } else { error.answer(path) }
}

fn error_page(error: ApiError, path: &str) -> Response {
    let (status, detail, headers) = error.for_page(path);
    let mut response = as_page(status, page::of_error(status, &detail, headers.contains_key(RETRY_AFTER)));
    response.headers_mut().extend(headers);
    if status == StatusCode::UNAUTHORIZED {
        // A browser asks its user for these.
        response.headers_mut().insert(WWW_AUTHENTICATE, BASIC);
    }
    response
}

/// A page that runs nothing, loads nothing, is kept nowhere and shown in no frame.
fn as_page(status: StatusCode, html: String) -> Response {
    let value = HeaderValue::from_static;
    let policy = format!(
        "default-src 'none'; style-src '{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        page::style_hash()
    );
    let headers = [
        (CONTENT_TYPE, value("text/html; charset=utf-8")),
        (CACHE_CONTROL, value("no-store")),
        (CONTENT_SECURITY_POLICY, HeaderValue::try_from(policy).unwrap_or(value("default-src 'none'"))),
        (X_CONTENT_TYPE_OPTIONS, value("nosniff")),
        (REFERRER_POLICY, value("no-referrer")),
        (HeaderName::from_static("cross-origin-resource-policy"), value("same-origin")),
    ];
    (status, headers, html).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_json_and_browsers_a_page() {
        for (accept, expected) in [
            (None, false),
            (Some("*/*"), false),
            (Some("application/json"), true),
            (Some("application/problem+json, Application/JSON;q=0.9, */*"), true),
            (Some("text/html,application/xhtml+xml,application/json;q=0.9"), false),
        ] {
            assert_eq!(wants_json(accept), expected, "{accept:?}");
        }
    }
}
