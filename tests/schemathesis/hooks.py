"""What a schema cannot say: values that providers and clocks would take, and which answers to a
valid request are expected."""

import json
import os
import re
from datetime import datetime, timedelta, timezone

import jsonschema_rs
import schemathesis
from hypothesis import strategies as st

# What the sandbox's providers accept: [{"service", "provider", "credentials", "settings"}].
CONNECTIONS = json.loads(os.environ.get("ONEROUTER_FUZZ_CONNECTIONS", "[]"))
TENANT = os.environ.get("ONEROUTER_FUZZ_TENANT", "")
# In major units; in the smallest units of the finest currency it is the gateway's largest amount.
AMOUNT_MAX_OF_ALL = 10**11


# Times in requests must lie ahead, and providers schedule some days at most.
def _ahead(seconds):
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


schemathesis.openapi.format("date-time", st.integers(20 * 60, 3 * 24 * 3600).map(_ahead))

local = st.from_regex(r"\A[a-z0-9]([a-z0-9._+-]{0,20}[a-z0-9])?\Z", fullmatch=True).filter(lambda s: ".." not in s)
domain = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?\.(com|org|example)\Z", fullmatch=True)
address = st.builds("{}@{}".format, local, domain)
name = st.from_regex(r"\A[A-Za-z]([A-Za-z ]{0,20}[A-Za-z])?\Z", fullmatch=True)
schemathesis.openapi.format("mailbox", st.one_of(address, st.builds("{} <{}>".format, name, address)))
path = st.from_regex(r"\A(/[a-z0-9._-]{0,8}){0,3}\Z", fullmatch=True)
schemathesis.openapi.format("uri", st.builds("https://{}{}".format, domain, path))


