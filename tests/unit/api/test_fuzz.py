"""Whatever is sent to whichever route: it is answered, and never with a fault of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route
from starlette.testclient import TestClient

from api.app import routes
from tests.support.api.stub import make_job, stub

ROUTES = [
    *sorted((route.path, method) for route in routes() if isinstance(route, Route) for method in route.methods or ()),
    *((path, method) for path in ("/static/page.css", "/static/{job_id}") for method in ("GET", "HEAD", "POST")),
]
DIGITS = st.integers(1, 7000).map(lambda many: "9" * many)
LATIN = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60)
ODD = st.one_of(
    LATIN,
    DIGITS,
    st.sampled_from(
        ["nan", "-1", "1e999", "bytes=0-", 'a="\\\\"', "sluice_session=\xe9.1", "[", "http://[", "same-origin", "true"]
    ),
    st.sampled_from(
        ["application/json", "text/csv", "multipart/form-data; boundary=X", "application/x-www-form-urlencoded"]
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "content-type",
            "cookie",
            "range",
            "if-range",
            "if-none-match",
            "origin",
            "host",
            "accept",
            "hx-request",
            "sec-fetch-site",
            "authorization",
            "x-api-key",
            "idempotency-key",
            "expect",
            "x-forwarded-for",
        ]
    ),
    ODD,
    max_size=5,
)
PARAMETERS = ["limit", "after", "wait", "state", "operation", "organisation", "key", "reason", "seen", "next"]
QUERY = st.lists(
    st.tuples(st.sampled_from(PARAMETERS), ODD),
    max_size=4,
)
BODY = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(
        [
            b"[" * 5000,
            b'{"options":' * 2000,
            b'{"rows_per_second":1e400}',
            b'{"rows":' + b"9" * 5000 + b"}",
            b'{"operation":"upload","dataset":"people","file":"/\\u0000"}',
            b"key=%ff&rows_per_second=" + b"9" * 5000,
            b"--X\r\n\r\n--X--\r\n",
            b'--X\r\nContent-Disposition: form-data; name="file"; filename="\xff"\r\n\r\n,,\r\n--X--\r\n',
            b'--X\r\nContent-Disposition: form-data; name="job"\r\n\r\n[[[\r\n--X--\r\n',
            b"name,sluice_row\na," + b"9" * 6000 + b"\n",
        ]
    ),
)


class _Served:
    def __init__(self, client: TestClient, job_id: str) -> None:
        self.client = client
        self.job_id = job_id


@pytest.fixture(scope="module", params=[True, False], ids=["with keys", "without keys"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Served]:
    home: Path = tmp_path_factory.mktemp("fuzz")
    app, _ = stub(home, import_folders=str(home))
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        job_id = make_job(client).json()["id"]
        if request.param:
            app.state.services.settings = app.state.services.settings.model_copy(update={"api_require_key": True})
        yield _Served(client, job_id)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_is_a_fault_of_the_api(served: _Served, data: st.DataObject) -> None:
    path, method = data.draw(st.sampled_from(ROUTES))
    if path.endswith("/watch"):
        return  # it answers for as long as the job lives
    text = path.replace("{job_id}", served.job_id if data.draw(st.booleans()) else data.draw(st.sampled_from(_IDS)))
    headers = {name: value.encode("latin-1") for name, value in data.draw(HEADERS).items()}
    if data.draw(st.booleans()):
        headers.setdefault("x-api-key", b"secret")
    if data.draw(st.booleans()):
        headers["host"] = b"testserver"
    sent: dict[str, Any] = {"headers": headers, "params": data.draw(QUERY)}
    if method not in ("GET", "HEAD"):
        sent["content"] = data.draw(BODY)
    answer = served.client.request(method, text, **sent)
    # Of the stubs Elasticsearch does not answer: 503 is theirs.
    assert answer.status_code < 500 or answer.status_code == 503, (method, text, sent, answer.text)


_IDS = ["0" * 26, "%00", "%ff", "a" * 20_000, "..%2f..", "a%0d%0ab", "\u2603"]
