"""Jobs on top of one another: once each is rolled back, in whatever order, the documents are what they were at first.

A worker that has just begun asks for the images of one document first: every rollback here has such a one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from extensions.testing.wire import Wire
from processor.operations.upload import Upload
from schemas.descriptors.modes import MODES, Mode
from schemas.job import LaneTotals
from tests.support.in_memory.modes import Ran, Things, Values

KEYS = "abcdef"


def world(keys: Sequence[str]) -> tuple[Things, dict[str, Values]]:
    """Things with documents under these keys, and these documents."""
    things = Things()
    for key in keys:
        things.edit(key, {"key": key, "size": 7, "note": "first"})
    return things, things.documents()


def job(things: Things, mode: Mode, keys: Sequence[str]) -> Ran:
    """A job of one block that is done."""
    name = f"job-{len(things.jobs)}"
    ran = things.start(name, mode, [{"key": key, "size": "1", "note": name} for key in keys])
    worker(things)
    assert things.apply(ran, things.blocks(ran, size=len(keys))) is not None
    return ran


def worker(things: Things) -> None:
    """A worker that has just begun goes on."""
    things.sink, things.operation = None, Upload()


def roll_back(things: Things, ran: Ran) -> None:
    """A whole rollback, round by round."""
    things.time += 10
    for _ in range(5):
        worker(things)
        ran.job = replace(ran.job, command_offset=things.time)
        assert things.undo(ran) is not None
        if things.left_over(ran) == (0, 0):
            return
        ran.job = replace(ran.job, undone=LaneTotals())
    raise AssertionError("something of the job is left, round after round")


JOBS = st.tuples(
    st.sampled_from(MODES), st.lists(st.sampled_from(KEYS), min_size=2, max_size=len(KEYS), unique=True).map(tuple)
)
ROLLBACKS = st.integers(0, 5)
"""Which of the jobs that are left."""


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(KEYS), unique=True),
    st.lists(st.one_of(JOBS, JOBS, ROLLBACKS), min_size=3, max_size=8),
    st.lists(ROLLBACKS, min_size=8, max_size=8),
)
@example(["a", "b"], [("delete", ("a", "b")), ("upsert", ("a", "b")), ("upsert", ("a", "b"))], [1, 1, 0])
@example(list(KEYS), [("delete", KEYS), ("upsert", KEYS), 1, ("replace", KEYS), ("update", KEYS)], [1, 1, 0])
def test_once_every_job_is_rolled_back_the_documents_are_the_first_ones(
    there: list[str], steps: list[Any], order: list[int]
) -> None:
    things, first = world(there)
    left: list[Ran] = []
    for step in [*steps, *order]:
        if not isinstance(step, int):
            left.append(job(things, *step))
        elif left:
            roll_back(things, left.pop(step % len(left)))
    for ran in left:
        roll_back(things, ran)
    assert things.documents() == first


@pytest.mark.parametrize("mode", ["upsert", "replace"])
@pytest.mark.parametrize("goes_on", ["retried", "resumed"])
def test_what_a_job_writes_once_it_goes_on_is_on_top_of_what_was_created_meanwhile(mode: Mode, goes_on: str) -> None:
    things, first = world("")
    retried = goes_on == "retried"
    rows = [{"key": "x", "size": "1"}, {"key": "k", "size": "" if retried else "2"}]
    ran = things.start("beneath", mode, rows)
    one, other = things.blocks(ran, size=1)
    assert things.apply(ran, [one, other] if retried else [one]) is not None
    between = job(things, "create", "k")
    things.time += 10
    ran.job = replace(ran.job, command_offset=things.time, run=1 if retried else 0)
    worker(things)
    assert things.apply(ran, [replace(other, run=1, rows=[["k", "2"]]) if retried else other]) is not None
    there = things.documents()
    assert there["k"]["sluice"]["job_id"] == "beneath"
    roll_back(things, between)
    assert things.documents() == there
    roll_back(things, ran)
    assert things.documents() == first


class Meanwhile(Wire):
    """A wire on which something else happens before request number `at`."""

    def __init__(self, at: int, then: Callable[[], None]) -> None:
        super().__init__()
        self._at, self._then = at, then

    def gate(self) -> None:
        """As that of a wire."""
        super().gate()
        if self.asked == self._at:
            with ThreadPoolExecutor(1) as other:
                other.submit(self._then).result()


@pytest.mark.parametrize("beneath", ["create", "upsert"])
@pytest.mark.parametrize("mode", ["delete", "upsert", "replace", "update"])
@pytest.mark.parametrize("then", ["goes on", "is terminated", "is resumed"])
def test_what_a_rollback_takes_out_while_a_job_is_about_to_write_over_it_does_not_come_back(
    beneath: Mode, mode: Mode, then: str
) -> None:
    """The rollback comes before any request of the job; where it is not at work, it has been paused before that one."""
    at, reached = 0, True
    while reached:
        at += 1
        things, first = world("")
        below = job(things, beneath, "abc")
        above = things.start("above", mode, [{"key": key, "size": "2"} for key in "abc"])
        blocks = things.blocks(above, size=3)
        worker(things)
        if then == "goes on":
            wire: Wire = Meanwhile(at, lambda things=things, below=below: roll_back(things, below))  # type: ignore[misc]
            assert things.apply(above, blocks, wire) is not None
            reached = wire.asked >= at
        else:
            reached = things.apply(above, blocks, Wire(closes_after=at)) is None
        if not reached or then != "goes on":
            roll_back(things, below)
        if then == "is resumed":
            things.time += 10
            above.job = replace(above.job, command_offset=things.time)
            worker(things)
            assert things.apply(above, blocks) is not None
        roll_back(things, above)
        assert things.documents() == first, at
    assert at > 2
