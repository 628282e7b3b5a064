"""Keys of sealed blocks that the storage does not give for now, or not any more: whose job waits, and whose fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from processor.execution.job_keys import TRY_SECONDS
from runtime.datasets import load_datasets
from runtime.files.sealing import JobKeys, seal
from runtime.files.shared_folder import mark
from schemas.job import Job, State
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import encode
from schemas.messages.commands import RowsInspected
from tests.support.in_memory.control import world_in
from tests.support.in_memory.engine import Steps, Worker, applied, eventually, looked_at, tell, turns
from tests.support.waiting import PATIENCE

PEOPLE = load_datasets()["people"]


class Applying(Steps):
    """Notes whose blocks it applies."""

    async def apply(self, work: Any, blocks: Any) -> Any:
        self.done += [work.job.id] * len(blocks)
        return applied(blocks)


class World:
    """A worker with the keys of two jobs, of which that of one has no storage from some moment on."""

    def __init__(self, folder: Path) -> None:
        self.root, self.aside = folder / "storage", folder / "aside"
        mark(self.root)
        self.bad = replace(looked_at(), sealed=True)
        self.good = replace(self.bad, id="j2", organisation="other")
        self._keys = {job.id: JobKeys(self.root).obtain(job.id) for job in (self.bad, self.good)}
        self.operation = Applying()
        self.worker = Worker(self.operation, {"people": PEOPLE}, storage=self.root)

    async def meet(self, job: Job, offset: int) -> None:
        columns = list(PEOPLE.columns)
        block = RowBlock(job_id=job.id, block=2 * offset, first_row=1, columns=columns, rows=[["x"] * len(columns)])
        value = encode(seal(block, self._keys[job.id]))
        await self.worker.engine.dispatch(0, offset, value, SimpleNamespace(ack=lambda: True))

    async def done(self, job: Job, blocks: int = 1) -> None:
        await self.goes_on(lambda: self.operation.done.count(job.id) == blocks)

    async def goes_on(self, until: Callable[[], object]) -> None:
        """The storage is asked again and again until this is true."""

        def asked_again() -> object:
            self.worker.sleeps.end(TRY_SECONDS)
            return until()

        await eventually(asked_again)

    @property
    def shown(self) -> dict[str, str | None]:
        return {lane.job_id: lane.error for lane in self.worker.engine.lanes}


def unmounted(world: World) -> Callable[[], None]:
    world.root.rename(world.aside)
    world.root.mkdir()

    def back() -> None:
        world.root.rmdir()
        world.aside.rename(world.root)

    return back


def gone(world: World) -> Callable[[], None]:
    world.root.rename(world.aside)
    return lambda: world.aside.rename(world.root) and None


def unreadable(world: World) -> Callable[[], None]:
    """As a folder whose server has an error: each look into it fails."""
    (world.root / "keys").rename(world.aside)
    (world.root / "keys").write_text("no folder")

    def back() -> None:
        link = world.root / "link"
        link.symlink_to(world.aside)
        link.replace(world.root / "keys")  # in one step: a folder without the key would say that it is gone

    return back


@pytest.mark.parametrize("take_away", [unmounted, gone, unreadable])
def test_a_job_waits_for_a_storage_that_is_away_says_so_and_holds_up_no_other(
    tmp_path: Path, take_away: Callable[[World], Callable[[], None]]
) -> None:
    async def story() -> None:
        world = World(tmp_path)
        worker = world.worker
        worker.jobs.put(world.good)
        await worker.own(world.bad)
        running = asyncio.create_task(worker.engine.run())
        await world.meet(world.good, 0)
        await world.done(world.good)  # its key is in memory
        back = take_away(world)
        await world.meet(world.bad, 1)
        await eventually(lambda: world.shown[world.bad.id] is not None)
        assert "SLUICE_STORAGE" in (world.shown[world.bad.id] or "")
        for offset in range(2, 20):
            await world.meet(world.good, offset)
        await world.done(world.good, 19)
        assert world.shown[world.good.id] is None and not worker.failed and world.bad.id not in world.operation.done
        worker.sleeps.end(TRY_SECONDS)
        await turns()
        assert not worker.failed
        back()
        await world.done(world.bad)
        await world.goes_on(lambda: world.shown == {world.bad.id: None, world.good.id: None})
        assert not worker.failed
        running.cancel()

    tell(story)


def test_a_storage_that_hangs_holds_up_the_jobs_whose_keys_it_has_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, look = threading.Event(), JobKeys._look

    def hang(keys: JobKeys, job_id: str, make: bool) -> bytes:
        assert job_id != "j1" or answers.wait(PATIENCE)
        return look(keys, job_id, make)

    async def story() -> None:
        world = World(tmp_path)
        monkeypatch.setattr(JobKeys, "_look", hang)
        worker = world.worker
        worker.jobs.put(world.good)
        await worker.own(world.bad)
        running = asyncio.create_task(worker.engine.run())
        await world.meet(world.bad, 0)
        await eventually(lambda: TRY_SECONDS in worker.sleeps.seconds)
        worker.sleeps.end(TRY_SECONDS)
        await eventually(lambda: "does not answer" in (world.shown[world.bad.id] or ""))
        await world.meet(world.good, 1)
        await world.done(world.good)
        answers.set()
        await world.done(world.bad)
        running.cancel()

    tell(story)


def test_a_key_that_is_gone_fails_its_job_alone(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        worker = world.worker
        worker.jobs.put(world.good)
        await worker.own(world.bad)
        running = asyncio.create_task(worker.engine.run())
        JobKeys(world.root).remove(world.bad.id)
        await world.meet(world.bad, 0)
        await world.meet(world.good, 1)
        await world.done(world.good)
        await eventually(lambda: worker.failed)
        ((job_id, reason),) = worker.failed
        assert job_id == world.bad.id and "is not in storage" in reason and "roll it back" in reason
        running.cancel()

    tell(story)


def test_a_job_that_is_paused_is_not_waited_for(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        worker = world.worker
        await worker.own(world.bad)
        running = asyncio.create_task(worker.engine.run())
        back = unmounted(world)
        await world.meet(world.bad, 0)
        await eventually(lambda: world.shown[world.bad.id] is not None)
        worker.change(world.bad, state=State.PAUSING, epoch=world.bad.epoch + 1)
        await world.goes_on(lambda: world.shown[world.bad.id] is None)
        back()
        assert not worker.failed and not world.operation.done
        running.cancel()

    tell(story)


def test_first_rows_are_looked_at_once_the_storage_is_back(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        worker = world.worker
        job = replace(world_in(State.RUNNING).job(), sealed=True)
        await worker.own(job)
        running = asyncio.create_task(worker.engine.run())
        back = unmounted(world)
        await world.meet(job, 0)
        await eventually(lambda: world.shown[job.id] is not None)
        assert not worker.failed and not worker.reports(RowsInspected)
        back()
        await world.goes_on(lambda: worker.reports(RowsInspected) or worker.failed)
        assert not worker.failed
        running.cancel()

    tell(story)
