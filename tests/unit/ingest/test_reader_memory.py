"""What a reader remembers: of jobs that are gone nothing, however their plans went."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ingest.pending_plan import PendingPlan
from runtime.files.sealing import JobKeys
from schemas.job import Source, State
from schemas.messages.plans import ReadFile
from tests.support.in_memory.reading import MORE_THAN_ANY, World

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


def add_file(world: World, *, sealed: bool) -> str:
    """A plan whose file is not there."""
    job_id = world.add("org", 1)
    taken = world.reader._waiting.pop()
    source = Source(path=f"sources/{job_id}/a.csv")
    job = world.reader._view.get(job_id)
    assert job is not None
    world.reader._view.remove(job_id)
    world.reader._view.put(replace(job, state=State.RUNNING, phase="apply", sealed=sealed, source=source))
    plan = ReadFile(
        job_id=job_id, epoch=1, command_offset=job.command_offset, partitions=2, run=1, dataset="people", source=source
    )
    world.reader._waiting.append(PendingPlan(plan, 0, taken.offset))
    return job_id


def add_rollback(world: World, *, sealed: bool) -> str:
    job_id = world.add("org", 2)
    job = world.reader._view.get(job_id)
    assert job is not None
    world.reader._view.remove(job_id)
    world.reader._view.put(replace(job, sealed=sealed))
    return job_id


def to_their_ends(world: World, add: Callable[..., str], sealed: bool) -> list[str]:
    jobs = [add(world, sealed=sealed) for _ in range(8)]
    while world.reader._waiting or world.reader._active:
        world.round()
    return jobs


def revoked(world: World, add: Callable[..., str], sealed: bool) -> list[str]:
    jobs = []
    for rounds in (1, 4):  # plans have just begun, or have had turns
        jobs += [add(world, sealed=sealed) for _ in range(8)]
        jobs += [world.add("org", MORE_THAN_ANY) for _ in range(8)]
        for _ in range(rounds):
            world.round()
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
    world = World(16, reported=reported)

    def after(times: int) -> dict[str, int]:
        for _ in range(times):
            for job_id in story(world, add, sealed):
                world.reader._view.remove(job_id)
            world.round()
        return dict(sizes(world.reader))

    assert after(1) == after(3)
    reader = world.reader
    assert not (reader._ended or reader._waiting or reader._active or len(reader._view))


def test_a_plan_whose_end_the_view_shows_is_not_remembered_while_its_job_goes_on() -> None:
    for reported in (True, False):
        world = World(4, reported=reported)
        to_their_ends(world, add_rollback, False)
        world.round()
        assert len(world.reader._ended) == (0 if reported else 8)


def test_a_rollback_after_a_purge_makes_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STORAGE", str(tmp_path))
    world = World(4)
    keys = world.reader._sealer.keys
    jobs = to_their_ends(world, add_rollback, True)
    if keys._pool is not None:
        keys._pool.shutdown(wait=True)
    assert len(jobs) == 8 and JobKeys(tmp_path).jobs() == []
