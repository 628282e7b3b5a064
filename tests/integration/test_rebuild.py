"""The reports can be made anew from the topics."""

from __future__ import annotations

import asyncio
from typing import Any

from control.jobtable import JobTable
from processor.elastic.bulk import BulkSink
from processor.execution.report_retention import delete_old_reports
from processor.rebuild import rebuild
from runtime.clients import async_elasticsearch
from runtime.clock import now_ms
from runtime.provision import provision
from runtime.settings import Settings
from sample_csv.accidents import swap_columns
from schemas.indices import REPORT_MAPPINGS, data_index, index_name
from schemas.job import Job, State
from schemas.topics import DAY_MS
from tests.conftest import People
from tests.support.processes.cluster import Cluster
from tests.support.waiting import elasticsearch, wait_until
from verify.compare import compare


def reports(settings: Settings, job_id: str) -> dict[str, dict[str, Any]]:
    """Every report document of a job, by index and id."""
    with elasticsearch(settings) as client:
        found: dict[str, dict[str, Any]] = {}
        for name in REPORT_MAPPINGS:
            index = index_name(settings.prefix, name)
            client.indices.refresh(index=index)
            job = {"term": {"id" if name == "jobs" else "job_id": job_id}}
            hits = client.search(index=index, query=job, size=1000)["hits"]["hits"]
            found[name] = {hit["_id"]: hit["_source"] for hit in hits}
        return found


def test_deleted_reports_come_back_as_they_were(cluster: Cluster, people: People, organisation: str) -> None:
    file = cluster.settings.home / f"{organisation}.csv"
    file.write_bytes(swap_columns(people(200).read_bytes(), "email", "phone"))
    job_id = cluster.upload(file, organisation)
    cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")

    def complete() -> bool:
        now = reports(cluster.settings, job_id)
        done = sum(document["totals"]["rows_failed"] for document in _newest(now["progress"]))
        return done == 200 and any(job["state"] == "COMPLETED_WITH_ERRORS" for job in now["jobs"].values())

    wait_until(complete, "the reports to be complete")
    before = reports(cluster.settings, job_id)
    assert len(before["errors"]) == 200
    with elasticsearch(cluster.settings) as client:
        for name in REPORT_MAPPINGS:
            client.indices.delete(index=index_name(cluster.settings.prefix, name))
    counts = rebuild(cluster.settings, lambda done, total: None)
    assert counts["unreadable"] == 0
    after = reports(cluster.settings, job_id)
    for name, documents in before.items():  # a last record of progress may have come since
        assert {key: after[name].get(key) for key in documents} == documents


def test_after_the_loss_of_elasticsearch_all_comes_back_that_is_promised(
    cluster: Cluster, people: People, organisation: str
) -> None:
    """Reports from the topics, rows from the stored file; docs/runbook.md says so."""
    settings, file = cluster.settings, people(300)
    job_id = cluster.upload(file, organisation)
    cluster.wait_state(job_id, "COMPLETED")

    def told() -> bool:
        return any(job["state"] == "COMPLETED" for job in reports(settings, job_id)["jobs"].values())

    wait_until(told, "the job's last report")
    wait_until(lambda: _done(reports(settings, job_id)) == 300, "the job's progress")
    before = reports(settings, job_id)
    with elasticsearch(settings) as client:
        indices = list(client.indices.get(index=f"{settings.prefix}-*", filter_path="*.aliases").body)
        client.indices.delete(index=indices)
        templates = client.indices.get_index_template(name=f"{settings.prefix}-*")["index_templates"]
        for template in templates:
            client.indices.delete_index_template(name=template["name"])

    assert provision(settings) == []
    rebuild(settings, lambda done, total: None)
    after = reports(settings, job_id)
    for name, documents in before.items():
        assert {key: after[name].get(key) for key in documents} == documents
    (stored,) = (settings.storage_root / "sources" / job_id).iterdir()
    assert stored.read_bytes() == file.read_bytes()
    again = cluster.upload(stored, organisation, if_same="allow")
    cluster.wait_state(again, "COMPLETED")
    verdict = compare(settings, again, "people", file)
    assert verdict.holds, verdict
    mappings = cluster.settings.prefix
    with elasticsearch(settings) as client:
        found = client.indices.get_mapping(index=data_index(mappings, "people"))
        (mapping,) = [one["mappings"] for one in found.body.values()]
        assert mapping["dynamic"] == "strict"


def test_old_reports_go_and_those_of_jobs_that_are_known_stay(cluster: Cluster) -> None:
    settings, now = cluster.settings, now_ms()
    jobs = JobTable()
    known = Job(
        id=f"known-{now}", operation="upload", dataset="people", organisation="o", created_by="t",
        state=State.PAUSED, created_at=now - 50 * DAY_MS, command_offset=1, partitions=2,
    )  # fmt: skip
    jobs.put(known)
    gone = f"gone-{now}"
    with elasticsearch(settings) as client:
        for name in ("progress", "errors"):
            for job_id in (gone, known.id):
                for days in (9, 11):
                    document = {"job_id": job_id, "at": now - days * DAY_MS}
                    client.index(index=index_name(settings.prefix, name), document=document, refresh=True)

    async def retire() -> int:
        client = async_elasticsearch(settings, once=True)
        try:
            return await delete_old_reports(BulkSink(client), settings.prefix, jobs, 10, now, lambda: None)
        finally:
            await client.close()

    assert asyncio.run(retire()) == 2
    for job_id, left in ((gone, 1), (known.id, 2)):
        found = reports(settings, job_id)
        assert [len(found[name]) for name in ("progress", "errors")] == [left, left]


def _done(found: dict[str, dict[str, Any]]) -> int:
    return sum(document["totals"]["rows_applied"] for document in _newest(found["progress"]))


def _newest(progress: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    lanes: dict[int, dict[str, Any]] = {}
    for document in sorted(progress.values(), key=lambda item: int(item["at"])):
        lanes[document["partition"]] = document
    return list(lanes.values())
