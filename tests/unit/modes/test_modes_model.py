"""Any sequence of jobs in write modes, edits by others, crashes and rollbacks ends where a model of it ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extensions.testing.wire import Wire
from runtime.settings import BULK_BYTES
from schemas.descriptors.modes import MODES
from tests.support.in_memory.modes import Things

KEYS = ("a", "b", "c")
ROWS = st.lists(
    st.fixed_dictionaries(
        {"key": st.sampled_from(KEYS), "size": st.sampled_from(("1", "2", "")), "note": st.sampled_from(("x", "y", ""))}
    ),
    min_size=1,
    max_size=4,
)
ACTIONS = st.one_of(
    st.tuples(
        st.just("job"),
        st.sampled_from(MODES),
        ROWS,
        st.sampled_from(("keep", "clear")),
        st.integers(0, 30),
        st.booleans(),
    ),
    st.tuples(st.just("abandon"), st.sampled_from(MODES), ROWS, st.just("keep"), st.integers(0, 12)),
    st.tuples(
        st.just("interrupted"),
        st.sampled_from(MODES),
        ROWS,
        st.integers(1, 20),
        st.sampled_from(KEYS),
        st.sampled_from(("edit", "delete", "strange")),
    ),
    st.tuples(st.just("edit"), st.sampled_from(KEYS), st.sampled_from(("edit", "delete", "strange"))),
    st.tuples(st.just("undo"), st.integers(0, 5), st.integers(0, 30)),
)

PORTIONS = st.sampled_from((1, 150, BULK_BYTES))
"""Bytes of documents that are worked on at once: those of one, of a few, or all of a batch."""


def broken(at: int) -> Wire | None:
    """A wire that breaks somewhere: within a bulk request, or before a request."""
    if at == 0:
        return None
    return Wire(dies_after=at // 2) if at % 2 else Wire(closes_after=at // 2)


class Story:
    """Carries actions out, in the store and in the model."""

    def __init__(self, batch_bytes: int = BULK_BYTES) -> None:
        self.things = Things(batch_bytes=batch_bytes)
        self.names: list[str] = []
        self.edits = 0
        self.interrupted_jobs: set[str] = set()
        """After their crash an image does not say whether its row was written before another program came: it stays."""

    def act(self, action: Any) -> None:
        match action:
            case ("job", mode, rows, empty, at, grouped):
                self.job(mode, rows, empty if mode in ("upsert", "update") else "keep", at, grouped)
            case ("interrupted", mode, rows, at, key, how):
                self.interrupted(mode, rows, at, key, how)
            case ("abandon", mode, rows, _, at):
                self.abandoned(mode, rows, at)
            case ("edit", key, how):
                self.edit(key, how)
            case ("undo", number, at):
                if self.names:
                    self.undo(self.names.pop(number % len(self.names)), at)
        self.things.check()

    def job(self, mode: Any, rows: Any, empty: str, at: int, grouped: bool = True) -> None:
        name = f"job-{len(self.things.jobs)}"
        ran = self.things.start(name, mode, rows, grouped, empty=empty)
        blocks = self.things.blocks(ran)
        first = self.things.apply(ran, blocks, broken(at))
        if first is None:
            first = self.things.apply(ran, blocks)
        assert first is not None
        expected = self.things.expect_applied(ran)
        counted = {
            kind: sum(getattr(outcome, kind) for outcome in first.outcomes)
            for kind in ("created", "updated", "unchanged", "deleted", "failed")
        }
        assert counted == {kind: expected[kind] for kind in counted}
        again = self.things.apply(ran, blocks)
        assert again is not None
        same = [(outcome.applied, outcome.failed, outcome.created, outcome.deleted) for outcome in first.outcomes]
        assert [(o.applied, o.failed, o.created, o.deleted) for o in again.outcomes] == same, "a repeat counts the same"
        self.names.append(name)

    def interrupted(self, mode: Any, rows: Any, at: int, key: str, how: str) -> None:
        """A job that dies halfway; another program changes a document; the job goes on.

        In the mode `create`, which keeps no images, no document is deleted: the job would make it again.
        """
        how = "strange" if (mode, how) == ("create", "delete") else how
        name = f"job-{len(self.things.jobs)}"
        ran = self.things.start(name, mode, rows)
        blocks = self.things.blocks(ran)
        self.interrupted_jobs.add(name)
        self.things.apply(ran, blocks, broken(at))
        self.things.note_written(ran)
        self.things.check()
        # Once the job has kept an image, it can't tell another's deletion from its own, and restores rather too much.
        own = mode == "delete" and how == "delete" and key in ran.claimed
        self.edit(key, how, taken_for=name if own else None)
        self.things.sink = None  # another worker goes on, also where nothing was left to break off
        assert self.things.apply(ran, blocks) is not None
        self.things.note_winners(ran)
        self.things.expect_applied(ran)
        self.names.append(name)

    def abandoned(self, mode: Any, rows: Any, at: int) -> None:
        """A job that dies halfway, and is rolled back: nothing of it is left."""
        name = f"job-{len(self.things.jobs)}"
        ran = self.things.start(name, mode, rows)
        self.things.apply(ran, self.things.blocks(ran), broken(at + 1))
        assert self.things.undo(ran) is not None
        self.settle(ran)

    def settle(self, ran: Any) -> None:
        for _ in range(3):
            remaining, _ = self.things.left_over(ran)
            if not remaining:
                return
            # The next round of the rollback: the job has totals of the round before.
            ran.job = _with_undone(ran.job)
            assert self.things.undo(ran) is not None
        raise AssertionError("something of the job is left, round after round")

    def edit(self, key: str, how: str, taken_for: str | None = None) -> None:
        self.edits += 1
        now = self.things.documents().get(key)
        if how == "delete":
            if now is not None:
                self.things.edit(key, None, taken_for)
        elif how == "edit" and now is not None:
            self.things.edit(key, {**now, "note": f"edit {self.edits}"})
        else:
            self.things.edit(key, {"key": key, "size": 1000 + self.edits, "note": None})

    def undo(self, name: str, at: int) -> None:
        ran = self.things.jobs[name]
        wire = broken(at)
        if self.things.undo(ran, wire) is None:
            assert self.things.undo(ran) is not None
        result = self.things.undo(ran)
        assert result is not None
        expected = self.things.expect_undone(name)
        restored = sum(outcome.restored for outcome in result.outcomes)
        kept = sum(outcome.kept for outcome in result.outcomes)
        failed = sum(outcome.not_restored for outcome in result.outcomes)
        assert failed == 0
        if name in self.interrupted_jobs:
            pass  # it does not know what it had written before its crash, where another program has replaced it since
        elif any(self.things.jobs[other].claimed.keys() & ran.claimed.keys() for other in self.interrupted_jobs):
            # Of a document that such a job may have written over, a rollback beneath it says that it is kept.
            assert restored + kept == expected["restored"] + expected["kept"]
        else:
            assert (restored, kept) == (expected["restored"], expected["kept"])
        self.settle(ran)


def _with_undone(job: Any) -> Any:
    from msgspec.structs import replace

    from schemas.job import LaneTotals

    return replace(job, undone=LaneTotals())


@settings(max_examples=100, deadline=None)
@given(st.lists(ACTIONS, min_size=1, max_size=9), PORTIONS)
def test_any_sequence_ends_where_the_model_ends(actions: list[Any], batch_bytes: int) -> None:
    story = Story(batch_bytes)
    for action in actions:
        story.act(action)


def test_a_job_that_made_a_document_before_its_crash_leaves_the_one_that_another_program_put_there() -> None:
    story, row = Story(), {"key": "a", "size": "1", "note": "x"}
    story.act(("interrupted", "create", [row], 2, "a", "strange"))
    there = story.things.documents()["a"]
    story.act(("job", "create", [row], "keep", 0, False))
    story.act(("undo", 0, 0))
    assert story.things.documents()["a"] == there


def test_a_deletion_is_undone_when_what_was_made_anew_and_written_over_is_gone() -> None:
    """The job that made it was undone beneath the one that wrote over it, then that one."""
    story = Story()
    story.things.edit("a", {"key": "a", "size": 7, "note": "first"})
    before = story.things.documents()
    for mode, note in (("delete", "x"), ("create", "x"), ("upsert", "y")):
        story.job(mode, [{"key": "a", "size": "1", "note": note}], "keep", 0)
    for name in (story.names[1], story.names[2], story.names[0]):
        story.undo(name, 0)
        story.things.check()
    assert story.things.documents() == before


def test_what_another_program_deletes_stays_deleted_when_a_job_beneath_is_undone() -> None:
    """The job that made the document anew has only created: its receipt tells that of the deletion beneath it."""
    row = {"key": "a", "size": "1", "note": "x"}
    for undone_first in (0, 1):
        story = Story()
        story.edit("a", "strange")
        first = story.things.documents()
        for mode in ("delete", "create"):
            story.job(mode, [row], "keep", 0)
        story.edit("a", "delete")
        for name in (story.names[undone_first], story.names[1 - undone_first]):
            assert story.things.documents() == {}
            story.undo(name, 0)
            story.things.check()
        # Taken out by the rollback of the job that made it anew, it is as the deletion has left it.
        assert story.things.documents() == ({} if undone_first == 0 else first)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(MODES), ROWS), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
    st.integers(0, 30),
    PORTIONS,
)
def test_jobs_undone_in_any_order_give_back_the_first_state(
    jobs: list[Any], chance: Any, at: int, batch_bytes: int
) -> None:
    story = Story(batch_bytes)
    for number, key in enumerate(KEYS[:2]):
        story.things.edit(key, {"key": key, "size": 7 + number, "note": "first"})
    before = story.things.documents()
    for mode, rows in jobs:
        story.job(mode, rows, "keep", 0)
    order = list(story.names)
    chance.shuffle(order)
    for name in order:
        story.undo(name, at)
        story.things.check()
    assert story.things.documents() == before


ONE, OTHER, BEHIND = ({"key": key, "size": "1", "note": note} for key, note in ("ax", "ay", "bx"))


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("batch_bytes", "rows", "at"),
    [(1, [ONE, OTHER, ONE], 3), (BULK_BYTES, [ONE, OTHER, ONE], 3), (1, [ONE, ONE, BEHIND, OTHER], 7)],
)
def test_a_row_gives_up_what_it_kept_before_a_crash_where_another_one_with_its_key_was_first(
    batch_bytes: int, rows: list[dict[str, str]], at: int, force: bool
) -> None:
    """Another program changes the document after the crash, so that a row before it comes to write it."""
    story = Story(batch_bytes)
    story.job("create", [ONE], "keep", 0, False)
    story.interrupted("upsert", rows, at, "a", "edit")
    ran = story.things.jobs["job-1"]
    assert story.things.undo(ran, force=force) and story.things.left_over(ran, force) == (0, 0)
    left = story.things.documents()["a"]
    assert (left["note"], left["sluice"]["job_id"]) == ("edit 1", "job-0")
