"""Keeps schemathesis' requests on this machine, makes them fit where a schema cannot say what does, and checks what only
idstream promises.

Environment: CONTRACT_DESTINATIONS are the only two addresses that configurations may name, one that answers and one that
does not, separated by a space. CONTRACT_REFUSED is the status that every call of a caller without rights must get; empty
when the caller has all.
"""

import itertools
import os

import schemathesis

DESTINATIONS = os.environ["CONTRACT_DESTINATIONS"].split()
REFUSED = os.environ.get("CONTRACT_REFUSED", "")
NUMBERS = itertools.count(1)

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
    body = case.body
    if not isinstance(body, dict):
        return
    configuration = body.get("configuration")
    url = destination(configuration)
    if url is not None:
        configuration["url"] = DESTINATIONS[0 if body.get("type") == "splunk" else 1]
    if case.method == "PUT" and isinstance(body.get("id"), str) and body["id"]:
        body["id"] = str(case.path_parameters.get("id", body["id"]))
    if case.meta is not None and case.meta.generation.mode.is_positive:
        fit(body, next(NUMBERS))


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


@schemathesis.check
def refused_without_rights(ctx, response, case):
    """Whatever is sent, a caller without rights is told nothing but that."""
    if not REFUSED:
        return
    # The tool leaves the credential out of some requests. A call may ask for one and for no scope.
    has_token = "Authorization" in response.request.headers
    scopes = [scope for names in case.operation.definition.raw.get("security", []) for scope in names.values()]
    if has_token and not any(scopes):
        return
    expected = REFUSED if has_token else "401"
    assert str(response.status_code) in (expected, "405"), f"{response.status_code} instead of {expected}"


@schemathesis.check
def stays_on_this_machine(ctx, response, case):
    """No stored configuration leads away: nothing that was made up is ever called."""
    if not 200 <= response.status_code < 300 or not response.content:
        return
    answer = response.json()
    for each in answer.get("content", [answer]):
        url = destination(each.get("configuration"))
        assert url is None or url in DESTINATIONS, f"a configuration leads to {url}"
