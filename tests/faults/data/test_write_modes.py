"""Write modes on real servers: a rollback gives the first state back, whatever dies, but for what others changed."""

from __future__ import annotations

import csv
import io
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from processor.operations.keyed import key_id
from processor.operations.modes.images import images_index
from tests.conftest import MakeCluster
from tests.faults.modes_evidence import (
    Documents,
    Killing,
    Moment,
    documents,
    edit,
    hashed,
    remove,
    send,
    state,
    teams,
    write,
)
from tests.support.processes.cluster import Cluster
from tests.support.processes.upstream import Sender, end
from tests.support.waiting import PATIENCE, elasticsearch

ROWS = int(os.environ.get("SLUICE_TEST_ROWS", "1200"))
MANY = ROWS > 10_000
EDITS = ROWS // 100 if MANY else 40
SECONDS = PATIENCE + ROWS / 50
RATE = 1000 if MANY else 30
"""Of each job, until the worker has been killed often enough."""
MODES = ("create", "upsert", "replace", "update", "delete")
OF_ANOTHER_PROGRAM = {"team": "Made by another program", "size": 7}
KILLS: dict[str, list[tuple[Moment, str]]] = {
    "apply": [("image", "upsert"), ("image", "delete"), ("write", "update")],
    "undo": [("restore", "replace"), ("record", "upsert")],
}
if MANY:
    KILLS["apply"] += [("image", "update"), ("write", "create"), ("write", "replace")]
    KILLS["undo"] += [("restore", "delete"), ("record", "create")]


@dataclass
class Owner:
    """An organisation whose teams a job in one mode changes."""

    mode: str
    name: str
    before: dict[str, bytes] = field(default_factory=dict)
    """Id -> hash of a document."""
    foreign: dict[str, bytes] = field(default_factory=dict)
    """Of documents that another program has changed."""
    job_id: str = ""


@pytest.fixture
def mortal(request: pytest.FixtureRequest) -> Cluster:
    """The shared cluster; for many rows one with blocks and requests of the usual sizes."""
    if MANY:
        return cast(MakeCluster, request.getfixturevalue("make_cluster"))(block_rows=500, bulk_rows=2000)
    return cast(Cluster, request.getfixturevalue("cluster"))


@pytest.fixture
def killing(mortal: Cluster) -> Iterator[Killing]:
    """Kills the worker of the cluster."""
    killing = Killing(mortal)
    yield killing
    killing.close()


def none_is_kept(cluster: Cluster, job_id: str) -> bool:
    """Whether the rollback has left no document as others had changed it."""
    return bool(cluster.job(job_id)["progress"]["rows_kept"] == 0)


def test_the_first_state_comes_back_but_for_what_others_have_changed(
    mortal: Cluster, killing: Killing, organisation: str, tmp_path: Path
) -> None:
    """A job in each mode, all at once; the worker dies again and again, while they write and while they give back."""
    cluster = mortal
    settings, chance, rows = cluster.settings, random.Random(11), teams(ROWS)
    owners = [Owner(mode, f"{organisation}-{mode}") for mode in MODES]
    first = write(tmp_path / "first.csv", rows)
    for job_id in [send(cluster, first, owner.name) for owner in owners if owner.mode != "create"]:
        cluster.wait_state(job_id, "COMPLETED", seconds=SECONDS)
    changed = [{**row, "size": str(2 + int(row["size"]) % 39), "region": f"{row['region']} b"} for row in rows]
    sizes = [{key: row[key] for key in ("team", "size")} for row in changed]
    for owner in owners:
        owner.before = state(settings, owner.name)
        file = write(tmp_path / f"{owner.mode}.csv", sizes if owner.mode == "update" else changed)
        owner.job_id = send(cluster, file, owner.name, mode=owner.mode, rows_per_second=RATE)
    kills = arm(killing, owners, KILLS["apply"], chance)
    killing.see(kills)
    for owner in owners:
        cluster.rate(owner.job_id, None)
    for owner in owners:
        done = cluster.wait_state(owner.job_id, "COMPLETED", seconds=SECONDS)["progress"]
        counts = {name: done[f"rows_{name}"] for name in ("created", "updated", "unchanged", "deleted")}
        kind = {"create": "created", "delete": "deleted"}.get(owner.mode, "updated")
        assert counts == {**dict.fromkeys(counts, 0), kind: ROWS}, owner.mode
        after = documents(settings, owner.name)
        wanted = [] if owner.mode == "delete" else [int(row["size"]) for row in changed]
        ids = [key_id(owner.name, [row["team"]]) for row in changed]
        assert [after[key]["size"] for key in ids if key in after] == wanted, owner.mode
        touched = chance.sample(ids, EDITS)
        of_others = {**after, **dict.fromkeys(set(touched) - set(after), OF_ANOTHER_PROGRAM)}
        unmarked = {"sluice": {"organisation": owner.name}}
        foreign = {key: {**unmarked, **of_others[key], "region": "edited"} for key in touched}
        edit(settings, foreign)
        owner.foreign = {key: hashed(it) for key, it in foreign.items()}

    kills = arm(killing, owners, KILLS["undo"], chance)
    for owner in owners:
        cluster.act(owner.job_id, "rollback", wait=None)
    killing.see(kills)
    for owner in owners:
        ended = cluster.wait_state(owner.job_id, "ROLLED_BACK", seconds=SECONDS)["progress"]
        assert state(settings, owner.name) == {**owner.before, **owner.foreign}, owner.mode
        found = (ended["rows_restored"], ended["rows_kept"], ended["rows_not_restored"])
        assert found == (ROWS - EDITS, EDITS, 0), owner.mode
    job_id, foreign_ids = owners[1].job_id, set(owners[1].foreign)
    kept = cluster.call("GET", f"/v1/jobs/{job_id}/undone", params={"outcome": "kept", "limit": 1000})
    assert {row["document"] for row in kept["rows"]} == foreign_ids
    listed = list(csv.DictReader(io.StringIO(cluster.request("GET", f"/v1/jobs/{job_id}/undone.csv").text)))
    assert len(listed) == ROWS and sum(row["outcome"] == "restored" for row in listed) == ROWS - EDITS

    for owner in owners:
        cluster.act(owner.job_id, "rollback", force=True, wait=None)
    for owner in owners:
        cluster.wait(partial(none_is_kept, cluster, owner.job_id), "none is kept", SECONDS)
        assert cluster.wait_state(owner.job_id, "ROLLED_BACK", seconds=SECONDS)["progress"]["rows_kept"] == 0
        assert state(settings, owner.name) == owner.before, owner.mode


