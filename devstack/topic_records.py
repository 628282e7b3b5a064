"""All records of a topic, for whoever wants to see what really happened: the bench and the tests."""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaException, TopicPartition

from runtime.clients import librdkafka_config
from runtime.settings import Settings
from schemas.topics import TopicName, topic_name

READ_SECONDS = 60.0
BATCH = 1000


def records(settings: Settings, topic: TopicName, since_ms: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
    """The committed records of a topic from a time on, up to its end as it is now: (partition, key, value).

    Raises:
        TimeoutError: the end was not reached within a minute.
        KafkaException: Kafka answers with an error.
    """
    name = topic_name(settings.prefix, topic)
    consumer = Consumer(
        librdkafka_config(
            settings,
            group_id=f"{settings.prefix}-evidence",
            enable_auto_commit=False,
            isolation_level="read_committed",
            enable_partition_eof=False,
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
                if record.error() is not None:
                    raise KafkaException(record.error())
                yield record.partition(), record.key() or b"", record.value() or b""
            # A transaction's last offset is a marker that no consumer is given: the position goes past it, though.
            for place in consumer.position([TopicPartition(name, partition) for partition in ends]):
                if place.offset >= ends[place.partition]:
                    del ends[place.partition]
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} can't be read to its end: {ends}")
    finally:
        consumer.close()
