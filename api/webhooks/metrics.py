"""Metrics of webhooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class WebhookMetrics(Collector):
    """What one process has delivered, and what waits."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pending: Callable[[], int] = lambda: 0
        """Deliveries that wait, of all organisations: each API process knows them."""
        self.owner: Callable[[], bool] = lambda: False
        """Whether this process delivers."""
        self.attempts = Counter(
            "sluice_webhook_attempts", "Requests to receivers of webhooks", ("outcome",), registry=registry
        )
        for outcome in ("delivered", "failed"):
            self.attempts.labels(outcome)
        self.given_up = Counter(
            "sluice_webhook_given_up", "Deliveries that were given up after a day of attempts", registry=registry
        )
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """The gauges."""
        yield GaugeMetricFamily("sluice_webhook_pending", "Deliveries that wait for receivers", value=self.pending())
        yield GaugeMetricFamily("sluice_webhook_owner", "Whether this process delivers (1)", value=int(self.owner()))
