"""Reads all records of a topic, for the measurements and the tests."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Message

from runtime.settings import Settings
from runtime.topics.reading import TopicReading
from schemas.topics import TopicName, topic_name


def records(settings: Settings, topic: TopicName, since_ms: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
    """As `messages`: (partition, key, value)."""
    for message in messages(settings, topic, since_ms):
        yield message.partition() or 0, message.key() or b"", message.value() or b""


def messages(settings: Settings, topic: TopicName, since_ms: int = 0) -> Iterator[Message]:
    """The committed records of a topic from a time on, up to its end as it is now. Raises as `TopicReading`."""
    yield from TopicReading(settings, topic_name(settings.prefix, topic), since_ms=since_ms)
