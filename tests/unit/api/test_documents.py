"""What Elasticsearch may answer, and may not, whatever is asked of it."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from elastic_transport import ApiResponseMeta, ConnectionTimeout, HttpHeaders, NodeConfig, SerializationError
from elasticsearch import ApiError as ElasticsearchError
from elasticsearch import BadRequestError, NotFoundError
from starlette.testclient import TestClient

from api.elastic.answer_limit import MOST_ANSWER_BYTES, AnswerTooLongError
from api.elastic.documents import Documents
from api.errors import ApiError
from api.glance.error_groups import error_groups
from api.pages.routes import PAGES
from api.routes.rest import ENDPOINTS
from processor.operations.modes.rollback.outcomes import Left, Undone
from tests.support.api.pages import OWN
from tests.support.api.stub import StubElasticsearch
from tests.support.api.world import RowErrors, World
from tests.support.places import ROOT

META = ApiResponseMeta(503, "1.1", HttpHeaders(), 0.0, NodeConfig("http", "stub", 1))
TROUBLES: dict[str, Exception] = {
    "too long": AnswerTooLongError("too long"),
    "silent": ConnectionTimeout("silent"),
    "no JSON": SerializationError("no JSON"),
    "refuses": ElasticsearchError("refused", META, {}),
    "does not understand": BadRequestError("refused", META, {}),
    "has no index": NotFoundError("no index", META, {}),
}
CLIENTS = ("elasticsearch", "elastic_transport")
KNOWING = "api/elastic/"
"""The folder that knows Elasticsearch's client."""


class Troubled(StubElasticsearch):
    """Elasticsearch, of which whatever is asked ends so."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __call__(self, *args: Any, **more: Any) -> Any:
        raise self._error


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.open.close()


# -- every way to Elasticsearch ---------------------------------------------------------------------------------------


def unguarded(source: str, name: str) -> list[str]:
    """What a module does with Elasticsearch by itself."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=str(module)) if module.startswith(CLIENTS):
                found.append(f"{name}: imports {module}")
            case ast.Import(names=names) if any(one.name.startswith(CLIENTS) for one in names):
                found.append(f"{name}: imports its client")
            case ast.Attribute(attr="_client", value=ast.Attribute(attr="documents" | "_documents")):
                found.append(f"{name}: takes the client of Documents")
            case ast.Call(func=ast.Name(id="async_elasticsearch"), keywords=given):
                if not any(one.arg == "node" for one in given):
                    found.append(f"{name}: makes a client without a limit of its answers")
    return found


def test_nothing_but_documents_asks_elasticsearch() -> None:
    modules = [path for path in (ROOT / "api").rglob("*.py") if KNOWING not in str(path)]
    found = [one for path in modules for one in unguarded(path.read_text("utf-8"), str(path.relative_to(ROOT)))]
    assert found == []
    clients = [str(path.relative_to(ROOT)) for path in modules if "async_elasticsearch" in path.read_text("utf-8")]
    assert clients == ["api/app.py"]


@pytest.mark.parametrize(
    "source",
    [
        "from elasticsearch import AsyncElasticsearch",
        "from elastic_transport import TransportError",
        "import elasticsearch",
        "found = await parts.documents._client.search(index=index)",
        "client = async_elasticsearch(settings)",
    ],
)
def test_a_search_that_goes_another_way_would_be_found(source: str) -> None:
    assert unguarded(f"async def ask():\n    {source}", "x.py")


# -- every trouble ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_route_fails_whatever_elasticsearch_does(world: World, trouble: str) -> None:
    """An answer that a route does not declare fails the test as well, at its end."""
    codes = {}
    for endpoint in ENDPOINTS:
        world.start(elasticsearch=Troubled(TROUBLES[trouble]))
        fitting = world.completed if endpoint.name == "watchJob" else partial(world.fitting_job, endpoint.name)
        codes[endpoint.name] = world.ask(endpoint.name, fitting() if endpoint.of_a_job else "").status_code
    assert [name for name, code in codes.items() if code >= 500 and code != 503] == []
    reading = ("getErrors", "getErrorsCsv", "getErrorGroups", "getChanges", "getUndone", "getUndoneCsv", "listMappings")
    assert {codes[name] for name in reading} == ({200} if trouble == "has no index" else {503})


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_page_fails_whatever_elasticsearch_does(world: World, trouble: str) -> None:
    world.start(elasticsearch=Troubled(TROUBLES[trouble]))
    world.client.headers.update(OWN)
    jobs = [world.rolled_back(), world.tried(), world.completed(failed=1)]
    paths = [path for method, path, _, _ in PAGES if method == "GET" and not path.endswith("/watch")]
    codes = {
        (path, job): world.client.get(path.replace("{job_id}", job), follow_redirects=False).status_code
        for path in paths
        for job in jobs
    }
    assert [asked for asked, code in codes.items() if code >= 500 and code != 503] == []
    assert {code for (path, _), code in codes.items() if path in ("/", "/jobs/{job_id}")} == {200}


# -- answers that would be too long -----------------------------------------------------------------------------------


