"""How long the list of jobs takes with many of them in the table."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from bench.stack import bench_stack
from commandline.connection import Api
from sample_csv.cli import sample
from sample_csv.datasets import Dataset

BAR_MS: Final = 50.0
ROWS: Final = 10
SENDERS: Final = 4
ASKED: Final = 50
"""How often each list is asked for."""
LISTS: Final[dict[str, dict[str, Any]]] = {
    "the first page": {},
    "a page of 1,000": {"limit": 1000},
    "one organisation": {"organisation": "bench-1"},
    "by state": {"state": "COMPLETED"},
}
"""What is asked for -> the parameters of `GET /v1/jobs`."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One list: milliseconds from the request to the answer, seen by a client that keeps its connection."""

    name: str
    jobs: int
    """Jobs in the answer."""
    median_ms: float
    slowest_ms: float


def measure(jobs: int) -> list[Figure]:
    """Make so many jobs of ten rows, and list them."""
    with bench_stack() as config:
        file = config.home / "people.csv"
        sample(Dataset.PEOPLE, ROWS, file, 7)

        def start(number: int) -> None:
            job = {"operation": "upload", "dataset": "people", "organisation": f"bench-{number}"}
            Api().send_file(file, job, None)

        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(start, range(jobs)))
        api = Api()
        while len(_listed(api, {"limit": 1000, "state": "RUNNING"})):
            time.sleep(0.5)
        figures = []
        for name, parameters in LISTS.items():
            took, found = [], 0
            for _ in range(ASKED):
                began = time.perf_counter()
                found = len(_listed(api, parameters))
                took.append((time.perf_counter() - began) * 1000)
            figures.append(Figure(name, found, statistics.median(took), max(took)))
        return figures


def _listed(api: Api, parameters: dict[str, Any]) -> list[Any]:
    answer = api.call("GET", "/v1/jobs", params=parameters)
    return list(answer["jobs"])
