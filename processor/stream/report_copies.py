"""Copies the reports of readers and workers into the topic of the commands, where they get their place in the order.

The worker that owns the topic ``reports`` does, which is the one that owns ``commands``, except during a rollout. A
copy names its report's offset. It may come twice, as a report may; one without a report behind it is refused (`has`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from control.authorization.authorizer import REPORT_HEADER
from control.authorization.senders import Headers
from processor.stream.acknowledgement import Acknowledgeable
from processor.stream.disconnecting import disconnect
from processor.stream.lease import Lease
from processor.stream.publisher import RecordPublisher
from runtime.clients import LOOK_MS, aiokafka_config
from runtime.settings import Settings
from schemas.bounds import LAST_MOMENT
from schemas.messages.codec import encode
from schemas.messages.commands import NoOldReports
from schemas.topics import topic_name

_KEPT: Final = 10_000
"""Copied reports that are kept in memory until their copies come, at most; the others are read again."""
_HOUR_MS: Final = 3_600_000
NO_OLD_REPORTS: Final = encode(NoOldReports())


class ReportLog(Protocol):
    """Reads the topic ``reports`` by offset."""

    async def extent(self) -> tuple[int, int]:
        """The first offset, and the end."""
        ...

    async def read(self, offset: int) -> tuple[int, bytes] | None:
        """The time and the value of a record; None: there is none at this offset."""
        ...


class ReportCopies:
    """Copies new reports into ``commands``, and tells which reports have a copy."""

    def __init__(self, publisher: RecordPublisher, reports: ReportLog, lease: Lease, old_hours: float) -> None:
        """`old_hours`: after the first report, older processes may write reports to ``commands`` themselves for this
        long."""
        self._publisher = publisher
        self._reports = reports
        self._lease = lease
        self._old_ms = int(old_hours * _HOUR_MS)
        self._copied: OrderedDict[int, bytes] = OrderedDict()
        self._waiting: deque[tuple[int, bytes | None, bytes | None, Headers, Acknowledgeable]] = deque()
        self._woken = asyncio.Event()
        self._old_until: int | None = None

    async def take(
        self,
        offset: int,
        at: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        acknowledgement: Acknowledgeable,
    ) -> None:
        """Have a report copied; it is acknowledged once Kafka has the copy. `at`: its time."""
        if self._old_until is None and value != NO_OLD_REPORTS:
            self._old_until = at + self._old_ms
        self._waiting.append((offset, key, value or b"", headers, acknowledgement))
        self._woken.set()

    async def skip(self, acknowledgement: Acknowledgeable) -> None:
        """Acknowledge a record that is no report, once those before it are copied."""
        self._waiting.append((-1, None, None, (), acknowledgement))
        self._woken.set()

    async def run(self) -> None:
        """Copy what has come, in its order, as many at once as there are. Raises KafkaError: the worker must end."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            some = list(self._waiting)
            self._waiting.clear()
            copies = [
                (offset, key, value, headers)
                for offset, key, value, headers, _ in some
                if value is not None and value != NO_OLD_REPORTS
            ]
            for offset, _, value, _ in copies:
                self._copied[offset] = value  # before it is sent: its copy may come at once
                if len(self._copied) > _KEPT:
                    self._copied.popitem(last=False)
            self._lease.require()
            await self._publisher.copy(
                "commands",
                [
                    (key, value, [*headers, (REPORT_HEADER, str(offset).encode())])
                    for offset, key, value, headers in copies
                ],
            )
            for *_, acknowledgement in some:
                acknowledgement.ack()

    async def has(self, offset: int, value: bytes) -> bool:
        """Whether the report at this offset has this value."""
        known = self._copied.get(offset)
        if known is not None:
            if known == value:
                del self._copied[offset]
                return True
            return False
        found = await self._reports.read(offset)
        return found is not None and found[1] == value

    def old_until(self) -> int:
        """Until when reports are taken that lie in ``commands`` without being copies; milliseconds since 1970."""
        return LAST_MOMENT if self._old_until is None else self._old_until

    async def begin(self, jobs_end: int) -> None:
        """Find out until when old reports are taken, as the worker that takes the commands over.

        It depends on the first record of the topic ``reports``. Where it has none, and no job has had a state yet
        (`jobs_end`: the end of the topic ``jobs``), there are no old reports, and the first record says so.
        """
        first, end = await self._reports.extent()
        if end == 0 and jobs_end == 0:
            self._old_until = 0
            await self._publisher.publish("reports", b"", NO_OLD_REPORTS)
        elif first > 0:
            self._old_until = 0  # retention has removed what was there in the days of the upgrade
        elif (found := await self._reports.read(0)) is not None:
            at, value = found
            self._old_until = 0 if value == NO_OLD_REPORTS else at + self._old_ms
        else:
            self._old_until = None  # no process has upgraded but this one


class KafkaReportLog:
    """The topic itself, through a connection that is made when it is needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._place = TopicPartition(topic_name(settings.prefix, "reports"), 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()

    async def extent(self) -> tuple[int, int]:
        """The first offset, and the end. Raises KafkaError."""
        async with self._lock:
            return await self._extent()

    async def read(self, offset: int) -> tuple[int, bytes] | None:
        """The time and the value of a record; None: there is none at this offset. Raises KafkaError."""
        async with self._lock:
            first, end = await self._extent()
            if not first <= offset < end:
                return None
            consumer = await self._connected()
            consumer.seek(self._place, offset)
            while True:
                found = await consumer.getmany(self._place, timeout_ms=1000, max_records=1)
                for record in found.get(self._place, ()):
                    return (record.timestamp, record.value or b"") if record.offset == offset else None

    async def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await disconnect(self._consumer)

    async def _extent(self) -> tuple[int, int]:
        consumer = await self._connected()
        first = (await consumer.beginning_offsets([self._place]))[self._place]
        return first, (await consumer.end_offsets([self._place]))[self._place]

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **aiokafka_config(self._settings),
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                consumer_timeout_ms=LOOK_MS,
            )
            try:
                await consumer.start()  # which a revocation may end
            except BaseException:
                await disconnect(consumer)
                raise
            consumer.assign([self._place])
            self._consumer = consumer
        return self._consumer
