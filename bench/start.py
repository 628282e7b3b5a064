"""How long the API, a reader and a worker take to start among many jobs that have ended, and how much memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka import Producer

from bench.ended_jobs import PARTITIONS, ended_jobs
from devstack.ephemeral import Servers
from devstack.ports import free_port
from runtime.clients import librdkafka_config
from runtime.clock import now_ms
from runtime.provision import provision
from runtime.settings import Settings
from schemas.messages.formats import format_headers
from schemas.topics import topic_name

ROLES = {"api": "api.server", "ingest": "ingest", "worker": "processor"}
READY_SECONDS = 300.0
AFTER_SECONDS = 10.0
"""What is done in the background after a start counts for the memory as well."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What the start of one process took."""

    role: str
    seconds: float
    cpu_seconds: float
    megabytes: float
    peak_megabytes: float


def measure(jobs: int) -> list[Figure]:
    """Write the records of so many jobs, and start one process of each role."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        settings = Settings(
            home=home, kafka_port=free_port(), elasticsearch_port=free_port(), api_port=free_port(),
            api_require_key=False, topic_partitions=PARTITIONS,
        )  # fmt: skip
        servers = Servers(settings)
        servers.start()
        try:
            provision(settings)
            write(settings, jobs)
            return [started(role, settings) for role in ROLES]
        finally:
            servers.stop()
            servers.remove()


def write(settings: Settings, jobs: int) -> None:
    """Write the records."""
    producer = Producer(librdkafka_config(settings, enable_idempotence=True, linger_ms=50, compression_type="lz4"))
    for topic, key, value in ended_jobs(jobs, now_ms()):
        while True:
            try:
                producer.produce(topic_name(settings.prefix, topic), value, key, headers=format_headers())
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(120)


def started(role: str, settings: Settings) -> Figure:
    """Start a process, measure it, and stop it."""
    began = time.monotonic()
    with _process(role, settings) as (process, ready):
        while not ready.exists():
            if process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                raise RuntimeError(f"the {role} has not started: {ready.with_suffix('.log').read_text()[-2000:]}")
            time.sleep(0.05)
        seconds, times = time.monotonic() - began, psutil.Process(process.pid).cpu_times()
        time.sleep(AFTER_SECONDS)
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        memory = {line.split()[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmHWM", "VmRSS"))}
    return Figure(role, seconds, times.user + times.system, memory["VmRSS:"], memory["VmHWM:"])


@contextmanager
def _process(role: str, settings: Settings) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    ready = settings.home / f"{role}.ready"
    given = {f"SLUICE_{name.upper()}": str(value) for name, value in settings if value is not None}
    with ready.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", ROLES[role]],
            env={**os.environ, **given, "SLUICE_READY_FILE": str(ready)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, ready
    finally:
        process.terminate()
        process.wait(60)
