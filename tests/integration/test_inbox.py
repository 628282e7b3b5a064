"""Rows that services produce to the inbox, through real processes: once each, refused with a reason, or undone."""

from __future__ import annotations

import json
import random

from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_still, count, dead_rows
from tests.support.processes.cluster import Cluster
from tests.support.processes.upstream import Sender, end, refused, rows_of, topic_job
from verify.compare import compare

ROWS = 2_000


def test_rows_in_any_order_and_sent_twice_are_there_once(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(ROWS)
    rows = rows_of(file)
    shuffled = random.Random(1).sample([*rows, *rows[: ROWS // 2]], ROWS + ROWS // 2)
    job_id = topic_job(cluster, organisation)
    # Two services that hash keys in different ways: their rows lie on different partitions.
    for part, partitioner in ((shuffled[::2], "murmur2_random"), (shuffled[1::2], "consistent_random")):
        Sender(cluster.settings, partitioner).rows(job_id, part)
    end(cluster, job_id, ROWS)
    job = cluster.wait_state(job_id, "COMPLETED")
    verdict = compare(cluster.settings, job_id, "people", file)
    assert verdict.holds, str(verdict)
    assert job["progress"]["rows_applied"] == job["progress"]["rows_total"] == ROWS


def test_a_job_says_which_rows_it_waits_for(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(500)
    rows = rows_of(file)
    sender = Sender(cluster.settings)
    job_id = topic_job(cluster, organisation)
    missing = {17, 200, 499}
    sender.rows(job_id, [row for row in rows if row[0] not in missing])
    end(cluster, job_id, 500)
    wanted = "3 of 500 rows; the first that is missing is row 17"
    cluster.wait(lambda: cluster.job(job_id)["awaits"] == wanted, "the job says what it waits for")
    assert cluster.job(job_id)["state"] == "RUNNING"
    refusal = cluster.request("POST", f"/v1/jobs/{job_id}/end", json={"rows": 400})
    assert refusal.status_code == 409 and "500 rows, not 400" in refusal.text
    end(cluster, job_id, 500)  # a repeat changes nothing
    sender.rows(job_id, [row for row in rows if row[0] in missing])
    assert cluster.wait_state(job_id, "COMPLETED")["awaits"] is None
    assert compare(cluster.settings, job_id, "people", file).holds


def test_what_cannot_be_a_row_is_a_dead_letter_with_its_reason(
    make_cluster: MakeCluster, people: People, organisation: str
) -> None:
    cluster = make_cluster(unknown_job_seconds=10)
    file = people(20)
    rows = rows_of(file)
    sender = Sender(cluster.settings)
    reader = cluster.upload(people(1), f"{organisation}-file")
    job_id = topic_job(cluster, organisation)

    def row(job: str, number: object, **more: object) -> str:
        return json.dumps({"job_id": job, "row": number, "values": rows[0][1]} | more)

    bad = {
        "no json": "malformed",
        '["a list"]': "Expected `object`",
        json.dumps({"row": 3, "values": {}}): "`job_id` is missing",
        row(job_id, "three"): "`row` has to be a whole number from 1 to 2,147,483,647",
        row(job_id, 0): "`row` has to be a whole number from 1 to 2,147,483,647",
        row("No Job", 1): "is no job id",
        row("nobody-made-this", 1): "there is no job nobody-made-this",
        row(reader, 1): "reads its rows from a file",
    }
    end(cluster, job_id, 20)
    for value in bad:
        sender.raw(value, job_id)
    # Those two are rows of the job, if bad ones: they are counted, and stand in its row errors.
    sender.raw(row(job_id, 19, values="not an object"), job_id)
    sender.raw(row(job_id, 20, values={"nmae": "Ada"}), job_id)
    sender.rows(job_id, rows[:18])
    job = cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    bad[row(job_id, 21)] = "beyond the 20 rows"  # its reader has heard of the 20 by now
    sender.raw(row(job_id, 21), job_id)
    sender.flush()
    assert job["progress"]["rows_failed"] == 2
    errors = {error["row"]: error["reason"] for error in cluster.call("GET", f"/v1/jobs/{job_id}/errors")["errors"]}
    assert "`values` has to be an object, or a list" in errors[19] and "no column 'nmae'" in errors[20]
    assert compare(cluster.settings, job_id, "people", file).holds

    def letters() -> dict[str, str]:
        return {value.decode("utf-8", "replace"): reason for value, reason in refused(cluster.settings)}

    cluster.wait(lambda: letters().keys() >= bad.keys(), "every bad record is a dead letter")
    assert {value: reason for value, reason in letters().items() if value in bad and bad[value] not in reason} == {}
    assert dead_rows(cluster.settings, job_id) == {19, 20}


def test_a_paused_job_does_not_hold_up_another_and_can_be_taken_back(
    cluster: Cluster, people: People, organisation: str
) -> None:
    rows = rows_of(people(ROWS))
    sender = Sender(cluster.settings)
    first, second = topic_job(cluster, organisation), topic_job(cluster, f"{organisation}-2")
    cluster.rate(first, 500)
    sender.rows(first, rows[: ROWS // 2])
    cluster.wait_rows(first, 100)
    cluster.act(first, "pause")
    written = count(cluster.settings, first)
    sender.rows(first, rows[ROWS // 2 :])
    sender.rows(second, rows)
    end(cluster, second, ROWS)
    cluster.wait_state(second, "COMPLETED")
    assert compare(cluster.settings, second, "people", people(ROWS)).holds
    assert_still(cluster.settings, first, written)
    cluster.act(first, "resume")
    cluster.wait_rows(first, written + 100)
    assert cluster.act(first, "terminate")["state"] == "ROLLED_BACK"
    assert count(cluster.settings, first) == 0

    def late_row_refused() -> bool:
        sender.rows(first, rows[:1])  # the reader hears a moment later than this test that the job was rolled back
        return any(f"job {first} is ROLLED_BACK" in reason for _, reason in refused(cluster.settings))

    cluster.wait(late_row_refused, "the late row is refused")


def test_too_many_row_errors_pause_a_job_and_a_dry_run_writes_nothing(
    cluster: Cluster, people: People, organisation: str
) -> None:
    rows = rows_of(people(100))
    swapped = [(number, {**row, "email": row["phone"], "phone": row["email"]}) for number, row in rows]
    sender = Sender(cluster.settings)
    strict, dry = topic_job(cluster, organisation, max_errors=5), topic_job(cluster, organisation, dry_run=True)
    for job_id in (strict, dry):
        sender.rows(job_id, swapped)
        end(cluster, job_id, 100)
    assert "max_errors=5" in cluster.wait_state(strict, "PAUSED")["reason"]
    assert cluster.wait_state(dry, "COMPLETED_WITH_ERRORS")["progress"]["rows_failed"] == 100
    cluster.act(strict, "terminate")
    assert count(cluster.settings, dry) == count(cluster.settings, strict) == 0
