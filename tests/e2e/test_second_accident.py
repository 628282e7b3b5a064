"""The second accident: an export of far too many rows. Stop it, so that the machines serve the right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.exports import parts_folder, result_path
from tests.conftest import People
from tests.e2e.commandline import CommandLine
from verify.compare import compare, compare_export

ROWS = 12_000
RATE = 50


@pytest.fixture(scope="module")
def loaded(sluice: CommandLine, people: People) -> str:
    """An organisation with a year's people."""
    sluice("upload", people(ROWS), "--dataset", "people", "--organisation", "year", "--wait")
    return "year"


def test_the_wrong_export_is_stopped_and_the_right_one_gets_the_machine(
    sluice: CommandLine, loaded: str, tmp_path: Path
) -> None:
    asked = ("export", "--dataset", "people", "--organisation", loaded)
    wrong = sluice.json(*asked, "--from", "2026-01-01", "--rate", RATE)["id"]
    seen = sluice.wait_job(wrong, lambda job: job["progress"]["rows_applied"] > 0, "it can be seen that it is too much")
    assert (seen["state"], seen["progress"]["rows_total"]) == ("RUNNING", ROWS)
    assert 0 < seen["progress"]["percent"] < 100
    assert f"{ROWS:,} rows" in sluice("job", wrong).stdout

    stopped = sluice.json("terminate", wrong, "--reason", "from 2026-12-01, not 2026-01-01")
    assert (stopped["state"], stopped["reason"]) == ("ROLLED_BACK", "from 2026-12-01, not 2026-01-01")
    assert stopped["progress"]["rows_applied"] < ROWS
    storage = sluice.settings.storage_root
    assert not (storage / parts_folder(wrong)).exists()
    assert not (storage / result_path(wrong)).exists()

    file = tmp_path / "december.csv"
    done = sluice(*asked, "--from", "2026-12-01", "--till", "2026-12-31", "-o", file)
    verdict = compare_export(sluice.settings, file, "people", loaded, "2026-12-01", "2026-12-31")
    known = sluice.json(*asked, "--from", "2026-01-01", "--estimate")
    assert (known["rows"], known["largest_before"], known["needs_confirm"]) == (ROWS, verdict.rows, True)
    assert "--confirm" in sluice(*asked, "--from", "2026-01-01", code=1).stderr
    assert verdict.holds, str(verdict)
    assert f"COMPLETED: {verdict.rows:,} rows exported" in done.stdout
    right, before = sluice.json("jobs", "--operation", "export", "--organisation", loaded)
    assert (before["id"], before["state"], right["state"]) == (wrong, "ROLLED_BACK", "COMPLETED")
    assert before["ended_at"] <= right["started_at"]
    assert before["progress"] == stopped["progress"], "the wrong one does nothing any more"


def test_an_export_is_paused_and_resumed_and_can_be_uploaded_again(
    sluice: CommandLine, loaded: str, tmp_path: Path
) -> None:
    asked = ("export", "--dataset", "people", "--organisation", loaded, "--from", "2026-03-01", "--till", "2026-05-31")
    job_id = sluice.json(*asked, "--rate", 20)["id"]
    sluice.wait_job(job_id, lambda job: job["progress"]["rows_applied"] > 0, "some rows are exported")
    paused = sluice.json("pause", job_id)
    assert paused["state"] == "PAUSED"
    sluice("rate", job_id, "none")
    sluice("resume", job_id)
    assert sluice.json("watch", job_id)["progress"]["percent"] == 100.0
    exported = sluice.settings.storage_root / result_path(job_id)
    verdict = compare_export(sluice.settings, exported, "people", loaded, "2026-03-01", "2026-05-31")
    assert verdict.holds, str(verdict)
    again = sluice.json("upload", exported, "--dataset", "people", "--organisation", "again", "--wait")
    assert (again["state"], again["progress"]["rows_applied"]) == ("COMPLETED", verdict.rows)
    loaded_again = compare(sluice.settings, again["id"], "people", exported)
    assert loaded_again.holds, str(loaded_again)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--dataset", "people", "--from", "2026-02-01", "--till", "2026-01-01"), "wrong way round"),
        (("--dataset", "people", "--from", "yesterday"), "YYYY-MM-DD"),
        (("--dataset", "teams", "--from", "2026-01-01"), "has no date"),
        (("--dataset", "people"), "--from"),
    ],
)
def test_an_export_that_cannot_be_is_exit_code_2(sluice: CommandLine, words: tuple[object, ...], told: str) -> None:
    assert told in sluice("export", *words, code=2).stderr
