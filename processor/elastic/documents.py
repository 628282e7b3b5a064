"""Rows as Elasticsearch's bulk lines, whole columns at a time: what is done once a column is not done once a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from processor.elastic.items import DocumentLines
from schemas.messages.packed_rows import JsonColumn

_encoder = msgspec.json.Encoder()
_encode = _encoder.encode


def document_lines(
    job_id: str,
    organisation: str,
    columns: Sequence[str],
    numbers: Sequence[int],
    stored: Sequence[Sequence[Any]],
    ids: Iterable[str] | None = None,
) -> DocumentLines:
    """The bulk lines of rows, action and document: an item each, the same however often it is made. They name no index:
    the request does.

    `stored` has the values of each of `columns`, as many as there are row `numbers`. `ids` are the documents' ids;
    None: ``<job id>:<row number>``.
    """
    if not numbers:
        return DocumentLines(b"", 0)
    counted = _texts(list(numbers))
    names = counted if ids is None else [name.encode() for name in ids]
    head = b'{"create":{"_id":"'
    if ids is None:
        head += job_id.encode() + b":"
    before = b'"}}\n{'
    pieces: list[tuple[bytes, Sequence[bytes]]] = [(head, names)]
    for name, values in zip(columns, stored, strict=True):
        packed = values if isinstance(values, JsonColumn) else None
        pieces.append((before + _encode(name) + b":", packed.pieces if packed else _texts(values)))
        before = b"" if packed and packed.comma else b","
    pieces.append((before + b'"sluice":{"job_id":%b,"row_number":' % _encode(job_id), counted))
    tail = b',"organisation":%b}}\n' % _encode(organisation)
    # One join of all pieces of all rows, each kind put in its places at once, costs less than one row after the other.
    rows, step = len(names), 2 * len(pieces) + 1
    parts = [tail] * (rows * step)
    for place, (constant, varying) in enumerate(pieces):
        parts[2 * place :: step] = [constant] * rows
        parts[2 * place + 1 :: step] = varying
    return DocumentLines(b"".join(parts), rows)


def bulk_item(action: str, index: str | None, document_id: str, document: Any = None) -> bytes:
    """The bulk lines of one action. `index` None: the request names it; `document` is what follows its line, None for a
    deletion."""
    of = {"_id": document_id} if index is None else {"_index": index, "_id": document_id}
    head = _encode({action: of})
    return head if document is None else head + b"\n" + _encode(document)


def _texts(column: Sequence[Any]) -> list[bytes]:
    """Each value of a column as JSON. A line end inside a value is escaped, so lines can be told apart."""
    return _encoder.encode_lines(column).split(b"\n")[:-1]
