"""A new job of another job's stored file, with other options: ``source: {"job": ID}``."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from runtime.files.shared_folder import MARKER
from tests.support.api.stub import PEOPLE, ROW, StubLog, complete, make_job, stub

Served = tuple[TestClient, StubLog, Path]
OTHERS = b"Name,Mail,Ring,Country,Color,created_at\n" + ROW
MAPPED = {"Mail": "email", "Ring": "phone", "Color": "favorite_color"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log, tmp_path / "storage"


def ended(served: Served, body: bytes = PEOPLE + ROW, **job: Any) -> str:
    client, log, _ = served
    answer = make_job(client, body, **job)
    assert answer.status_code == 201, answer.text
    complete(log, answer.json()["id"])
    return str(answer.json()["id"])


def again(served: Served, job_id: str, **job: Any) -> Any:
    return served[0].post("/v1/jobs", json={"source": {"job": job_id}, **job})


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != MARKER)


def test_the_stored_file_is_read_with_the_options_that_are_given(served: Served) -> None:
    first = ended(served, OTHERS, organisation="acme", options={"columns": MAPPED, "max_errors": "5%"})
    wrong = {**MAPPED, "Ring": "email", "Mail": "phone"}
    answer = again(served, first, options={"columns": wrong, "if_same": "allow"}, reason="exchanged")
    job = answer.json()
    assert (answer.status_code, job["operation"], job["dataset"], job["organisation"], job["reason"]) == (
        201, "upload", "people", "acme", "exchanged",
    )  # fmt: skip
    assert job["options"] == {"columns": wrong, "max_errors": "5%", "if_same": "allow"}
    assert job["source"]["columns"]["Ring"] == "email"
    before = served[0].get(f"/v1/jobs/{first}").json()["source"]
    assert {**job["source"], "columns": None} == {**before, "columns": None}
    assert files(served[2]) == ["people.csv"], "nothing is stored twice"


def test_it_is_the_same_file_and_refused_as_one(served: Served) -> None:
    first = ended(served, options={"if_same": "allow"})
    refused = again(served, first)
    assert (refused.status_code, refused.json()["error"]["details"]["job_id"]) == (409, first)
    assert again(served, first, options={"dry_run": True}).status_code == 201


def test_a_dry_run_is_not_taken_over(served: Served) -> None:
    tried = ended(served, options={"dry_run": True, "if_busy": "queue"})
    job = again(served, tried).json()
    assert (job["state"], job["options"]) == ("RUNNING", {})


def test_an_option_can_be_taken_back(served: Served) -> None:
    first = ended(served, options={"max_errors": 5, "raw": True, "dry_run": True})
    job = again(served, first, options={"max_errors": None, "raw": False}).json()
    assert job["options"] == {}


def test_what_was_sent_compressed_can_be_read_in_another_way(served: Served) -> None:
    sent = gzip.compress("name,email,phone,country,favorite_color\nJürg,a@b.de,+31201234567,NL,blue\n".encode("cp1252"))
    first = ended(served, sent, options={"encoding": "latin-1", "dry_run": True})
    refused = again(served, first, options={"encoding": "cp1252"})
    assert (refused.status_code, "another encoding" in refused.text) == (409, True)
    job = again(served, first).json()
    before = served[0].get(f"/v1/jobs/{first}").json()["source"]
    assert (job["options"], job["source"]) == ({"encoding": "latin-1"}, before)


def test_plain_text_can_be_written_anew(served: Served) -> None:
    body = b"name;email;phone;country;favorite_color\n'A;nn';a@b.de;+31201234567;NL;blue\n"
    first = ended(served, body, options={"dry_run": True, "delimiter": ";"})
    job = again(served, first, options={"quote": "single"}).json()
    stored = next(served[2].rglob(f"{job['id']}/*")).read_bytes()
    assert b'"A;nn"' in stored
    refused = again(served, job["id"], options={"quote": "double", "dry_run": True})
    assert (refused.status_code, "another quote" in refused.text) == (409, True)
    same = again(served, job["id"], options={"dry_run": True})
    assert (same.status_code, same.json()["source"]["sha256"]) == (201, job["source"]["sha256"])


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [(b"", 410, "is not on the server any more"), (PEOPLE + ROW.replace(b"Ann", b"Bob"), 409, "has changed since")],
)
def test_a_file_that_is_not_there_as_it_was(served: Served, change: bytes, code: int, words: str) -> None:
    first = ended(served, options={"dry_run": True})
    (path,) = (path for path in served[2].rglob("people.csv"))
    path.unlink()
    if change:
        path.write_bytes(change)
    refused = again(served, first)
    assert (refused.status_code, words in refused.text) == (code, True), refused.text
    page = served[0].get(f"/jobs/{first}/again")
    assert (page.status_code, words in page.text) == (code, True)


def test_what_can_not_be_read_again(served: Served) -> None:
    client = served[0]
    inbox = client.post("/v1/jobs", json={"operation": "upload", "dataset": "people", "source": "topic"}).json()["id"]
    for job_id, code, words in (
        (inbox, 409, "had its rows from the inbox"),
        ("0" * 16, 404, "there is no job"),
        ("../../x", 400, "does not fit"),
    ):
        refused = again(served, job_id)
        assert (refused.status_code, words in refused.text) == (code, True), refused.text
    for body, words in (
        ({"operation": "upload", "dataset": "people", "source": {}}, "source names one thing"),
        ({"dataset": "people"}, "operation is missing; use one of export, teams, upload"),
        ({"source": {"job": inbox}, "file": "/etc/passwd"}, "from one place"),
    ):
        refused = client.post("/v1/jobs", json=body)
        assert (refused.status_code in (400, 409), words in refused.text) == (True, True), refused.text


def test_the_page_has_a_form_with_what_the_job_had(served: Served) -> None:
    client = served[0]
    first = ended(served, OTHERS, options={"columns": MAPPED, "skip_lines": 0, "dry_run": True, "comment": "#"})
    assert f'href="/jobs/{first}/again"' in client.get(f"/jobs/{first}").text
    page = client.get(f"/jobs/{first}/again").text
    assert "Column of the dataset for Ring" in page and '<option value="=phone" selected>' in page
    assert "&#34;Ring&#34;:&#34;phone&#34;" in page and 'name="comment" value="#"' in page
    own = {"origin": "http://testserver", "host": "testserver"}
    table = client.post(f"/jobs/{first}/columns", files={"columns": (None, '{"Ring": null}')}, headers=own)
    assert "Missing: phone" in table.text
    fields = {"columns": '{"Ring": null}', "reason": "mended"}
    answer = client.post(f"/jobs/{first}/again?key=k", data=fields, headers=own)
    assert (answer.status_code, "missing: phone" in answer.text) == (400, True)
    fields["columns"] = '{"Mail": "email", "Ring": "phone", "Color": "favorite_color"}'
    answer = client.post(f"/jobs/{first}/again?key=k", data=fields, headers=own)
    assert answer.status_code == 303, answer.text
    job = client.get(f"/v1{answer.headers['location']}").json()
    assert (job["reason"], job["options"]) == ("mended", {"columns": MAPPED})
