"""Jobs of files at an address: an S3 server and an https server on this machine, and what may not be read."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from starlette.testclient import TestClient

from tests.support.api.stub import PEOPLE, ROW, StubLog, stub
from tests.support.stubs.web_source import WebSource, web_source
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate by openssl")
FILE = PEOPLE + ROW * 3


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[Any, dict[str, Any]]]:
    """A client of an S3 server, and the API's settings for it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="incoming")
    yield (
        client,
        {
            "s3_endpoint": endpoint,
            "s3_region": "us-east-1",
            "s3_access_key_id": "key",
            "s3_secret_access_key": "secret",
        },
    )
    server.stop()


@pytest.fixture(scope="module")
def web(test_home: Path) -> Iterator[WebSource]:
    with web_source(test_home / "web-source") as source:
        yield source


@pytest.fixture
def served(tmp_path: Path, bucket: tuple[Any, dict[str, Any]], web: WebSource) -> Iterator[tuple[TestClient, StubLog]]:
    prefixes = f"s3://incoming/{{organisation}}/ {web.url}/files {web.url}/slow"
    allowed: dict[str, Any] = {"source_private_addresses": True, "source_ca_file": web.ca, "source_bytes": 1_000_000}
    app, log = stub(tmp_path, source_urls=prefixes, **allowed, **bucket[1])
    web.asked.clear()
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, log


def ask(client: TestClient, url: str, key: str | None = None, **job: Any) -> Any:
    body = {"operation": "upload", "dataset": "people", "organisation": "acme", "source": {"url": url}, **job}
    return client.post("/v1/jobs", json=body, headers={"Idempotency-Key": key} if key else {})


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["message"]


def stored(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("sources/*/*") if path.is_file()]


def test_an_object_of_a_bucket_is_stored_as_an_upload_is(
    served: tuple[TestClient, StubLog], bucket: tuple[Any, Any], tmp_path: Path
) -> None:
    client = served[0]
    bucket[0].put_object(Bucket="incoming", Key="acme/people of may.csv.gz", Body=b"x")
    packed = gzip.compress(FILE)
    bucket[0].put_object(Bucket="incoming", Key="acme/2026/people.csv.gz", Body=packed)
    job = ask(client, "s3://incoming/acme/2026/people.csv.gz").json()
    source = job["source"]
    assert (source["name"], source["url"]) == ("people.csv.gz", "s3://incoming/acme/2026/people.csv.gz")
    assert (source["sha256"], source["format"]["compression"]) == (hashlib.sha256(packed).hexdigest(), "gzip")
    assert stored(tmp_path) == [FILE]

    assert refusal(ask(client, "s3://incoming/acme/none.csv"))[0] == 400
    for url in ("s3://incoming/other/people.csv", "s3://incoming/acme-2/people.csv", "s3://else/acme/people.csv"):
        code, words = refusal(ask(client, url))
        assert (code, "is none that jobs of organisation acme may read" in words) == (403, True)
    bucket[0].put_object(Bucket="incoming", Key="acme/large.csv", Body=bytes(1_000_001))
    assert refusal(ask(client, "s3://incoming/acme/large.csv"))[0] == 413
    bucket[0].put_object(Bucket="incoming", Key="acme/teams.csv", Body=b"team,manager\na,b\n")
    assert "missing" in refusal(ask(client, "s3://incoming/acme/teams.csv"))[1]
    assert stored(tmp_path) == [FILE]


def test_a_file_of_a_web_server_is_fetched_once_for_each_key(
    served: tuple[TestClient, StubLog], web: WebSource, tmp_path: Path
) -> None:
    client = served[0]
    url = web.serve("/files/people.csv?signature=secret", FILE)
    made = ask(client, url, "k")
    assert made.status_code == 201, made.text
    assert made.json()["source"]["url"] == f"{web.url}/files/people.csv"
    assert "secret" not in made.text and made.json()["source"]["sha256"] == hashlib.sha256(FILE).hexdigest()
    assert ask(client, url, "k").json()["id"] == made.json()["id"]
    assert web.asked == ["/files/people.csv?signature=secret"]
    assert refusal(ask(client, url, "k", reason="another"))[0] == 422
    assert stored(tmp_path) == [FILE]
    form = {"organisation": (None, "acme"), "dataset": (None, "people"), "url": (None, url), "same": (None, "on")}
    own = {"origin": "http://testserver", "host": "testserver"}
    answer = client.post(
        "/start/upload?key=p", files=[*form.items(), ("queue", (None, "on")), ("file", ("", b""))], headers=own
    )
    assert (answer.status_code, f"<dd>{web.url}/files/people.csv</dd>" in answer.text) == (200, True), answer.text


