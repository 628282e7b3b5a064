"""Readers of the inbox die at each step of a transaction, join and leave: every row is there once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys

import pytest

from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_each_row_once
from tests.support.places import ROOT
from tests.support.processes.cluster import environment
from tests.support.processes.upstream import Sender, end, rows_of, topic_job, unknown_rows
from tests.support.waiting import PATIENCE
from verify.compare import compare

ROWS = 3500
STEPS = ("begin_transaction+", "produce", "send_offsets_to_transaction", "commit_transaction", "commit_transaction+")


@pytest.mark.parametrize("waiting", [False, True])
@pytest.mark.parametrize("seed", range(1))
def test_no_row_is_lost_or_doubled_wherever_a_reader_dies(
    make_cluster: MakeCluster, people: People, seed: int, waiting: bool
) -> None:
    """`waiting`: before all others lie rows whose jobs nobody makes, so each reader begins with these anew."""
    choice = random.Random(seed)
    cluster = make_cluster(readers=0, unknown_job_seconds=600)
    if waiting:
        unknown_rows(Sender(cluster.settings), 20)
    file = people(ROWS)
    rows = rows_of(file)
    job_id = topic_job(cluster, "acme")
    # Rows of the one lie where they are blocked; those of the other are moved there first.
    senders = [Sender(cluster.settings, name) for name in ("murmur2_random", "consistent_random")]
    share = ROWS // (len(STEPS) + 2)
    for number, step in enumerate(STEPS):
        choice.choice(senders).rows(job_id, rows[number * share : (number + 1) * share])
        count = choice.randrange(1, 6) if step == "produce" else 1
        dying = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.dying_ingest", step, str(count)],
            cwd=ROOT,
            env=environment(cluster.settings),
            stderr=subprocess.DEVNULL,
        )
        try:
            assert dying.wait(PATIENCE) == -signal.SIGKILL
        finally:
            dying.kill()
    first = cluster.launch("ingest")
    sender = senders[0]
    sender.rows(job_id, rows[len(STEPS) * share : -share])
    second = cluster.launch("ingest")
    cluster.wait_ready(first, second)
    for row in rows[-share:]:
        sender.rows(job_id, [row])
        if row[0] == ROWS - share // 2:
            first.kill()
    end(cluster, job_id, ROWS)
    cluster.wait_state(job_id, "COMPLETED")
    verdict = compare(cluster.settings, job_id, "people", file)
    assert verdict.holds, str(verdict)
    assert_each_row_once(cluster, job_id, ROWS)
