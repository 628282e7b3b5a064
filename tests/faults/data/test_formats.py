"""A compressed file is read on from where a reader died, as any other: what lies in storage is not compressed."""

from __future__ import annotations

import gzip
from pathlib import Path

from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from tests.conftest import MakeCluster
from tests.faults.evidence import published
from verify.compare import compare

ROWS = 14_000
BLOCK_ROWS = 2


def test_a_gzip_file_survives_the_death_of_its_reader_and_of_a_worker(
    make_cluster: MakeCluster, tmp_path: Path
) -> None:
    plain = tmp_path / "people.csv"
    plain.write_bytes(generate_bytes(Dataset.PEOPLE, ROWS))
    packed = tmp_path / "people.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
    cluster = make_cluster(block_rows=BLOCK_ROWS)  # many records, which take the reader a while
    before = published(cluster.settings, "rows")
    job_id = cluster.upload(packed, "gzip")
    cluster.wait(lambda: published(cluster.settings, "rows") >= before + 500, "some blocks are there")
    reader = cluster.reader
    reader.kill()
    assert "apply ended" not in reader.log, "the reader was faster than the test"
    cluster.start("ingest")
    cluster.wait_rows(job_id, ROWS // 10)
    cluster.worker.kill()
    cluster.start("worker")
    job = cluster.wait_state(job_id, "COMPLETED")
    assert (job["source"]["bytes"], job["source"]["format"]["compression"]) == (packed.stat().st_size, "gzip")
    assert job["source"]["format"]["stored_bytes"] == plain.stat().st_size
    verdict = compare(cluster.settings, job_id, "people", plain)
    assert verdict.holds, f"{verdict}\n{cluster.events(job_id)}"
