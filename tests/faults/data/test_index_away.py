"""An index that puts requests off holds up the jobs that write into it, which say so, and no others."""

from __future__ import annotations

from pathlib import Path

from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from schemas.indices import data_index
from tests.conftest import People
from tests.faults.modes_evidence import send
from tests.support.processes.cluster import Cluster, Shared
from tests.support.waiting import elasticsearch
from verify.compare import compare

ROWS = 20_000
FULL = "index.blocks.read_only_allow_delete"
"""What Elasticsearch sets itself where its disk is full; it answers 429."""
LOOKS = "cluster.info.update.interval"
"""How often Elasticsearch looks whether that is still so, and takes the block away."""


def test_jobs_of_other_datasets_go_on(shared_cluster: Shared, people: People, tmp_path: Path) -> None:
    cluster = shared_cluster.get()
    file, teams = people(ROWS), tmp_path / "teams.csv"
    teams.write_bytes(generate_bytes(Dataset.TEAMS, ROWS, 1))
    index = data_index(cluster.settings.prefix, "people")
    slow = [cluster.upload(file, f"full-{number}", rows_per_second=100) for number in range(3)]
    for job_id in slow:
        cluster.wait_rows(job_id, 1)
    with elasticsearch(cluster.settings) as client:
        client.cluster.put_settings(persistent={LOOKS: "1h"})
        client.indices.put_settings(index=index, settings={FULL: True})
        try:
            for job_id in slow:
                cluster.rate(job_id, None)
            cluster.wait(lambda: all(says_why(cluster, job_id) for job_id in slow), "each says what it waits for")
            other = send(cluster, teams, "others")
            cluster.wait_state(other, "COMPLETED")
            verdict = compare(cluster.settings, other, "teams", teams)
            assert verdict.holds, verdict
            assert all(cluster.job(job_id)["state"] == "RUNNING" and says_why(cluster, job_id) for job_id in slow)
        finally:
            client.indices.put_settings(index=index, settings={FULL: None})
            client.cluster.put_settings(persistent={LOOKS: None})
    for job_id in slow:
        cluster.wait_state(job_id, "COMPLETED")
        assert not says_why(cluster, job_id)
        verdict = compare(cluster.settings, job_id, "people", file)
        assert verdict.holds, verdict


def says_why(cluster: Cluster, job_id: str) -> bool:
    """Whether lanes of the job show that its index takes no documents."""
    return any("flood-stage" in (lane["error"] or "") for lane in cluster.job(job_id)["lanes"])
