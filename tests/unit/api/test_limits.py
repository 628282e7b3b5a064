"""Limits at the API: what is too large or too much is refused with the limit's name, and nothing is left of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from api.jobs.limits import CONNECTION_LIMITS
from api.principals.caller import Caller
from api.web.request_rates import RequestRates
from csvfile.line_lengths import LineLengths
from runtime.files.shared_folder import MARKER
from schemas.policies.quotas import LIMITS
from tests.support.api.stub import PEOPLE, ROW, StubLog, make_job, stub
from tests.support.api.world import EXPORT, RowErrors

Served = tuple[TestClient, StubLog, Path]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts an API whose limits are those given, for the organisation acme alone."""
    with ExitStack() as open_apps:

        def start(**values: Any) -> Served:
            text = msgspec.json.encode({"organisations": {"acme": values}}).decode()
            app, log = stub(
                tmp_path, limits=text, import_folders=str(tmp_path), elasticsearch=RowErrors(), draft_hours=1e6
            )
            client = open_apps.enter_context(TestClient(app, raise_server_exceptions=False))
            return client, log, tmp_path / "storage"

        yield start


def stored(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != MARKER]


def refused(answer: Response, code: int, limit: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["details"].get("limit")) == (code, limit), answer.text
    assert "acme" in error["message"] and f"limit {limit}" in error["message"]
    assert (answer.headers.get("retry-after") is not None) == (code == 429)


def draft(client: TestClient) -> str:
    source = {"upload": "people.csv"}
    job = {"operation": "upload", "dataset": "people", "organisation": "acme", "source": source}
    return str(client.post("/v1/jobs", json=job).json()["id"])


def append(client: TestClient, job_id: str, offset: int, data: bytes) -> Response:
    return client.patch(f"/v1/jobs/{job_id}/file", content=data, headers={"Upload-Offset": str(offset)})


def test_what_comes_for_drafts_counts_before_they_start(serve: Callable[..., Served]) -> None:
    client, _, folder = serve(stored_bytes=1000, body_bytes=900)
    first, second = draft(client), draft(client)
    file = PEOPLE + ROW * 10
    assert append(client, first, 0, file).status_code == 204
    used = {limit["name"]: limit["used"] for limit in client.get("/v1/limits?organisation=acme").json()["limits"]}
    assert used["stored_bytes"] == len(file)
    refused(append(client, second, 0, PEOPLE + ROW * 5), 413, "stored_bytes")
    refused(append(client, first, len(file), ROW * 20), 413, "body_bytes")
    assert sum(path.stat().st_size for path in stored(folder)) <= 1000
    assert client.post(f"/v1/jobs/{second}/terminate").status_code == 202
    assert append(client, first, len(file), ROW).status_code == 204
    assert client.post(f"/v1/jobs/{first}/start").status_code == 200


def test_an_organisation_keeps_so_many_mappings_and_may_replace_each(serve: Callable[..., Served]) -> None:
    client, _, _ = serve(mappings=4)
    body = {"dataset": "people", "columns": {"Name": "name"}}
    refused(client.put("/v1/mappings/none?organisation=acme", json=body), 429, "mappings")
    assert client.put("/v1/mappings/known?organisation=acme", json=body).status_code == 200
    assert client.put("/v1/mappings/none?organisation=other", json=body).status_code == 200
    limits = client.get("/v1/limits?organisation=acme").json()["limits"]
    (shown,) = [limit for limit in limits if limit["name"] == "mappings"]
    assert (shown["used"], shown["most"], shown["status"]) == (4, 4, 429)


QUOTED = PEOPLE + ROW.replace(b"Ann", b'"A\nn\nn"')
FILES: dict[str, tuple[dict[str, Any], bytes, bool]] = {
    "bytes of the body": ({"body_bytes": 500}, PEOPLE + ROW * 10, False),
    "bytes just fit": ({"body_bytes": len(PEOPLE + ROW * 10)}, PEOPLE + ROW * 10, True),
    "bytes in storage": ({"stored_bytes": 500}, PEOPLE + ROW * 10, False),
    "rows": ({"rows": 9}, PEOPLE + ROW * 10, False),
    "rows just fit": ({"rows": 10}, PEOPLE + ROW * 10, True),
    "lines are not rows": ({"rows": 1}, QUOTED, True),
    "columns": ({"columns": 5}, PEOPLE + ROW, False),
    "columns just fit": ({"columns": 6}, PEOPLE + ROW, True),
    "characters of a name": ({"field_characters": 12}, PEOPLE + ROW, False),
    "bytes of a line": ({"line_bytes": 90}, PEOPLE + ROW + ROW.replace(b"Ann", b"A" * 50), False),
    "bytes of a line just fit": ({"line_bytes": len(ROW) - 1}, PEOPLE + ROW * 3, True),
    "bytes of the last line": ({"line_bytes": 90}, PEOPLE + ROW + ROW.replace(b"Ann", b"A" * 50).strip(), False),
}


@pytest.mark.parametrize("which", FILES)
@pytest.mark.parametrize("file_first", [False, True], ids=["job first", "file first"])
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "zip"])
def test_a_file_that_exceeds_a_limit_makes_no_job_and_leaves_nothing(
    serve: Callable[..., Served], which: str, file_first: bool, zipped: bool
) -> None:
    limits, body, fits = FILES[which]
    client, log, folder = serve(**limits)
    if zipped and "body_bytes" in limits:
        return  # it is the archive that is sent
    if zipped:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as made:
            made.writestr("people.csv", body)
        body = archive.getvalue()
    job = (None, '{"operation": "upload", "dataset": "people", "organisation": "acme"}', "application/json")
    parts: list[Any] = [("job", job), ("file", ("people.csv", body, "text/csv"))]
    answer = client.post("/v1/jobs", files=parts[::-1] if file_first else parts)
    if fits:
        assert answer.status_code == 201, answer.text
        return
    refused(answer, 413, next(iter(limits)))
    assert (stored(folder), log.sent) == ([], [])
    assert make_job(client, PEOPLE + ROW * 10, organisation="other").status_code == 201


