"""What an operation is: how blocks are applied and undone. A new kind of job is one more of these, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from control.creation.admission import Kind
from processor.errors import CannotGoOnError
from processor.operations.work import Result, Work
from schemas.messages.blocks import Block


class Operation(Protocol):
    """One kind of job. Applying a block twice, or undoing one twice, must be the same as once."""

    name: str
    kind: Kind

    async def apply(self, work: Work, blocks: Sequence[Block]) -> Result:
        """Apply whole blocks of one job.

        Raises:
            FencedError: from the gate; the blocks stay to do.
            CannotGoOnError: the job fails with this reason.
        """
        ...

    async def undo(self, work: Work, blocks: Sequence[Block]) -> Result:
        """Take out what the job wrote for these rows, and nothing else. Raises as `apply`."""
        ...

    async def left_over(self, work: Work) -> tuple[int, int]:
        """How many of the job's rows are still there after a rollback that `undo` can take out, and the highest row
        number of these. The job fails if a round has undone nothing and no fewer are left than before it.
        """
        ...


class FileOperation(Operation, Protocol):
    """An operation whose `kind` says `makes_file`. The owner of partition 0 calls these methods; they raise as
    `apply`."""

    async def finish(self, work: Work) -> None:
        """Every block is applied: make the file. A crash at any moment has it done again."""
        ...

    async def discard(self, work: Work) -> int:
        """Remove the file in a rollback, before the count at its end; returns how many rows the file had."""
        ...

    async def keep(self, work: Work) -> None:
        """Every minute as long as the job is not over, a pause included: keep alive what its work needs.

        It writes nothing: a job counts as paused while this goes on.
        """
        ...


def required_file_operation(operation: Operation) -> FileOperation:
    """The operation as one that makes a file.

    Raises:
        CannotGoOnError: it makes none here, though it does in another process.
    """
    making = file_operation(operation)
    if making is None:
        raise CannotGoOnError(
            f"operation {operation.name} makes no file in this worker: give all processes the same version of it"
        )
    return making


def file_operation(operation: Operation) -> FileOperation | None:
    """The operation as one that makes a file; None: it makes none."""
    return cast(FileOperation, operation) if operation.kind.makes_file else None
