"""What is known of a file from its first bytes, however it is compressed and written, and what that takes."""

from __future__ import annotations

import gzip
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.errors import ApiError
from api.pages.creation import columns
from api.uploads.conversion import Conversion, beginning
from api.uploads.unpacking import Bounds
from csvfile.header import HEAD_BYTES
from csvfile.layout import Text, text_by
from schemas.job import Options
from tests.support.api.stub import PEOPLE, ROW, StubLog, make_job, stub

Served = tuple[TestClient, StubLog]
HTMX = {"Sec-Fetch-Site": "same-origin", "HX-Request": "true"}
LONG = (PEOPLE + ROW * 6_000).replace(b"Ann", b"'Ann'")
"""More than a head in UTF-8, in single quotes."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path, draft_hours=1e6)  # the stub's commands are old
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, log


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "utf-16-le"])
@pytest.mark.parametrize("options", [{}, {"quote": "single"}, {"escape": "backslash"}, {"comment": "#"}])
@pytest.mark.parametrize("packed", [False, True])
def test_the_columns_are_known_from_the_bytes_that_there_are(
    encoding: str, options: dict[str, Any], packed: bool
) -> None:
    data = LONG.decode().encode(encoding)
    head = (gzip.compress(data, 1) if packed else data)[:HEAD_BYTES]
    named: dict[str, Any] = {"encoding": encoding} if encoding.endswith("le") else {}
    found = beginning(head, False, text_by(Options(**options, **named)))
    assert not found.whole
    assert found.text.startswith(PEOPLE) and len(found.text) > HEAD_BYTES // 5
    assert found.enough == (len(found.text) >= HEAD_BYTES)


def test_what_is_packed_so_densely_that_nothing_can_be_known_says_so() -> None:
    noise = random.Random(1).randbytes(HEAD_BYTES).hex().encode()
    found = beginning(gzip.compress(noise)[:1000], False, Text())
    assert (found.enough, found.whole, noise.startswith(found.text)) == (False, False, True)


@pytest.mark.parametrize("encoding", ["iso2022_jp", "hz", "utf-32", "cp1252"])
@pytest.mark.parametrize("unit", [b"\x1b(B", b"~\n", b"\0\0\0\0", b"A", b"'"])
def test_a_look_unpacks_little(encoding: str, unit: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes of it: an encoding may have bytes that make no character, and a quote may stay open."""
    unpacked = []

    def count(bounds: Bounds, size: int) -> None:
        """Without the bounds of a whole file."""
        bounds.unpacked += size
        unpacked.append(size)

    monkeypatch.setattr(Bounds, "count", count)
    start = "a,b\n'".encode(encoding)
    head = gzip.compress(start + unit * (16 * 2**20 // len(unit)), 1)
    try:
        beginning(head, True, text_by(Options(encoding=encoding, quote="single")))
    except ApiError as error:
        assert error.code == 400
    assert sum(unpacked) < 4 * 2**20


def test_a_look_is_no_work_of_the_loop_that_serves_everyone(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = served
    threads: list[str] = []

    def noted(*given: Any) -> Any:
        threads.append(threading.current_thread().name)
        return beginning(*given)

    monkeypatch.setattr(columns, "beginning", noted)
    job = make_job(client, PEOPLE + ROW).json()["id"]
    head = {"file": ("h.csv", gzip.compress(PEOPLE))}
    sent = client.post("/columns", data={"dataset": "people", "whole": "on"}, files=head, headers=HTMX)
    for_job = client.post(f"/jobs/{job}/columns", files=head, headers=HTMX)
    assert sent.status_code == for_job.status_code == 200 and len(threads) == 2
    assert all(name.startswith("look") for name in threads)


def test_a_header_that_goes_on_behind_the_first_bytes_is_no_mistake(served: Served) -> None:
    lines = b"\n" * HEAD_BYTES
    for head in ((lines + PEOPLE).decode().encode("utf-16"), PEOPLE.decode().encode("utf-16")[:20]):
        answer = served[0].post(
            "/columns", data={"dataset": "people"}, files={"file": ("h.csv", head[:HEAD_BYTES])}, headers=HTMX
        )
        assert "its columns are known once the file has been sent" in answer.text and "notice bad" not in answer.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_draft_is_taken_as_an_upload_is(encoding: str, packed: bool, served: Served) -> None:
    client, _ = served
    noise = random.Random(1).randbytes(HEAD_BYTES).hex().encode()
    data = (LONG + ROW.replace(b"Ann", b"'%b'" % noise)).decode().encode(encoding)
    data = gzip.compress(data, 1) if packed else data
    asked = {"operation": "upload", "dataset": "people", "source": {"upload": "p.csv"}, "options": {"quote": "single"}}
    job = client.post("/v1/jobs", json=asked).json()["id"]
    for at in range(0, len(data), 200_000):
        part = client.patch(f"/v1/jobs/{job}/file", content=data[at : at + 200_000], headers={"Upload-Offset": str(at)})
        assert part.status_code == 204, part.text
    assert client.post(f"/v1/jobs/{job}/start", json={}).status_code == 200


def test_gzip_gives_the_same_whatever_the_pieces_it_comes_in() -> None:
    """With zeros between members and behind the last, as programs leave them that fill blocks."""
    data = gzip.compress(b"a,b\n") + bytes(5) + gzip.compress(b"") + gzip.compress(b"1,2\n") + bytes(9)
    for step in range(1, len(data) + 1):
        conversion = Conversion(data, Text(), 2**20)
        pieces = [piece for at in range(0, len(data), step) for piece in conversion.feed(data[at : at + step])]
        assert b"".join([*pieces, *conversion.end()]) == b"a,b\n1,2\n", step


def test_what_is_no_gzip_behind_a_member_is_refused_whatever_the_pieces() -> None:
    data = gzip.compress(b"a,b\n") + bytes(3) + b"1,2\n"
    for step in range(1, len(data) + 1):
        conversion = Conversion(data, Text(), 2**20)
        with pytest.raises(ApiError, match="the gzip file is damaged"):
            for at in range(0, len(data), step):
                list(conversion.feed(data[at : at + step]))
