"""Appends commands to the topic, and waits for their effect on the job."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from api.errors import ApiError, KafkaUnavailableError, RecordTooLargeError, invalid, refused, unavailable
from api.readmodel.appender import Appender
from api.readmodel.event_loop import CachedValue
from api.readmodel.job_feed import JobFeed
from control.creation.limits import request_problem
from control.timers import time_problem
from runtime.clock import now_ms
from schemas.job import Job
from schemas.messages.codec import encode
from schemas.messages.commands import Command, Request
from schemas.messages.events import CommandRejected
from schemas.messages.request_headers import as_written

ANSWER_SECONDS = 20.0
"""More than the time in which another worker takes over from one that died."""

Sign = Callable[[str, bytes], Awaitable[Mapping[str, bytes]]]
"""Job id, value -> headers. Raises KafkaUnavailableError."""


class CommandLog:
    """Appends to the topic ``commands``."""

    def __init__(self, appender: Appender, signed: Sign | None = None) -> None:
        """`signed` makes the headers with which a command goes out; None: it has none."""
        self._appender = appender
        self._signed = signed
        self._answers = CachedValue(lambda: asyncio.to_thread(appender.has, "commands", 2.0))

    async def append(self, command: Command) -> int:
        """Append a command; returns its offset once Kafka has acknowledged it.

        Raises:
            KafkaUnavailableError: Kafka did not acknowledge it in time.
        """
        written, headers = as_written(command)
        value = encode(written)
        if self._signed is not None:
            headers.update(await self._signed(command.job_id, value))
        return await self._appender.append("commands", command.job_id.encode(), value, headers)

    async def answers(self) -> bool:
        """Whether Kafka answers now, and has the topic."""
        return await self._answers.get()


async def submit(log: CommandLog, live: JobFeed, command: Command, timeout: float | None = None) -> Job:
    """Append a command; returns the job once the control agent has applied it.

    `timeout` is in seconds; None: ANSWER_SECONDS. The command's fields must have been checked already (`decode` and
    `fit` of `schemas/messages/codec.py`); the control agent, which is another process, checks them again.

    Raises:
        ApiError: 400 or 413, the command is invalid for any job; the control agent's refusal; or 503, Kafka or the
            control agent does not answer.
    """
    if isinstance(command, Request):
        job = live.view.jobs.get(command.job_id)
        problem, late = request_problem(command), time_problem(command, job, now_ms())
        if problem is not None:
            raise refused(problem)
        if late is not None:
            raise invalid(late)
    try:
        offset = await log.append(command)
    except RecordTooLargeError as error:
        raise ApiError(413, f"the request is too long for a record of Kafka ({error})") from error
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
