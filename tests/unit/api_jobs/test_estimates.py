"""How large an export would be, and the question before one that is far larger than any before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control.creation.exports import far_larger
from tests.support.api.pages import HTMX
from tests.support.api.world import EXPORT, World

ROW = {"name": "Ann, \"A\"", "email": "ann@example.org", "phone": "+31201234567", "country": "Netherlands",
       "favorite_color": None, "created_at": "2026-01-01T00:00:00Z"}  # fmt: skip
LINE = len(b'"Ann, ""A""",ann@example.org,+31201234567,Netherlands,,2026-01-01T00:00:00Z\r\n')
HEADER = len(b"name,email,phone,country,favorite_color,created_at\r\n")


class Rows:
    """A stub of Elasticsearch that has `rows` rows in any range, and reports of an export of `largest` rows."""

    def __init__(self, rows: int, largest: int | None = None) -> None:
        self.rows, self.largest = rows, largest
        self.asked: list[dict[str, Any]] = []

    def options(self, **_: Any) -> Rows:
        return self

    async def count(self, **_: Any) -> dict[str, Any]:
        return {"count": self.rows}

    async def search(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        if "aggs" in asked:
            return {"aggregations": {"largest": {"value": self.largest}}}
        hits = [{"_source": ROW}] * min(self.rows, 5)
        return {"hits": {"hits": hits, "total": {"value": self.rows}}}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.open.close()


def test_only_an_export_ten_times_larger_than_any_before_is_asked_about() -> None:
    assert [far_larger(rows, 500) for rows in (4_999, 5_000)] == [False, True]
    assert not far_larger(10**9, None), "the first one has nothing to be compared with"
    assert [far_larger(rows, 1) for rows in (99, 100)] == [False, True], "few rows are no accident"


def test_rows_size_and_the_largest_before_are_told_before_it_starts(world: World) -> None:
    world.start(elasticsearch=Rows(12_345, 600))
    for body in (EXPORT, {name: value for name, value in EXPORT.items() if name != "operation"}):
        answer = world.ask("estimateExport", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {
            "rows": 12_345, "bytes": HEADER + 12_345 * LINE, "largest_before": 600, "needs_confirm": True,
        }  # fmt: skip
    assert world.log.sent == [], "nothing is started"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"operation": "upload", "dataset": "people", "source": "topic"}, "an estimate is for exports"),
        ({"dataset": "people"}, "from is missing"),
        ({"dataset": "teams", "from": "2026-01-01"}, "no date"),
        ({"dataset": "people", "from": "2026-02-01", "till": "2026-01-01"}, "the wrong way round"),
        ({"dataset": "people", "from": "2026-01-01", "where": 1}, "unknown field"),
    ],
)
def test_what_could_be_no_export_has_no_estimate(world: World, body: dict[str, Any], told: str) -> None:
    answer = world.ask("estimateExport", json=body)
    assert (answer.status_code, told in answer.json()["error"]["message"]) == (400, True), answer.text


def test_a_far_larger_export_has_to_be_confirmed(world: World) -> None:
    world.start(elasticsearch=Rows(12_345, 600))
    answer = world.ask("createJob")
    error = answer.json()["error"]
    assert answer.status_code == 409 and "12,345 rows" in error["message"] and "confirm: true" in error["message"]
    assert (error["details"]["rows"], error["details"]["largest_before"]) == (12_345, 600)
    assert world.log.sent == []
    key = {"Idempotency-Key": "once"}
    made = world.ask("createJob", json={**EXPORT, "confirm": True}, headers=key)
    assert made.status_code == 201, made.text
    again = world.ask("createJob", headers=key)
    assert (again.status_code, again.json()["id"]) == (201, made.json()["id"]), "a repeat finds its job"


def test_a_completed_export_counts_before_any_report_of_it(world: World) -> None:
    world.exported()
    found = world.ask("estimateExport", json=EXPORT).json()
    assert found["largest_before"] == 4
    other = world.ask("estimateExport", json={**EXPORT, "organisation": "other"}).json()
    assert other["largest_before"] is None


@pytest.mark.parametrize("largest", [None, 12_345])
def test_others_start_as_they_always_have(world: World, largest: int | None) -> None:
    world.start(elasticsearch=Rows(12_345, largest))
    assert world.ask("createJob").status_code == 201


def test_while_elasticsearch_does_not_answer_exports_are_made_and_nobody_is_asked(world: World) -> None:
    world.start(elasticsearch=None)
    assert world.ask("estimateExport", json=EXPORT).status_code == 503
    assert world.ask("createJob").status_code == 201


def test_the_form_of_an_export_shows_the_estimate(world: World) -> None:
    world.start(elasticsearch=Rows(12_345, 600))
    fields = {"dataset": "people", "organisation": "default", "from": "2026-01-01", "till": ""}
    shown = world.client.post("/estimate/export", data=fields, headers=HTMX)
    assert shown.status_code == 200, shown.text
    for words in ("12,345 rows", "largest so far had 600", "Tick the box"):
        assert words in shown.text
    empty = world.client.post("/estimate/export", data={**fields, "from": ""}, headers=HTMX)
    assert (empty.status_code, empty.text.strip()) == (200, "")
    refused = world.client.post("/start/export?key=k1", data=fields, headers=HTMX)
    assert refused.status_code == 409 and "12,345 rows" in refused.text
    confirmed = world.client.post("/start/export?key=k1", data={**fields, "confirm": "on"}, headers=HTMX)
    assert confirmed.headers.get("HX-Redirect", "").startswith("/jobs/"), confirmed.text
