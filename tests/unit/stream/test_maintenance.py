"""What a worker does again and again: nothing of it waits for anything else, and no error ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from control.jobtable import JobTable
from processor.errors import CannotGoOnError, FencedError
from processor.execution import maintenance
from processor.execution.failures import JobFailures
from processor.execution.maintenance import Duties, Maintenance
from processor.lanes.owned_lanes import JOB_STEP_PARTITION, Lanes
from runtime.clock import Clock
from runtime.settings import Settings
from schemas.exports import KEEP_ALIVE
from schemas.job import Job, State
from tests.support.in_memory.control import world_in

NAMES = ("delete_old_reports", "sweep_images", "sweep_claims", "roll", "housekeeping", "keep")


async def soon(_: float) -> None:
    """A sleep that only lets others have their turn."""
    await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never comes true")


class World:
    """All duties of a worker; what each of them does is `act`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *jobs: Job) -> None:
        self.done: list[str] = []
        self.act: Callable[[str], Awaitable[None]] = self._note
        for name in ("delete_old_reports", "sweep_images", "sweep_claims"):
            monkeypatch.setattr(maintenance, name, self._doing(name))
        table = JobTable()
        for each in jobs:
            table.put(each)
        keeping: Any = SimpleNamespace(name="export", kind=SimpleNamespace(makes_file=True), keep=self._doing("keep"))

        async def for_job_step(_: Job) -> tuple[Any, Any]:
            return keeping, None

        works: Any = SimpleNamespace(
            sink=None, prefix="s", makes_file=lambda job: job.operation == "export", for_job_step=for_job_step,
            operations={}, datasets={"d": SimpleNamespace(name="d", primary_key=())},
            generations=SimpleNamespace(roll=self._doing("roll")),
        )  # fmt: skip
        house: Any = SimpleNamespace(run=self._doing("housekeeping"))
        self.lanes = Lanes(owned=frozenset({JOB_STEP_PARTITION}), open=True)
        background: Any = SimpleNamespace(start=lambda work: work.close())
        publisher: Any = SimpleNamespace(publish=soon_published)
        failures = JobFailures(table, self.lanes, publisher, background)
        clock = Clock(now_ms=lambda: 10**12, sleep=soon)
        settings = Settings(index_bytes=1, report_retention_days=1)
        duties = Duties(jobs=table, works=works, failures=failures, clock=clock, housekeeping=house, settings=settings)
        self.duties = duties
        self.maintenance = Maintenance(self.lanes, lambda: None, clock, duties.periodic, duties.claims)

    async def _note(self, name: str) -> None:
        self.done.append(name)

    def _doing(self, name: str) -> Callable[..., Awaitable[None]]:
        async def do(*_: Any) -> None:
            await self.act(name)

        return do

    async def story(self, condition: Callable[[], object]) -> None:
        running = asyncio.create_task(self.maintenance.run())
        try:
            await until(condition)
        finally:
            running.cancel()


async def soon_published(*_: Any) -> None: ...


def export() -> Job:
    return replace(world_in(State.PAUSED).job(), operation="export")


@pytest.mark.parametrize("long", NAMES)
def test_what_takes_long_holds_up_nothing_else(monkeypatch: pytest.MonkeyPatch, long: str) -> None:
    world = World(monkeypatch, export())

    async def act(name: str) -> None:
        world.done.append(name)
        if name == long:
            await asyncio.Event().wait()

    world.act = act
    asyncio.run(world.story(lambda: all(world.done.count(name) >= 3 for name in NAMES if name != long)))
    assert world.done.count(long) == 1


@pytest.mark.parametrize("error", [FencedError(), CannotGoOnError("no"), ValueError("odd"), OSError("no")])
def test_an_error_leaves_it_for_the_next_turn(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    world = World(monkeypatch, export())

    async def act(name: str) -> None:
        world.done.append(name)
        raise error

    world.act = act
    asyncio.run(world.story(lambda: all(world.done.count(name) >= 3 for name in NAMES)))


@pytest.mark.parametrize(("opened", "owned"), [(False, {JOB_STEP_PARTITION}), (True, {JOB_STEP_PARTITION + 1})])
def test_only_the_owner_of_partition_0_does_any_of_it(
    monkeypatch: pytest.MonkeyPatch, opened: bool, owned: set[int]
) -> None:
    world = World(monkeypatch, export())
    world.lanes.open, world.lanes.owned = opened, frozenset(owned)
    turns = 0

    async def sleep(_: float) -> None:
        nonlocal turns
        turns += 1
        await asyncio.sleep(0)

    clock = Clock(sleep=sleep)
    idle = Maintenance(world.lanes, lambda: None, clock, world.duties.periodic, world.duties.claims)

    async def story() -> None:
        running = asyncio.create_task(idle.run())
        await until(lambda: turns > 10 * len(NAMES))
        running.cancel()
        await idle.opened()
        await idle.dry_run_over()

    asyncio.run(story())
    assert world.done == []


def test_what_a_predecessor_has_left_is_looked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    asyncio.run(world.maintenance.opened())
    assert sorted(world.done) == ["delete_old_reports", "sweep_claims", "sweep_images"]
    asyncio.run(world.maintenance.dry_run_over())
    assert world.done[3:] == ["sweep_claims"], "a dry run has left no before-images"


def test_a_point_in_time_is_prolonged_long_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    (keep,) = [one for one in World(monkeypatch).duties.periodic if "prolonged" in one.what]
    assert KEEP_ALIVE == "15m" and keep.seconds * 5 < 15 * 60
