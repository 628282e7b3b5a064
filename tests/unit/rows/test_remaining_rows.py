"""Documents that other programs have copied are not a job's: no undo takes them out, and the count leaves them out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from extensions.testing import MemoryStore
from processor.elastic.documents import bulk_item
from processor.elastic.reading import PAGE
from schemas.descriptors.datasets import Dataset, Field
from schemas.descriptors.modes import MODES, Mode
from schemas.job import LaneTotals
from schemas.messages.blocks import UndoBlock
from tests.support.in_memory.modes import THINGS, Ran, Things

PETS = Dataset("pets", (Field("name", required=True),))
KEYED = Dataset("pets", (Field("name", required=True),), primary_key=("name",))


def uploaded(dataset: Dataset) -> tuple[Things, Ran]:
    """A job without a mode that has written three rows."""
    things = Things(dataset=dataset, store=MemoryStore(dataset))
    ran = things.start("j", "create", [{"name": "Rex"}, {"name": "Kim"}, {"name": "Tom"}])
    ran.job = replace(ran.job, mode=None, exclusive_key=None)
    assert things.apply(ran, things.blocks(ran))
    return things, ran


def put(things: Things, documents: Mapping[str, Any]) -> None:
    """Another program writes documents under ids of its own."""
    items = [bulk_item("index", things.index, key, document) for key, document in documents.items()]
    asyncio.run(things.store.client.bulk(operations=b"\n".join(items) + b"\n"))


def there(things: Things) -> dict[str, Any]:
    return things.store.client.contents()[things.index]


def undone(things: Things, ran: Ran) -> int:
    result = things.undo(ran)
    assert result is not None
    return sum(outcome.undone for outcome in result.outcomes)


def test_copies_under_other_ids_are_no_rows_that_are_left() -> None:
    things, ran = uploaded(PETS)
    copy = there(things)["j:3"]
    put(things, {"copy": copy, "j:copy": copy, "other:3": copy})
    assert things.left_over(ran) == (3, 3)
    assert undone(things, ran) == 3
    assert things.left_over(ran) == (0, 0)
    assert set(there(things)) == {"copy", "j:copy", "other:3"}, "they are not the job's"


def test_a_row_that_is_left_is_found_among_more_copies_than_a_search_gives() -> None:
    things, ran = uploaded(PETS)
    rows = there(things)
    first, second = rows["j:1"], rows["j:2"]
    assert undone(things, ran) == 3
    put(things, {f"copy-{number}": first for number in range(PAGE - 1)})
    put(things, {"copy-of-2": second, "another-of-2": second, "j:2": second})
    assert things.left_over(ran) == (1, 2)
    assert undone(things, ran) == 1
    assert things.left_over(ran) == (0, 0)


@pytest.mark.parametrize("mark", [{"row_number": 0}, {"row_number": None}])
@pytest.mark.parametrize("dataset", [PETS, KEYED], ids=["plain", "keyed"])
def test_copies_without_the_number_of_a_row_are_no_rows_that_are_left(dataset: Dataset, mark: dict[str, Any]) -> None:
    things, ran = uploaded(dataset)
    copy = next(iter(there(things).values()))
    put(things, {"copy": {**copy, "sluice": {**copy["sluice"], **mark}}})
    assert things.left_over(ran) == (3, 3)
    assert undone(things, ran) == 3
    assert things.left_over(ran) == (0, 0)


KINDS: list[tuple[Dataset, Mode | None]] = [
    (PETS, None),
    (KEYED, None),
    *((THINGS, mode) for mode in MODES if mode != "delete"),
]


def written(dataset: Dataset, mode: Mode | None) -> tuple[Things, Ran]:
    """A job that has written three rows, over documents where its mode needs them."""
    if mode is None:
        return uploaded(dataset)
    things = Things()
    if mode != "create":
        for key in "abc":
            things.edit(key, {"key": key, "size": 1, "note": "first"})
    ran = things.start("j", mode, [{"key": key, "size": "2"} for key in "abc"])
    assert things.apply(ran, things.blocks(ran))
    return things, ran


@pytest.mark.parametrize(
    ("force", "purged", "copies"),
    [(False, False, PAGE), *((force, purged, 1) for force in (False, True) for purged in (False, True))],
)
@pytest.mark.parametrize(("dataset", "mode"), KINDS)
def test_a_rollback_takes_out_what_its_job_has_made_and_no_copy_of_it(
    dataset: Dataset, mode: Mode | None, force: bool, purged: bool, copies: int
) -> None:
    """Neither its first round nor a later one, by images or by marks alone, and whatever the copies' ids are like."""
    things, ran = written(dataset, mode)
    documents = there(things)
    # Ids of the job itself are of the one form that its rows have; all others are those of copies.
    ids = ["copy", "j:copy", 'of "j":1', "other:1", "acme:1", f"other:{'0' * 32}", "snapshot-2026:1"]
    ids += [f"{'acme' if mode is None else 'j'}:{'0' * 32}", *(f"copy-{number}" for number in range(copies - 1))]
    last = max(documents.values(), key=lambda it: int(it["sluice"]["row_number"]))
    copied = {key: [*documents.values(), last][min(at, 3)] for at, key in enumerate(ids)}
    put(things, copied)
    if purged:
        things.store.client._indices.pop(f"{things.store.prefix}-images", None)
    for _ in range(2):
        assert things.undo(ran, force=force)
        found = there(things)
        assert {key: document for key, document in found.items() if key in copied} == copied
        ran.job = replace(ran.job, undone=LaneTotals())
    if purged and mode not in (None, "create"):  # nothing tells what was there before
        assert found == copied | documents
    else:
        assert things.left_over(ran, force) == (0, 0)
        marked = {key for key, it in found.items() if it.get("sluice", {}).get("job_id") == "j"}
        assert marked == set(copied)


