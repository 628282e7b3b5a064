"""Each command once, with its exit code and its JSON."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pytest

from sample_csv.ready import FILES
from tests.conftest import People
from tests.e2e.commandline import CommandLine
from tests.faults.evidence import count
from tests.faults.legacy_files import as_stored
from verify.compare import compare

ROWS = 8_000


def test_status_tells_what_runs_and_up_leaves_it_alone(sluice: CommandLine) -> None:
    status = sluice.json("status")
    assert (status["api"], status["kafka"]) == (sluice.settings.api, sluice.settings.bootstrap)
    assert status["elasticsearch"] == sluice.settings.elasticsearch
    assert sorted(process["role"] for process in status["processes"]) == ["api", "ingest", "worker"]
    assert all(Path(process["log"]).exists() for process in status["processes"])
    sluice("up", "--detach")
    assert sluice.json("status") == status


def test_an_upload_is_paused_resumed_and_completed(sluice: CommandLine, people: People) -> None:
    file = people(ROWS)
    job_id = sluice.json("upload", file, "--dataset", "people", "--organisation", "pause", "--rate", 50)["id"]
    paused = sluice.json("pause", job_id, "--reason", "lunch")
    assert (paused["state"], paused["reason"]) == ("PAUSED", "lunch")
    written = count(sluice.settings, job_id)
    sluice("rate", job_id, "none")
    assert "PAUSED" in sluice("job", job_id[:12]).stdout
    assert sluice.json("pause", job_id, "--resume-at", "1h")["resume_at"] is not None
    assert "goes on by itself at" in sluice("job", job_id).stdout
    assert sluice.json("pause", job_id)["resume_at"] is None, "another command cancels it"
    assert count(sluice.settings, job_id) == written
    assert sluice.json("resume", job_id)["state"] in ("RUNNING", "COMPLETED")
    assert f"{ROWS:,} rows applied" in sluice("watch", job_id).stdout
    verdict = compare(sluice.settings, job_id, "people", file)
    assert verdict.holds, str(verdict)
    events = [entry["event"] for entry in sluice.json("history", job_id)["history"]]
    assert [event for event in events if event in ("Paused", "Resumed", "Completed")] == [
        "Paused", "Resumed", "Completed",
    ]  # fmt: skip
    refused = sluice("pause", job_id, code=1)
    assert "COMPLETED" in refused.stderr
    taken_out = sluice.json("rollback", job_id)
    assert (taken_out["state"], taken_out["progress"]["rows_rolled_back"]) == ("ROLLED_BACK", ROWS)
    assert count(sluice.settings, job_id) == 0


def test_terminate_keeps_rows_when_asked_to(sluice: CommandLine, people: People) -> None:
    job_id = sluice.json("upload", people(ROWS), "--dataset", "people", "--organisation", "keep", "--rate", 50)["id"]
    sluice.wait_job(job_id, lambda job: job["progress"]["rows_applied"] > 0, "rows are written")
    kept = sluice.json("terminate", job_id, "--keep-rows")
    assert (kept["state"], kept["progress"]["rows_applied"]) == ("TERMINATED", count(sluice.settings, job_id))
    assert kept["progress"]["rows_applied"] > 0


def test_row_errors_are_shown_and_make_the_exit_code_1(sluice: CommandLine, tmp_path: Path) -> None:
    done = sluice(
        "upload", FILES / "people-truncated.csv", "--dataset", "people", "--organisation", "cut", "--wait", code=1
    )
    assert "COMPLETED_WITH_ERRORS: 637 rows applied, 1 refused" in done.stdout
    job_id = sluice.json("jobs", "--organisation", "cut")[0]["id"]
    page = sluice.json("errors", job_id)
    assert (page["total"], page["errors"][0]["row"]) == (1, 638)
    assert "638" in sluice("errors", job_id).stdout
    rows = list(csv.DictReader(sluice("errors", job_id, "--csv").stdout.splitlines()))
    assert [row["sluice_row"] for row in rows] == ["638"]


def test_a_job_whose_rows_come_by_the_inbox(sluice: CommandLine) -> None:
    words = ("upload", "--from-topic", "--dataset", "people", "--organisation", "service")
    job_id = sluice.json(*words)["id"]
    assert "waiting for rows, or the end of the input" in sluice("job", job_id).stdout
    assert sluice.json("end", job_id, 0)["progress"]["rows_total"] == 0
    assert "COMPLETED: 0 rows applied" in sluice("watch", job_id).stdout
    assert "0 rows, not 1" in sluice("end", job_id, 1, code=1).stderr
    assert "not both" in sluice(*words, "people.csv", code=2).stderr


def test_a_dry_run_is_shown_and_started_and_its_errors_are_corrected(sluice: CommandLine, tmp_path: Path) -> None:
    shown = sluice(
        "upload", FILES / "people-truncated.csv", "--dataset", "people", "--organisation", "dry", "--dry-run", "--wait",
        code=1,
    ).stdout  # fmt: skip
    assert "637 of 638 rows can be stored, 1 can't." in shown
    assert "The first 1 row errors:" in shown and "The first 20 rows, as they would be stored:" in shown
    dry_run = sluice.json("jobs", "--organisation", "dry")[0]["id"]
    assert sluice.json("preview", dry_run)["rows_valid"] == 637
    started = sluice.json("start", dry_run, "--rate", "100000", "--wait", code=1)
    assert (started["started_from"], started["state"]) == (dry_run, "COMPLETED_WITH_ERRORS")
    assert sluice.json("start", dry_run)["id"] == started["id"]
    header, row, *_ = csv.reader(sluice("errors", started["id"], "--csv").stdout.splitlines())
    first, second = (FILES / "people-small.csv").read_text("utf-8").splitlines()[:2]
    own = next(csv.reader([second]))
    assert header[: len(own)] == next(csv.reader([first]))
    file = tmp_path / "refused.csv"
    with file.open("w", encoding="utf-8", newline="") as target:
        csv.writer(target).writerows([header, [*own, *row[len(own) : len(header)]]])
    done = sluice("retry-errors", started["id"], file, "--wait").stdout
    assert "COMPLETED: 638 rows applied" in done
    refused = sluice("retry-errors", dry_run, file, code=1).stderr
    assert "dry run" in refused


def test_jobs_are_listed_newest_first(sluice: CommandLine) -> None:
    upload = ("upload", FILES / "people-small.csv", "--dataset", "people", "--organisation", "list", "--wait")
    first = sluice.json(*upload)
    refused = sluice(*upload, code=1)
    assert f"job {first['id']}" in refused.stderr and "applied already" in refused.stderr
    assert [job["id"] for job in sluice.json("jobs", "--organisation", "list")] == [first["id"]]
    made = [first, sluice.json(*upload, "--if-same", "allow")]
    assert [(job["ended"], job["progress"]["rows_done"]) for job in made] == [(True, 1000)] * 2
    assert all(job["state"] == "COMPLETED" for job in made)
    listed = sluice.json("jobs", "--organisation", "list", "--state", "completed")
    assert [job["id"] for job in listed] == [job["id"] for job in reversed(made)]
    assert made[1]["id"] in sluice("jobs", "--organisation", "list").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("upload", "no-such-file.csv", "--dataset", "people"), "no-such-file.csv"),
        (("upload", FILES / "people-small.csv", "--dataset", "poeple"), "people"),
        (("upload", FILES / "teams-small.csv", "--dataset", "people"), "header"),
        (("upload", FILES / "people-small.csv"), "--dataset"),
        (("job", "nobody-knows-it"), "nobody-knows-it"),
        (("pause", "nobody-knows-it"), "nobody-knows-it"),
        (("errors", "nobody-knows-it"), "nobody-knows-it"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_a_sentence(sluice: CommandLine, words: tuple[object, ...], told: str) -> None:
    assert told in sluice(*words, code=2).stderr


@pytest.mark.parametrize("rows", [1000, 10_000, 50_000])
def test_the_dummy_files_of_old_are_uploaded_without_any_option(sluice: CommandLine, tmp_path: Path, rows: int) -> None:
    file = tmp_path / "old.csv"
    sluice("sample", "people", rows, "-o", file, "--style", "legacy")
    job = sluice.json("upload", file, "--dataset", "people", "--organisation", f"old-{rows}", "--wait")
    assert (job["state"], job["progress"]["rows_applied"], job["options"]) == ("COMPLETED", rows, {})
    verdict = compare(sluice.settings, job["id"], "people", as_stored(job, file))
    assert verdict.holds, str(verdict)


def test_a_file_of_old_is_made_and_uploaded_with_its_columns_told(sluice: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    sluice("sample", "people", 1000, "-o", file, "--style", "legacy")
    upload = ("upload", file, "--dataset", "people", "--organisation", "old", "--wait")
    told = sluice(*upload)
    assert "Phone number is phone, Country is country" in told.stderr and "1,000 rows applied" in told.stdout
    assert "Favorite Color is favorite_color" in sluice("job", "last").stdout

    file.write_bytes(file.read_bytes().replace(b"Phone number,Country", b"Ring,Notes", 1))
    refused = sluice(*upload, code=2)
    assert "missing: phone, country; unknown: Ring, Notes" in refused.stderr and "--map Ring=phone" in refused.stderr
    sluice(*upload, "--map", "ring=phone", "--set", "country=NL", "--ignore-extra")
    job = sluice.json("job", "last")
    assert (job["state"], job["source"]["columns"]["Ring"], job["source"]["columns"]["Notes"]) == (
        "COMPLETED", "phone", None,
    )  # fmt: skip

    again = ("upload", "--again", job["id"], "--set", "country=Norway", "--wait")
    file.unlink()
    assert "applied already" in sluice(*again, code=1).stderr
    sluice("rollback", job["id"])
    assert "Ring is phone" in sluice(*again).stderr
    mended = sluice.json("job", "last")
    assert mended["options"]["set"] == {"country": "Norway"}
    assert (mended["progress"]["rows_applied"], mended["options"]["columns"]) == (1000, {"ring": "phone"})
    assert (
        "zulu, for people: ring is phone"
        in sluice("mappings", "save", "zulu", "--from-job", mended["id"], "--organisation", "old").stdout
    )
    (kept,) = sluice.json("mappings", "--organisation", "old")
    assert (kept["columns"], kept["set"], kept["ignore_extra"]) == ({"ring": "phone"}, {"country": "Norway"}, True)
    sluice("sample", "people", 100, "-o", file, "--style", "legacy", "--seed", 3)
    file.write_bytes(file.read_bytes().replace(b"Phone number,Country", b"Ring,Notes", 1))
    assert "missing: country" in sluice(*upload, "--map", "ring=phone", code=2).stderr
    sluice(*upload, "--mapping", "zulu", "--set", "country=Iceland")
    options = sluice.json("job", "last")["options"]
    assert (options["mapping"], options["set"], options["columns"]) == (
        "zulu",
        {"country": "Iceland"},
        {"ring": "phone"},
    )
    sluice("mappings", "delete", "zulu", "--organisation", "old")
    assert sluice.json("mappings", "--organisation", "old") == []
    assert "has no mapping 'zulu'" in sluice(*upload, "--mapping", "zulu", code=2).stderr
    assert "name no file" in sluice("upload", file, "--again", "last", code=2).stderr


def test_a_zip_in_another_encoding_is_uploaded_and_told(sluice: CommandLine, tmp_path: Path) -> None:
    text = (FILES / "people-small.csv").read_text("utf-8").encode("cp1252", "ignore").decode("cp1252")
    rows = list(csv.reader(text.splitlines()))
    rows[1][0] = "Jürgen Groß"
    plain, packed = tmp_path / "people.csv", tmp_path / "people.zip"
    for file, delimiter, encoding in ((plain, ",", "utf-8"), (tmp_path / "sent.csv", ";", "cp1252")):
        with file.open("w", encoding=encoding, newline="") as target:
            csv.writer(target, delimiter=delimiter).writerows(rows)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "sent.csv", "data/sent.csv")
    upload = ("upload", packed, "--dataset", "people", "--organisation", "zip", "--wait")
    told = sluice(*upload, "--encoding", "cp1252")
    assert "Format: zip, cp1252, delimiter ;" in told.stderr
    assert "zip, cp1252, delimiter ;" in sluice("job", "last").stdout
    verdict = compare(sluice.settings, sluice.json("job", "last")["id"], "people", plain)
    assert verdict.holds, str(verdict)
    assert "encoding 'klingon' is not known" in sluice(*upload, "--encoding", "klingon", code=2).stderr
