"""Searches of several jobs go in one request, and each job has its own answer, its own gate, its own refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from processor.elastic.bulk import BulkSink
from processor.errors import CannotGoOnError, FencedError, PutOffError
from processor.execution.searching import MOST_TOGETHER, SharedSearches
from tests.support.stubs.bulk import api_error
from tests.support.waiting import PATIENCE


class Elastic:
    """It answers when it is told to, each search with its own text."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.requests: list[tuple[str, list[str]]] = []
        self.overloaded: set[str] = set()
        """Searches that it puts off."""
        self.silent: set[str] = set()
        """Searches that have no answer at all."""

    async def msearch(self, index: str, searches: Sequence[Mapping[str, str]], **_: Any) -> Any:
        asked = [search["query"] for search in searches[1::2]]
        self.requests.append((index, asked))
        await self.go.wait()
        if self.silent.intersection(asked):
            await asyncio.Event().wait()
        if "wrong" in asked:
            raise api_error(400)
        if "odd" in asked:
            raise ValueError("no request can be made of a search")
        busy = {"error": {"type": "x", "reason": "busy"}, "status": 429}
        return SimpleNamespace(
            body={"responses": [busy if text in self.overloaded else {"hits": text} for text in asked]}
        )


def fenced() -> None:
    raise FencedError


def searches(*texts: str) -> list[dict[str, str]]:
    return [line for text in texts for line in ({}, {"query": text})]


def tell(
    story: Callable[[Elastic, SharedSearches], Coroutine[Any, Any, None]], longest_seconds: float = PATIENCE
) -> None:
    async def run() -> None:
        elastic = Elastic()
        shared = SharedSearches(BulkSink(elastic, in_flight=2), longest_seconds)  # type: ignore[arg-type]
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


@pytest.mark.parametrize(("bad", "error"), [("wrong", CannotGoOnError), ("odd", ValueError)])
def test_a_refusal_is_told_to_the_one_whose_search_is_refused(bad: str, error: type[Exception]) -> None:
    async def story(elastic: Elastic, shared: SharedSearches) -> None:
        first = asyncio.create_task(shared.search("people", searches("first"), lambda: None))
        await turns()
        wrong = asyncio.create_task(shared.search("people", searches(bad), lambda: None))
        right = asyncio.create_task(shared.search("people", searches("right"), lambda: None))
        elastic.go.set()
        assert await first and await right == [{"hits": "right"}]
        with pytest.raises(error):
            await wrong

    tell(story)


@pytest.mark.parametrize("together", [True, False])
def test_a_search_that_is_put_off_holds_up_nobody_else(together: bool) -> None:
    async def story(elastic: Elastic, shared: SharedSearches) -> None:
        elastic.overloaded = {"busy"}
        first = asyncio.create_task(shared.search("people", searches("first"), lambda: None))
        await turns()
        busy = asyncio.create_task(shared.search("people" if together else "teams", searches("busy"), lambda: None))
        other = asyncio.create_task(shared.search("people", searches("other"), lambda: None))
        elastic.go.set()
        assert await first
        with pytest.raises(PutOffError, match="busy"):
            await busy
        if together:
            with pytest.raises(PutOffError):
                await other  # the answer is none of its own: it asks again, by itself
            assert await shared.single.search("people", searches("other"), lambda: None) == [{"hits": "other"}]
        else:
            assert await other == [{"hits": "other"}]
        assert await shared.search("teams", searches("late"), lambda: None) == [{"hits": "late"}]

    tell(story)


def test_a_request_that_has_no_answer_holds_up_nobody_else() -> None:
    async def story(elastic: Elastic, shared: SharedSearches) -> None:
        elastic.silent = {"silent"}
        elastic.go.set()
        silent = asyncio.create_task(shared.search("people", searches("silent"), lambda: None))
        await turns()
        assert await shared.search("people", searches("other"), lambda: None) == [{"hits": "other"}]
        assert await shared.search("teams", searches("team"), lambda: None) == [{"hits": "team"}]
        assert not silent.done()
        silent.cancel()

    tell(story, longest_seconds=0.001)
