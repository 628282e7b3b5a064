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

NAMES = (
    "delete_old_reports", "sweep_images", "sweep_claims", "roll d", "roll e", "housekeeping a", "housekeeping b",
    "keep j1", "keep j2",
)  # fmt: skip
"""What there is to do where there are two datasets, two stores and two exports."""


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
        keeping: Any = SimpleNamespace(name="export", kind=SimpleNamespace(makes_file=True), keep=self._keep)

        async def for_job_step(job: Job) -> tuple[Any, Any]:
            return keeping, job

        works: Any = SimpleNamespace(
            sink=None, prefix="s", makes_file=lambda job: job.operation == "export", for_job_step=for_job_step,
            operations={}, datasets={name: SimpleNamespace(name=name, primary_key=()) for name in ("d", "e")},
            generations=SimpleNamespace(roll=self._roll),
        )  # fmt: skip
        house: Any = SimpleNamespace(steps=lambda: {name: self._doing(f"housekeeping {name}") for name in ("a", "b")})
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

    async def _keep(self, job: Job) -> None:
        await self.act(f"keep {job.id}")

    async def _roll(self, dataset: str, *_: Any) -> None:
        await self.act(f"roll {dataset}")

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
            await asyncio.gather(running, return_exceptions=True)


async def soon_published(*_: Any) -> None: ...


def exports() -> list[Job]:
    return [replace(world_in(State.PAUSED).job(), id=job_id, operation="export") for job_id in ("j1", "j2")]


@pytest.mark.parametrize("long", NAMES)
def test_what_takes_long_holds_up_nothing_else_and_is_begun_once(monkeypatch: pytest.MonkeyPatch, long: str) -> None:
    world = World(monkeypatch, *exports())
    ended: list[str] = []

    async def act(name: str) -> None:
        world.done.append(name)
        if name == long:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(name)

    world.act = act
    asyncio.run(world.story(lambda: all(world.done.count(name) >= 3 for name in NAMES if name != long)))
    assert world.done.count(long) == 1
    assert ended == [long], "it ends with the worker"


@pytest.mark.parametrize("long", ["delete_old_reports", "sweep_images", "sweep_claims"])
def test_what_takes_long_at_the_opening_holds_up_nothing_else(monkeypatch: pytest.MonkeyPatch, long: str) -> None:
    world = World(monkeypatch)

    async def act(name: str) -> None:
        world.done.append(name)
        if name == long:
            await asyncio.Event().wait()

    async def story() -> None:
        opened = asyncio.create_task(world.maintenance.opened())
        await until(lambda: len(world.done) == 3)
        opened.cancel()

    world.act = act
    asyncio.run(story())


def test_what_took_long_has_its_turns_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, *exports())
    over = asyncio.Event()

    async def act(name: str) -> None:
        world.done.append(name)
        if name == "keep j1":
            await over.wait()
        elif world.done.count("keep j2") == 5:
            over.set()

    world.act = act
    asyncio.run(world.story(lambda: world.done.count("keep j1") >= 3))


@pytest.mark.parametrize("error", [FencedError(), CannotGoOnError("no"), ValueError("odd"), OSError("no")])
def test_an_error_leaves_it_for_the_next_turn(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    world = World(monkeypatch, *exports())

    async def act(name: str) -> None:
        world.done.append(name)
        raise error

    world.act = act
    asyncio.run(world.story(lambda: all(world.done.count(name) >= 3 for name in NAMES)))


@pytest.mark.parametrize(("opened", "owned"), [(False, {JOB_STEP_PARTITION}), (True, {JOB_STEP_PARTITION + 1})])
def test_only_the_owner_of_partition_0_does_any_of_it(
    monkeypatch: pytest.MonkeyPatch, opened: bool, owned: set[int]
) -> None:
    world = World(monkeypatch, *exports())
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
