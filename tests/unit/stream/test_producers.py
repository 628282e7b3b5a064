"""What producers may write, beside what the topics take. Nothing is sent to Kafka."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from api.errors import ApiError, KafkaUnavailableError, RecordTooLargeError
from api.readmodel.appender import Appender, _problem
from api.readmodel.command_log import CommandLog, submit
from api.readmodel.job_feed import JobFeed
from control.authorization.senders import kept_headers
from ingest.inbox.partition import MOST_BYTES as MOST_INBOX_BYTES
from processor import worker
from runtime.clients import producer_config
from runtime.settings import Settings
from schemas.messages.commands import PauseJob
from schemas.messages.dead_letters import MOST_BYTES, RejectedRecord, first_written
from schemas.topics import MOST_RECORD_BYTES, topics
from signing import HEADER, MOST_HEADER_BYTES, read_signature

ROOT = Path(__file__).parents[3]
WRITERS = ("runtime", "control", "ingest", "processor", "api", "extensions", "devstack", "verify")
NOBODY = Settings(kafka_bootstrap="127.0.0.1:1")
KAFKAS_OWN = 1_048_588
"""Bytes of a batch of records that a topic takes which says nothing about it."""


def producers(source: str) -> Iterator[tuple[str, bool]]:
    """Each call that makes a producer, and whether it takes records as long as the topics do."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        configs = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and called(node.value) == "producer_config"
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and called(call).endswith("Producer"):
                limits = [ast.unparse(word.value) for word in call.keywords if word.arg == "max_request_size"]
                parts = [node for given in call.args for node in ast.walk(given)]
                made = any(
                    called(node) == "producer_config" or (isinstance(node, ast.Name) and node.id in configs)
                    for node in parts
                )
                yield ast.unparse(call), made or limits == ["MOST_RECORD_BYTES"]


def called(node: ast.AST) -> str:
    return ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""


def test_every_producer_takes_records_as_long_as_its_topics_do() -> None:
    """With its own limit of a million bytes a client refuses what lies in a topic, or what another one has made."""
    found = [
        (f"{file.relative_to(ROOT)}: {call}", takes)
        for package in WRITERS
        for file in sorted((ROOT / package).rglob("*.py"))
        for call, takes in producers(file.read_text("utf-8"))
    ]
    assert len(found) >= 6, "the producers are made otherwise now"
    assert [call for call, takes in found if not takes] == []
    limits = {int(topic.config.get("max.message.bytes", KAFKAS_OWN)) for topic in topics("sluice", 1)}
    assert limits == {MOST_RECORD_BYTES, KAFKAS_OWN}


@pytest.mark.parametrize(
    "line",
    ["Producer(librdkafka_config(s))", "AIOKafkaProducer(acks='all')", "kafka.Producer({**config, 'a': 1})"],
)
def test_a_producer_with_its_own_limit_would_be_found(line: str) -> None:
    assert list(producers(f"def f(s):\n    config = librdkafka_config(s)\n    {line}\n")) == [
        (ast.unparse(ast.parse(line)), False)
    ]


def test_a_dead_letter_of_the_longest_record_finds_room() -> None:
    letter = RejectedRecord("t" * 249, 9, 2**62, b"k" * 4_000_000, b"x" * 4_000_000, "ü" * 5000)
    key, value, headers = letter.dead_letter()
    assert key is not None and value is not None and len(value) == MOST_BYTES
    producer = Producer(producer_config(NOBODY))
    producer.produce("t", value, key, 0, headers=[(name, text.encode()) for name, text in headers.items()])
    producer.purge()


@pytest.mark.parametrize("header", [None, b"", b"abc", b"-5", b"1.5", b"9" * 5000, "٣".encode(), "5"])
def test_a_dead_letter_that_says_oddly_when_it_was_written_is_of_its_own_time(header: Any) -> None:
    assert first_written(header, 7) == 7
    assert first_written(b"1790000000000", 7) == 1_790_000_000_000


def test_a_record_that_is_too_long_is_told_as_such() -> None:
    async def append() -> None:
        appender = Appender(NOBODY, asyncio.get_running_loop())
        with pytest.raises(RecordTooLargeError):
            await appender.append("webhook-deliveries", b"k", b"x" * (MOST_RECORD_BYTES + 1))
        with pytest.raises(ApiError) as refused:
            await submit(CommandLog(_TooLong()), JobFeed(), PauseJob(job_id="j"))  # type: ignore[arg-type]
        assert refused.value.code == 413
        appender.stop()

    asyncio.run(append())
    assert not isinstance(_problem(KafkaError(KafkaError._ALL_BROKERS_DOWN)), RecordTooLargeError)
    assert isinstance(_problem(KafkaError(KafkaError._ALL_BROKERS_DOWN)), KafkaUnavailableError)


class _TooLong:
    async def append(self, *_: Any) -> int:
        raise RecordTooLargeError("too large")

    def has(self, *_: Any) -> bool:
        return True


@pytest.mark.parametrize("size", [10, MOST_HEADER_BYTES, MOST_HEADER_BYTES + 1, 1_000_000])
def test_of_the_headers_of_a_record_a_signature_is_kept_and_no_megabyte(size: int) -> None:
    given = [("other", b"y" * 1_000_000), (HEADER, None), (HEADER, b"x" * size), (HEADER, b"z")]
    ((name, kept),) = kept_headers(given)
    assert name == HEADER and len(kept) == min(size, MOST_HEADER_BYTES + 1)
    assert (read_signature(kept) is None) and (len(kept) > MOST_HEADER_BYTES) is (size > MOST_HEADER_BYTES)
    assert not kept_headers(None) and not kept_headers([]) and not kept_headers([("other", b"y")])


def test_the_longest_row_of_the_inbox_can_be_moved() -> None:
    """A producer counts more for a record than Kafka does, so what it takes with this limit the topic takes."""
    ((name, signature),) = kept_headers([(HEADER, b"x" * 1_000_000)])
    producer = Producer({**producer_config(NOBODY), "message.max.bytes": KAFKAS_OWN})
    headers = [("sluice-format", b"1000"), ("traceparent", b"0" * 55), (name, signature)]
    producer.produce("t", b"v" * MOST_INBOX_BYTES, b"j" * 64, 0, headers=headers)
    with pytest.raises(KafkaException):
        producer.produce("t", b"v" * MOST_INBOX_BYTES, b"j" * 64, 0, headers=[(name, b"x" * 1_000_000)])
    producer.purge()


def test_a_takeover_keeps_the_signatures_of_the_commands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Command:
        def offset(self) -> int:
            return 5

        def headers(self) -> list[tuple[str, bytes]]:
            return [("trash", b"y" * 1_000_000), (HEADER, b"x" * 1_000_000)]

    monkeypatch.setattr(worker, "TopicReading", lambda *_, **__: [Command()])
    ((offset, headers),) = asyncio.run(worker.recent_commands(NOBODY, 1))
    assert offset == 5 and sum(len(name) + len(value) for name, value in headers) < 1000
