"""What is read of Elasticsearch: all that was asked for, or an error. Every search and every `mget` goes through here.

A request may be answered with 200 although a part of it could not be read. Searches leave out what is on a shard that
is away, unless they forbid it. An `mget` or several searches in one request have an error in the part's place: it is
judged as one of a bulk item is (decision 0091).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NoReturn

import msgspec
from elasticsearch import AsyncElasticsearch

from processor.elastic.answers import Answer, answer_of
from processor.elastic.bulk import BulkSink, Gate
from processor.errors import CannotGoOnError, PutOffError
from runtime.network.retrying import RETRIED_STATUSES

_NO_INDEX: Final = "index_not_found_exception"


class Doc(
    msgspec.Struct, frozen=True, gc=False, rename={"source": "_source", "seq": "_seq_no", "term": "_primary_term"}
):
    """What there is under one id."""

    found: bool = False
    source: msgspec.Raw = msgspec.Raw(b"{}")
    seq: int = 0
    term: int = 0
    error: dict[str, Any] | None = None


class Hit(
    msgspec.Struct,
    frozen=True,
    rename={
        "index": "_index",
        "id": "_id",
        "source": "_source",
        "seq": "_seq_no",
        "term": "_primary_term",
        "version": "_version",
    },
):
    """One document that a search has found."""

    id: str
    index: str = ""
    source: msgspec.Raw = msgspec.Raw(b"{}")
    seq: int = 0
    term: int = 0
    version: int = 0
    sort: tuple[Any, ...] = ()


class _Docs(msgspec.Struct, frozen=True):
    docs: list[Doc]


class _Hits(msgspec.Struct, frozen=True):
    hits: list[Hit]


class _Found(msgspec.Struct, frozen=True):
    hits: _Hits


PAGE: Final = 5000
"""Documents in one search of several."""
_docs = msgspec.json.Decoder(_Docs).decode
_found = msgspec.json.Decoder(_Found).decode


async def get_docs(
    sink: BulkSink,
    gate: Gate,
    index: str,
    ids: Sequence[str],
    *,
    client: AsyncElasticsearch | None = None,
    source_includes: str | None = None,
) -> list[Doc]:
    """What there is under each of these ids, refreshed or not, in order. An index that is not there has nothing.

    `client`: None: that of the sink. Raises as `BulkSink.ask`.
    """
    asked = client or sink.client

    async def read() -> list[Doc]:
        answer = await asked.mget(index=index, ids=list(ids), source_includes=source_includes)
        docs = _docs(_as_bytes(answer.body)).docs
        for doc in docs:
            if doc.error is not None and doc.error.get("type") != _NO_INDEX:
                _raise(answer_of(doc.error), f"a document of {index}")
        return docs

    return await sink.ask(read, gate, index=index)


async def search(
    sink: BulkSink, gate: Gate, index: str, *, client: AsyncElasticsearch | None = None, **asked: Any
) -> Any:
    """The body of the answer to a search, as the client gives it. An index that is not there has nothing.

    `client`: None: that of the sink. `asked`: as the client's own method has it. Raises as `BulkSink.ask`.
    """
    used = client or sink.client

    async def read() -> Any:
        answer = await used.search(index=index, ignore_unavailable=True, allow_partial_search_results=False, **asked)
        return answer.body

    return await sink.ask(read, gate, index=index)


async def find(sink: BulkSink, gate: Gate, index: str, query: Mapping[str, Any], size: int, **asked: Any) -> list[Hit]:
    """The documents that a search finds; as `search`."""
    return _found(_as_bytes(await search(sink, gate, index, query=query, size=size, **asked))).hits.hits


async def find_all(
    sink: BulkSink,
    gate: Gate,
    index: str,
    filters: Sequence[Mapping[str, Any]],
    number: str,
    *,
    first: int = 1,
    last: int | None = None,
    page: int = PAGE,
    **asked: Any,
) -> AsyncIterator[list[Hit]]:
    """All documents that pass `filters` and have a number from `first` to `last` in the field `number`, each once, by
    pages, in the order of these numbers. As `search`.
    """
    met: list[str] = []
    while True:
        numbers = {"gte": first} if last is None else {"gte": first, "lte": last}
        query: dict[str, Any] = {"filter": [*filters, {"range": {number: numbers}}]}
        if met:
            query["must_not"] = [{"ids": {"values": met}}]
        hits = await find(sink, gate, index, {"bool": query}, page, sort=[{number: "asc"}], **asked)
        yield hits
        if len(hits) < page:
            return
        # The next page begins with what else has the last number of this one.
        end = int(hits[-1].sort[0])
        met = [*(met if end == first else ()), *(hit.id for hit in hits if hit.sort[0] == end)]
        first = end


async def search_several(
    client: AsyncElasticsearch, index: str, searches: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The answers to searches in one request, to be asked by `BulkSink.ask`; `searches` as in `_msearch`, a header and
    a body for each. An index that is not there has nothing.

    Raises:
        PutOffError: another try may answer one that could not be answered.
        CannotGoOnError: it would not.
    """
    whole = [line if at % 2 else {**line, "allow_partial_search_results": False} for at, line in enumerate(searches)]
    answer = await client.msearch(index=index, searches=whole, ignore_unavailable=True)
    found: list[dict[str, Any]] = answer.body["responses"]
    for one in found:
        if "error" in one:
            _raise(answer_of(one["error"], one.get("status")), index)
    return found


def _as_bytes(body: Any) -> bytes:
    """An answer's body as JSON, decoded or not."""
    return body if isinstance(body, bytes) else msgspec.json.encode(body)


def _raise(answer: Answer, what: str) -> NoReturn:
    """
    Raises:
        PutOffError: another try may read it.
        CannotGoOnError: it would not.
    """
    if answer.status in RETRIED_STATUSES:
        raise PutOffError(f"Elasticsearch can't read {what} now: {answer.error}")
    raise CannotGoOnError(f"Elasticsearch can't read {what}: {answer.error} ({answer.kind})")
