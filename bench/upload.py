"""An upload, from POST to COMPLETED, beside a tuned direct bulk load of the same documents, in turns in one run."""

from __future__ import annotations

import csv
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.stack import bench_stack, cpu_seconds, peak_megabytes
from commandline.connection import Api
from commandline.following import follow
from processor.elastic.documents import document_lines
from runtime.clients import elasticsearch
from runtime.datasets import load_datasets
from runtime.settings import Settings
from sample_csv.cli import sample
from sample_csv.datasets import Dataset
from schemas.descriptors.datasets import Dataset as DescribedDataset
from schemas.indices import data_mapping, index_settings
from verify.compare import compare

REQUEST_ROWS = 5000
INDEX = "bench-direct"
POLL_SECONDS = 0.2
WARM_UPS = 3
"""Uploads and loads before the measured ones: the servers' JVMs compile their code meanwhile."""


@dataclass(frozen=True, slots=True)
class UploadFigures:
    """What one run measured; rates in rows a second, medians over the rounds."""

    rows: int
    rounds: int
    direct_rows_per_second: float
    sluice_rows_per_second: float
    ratio: float
    cpu_seconds: dict[str, float]
    """Processor time of one upload, by role."""
    cpu_microseconds_per_row: dict[str, float]
    """The same, of one row."""
    peak_megabytes: dict[str, float]


def measure(rows: int, rounds: int) -> UploadFigures:
    """Upload `rows` people `rounds` times, each time next to a direct load; every upload is checked row by row.

    Raises:
        AssertionError: a row is missing, doubled or different.
    """
    with bench_stack() as config:
        file = config.home / "people.csv"
        sample(Dataset("people"), rows, file, 7)
        load = Load(config, file)
        for number in range(WARM_UPS):
            upload(file, f"warm-up-{number}")
            load.run()
        directs, uploads = [], []
        used: dict[str, float] = dict.fromkeys(cpu_seconds(config), 0.0)
        for number in range(rounds):
            settle(config)
            directs.append(rows / load.run())
            settle(config)
            before = cpu_seconds(config)
            seconds, job_id = upload(file, f"round-{number}")
            for role, value in cpu_seconds(config).items():
                used[role] += (value - before[role]) / rounds
            uploads.append(rows / seconds)
            print(f"round {number + 1}: direct {directs[-1]:,.0f} rows/s, Sluice {uploads[-1]:,.0f} rows/s", flush=True)
            verdict = compare(config, job_id, "people", file)
            assert verdict.holds, str(verdict)
        return UploadFigures(
            rows,
            rounds,
            statistics.median(directs),
            statistics.median(uploads),
            statistics.median(uploads) / statistics.median(directs),
            used,
            {role: seconds / rows * 1e6 for role, seconds in used.items()},
            peak_megabytes(config),
        )


def settle(config: Settings) -> None:
    """Wait until Elasticsearch has merged the segments written before, so that no measurement includes earlier work."""
    with elasticsearch(config) as client:
        client.indices.refresh()
        while client.indices.stats(metric="merge")["_all"]["total"]["merges"]["current"]:
            time.sleep(POLL_SECONDS)


def upload(file: Path, organisation: str) -> tuple[float, str]:
    """Upload a file; returns the seconds from POST to COMPLETED, and the job's id."""
    api = Api()
    began = time.perf_counter()
    job = api.send_file(file, {"operation": "upload", "dataset": "people", "organisation": organisation}, None)
    *_, ended = follow(api, job["id"], print)
    assert ended["state"] == "COMPLETED", ended
    return time.perf_counter() - began, job["id"]


class Load:
    """The direct load of a file: ready-made lines over one connection, 5,000 rows a request.

    Its index grows from run to run as the dataset's does: merges take longer in a larger index.
    """

    def __init__(
        self, config: Settings, file: Path, index: str = INDEX, dataset: DescribedDataset | None = None
    ) -> None:
        """Make the index, with the mapping of `dataset`; None: that of people."""
        self._config, self._index = config, index
        self._runs = 0
        with file.open(encoding="utf-8", newline="") as text:
            reader = csv.reader(text)
            self._columns = tuple(next(reader))
            self._stored = list(zip(*reader, strict=True))
        with elasticsearch(config) as client:
            client.indices.create(
                index=index,
                mappings=data_mapping(dataset or load_datasets()["people"]),
                settings=index_settings(config.elasticsearch_replicas, config.elasticsearch_shards),
            )

    def run(self) -> float:
        """Load all rows, as a job of their own; returns the seconds, without those to make the lines."""
        self._runs += 1
        job_id, numbers = f"1kbenchdirect{self._runs:03}", range(1, len(self._stored[0]) + 1)
        lines = document_lines(job_id, "bench", self._columns, numbers, self._stored)
        with elasticsearch(self._config) as client:
            began = time.perf_counter()
            for at in range(0, len(lines), REQUEST_ROWS):
                operations: Any = lines[at : at + REQUEST_ROWS]
                answer = client.bulk(index=self._index, operations=operations, filter_path="errors")
                assert not answer["errors"]
            return time.perf_counter() - began


def as_dict(figures: UploadFigures) -> dict[str, object]:
    """For --json."""
    return asdict(figures)
