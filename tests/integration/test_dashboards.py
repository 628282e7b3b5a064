"""The dashboards' charts against what the API says: the searches that Kibana would send, on real jobs."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from api.elastic.documents import Documents
from api.glance.error_groups import error_groups
from api.glance.models import ErrorGroups
from api.jobs.reading.row_errors import error_page
from api.models.reports import RowErrorPage
from kibana.catalog import CHARTS, DASHBOARDS, text
from processor.rebuild import rebuild
from runtime.clients import async_elasticsearch
from runtime.provision import provision_indices
from schemas.indices import REPORT_MAPPINGS, index_name
from tests.conftest import People
from tests.faults.bad_rows import spoil
from tests.faults.corrections import corrected, errors_csv, retry
from tests.support.processes.cluster import Cluster, Shared
from tests.support.stubs.lens import Lens, Row
from tests.support.waiting import elasticsearch, wait_until

Json = dict[str, Any]
ROWS = 1200
BAD = [3, 4, 700]
SUMS = ("rows_applied", "rows_failed", "rows_undone")


@dataclass(frozen=True)
class Jobs:
    """Jobs that have come to rest, each of an organisation of its own, and the charts of their installation."""

    cluster: Cluster
    client: Elasticsearch
    charts: dict[str, Json]
    mended: Json
    """Three rows were refused; a retry has applied two of them."""
    undone: Json
    """It was rolled back."""
    paused: Json

    def rows(self, chart: str, job: Json | None = None, **chosen: str) -> list[Row]:
        """What a chart shows of one job, or of what is chosen."""
        lens = Lens(self.charts[chart])
        search = lens.search(**({"job_id": job["id"]} if job else {}), **chosen)
        return lens.table(self.client.search(index=lens.index, **search).body)

    def figure(self, chart: str, job: Json) -> Any:
        """The number of a chart that is only one."""
        rows = self.rows(chart, job)
        if not rows:
            return 0
        ((value,),) = [list(row.values()) for row in rows]
        return value


@pytest.fixture(scope="module")
def jobs(shared_cluster: Shared, people: People, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    cluster = shared_cluster.get()
    name, folder = uuid.uuid4().hex[:6], tmp_path_factory.mktemp("dashboards")
    paused = cluster.upload(people(6000), f"paused-{name}", rows_per_second=10)
    undone = cluster.upload(people(ROWS), f"undone-{name}")
    mended = _mended(cluster, people, f"mended-{name}", folder)
    cluster.wait_state(undone, "COMPLETED")
    cluster.act(undone, "rollback")
    cluster.wait_rows(paused, 1)
    cluster.act(paused, "pause")
    with elasticsearch(cluster.settings) as client:
        ids = (mended, undone, paused)
        wait_until(lambda: all(_reported(client, cluster.job(job_id), cluster) for job_id in ids), "reports")
        charts = {line["id"].removeprefix(f"{cluster.settings.prefix}-"): line for line in _lines(cluster)}
        yield Jobs(cluster, client, charts, *map(cluster.job, ids))
    cluster.act(paused, "terminate", keep_rows=True)


def _lines(cluster: Cluster) -> list[Json]:
    lines = [json.loads(line) for line in text(cluster.settings.prefix).splitlines()]
    return [line for line in lines if line["type"] == "lens"]


def _mended(cluster: Cluster, people: People, organisation: str, folder: Path) -> str:
    good, file = people(ROWS), folder / "spoilt.csv"
    file.write_bytes(spoil(good.read_bytes(), BAD))
    job_id = cluster.upload(file, organisation)
    cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert retry(cluster, job_id, corrected(errors_csv(cluster, job_id), good, leave=1)).status_code == 202

    def tried() -> bool:
        job = cluster.job(job_id)
        return job["progress"]["rows_failed"] == 1 and job["state"] == "COMPLETED_WITH_ERRORS"

    cluster.wait(tried, "the retry is over")
    return job_id


def _reported(client: Elasticsearch, job: Json, cluster: Cluster) -> bool:
    """Whether a search finds the last state and the last progress of a job.

    A `get` would not tell: it also sees what no search does before the next refresh.
    """
    prefix = cluster.settings.prefix
    for name in REPORT_MAPPINGS:
        client.indices.refresh(index=index_name(prefix, name))
    reports = client.search(index=index_name(prefix, "jobs"), query={"ids": {"values": [job["id"]]}})["hits"]["hits"]
    newest: dict[str, Json] = {}
    query = {"term": {"job_id": job["id"]}}
    hits = client.search(index=index_name(prefix, "progress"), query=query, sort=[{"at": "asc"}], size=10_000)
    for hit in hits["hits"]["hits"]:
        newest[hit["_source"]["lane"]] = hit["_source"]
    totals = {count: sum(lane["totals"][count] for lane in newest.values()) for count in SUMS}
    waiting = sum(lane["parked_blocks"] for lane in newest.values())
    progress = job["progress"]
    return (
        [report["_source"]["state"] for report in reports] == [job["state"]]
        and totals["rows_applied"] == progress["rows_applied"]
        and totals["rows_undone"] == progress["rows_rolled_back"]
        and waiting == sum(lane["parked_blocks"] for lane in job["lanes"])
    )


@pytest.fixture(params=["mended", "undone", "paused"])
def job(jobs: Jobs, request: pytest.FixtureRequest) -> Json:
    """One of the jobs, as the API shows it."""
    found: Json = getattr(jobs, request.param)
    return found


@pytest.mark.parametrize("name", CHARTS)
def test_elasticsearch_takes_the_search_of_every_chart(jobs: Jobs, name: str) -> None:
    for board in DASHBOARDS:
        if CHARTS[name] in board.charts:
            for choice in board.choices:
                jobs.rows(name, **{choice.field: "none of these"})
    assert jobs.rows(name), "there are jobs, progress and row errors, so that no chart is empty"


def test_the_figures_of_one_job_are_those_of_the_api(jobs: Jobs, job: Json) -> None:
    progress = job["progress"]
    assert jobs.figure("rows-applied", job) == progress["rows_applied"]
    assert jobs.figure("rows-refused", job) == progress["rows_failed"]
    assert jobs.figure("rows-rolled-back", job) == progress["rows_rolled_back"]


def test_the_share_of_a_job_is_its_percentage(jobs: Jobs) -> None:
    assert jobs.figure("share-done", jobs.mended) == pytest.approx(1.0)
    percent = jobs.paused["progress"]["percent"]
    assert 0 < percent < 100
    assert jobs.figure("share-done", jobs.paused) * 100 == pytest.approx(percent, abs=0.1)


def test_a_job_is_shown_with_its_state_and_counts(jobs: Jobs, job: Json) -> None:
    (shown,) = jobs.rows("job", job)
    progress = job["progress"]
    names = ("operation", "dataset", "organisation", "state")
    assert {name: shown[name] for name in names} == {name: job[name] for name in names}
    if job["state"] != "PAUSED":  # until its end a job's state does not have its counts
        counts = (shown["rows"], shown["applied"], shown["failed"], shown["undone"])
        wanted = ("rows_total", "rows_applied", "rows_failed", "rows_rolled_back")
        assert counts == tuple(progress[name] for name in wanted)


def test_progress_over_time_ends_at_what_was_applied(jobs: Jobs, job: Json) -> None:
    highest: Counter[str] = Counter()
    for row in jobs.rows("rows-applied-by-lane", job):
        if row["value"] is not None:
            assert row["value"] >= highest[row["lane"]], "it never falls"
            highest[row["lane"]] = row["value"]
    assert highest.total() == job["progress"]["rows_applied"]


def test_rates_add_up_to_all_rows(jobs: Jobs, job: Json) -> None:
    """At intervals of a second, a rate is the rows of its interval."""
    rates = jobs.rows("rates", job)
    assert sum(row["applied"] for row in rates) == job["progress"]["rows_applied"]
    assert sum(row["undone"] for row in rates) == job["progress"]["rows_rolled_back"]
    by_job = jobs.rows("rows-applied-per-second", job)
    assert {row["job"] for row in by_job} == {job["id"]}
    assert sum(row["rate"] for row in by_job) == job["progress"]["rows_applied"]
    undone = jobs.rows("rows-rolled-back-per-second", job)
    assert sum(row["rate"] for row in undone) == job["progress"]["rows_rolled_back"]


def test_the_lanes_of_a_job_are_those_of_the_api(jobs: Jobs) -> None:
    shown = {row["lane"].removeprefix(f"{jobs.paused['id']}/"): row for row in jobs.rows("lanes", jobs.paused)}
    lanes = jobs.paused["lanes"]
    assert sum(lane["parked_blocks"] for lane in lanes) > 0
    for lane in lanes:
        row = shown[str(lane["partition"])]
        assert (row["applied"], row["waiting"]) == (lane["applied_rows"], lane["parked_blocks"])
    assert {row["lane"].count("/") for row in jobs.rows("lanes", jobs.mended)} == {1, 2}, "the retry has its own lanes"


def test_blocks_waiting_over_time_end_at_those_that_wait(jobs: Jobs) -> None:
    last: dict[str, int] = {}
    for row in jobs.rows("blocks-waiting-by-lane", jobs.paused):
        last[row["lane"]] = last[row["lane"]] if row["value"] is None else row["value"]
    assert sum(last.values()) >= sum(lane["parked_blocks"] for lane in jobs.paused["lanes"])


def test_each_job_stands_in_the_list_as_the_api_shows_it(jobs: Jobs, job: Json) -> None:
    (shown,) = jobs.rows("progress-by-job", organisation=job["organisation"])
    progress = job["progress"]
    assert shown["job"] == job["id"]
    counts = (shown["applied"], shown["failed"], shown["undone"])
    assert counts == (progress["rows_applied"], progress["rows_failed"], progress["rows_rolled_back"])
    assert shown["waiting"] == sum(lane["parked_blocks"] for lane in job["lanes"])


def test_jobs_that_are_not_over_are_counted_and_listed_with_their_state(jobs: Jobs) -> None:
    of = {"organisation": jobs.paused["organisation"]}
    assert jobs.rows("jobs-not-over-by-state", **of) == [{"state": "PAUSED", "jobs": 1}]
    (shown,) = jobs.rows("jobs-not-over", **of)
    assert (shown["job"], shown["state"]) == (jobs.paused["id"], "PAUSED")
    assert shown["rows"] == jobs.paused["progress"]["rows_total"]
    for over in (jobs.mended, jobs.undone):
        assert jobs.rows("jobs-not-over", organisation=over["organisation"]) == []


def test_row_errors_are_those_of_the_api(jobs: Jobs) -> None:
    answer = jobs.cluster.call("GET", f"/v1/jobs/{jobs.mended['id']}/errors")
    (error,) = answer["errors"]
    assert jobs.rows("row-errors-by-reason", jobs.mended) == [{"value": error["reason"], "errors": 1}]
    assert jobs.rows("row-errors-by-column", jobs.mended) == [{"value": error["column"], "errors": 1}]
    wanted = {"reason": error["reason"], "column": error["column"], "value": error["value"], "errors": 1}
    assert jobs.rows("row-errors-by-value", jobs.mended) == [wanted]
    of_job = {"job": jobs.mended["id"], "organisation": jobs.mended["organisation"], "errors": 1}
    assert jobs.rows("row-errors-by-job", jobs.mended) == [of_job]
    assert sum(row["errors"] for row in jobs.rows("row-errors-over-time", jobs.mended)) == 1


def test_the_plot_of_a_job_ends_with_its_counts(jobs: Jobs) -> None:
    for job in (jobs.mended, jobs.undone, jobs.paused):
        series = jobs.cluster.call("GET", f"/v1/jobs/{job['id']}/series")
        counts, last = job["progress"], series["points"][-1]
        assert last["rows_done"] == counts["rows_applied"] + counts["rows_failed"]
        assert last["rows_undone"] == counts["rows_rolled_back"]
        moved = sum(point["rows_per_second"] * point["seconds"] for point in series["points"])
        assert moved >= last["rows_done"] + last["rows_undone"] - len(series["points"])
    marks = jobs.cluster.call("GET", f"/v1/jobs/{jobs.paused['id']}/series")["marks"]
    assert [mark["event"] for mark in marks] == ["Paused"]


def test_an_older_installation_gets_the_new_fields_and_rebuild_fills_them_in(jobs: Jobs) -> None:
    settings, client = jobs.cluster.settings, jobs.client
    index = index_name(settings.prefix, "progress")
    properties = client.indices.get_mapping(index=index)[index]["mappings"]["properties"]
    older = {name: kind for name, kind in properties.items() if name not in ("lane", "run", "added", "share")}
    client.indices.delete(index=index)
    client.indices.delete_index_template(name=index)
    one_copy = {"number_of_replicas": settings.elasticsearch_replicas}
    client.indices.create(index=index, mappings={"dynamic": False, "properties": older}, settings=one_copy)
    assert provision_indices(settings) == []
    assert jobs.rows("rows-applied", jobs.mended) == []
    rebuild(settings, lambda done, total: None)
    client.indices.refresh(index=index)
    for job in (jobs.mended, jobs.undone, jobs.paused):
        assert jobs.figure("rows-applied", job) == job["progress"]["rows_applied"]
        assert sum(row["applied"] for row in jobs.rows("rates", job)) == job["progress"]["rows_applied"]


def test_groups_of_row_errors_are_those_that_are_left_and_hold_reasons_of_any_length(jobs: Jobs) -> None:
    groups = jobs.cluster.call("GET", f"/v1/jobs/{jobs.mended['id']}/errors/groups")
    assert (groups["total"], groups["rows_done"], groups["groups"][0]["rows"]) == (1, ROWS, 1)
    index, odd = index_name(jobs.cluster.settings.prefix, "errors"), f"odd-{uuid.uuid4().hex[:6]}"
    reasons = ["same", "same", "same", "x" * 10_000, "y" * 9000, "other"]
    for row, reason in enumerate(reasons, 1):
        column = "name" if row != 3 else None
        document = {"job_id": odd, "row": row, "line": row + 1, "column": column, "value": "v", "reason": reason}
        jobs.client.index(index=index, id=f"{odd}:{row}", document=document)

    async def found() -> tuple[ErrorGroups, ErrorGroups, RowErrorPage]:
        async with async_elasticsearch(jobs.cluster.settings) as client:
            documents = Documents(client)
            return (
                await error_groups(documents, index, odd, 10),
                await error_groups(documents, index, odd, 10, most=1),
                await error_page(documents, index, odd, 10, None, like=4),
            )

    every, one, like = asyncio.run(found())
    assert [(group.column, group.rows, group.like) for group in every.groups] == [
        ("name", 2, 1), ("name", 2, 4), (None, 1, 3), ("name", 1, 6)
    ]  # fmt: skip
    assert every.groups[1].reason.startswith("(reasons that are too long")
    assert (one.groups[0].rows, one.others) == (2, 4)
    assert [error.row for error in like.errors] == [4, 5]
