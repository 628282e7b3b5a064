"""Limits of what organisations may use, as data: a value of each for all, and others for single organisations. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

Bytes = Annotated[int, Meta(ge=1, le=2**53 - 1)]
Count = Annotated[int, Meta(ge=0, le=10**12)]
Some = Annotated[int, Meta(ge=1, le=10**12)]
_GIB: Final = 1024**3


class Quotas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one organisation may use, and its weight."""

    body_bytes: Bytes = 64 * _GIB
    stored_bytes: Bytes = 1024 * _GIB
    rows: Some = 10_000_000_000
    export_rows: Some = 100_000_000
    columns: Annotated[int, Meta(ge=1, le=10_000)] = 2000
    field_characters: Some = 262_144
    line_bytes: Bytes = 16 * 1024**2
    jobs_running: Count = 1000
    jobs_queued: Count = 10_000
    drafts: Count = 1000
    inbox_rows: Count = 10_000_000_000
    requests_per_second: Annotated[float, Meta(gt=0, le=1e6)] = 500.0
    event_streams: Count = 200
    webhooks: Count = 20
    keys: Count = 1000
    sessions: Count = 1000
    mappings: Count = 1000
    weight: Annotated[float, Meta(ge=0.01, le=100)] = 1.0


QuotaName = Literal[
    "body_bytes",
    "stored_bytes",
    "rows",
    "export_rows",
    "columns",
    "field_characters",
    "line_bytes",
    "jobs_running",
    "jobs_queued",
    "drafts",
    "inbox_rows",
    "requests_per_second",
    "event_streams",
    "webhooks",
    "keys",
    "sessions",
    "mappings",
]


@dataclass(frozen=True, slots=True)
class Limit:
    """What a limit is called, and how it is refused."""

    name: QuotaName
    unit: str
    status: int
    """HTTP's, of the refusal at the API."""
    bounds: str
    """What it bounds; fits behind "the most" and "an organisation has"."""
    advice: str
    """What its caller can do; fits behind a semicolon."""


LIMITS: Final[dict[str, Limit]] = {
    limit.name: limit
    for limit in (
        Limit("body_bytes", "bytes", 413, "bytes of a request's body, or of a named file",
              "send the rows in several files, each as a job of its own"),
        Limit("stored_bytes", "bytes", 413, "bytes of the stored files of its jobs",
              "purge jobs that are over, or wait until their files expire"),
        Limit("rows", "rows", 413, "rows of a job", "send the rows in several jobs"),
        Limit("export_rows", "rows", 413, "rows of an export", "export fewer days at once"),
        Limit("columns", "columns", 413, "columns of a file", "leave out columns that are not needed"),
        Limit("field_characters", "characters", 413, "characters of a value, or of a column's name", "shorten it"),
        Limit("line_bytes", "bytes", 413, "bytes of a line of a file",
              "look whether the file is CSV, and whether a quote is not closed"),
        Limit("jobs_running", "jobs", 429, "jobs at work",
              'wait until one has ended, terminate one, or ask to be queued (if_busy: "queue")'),
        Limit("jobs_queued", "jobs", 429, "jobs in the queue", "wait until one has started, or terminate one"),
        Limit("drafts", "jobs", 429, "jobs whose files are still to come (DRAFT)",
              "send the file of one and start it, or terminate one"),
        Limit("inbox_rows", "rows", 429, "rows by the inbox of jobs that are not over",
              "wait until such a job has ended, or terminate one"),
        Limit("requests_per_second", "requests a second", 429, "requests a second, of each API process",
              "send fewer, and again after the seconds in Retry-After"),
        Limit("event_streams", "streams", 429, "open event streams, of each API process",
              "close one, or ask for the job now and then instead"),
        Limit("webhooks", "webhooks", 429, "webhooks", "delete one that is not needed"),
        Limit("keys", "keys", 429, "keys that can be used", "revoke one that is not needed"),
        Limit("sessions", "sessions", 429, "open sessions of the page",
              "sign out of one, or wait until one ends, 12 hours after its beginning at the latest"),
        Limit("mappings", "mappings", 429, "mappings kept by name", "delete one that is not needed"),
    )
}  # fmt: skip
"""Name -> limit, in the order of docs/limits.md."""


@dataclass(frozen=True, slots=True)
class QuotaBook:
    """The quotas of every organisation."""

    default: Quotas = field(default_factory=Quotas)
    organisations: Mapping[str, Quotas] = field(default_factory=dict)
    """Organisation -> its quotas, if they are not the default ones."""

    def of(self, organisation: str) -> Quotas:
        """One organisation's."""
        return self.organisations.get(organisation, self.default)

    def widest(self, name: QuotaName, organisations: Collection[str] | None) -> Any:
        """The highest value of a limit that any of these organisations has; None: any organisation at all."""
        if organisations is None:
            known = [self.default, *self.organisations.values()]
        else:
            known = [self.of(organisation) for organisation in organisations] or [self.default]
        return max(getattr(quotas, name) for quotas in known)


def quota_book(values: Mapping[str, Any]) -> QuotaBook:
    """The quotas that a setting describes: values for all, and under ``organisations`` other ones for some.

    Raises:
        ValueError: a name is not known, or a value can't be used.
    """
    common = {name: value for name, value in values.items() if name != "organisations"}
    single = values.get("organisations", {})
    if not isinstance(single, dict) or not all(isinstance(own, dict) for own in single.values()):
        raise ValueError("organisations is a table of tables: the name of an organisation, and its limits")
    return QuotaBook(
        _quotas(common, "for all organisations"),
        {name: _quotas({**common, **own}, f"for organisation {name}") for name, own in single.items()},
    )


def _quotas(values: Mapping[str, Any], whose: str) -> Quotas:
    try:
        return msgspec.convert(dict(values), Quotas)
    except msgspec.ValidationError as error:
        known = ", ".join(Quotas.__struct_fields__)
        raise ValueError(f"{error} ({whose}); the limits are {known}") from error
