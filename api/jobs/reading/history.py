"""A job's audit trail as callers see it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from api.models.jobs import HistoryEntry
from runtime.text.formatting import iso_time
from schemas.messages.events import CommandRejected, History, JobEvent


def entries(records: Iterable[History]) -> list[HistoryEntry]:
    """The records as callers see them, each once: a command that was handled twice has left its records twice."""
    unique = {_identity(record): record for record in records}
    return [_entry(record) for record in unique.values()]


def _identity(record: History) -> tuple[int, str]:
    return record.command_offset, record.event if isinstance(record, JobEvent) else f"rejected {record.command}"


def _entry(record: History) -> HistoryEntry:
    at = iso_time(record.at) or ""
    if isinstance(record, CommandRejected):
        return HistoryEntry(
            type="rejected",
            command_offset=record.command_offset,
            at=at,
            by=record.by,
            reason=record.reason,
            details=record.details,
            command=record.command,
            code=record.code,
            message=record.message,
        )
    return HistoryEntry(
        type="event",
        command_offset=record.command_offset,
        at=at,
        event=record.event,
        state=record.state,
        by=record.by,
        reason=record.reason,
        details=record.details,
    )
