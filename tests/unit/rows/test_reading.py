"""What is read of Elasticsearch is all that was asked for: what it can't read for a moment is asked for again."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable
from dataclasses import replace as replaced
from typing import Any, cast

import pytest
from msgspec.structs import replace

from processor.elastic import reading
from processor.elastic.deleting import delete_found
from processor.elastic.reading import find_all, get_docs, search_several
from processor.errors import CannotGoOnError
from schemas.descriptors.modes import MODES, Mode
from schemas.job import LaneTotals, Source
from tests.support.in_memory.modes import THINGS, Things
from tests.support.places import ROOT
from tests.support.stubs.bulk import StubClient, api_error, run, sink

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


# -- searches --------------------------------------------------------------------------------------------------------

OF_THEIR_OWN = {
    "backups/comparing.py": "a command without a sink, that ends with the error",
    "operations/export.py": "undecoded pages of a point in time, each with a limit of its own",
}
"""Files with searches of their own, and why; each forbids partial results by itself."""
READING = {"search", "msearch", "mget", "count", "open_point_in_time", "scroll"}


def test_whatever_a_worker_reads_it_reads_by_the_one_module_for_it() -> None:
    """There are no other requests on a client that search, or that read several documents."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "processor").rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        asked = [
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in READING
            if any(name in ast.unparse(node.value).lower() for name in ("client", "elastic", "writer"))
        ]
        if asked and str(file) != reading.__file__:
            found[str(file.relative_to(ROOT / "processor"))] = asked
    assert {file: asked for file, asked in found.items() if file not in OF_THEIR_OWN} == {}


@pytest.mark.parametrize("file", OF_THEIR_OWN)
def test_searches_elsewhere_allow_no_partial_results_either(file: str) -> None:
    source = (ROOT / "processor" / file).read_text("utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    searching = [call for call in calls if "client.search" in "".join(map(ast.unparse, [call.func, *call.args]))]
    assert searching
    for call in searching:
        named = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert named.get("allow_partial_search_results") == "False", ast.unparse(call)


def shard_away(things: Things) -> list[bool]:
    """From now on every third document is on a shard that comes back only once a search that needs it was refused.

    Answers what each search has said of partial results.
    """
    client, refused, said = cast(Any, things.store.client), set[str](), list[bool]()
    real = client.search

    async def search(*, allow_partial_search_results: bool = True, **asked: Any) -> Any:
        said.append(allow_partial_search_results)
        answer = await real(**asked)
        if allow_partial_search_results:
            hits = answer.body["hits"]["hits"]
            hits[:] = [hit for hit in hits if sum(hit["_id"].encode()) % 3]
        elif (what := repr(asked)) not in refused:
            refused.add(what)
            raise api_error(503, {"error": {"type": "search_phase_execution_exception"}, "status": 503})
        return answer

    client.search = search
    things.sink = sink(client)
    return said


@pytest.mark.parametrize("purged", [False, True])
@pytest.mark.parametrize("mode", [*MODES, None])
def test_nothing_is_left_out_of_a_job_or_its_rollback_while_a_shard_is_away(mode: Any, purged: bool) -> None:
    things = Things(dataset=THINGS if mode is not None else replaced(THINGS, key_scope="job", modes=("create",)))
    keys = "abcdefghijkl"
    if mode not in ("create", None):
        for key in keys:
            things.edit(key, {"key": key, "size": 1, "note": "first"})
    before = things.documents()
    ran = things.start("j", mode, [{"key": key, "size": "2"} for key in keys])
    ran.job = replace(ran.job, mode=mode)
    said = shard_away(things)
    result = things.apply(ran, things.blocks(ran))
    assert result is not None and sum(outcome.applied for outcome in result.outcomes) == len(keys)
    if purged and mode in ("create", None):  # their images are gone: only the documents say what the job has written
        things.store.client._indices.pop(f"{things.store.prefix}-images", None)
    for _ in range(2):
        undone = things.undo(ran)
        assert undone is not None
        assert things.documents() == before
        assert things.left_over(ran) == (0, 0)
        ran.job = replace(ran.job, undone=LaneTotals())
    assert said and not any(said)


@pytest.mark.parametrize("mode", ["create", "upsert"])
def test_a_rollback_does_not_end_as_long_as_a_shard_has_rows_of_the_job(mode: Mode) -> None:
    things = Things()
    ran = things.start("j", mode, [{"key": key, "size": "2"} for key in "abcdefghijkl"])
    assert things.apply(ran, things.blocks(ran))
    things.sink = None
    said = shard_away(things)
    assert things.left_over(ran) == (12, 12)
    assert said and not any(said)


def test_a_deletion_of_what_a_query_finds_leaves_nothing_on_a_shard_that_is_away() -> None:
    things = Things()
    for key in "abcdefghijkl":
        things.edit(key, {"key": key, "size": 1, "note": "first"})
    shard_away(things)
    client = cast(Any, things.store.client)
    assert run(delete_found(sink(client), things.index, {"match_all": {}}, lambda: None)) == 12
    assert things.documents() == {}


@pytest.mark.parametrize("page", [1, 2, 3, 7, 8, 100])
@pytest.mark.parametrize(("first", "last"), [(1, None), (2, 3), (3, 3)])
def test_pages_have_every_document_once_however_many_have_the_same_number(
    page: int, first: int, last: int | None
) -> None:
    things = Things()
    numbers = [1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 3, 4, 9]
    for at, number in enumerate(numbers):
        mark = {"job_id": "j", "row_number": number, "organisation": "acme"}
        things.edit(f"{at}", {"key": f"{at}", "size": 1, "note": None, "sluice": mark})
    client = cast(Any, things.store.client)

    async def pages() -> list[list[float]]:
        await client.indices.refresh(index=things.index)
        mine = [{"term": {"sluice.job_id": "j"}}]
        asked = find_all(
            sink(client), lambda: None, things.index, mine, "sluice.row_number", first=first, last=last, page=page
        )
        return [[hit.sort[0] for hit in hits] async for hits in asked]

    found = asyncio.run(pages())
    assert [number for hits in found for number in hits] == [
        number for number in numbers if first <= number <= (last or 9)
    ]
    assert max(map(len, found)) <= page


class Searches(StubClient):
    """Answers each of several searches in one request with the next status."""

    def __init__(self, *statuses: int) -> None:
        super().__init__()
        self.statuses = list(statuses)
        self.headers: list[Any] = []

    async def msearch(self, *, searches: list[Any], **_: Any) -> Any:
        self.headers += searches[::2]
        some = [self.statuses.pop(0) for _ in searches[::2]]
        error = {"type": "search_phase_execution_exception", "reason": "a shard is away"}
        parts = [{"hits": [], "status": 200} if it == 200 else {"error": error, "status": it} for it in some]
        return type("Response", (), {"body": {"responses": parts}})()


def test_searches_in_one_request_have_all_an_answer_or_are_made_again() -> None:
    client = cast(Any, Searches(200, 503, 200, 429, 200, 200))
    asked: list[Any] = [{}, {"query": 1}, {}, {"query": 2}]
    found = run(sink(client).ask(lambda: search_several(client, "i", asked), lambda: None))
    assert [one["status"] for one in found] == [200, 200]
    assert client.headers == [{"allow_partial_search_results": False}] * 6 and asked[0] == {}


def test_a_search_of_several_that_another_try_would_not_change_is_refused() -> None:
    client = cast(Any, Searches(200, 400))
    with pytest.raises(CannotGoOnError, match="a shard is away"):
        run(sink(client).ask(lambda: search_several(client, "i", [{}, {}, {}, {}]), lambda: None))
