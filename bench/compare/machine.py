"""Which machine this is, for those who read the figures."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.compare.results import Machine
from devstack.servers.lockfile import locked


def this_machine() -> Machine:
    """The machine, and the versions of what is compared."""
    servers = {package.artifact: package.version for package in locked("kafka", "elasticsearch")}
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gigabytes=round(psutil.virtual_memory().total / 2**30),
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 2),
        versions={
            "Sluice": version("sluice"),
            "Elasticsearch": servers.get("elasticsearch", "?"),
            "Kafka": servers.get("kafka_2.13", "?"),
        },
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
