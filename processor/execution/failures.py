"""Errors that belong to one job: they fail that job, with a reason for an operator, and nothing else.

Kafka's errors belong to no job: they end the worker. A `FencedError` is no error of the job either: the caller deals
with it. See "Whose error it is" in docs/architecture.md.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from aiokafka.errors import KafkaError

from control.jobtable import JobTable
from processor.errors import CannotGoOnError, FencedError
from processor.execution.tasks import BackgroundTasks
from processor.lanes.lane import Lane
from processor.lanes.owned_lanes import Lanes
from processor.stream.publisher import RecordPublisher
from runtime.telemetry.log_events import as_event
from schemas.bounds import MOST_REASON
from schemas.job import Job
from schemas.messages.codec import encode
from schemas.messages.commands import WorkFailed

log = logging.getLogger(__name__)


class JobFailures:
    """Fails the job that an error belongs to. A failed job gets no further turn in its epoch (`Lanes.give_up`)."""

    def __init__(self, jobs: JobTable, lanes: Lanes, publisher: RecordPublisher, background: BackgroundTasks) -> None:
        self._jobs = jobs
        self._lanes = lanes
        self._publisher = publisher
        self._background = background

    @contextlib.contextmanager
    def failing_only(self, job: Job) -> Iterator[None]:
        """Have an error in what is done for one job fail that job. Raises FencedError and KafkaError as they are."""
        try:
            yield
        except (FencedError, KafkaError):
            raise
        except CannotGoOnError as error:
            self.fail(job, str(error))
        except Exception as error:
            log.exception(
                "job %s: a worker met an unexpected error",
                job.id,
                extra=as_event("job.failed", job=job.id, epoch=job.epoch),
            )
            self.fail(job, f"a worker met an error that it is not made for: {error!r}; its log has more")

    def fail(self, job: Job, reason: str) -> None:
        """Report that the job can't go on, and give it no further turn in this epoch."""
        self._lanes.give_up(job)
        log.error("job %s can't go on: %s", job.id, reason, extra=as_event("job.failed", job=job.id, epoch=job.epoch))
        report = WorkFailed(job_id=job.id, phase=job.phase, run=job.run, epoch=job.epoch, reason=reason[:MOST_REASON])
        self._background.start(self._publisher.publish("reports", job.id.encode(), encode(report)))

    def lane_broken(self, lane: Lane, reason: str) -> None:
        """Fail the job of a lane whose blocks can't be read; the lane shows the reason."""
        job = self._jobs.get(lane.job_id)
        if job is not None:
            lane.error = reason
            self.fail(job, reason)
