"""The test kit for operations of one's own: ours keep the promises, and it finds one that does not."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

import extensions
from extensions import (
    Block,
    CannotGoOnError,
    Dataset,
    FencedError,
    Kind,
    Operation,
    Outcome,
    Result,
    RowBlock,
    Work,
    bulk_item,
)
from extensions.testing import CHECKS, Case, Check, MemoryStore, Trial, UnknownQueryError, require
from tests.support.in_memory.own_operations import OPERATIONS, PEOPLE, page_code

CASE = Case("people", PEOPLE, {**PEOPLE[0], "email": "nobody"})


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_our_operations_keep_their_promises(name: str, check: Check) -> None:
    require(check, *OPERATIONS[name])


def test_the_test_of_the_page_passes_on_the_operation_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation, test = page_code()
    (tmp_path / "rephone.py").write_text(operation, "utf-8")
    (tmp_path / "test_rephone.py").write_text(test, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    page: Any = importlib.import_module("test_rephone")
    for check in CHECKS:
        page.test_rephone_keeps_its_promises(check)


def test_the_operation_of_the_page_imports_one_module() -> None:
    lines = page_code()[0].splitlines()
    assert [line for line in lines if "import" in line] == [
        "from extensions import Kind, Outcome, Result, bulk_item, key_id"
    ]


def test_every_name_of_the_interface_is_there() -> None:
    assert len(extensions.__all__) == len(set(extensions.__all__))
    assert all(hasattr(extensions, name) for name in extensions.__all__)
    assert extensions.INTERFACE == 1, "docs/custom-operations.md and the changelog tell of another one"


class Notes:
    """Rows become documents of an index of its own. A flaw makes it break one promise."""

    name = "notes"
    kind = Kind(sources=frozenset({"file"}))
    flaw: ClassVar[str] = ""

    async def apply(self, work: Work, blocks: Sequence[Block]) -> Result:
        outcomes, errors = [], []
        for block in blocks:
            assert isinstance(block, RowBlock)
            rows = work.check(block)
            numbers = range(block.first_row, block.first_row + 99) if self.flaw == "numbers" else rows.numbers
            items = [
                bulk_item(
                    "index", work.index("notes"), self._id(work, number), {**row, "job": work.job.id, "row": number}
                )
                for number, row in zip(numbers, rows.named, strict=False)
            ]
            if not work.dry_run or self.flaw == "dry run":
                if self.flaw == "gate":
                    await work.sink.client.bulk(operations=b"\n".join(items) + b"\n")  # type: ignore[arg-type]
                elif self.flaw == "counter":
                    await self._count(work, len(items))
                    await work.send(items)
                else:
                    await work.send(items)
            if self.flaw != "recorded":
                await work.record(rows.errors)
            errors += rows.errors
            failed = 0 if self.flaw == "counts" else len(rows.errors)
            outcomes.append(Outcome(len(block.rows) - failed, failed, last_row=block.last_row))
        return Result(outcomes, errors)

    async def undo(self, work: Work, blocks: Sequence[Block]) -> Result:
        outcomes = []
        for block in blocks:
            rows: dict[str, Any] = {"range": {"row": {"gte": block.first_row, "lte": block.last_row}}}
            hits = await self._hits(work, rows)
            try:
                await work.send([bulk_item("delete", hit["_index"], hit["_id"]) for hit in hits], excused=404)
            except FencedError:
                if self.flaw != "fence":
                    raise
            outcomes.append(Outcome(undone=len(hits), last_row=block.last_row))
        return Result(outcomes[1:] if self.flaw == "outcomes" else outcomes)

    async def left_over(self, work: Work) -> tuple[int, int]:
        rows = [hit["_source"]["row"] for hit in await self._hits(work)]
        return len(rows), max(rows, default=0)

    def _id(self, work: Work, number: int) -> str:
        return f"{number}" if self.flaw == "ids" else f"{work.job.id}:{number}"

    async def _hits(self, work: Work, *filters: dict[str, Any]) -> list[dict[str, Any]]:
        if self.flaw == "neighbours":
            return await work.find(work.index("notes"), *filters)
        return await work.find(work.index("notes"), {"term": {"job.keyword": work.job.id}}, *filters)

    async def _count(self, work: Work, rows: int) -> None:
        """What nothing of its kind may do: each time adds to what was there."""
        index = work.index("counter")
        found = await work.find(index, {"ids": {"values": ["rows"]}})
        count = found[0]["_source"]["count"] if found else 0
        await work.send([bulk_item("index", index, "rows", {"count": count + rows})])


@pytest.mark.parametrize("check", CHECKS)
def test_an_operation_without_a_flaw_passes(check: Check) -> None:
    sound: Operation = Notes()
    require(check, sound, CASE)


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ("ids", "beside what another job has written"),
        ("neighbours", "an undo"),
        ("counter", "applied twice: document rows of counter"),
        ("numbers", "row numbers"),
        ("dry run", "a dry run: document"),
        ("gate", "the request bulk goes out and the gate was not asked right before"),
        ("recorded", "the row error is not recorded"),
        ("counts", "the bad row counts as failed"),
        ("fence", "undo goes on although its gate is closed"),
    ],
)
def test_a_flaw_is_found_and_said(flaw: str, words: str) -> None:
    class Flawed(Notes):
        pass

    Flawed.flaw = flaw
    found = []
    for check in CHECKS:
        try:
            require(check, Flawed(), CASE)
        except AssertionError as error:
            found.append(str(error))
    assert any(words in sentence for sentence in found), found


# -- what Work gives ---------------------------------------------------------------------------------------------------


def trial() -> Trial:
    return Trial(Notes(), CASE)


def test_a_row_error_has_its_row_and_the_columns_that_are_to_blame() -> None:
    made = trial()
    block = made.block(PEOPLE[:3], [4, 9, 12])
    error = made.work().row_error(block, 9, "two of them", "name", "country")
    assert (error.row, error.line, error.column, error.value) == (9, 10, "name, country", "Kim bob, NL")
    assert (error.reason, error.organisation) == ("two of them", "acme")
    assert dict(zip(error.columns, error.values, strict=True))["email"] == PEOPLE[1]["email"]
    assert made.work().row_error(block, 4, "no").column is None


def test_a_block_of_another_dataset_stops_the_job() -> None:
    made = trial()
    block = RowBlock(job_id="j", block=0, first_row=1, columns=["colour"], rows=[["red"]])
    with pytest.raises(CannotGoOnError, match=r"'colour'.*people"):
        made.work().check(block)


def test_work_names_its_indices() -> None:
    work = trial().work()
    assert (work.data_index, work.index("notes"), work.dry_run) == ("trial-data-people", "trial-notes", False)
    assert isinstance(work.dataset, Dataset)


# -- the memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"match": {"name": "Kim"}}, "does not understand the query 'match'"),
        ({"range": {"row": {"from": 1}}}, r"\['from'\] of a range"),
        ({"bool": {"filtre": []}}, r"\['filtre'\] of a bool query"),
        ({"term": {"job": "j1"}}, r"name 'job\.keyword' for the whole value"),
    ],
)
def test_the_memory_refuses_what_it_does_not_understand(query: dict[str, Any], words: str) -> None:
    async def ask() -> None:
        store = MemoryStore()
        await store.client.bulk(operations=bulk_item("index", "trial-own", "a", {"job": "j1", "row": 1}) + b"\n")
        await store.client.indices.refresh(index="trial-own")
        await store.client.search(index="trial-own", query=query)

    with pytest.raises(UnknownQueryError, match=words):
        asyncio.run(ask())
