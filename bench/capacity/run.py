"""`bench capacity`: everything that the simulation needs, in one run, as the file that it reads."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from bench.capacity import growth, measuring, points
from bench.capacity.constants import Constants, Measured

Say = Callable[[str], None]
COMMANDS_OF_A_JOB = 4
"""The commands of a job of one row: it is made, its first rows are looked at, its input has ended, its lane is done."""
ROLES = {"worker": "worker_us", "elasticsearch": "elasticsearch_us", "kafka": "kafka_us", "ingest": "reader_us"}


def measure(rows: int, jobs: int, kept: int, paused: int, commands: int, say: Say) -> Measured:
    """Constants and points of this machine.

    `rows`: of an upload. `jobs`: so many at once. `kept`, `paused`, `commands`: see `growth.measure`.
    """
    before = os.getloadavg()[0]
    alone = {figure.name: figure.value for figure in measuring.measure()}
    say("constants of one process: done")
    uploads = points.measure(rows, jobs, say)
    grown = growth.slopes(growth.measure([0, kept], paused, commands, say))
    used = {name: uploads.row_us[role] for role, name in ROLES.items()}
    others = sum(value for role, value in uploads.row_us.items() if role not in ROLES)
    constants = msgspec.convert(
        {
            **alone,
            **used,
            **grown,
            "api_us": others,
            "index_bytes_per_row": uploads.index_bytes_per_row,
            "least_seconds": uploads.least_seconds,
            "job_us": sum(uploads.job_us.values()),
            "job_worker_us": max(0.0, uploads.job_us["worker"] - COMMANDS_OF_A_JOB * grown["command_us"]),
            "job_elasticsearch_us": uploads.job_us["elasticsearch"],
        },
        type=Constants,
    )
    return Measured(
        conditions=f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores for "
        f"everything; load of the machine before the run {before:.0f}",
        constants=constants,
        points=uploads.points,
    )


def lines(found: Measured) -> list[str]:
    """What has been measured, for people."""
    return [found.conditions, *(f"{name:<24} {value:>14,.3f}" for name, value in _figures(found).items())]


def _figures(found: Measured) -> dict[str, float]:
    return {**msgspec.structs.asdict(found.constants), **msgspec.structs.asdict(found.points)}
