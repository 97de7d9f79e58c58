"""Acme Texts, a provider that exists nowhere, as an adapter in Python.

Its API is small: ``POST /v1/messages {to, text, from?, key}`` answers ``{id, state}``, and so does
``GET /v1/messages/{id}``. An error is ``{"error": "code"}`` beside a status that means what it
says.

The modules ``wit_world`` and ``componentize_py_types`` are made by componentize-py while it builds;
``componentize-py … bindings FOLDER`` writes them out for an editor to read.
"""

import functools
import json
import traceback
from collections.abc import Callable
from urllib.parse import quote

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.account_check import Account
from wit_world.exports.sms import Message, SendRequest
from wit_world.imports import context, http
from wit_world.imports.common import (
    CallError_Invalid,
    CallError_Other,
    Failure,
    FieldError,
)

import refusal
import segments

MESSAGES = "https://api.acme-texts.example/v1/messages"

# Acme's states and OneRouter's. A state that is not here makes the answer unreadable: a status that
# the host does not know would do so anyway, and later.
STATES = {
    "waiting": "queued",
    "out": "sent",
    "arrived": "delivered",
    "lost": "undelivered",
}


def reported[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """Says where a mistake of this program is.

    Without WASI there is no standard error, and an exception that nobody catches ends the call
    without a word. The text of an exception may hold a recipient: the operator's log gets its type
    and its place.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Err:
            raise
        except Exception as mistake:
            place = traceback.extract_tb(mistake.__traceback__)[-1]
            said = f"{type(mistake).__name__} at {place.name}, line {place.lineno}"
            raise Err(CallError_Other(said)) from mistake

    return wrapped


class Sms(exports.Sms):
    """Sends and reads text messages."""

    @reported
    def send(self, request: SendRequest) -> Message:
        if wrong := unsupported(request):
            raise Err(CallError_Invalid(wrong))
        sender = request.sender or context.setting("sender")
        body = {"to": request.to, "text": request.body, "key": request.idempotency_key}
        if sender is not None:
            body["from"] = sender
        asked = ask(http.Method.POST, MESSAGES, http.Body_Json(json.dumps(body)))
        try:
            answer = http.send(asked)
        except Err as error:
            raise Err(refusal.after_write(error.value)) from error
        if not is_success(answer):
            raise Err(refusal.of(answer).after_write)
        message = read(answer)
        if message is None:
            raise Err(refusal.unreadable_after_write(answer))
        message.segments = segments.count(request.body)
        message.sender = sender
        return message

    @reported
    def get(self, provider_id: str) -> Message:
        answer = look(provider_id)
        if not is_success(answer):
            raise Err(refusal.of(answer).after_read)
        message = read(answer)
        if message is None:
            raise Err(refusal.unreadable_after_read(answer))
        return message


class AccountCheck(exports.AccountCheck):
    """Tells whether the token works."""

    @reported
    def check(self) -> Account:
        # Acme tells nothing of an account. Whoever may ask for a message that does not exist is
        # told that it does not exist.
        answer = look("none")
        if answer.status != 404:
            if not is_success(answer):
                raise Err(refusal.of(answer).after_read)
            if read(answer) is None:
                raise Err(refusal.unreadable_after_read(answer))
        return Account(provider_id=None, name=None, warnings=[], extra=[])


def unsupported(request: SendRequest) -> list[FieldError]:
    """What Acme cannot do. All of it at once: a caller should not find it piece by piece."""
    wrong = []
    if request.media_urls:
        wrong.append(FieldError("/media_urls", "unsupported", "Acme Texts sends no media."))
    if request.send_at is not None:
        wrong.append(FieldError("/send_at", "unsupported", "Acme Texts sends at once only."))
    return wrong


def ask(method: http.Method, url: str, body: http.Body) -> http.Request:
    """A request with the token. This program never sees it: it names the entry in plugin.toml."""
    return http.Request(
        method=method,
        url=url,
        headers=[],
        body=body,
        auth="token",
        want_headers=["retry-after"],
        timeout_ms=None,
    )


def look(provider_id: str) -> http.Response:
    """Reads one message, whatever the answer is."""
    url = f"{MESSAGES}/{quote(provider_id, safe='')}"
    try:
        return http.send(ask(http.Method.GET, url, http.Body_Empty()))
    except Err as error:
        raise Err(refusal.after_read(error.value)) from error


def is_success(answer: http.Response) -> bool:
    return 200 <= answer.status < 300


def read(answer: http.Response) -> Message | None:
    """What a success says; none where it makes no sense."""
    fields = refusal.document(answer)
    provider_id, state = fields.get("id"), fields.get("state")
    if not isinstance(provider_id, str) or not isinstance(state, str) or state not in STATES:
        return None
    failure = None
    if state == "lost":
        failure = Failure(
            code="recipient_unreachable",
            message="The message did not arrive.",
            retryable=False,
            provider_code=None,
            provider_message=None,
            http_status=None,
            retry_after_ms=None,
        )
    return Message(
        provider_id=provider_id,
        status=STATES[state],
        segments=None,
        cost=None,
        sender=None,
        failure=failure,
        raw=answer.body.decode(),
        extra=[],
    )
