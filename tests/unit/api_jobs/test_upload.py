"""The way of a file from a multipart body to the disk, and its header."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from api.errors import ApiError, invalid, unavailable
from api.jobs.creation.job_form import JobForm
from api.models.requests import JobRequest
from api.uploads.allowance import UNBOUNDED, Allowance
from api.uploads.import_folders import Seen
from api.uploads.multipart import FormReader, boundary_of
from api.uploads.receiving import receive_parts
from api.uploads.spool import SpooledFile, safe_name, storage_problem
from api.uploads.upload import Upload
from runtime.files.shared_folder import MARKER, mark
from schemas.job import Source
from schemas.messages.commands import CreateJob
from tests.support.waiting import PATIENCE

JOB = b'{"operation":"upload"}'


def part(name: str, data: bytes, filename: str | None = None) -> bytes:
    more = f'; filename="{filename}"' if filename else ""
    return f'--XX\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--XX--\r\n"


class Refusing:
    """What decides about jobs, for a body that is not asked to make sense: it refuses each file by `words`, if any."""

    def __init__(self, words: str) -> None:
        self.words = words

    async def resolved(self, asked: JobRequest) -> JobRequest:
        return asked

    def command(self, asked: JobRequest, sent: Source | None) -> CreateJob:
        if asked.operation == "fly":
            raise invalid("there is no such operation")
        return CreateJob(job_id="j1", operation=asked.operation, dataset="people", source=sent or Source())

    def allowance(self, command: CreateJob) -> Allowance:
        return UNBOUNDED

    def look(self, command: CreateJob, head: bytes, whole: bool) -> Seen:
        if self.words:
            raise ApiError(400, self.words)
        return Seen()


def receive(
    root: Path, body: bytes, step: int = 1000, *, hang_up: bool = False, refuse: str = "", sent: list[int] | None = None
) -> Source | None:
    """The file of a body, once it is kept; `sent` grows by the number of bytes of each chunk."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), step):
            if sent is not None:
                sent.append(step)
            yield body[start : start + step]
        if hang_up:
            raise ClientDisconnect

    mark(root)

    async def run() -> Source | None:
        async with Upload(root, "j1", 2**30) as upload:
            form = JobForm(cast(Any, Refusing(refuse)), upload)
            await receive_parts(chunks(), b"XX", form.begin)
            form.end()
            if not upload.begun:
                return None
            async with upload.kept() as source:
                return source

    return asyncio.run(run())


def files(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.name != MARKER]


@pytest.mark.parametrize("file_first", [False, True])
@pytest.mark.parametrize("step", [1, 7, 4096, 10**7])
def test_parts_come_in_any_order_and_chunks(tmp_path: Path, file_first: bool, step: int) -> None:
    data = b"a,b\r\n1,2\r\n--X\r\n" * (3 if step < 10 else 100_000)
    parts = [part("job", JOB), part("file", data, "a b.csv")]
    source = receive(tmp_path, form(*(reversed(parts) if file_first else parts)), step)
    assert source is not None
    assert (tmp_path / "sources/j1/a_b.csv").read_bytes() == data
    assert (source.name, source.path, source.bytes) == ("a b.csv", "sources/j1/a_b.csv", len(data))
    assert (source.sha256, source.lines) == (hashlib.sha256(data).hexdigest(), data.count(b"\n"))
    assert files(tmp_path / "sources/j1") == ["a_b.csv"]


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_come_out_as_they_went_in(data: bytes, step: int) -> None:
    reader = FormReader(b"XX")
    body = form(part("file", data, "f"))
    events = [event for start in range(0, len(body), step) for event in reader.feed(body[start : start + step])]
    reader.close()
    if b"\r\n--XX" not in data:
        assert b"".join(getattr(event, "data", b"") for event in events) == data


@pytest.mark.parametrize("hang_up", [False, True])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.999])
def test_a_body_cut_off_leaves_nothing(tmp_path: Path, share: float, hang_up: bool) -> None:
    body = form(part("job", JOB), part("file", b"x" * 3_000_000, "a.csv"))
    with pytest.raises(ApiError, match="broke off"):
        receive(tmp_path, body[: int(len(body) * share)], 65536, hang_up=hang_up)
    assert [name for name in files(tmp_path) if name.endswith(("csv", "part"))] == []


def test_a_refused_header_leaves_nothing_and_ends_the_upload(tmp_path: Path) -> None:
    body = form(part("job", JOB), part("file", b"x" * 100_000_000, "a.csv"))
    sent: list[int] = []
    with pytest.raises(ApiError, match="no such column"):
        receive(tmp_path, body, 65536, refuse="no such column", sent=sent)
    assert files(tmp_path) == ["sources"]
    assert sum(sent) < 50_000_000, "it is read on for a while, so that the client sees the answer"


