"""The first accident: a file with two columns swapped throughout. Stop it, take its rows out, load the right file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sample_csv.accidents import swap_columns
from tests.conftest import People
from tests.e2e.commandline import CommandLine
from tests.faults.evidence import count
from verify.compare import compare

NOTICED = [
    pytest.param(20_000, ("email", "phone"), "rows_failed", id="every row is an error"),
    pytest.param(10_000, ("name", "country"), "rows_applied", id="every row looks right and is written"),
]


@pytest.mark.parametrize(("rows", "columns", "noticed"), NOTICED)
def test_a_baseline_with_swapped_columns_is_taken_back(
    sluice: CommandLine, people: People, tmp_path: Path, rows: int, columns: tuple[str, str], noticed: str
) -> None:
    right = people(rows)
    wrong = tmp_path / "baseline.csv"
    wrong.write_bytes(swap_columns(right.read_bytes(), *columns))
    organisation = f"acme-{columns[0]}"
    baseline = ("--dataset", "people", "--organisation", organisation)

    first = sluice.json("upload", wrong, *baseline, "--rate", rows // 600)["id"]
    seen = sluice.wait_job(first, lambda job: job["progress"][noticed] > 0, "the accident can be seen")
    assert seen["state"] == "RUNNING"
    written = count(sluice.settings, first) > 0
    errors = sluice.json("errors", first)["errors"]
    assert (written, bool(errors)) == (noticed == "rows_applied", noticed == "rows_failed")

    refused = sluice("upload", right, *baseline, code=1)
    assert first in refused.stderr

    stopped = sluice.json("terminate", first, "--reason", "columns are swapped")
    assert (stopped["state"], stopped["reason"]) == ("ROLLED_BACK", "columns are swapped")
    progress = stopped["progress"]
    assert progress["rows_applied"] + progress["rows_failed"] < rows
    assert progress["rows_rolled_back"] == progress["rows_applied"]
    assert count(sluice.settings, first) == 0

    done = sluice("upload", right, *baseline, "--wait")
    assert f"COMPLETED: {rows:,} rows applied" in done.stdout
    jobs = sluice.json("jobs", "--organisation", organisation)
    assert [job["state"] for job in jobs] == ["COMPLETED", "ROLLED_BACK"]
    assert jobs[1]["ended_at"] <= jobs[0]["started_at"]
    verdict = compare(sluice.settings, jobs[0]["id"], "people", right)
    assert verdict.holds, str(verdict)
    assert count(sluice.settings, first) == 0
    told = sluice("history", first).stdout
    assert "TerminationRequested" in told
    assert "columns are swapped" in told


def test_a_limit_of_errors_stops_swapped_columns_within_the_first_rows(
    sluice: CommandLine, people: People, tmp_path: Path
) -> None:
    right = people(20_000)
    wrong = tmp_path / "baseline.csv"
    wrong.write_bytes(swap_columns(right.read_bytes(), "email", "phone"))
    done = sluice(
        "upload", wrong, "--dataset", "people", "--organisation", "limit", "--max-errors", "5%", "--wait", code=1
    )
    assert "PAUSED" in done.stdout + done.stderr
    job = sluice.json("jobs", "--organisation", "limit")[0]
    assert (job["state"], job["budget"]) == ("PAUSED", "spent")
    assert "more than max_errors=5% allows" in job["reason"]
    assert 1000 <= job["progress"]["rows_applied"] + job["progress"]["rows_failed"] <= 2000
    assert (job["progress"]["rows_applied"], count(sluice.settings, job["id"])) == (0, 0)
    assert sluice.json("terminate", job["id"])["state"] == "ROLLED_BACK"


def test_the_right_file_waits_in_the_queue(sluice: CommandLine, people: People, tmp_path: Path) -> None:
    right = people(10_000)
    wrong = tmp_path / "baseline.csv"
    wrong.write_bytes(swap_columns(right.read_bytes(), "name", "country"))
    baseline = ("--dataset", "people", "--organisation", "queue")
    first = sluice.json("upload", wrong, *baseline, "--rate", 20)["id"]
    second = sluice.json("upload", right, *baseline, "--if-busy", "queue")
    assert second["state"] == "QUEUED"
    sluice("terminate", first)
    assert sluice.json("watch", second["id"])["state"] == "COMPLETED"
    assert sluice.json("job", first)["ended_at"] <= sluice.json("job", second["id"])["started_at"]
    verdict = compare(sluice.settings, second["id"], "people", right)
    assert verdict.holds, str(verdict)
