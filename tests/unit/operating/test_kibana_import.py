"""`sluice kibana` against a stub of Kibana: what it sends, what it says, and how it ends."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from devstack.cli import app
from kibana import importing
from kibana.catalog import FILE, saved_objects, text
from runtime.settings import settings

Json = dict[str, Any]
COUNT = len(saved_objects())
GOOD: Json = {"success": True, "successCount": COUNT, "successResults": []}


class Kibana:
    """Answers every request with the same thing, and remembers the last one."""

    def __init__(self) -> None:
        self.answer = httpx2.Response(200, json=GOOD)
        self.request: httpx2.Request | None = None
        self.error: type[httpx2.RequestError] | None = None

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        self.request = request
        if self.error is not None:
            raise self.error("refused")
        return self.answer

    @property
    def asked(self) -> httpx2.Request:
        assert self.request is not None
        return self.request


@pytest.fixture
def kibana(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kibana]:
    stub, original = Kibana(), importing.import_objects
    monkeypatch.setattr(
        importing, "import_objects", lambda settings: original(settings, httpx2.MockTransport(stub.handle))
    )
    settings.cache_clear()
    yield stub
    settings.cache_clear()


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def given(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"SLUICE_{name.upper()}", value)

    return given


def run(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["kibana", *words])
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


def refused(*errors: Json) -> httpx2.Response:
    return httpx2.Response(200, json={"success": False, "successCount": COUNT - len(errors), "errors": errors})


def test_the_file_is_sent_as_kibana_wants_it(kibana: Kibana) -> None:
    assert f"{COUNT} objects are in Kibana at http://127.0.0.1:5601" in run().stdout
    asked = kibana.asked
    assert (asked.method, str(asked.url)) == (
        "POST",
        "http://127.0.0.1:5601/api/saved_objects/_import?overwrite=true",
    )
    assert asked.headers["kbn-xsrf"] and "authorization" not in asked.headers
    assert asked.headers["content-type"].startswith("multipart/form-data")
    body = asked.read()
    assert b'name="file"; filename="sluice.ndjson"' in body and FILE.read_bytes() in body


def test_the_address_of_each_dashboard_is_told(kibana: Kibana, setting: Callable[..., None]) -> None:
    setting(kibana_url="https://kibana.example/base/", kibana_space="load team")
    assert "https://kibana.example/base/s/load%20team/app/dashboards#/view/sluice-jobs-now" in run().stdout
    assert kibana.asked.url.raw_path == b"/base/s/load%20team/api/saved_objects/_import?overwrite=true"


def test_another_prefix_has_objects_of_its_own(kibana: Kibana, setting: Callable[..., None]) -> None:
    setting(prefix="staging")
    run()
    assert b'filename="staging.ndjson"' in kibana.asked.read() and text("staging").encode() in kibana.asked.read()


def test_an_api_key_goes_before_a_user(kibana: Kibana, setting: Callable[..., None]) -> None:
    setting(kibana_username="ada", kibana_password="pass")
    run()
    assert kibana.asked.headers["authorization"] == "Basic " + base64.b64encode(b"ada:pass").decode()
    setting(kibana_api_key="aWQ6a2V5")
    settings.cache_clear()
    run()
    assert kibana.asked.headers["authorization"] == "ApiKey aWQ6a2V5"


def test_for_scripts_there_is_json(kibana: Kibana) -> None:
    done = json.loads(run("--json").stdout)
    assert (done["url"], done["imported"], done["errors"]) == ("http://127.0.0.1:5601", COUNT, [])
    assert list(done["dashboards"]) == ["Sluice: Jobs now", "Sluice: One job", "Sluice: Row errors"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            {"type": "missing_references", "references": [{"type": "index-pattern", "id": "sluice-jobs"}]},
            "lens sluice-job needs index-pattern sluice-jobs, which is not there",
        ),
        ({"type": "conflict"}, "lens sluice-job is there already"),
        ({"type": "unsupported_type"}, "lens sluice-job is of a type that this Kibana can't import"),
        ({"type": "unknown", "message": "no room", "statusCode": 500}, "lens sluice-job: no room"),
        ({"type": "unknown"}, "lens sluice-job: unknown"),
    ],
)
def test_objects_that_are_refused_are_named_with_the_reason(kibana: Kibana, error: Json, words: str) -> None:
    kibana.answer = refused({"type": "lens", "id": "sluice-job", "error": error})
    assert f"Kibana has refused 1 objects: {words}" in run(code=1).stderr
    kibana.answer = refused({"type": "lens", "id": "sluice-job", "error": error})
    result = run("--json", code=1)
    assert json.loads(result.stdout)["errors"][0].startswith(words)


def test_of_many_refused_objects_some_are_named(kibana: Kibana) -> None:
    errors = [{"type": "lens", "id": f"l{number}", "error": {"type": "unknown"}} for number in range(7)]
    kibana.answer = refused(*errors)
    assert run(code=1).stderr.rstrip().endswith("lens l4: unknown; and 2 more")


@pytest.mark.parametrize(
    ("status", "said", "code", "words"),
    [
        (401, "Unauthorized", 2, "set SLUICE_KIBANA_API_KEY"),
        (
            403,
            "Unable to bulk_create dashboard,lens",
            2,
            "does not let us import: Unable to bulk_create dashboard,lens",
        ),
        (404, "Not Found", 2, "check SLUICE_KIBANA_URL"),
        (400, "Invalid file extension .csv", 1, "refuses the objects: Invalid file extension .csv"),
        (422, "Document belongs to a more recent version", 1, "refuses the objects: Document belongs to a more"),
        (413, None, 1, "refuses the objects (413)"),
        (503, "Kibana server is not ready yet", 3, "can't work now: Kibana server is not ready yet; try again later"),
        (302, None, 2, "does not answer as Kibana does (302)"),
    ],
)
def test_a_refusal_is_told_in_words_with_its_exit_code(
    kibana: Kibana, status: int, said: str | None, code: int, words: str
) -> None:
    kibana.answer = httpx2.Response(status, json={"statusCode": status, "message": said} if said else {})
    result = run(code=code)
    assert result.stdout == "" and result.stderr.startswith("sluice: ") and words in result.stderr


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_what_is_no_kibana_is_told_of(kibana: Kibana, body: bytes) -> None:
    kibana.answer = httpx2.Response(200, content=body)
    assert "does not answer as Kibana does (200)" in run(code=2).stderr


@pytest.mark.parametrize("error", [httpx2.ConnectError, httpx2.ReadTimeout, httpx2.DecodingError])
def test_a_kibana_that_does_not_answer_is_exit_code_3(kibana: Kibana, error: type[httpx2.RequestError]) -> None:
    kibana.error = error
    assert "can't be reached (refused); is it running?" in run(code=3).stderr


@pytest.mark.parametrize("url", ["kibana:5601", "http://kibana:port", "ftp://kibana"])
def test_a_url_that_is_none_is_wrong_usage(setting: Callable[..., None], url: str) -> None:
    setting(kibana_url=url)
    settings.cache_clear()
    assert "sluice: SLUICE_KIBANA_URL: " in run(code=2).stderr
    settings.cache_clear()


def test_a_file_of_authorities_that_is_none_is_wrong_usage(
    kibana: Kibana, setting: Callable[..., None], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    for path, words in ((tmp_path / "none.pem", "No such file or directory"), (bad, "")):
        setting(kibana_ca_file=str(path))
        settings.cache_clear()
        assert f"{path} (SLUICE_KIBANA_CA_FILE) can't be used: {words}" in run(code=2).stderr
    assert kibana.request is None


def test_a_file_can_be_written_instead(kibana: Kibana, setting: Callable[..., None], tmp_path: Path) -> None:
    setting(prefix="staging")
    run("-o", str(tmp_path / "mine.ndjson"))
    assert (tmp_path / "mine.ndjson").read_text(encoding="utf-8") == text("staging")
    assert kibana.request is None
    assert "can't be written" in run("-o", str(tmp_path / "none" / "mine.ndjson"), code=1).stderr
