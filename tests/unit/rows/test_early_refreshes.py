"""An index is refreshed while a rollback goes on, so that little is left to be refreshed before its last count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from processor.elastic.bulk import BulkSink
from processor.errors import FencedError
from processor.operations.early_refreshes import ROWS, EarlyRefreshes
from processor.operations.modes.found import Documents
from processor.operations.work import Work
from schemas.descriptors.datasets import Dataset
from schemas.job import State
from tests.support.in_memory.control import world_in


class Indices:
    """A client that takes refreshes; `problem` is what it raises."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.indices = self
        self.refreshed: list[str] = []
        self._problem = problem

    async def refresh(self, *, index: str, **_: Any) -> None:
        self.refreshed.append(index)
        if self._problem is not None:
            raise self._problem


def work(client: Indices, name: str = "pets", gate: Callable[[], None] = lambda: None) -> Work:
    return Work(world_in(State.ROLLING_BACK).job(), Dataset(name, ()), "sluice", BulkSink(client), gate, at=17)  # type: ignore[arg-type]


def test_an_index_is_refreshed_once_for_all_batches_of_a_job() -> None:
    """Each batch has a work of its own, with a sink of its own: a refresh for each would cost more than the batch."""
    client, documents = Indices(), Documents()
    first = work(client)
    batches = [replace(first, sink=first.sink.of(first.job.id)) for _ in range(5)]
    resumed = [replace(batch, job=structs.replace(batch.job, epoch=batch.job.epoch + 1)) for batch in batches]

    async def story() -> None:
        for batch in (*batches, *resumed):
            await documents.refresh_once(batch, batch.data_index)

    asyncio.run(story())
    assert client.refreshed == ["sluice-data-pets"] * 2, "once for each epoch"


def rolled_back(works: list[Work], rows: int, turns: int = 20) -> None:
    """Give back so many rows of each, one after the other; after each others have so many turns."""

    async def story() -> None:
        refreshes = EarlyRefreshes(Documents())
        for one in works:
            refreshes.given_back(one, rows)
            for _ in range(turns):
                await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)

    asyncio.run(story())


def test_each_index_is_refreshed_once_enough_of_it_was_given_back() -> None:
    client = Indices()
    pets, cars = work(client), work(client, "cars")
    rolled_back([pets, cars, pets, pets, pets], ROWS // 2)
    assert client.refreshed == ["sluice-data-pets", "sluice-data-pets"]


def test_there_is_one_refresh_of_an_index_at_a_time() -> None:
    client = Indices()
    rolled_back([work(client)] * 9, ROWS, turns=0)
    assert client.refreshed == ["sluice-data-pets"]


def test_a_job_that_is_stopped_refreshes_nothing() -> None:
    def closed() -> None:
        raise FencedError

    client = Indices()
    rolled_back([work(client, gate=closed)], ROWS)
    assert client.refreshed == []


def test_a_refresh_that_fails_is_a_warning_and_the_rollback_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    rolled_back([work(Indices(RuntimeError("the connection is closed")))], ROWS)
    (record,) = [record for record in caplog.records if record.name.startswith("processor")]
    assert record.levelname == "WARNING"
    assert "sluice-data-pets can't be refreshed: the connection is closed" in record.getMessage()
