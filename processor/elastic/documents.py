"""Rows as Elasticsearch's bulk lines, whole columns at a time: what is done once a column is not done once a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()
_encode = _encoder.encode


def document_lines(
    index: str,
    job_id: str,
    organisation: str,
    columns: Sequence[str],
    numbers: Sequence[int],
    stored: Sequence[Sequence[Any]],
    ids: Iterable[str] | None = None,
) -> list[bytes]:
    """The bulk lines of rows, action and document: an item each, the same however often it is made.

    `stored` has the values of each of `columns`, as many as there are row `numbers`. `ids` are the documents' ids;
    None: ``<job id>:<row number>``.
    """
    names = [f"{job_id}:{number}".encode() for number in numbers] if ids is None else [name.encode() for name in ids]
    template = (
        b'{"create":{"_index":%b,"_id":"' % _encode(index)
        + b'%b"}}\n{'
        + b"".join(_encode(name).replace(b"%", b"%%") + b":%b," for name in columns)
        + b'"sluice":{"job_id":%b,"row_number":' % _encode(job_id)
        + b'%d,"organisation":%b}}'.replace(b"%b", _encode(organisation))
    )
    texts = map(_texts, stored)
    return [template % line for line in zip(names, *texts, numbers, strict=True)]


def bulk_item(action: str, index: str, document_id: str, document: Any = None) -> bytes:
    """The bulk lines of one action; `document` is what follows its line, None for a deletion."""
    head = _encode({action: {"_index": index, "_id": document_id}})
    return head if document is None else head + b"\n" + _encode(document)


def _texts(column: Sequence[Any]) -> list[bytes]:
    """Each value of a column as JSON. A line end inside a value is escaped, so lines can be told apart."""
    return _encoder.encode_lines(column).split(b"\n")[:-1]
