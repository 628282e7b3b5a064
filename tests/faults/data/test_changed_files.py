"""A job's file becomes another one of the same size, at any time before it is read: the job fails and says so."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.job import Source
from schemas.messages.codec import encode
from schemas.messages.commands import CreateJob
from tests.conftest import MakeCluster, People
from tests.faults import corrections
from tests.faults.evidence import assert_loaded, count
from tests.support.places import ROOT
from tests.support.processes.cluster import Cluster, Json, environment
from tests.support.processes.upstream import commanded

ROWS, MANY = 1000, 6000


def other_of(path: Path) -> bytes:
    """Another file of the same size: its last rows are other people's."""
    data = path.read_bytes()
    changed = data[:-400] + data[-400:].swapcase()
    assert len(changed) == len(data) and changed != data
    return changed


def move_in(path: Path, data: bytes) -> None:
    """Put another file in its place, with its times."""
    status = path.stat()
    new = path.with_name("new")
    new.write_bytes(data)
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(path)


def overwrite(path: Path, data: bytes) -> None:
    """Write over it, and set its time back."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def stored(cluster: Cluster, job_id: str) -> Path:
    """The file that was uploaded for a job."""
    (path,) = (cluster.settings.storage_root / "sources" / job_id).glob("*.csv")
    return path


def named(cluster: Cluster, path: Path, organisation: str, **options: object) -> str:
    """A job that reads a file of the server."""
    body = {"operation": "upload", "dataset": "people", "organisation": organisation, "file": str(path)}
    return str(cluster.call("POST", "/v1/jobs", json={**body, "options": {"if_same": "allow", **options}})["id"])


def failed(cluster: Cluster, job_id: str) -> Json:
    job = cluster.wait_state(job_id, "FAILED")
    assert "is not the one that the job was made with" in job["reason"], job
    return job


@pytest.mark.parametrize("change", [move_in, overwrite])
def test_while_it_is_paused(make_cluster: MakeCluster, people: People, change: Callable[[Path, bytes], None]) -> None:
    cluster = make_cluster(readers=0, block_rows=10)
    file = people(MANY)
    job_id = cluster.upload(file)
    slow = [sys.executable, "-m", "tests.faults.slow_ingest"]
    reader = subprocess.Popen(slow, cwd=ROOT, env=environment(cluster.settings), stderr=subprocess.DEVNULL)
    try:
        cluster.wait(lambda: cluster.job(job_id)["progress"]["rows_applied"] or None, "some of it is applied")
        cluster.act(job_id, "pause")
    finally:
        reader.kill()
        reader.wait()
    cluster.start("ingest")
    path, good = stored(cluster, job_id), file.read_bytes()
    change(path, other_of(path))
    cluster.act(job_id, "resume", wait=None)
    read = failed(cluster, job_id)["progress"]["rows_read"]
    assert 0 < read < MANY
    assert 0 < count(cluster.settings, job_id) <= read, "what was applied stays"
    change(path, good)
    cluster.act(job_id, "resume", wait=None)
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)


def test_while_it_is_queued_and_a_copy_restored_goes_on(
    make_cluster: MakeCluster, people: People, tmp_path: Path
) -> None:
    folder = tmp_path / "import"
    folder.mkdir()
    cluster = make_cluster(import_folders=str(folder))
    first = cluster.upload(people(ROWS), rows_per_second=1)
    uploaded = cluster.upload(people(ROWS), if_busy="queue")
    paths = [folder / f"{name}.csv" for name in ("same", "other")]
    for path in paths:
        path.write_bytes(people(ROWS).read_bytes())
    same, other = (named(cluster, path, "acme", if_busy="queue") for path in paths)
    move_in(stored(cluster, uploaded), other_of(people(ROWS)))
    move_in(paths[0], people(ROWS).read_bytes())
    move_in(paths[1], other_of(people(ROWS)))
    cluster.act(first, "terminate")
    failed(cluster, uploaded)
    cluster.act(uploaded, "rollback")
    cluster.wait_state(same, "COMPLETED")
    assert_loaded(cluster, same, people(ROWS))
    failed(cluster, other)
    assert count(cluster.settings, other) == count(cluster.settings, uploaded) == 0


def test_between_a_dry_run_and_its_start(cluster: Cluster, people: People, organisation: str) -> None:
    job_id = cluster.upload(people(ROWS), organisation, dry_run=True)
    cluster.wait_state(job_id, "COMPLETED")
    path = stored(cluster, job_id)
    move_in(path, other_of(path))
    answer = cluster.request("POST", f"/v1/jobs/{job_id}/start")
    assert answer.status_code == 409 and "has changed since: upload it again" in answer.text
    move_in(path, people(ROWS).read_bytes())
    real = cluster.call("POST", f"/v1/jobs/{job_id}/start")["id"]
    cluster.wait_state(real, "COMPLETED")
    assert_loaded(cluster, real, people(ROWS))


def test_corrected_rows_before_they_are_read(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    good = people(corrections.ROWS)
    job_id = corrections.job_with_errors(cluster, people, organisation, tmp_path, [3, 900])
    content = corrections.corrected(corrections.errors_csv(cluster, job_id), good)
    cluster.reader.stop()
    assert corrections.retry(cluster, job_id, content).status_code == 202
    (path,) = (cluster.settings.storage_root / "sources" / job_id).glob("retry-*.csv")
    move_in(path, content.swapcase())
    cluster.start("ingest")
    failed(cluster, job_id)
    move_in(path, content)
    cluster.act(job_id, "resume", wait=None)
    cluster.wait_state(job_id, "COMPLETED")
    corrections.assert_all_stored(cluster, job_id, good)


def test_a_command_that_tells_no_identity_is_held_to_its_sha256(cluster: Cluster, people: People) -> None:
    file = people(ROWS)
    path = cluster.settings.storage_root / "sources" / "direct.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.read_bytes())
    source = Source(path="sources/direct.csv", bytes=path.stat().st_size)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for name, sha256 in (("right", digest), ("wrong", digest[::-1])):
        command = CreateJob(
            job_id=f"direct-{name}", by="crm", operation="upload", dataset="people", organisation=f"direct-{name}",
            source=Source(path=source.path, bytes=source.bytes, sha256=sha256),
        )  # fmt: skip
        commanded(cluster.settings, command.job_id, encode(command))
        cluster.wait(
            lambda at=command.job_id: cluster.request("GET", f"/v1/jobs/{at}").status_code == 200, "it is there"
        )  # type: ignore[misc]
    cluster.wait_state("direct-right", "COMPLETED")
    assert_loaded(cluster, "direct-right", file)
    failed(cluster, "direct-wrong")
