"""An API over the stub for tests that send requests to each of its routes, and the jobs that these need."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import NotFoundError
from httpx2 import Response
from starlette.testclient import TestClient

from api.routes.rest import ENDPOINTS
from schemas.exports import result_path
from schemas.job import Input
from schemas.messages.commands import FileFinished, InputAdvanced
from tests.support.api.stub import PEOPLE, ROW, StubLog, complete, make_job, rest, stub

ROUTES = {endpoint.name: endpoint for endpoint in ENDPOINTS}
EXPORT = {"operation": "export", "dataset": "people", "from": "2026-01-01", "till": "2026-01-31"}
UPLOAD = {"operation": "upload", "dataset": "people"}
CORRECTED = PEOPLE.strip() + b",sluice_row\n" + ROW.strip() + b",1\n"
FITTING: dict[str, dict[str, Any]] = {
    "createJob": {"json": EXPORT},
    "actOnJobs": {"json": {"action": "pause", "all": True}},
    "estimateExport": {"json": EXPORT},
    "createKey": {"json": {"name": "ada", "organisation": "acme", "role": "operator"}},
    "createWebhook": {"json": {"url": "https://8.8.8.8/hook", "organisation": "acme"}},
    "redeliver": {"json": {}},
    "setRate": {"json": {"rows_per_second": 5}},
    "appendFile": {"content": PEOPLE + ROW, "headers": {"Upload-Offset": "0"}},
    "saveMapping": {"json": {"dataset": "people", "columns": {"Ring": "phone"}}},
    "endInput": {"json": {"rows": 1}},
    "retryErrors": {"content": CORRECTED, "headers": {"content-type": "text/csv"}},
}
"""Route -> the body of a valid request; other routes need no body."""


MAPPING = json.dumps(
    {
        "name": "old", "organisation": "default", "dataset": "people", "columns": {"Ring": "phone"}, "set": {},
        "ignore_extra": False, "updated_at": "2026-01-01T00:00:00Z", "updated_by": "ada",
    }
)  # fmt: skip
TEAMS = b"team,manager_name,manager_email,manager_phone,region,size\nOne,Kim Ann,ann@example.org,+31201234567,North,4\n"


class RowErrors:
    """A stub of Elasticsearch that has one row error, and one row of a dry run's preview."""

    def __init__(self) -> None:
        self.indices = self.cluster = self

    def options(self, **_: Any) -> RowErrors:
        return self

    async def refresh(self, **_: Any) -> None:
        return

    async def health(self, **_: Any) -> dict[str, str]:
        return {"status": "green"}

    async def index(self, **_: Any) -> None:
        return

    async def delete(self, **_: Any) -> None:
        return

    async def get(self, id: str, **_: Any) -> dict[str, Any]:  # noqa: A002
        if id.endswith(":none"):
            meta = ApiResponseMeta(404, "1.1", HttpHeaders(), 0.0, NodeConfig("http", "stub", 1))
            raise NotFoundError("not found", meta, {})
        return {"_source": {"mapping": MAPPING}}

    async def count(self, **_: Any) -> dict[str, int]:
        return {"count": 4}

    async def exists(self, id: str, **_: Any) -> bool:  # noqa: A002
        return not id.endswith(":none")

    async def search(self, search_after: list[int] | None = None, index: str = "", **more: Any) -> dict[str, Any]:
        if index.endswith("-undone"):
            left = {"row": 2, "document": "acme:0", "reason": "it has been changed since, by no job"}
            block = {"first_row": 1, "last_row": 2, "run": 1, "restored": [[1, 1]], "kept": [left], "failed": []}
            return {"hits": {"hits": [{"_source": block, "sort": [1, 1]}], "total": {"value": 1}}}
        error = {"line": 2, "reason": "odd", "columns": ["name"], "values": ["Ann"]}
        change = {"kind": "updated", "key": ["Ann"], "before": {"size": 2}, "after": {"size": 3}}
        kept = {"mapping": MAPPING, "name": "old", "organisation": "default"}
        source = {**kept, "row": 1, "document": {"name": "Ann"}, **error, **change}
        hits = [] if search_after else [{"_source": source, "sort": [1]}]
        if "term" in str(more.get("query")) and "'row': 999" in str(more["query"]):
            return {"hits": {"hits": [], "total": {"value": 0}}}
        groups = [
            {"key": "odd", "columns": {"buckets": [{"key": "", "doc_count": 1, "first": {"hits": {"hits": hits}}}]}}
        ]
        return {
            "hits": {"hits": hits, "total": {"value": 1}},
            "aggregations": {"reasons": {"buckets": groups}, "time": {"buckets": []}, "owners": {"buckets": []}},
        }


