"""Asks Elasticsearch: the one place of the API that knows what can go wrong with it, and how long an answer may be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from elasticsearch import ApiError as ElasticsearchError
from elasticsearch import AsyncElasticsearch, NotFoundError, TransportError

from api.elastic.answer_limit import AnswerTooLongError
from api.errors import unavailable

Json = dict[str, Any]
Hits = list[Json]

PAGE_BYTES: Final = 1024 * 1024
"""A page is to have as many documents as fit into this."""
_FIRST: Final = 25
_MOST: Final = 2000
_GROWTH: Final = 4
_STATE_SECONDS: Final = 2.0
_STORED_SECONDS: Final = 5.0


class Documents:
    """The documents of every index. `what`, in all of these, begins the sentence of a refusal: "row errors are"."""

    def __init__(self, client: AsyncElasticsearch) -> None:
        self._client = client

    async def search(
        self, what: str, index: str, *bodies: Json, seconds: float | None = None, fresh: bool = False
    ) -> Json | None:
        """The answer to the first of these bodies that has one of bounded length; None: there is no such index.

        `bodies`: each asks for less than the one before it. `seconds`: its time limit, if it has one of its own.
        `fresh`: what was written just now is to be found as well.

        Raises:
            ApiError: 503, Elasticsearch does not answer, or not even the last answer is short enough.
        """
        client = self._client if seconds is None else self._client.options(request_timeout=seconds)
        with _answering(what):
            try:
                if fresh:
                    await self._refresh(index)
                for less, body in enumerate(bodies, 1):
                    try:
                        answer = await client.search(index=index, **{"ignore_unavailable": True, **body})
                    except AnswerTooLongError:
                        if less == len(bodies):
                            raise
                    else:
                        return dict(answer)
            except NotFoundError:
                return None
        raise AssertionError("a search has a body")

    async def pages(
        self,
        what: str,
        index: str,
        body: Json,
        *,
        after: list[Any] | None = None,
        limit: int | None = None,
        first: int = _FIRST,
        most: int = _MOST,
        fresh: bool = False,
        count: bool = False,
    ) -> AsyncGenerator[tuple[Hits, int], None]:
        """The documents that a body's query finds, in the order of its `sort`, some at a time; and how many there are
        (if `count`, else 0).

        The number of documents in a request depends on the length of those before: a document may have any length.
        There is always a first page; it may be empty. `after`: the sort values of the document before. `limit`:
        documents of all pages together. `first`, `most`: documents of the first page, and of any.

        Raises:
            ApiError: 503, Elasticsearch does not answer, or a document is too long by itself.
        """
        left = limit
        size = first if left is None else min(first, left)
        total: int | None = None if count else 0
        if fresh:
            await self.refresh(what, index)
        while True:
            asked = {**body, "size": size, "search_after": after, "track_total_hits": total is None}
            with _answering(what):
                try:
                    found = (await self._client.search(index=index, ignore_unavailable=True, **asked))["hits"]
                except NotFoundError:
                    found = {"hits": [], "total": {"value": 0}}
                except AnswerTooLongError as error:
                    if size <= 1:
                        place = "the first one" if after is None else f"the one after {after[0]}"
                        text = f"{what} kept in Elasticsearch, and {place} is too long to be read"
                        raise unavailable(text) from error
                    size = max(1, size // _GROWTH)
                    continue
            hits: Hits = found["hits"]
            total = int(found["total"]["value"]) if total is None else total
            yield hits, total
            if left is not None:
                left -= len(hits)
            if len(hits) < size or left == 0:
                return
            after = hits[-1]["sort"]
            each = 1 + sum(map(_length, hits)) // len(hits)
            size = max(1, min(_GROWTH * size, PAGE_BYTES // each, most, most if left is None else left))

    async def refresh(self, what: str, index: str) -> None:
        """Let searches find what was written just now: an index refreshes by itself every few seconds only.

        Raises:
            ApiError: 503, Elasticsearch does not answer.
        """
        with _answering(what):
            try:
                await self._refresh(index)
            except NotFoundError:
                return

    async def _refresh(self, index: str) -> None:
        await self._client.indices.refresh(index=index, ignore_unavailable=True)

    async def count(self, what: str, index: str, query: Json) -> int:
        """How many documents a query finds. Raises ApiError 503."""
        with _answering(what):
            answer = await self._client.count(index=index, query=query, ignore_unavailable=True)
        return int(answer["count"])

    async def get(self, what: str, index: str, name: str) -> Json | None:
        """The document of this id; None: there is none. Raises ApiError 503."""
        with _answering(what):
            try:
                answer = await self._client.get(index=index, id=name)
            except NotFoundError:
                return None
        found: Json = answer["_source"]
        return found

    async def exists(self, what: str, index: str, name: str) -> bool:
        """Whether there is a document of this id. Raises ApiError 503."""
        with _answering(what):
            return bool(await self._client.exists(index=index, id=name))

    async def put(self, what: str, index: str, name: str, document: Json) -> None:
        """Write a document, which searches find at once. Raises ApiError 503."""
        with _answering(what):
            # Forced: waiting for the next refresh takes up to five seconds, and what the API writes is little.
            await self._client.index(index=index, id=name, document=document, refresh=True)

    async def remove(self, what: str, index: str, name: str) -> None:
        """Remove a document; there may be none. Raises ApiError 503."""
        with _answering(what):
            try:
                await self._client.delete(index=index, id=name, refresh=True)
            except NotFoundError:
                return

    async def stored_bytes(self, what: str, indices: str) -> int:
        """Bytes of the indices that a pattern names. Raises ApiError 503."""
        with _answering(what):
            answer: Any = await self._client.options(request_timeout=_STORED_SECONDS).indices.stats(
                index=indices, metric="store", filter_path="_all.total.store.size_in_bytes"
            )
        return int(answer["_all"]["total"]["store"]["size_in_bytes"]) if "_all" in answer else 0

    async def state(self) -> str:
        """``ok``, or a sentence that names what is wrong with Elasticsearch, for ``/readyz``."""
        try:
            quick = self._client.options(request_timeout=_STATE_SECONDS)
            health = await quick.cluster.health(filter_path="status")
        except (TransportError, ElasticsearchError, AnswerTooLongError) as error:
            return f"Elasticsearch does not answer ({type(error).__name__}); reports and row errors wait for it"
        return "ok" if health["status"] != "red" else "Elasticsearch is red: some of its data cannot be reached"


def _length(hit: Json) -> int:
    return len(msgspec.json.encode(hit))


@contextmanager
def _answering(what: str) -> Iterator[None]:
    """Make 503 of Elasticsearch's silence, of its refusals, and of answers that are too long."""
    try:
        yield
    except AnswerTooLongError as error:
        raise unavailable(f"{what} kept in Elasticsearch, and too long to be read at once") from error
    except (TransportError, ElasticsearchError) as error:
        raise unavailable(
            f"{what} kept in Elasticsearch, which does not answer ({type(error).__name__}); "
            f"jobs go on meanwhile: check `sluice status` and try again"
        ) from error
