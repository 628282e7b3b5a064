"""Jobs that ended long ago leave the control table, and only they."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from control.agent import ControlAgent
from control.jobtable import JobTable
from control.outbox import Written
from schemas.job import Job, LaneTotals, State
from schemas.messages.codec import encode
from schemas.messages.commands import PauseJob
from schemas.topics import DAY_MS
from tests.support.api.stub import CATALOG

NOW = 100 * DAY_MS
OLD = Job(
    id="old",
    operation="upload",
    dataset="people",
    organisation="acme",
    created_by="ann",
    state=State.COMPLETED,
    created_at=1,
    command_offset=1,
    partitions=2,
    ended_at=NOW - 31 * DAY_MS,
    lanes_done={0: LaneTotals(rows_applied=5)},
    applied=LaneTotals(rows_applied=5),
    request="5f" * 32,
)


def test_an_ended_job_leaves_after_its_time() -> None:
    jobs, written = JobTable(), []

    async def publish(records: Sequence[Written]) -> None:
        written.extend(records)

    for job in (
        OLD,
        replace(OLD, id="never-ran", applied=None),
        replace(OLD, id="recent", ended_at=NOW - 29 * DAY_MS),
        replace(OLD, id="failed", state=State.FAILED),
        replace(OLD, id="running", state=State.RUNNING, ended_at=None),
    ):
        jobs.put(job)
    agent = ControlAgent(jobs, CATALOG, 2, publish, retention_days=30)
    asyncio.run(agent.handle(9, NOW, b"running", encode(PauseJob(job_id="running"))))
    assert {job.id for job in jobs} == {"recent", "failed", "running"}
    assert [(topic, key) for topic, key, value, _ in written if value is None] == [
        ("jobs", b"old"),
        ("jobs", b"never-ran"),
    ]


def test_the_newest_state_stays_so_that_old_commands_are_not_carried_out_again() -> None:
    jobs = JobTable()
    jobs.put(OLD)
    jobs.put(replace(OLD, id="newest", command_offset=5))

    async def publish(_: Sequence[Written]) -> None: ...

    agent = ControlAgent(jobs, CATALOG, 2, publish, retention_days=30)
    asyncio.run(agent.take_over(NOW, 9))
    asyncio.run(agent.handle(9, NOW, b"nobody", encode(PauseJob(job_id="nobody"))))
    assert [job.id for job in jobs] == ["newest"]
