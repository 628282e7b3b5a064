"""A stack for measurements, with a home and ports of its own; and the resources that its processes used."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from devstack.lifecycle import status
from devstack.lifecycle.shutdown import down
from devstack.lifecycle.startup import up
from devstack.ports import free_port
from runtime.settings import Settings, settings


@contextmanager
def bench_stack(workers: int = 1) -> Iterator[Settings]:
    """A running stack, removed afterwards, when SIGTERM ends this process too. It replaces its settings.

    To be called in the main thread.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    home = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    home.chmod(0o711)
    os.environ["SLUICE_HOME"] = str(home)
    for name in ("API", "KAFKA", "ELASTICSEARCH", *(["METRICS"] if workers == 1 else [])):
        os.environ[f"SLUICE_{name}_PORT"] = str(free_port())
    settings.cache_clear()
    config = settings()
    try:
        up(config, detach=True, workers=workers)
        yield config
    finally:
        down(config)
        shutil.rmtree(home, ignore_errors=True)


def peak_megabytes(config: Settings) -> dict[str, float]:
    """Role -> the most memory that a process of Sluice has used so far, in MB (VmHWM of Linux)."""
    _, records = status.report(config)
    peaks: dict[str, float] = {}
    for record in records:
        if status.runs(record) and record.role in ("api", "ingest", "worker"):
            lines = Path(f"/proc/{record.pid}/status").read_text().splitlines()
            kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
            peaks[record.role] = max(peaks.get(record.role, 0.0), kib / 1024)
    return peaks


def cpu_seconds(config: Settings) -> dict[str, float]:
    """Role -> the processor time that its processes have used so far."""
    _, records = status.report(config)
    used: dict[str, float] = {}
    for record in records:
        if status.runs(record) and record.pid is not None:
            times = psutil.Process(record.pid).cpu_times()
            used[record.role] = used.get(record.role, 0.0) + times.user + times.system
    return used
