"""The first accident: 100,000 rows with two columns swapped. Stop it, take its rows out, load the right file."""

from __future__ import annotations

from pathlib import Path

from devstack.oracle import compare
from sample_csv.accidents import swap_columns
from tests.conftest import People
from tests.e2e.commandline import CommandLine
from tests.faults.evidence import count

ROWS = 100_000


def test_a_baseline_with_swapped_columns_is_taken_back(sluice: CommandLine, people: People, tmp_path: Path) -> None:
    right = people(ROWS)
    wrong = tmp_path / "baseline.csv"
    wrong.write_bytes(swap_columns(right.read_bytes(), "country", "favorite_color"))
    baseline = ("--dataset", "people", "--organisation", "acme")

    first = sluice.json("upload", wrong, *baseline, "--rate", 8000)["id"]
    seen = sluice.wait_job(first, lambda job: job["progress"]["rows_failed"] > 0, "there are row errors")
    assert seen["state"] == "RUNNING"
    assert {error["column"] for error in sluice.json("errors", first)["errors"]} <= {"country", "favorite_color"}
    sluice.wait_job(first, lambda job: job["progress"]["rows_applied"] > 0, "rows are written")
    assert count(sluice.settings, first) > 0

    refused = sluice("upload", right, *baseline, code=1)
    assert first in refused.stderr

    stopped = sluice.json("terminate", first, "--reason", "columns are swapped")
    assert (stopped["state"], stopped["reason"]) == ("ROLLED_BACK", "columns are swapped")
    assert 0 < stopped["progress"]["rows_rolled_back"] < ROWS
    assert count(sluice.settings, first) == 0

    done = sluice("upload", right, *baseline, "--wait")
    assert "COMPLETED: 100,000 rows applied" in done.stdout
    second = sluice.json("job", "last")["id"]
    verdict = compare(sluice.settings, second, "people", right)
    assert verdict.holds, str(verdict)
    assert count(sluice.settings, first) == 0

    jobs = sluice.json("jobs", "--organisation", "acme")
    assert [(job["id"], job["state"]) for job in jobs] == [(second, "COMPLETED"), (first, "ROLLED_BACK")]
    assert jobs[1]["ended_at"] <= jobs[0]["started_at"]
    told = sluice("history", first).stdout
    assert "TerminationRequested" in told
    assert "columns are swapped" in told


def test_the_right_file_waits_in_the_queue(sluice: CommandLine, people: People, tmp_path: Path) -> None:
    right = people(20_000)
    wrong = tmp_path / "baseline.csv"
    wrong.write_bytes(swap_columns(right.read_bytes(), "email", "phone"))
    baseline = ("--dataset", "people", "--organisation", "queue")
    first = sluice.json("upload", wrong, *baseline, "--rate", 2000)["id"]
    second = sluice.json("upload", right, *baseline, "--if-busy", "queue")
    assert second["state"] == "QUEUED"
    sluice("terminate", first)
    assert sluice.json("watch", second["id"])["state"] == "COMPLETED"
    assert sluice.json("job", first)["ended_at"] <= sluice.json("job", second["id"])["started_at"]
    verdict = compare(sluice.settings, second["id"], "people", right)
    assert verdict.holds, str(verdict)
