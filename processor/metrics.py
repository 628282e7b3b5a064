"""Numbers for Prometheus that only a worker knows. The API's /metrics has those of the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from processor.outcome import Outcome


@dataclass(slots=True)
class WorkerMetrics:
    """A registry of this process's own, so that tests can have several workers in one."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    rows: Counter = field(init=False)
    batch_seconds: Histogram = field(init=False)
    reread_bytes: Counter = field(init=False)

    def __post_init__(self) -> None:
        """Make the instruments."""
        self.rows = Counter("sluice_worker_rows", "Rows dealt with", ("operation", "outcome"), registry=self.registry)
        self.batch_seconds = Histogram(
            "sluice_worker_batch_seconds",
            "Seconds from taking a batch of blocks until all its rows have an answer",
            ("operation",),
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 20),
            registry=self.registry,
        )
        self.reread_bytes = Counter(
            "sluice_worker_reread_bytes", "Bytes of parked blocks that were read again", registry=self.registry
        )

    def batch_done(self, operation: str, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Some blocks were applied or undone."""
        for name in ("applied", "failed", "undone"):
            self.rows.labels(operation, name).inc(sum(getattr(outcome, name) for outcome in outcomes))
        self.batch_seconds.labels(operation).observe(seconds)

    def serve(self, port: int, host: str) -> None:
        """Answer GET /metrics from a thread. Raises OSError when the port is taken."""
        start_http_server(port, host, self.registry)
