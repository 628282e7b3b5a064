"""What an idle stack costs: the processor time of Sluice's own processes while there is nothing to do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from bench.stack import bench_stack, cpu_seconds
from bench.upload import upload
from runtime.settings import Settings
from sample_csv.cli import sample
from sample_csv.datasets import Dataset

BAR_PERCENT: Final = 1.0
REST_SECONDS: Final = 20.0
"""After the last job: caches are filled, reports written."""
SERVERS: Final = ("kafka", "elasticsearch")


@dataclass(frozen=True, slots=True)
class Figure:
    """Percent of one core, by role."""

    seconds: float
    percent: dict[str, float]

    @property
    def own_percent(self) -> float:
        """Processor time of all processes but Kafka and Elasticsearch."""
        return sum(value for role, value in self.percent.items() if role not in SERVERS)


def measure(seconds: float) -> Figure:
    """Upload a few rows, let the stack rest, and add up the processor time of the seconds after that."""
    with bench_stack() as config:
        file = config.home / "people.csv"
        sample(Dataset.PEOPLE, 1000, file, 7)
        upload(file, "idle")
        time.sleep(REST_SECONDS)
        return _measured(config, seconds)


def _measured(config: Settings, seconds: float) -> Figure:
    before, began = cpu_seconds(config), time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - began
    used = cpu_seconds(config)
    return Figure(took, {role: (used[role] - value) / took * 100 for role, value in before.items()})
