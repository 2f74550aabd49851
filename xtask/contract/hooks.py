"""Keeps schemathesis' requests on this machine, makes them fit where a schema cannot say what does, and checks what only
idstream promises.

Environment: CONTRACT_DESTINATIONS are the only two addresses that configurations may name, one that answers and one that
does not, separated by a space. CONTRACT_EVENTS is the file of the events that are stored. CONTRACT_SCOPES are the caller's, separated by spaces. CONTRACT_REFUSED is the status that
it must get from every call that needs others; empty when it has all.
"""

import itertools
import json
import os

import schemathesis

DESTINATIONS = os.environ["CONTRACT_DESTINATIONS"].split()
SCOPES = set(os.environ.get("CONTRACT_SCOPES", "").split())
REFUSED = os.environ.get("CONTRACT_REFUSED", "")
NUMBERS = itertools.count(1)
with open(os.environ["CONTRACT_EVENTS"], encoding="utf-8") as lines:
    EVENTS = [json.loads(line) for line in lines]


def ids(stream):
    """Of the stored events of a stream."""
    return [event["eventID"] for event in EVENTS if event.get("stream", "accountEvent") == stream]


# What the ids of a path may be, beside made-up ones.
KNOWN = {
    "/admin/api/v1/events/account/{eventId}": ids("accountEvent"),
    "/admin/api/v2/admin/events/audit/{id}": ids("auditLog"),
    "/admin/api/v1/eventHooks/logs/{id}": ids("eventHookLog"),
}

# What is wrong with a request that fits the schema: ends of idstream's own sentences about a field. docs/API-COMPATIBILITY.md
# lists them.
BEYOND_A_SCHEMA = (
    "must be given when type, url, headerName, proxy or caCertificate changes",
    "must hold the token of an HTTP Event Collector",
    "must be the id of the path",
    "must be false while includeBodies is",
    "must be user:password",
    "must be lower case",
    "must not be a header",
)


def destination(configuration):
    """The address of a configuration, if it has one."""
    url = configuration.get("url") if isinstance(configuration, dict) else None
    return url if isinstance(url, str) else None


@schemathesis.hook
def before_call(context, case, kwargs):
    """The last thing before a request leaves: whatever address was made up, it becomes one of this machine."""
    is_meant_to_fit = case.meta is not None and case.meta.generation.mode.is_positive
    if is_meant_to_fit and case.path in KNOWN:
        find(case, KNOWN[case.path], next(NUMBERS))
    body = case.body
    if not isinstance(body, dict):
        return
    configuration = body.get("configuration")
    url = destination(configuration)
    if url is not None:
        configuration["url"] = DESTINATIONS[0 if body.get("type") == "splunk" else 1]
    if case.method == "PUT" and isinstance(body.get("id"), str) and body["id"]:
        body["id"] = str(case.path_parameters.get("id", body["id"]))
    if is_meant_to_fit:
        fit(body, next(NUMBERS))


def find(case, known, number):
    """Every second valid request is about an event that is stored."""
    if number % 2 == 0:
        for name in case.path_parameters:
            case.path_parameters[name] = known[number // 2 % len(known)]


def fit(body, number):
    """Three of four valid requests get a name that is not taken, and a secret that goes with any other address."""
    if number % 4 == 0:
        return
    for name in ("name", "displayName"):
        if name in body:
            body[name] = f"{body[name][:48]} {number}"
    if destination(body.get("configuration")) is not None:
        body["configuration"].setdefault("apiKey", "user:password")


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """A request that fits the schema may still be refused for what no schema says, and for nothing else."""
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    problem = response.json()
    errors = problem.get("fieldErrors", [])
    if problem.get("errorKey") == "readOnly":
        return False
    return not errors or not all(error["message"].startswith(BEYOND_A_SCHEMA) for error in errors)


def security(case):
    """Who may make the call: a list of ways. None, when everybody may."""
    operation = case.operation
    return operation.definition.raw.get("security", operation.schema.raw_schema.get("security", []))


@schemathesis.check
def refused_without_rights(ctx, response, case):
    """Whatever is sent, a caller without rights is told nothing but that."""
    if not REFUSED:
        return
    # Of the ways to be admitted, any one will do; of its scopes, all are needed.
    ways = [{scope for scopes in way.values() for scope in scopes} for way in security(case)]
    if not ways:
        return
    # The tool leaves the credential out of some requests.
    has_token = "Authorization" in response.request.headers
    if has_token and any(needed <= SCOPES for needed in ways):
        return
    expected = REFUSED if has_token else "401"
    assert str(response.status_code) in (expected, "405"), f"{response.status_code} instead of {expected}"


@schemathesis.check
def what_is_stored_is_found(ctx, response, case):
    """An event of the file is answered, to whoever may see it."""
    known = KNOWN.get(case.path, [])
    if not REFUSED and case.method == "GET" and response.request.path_url.rpartition("/")[2] in known:
        assert response.status_code in (200, 401), f"{response.status_code} for an event that is stored"


@schemathesis.check
def stays_on_this_machine(ctx, response, case):
    """No stored configuration leads away: nothing that was made up is ever called."""
    if not 200 <= response.status_code < 300 or not response.content:
        return
    answer = response.json()
    for each in answer.get("content", [answer]):
        url = destination(each.get("configuration"))
        assert url is None or url in DESTINATIONS, f"a configuration leads to {url}"