class World:
    """An API, and the jobs that a request needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client: TestClient
        self.log: StubLog
        self.open = ExitStack()
        self.start()

    def start(self, **more: Any) -> None:
        """Start a new API in place of the old one; `more` as `stub` takes it."""
        self.open.close()
        app, self.log = stub(
            self.folder, **{"elasticsearch": RowErrors(), "import_folders": "/none", "draft_hours": 1e6, **more}
        )
        self.client = self.open.enter_context(TestClient(app, raise_server_exceptions=False))

    def ask(
        self,
        name: str,
        job_id: str = "0" * 26,
        query: str = "",
        key_id: str = "0" * 10,
        name_of: str = "old",
        webhook_id: str = "0" * 10,
        **more: Any,
    ) -> Response:
        """Send a valid request to a route, with the changes in `more`; returns the answer."""
        endpoint = ROUTES[name]
        path = endpoint.path.replace("{job_id}", job_id).replace("{key_id}", key_id)
        path = path.replace("{name}", name_of).replace("{webhook_id}", webhook_id) + query
        return self.client.request(endpoint.method, path, **{**FITTING.get(name, {}), **more})

    def made_key(self) -> str:
        """The id of a new key."""
        return str(self.ask("createKey").json()["id"])

    def made_webhook(self) -> str:
        """The id of a new webhook."""
        return str(self.ask("createWebhook", json={"url": "https://8.8.8.8/hook"}).json()["id"])

    def draft(self, size: int | None = None, **job: Any) -> str:
        """A job whose file of so many bytes is still to come."""
        source = {"upload": "people.csv", "bytes": size}
        return str(self.ask("createJob", json={**UPLOAD, **job, "source": source}).json()["id"])

    def running(self, **job: Any) -> str:
        answer = make_job(self.client, **job)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def paused(self) -> str:
        job_id = self.running()
        assert self.ask("pauseJob", job_id).status_code == 202
        rest(self.log, job_id)
        return job_id

    def completed(self, failed: int = 0, **job: Any) -> str:
        job_id = self.running(**job)
        complete(self.log, job_id, failed)
        return job_id

    def tried(self) -> str:
        """A dry run that has completed."""
        return self.completed(options={"dry_run": True})

    def rolled_back(self, **job: Any) -> str:
        """A job that wrote over documents, and whose rollback has begun."""
        job_id = self.completed(body=TEAMS, dataset="teams", options={"mode": "upsert"}, **job)
        assert self.ask("rollbackJob", job_id).status_code == 202
        return job_id

    def fitting_job(self, name: str) -> str:
        """A job for which the route's request is valid."""
        if name == "retryErrors":
            return self.completed(failed=1)
        if name in ("getFile", "appendFile"):
            return self.draft()
        if name.startswith("getUndone"):
            return self.rolled_back()
        return self.tried() if name in ("startJob", "getPreview", "getChanges", "getChangesCsv") else self.running()

    def exporting(self) -> str:
        return str(self.ask("createJob").json()["id"])

    def exported(self) -> str:
        return self.export_done(self.exporting())

    def export_done(self, job_id: str) -> str:
        """The export has completed; its file is there."""
        frozen: dict[str, Any] = {"frozen": "a point in time", "rows_total": 4}
        self.log.report(InputAdvanced(job_id=job_id, input=Input(**frozen)))
        complete(self.log, job_id, **frozen)
        self.log.report(FileFinished(job_id=job_id, epoch=self.log.live.view.jobs[job_id].epoch))
        file = self.folder / "storage" / result_path(job_id)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"0123456789")
        return job_id

    def at_once(self, job_id: str, report: Callable[[StubLog, str], None]) -> None:
        """Have a worker `report` as soon as the next command has taken effect."""

        def once(_: object) -> None:
            self.log.after = None
            report(self.log, job_id)

        self.log.after = once
