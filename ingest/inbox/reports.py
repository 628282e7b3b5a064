"""Reports to the control agent about the rows of a job that came by the inbox. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from control.predicates import under_way
from ingest.delivery_watermark import with_counts
from ingest.inbox.row_buffer import MOST_GAPS, RowBuffer
from schemas.job import Job, State
from schemas.messages.commands import InputAdvanced, InputEnded, InputFailed, Report

REPORT_SECONDS = 0.5
AGAIN_SECONDS = 5.0
"""A report that the job's state does not show by then is sent again."""


def report_on(
    job: Job, buffer: RowBuffer, given_up: str | None = None, storage_problem: str | None = None
) -> Report | None:
    """The report that brings the job's state up to date with its rows; None: it is, or the job takes no reports.

    `given_up`: why the rows of the job don't become blocks any more; `storage_problem`: why they wait to become some.
    """
    if not under_way(job) or job.phase != "apply" or job.input.ended:
        return None
    announced, now = job.announced_rows, replace(buffer.input, storage_problem=storage_problem)
    trouble = given_up or _trouble(buffer, announced)
    if trouble is not None:
        failed = InputFailed(job_id=job.id, epoch=job.epoch, reason=trouble)
        return None if job.state is State.FAILED else failed
    if announced is not None and buffer.is_whole(announced):
        return InputEnded(job_id=job.id, input=with_counts(now, job.partitions))
    known = job.input
    news = now.blocks > known.blocks or (now.blocks == known.blocks and storage_problem != known.storage_problem)
    return InputAdvanced(job_id=job.id, input=now) if news else None


def _trouble(buffer: RowBuffer, announced: int | None) -> str | None:
    if buffer.is_torn:
        return (
            f"the rows come too far out of order: more than {MOST_GAPS:,} gaps between them; roll the job back, and "
            f"send the rows in the order of their numbers"
        )
    if announced is not None and buffer.last > announced:
        return (
            f"{announced:,} rows were announced for the job, but row {buffer.last:,} has come: either the number or "
            f"the rows are wrong; roll the job back and start another one"
        )
    return None


class Announcer:
    """Decides which reports to send: each once, and again if the state of its job does not show it in time."""

    def __init__(self) -> None:
        self._sent: dict[str, tuple[Report, float]] = {}

    def due(self, reports: Iterable[Report], now: float) -> list[Report]:
        """Which of the reports on all jobs to send now; `now`: seconds of any steady clock."""
        given = {report.job_id: report for report in reports}
        self._sent = {job_id: sent for job_id, sent in self._sent.items() if job_id in given}
        return [report for report in given.values() if self.is_due(report, now)]

    def is_due(self, report: Report, now: float) -> bool:
        """Whether to send this report now; if so, it counts as sent."""
        last, at = self._sent.get(report.job_id, (None, 0.0))
        pause = AGAIN_SECONDS if report == last else REPORT_SECONDS if isinstance(report, InputAdvanced) else 0.0
        if last is not None and now - at < pause:
            return False
        self._sent[report.job_id] = (report, now)
        return True
