"""Numbers in settings: each is refused with a sentence, or is one with which everything works that is made of it."""

from __future__ import annotations

import asyncio
import math
import resource
import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import confluent_kafka
import pytest
from confluent_kafka.admin import NewTopic
from pydantic import ValidationError

from api.jobs.creation import drafts
from api.outgoing.lookups import Lookups
from api.server import _allow_files
from api.web.connection_timeouts import ConnectionTimeouts, Limits, Snapshot
from api.web.connections import BoundedConfig
from api.webhooks.ownership import Ownership
from api.webhooks.posting import Connections
from api.webhooks.sending import patience_ms
from control.authorization.authorizer import Authorizer
from devstack.layout import Layout
from devstack.program import Role
from devstack.supervision.roles import metrics_port, own
from ingest.consumers import PlanConsumer
from ingest.inbox import transactions
from ingest.inbox.transactions import InboxConsumer, Transactions
from processor.stream.faust_app import make_app
from processor.stream.report_copies import ReportCopies
from runtime.bounds import Within
from runtime.clients import async_elasticsearch, elasticsearch
from runtime.files.storage import s3_store
from runtime.migration.topics import wanted_topics
from runtime.settings import Settings, settings
from runtime.text.sentences import sentence
from schemas.topics import DAY_MS

MOST_KAFKA_INT = 2**31 - 1
"""Of most of librdkafka's settings, and of Kafka's protocol."""
TEXTS = [
    "inf", "-inf", "Infinity", "nan", "-1", "-0.5", "0", "1e308", "1e9", "1000000000", "1" + "0" * 18, "9" * 400,
    "9" * 5000, " ", "\t", "abc", "1,5", "0x10", "1e", "--1", "forever",
]  # fmt: skip


def numbers(name: str) -> list[type]:
    """The kinds of number that a setting may be."""
    hint = get_type_hints(Settings)[name]
    return [kind for kind in (hint, *get_args(hint)) if kind in (int, float)]


def bounds(hint: Any) -> Iterator[Within]:
    for argument in get_args(hint):
        if isinstance(argument, Within):
            yield argument
        else:
            yield from bounds(argument)
    for argument in getattr(hint, "__metadata__", ()):
        if isinstance(argument, Within) and argument not in get_args(hint):
            yield argument


NAMES = [name for name in sorted(Settings.model_fields) if numbers(name)]
BOUNDS = {name: list(bounds(get_type_hints(Settings, include_extras=True)[name])) for name in NAMES}


def test_every_number_has_bounds() -> None:
    assert len(NAMES) > 30
    assert [name for name, found in BOUNDS.items() if len(found) != 1] == []
    assert all(math.isfinite(found.least) and math.isfinite(found.most) for [found] in BOUNDS.values())


