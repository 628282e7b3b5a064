"""The storage is not mounted for a while: what needs it waits and says so, the rest goes on, and nothing is lost."""

from __future__ import annotations

from runtime.files.sealing import JobKeys
from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_loaded
from tests.support.processes.cluster import Cluster

ROWS = 2000


AWAY = "it is not mounted"


def shown(cluster: Cluster, job_id: str) -> str:
    """What the job and its lanes say of what it waits for."""
    job = cluster.job(job_id)
    return " ".join([job.get("awaits") or "", *(lane.get("error") or "" for lane in job["lanes"])])


def test_jobs_wait_for_a_storage_that_is_not_mounted_and_go_on_once_it_is(
    make_cluster: MakeCluster, people: People
) -> None:
    file = people(ROWS)
    cluster = make_cluster()
    cluster.expect("waits: ")
    loaded = cluster.upload(file, "done")
    cluster.wait_state(loaded, "COMPLETED")
    half = cluster.upload(file, "half", rows_per_second=100)
    cluster.wait_rows(half, 1)
    cluster.act(half, "pause")
    cluster.reader.stop()
    unread = cluster.upload(file, "unread")
    cluster.act(unread, "pause")
    cluster.worker.stop()
    cluster.wait_ready(cluster.launch("worker"), cluster.launch("ingest"))  # they have no key in memory

    root = cluster.settings.storage_root
    aside, keys = root.with_name("aside"), sorted(JobKeys(root).jobs())
    root.rename(aside)
    root.mkdir()
    cluster.rate(half, None)
    for job_id in (half, unread):
        cluster.act(job_id, "resume", wait=None)
    cluster.wait(lambda: AWAY in shown(cluster, half), "the worker says so")
    cluster.wait(lambda: AWAY in shown(cluster, unread), "the reader says so")
    refused = cluster.send(file, "new")
    assert refused.status_code == 503 and AWAY in refused.text
    cluster.act(loaded, "rollback")
    cluster.wait_state(loaded, "ROLLED_BACK")
    assert [cluster.job(job_id)["state"] for job_id in (half, unread)] == ["RUNNING", "RUNNING"]
    assert not list(root.iterdir()), "nothing is written where the storage is not"

    root.rmdir()
    aside.rename(root)
    for job_id in (half, unread):
        cluster.wait_state(job_id, "COMPLETED")
        assert_loaded(cluster, job_id, file)
        assert AWAY not in shown(cluster, job_id)
    assert set(keys) <= set(JobKeys(root).jobs())
