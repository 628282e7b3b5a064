"""The events that reports of readers and workers stand for. Pure.

A report may come late, and once more at any time: Kafka delivers it again when the offsets of the group have expired.
It is void in another epoch or run than the one it names. Within a run, inputs and counts only grow, and a lane is done
once.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from control.budget import watched
from control.creation.inspection import awaits_inspection, pauses
from control.creation.quotas import rows_problem
from control.errors import Rejected
from control.machine.context import Context
from control.machine.totals import settled, summed
from control.predicates import counting, making_file, quiescing, takes_more_rows, under_way
from runtime.text.formatting import counted
from schemas.job import ENDED, Input, Job, LaneTotals, State
from schemas.messages.commands import (
    FileFinished,
    InputAdvanced,
    InputEnded,
    InputFailed,
    LanesCounted,
    LanesDone,
    LanesRested,
    PurgeEnded,
    Report,
    RowsInspected,
    StoresEmptied,
    UndoChecked,
    WorkFailed,
)
from schemas.messages.events import (
    Completed,
    Event,
    Expired,
    Failed,
    InputAnnounced,
    InputCompleted,
    InputMoved,
    Inspected,
    LanesFinished,
    LanesStopped,
    LanesTallied,
    Purged,
    PurgeFailed,
    RollbackRepeated,
    RolledBack,
    Suspected,
)

S = State


def report_events(job: Job, report: Report) -> tuple[Event, ...]:
    """The events a report stands for; none where it is out of date or comes a second time."""
    if _is_void(job, report):
        return ()
    match report:
        case UndoChecked():
            if not counting(job):
                return ()
            return (_checked(job, report),)
        case PurgeEnded():
            if not job.purging:
                return ()
            return (Purged(),) if report.problem is None else (PurgeFailed(report.problem),)
        case StoresEmptied():
            emptied = [store for store in report.stores if job.lacks(store) is None]
            return (Expired(emptied),) if emptied and job.state in ENDED else ()
        case FileFinished():
            return (Completed(settled(job, summed(job))),) if making_file(job) else ()
        case LanesCounted():
            known, none = job.lanes_counted, LaneTotals()
            more = {p: totals for p, totals in report.lanes.items() if totals.blocks > known.get(p, none).blocks}
            return (LanesTallied(more),) if more and watched(job) and under_way(job) else ()
        case RowsInspected():
            if not awaits_inspection(job) or job.state is not S.RUNNING:
                return ()
            if report.suspicion is None:
                return (Inspected(),)
            return (Suspected(report.suspicion, pauses(job, report.suspicion, report.own_rows)),)
        case LanesRested():
            news = {p: lane for p, lane in report.lanes.items() if p not in job.lanes_rested and p < job.partitions}
            return (LanesStopped(news),) if quiescing(job) and news else ()
        case InputAdvanced():
            so_far = job.current_input
            moved = (
                report.input.blocks > so_far.blocks
                or (report.input.frozen is not None and so_far.frozen is None)
                or _tells_of_storage(so_far, report.input)
            )
            return (InputMoved(report.input),) if under_way(job) and moved and _goes_on(so_far, report.input) else ()
        case InputEnded():
            if not under_way(job) or report.input is None or len(report.input.blocks_per_partition) != job.partitions:
                return ()
            if not _goes_on(job.current_input, report.input):
                return ()
            return (InputCompleted(replace(report.input, ended=True)),)
        case LanesDone():
            finished = {p: totals for p, totals in report.lanes.items() if p not in job.lanes_done}
            return (LanesFinished(finished),) if under_way(job) and finished else ()
        case InputFailed() | WorkFailed():
            if not under_way(job) or job.state is S.FAILED:
                return ()
            # A job whose input has ended needs no more of its source.
            needless = isinstance(report, InputFailed) and job.current_input.ended
            return () if needless else (Failed(),)
        case _:
            assert_never(report)


def _checked(job: Job, report: UndoChecked) -> Event:
    """What follows from the count at the end of a round of a rollback."""
    if not report.remaining:
        return RolledBack(report.rows_undone)
    if report.remaining >= job.left_over > 0 and not summed(job).rows_undone:
        return Failed(_stuck(job, report.remaining))
    return RollbackRepeated(report.remaining, report.last_row)


def _stuck(job: Job, remaining: int) -> str:
    """Why a rollback has failed that took nothing out in a whole round: the next one would do the same."""
    if job.source.kind == "query":
        return (
            f"the rollback leaves {counted(remaining, 'file')} that it can't remove: look why the storage still has "
            f"what was removed, then resume the job"
        )
    return (
        f"the rollback leaves {counted(remaining, 'document')} that it can't take out, as another program may have "
        f"copied or changed them: search for sluice.job_id {job.id} in the indices that the job writes into, delete "
        f"what you find or take this mark out of it, then resume the job"
    )


def announcement_events(job: Job, rows: int | None, context: Context) -> tuple[Event, ...] | Rejected:
    """The events of the message in which the sender of a topic's rows says how many there are."""
    if job.source.kind != "topic":
        return Rejected(409, f"job {job.id} does not read its rows from a topic: its reader finds their end by itself")
    if rows is None or rows < 0:
        return Rejected(400, "the end of the input needs the field rows: the number of rows, from 0 on")
    if job.announced_rows is not None:
        if job.announced_rows == rows:
            return ()
        return Rejected(
            409,
            f"the sender of job {job.id} announced before that it has {job.announced_rows:,} rows, not {rows:,}; "
            f"this can't be changed: terminate the job and start another one",
            {"rows": job.announced_rows},
        )
    if not takes_more_rows(job):
        return Rejected(409, f"job {job.id} is {job.state}: it takes no more rows", {"state": job.state})
    too_many = rows_problem(rows, job.organisation, context.catalog.quotas.of(job.organisation))
    if too_many is not None:
        return too_many
    return (InputAnnounced(rows),)


def _is_void(job: Job, report: Report) -> bool:
    """Whether a report is about another run or epoch than the job is in. Some name none, or did in older versions."""
    run, epoch = getattr(report, "run", job.run), getattr(report, "epoch", None)
    return run != job.run or epoch not in (None, job.epoch)


def _goes_on(known: Input, news: Input) -> bool:
    """Whether a report continues the known input. An export has one point in time: the first that a reader reports."""
    return not known.ended and known.frozen in (None, news.frozen)


def _tells_of_storage(known: Input, news: Input) -> bool:
    """Whether a report that is no older than the known input says something else of the storage."""
    return news.blocks == known.blocks and news.storage_problem != known.storage_problem
