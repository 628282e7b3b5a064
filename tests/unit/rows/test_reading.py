"""What is read of Elasticsearch is all that was asked for: what it can't read for a moment is asked for again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as replaced
from typing import Any, cast

import pytest
from msgspec.structs import replace

from processor.elastic.reading import get_docs
from processor.errors import CannotGoOnError
from schemas.descriptors.modes import MODES
from schemas.job import Source
from tests.modes_world import THINGS, Things
from tests.processor_stub import StubClient, run, sink

AWAY = {"type": "no_shard_available_action_exception", "reason": "No shard available for [get]"}
BUSY = {"type": "es_rejected_execution_exception", "reason": "rejected execution on queue capacity"}
BROKEN = {"type": "corrupt_index_exception", "reason": "checksum failed", "caused_by": {"reason": "disk"}}


def troubled(things: Things, at: int, place: int, error: dict[str, Any]) -> Callable[[], bool]:
    """From now on the `at`-th `mget` has an error in one document's place; answers whether it has come to that."""
    client, calls = cast(Any, things.store.client), 0
    real = client.mget

    async def mget(*, index: str, ids: list[str], **more: Any) -> Any:
        nonlocal calls
        answer = await real(index=index, ids=ids, **more)
        if calls == at:
            answer.body["docs"][place % len(ids)] = {"_index": index, "_id": ids[place % len(ids)], "error": error}
        calls += 1
        return answer

    client.mget = mget
    things.sink = sink(client)
    return lambda: calls > at


def story(
    mode: Any, dry_run: bool, by_inbox: bool, trouble: tuple[int, int] | None, error: Any = AWAY
) -> tuple[Any, bool]:
    """What a job and its repeat and its rollback lead to, and whether the trouble has come."""
    scoped = THINGS if mode is not None else replaced(THINGS, key_scope="job", modes=("create",))
    things = Things(dataset=scoped)
    for key in "abc":
        things.edit(key, {"key": key, "size": 1, "note": "first"})
    rows = [{"key": key, "size": size} for key, size in zip("bcdea", "21345", strict=True)]
    ran = things.start("j", mode, rows, dry_run=dry_run)
    source = Source(kind="topic") if by_inbox else ran.job.source
    ran.job = replace(ran.job, source=source, mode=mode)
    came: Callable[[], bool] = bool if trouble is None else troubled(things, *trouble, error)
    told: list[Any] = []
    for _ in range(2):  # a repeat meets what the job has written
        result = things.apply(ran, things.blocks(ran))
        assert result is not None
        told.append((result.outcomes, [(one.row, one.reason) for one in result.errors], things.documents()))
    if not dry_run:
        things.edit("b", {"key": "b", "size": 9, "note": "meanwhile"})
        for _ in range(2):
            undone = things.undo(ran)
            assert undone is not None
            told.append((undone.outcomes, things.documents()))
    return told, came()


@pytest.mark.parametrize("error", [AWAY, BUSY], ids=["away", "busy"])
@pytest.mark.parametrize("by_inbox", [False, True], ids=["file", "inbox"])
@pytest.mark.parametrize("dry_run", [False, True], ids=["real", "dry run"])
@pytest.mark.parametrize("mode", [*MODES, None])
def test_a_document_that_can_not_be_read_for_a_moment_changes_nothing(
    mode: Any, dry_run: bool, by_inbox: bool, error: dict[str, Any]
) -> None:
    """Whichever read it is of an upload, its repeat and its rollback, and whichever document of it."""
    wanted, _ = story(mode, dry_run, by_inbox, None)
    at, met = 0, True
    while met:
        for place in range(2):
            found, met = story(mode, dry_run, by_inbox, (at, place), error)
            assert found == wanted, f"read {at}, document {place}"
        at += 1
    assert at > 1 or (mode is None and not dry_run), "the story reads documents by their ids"


@pytest.mark.parametrize("mode", MODES)
def test_a_document_that_can_not_be_read_at_all_fails_the_job_with_the_reason(mode: Any) -> None:
    with pytest.raises(CannotGoOnError, match=r"can't read a document of .*: checksum failed: disk \(corrupt_index"):
        story(mode, dry_run=False, by_inbox=True, trouble=(0, 0), error=BROKEN)


class Docs(StubClient):
    """Answers each `mget` with the next of these errors, and with a document after that."""

    def __init__(self, *errors: dict[str, Any]) -> None:
        super().__init__()
        self.errors = list(errors)

    async def mget(self, **_: Any) -> Any:
        doc = {"error": self.errors.pop(0)} if self.errors else {"found": True, "_source": {"a": 1}, "_seq_no": 3}
        return type("Response", (), {"body": {"docs": [doc]}})()


def test_pauses_between_reads_grow_and_the_trouble_is_told_while_it_lasts() -> None:
    pauses: list[float] = []
    told: list[str | None] = []
    docs = run(get_docs(sink(Docs(AWAY, BUSY, AWAY), told.append, pauses.append), lambda: None, "i", ["1"]))
    assert [doc.seq for doc in docs] == [3]
    assert pauses == [0.1, 0.2, 0.4]
    assert [str(one).rpartition(": ")[2] for one in told] == [AWAY["reason"], BUSY["reason"], AWAY["reason"]]


@pytest.mark.parametrize(
    "kind", ["cluster_block_exception", "index_closed_exception", "security_exception", "something_new"]
)
def test_what_another_read_would_not_change_fails_the_job(kind: str) -> None:
    with pytest.raises(CannotGoOnError, match=rf"no \({kind}\)"):
        run(get_docs(sink(Docs({"type": kind, "reason": "no"})), lambda: None, "i", ["1"]))


def test_an_index_that_is_not_there_has_no_documents() -> None:
    (doc,) = run(get_docs(sink(Docs({"type": "index_not_found_exception"})), lambda: None, "i", ["1"]))
    assert not doc.found
