"""What is seen of processes that run as in a container: a read-only root, metrics and probes, logs as JSON."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.telemetry.log_events import EVENTS
from runtime.version import VERSION
from schemas.messages.formats import FORMAT, format_of
from tests.conftest import MakeCluster, People
from tests.faults.collector import Collected, collector
from tests.faults.evidence import assert_loaded
from tests.faults.read_only import SITECUSTOMIZE
from tests.support.processes.cluster import Cluster, Process
from tests.support.waiting import PATIENCE, wait_until
from verify.topic_records import messages

ROWS = 4000


def ask(process: Process, path: str) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{process.metrics_port}{path}", timeout=PATIENCE, trust_env=False, verify=False)


def series(process: Process) -> dict[tuple[str, tuple[str, ...]], float]:
    """(Name, values of the labels) -> value, of all metrics of a process."""
    found = {}
    for family in text_string_to_metric_families(ask(process, "/metrics").text):
        for sample in family.samples:
            found[sample.name, tuple(sample.labels.values())] = sample.value
    return found


def logged(process: Process) -> list[dict[str, Any]]:
    """The lines of its log; each has to be one JSON object. Those of the interpreter and of librdkafka are none."""
    return [json.loads(line) for line in process.log.splitlines() if not line.startswith("%")]


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collected]:
    """Where the processes send their traces."""
    with collector() as collected:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        yield collected


@pytest.fixture
def contained(make_cluster: MakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traces: Collected) -> Cluster:
    """A cluster whose processes may write the storage and their ready files, and nothing else."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
    storage, ready = tmp_path / "storage", tmp_path / "home"
    ready.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("WRITABLE", f"{storage}/:{storage}:{tmp_path}/worker-:{tmp_path}/ingest-:{tmp_path}/api-")
    return make_cluster(storage=storage, metrics_port=1, log_format="json", session_timeout_seconds=30)


def test_a_job_as_metrics_logs_traces_and_topics_show_it(contained: Cluster, people: People, traces: Collected) -> None:
    cluster, file = contained, people(ROWS)
    processes = (cluster.api, cluster.reader, cluster.worker)
    for process in processes:
        wait_until(lambda process=process: ask(process, "/readyz").status_code == 200, "its port says that it is ready")
        assert ask(process, "/healthz").status_code == 200
        assert ask(process, "/no").status_code == 404
        roles = [labels for name, labels in series(process) if name == "sluice_build_info"]
        assert len(roles) == 1 and VERSION in roles[0]

    job_id = cluster.upload(file, rows_per_second=40)
    cluster.wait_rows(job_id, 1)

    def waits() -> bool:
        """All blocks are read, most of them wait: the group's lag does not show it, and the pending rows do."""
        seen = series(cluster.api)
        lag = series(cluster.worker).get(("sluice_consumer_lag_records", (f"{cluster.settings.prefix}.rows",)))
        pending = seen["sluice_pending_rows", ("RUNNING",)], seen["sluice_pending_blocks", ("RUNNING",)]
        print("lag", lag, "pending", pending)
        return lag == 0 and pending[0] > ROWS / 3 and pending[1] > 5

    wait_until(waits, "blocks wait, and the lag is 0")
    assert cluster.act(job_id, "pause")["state"] == "PAUSED"
    wait_until(lambda: series(cluster.api)["sluice_pending_rows", ("PAUSED",)] > 0, "the rows are the paused job's")
    assert series(cluster.api)["sluice_pending_rows", ("RUNNING",)] == 0
    cluster.rate(job_id, None)
    cluster.act(job_id, "resume")
    cluster.wait_state(job_id, "COMPLETED")
    assert_loaded(cluster, job_id, file)

    reader, worker = series(cluster.reader), series(cluster.worker)
    assert reader["sluice_reader_rows_total", ("file",)] >= ROWS
    assert reader["sluice_reader_bytes_total", ("file",)] > ROWS
    assert worker["sluice_worker_rows_total", ("upload", "applied")] == ROWS
    assert worker["sluice_worker_bytes_total", ("upload",)] > ROWS
    assert worker["sluice_pause_seconds_count", ()] == 1
    assert worker["sluice_command_seconds_count", ()] > 3
    assert worker["sluice_job_events_total", ("Completed",)] == 1
    assert worker["sluice_elasticsearch_request_seconds_count", ("write", "answered")] > 0
    assert worker["sluice_worker_partitions", ()] == cluster.settings.topic_partitions
    assert worker["sluice_worker_controls", ()] == 1
    assert worker["sluice_jobs_not_understood", ()] == 0

    for process in processes:
        events = {line.get("event") for line in logged(process)}
        assert events - {None} <= set(EVENTS) and "process.started" in events, events
    happened = [line for line in logged(cluster.worker) if line.get("job") == job_id and line["event"] == "job.event"]
    assert [line["what"] for line in happened][-1] == "Completed" and all("epoch" in line for line in happened)
    for topic in ("commands", "jobs", "job-events", "plans", "rows", "lanes", "progress"):
        assert {format_of(record.headers()) for record in messages(cluster.settings, topic)} == {FORMAT}, topic

    trace = f"{uuid.uuid4().hex}"
    asked = {"operation": "export", "dataset": "people", "organisation": "acme", "from": "2026-01-01"}
    made = cluster.call("POST", "/v1/jobs", json=asked, headers={"traceparent": f"00-{trace}-{trace[:16]}-01"})
    cluster.wait_state(made["id"], "COMPLETED")
    wanted = {
        ("sluice-api", "POST jobs"),
        ("sluice-worker", "command"),
        ("sluice-ingest", "read"),
        ("sluice-worker", "batch"),
        ("sluice-worker", "search"),
    }
    wait_until(lambda: wanted <= traces.of(trace), "the trace has all its spans")
    assert {name for _, _, name in traces.spans} >= {"bulk", "POST pause", "PUT rate"}

    for process in processes:
        process.stop()
    assert not list(cluster.settings.home.glob("*.ready"))
    assert not (cluster.settings.home / "faust").exists()
