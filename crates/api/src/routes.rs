//! The table of routes: what is served, and who may call it. The router is made of it, and so is what is said of it.

use axum::Router;
use axum::routing::{MethodFilter, MethodRouter};

use crate::access::Scope;
use crate::state::ApiState;

/// Who may make a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Every API client, whatever its scopes.
    Any,
    /// API clients that have all of these scopes.
    Scopes(Vec<Scope>),
    /// Whoever knows what the source was given: the call checks it.
    Source,
    /// People and programs that may see the event: the call checks it, and takes HTTP Basic too.
    Page,
}

/// A call that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Upper case.
    pub method: &'static str,
    /// With `{name}` where a part may be anything.
    pub path: String,
    /// Who may make it.
    pub access: Access,
}

/// A method of HTTP.
#[derive(Clone, Copy)]
pub(crate) struct Method {
    pub(crate) filter: MethodFilter,
    name: &'static str,
}

impl Method {
    pub(crate) const GET: Self = Self { filter: MethodFilter::GET, name: "GET" };
    pub(crate) const POST: Self = Self { filter: MethodFilter::POST, name: "POST" };
    pub(crate) const PUT: Self = Self { filter: MethodFilter::PUT, name: "PUT" };
    pub(crate) const PATCH: Self = Self { filter: MethodFilter::PATCH, name: "PATCH" };
    pub(crate) const DELETE: Self = Self { filter: MethodFilter::DELETE, name: "DELETE" };
}

/// What is served at a path: one call for each method.
pub(crate) struct Endpoint {
    calls: Vec<(Method, Access)>,
    served: MethodRouter<ApiState>,
}

impl Endpoint {
    pub(crate) fn new(method: Method, access: Access, served: MethodRouter<ApiState>) -> Self {
        Self { calls: vec![(method, access)], served }
    }

    /// Both, at the same path.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.calls.extend(other.calls);
        Self { served: self.served.merge(other.served), ..self }
    }
}

/// Routes, and the list of them.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<ApiState>,
    listed: Vec<Listed>,
}

impl Routes {
    pub(crate) fn route(mut self, path: &str, endpoint: Endpoint) -> Self {
        let listed = |(method, access): (Method, Access)| Listed {
            method: method.name,
            path: path.to_owned(),
            access,
        };
        self.listed.extend(endpoint.calls.into_iter().map(listed));
        Self { router: self.router.route(path, endpoint.served), ..self }
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.listed.extend(other.listed);
        Self { router: self.router.merge(other.router), ..self }
    }

    pub(crate) fn into_router(self) -> Router<ApiState> {
        self.router
    }

    pub(crate) fn into_list(self) -> Vec<Listed> {
        self.listed
    }
}
