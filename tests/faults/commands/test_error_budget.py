"""Jobs with `max_errors`: a file that is wrong throughout is stopped in its first rows, with one worker or more."""

from __future__ import annotations

from pathlib import Path

import pytest

from sample_csv.accidents import swap_columns
from tests.conftest import People
from tests.faults.bad_rows import error_rows, spoil
from tests.faults.evidence import assert_loaded, assert_still, count
from tests.support.processes.cluster import Cluster, Json

ROWS = 5000
PROBE = 1000
MORE = 6000


def swapped(people: People, folder: Path) -> Path:
    file = folder / "swapped.csv"
    file.write_bytes(swap_columns(people(ROWS).read_bytes(), "email", "phone"))
    return file


def dealt_with(job: Json) -> int:
    return int(job["progress"]["rows_applied"] + job["progress"]["rows_failed"])


@pytest.mark.parametrize(("workers", "limit"), [(1, 40), (3, "5%")])
def test_swapped_columns_are_stopped_in_the_first_rows(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path, workers: int, limit: int | str
) -> None:
    cluster.wait_ready(*(cluster.launch("worker") for _ in range(workers - 1)))
    job_id = cluster.upload(swapped(people, tmp_path), organisation, max_errors=limit)
    job = cluster.wait_state(job_id, "PAUSED")
    assert f"more than max_errors={limit} allows" in job["reason"]
    assert 0 < dealt_with(job) <= PROBE
    assert_still(cluster.settings, job_id, 0)
    assert error_rows(cluster, job_id) == sorted(set(error_rows(cluster, job_id)))
    assert len(error_rows(cluster, job_id)) == job["progress"]["rows_failed"]
    assert cluster.act(job_id, "terminate")["state"] == "ROLLED_BACK"


def test_a_worker_that_dies_in_the_probe_leaves_it_to_its_successor(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    job_id = cluster.upload(swapped(people, tmp_path), organisation, max_errors="5%", rows_per_second=200)
    cluster.wait_rows(job_id, 100)
    cluster.worker.kill()
    cluster.start("worker")
    cluster.rate(job_id, None)
    job = cluster.wait_state(job_id, "PAUSED")
    assert dealt_with(job) == PROBE
    cluster.act(job_id, "terminate")


def test_a_good_file_passes_its_probe_and_is_judged_as_a_whole_later(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    cluster.start("worker")
    job_id = cluster.upload(people(MORE), organisation, max_errors=0)
    assert cluster.wait_state(job_id, "COMPLETED")["budget"] == "open"
    file = tmp_path / "worse.csv"
    file.write_bytes(spoil(people(MORE).read_bytes(), list(range(1501, MORE, 2))))
    job_id = cluster.upload(file, organisation, max_errors="5%", rows_per_second=500)
    job = cluster.wait_state(job_id, "PAUSED")
    assert PROBE < dealt_with(job) < MORE
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume")
    cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert_loaded(cluster, job_id, file)


def test_a_file_shorter_than_the_probe_is_not_held_up(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    file = tmp_path / "short.csv"
    file.write_bytes(b"".join(people(1000).read_bytes().splitlines(keepends=True)[:701]))
    job_id = cluster.upload(file, organisation, max_errors="5%")
    cluster.wait_state(job_id, "COMPLETED")
    assert count(cluster.settings, job_id) == 700
