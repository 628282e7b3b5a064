"""Export: each slice of a frozen dataset becomes a part in storage, and at the end the parts become one CSV file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

from elasticsearch import ApiError, AsyncElasticsearch, NotFoundError, TransportError

from control.creation.kinds import BUILT_IN
from processor.errors import CannotGoOnError
from processor.operations.csv_cells import Documents, Page, documents
from processor.operations.work import Result, Work
from processor.outcome import Outcome
from runtime.files.storage import Storage, StorageError
from schemas.exports import GONE, KEEP_ALIVE, part_path, parts_folder, result_path, sort_order, span_query
from schemas.messages.blocks import Block, SliceBlock

T = TypeVar("T")

log = logging.getLogger(__name__)

PAGE_BYTES = 8 * 1024 * 1024
"""The size of one answer, about: a slice of usual rows is smaller."""
FIRST_ROWS = 200
"""Documents that a job asks for first: how long its documents are is not known before."""
KNOWN_JOBS = 256
"""Jobs whose documents' length is remembered, at most."""
WHOLE_BYTES = 8 * 1024 * 1024
"""A part is kept in memory up to this size."""
AWAY_SECONDS = 1.0
"""How often something is tried again while the storage folder is away."""
LOOK_SECONDS = 0.02
"""How often a request under way looks whether it is still wanted."""


