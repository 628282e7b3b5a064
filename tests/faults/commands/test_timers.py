"""A timer has its effect once, though the worker that is to see to it dies around its moment."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from tests.conftest import People
from tests.faults.evidence import assert_loaded, count
from tests.support.processes.cluster import Cluster

ROWS = 6000
_AHEAD_SECONDS, _COMMANDS = 6.0, 40
"""The timers are so far ahead, or as long as so many commands take: a job is paused and another one made before."""


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


@pytest.mark.parametrize("moment", [-1.0, 0.05, 0.5, 0.7])
def test_a_worker_that_dies_around_the_moment_of_two_timers(
    cluster: Cluster, people: People, organisation: str, moment: float
) -> None:
    """`moment`: seconds after the time of the timers. Around half a second later the command is appended."""
    file = people(ROWS)
    paused = cluster.upload(file, organisation, rows_per_second=100)
    cluster.wait_rows(paused, 1)
    begun = time.monotonic()
    cluster.rate(paused, 100)
    at = time.time() + max(_AHEAD_SECONDS, _COMMANDS * (time.monotonic() - begun))
    assert cluster.act(paused, "pause", resume_at=iso(at), reason="lunch")["state"] == "PAUSED"
    written = count(cluster.settings, paused)
    job = {"operation": "teams", "dataset": "teams", "organisation": organisation, "source": "topic"}
    later = cluster.call("POST", "/v1/jobs", json={**job, "start_at": iso(at)})
    assert (later["state"], later["start_at"][:19]) == ("QUEUED", iso(at)[:19])
    while time.time() < at:
        seen = count(cluster.settings, paused)
        assert seen == written or time.time() >= at
    cluster.wait(lambda: time.time() >= at + moment, "the moment")
    cluster.worker.kill()
    cluster.start("worker")
    cluster.wait(lambda: "Resumed" in cluster.events(paused), "the job goes on")
    cluster.rate(paused, None)
    cluster.wait_state(paused, "COMPLETED")
    cluster.wait_state(later["id"], "RUNNING")
    assert cluster.events(paused).count("Resumed") == 1
    assert cluster.events(later["id"]).count("Started") == 1
    resumed = next(entry for entry in cluster.history(paused) if entry["event"] == "Resumed")
    assert datetime.fromisoformat(resumed["at"]).timestamp() >= int(at), "not before its time"
    assert_loaded(cluster, paused, file)
    cluster.act(later["id"], "terminate")
