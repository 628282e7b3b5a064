"""A job whose requests Elasticsearch puts off waits by itself: the first rows of the others are looked at."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from elastic_transport import ConnectionTimeout
from msgspec.structs import replace

from processor.elastic.bulk import BulkSink
from processor.execution.inspections import MOST_AT_ONCE
from processor.suspicion.first_rows import OwnRows
from processor.suspicion.known_rows import LOOKED_UP
from runtime.clock import Clock
from schemas.indices import data_index
from schemas.job import Job, State
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import encode
from schemas.messages.commands import RowsInspected
from tests.support.in_memory.control import world_in
from tests.support.in_memory.engine import SETTINGS, Steps, Worker, eventually, tell, turns
from tests.support.in_memory.suspicion import checked, table
from tests.support.stubs.bulk import api_error

ROWS = table("people", 60)
STORED = checked(ROWS)
DATASETS = {name: dataclasses.replace(ROWS.dataset, name=name) for name in ("people", "red")}
REQUESTS = ("ids", "sample", "refresh", "same key")
"""What a worker asks for before a job's first row is written: whether an earlier job had its id, a sample of the own
rows, a refresh of their index, and own rows with values of the file."""


class Elastic:
    """It finds own rows of both datasets. What it puts off are requests of one kind for the dataset `red`."""

    def __init__(self, puts_off: str, by: Callable[[], Any]) -> None:
        """`by`: what it does instead of an answer to one search, or to a refresh."""
        self.puts_off: str | None = puts_off
        self.by = by
        self.tries = 0
        """Requests that it has put off."""
        self.indices = self

    async def msearch(self, index: str, searches: Sequence[Mapping[str, Any]], **_: Any) -> Any:
        return SimpleNamespace(body={"responses": [self._found(index, body) for body in searches[1::2]]})

    def _found(self, index: str, body: Mapping[str, Any]) -> Any:
        kind = "ids" if "aggs" in body else "same key" if body["size"] == LOOKED_UP else "sample"
        if kind == self.puts_off and data_index(SETTINGS.prefix, "red") in index:
            self.tries += 1
            return self.by()
        if kind == "ids":
            return {}
        rows = [dict(zip(STORED.columns, values, strict=True)) for values in zip(*STORED.stored, strict=True)]
        hits = [{"_id": f"old:{n}", "_source": {**row, "sluice": {"job_id": "old"}}} for n, row in enumerate(rows)]
        return {"hits": {"hits": hits[: body["size"]], "total": {"value": len(hits)}}}

    async def refresh(self, index: str, **_: Any) -> Any:
        if self.puts_off == "refresh" and index == data_index(SETTINGS.prefix, "red"):
            self.tries += 1
            raise api_error(503)
        return SimpleNamespace(body={})

    async def get_mapping(self, **_: Any) -> Any:
        return SimpleNamespace(body={data_index(SETTINGS.prefix, name): {} for name in DATASETS})


def unavailable() -> Any:
    """Of several searches in one request one is put off."""
    return {"error": {"type": "search_phase_execution_exception", "reason": "all shards failed"}, "status": 503}


def silent() -> Any:
    raise ConnectionTimeout("slow")


def job(number: int, dataset: str) -> Job:
    """Jobs of a dataset are of one organisation."""
    return replace(world_in(State.RUNNING).job(), id=f"{dataset}-{number}", dataset=dataset, organisation=dataset)


class Story:
    """A worker that has jobs of the dataset `red` whose first blocks have come, and none of others yet."""

    def __init__(self, elastic: Elastic, pause: Callable[[float], Any]) -> None:
        self.elastic = elastic
        self.worker = Worker(Steps(), DATASETS, BulkSink(elastic, clock=Clock(sleep=pause)))  # type: ignore[arg-type]
        self.red: list[Job] = []
        self.log: list[bytes] = []
        """The records of partition 0 of the rows topic."""
        self.worker.reader.read = self._read  # type: ignore[method-assign]

    async def begin(self, jobs: int) -> asyncio.Task[None]:
        self.red = [job(number, "red") for number in range(jobs)]
        for one in self.red:
            self.worker.jobs.put(one)
        await self.worker.own(self.red[0])
        running = asyncio.create_task(self.worker.engine.run())
        for one in self.red:
            await self.meet(one)
        return running

    async def meet(self, one: Job) -> None:
        block = RowBlock(job_id=one.id, block=0, first_row=1, columns=list(ROWS.header), rows=ROWS.rows)
        self.log.append(encode(block))
        await self.worker.engine.dispatch(0, len(self.log) - 1, self.log[-1], SimpleNamespace(ack=lambda: True))

    async def _read(self, _: int, first: int, last: int) -> list[tuple[int, bytes]]:
        return list(enumerate(self.log))[first : last + 1]

    @property
    def looked_at(self) -> list[str]:
        return [report.job_id for report in self.worker.reports(RowsInspected)]


async def shortly(_: float) -> None:
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("jobs", [1, 2 * MOST_AT_ONCE + 2])
@pytest.mark.parametrize("what", REQUESTS)
@pytest.mark.parametrize("by", [unavailable, silent])
def test_jobs_that_are_put_off_keep_no_other_from_being_looked_at(jobs: int, what: str, by: Callable[[], Any]) -> None:
    async def story() -> None:
        told = Story(Elastic(what, by), shortly)
        running = await told.begin(jobs + (what == "refresh"))  # a job that runs beside has the index refreshed
        await eventually(lambda: told.elastic.tries > 3 * jobs)
        good = job(1, "people")
        told.worker.jobs.put(good)
        await told.meet(good)
        await eventually(lambda: told.looked_at)
        assert told.looked_at == [good.id]
        told.elastic.puts_off = None
        await eventually(lambda: len(told.looked_at) == 1 + len(told.red))
        assert {*told.looked_at} == {good.id, *(one.id for one in told.red)} and told.worker.failed == []
        own = {report.own_rows for report in told.worker.reports(RowsInspected)}
        assert own == {len(ROWS.rows)}, "all of them were compared with the own rows"
        running.cancel()

    tell(story)


@pytest.mark.parametrize("what", REQUESTS)
def test_jobs_that_are_put_off_have_no_own_rows_in_memory_meanwhile(what: str) -> None:
    def in_memory() -> int:
        return sum(isinstance(one, OwnRows) for one in gc.get_objects())

    async def story() -> None:
        before = in_memory()
        go = asyncio.Event()
        waiting = 0

        async def pause(_: float) -> None:
            nonlocal waiting
            waiting += 1
            await go.wait()

        told = Story(Elastic(what, unavailable), pause)
        running = await told.begin(MOST_AT_ONCE + 2)
        await eventually(lambda: waiting == len(told.red))
        await eventually(lambda: in_memory() <= before)  # a thread may still compare them
        told.elastic.puts_off = None
        go.set()
        await eventually(lambda: len(told.looked_at) == len(told.red))
        running.cancel()

    gc.disable()  # it may not come for long
    try:
        tell(story)
    finally:
        gc.enable()


@pytest.mark.parametrize("what", REQUESTS)
def test_a_job_that_stops_while_it_is_put_off_asks_no_more_and_is_looked_at_when_it_goes_on(what: str) -> None:
    async def story() -> None:
        told = Story(Elastic(what, unavailable), lambda _: asyncio.sleep(0))
        running = await told.begin(1 + (what == "refresh"))
        await eventually(lambda: told.elastic.tries > 3)
        paused = [told.worker.change(one, state=State.PAUSED, epoch=one.epoch + 1) for one in told.red]
        await turns()
        tries = told.elastic.tries
        await turns()
        assert told.elastic.tries == tries and told.looked_at == []
        told.elastic.puts_off = None
        for one in paused:
            told.worker.change(one, state=State.RUNNING, epoch=one.epoch + 1)
        await eventually(lambda: len(told.looked_at) == len(paused))
        assert {report.epoch for report in told.worker.reports(RowsInspected)} == {paused[0].epoch + 1}
        running.cancel()

    tell(story)
