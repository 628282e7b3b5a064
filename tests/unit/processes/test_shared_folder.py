"""Readers and workers take no work until they see the storage folder that the API takes files in to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from api.app import create_app
from api.errors import ApiError, KafkaUnavailableError
from api.jobs.reading.stored_file import Standing, standing
from api.uploads.claiming import claim_storage
from api.uploads.drafts import DraftFile
from api.uploads.spool import SpooledFile
from processor.backups.comparing import _files_lacking
from runtime.files.shared_folder import MARKER, StorageAwayError, is_shared, mark, wait_for_shared_folder
from runtime.files.storage import StorageError
from runtime.process import reason_of
from runtime.settings import Settings
from schemas.job import Input, Source, State
from tests.support.in_memory.control import world_in
from tests.support.places import ROOT
from tests.support.waiting import PATIENCE, wait_until


class Jobs:
    """The topic of jobs, of which Kafka tells the end once it answers."""

    def __init__(self, end: int, silent: int = 0) -> None:
        self.end, self.silent = end, silent

    async def end_of(self) -> int:
        if self.silent:
            self.silent -= 1
            raise KafkaUnavailableError("no answer")
        return self.end


def claim(root: Path, jobs: Jobs, pauses: int = 100) -> None:
    """The API's look at the storage folder, for so many pauses."""

    async def pause(_: float) -> None:
        nonlocal pauses
        pauses -= 1
        if pauses < 0:
            raise InterruptedError

    with contextlib.suppress(InterruptedError):
        asyncio.run(claim_storage(root, jobs.end_of, pause))


def test_the_api_marks_the_folder_of_a_new_installation_once(tmp_path: Path) -> None:
    for jobs in (Jobs(0, silent=3), Jobs(7)):
        claim(tmp_path, jobs)
        (marker,) = tmp_path.iterdir()
    assert is_shared(tmp_path) and "API" in marker.read_text("utf-8")


@pytest.mark.parametrize("made", ["sources", "keys", "results", "parts"])
def test_the_api_marks_a_folder_of_an_older_version(tmp_path: Path, made: str) -> None:
    (tmp_path / made).mkdir()
    claim(tmp_path, Jobs(7))
    assert (tmp_path / MARKER).exists()


def test_an_empty_folder_of_an_installation_that_has_jobs_is_not_mounted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A marker there would have readers make second keys for jobs whose blocks were sealed before."""
    claim(tmp_path, Jobs(7))
    assert not list(tmp_path.iterdir())
    (told,) = caplog.records
    assert str(tmp_path) in told.message and "Mount it" in told.message and told.__dict__["event"] == "storage.waiting"
    mark(tmp_path)
    claim(tmp_path, Jobs(7), pauses=0)


def test_a_silent_kafka_does_not_show_that_an_installation_is_new(tmp_path: Path) -> None:
    claim(tmp_path, Jobs(0, silent=1000))
    assert not is_shared(tmp_path)


def test_a_bucket_for_exports_needs_the_folder_all_the_same(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, api_require_key=False, storage_url="s3://bucket", s3_region="x")
    create_app(settings)
    assert settings.storage_root.is_dir()


def test_no_file_is_taken_in_while_the_storage_is_not_mounted(tmp_path: Path) -> None:
    """It would lie below the mount point, where no reader sees it once the storage is back."""
    file = SpooledFile(tmp_path, "j1", "a.csv")
    draft = DraftFile(tmp_path, "j1", "a.csv", 100)

    async def body() -> AsyncIterator[bytes]:
        yield b"x"

    for attempt in (lambda: file.write(b"x"), lambda: asyncio.run(draft.append(0, body()))):
        with pytest.raises(ApiError, match="it is not mounted") as told:
            attempt()
        assert told.value.code == 503
    assert not list(tmp_path.iterdir())
    mark(tmp_path)
    file.write(b"x")
    file.discard()


@pytest.mark.parametrize("url", [None, "s3://bucket"])
def test_a_folder_that_can_t_be_made_ends_the_api_with_a_sentence(tmp_path: Path, url: str | None) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((OSError, StorageError)) as told:
        create_app(Settings(storage=tmp_path / "file" / "storage", storage_url=url, s3_region="x"))
    assert str(tmp_path / "file") in (reason_of(told.value) or "")


@pytest.mark.parametrize("made", ["", "sources", "keys"])
def test_the_wait_ends_as_soon_as_another_has_been_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, made: str
) -> None:
    """`made`: by an API or a reader of a version that makes no marker; what workers make does not count."""
    (tmp_path / "results").mkdir()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            (tmp_path / made).mkdir(exist_ok=True) if made else mark(tmp_path)

    with caplog.at_level(logging.WARNING):
        wait_for_shared_folder(tmp_path, lambda: False, pause)
    assert len(pauses) == 3
    (told,) = caplog.records
    assert str(tmp_path) in told.message and told.__dict__["event"] == "storage.waiting"
    wait_for_shared_folder(tmp_path, lambda: False, pause)
    assert len(pauses) == 3


def test_a_process_that_is_to_stop_waits_no_more(tmp_path: Path) -> None:
    pauses: list[float] = []
    wait_for_shared_folder(tmp_path, lambda: len(pauses) == 2, pauses.append)
    assert len(pauses) == 2


@pytest.mark.parametrize("module", ["ingest", "processor"])
def test_a_reader_and_a_worker_with_a_folder_of_their_own_are_not_ready(tmp_path: Path, module: str) -> None:
    """As in a pod without the volume: it waits for the folder before it takes any work of Kafka."""
    log, ready = tmp_path / "log", tmp_path / "ready"
    given = {"HOME": tmp_path, "READY_FILE": ready, "KAFKA_BOOTSTRAP": "127.0.0.1:1", "LOG_FORMAT": "json"}
    kept = {name: text for name, text in os.environ.items() if not name.startswith("SLUICE_")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env={**kept, **{f"SLUICE_{name}": str(value) for name, value in given.items()}},
            stderr=out,
        )
    try:
        wait_until(lambda: b'"storage.waiting"' in log.read_bytes() or process.poll() is not None, "it says so")
        assert process.poll() is None and not ready.exists(), log.read_text("utf-8")
        assert b"kafka." not in log.read_bytes()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, log.read_text("utf-8")
    finally:
        process.kill()
        process.wait()


def test_a_stored_file_is_not_said_to_be_gone_while_the_storage_is_not_mounted(tmp_path: Path) -> None:
    uploaded = Source(kind="file", path="sources/j1/a.csv", bytes=1)
    with pytest.raises(ApiError, match="it is not mounted") as told:
        standing(uploaded, tmp_path)
    assert told.value.code == 503
    mark(tmp_path)
    assert standing(uploaded, tmp_path) is Standing.GONE


def test_a_comparison_of_backups_takes_no_storage_that_is_not_mounted_for_an_empty_one(tmp_path: Path) -> None:
    """Its advice would be to terminate the jobs whose files and keys it does not see."""
    uploaded = Source(kind="file", path="sources/j1/a.csv", bytes=1)
    job = replace(world_in(State.RUNNING).job(), source=uploaded, sealed=True, input=Input(blocks=2))
    settings = Settings(storage=tmp_path)
    with pytest.raises(StorageAwayError) as told:
        list(_files_lacking(settings, [job]))
    assert "it is not mounted" in (reason_of(told.value) or "")
    mark(tmp_path)
    assert [found.kind for found in _files_lacking(settings, [job])] == ["no_file", "no_key"]
