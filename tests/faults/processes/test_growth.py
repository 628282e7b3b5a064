"""An installation grows while jobs are under way: partitions and an index are added, and no row is lost or doubled."""

from __future__ import annotations

from pathlib import Path

from runtime.clock import now_ms
from runtime.migration.indices import roll_over
from runtime.provision import migrate, provision
from schemas.generations import LEAD_MS
from schemas.indices import data_index
from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_loaded, assert_still, count, rows_on_topic
from tests.support.processes.cluster import Cluster
from tests.support.processes.upstream import Sender, end, rows_of, topic_job
from tests.support.waiting import elasticsearch
from verify.compare import compare, compare_export

ROWS = 3000


def rows_in(cluster: Cluster, index: str, job_id: str) -> int:
    """How many of a job's rows are in this index."""
    with elasticsearch(cluster.settings) as client:
        client.indices.refresh(index=index)
        return int(client.count(index=index, query={"term": {"sluice.job_id": job_id}})["count"])


def test_jobs_under_way_go_on_when_partitions_and_an_index_are_added(
    make_cluster: MakeCluster, people: People, tmp_path: Path
) -> None:
    file = people(ROWS)
    rows = rows_of(file)
    cluster = make_cluster(topic_partitions=2)
    before = cluster.settings
    sender = Sender(before)
    paused = cluster.upload(file, "grown", rows_per_second=20)
    filling = topic_job(cluster, "inbox")
    sender.rows(filling, rows[: ROWS // 2])
    cluster.wait_rows(paused, 1)
    cluster.wait_rows(filling, ROWS // 4)
    cluster.act(paused, "pause")
    written = count(before, paused)

    # While everything runs; then all processes get the new setting, one after the other.
    assert migrate(before, partitions=5) == 0
    cluster.settings = before.model_copy(update={"topic_partitions": 5})
    assert provision(cluster.settings) == []
    first, second = data_index(before.prefix, "people"), roll_over(before, "people", now_ms() - LEAD_MS)
    for role in ("worker", "ingest"):
        (old,) = cluster.living(role)  # type: ignore[arg-type]
        cluster.start(role)  # type: ignore[arg-type]
        old.stop()
        if role == "worker":  # it makes jobs for five partitions, and the reader has begun with two
            early = cluster.upload(file, "early")
            cluster.wait_state(early, "COMPLETED")
    cluster.api.stop()
    cluster.start("api")
    assert_still(before, paused, written)

    sender.rows(filling, rows[ROWS // 2 :])
    end(cluster, filling, ROWS)
    cluster.rate(paused, None)
    cluster.act(paused, "resume")
    for job_id in (paused, filling):
        cluster.wait_state(job_id, "COMPLETED")
    fresh = cluster.upload(file, "grown")
    cluster.wait_state(fresh, "COMPLETED")
    assert_loaded(cluster, fresh, file)
    assert {lane["partition"] for lane in cluster.job(paused)["lanes"]} <= {0, 1}
    assert len(rows_on_topic(before, paused)) == ROWS
    for job_id in (paused, filling):
        verdict = compare(cluster.settings, job_id, "people", file)
        assert verdict.holds, verdict
        assert rows_in(cluster, first, job_id) == ROWS
    assert (rows_in(cluster, first, fresh), rows_in(cluster, second, fresh)) == (0, ROWS)

    export = cluster.export("grown", start="2000-01-01")
    cluster.wait_state(export, "COMPLETED")
    result = tmp_path / "export.csv"
    result.write_bytes(cluster.request("GET", f"/v1/jobs/{export}/result").content)
    exported = compare_export(cluster.settings, result, "people", "grown", "2000-01-01", None)
    assert exported.rows == exported.documents == 2 * ROWS and not exported.different

    for job_id in (paused, fresh, early):
        assert cluster.act(job_id, "rollback")["state"] == "ROLLED_BACK"
    with elasticsearch(cluster.settings) as client:
        client.indices.refresh(index=f"{first}.read")
        assert client.count(index=f"{first}.read")["count"] == ROWS  # those of the inbox
