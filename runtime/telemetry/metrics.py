"""The metrics that processes of every role have."""

from __future__ import annotations

import platform
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from runtime.version import VERSION


class ProcessMetrics:
    """In a registry of its own rather than the global one, so that tests can have several in one process."""

    def __init__(self, role: str, ready: Callable[[], bool] = lambda: False) -> None:
        self.registry = CollectorRegistry()
        build = Gauge("sluice_build_info", "1, with what runs", ("version", "role", "python"), registry=self.registry)
        build.labels(VERSION, role, platform.python_version()).set(1)
        ProcessCollector(registry=self.registry)
        Gauge("sluice_ready", "1 while the process does its work", registry=self.registry).set_function(
            lambda: float(ready())
        )
        self.rebalances = Counter(
            "sluice_rebalances",
            "Times that partitions were assigned to this process",
            ("topic",),
            registry=self.registry,
        )
        self.lag = Gauge(
            "sluice_consumer_lag_records",
            "Records of this process's partitions that it has not noted yet; blocks that wait are not here",
            ("topic",),
            registry=self.registry,
        )
