"""All records of a topic, for whoever wants to see what really happened: the bench and the tests."""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.clients import librdkafka_config
from runtime.settings import Settings
from schemas.topics import TopicName, topic_name

READ_SECONDS = 60.0
BATCH = 1000


def records(settings: Settings, topic: TopicName, since_ms: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
    """As `messages`: (partition, key, value)."""
    for message in messages(settings, topic, since_ms):
        yield message.partition() or 0, message.key() or b"", message.value() or b""


def messages(settings: Settings, topic: TopicName, since_ms: int = 0) -> Iterator[Message]:
    """The committed records of a topic from a time on, up to its end as it is now.

    Raises:
        TimeoutError: the end was not reached within a minute.
        KafkaException: Kafka answers with an error.
    """
    name = topic_name(settings.prefix, topic)
    group = f"{settings.prefix}-evidence"
    consumer = Consumer(
        librdkafka_config(
            settings,
            group_id=group,
            enable_auto_commit=False,
            enable_partition_eof=True,
            isolation_level="read_committed",
        )
    )
    try:
        partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
        asked = [TopicPartition(name, partition, since_ms) for partition in partitions]
        starts = [place for place in consumer.offsets_for_times(asked, timeout=10) if place.offset >= 0]
        ends = {place.partition: consumer.get_watermark_offsets(place, timeout=10)[1] for place in starts}
        consumer.assign(starts)
        deadline = time.monotonic() + READ_SECONDS
        while ends:
            for record in consumer.consume(BATCH, 0.05):
                error = record.error()
                if error is None:
                    yield record
                elif error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                # the last offsets may be no records, but the ends of transactions
                if error is not None or (record.offset() or 0) + 1 >= ends.get(record.partition() or 0, 0):
                    ends.pop(record.partition() or 0, None)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} can't be read to its end: {ends}")
    finally:
        consumer.close()
