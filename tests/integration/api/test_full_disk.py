"""A file system that becomes full while a file is written: 507, no job, nothing left. It is a real one, of 256 KiB."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from runtime.files.shared_folder import MARKER
from tests.support.api.stub import PEOPLE, ROW, StubLog, make_job, stub
from tests.support.api.world import RowErrors

LARGE = PEOPLE + ROW * 20_000
Served = tuple[TestClient, StubLog, Path]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    small = tmp_path / "small"
    small.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or os.geteuid() != 0:
        pytest.skip("only root can make a file system")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True)
    if made.returncode != 0:
        pytest.skip(f"no file system can be made here: {made.stderr.decode().strip()}")
    try:
        app, log = stub(
            tmp_path, storage=small, import_folders=str(tmp_path), elasticsearch=RowErrors(), draft_hours=1e6
        )
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client, log, small
    finally:
        subprocess.run([umount, str(small)], check=True)


def files(folder: Path) -> list[Path]:
    """All but the marker of the installation."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != MARKER]


def full(served: Served, answer: Response) -> None:
    client, _, folder = served
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (507, "INSUFFICIENT_STORAGE"), answer.text
    assert "disk is full" in error["message"] and "SLUICE_STORAGE" in error["message"]
    assert not files(folder), "something is left"
    assert make_job(client, organisation="after").status_code == 201, "there is room again, and no job holds anything"


@pytest.mark.parametrize("body", [LARGE, gzip.compress(LARGE)], ids=["plain", "gzip"])
def test_a_file_that_is_sent(served: Served, body: bytes) -> None:
    full(served, make_job(served[0], body))
    assert [command.organisation for command in served[1].sent] == ["after"]  # type: ignore[union-attr]


def test_a_file_of_the_server_that_has_to_be_converted(served: Served) -> None:
    client, _, folder = served
    file = folder.parent / "people.csv.gz"
    file.write_bytes(gzip.compress(LARGE))
    full(served, client.post("/v1/jobs", json={"operation": "upload", "dataset": "people", "file": str(file)}))


def test_the_page_says_so_too(served: Served) -> None:
    parts = [("dataset", (None, "people")), ("organisation", (None, "default")), ("file", ("a.csv", LARGE, "text/csv"))]
    answer = served[0].post("/start/upload", files=parts, headers={"sec-fetch-site": "same-origin"})
    assert (answer.status_code, "disk is full" in answer.text) == (507, True), answer.text


def test_a_file_that_comes_in_parts_stays_as_far_as_it_has_come(served: Served) -> None:
    client, _, folder = served
    source = {"upload": "people.csv"}
    job = {"operation": "upload", "dataset": "people", "source": source}
    job_id = client.post("/v1/jobs", json=job).json()["id"]
    path = f"/v1/jobs/{job_id}/file"
    answer = client.patch(path, content=LARGE, headers={"Upload-Offset": "0"})
    assert (answer.status_code, "disk is full" in answer.text) == (507, True), answer.text
    come = int(client.head(path).headers["upload-offset"])
    assert come == sum(file.stat().st_size for file in files(folder)) <= 256 * 1024
    assert client.get(f"/v1/jobs/{job_id}").json()["state"] == "DRAFT"
    assert client.post(f"/v1/jobs/{job_id}/terminate").status_code == 202
