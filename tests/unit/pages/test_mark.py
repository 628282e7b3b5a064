"""What an open page of a job is told: each change of what it shows. With no other are its forms made anew."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from api.readmodel.seen import JobSeen, LaneSeen, lane_state
from schemas.ids import job_id_for_start
from schemas.job import BlockLimits, Format, Input, Job, LaneTotals, Options, RestedLane, Source, State
from schemas.messages.commands import PurgeEnded
from schemas.messages.lanes import LaneRecord
from schemas.suspicion import Suspicion
from tests.support.api.pages import HTMX, Served, some_job
from tests.support.api.stub import stub
from tests.support.api.world import World

AT = 1_790_000_100_000
SUSPICION = Suspicion(kind="exchanged", columns=("email", "phone"), fit=1.0, rows=9, message="they look exchanged")
FILE = Source(name="people.csv", path="sources/x", bytes=90, sha256="ab12", lines=5)
JOBS: dict[str, Job] = {
    "draft": some_job(State.DRAFT, draft=True, source=replace(FILE, sha256=None)),
    "queued": some_job(State.QUEUED, source=FILE),
    "running": some_job(State.RUNNING, source=FILE, started_at=AT, inspection="done"),
    "by the inbox": some_job(State.RUNNING, source=Source(kind="topic"), started_at=AT),
    "paused": some_job(State.PAUSED, source=FILE, started_at=AT, suspicion=SUSPICION),
    "failed": some_job(State.FAILED, source=FILE, started_at=AT, ended_at=AT, reason="the disk is full"),
    "completed": some_job(State.COMPLETED_WITH_ERRORS, source=FILE, started_at=AT, ended_at=AT, applied=LaneTotals()),
    "exported": some_job(
        State.COMPLETED,
        operation="export",
        source=Source(kind="query"),
        started_at=AT,
        ended_at=AT,
        date_from="2026-01-01",
    ),
    "tried": some_job(State.COMPLETED, options=Options(dry_run=True), source=FILE, started_at=AT, ended_at=AT),
    "rolled back": some_job(
        State.ROLLED_BACK, dataset="teams", mode="upsert", phase="undo", started_at=AT, ended_at=AT
    ),
}
OTHER: dict[str, Any] = {
    "operation": "teams", "dataset": "other", "organisation": "globex", "created_by": "<b>", "state": State.FAILED,
    "created_at": AT + 1, "command_offset": 99, "partitions": 3, "epoch": 7, "phase": "undo", "run": 7, "halting": True,
    "checking": True, "force": True, "undo_rows": 3, "left_over": 3, "finishing": True, "budget": "spent",
    "inspection": "due", "suspicion": replace(SUSPICION, columns_option={"Mail": "phone"}), "reason": "too late",
    "options": Options(max_errors=3), "mode": "update", "source": Source(kind="topic", name="x"), "request": "ef56",
    "draft": True, "started_from": "1" * 26, "retry": Source(name="errors.csv", bytes=7), "date_from": "2026-01-03",
    "date_till": "2026-01-04", "exclusive_key": "k", "keep_rows": True, "input": Input(rows=3, blocks=1),
    "announced_rows": 9, "retry_input": Input(rows=3), "undo_input": Input(rows=3), "lanes_done": {0: LaneTotals()},
    "lanes_rested": {1: RestedLane(epoch=0, totals=LaneTotals())}, "lanes_counted": {0: LaneTotals(rows_failed=1)},
    "applied": LaneTotals(rows_applied=3), "undone": LaneTotals(rows_undone=3), "started_at": AT + 5000,
    "ended_at": AT + 5000, "resume_at": AT + 9_000_000, "start_at": AT + 9_000_000, "state_since": AT, "sealed": True,
    "limits": BlockLimits(rows=1, bytes=2, slice_rows=3), "needs": 1, "purging": True, "purged_at": AT + 1,
    "purge_problem": "the disk is read-only", "expired": {"results": AT, "uploaded_files": AT, "row_errors": AT},
}  # fmt: skip
"""Field of a job -> another value."""
OPTIONS: dict[str, Any] = {
    "dry_run": True, "max_errors": "5%", "rows_per_second": 50.0, "if_busy": "queue", "if_same": "allow", "raw": True,
    "mapping": "old", "mode": "replace", "empty": "clear", "columns": {"Ring": "phone"}, "set": {"country": "NL"},
    "ignore_extra": True, "encoding": "cp1252", "delimiter": "tab", "skip_lines": 2, "comment": "#", "quote": "single",
    "escape": "backslash", "suspicions": "note", "notify": "on-call",
}  # fmt: skip
SOURCE: dict[str, Any] = {
    "kind": "query", "name": "other.csv", "url": "https://example.org/a", "path": "sources/y", "bytes": 91,
    "sha256": "cd34", "identity": None, "origin": "ef56", "lines": 6, "columns": {"Ring": "phone", "Other": None},
    "format": Format(compression="gzip", bytes=9, sha256="ef"),
}  # fmt: skip
SHOWN = {
    *(
        "operation",
        "dataset",
        "organisation",
        "created_by",
        "state",
        "created_at",
        "budget",
        "suspicion",
        "reason",
        "mode",
    ),
    *("options", "source", "started_from", "retry", "date_from", "date_till", "started_at", "ended_at", "resume_at"),
    *("start_at", "purging", "purged_at", "purge_problem", "expired", "applied"),
}
"""Fields that the page shows in one of the jobs at least. `expired` decides what can be asked for."""


def test_every_field_there_is_has_another_value_here() -> None:
    assert {*OTHER, "id"} == set(Job.__struct_fields__)
    assert set(OPTIONS) == set(Options.__struct_fields__)
    assert set(SOURCE) == set(Source.__struct_fields__)


def altered(job: Job) -> Iterator[tuple[str, Job]]:
    for name, value in OTHER.items():
        yield name, replace(job, **{name: value})
    for name, value in OPTIONS.items():
        yield f"options.{name}", replace(job, options=replace(job.options, **{name: value}))
    for name, value in SOURCE.items():
        yield f"source.{name}", replace(job, source=replace(job.source, **{name: value}))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    app, log = stub(tmp_path_factory.mktemp("mark"))
    with TestClient(app) as client:
        yield client, log


class Page:
    """A page that is open, and the job that it shows."""

    def __init__(self, served: Served) -> None:
        self.client, self.log = served
        self.offset = 0

    def put(self, job: Job, *lanes: LaneSeen) -> None:
        """The job is like this now, whatever it was before."""
        self.log.live.take([JobSeen(job.id, None), JobSeen(job.id, job), *lanes])

    def shown(self, job_id: str) -> tuple[str, str]:
        """The parts that stand still, without the sentence; and the mark of the page."""
        text = self.client.get(f"/jobs/{job_id}").text
        head, actions, facts = (
            re.search(rf'<(\w+) id="{name}".*?</\1>', text, re.DOTALL) for name in ("head", "actions", "facts")
        )
        assert head is not None and actions is not None and facts is not None
        parts = head[0], actions[0], facts[0]
        seen = re.search(r'hx-get="[^"]*[?&;]seen=([^&"]+)', text)
        assert seen is not None
        still = re.sub(r'(<p id="standing".*?) <span>.*?</span></p>', r"\1</p>", "".join(parts), flags=re.DOTALL)
        return still, html.unescape(seen[1])

    def told(self, job_id: str, seen: str) -> bool:
        """Whether the page, when it asks again, gets those parts anew."""
        answer = self.client.get(f"/jobs/{job_id}/live?seen={seen}", headers=HTMX).text
        names = {name: f'id="{name}"' in answer for name in ("head", "actions", "facts")}
        assert len(set(names.values())) == 1
        return names["head"]


@pytest.mark.parametrize("which", JOBS)
def test_the_page_is_told_of_each_change_of_what_it_shows_and_of_no_other(served: Served, which: str) -> None:
    page, job = Page(served), JOBS[which]
    page.put(job)
    before, mark = page.shown(job.id)
    assert not page.told(job.id, mark)
    wrong = {}
    for name, other in altered(job):
        page.put(other)
        after, now = page.shown(job.id)
        assert (now != mark) == page.told(job.id, mark)
        if name not in ("epoch", "run") and (after != before) != (now != mark):
            wrong[name] = f"seen {after != before}, told {now != mark}"
    assert wrong == {}


def test_what_the_page_shows_is_found_by_this_test(served: Served) -> None:
    """Otherwise it would find nothing."""
    page, found = Page(served), set()
    for job in JOBS.values():
        page.put(job)
        before, _ = page.shown(job.id)
        for name, other in altered(job):
            page.put(other)
            if page.shown(job.id)[0] != before:
                found.add(name.partition(".")[0])
    assert found >= SHOWN, SHOWN - found


def test_a_page_is_told_of_the_real_job_of_its_dry_run(served: Served) -> None:
    page, job = Page(served), JOBS["tried"]
    page.put(job)
    _, mark = page.shown(job.id)
    real = replace(JOBS["running"], id=job_id_for_start(job.id))
    page.put(real)
    assert page.told(job.id, mark)
    page.log.live.take([JobSeen(real.id, None)])


def test_a_job_that_goes_on_leaves_the_forms_alone(served: Served) -> None:
    """What somebody has written into one would be gone."""
    page, job = Page(served), JOBS["running"]
    page.put(job)
    _, mark = page.shown(job.id)
    for rows in (1, 1000):
        totals = LaneTotals(rows_applied=rows, rows_failed=rows, blocks=1, last_row=rows)
        record = LaneRecord(job_id=job.id, partition=0, partitions=2, totals=totals, at=AT + rows)
        page.put(replace(job, input=Input(rows=rows, blocks=1)), LaneSeen(job.id, 0, "apply", lane_state(record)))
        assert not page.told(job.id, mark)


@pytest.mark.parametrize("problem", [None, "the disk is read-only"])
def test_the_page_learns_that_a_purge_has_ended(tmp_path: Path, problem: str | None) -> None:
    world = World(tmp_path)
    job_id = world.completed()
    asked = world.client.post(f"/jobs/{job_id}/purge", data={"reason": "gdpr"}, headers=HTMX).text
    assert "Sluice is removing" in asked
    seen = re.search(r"seen=([^&\"]+)", asked)
    assert seen is not None
    world.log.report(PurgeEnded(job_id=job_id, epoch=world.log.live.view.jobs[job_id].epoch, problem=problem))
    answer = world.client.get(f"/jobs/{job_id}/live?seen={seen[1]}", headers=HTMX)
    assert "Sluice is removing" not in answer.text
    assert (f"did not come to its end: {problem}" if problem else "Purged on") in answer.text
    assert answer.headers["HX-Trigger-After-Settle"] == "job-changed"
    world.open.close()