@pytest.mark.parametrize("which", FILES)
def test_a_file_of_the_server_is_held_to_the_same_limits(serve: Callable[..., Served], which: str) -> None:
    limits, body, fits = FILES[which]
    client, log, folder = serve(**limits)
    file = folder.parent / "people.csv"
    file.write_bytes(body)
    named = {"operation": "upload", "dataset": "people", "organisation": "acme", "file": str(file)}
    answer = client.post("/v1/jobs", json=named)
    unheld = {"stored_bytes", "line_bytes"} & limits.keys()  # it is not stored, and its reader refuses long rows
    if fits or unheld:
        assert answer.status_code == 201, answer.text
    else:
        refused(answer, 413, next(iter(limits)))
        assert log.sent == []


def test_a_repeat_of_what_made_a_job_is_no_new_job(serve: Callable[..., Served]) -> None:
    client, _, _ = serve(jobs_running=1, stored_bytes=len(PEOPLE + ROW) + 10)
    first = make_job(client, organisation="acme", key="k")
    again = make_job(client, organisation="acme", key="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    refused(make_job(client, organisation="acme"), 429, "jobs_running")


def test_an_export_of_too_many_rows_is_refused_before_it_begins(serve: Callable[..., Served]) -> None:
    client, log, _ = serve(export_rows=3)
    refused(client.post("/v1/jobs", json={**EXPORT, "organisation": "acme"}), 413, "export_rows")
    assert log.sent == []
    assert client.post("/v1/jobs", json={**EXPORT, "organisation": "other"}).status_code == 201


def test_event_streams_of_an_organisation_are_bounded(serve: Callable[..., Served]) -> None:
    client, _, _ = serve(event_streams=1)
    job_id = make_job(client, organisation="acme").json()["id"]
    streams = client.app.state.services.streams  # type: ignore[attr-defined]
    streams["acme"] = 1
    refused(client.get(f"/v1/jobs/{job_id}/watch"), 429, "event_streams")
    used = {limit["name"]: limit["used"] for limit in client.get("/v1/limits?organisation=acme").json()["limits"]}
    assert used["event_streams"] == 1


def test_requests_that_come_too_fast_are_told_when_to_come_again(tmp_path: Path) -> None:
    app, _ = stub(tmp_path, limits='{"requests_per_second": 0.5}')
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/v1/jobs").status_code == 200
        answer = client.get("/v1/datasets")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
        assert client.get("/healthz").status_code == 200


def test_a_bucket_holds_the_requests_of_two_seconds() -> None:
    now = 0.0
    rates = RequestRates(lambda: now)
    ours, theirs = Caller("ada", frozenset({"a"})).bucket, Caller("ada", frozenset({"b"})).bucket
    assert [rates.wait_seconds(ours, 2) for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert rates.wait_seconds(theirs, 2) == 0
    now = 0.5
    assert [rates.wait_seconds(ours, 2), rates.wait_seconds(ours, 2)] == [0, 0.5]


def test_callers_share_a_bucket_with_their_organisations_and_with_no_name_that_is_the_same() -> None:
    own = [
        Caller("acme"),
        *(Caller(name, None, vouched=how) for name in ("acme", "admin", "acme,globex") for how in ("key", "provider")),
        *(Caller("acme", frozenset(names)) for names in (["acme"], ["globex"], ["acme", "globex"])),
    ]
    assert len({caller.bucket for caller in own}) == len(own)
    assert Caller("ada", frozenset({"acme"})).bucket == Caller("bob", frozenset({"acme"}), vouched="key").bucket


def test_an_admin_of_all_who_is_called_as_an_organisation_does_not_wait_for_it(tmp_path: Path) -> None:
    app, log = stub(tmp_path, api_require_key=True, limits='{"requests_per_second": 0.5}')
    with TestClient(app, raise_server_exceptions=False) as client:
        theirs = {"X-API-Key": log.principals.key("viewer", "acme")}
        assert [client.get("/v1/principal", headers=theirs).status_code for _ in "12"] == [200, 429]
        admin = {"X-API-Key": log.principals.key("admin", name="acme")}
        assert client.get("/v1/principal", headers=admin).status_code == 200


def test_limits_are_shown_with_what_is_used(serve: Callable[..., Served]) -> None:
    client, _, _ = serve(jobs_running=7, weight=3)
    make_job(client, organisation="acme")
    shown = client.get("/v1/limits?organisation=acme").json()
    found = {limit["name"]: limit for limit in shown["limits"]}
    assert set(found) == {*LIMITS, *(name for name, *_ in CONNECTION_LIMITS)}
    assert (shown["weight"], found["jobs_running"]["most"], found["jobs_running"]["used"]) == (3, 7, 1)
    assert found["stored_bytes"]["used"] == len(PEOPLE + ROW)
    assert client.get("/v1/limits").json()["organisation"] == "default"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_long_line_is_found_in_whatever_pieces_it_comes(size: int, end: bytes) -> None:
    def found(data: bytes, most: int) -> int | None:
        lengths = LineLengths(most)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        return next((place for piece in pieces if (place := lengths.too_long(piece)) is not None), None)

    data = end.join([b"ab", b"", b"abc", b"a", b"abcd", b"b"])
    assert found(data, 4) is None
    assert found(data, 3) == data.index(b"abcd")
    assert found(data, 2) == data.index(b"abc")
    assert found(b"x" * 9, 8) == 0
    assert found(b"x" * 8 + end, 8) is None
