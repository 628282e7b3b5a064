"""What it costs an upload that its first rows are looked at: on a stack of its own, in turns with uploads without."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.stack import bench_stack
from bench.upload import WARM_UPS, settle
from commandline.connection import Api
from commandline.following import follow
from runtime.settings import Settings
from sample_csv.cli import sample
from sample_csv.datasets import Dataset
from schemas.job import Job
from schemas.messages.blocks import BlockHead
from schemas.messages.codec import UndecodableError, decode
from verify.topic_records import messages

OWN_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class CostFigures:
    """Seconds and milliseconds are medians over the rounds."""

    rows: int
    rounds: int
    upload_seconds: float
    """From POST to COMPLETED, of a job that is inspected; the organisation has rows to compare with."""
    upload_seconds_off: float
    """The same with `suspicions` off."""
    wait_ms: float
    """From the first block in Kafka to the state in which rows may be written."""
    wait_ms_without_history: float
    """The same for an organisation that has no rows."""

    @property
    def share(self) -> float:
        """How much of an upload's time nothing is written for it: what it costs at most."""
        return self.wait_ms / 1000 / self.upload_seconds


def measure(rows: int, rounds: int) -> CostFigures:
    """Upload `rows` people again and again: inspected with rows to compare with, without any, and not at all.

    Raises:
        AssertionError: an inspected upload was paused, though it is clean.
    """
    with bench_stack() as config:
        file, own = config.home / "people.csv", config.home / "own.csv"
        sample(Dataset("people"), rows, file, 7)
        sample(Dataset("people"), OWN_ROWS, own, 8)
        for number in range(WARM_UPS):
            upload(own, f"warm-up-{number}")
        seconds: dict[str, list[float]] = {"with": [], "off": []}
        jobs: dict[str, list[str]] = {"with": [], "without": []}
        for number in range(rounds):
            for way in ("with", "off"):
                settle(config)
                organisation = f"round-{number}-{way}"
                upload(own, organisation)
                settle(config)
                took, job = upload(file, organisation, **({"suspicions": "off"} if way == "off" else {}))
                seconds[way].append(took)
                if way == "with":
                    jobs["with"].append(job["id"])
            _, job = upload(own, f"round-{number}-new")
            jobs["without"].append(job["id"])
            told = ", ".join(f"{way} {took[-1]:.2f} s" for way, took in seconds.items())
            print(f"round {number + 1}: {told}", flush=True)
        waits = _waits(config, {job_id for ids in jobs.values() for job_id in ids})
        return CostFigures(
            rows,
            rounds,
            statistics.median(seconds["with"]),
            statistics.median(seconds["off"]),
            statistics.median(waits[job_id] for job_id in jobs["with"]),
            statistics.median(waits[job_id] for job_id in jobs["without"]),
        )


def upload(file: Any, organisation: str, **options: Any) -> tuple[float, Mapping[str, Any]]:
    """Upload a file; returns the seconds from POST to COMPLETED, and the job."""
    api = Api()
    began = time.perf_counter()
    asked = {"operation": "upload", "dataset": "people", "organisation": organisation, "options": options}
    job = api.send_file(file, asked, None)
    *_, ended = follow(api, job["id"], print)
    assert ended["state"] == "COMPLETED" and ended["suspicion"] is None, ended
    return time.perf_counter() - began, ended


def _waits(config: Settings, job_ids: set[str]) -> dict[str, float]:
    """Job -> milliseconds from its first block in Kafka to the state after the inspection."""
    begun: dict[str, int] = {}
    for message in messages(config, "rows"):
        try:
            head = decode(message.value() or b"", BlockHead)
        except UndecodableError:
            continue
        if head.job_id in job_ids and head.block == 0 and head.kind in ("rows", "sealed"):
            begun.setdefault(head.job_id, message.timestamp()[1])
    waits: dict[str, float] = {}
    for message in messages(config, "jobs"):
        job_id = (message.key() or b"").decode()
        if job_id not in job_ids or job_id in waits or not message.value():
            continue
        if decode(message.value() or b"", Job).inspection == "done":
            waits[job_id] = message.timestamp()[1] - begun[job_id]
    return waits
