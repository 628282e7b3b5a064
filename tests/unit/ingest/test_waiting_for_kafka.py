"""A reader that waits for Kafka says each thing once, when it is so."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

import ingest.consumers
from ingest.consumers import wait_for_topics
from ingest.errors import PublishError
from runtime.settings import Settings
from schemas.topics import topics

REFUSED = KafkaError(KafkaError._TRANSPORT, "Connect to 127.0.0.1:1 failed (after 0ms in state CONNECT)")
REFUSED_AGAIN = KafkaError(KafkaError._TRANSPORT, "Connect to 127.0.0.1:1 failed (after 3ms, 4 identical suppressed)")
ALL_DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")


class Client:
    """A client of librdkafka: it saves its errors up, and gives them out while it is polled."""

    def __init__(self, down: int, errors: list[KafkaError]) -> None:
        self.down, self.errors = down, errors
        self.tries, self.closed = 0, False
        self.lines: list[int] = []

    def __call__(self, config: dict[str, Any]) -> Client:
        self._error_cb = config["error_cb"]
        return self

    def list_topics(self, timeout: float) -> Any:
        self.tries += 1
        if self.tries <= self.down:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, "no broker"))
        return SimpleNamespace(topics=dict.fromkeys(topic.name for topic in topics("sluice", 1)))

    def poll(self, timeout: float) -> None:
        for error in self.errors:
            self._error_cb(error)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("down", [1, 5, 50])
def test_each_line_is_written_once_and_at_its_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, down: int
) -> None:
    client = Client(down, [REFUSED, REFUSED_AGAIN, ALL_DOWN])
    monkeypatch.setattr(ingest.consumers, "Consumer", client)
    seen: list[int] = []
    with caplog.at_level(logging.WARNING):
        wait_for_topics(Settings(), lambda: bool(seen.append(len(caplog.records))))
    assert [entry.__dict__["event"] for entry in caplog.records] == ["kafka.waiting", "kafka.trouble", "kafka.trouble"]
    assert (client.tries, client.closed) == (down + 1, True)
    assert seen[1] == 3, "as soon as they have come, and not at the end"


def test_the_second_thread_of_a_process_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ingest.consumers, "Consumer", Client(5, [REFUSED, ALL_DOWN]))
    wait_for_topics(Settings(), lambda: False, say=False)
    assert not caplog.records


@pytest.mark.parametrize("say", [True, False])
def test_an_error_of_the_client_that_does_not_pass_ends_the_wait(monkeypatch: pytest.MonkeyPatch, say: bool) -> None:
    client = Client(5, [KafkaError(KafkaError._FATAL, "no", True)])
    monkeypatch.setattr(ingest.consumers, "Consumer", client)
    with pytest.raises(PublishError, match="can't go on"):
        wait_for_topics(Settings(), lambda: False, say)
    assert client.closed
