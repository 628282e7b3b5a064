"""What every operation promises, as checks. Each begins anew, and raises AssertionError with what is not kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from extensions.testing.claims import require_fenced, require_refused, require_result, require_same
from extensions.testing.trial import JOB, Case, Trial
from extensions.testing.wire import CrashError, Wire
from processor.operations.base import Operation
from schemas.messages.blocks import RowBlock

Check = Callable[[Trial], Awaitable[None]]

OTHER_JOB: Final = "trial-2"
BEYOND: Final = 20
"""A row number above those of a case's good rows: a rollback goes up to the highest one that was sent to be written."""


async def twice_is_once(trial: Trial) -> None:
    """A block that comes again is applied as if it came once, and its rows count as before."""
    blocks = await _begun(trial)
    first = await trial.apply(blocks)
    after = await trial.contents()
    require_result(first, blocks)
    assert sum(outcome.applied for outcome in first.outcomes) == len(trial.case.good), (
        f"every row of `good` is to be applied; {[error.reason for error in first.errors]}"
    )
    again = await trial.apply(blocks)
    require_same(await trial.contents(), after, "the same blocks, applied twice")
    assert again.outcomes == first.outcomes, f"applied twice, rows count otherwise: {again.outcomes}"


async def one_by_one_is_together(trial: Trial) -> None:
    """It makes no difference which blocks come in one call."""
    blocks = await _begun(trial)
    together = await trial.apply(blocks)
    after = await trial.contents()
    await trial.begin()
    alone = [await trial.apply([block]) for block in blocks]
    require_same(await trial.contents(), after, "blocks applied one by one")
    assert [outcome for result in alone for outcome in result.outcomes] == together.outcomes


async def a_crash_leaves_nothing_undone(trial: Trial) -> None:
    """Wherever a worker dies while it applies or takes out blocks: the same call again completes it."""
    blocks = await _begun(trial)
    before = await trial.contents()
    await trial.apply(blocks)
    after, applying = await trial.contents(), trial.wire.items
    await trial.undo(1, BEYOND)
    undoing = trial.wire.items
    for items in trial.points(applying):
        with suppress(CrashError):
            await trial.apply(blocks, wire=Wire(dies_after=items))
        await trial.apply(blocks)
        require_same(await trial.contents(), after, f"blocks, applied again after a crash behind {items} changes")
        await trial.undo(1, BEYOND)
        require_same(await trial.contents(), before, f"an undo, after a crash behind {items} changes")
    for items in trial.points(applying):
        with suppress(CrashError):
            await trial.apply(blocks, wire=Wire(dies_after=items))
        await trial.undo(1, BEYOND)
        require_same(await trial.contents(), before, f"an undo of what a crash behind {items} changes has left")
    for items in trial.points(undoing):
        await trial.apply(blocks)
        with suppress(CrashError):
            await trial.undo(1, BEYOND, wire=Wire(dies_after=items))
        await trial.undo(1, BEYOND)
        require_same(await trial.contents(), before, f"an undo, again after a crash behind {items} changes")


async def undo_takes_out_its_own(trial: Trial) -> None:
    """An undo takes out what the job wrote and nothing else, and twice is the same as once."""
    await trial.begin()
    half = len(trial.case.good) // 2
    await trial.apply(trial.blocks(trial.case.good[:half], OTHER_JOB))
    before = await trial.contents()
    applied = await trial.apply(trial.blocks(trial.case.good[half:]))
    rows = sum(outcome.applied for outcome in applied.outcomes)
    result = await trial.undo(1, BEYOND)
    require_same(await trial.contents(), before, "an undo, beside what another job has written")
    assert sum(outcome.undone for outcome in result.outcomes) == rows, f"it took out {rows} rows and says otherwise"
    await trial.undo(1, BEYOND)
    require_same(await trial.contents(), before, "the same undo once more")


async def left_over_is_what_is_there(trial: Trial) -> None:
    """The count tells how many rows are there and the highest number; after the undo that is nothing."""
    blocks = await _begun(trial)
    await trial.apply(blocks)
    rows = len(trial.case.good)
    assert await trial.left_over() == (rows, rows), "left_over does not count the rows that are applied"
    await trial.undo(1, rows - 1)
    assert await trial.left_over() == (1, rows), "left_over does not count the one row that is left"
    await trial.undo(rows, rows)
    count, _ = await trial.left_over()
    assert count == 0, f"left_over counts {count} rows and all are taken out"


