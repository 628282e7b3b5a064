"""A call until it is answered: retries, refusals, and lists that come in pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from client.errors import Refused, Unreachable, UnreadableAnswer, WrongArgument, refusal, retry_after
from client.protocol.retrying import RETRIED, advised
from client.protocol.steps import Call, Coded, Effect, Emit, Open, Part, Pause, Policy, Reply, Retry, Send, Steps

T = TypeVar("T")

_READ_ONCE: Final = "a stream can be read only once, so it is not sent again: open it anew, or send a file"


def asked(call: Call[T]) -> Steps[T]:
    """The answer to a call."""
    reply = yield from answered(call)
    return Coded(reply.content, call.answer)


def answered(call: Call[Any], effect: type[Send | Open] = Send) -> Part[Reply]:
    """The reply to a call, which is no refusal.

    Raises:
        Refused, Unreachable, UnreadableAnswer: after as many tries as the shell's `Retry` allows.
    """
    retry: Retry = yield Policy()
    pauses, repeatable = retry.pauses(), call.repeatable and not call.read_once
    for left in range(retry.attempts - 1, -1, -1):
        try:
            reply: Reply = yield effect(call)
        except Unreachable as error:
            if left == 0 or (error.sent and not repeatable):
                raise
            yield Pause(next(pauses))
            continue
        if reply.success:
            return reply
        problem = refusal(reply.status, reply.headers, reply.content)
        again = reply.status in RETRIED and (repeatable or reply.status == 429)
        if left == 0 or not again:
            raise problem
        if call.read_once:
            raise problem.with_advice(_READ_ONCE) if isinstance(problem, Refused) else problem
        try:
            pause = advised(retry_after(reply.headers))
        except ValueError:
            raise problem from None
        yield Pause(next(pauses) if pause is None else pause + next(pauses))
    raise AssertionError("a Retry has at least one attempt")


def pages(
    call: Callable[[Any, int | None], Call[Any]], items: str, kind: type[T], limit: int | None, page: int
) -> Generator[Effect, Any, None]:
    """Emits each item of a list, from as many pages as it takes; `call` makes the request behind an `after`."""
    after, left = None, limit
    while left is None or left > 0:
        size = page if left is None else min(left, page)
        reply = yield from answered(call(after, size))
        found, after = page_in(reply.content, items)
        for item in found if left is None else found[:left]:
            yield Emit(Coded(bytes(item), kind))
        left = None if left is None else left - len(found)
        if after is None or not found:
            return


def page_in(content: bytes, items: str) -> tuple[list[msgspec.Raw], Any]:
    """The items of a page, as they came, and its `next`.

    Raises:
        UnreadableAnswer: it is no page.
    """
    try:
        page = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        return msgspec.json.decode(page[items], type=list[msgspec.Raw]), msgspec.json.decode(page.get("next", b"null"))
    except (msgspec.DecodeError, KeyError, RecursionError, UnicodeDecodeError) as error:
        raise unreadable(error) from error


def decoded(content: bytes, kind: type[T]) -> T:
    """An answer as a struct.

    Raises:
        UnreadableAnswer: it is none.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise unreadable(error) from error


def unreadable(error: Exception) -> UnreadableAnswer:
    """The answer has another shape."""
    return UnreadableAnswer(f"the API's answer is none that this client understands ({error})")


def finite(body: Any) -> Any:
    """A request's JSON, as it is.

    Raises:
        WrongArgument: a number in it is none that JSON has.
    """
    try:
        json.dumps(body, allow_nan=False)
    except ValueError:
        raise WrongArgument("a number is not finite: nan and infinity can't be sent, JSON has neither") from None
    return body


def path(*parts: str) -> str:
    """A path below /v1 of its parts, each quoted.

    Raises:
        WrongArgument: a part is empty, or can't be one.
    """
    for part in parts:
        if part in ("", ".", ".."):
            raise WrongArgument(f"{part!r} names nothing that the API has")
    try:
        return "/v1/" + "/".join(quote(part, safe="") for part in parts)
    except UnicodeEncodeError:
        raise WrongArgument("a name is not UTF-8 text") from None


__all__ = ["Refused", "answered", "asked", "decoded", "page_in", "pages", "path", "unreadable"]
