"""No request of `tests/support/api/hostile.py` holds up the API's event loop, grows its memory, or gets a 500."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from confluent_kafka import Producer

from devstack.ephemeral import Servers
from runtime.clients import librdkafka_config
from runtime.provision import provision
from runtime.settings import Settings
from schemas.exports import result_path
from schemas.ids import new_job_id
from schemas.indices import index_name
from schemas.job import Job, LaneTotals, Options, Source, State
from schemas.messages.codec import encode
from schemas.messages.events import CommandRejected
from schemas.messages.lanes import LaneRecord, lane_key
from schemas.topics import topic_name
from tests.conftest import own_settings
from tests.support.api.hostile import KEY, KINDS, Kind, send
from tests.support.places import ROOT
from tests.support.processes.cluster import environment, forget
from tests.support.waiting import PATIENCE, elasticsearch, wait_until

JOBS = 20_000
REJECTIONS = 3000
LONG_ROWS = 80
ROW_BYTES = 250_000
STALL_SECONDS = 1.5
"""Of the event loop; generous, since other processes may keep this machine busy."""
MEMORY_BYTES = 200 * 1024 * 1024
"""That a kind may add to the process."""
HEAD_SECONDS = PAUSE_SECONDS = 2.0
CONNECTIONS = 250
NOW = 1_790_000_000_000


class Api:
    """The process, and what it is asked about."""

    def __init__(self, settings: Settings, places: dict[str, str]) -> None:
        self.settings = settings
        self.places = places
        self.log = settings.home / "api.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.processes.watched_api"],
                cwd=ROOT,
                env=environment(settings, SLUICE_API_KEY=KEY),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def worst(self) -> dict[str, float]:
        """What the watch has seen since the last question."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: dict[str, float] = json.loads(self.process.stdout.readline())
        return found

    def get(self, path: str, **more: Any) -> httpx2.Response:
        headers = {"X-API-Key": KEY}
        return httpx2.get(
            self.settings.api + path, headers=headers, trust_env=False, verify=False, timeout=PATIENCE, **more
        )