def _problem(response):
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether a failure is one.

    Valid requests can be refused by somebody else: a 422 that is not about the request's form, and
    a declared 502, 503 or 504, are answers like any other.
    """
    kind = type(failure).__name__
    problem = _problem(response)
    if kind == "RejectedPositiveData":
        refused = response.status_code == 422 and problem.get("code") not in (None, "validation_failed")
        return not (refused or _is_beyond_the_schema(case, problem) or _is_declared_fault(case, response))
    if kind == "ServerError":
        return not _is_declared_fault(case, response)
    if kind == "UnsupportedMethodResponse":
        # These requests carry a header that names no tenant: wrong in two ways, refused for one.
        return not any(error.get("pointer") == "OneRouter-Tenant" for error in problem.get("errors", []))
    return True


# Fields whose bound is another object's: what is left of the payment, how long a provider lets its
# plan run.
BOUND_ELSEWHERE = {
    "payments.capture": ("/amount",),
    "refunds.create": ("/amount",),
    "refunds.create_of_payment": ("/amount",),
    "subscriptions.create": ("/total_count",),
}


def _is_beyond_the_schema(case, problem):
    """Two fields that contradict each other, what only a provider can have signed, and bounds that
    another object sets."""
    bound_elsewhere = BOUND_ELSEWHERE.get(case.operation.definition.raw.get("operationId"), ())

    def is_beyond(error):
        code, pointer = error.get("code"), error.get("pointer", "")
        return (
            code == "conflict"
            or pointer.startswith("/provider_response/")
            or (code == "out_of_range" and pointer in bound_elsewhere)
        )

    return all(is_beyond(error) for error in problem.get("errors") or [{}])


def _is_declared_fault(case, response):
    declared = case.operation.definition.raw.get("responses", {})
    is_problem = _problem(response).get("code") is not None
    return response.status_code in (502, 503, 504) and str(response.status_code) in declared and is_problem


@schemathesis.hook
def map_case(context, case):
    """Makes of what a schema allows what can also be done: the tenant exists, times lie ahead, the
    provider takes the credentials, and a key that stands in two places is one."""
    operation = case.operation.definition.raw.get("operationId")
    if operation == "plugins.remove" and case.path_parameters:
        # What the clients stand on must stay.
        case.path_parameters["id"] = "nothing"
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    headers = case.headers or {}
    if "OneRouter-Tenant" in headers:
        headers["OneRouter-Tenant"] = TENANT
    body = case.body
    if not isinstance(body, dict):
        return case
    if operation == "services.connect" and CONNECTIONS:
        picked = CONNECTIONS[len(json.dumps(body)) % len(CONNECTIONS)]
        case.path_parameters = {"service": picked["service"], "provider": picked["provider"]}
        body["credentials"] = dict(picked["credentials"])
        if body.get("settings") is not None:
            body["settings"] = dict(picked["settings"])
    if operation in ("routing.put", "routing.simulate"):
        # What a policy may name are connections that exist and recipients of its category: the tests
        # of routing know them.
        for policy in (body, body.get("policy") or {}):
            for field in ("order", "rules", "to"):
                policy.pop(field, None)
    if "Idempotency-Key" in headers and body.get("idempotency_key") is not None:
        del body["idempotency_key"]
    _fit(body)
    for email in body.get("emails", []):
        _fit(email)
        # The provider knows neither in a batch, and its adapter says so.
        email.pop("send_at", None)
        email.pop("attachments", None)
    return case


def _pay(body):
    # How many decimals an amount may have depends on its currency, and what it is at all on the
    # payment.
    if isinstance(body.get("amount"), float):
        body["amount"] = max(1, int(body["amount"]))
    # So does how large it may be: a few currencies have four decimals.
    if isinstance(body.get("amount"), int):
        body["amount"] = min(body["amount"], AMOUNT_MAX_OF_ALL)
    elif isinstance(body.get("amount"), str):
        body["amount"] = body["amount"][: len(str(AMOUNT_MAX_OF_ALL)) - 1]
    if isinstance(body.get("method"), str):
        # In the provider's words; both know this one.
        body["method"] = "card"
    if body.get("interval") == "day":
        # The first provider charges no daily plan more often than once a week.
        body["interval_count"] = max(7, body.get("interval_count") or 0)
    customer = body.get("customer")
    if body.get("customer_email") is not None and isinstance(customer, dict):
        customer.pop("email", None)


def _fit(message):
    _pay(message)
    for field in ("send_at", "expires_at", "start_date"):
        # Values of earlier answers are used again, and those lie behind.
        if isinstance(message.get(field), str) and not _is_ahead(message[field]):
            message[field] = _ahead(3600)
    names = [name.lower() for name in message.get("headers") or {}]
    if len(set(names)) < len(names):
        # Two that differ in case only are one header.
        del message["headers"]
    if message.get("tags"):
        # The provider takes letters, digits, - and _ only.
        message["tags"] = {_tag(name): _tag(value) for name, value in message["tags"].items()}


def _tag(text):
    return re.sub("[^A-Za-z0-9_-]", "_", text) or "_"


def _is_ahead(text):
    try:
        return datetime.fromisoformat(text.upper().replace("Z", "+00:00")) > datetime.now(timezone.utc)
    except ValueError:
        return False


@schemathesis.check
def each_email_of_a_batch_is_judged(ctx, response, case):
    """One answer for each e-mail: a refusal where it breaks the schema, and only there."""
    raw = case.operation.definition.raw
    if raw.get("operationId") != "email.create_batch" or response.status_code != 200:
        return
    answers = response.json()["data"]
    sent = json.loads(response.request.body)["emails"]
    assert len(answers) == len(sent), f"{len(sent)} e-mails, {len(answers)} answers"
    components = case.operation.schema.raw_schema["components"]
    schema = {"$ref": "#/components/schemas/SendEmail", "components": components}
    validator = jsonschema_rs.Draft202012Validator(schema)
    is_positive = case.meta is not None and case.meta.generation.mode.is_positive
    for email, answer in zip(sent, answers):
        is_refused = answer.get("code") == "validation_failed"
        if not validator.is_valid(email):
            assert is_refused, f"accepted although it breaks the schema: {email}"
        elif is_positive:
            assert not is_refused, f"refused although it keeps the schema: {email}: {answer}"
