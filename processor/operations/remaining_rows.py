"""Documents that a job's rows have made and that are still there: an undo takes them out, and the count that ends a
rollback looks for them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from processor.elastic.conditional import Conditional
from processor.elastic.reading import Hit, find_all
from processor.errors import CannotGoOnError
from processor.operations.keyed import is_key_id
from processor.operations.work import Work


def is_own_id(work: Work, scope: str | None, document_id: str, row: int) -> bool:
    """Whether the document that the job's row of this number has made may have this id.

    `scope`: what a key is unique in; None: ids are made of row numbers. A document with the job's mark under another
    id is a copy that another program has made (decision 0092).
    """
    return document_id == f"{work.job.id}:{row}" if scope is None else is_key_id(scope, document_id)


async def own_documents(
    work: Work, index: str, scope: str | None, *, first: int = 1, last: int | None = None, **asked: Any
) -> AsyncIterator[list[tuple[int, Hit]]]:
    """The documents that the job's rows from `first` to `last` have made, each with its row, by pages; as `find_all`.

    They are those of the last refresh. `scope` as in `is_own_id`.
    """
    mark = {"term": {"sluice.job_id": work.job.id}}
    pages = find_all(
        work.sink, work.gate, index, [mark], "sluice.row_number", first=first, last=last, **{"source": False, **asked}
    )
    async for hits in pages:
        rows = [(int(hit.sort[0]), hit) for hit in hits]
        yield [(row, hit) for row, hit in rows if is_own_id(work, scope, hit.id, row)]


async def take_out_rows(work: Work, index: str, scope: str, first: int, last: int) -> int:
    """Take out what the job wrote for a range of rows; answers how many documents that were.

    Their ids follow from values that are not at hand, so they are searched. Raises as `BulkSink.send`.

    Raises:
        CannotGoOnError: Elasticsearch refuses to delete a document.
    """
    await _refresh(work, index)
    deleted = 0
    async for some in own_documents(work, index, scope, first=first, last=last, seq_no_primary_term=True):
        # The sequence number makes sure that it is the very document that was found.
        items = [Conditional(index, hit.id, hit.seq, hit.term).delete() for _, hit in some]
        for answer in await work.sink.send(items, work.gate) if items else ():
            if not answer.ok and answer.status not in (404, 409):
                raise CannotGoOnError(f"a row can't be taken out: {answer.error}")
            deleted += answer.ok
    return deleted


async def count_rows(work: Work, index: str, scope: str | None) -> tuple[int, int]:
    """How many documents of the job's rows there are, and the highest of their numbers. Raises as `BulkSink.ask`."""
    await _refresh(work, index)
    count = last = 0
    async for some in own_documents(work, index, scope):
        count, last = count + len(some), max([last, *(row for row, _ in some)])
    return count, last


async def _refresh(work: Work, index: str) -> None:
    client = work.sink.client
    await work.sink.ask(lambda: client.indices.refresh(index=index), work.gate)
