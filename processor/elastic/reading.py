"""What is read of Elasticsearch: all that was asked for, or an error.

A request may be answered with 200 although a part of it could not be read: there is an error in the part's place then.
It is judged as one of a bulk item is (decision 0091).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

import msgspec
from elasticsearch import AsyncElasticsearch

from processor.elastic.answers import Answer, answer_of
from processor.elastic.bulk import BulkSink, Gate
from processor.errors import CannotGoOnError, PutOffError
from runtime.retrying import RETRIED_STATUSES

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


class _Docs(msgspec.Struct, frozen=True):
    docs: list[Doc]


_docs = msgspec.json.Decoder(_Docs).decode


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
        docs = _docs(as_bytes(answer.body)).docs
        for doc in docs:
            if doc.error is not None and doc.error.get("type") != _NO_INDEX:
                _raise(answer_of(doc.error), f"a document of {index}")
        return docs

    return await sink.ask(read, gate)


def as_bytes(body: Any) -> bytes:
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
