"""The reader's two consumers: of plans, shared by a group, and of the control table, which each process reads whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from control.jobtable import JobTable
from ingest.errors import PublishError
from ingest.metrics import ReaderMetrics
from runtime.clients import METADATA_MS, librdkafka_config
from runtime.process import return_freed_memory
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from runtime.topics.assigned import AssignedConsumer
from schemas.messages.codec import UndecodableError
from schemas.topics import TopicName, topic_name

log = logging.getLogger(__name__)

_MOST_CLAIMED = 1000
_AT_ONCE = 500
"""Records that one call takes, at most: blocks don't wait for a long backlog."""
_LOOK_SECONDS: Final = 0.25
"""The pause between two looks for Kafka and its topics."""


_SMALL_BUFFERS: Final = {
    # Of a long topic librdkafka would hold 64 megabytes, and what is freed stays with the process.
    "queued_max_messages_kbytes": 4096,
    # With the default of a second small buffers would limit it to some thousand records a second.
    "fetch_queue_backoff_ms": 5,
}


def wait_for_topics(settings: Settings, stopping: Callable[[], bool], say: bool = True) -> None:
    """Return once Kafka answers and has the topics this process uses, or when it is to stop. `say`: log what it waits
    for; of the two threads of a process one does so.

    librdkafka looks again for a topic that was missing only every five minutes, which would be a slow start.
    """
    names: tuple[TopicName, ...] = (
        "plans",
        "jobs",
        "commands",
        "reports",
        "rows",
        "inbox",
        "inbox-state",
        "dead-letters",
        "principals",
    )
    wanted = {topic_name(settings.prefix, name) for name in names}
    said = ""
    told: set[str] = set()

    def on_error(error: KafkaError) -> None:
        if error.fatal() or (say and error.name() not in told):  # the client makes the same one for each try
            told.add(error.name())
            _on_error(error)

    consumer = _consumer(settings, "ingest-view", on_error)
    try:
        while not stopping():
            try:
                missing = wanted - set(consumer.list_topics(timeout=2).topics)
                problem = f"waiting for the topics {', '.join(sorted(missing))}" if missing else ""
            except KafkaException as error:
                problem = f"waiting for Kafka at {settings.bootstrap}: {error.args[0].str()}"
            if not problem:
                return
            if say and problem != said:
                log.warning(problem, extra=as_event("kafka.waiting"))
                said = problem
            consumer.poll(_LOOK_SECONDS)  # it gives out the client's errors, which would else come all at once
    finally:
        consumer.close()


