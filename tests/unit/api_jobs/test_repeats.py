"""A request that comes again with its key is judged by all of it, whatever has become of the file that it names."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from starlette.testclient import TestClient

from api.jobs.creation.origins import unsigned
from api.models.requests import Elsewhere, JobRequest
from api.readmodel.seen import JobSeen
from api.remote.fetching import Fetches
from api.routes.commands import ENDPOINTS
from api.uploads.upload import Upload
from control.creation.repeats import request_digest
from runtime.network.addresses import Address
from schemas.messages.codec import encode
from schemas.messages.commands import CreateJob
from tests.support.api.stub import PEOPLE, ROW, StubLog, make_job, stub

HOST = "https://reports.example.org/rows.csv"
FILE = PEOPLE + ROW * 3


@dataclass
class Place:
    """An API, and what its jobs may read."""

    client: TestClient
    log: StubLog
    folder: Path
    fetched: list[str]

    def ask(self, body: dict[str, Any], key: str = "nightly") -> Response:
        asked = {"operation": "upload", "dataset": "people", "organisation": "acme", **body}
        return self.client.post("/v1/jobs", json=asked, headers={"Idempotency-Key": key})

    def put(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def as_an_older_version_has_it(self, job_id: str) -> None:
        """Make the job one whose state and request have no origin."""
        job = self.log.live.view.jobs[job_id]
        made = next(one for one in self.log.sent if isinstance(one, CreateJob) and one.job_id == job_id)
        then = request_digest(replace(made, source=replace(made.source, origin=None)))
        older = replace(job, source=replace(job.source, origin=None), request=then)
        self.log.live.take([JobSeen(job_id, replace(older, command_offset=job.command_offset + 1))])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    fetched: list[str] = []

    async def fetch(_self: Fetches, _request: Any, address: Address, _s: Any, _o: str, upload: Upload) -> None:
        fetched.append(address.query)
        await upload.take(FILE)
        await upload.end()

    monkeypatch.setattr(Fetches, "fetch", fetch)
    folder = tmp_path / "import"
    folder.mkdir()
    app, log = stub(tmp_path, source_urls="https://reports.example.org/", import_folders=str(folder))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Place(client, log, folder, fetched)


QUERY = "day=2026-01-01&part=1"
SIGNED = [
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=1&X-Amz-Signature=%s&X-Amz-Security-Token=%s",
    "X-Goog-Credential=a%%2Fb&X-Goog-Signature=%s%s",
    "AWSAccessKeyId=A&Expires=%s&Signature=%s",
    "Expires=%s&Policy=p&Key-Pair-Id=K&Signature=%s",
    "sv=2022-11-02&se=%s&sr=b&sp=r&spr=https&sig=%s",
]


@pytest.mark.parametrize("signed", SIGNED)
def test_an_address_that_is_signed_anew_is_the_same_and_its_secret_is_nowhere(place: Place, signed: str) -> None:
    first = place.ask({"source": {"url": f"{HOST}?{QUERY}&" + signed % ("secret1", "secret2")}})
    again = place.ask({"source": {"url": f"{HOST}?" + signed % ("other1", "other2") + f"&{QUERY}"}})
    assert (first.status_code, again.status_code, again.json()["id"]) == (201, 201, first.json()["id"]), again.text
    assert len(place.fetched) == 1, "a repeat is not fetched again"
    assert b"secret" not in encode(place.log.sent[0]) and b"2026-01-01" not in encode(place.log.sent[0])


@pytest.mark.parametrize(
    "query", ["", "day=2026-01-02&part=1", "day=2026-01-01", f"{QUERY}&se=1", f"{QUERY}&expires=9"]
)
def test_an_address_with_another_query_is_another_request(place: Place, query: str) -> None:
    assert place.ask({"source": {"url": f"{HOST}?{QUERY}"}}).status_code == 201
    other = place.ask({"source": {"url": f"{HOST}?{query}"}})
    assert (other.status_code, "another place of the file" in other.text) == (422, True), other.text
    assert len(place.fetched) == 1, "what is refused is not fetched"


@given(st.lists(st.sampled_from("abcdef"), max_size=5, unique=True), st.sampled_from(SIGNED))
def test_a_query_is_the_same_wherever_its_signature_stands(names: list[str], signed: str) -> None:
    plain = [f"{name}=1" for name in names]
    for at in range(len(plain) + 1):
        assert unsigned("&".join([*plain[:at], signed % ("a", "b"), *plain[at:]])) == unsigned("&".join(plain))


def named(place: Place) -> tuple[dict[str, Any], Callable[[], None]]:
    path = place.put("a.csv", FILE)
    return {"file": path}, Path(path).unlink


def named_and_converted(place: Place) -> tuple[dict[str, Any], Callable[[], None]]:
    path = place.put("a.csv.gz", gzip.compress(FILE))
    return {"file": path}, Path(path).unlink


def replaced(place: Place) -> tuple[dict[str, Any], Callable[[], None]]:
    path = Path(place.put("a.csv", FILE))

    def replace_it() -> None:
        path.write_bytes(PEOPLE)

    return {"file": str(path)}, replace_it


def of_another_job(place: Place) -> tuple[dict[str, Any], Callable[[], None]]:
    earlier = make_job(place.client, FILE, organisation="before", key="before").json()["id"]
    stored = place.folder.parent / "storage" / (place.log.live.view.jobs[earlier].source.path or "")
    return {"source": {"job": earlier}}, stored.unlink


def of_a_job_that_has_left(place: Place) -> tuple[dict[str, Any], Callable[[], None]]:
    asked, _ = of_another_job(place)
    return asked, lambda: place.log.live.take([JobSeen(asked["source"]["job"], None)])


def at_an_address(place: Place) -> tuple[dict[str, Any], Callable[[], None]]:
    return {"source": {"url": f"{HOST}?{QUERY}"}}, place.fetched.clear


WAYS: dict[str, list[Any]] = {
    "file": [named, named_and_converted, replaced],
    "job": [of_another_job, of_a_job_that_has_left],
    "url": [at_an_address],
}
"""Field of a request that names a file -> ways in which the file goes."""


def test_every_way_to_name_a_file_is_tried() -> None:
    sent_in_parts = {"upload", "bytes"}
    assert set(WAYS) == ({"file"} & set(JobRequest.__struct_fields__)) | (
        set(Elsewhere.__struct_fields__) - sent_in_parts
    )


@pytest.mark.parametrize("way", [way for ways in WAYS.values() for way in ways])
def test_a_repeat_has_its_answer_whatever_has_become_of_the_file(place: Place, way: Any) -> None:
    asked, make_it_go = way(place)
    asked = {**asked, "reason": "as each night", "options": {"if_same": "allow", "max_errors": 7}}
    first = place.ask(asked)
    assert first.status_code == 201, first.text
    make_it_go()
    again = place.ask(asked)
    assert (again.status_code, again.json().get("id")) == (201, first.json()["id"]), again.text
    for other in ({"options": {"if_same": "allow", "max_errors": 8}}, {"reason": "another"}, {"organisation": "else"}):
        assert place.ask({**asked, **other}).status_code == 422, other
    assert not place.fetched or way is not at_an_address


CHANGES: dict[str, dict[str, Any]] = {
    "rate": {"rows_per_second": 3.5},
    "pause": {"reason": "wait"},
    "resume": {},
    "terminate": {"keep_rows": True},
    "rollback": {},
    "purge": {},
}
"""Request that changes a job -> its body."""


def test_every_request_that_changes_a_job_is_tried() -> None:
    of_other_jobs = {"start", "end", "retry-errors"}  # of drafts and dry runs, rows of the inbox, jobs with row errors
    assert {one.path.rpartition("/")[2] for one in ENDPOINTS} == CHANGES.keys() | of_other_jobs


@pytest.mark.parametrize("left", [False, True], ids=["", "that has left"])
@pytest.mark.parametrize("rate", [None, 7.0])
def test_a_repeat_has_its_answer_whatever_was_asked_of_its_job_and_of_the_other_one(
    place: Place, rate: float | None, left: bool
) -> None:
    options = {"rows_per_second": rate, "max_errors": 7}
    earlier = make_job(place.client, FILE, organisation="before", key="before", options=options).json()["id"]
    asked = {"source": {"job": earlier}, "reason": "as each night", "options": {"if_same": "allow"}}
    first = place.ask(asked)
    assert first.status_code == 201, first.text
    for job_id in (earlier, first.json()["id"]):
        for change, body in CHANGES.items():
            method = "PUT" if change == "rate" else "POST"
            changed = place.client.request(method, f"/v1/jobs/{job_id}/{change}", json=body)
            assert changed.status_code in (200, 202, 409), changed.text
            again = place.ask(asked)
            assert (again.status_code, again.json().get("id")) == (201, first.json()["id"]), (change, again.text)
    rates = [place.log.live.view.jobs[job_id].options.rows_per_second for job_id in (earlier, first.json()["id"])]
    assert rates == [3.5, 3.5]
    if left:
        place.log.live.take([JobSeen(earlier, None)])
    again = place.ask(asked)
    assert (again.status_code, again.json().get("id")) == (201, first.json()["id"]), again.text
    for more in ({"max_errors": 8}, {"rows_per_second": 9.5}):
        other = place.ask({**asked, "options": {"if_same": "allow", **more}})
        assert other.status_code == 422, (more, other.text)


@pytest.mark.parametrize("way", [named, named_and_converted, of_another_job, at_an_address])
def test_the_job_of_an_older_version_is_answered_as_long_as_its_file_is_there(place: Place, way: Any) -> None:
    asked, make_it_go = way(place)
    asked = {**asked, "options": {"if_same": "allow"}}
    first = place.ask(asked).json()["id"]
    place.as_an_older_version_has_it(first)
    again = place.ask(asked)
    assert (again.status_code, again.json().get("id")) == (201, first), again.text
    assert place.ask({**asked, "reason": "another"}).status_code == 422
    make_it_go()
    gone = place.ask(asked)
    assert gone.json().get("id", first) == first and gone.status_code in (201, 400, 410)


def test_a_file_of_another_place_is_another_request_though_its_bytes_are_the_same(place: Place) -> None:
    one, two = place.put("a.csv", FILE), place.put("b.csv", FILE)
    assert place.ask({"file": one}).status_code == 201
    assert place.ask({"file": f"{place.folder}/./a.csv"}).status_code == 201
    assert place.ask({"file": two}).status_code == 422
    sent = make_job(place.client, FILE, organisation="acme", key="nightly")
    assert sent.status_code == 422
