"""The storage fails for a time while rows come by the inbox: jobs wait that need it, and go on by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_each_row_once
from tests.support.processes.cluster import Cluster
from tests.support.processes.upstream import Sender, end, refused, rows_of, topic_job
from verify.compare import compare

ROWS = 400


@contextmanager
def storage_in_trouble(cluster: Cluster) -> Iterator[None]:
    """A file lies in the place of the folder of keys: no process can read or make one that it does not have yet."""
    keys = cluster.settings.storage_root / "keys"
    aside = keys.with_name("keys-aside")
    keys.rename(aside)
    keys.write_text("")
    try:
        yield
    finally:
        keys.unlink()
        aside.rename(keys)


def test_a_storage_in_trouble_delays_the_rows_that_need_it_and_no_others(
    make_cluster: MakeCluster, people: People
) -> None:
    cluster = make_cluster()
    file = people(ROWS)
    rows = rows_of(file)
    sender = Sender(cluster.settings)
    other = topic_job(cluster, "other")
    sender.rows(other, rows[:100])
    cluster.wait_rows(other, 100)
    with storage_in_trouble(cluster):
        job_id = topic_job(cluster, "waits")
        sender.rows(job_id, rows[:100])
        cluster.wait(
            lambda: "see SLUICE_STORAGE" in (cluster.job(job_id)["awaits"] or ""), "the job says what it waits for"
        )
        assert cluster.job(job_id)["state"] == "RUNNING"
        sender.rows(job_id, rows[50:250])
        sender.rows(other, rows[100:])
        end(cluster, job_id, ROWS)
        end(cluster, other, ROWS)
        cluster.wait_state(other, "COMPLETED")

        # Its successor begins at the first row that waits, and meets the same storage.
        cluster.reader.kill()
        cluster.start("ingest")
        sender.rows(job_id, rows[250:300])
        late = topic_job(cluster, "late")
        sender.rows(late, rows[:10])
        cluster.wait(lambda: "the storage: " in (cluster.job(late)["awaits"] or ""), "the successor has read the rows")
        assert cluster.job(job_id)["progress"]["rows_read"] == 0
    sender.rows(job_id, rows[300:])
    sender.rows(late, rows[10:])
    end(cluster, late, ROWS)
    for name in (job_id, late, other):
        assert cluster.wait_state(name, "COMPLETED")["awaits"] is None
        assert compare(cluster.settings, name, "people", file).holds
        assert_each_row_once(cluster, name, ROWS)
    assert not refused(cluster.settings)
