"""After a purge no store has a value of the job: not the storage, not Kafka's topics nor its files, not Elasticsearch's
indices nor its files. The same search finds the values before, and those of another job after."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from devstack.ephemeral import Servers
from devstack.ports import free_port
from runtime.clients import librdkafka_config
from runtime.settings import Settings
from schemas.topics import topic_name
from tests.conftest import MakeCluster
from tests.support.processes.cluster import Cluster
from tests.support.waiting import PATIENCE, elasticsearch, wait_until
from verify.topic_records import messages

HEADER = "name,email,phone,country,favorite_color,created_at"
TOPICS = (
    "rows",
    "inbox",
    "dead-letters",
    "jobs",
    "job-events",
    "commands",
    "plans",
    "lanes",
    "progress",
    "inbox-state",
    "webhooks",
    "webhook-deliveries",
)


def word() -> str:
    """A value that is nowhere else, and that no compression breaks up."""
    return f"q{secrets.token_hex(12)}z"


def bad_row(value: str) -> str:
    """A row that is refused, so that nothing of it is among the loaded rows."""
    return f"Ann,ann@example.org,+31201234567,Netherlands,{value},2026-99-99T00:00:00Z"


def good_row(value: str) -> str:
    return f"{value},ann@example.org,+31201234567,Netherlands,blue,2026-01-01T00:00:00Z"


def send(cluster: Cluster, organisation: str, file: Path, rows: list[str], **options: object) -> str:
    file.write_text("\n".join([HEADER, *rows, ""]))
    return cluster.upload(file, organisation, **options)


def in_topics(settings: Settings, value: str) -> set[str]:
    found = set()
    for name in TOPICS:
        for message in messages(settings, name):
            if value.encode() in (message.value() or b"") + (message.key() or b"") + repr(message.headers()).encode():
                found.add(f"topic {name}")
    return found


def in_indices(settings: Settings, value: str) -> set[str]:
    found = set()
    with elasticsearch(settings) as client:
        client.indices.refresh(index=f"{settings.prefix}-*")
        after = None
        while hits := client.search(
            index=f"{settings.prefix}-*", size=1000, sort=[{"_doc": "asc"}], search_after=after,
        )["hits"]["hits"]:  # fmt: skip
            found |= {f"index {hit['_index']}" for hit in hits if value in json.dumps(hit)}
            after = hits[-1]["sort"]
    return found


def files_below(folder: Path) -> Iterator[Path]:
    # `rglob` fails where a folder goes meanwhile, as those of other tests' indices do.
    yield from (Path(place) / name for place, _, names in os.walk(folder) for name in names)


def in_files(stack: Servers, cluster: Cluster, value: str) -> set[str]:
    """The files that have a value: of the storage and the logs, of Kafka, of Elasticsearch."""
    found = set()
    disk = stack.settings.home.absolute()
    homes = {"home": cluster.settings.home, "kafka": disk / "kafka", "index": (disk / "elasticsearch").resolve()}
    for name, home in homes.items():
        for path in files_below(home):
            try:
                if value.encode() in path.read_bytes():
                    found.add(f"{name}: {path.relative_to(home)}")
            except OSError:
                continue  # a file that its server has removed meanwhile
    return found


def everywhere(stack: Servers, cluster: Cluster, value: str) -> set[str]:
    return in_topics(cluster.settings, value) | in_indices(cluster.settings, value) | in_files(stack, cluster, value)


def produce(settings: Settings, job_id: str, rows: list[dict[str, str]]) -> None:
    producer = Producer(librdkafka_config(settings))
    for number, values in enumerate(rows, start=1):
        record = {"job_id": job_id, "row": number, "values": values}
        producer.produce(topic_name(settings.prefix, "inbox"), json.dumps(record).encode(), job_id.encode())
    producer.flush(PATIENCE)


@pytest.fixture
def whole_disk(stack: Servers) -> Servers:
    if not (stack.settings.home / "kafka").is_dir():
        pytest.skip("the servers are not this run's own, so their files can't be searched")
    return stack


def test_a_purge_leaves_no_value_in_any_store_though_its_worker_is_killed(
    cluster: Cluster, whole_disk: Servers, organisation: str, tmp_path: Path
) -> None:
    gone, stays, loaded = word(), word(), word()
    file = tmp_path / "people.csv"
    nowhere = f"http://127.0.0.1:{free_port()}/"
    for number in (1, 2, 3):  # their events wait meanwhile
        cluster.call("POST", "/v1/webhooks", json={"url": nowhere, "organisation": f"{organisation}-{number}"})
    jobs = [
        send(cluster, f"{organisation}-1", file, [bad_row(gone), good_row(loaded)]),
        send(cluster, f"{organisation}-2", file, [good_row(gone), bad_row(gone)], dry_run=True),
    ]
    asked = {"operation": "upload", "dataset": "people", "organisation": f"{organisation}-3", "source": "topic"}
    jobs.append(cluster.call("POST", "/v1/jobs", json=asked)["id"])
    bad = dict(zip(HEADER.split(","), bad_row(gone).split(","), strict=True))
    produce(cluster.settings, jobs[-1], [bad, {**bad, "row": gone}])
    cluster.call("POST", f"/v1/jobs/{jobs[-1]}/end", json={"rows": 2})
    other = send(cluster, f"{organisation}-4", file, [bad_row(stays)])
    file.unlink()
    for job_id in (*jobs, other):
        cluster.wait_state(job_id, "COMPLETED_WITH_ERRORS")
    assert cluster.request("GET", f"/v1/jobs/{jobs[0]}/errors.csv").text.count(gone) == 1

    cluster.wait(lambda: "topic webhook-deliveries" in in_topics(cluster.settings, jobs[0]), "its events wait")
    before = everywhere(whole_disk, cluster, gone)
    assert not any("webhook" in found for found in before), before
    assert {"topic inbox", "topic dead-letters"} <= before
    prefix = cluster.settings.prefix
    assert {f"index {prefix}-errors", f"index {prefix}-previews"} <= before
    for place in ("home: storage/sources/", f"kafka: data/{prefix}.inbox-", f"kafka: data/{prefix}.dead-letters-"):
        assert any(found.startswith(place) for found in before), (place, before)
    assert any(found.startswith("index: ") for found in before), before
    assert not any(".rows" in found or found == "topic rows" for found in before), "blocks are sealed"

    for job_id in jobs:
        cluster.act(job_id, "purge", wait=None, reason="a person asked for it")
    cluster.worker.kill()
    cluster.start("worker")  # it goes on with all of them
    for job_id in jobs:
        cluster.wait(lambda job_id=job_id: not cluster.job(job_id)["purging"], f"the purge of job {job_id} is over")
        done = cluster.job(job_id)
        assert (done["purge_problem"], done["purged_at"] is not None) == (None, True), done
    assert in_topics(cluster.settings, gone) == in_indices(cluster.settings, gone) == set()
    # Kafka removes the files of segments a few seconds later.
    wait_until(lambda: not in_files(whole_disk, cluster, gone), "no file has a value of the purged jobs")

    assert everywhere(whole_disk, cluster, stays) >= {f"index {prefix}-errors", "topic dead-letters"}
    assert in_indices(cluster.settings, loaded) == {f"index {prefix}-data-people"}, "what was loaded stays"
    for job_id in jobs:
        assert cluster.act(job_id, "purge", wait=None)["purged_at"] is not None, "a repeat"
        assert cluster.events(job_id)[-2:] == ["PurgeBegun", "Purged"]
        assert not list((cluster.settings.storage_root / "sources").glob(f"{job_id}/*"))
        assert not (cluster.settings.storage_root / "keys" / job_id).exists()
        answer = cluster.request("GET", f"/v1/jobs/{job_id}/errors")
        assert (answer.status_code, "by a purge" in answer.text) == (404, True)
    assert cluster.act(jobs[0], "rollback")["state"] == "ROLLED_BACK"
    assert in_indices(cluster.settings, loaded) == set()


def test_what_is_kept_no_longer_goes_and_a_job_that_is_not_over_keeps_all(
    make_cluster: MakeCluster, organisation: str, tmp_path: Path
) -> None:
    shortly = {"uploaded_files": 1e-5, "row_errors": 1e-5, "dead_letters": 1e-5}
    cluster = make_cluster(housekeeping_seconds=1, retention=json.dumps(shortly))
    value, file = word(), tmp_path / "people.csv"
    paused = send(cluster, f"{organisation}-2", file, [bad_row(value)] * 50 + [good_row("Bo")] * 50, rows_per_second=1)
    cluster.act(paused, "pause")
    over = send(cluster, f"{organisation}-1", file, [bad_row(value), good_row("Ann")])
    stores = {"uploaded_files", "row_errors", "dead_letters"}
    cluster.wait(lambda: set(cluster.job(over)["expired"]) == stores, "what the job has left is removed")
    assert cluster.events(over).count("Expired") == 3
    answer = cluster.request("GET", f"/v1/jobs/{over}/errors")
    assert (answer.status_code, "retention" in answer.text) == (404, True)
    root = cluster.settings.storage_root
    assert [path.parent.name for path in root.glob("sources/*/*.csv")] == [paused]
    cluster.rate(paused, None)
    cluster.act(paused, "resume")
    cluster.wait_rows(paused, 100)
    with elasticsearch(cluster.settings) as client:
        client.indices.refresh(index=f"{cluster.settings.prefix}-data-people")
        assert client.count(index=f"{cluster.settings.prefix}-data-people")["count"] == 51
