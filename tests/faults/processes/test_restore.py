"""Kafka, Elasticsearch and the storage are backed up at different moments, lost, and restored on empty servers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.ephemeral import Servers
from devstack.ports import free_port
from processor.backups.comparing import compare as compare_stores
from processor.backups.sentences import sentences
from processor.rebuild import rebuild
from runtime.provision import provision
from runtime.settings import Settings
from schemas.indices import data_index
from tests.conftest import People, own_settings
from tests.faults.evidence import count, documents
from tests.support.processes.cluster import Cluster
from tests.support.waiting import elasticsearch
from verify.compare import compare

ROWS = 2000
REPOSITORY = "backup"


@pytest.fixture
def servers(test_home: Path) -> Iterator[Servers]:
    """Servers of the test's own: it empties them."""
    ports = {name: free_port() for name in ("kafka_port", "elasticsearch_port", "api_port")}
    servers = Servers(Settings(home=test_home / "restored", **ports))
    servers.start()
    yield servers
    servers.stop()
    servers.remove()


@pytest.fixture
def cluster(servers: Servers, tmp_path: Path) -> Iterator[Cluster]:
    # Kafka stands still while it is copied.
    cluster = Cluster(own_settings(servers, tmp_path, session_timeout_seconds=10))
    cluster.up()
    yield cluster
    cluster.close()


def copy_kafka(servers: Servers, to: Path) -> None:
    """What a snapshot of its volume has: every file as it is at one moment, in the middle of its work."""
    servers.kafka.freeze()
    try:
        shutil.copytree(servers.layout.kafka / "data", to)
    finally:
        servers.kafka.wake()


def snapshot(settings: Settings, servers: Servers, name: str) -> None:
    """Of Elasticsearch, as docs/runbook.md has it."""
    folder = (servers.layout.elasticsearch / "snapshots").resolve()
    with elasticsearch(settings) as client:
        repository = {"type": "fs", "settings": {"location": str(folder)}}
        client.snapshot.create_repository(name=REPOSITORY, repository=repository)
        client.snapshot.create(
            repository=REPOSITORY, snapshot=name, indices=f"{settings.prefix}-*", wait_for_completion=True
        )


def restore(settings: Settings, servers: Servers, name: str) -> None:
    """All but the jobs' reports, which `rebuild` makes anew: a report never goes back to an older state."""
    folder = (servers.layout.elasticsearch / "snapshots").resolve()
    with elasticsearch(settings) as client:
        repository = {"type": "fs", "settings": {"location": str(folder), "readonly": True}}
        client.snapshot.create_repository(name=REPOSITORY, repository=repository)
        indices = f"{settings.prefix}-*,-{settings.prefix}-jobs"
        client.snapshot.restore(repository=REPOSITORY, snapshot=name, indices=indices, wait_for_completion=True)


def told(settings: Settings) -> list[str]:
    """What `sluice rebuild` says after it has made the reports."""
    rebuild(settings, lambda done, total: None)
    found = compare_stores(settings)
    return list(sentences(found.jobs, found.differences))


def loaded(cluster: Cluster, job_id: str, file: Path) -> None:
    verdict = compare(cluster.settings, job_id, "people", file)
    assert verdict.holds, f"{verdict}\n{cluster.events(job_id)}"


def test_everything_goes_on_after_a_restore_and_a_backup_that_is_too_old_is_told(
    servers: Servers, cluster: Cluster, people: People, tmp_path: Path
) -> None:
    settings, file, small = cluster.settings, people(ROWS), people(300)
    older = cluster.upload(small, "older")
    cluster.wait_state(older, "COMPLETED")
    export = cluster.export("older")
    cluster.wait_state(export, "COMPLETED")
    result = cluster.request("GET", f"/v1/jobs/{export}/result").content
    paused, running = (cluster.upload(file, name, rows_per_second=20) for name in ("paused", "running"))
    cluster.wait_rows(paused, 21)
    cluster.wait_rows(running, 21)
    snapshot(settings, servers, "too-old")
    cluster.wait_rows(paused, 300)
    assert cluster.act(paused, "pause")["state"] == "PAUSED"
    at_pause = cluster.job(paused)["progress"]["rows_applied"]

    # In the order of the guide: Kafka, then Elasticsearch, then the storage. Much happens in between.
    copy_kafka(servers, tmp_path / "backup" / "kafka")
    beyond = cluster.job(running)["progress"]["rows_applied"]
    lost = cluster.upload(small, "lost")
    cluster.wait_state(lost, "COMPLETED")
    cluster.act(paused, "resume")
    cluster.rate(paused, None)
    cluster.wait_state(paused, "COMPLETED")
    cluster.wait_rows(running, beyond + 100)
    snapshot(settings, servers, "good")
    shutil.copytree(settings.storage_root, tmp_path / "backup" / "storage")

    for process in cluster.all:
        process.kill()
    servers.stop()
    shutil.rmtree(servers.layout.kafka / "data")
    shutil.rmtree(servers.layout.elasticsearch / "data")
    shutil.rmtree(settings.storage_root)
    shutil.copytree(tmp_path / "backup" / "kafka", servers.layout.kafka / "data")
    shutil.copytree(tmp_path / "backup" / "storage", settings.storage_root)
    servers.start()
    restore(settings, servers, "good")
    assert provision(settings) == []
    said = "\n".join(told(settings))
    assert f"{lost}: 300 rows" in said
    assert f"{paused} (upload of paused, PAUSED): {ROWS - at_pause:,} rows beyond" in said
    assert older not in said

    cluster.heal()
    assert cluster.job(paused)["state"] == "PAUSED"
    cluster.rate(running, None)
    cluster.wait_state(running, "COMPLETED")
    cluster.rate(paused, None)
    cluster.act(paused, "resume")
    cluster.wait_state(paused, "COMPLETED")
    for job_id in (paused, running):
        loaded(cluster, job_id, file)
    assert cluster.request("GET", f"/v1/jobs/{export}/result").content == result
    assert cluster.act(older, "rollback")["state"] == "ROLLED_BACK"
    assert count(settings, older) == 0
    assert cluster.request("GET", f"/v1/jobs/{lost}").status_code == 404

    # The other way round: rows that Kafka counts are not in the snapshot.
    for process in cluster.all:
        process.kill()
    with elasticsearch(settings) as client:
        client.indices.delete(index=",".join(client.indices.get(index=f"{settings.prefix}-*").body))
    restore(settings, servers, "too-old")
    assert provision(settings) == []
    said = "\n".join(told(settings))
    assert "Elasticsearch lacks rows" in said
    assert f"{older} (upload of older, ROLLED_BACK): 300 rows instead of 0" in said
    cluster.heal()
    for job_id in (paused, running):
        lacking = count(settings, job_id)
        assert 0 < lacking < ROWS
        assert f"(upload of {cluster.job(job_id)['organisation']}, COMPLETED): {lacking:,} of {ROWS:,} rows" in said
        assert cluster.act(job_id, "rollback")["state"] == "ROLLED_BACK"
        asked = {"operation": "upload", "dataset": "people", "source": {"job": job_id}}
        again = cluster.call("POST", "/v1/jobs", json={**asked, "organisation": cluster.job(job_id)["organisation"]})
        cluster.wait_state(again["id"], "COMPLETED")
        loaded(cluster, again["id"], file)
    with elasticsearch(settings) as client:
        for document in documents(settings, older):
            client.delete(index=data_index(settings.prefix, "people"), id=document)
    assert told(settings) == ["Kafka, Elasticsearch and the storage agree about 6 jobs."]
