"""The API dies while a job runs: the job goes on, `watch` reconnects, and no acknowledged command is lost."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx2

from tests.conftest import People
from tests.faults.evidence import assert_loaded, published
from tests.support.places import ROOT
from tests.support.processes.cluster import Cluster, environment
from tests.support.waiting import PATIENCE

ROWS = 6000


def test_a_watch_goes_on_when_the_api_is_back(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(ROWS)
    job_id = cluster.upload(file, organisation, rows_per_second=50)
    command = [sys.executable, "-m", "devstack.cli", "watch", job_id]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(cluster.settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stderr is not None
        assert job_id in watch.stderr.readline()  # it has found the job
        cluster.wait_rows(job_id, 1)
        cluster.api.kill()
        told = next((line for line in watch.stderr if "the API does not answer" in line), None)
        assert told is not None, "it has ended"
        cluster.start("api")
        cluster.rate(job_id, None)
        out, err = watch.communicate(timeout=PATIENCE)
    assert (watch.returncode, f"is COMPLETED: {ROWS:,} rows applied" in out) == (0, True), out + err
    assert_loaded(cluster, job_id, file)


def test_every_job_that_was_answered_with_201_runs_to_its_end(
    cluster: Cluster, people: People, organisation: str
) -> None:
    file = people(1000)
    promised = [cluster.upload(file, f"{organisation}-{number}") for number in range(5)]
    cluster.api.kill()
    cluster.start("api")
    for job_id in promised:
        cluster.wait_state(job_id, "COMPLETED")
        assert_loaded(cluster, job_id, file)


def test_a_post_repeated_after_a_crash_makes_no_second_job(cluster: Cluster, people: People, organisation: str) -> None:
    file = people(1000)
    cluster.worker.kill()  # so that the answer does not come
    commands = published(cluster.settings, "commands")
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(cluster.send, file, organisation, key=organisation)
        cluster.wait(lambda: published(cluster.settings, "commands") > commands, "the command is on its topic")
        cluster.api.kill()
        assert isinstance(sent.exception(60), httpx2.TransportError)
    cluster.wait_ready(cluster.launch("api"), cluster.launch("worker"))
    first, second = (cluster.send(file, organisation, key=organisation) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    job_id = first.json()["id"]
    assert second.json()["id"] == job_id
    assert len(cluster.call("GET", "/v1/jobs", params={"organisation": organisation})["jobs"]) == 1
    cluster.wait_state(job_id, "COMPLETED")
    assert cluster.events(job_id) == ["Created", "Started", "InputCompleted", "Completed"]
    assert_loaded(cluster, job_id, file)