def _read(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv(f"SLUICE_{name.upper()}", value)
    settings.cache_clear()
    try:
        return settings()
    finally:
        settings.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_a_number_is_refused_with_a_sentence_or_works(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = 0
    for value in TEXTS:
        try:
            found = _read(name, value, monkeypatch)
        except ValidationError as error:
            told, _ = sentence(error)
            shown = value in told or f"{value[:40]}..." in told
            assert told.startswith(f"SLUICE_{name.upper()}: ") and str(BOUNDS[name][0]) in told and len(told) < 200
            assert shown == _is_number(value, numbers(name)[0]) or not value.strip(), told
            refused += 1
        else:
            everything_is_made_of(found)
    assert refused >= len(TEXTS) - 6


def _is_number(text: str, kind: type) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_everything_works_at_the_bounds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = BOUNDS[name]
    kind = numbers(name)[0]
    least = 1e-300 if found.above else kind(found.least)
    for value in (str(least), str(kind(found.most)), *(["forever"] if found.forever else [])):
        everything_is_made_of(_read(name, value, monkeypatch))
    for value in (str(kind(found.least) - 1), str(kind(found.most) + 1)):
        with pytest.raises(ValidationError):
            _read(name, value, monkeypatch)


def test_each_process_of_the_local_stack_has_a_port_of_its_own_for_metrics() -> None:
    roles: list[tuple[Role, int]] = [("api", 1), ("ingest", 1), ("worker", 1), ("worker", 2)]
    ports = {port: [metrics_port(Settings(metrics_port=port), *role) for role in roles] for port in (9464, 0)}
    assert ports == {9464: [9464, 9465, 9466, 9467], 0: [0, 0, 0, 0]}, "0: any that is free"


class _Consumer(confluent_kafka.Consumer):  # type: ignore[misc]
    def list_topics(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(topics=defaultdict(lambda: SimpleNamespace(partitions={0: None})))


class _Producer(confluent_kafka.Producer):  # type: ignore[misc]
    def init_transactions(self, *_: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_kafka(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka checks the configurations of these clients; they connect to nobody."""
    monkeypatch.setattr(transactions, "Consumer", _Consumer)
    monkeypatch.setattr(transactions, "Producer", _Producer)
    monkeypatch.setenv("SLUICE_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))


def everything_is_made_of(chosen: Settings) -> None:
    """Make what processes make of their numbers, which raises for one that does not fit."""
    anything: Any = None
    for topic in wanted_topics(chosen):
        NewTopic(topic.name, topic.partitions, chosen.topic_replication, config=dict(topic.config))
        assert all(-1 <= int(text) < 2**63 for text in topic.config.values() if text.lstrip("-").isdigit())
    for make in (
        lambda: PlanConsumer(chosen, anything, anything),
        lambda: InboxConsumer(chosen, lambda _: anything, anything, anything),
        lambda: Transactions(chosen),
        lambda: Ownership(chosen, anything, anything, anything)._member(),
    ):
        make()
    for seconds in (value for name, value in chosen if name.endswith("_seconds")):
        assert seconds * 1000 <= MOST_KAFKA_INT and seconds <= threading.TIMEOUT_MAX
        assert timedelta(seconds=seconds) + datetime.now(UTC)
    Authorizer(anything, anything, anything, required=False, window_seconds=chosen.signed_command_seconds)
    ReportCopies(anything, anything, anything, chosen.old_reports_hours)
    parts: Any = SimpleNamespace(settings=chosen)
    for milliseconds in (drafts._lasting_ms(parts), patience_ms(chosen)):
        assert datetime.now(UTC) + timedelta(milliseconds=milliseconds)
    for days in (chosen.image_retention_days, chosen.job_retention_days, chosen.report_retention_days or 1.0):
        assert datetime.now(UTC) - timedelta(milliseconds=round(days * DAY_MS))
    s3_store(chosen, "bucket")
    s3_store(chosen, "bucket", request_seconds=chosen.source_seconds)
    elasticsearch(chosen).close()
    own(chosen, Layout.of(chosen), 64)
    limits = Limits.of(chosen)
    BoundedConfig(anything, limits, host=chosen.api_host, port=chosen.api_port)
    timeouts = ConnectionTimeouts(limits, 0.0)
    timeouts.exceeded(Snapshot(at=1.0, requests=1, awaited="body", received=1, unsent=1, fetches=1))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        _allow_files(2 * chosen.api_connections + 512)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
    asyncio.run(_made_in_a_loop(chosen))


async def _made_in_a_loop(chosen: Settings) -> None:
    async def ignore(*_: Any) -> None: ...

    app = make_app(chosen)
    consumer = app.transport.create_consumer(ignore, on_partitions_revoked=ignore, on_partitions_assigned=ignore)
    try:
        consumer._thread._create_worker_consumer(app.transport)
    finally:
        consumer._thread.thread_loop.close()
    await async_elasticsearch(chosen).close()
    Connections(chosen, ssl.create_default_context(), Lookups())
    for seconds in (value for name, value in chosen if name.endswith("_seconds")):
        asyncio.get_running_loop().call_later(seconds, ignore).cancel()