def limited(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, if `LimitedNode` would have let it through."""
    if len(json.dumps(answer)) > MOST_ANSWER_BYTES:
        raise AnswerTooLongError("too long")
    return answer


class Long(RowErrors):
    """Elasticsearch with mappings of columns and blocks of a rollback, as many and as long as can be."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, dict[str, Any]] = {}
        self.undone: list[Undone] = []

    async def index(self, *, id: str, document: dict[str, Any], **_: Any) -> None:  # type: ignore[override]  # noqa: A002
        self.kept[id] = document

    async def count(self, **_: Any) -> dict[str, int]:
        return {"count": len(self.kept)}

    async def search(self, search_after: list[Any] | None = None, index: str = "", **asked: Any) -> dict[str, Any]:
        if index.endswith("-mappings"):
            whose = asked["query"].get("terms", {}).get("organisation")
            found = [
                ({name: one[name] for name in asked.get("source_includes", one)}, [one["name"], one["organisation"]])
                for one in self.kept.values()
                if whose is None or one["organisation"] in whose
            ]
        elif index.endswith("-undone"):
            found = [(msgspec.to_builtins(block), [block.first_row, block.run]) for block in self.undone]
        else:
            return await super().search(search_after=search_after, index=index, **asked)
        found = sorted((one for one in found if search_after is None or one[1] > search_after), key=lambda one: one[1])
        hits = [{"_source": source, "sort": place} for source, place in found[: asked["size"]]]
        return limited({"hits": {"hits": hits, "total": {"value": len(found)}}})


def test_mappings_of_any_number_and_length_are_listed(world: World) -> None:
    world.start(elasticsearch=Long(), api_require_key=True)
    key = {"X-API-Key": world.log.principals.key("operator", "acme")}
    long = {"dataset": "people", "columns": {f"{number:03}{'x' * 300}": None for number in range(200)}}
    names = [f"m{number:02}" for number in range(90)]
    for name in reversed(names):
        assert world.client.put(f"/v1/mappings/{name}", headers=key, json=long).status_code == 200
    listed = world.client.get("/v1/mappings", headers=key)
    assert len(listed.content) > MOST_ANSWER_BYTES
    assert [one["name"] for one in listed.json()["mappings"]] == names
    assert {len(one["columns"]) for one in listed.json()["mappings"]} == {200}
    stranger = {"X-API-Key": world.log.principals.key("operator", "globex")}
    assert world.client.get("/v1/mappings", headers=stranger).json() == {"mappings": []}
    for text in ("secret", key["X-API-Key"]):  # the admin of all organisations, and one of the organisation's
        browser = TestClient(world.client.app)
        browser.post("/sign-in", data={"key": text}, headers=OWN, follow_redirects=False)
        page = browser.get("/")
        assert (page.status_code, page.text.count(">acme, people</option>")) == (200, 90)


@pytest.mark.parametrize(
    ("rows", "bucket", "reason"),
    [(5000, "kept", "it has been changed since, by no job"), (500, "failed", f"Elasticsearch refuses it: {'r' * 500}")],
)
def test_what_a_rollback_did_is_told_of_rows_of_any_number(world: World, rows: int, bucket: str, reason: str) -> None:
    elasticsearch, blocks = Long(), 20
    world.start(elasticsearch=elasticsearch)
    job = world.rolled_back()
    run = world.log.live.view.jobs[job].run
    for block in range(blocks):
        first = block * rows + 1
        left = [Left(row=first + each, document=f"default:{'a' * 32}", reason=reason) for each in range(rows)]
        more: dict[str, Any] = {bucket: left}
        elasticsearch.undone.append(
            Undone(job_id=job, run=run, block=block, first_row=first, last_row=first + rows - 1, **more)
        )
    page = world.client.get(f"/v1/jobs/{job}/undone?limit=100").json()
    assert [row["row"] for row in page["rows"]] == list(range(1, 101))
    lines = world.client.get(f"/v1/jobs/{job}/undone.csv").text.splitlines()
    assert [int(line.partition(",")[0]) for line in lines[1:]] == list(range(1, blocks * rows + 1))
    assert world.client.get(f"/jobs/{job}/undone").status_code == 200


def test_a_document_that_is_too_long_by_itself_is_told_of() -> None:
    class OneIsLong:
        indices: Any

        async def search(self, *, size: int, search_after: list[int] | None, **_: Any) -> dict[str, Any]:
            after = search_after[0] if search_after else 0
            if after + size >= 7:
                raise AnswerTooLongError("too long")
            hits = [{"_source": {}, "sort": [number]} for number in range(after + 1, after + size + 1)]
            return {"hits": {"hits": hits, "total": {"value": 100}}}

    async def read() -> list[int]:
        found: list[int] = []
        with pytest.raises(ApiError, match="and the one after 6 is too long") as told:
            async for hits, total in Documents(cast(Any, OneIsLong())).pages(
                "row errors are", "errors", {}, count=True
            ):
                assert total == 100
                found += [hit["sort"][0] for hit in hits]
        assert told.value.code == 503
        return found

    assert asyncio.run(read()) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("fits", [lambda rows, value: rows == 1, lambda rows, value: not value])
def test_groups_of_long_values_show_fewer_rows_and_then_no_values(fits: Callable[[int, bool], bool]) -> None:
    class LongValues:
        indices: Any

        def __init__(self) -> None:
            self.indices = self

        async def refresh(self, **_: Any) -> None: ...

        async def search(self, *, aggs: Any, **_: Any) -> dict[str, Any]:
            first = aggs["reasons"]["aggs"]["columns"]["aggs"]["first"]["top_hits"]
            if not fits(first["size"], "value" in first["_source"]):
                raise AnswerTooLongError("too long")
            row = {name: {"row": 1, "line": 2, "reason": "odd", "value": "v"}[name] for name in first["_source"]}
            column = {"key": "name", "doc_count": 9, "first": {"hits": {"hits": [{"_source": row}]}}}
            reasons = [{"key": "odd", "columns": {"buckets": [column]}}]
            return {"hits": {"total": {"value": 9}}, "aggregations": {"reasons": {"buckets": reasons}}}

    found = asyncio.run(error_groups(Documents(cast(Any, LongValues())), "errors", "j1", 10))
    assert [(group.rows, group.like, len(group.first)) for group in found.groups] == [(9, 1, 1)]
