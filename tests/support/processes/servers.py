"""The Kafka and the Elasticsearch of a run, which all its processes share; and those of a file that kills its own."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from devstack.ephemeral import Servers
from devstack.errors import StackError
from devstack.ports import free_port
from devstack.servers.external import require_reachable
from runtime.settings import Settings
from tests.support.waiting import PATIENCE, wait_until


def start_patiently(servers: Servers) -> None:
    """Start them, and wait for them as long as a machine with other work to do may need. Raises as `Servers.start`."""
    for server in servers.by_role.values():
        server.program = replace(server.program, ready_seconds=2 * PATIENCE)
    servers.start()


@contextmanager
def own_servers(home: Path, keep: bool = False) -> Iterator[Servers]:
    """Servers of the caller alone, for tests that kill or stop one, and for a run of one process.

    They are stopped at the end, and their files removed unless `keep` is set.

    Raises:
        StackError: they can't be downloaded or started.
    """
    servers = Servers(Settings(home=home, kafka_port=free_port(), elasticsearch_port=free_port(), api_port=free_port()))
    start_patiently(servers)
    try:
        yield servers
    finally:
        servers.stop()
        if not keep:
            servers.remove()


@contextmanager
def shared_servers(home: Path, run: Path, keep: bool = False) -> Iterator[Servers]:
    """The servers of a run of several processes. The first process that asks starts them, in its home, and stops them
    once no other uses them. `run`: a folder that the processes of this run alone have in common.

    Raises:
        StackError: they can't be downloaded or started.
        AssertionError: those that another process has started do not answer.
    """
    with (run / "users").open("a+") as users, (run / "started").open("a+") as started:
        fcntl.flock(started, fcntl.LOCK_EX)  # until they are started; others wait here
        fcntl.flock(users, fcntl.LOCK_SH)
        started.seek(0)
        if told := started.read():
            fcntl.flock(started, fcntl.LOCK_UN)
            reached = wait_until(partial(_answering, json.loads(told)), "the servers of the run answer")
            assert reached is not None
            yield reached
            return
        with own_servers(home, keep) as servers:
            settings = servers.settings
            ports = {"kafka": settings.kafka_port, "elasticsearch": settings.elasticsearch_port}
            started.write(json.dumps({"home": str(home), **ports}))
            started.flush()
            fcntl.flock(started, fcntl.LOCK_UN)
            yield servers
            fcntl.flock(users, fcntl.LOCK_EX)  # a process that ends, however it does, gives its lock back
            started.truncate(0)  # who asks from now on waits for `users`, and starts others


def named_servers(ports: str, home: Path) -> Servers:
    """The settings of servers that run already. Raises StackError if they do not answer."""
    found = re.fullmatch(r"(\d+),(\d+)", ports)
    if found is None:
        raise StackError(f"SLUICE_TEST_SERVERS is KAFKA_PORT,ELASTICSEARCH_PORT, not {ports!r}.")
    return _elsewhere(str(home), int(found[1]), int(found[2]))


def _answering(told: dict[str, Any]) -> Servers | None:
    try:
        return _elsewhere(**told)
    except StackError:  # it waits for a few seconds only
        return None


def _elsewhere(home: str, kafka: int, elasticsearch: int) -> Servers:
    settings = Settings(
        home=Path(home),
        kafka_bootstrap=f"127.0.0.1:{kafka}",
        elasticsearch_url=f"http://127.0.0.1:{elasticsearch}",
        api_port=free_port(),
    )
    require_reachable(settings)
    return cast(Servers, SimpleNamespace(settings=settings))