@pytest.fixture(scope="module")
def api(stack: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API with many jobs, and files to name."""
    home = tmp_path_factory.mktemp("bounds")
    files = home / "files"
    files.mkdir()
    settings = own_settings(
        stack,
        home,
        api_require_key=True,
        api_key=KEY,
        api_connections=CONNECTIONS,
        api_head_seconds=HEAD_SECONDS,
        api_pause_seconds=PAUSE_SECONDS,
        import_folders=str(files),
        topic_partitions=1,
        request_timeout_seconds=20,
    )
    provision(settings)
    try:
        api = Api(settings, {**_jobs(settings), **_files(files)})
        try:
            wait_until(lambda: api.process.poll() is not None or _is_ready(api), "the API has read its topics")
            yield api
        finally:
            api.process.kill()
            print(api.log.read_text("utf-8", "replace")[-8000:])
    finally:
        forget(settings)


def _is_ready(api: Api) -> bool:
    try:
        return api.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def _files(folder: Path) -> dict[str, str]:
    large, wrong, pipe = folder / "large.csv", folder / "wrong.csv", folder / "pipe.csv"
    header = b"name,email,phone,country,favorite_color,created_at\n"
    for file, first in ((large, header), (wrong, b"nothing,of,this\n")):
        with file.open("wb") as content:
            content.write(first)
            content.truncate(20 * 1024**3)
    os.mkfifo(pipe)
    return {"large": str(large), "wrong": str(wrong), "pipe": str(pipe), "folder": str(folder)}


def _jobs(settings: Settings) -> dict[str, str]:
    """Many jobs, as the topics have them; four of them have what a request may ask for."""
    producer = Producer(librdkafka_config(settings, linger_ms=50, queue_buffering_max_messages=1_000_000))
    jobs, lanes, events = (topic_name(settings.prefix, name) for name in ("jobs", "lanes", "job-events"))
    ids = [new_job_id(NOW + number, number) for number in range(JOBS)]
    one, errors, export, dry, *_ = ids
    for number, job_id in enumerate(ids):
        job = Job(
            id=job_id,
            operation="export" if job_id == export else "upload",
            dataset="people",
            organisation=f"o{number % 7}",
            created_by="admin",
            state=(State.COMPLETED, State.COMPLETED_WITH_ERRORS)[job_id == errors] if number else State.PAUSED,
            created_at=NOW + number,
            command_offset=number,
            partitions=1,
            options=Options(dry_run=job_id == dry),
            source=Source(kind="query") if job_id == export else Source(name="a.csv", lines=1001),
            applied=LaneTotals(rows_applied=1000) if number else None,
        )
        producer.produce(jobs, encode(job), job_id)
        if number % 4 == 0:
            lane = LaneRecord(job_id=job_id, partition=0, partitions=1, totals=LaneTotals(rows_applied=1000), at=NOW)
            producer.produce(lanes, encode(lane), lane_key(job_id, 0, "apply"))
    for number in range(REJECTIONS):
        refused = CommandRejected(
            job_id=one, command_offset=JOBS + number, at=NOW, command="PauseJob", code=409, message="no" * 500
        )
        producer.produce(events, encode(refused), one)
    assert producer.flush(PATIENCE) == 0
    columns = ["name", "email", "phone", "country", "favorite_color", "created_at"]
    row = {"line": 2, "reason": "no", "columns": columns, "values": ["x" * ROW_BYTES, "", "", "", "", ""]}
    with elasticsearch(settings) as client:
        for first in range(0, LONG_ROWS, 8):
            lines: list[dict[str, Any]] = []
            for number in range(first, first + 8):
                for job_id in (errors, dry):
                    lines += [
                        {"index": {"_index": index_name(settings.prefix, "errors")}},
                        {**row, "job_id": job_id, "row": number + 1},
                    ]
                lines += [
                    {"index": {"_index": index_name(settings.prefix, "previews")}},
                    {"job_id": dry, "row": number + 1, "document": {"name": "x" * ROW_BYTES}},
                ]
            assert not client.bulk(operations=lines)["errors"]
        client.indices.refresh(index=index_name(settings.prefix, "*"))
    result = settings.storage_root / result_path(export)
    result.parent.mkdir(parents=True)
    with result.open("wb") as content:
        content.truncate(16_000_000)
    return {"one": one, "errors": errors, "export": export, "dry": dry}


class Honest:
    """A client that wants nothing but to see its job, again and again."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answered = 0
        self.refused: list[str] = []

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            begun = time.monotonic()
            try:
                answer = self._get()
                if answer.status_code != 200:
                    self.refused.append(f"{answer.status_code} {answer.text}")
            except httpx2.HTTPError as error:
                self.refused.append(f"{error!r} after {time.monotonic() - begun:.1f} s")
            self.answered += 1

    def _get(self) -> httpx2.Response:
        path = f"/v1/jobs/{self._api.places['one']}"
        try:
            return self._api.get(path)
        except httpx2.TransportError:  # its connection met the bound, as a client's may: it tries once more
            return self._api.get(path)

    @contextmanager
    def at_work(self) -> Iterator[Honest]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self._thread.join()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_request_hurts_the_others(api: Api, kind: Kind) -> None:
    before, logged = api.worst()["rss"], api.log.stat().st_size
    with Honest(api).at_work() as honest:
        found = asyncio.run(send(api.settings.api_port, kind, api.places, PATIENCE))
        wait_until(lambda: honest.answered > 2, "the honest client has been answered")
    worst = api.worst()
    print(f"{kind.name}: {dict(found)}, stall {worst['stall']:.3f} s, memory {(worst['rss'] - before) / 2**20:+.0f} MB")
    assert not honest.refused
    assert worst["stall"] < STALL_SECONDS, f"the event loop stood still for {worst['stall']:.1f} s"
    assert worst["rss"] - before < MEMORY_BYTES
    assert "500" not in found
    assert "open" not in found, f"connections are still open: {found}"
    assert " ERROR " not in api.log.read_bytes()[logged:].decode("utf-8", "replace")
