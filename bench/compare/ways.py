"""The ways of loading that are compared: Sluice's own two, and the peers', as data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.compare.environments import UnavailableError, go_program, python_of, redis_server
from bench.compare.peer_process import PeerProcess
from devstack.ports import free_port

Start = Callable[[Path, Path], PeerProcess]
"""Starts a peer, given the cache folder and a folder for its log; raises UnavailableError."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of loading a file."""

    name: str
    title: str
    """As the tables call it."""
    source: str
    """What it reads: "file", "rows" (a topic of single rows) or "blocks" (a topic of blocks of rows)."""
    start: Start | None
    """None: Sluice itself, or a way that can't be had."""
    in_plot: bool = True
    """Whether it is measured at smaller sizes, too."""
    unavailable: str | None = None


SLUICE: Final = "sluice"
SLUICE_ROWS: Final = "sluice-rows"


def _python(environment: str, module: str, *arguments: str) -> Start:
    def start(cache: Path, folder: Path) -> PeerProcess:
        python = python_of(environment, cache)
        log = folder / f"{'-'.join([environment, module, *arguments])}.log"
        return PeerProcess(python, f"bench.peers.{environment}.{module}", arguments, {}, log)

    return start


def _celery(cache: Path, folder: Path) -> PeerProcess:
    python = python_of("celery", cache)
    redis, variables = redis_server(cache)
    arguments = (str(redis), str(free_port()), str(folder))
    return PeerProcess(python, "bench.peers.celery.program", arguments, variables, folder / "celery.log")


def _benthos(cache: Path, folder: Path) -> PeerProcess:
    program = go_program("benthos", cache)
    return PeerProcess(Path(sys.executable), "bench.peers.benthos.program", (str(program),), {}, folder / "benthos.log")


def _direct(connections: int, made: str) -> Way:
    words = {"ready": "lines made beforehand", "csv": "lines made on the way"}[made]
    plural = "s" if connections > 1 else ""
    return Way(
        f"direct-{made}-{connections}",
        f"tuned bulk requests, {words}, {connections} connection{plural}",
        "file",
        _python("scripts", "direct", str(connections), made),
        in_plot=(connections, made) == (2, "csv"),
    )


NOT_TO_BE_HAD: Final = (
    (
        "kafka-connect",
        "Kafka Connect",
        "Apache's packages have its runtime, but no CSV source and no Elasticsearch or HTTP sink; those of others "
        "(spooldir, FilePulse, Aiven's HTTP sink) are downloads of their own, and are not measured",
    ),
    (
        "logstash",
        "Logstash",
        "is no package of PyPI, Maven Central, Debian or Go: Elastic has it as an archive of its own",
    ),
    ("vector", "Vector", "is no package of PyPI, crates.io, Debian or Go: its makers have it as a binary of their own"),
    (
        "redpanda-connect",
        "Redpanda Connect",
        "its Elasticsearch output is not under a free licence; Benthos, its core, which is, stands in the table",
    ),
)
"""Name, title, and why there are no figures."""

WAYS: Final[Sequence[Way]] = (
    Way(SLUICE, "Sluice, an upload", "file", None),
    *(_direct(connections, made) for made in ("ready", "csv") for connections in (1, 2, 4)),
    Way(
        "streaming-bulk", "elasticsearch-py, `streaming_bulk`", "file", _python("scripts", "helpers", "streaming_bulk")
    ),
    Way("parallel-bulk", "elasticsearch-py, `parallel_bulk`", "file", _python("scripts", "helpers", "parallel_bulk")),
    Way("celery", "Celery on Redis, tasks of 500 rows", "file", _celery),
    Way("benthos", "Benthos (the core of Redpanda Connect)", "file", _benthos),
    *(Way(name, title, "file", None, unavailable=reason) for name, title, reason in NOT_TO_BE_HAD),
    Way("aiokafka", "aiokafka consumer, tuned bulk requests", "blocks", _python("consumers", "with_aiokafka")),
    Way("confluent", "confluent-kafka consumer, tuned bulk requests", "blocks", _python("consumers", "with_confluent")),
    Way("quix-blocks", "Quix Streams and its sink", "blocks", _python("quix", "program", "blocks")),
    Way("quix-rows", "Quix Streams and its sink", "rows", _python("quix", "program", "rows")),
    Way(SLUICE_ROWS, "Sluice, its inbox", "rows", None),
)


def chosen(names: Sequence[str]) -> tuple[Way, ...]:
    """The ways named, in the table's order; all of them if none is. Sluice itself is always among them.

    Raises:
        ValueError: there is no such way; the text lists those that there are.
    """
    known = {way.name for way in WAYS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{', '.join(unknown)}: the ways are {', '.join(sorted(known))}")
    return tuple(way for way in WAYS if not names or way.name in names or way.name == SLUICE)


__all__ = ["SLUICE", "SLUICE_ROWS", "WAYS", "UnavailableError", "Way", "chosen"]
