"""Rows that meet documents which exist: written over, unchanged, and given back, beside the creation of such rows."""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from elasticsearch.helpers import scan

from bench.stack import bench_stack, cpu_seconds
from bench.upload import settle
from commandline.connection import Api
from commandline.following import follow
from runtime.clients import elasticsearch
from runtime.settings import Settings
from sample_csv.cli import sample
from sample_csv.datasets import Dataset
from schemas.indices import data_index

WARM_UPS = 2
CHANGED_PERCENT = 5
"""Rows that change something, in the file of which most change nothing."""
PAUSES = 10


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run measured; rates in rows a second, medians over the rounds."""

    rows: int
    rounds: int
    create_rows_per_second: float
    upsert_rows_per_second: float
    unchanged_rows_per_second: float
    undo_rows_per_second: float
    pause_ms: tuple[float, float]
    """Median and 95th percentile, from the request to PAUSED, while rows are upserted."""
    cpu_microseconds_per_row: dict[str, dict[str, float]]
    """Step -> role -> processor time of a row, Elasticsearch's merges included; medians over the rounds."""

    @property
    def upsert_ratio(self) -> float:
        """Speed of an upsert over documents that exist, in that of their creation."""
        return self.upsert_rows_per_second / self.create_rows_per_second

    @property
    def unchanged_ratio(self) -> float:
        """The same of a file of which 95% change nothing."""
        return self.unchanged_rows_per_second / self.create_rows_per_second


def measure(rows: int, rounds: int) -> Figures:
    """Create `rows` teams, upsert all of them, take that back, and upsert 5% of them; each round in an organisation.

    Raises:
        AssertionError: the documents after an undo are not those before the upsert.
    """
    with bench_stack() as config:
        first, all_changed, few_changed = (config.home / f"{name}.csv" for name in ("first", "all", "few"))
        sample(Dataset.TEAMS, rows, first, 7)
        _changed(first, all_changed, 1)
        _changed(first, few_changed, 100 // CHANGED_PERCENT)
        found: dict[str, list[float]] = {"create": [], "upsert": [], "undo": [], "unchanged": []}
        used: dict[str, list[dict[str, float]]] = {name: [] for name in found}
        for number in range(WARM_UPS + rounds):
            owner = f"round-{number}"
            times = _Times(config, rows)
            times.take("create", partial(_upload, first, owner, "create"))
            before = _state(config, owner)
            job_id = times.take("upsert", partial(_upload, all_changed, owner, "upsert"))
            times.take("undo", partial(_undo, job_id))
            assert _state(config, owner) == before, "an undo has left another state than there was"
            times.take("unchanged", partial(_upload, few_changed, owner, "upsert"))
            if number >= WARM_UPS:
                print(", ".join(f"{name} {rate:,.0f} rows/s" for name, rate in times.rates.items()), flush=True)
                for name, rate in times.rates.items():
                    found[name].append(rate)
                    used[name].append(times.used[name])
        medians = {name: statistics.median(rates) for name, rates in found.items()}
        return Figures(
            rows,
            rounds,
            medians["create"],
            medians["upsert"],
            medians["unchanged"],
            medians["undo"],
            _pauses(all_changed, "round-0"),
            {name: _medians(rounds_of) for name, rounds_of in used.items()},
        )


class _Times:
    """What the steps of one round took."""

    def __init__(self, config: Settings, rows: int) -> None:
        self._config = config
        self._rows = rows
        self.rates: dict[str, float] = {}
        self.used: dict[str, dict[str, float]] = {}

    def take(self, name: str, step: Callable[[], tuple[float, str]]) -> str:
        """Do a step that answers its seconds and a job's id; answers that id."""
        settle(self._config)
        before = cpu_seconds(self._config)
        seconds, job_id = step()
        settle(self._config)
        after = cpu_seconds(self._config)
        self.rates[name] = self._rows / seconds
        self.used[name] = {role: (value - before[role]) / self._rows * 1e6 for role, value in after.items()}
        return job_id


def _medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    return {role: statistics.median(one[role] for one in rounds) for role in rounds[0]}


def _changed(source: Path, target: Path, every: int) -> None:
    """The same rows, one in so many with another size."""
    with source.open(newline="", encoding="utf-8") as lines, target.open("w", newline="", encoding="utf-8") as written:
        reader = csv.DictReader(lines)
        writer = csv.DictWriter(written, list(reader.fieldnames or ()))
        writer.writeheader()
        for number, row in enumerate(reader):
            writer.writerow({**row, "size": str(2 + int(row["size"]) % 39)} if number % every == 0 else row)


def _upload(file: Path, owner: str, mode: str) -> tuple[float, str]:
    """Seconds from POST to COMPLETED, and the job's id."""
    api = Api()
    began = time.perf_counter()
    options = {"mode": mode}
    job = api.send_file(
        file, {"operation": "upload", "dataset": "teams", "organisation": owner, "options": options}, None
    )
    *_, ended = follow(api, job["id"], print)
    assert ended["state"] == "COMPLETED", ended
    return time.perf_counter() - began, job["id"]


def _undo(job_id: str) -> tuple[float, str]:
    """Seconds from POST to ROLLED_BACK, and the job's id."""
    api = Api()
    began = time.perf_counter()
    api.call("POST", f"/v1/jobs/{job_id}/rollback", json={})
    *_, ended = follow(api, job_id, print)
    assert ended["state"] == "ROLLED_BACK", ended
    return time.perf_counter() - began, job_id


def _state(config: Settings, owner: str) -> str:
    """A hash of every document of an organisation."""
    whole = 0
    index = data_index(config.prefix, "teams")
    with elasticsearch(config) as client:
        client.indices.refresh(index=index)
        query = {"query": {"term": {"sluice.organisation": owner}}}
        for hit in scan(client, index=index, query=query, size=5000):
            one = f"{hit['_id']}{sorted(hit['_source'].items(), key=lambda item: item[0])}"
            whole ^= int.from_bytes(sha256(one.encode()).digest(), "big")
    return f"{whole:x}"


def _pauses(file: Path, owner: str) -> tuple[float, float]:
    """Pause an upsert again and again: milliseconds until it rests."""
    api, took = Api(), []
    options = {"mode": "upsert", "empty": "clear"}
    job = {"operation": "upload", "dataset": "teams", "organisation": owner, "options": options}
    job_id = api.send_file(file, job, None)["id"]
    for _ in range(PAUSES):
        began = time.perf_counter()
        paused = api.call("POST", f"/v1/jobs/{job_id}/pause", params={"wait": 60}, json={}, timeout=90)
        took.append((time.perf_counter() - began) * 1000)
        assert paused["state"] in ("PAUSED", "COMPLETED"), paused
        if paused["state"] == "COMPLETED":
            break
        api.call("POST", f"/v1/jobs/{job_id}/resume", json={})
        time.sleep(0.15)
    return statistics.median(took), sorted(took)[min(len(took) - 1, round(0.95 * len(took)))]
