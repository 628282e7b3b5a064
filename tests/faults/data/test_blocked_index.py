"""An index that takes no documents for a while fails the jobs that write into it, and costs no row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from schemas.indices import data_index
from tests.conftest import People
from tests.support.processes.cluster import Cluster, Shared
from tests.support.waiting import elasticsearch
from verify.compare import compare

ROWS = 4000


@contextmanager
def blocked(cluster: Cluster, setting: str) -> Iterator[None]:
    """An administrator has made the index of people read-only."""
    index = data_index(cluster.settings.prefix, "people")
    with elasticsearch(cluster.settings) as client:
        client.indices.put_settings(index=index, settings={setting: True})
        try:
            yield
        finally:
            client.indices.put_settings(index=index, settings={setting: None})


@pytest.mark.parametrize("setting", ["index.blocks.write", "index.blocks.read_only"])
def test_the_job_fails_and_goes_on_where_it_was(shared_cluster: Shared, people: People, setting: str) -> None:
    cluster = shared_cluster.get()
    cluster.expect("takes no documents")
    job_id = cluster.upload(people(ROWS), f"blocked-{setting[-5:].strip('_')}", rows_per_second=40)
    cluster.wait_rows(job_id, 1)
    with blocked(cluster, setting):
        failed = cluster.wait_state(job_id, "FAILED")
    assert "takes no documents" in failed["reason"] and "cluster_block_exception" in failed["reason"]
    assert failed["progress"]["rows_failed"] == 0, "no row is to blame"
    cluster.act(job_id, "resume", wait=None)
    cluster.rate(job_id, None)
    cluster.wait_state(job_id, "COMPLETED")
    verdict = compare(cluster.settings, job_id, "people", people(ROWS))
    assert verdict.holds, verdict