def test_a_refused_job_costs_no_upload(tmp_path: Path) -> None:
    body = form(part("job", b'{"operation":"fly"}'), part("file", b"x" * 100_000_000, "a.csv"))
    sent: list[int] = []
    with pytest.raises(ApiError, match="no such operation"):
        receive(tmp_path, body, 65536, sent=sent)
    assert files(tmp_path) == [], "nothing of it was written"
    assert sum(sent) < 50_000_000


@pytest.mark.parametrize(
    ("error", "stays"),
    [(invalid("refused"), False), (unavailable("who knows"), True), (asyncio.CancelledError(), True), (None, True)],
)
def test_a_kept_file_goes_if_its_command_is_refused_and_stays_if_it_may_be_in_the_log(
    tmp_path: Path, error: BaseException | None, stays: bool
) -> None:
    async def run() -> None:
        mark(tmp_path)
        async with Upload(tmp_path, "j1", 2**30) as upload:
            part = upload.begin("a.csv")
            await part.take(b"a,b\n")
            await part.end()
            async with upload.kept():
                if error is not None:
                    raise error

    with suppress(ApiError, asyncio.CancelledError):
        asyncio.run(run())
    assert files(tmp_path / "sources") == (["j1", "j1/a.csv"] if stays else [])


def test_a_file_that_another_request_has_stored_stays_as_it_is(tmp_path: Path) -> None:
    async def keep(data: bytes, error: Exception | None = None) -> Source:
        mark(tmp_path)
        async with Upload(tmp_path, "j1", 2**30) as upload:
            await upload.begin("a.csv").take(data)
            await upload.end()
            async with upload.kept() as source:
                if error is not None:
                    raise error
            return source

    first = asyncio.run(keep(b"first"))
    with pytest.raises(ApiError):
        asyncio.run(keep(b"refused", invalid("refused")))
    second = asyncio.run(keep(b"second"))
    stored = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("sources/*/*")}
    assert stored == {first.path: b"first", second.path: b"second"}
    assert (first.name, second.name, first.path) == ("a.csv", "a.csv", "sources/j1/a.csv")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (form(part("job", JOB), part("job", JOB)), "twice"),
        (form(part("job", JOB), part("file", b""), part("file", b"")), "twice"),
        (form(part("other", b"{}")), "not known"),
        (form(part("file", b"x")), "'job' is missing"),
        (form(part("job", b" " * 70_000)), "larger than"),
        (b"nonsense" * 10, "can't be read"),
    ],
)
def test_odd_forms_are_refused(tmp_path: Path, body: bytes, words: str) -> None:
    with pytest.raises(ApiError, match=words):
        receive(tmp_path, body)
    assert not [name for name in files(tmp_path) if name.endswith("part")]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: SpooledFile, data: bytes) -> None:
        if self._file is None:
            original(self, b"begun")
        raise storage_problem(OSError(errno.ENOSPC, "No space left on device"))

    original = SpooledFile.write
    monkeypatch.setattr(SpooledFile, "write", full)
    with pytest.raises(ApiError, match="disk is full"):
        receive(tmp_path, form(part("job", JOB), part("file", b"x" * 3_000_000, "a.csv")), 65536)
    assert files(tmp_path) == ["sources"]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_piece_that_can_not_be_written_refuses_the_file_whatever_comes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """It is written while more arrives, or, if it is the last one, when nothing more does."""
    written: list[int] = []

    def full(self: SpooledFile, data: bytes) -> None:
        written.append(len(data))
        if len(written) > failing:
            raise storage_problem(OSError(errno.ENOSPC, "No space left on device"))
        original(self, data)

    original = SpooledFile.write
    monkeypatch.setattr(SpooledFile, "write", full)
    with pytest.raises(ApiError, match="disk is full"):
        receive(tmp_path, form(part("job", JOB), part("file", b"x" * 2_500_000, "a.csv")), 65536)
    assert len(written) == failing + 1
    assert files(tmp_path / "sources") == []


def test_a_request_that_ends_while_a_piece_is_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung_up = threading.Event()

    def late(self: SpooledFile, data: bytes) -> None:
        assert hung_up.wait(PATIENCE)
        original(self, data)

    original = SpooledFile.write
    monkeypatch.setattr(SpooledFile, "write", late)

    async def run() -> None:
        mark(tmp_path)
        async with Upload(tmp_path, "j1", 2**30) as upload:
            upload.begin("a.csv")
            await upload.take(b"x" * 2_000_000)
            await asyncio.sleep(0)
            hung_up.set()
            raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        asyncio.run(run())
    assert files(tmp_path / "sources") == []


def test_boundaries() -> None:
    assert boundary_of("multipart/form-data; boundary=XX") == b"XX"
    assert boundary_of("application/json") is None
    with pytest.raises(ApiError):
        boundary_of("multipart/form-data")


@pytest.mark.parametrize(
    ("name", "safe"),
    [("../../etc/passwd", "passwd"), ("C:\\x\\ä b.csv", "_b.csv"), (None, "upload.csv"), ("..", "upload.csv")],
)
def test_names_lead_nowhere_else(name: str | None, safe: str) -> None:
    assert safe_name(name) == safe
