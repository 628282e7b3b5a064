"""Elasticsearch's bulk request: ready-made lines in, an answer for each item out. Retries are item by item."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from elastic_transport import ConnectionTimeout
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from processor.errors import CannotGoOnError, FencedError, StoppedError, UnansweredError
from processor.pacing import Pace

T = TypeVar("T")

log = logging.getLogger(__name__)

Gate = Callable[[], None]
"""Called right before a request goes out, with nothing awaited in between; raises FencedError if it must not."""

_RETRIED = frozenset({408, 429, 502, 503, 504})
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_FILTER = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"


@dataclass(frozen=True, slots=True)
class Answer:
    """What Elasticsearch said to one item."""

    status: int
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the item did what it was for."""
        return self.status < 300


DONE = Answer(201)
_UNANSWERED = Answer(503)


def read_answers(body: dict[str, Any], items: int) -> list[Answer]:
    """The answers in a bulk response's body, one an item in order.

    Raises:
        ValueError: the response has not as many answers as the request had items.
    """
    if not body.get("errors", True) and len(body["items"]) == items and "delete" not in body["items"][0]:
        return [DONE] * items  # a deletion that finds nothing is no error, but it has not deleted anything
    answers = []
    for entry in body.get("items", ()):
        ((_, item),) = entry.items()
        error = item.get("error")
        answers.append(Answer(item["status"], _explain(error) if error else ""))
    if len(answers) != items:
        raise ValueError(f"Elasticsearch answered {len(answers)} of {items} items of a bulk request")
    return answers


def _explain(error: dict[str, Any]) -> str:
    parts = [str(error.get("reason", error.get("type", "refused")))]
    cause = error.get("caused_by", {}).get("reason")
    return ": ".join([*parts, *([str(cause)] if cause else [])])


class BulkSink:
    """Sends items until each has an answer that trying again would not change."""

    def __init__(self, client: AsyncElasticsearch, in_flight: int = 1) -> None:
        """`in_flight`: requests that Elasticsearch is given at once; more of them wait here, made but not sent."""
        self.client = client
        self._pace = Pace(in_flight)
        self.on_trouble: Callable[[str | None], None] = lambda _: None
        """Told in words what keeps a request from being answered, and None once it is answered."""

    async def send(self, items: Sequence[bytes], gate: Gate) -> list[Answer]:
        """Answers to `items`, in order; each is an action line, with its document's line where there is one.

        Items that are answered with 429 or 503 are sent again, with a pause that grows; so is a request that is not
        answered. 409 and other refusals are for the caller to judge.

        Raises:
            FencedError: from `gate`. Some items may have been done.
            CannotGoOnError: the request as a whole was refused (no permission, too large, ...).
        """
        answers: list[Answer] = [_UNANSWERED] * len(items)
        left = list(range(len(items)))
        pauses = _pauses()
        while left:
            body = b"\n".join([items[i] for i in left]) + b"\n"
            request = partial(self.client.bulk, operations=cast(Any, body), filter_path=_FILTER)
            response = await self.ask(request, gate, writes=True)
            for index, answer in zip(left, read_answers(response.body, len(left)), strict=True):
                answers[index] = answer
            left = [index for index in left if answers[index].status in _RETRIED]
            if left:
                reason = answers[left[0]].error
                await self._wait(f"Elasticsearch puts off {len(left)} items: {reason}", next(pauses))
        self.on_trouble(None)
        return answers

    async def ask(self, request: Callable[[], Awaitable[T]], gate: Gate, writes: bool = False) -> T:
        """The answer to one request, which is made again, with pauses that grow, until Elasticsearch gives one.

        If it `writes` and has taken too long, Elasticsearch may carry it out later. Then it is made again although the
        job was stopped meanwhile: ids are fixed, so the late one has nothing left to write.

        Raises:
            FencedError: from `gate`, which is asked before each try.
            UnansweredError: the same, and the request may still be carried out.
            CannotGoOnError: the request was refused, and trying again would not change that.
        """
        pauses, unanswered = _pauses(), False
        while True:
            try:
                async with self._pace.slot(writes):
                    try:
                        gate()
                    except StoppedError:
                        if not unanswered:
                            raise
                    except FencedError as error:
                        if unanswered:
                            raise UnansweredError from error
                        raise
                    return await request()
            except ApiError as error:
                if error.status_code not in _RETRIED:
                    raise CannotGoOnError(f"Elasticsearch refuses a request: {error}") from error
                trouble = f"Elasticsearch answers {error.status_code}: {error.message}"
            except ConnectionTimeout:
                unanswered = writes
                trouble = "Elasticsearch takes too long to answer"
            except TransportError as error:
                unanswered = False  # whoever had it is gone
                trouble = f"Elasticsearch can't be reached: {error.message}"
            await self._wait(trouble, next(pauses))

    async def _wait(self, trouble: str, seconds: float) -> None:
        self.on_trouble(trouble)
        log.warning("%s; trying again in %.1f s", trouble, seconds)
        await asyncio.sleep(seconds)


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
