"""What a reader remembers: of jobs that are gone nothing, however their plans went."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from ingest.metrics import ReaderMetrics
from ingest.pending_plan import PendingPlan
from ingest.reader import Reader
from ingest.sources import UNDO_BLOCK_ROWS
from runtime.files.sealing import JobKeys
from runtime.files.shared_folder import mark
from runtime.readiness import Readiness
from runtime.settings import Settings
from schemas.job import Job, Source, State
from schemas.messages.commands import InputAdvanced, InputEnded, Report
from schemas.messages.plans import Plan, ReadFile, UndoRows

LARGE = 10_000
OURS = ("ingest.", "control.", "runtime.files.")


def sizes(thing: Any, path: str = "reader") -> Iterator[tuple[str, int]]:
    """The sizes of all collections that an object of ours has, below it as well."""
    names = [*getattr(thing, "__dict__", ()), *getattr(thing, "__slots__", ())]
    for name in names:
        found, place = getattr(thing, name), f"{path}.{name}"
        if isinstance(found, Collection) and not isinstance(found, str | bytes):
            yield place, len(found)
            if isinstance(found, dict):
                for key, value in list(found.items()):
                    if isinstance(value, Collection) and not isinstance(value, str | bytes):
                        yield f"{place}[{key}]", len(value)
                    elif type(value).__module__.startswith(OURS):
                        yield from sizes(value, f"{place}[{key}]")
        elif type(found).__module__.startswith(OURS):
            yield from sizes(found, place)


class World:
    """The real reader, and a Kafka that takes everything, and confirms it when it is polled."""

    has_room = True

    def __init__(self, slots: int, reported: bool = True) -> None:
        """`reported`: whether a job's state shows how far its plan has come."""
        found = Settings()
        self.reader = Reader(found, lambda: False, Readiness(found), ReaderMetrics(), slots, lambda: 0.0)
        nothing = SimpleNamespace(
            has_passed=lambda _: True, follow=lambda *_: None, receive=lambda _: (), commit=lambda *_, **__: None,
            measure=lambda: None,
        )  # fmt: skip
        for name, part in {"_publisher": self, "_jobs": nothing, "_plans": nothing}.items():
            setattr(self.reader, name, part)
        self._reported = reported
        self._numbers = itertools.count()
        self._unconfirmed: deque[Callable[[], None]] = deque()

    def has_partition(self, _partition: int) -> bool:
        return True

    def block(self, _partition: int, _value: bytes, confirmed: Callable[[], None]) -> None:
        self._unconfirmed.append(confirmed)

    def count(self, *_: object) -> None: ...

    def hurry(self) -> None: ...

    def report(self, report: Report, confirmed: Callable[[], None] | None = None) -> None:
        job = self.reader._view.get(report.job_id)
        if self._reported and job is not None and isinstance(report, InputAdvanced | InputEnded):
            offset = job.command_offset + 1000
            self.reader._view.put(replace(job, undo_input=report.input, command_offset=offset))
        if confirmed is not None:
            self._unconfirmed.append(confirmed)

    def poll(self, _seconds: float = 0) -> None:
        for _ in range(len(self._unconfirmed)):
            self._unconfirmed.popleft()()

    def add(self, sealed: bool, blocks: int | None) -> str:
        """A rollback of so many blocks, or None: a plan whose file is not there."""
        number = next(self._numbers)
        job = Job(
            id=f"j{number}", operation="upload", dataset="people", organisation="org", created_by="x", created_at=1,
            state=State.RUNNING, command_offset=number, partitions=2, epoch=1, run=1, sealed=sealed,
        )  # fmt: skip
        of_job: dict[str, Any] = {"job_id": job.id, "epoch": 1, "command_offset": number, "partitions": 2, "run": 1}
        plan: Plan = ReadFile(**of_job, dataset="people", source=Source(path=f"sources/{job.id}/a.csv"))
        if blocks is not None:
            job = replace(job, state=State.ROLLING_BACK, phase="undo")
            plan = UndoRows(**of_job, last_row=blocks * UNDO_BLOCK_ROWS)
        self.reader._view.put(job)
        self.reader._offsets.received(0, number)
        self.reader._waiting.append(PendingPlan(plan, 0, number))
        return job.id


def add_file(world: World, *, sealed: bool) -> str:
    return world.add(sealed, None)


def add_rollback(world: World, *, sealed: bool) -> str:
    return world.add(sealed, 2)


def to_their_ends(world: World, add: Callable[..., str], sealed: bool) -> list[str]:
    jobs = [add(world, sealed=sealed) for _ in range(8)]
    while world.reader._waiting or world.reader._active:
        world.reader._round()
    return jobs


def revoked(world: World, add: Callable[..., str], sealed: bool) -> list[str]:
    jobs = []
    for rounds in (1, 4):  # plans have just begun, or have had turns
        jobs += [add(world, sealed=sealed) for _ in range(8)]
        jobs += [world.add(sealed, LARGE) for _ in range(8)]
        for _ in range(rounds):
            world.reader._round()
        world.reader._on_revoked(0, True)
    return jobs


@pytest.mark.parametrize("reported", [True, False], ids=["reports come", "reports are late"])
@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "open"])
@pytest.mark.parametrize("add", [add_file, add_rollback])
@pytest.mark.parametrize("story", [to_their_ends, revoked])
def test_nothing_is_remembered_of_jobs_that_are_gone(
    story: Callable[..., list[str]], add: Callable[..., str], sealed: bool, reported: bool,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SLUICE_STORAGE", str(tmp_path))
    mark(tmp_path)
    world = World(16, reported=reported)

    def after(times: int) -> dict[str, int]:
        for _ in range(times):
            for job_id in story(world, add, sealed):
                world.reader._view.remove(job_id)
            world.reader._round()
        return dict(sizes(world.reader))

    assert after(1) == after(3)
    reader = world.reader
    assert not (reader._ended or reader._waiting or reader._active or len(reader._view))


def test_a_plan_whose_end_the_view_shows_is_not_remembered_while_its_job_goes_on() -> None:
    for reported in (True, False):
        world = World(4, reported=reported)
        to_their_ends(world, add_rollback, False)
        world.reader._round()
        assert len(world.reader._ended) == (0 if reported else 8)


def test_a_rollback_after_a_purge_makes_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STORAGE", str(tmp_path))
    mark(tmp_path)
    world = World(4)
    keys = world.reader._sealer.keys
    jobs = to_their_ends(world, add_rollback, True)
    if keys._pool is not None:
        keys._pool.shutdown(wait=True)
    assert len(jobs) == 8 and JobKeys(tmp_path).jobs() == []
