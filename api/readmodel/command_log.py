"""Appends commands to the topic, and waits for their effect on the job."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from api.errors import ApiError, KafkaUnavailableError, refused, unavailable
from api.readmodel.event_loop import CachedValue
from api.readmodel.job_feed import JobFeed
from control.limits import request_problem
from runtime.clients import librdkafka_config
from runtime.settings import Settings
from schemas.codec import encode
from schemas.commands import Command, Request
from schemas.events import CommandRejected
from schemas.formats import format_headers
from schemas.job import Job
from schemas.topics import topic_name

ANSWER_SECONDS = 20.0
"""More than the time in which another worker takes over from one that died."""
_KAFKA_SECONDS = 10.0


class CommandLog:
    """Appends to the topic ``commands``."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self._topic = topic_name(settings.prefix, "commands")
        self._loop = loop
        config = librdkafka_config(
            settings,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            message_timeout_ms=int(_KAFKA_SECONDS * 1000),
            queue_buffering_max_kbytes=4096,
        )
        self._producer = Producer({**config, "log_level": 2})
        self._answers = CachedValue(self._ask_kafka)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="command-log", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(1.0)

    async def append(self, command: Command) -> int:
        """Append a command; returns its offset once Kafka has acknowledged it.

        Raises:
            KafkaUnavailableError: Kafka did not acknowledge it in time.
        """
        future: asyncio.Future[int] = self._loop.create_future()

        def settle(error: KafkaError | None, offset: int) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(KafkaUnavailableError(str(error)))
            else:
                future.set_result(offset)

        def delivered(error: KafkaError | None, message: Any) -> None:
            self._loop.call_soon_threadsafe(settle, error, -1 if error else message.offset())

        try:
            self._producer.produce(
                self._topic,
                encode(command),
                command.job_id.encode(),
                headers=format_headers(),
                on_delivery=delivered,
            )
        except (KafkaException, BufferError) as error:
            raise KafkaUnavailableError(str(error)) from error
        return await future

    async def answers(self) -> bool:
        """Whether Kafka answers now, and has the topic."""
        return await self._answers.get()

    async def _ask_kafka(self) -> bool:
        try:
            metadata = await asyncio.to_thread(self._producer.list_topics, self._topic, 2.0)
        except KafkaException:
            return False
        return metadata.topics[self._topic].error is None

    def stop(self) -> None:
        """Send the commands that are still in the queue; blocks for up to two seconds."""
        self._producer.flush(1.0)
        self._stopping.set()
        self._thread.join(timeout=1)


async def submit(log: CommandLog, live: JobFeed, command: Command, timeout: float | None = None) -> Job:
    """Append a command; returns the job once the control agent has applied it.

    `timeout` is in seconds; None: ANSWER_SECONDS. The command's fields must have been checked already (`decode` and
    `fit` of `schemas/codec.py`); the control agent, which is another process, checks them again.

    Raises:
        ApiError: 400, the command is invalid for any job; the control agent's refusal; or 503, Kafka or the control
            agent does not answer.
    """
    problem = request_problem(command) if isinstance(command, Request) else None
    if problem is not None:
        raise refused(problem)
    try:
        offset = await log.append(command)
    except KafkaUnavailableError as error:
        raise unavailable(
            f"Kafka does not answer ({error}), so it is not known whether the command was recorded; "
            f"check `sluice status`, look at the job, and send the command again",
            job_id=command.job_id,
        ) from error
    timeout = ANSWER_SECONDS if timeout is None else timeout
    answer = await live.answer(command.job_id, offset, timeout)
    match answer:
        case Job():
            return answer
        case CommandRejected():
            raise ApiError(answer.code, answer.message, {**answer.details, "command_offset": offset})
        case None:
            raise unavailable(
                f"no worker has taken the command within {timeout:g} s; it is recorded and will take effect as soon as "
                f"one does: check `sluice status`",
                job_id=command.job_id,
                command_offset=offset,
                recorded=True,
            )