async def a_bad_row_is_a_row_error(trial: Trial) -> None:
    """A bad row is recorded as a row error and leaves nothing else; all others are applied."""
    good, bad = list(trial.case.good), trial.case.bad
    numbers = range(1, len(good) + 2)
    await trial.begin()
    await trial.apply([trial.block(good, [1, *numbers[2:]])])
    after = await trial.contents()
    await trial.begin()
    block = trial.block([good[0], bad, *good[1:]], numbers)
    result = await trial.apply([block])
    require_result(result, [block])
    require_refused(result, 2)
    assert result.outcomes[0].applied == len(good), "the rows beside the bad one are to be applied"
    require_same(await trial.contents(), after, "good rows with a bad one among them")
    recorded = await trial.errors()
    assert [document["row"] for document in recorded.values()] == [2], "the row error is not recorded: work.record"
    assert list(recorded) == [f"{JOB}:2"], f"the row error has not the id of its row: {list(recorded)}"


async def a_dry_run_writes_nothing(trial: Trial) -> None:
    """A dry run comes to the same result, and leaves row errors only."""
    good, bad = trial.case.good, trial.case.bad
    blocks = trial.blocks([*good[:2], bad, *good[2:]])
    await trial.begin()
    before = await trial.contents()
    dry = await trial.apply(blocks, dry_run=True)
    require_same(await trial.contents(), before, "a dry run")
    await trial.begin()
    real = await trial.apply(blocks)
    assert dry.outcomes == real.outcomes, f"a dry run counts {dry.outcomes}, the real one {real.outcomes}"
    assert [error.row for error in dry.errors] == [error.row for error in real.errors]


async def a_closed_gate_writes_nothing(trial: Trial) -> None:
    """Once the gate is closed nothing goes out, and the FencedError comes through."""
    good, bad = trial.case.good, trial.case.bad
    blocks = trial.blocks([*good[:2], bad, *good[2:]])
    await trial.begin()
    before = await trial.store.contents()
    await require_fenced(trial.apply(blocks, wire=Wire(closes_after=0)), "apply")
    require_same(await trial.store.contents(), before, "blocks whose gate is closed")
    await trial.apply(blocks)
    applied, applying = await trial.store.contents(), trial.wire.asked
    await require_fenced(trial.undo(1, BEYOND, wire=Wire(closes_after=0)), "undo")
    await require_fenced(trial.left_over(wire=Wire(closes_after=0)), "left_over")
    require_same(await trial.store.contents(), applied, "an undo whose gate is closed")
    await trial.undo(1, BEYOND)
    undoing = trial.wire.asked
    for times in trial.points(applying):
        await trial.begin()
        await require_fenced(trial.apply(blocks, wire=Wire(closes_after=times)), "apply")
    for times in trial.points(undoing):
        await trial.begin()
        await trial.apply(blocks)
        await require_fenced(trial.undo(1, BEYOND, wire=Wire(closes_after=times)), "undo")


async def row_numbers_have_gaps(trial: Trial) -> None:
    """Row numbers are those of the block, also where they are not consecutive."""
    good = list(trial.case.good)
    await trial.begin()
    before = await trial.contents()
    numbers = [3 * place * place + 2 for place in range(len(good) + 1)]
    block = trial.block([*good[:2], trial.case.bad, *good[2:]], numbers)
    result = await trial.apply([block])
    require_result(result, [block])
    require_refused(result, numbers[2])
    assert await trial.left_over() == (len(good), numbers[-1]), "left_over does not go by the block's row numbers"
    await trial.undo(1, numbers[1])
    assert await trial.left_over() == (len(good) - 2, numbers[-1]), "an undo does not go by the block's row numbers"
    await trial.undo(numbers[1] + 1, numbers[-1])
    require_same(await trial.contents(), before, "an undo of rows whose numbers have gaps")


CHECKS: Final[tuple[Check, ...]] = (
    twice_is_once,
    one_by_one_is_together,
    a_crash_leaves_nothing_undone,
    undo_takes_out_its_own,
    left_over_is_what_is_there,
    a_bad_row_is_a_row_error,
    a_dry_run_writes_nothing,
    a_closed_gate_writes_nothing,
    row_numbers_have_gaps,
)
"""All of them; pytest shows each by its name when they are parameters."""


def require(check: Check, operation: Operation, case: Case) -> None:
    """One check of an operation, in memory.

    Raises:
        AssertionError: a promise is not kept; the message says which.
    """
    asyncio.run(_checked(check, operation, case))


async def _checked(check: Check, operation: Operation, case: Case) -> None:
    await check(Trial(operation, case))


async def _begun(trial: Trial) -> list[RowBlock]:
    assert 4 <= len(trial.case.good) <= 15, "a case needs four good rows, and not more than 15"
    await trial.begin()
    return trial.blocks(trial.case.good)