def arm(killing: Killing, owners: Sequence[Owner], moments: Sequence[tuple[Moment, str]], chance: random.Random) -> int:
    """Have the worker killed at these moments, each of the job in the mode named; answers how many there are."""
    by_mode = {owner.mode: owner for owner in owners}
    for moment, mode in moments:
        owner = by_mode[mode]
        requests = ROWS // 2500 if moment in ("restore", "record") else ROWS // (2000 if MANY else 100)
        killing.arm(moment, owner.job_id, owner.name, chance.randrange(max(1, requests // 5)))
    return len(moments)


def test_jobs_on_top_of_one_another_are_undone_in_any_order(
    cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    settings, rows = cluster.settings, teams(450)
    owners = [f"{organisation}-{way}" for way in ("up", "down")]
    stacks: dict[str, list[str]] = {}
    before: dict[str, Documents] = {}
    for owner in owners:
        first = send(cluster, write(tmp_path / "first.csv", rows[:300]), owner)
        cluster.wait_state(first, "COMPLETED")
        before[owner] = documents(settings, owner)
        stacks[owner] = [first]
    for number, mode in enumerate(("upsert", "delete", "create", "upsert")):
        some = [{**row, "size": str(3 + number)} for row in rows[75 * number : 75 * number + 225]]
        file = write(tmp_path / f"{mode}.csv", some)
        jobs = {owner: send(cluster, file, owner, mode=mode) for owner in owners}
        for owner, job_id in jobs.items():
            cluster.wait_state(job_id, "COMPLETED", "COMPLETED_WITH_ERRORS")
            stacks[owner].append(job_id)
    up, down = owners
    top = documents(settings, up)
    mine = {key: it for key, it in top.items() if it["sluice"]["job_id"] == stacks[up][-1]}
    assert cluster.act(stacks[up][1], "rollback")["state"] == "ROLLED_BACK"
    now = documents(settings, up)
    assert {key: now[key] for key in mine} == mine, "the values of the upper job stay"
    for job_id in (*stacks[up][2:], *reversed(stacks[down][1:])):
        assert cluster.act(job_id, "rollback")["state"] == "ROLLED_BACK"
    for owner in owners:
        assert documents(settings, owner) == before[owner]
        assert cluster.act(stacks[owner][0], "rollback")["progress"]["rows_restored"] == 300
        assert documents(settings, owner) == {}


def test_what_another_program_deletes_stays_deleted(cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    """Also when a deletion is undone beneath a job that has made the documents anew, and that keeps no images."""
    settings, rows = cluster.settings, teams(60)
    file = write(tmp_path / "teams.csv", rows)
    cluster.wait_state(send(cluster, file, organisation), "COMPLETED")
    before = documents(settings, organisation)
    jobs: dict[str, str] = {}
    for mode in ("delete", "create"):
        jobs[mode] = send(cluster, file, organisation, mode=mode, if_same="allow")
        cluster.wait_state(jobs[mode], "COMPLETED")
    deleted = sorted(before)[:20]
    remove(settings, deleted)
    assert cluster.act(jobs["delete"], "rollback")["progress"]["rows_kept"] == 60
    assert len(documents(settings, organisation)) == 40
    done = cluster.act(jobs["create"], "rollback")["progress"]
    assert (done["rows_restored"], done["rows_kept"]) == (40, 20)
    assert documents(settings, organisation) == {key: it for key, it in before.items() if key not in deleted}


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


def test_rows_of_the_inbox_change_documents(cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    """A field that a record leaves out stays; null takes it out where that is asked for, and may be."""
    settings, rows = cluster.settings, teams(40)
    cluster.wait_state(send(cluster, write(tmp_path / "teams.csv", rows), organisation), "COMPLETED")
    before = documents(settings, organisation)
    job = {"operation": "upload", "dataset": "teams", "organisation": organisation, "source": "topic"}
    options = {"mode": "update", "empty": "clear"}
    job_id = cluster.call("POST", "/v1/jobs", json={**job, "options": options})["id"]
    values: list[dict[str, Any]] = [{"team": row["team"], "size": 33} for row in rows[:30]]
    values[4] = {"team": rows[4]["team"], "region": None}
    sender = Sender(settings)
    sender.rows(job_id, enumerate(values, start=1))
    end(cluster, job_id, len(values))
    done = cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")["progress"]
    assert (done["rows_updated"] + done["rows_unchanged"], done["rows_failed"]) == (29, 1)
    (error,) = cluster.call("GET", f"/v1/jobs/{job_id}/errors")["errors"]
    assert (error["row"], error["reason"]) == (5, "region is required, but empty")
    after = documents(settings, organisation)
    for place, row in enumerate(rows[:30]):
        key = key_id(organisation, [row["team"]])
        size = before[key]["size"] if place == 4 else 33
        assert {**after[key], "sluice": 0} == {**before[key], "size": size, "sluice": 0}
    cluster.act(job_id, "rollback")
    assert documents(settings, organisation) == before


def test_an_upsert_is_paused_terminated_and_undone_in_part(cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    """What another program changes during the pause is written over, also by a row that changed nothing before it."""
    settings, rows = cluster.settings, teams(600)
    cluster.wait_state(send(cluster, write(tmp_path / "teams.csv", rows), organisation), "COMPLETED")
    before = documents(settings, organisation)
    changed = [{**row, "size": str(2 + int(row["size"]) % 39)} for row in rows[:-1]] + rows[-1:]
    file = write(tmp_path / "changed.csv", changed)
    stopped = send(cluster, file, organisation, mode="upsert", rows_per_second=20)
    cluster.wait_rows(stopped, 1)
    assert cluster.act(stopped, "terminate", reason="the wrong sizes")["state"] == "ROLLED_BACK"
    assert documents(settings, organisation) == before

    job_id = send(cluster, file, organisation, mode="upsert", rows_per_second=20, if_same="allow")
    cluster.wait_rows(job_id, 1)
    paused = cluster.act(job_id, "pause")
    assert paused["state"] == "PAUSED"
    now = documents(settings, organisation)
    assert sum(it["sluice"]["job_id"] == job_id for it in now.values()) == paused["progress"]["rows_updated"] < 599
    last = key_id(organisation, [rows[-1]["team"]])
    foreign = {last: {**before[last], "size": 40 if before[last]["size"] != 40 else 39}}
    edit(settings, foreign)
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume", wait=None)
    assert cluster.wait_state(job_id, "COMPLETED")["progress"]["rows_updated"] == 600
    assert documents(settings, organisation)[last]["size"] == before[last]["size"]

    with elasticsearch(settings) as client:
        index = images_index(settings.prefix)
        client.indices.refresh(index=index)
        query = {"bool": {"filter": [{"term": {"job_id": job_id}}, {"term": {"first_row": 1}}]}}
        (group,) = client.search(index=index, query=query)["hits"]["hits"]
        client.delete(index=index, id=group["_id"])
    gone = group["_source"]["document"]
    assert 1 < len(gone) < 600
    refused = cluster.request("POST", f"/v1/jobs/{job_id}/rollback", json={})
    assert refused.status_code == 409 and f"{len(gone)} have no before-image any more" in refused.text
    ended = cluster.act(job_id, "rollback", partial=True)
    assert ended["state"] == "ROLLED_BACK"
    assert (ended["progress"]["rows_restored"], ended["progress"]["rows_not_restored"]) == (600 - len(gone), len(gone))
    after = documents(settings, organisation)
    assert {key: it for key, it in after.items() if key not in gone} == {
        key: it for key, it in {**before, **foreign}.items() if key not in gone
    }
