"""The processes of the stack, in the order they are started."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Final

from devstack import ports
from devstack.foreground.roles import ROLES
from devstack.layout import Layout
from devstack.program import Program, Role, name_of
from devstack.servers import elasticsearch_server, kafka_server
from devstack.servers.cache import cache_folder
from devstack.servers.lockfile import locked
from devstack.servers.packages import fetch
from runtime.settings import Settings

_NICENESS: Final[dict[Role, int]] = {"ingest": 15}
"""The reader is far ahead of the worker anyway, and commands and rows wait for the worker and Elasticsearch."""


def servers(settings: Settings, layout: Layout) -> list[Program]:
    """Kafka and Elasticsearch, save those that the settings place elsewhere; downloads what is missing.

    Raises:
        StackError: a download fails or a folder can't be made.
    """
    cache = cache_folder(layout.home)
    if not (settings.kafka_bootstrap or settings.elasticsearch_url or elasticsearch_server.is_unpacked(cache)):
        fetch(locked("kafka", "elasticsearch"), cache)  # in one go, under one progress bar
    makers = [
        *([] if settings.kafka_bootstrap else [kafka_server.program]),
        *([] if settings.elasticsearch_url else [elasticsearch_server.program]),
    ]
    return [make(settings, layout, cache) for make in makers]


def own(settings: Settings, layout: Layout, workers: int) -> list[Program]:
    """Sluice's own processes."""
    numbered: list[tuple[Role, int]] = [("api", 1), ("ingest", 1)]
    numbered += [("worker", number) for number in range(1, workers + 1)]
    return [_python(role, number, settings, layout) for role, number in numbered]


def _python(role: Role, number: int, settings: Settings, layout: Layout) -> Program:
    name = name_of(role, number)
    ready_file = layout.run / f"{role}-{number}.ready"
    environment = {
        **os.environ,
        "SLUICE_API_REQUIRE_KEY": os.environ.get("SLUICE_API_REQUIRE_KEY") or "false",
        "SLUICE_HOME": str(layout.home),
        "SLUICE_READY_FILE": str(ready_file),
        # Its logs are files that people read.
        "SLUICE_LOG_FORMAT": "text" if settings.log_format == "auto" else settings.log_format,
        **({"SLUICE_METRICS_PORT": str(port)} if (port := metrics_port(settings, role, number)) else {}),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",  # a crash in native code leaves its stacks in the log
        # A folder named like one of our packages, where `up` was called, must not be taken for it.
        "PYTHONSAFEPATH": "1",
    }
    is_api = role == "api"
    return Program(
        role=role,
        number=number,
        command=(sys.executable, "-m", ROLES[role]),
        environment=environment,
        log=layout.log(name),
        check=partial(_require_api_port, settings) if is_api else lambda: None,
        probe=partial(_api_answers, settings) if is_api else ready_file.exists,
        ready_file=ready_file,
        niceness=_NICENESS.get(role, 0),
    )


def metrics_port(settings: Settings, role: Role, number: int = 1) -> int | None:
    """Each process's own port, from the one of the settings on: the API, the reader, the workers. With 0 the system
    chooses each.
    """
    if not settings.metrics_port:
        return settings.metrics_port
    return settings.metrics_port + {"api": 0, "ingest": 1}.get(role, 1 + number)


def _require_api_port(settings: Settings) -> None:
    ports.require_free(settings.api_port, "the API", "SLUICE_API_PORT", settings.api_host)


def _api_answers(settings: Settings) -> bool:
    import httpx2

    try:
        # This is our own child process: only its clients need to trust its certificate.
        return httpx2.get(f"{settings.api}/readyz", timeout=3, trust_env=False, verify=False).status_code == 200
    except httpx2.HTTPError:
        return False
