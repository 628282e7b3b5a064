"""Fix and re-send: corrected rows of an errors.csv are applied to the same job, under the numbers they had."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import People
from tests.faults.bad_rows import error_rows
from tests.faults.corrections import (
    ROWS,
    as_csv,
    assert_all_stored,
    corrected,
    counts,
    errors_csv,
    job_with_errors,
    retry,
)
from tests.faults.evidence import assert_still, count, documents
from tests.support.processes.cluster import Cluster


def begin_slowly(cluster: Cluster, job_id: str, content: bytes) -> None:
    """Start a retry that is still at work when something happens to it; its first rows are applied."""
    cluster.reader.kill()  # until it has its rate, nothing of it is read
    answer = retry(cluster, job_id, content)
    assert answer.status_code == 202, answer.text
    cluster.rate(job_id, 100)
    before = cluster.job(job_id)["progress"]["rows_applied"]
    cluster.start("ingest")
    cluster.wait(lambda: cluster.job(job_id)["progress"]["rows_applied"] > before, "rows are applied")


def test_corrected_rows_join_the_job_under_their_numbers_and_the_rest_stay_errors(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    bad = [3, 4, 900, 2500, ROWS]
    job_id = job_with_errors(cluster, people, organisation, tmp_path, bad)
    before = documents(cluster.settings, job_id)
    some = corrected(errors_csv(cluster, job_id), people(ROWS), leave=2).replace(b"not an address 4", b"still none")
    answer = retry(cluster, job_id, some)
    assert answer.status_code == 202, answer.text
    job = cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert counts(job) == (ROWS - 2, 2)
    assert error_rows(cluster, job_id) == [3, 4]
    errors = cluster.call("GET", f"/v1/jobs/{job_id}/errors")["errors"]
    assert [(error["row"], error["line"], error["value"]) for error in errors] == [
        (3, 4, "not an address 3"), (4, 5, "still none"),
    ]  # fmt: skip
    after = documents(cluster.settings, job_id)
    assert after.keys() - before.keys() == {f"{job_id}:{row}" for row in (900, 2500, ROWS)}
    assert {name: after[name] for name in before} == before, "no other document is touched"

    again = retry(cluster, job_id, some)
    assert (again.status_code, again.json()["state"]) == (202, "COMPLETED_WITH_ERRORS")
    assert documents(cluster.settings, job_id) == after, "the same file twice changes nothing"

    assert retry(cluster, job_id, corrected(errors_csv(cluster, job_id), people(ROWS))).status_code == 202
    job = cluster.wait_state(job_id, "COMPLETED")
    assert (counts(job), error_rows(cluster, job_id)) == ((ROWS, 0), [])
    assert_all_stored(cluster, job_id, people(ROWS))
    assert cluster.events(job_id).count("RetryStarted") == 2
    back = cluster.act(job_id, "rollback")
    assert (back["state"], back["progress"]["rows_rolled_back"]) == ("ROLLED_BACK", ROWS)
    assert count(cluster.settings, job_id) == 0, "a rollback takes the corrected rows out as well"


def test_a_retry_pauses_resumes_and_outlives_its_worker_and_reader(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    bad = list(range(1, ROWS, 2))
    job_id = job_with_errors(cluster, people, organisation, tmp_path, bad)

    begin_slowly(cluster, job_id, corrected(errors_csv(cluster, job_id), people(ROWS)))
    paused = cluster.act(job_id, "pause")
    written = count(cluster.settings, job_id)
    assert (paused["state"], counts(paused)) == ("PAUSED", (written, ROWS - written))
    assert_still(cluster.settings, job_id, written)
    cluster.act(job_id, "resume")
    cluster.worker.kill()
    cluster.reader.kill()
    cluster.start("worker")
    cluster.start("ingest")
    cluster.rate(job_id, None)
    job = cluster.wait_state(job_id, "COMPLETED")
    assert (counts(job), error_rows(cluster, job_id)) == ((ROWS, 0), [])
    assert_all_stored(cluster, job_id, people(ROWS))


def test_a_retry_that_is_terminated_takes_out_every_row_of_the_job(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    job_id = job_with_errors(cluster, people, organisation, tmp_path, list(range(1, ROWS, 2)))
    begin_slowly(cluster, job_id, corrected(errors_csv(cluster, job_id), people(ROWS)))
    job = cluster.act(job_id, "terminate")
    assert (job["state"], count(cluster.settings, job_id)) == ("ROLLED_BACK", 0)


def test_what_can_not_be_retried_is_refused_before_anything_is_written(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    job_id = job_with_errors(cluster, people, organisation, tmp_path, [5, 6])
    rows = errors_csv(cluster, job_id)
    good = corrected(rows, people(ROWS))
    number = rows[0].index("sluice_row")
    without = as_csv([row[:number] + row[number + 1 :] for row in rows])
    written = documents(cluster.settings, job_id)
    stranger = as_csv([*rows, [*rows[1][:number], "7", *rows[1][number + 1 :]]])
    for content, words in (
        (stranger, "no row errors of this job: 7"),
        (as_csv([*rows, rows[1]]), "in the file twice: 5"),
        (without, "no column sluice_row"),
        (as_csv([rows[0]]), "no rows"),
        (good.replace(b"email", b"emial", 1), "does not fit dataset 'people'"),
        (as_csv([rows[0], [*rows[1][:number], "six", *rows[1][number + 1 :]]]), "has no row number"),
        (b"", "empty"),
    ):
        answer = retry(cluster, job_id, content)
        assert (answer.status_code, words in answer.text) == (400, True), answer.text
    assert documents(cluster.settings, job_id) == written
    assert cluster.events(job_id).count("RetryStarted") == 0
    assert not list((cluster.settings.storage_root / "sources" / job_id).glob("retry-*"))

    other = cluster.upload(people(ROWS), organisation, rows_per_second=10)
    busy = retry(cluster, job_id, good)
    assert busy.status_code == 409
    assert f"job {other} of organisation {organisation} is RUNNING" in busy.text
    running = retry(cluster, other, good)
    assert running.status_code == 409
    assert "retry-errors is possible when it is COMPLETED_WITH_ERRORS" in running.text
    cluster.act(other, "terminate")
