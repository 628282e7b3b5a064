"""The reader dies in the middle of a file; the next one goes on from the last report, with the same blocks, whatever
size of blocks it is set to itself."""

from __future__ import annotations

import random

import pytest

from tests.conftest import MakeCluster, People
from tests.faults.evidence import assert_loaded, published

ROWS = 6000
BLOCK_ROWS = 1
ATTEMPTS = 5


@pytest.mark.parametrize(("seed", "next_rows"), [(0, BLOCK_ROWS), (1, 3)])
def test_an_upload_survives_the_death_of_its_reader(
    make_cluster: MakeCluster, people: People, seed: int, next_rows: int
) -> None:
    file = people(ROWS)
    cluster = make_cluster(block_rows=BLOCK_ROWS)  # many records, which take the reader a while
    blocks = random.Random(seed).randrange(1, ROWS // BLOCK_ROWS // 4)
    for attempt in range(ATTEMPTS):
        before = published(cluster.settings, "rows")
        job_id = cluster.upload(file, f"acme-{attempt}")
        cluster.wait(lambda: published(cluster.settings, "rows") >= before + blocks, f"{blocks} blocks are there")  # noqa: B023
        reader = cluster.reader
        reader.kill()
        cluster.start("ingest", settings=cluster.settings.model_copy(update={"block_rows": next_rows}))
        cluster.wait_state(job_id, "COMPLETED")
        assert_loaded(cluster, job_id, file)
        if "apply ended" not in reader.log:
            return  # else it was faster than the test: once more
    raise AssertionError(f"the reader was faster than the test {ATTEMPTS} times")
