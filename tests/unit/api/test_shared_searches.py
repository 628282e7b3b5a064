"""Searches of several jobs go in one request, and each job has its own answer, its own gate, its own refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from processor.errors import CannotGoOnError, FencedError
from processor.execution.searching import MOST_TOGETHER, SharedSearches
from tests.support.waiting import PATIENCE


class Elastic:
    """A sink and its client: it answers when it is told to, each search with its own text."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.requests: list[tuple[str, list[str]]] = []
        self.client = self
        self.overloaded: set[str] = set()
        """Searches that are never answered."""

    async def ask(self, request: Callable[[], Coroutine[Any, Any, Any]], gate: Callable[[], None]) -> Any:
        gate()
        answer = await request()
        if not self.overloaded.intersection(self.requests[-1][1]):
            return answer
        gate()  # before it is tried again
        return await asyncio.Event().wait()

    async def msearch(self, index: str, searches: Sequence[Mapping[str, str]], **_: Any) -> Any:
        asked = [search["query"] for search in searches[1::2]]
        self.requests.append((index, asked))
        await self.go.wait()
        if "wrong" in asked:
            raise CannotGoOnError("a search is wrong")
        return SimpleNamespace(body={"responses": [{"hits": text} for text in asked]})


def fenced() -> None:
    raise FencedError


def searches(*texts: str) -> list[dict[str, str]]:
    return [line for text in texts for line in ({}, {"query": text})]


def tell(story: Callable[[Elastic, SharedSearches], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        elastic = Elastic()
        shared: Any = SharedSearches(elastic)  # type: ignore[arg-type]
        await asyncio.wait_for(story(elastic, shared), PATIENCE)

    asyncio.run(run())


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_is_asked_meanwhile_goes_together_and_each_has_its_own_answers() -> None:
    async def story(elastic: Elastic, shared: SharedSearches) -> None:
        texts = [[f"{number}"] * (1 + number % 2) for number in range(MOST_TOGETHER + 3)]
        first = asyncio.create_task(shared.search("people", searches("first"), lambda: None))
        await turns()
        others = [asyncio.create_task(shared.search("people", searches(*some), lambda: None)) for some in texts]
        teams = asyncio.create_task(shared.search("teams", searches("team"), lambda: None))
        stopped = asyncio.create_task(shared.search("people", searches("stopped"), fenced))
        given_up = asyncio.create_task(shared.search("people", searches("given up"), lambda: None))
        await turns()
        given_up.cancel()
        elastic.go.set()
        assert await first == [{"hits": "first"}] and await teams == [{"hits": "team"}]
        for other, some in zip(others, texts, strict=True):
            assert await other == [{"hits": text} for text in some]
        with pytest.raises(FencedError):
            await stopped
        assert [index for index, _ in elastic.requests] == ["people", "people", "people", "teams"]
        assert not {"stopped", "given up"} & {text for _, asked in elastic.requests for text in asked}

    tell(story)


def test_a_refusal_is_told_to_the_one_whose_search_is_refused() -> None:
    async def story(elastic: Elastic, shared: SharedSearches) -> None:
        first = asyncio.create_task(shared.search("people", searches("first"), lambda: None))
        await turns()
        wrong = asyncio.create_task(shared.search("people", searches("wrong"), lambda: None))
        right = asyncio.create_task(shared.search("people", searches("right"), lambda: None))
        elastic.go.set()
        assert await first and await right == [{"hits": "right"}]
        with pytest.raises(CannotGoOnError):
            await wrong

    tell(story)


def test_a_search_that_is_not_answered_holds_up_nobody_else() -> None:
    async def story(elastic: Elastic, shared: SharedSearches) -> None:
        elastic.overloaded = {"endless"}
        elastic.go.set()
        first = asyncio.create_task(shared.search("people", searches("first"), lambda: None))
        endless = asyncio.create_task(shared.search("people", searches("endless"), lambda: None))
        others = [asyncio.create_task(shared.search("people", searches(text), lambda: None)) for text in ("one", "two")]
        await turns()
        late = asyncio.create_task(shared.search("people", searches("late"), lambda: None))
        for waiting in (first, *others, late):
            assert await waiting
        assert not endless.done()
        endless.cancel()

    tell(story)