def test_redirects_go_where_files_may_be_read_and_nowhere_else(
    served: tuple[TestClient, StubLog], web: WebSource
) -> None:
    client = served[0]
    web.serve("/files/end.csv", FILE)
    assert ask(client, web.redirect("/files/on.csv", "end.csv"), options={"dry_run": True}).status_code == 201
    for path, location in (
        ("/files/out.csv", "/private/people.csv"),
        ("/files/away.csv", "https://example.com/people.csv"),
        ("/files/down.csv", "http://localhost/files/end.csv"),
        ("/files/dots.csv", "/files/%2e%2e/private"),
    ):
        code, words = refusal(ask(client, web.redirect(path, location)))
        assert code in (400, 403), words
    assert "leads on more than" in refusal(ask(client, web.redirect("/files/round.csv", "round.csv")))[1]
    assert not any(path.startswith("/private") for path in web.asked)


def test_a_source_that_is_wrong_large_or_breaks_off_leaves_nothing(
    served: tuple[TestClient, StubLog], web: WebSource, tmp_path: Path
) -> None:
    client, log = served

    def breaks_off(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "5000")
        handler.end_headers()
        handler.wfile.write(FILE)

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(FILE + ROW * 50_000)

    web.answers |= {"/files/broken.csv": breaks_off, "/files/endless.csv": endless}
    assert refusal(ask(client, f"{web.url}/files/none.csv"))[0] == 400
    assert refusal(ask(client, f"{web.url}/files/broken.csv"))[0] == 503
    assert refusal(ask(client, f"{web.url}/files/endless.csv"))[0] == 413
    assert "header" in refusal(ask(client, web.serve("/files/teams.csv", b"team,manager\na,b\n")))[1]
    assert (stored(tmp_path), log.sent) == ([], [])


def test_a_slow_source_holds_up_its_own_organisation_alone(
    served: tuple[TestClient, StubLog], web: WebSource, bucket: tuple[Any, Any]
) -> None:
    client = served[0]
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def slow(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(PEOPLE)
        begun.release()
        go_on.wait(PATIENCE)
        handler.wfile.write(ROW)

    web.answers["/slow/people.csv"] = slow
    answers: list[Any] = []
    asking = [
        threading.Thread(
            target=lambda: answers.append(ask(client, f"{web.url}/slow/people.csv", options={"dry_run": True}))
        )
        for _ in range(2)
    ]
    for thread in asking:
        thread.start()
    assert begun.acquire(timeout=PATIENCE) and begun.acquire(timeout=PATIENCE)
    code, words = refusal(ask(client, web.serve("/files/people.csv", FILE)))
    assert (code, "for this organisation" in words) == (503, True)
    assert client.get("/healthz").status_code == 200
    assert ask(client, f"{web.url}/files/people.csv", organisation="else").status_code == 201
    go_on.set()
    for thread in asking:
        thread.join()
    assert [answer.status_code for answer in answers] == [201, 201]


def test_private_addresses_and_strangers_certificates_are_refused(
    tmp_path: Path, web: WebSource, bucket: tuple[Any, Any]
) -> None:
    url = web.serve("/files/people.csv", FILE)
    for more, code, words in (
        ({"source_urls": ""}, 403, "SLUICE_SOURCE_URLS"),
        ({}, 403, "private network address"),
        ({"source_private_addresses": True}, 503, "certificate verify failed"),
    ):
        web.asked.clear()
        app, _ = stub(tmp_path, **{"source_urls": web.url, **more})
        with TestClient(app, raise_server_exceptions=False) as client:
            found = refusal(ask(client, url))
            assert (found[0], words in found[1]) == (code, True), found
        assert web.asked == []
