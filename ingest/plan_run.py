"""One plan in progress: it reads blocks, publishes them, reports those that Kafka has, and ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Literal, Protocol

from msgspec.structs import replace

from ingest.block_source import Step, Waiting
from ingest.delivery_watermark import DeliveryWatermark, with_counts
from ingest.errors import PublishError, SourceError
from ingest.sources import BlockSource, SourceContext, block_source, phase_of
from runtime.files.shared_folder import StorageAwayError
from runtime.telemetry.log_events import as_event
from runtime.telemetry.tracing import begin
from schemas.job import Input
from schemas.messages.commands import InputAdvanced, InputEnded, InputFailed, Report
from schemas.messages.plans import CutExport, Plan, ReadFile, UndoRows
from schemas.topics import MOST_RECORD_BYTES

log = logging.getLogger(__name__)

REPORT_SECONDS = 0.5
AGAIN_SECONDS = 1.0
"""How often the storage is asked again while it is away."""
SourceKind = Literal["file", "export", "undo"]
_KINDS: Final[dict[type, SourceKind]] = {ReadFile: "file", CutExport: "export", UndoRows: "undo"}
_RECORD_OVERHEAD_BYTES = 1024


class Outlet(Protocol):
    """Where blocks and reports go."""

    def has_partition(self, partition: int) -> bool:
        """Whether the topic of the rows has this partition now."""

    def block(self, partition: int, value: bytes, confirmed: Callable[[], None]) -> None:
        """Publish a block."""

    def report(self, report: Report, confirmed: Callable[[], None] | None = None) -> None:
        """Publish a report."""

    def hurry(self) -> None:
        """Send what has been published without waiting for more."""

    def count(self, source: SourceKind, rows: int, size: int) -> None:
        """Count a published block of `rows` rows and `size` bytes."""


class Stage(Enum):
    """The step that the work on a plan has reached; it only moves down this list."""

    READING = "reading"
    DRAINING = "draining"
    """The reader reads no more; Kafka has not confirmed all blocks yet."""
    REPORTED = "reported"
    """The last report is on its way."""
    DONE = "done"
    """Kafka has all blocks and reports: the plan may be acknowledged."""


class PlanRun:
    """A plan in progress. It reads no clock: `now` is any steady number of seconds."""

    def __init__(
        self,
        plan: Plan,
        start: Input,
        context: SourceContext,
        outlet: Outlet,
        now: float,
        trace: str | None = None,
    ) -> None:
        """`trace`: the ``traceparent`` that the plan came with."""
        self.plan = plan
        self.phase = phase_of(plan)
        self.stage = Stage.READING
        self._names: dict[str, Any] = {"job_id": plan.job_id, "phase": self.phase, "run": plan.run}
        self._reported, start = start, replace(start, storage_problem=None)
        self._start, self._began = start, now
        self.span = begin("read", trace, job=plan.job_id)
        self._read_rows = start.rows
        self._kind = _KINDS[type(plan)]
        self._outlet = outlet
        self._encoded = context.encoded
        self._context = context
        self._source = self._from(start)
        self._reached = start
        """The end of the last block that the source has given."""
        self._held: Step | None = None
        """A block that waits for its key."""
        self._problem: str | None = None
        """Why there is no block now."""
        self._now = self._again_at = now
        self._coverage = DeliveryWatermark(start)
        self._next_report = now + REPORT_SECONDS
        self._end: Input | None = None
        self._failure: str | None = None
        log.info(
            "job %s: %s begins at block %d, row %d",
            plan.job_id,
            self.phase,
            start.blocks,
            start.rows + 1,
            extra=as_event("plan.begun", job=plan.job_id, epoch=plan.epoch),
        )

    @property
    def at_end(self) -> bool:
        """Whether the source was read to its end, or can't be."""
        return self._end is not None or self._failure is not None

    @property
    def covered(self) -> Input:
        """How far Kafka has all blocks."""
        return self._coverage.covered

    @property
    def has_advanced(self) -> bool:
        """Whether Kafka has blocks that this run has published."""
        return self.covered.blocks > self._start.blocks

    def step(self) -> bool:
        """Read and publish one block; False: the source waits for another server's answer, or for the storage."""
        if self._now < self._again_at:
            return False
        try:
            step = self._held or next(self._source)
            if isinstance(step, Waiting):
                self._note(step.problem)
                return False
            if step is None:
                return True
            self._held = step
            if step.block is None:
                self._held = None
                self._reached = step.after
                self._coverage = DeliveryWatermark(step.after)
                self._advance()
                return True
            value = self._encoded(step.block)
            self._held, self._reached = None, step.after
            self._note(None)
            if len(value) > MOST_RECORD_BYTES - _RECORD_OVERHEAD_BYTES:
                raise SourceError(
                    f"block {step.block.block} (from row {step.block.first_row}) has {len(value)} bytes as a message, "
                    f"Kafka takes {MOST_RECORD_BYTES}: lower SLUICE_BLOCK_BYTES or SLUICE_BLOCK_ROWS"
                )
            partition, after = step.block.block % self.plan.partitions, step.after
            if not self._outlet.has_partition(partition):
                raise SourceError(
                    f"the topic of the rows has no partition {partition}, and the job was made for "
                    f"{self.plan.partitions}: `sluice migrate --partitions {self.plan.partitions}` adds them, "
                    f"and a resume goes on"
                )
            self._coverage.sent(after)
            self._outlet.block(partition, value, lambda: self._coverage.confirmed(after))
            if after.blocks == self._start.blocks + 1:
                self._outlet.hurry()  # a worker may have nothing else to do
            self._outlet.count(self._kind, after.rows - self._read_rows, len(value))
            self._read_rows = after.rows
        except PublishError:
            raise
        except StorageAwayError as error:
            if self._held is None:
                self._source = self._from(self._reached)
            self._again_at = self._now + AGAIN_SECONDS
            self._note(str(error))
            return False
        except StopIteration as end:
            self._end = end.value
            self.stop()
        except SourceError as error:
            self._failure = str(error)
            self.stop()
        except Exception as error:
            # a bug or a broken disk fails this one job, with the reason; the others go on
            log.exception(
                "job %s: reading failed",
                self.plan.job_id,
                extra=as_event("job.failed", job=self.plan.job_id, epoch=self.plan.epoch),
            )
            self._failure = f"reading failed: {error!r}"
            self.stop()
        return True

    def stop(self) -> None:
        """Read no more blocks."""
        if self.stage is Stage.READING:
            self._source.close()
            self.stage = Stage.DRAINING

    def tend(self, now: float) -> None:
        """Send the report that is due, and end when Kafka has all blocks and reports."""
        self._now = now
        if self.stage is Stage.READING and now >= self._next_report and self._advance():
            self._next_report = now + REPORT_SECONDS
        if self.stage is Stage.DRAINING and self._coverage.in_flight == 0:
            self.stage = Stage.REPORTED
            self._last_report(now)

    def _advance(self, confirmed: Callable[[], None] | None = None) -> bool:
        covered = self._coverage.covered
        if self._problem is not None:
            covered = replace(covered, storage_problem=self._problem)
        if covered == self._reported:
            return False
        self._reported = covered
        self._outlet.report(InputAdvanced(**self._names, input=covered), confirmed)
        return True

    def _from(self, start: Input) -> BlockSource:
        """The blocks of the plan behind this place."""
        blocks = block_source(self.plan, start, self._context)
        return self._context.threads.run(blocks, self.plan.source.path) if isinstance(self.plan, ReadFile) else blocks

    def _note(self, problem: str | None) -> None:
        """Note why there is no block now; None: there is. The next report says so."""
        if problem is not None and self._problem is None:
            told = as_event("job.waits", job=self.plan.job_id)
            log.warning("job %s waits: %s", self.plan.job_id, problem, extra=told)
        self._problem = problem

    def _last_report(self, now: float) -> None:
        self._problem = None
        if self._end is not None:
            ended = with_counts(self._end, self.plan.partitions)
            self._outlet.report(InputEnded(**self._names, input=ended), self._done)
            self._log_end("ended", now)
        elif self._failure is not None:
            self._advance()
            failed = InputFailed(**self._names, epoch=self.plan.epoch, reason=self._failure)
            self._outlet.report(failed, self._done)
            self._log_end(f"failed: {self._failure}", now)
        else:
            if not self._advance(self._done):
                self._done()
            self._log_end("stopped", now)

    def _done(self) -> None:
        self.span.end(rows=self._read_rows - self._start.rows)
        self.stage = Stage.DONE

    def _log_end(self, how: str, now: float) -> None:
        covered, seconds = self._coverage.covered, max(now - self._began, 1e-3)
        rows, size = covered.rows - self._start.rows, covered.bytes - self._start.bytes
        log.info(
            "job %s: %s %s after %d rows in %.2f s (%.0f rows/s, %.1f MB/s), at block %d, row %d",
            self.plan.job_id, self.phase, how, rows, seconds, rows / seconds, size / seconds / 1e6,
            covered.blocks, covered.rows,
            extra=as_event("plan.ended", job=self.plan.job_id, epoch=self.plan.epoch, rows=rows, how=how.split(":")[0]),
        )  # fmt: skip
