"""Reads topics from their beginning to the end that they have now: checkpoints at an assignment, reports, evidence."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from confluent_kafka import IsolationLevel, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from runtime.clients import KAFKA_ANSWER_SECONDS, librdkafka_config
from runtime.settings import Settings
from runtime.topics.assigned import AssignedConsumer, extent_of

_BATCH = 1000
_SILENT_SECONDS = 30.0
"""A reading fails when no record has come for so long."""


class TopicReading:
    """The committed records of some partitions of one topic, up to the end that each has when this is made.

    It is read once, by iterating; offsets that hold no record (the ends of transactions) are passed over.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        partitions: Collection[int] | None = None,
        *,
        since_ms: int = 0,
        pending: bool = False,
    ) -> None:
        """`topic`: its full name. `partitions`: None means all. `since_ms`: records of that time (milliseconds since
        1970) and later ones. `pending`: wait for transactions that are open now, as far as they are committed.

        Raises:
            KafkaException: Kafka does not answer, or the topic is not there. Trying again later helps.
        """
        # Small buffers: of a long topic librdkafka would hold 64 megabytes beside what is made of it.
        self._reading = AssignedConsumer(
            settings,
            "reading",
            isolation_level="read_committed",
            queued_max_messages_kbytes=8192,
            fetch_queue_backoff_ms=5,
        )
        try:
            known = self._reading.consumer.list_topics(topic, timeout=KAFKA_ANSWER_SECONDS).topics[topic]
            if known.error is not None:
                raise KafkaException(known.error)
            wanted = [TopicPartition(topic, number) for number in (partitions or known.partitions)]
            self._starts, self._ends = self._extents(settings, wanted, since_ms, pending)
        except BaseException:
            self._reading.close()
            raise
        self.total = sum(end.offset - start.offset for start, end in zip(self._starts, self._ends, strict=True))
        """Offsets to read: as many records, or a few less."""

    def __iter__(self) -> Iterator[Message]:
        """Raises KafkaException: Kafka answers with an error, or nothing has come for `_SILENT_SECONDS`."""
        ends = {end.partition: end.offset for end in self._ends}
        try:
            self._reading.assign(self._starts)
            for records in self._reading.read_to(self._ends, _BATCH, _SILENT_SECONDS):
                yield from (one for one in records if (one.offset() or 0) < ends.get(one.partition() or 0, 0))
        finally:
            self._reading.close()

    def _extents(
        self, settings: Settings, wanted: list[TopicPartition], since_ms: int, pending: bool
    ) -> tuple[list[TopicPartition], list[TopicPartition]]:
        """Where to begin on each partition that has something to read, and the offset behind its last record."""
        starts, ends = [], []
        latest = _latest(settings, wanted) if pending else {}
        timed = {}
        if since_ms:
            asked = [TopicPartition(place.topic, place.partition, since_ms) for place in wanted]
            timed = {
                place.partition: place.offset
                for place in self._reading.consumer.offsets_for_times(asked, timeout=KAFKA_ANSWER_SECONDS)
            }
        for place in wanted:
            low, high = extent_of(self._reading.consumer, place)
            first = timed.get(place.partition, low)
            end = latest.get(place.partition, high)
            if 0 <= first < end:
                starts.append(TopicPartition(place.topic, place.partition, first))
                ends.append(TopicPartition(place.topic, place.partition, end))
        return starts, ends


def _latest(settings: Settings, places: list[TopicPartition]) -> dict[int, int]:
    """Partition -> the offset behind its last record, one of an open transaction included."""
    admin = AdminClient(librdkafka_config(settings))  # to be held until it has answered
    found = admin.list_offsets(
        {place: OffsetSpec.latest() for place in places},
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
        request_timeout=KAFKA_ANSWER_SECONDS,
    )
    return {place.partition: future.result().offset for place, future in found.items()}
