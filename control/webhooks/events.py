"""Events as CloudEvents 1.0 in JSON, made of the history of jobs. Pure.

They hold what a job is and how many rows it has dealt with, and no value of a row: a purge could not reach what a
receiver keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from runtime.text.formatting import iso_time
from schemas.job import Job, LaneTotals, State
from schemas.messages.codec import encode
from schemas.messages.events import JobEvent
from schemas.messages.webhooks import TEST_TYPE, EventType

S = State
KINDS: Final[Mapping[str, tuple[EventType, tuple[State, ...]]]] = {
    "Created": ("sluice.job.created", (S.QUEUED, S.DRAFT)),
    "FileReceived": ("sluice.job.file_received", (S.QUEUED,)),
    "Started": ("sluice.job.started", (S.RUNNING,)),
    "PauseRequested": ("sluice.job.pausing", (S.PAUSING, S.ROLLING_BACK)),
    "Paused": ("sluice.job.paused", (S.PAUSED, S.ROLLBACK_PAUSED)),
    "Resumed": ("sluice.job.resumed", (S.RUNNING, S.ROLLING_BACK)),
    "TerminationRequested": ("sluice.job.terminating", (S.TERMINATING,)),
    "Terminated": ("sluice.job.terminated", (S.TERMINATED,)),
    "Completed": ("sluice.job.completed", (S.COMPLETED, S.COMPLETED_WITH_ERRORS)),
    "Failed": ("sluice.job.failed", (S.FAILED,)),
    "RetryStarted": ("sluice.job.retrying", (S.RUNNING,)),
    "RollbackStarted": ("sluice.job.rolling_back", (S.ROLLING_BACK,)),
    "RolledBack": ("sluice.job.rolled_back", (S.ROLLED_BACK,)),
    "Purged": ("sluice.job.purged", ()),
}
"""Name of an event of the history -> its type, and the states that it leads to; none: the state stays. The other events
of the history change no state, and are not sent."""
STOPS: Final[frozenset[EventType]] = frozenset(
    {
        "sluice.job.paused",
        "sluice.job.terminated",
        "sluice.job.completed",
        "sluice.job.failed",
        "sluice.job.rolled_back",
    }
)
"""Events of which a job tells the address, or the webhook, that it names itself: it has stopped."""
CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"


def event_type(record: JobEvent) -> EventType | None:
    """The type of this event; None: it is not sent."""
    kind = KINDS.get(record.event)
    return None if kind is None else kind[0]


def state_after(record: JobEvent) -> State:
    """The state that this event has led to. The record has that after all events of the same command."""
    states = KINDS[record.event][1]
    if not states or record.state in states:
        return record.state
    undone = record.job.phase == "undo" and S.ROLLING_BACK in states
    return S.ROLLING_BACK if undone else states[0]


def event_id(record: JobEvent) -> str:
    """The event's id: the same each time that the record is read, and no other event's."""
    return f"{record.job_id}-{record.command_offset}-{record.event}"


def job_event(record: JobEvent, kind: str, source: str, offset: int = 0) -> bytes:
    """The event of a record, which lies at `offset` of the history. `source`: the API's address."""
    job = record.job
    return _cloud_event(
        id=event_id(record),
        source=source,
        type=kind,
        subject=record.job_id,
        time=iso_time(record.at),
        # CloudEvents' extension "sequence": a text that sorts as the events of a job came about.
        sequence=f"{offset:020}",
        data={
            "event": record.event,
            "by": record.by,
            "reason": record.reason,
            "job": _job(job, state_after(record), source),
        },
    )


def check_event(identifier: str, at_ms: int, organisation: str, source: str) -> bytes:
    """The event with which a webhook is tried out."""
    data = {"organisation": organisation, "message": "a test of this webhook; no job has changed"}
    return _cloud_event(id=identifier, source=source, type=TEST_TYPE, time=iso_time(at_ms), data=data)


def _cloud_event(*, data: dict[str, Any], **attributes: Any) -> bytes:
    return encode({"specversion": "1.0", **attributes, "datacontenttype": "application/json", "data": data})


def _job(job: Job, state: State, source: str) -> dict[str, Any]:
    totals = job.applied or sum((job.lanes_done or job.lanes_counted).values(), LaneTotals())
    return {
        "id": job.id,
        "operation": job.operation,
        "dataset": job.dataset,
        "organisation": job.organisation,
        "created_by": job.created_by,
        "state": state,
        "reason": job.reason,
        "dry_run": job.options.dry_run,
        "created_at": iso_time(job.created_at),
        "started_at": iso_time(job.started_at),
        "ended_at": iso_time(job.ended_at),
        "rows_total": job.rows_total,
        "rows_applied": totals.rows_applied,
        "rows_failed": totals.rows_failed,
        "rows_rolled_back": job.undone.rows_undone if job.undone else 0,
        "url": f"{source}/v1/jobs/{job.id}",
    }
