"""A job as callers see it, made from its state and its lanes. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from api.jobs.reading.suspicions import suspicion_view
from api.models.jobs import FormatView, JobView, Lane, Progress, SourceView
from api.readmodel.job_index import JobIndex
from api.readmodel.seen import LaneState
from api.readmodel.totals import applied_totals, retried_totals, undone_totals
from control.creation.exclusive import awaited
from control.machine.totals import dealt_with
from control.predicates import takes_more_rows
from runtime.text.formatting import iso_time
from schemas.job import ENDED, RESTING, Format, Job, LaneTotals, Source, State


def job_view(job: Job, view: JobIndex, now: int, waiting_for: str | None = None) -> JobView:
    """The job with its progress; `now` in milliseconds since 1970."""
    lanes = list(view.lanes(job.id))
    return JobView(
        id=job.id,
        operation=job.operation,
        dataset=job.dataset,
        organisation=job.organisation,
        created_by=job.created_by,
        state=job.state,
        ended=job.ended_at is not None,
        phase=job.phase,
        epoch=job.epoch,
        mode=job.mode,
        budget=job.budget,
        reason=job.reason,
        options=job.options,
        progress=progress(job, lanes, view.rows_per_second(job.id, now)),
        lanes=lane_views(job, lanes),
        created_at=iso_time(job.created_at) or "",
        started_at=iso_time(job.started_at),
        ended_at=iso_time(job.ended_at),
        source=source_view(job.source),
        resume_at=iso_time(job.resume_at),
        start_at=iso_time(job.start_at),
        state_since=iso_time(job.state_since),
        suspicion=suspicion_view(job),
        started_from=job.started_from,
        retry=source_view(job.retry) if job.retry else None,
        date_from=job.date_from,
        date_till=job.date_till,
        awaits=turn_awaited(job, view) if job.state is State.QUEUED else awaits(job),
        purging=job.purging,
        purged_at=iso_time(job.purged_at),
        purge_problem=job.purge_problem,
        expired={store: iso_time(at) or "" for store, at in job.expired.items()},
        waiting_for=waiting_for,
    )


def turn_awaited(job: Job, view: JobIndex) -> str | None:
    """What a queued job waits for, in words; None: its time to start, which stands in `start_at`."""
    if job.start_at is not None:
        return None
    held_by = view.holders.of(job.exclusive_key) if job.exclusive_key else None
    holding = view.jobs.brief(held_by) if held_by is not None else None
    if holding is not None:
        return awaited(holding, job)
    return f"its turn among the jobs that organisation {job.organisation} may have at work (limit jobs_running)"


def awaits(job: Job) -> str | None:
    """What a job waits for, in words: the storage, or what the sender of rows from a topic still has to send. None:
    nothing, or it is not asked for."""
    if job.source.kind == "query" or not takes_more_rows(job) or job.current_input.ended:
        return None
    if job.source.kind == "file" and job.state is not State.RUNNING:
        return None
    if job.current_input.storage_problem is not None:
        return f"the storage: {job.current_input.storage_problem}"
    if job.source.kind != "topic":
        return None
    come, total = job.input.rows, job.announced_rows
    if total is None:
        return f"rows, or the end of the input: {come:,} rows have come"
    if come >= total:
        return None
    return f"{total - come:,} of {total:,} rows; the first that is missing is row {job.input.first_missing or 1:,}"


def source_view(source: Source) -> SourceView:
    """A source as callers see it."""
    found = source.format or Format()
    converted = found.sha256 is not None
    return SourceView(
        kind=source.kind,
        name=source.name,
        bytes=found.bytes if converted else source.bytes,
        sha256=found.sha256 if converted else source.sha256,
        url=source.url,
        lines=source.lines,
        columns=source.columns,
        format=_format_view(source, found) if source.format else None,
    )


def _format_view(source: Source, found: Format) -> FormatView:
    converted = found.sha256 is not None
    return FormatView(
        compression=found.compression,
        encoding=found.encoding or "utf-8",
        delimiter=found.delimiter or ",",
        skip_lines=found.skip_lines,
        comment=found.comment,
        stored_bytes=source.bytes if converted else None,
        stored_sha256=source.sha256 if converted else None,
    )


def progress(job: Job, lanes: Iterable[LaneState], rate: float | None) -> Progress:
    """How far the job is; `rate` is the measured rows a second."""
    known = list(lanes)
    applied, undone = applied_totals(job, known), undone_totals(job, known)
    total = job.rows_total
    if job.phase == "undo":
        done: int = dealt_with(undone)
        goal: int | None = applied.rows_applied - applied.rows_unchanged or job.undo_rows
    elif job.retrying:
        retried = retried_totals(job, known)
        done, goal = retried.rows_applied + retried.rows_failed, _retried_rows(job)
    else:
        done, goal = applied.rows_applied + applied.rows_failed, total
    speed = 0.0 if job.state in RESTING else rate
    return Progress(
        rows_total=total,
        rows_read=max(job.input.rows, applied.rows_applied + applied.rows_failed),
        rows_applied=applied.rows_applied,
        rows_failed=applied.rows_failed,
        rows_rolled_back=undone.rows_undone,
        rows_done=done,
        rows_created=applied.rows_created if job.mode is not None else _own_rows(job, applied),
        rows_updated=applied.rows_updated,
        rows_unchanged=applied.rows_unchanged,
        rows_deleted=applied.rows_deleted,
        rows_conflicting=applied.rows_conflicting,
        rows_missing=applied.rows_missing,
        rows_restored=undone.rows_restored if job.mode is not None else undone.rows_undone,
        rows_kept=undone.rows_kept,
        rows_not_restored=undone.rows_not_restored,
        percent=_percent(job.state, done, goal),
        rows_per_second=speed,
        eta_seconds=_eta(job.state, done, goal, speed),
    )


def _own_rows(job: Job, applied: LaneTotals) -> int:
    """The documents that a job has made under ids of its own."""
    return 0 if job.source.kind == "query" else applied.rows_applied


def lane_views(job: Job, lanes: Iterable[LaneState]) -> list[Lane]:
    """Each partition of the job: from its lane record, or from the proof that it rested."""
    apply: dict[int, LaneState] = {}
    undo: dict[int, LaneState] = {}
    for lane in lanes:
        (apply if lane.phase == "apply" else undo)[lane.partition] = lane
    partitions = sorted({*apply, *undo, *job.lanes_rested, *job.lanes_done})
    return [_lane(job, partition, apply.get(partition), undo.get(partition)) for partition in partitions]


def _lane(job: Job, partition: int, apply: LaneState | None, undo: LaneState | None) -> Lane:
    rested = job.lanes_rested.get(partition)
    current = undo if job.phase == "undo" else apply
    if current is not None and rested is not None and dealt_with(rested.totals) > dealt_with(current.totals):
        current = None  # the proof, which came by another topic, is ahead of the lane's record
    known = [current.totals if current else None, rested.totals if rested else None, job.lanes_done.get(partition)]
    newest = max((totals for totals in known if totals is not None), key=dealt_with, default=LaneTotals())
    applied = newest.rows_applied if job.phase == "apply" else apply.totals.rows_applied if apply else 0
    undone = newest.rows_undone if job.phase == "undo" else undo.totals.rows_undone if undo else 0
    return Lane(
        partition=partition,
        applied_rows=applied,
        undone_rows=undone,
        parked_blocks=current.parked_blocks if current else rested.parked_blocks if rested else 0,
        last_offset=current.last_offset if current else rested.last_offset if rested else -1,
        error=current.error if current else None,
    )


def _retried_rows(job: Job) -> int | None:
    if job.retry_input.ended:
        return job.retry_input.rows
    lines = (job.retry or job.source).lines
    return max(0, lines - 1) if lines is not None else None


def _percent(state: State, done: int, goal: int | None) -> float:
    if state in (State.COMPLETED, State.COMPLETED_WITH_ERRORS, State.ROLLED_BACK):
        return 100.0
    return round(min(100.0, 100 * done / goal), 1) if goal else 0.0


def _eta(state: State, done: int, goal: int | None, speed: float | None) -> int | None:
    if state in ENDED:
        return 0
    return round(max(0, goal - done) / speed) if speed and goal is not None else None
