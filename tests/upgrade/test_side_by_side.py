"""The version before this one and this one side by side, under load: forward, as in a rollout, and back again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.ephemeral import Servers
from runtime.provision import provision
from tests.conftest import People, own_settings
from tests.faults.evidence import assert_loaded, count
from tests.support.processes.cluster import STOP_SECONDS, Cluster, Code, Process, Role, environment
from tests.support.processes.upstream import Sender, end, rows_of, topic_job
from tests.upgrade import older_code
from verify.compare import compare

ROWS = 5000
SLOW = 30
"""Rows a second: a job is under way while processes come and go, until its rate is lifted."""


@pytest.fixture(scope="module")
def older(test_home: Path) -> Iterator[Code]:
    """The version before this one."""
    why = older_code.why_not()
    if why is not None:
        pytest.skip(why)
    folder = test_home / "older"
    older_code.check_out(folder)
    try:
        cache = Path(os.environ.get("SLUICE_CACHE") or test_home)
        python = older_code.interpreter(folder, cache / "older-versions")
        if isinstance(python, str):
            pytest.skip(python)
        yield Code(folder, python)
    finally:
        older_code.remove(folder)


@pytest.fixture
def installed(stack: Servers, tmp_path: Path, older: Code) -> Iterator[Cluster]:
    """An installation of the version before: its topics and indices, and one process of each role."""
    # The version before opens no sealed blocks: for a rollout that may be taken back they are left plain.
    cluster = Cluster(own_settings(stack, tmp_path, seal_blocks=False))
    command = [str(older.python), "-m", "runtime.provision"]
    made = subprocess.run(command, cwd=older.folder, env=environment(cluster.settings), capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    roles: tuple[Role, ...] = ("api", "ingest", "worker")
    cluster.wait_ready(*[cluster.launch(role, older) for role in roles])
    try:
        yield cluster
        cluster.check()
    finally:
        cluster.close()


def stop(api: Process) -> None:
    """The API of the version before ends with the signal that it was sent."""
    api.ended_by_test = True
    api.child.terminate()
    assert api.child.wait(STOP_SECONDS) in (0, -signal.SIGTERM), api.log


def replace(cluster: Cluster, code: Code | None) -> None:
    """A rollout: workers and readers side by side first, then the API; the processes of the other version stop."""
    roles: tuple[Role, ...] = ("worker", "ingest")
    for role in roles:
        before = cluster.living(role)
        cluster.start(role, code)
        for process in before:
            process.stop()
    stop(cluster.api)
    cluster.start("api", code)


def test_forward_and_back_under_load(installed: Cluster, older: Code, people: People) -> None:
    cluster, settings = installed, installed.settings
    file = people(ROWS)
    rows = rows_of(file)
    sender = Sender(settings)

    # `if_same` is an option that the version before does not know.
    # What the version before has under way: a job at work, a paused one, and one whose rows come by the inbox.
    running = cluster.upload(file, "forward", rows_per_second=SLOW, if_same=None)
    paused = cluster.upload(file, "paused", rows_per_second=SLOW, if_same=None)
    filling = topic_job(cluster, "inbox")
    sender.rows(filling, rows[: ROWS // 2])
    for job_id in (running, paused):
        cluster.wait_rows(job_id, 1)
    cluster.act(paused, "pause")
    written = count(settings, paused)

    provision(settings)
    replace(cluster, None)
    assert cluster.job(running)["state"] == "RUNNING" and count(settings, paused) == written
    sender.rows(filling, rows[ROWS // 2 : -10])
    cluster.rate(running, None)
    cluster.wait_state(running, "COMPLETED")
    assert_loaded(cluster, running, file)

    # And back: what this version has under way, and what both have.
    fresh = cluster.upload(file, "back", rows_per_second=SLOW, if_same=None)
    cluster.wait_rows(fresh, 1)
    replace(cluster, older)
    assert cluster.job(fresh)["state"] == "RUNNING" and count(settings, paused) == written
    cluster.rate(fresh, None)
    cluster.rate(paused, None)
    cluster.act(paused, "resume")
    sender.rows(filling, rows[-10:])
    end(cluster, filling, ROWS)
    for job_id in (fresh, paused, filling):
        cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, fresh, file)
    assert_loaded(cluster, paused, file)
    verdict = compare(settings, filling, "people", file)
    assert verdict.holds, verdict

    # Forward again, to take out what either version has written.
    replace(cluster, None)
    for job_id in (fresh, paused):
        assert cluster.act(job_id, "rollback")["state"] == "ROLLED_BACK"
        assert count(settings, job_id) == 0
