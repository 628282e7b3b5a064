"""Files as people write them: compressed, in other encodings, with lines in front. What a caller sees of it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.uploads import unpacking
from runtime.files.shared_folder import MARKER
from schemas.messages.commands import CreateJob, RetryErrors
from tests.support.api.pages import HTMX
from tests.support.api.stub import PEOPLE, ROW, StubLog, complete, make_job, rest, stub
from tests.support.api.world import CORRECTED, World

Served = tuple[TestClient, StubLog]
GERMAN = "Jürgen;jürgen@example.org;+31201234567;Österreich;blue;2026-01-01T00:00:00Z\n"
SEMICOLONS = PEOPLE.replace(b",", b";").decode() + GERMAN


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path, import_folders=str(tmp_path / "import"))
    (tmp_path / "import").mkdir()
    with TestClient(app) as client:
        yield client, log


def last(log: StubLog) -> CreateJob:
    command = log.sent[-1]
    assert isinstance(command, CreateJob)
    return command


def files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    return sorted(path.name for path in found if path.suffix != ".key")


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("people.csv", data)
    return file.getvalue()


def test_the_job_tells_of_both_files(served: Served, tmp_path: Path) -> None:
    client, log = served
    sent = zipped(SEMICOLONS.encode("cp1252"))
    made = make_job(client, sent, options={"encoding": "CP-1252"}).json()
    text = SEMICOLONS.encode()
    assert (made["source"]["bytes"], made["source"]["sha256"]) == (len(sent), hashlib.sha256(sent).hexdigest())
    assert made["source"]["format"] == {
        "compression": "zip", "encoding": "cp1252", "delimiter": ";", "skip_lines": 0, "comment": None,
        "stored_bytes": len(text), "stored_sha256": hashlib.sha256(text).hexdigest(),
    }  # fmt: skip
    source = last(log).source
    assert (tmp_path / "storage" / str(source.path)).read_bytes() == text
    assert (source.bytes, source.sha256, source.lines) == (len(text), hashlib.sha256(text).hexdigest(), 2)
    assert files(tmp_path / "storage") == ["people.csv"], "the archive is not kept"
    page = client.get(f"/jobs/{made['id']}", headers=HTMX).text
    assert "<dt>Format</dt><dd>zip, cp1252, delimiter ;</dd>" in page


@pytest.mark.parametrize("pack", [gzip.compress, zipped, lambda data: data])
def test_a_form_may_have_its_file_first(served: Served, pack: Any, tmp_path: Path) -> None:
    client, log = served
    body = SEMICOLONS + GERMAN * 10_000
    job = json.dumps({"operation": "upload", "dataset": "people", "options": {"encoding": "cp1252"}})
    parts = [("file", ("p.csv", pack(body.encode("cp1252")))), ("job", (None, job, "application/json"))]
    answer = client.post("/v1/jobs", files=parts)
    assert answer.status_code == 201, answer.text
    assert (tmp_path / "storage" / str(last(log).source.path)).read_text(encoding="utf-8") == body
    assert files(tmp_path / "storage") == ["p.csv"]


def test_a_repeat_is_the_same_request_and_other_options_are_not(served: Served) -> None:
    client, log = served
    sent = gzip.compress(SEMICOLONS.encode("cp1252"))
    first, again, other = (
        make_job(client, sent, key="k", options={"encoding": encoding}) for encoding in ("cp1252", "cp1252", "latin-1")
    )
    assert (first.status_code, again.json()["id"], other.status_code) == (201, first.json()["id"], 422)
    assert len(log.sent) == 1


def test_a_file_of_an_import_folder_is_read_in_its_place_only_if_it_is_plain(served: Served, tmp_path: Path) -> None:
    client, log = served
    body = b"About people\n#\n" + PEOPLE + ROW
    for name, data in (("a.csv", body), ("a.csv.gz", gzip.compress(body))):
        (tmp_path / "import" / name).write_bytes(data)
        options = {"dry_run": True, "skip_lines": 1, "comment": "hash"}
        job = {"operation": "upload", "dataset": "people", "file": str(tmp_path / "import" / name), "options": options}
        answer = client.post("/v1/jobs", json=job)
        assert answer.status_code == 201, answer.text
        source = last(log).source
        assert source.format and (source.format.skip_lines, source.format.comment) == (1, "#")
        assert answer.json()["source"]["bytes"] == len(data)
    plain, unpacked = (command.source for command in log.sent if isinstance(command, CreateJob))
    assert plain.path == str(tmp_path / "import" / "a.csv")
    assert (tmp_path / "storage" / str(unpacked.path)).read_bytes() == body


def test_what_a_compressed_file_unpacks_to_is_bounded(tmp_path: Path) -> None:
    app, log = stub(tmp_path, unpacked_bytes=2 * 1024**2)
    body = PEOPLE + b"".join(ROW.replace(b"Ann", b"Ann%d" % number) for number in range(40_000))
    with TestClient(app) as client:
        assert make_job(client, gzip.compress(body[: 1024**2])).status_code == 201
        for sent in (gzip.compress(body), zipped(body)):
            answer = make_job(client, sent)
            assert answer.status_code == 413
            assert "unpacks to more than 2,097,152 bytes (SLUICE_UNPACKED_BYTES)" in answer.json()["error"]["message"]
    assert (len(log.sent), len(files(tmp_path / "storage"))) == (1, 1)


@pytest.mark.parametrize("change", [{"compression": zipfile.ZIP_BZIP2}, {"entries": 20_000}])
def test_a_zip_that_could_take_much_memory_is_refused(served: Served, change: dict[str, int]) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", change.get("compression", zipfile.ZIP_STORED)) as archive:
        for number in range(change.get("entries", 1)):
            archive.writestr(f"{number:050}", PEOPLE)
    answer = make_job(served[0], file.getvalue())
    assert (answer.status_code, "can't be unpacked" in answer.text) == (400, True)


def test_gzip_is_unpacked_whatever_the_pieces_it_comes_in() -> None:
    body = (PEOPLE + ROW) * 500
    sent = gzip.compress(body[:900]) + gzip.compress(b"") + gzip.compress(body[900:]) + bytes(100)
    for step in (1, 7, 1000, len(sent)):
        gunzip = unpacking.Gunzip(unpacking.Bounds(10**9))
        pieces = [piece for at in range(0, len(sent), step) for piece in gunzip.feed(sent[at : at + step])]
        assert b"".join([*pieces, *gunzip.end()]) == body


QUERY = (
    "?operation=upload&dataset=people&organisation=acme&max_errors=5&rows_per_second=2.5&dry_run=true&encoding=cp1252"
)


def test_a_form_with_only_a_file_takes_the_rest_from_the_query(served: Served) -> None:
    client, _ = served
    parts = [("file", ("p.csv", SEMICOLONS.encode("cp1252")))]
    answer = client.post(f"/v1/jobs{QUERY}&delimiter=%3B", files=parts)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["organisation"], answer.json()["operation"]) == ("acme", "upload")
    assert answer.json()["options"] == {
        "dry_run": True, "max_errors": 5, "rows_per_second": 2.5, "encoding": "cp1252", "delimiter": ";",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?operation=upload&dataset=people&odd=1", "the parameter 'odd' is not known; use operation, dataset"),
        ("?operation=upload&operation=teams", "the parameter 'operation' comes twice"),
        ("?dataset=people", "operation"),
        ("?operation=upload&dataset=people&dry_run=yes", "dry_run"),
        ("?operation=upload&dataset=people&skip_lines=x", "skip_lines"),
        ("", "the part 'job' is missing"),
    ],
)
def test_what_can_not_be_in_a_query(served: Served, query: str, words: str) -> None:
    client, log = served
    answer = client.post(f"/v1/jobs{query}", files=[("file", ("p.csv", PEOPLE + ROW))])
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (400, True), answer.text
    assert not log.sent


def test_a_job_is_said_in_the_query_or_in_the_body(served: Served) -> None:
    client, log = served
    job = {"operation": "upload", "dataset": "people", "source": "topic"}
    for more in ({"json": job}, {"files": [("job", (None, json.dumps(job))), ("file", ("p.csv", PEOPLE))]}):
        answer = client.post(f"/v1/jobs{QUERY}", **more)  # type: ignore[arg-type]
        assert (answer.status_code, "query" in answer.text) == (400, True), answer.text
    assert not log.sent


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoding": "klingon"}, "encoding 'klingon' is not known; use a name such as cp1252"),
        ({"encoding": "base64"}, "encoding 'base64' is not known"),
        ({"encoding": "idna"}, "encoding 'idna' is not known"),
        ({"encoding": "x" * 41}, "encoding"),
        ({"delimiter": "ab"}, "delimiter 'ab' can't be used"),
        ({"delimiter": "a"}, "delimiter 'a' can't be used"),
        ({"delimiter": '"'}, "can't be used"),
        ({"delimiter": "\n"}, "can't be used"),
        ({"comment": "ü"}, "comment 'ü' can't be used"),
        ({"comment": ";", "delimiter": "semicolon"}, "have to be different characters"),
        ({"escape": '"'}, "have to be different characters"),
        ({"quote": ","}, "have to be different characters"),
        ({"quote": "quoted"}, "quote 'quoted' can't be used"),
        ({"escape": "none"}, "escape 'none' can't be used"),
        ({"skip_lines": -1}, "skip_lines"),
        ({"skip_lines": 1001}, "skip_lines"),
    ],
)
def test_what_can_not_be_asked_of_a_format(served: Served, options: dict[str, Any], words: str) -> None:
    client, log = served
    answer = make_job(client, options=options)
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (400, True), answer.text
    topic = {"operation": "upload", "dataset": "people", "source": "topic", "options": options}
    assert client.post("/v1/jobs", json=topic).status_code == 400
    assert not log.sent


def test_a_start_has_the_format_of_its_dry_run(served: Served) -> None:
    client, log = served
    options = {"dry_run": True, "encoding": "cp1252", "skip_lines": 1}
    tried = make_job(client, b"x\n" + SEMICOLONS.encode("cp1252"), options=options).json()
    complete(log, tried["id"])
    refused = client.post(f"/v1/jobs/{tried['id']}/start", json={"options": {"delimiter": ","}})
    assert (refused.status_code, "leave delimiter out" in refused.text) == (400, True)
    real = client.post(f"/v1/jobs/{tried['id']}/start", json={"options": {}}).json()
    assert real["source"] == tried["source"]
    assert real["options"] == {"encoding": "cp1252", "skip_lines": 1}


def test_corrected_rows_may_be_compressed_or_utf_16(tmp_path: Path) -> None:
    world = World(tmp_path)
    for sent in (gzip.compress(CORRECTED), zipped(CORRECTED), CORRECTED.decode().encode("utf-16")):
        answer = world.ask("retryErrors", world.fitting_job("retryErrors"), content=sent)
        assert answer.status_code == 202, answer.text
        assert answer.json()["retry"]["sha256"] == hashlib.sha256(sent).hexdigest()
        command = world.log.sent[-1]
        assert isinstance(command, RetryErrors)
        assert (tmp_path / "storage" / str(command.source.path)).read_bytes() == CORRECTED
        rest(world.log, command.job_id)
        world.start(home=tmp_path)
    world.open.close()


@pytest.mark.parametrize(
    ("sent", "fields", "words"),
    [
        (gzip.compress(SEMICOLONS.encode()), {}, "Jürgen"),
        (SEMICOLONS.encode("cp1252"), {"encoding": "cp1252"}, "Jürgen"),
        (SEMICOLONS.encode("utf-16"), {}, "Jürgen"),
        (b"a\n#b\n" + SEMICOLONS.encode(), {"skip_lines": "1", "comment": "#"}, "Jürgen"),
        (SEMICOLONS.encode(), {"encoding": "klingon"}, "is not known"),
        (SEMICOLONS.encode("cp1252").replace(b"name", b"n\xe4me"), {}, "it may be cp1252"),
        (gzip.compress(SEMICOLONS.encode())[:-5], {}, "breaks off"),
        (zipped(SEMICOLONS.encode()), {}, "known once it has been sent"),
    ],
)
def test_the_table_of_columns_is_made_of_what_will_be_read(
    served: Served, sent: bytes, fields: dict[str, str], words: str
) -> None:
    texts = {"dataset": "people", "columns": "", "whole": "on", **fields}
    parts: list[Any] = [(name, (None, value)) for name, value in texts.items()]
    answer = served[0].post("/columns", files=[*parts, ("file", ("f.csv", sent))], headers=HTMX)
    assert (answer.status_code, words in answer.text) == (200, True), answer.text


def test_the_form_of_the_page_has_the_same_options(served: Served) -> None:
    client, log = served
    texts = {"dataset": "people", "organisation": "acme", "encoding": "cp1252", "delimiter": "semicolon",
             "skip_lines": "1", "comment": ""}  # fmt: skip
    parts: list[Any] = [(name, (None, value)) for name, value in texts.items()]
    body = b"Title\n" + SEMICOLONS.encode("cp1252")
    answer = client.post("/start/upload?key=k", files=[*parts, ("file", ("p.csv", body, "text/csv"))], headers=HTMX)
    assert answer.status_code == 204, answer.text
    options = last(log).options
    assert (options.encoding, options.delimiter, options.skip_lines) == ("cp1252", "semicolon", 1)


def test_many_small_members_of_a_gzip_come_as_few_pieces() -> None:
    """Each piece is looked at from its beginning by what comes behind: a byte at a time that would take hours."""
    member = gzip.compress(b"x")
    gunzip = unpacking.Gunzip(unpacking.Bounds(10**9))
    assert list(gunzip.feed(member * 20_000)) == [b"x" * 20_000]
