"""A gzip that is sent in parts, through the death of its sender and of the API."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.conftest import People
from tests.e2e.commandline import CommandLine
from tests.faults.evidence import assert_loaded
from tests.support.processes.cluster import Cluster

ROWS = int(os.environ.get("DRAFT_ROWS", "20000"))


def test_a_file_in_parts_goes_on_where_it_broke_off(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    file, packed = people(ROWS), tmp_path / "people.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes(), 1))
    data = packed.read_bytes()
    source = {"upload": packed.name, "bytes": len(data)}
    asked = {"operation": "upload", "dataset": "people", "organisation": organisation, "source": source}
    job_id = str(cluster.call("POST", "/v1/jobs", json=asked)["id"])
    path = f"/v1/jobs/{job_id}/file"
    stored = cluster.settings.storage_root / "sources" / job_id / ".draft"

    def broken(first: int, until: int, kill: bool) -> Iterator[bytes]:
        for at in range(first, until, 64 * 1024):
            yield data[at : min(at + 64 * 1024, until)]
        if kill:
            cluster.wait(lambda: stored.stat().st_size >= first + 1024 * 1024 or until - first < 1024 * 1024, "bytes")
            cluster.api.kill()
            yield b""
        raise ConnectionError("the sender dies")

    with pytest.raises(ConnectionError):
        cluster.request("PATCH", path, content=broken(0, len(data) // 3, False), headers={"Upload-Offset": "0"})
    offset = cluster.wait(lambda: cluster.call("GET", path)["offset"], "what has come is stored")
    assert data[:offset] == stored.read_bytes()
    with pytest.raises((ConnectionError, httpx2.TransportError)):
        cluster.request(
            "PATCH", path, content=broken(offset, len(data) * 2 // 3, True), headers={"Upload-Offset": str(offset)}
        )
    cluster.start("api")
    assert cluster.job(job_id)["state"] == "DRAFT"
    assert data.startswith(stored.read_bytes()) and cluster.call("GET", path)["offset"] >= offset

    sluice = CommandLine(cluster.settings)
    assert f"{ROWS:,} rows applied" in sluice("upload", packed, "--continue", job_id, "--wait").stdout
    assert_loaded(cluster, job_id, file)
    job = cluster.job(job_id)
    assert (job["source"]["bytes"], job["source"]["format"]["compression"]) == (len(data), "gzip")
    assert not stored.exists()
    again = ("upload", packed, "--resumable", "--dataset", "people", "--organisation", organisation)
    assert f"job {job_id}" in sluice(*again, code=1).stderr
    drafts = cluster.call("GET", "/v1/jobs", params={"organisation": organisation, "state": "DRAFT"})["jobs"]
    assert cluster.act(drafts[0]["id"], "terminate")["state"] == "ROLLED_BACK"
