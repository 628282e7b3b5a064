"""Write modes on real servers: a rollback gives the first state back, whatever dies, but for what others changed."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Any

import pytest

from processor.operations.keyed import key_id
from tests.cluster import Cluster
from tests.faults.modes_evidence import documents, edit, edited, killing, send, teams, write

ROWS = 2500
EDITS = 60


@pytest.mark.parametrize("mode", ["upsert", "replace", "update", "delete", "create"])
def test_the_first_state_comes_back_but_for_what_others_have_changed(
    cluster: Cluster, organisation: str, tmp_path: Path, mode: str
) -> None:
    settings, chance = cluster.settings, random.Random(mode)
    rows = teams(ROWS)
    if mode != "create":
        cluster.wait_state(send(cluster, write(tmp_path / "first.csv", rows), organisation), "COMPLETED")
    before = documents(settings, organisation)
    cut = [{**row, "size": str(2 + int(row["size"]) % 39), "region": f"{row['region']} b"} for row in rows]
    changed = [{key: row[key] for key in ("team", "size")} for row in cut] if mode == "update" else cut
    job_id = send(cluster, write(tmp_path / "second.csv", changed), organisation, mode=mode, rows_per_second=1500)
    killing(cluster, job_id, sorted(chance.sample(range(200, ROWS - 400), 3)))
    cluster.rate(job_id, None)
    done = cluster.wait_state(job_id, "COMPLETED")["progress"]
    counts = {name: done[f"rows_{name}"] for name in ("created", "updated", "unchanged", "deleted")}
    kind = {"create": "created", "delete": "deleted"}.get(mode, "updated")
    assert counts == {**dict.fromkeys(counts, 0), kind: ROWS}
    after = documents(settings, organisation)
    if mode == "delete":
        assert after == {}
    else:
        assert [after[key_id(organisation, [row["team"]])]["size"] for row in cut] == [int(row["size"]) for row in cut]

    ids = chance.sample(sorted(before or after), EDITS)
    foreign = edited(before or after, ids, region="edited")
    edit(settings, foreign)
    cluster.act(job_id, "rollback", wait=None)
    killing(cluster, job_id, (300,))
    ended = cluster.wait_state(job_id, "ROLLED_BACK")["progress"]
    assert documents(settings, organisation) == {**before, **foreign}
    assert (ended["rows_restored"], ended["rows_kept"], ended["rows_not_restored"]) == (ROWS - EDITS, EDITS, 0)
    kept = cluster.call("GET", f"/v1/jobs/{job_id}/undone", params={"outcome": "kept", "limit": 1000})
    assert {row["document"] for row in kept["rows"]} == set(ids)
    listed = list(csv.DictReader(io.StringIO(cluster.request("GET", f"/v1/jobs/{job_id}/undone.csv").text)))
    assert len(listed) == ROWS and sum(row["outcome"] == "restored" for row in listed) == ROWS - EDITS

    forced = cluster.act(job_id, "rollback", force=True)
    assert forced["state"] == "ROLLED_BACK"
    assert forced["progress"]["rows_kept"] == 0
    assert documents(settings, organisation) == before


@pytest.mark.parametrize("lower_first", [True, False])
def test_jobs_on_top_of_one_another_are_undone_in_any_order(
    cluster: Cluster, organisation: str, tmp_path: Path, lower_first: bool
) -> None:
    settings, rows = cluster.settings, teams(600)
    first = send(cluster, write(tmp_path / "first.csv", rows[:400]), organisation)
    cluster.wait_state(first, "COMPLETED")
    before = documents(settings, organisation)
    jobs = []
    for number, mode in enumerate(("upsert", "delete", "create", "upsert")):
        some = [{**row, "size": str(3 + number)} for row in rows[100 * number : 100 * number + 300]]
        job_id = send(cluster, write(tmp_path / f"{mode}.csv", some), organisation, mode=mode)
        cluster.wait_state(job_id, "COMPLETED", "COMPLETED_WITH_ERRORS")
        jobs.append(job_id)
    top = documents(settings, organisation)
    order = jobs if lower_first else list(reversed(jobs))
    for number, job_id in enumerate(order):
        ended = cluster.act(job_id, "rollback")
        assert ended["state"] == "ROLLED_BACK", ended
        if lower_first and number == 0:
            last = jobs[-1]
            mine = {key: it for key, it in top.items() if it["sluice"]["job_id"] == last}
            now = documents(settings, organisation)
            assert {key: now[key] for key in mine} == mine, "the values of the upper job stay"
    assert documents(settings, organisation) == before
    assert cluster.act(first, "rollback")["progress"]["rows_restored"] == 400
    assert documents(settings, organisation) == {}


def test_organisations_and_workers_share_a_dataset(cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    """Two organisations write the same keys at the same time, while workers come and go."""
    rows, settings = teams(1500), cluster.settings
    owners = [f"{organisation}-{number}" for number in range(2)]
    for owner in owners:
        cluster.wait_state(send(cluster, write(tmp_path / "all.csv", rows), owner), "COMPLETED")
    before = [documents(settings, owner) for owner in owners]
    other = [{**row, "region": "Elsewhere"} for row in rows]
    jobs = [
        send(cluster, write(tmp_path / "other.csv", other), owner, mode="upsert", rows_per_second=800)
        for owner in owners
    ]
    cluster.wait_rows(jobs[0], 200)
    cluster.start("worker")
    cluster.worker.stop()
    for job_id in jobs:
        cluster.rate(job_id, None)
        assert cluster.wait_state(job_id, "COMPLETED")["progress"]["rows_updated"] == len(rows)
    refused = cluster.request("POST", f"/v1/jobs/{jobs[0]}/rollback", json={"partial": True, "force": True})
    assert refused.is_success
    cluster.act(jobs[1], "rollback")
    for job_id, owner, first in zip(jobs, owners, before, strict=True):
        cluster.wait_state(job_id, "ROLLED_BACK")
        assert documents(settings, owner) == first


def test_shifted_phones_show_in_a_dry_run_and_every_number_comes_back(
    cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    """The third accident with teams that exist: the phones of the file are a row off."""
    settings, rows = cluster.settings, teams(1000)
    cluster.wait_state(send(cluster, write(tmp_path / "teams.csv", rows), organisation), "COMPLETED")
    before = documents(settings, organisation)
    phones = [row["manager_phone"] for row in rows]
    shifted = [{**row, "manager_phone": phones[place - 1]} for place, row in enumerate(rows)]
    wrong = write(tmp_path / "shifted.csv", shifted)
    would = sum(one["manager_phone"] != other["manager_phone"] for one, other in zip(rows, shifted, strict=True))

    tried = send(cluster, wrong, organisation, mode="upsert", dry_run=True)
    cluster.wait_state(tried, "COMPLETED")
    found: Any = cluster.call("GET", f"/v1/jobs/{tried}/preview")["changes"]
    assert (found["new"], found["updated"], found["unchanged"]) == (0, would, len(rows) - would)
    assert found["columns"] == {"manager_phone": would}
    assert len(found["first"]) == 50
    first = found["first"][0]
    place = first["row"] - 1
    assert first["before"] == {"manager_phone": phones[place]}
    assert first["after"] == {"manager_phone": shifted[place]["manager_phone"]}
    assert documents(settings, organisation) == before, "a dry run writes nothing"
    lines = list(csv.DictReader(io.StringIO(cluster.request("GET", f"/v1/jobs/{tried}/changes.csv").text)))
    assert len(lines) == would and lines[0]["column"] == "manager_phone"

    real = cluster.call("POST", f"/v1/jobs/{tried}/start", json={})["id"]
    assert cluster.wait_state(real, "COMPLETED")["progress"]["rows_updated"] == would
    ended = cluster.act(real, "rollback", reason="the phones are a row off")
    assert ended["progress"]["rows_restored"] == would
    assert documents(settings, organisation) == before


def test_row_errors_of_a_mode_are_corrected(cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    """A key that is missing, or twice in the file, is a row error; corrected, the row is written, and undone."""
    settings, rows = cluster.settings, teams(300)
    cluster.wait_state(send(cluster, write(tmp_path / "teams.csv", rows), organisation), "COMPLETED")
    before = documents(settings, organisation)
    sizes = [{"team": row["team"], "size": "31"} for row in rows[:200]]
    sizes[5]["team"] = "Nobody's"
    sizes[150]["team"] = sizes[20]["team"]
    job_id = send(cluster, write(tmp_path / "sizes.csv", sizes), organisation, mode="update")
    done = cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")["progress"]
    assert (done["rows_updated"] + done["rows_unchanged"], done["rows_failed"]) == (198, 2)
    assert (done["rows_missing"], done["rows_conflicting"]) == (1, 1)
    errors = cluster.call("GET", f"/v1/jobs/{job_id}/errors")["errors"]
    reasons = {error["row"]: error["reason"] for error in errors}
    assert reasons[6] == 'team "Nobody\'s" does not exist'
    assert any("of the file already" in reason for reason in reasons.values())
    text = cluster.request("GET", f"/v1/jobs/{job_id}/errors.csv").text.replace("Nobody's", rows[250]["team"])
    fixed = tmp_path / "errors.csv"
    fixed.write_text(text)
    with fixed.open("rb") as content:
        cluster.call("POST", f"/v1/jobs/{job_id}/retry-errors", files={"file": ("errors.csv", content, "text/csv")})
    ended = cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")["progress"]
    assert (ended["rows_applied"], ended["rows_failed"]) == (199, 1)
    assert documents(settings, organisation)[key_id(organisation, [rows[250]["team"]])]["size"] == 31
    cluster.act(job_id, "rollback")
    assert documents(settings, organisation) == before
