"""Row errors by reason, rows over time, reports and the installation: the arithmetic, and what a caller is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from api.glance.models import Mark
from api.glance.series import Span, known_part, owner_changes, points, span_of
from api.pages.glance import drawing
from api.pages.glance.drawing import ceiling, spark
from api.pages.glance.marks import labels, lines
from commandline.arguments import when
from commandline.errors import ClientError
from runtime.text.report_text import report_text
from schemas.job import State
from tests.support.api.pages import HTMX, Served, some_job, text_of
from tests.support.api.stub import complete, make_job, rest, stub
from tests.support.api.world import RowErrors

START = 1_790_000_000_000


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path, elasticsearch=RowErrors())
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


def bucket(at: int, rows: int = 0, failed: int = 0, undone: int = 0, retry: bool = False) -> dict[str, Any]:
    counts = {"rows_applied": rows, "rows_failed": failed, "rows_undone": undone}
    sums = {name: {"value": float(value)} for name, value in counts.items()}
    return {"key": at, **sums, "first": sums if not retry else {name: {"value": 0.0} for name in counts}}


@pytest.mark.parametrize("seconds", [1, 59, 3600, 86_400 * 400])
def test_any_length_of_time_has_a_bounded_number_of_points(seconds: int) -> None:
    job = some_job(State.RUNNING, started_at=START + 123)
    span = span_of(job, START + 1000 * seconds, 120)
    assert span is not None
    assert 1 <= len(points(span, [])) <= 120
    assert sum(point.seconds for point in points(span, [])) == pytest.approx((span.until - span.since) / 1000, rel=1e-3)


def test_rows_are_counted_once_and_stretches_without_records_are_there() -> None:
    span = Span(START, START + 10_000, 2000)
    found = points(span, [bucket(START, 10), bucket(START + 6000, 20, 4), bucket(START + 8000, undone=6)])
    assert [point.rows_per_second for point in found] == [5, 0, 0, 12, 3]
    assert [point.rows_done for point in found] == [10, 10, 10, 34, 34]
    assert found[-1].rows_undone == 6
    again = points(span, [bucket(START, 10), bucket(START + 6000, 4, retry=True)])
    assert [(point.rows_per_second, point.rows_done) for point in again][3] == (2, 10), "a retry is no further row"


def test_a_short_stretch_at_an_edge_makes_no_peak() -> None:
    span = Span(START + 1900, START + 4100, 2000)
    found = points(span, [bucket(START, 50), bucket(START + 2000, 100), bucket(START + 4000, 70)])
    assert [point.rows_per_second for point in found] == [100.0]


def test_rows_that_are_reported_after_the_end_are_there() -> None:
    span = Span(START, START + 3990, 2000)
    found = points(span, [bucket(START, 50), bucket(START + 4000, undone=50), bucket(START + 6000, undone=1)])
    assert (found[-1].rows_done, found[-1].rows_undone, len(found)) == (50, 51, 2)


def test_what_is_not_found_yet_is_not_drawn_as_a_fall() -> None:
    span = Span(START, START + 20_000, 2000)
    assert known_part(span, [bucket(START + 12_000, 5)]).until == START + 14_000
    assert known_part(span, [bucket(START + 2000, 5)]) == span, "nothing has come for long: that is true"


def test_partitions_that_go_to_another_worker_are_one_mark() -> None:
    def worker(**since: int) -> dict[str, Any]:
        return {"partitions": {"buckets": [{"key": int(p[1:]), "since": {"value": at}} for p, at in since.items()]}}

    found = owner_changes([worker(p0=START, p1=START), worker(p0=START + 60_000, p1=START + 61_000)])
    assert [(mark.event, mark.at) for mark in found] == [("WorkersChanged", "2026-09-21T14:14:20.000Z")]


@pytest.mark.parametrize(("value", "top"), [(0, 1), (0.5, 1), (1, 1), (9, 10), (101, 200), (240, 250), (5001, 10_000)])
def test_the_upper_edge_is_a_round_number(value: float, top: float) -> None:
    assert ceiling(value) == top


def test_a_drawing_holds_for_odd_numbers() -> None:
    assert spark([]) == ""
    assert spark([0.0, 0.0]) == ""
    assert "NaN" not in spark([0, 5, 1e9])
    assert [line.percent for line in drawing.rates(series_with("2026-09-21T14:13:20Z")).lines] == ["0.00%"]


@given(st.lists(st.floats(0, 1), max_size=60))
def test_no_number_of_a_mark_lies_over_another_on_the_narrowest_screen(places: list[float]) -> None:
    shown = labels(sorted(places))
    spans: dict[int, list[tuple[float, float]]] = {}
    for label in shown:
        at, width = float(label.percent[:-1]) / 100 * 260, 8 * len(label.text)
        span = (at - width, at) if label.side == "end" else (at, at + width)
        assert 36 + 16 * label.level <= 142, "it is within the drawing"
        assert all(end < span[0] or span[1] < begin for begin, end in spans.get(label.level, []))
        spans.setdefault(label.level, []).append(span)
    told = [tuple(map(int, label.text.split("-"))) for label in shown]
    numbers = [number for ends in told for number in range(ends[0], ends[-1] + 1)]
    assert numbers == list(range(1, len(places) + 1)), "each mark is in one label"


def test_marks_of_one_moment_share_a_label_and_a_failure_is_drawn_over_the_others() -> None:
    assert [(label.text, label.side) for label in labels([0.2, 0.2, 0.9])] == [("1-2", "start"), ("3", "end")]
    assert [line.kind for line in lines([("Failed", 0.2), ("Paused", 0.2), ("WorkersChanged", 0.2)])] == [
        "other", "held", "bad",
    ]  # fmt: skip


def series_with(at: str) -> Any:
    from api.glance.models import Series

    mark = Mark(at="2026-01-01T00:00:00Z", event="Paused")
    return Series(
        job_id="j", since="2026-09-21T14:13:20Z", until="2026-09-21T14:13:20Z", interval_seconds=2, rows_total=0,
        points=[], marks=[mark],
    )  # fmt: skip


def test_row_errors_come_by_reason_first(served: Served) -> None:
    client, log = served
    job_id = make_job(client).json()["id"]
    complete(log, job_id, failed=1)
    groups = client.get(f"/v1/jobs/{job_id}/errors/groups").json()
    assert (groups["total"], groups["rows_done"], groups["groups"][0]["reason"]) == (1, 4, "odd")
    assert groups["groups"][0]["share"] == 0.25
    page = client.get(f"/jobs/{job_id}/errors", headers=HTMX).text
    assert "odd 1 of 4 rows" in text_of(page)
    assert "Ann" not in page, "values of other columns are no part of it"
    assert "odd" in text_of(client.get(f"/jobs/{job_id}/errors?like=1").text)


def test_a_report_tells_what_was_asked_and_what_came_of_it(served: Served) -> None:
    client, log = served
    job_id = make_job(client, organisation="acme", reason="winter", options={"max_errors": 9}).json()["id"]
    client.post(f"/v1/jobs/{job_id}/pause", json={"reason": "lunch"})
    rest(log, job_id, rows=0)
    client.post(f"/v1/jobs/{job_id}/resume")
    complete(log, job_id, failed=1)
    report = client.get(f"/v1/jobs/{job_id}/report").json()
    assert report["ended"]
    assert report["times"]["seconds"] is not None
    text = report_text(report)
    for words in (
        f"Job {job_id}: COMPLETED_WITH_ERRORS", "why        winter", "3 applied, 1 refused", "max_errors 9",
        report["job"]["source"]["sha256"], "odd (rows 1)", "Pause requested by admin: lunch",
    ):  # fmt: skip
        assert words in text
    assert "Report: Upload of people.csv" in text_of(client.get(f"/jobs/{job_id}/report").text)


def test_the_installation_is_told_without_waiting_for_others(served: Served) -> None:
    client, log = served
    job_id = make_job(client).json()["id"]
    client.post(f"/v1/jobs/{job_id}/pause", json={"reason": "lunch"})
    rest(log, job_id)
    stats = client.get("/v1/stats").json()
    assert stats["states"]["PAUSED"] == 1
    assert (stats["oldest_paused"]["id"], stats["oldest_paused"]["reason"]) == (job_id, "lunch")
    assert stats["workers"] is None, "nobody can be asked here"
    assert "Paused for longest" in text_of(client.get("/").text)


def test_what_is_out_of_reach_stands_at_the_head(served: Served) -> None:
    client, log = served
    log.up = False
    assert "Kafka does not answer" in text_of(client.get("/").text)


@pytest.mark.parametrize("text", ["soon", "25:00", "2026-13-01", "90", "-5m", "1w"])
def test_a_time_that_is_none_is_refused_on_the_command_line(text: str) -> None:
    with pytest.raises(ClientError, match="is no time"):
        when(text)


def test_times_of_the_command_line_become_utc() -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 11, 28, 22, 30, tzinfo=UTC)
    assert when("90m", lambda: now) == "2026-11-29T00:00:00Z"
    assert when("2026-12-01T06:00+02:00", lambda: now) == "2026-12-01T04:00:00Z"
    later = datetime.fromisoformat(when("22:29", lambda: now) or "")
    assert 0 < (later - now).total_seconds() <= 86_400, "a time of the day that has gone by is tomorrow's"
