"""Sends requests to the operator's page as a browser does, and reads the text of a page."""

from __future__ import annotations

import html
import re
from typing import Any

from starlette.testclient import TestClient

from schemas.job import Job, State
from tests.support.api.stub import StubLog

OWN = {"Sec-Fetch-Site": "same-origin"}
"""A browser's header for a form of our own page."""
HTMX = {**OWN, "HX-Request": "true"}
Served = tuple[TestClient, StubLog]


def text_of(page: str) -> str:
    """The text of a page, without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def send_file(client: TestClient, body: bytes, headers: dict[str, str] = HTMX, **fields: str) -> Any:
    """Send the form for uploads, its file last."""
    values = {"dataset": "people", "organisation": "acme", **fields}
    parts = [(name, (None, value)) for name, value in values.items()]
    return client.post(
        "/start/upload?key=k1", files=[*parts, ("file", ("people.csv", body, "text/csv"))], headers=headers
    )


def some_job(state: State, **more: Any) -> Job:
    values: dict[str, Any] = {"operation": "upload", "dataset": "people", "organisation": "acme", "created_by": "me"}
    numbers = {"created_at": 1_790_000_000_000, "command_offset": 1, "partitions": 2}
    return Job(id="j1", state=state, **{**values, **numbers, **more})
