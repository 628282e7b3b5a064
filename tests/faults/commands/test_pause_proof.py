"""PAUSED is said when no write can come any more, whatever stands between a worker and Elasticsearch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from devstack.ephemeral import Servers
from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_loaded, assert_still, count, documents, published
from tests.support.processes.cluster import Cluster
from tests.support.stubs.proxy import Ending, Proxy

ROWS = 5000
LATE_SECONDS = 20
"""The proxy holds nothing back for longer than a test needs to look at the job and press a button."""
TOLD = re.compile("Cannot connect to host .* has not answered a request that may still be carried out")
"""Of a try that was refused, after one that may have been taken."""


@pytest.fixture
def proxy(stack: Servers) -> Iterator[Proxy]:
    proxy = Proxy(stack.settings.elasticsearch)
    yield proxy
    proxy.close()


@pytest.fixture
def behind(proxy: Proxy, make_cluster: MakeCluster) -> Iterator[Cluster]:
    """A cluster whose Elasticsearch is the proxy."""
    yield make_cluster(elasticsearch_url=proxy.url, late_request_seconds=LATE_SECONDS)
    proxy.open()


@pytest.mark.parametrize(
    ("ending", "comes_back"),
    [
        pytest.param("silence", False, id="it took too long, and nothing can be reached any more"),
        pytest.param("504", True, id="the proxy gave up"),
        pytest.param("reset", True, id="the connection broke"),
    ],
)
def test_a_pause_waits_for_a_write_that_has_no_answer(
    stack: Servers, proxy: Proxy, behind: Cluster, people: People, ending: Ending, comes_back: bool
) -> None:
    file = people(ROWS)
    cluster = behind
    directly = cluster.settings.model_copy(update={"elasticsearch_url": stack.settings.elasticsearch})
    job_id = cluster.upload(file, rows_per_second=200)
    cluster.wait_rows(job_id, 1)
    proxy.hold(ending)
    cluster.wait(proxy.held.is_set, "a request is held back")
    assert cluster.act(job_id, "pause", wait=None)["state"] == "PAUSING"
    seen = cluster.wait(lambda: waiting(cluster, job_id), "the job tells what it waits for")
    assert seen["state"] == "PAUSING"

    before = count(directly, job_id)
    proxy.release()
    cluster.wait(proxy.carried_out.is_set, "the request is carried out")
    assert count(directly, job_id) > before, "late, but carried out: the proof would prove nothing otherwise"
    if comes_back:
        proxy.open()
    cluster.wait_state(job_id, "PAUSED")
    paused = documents(directly, job_id)
    letters = published(directly, "dead-letters")
    assert_still(directly, job_id, len(paused))
    assert documents(directly, job_id) == paused
    assert published(directly, "dead-letters") == letters
    if not comes_back:
        proxy.open()
    cluster.act(job_id, "resume")
    cluster.rate(job_id, None)
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


def waiting(cluster: Cluster, job_id: str) -> Any:
    """The job, once it is paused or says what it waits for."""
    job = cluster.job(job_id)
    told = any(TOLD.search(lane["error"] or "") for lane in job["lanes"])
    return job if told or job["state"] != "PAUSING" else None
