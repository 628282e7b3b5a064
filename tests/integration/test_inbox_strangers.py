"""What strangers send to the inbox stays with their own jobs: no other job waits, and no row of one is lost."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from schemas.job import Source
from schemas.messages.codec import encode
from schemas.messages.commands import CreateJob
from tests.conftest import DATASETS, MakeCluster, People
from tests.faults.evidence import assert_each_row_once, dead_rows
from tests.support.processes.cluster import Cluster
from tests.support.processes.upstream import Sender, commanded, end, refused, rows_of, topic_job, unknown_rows
from tests.support.waiting import PATIENCE
from verify.compare import compare

ROWS = 400


def letters(cluster: Cluster) -> dict[str, str]:
    """The value of each record that was refused, and why."""
    return {value.decode("utf-8", "replace"): reason for value, reason in refused(cluster.settings)}


def test_rows_without_a_job_hold_up_nobody(make_cluster: MakeCluster, people: People) -> None:
    cluster = make_cluster(unknown_job_seconds=600)
    file = people(ROWS)
    rows = rows_of(file)
    sender = Sender(cluster.settings)
    jobs = unknown_rows(sender, 40)
    late = f"late-{uuid.uuid4().hex[:12]}"
    sender.rows(late, rows[: ROWS // 2])
    victim = topic_job(cluster, "victim")
    sender.rows(victim, rows)
    end(cluster, victim, ROWS)
    cluster.wait_state(victim, "COMPLETED")
    assert compare(cluster.settings, victim, "people", file).holds
    second = topic_job(cluster, "second")
    sender.rows(second, rows[: ROWS // 2])
    cluster.wait_rows(second, ROWS // 2)

    # All of this is read once more, from the first row that waits on.
    cluster.reader.kill()
    cluster.start("ingest")
    sender.rows(second, rows[ROWS // 2 :])
    end(cluster, second, ROWS)
    cluster.wait_state(second, "COMPLETED")
    for job_id in (victim, second):
        assert compare(cluster.settings, job_id, "people", file).holds
        assert_each_row_once(cluster, job_id, ROWS)

    made = CreateJob(
        job_id=late, by="crm", operation="upload", dataset="people", organisation="late", source=Source(kind="topic")
    )
    commanded(cluster.settings, late, encode(made))
    sender.rows(late, rows[ROWS // 2 :])
    cluster.wait(lambda: cluster.request("GET", f"/v1/jobs/{late}").status_code == 200, "the late job is there")
    end(cluster, late, ROWS)
    cluster.wait_state(late, "COMPLETED")
    assert compare(cluster.settings, late, "people", file).holds
    assert_each_row_once(cluster, late, ROWS)
    found = letters(cluster)
    assert not found, f"all of {jobs} wait still"


def test_each_waits_for_itself_and_is_refused(make_cluster: MakeCluster) -> None:
    wait = 3
    cluster = make_cluster(unknown_job_seconds=wait)
    sender = Sender(cluster.settings)
    jobs = unknown_rows(sender, int(PATIENCE / wait) + 20)

    def all_refused() -> bool:
        reasons = " ".join(letters(cluster).values())
        return all(f"there is no job {job_id}" in reasons for job_id in jobs)

    cluster.wait(all_refused, "each was refused; one after the other would take longer than this waits")


def test_odd_values_and_odd_clocks_cost_no_row(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(60)
    rows = rows_of(file)
    sender = Sender(cluster.settings)
    job_id = topic_job(cluster, organisation)
    end(cluster, job_id, 60)

    def values(row: int) -> str:
        return json.dumps(rows[row - 1][1])

    bad = {
        4: r'{"name": "\ud800"}',
        12: '{"name": NaN}',
        13: '{"name": {"first": "Ada"}}',
        22: '{"name": "Ada", "name": "Bob"}',
        29: '{"name": ' + "[" * 5000 + "]" * 5000 + "}",
        30: '{"name": ' + "9" * 5000 + "}",
        31: "{'name': 1}",
        35: '{"name": "\udcff"}',
    }
    times = [1, 1000, 4_102_444_800_000]
    for first in range(1, 61, 10):
        listed = ", ".join(bad.get(row, values(row)) for row in range(first, first + 10))
        record = f'{{"job_id": "{job_id}", "row": {first}, "values": [{listed}]}}'
        sender.raw(record.encode(errors="surrogateescape"), job_id, timestamp=times[first % 3])
    sender.flush()
    job = cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert (job["progress"]["rows_applied"], job["progress"]["rows_failed"]) == (60 - len(bad), len(bad))
    verdict = compare(cluster.settings, job_id, "people", file)
    assert verdict.holds, str(verdict)
    assert dead_rows(cluster.settings, job_id) == set(bad)
    errors = {error["row"]: error["reason"] for error in cluster.call("GET", f"/v1/jobs/{job_id}/errors")["errors"]}
    assert errors.keys() == bad.keys()
    assert "surrogate" in errors[4] and "NaN" in errors[12] and "twice" in errors[22] and "not UTF-8" in errors[35]
    assert cluster.request("GET", f"/v1/jobs/{job_id}/errors.csv").status_code == 200


def test_a_job_whose_dataset_the_reader_does_not_know_fails_alone(
    make_cluster: MakeCluster, people: People, tmp_path: Path
) -> None:
    """The readers are older than the rest: a dataset is new."""
    cluster = make_cluster(readers=0, unknown_job_seconds=15, datasets_folder=DATASETS)
    newer = cluster.settings
    cluster.settings = newer.model_copy(update={"datasets_folder": None})
    cluster.start("ingest")
    cluster.settings = newer
    file = people(ROWS)
    sender = Sender(newer)
    body = {"operation": "upload", "dataset": "members", "organisation": "new", "source": "topic"}
    new = str(cluster.call("POST", "/v1/jobs", json=body)["id"])
    members = [(number, {"club": "c", "number": number, "name": f"n{number}"}) for number in range(1, 11)]
    victim = topic_job(cluster, "victim")
    sender.rows(new, members)
    sender.rows(victim, rows_of(file))
    end(cluster, victim, ROWS)
    end(cluster, new, 10)
    cluster.wait_state(victim, "COMPLETED")
    assert compare(newer, victim, "people", file).holds
    assert "dataset 'members'" in cluster.wait_state(new, "FAILED")["reason"]

    def all_refused() -> bool:
        return sum(f"job {new}" in reason for reason in letters(cluster).values()) == 10

    cluster.wait(all_refused, "each row of the new job is refused")

    cluster.reader.stop()
    cluster.start("ingest")
    cluster.act(new, "resume", wait=None)
    sender.rows(new, members)
    assert cluster.wait_state(new, "COMPLETED")["progress"]["rows_applied"] == 10


def test_a_dataset_that_comes_with_the_next_reader_costs_no_row(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(readers=0, unknown_job_seconds=600, datasets_folder=DATASETS)
    newer = cluster.settings
    cluster.settings = newer.model_copy(update={"datasets_folder": None})
    cluster.start("ingest")
    cluster.settings = newer
    body = {"operation": "upload", "dataset": "members", "organisation": "new", "source": "topic"}
    job_id = str(cluster.call("POST", "/v1/jobs", json=body)["id"])
    end(cluster, job_id, 10)
    Sender(newer).rows(job_id, [(n, {"club": "c", "number": n, "name": f"n{n}"}) for n in range(1, 11)])
    cluster.reader.stop()
    cluster.start("ingest")
    assert cluster.wait_state(job_id, "COMPLETED")["progress"]["rows_applied"] == 10
    assert not letters(cluster)
