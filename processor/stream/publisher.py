"""Writes records and waits until Kafka has them on every in-sync replica."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer

from control.outbox import Written
from runtime.clients import aiokafka_config
from runtime.settings import Settings
from runtime.telemetry.tracing import trace_headers
from schemas.messages.dead_letters import DeadLetter
from schemas.messages.formats import format_headers
from schemas.topics import MOST_RECORD_BYTES, TopicName, topic_name

_BATCH_BYTES = 256 * 1024
"""Bytes for one partition that a request carries, at most."""


class RecordPublisher:
    """An idempotent producer for what workers and the control agent write."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.prefix
        self._producer = AIOKafkaProducer(
            **aiokafka_config(settings),
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            compression_type="lz4",
            max_request_size=MOST_RECORD_BYTES,
            request_timeout_ms=30_000,
        )

    async def start(self) -> None:
        """Connect. Raises aiokafka.errors.KafkaConnectionError when no broker answers."""
        await self._producer.start()

    async def stop(self) -> None:
        """Write out what is left and disconnect."""
        await self._producer.stop()

    async def publish(self, topic: TopicName, key: bytes, value: bytes | None) -> None:
        """Write one record and wait for it to be safe; a value of None is a tombstone."""
        await self.publish_all([(topic, key, value, None)])

    async def publish_all(self, records: Iterable[tuple[TopicName, bytes, bytes | None, int | None]]) -> None:
        """Write records and wait until all are safe.

        Raises:
            aiokafka.errors.KafkaError: Kafka did not take one in time. Its fate is unknown; writing it again is safe.
        """
        await self._send(
            (topic, key, value, partition, [*format_headers(), *trace_headers()])
            for topic, key, value, partition in records
        )

    async def write(self, records: Iterable[Written]) -> None:
        """Write records, those of a partition in this order, and wait until all are safe.

        Raises:
            aiokafka.errors.KafkaError: as `publish_all`.
        """
        await self._send(
            (topic, key, value, None, [*format_headers(), *(headers or trace_headers())])
            for topic, key, value, headers in records
        )

    async def copy(
        self, topic: TopicName, records: Iterable[tuple[bytes | None, bytes, Iterable[tuple[str, bytes]]]]
    ) -> None:
        """Write records (key, value, headers) with just these headers, and wait until all are safe.

        Raises:
            aiokafka.errors.KafkaError: as `publish_all`.
        """
        await self._send((topic, key, value, None, list(headers)) for key, value, headers in records)

    async def bury(self, letters: Iterable[DeadLetter]) -> None:
        """Write dead letters and wait until all are safe.

        Raises:
            aiokafka.errors.KafkaError: as `publish_all`.
        """
        await self._send(
            (
                "dead-letters",
                key,
                value,
                None,
                [*format_headers(), *((name, text.encode()) for name, text in headers.items())],
            )
            for key, value, headers in letters
        )

    async def _send(
        self,
        records: Iterable[tuple[TopicName, bytes | None, bytes | None, int | None, list[tuple[str, bytes]]]],
    ) -> None:
        """Write records (topic, key, value, partition, headers), and wait until all are safe."""
        sent = []
        for topic, key, value, partition, headers in records:
            name = topic_name(self._prefix, topic)
            await self._learn(name, partition)
            sent.append(await self._producer.send(name, key=key, value=value, partition=partition, headers=headers))
        if sent:
            await asyncio.gather(*sent)

    async def _learn(self, topic: str, partition: int | None) -> None:
        """Have the producer know a partition that the topic has got lately: by itself it looks every five minutes, and
        until then it would end the worker that owns the partition.
        """
        client = self._producer.client
        known = client.cluster.partitions_for_topic(topic)
        if partition is not None and known is not None and partition not in known:
            await client.force_metadata_update()
