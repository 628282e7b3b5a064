"""Upload: rows become documents under fixed ids, refused ones row errors; undo takes out what was written."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from processor.errors import CannotGoOnError, FencedError
from processor.operations.dry_run_preview import SHOWN_ROWS, WITHIN_ROWS
from processor.operations.resolved_errors import end_errors
from processor.operations.row_errors import error_item
from processor.operations.upload import Upload
from processor.operations.work import Result, Work
from processor.outcome import Outcome
from schemas.descriptors.datasets import Dataset, Field
from schemas.descriptors.fields import UploadTime
from schemas.job import Options, State
from schemas.messages.blocks import RowBlock, UndoBlock
from schemas.messages.progress import RowError
from tests.support.in_memory.control import world_in
from tests.support.stubs.bulk import StubClient, answers, run, sink

DATASET = Dataset("pets", (Field("name", required=True), Field("age", "integer")))
BLOCK = RowBlock(
    job_id="j1",
    block=2,
    first_row=7,
    first_line=8,
    columns=["age", "name"],
    rows=[["3", "Rex"], ["", 'Tom "the cat"'], ["old", "Kim"]],
)


def work(client: StubClient, dry_run: bool = False) -> Work:
    job = replace(world_in(State.RUNNING).job(), organisation="acme", options=Options(dry_run=dry_run))
    return Work(job, DATASET, "sluice", sink(client), lambda: None, at=17)


def apply(client: StubClient, *blocks: RowBlock, dry_run: bool = False) -> Result:
    return run(Upload().apply(work(client, dry_run), blocks or (BLOCK,)))


def test_defaults_and_constants_of_the_job_are_in_every_document() -> None:
    client = StubClient()
    day = Field("day", "datetime", required=True, default=UploadTime())
    base = work(client)
    job = replace(base.job, options=Options(set={"age": "7"}), created_at=1_790_000_000_123)
    dataset = Dataset("pets", (*DATASET.fields, day))
    mine = Work(job, dataset, "sluice", sink(client), lambda: None, at=17)
    run(Upload().apply(mine, [replace(BLOCK, columns=["", "name"])]))
    (items,) = client.requests
    documents = [item.document for item in items if item.document]
    assert [(one["name"], one["age"], one["day"]) for one in documents] == [
        (name, 7, "2026-09-21T14:13:20Z") for name in ("Rex", 'Tom "the cat"', "Kim")
    ]


def test_a_constant_that_does_not_fit_fails_the_job_with_its_reason() -> None:
    client = StubClient()
    base = work(client)
    mine = Work(
        replace(base.job, options=Options(set={"age": "old"})), DATASET, "sluice", sink(client), lambda: None, 17
    )
    with pytest.raises(CannotGoOnError, match="age is 'old' in every row, and is not a whole number"):
        run(Upload().apply(mine, [replace(BLOCK, columns=["", "name"])]))


def undo(client: StubClient, first: int, last: int) -> Result:
    return run(Upload().undo(work(client), [UndoBlock(job_id="j1", block=0, first_row=first, last_row=last, run=1)]))


def test_a_good_row_is_a_document_with_its_origin() -> None:
    client = StubClient()
    result = apply(client)
    (items,) = client.requests
    rex, tom, error = items
    assert (rex.action, rex.index, rex.id) == ("create", "sluice-data-pets", "j1:7")
    assert rex.document == {
        "age": 3,
        "name": "Rex",
        "sluice": {"job_id": "j1", "row_number": 7, "organisation": "acme"},
    }
    assert tom.document is not None
    assert (tom.document["age"], tom.document["name"]) == (None, 'Tom "the cat"')
    assert (error.action, error.index, error.id) == ("index", "sluice-errors", "j1:9")
    assert result.outcomes == [Outcome(applied=2, failed=1, last_row=9)]


def test_a_bad_row_is_recorded_with_where_and_why() -> None:
    client = StubClient()
    (error,) = apply(client).errors
    assert (error.row, error.line, error.column, error.value) == (9, 10, "age", "old")
    assert error.reason == "age is not a whole number"
    assert dict(zip(error.columns, error.values, strict=True)) == {"age": "old", "name": "Kim"}
    assert (error.organisation, error.at) == ("acme", 17)
    document = client.requests[0][-1].document
    assert document is not None
    assert (document["row"], document["reason"], document["organisation"]) == (9, error.reason, "acme")


def test_a_row_that_is_there_already_is_our_own_from_before() -> None:
    result = apply(StubClient([answers(_7=(409, "version conflict"))]))
    assert result.outcomes == [Outcome(applied=2, failed=1, last_row=9)]
    assert [error.row for error in result.errors] == [9]


def test_a_row_that_elasticsearch_refuses_is_a_row_error() -> None:
    client = StubClient([answers(_8=(400, "failed to parse"))])
    result = apply(client)
    assert result.outcomes == [Outcome(applied=1, failed=2, last_row=9)]
    refused = result.errors[-1]
    assert (refused.row, refused.line) == (8, 9)
    assert "Elasticsearch refused the row: failed to parse" in refused.reason
    assert [(item.index, item.id) for item in client.requests[1]] == [("sluice-errors", "j1:8")]


def test_outcomes_are_of_the_block_that_the_row_is_in() -> None:
    second = replace(BLOCK, block=5, first_row=100, rows=[["1", "Ann"], ["2", "Bob"]])
    client = StubClient([answers(_101=(400, "failed to parse"))])
    result = apply(client, BLOCK, second)
    assert result.outcomes == [
        Outcome(applied=2, failed=1, last_row=9),
        Outcome(applied=1, failed=1, last_row=101),
    ]
    assert [error.row for error in result.errors] == [9, 101]


def test_a_dry_run_writes_row_errors_and_no_rows() -> None:
    client = StubClient()
    result = apply(client, dry_run=True)
    assert [(item.index, item.id) for request in client.requests for item in request] == [
        ("sluice-errors", "j1:9"),
        ("sluice-previews", "j1:7"),
        ("sluice-previews", "j1:8"),
    ]
    document = client.requests[1][0].document
    assert document is not None
    assert document["document"] == {
        "age": 3,
        "name": "Rex",
        "sluice": {"job_id": "j1", "row_number": 7, "organisation": "acme"},
    }
    assert result.outcomes == [Outcome(applied=2, failed=1, last_row=9)]


def test_a_dry_run_records_the_first_good_rows_of_the_first_blocks_only() -> None:
    many = [[str(age), "Rex"] for age in range(50)]
    for first_row, shown in ((1, SHOWN_ROWS), (WITHIN_ROWS, SHOWN_ROWS), (WITHIN_ROWS + 1, 0)):
        client = StubClient()
        apply(client, replace(BLOCK, first_row=first_row, rows=many), dry_run=True)
        numbers = [item.document["row"] for request in client.requests for item in request if item.document]
        assert numbers == list(range(first_row, first_row + shown))


def test_rows_keep_the_numbers_that_their_block_gives_them() -> None:
    client = StubClient([answers(_40=(400, "failed to parse"))])
    result = apply(client, replace(BLOCK, first_row=12, numbers=[12, 40, 3], lines=[13, 41, 4], first_line=13))
    assert [item.id for item in client.requests[0]] == ["j1:12", "j1:40", "j1:3"]
    assert [(error.row, error.line, error.values) for error in result.errors] == [
        (3, 4, ["old", "Kim"]),
        (40, 41, ["", 'Tom "the cat"']),
    ]
    assert result.outcomes == [Outcome(applied=1, failed=2, last_row=40)]


def test_rows_that_are_applied_in_a_retry_are_row_errors_no_more() -> None:
    client = StubClient([answers(_40=(404, "not found"))])
    block = replace(BLOCK, numbers=[12, 40, 3])
    still = RowError(job_id="j1", row=3, reason="age is not a whole number")
    letters = run(end_errors(work(client), [block], Result([], [still])))
    assert [(item.action, item.index, item.id) for item in client.requests[0]] == [
        ("delete", "sluice-errors", "j1:12"),
        ("delete", "sluice-errors", "j1:40"),
    ]
    assert [(letter.row, letter.corrected) for letter in letters] == [(12, True), (40, True)]
    assert error_item("sluice", letters[0]) == b'{"delete":{"_index":"sluice-errors","_id":"j1:12"}}'


@pytest.mark.parametrize("script", [[answers(_9=(400, "no"))], [answers(_8=(400, "no")), answers([400])]])
def test_row_errors_that_cannot_be_recorded_stop_the_job(script: list[object]) -> None:
    """They would be lost, and the job would look better than it is."""
    with pytest.raises(CannotGoOnError, match="row errors"):
        apply(StubClient(script))  # type: ignore[arg-type]


def test_a_block_with_a_column_that_the_dataset_has_not_stops_the_job() -> None:
    with pytest.raises(CannotGoOnError, match=r"'colour'.*pets"):
        apply(StubClient(), replace(BLOCK, columns=["age", "colour"]))


def test_work_that_is_void_sends_nothing() -> None:
    client = StubClient()

    def closed() -> None:
        raise FencedError

    fenced = Work(world_in(State.RUNNING).job(), DATASET, "sluice", sink(client), closed, at=17)
    with pytest.raises(FencedError):
        run(Upload().apply(fenced, [BLOCK]))
    assert not client.requests


def test_applying_a_block_again_sends_the_same() -> None:
    client = StubClient()
    apply(client)
    apply(client)
    assert client.requests[0] == client.requests[1]


def test_undo_deletes_what_the_job_wrote_in_a_range_of_rows() -> None:
    client = StubClient([answers([200, 200, 200])])
    assert undo(client, 7, 9).outcomes == [Outcome(undone=3, last_row=9)]
    targets = [(item.action, item.index, item.id) for item in client.requests[0]]
    assert targets == [("delete", "sluice-data-pets", f"j1:{row}") for row in (7, 8, 9)]


def test_undo_counts_only_rows_that_were_there() -> None:
    """Rows with errors never were, and a repeat finds none."""
    assert undo(StubClient([answers([200, 404, 200])]), 7, 9).outcomes == [Outcome(undone=2, last_row=9)]
    assert undo(StubClient([answers([404, 404, 404])]), 7, 9).outcomes == [Outcome(undone=0, last_row=9)]


def test_a_row_that_cannot_be_taken_out_stops_the_rollback_with_its_number() -> None:
    with pytest.raises(CannotGoOnError, match="row 8"):
        undo(StubClient([answers([200, 400, 200])]), 7, 9)
