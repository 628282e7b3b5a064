"""A rollback that gives documents back has its exclusive key to itself, whichever request leads to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.predicates import quiescing, taking_out
from schemas.job import BUSY, RESTING, Job, LaneTotals, State
from schemas.messages.commands import RollbackJob, WorkFailed
from schemas.messages.events import CommandRejected
from tests.support.in_memory.control import World, corrections

S = State
MODES: dict[str, Any] = {"creates": "create", "also": "create", "upserts": "upsert", "deletes": "delete"}
"""Job -> its mode; all have one exclusive key."""
APPLIED = LaneTotals(rows_applied=500, rows_failed=500, blocks=1, last_row=1000)
UNDONE = LaneTotals(rows_undone=250, blocks=1, last_row=1000)


class Modes(World):
    """A world of jobs in several modes that have ended with row errors, so that each may go on or be rolled back."""

    def __init__(self) -> None:
        super().__init__()
        for name, mode in MODES.items():
            self.jobs.put(
                Job(
                    id=name,
                    operation="upload",
                    dataset="people",
                    organisation="acme",
                    created_by="ada",
                    state=S.COMPLETED_WITH_ERRORS,
                    created_at=1,
                    started_at=1,
                    ended_at=2,
                    command_offset=-1,
                    partitions=2,
                    epoch=1,
                    mode=mode,
                    exclusive_key="k",
                    applied=APPLIED,
                )
            )

    def at_work(self, name: str) -> None:
        """Corrected rows are applied."""
        self.send(corrections(f"c{len(self.log)}", name, self.job(name).run))

    def refused(self) -> bool:
        return isinstance(self.history[-1], CommandRejected)

    def work_on(self, name: str) -> None:
        """What readers and workers do next."""
        job = self.job(name)
        if quiescing(job):
            self.rest(job_id=name, totals=APPLIED)
        elif job.state is S.ROLLING_BACK and job.checking:
            self.check(remaining=0, job_id=name)
        elif job.state in (S.RUNNING, S.ROLLING_BACK):
            self.complete(name, UNDONE if job.phase == "undo" else LaneTotals())

    def fail_at_work(self, name: str) -> None:
        if self.job(name).state in (S.RUNNING, S.ROLLING_BACK):
            self.send(WorkFailed(job_id=name, run=self.job(name).run, epoch=self.job(name).epoch, reason="the disk"))

    def beside_one_another(self) -> list[tuple[str, str]]:
        """A job that gives documents back, or is about to, and another one that holds the key: all such pairs."""
        giving = [job for job in self.jobs if job.restores and taking_out(job)]
        return [(job.id, other.id) for job in giving for other in self.jobs if other.state in BUSY and other != job]


def requests(world: Modes) -> Iterator[tuple[str, Any]]:
    yield "retry", world.at_work
    yield "rollback", world.rollback
    yield "force", lambda name: world.send(RollbackJob(job_id=name, force=True))
    yield "terminate", world.terminate
    yield "keep", lambda name: world.terminate(name, keep_rows=True)
    yield "pause", world.pause
    yield "resume", world.resume
    yield "fail", world.fail_at_work
    yield "work", world.work_on


STEPS = st.lists(
    st.tuples(st.sampled_from([name for name, _ in requests(Modes())]), st.sampled_from(list(MODES))), max_size=25
)


@settings(deadline=None, max_examples=300)
@given(steps=STEPS)
def test_no_request_has_a_job_give_documents_back_while_another_one_holds_the_key(steps: list[tuple[str, str]]) -> None:
    world = Modes()
    step = dict(requests(world))
    for what, name in steps:
        step[what](name)
        assert world.beside_one_another() == []
    for _ in range(6):
        for name in MODES:
            world.work_on(name)
            assert world.beside_one_another() == []
    assert {job.state for job in world.jobs} <= RESTING, "nothing waits for what does not come"
    for _ in range(3):
        for name in MODES:
            if world.job(name).state in BUSY:
                world.resume(name)
            world.work_on(name)
            world.work_on(name)
    assert not {job.state for job in world.jobs} & BUSY, "whatever is paused can go on, and free the key"


@pytest.mark.parametrize("way", ["running", "pausing", "paused"])
def test_a_job_that_would_give_back_is_not_terminated_while_another_is_taken_out(way: str) -> None:
    world = Modes()
    world.at_work("upserts")
    world.rollback("creates")
    if way != "running":
        world.pause("upserts")
    if way == "paused":
        world.work_on("upserts")
    before = world.job("upserts")
    world.terminate("upserts")
    refused = world.rejection()
    assert (refused.code, refused.details) == (409, {"job_id": "creates"})
    assert "pause job upserts until that is over" in refused.message and "--keep-rows" in refused.message
    assert world.job("upserts") == before
    world.work_on("creates")
    world.work_on("creates")
    assert world.job("creates").state is S.ROLLED_BACK
    world.terminate("upserts")
    assert world.job("upserts").state in (S.TERMINATING, S.ROLLING_BACK)


def test_with_its_rows_kept_it_is_terminated_all_the_same() -> None:
    world = Modes()
    world.at_work("upserts")
    world.rollback("creates")
    world.terminate("upserts", keep_rows=True)
    world.work_on("upserts")
    assert world.job("upserts").state is S.TERMINATED


def test_one_that_is_about_to_give_back_keeps_others_from_being_taken_out() -> None:
    world = Modes()
    world.at_work("upserts")
    world.terminate("upserts")
    world.rollback("creates")
    assert world.rejection().details == {"job_id": "upserts"}
    world.work_on("upserts")
    assert world.job("upserts").state is S.ROLLING_BACK


def test_of_several_jobs_that_hold_the_key_each_counts() -> None:
    world = Modes()
    world.at_work("upserts")
    for name in ("creates", "also"):
        world.rollback(name)
        assert not world.refused(), "what jobs have only created may be taken out at the same time"
    world.rollback("deletes")
    assert world.rejection().code == 409
    world.work_on("creates")
    world.work_on("creates")
    world.terminate("upserts")
    assert world.rejection().details == {"job_id": "also"}