@dataclass(slots=True, eq=False)
class _Length:
    """How long the documents of a job are."""

    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the first of them are asked for."""
    bytes: int | None = None
    """A document in the last answer, on average; None: there was none yet."""


class Export:
    """Rows of a date range, out of ``<prefix>-data-<dataset>`` into ``results/<job id>.csv``."""

    name = "export"
    kind = BUILT_IN["export"]

    def __init__(
        self,
        storage: Storage,
        client: AsyncElasticsearch,
        late_seconds: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`client` answers with undecoded bytes. `late_seconds`: a bucket may still carry out a request this long after
        an error."""
        self._storage = storage
        self._late_seconds = late_seconds
        self._sleep = sleep
        self._client = client
        self._lengths: dict[str, _Length] = {}
        """By job: the documents of one organisation may be a thousand times as long as another one's."""

    async def apply(self, work: Work, blocks: Sequence[Block]) -> Result:
        """See Operation. A part is named after its block, so that a repeat writes the same part again."""
        outcomes = []
        for block in cast(Sequence[SliceBlock], blocks):
            await self._stored(work, partial(self._write, work, block))
            outcomes.append(Outcome(applied=_rows(block), last_row=block.last_row))
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
        if await self._stored(work, lambda: self._storage.find(path)) is None:
            aside = f"{parts_folder(job.id)}joined-{job.epoch}"
            try:
                await self._stored(work, lambda: self._storage.publish(path, self._joined(work), aside))
            except CannotGoOnError:
                # An owner that began earlier may have finished meanwhile, and removed the parts.
                if await self._stored(work, lambda: self._storage.find(path)) is None:
                    raise
        work.gate()
        await self._stored(work, lambda: self._storage.remove(folder=parts_folder(job.id)))
        await self._release(work)

    async def discard(self, work: Work) -> int:
        """See Operation."""
        work.gate()
        result, parts = result_path(work.job.id), parts_folder(work.job.id)
        await self._stored(work, lambda: self._storage.remove([result], parts))
        await self._release(work)
        return work.job.applied.rows_applied if work.job.applied is not None else 0

    async def left_over(self, work: Work) -> tuple[int, int]:
        """See Operation. What counts is files."""
        parts = await self._stored(work, lambda: self._storage.paths(parts_folder(work.job.id)))
        result = await self._stored(work, lambda: self._storage.find(result_path(work.job.id)))
        return len(parts) + (result is not None), 0

    async def keep(self, work: Work) -> None:
        """See Operation. A point in time lives on when it is asked for anything."""
        if work.job.input.frozen is not None:
            await self._search(work, work.job.input.frozen, size=0, terminate_after=1)

    async def _write(self, work: Work, block: SliceBlock) -> None:
        """A slice into its part: in one go if it is as small as most are, else as it comes."""
        path = part_path(block.job_id, block.block)
        chunks, begun, size = self._read(work, block), list[bytes](), 0
        async for chunk in chunks:
            begun.append(chunk)
            size += len(chunk)
            if size > WHOLE_BYTES:
                await self._storage.publish(path, _after(begun, chunks), f"{path}-{work.job.epoch}")
                return
        work.gate()
        await self._storage.put(path, b"".join(begun))

    async def _read(self, work: Work, block: SliceBlock) -> AsyncIterator[bytes]:
        """A slice as CSV lines."""
        date_field = work.dataset.date_field
        assert date_field is not None, "a job of a dataset without a date is refused"
        query = span_query(date_field, work.job.organisation, block.span)
        reader = documents(work.dataset)
        left, end = _rows(block), None
        while left > 0:
            ask = partial(self._search, work, block.frozen, query=query, sort=sort_order(date_field), search_after=end)
            page = await self._page(work.job.id, left, ask, reader)
            if not page.documents:
                raise CannotGoOnError(f"slice {block.block} lacks {left} of its rows; {GONE}")
            end = page.end
            left -= len(page.documents)
            for chunk in reader.lines(page, work.job.options.raw):
                # The lines of a chunk take milliseconds: heartbeats and commands get their turn in between.
                await asyncio.sleep(0)
                work.gate()
                yield chunk

    async def _page(self, job_id: str, left: int, ask: Callable[..., Awaitable[bytes]], reader: Documents) -> Page:
        """The next documents, as many as an answer of `PAGE_BYTES` has; `ask` takes their number as `size`."""
        length = self._length_of(job_id)
        if length.bytes is None:
            async with length.asking:
                if length.bytes is None:
                    return _measured(await ask(size=min(left, FIRST_ROWS)), reader, length)
        return _measured(await ask(size=min(left, max(1, PAGE_BYTES // length.bytes))), reader, length)

    def _length_of(self, job_id: str) -> _Length:
        length = self._lengths.pop(job_id, None) or _Length()
        self._lengths[job_id] = length  # the last one used is the last one to go
        if len(self._lengths) > KNOWN_JOBS:
            self._lengths.pop(next(iter(self._lengths)))
        return length

    async def _search(self, work: Work, frozen: str, **more: Any) -> bytes:
        # If partial results were allowed, Elasticsearch would silently leave out a shard that has lost its point in
        # time.
        search = partial(
            self._client.search,
            pit={"id": frozen, "keep_alive": KEEP_ALIVE},
            track_total_hits=False,
            allow_partial_search_results=False,
            **more,
        )
        request = asyncio.ensure_future(work.sink.ask(search, work.gate))
        try:
            # Reading changes nothing: a pause of the job need not wait until it is over.
            while not request.done():
                await asyncio.wait({request}, timeout=LOOK_SECONDS)
                work.gate()
            answer = await request
        except CannotGoOnError as error:
            if isinstance(error.__cause__, NotFoundError):
                raise CannotGoOnError(GONE) from error
            raise
        finally:
            request.cancel()
        work.sink.on_degraded(None)
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
            with suppress(ApiError, TransportError):  # the point in time ends by itself before long
                await work.sink.client.close_point_in_time(id=work.job.input.frozen)

    async def _stored(self, work: Work, action: Callable[[], Awaitable[T]]) -> T:
        """What `action` answers, which is done again while the storage folder is away; the job's lanes say so."""
        told: str | None = None
        with ExitStack() as shown:
            while True:
                try:
                    return await action()
                except StorageError as error:
                    if not error.away:
                        shown.close()
                        await self._given_up(work, error)
                        raise CannotGoOnError(str(error)) from error
                    if str(error) != told:
                        told = str(error)
                        shown.close()
                        shown.enter_context(work.trouble(told))
                await self._sleep(AWAY_SECONDS)
                work.gate()

    async def _given_up(self, work: Work, error: StorageError) -> None:
        if error.may_come:  # the blocks are in flight until it can't: a stop of the job waits
            with work.trouble(f"{error}. It may still do so for {self._late_seconds:g} s; then the job fails"):
                await self._sleep(self._late_seconds)


def _measured(answer: bytes, reader: Documents, length: _Length) -> Page:
    page = reader.read(answer)
    if page.documents:
        length.bytes = len(answer) // len(page.documents) + 1
    return page


def _rows(block: SliceBlock) -> int:
    return block.last_row - block.first_row + 1


async def _after(begun: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in begun:
        yield chunk
    begun.clear()
    async for chunk in rest:
        yield chunk
