"""The creation of teams, from POST to COMPLETED, on a stack that is warm."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from bench.stack import bench_stack
from commandline.connection import Api
from commandline.following import follow
from sample_csv.cli import sample
from sample_csv.datasets import Dataset
from verify.compare import compare

BAR_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Figure:
    """What one run measured."""

    teams: int
    rounds: int
    seconds: float
    """Median over the rounds."""
    slowest_seconds: float


def measure(teams: int, rounds: int) -> Figure:
    """Create `teams` teams `rounds` times, each time in an organisation of its own; every team is checked.

    Raises:
        AssertionError: a team is missing, doubled or different.
    """
    with bench_stack() as config:
        file, warm_up = config.home / "teams.csv", config.home / "warm-up.csv"
        sample(Dataset.TEAMS, teams, file, 7)
        sample(Dataset.TEAMS, 1000, warm_up, 8)
        api, took = Api(), []
        for number, source in enumerate((warm_up, *(file for _ in range(rounds)))):
            began = time.perf_counter()
            job = {"operation": "teams", "dataset": "teams", "organisation": f"round-{number}"}
            job_id = api.send_file(source, job, None)["id"]
            *_, ended = follow(api, job_id, print)
            took.append(time.perf_counter() - began)
            assert ended["state"] == "COMPLETED", ended
            verdict = compare(config, job_id, "teams", source)
            assert verdict.holds, str(verdict)
        return Figure(teams, rounds, statistics.median(took[1:]), max(took[1:]))
