"""Searches of several jobs in one request: those that are asked for while another request is on its way go together.

Each request is made once. One that Elasticsearch puts off would keep the others waiting if it were made again and again
here: those who have asked for it do so, each by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from processor.elastic.bulk import BACKOFF, BulkSink, Gate
from processor.elastic.reading import search_several
from processor.errors import FencedError, PutOffError
from processor.gates import for_several
from processor.operations.work import Work

T = TypeVar("T")

Answers = list[dict[str, Any]]
MOST_TOGETHER: Final = 8
"""Jobs whose searches one request carries, at most: the event loop has to decode the answer."""
LONGEST_SECONDS: Final = 1.0
"""What is asked for waits no longer than this for a request that is on its way: it may take until its time limit."""


class Searches(Protocol):
    """What sends searches of a job to Elasticsearch."""

    async def search(self, index: str, searches: Sequence[Mapping[str, Any]], gate: Gate) -> Answers:
        """The answer to each search; `searches` as in `_msearch`, a header and a body for each. An index that is
        missing has no hits.

        Raises:
            FencedError: from `gate`.
            PutOffError: Elasticsearch can't answer now; see `until_answered`.
            CannotGoOnError: Elasticsearch refuses the request.
        """


class SingleSearches:
    """Sends what one job asks for in a request of its own."""

    def __init__(self, sink: BulkSink) -> None:
        self._sink = sink.once()

    async def search(self, index: str, searches: Sequence[Mapping[str, Any]], gate: Gate) -> Answers:
        """See Searches."""
        return await self._sink.ask(partial(search_several, self._sink.client, index, searches), gate)


@dataclass(slots=True, eq=False)
class _Asked:
    index: str
    searches: Sequence[Mapping[str, Any]]
    gate: Gate
    answer: asyncio.Future[Answers] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class _RefusedTogetherError(Exception):
    """A request of several jobs failed: its answer does not tell whose search is wrong."""


class SharedSearches:
    """Sends searches that several jobs ask for at the same time in one request."""

    def __init__(self, sink: BulkSink, longest_seconds: float = LONGEST_SECONDS) -> None:
        self.single = SingleSearches(sink)
        self._sink = sink.once()
        self._longest_seconds = longest_seconds
        self._waiting: list[_Asked] = []
        self._sending: asyncio.Task[None] | None = None
        self._requests: set[asyncio.Task[None]] = set()

    async def search(self, index: str, searches: Sequence[Mapping[str, Any]], gate: Gate) -> Answers:
        """See Searches."""
        try:
            # No variable has the future: its error would keep itself alive, and with it what the asker has read.
            return await self._asked(index, searches, gate)
        except _RefusedTogetherError:
            return await self.single.search(index, searches, gate)

    def _asked(self, index: str, searches: Sequence[Mapping[str, Any]], gate: Gate) -> asyncio.Future[Answers]:
        asked = _Asked(index, searches, gate)
        self._waiting.append(asked)
        if self._sending is None:
            # A task of its own: those who ask may be cancelled one by one.
            self._sending = asyncio.create_task(self._send_all())
        return asked.answer

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                index = self._waiting[0].index
                some = [one for one in self._waiting if one.index == index][:MOST_TOGETHER]
                self._waiting = [one for one in self._waiting if one not in some]
                request = asyncio.create_task(self._send(index, some))
                self._requests.add(request)
                request.add_done_callback(self._requests.discard)
                await asyncio.wait({request}, timeout=self._longest_seconds)
        finally:
            self._sending = None

    async def _send(self, index: str, some: Sequence[_Asked]) -> None:
        try:
            await self._send_together(index, some)
        except PutOffError as error:
            for one in some:
                one.fail(PutOffError(str(error)))  # an error of its own: one keeps alive what it has passed through
        except Exception as error:
            for one in some:
                one.fail(error if len(some) == 1 else _RefusedTogetherError())

    async def _send_together(self, index: str, some: Sequence[_Asked]) -> None:
        passed: list[_Asked] = []

        def some_pass() -> bool:
            for one in some:
                if not one.answer.done():
                    try:
                        one.gate()
                        passed.append(one)
                    except FencedError as error:
                        one.fail(error)
            return bool(passed)

        async def request() -> Answers:
            searches = [line for one in passed for line in one.searches]
            return await search_several(self._sink.client, index, searches)

        try:
            found = iter(await self._sink.ask(request, for_several(some_pass)))
        except FencedError:
            return  # each of them has been told
        for one in passed:
            answers = [next(found) for _ in range(len(one.searches) // 2)]
            if not one.answer.done():
                one.answer.set_result(answers)


async def until_answered(work: Work, shared: SharedSearches, ask: Callable[[Work, Searches], Awaitable[T]]) -> T:
    """What `ask` answers, of work whose requests are made once. Where Elasticsearch puts one off, `ask` is called again
    after a pause: meanwhile the job holds nothing that `ask` has taken or read.

    Raises what `ask` raises, but for PutOffError.
    """
    asking = replace(work, sink=work.sink.once())
    searches: Searches = shared
    pauses = BACKOFF.pauses()
    with work.sink.put_offs() as put_offs:
        while True:
            try:
                return await ask(asking, searches)
            except PutOffError as error:
                reason = str(error)
            # Not in the lines above: an error keeps alive what the functions that it has passed through have read.
            await work.sink.wait(reason, next(pauses), put_offs)
            searches = shared.single
