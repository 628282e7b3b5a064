"""What a worker tells Prometheus. The API's /metrics has the numbers of the jobs, those that autoscalers follow too."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Callable, Iterable, Sequence
from typing import Final, get_args

from prometheus_client import Counter, Gauge, Histogram

from control.creation.kinds import BUILT_IN
from processor.elastic.answers import RequestOutcome
from processor.outcome import Outcome
from processor.validation.error_kinds import kind_of
from runtime.telemetry.metrics import ProcessMetrics
from schemas.messages.events import CommandRejected, Event, JobEvent
from schemas.messages.progress import RowError

_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
_PAUSE = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 80)
_ROWS: Final = ("applied", "failed", "undone")


class WorkerMetrics(ProcessMetrics):
    """Labels have few values each: operations, outcomes, kinds of errors, events; never a job, an id or a text.

    Series that alerts look at are there from the start: one that begins with its first event has no increase by it.
    """

    def __init__(self, ready: Callable[[], bool] = lambda: False, operations: Iterable[str] = BUILT_IN) -> None:
        super().__init__("worker", ready)
        registry = self.registry
        self.rows = Counter("sluice_worker_rows", "Rows dealt with", ("operation", "outcome"), registry=registry)
        self.bytes = Counter("sluice_worker_bytes", "Bytes of the blocks dealt with", ("operation",), registry=registry)
        self.row_errors = Counter(
            "sluice_worker_row_errors", "Rows refused, by the kind of reason", ("operation", "kind"), registry=registry
        )
        self.batch_seconds = Histogram(
            "sluice_worker_batch_seconds",
            "Seconds from taking a batch of blocks until all its rows have an answer",
            ("operation",),
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 20),
            registry=registry,
        )
        self.reread_bytes = Counter(
            "sluice_worker_reread_bytes", "Bytes of parked blocks that were read again", registry=registry
        )
        self.requests = Histogram(
            "sluice_elasticsearch_request_seconds",
            "Seconds that Elasticsearch takes for a request",
            ("kind", "outcome"),
            buckets=_LATENCY,
            registry=registry,
        )
        self.partitions = Gauge("sluice_worker_partitions", "Partitions of the rows that it owns", registry=registry)
        self.lanes = Gauge("sluice_worker_lanes", "Lanes (a job on a partition) that it keeps", registry=registry)
        self.pending_blocks = Gauge(
            "sluice_worker_parked_blocks", "Blocks that it knows and has not applied", registry=registry
        )
        self.in_flight = Gauge("sluice_worker_batches_in_flight", "Batches that are being applied", registry=registry)
        self.controls = Gauge("sluice_worker_controls", "1 where it is the control agent", registry=registry)
        self.not_understood = Gauge(
            "sluice_jobs_not_understood", "Jobs that a newer version has written; left alone", registry=registry
        )
        self.commands = Histogram(
            "sluice_command_seconds",
            "Seconds from a command's arrival in Kafka until its effect is written",
            buckets=_LATENCY,
            registry=registry,
        )
        self.pauses = Histogram(
            "sluice_pause_seconds",
            "Seconds from a pause's request until it is proved",
            buckets=_PAUSE,
            registry=registry,
        )
        self.job_events = Counter("sluice_job_events", "What happened to jobs", ("event",), registry=registry)
        self.refusals = Counter("sluice_commands_refused", "Commands that were refused", ("code",), registry=registry)
        self._pausing: dict[str, int] = {}
        for operation in operations:
            for name in _ROWS:
                self.rows.labels(operation, name)
        for outcome in get_args(RequestOutcome):
            for kind in ("write", "read"):
                self.requests.labels(kind, outcome)
        for event in get_args(Event):
            self.job_events.labels(event.__name__)

    def batch_done(self, operation: str, outcomes: Sequence[Outcome], seconds: float, size: int = 0) -> None:
        """Count blocks of `size` bytes that were applied or undone."""
        for name in _ROWS:
            self.rows.labels(operation, name).inc(sum(getattr(outcome, name) for outcome in outcomes))
        self.bytes.labels(operation).inc(size)
        self.batch_seconds.labels(operation).observe(seconds)

    def rows_refused(self, operation: str, errors: Sequence[RowError]) -> None:
        """Count rows of a batch that became row errors."""
        for kind, count in Count(map(kind_of, errors)).items():
            self.row_errors.labels(operation, kind).inc(count)

    def request_done(self, writes: bool, outcome: RequestOutcome, seconds: float) -> None:
        """A request to Elasticsearch is over."""
        self.requests.labels("write" if writes else "read", outcome).observe(seconds)

    def history(self, record: JobEvent | CommandRejected) -> None:
        """The control agent has written a record of the history."""
        match record:
            case CommandRejected(code=code):
                self.refusals.labels(str(code)).inc()
            case JobEvent(event=event, job_id=job_id, at=at):
                self.job_events.labels(event).inc()
                asked = self._pausing.pop(job_id, None)
                if event == "PauseRequested":
                    self._pausing[job_id] = at
                elif event == "Paused" and asked is not None:
                    self.pauses.observe(max(0, at - asked) / 1000)
