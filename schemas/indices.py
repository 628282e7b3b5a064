"""Elasticsearch indices, as data: mappings and settings of each, and of an index per dataset."""

from __future__ import annotations

from typing import Any, Final

from schemas.descriptors.datasets import Dataset, Field
from schemas.names import MAPPING_FIELDS

KEYWORD_CHARACTERS: Final = 8191
"""Longer texts are kept, and are neither found nor counted: Lucene's terms have 32,766 bytes at most."""
_KEYWORD: dict[str, Any] = {"type": "keyword", "ignore_above": KEYWORD_CHARACTERS}
_DATE: dict[str, Any] = {"type": "date", "format": "strict_date_optional_time||epoch_millis"}
_LONG: dict[str, Any] = {"type": "long"}

_FIELD_TYPES: dict[str, dict[str, Any]] = {
    "string": _KEYWORD,
    "integer": _LONG,
    "number": {"type": "double"},
    "boolean": {"type": "boolean"},
    "date": {"type": "date", "format": "strict_date"},
    "datetime": {"type": "date", "format": "strict_date_optional_time"},
    "any": _KEYWORD,
}


def index_name(prefix: str, name: str) -> str:
    """The full name of an index, e.g. ``sluice-jobs``."""
    return f"{prefix}-{name}"


def data_index(prefix: str, dataset: str) -> str:
    """The index that holds a dataset's rows."""
    return index_name(prefix, f"data-{dataset}")


def _field_mapping(field: Field) -> dict[str, Any]:
    kind = dict(_FIELD_TYPES[field.type])
    # No terms and no columns: the value is in the document alone.
    return kind if field.indexed else {**kind, "index": False, "doc_values": False}


SCOPE = "sluice_key_scope"
"""What an index notes of its dataset's key: how far it reaches. Ids are made of it."""


def data_mapping(dataset: Dataset) -> dict[str, Any]:
    """Mapping of a dataset's index: strict, so that nothing is stored that the dataset does not describe."""
    return {
        "dynamic": "strict",
        "_meta": {SCOPE: dataset.key_scope},
        "properties": {
            **{field.name: _field_mapping(field) for field in dataset.fields},
            "sluice": {
                "properties": {
                    "job_id": {"type": "keyword"},
                    "row_number": _LONG,
                    "organisation": {"type": "keyword"},
                }
            },
        },
    }


_MODE_COUNTS = (
    *("rows_created", "rows_updated", "rows_unchanged", "rows_deleted", "rows_conflicting", "rows_missing"),
    *("rows_restored", "rows_kept", "rows_not_restored"),
)
_ADDED_COUNTS = dict.fromkeys(("rows_applied", "rows_failed", "rows_undone", "blocks", *_MODE_COUNTS), _LONG)
_LANE_COUNTS = {**_ADDED_COUNTS, "last_row": _LONG}

REPORT_MAPPINGS: dict[str, dict[str, Any]] = {
    "jobs": {
        "dynamic": False,
        "properties": {
            **{
                name: {"type": "keyword"}
                for name in ("id", "operation", "dataset", "organisation", "created_by", "state", "phase")
            },
            "job_id": {"type": "alias", "path": "id"},
            "reason": _KEYWORD,
            **dict.fromkeys(("created_at", "started_at", "ended_at", "updated_at"), _DATE),
            **dict.fromkeys(("command_offset", "rows_total", "rows_applied", "rows_failed", "rows_undone"), _LONG),
            "mode": {"type": "keyword"},
            **dict.fromkeys(_MODE_COUNTS, _LONG),
            "duration_seconds": {"type": "double"},
        },
    },
    "progress": {
        "dynamic": False,
        "properties": {
            **{
                name: {"type": "keyword"}
                for name in ("job_id", "operation", "dataset", "organisation", "phase", "lane", "worker")
            },
            **{name: {"type": "integer"} for name in ("partition", "run")},
            **dict.fromkeys(("parked_blocks", "refused", "rows_total"), _LONG),
            "share": {"type": "double"},
            "at": _DATE,
            "totals": {"properties": _LANE_COUNTS},
            "added": {"properties": _ADDED_COUNTS},
        },
    },
    "errors": {
        "dynamic": False,
        "properties": {
            **{name: {"type": "keyword"} for name in ("job_id", "organisation", "column")},
            "row": _LONG,
            "line": _LONG,
            "value": _KEYWORD,
            "reason": _KEYWORD,
            "values": {"type": "keyword", "index": False, "doc_values": False},
            "at": _DATE,
        },
    },
    "previews": {
        "dynamic": False,
        "properties": {
            "job_id": {"type": "keyword"},
            "row": _LONG,
            "document": {"type": "object", "enabled": False},
        },
    },
    "changes": {
        "dynamic": False,
        "properties": {
            **{name: {"type": "keyword"} for name in ("job_id", "kind", "columns")},
            "row": _LONG,
        },
    },
    "images": {
        "dynamic": False,
        "properties": {
            "job_id": {"type": "keyword"},
            "document": {"type": "keyword", "doc_values": False},
            "created": {"type": "integer", "doc_values": False},
            **dict.fromkeys(("row", "first_row", "last_row", "entries", "order"), _LONG),
            "images": {"type": "object", "enabled": False},
        },
    },
    "undone": {
        "dynamic": False,
        "properties": {"job_id": {"type": "keyword"}, **dict.fromkeys(("run", "first_row", "last_row"), _LONG)},
    },
}
"""Mappings of the reports: ``jobs`` (a document a job), ``progress`` (a time series), ``errors`` (row errors),
``previews`` (the first rows of dry runs), ``changes`` (what a dry run would change), ``images`` (documents as they
were before a job), ``undone`` (what a rollback has done with each row). A job is ``job_id`` in each of them, so that a
filter fits all."""


KEPT_MAPPINGS: dict[str, dict[str, Any]] = {
    "mappings": {
        "dynamic": False,
        "properties": {
            **{name: {"type": "keyword"} for name in ("organisation", "name")},
            "mapping": {"type": "keyword", "index": False, "doc_values": False},
        },
    },
}
"""Mappings of indices that no topic can make anew: ``mappings``, which columns are which, by name."""


def index_settings(replicas: int, shards: int = 1) -> dict[str, Any]:
    """Settings of an index. The refresh interval suits bulk loading, and is short enough for a dashboard."""
    return {
        "number_of_shards": shards,
        "number_of_replicas": replicas,
        "refresh_interval": "5s",
        "mapping.total_fields.limit": MAPPING_FIELDS,
    }
