"""What the checks of an operation claim of one call. Each raises AssertionError with what is not so."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from extensions.testing.stores import Contents
from processor.errors import FencedError
from processor.operations.work import Result
from schemas.messages.blocks import RowBlock


def require_result(result: Result, blocks: Sequence[RowBlock]) -> None:
    """There is an outcome for each block, and it counts every row."""
    assert len(result.outcomes) == len(blocks), f"{len(result.outcomes)} outcomes for {len(blocks)} blocks"
    for outcome, block in zip(result.outcomes, blocks, strict=True):
        assert outcome.applied + outcome.failed == len(block.rows), f"{outcome} for {len(block.rows)} rows"
        assert outcome.last_row == block.last_row, f"{outcome} for a block whose last row is {block.last_row}"


def require_refused(result: Result, row: int) -> None:
    """This row is the one row error."""
    assert [error.row for error in result.errors] == [row], f"row {row} is to be the row error: {result.errors}"
    assert result.errors[0].reason, "a row error needs a reason"
    assert sum(outcome.failed for outcome in result.outcomes) == 1, "the bad row counts as failed"


async def require_fenced(call: Awaitable[Any], name: str) -> None:
    """The call ends with the error of its gate."""
    try:
        await call
    except FencedError:
        return
    raise AssertionError(f"{name} goes on although its gate is closed: let the FencedError through")


def require_same(found: Contents, wanted: Contents, what: str) -> None:
    """The documents are these; `what` begins the sentence that says which is another."""
    for index in sorted({*found, *wanted}):
        here, there = found.get(index, {}), wanted.get(index, {})
        different = [key for key in sorted({*here, *there}) if here.get(key) != there.get(key)]
        assert not different, (
            f"{what}: document {different[0]} of {index} is {here.get(different[0])}, and should be "
            f"{there.get(different[0])}"
        )
