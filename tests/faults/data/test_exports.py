"""An export's file is complete or absent, of one point in time, whichever process dies or is stopped."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from schemas.exports import parts_folder, result_path
from schemas.job import Job
from schemas.messages.blocks import Block, SliceBlock
from schemas.messages.codec import decode
from schemas.messages.commands import Command, InputAdvanced
from tests.conftest import MakeCluster, People
from tests.faults.evidence import records
from tests.support.processes.cluster import Cluster, Shared
from tests.support.waiting import PATIENCE, elasticsearch
from verify.compare import compare, compare_export

ROWS = 5000
SLICE_ROWS = 125
FIRST = "2026-01-01"


@pytest.fixture(scope="module")
def loaded(shared_cluster: Shared, people: People) -> str:
    """An organisation whose people are in Elasticsearch."""
    cluster = shared_cluster.get()
    cluster.wait_state(cluster.upload(people(ROWS), "exported"), "COMPLETED")
    return "exported"


def download(cluster: Cluster, job_id: str, folder: Path) -> Path:
    answer = cluster.request("GET", f"/v1/jobs/{job_id}/result")
    assert answer.status_code == 200, answer.text
    file = folder / f"{job_id}.csv"
    file.write_bytes(answer.content)
    return file


def assert_exported(cluster: Cluster, job_id: str, organisation: str, folder: Path, till: str | None = None) -> None:
    """The file has every document of the range once, in order; nothing else is left of the job."""
    job = cluster.wait_state(job_id, "COMPLETED")
    file = download(cluster, job_id, folder)
    verdict = compare_export(cluster.settings, file, "people", organisation, FIRST, till)
    assert verdict.holds, f"{verdict}\n{cluster.events(job_id)}"
    assert job["progress"]["rows_total"] == job["progress"]["rows_applied"] == verdict.rows
    assert parts(cluster, job_id) == []
    cluster.wait(lambda: not is_frozen(cluster, job_id), "the point in time is closed")


def parts(cluster: Cluster, job_id: str) -> list[str]:
    """What is in storage beside the file."""
    folder = cluster.settings.storage_root / parts_folder(job_id)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def result(cluster: Cluster, job_id: str) -> Path:
    return cluster.settings.storage_root / result_path(job_id)


def frozen(cluster: Cluster, job_id: str) -> str | None:
    """The point in time that the job reads."""
    states = [decode(value, Job) for _, key, value in records(cluster.settings, "jobs") if key == job_id.encode()]
    return states[-1].input.frozen


def is_frozen(cluster: Cluster, job_id: str) -> bool:
    """Whether Elasticsearch still keeps the job's point in time."""
    with elasticsearch(cluster.settings) as client:
        answer = client.options(ignore_status=404).search(pit={"id": frozen(cluster, job_id) or ""}, size=0)
        return answer.meta.status == 200


