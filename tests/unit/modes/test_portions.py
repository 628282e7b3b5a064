"""Rows that meet long documents: bytes that are read, kept and written at once are bounded; nothing else changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from processor.elastic.documents import bulk_item, document_lines
from processor.elastic.items import BulkItems, portions_of, size_of, text_of
from processor.operations.modes.images import ImageGroup, read_image
from processor.operations.modes.portions import FIRST, GROWTH, Portions, fitting
from processor.operations.upload import Upload
from processor.operations.work import Work
from runtime.settings import BULK_BYTES
from schemas.descriptors.datasets import Dataset, Field
from schemas.descriptors.modes import Mode
from schemas.job import Job, LaneTotals, State
from schemas.messages.blocks import RowBlock, UndoBlock
from tests.support.in_memory.control import world_in
from tests.support.in_memory.modes import ORGANISATION, Things, key_id
from tests.support.stubs.bulk import StubClient, answers, run, sink

# -- requests --------------------------------------------------------------------------------------------------------

TEXTS = st.lists(st.text("aé\n", max_size=30), max_size=12)


def lines(texts: Sequence[str]) -> Sequence[bytes]:
    return document_lines("j", "o", ["t"], range(1, len(texts) + 1), [texts])


@given(st.lists(st.tuples(st.booleans(), TEXTS), max_size=5), st.integers(1, 2000))
def test_portions_have_all_items_in_their_order_and_no_more_bytes_than_they_may(
    made: list[tuple[bool, list[str]]], most: int
) -> None:
    parts = [lines(texts) if whole else [*lines(texts)] for whole, texts in made]
    items = BulkItems(*parts)
    assert size_of(items) == len(text_of(items))
    for given_items in (items, [*items]):
        portions = list(portions_of(given_items, most))
        assert b"".join(map(text_of, portions)) == text_of(items)
        assert sum(map(len, portions)) == len(items)
        assert all(size_of(portion) <= most or len(portion) == 1 for portion in portions)
        assert all(portions)


def test_a_request_with_too_many_bytes_goes_out_in_several_one_after_the_other() -> None:
    items = [bulk_item("create", "i", f"j:{row}", {"t": "x" * 100}) for row in range(1, 8)]
    client = StubClient([answers([201, 429]), answers([503]), answers([400]), answers([201, 409])])
    sender = sink(client)
    sender.batch_bytes = len(items[0]) + 1
    found = run(sender.send(items, lambda: None))
    assert [answer.status for answer in found] == [201, 400, 201, 409, 201, 201, 201]
    assert [[item.id for item in request] for request in client.requests] == [
        *(["j:1", "j:2"], ["j:2"], ["j:2"]),
        *(["j:3", "j:4"], ["j:5", "j:6"], ["j:7"]),
    ]


def test_an_item_that_is_too_long_by_itself_is_sent_by_itself() -> None:
    client = StubClient()
    sender = sink(client)
    sender.batch_bytes = 100
    sizes = (10, 1000, 10, 10)
    run(sender.send([bulk_item("index", "i", f"{size}", {"t": "x" * size}) for size in sizes], lambda: None))
    assert [[item.id for item in request] for request in client.requests] == [["10"], ["1000"], ["10", "10"]]


def test_rows_of_an_upload_are_not_taken_apart_as_long_as_their_blocks_fit() -> None:
    """Where a request is split it is between blocks: nothing is done row by row."""
    client = StubClient()
    dataset = Dataset("pets", (Field("name", required=True),))
    uploading = Work(world_in(State.RUNNING).job(), dataset, "sluice", sink(client), lambda: None, at=17)
    blocks = [
        RowBlock(job_id="j1", block=at, first_row=1 + 3 * at, columns=["name"], rows=[["x" * 50]] * 3)
        for at in range(6)
    ]
    whole = run(Upload().apply(uploading, blocks)).outcomes
    assert len(client.requests) == 1
    uploading.sink.batch_bytes = 600
    client.requests.clear()
    assert run(Upload().apply(uploading, blocks)).outcomes == whole
    assert [len(request) for request in client.requests] == [6, 6, 6]


# -- portions --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50)), st.integers(1, 100))
def test_as_many_fit_as_have_the_bytes_and_one_always_does(sizes: list[int], most: int) -> None:
    fit = fitting(sizes, most)
    assert fit <= len(sizes) and (fit >= 1 or not sizes)
    assert sum(sizes[:fit]) <= most or fit == 1
    assert fit == len(sizes) or sum(sizes[: fit + 1]) > most


def test_a_portion_goes_by_what_was_read_and_grows_by_steps() -> None:
    portions = Portions()
    assert portions.rows("a") == FIRST
    portions.note("a", FIRST, FIRST * 10, most=1000)
    assert portions.rows("a") == FIRST
    portions.note("a", FIRST, 0, most=1000)
    assert portions.rows("a") == FIRST * GROWTH
    portions.note("a", 17, 17, most=1000)
    assert portions.rows("a") == FIRST * GROWTH, "the last rows of a batch are few"
    portions.note("a", 0, 0, most=1000)
    assert portions.rows("a") == FIRST * GROWTH
    portions.note("a", 10, 100_000, most=1000)
    assert (portions.rows("a"), portions.rows("b")) == (1, FIRST)


# -- long documents --------------------------------------------------------------------------------------------------

ROWS, LONG, BYTES = 300, 2000, 20_000
KEYS = [f"k{number:03}" for number in range(ROWS)]
ROOM = 4 * LONG
"""For a document on top, and for what a request has beside documents."""


class Watched:
    """A world whose documents are long, and which notes how long requests and answers are."""

    def __init__(self, batch_bytes: int, lengths: Sequence[int]) -> None:
        self.things = Things(batch_bytes=batch_bytes)
        self.things.operation = Upload()
        client = cast(Any, self.things.store.client)
        put = [
            bulk_item(
                "index", self.things.index, key_id(ORGANISATION, [key]), {"key": key, "size": 1, "note": "x" * length}
            )
            for key, length in zip(KEYS, lengths, strict=False)
        ]
        asyncio.run(client.bulk(operations=b"\n".join(put) + b"\n"))
        self.before = self.things.documents()
        self.written: list[tuple[int, int]] = []
        """Bytes and items of each bulk request."""
        self.read: list[int] = []
        """Bytes of each answer."""
        bulk = client.bulk
        for name in ("search", "mget"):
            setattr(client, name, self._reading(getattr(client, name)))

        async def writing(*, operations: bytes, **more: Any) -> Any:
            answer = await bulk(operations=operations, **more)
            self.written.append((len(operations), len(answer.body["items"])))
            return answer

        client.bulk = writing

    def _reading(self, method: Any) -> Any:
        async def reading(**asked: Any) -> Any:
            answer = await method(**asked)
            self.read.append(len(msgspec.json.encode(answer.body)))
            return answer

        return reading

    def undo(self, job: Job, rows: int = 120) -> list[Any]:
        blocks = [
            UndoBlock(job_id=job.id, block=at, first_row=first, last_row=min(first + rows - 1, ROWS), run=job.run)
            for at, first in enumerate(range(1, ROWS + 1, rows))
        ]
        return asyncio.run(self.things.operation.undo(self.things.work(job), blocks)).outcomes


def told(batch_bytes: int, mode: Mode, dry_run: bool, lengths: Sequence[int]) -> tuple[Any, Watched]:
    """What becomes of a job over long documents, of its repeat, and of its rollback after others have changed some."""
    watched = Watched(batch_bytes, lengths)
    things = watched.things
    ran = things.start("j", mode, [{"key": key, "size": "2"} for key in KEYS], dry_run=dry_run)
    story: list[Any] = []
    for _ in range(2):
        result = things.apply(ran, things.blocks(ran, size=150))
        assert result is not None
        story += [result.outcomes, [(error.row, error.reason) for error in result.errors]]
        story.append({key: it["size"] for key, it in things.documents().items()})
    if dry_run:
        contents = things.store.client.contents()
        return [*story, *(contents.get(f"trial-{name}", {}) for name in ("changes", "previews"))], watched
    for key in KEYS[::50]:
        things.edit(key, {"key": key, "size": 9, "note": "y" * LONG})
    for force in (False, True):
        story += [watched.undo(things.undoing(ran, force)), things.left_over(ran, force), things.documents()]
        ran.job = replace(ran.job, undone=LaneTotals(rows_kept=1))
    assert things.documents().items() >= watched.before.items()
    return story, watched


WIDTHS = {
    "all long": [LONG] * ROWS,
    "long ones behind": [10] * (ROWS // 2) + [LONG] * (ROWS // 2),
    "some very long": [BYTES * 3 if at % 40 == 7 else 10 for at in range(ROWS)],
    "half of them new": [LONG] * (ROWS // 2),
}


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("mode", ["upsert", "replace", "update", "delete"])
def test_a_batch_over_long_documents_is_as_any_other_in_requests_that_are_bounded(
    mode: Mode, dry_run: bool, widths: str
) -> None:
    lengths = WIDTHS[widths]
    wanted, _ = told(BULK_BYTES, mode, dry_run, lengths)
    found, watched = told(BYTES, mode, dry_run, lengths)
    assert found == wanted
    longest = max(lengths) + ROOM
    assert all(size <= 2 * BYTES or items == 1 for size, items in watched.written)
    assert all(size <= BYTES + longest for size, items in watched.written if items == 1), "groups are bounded as well"
    # Nobody knows at first how long documents are, or that they are longer than the ones before.
    at_once = [size for size in watched.read if size > 3 * BYTES + longest]
    assert len(at_once) <= (5 if widths != "some very long" else ROWS)
    assert max(watched.read) <= FIRST * longest


def test_a_group_that_has_lost_its_images_stays_while_its_job_is_at_work() -> None:
    """Else a repeat would make it anew, beside images that some of its rows have by themselves."""
    things = Things(batch_bytes=1)
    for key in "abc":
        things.edit(key, {"key": key, "size": 1, "note": None})
    ran = things.start("j", "upsert", [{"key": key, "size": "2"} for key in "abc"])
    (block,) = things.blocks(ran, size=3)

    class Refusing:
        """Refuses to write the first document."""

        def __init__(self) -> None:
            self.bulk_of = cast(Any, things.store.client).bulk

        async def bulk(self, *, operations: bytes, **more: Any) -> Any:
            if operations.startswith(b'{"index":{"_index":"trial-data-things"') and b'"key":"a"' in operations:
                error = {"type": "mapper_parsing_exception", "reason": "no"}
                body = {"errors": True, "items": [{"index": {"status": 400, "error": error}}]}
                return type("Response", (), {"body": body})()
            return await self.bulk_of(operations=operations, **more)

    things.store.client.bulk = Refusing().bulk  # type: ignore[method-assign]
    result = things.apply(ran, [block])
    assert result is not None and [error.row for error in result.errors] == [1]
    kept = [read_image(msgspec.json.encode(it)) for it in things.store.client.contents()["trial-images"].values()]
    groups = [it for it in kept if isinstance(it, ImageGroup)]
    assert [(it.first_row, it.entries) for it in groups] == [(1, 0)]
    assert len(kept) == 3, "the other rows have images by themselves"
    assert things.undo(ran) and things.left_over(ran) == (0, 0)
    assert {key: it["size"] for key, it in things.documents().items()} == dict.fromkeys("abc", 1)
