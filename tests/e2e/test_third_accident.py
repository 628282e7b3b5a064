"""The third accident: teams from a file whose phones are a row off. Stop, take out, correct, start again."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import httpx2
from elasticsearch.helpers import scan

from sample_csv.accidents import shift_down
from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from schemas.indices import data_index
from tests.e2e.commandline import CommandLine
from tests.support.waiting import PATIENCE, elasticsearch, wait_until
from verify.compare import compare

TEAMS = 4_000
BEFORE = 300


def teams_of(sluice: CommandLine, organisation: str) -> dict[str, int]:
    """How many teams of an organisation each job has created."""
    index = data_index(sluice.settings.prefix, "teams")
    with elasticsearch(sluice.settings) as client:
        client.indices.refresh(index=index)
        answer = client.search(
            index=index,
            size=0,
            query={"term": {"sluice.organisation": organisation}},
            aggs={"jobs": {"terms": {"field": "sluice.job_id"}}},
        )
    return {bucket["key"]: bucket["doc_count"] for bucket in answer["aggregations"]["jobs"]["buckets"]}


def first_errors(sluice: CommandLine, job_id: str) -> list[Any] | None:
    """The row errors of a job, once those of its first two rows are among them."""
    errors: list[Any] = sluice.json("errors", job_id)["errors"]
    return errors if [error["row"] for error in errors[:2]] == [1, 2] else None


def test_teams_with_shifted_phones_are_taken_back_and_created_again(sluice: CommandLine, tmp_path: Path) -> None:
    right, wrong, earlier = (tmp_path / name for name in ("teams.csv", "shifted.csv", "earlier.csv"))
    sluice("sample", "teams", TEAMS, "-o", right, "--seed", 7)
    wrong.write_bytes(shift_down(right.read_bytes(), "manager_phone"))
    # The first 300 teams exist already; another organisation has teams of these names as well.
    earlier.write_bytes(generate_bytes(Dataset.TEAMS, BEFORE, 7))
    acme = ("--organisation", "acme")
    old = sluice.json("teams", earlier, *acme, "--wait")["id"]
    other = sluice.json("teams", earlier, "--organisation", "other", "--wait")["id"]

    first = sluice.json("teams", wrong, *acme, "--rate", 50)["id"]
    sluice.wait_job(first, lambda job: job["progress"]["rows_applied"] > BEFORE, "teams are being created")
    # Blocks are applied in any order.
    errors = wait_until(lambda: first_errors(sluice, first), "those of the first block are known")
    assert (errors[0]["row"], errors[0]["line"], errors[0]["column"]) == (1, 2, "manager_phone")
    assert errors[0]["reason"] == "manager_phone is required, but empty"
    assert f"exists already (created by job {old})" in errors[1]["reason"]
    assert (errors[1]["column"], errors[1]["row"]) == ("team", 2)

    refused = sluice("teams", right, *acme, code=1)
    assert first in refused.stderr

    stopped = sluice.json("terminate", first, "--reason", "the phones are a row off")
    assert (stopped["state"], stopped["reason"]) == ("ROLLED_BACK", "the phones are a row off")
    assert stopped["progress"]["rows_rolled_back"] == stopped["progress"]["rows_applied"] > BEFORE
    assert teams_of(sluice, "acme") == {old: BEFORE}, "only what the job created is taken out"

    tried = sluice.json("teams", right, *acme, "--dry-run", "--wait", code=1)
    assert tried["progress"]["rows_failed"] == BEFORE, "a dry run tells of those that exist"
    second = sluice.json("teams", right, *acme, "--wait", code=1)
    assert second["state"] == "COMPLETED_WITH_ERRORS"
    assert teams_of(sluice, "acme") == {old: BEFORE, second["id"]: TEAMS - BEFORE}
    assert teams_of(sluice, "other") == {other: BEFORE}
    verdict = compare(sluice.settings, second["id"], "teams", right)
    assert verdict.holds and verdict.errors == BEFORE, str(verdict)

    again = sluice.json("teams", right, *acme, "--wait", code=1)
    assert (again["progress"]["rows_applied"], again["progress"]["rows_failed"]) == (0, TEAMS)
    assert teams_of(sluice, "acme") == {old: BEFORE, second["id"]: TEAMS - BEFORE}


def test_shifted_phones_of_teams_that_exist_are_seen_in_a_dry_run_and_given_back(
    sluice: CommandLine, tmp_path: Path
) -> None:
    """The accident once more, with teams that exist and the mode upsert; then each mode by the command line."""
    right, wrong, sizes = (tmp_path / name for name in ("teams.csv", "shifted.csv", "sizes.csv"))
    text = generate_bytes(Dataset.TEAMS, 1000, 7)
    right.write_bytes(text)
    wrong.write_bytes(exchanged(text, "manager_phone"))
    terms = ("--dataset", "teams", "--organisation", "stacked")
    sluice("upload", right, *terms, "--wait")
    before = phones(sluice, "stacked")

    tried = sluice.json("upload", wrong, *terms, "--mode", "upsert", "--dry-run", "--wait")["id"]
    would = sluice.json("changes", tried)
    assert (would["new"], would["updated"], would["unchanged"]) == (0, 1000, 0)
    assert would["columns"] == {"manager_phone": 1000} and len(would["first"]) == 50
    for change in would["first"]:
        team = change["key"][0]
        assert change["before"] == {"manager_phone": before[team]} != change["after"]
    lines = list(csv.DictReader(io.StringIO(sluice("changes", tried, "--csv").stdout)))
    assert len(lines) == 1000 and {line["column"] for line in lines} == {"manager_phone"}
    shown = httpx2.get(f"{sluice.settings.api}/jobs/{tried}/preview", trust_env=False, timeout=PATIENCE).text
    assert "0 new, 1,000 updated, 0 unchanged" in shown, "the page says the same"
    assert phones(sluice, "stacked") == before, "a dry run changes nothing"

    real = sluice.json("start", tried)["id"]
    sluice.wait_job(real, lambda job: job["state"] == "PAUSED", "its first rows look like an accident")
    sluice("resume", real)
    sluice.wait_job(real, lambda job: job["state"] == "COMPLETED", "it is done all the same")
    assert phones(sluice, "stacked") != before
    taken_back = sluice.json("rollback", real, "--reason", "the phones are a row off")
    assert (taken_back["state"], taken_back["progress"]["rows_restored"]) == ("ROLLED_BACK", 1000)
    assert phones(sluice, "stacked") == before, "every number is back"
    assert (
        len(list(csv.DictReader(io.StringIO(sluice("undone", real, "--outcome", "restored", "--csv").stdout)))) == 1000
    )

    rows = list(csv.DictReader(io.StringIO(text.decode())))
    with sizes.open("w", newline="") as written:
        writer = csv.writer(written)
        writer.writerow(["team", "size"])
        others = [row["team"] for row in rows if row["size"] != "40"][:5]
        writer.writerows([[team, 40] for team in (*others, "Nobody's team")])
    counts = {}
    for mode in ("upsert", "update", "delete"):
        job = sluice.json("upload", sizes, *terms, "--mode", mode, "--if-same", "allow", "--wait", code=1)
        counts[mode] = {
            name: job["progress"][f"rows_{name}"] for name in ("updated", "unchanged", "deleted", "missing")
        }
    assert counts == {
        "upsert": {"updated": 5, "unchanged": 0, "deleted": 0, "missing": 1},
        "update": {"updated": 0, "unchanged": 5, "deleted": 0, "missing": 1},
        "delete": {"updated": 0, "unchanged": 0, "deleted": 5, "missing": 1},
    }
    replaced = sluice.json("upload", right, *terms, "--mode", "replace", "--if-same", "allow", "--wait")["progress"]
    assert (replaced["rows_created"], replaced["rows_unchanged"]) == (5, 995)


def exchanged(text: bytes, column: str) -> bytes:
    """The rows of a file, each with this value of the row before it; the first has that of the last."""
    rows = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    values = [row[column] for row in rows]
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, list(rows[0]))
    writer.writeheader()
    writer.writerows({**row, column: values[at - 1]} for at, row in enumerate(rows))
    return written.getvalue().encode()


def phones(sluice: CommandLine, organisation: str) -> dict[str, str]:
    """Team -> its manager's phone, of all teams of an organisation."""
    index = data_index(sluice.settings.prefix, "teams")
    with elasticsearch(sluice.settings) as client:
        client.indices.refresh(index=index)
        query = {"query": {"term": {"sluice.organisation": organisation}}}
        found = scan(client, index=index, query=query)
        return {hit["_source"]["team"]: hit["_source"]["manager_phone"] for hit in found}