def rows_of(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


@pytest.mark.parametrize("till", [None, "2026-03-31"])
def test_the_total_is_known_from_the_start_and_every_row_is_there_in_date_order(
    cluster: Cluster, loaded: str, tmp_path: Path, till: str | None
) -> None:
    job_id = cluster.export(loaded, till, rows_per_second=SLICE_ROWS)
    begun = cluster.wait_rows(job_id, 1)["progress"]
    total = ROWS if till is None else begun["rows_total"]
    assert begun["rows_total"] == total
    assert 0 < begun["rows_applied"] < total
    assert begun["percent"] == round(100 * begun["rows_applied"] / total, 1)
    early = cluster.request("GET", f"/v1/jobs/{job_id}/result")
    assert (early.status_code, "COMPLETED" in early.text) == (409, True)
    cluster.rate(job_id, None)
    assert_exported(cluster, job_id, loaded, tmp_path, till)


def test_an_empty_range_is_a_header(cluster: Cluster, loaded: str, tmp_path: Path) -> None:
    job_id = cluster.export(loaded, start="2031-01-01")
    job = cluster.wait_state(job_id, "COMPLETED")
    assert (job["progress"]["rows_total"], job["progress"]["percent"]) == (0, 100.0)
    assert download(cluster, job_id, tmp_path).read_bytes() == b"name,email,phone,country,favorite_color,created_at\r\n"


@pytest.mark.parametrize("seed", range(2))
def test_an_export_survives_the_death_of_its_only_worker(
    cluster: Cluster, loaded: str, tmp_path: Path, seed: int
) -> None:
    job_id = cluster.export(loaded, rows_per_second=4 * SLICE_ROWS)
    cluster.wait_rows(job_id, random.Random(seed).randrange(1, ROWS // 2))
    cluster.worker.kill()
    assert not result(cluster, job_id).exists()
    cluster.start("worker")
    cluster.rate(job_id, None)
    assert_exported(cluster, job_id, loaded, tmp_path)


def test_exports_survive_the_death_of_their_reader_whenever(cluster: Cluster, loaded: str, tmp_path: Path) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(cluster.export(loaded, "2026-01-31"))
        cluster.reader.kill()
        cluster.start("ingest")
    for job_id in jobs:
        assert_exported(cluster, job_id, loaded, tmp_path, "2026-01-31")


def test_of_two_points_in_time_all_slices_are_read_in_one(cluster: Cluster, loaded: str, tmp_path: Path) -> None:
    """The reader dies after it has frozen the dataset, and before the control agent has heard of it."""
    cluster.reader.kill()
    job_id = cluster.export(loaded, "2026-01-31")
    cluster.worker.kill()
    reader = cluster.start("ingest")
    cluster.wait(lambda: len(points_in_time(cluster, job_id)) == 1, "the dataset is frozen")
    reader.kill()
    cluster.start("ingest")
    cluster.wait(lambda: len(points_in_time(cluster, job_id)) == 2, "it is frozen once more")
    cluster.start("worker")
    cluster.wait_state(job_id, "COMPLETED")
    first, second = points_in_time(cluster, job_id)
    assert first != second
    assert slices_of(cluster, job_id) == {first}
    assert_exported(cluster, job_id, loaded, tmp_path, "2026-01-31")


def points_in_time(cluster: Cluster, job_id: str) -> list[str]:
    """Those that readers have reported, in order."""
    sent = [decode(value, Command) for _, key, value in records(cluster.settings, "reports") if key == job_id.encode()]
    found = [
        command.input.frozen for command in sent if isinstance(command, InputAdvanced) and not command.input.blocks
    ]
    return [item for item in found if item is not None]


def slices_of(cluster: Cluster, job_id: str) -> set[str]:
    """The points in time that a job's published slices name."""
    blocks = [decode(value, Block) for _, _, value in records(cluster.settings, "rows")]
    return {block.frozen for block in blocks if isinstance(block, SliceBlock) and block.job_id == job_id}


def test_a_paused_export_stands_still_and_goes_on_in_its_point_in_time(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    file = people(ROWS)
    cluster.wait_state(cluster.upload(file, organisation), "COMPLETED")
    job_id = cluster.export(organisation, rows_per_second=2 * SLICE_ROWS, raw=True)
    cluster.wait_rows(job_id, 1)
    paused = cluster.act(job_id, "pause")
    assert paused["state"] == "PAUSED"
    written = parts(cluster, job_id)
    assert len(written) * SLICE_ROWS >= paused["progress"]["rows_applied"] > 0
    cluster.wait_state(cluster.upload(people(1000, 2), organisation), "COMPLETED")
    assert (parts(cluster, job_id), result(cluster, job_id).exists()) == (written, False)
    cluster.act(job_id, "resume")
    cluster.rate(job_id, None)
    cluster.wait_state(job_id, "COMPLETED")
    header, *rows = rows_of(download(cluster, job_id, tmp_path))
    _, *before = rows_of(file)
    assert sorted(rows) == sorted(before), "what was uploaded during the pause is not in it"
    date = header.index("created_at")
    assert [row[date] for row in rows] == sorted(row[date] for row in before)


def test_pauses_at_any_moment_and_resumes(cluster: Cluster, loaded: str, tmp_path: Path) -> None:
    job_id = cluster.export(loaded)
    for _ in range(6):
        if cluster.request("POST", f"/v1/jobs/{job_id}/pause?wait={PATIENCE:g}", json={}).status_code == 409:
            break  # it was faster
        assert cluster.job(job_id)["state"] == "PAUSED"
        cluster.act(job_id, "resume")
    assert_exported(cluster, job_id, loaded, tmp_path)


def test_a_terminated_export_leaves_nothing(cluster: Cluster, loaded: str) -> None:
    job_id = cluster.export(loaded, rows_per_second=2 * SLICE_ROWS)
    cluster.wait_rows(job_id, 1)
    refused = cluster.request("POST", f"/v1/jobs/{job_id}/terminate", json={"keep_rows": True})
    assert (refused.status_code, "without keep_rows" in refused.text) == (400, True)
    ended = cluster.act(job_id, "terminate", reason="wrong dates")
    assert (ended["state"], ended["reason"]) == ("ROLLED_BACK", "wrong dates")
    assert ended["progress"]["rows_rolled_back"] == ended["progress"]["rows_applied"] > 0
    assert (parts(cluster, job_id), result(cluster, job_id).exists()) == ([], False)
    cluster.wait(lambda: not is_frozen(cluster, job_id), "the point in time is closed")


def test_a_completed_export_is_rolled_back(cluster: Cluster, loaded: str) -> None:
    job_id = cluster.export(loaded, "2026-01-31")
    cluster.wait_state(job_id, "COMPLETED")
    assert result(cluster, job_id).exists()
    ended = cluster.act(job_id, "rollback")
    assert ended["state"] == "ROLLED_BACK"
    assert (parts(cluster, job_id), result(cluster, job_id).exists()) == ([], False)
    assert cluster.request("GET", f"/v1/jobs/{job_id}/result").status_code == 404


def test_an_export_whose_point_in_time_is_gone_fails_and_says_so(cluster: Cluster, loaded: str) -> None:
    job_id = cluster.export(loaded, rows_per_second=2 * SLICE_ROWS)
    cluster.wait_rows(job_id, 1)
    cluster.act(job_id, "pause")
    with elasticsearch(cluster.settings) as client:
        client.close_point_in_time(id=frozen(cluster, job_id) or "")
    cluster.act(job_id, "resume", wait=0)
    cluster.expect("the point in time")
    failed = cluster.wait_state(job_id, "FAILED")
    assert "start the export again" in failed["reason"]
    told = cluster.request("GET", f"/v1/jobs/{job_id}/result")
    assert (told.status_code, "start the export again" in told.text) == (409, True)
    assert cluster.act(job_id, "rollback")["state"] == "ROLLED_BACK"
    assert parts(cluster, job_id) == []


def test_two_exports_run_at_once_beside_an_upload(
    cluster: Cluster, people: People, loaded: str, organisation: str, tmp_path: Path
) -> None:
    jobs = [cluster.export(loaded) for _ in range(2)]
    upload = cluster.upload(people(ROWS), organisation)
    for job_id in jobs:
        assert_exported(cluster, job_id, loaded, tmp_path)
    cluster.wait_state(upload, "COMPLETED")
    first, second = (result(cluster, job_id).read_bytes() for job_id in jobs)
    assert first == second


def test_a_file_of_one_date_comes_back_as_it_was(
    cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    header, *rows = rows_of(people(3000, 3))
    for row in rows:
        row[-1] = "2026-05-06T07:08:09Z"
    rows[0][0], rows[1][0], rows[2][3] = "=HYPERLINK(1)", "'-quoted", "a\r\nb"
    file = tmp_path / "one-date.csv"
    with file.open("w", encoding="utf-8", newline="") as target:
        csv.writer(target, lineterminator="\n").writerows([header, *rows])
    cluster.wait_state(cluster.upload(file, organisation, raw=True), "COMPLETED")

    raw = cluster.export(organisation, raw=True)
    cluster.wait_state(raw, "COMPLETED")
    assert rows_of(download(cluster, raw, tmp_path)) == [header, *rows]

    plain = cluster.export(organisation)
    cluster.wait_state(plain, "COMPLETED")
    written = download(cluster, plain, tmp_path)
    _, *cells = rows_of(written)
    assert (cells[0][0], cells[1][0], cells[0][2][:2]) == ("'=HYPERLINK(1)", "''-quoted", "'+")
    again = cluster.upload(written, f"{organisation}-again")
    cluster.wait_state(again, "COMPLETED")
    verdict = compare(cluster.settings, again, "people", written)
    assert verdict.holds, str(verdict)
    once_more = cluster.export(f"{organisation}-again", raw=True)
    cluster.wait_state(once_more, "COMPLETED")
    assert rows_of(download(cluster, once_more, tmp_path)) == [header, *rows]


def test_an_export_into_a_bucket(make_cluster: MakeCluster, people: People, tmp_path: Path) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint, keys = f"http://{host}:{port}", {"s3_access_key_id": "key", "s3_secret_access_key": SecretStr("secret")}
    store = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    store.create_bucket(Bucket="exports")
    try:
        cluster = make_cluster(storage_url="s3://exports/here", s3_endpoint=endpoint, s3_region="us-east-1", **keys)
        cluster.wait_state(cluster.upload(people(ROWS)), "COMPLETED")
        job_id = cluster.export("acme")
        assert_exported(cluster, job_id, "acme", tmp_path)
        held = [item["Key"] for item in store.list_objects_v2(Bucket="exports")["Contents"]]
        assert held == [f"here/{result_path(job_id)}"]
        part = cluster.request("GET", f"/v1/jobs/{job_id}/result", headers={"Range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, b"name")
        stopped = cluster.export("acme", rows_per_second=2 * SLICE_ROWS)
        cluster.wait_rows(stopped, 1)
        assert cluster.act(stopped, "terminate")["state"] == "ROLLED_BACK"
        held = [item["Key"] for item in store.list_objects_v2(Bucket="exports")["Contents"]]
        assert held == [f"here/{result_path(job_id)}"]
    finally:
        server.stop()
