"""When a worker looks at the first rows of a job. Without servers."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from processor.execution.inspections import MOST_AT_ONCE
from runtime.datasets import load_datasets
from schemas.job import State
from schemas.messages.commands import (
    RowsInspected,
)
from tests.support.in_memory.control import world_in
from tests.support.in_memory.engine import Steps, Worker, tell, turns, until


def test_own_rows_are_asked_for_while_the_first_block_is_on_its_way() -> None:
    async def story() -> None:
        people = load_datasets()["people"]
        worker = Worker(Steps(), {"people": people})
        job = world_in(State.RUNNING).job()
        await worker.own(job)
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: worker.asked)
        await turns()
        asked = worker.asked
        assert worker.reports(RowsInspected) == []
        await worker.meet(job, 0, *people.columns)
        await until(lambda: worker.reports(RowsInspected))
        (report,) = worker.reports(RowsInspected)
        assert (report.job_id, report.epoch, worker.asked, worker.failed) == (job.id, job.epoch, asked, [])
        running.cancel()

    tell(story)


def test_jobs_whose_files_are_still_to_come_keep_no_other_from_being_looked_at() -> None:
    async def story() -> None:
        people = load_datasets()["people"]
        worker = Worker(Steps(), {"people": people})
        first = world_in(State.RUNNING).job()
        jobs = [replace(first, id=f"{first.id}-{n}", organisation=f"o{n}") for n in range(3 * MOST_AT_ONCE)]
        for job in jobs:
            worker.jobs.put(job)
        await worker.own(first)
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: worker.asked)
        await turns()
        await worker.meet(jobs[-1], 0, *people.columns)
        await until(lambda: worker.reports(RowsInspected))
        for job in jobs[:-1]:
            await worker.meet(job, 0, *people.columns)
        await until(lambda: len(worker.reports(RowsInspected)) == len(jobs))
        assert worker.reports(RowsInspected)[0].job_id == jobs[-1].id and worker.failed == []
        running.cancel()

    tell(story)


def test_a_job_that_stops_before_its_first_block_has_come_is_looked_at_when_it_goes_on() -> None:
    async def story() -> None:
        people = load_datasets()["people"]
        worker = Worker(Steps(), {"people": people})
        job = world_in(State.RUNNING).job()
        await worker.own(job)
        running = asyncio.create_task(worker.engine.run())
        await until(lambda: worker.asked)
        paused = worker.change(job, state=State.PAUSED, epoch=job.epoch + 1)
        await worker.meet(paused, 0, *people.columns)
        await turns()
        assert worker.reports(RowsInspected) == []
        resumed = worker.change(paused, state=State.RUNNING, epoch=paused.epoch + 1)
        await worker.meet(resumed, 0, *people.columns)
        asked = worker.asked
        await until(lambda: worker.asked > asked)
        running.cancel()

    tell(story)
