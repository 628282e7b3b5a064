"""Searches of several jobs in one request: those that are asked for while another request is on its way go together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from processor.elastic.bulk import BulkSink, Gate
from processor.elastic.reading import search_several
from processor.errors import CannotGoOnError, FencedError
from processor.gates import for_several

Answers = list[dict[str, Any]]
MOST_TOGETHER: Final = 8
"""Jobs whose searches one request carries, at most: the event loop has to decode the answer."""


@dataclass(slots=True, eq=False)
class _Asked:
    index: str
    searches: Sequence[Mapping[str, Any]]
    gate: Gate
    answer: asyncio.Future[Answers] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class _NotTogetherError(Exception):
    """A request of several jobs was not answered at once."""


class SharedSearches:
    """Sends searches that several jobs ask for at the same time in one request."""

    def __init__(self, sink: BulkSink) -> None:
        self._sink = sink
        self._waiting: list[_Asked] = []
        self._sending: asyncio.Task[None] | None = None
        self._alone: set[asyncio.Task[None]] = set()

    async def search(self, index: str, searches: Sequence[Mapping[str, Any]], gate: Gate) -> Answers:
        """The answer to each search; `searches` as in `_msearch`, a header and a body for each. An index that is
        missing has no hits.

        Raises:
            FencedError: from `gate`.
            CannotGoOnError: Elasticsearch refuses the request.
        """
        asked = _Asked(index, searches, gate)
        self._waiting.append(asked)
        if self._sending is None:
            # A task of its own: those who ask may be cancelled one by one.
            self._sending = asyncio.create_task(self._send_all())
        return await asked.answer

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                index = self._waiting[0].index
                some = [one for one in self._waiting if one.index == index][:MOST_TOGETHER]
                self._waiting = [one for one in self._waiting if one not in some]
                await self._send(index, some)
        finally:
            self._sending = None

    async def _send(self, index: str, some: Sequence[_Asked]) -> None:
        try:
            await self._send_together(index, some)
        except (CannotGoOnError, _NotTogetherError) as error:
            if len(some) == 1:
                some[0].fail(error)
                return
            for one in some:  # the answer does not tell whose search is refused or takes too long
                task = asyncio.create_task(self._send(index, [one]))
                self._alone.add(task)
                task.add_done_callback(self._alone.discard)
        except Exception as error:
            for one in some:
                one.fail(error)

    async def _send_together(self, index: str, some: Sequence[_Asked]) -> None:
        passed = list(some)
        tries = 0

        def some_pass() -> bool:
            nonlocal tries
            tries += 1
            if tries > 1 and len(some) > 1:
                raise _NotTogetherError
            passed.clear()
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
