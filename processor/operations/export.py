"""Export: each slice of a frozen dataset becomes a part in storage, and at the end the parts become one CSV file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

from elasticsearch import ApiError, AsyncElasticsearch, NotFoundError, TransportError

from control.admission import Kind
from processor.cells import documents
from processor.errors import CannotGoOnError
from processor.lane import Outcome
from processor.operations.base import Result, Work
from runtime.storage import Storage, StorageError
from schemas.blocks import Block, SliceBlock
from schemas.exports import GONE, KEEP_ALIVE, part_path, parts_folder, result_path, sort_order, span_query

log = logging.getLogger(__name__)

PAGE_ROWS = 2500
"""Rows asked for in one go: between two of them a pause takes effect."""


class Export:
    """Rows of a date range, out of ``<prefix>-data-<dataset>`` into ``results/<job id>.csv``."""

    name = "export"
    kind = Kind(sources=frozenset({"query"}), exclusive=False, dated=True, makes_file=True)

    def __init__(self, storage: Storage, client: AsyncElasticsearch) -> None:
        """`client` answers with undecoded bytes."""
        self._storage = storage
        self._client = client

    async def apply(self, work: Work, blocks: Sequence[Block]) -> Result:
        """See Operation. A part is named after its block, so that a repeat writes the same part again."""
        outcomes = []
        for block in cast(Sequence[SliceBlock], blocks):
            part = await self._read(work, block)
            work.gate()
            await self._stored(self._storage.put(part_path(block.job_id, block.block), part))
            outcomes.append(Outcome(applied=block.last_row - block.first_row + 1, last_row=block.last_row))
        return Result(outcomes)

    async def undo(self, work: Work, blocks: Sequence[Block]) -> Result:
        """See Operation. Nothing goes row by row: `discard` takes all of it."""
        return Result([Outcome() for _ in blocks])

    async def finish(self, work: Work) -> None:
        """See Operation. The file appears under its name complete, whatever happens here; then the parts go."""
        job = work.job
        total = sum(totals.rows_applied for totals in job.lanes_done.values())
        if total != job.input.rows_total:
            raise CannotGoOnError(f"of {job.input.rows_total} rows {total} are in the parts: start the export again")
        path = result_path(job.id)
        if await self._stored(self._storage.find(path)) is None:
            aside = f"{parts_folder(job.id)}joined-{job.epoch}"
            try:
                await self._stored(self._storage.publish(path, self._joined(work), aside))
            except CannotGoOnError:
                # Someone who began before us may have finished, and removed the parts under our hands.
                if await self._stored(self._storage.find(path)) is None:
                    raise
        await self._stored(self._storage.remove(folder=parts_folder(job.id)))
        await self._release(work)

    async def discard(self, work: Work) -> int:
        """See Operation."""
        await self._stored(self._storage.remove([result_path(work.job.id)], parts_folder(work.job.id)))
        await self._release(work)
        return work.job.applied.rows_applied if work.job.applied is not None else 0

    async def left_over(self, work: Work) -> tuple[int, int]:
        """See Operation. What counts is files."""
        parts = await self._stored(self._storage.paths(parts_folder(work.job.id)))
        result = await self._stored(self._storage.find(result_path(work.job.id)))
        return len(parts) + (result is not None), 0

    async def keep(self, work: Work) -> None:
        """See Operation. A point in time lives on when it is asked for anything."""
        if work.job.input.frozen is not None:
            await self._search(work, work.job.input.frozen, size=0, terminate_after=1)

    async def _read(self, work: Work, block: SliceBlock) -> bytes:
        """A slice as CSV lines."""
        field = work.dataset.date_field
        assert field is not None, "a job of a dataset without a date is refused"
        query = span_query(field, work.job.organisation, block.span)
        reader, rows = documents(work.dataset), block.last_row - block.first_row + 1
        lines: list[bytes] = []
        left, after = rows, None
        while left > 0:
            answer = await self._search(
                work,
                block.frozen,
                query=query,
                sort=sort_order(field),
                size=min(left, PAGE_ROWS),
                search_after=after,
            )
            found, after, text = reader.lines(answer, work.job.options.raw)
            if not found:
                raise CannotGoOnError(f"of the {rows} rows of slice {block.block} {left} are missing: {GONE}")
            lines.append(text)
            left -= found
            # A page takes milliseconds: heartbeats and commands get their turn in between.
            await asyncio.sleep(0)
        return b"".join(lines)

    async def _search(self, work: Work, frozen: str, **more: Any) -> bytes:
        # Of several shards one that has lost its part would be left out without a word, if that were allowed.
        search = partial(
            self._client.search,
            pit={"id": frozen, "keep_alive": KEEP_ALIVE},
            track_total_hits=False,
            allow_partial_search_results=False,
            **more,
        )
        try:
            answer = await work.sink.ask(search, work.gate)
        except CannotGoOnError as error:
            if isinstance(error.__cause__, NotFoundError):
                raise CannotGoOnError(GONE) from error
            raise
        work.sink.on_trouble(None)
        return cast(bytes, answer.body)

    async def _joined(self, work: Work) -> AsyncIterator[bytes]:
        yield documents(work.dataset).header()
        for block in range(work.job.input.blocks):
            try:
                async for chunk in self._storage.read(part_path(work.job.id, block)):
                    work.gate()
                    yield chunk
            except FileNotFoundError as error:
                raise CannotGoOnError(f"part {block} is not in storage any more: start the export again") from error
        work.gate()

    async def _release(self, work: Work) -> None:
        if work.job.input.frozen is not None:
            with suppress(ApiError, TransportError):  # it ends by itself before long
                await work.sink.client.close_point_in_time(id=work.job.input.frozen)

    async def _stored(self, action: Any) -> Any:
        try:
            return await action
        except StorageError as error:
            raise CannotGoOnError(str(error)) from error