@pytest.mark.parametrize(("dataset", "mode"), KINDS)
def test_the_rows_that_are_left_are_counted_among_copies(dataset: Dataset, mode: Mode | None) -> None:
    things, ran = written(dataset, mode)
    first = min(there(things).values(), key=lambda it: int(it["sluice"]["row_number"]))
    put(things, {f"copy-{number}": first for number in range(PAGE + 1)})
    assert things.left_over(ran) == (3, 3)


def test_in_write_modes_a_row_that_is_left_is_found_among_more_copies_than_a_search_gives() -> None:
    things = Things()
    things.edit("b", {"key": "b", "size": 1, "note": None})
    ran = things.start("j", "upsert", [{"key": "a", "size": "2"}, {"key": "b", "size": "2"}])
    assert things.apply(ran, things.blocks(ran))
    written = there(things)
    one, two = sorted(written, key=lambda key: written[key]["sluice"]["row_number"])
    assert undone(things, ran) == 2
    put(things, {f"copy-{number}": written[one] for number in range(PAGE - 1)})
    put(things, {"copy-of-2": written[two], two: written[two]})
    assert things.left_over(ran) == (1, 2)


def test_a_rollback_of_a_write_mode_that_begins_anew_counts_each_row_once() -> None:
    """Its first round broke off in between; the next one goes over all blocks."""
    things = Things()
    for key in "abcd":
        things.edit(key, {"key": key, "size": 1, "note": "first"})
    before = there(things)
    ran = things.start("j", "upsert", [{"key": key, "size": "2"} for key in "abcd"])
    assert things.apply(ran, things.blocks(ran))
    job = things.undoing(ran, force=False)

    def round_of(run: int, undone: LaneTotals | None, rows: int) -> int:
        current = replace(job, run=run, undone=undone)
        blocks = [UndoBlock(job_id="j", block=at, first_row=at + 1, last_row=at + 1, run=run) for at in range(rows)]
        result = asyncio.run(things.operation.undo(things.work(current), blocks))
        assert all(outcome.restored == outcome.undone for outcome in result.outcomes)
        return sum(outcome.restored for outcome in result.outcomes)

    assert round_of(1, None, rows=3) == 3
    assert round_of(2, LaneTotals(rows_undone=3, rows_restored=3, blocks=3), rows=4) == 1
    assert there(things) == before
    ran.job = replace(ran.job, run=2)
    assert things.left_over(ran) == (0, 0)
