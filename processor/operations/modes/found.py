"""Documents as Elasticsearch has them now: byte for byte, with the numbers that a conditional write names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from elasticsearch import AsyncElasticsearch

from processor.elastic.answers import Answer
from processor.elastic.reading import Hit, find, get_docs
from processor.operations.modes.portions import Portions, fitting
from processor.operations.work import Work


class Found(msgspec.Struct, frozen=True, rename={"source": "_source", "seq": "_seq_no", "term": "_primary_term"}):
    """One document of an answer."""

    source: msgspec.Raw
    seq: int
    term: int

    @property
    def raw(self) -> bytes:
        """The document, as it was sent, on one line. Line ends of JSON stand only between values."""
        text = bytes(self.source)
        return text.translate(_BLANKS) if b"\n" in text or b"\r" in text else text


class Mark(msgspec.Struct, frozen=True):
    """Which job and row wrote a document."""

    job_id: str = ""
    row_number: int = 0
    organisation: str = ""


class _Marked(msgspec.Struct, frozen=True):
    sluice: Mark | None = None


_MOST = 10_000
"""Documents that Elasticsearch finds in one search, at most."""
_REMEMBERED = 1000
"""Refreshes that a worker remembers; one that it has forgotten is made again."""
_BLANKS = bytes.maketrans(b"\r\n", b"  ")
_marked = msgspec.json.Decoder(_Marked).decode


def mark_of(raw: bytes) -> Mark:
    """The mark in a document; an empty one, where another program has written it in a form of its own."""
    try:
        return _marked(raw).sluice or Mark()
    except msgspec.ValidationError:
        return Mark()


def digest(raw: bytes) -> str:
    """Tells a document's content from any other one's."""
    return blake2b(raw, digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Documents:
    """Asks Elasticsearch for documents, undecoded."""

    client: AsyncElasticsearch | None = None
    """A client whose answers are bytes; None: that of the work."""
    refreshed: WeakKeyDictionary[AsyncElasticsearch, dict[tuple[str, str], tuple[int, int]]] = field(
        default_factory=WeakKeyDictionary, repr=False, compare=False
    )
    """Client -> job and index -> the run and the epoch in which the index was refreshed last. (Each work has a sink of
    its own; the client is the worker's.)"""
    portions: Portions = field(default_factory=Portions, repr=False, compare=False)
    scattered: Portions = field(default_factory=lambda: Portions(1), repr=False, compare=False)
    """How many documents' images are read at once where each may be in a group with those of others."""

    async def get(self, work: Work, index: str, ids: Sequence[str]) -> list[Found | None]:
        """The documents with these ids, refreshed or not, in order; None: there is none. Raises as `BulkSink.ask`."""
        if not ids:
            return []
        docs = await get_docs(work.sink, work.gate, index, ids, client=self.client)
        return [Found(doc.source, doc.seq, doc.term) if doc.found else None for doc in docs]

    async def seen(self, work: Work, index: str, ids: Sequence[str]) -> list[Found | None]:
        """As `get`, but as they were at some moment since the job's epoch began, or later. Raises as `BulkSink.ask`.

        A search finds documents block by block of the index, `get` one after the other: that costs three times as much.
        """
        await self.refresh_once(work, index)
        found: dict[str, Found] = {}
        for at in range(0, len(ids), _MOST):
            some = list(ids[at : at + _MOST])
            hits = await self.search(work, index, {"ids": {"values": some}}, len(some), track_total_hits=False)
            found.update((hit.id, Found(hit.source, hit.seq, hit.term)) for hit in hits)
        return [found.get(key) for key in ids]

    def rows_at_once(self, work: Work) -> int:
        """How many rows' documents to ask `of_rows` for."""
        return self.portions.rows(_kind(work))

    def note(self, work: Work, rows: int, size: int) -> None:
        """Note how many bytes the documents of so many rows have."""
        self.portions.note(_kind(work), rows, size, work.sink.batch_bytes)

    async def of_rows(self, work: Work, ids: Sequence[str], *, seen: bool) -> list[Found | None]:
        """The documents of the first of these ids, in order, as many as a portion of a batch has; `seen`: as the method
        of this name reads them, else as `get`. Raises as `BulkSink.ask`.
        """
        found = await (self.seen if seen else self.get)(work, work.data_index, ids)
        sizes = [len(there.source) if there is not None else 0 for there in found]
        self.note(work, len(ids), sum(sizes))
        return found[: fitting(sizes, work.sink.batch_bytes)]

    async def search(self, work: Work, index: str, query: dict[str, Any], size: int, **more: Any) -> list[Hit]:
        """Documents of a search, of those that were there at the last refresh. Raises as `BulkSink.ask`."""
        return await find(
            work.sink, work.gate, index, query, size, client=self.client, seq_no_primary_term=True, **more
        )

    async def send(self, work: Work, items: Sequence[bytes]) -> list[Answer]:
        """The answers to bulk items; none for none. Raises as `BulkSink.send`."""
        return await work.sink.send(items, work.gate) if items else []

    async def refresh(self, work: Work, index: str, *, little: bool = False) -> None:
        """Have searches of an index see what is there now. `little` and what it raises: as `BulkSink.ask`."""
        client = work.sink.client
        await work.sink.ask(
            lambda: client.indices.refresh(index=index, ignore_unavailable=True), work.gate, little=little
        )

    async def refresh_once(self, work: Work, index: str) -> None:
        """As `refresh`, unless this worker has done it in this epoch and run of the job."""
        job, done = work.job, self.refreshed.setdefault(work.sink.client, {})
        key, now = (job.id, index), (job.run, job.epoch)
        if done.get(key) != now:
            await self.refresh(work, index)
            done.pop(key, None)
            done[key] = now
            if len(done) > _REMEMBERED:
                del done[next(iter(done))]


def _kind(work: Work) -> tuple[str, str]:
    return work.data_index, work.job.organisation
