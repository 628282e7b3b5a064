"""An export, from POST to COMPLETED, beside one process that scrolls the same rows into a CSV file, in turns."""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from elasticsearch import helpers

from bench.control import Bench
from bench.stack import bench_stack, cpu_seconds, peak_megabytes
from bench.upload import upload
from client.requests.downloads import save_result
from commandline.connection import Api
from commandline.following import follow
from devstack.lifecycle.shutdown import down
from devstack.lifecycle.startup import up
from runtime.clients import elasticsearch
from runtime.datasets import load_datasets
from runtime.settings import Settings
from sample_csv.cli import sample
from sample_csv.datasets import Dataset
from sample_csv.rows import DEFAULT_START, SPREAD_DAYS
from schemas.exports import range_query
from schemas.indices import data_index
from verify.compare import compare_export

ORGANISATION = "bench"
STOPS = 20
MEMORY_ROWS = (10_000, 300_000, 2_000_000)


@dataclass(frozen=True, slots=True)
class ExportFigures:
    """What one run measured; rates in rows a second and times in seconds, medians over the rounds."""

    rows: int
    rounds: int
    scan_rows_per_second: float
    sluice_rows_per_second: float
    ratio: float
    whole_seconds: float
    tenth_seconds: float
    tenth_of_whole: float
    cpu_seconds: dict[str, float]
    """Processor time of one export of all rows, by role."""
    pause_ms: tuple[float, float]
    """From the request to the proof that nothing is written any more: median and 95th percentile."""
    resume_ms: float
    """From the request to the next rows: median."""
    terminate_ms: float
    """From the request until the export's parts are removed: median."""


def measure(rows: int, rounds: int) -> ExportFigures:
    """Export `rows` people `rounds` times, each time next to a scan; the last export is compared row by row.

    Raises:
        AssertionError: a row is missing, doubled, different or out of order.
    """
    with bench_stack() as config:
        _load(config, rows)
        export(10)  # warm-up
        scan(config)
        scans, wholes, tenths = [], [], []
        used: dict[str, float] = {}
        for number in range(rounds):
            scans.append(scan(config))
            before = cpu_seconds(config)
            seconds, job_id = export()
            after = cpu_seconds(config)
            used = {role: value - before[role] for role, value in after.items()}
            wholes.append(seconds)
            tenths.append(export(SPREAD_DAYS // 10)[0])
            print(
                f"round {number + 1}: scan {rows / scans[-1]:,.0f} rows/s, Sluice {rows / wholes[-1]:,.0f} rows/s, "
                f"a tenth in {tenths[-1]:.2f} s of {wholes[-1]:.2f} s",
                flush=True,
            )
        file = config.home / "exported.csv"
        Api().json(save_result(job_id, file))
        verdict = compare_export(config, file, "people", ORGANISATION, DEFAULT_START.isoformat(), None)
        assert verdict.holds and verdict.rows == rows, str(verdict)
        paused, resumed, terminated = stops(Bench(config))
        scanned, whole, tenth = (statistics.median(values) for values in (scans, wholes, tenths))
        return ExportFigures(
            rows,
            rounds,
            rows / scanned,
            rows / whole,
            scanned / whole,
            whole,
            tenth,
            tenth / whole,
            used,
            (statistics.median(paused), sorted(paused)[int(len(paused) * 0.95)]),
            statistics.median(resumed),
            statistics.median(terminated),
        )


def stops(bench: Bench) -> tuple[list[float], list[float], list[float]]:
    """Pause and resume exports again and again, and terminate some; returns the milliseconds that each took."""
    paused: list[float] = []
    resumed: list[float] = []
    terminated: list[float] = []
    while len(paused) < STOPS or len(terminated) < STOPS // 4:
        job_id = start()["id"]
        for end in (False, False, True):
            seen = bench.until(job_id, lambda job: job["progress"]["rows_applied"] > 0 or job["state"] != "RUNNING")
            if seen["state"] != "RUNNING":
                break
            if end:
                terminated.append(_took(lambda job_id=job_id: bench.act(job_id, "terminate")))  # type: ignore[misc]
                break
            paused.append(_took(lambda job_id=job_id: bench.act(job_id, "pause")))  # type: ignore[misc]
            rows = bench.rows(job_id)
            began = time.perf_counter()
            bench.act(job_id, "resume")
            bench.until(
                job_id,
                lambda job, rows=rows: job["progress"]["rows_applied"] > rows or job["state"] != "RUNNING",  # type: ignore[misc]
            )
            resumed.append((time.perf_counter() - began) * 1000)
    return paused, resumed, terminated


def _took(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def memory(most: int) -> dict[int, dict[str, float]]:
    """The most memory of each of our processes, in MB, after exports of ever more rows, up to `most`."""
    with bench_stack() as config:
        _load(config, most)
        # New processes: the peaks of the old ones include the upload.
        down(config)
        up(config, detach=True, workers=1)
        peaks = {}
        for rows in [rows for rows in MEMORY_ROWS if rows <= most]:
            _, job_id = export(max(1, SPREAD_DAYS * rows // most))
            Api().json(save_result(job_id, config.home / "exported.csv"))
            peaks[rows] = peak_megabytes(config)
        return peaks


def export(days: int = SPREAD_DAYS) -> tuple[float, str]:
    """Export the people of the first days; returns the seconds from POST to COMPLETED, and the job's id."""
    began = time.perf_counter()
    made = start(days)
    *_, ended = follow(Api(), made["id"], print)
    assert ended["state"] == "COMPLETED", ended
    return time.perf_counter() - began, made["id"]


def start(days: int = SPREAD_DAYS, organisation: str = ORGANISATION) -> dict[str, Any]:
    """Start an export of an organisation's people of the first days; returns the job."""
    job = {"operation": "export", "dataset": "people", "organisation": organisation}
    till = DEFAULT_START + timedelta(days=days - 1)
    dates = {"from": _iso(DEFAULT_START), "till": _iso(till)}
    return dict(Api().call("POST", "/v1/jobs", json={**job, **dates, "confirm": True}))


def scan(config: Settings) -> float:
    """Read the same rows with `helpers.scan` in one process; returns the seconds it took."""
    columns = load_datasets()["people"].columns
    query = range_query("created_at", ORGANISATION, _iso(DEFAULT_START), None)
    began = time.perf_counter()
    with elasticsearch(config) as client, (config.home / "scanned.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for hit in helpers.scan(client, index=data_index(config.prefix, "people"), query={"query": query}):
            writer.writerow(hit["_source"])
    return time.perf_counter() - began


def _load(config: Settings, rows: int) -> None:
    file = config.home / "people.csv"
    sample(Dataset("people"), rows, file, 7)
    upload(file, ORGANISATION)
    file.unlink()
    with elasticsearch(config) as client:
        client.indices.refresh(index=data_index(config.prefix, "people"))


def _iso(day: date) -> str:
    return day.isoformat()


def as_dict(figures: ExportFigures, peaks: dict[int, dict[str, float]]) -> dict[str, object]:
    """For --json."""
    return {**asdict(figures), "peak_megabytes": peaks}