class ViewConsumer:
    """Follows the whole control table, without a group."""

    def __init__(self, settings: Settings, jobs: JobTable) -> None:
        self._jobs = jobs
        self.caught_up = False
        """Whether the end of the topic has been reached once."""
        self._reading = AssignedConsumer(settings, "ingest-view", _on_error, **_SMALL_BUFFERS)
        self._topic = topic_name(settings.prefix, "jobs")
        self._commands = topic_name(settings.prefix, "commands")
        self._newest = -1
        self._claimed: list[int] = []
        # A consumer that fetches nothing: the broker answers others only after their fetch, which may wait for records.
        self._ends = AssignedConsumer(settings, "ingest-ends", _on_error)
        self._reading.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])

    def follow(self, seconds: float = 0) -> None:
        """Take in the records that have come, or wait up to `seconds` for the first one."""
        try:
            self._take_all(self._reading.next(_AT_ONCE, seconds))
        except KafkaException as error:
            log.warning("control table: %s", error, extra=as_event("kafka.trouble"))

    def _take_all(self, records: list[Message]) -> None:
        if not self.caught_up:
            # At the start most states are replaced by a later one: these need not be decoded.
            newest = {record.key(): record.offset() for record in records}
            records = [one for one in records if newest[one.key()] == one.offset()]
        for record in records:
            self._take(record)
        if not self.caught_up and self._reading.ended:
            self.caught_up = True
            return_freed_memory()

    def _take(self, record: Any) -> None:
        try:
            job = self._jobs.apply(record.key(), record.value())
        except UndecodableError as error:
            # The worker that owns the commands writes its dead letter.
            log.error(
                "control table: the record at offset %d is left out: %s",
                record.offset(),
                error,
                extra=as_event("record.unreadable"),
            )
            return
        if job is not None and job.command_offset > self._newest:
            self._claimed.append(job.command_offset)
            if len(self._claimed) >= _MOST_CLAIMED:
                self._compare_claims()

    def has_passed(self, command: int) -> bool:
        """Whether the table has taken in a later command than the one at this offset.

        A state may claim any offset, so the claimed offsets are compared with the end of the topic `commands`. Kafka is
        asked for that end in here only, as the answer hardly ever matters.
        """
        if self._newest <= command and any(claimed > command for claimed in self._claimed):
            self._compare_claims()
        return self._newest > command

    def _compare_claims(self) -> None:
        try:
            end = self._ends.end_of(self._commands)
        except KafkaException as error:
            log.warning(
                "control table: the end of the commands is not known: %s", error, extra=as_event("kafka.trouble")
            )
            return
        self._newest = max([self._newest, *(claimed for claimed in self._claimed if claimed < end)])
        self._claimed = sorted(claimed for claimed in self._claimed if claimed >= end)[: _MOST_CLAIMED // 2]

    def catch_up(self, stopping: Callable[[], bool]) -> None:
        """Take in every record up to the end that the topic has now; return early when `stopping`."""
        end = self._ends.end_of(self._topic)
        while self._reading.reached(self._topic, 0) < end and not stopping():
            self.follow(0.1)

    def close(self) -> None:
        """Close the connections."""
        self._reading.close()
        self._ends.close()


class PlanConsumer:
    """One member of the readers' group."""

    def __init__(self, settings: Settings, revoked: Callable[[int, bool], None], metrics: ReaderMetrics) -> None:
        """`revoked(partition, lost)` is called when a partition goes to another reader, from within `receive`."""
        self._topic = topic_name(settings.prefix, "plans")
        self._revoked = revoked
        self._committed: dict[int, int] = {}
        self._metrics = metrics
        session_ms = int(settings.session_timeout_seconds * 1000)
        self._consumer = _consumer(
            settings,
            "ingest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(3000, session_ms // 3),
            partition_assignment_strategy="cooperative-sticky",
            topic_metadata_refresh_interval_ms=METADATA_MS,
        )
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def receive(self, seconds: float = 0) -> Iterator[Any]:
        """The records that have come, as confluent-kafka's messages; waits up to `seconds` for the first one."""
        for record in _records(self._consumer, seconds):
            if record.error() is None:
                yield record
            else:
                log.warning("plans: %s", record.error(), extra=as_event("kafka.trouble"))

    def commit(self, positions: dict[int, int], wait: bool = False) -> None:
        """Acknowledge what lies before these offsets. A refused commit does no harm: a plan may come twice."""
        news = {
            partition: offset for partition, offset in positions.items() if self._committed.get(partition) != offset
        }
        if not news:
            return
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in news.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=not wait)
        except KafkaException as error:
            log.warning("plans: a commit failed: %s", error, extra=as_event("kafka.trouble"))
        else:
            self._committed.update(news)

    def measure(self) -> None:
        """Bring the lag up to date. A partition of which nothing is committed counts from its first record read on."""
        self._metrics.behind(self._consumer, self._topic, self._committed)

    def close(self) -> None:
        """Leave the group at once."""
        self._consumer.close()

    def _on_assign(self, _consumer: Any, partitions: list[Any]) -> None:
        self._metrics.rebalances.labels(self._topic).inc()
        numbers = [item.partition for item in partitions]
        log.info("plans: assigned partitions %s", numbers, extra=as_event("partitions.assigned", partitions=numbers))

    def _on_revoke(self, _consumer: Any, partitions: list[Any]) -> None:
        self._gone(partitions, lost=False)

    def _on_lost(self, _consumer: Any, partitions: list[Any]) -> None:
        self._gone(partitions, lost=True)

    def _gone(self, partitions: list[Any], lost: bool) -> None:
        numbers, how = [item.partition for item in partitions], "lost" if lost else "released"
        log.info("plans: %s partitions %s", how, numbers, extra=as_event(f"partitions.{how}", partitions=numbers))
        for item in partitions:
            self._revoked(item.partition, lost)
            self._committed.pop(item.partition, None)


def _consumer(settings: Settings, group: str, on_error: Callable[[KafkaError], None] | None = None, **more: Any) -> Any:
    config = librdkafka_config(
        settings,
        group_id=f"{settings.prefix}-{group}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **_SMALL_BUFFERS,
        **more,
    )
    return Consumer({**config, "error_cb": on_error or _on_error})


def _records(consumer: Any, seconds: float) -> Iterator[Any]:
    for _ in range(_AT_ONCE):
        record = consumer.poll(seconds)
        if record is None:
            return
        seconds = 0
        yield record


def _on_error(error: KafkaError) -> None:
    if error.fatal():
        raise PublishError(f"the consumer can't go on: {error}")
    log.warning("consumer: %s", error, extra=as_event("kafka.trouble"))
