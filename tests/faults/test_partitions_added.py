"""Partitions are added to an installation that has jobs under way: each job keeps the number it began with."""

from __future__ import annotations

from runtime.provision import migrate, provision
from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_loaded, assert_still, count, rows_on_topic
from tests.upstream import Sender, end, rows_of, topic_job
from verify.compare import compare

ROWS = 3000


def test_jobs_under_way_go_on_when_partitions_are_added(make_cluster: MakeCluster, people: People) -> None:
    file = people(ROWS)
    rows = rows_of(file)
    cluster = make_cluster(topic_partitions=2)
    before = cluster.settings
    sender = Sender(before)
    paused = cluster.upload(file, "paused", rows_per_second=200)
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
    for role in ("worker", "ingest"):
        (old,) = cluster.living(role)  # type: ignore[arg-type]
        cluster.start(role)  # type: ignore[arg-type]
        old.stop()
    cluster.api.stop()
    cluster.start("api")
    assert_still(before, paused, written)

    fresh = cluster.upload(file, "fresh")
    sender.rows(filling, rows[ROWS // 2 :])
    end(cluster, filling, ROWS)
    cluster.rate(paused, None)
    cluster.act(paused, "resume")
    for job_id in (fresh, paused, filling):
        cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, fresh, file)
    assert {lane["partition"] for lane in cluster.job(paused)["lanes"]} <= {0, 1}
    assert len(rows_on_topic(before, paused)) == ROWS
    for job_id in (paused, filling):
        verdict = compare(cluster.settings, job_id, "people", file)
        assert verdict.holds, verdict
    assert cluster.act(paused, "rollback", wait=60)["state"] == "ROLLED_BACK"
    assert count(before, paused) == 0
