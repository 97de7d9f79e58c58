"""What it means when there is no success: how a call ends, and what the caller is told."""

import json
from dataclasses import dataclass
from typing import Any

from wit_world.imports import http
from wit_world.imports.common import (
    CallError,
    CallError_Declined,
    CallError_InvalidState,
    CallError_NotFound,
    CallError_NotSent,
    CallError_Other,
    CallError_Unauthorized,
    CallError_Unknown,
    Failure,
)


@dataclass(frozen=True)
class Refusal:
    """How a call ends with an answer: a server error has other consequences after a write."""

    after_write: CallError
    after_read: CallError


def of(answer: http.Response) -> Refusal:
    """Reads Acme's error. Its own code is kept, its status decides."""
    said = document(answer).get("error")
    code, message, retryable, ending = _meaning(answer.status)
    failure = _failure(
        code,
        message,
        retryable=retryable,
        provider_code=said if isinstance(said, str) else None,
        http_status=answer.status,
        retry_after_ms=_retry_after_ms(answer),
    )
    if ending is None:
        # Nobody can tell what Acme did with a write. A read has changed nothing.
        return Refusal(CallError_Unknown(failure), CallError_NotSent(failure))
    return Refusal(ending(failure), ending(failure))


def _meaning(status: int) -> tuple[str, str, bool, Any]:
    """The code, a sentence for people, whether it may pass, and how the call ends."""
    match status:
        case 401:
            refused = "The credentials were refused."
            return "credentials_refused", refused, False, CallError_Unauthorized
        case 403:
            return "permission_denied", "The account may not do this.", False, CallError_Declined
        case 404 | 410:
            return "not_found", "The provider does not know this.", False, CallError_NotFound
        case 409:
            message = "The state of the object does not allow this."
            return "invalid_state", message, False, CallError_InvalidState
        case 429:
            # plugin.toml says so too, or the host would not believe it.
            return "rate_limited", "Too many requests.", True, CallError_NotSent
        case status if 400 <= status < 500 and status != 408:
            return "provider_error", "The provider refused the request.", False, CallError_Declined
        case _:
            return "provider_error", "The provider failed to answer the request.", True, None


def after_write(error: http.SendError) -> CallError:
    """No complete answer to a request that may have changed something."""
    match error:
        case http.SendError_Interrupted(text):
            message = "The provider's answer did not arrive; it may have acted."
            return CallError_Unknown(
                _failure("provider_error", message, retryable=True, provider_message=text)
            )
        case http.SendError_TooLarge(_):
            message = "The provider's answer is larger than allowed; it may have acted."
            return CallError_Unknown(_failure("unexpected_answer", message))
        case _:
            return after_read(error)


def after_read(error: http.SendError) -> CallError:
    """No complete answer to a request that only reads."""
    match error:
        case http.SendError_Interrupted(text) | http.SendError_Unreachable(text):
            message = "The provider could not be reached."
            return CallError_NotSent(
                _failure("provider_unavailable", message, retryable=True, provider_message=text)
            )
        case http.SendError_TooLarge(_):
            message = "The provider's answer is larger than allowed."
            return CallError_NotSent(_failure("unexpected_answer", message))
        case http.SendError_Denied(text) | http.SendError_Other(text):
            return CallError_Other(text)


def unreadable_after_write(answer: http.Response) -> CallError:
    """A success that makes no sense, after which nobody knows what was done."""
    message = "The provider's answer could not be understood; it may have acted."
    return CallError_Unknown(_failure("unexpected_answer", message, http_status=answer.status))


def unreadable_after_read(answer: http.Response) -> CallError:
    """A success that makes no sense, of a request that changed nothing."""
    message = "The provider's answer could not be understood."
    return CallError_NotSent(_failure("unexpected_answer", message, http_status=answer.status))


def document(answer: http.Response) -> dict[str, Any]:
    """The answer's JSON object; empty where it is none. What a provider sends may be anything."""
    try:
        fields = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _retry_after_ms(answer: http.Response) -> int | None:
    """Acme gives seconds."""
    for name, value in answer.headers:
        if name == "retry-after" and value.isascii() and value.isdigit() and len(value) < 9:
            return int(value) * 1_000
    return None


def _failure(
    code: str,
    message: str,
    *,
    retryable: bool = False,
    provider_code: str | None = None,
    provider_message: str | None = None,
    http_status: int | None = None,
    retry_after_ms: int | None = None,
) -> Failure:
    return Failure(
        code=code,
        message=message,
        retryable=retryable,
        provider_code=provider_code,
        provider_message=provider_message,
        http_status=http_status,
        retry_after_ms=retry_after_ms,
    )
