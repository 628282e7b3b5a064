"""Row errors as documents of Elasticsearch. Each has the id ``<job id>:<row>``, so a repeat records each once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from processor.elastic.documents import bulk_item
from schemas.indices import index_name
from schemas.messages.progress import RowError

_encode = msgspec.json.Encoder().encode


def error_items(prefix: str, errors: Sequence[RowError]) -> list[bytes]:
    """The bulk items that record these errors."""
    return [error_item(prefix, error) for error in errors]


def error_item(prefix: str, error: RowError) -> bytes:
    """The bulk lines that record one row error, or take out that of a row that is corrected."""
    if error.corrected:
        return bulk_item("delete", index_name(prefix, "errors"), f"{error.job_id}:{error.row}")
    document: dict[str, Any] = {"column": None, "value": None, **msgspec.to_builtins(error)}
    return b'{"index":{"_index":"%b","_id":"%b:%d"}}\n%b' % (
        index_name(prefix, "errors").encode(),
        error.job_id.encode(),
        error.row,
        _encode({**document, "organisation": error.organisation}),
    )
